"""Which addresses may be fetched when somebody else named them.

A URL in an answer is a stranger's wish to make this server call something. It
may lead to public unicast addresses only; everything else is refused unless it
is listed here, so that a range nobody thought of is refused too.
"""

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from urllib.parse import quote, urlsplit

# RFC 3986, without userinfo, without IPv6 zones (RFC 6874), without a backslash
# that browsers take for a slash, and with host names in their ASCII form only.
_URL = re.compile(
    r"(?P<scheme>https?)://"
    r"(?P<host>[a-z0-9_]([a-z0-9_.-]{0,252}[a-z0-9])?|\[[0-9a-f:.]{2,45}\])"
    r"(:(?P<port>[0-9]{1,5}))?"
    r"(?P<target>[/?][^\s\\#\x00-\x20\x7f]*)?"
    r"(#[^\s\x00-\x20\x7f]*)?",
    re.IGNORECASE,
)
_PORTS = {"http": 80, "https": 443}
# What a target may hold as it is: RFC 3986, and escapes that are there already.
_SAFE = "/?:@!$&'()*+,;=-._~%[]"
_LONGEST = 8_192
# RFC 1035, section 2.3.4.
_LONGEST_LABEL = 63

# IANA's special-purpose registries, written out: what `ipaddress` calls global
# differs between releases of Python 3.11 and 3.13.
_CLOSED_4 = tuple(
    IPv4Network(block)
    for block in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",
        "100.64.0.0/10",  # carriers' shared space; one cloud's metadata
        "127.0.0.0/8",
        "168.63.129.16/32",  # the metadata of a cloud, at a public address
        "169.254.0.0/16",  # link-local; most clouds' metadata
        "172.16.0.0/12",
        "192.0.0.0/24",  # protocol assignments; one cloud's metadata
        "192.0.2.0/24",
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.88.99.0/24",  # relays of 6to4
        "192.168.0.0/16",
        "192.175.48.0/24",
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved; broadcast
    )
)
# All of IPv6 but global unicast is closed, and so are these parts of it.
_UNICAST_6 = IPv6Network("2000::/3")
_CLOSED_6 = tuple(
    IPv6Network(block)
    for block in (
        "2001::/23",  # protocol assignments; Teredo, which holds an IPv4 address
        "2001:db8::/32",
        "2002::/16",  # 6to4, which holds an IPv4 address
        "2620:4f:8000::/48",
        "3fff::/20",
    )
)
# RFC 6052: where only IPv6 is spoken, every IPv4 host has an address here.
_NAT64 = IPv6Network("64:ff9b::/96")
# RFC 5214: the lower half of an ISATAP address is one of these and an IPv4 address.
_ISATAP = (0x00005EFE, 0x02005EFE)


@dataclass(frozen=True, slots=True)
class Target:
    """A web address in parts: `host` is in lower case, `path` holds the query too."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def origin(self) -> tuple[str, str, int]:
        """What two addresses share that belong to one server (RFC 6454)."""
        return self.scheme, self.host, self.port

    @property
    def url(self) -> str:
        """The address as text; holds no user, no fragment."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == _PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{port}{self.path}"


def parse(url: str) -> Target:
    """Take a web address apart; raise ValueError where there is any doubt of it.

    Two readers must never see two hosts in one text, so there is one spelling of
    an IPv4 address, and no user, zone, backslash or trailing dot.
    """
    found = _URL.fullmatch(url) if len(url) <= _LONGEST else None
    if found is None:
        raise ValueError("it is not a plain http or https address")
    scheme = found["scheme"].lower()
    port = int(found["port"] or _PORTS[scheme])
    if not 0 < port < 65_536:
        raise ValueError("there is no such port")
    path = quote(found["target"] or "/", safe=_SAFE)
    path = path if path.startswith("/") else f"/{path}"
    return Target(scheme, _host(found["host"].lower()), port, path)


def origin(url: str) -> tuple[str, str, int]:
    """Return the origin of a configured address, which may be spelled in any way."""
    parts = urlsplit(url)
    port = parts.port or _PORTS.get(parts.scheme, 0)
    return parts.scheme, parts.hostname or "", port


def _host(text: str) -> str:
    # What `ipaddress` says of an address that is none is for programmers.
    if text.startswith("["):
        try:
            return str(IPv6Address(text[1:-1]))
        except ValueError:
            raise ValueError("its host is no IPv6 address") from None
    labels = text.split(".")
    # 0177.0.0.1, 0x7f.1 and 2130706433 are addresses to `inet_aton`, though to
    # nobody who writes an honest one: the last label of a name is no number.
    if re.fullmatch(r"0x[0-9a-f]*|[0-9]+", labels[-1]):
        try:
            return str(IPv4Address(text))
        except ValueError:
            reason = "its host is a number, and no IPv4 address like 192.0.2.1"
            raise ValueError(reason) from None
    if "" in labels:
        raise ValueError("a label of the name is empty")
    if any(len(label) > _LONGEST_LABEL for label in labels):
        raise ValueError(f"a label of the name is over {_LONGEST_LABEL} characters")
    return text


def is_public(address: str) -> bool:
    """Say whether an address, as the resolver gives it, is public and unicast.

    An IPv4 address inside an IPv6 one counts as itself where the network really
    takes it there (NAT64), and is refused in every other wrapping.
    """
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, IPv4Address):
        return not any(parsed in block for block in _CLOSED_4)
    if parsed.scope_id is not None:
        return False
    if parsed in _NAT64:
        return is_public(str(IPv4Address(parsed.packed[12:])))
    return _is_public_6(parsed)


def _is_public_6(address: IPv6Address) -> bool:
    if address not in _UNICAST_6 or any(address in block for block in _CLOSED_6):
        return False
    return (int(address) >> 32) & 0xFFFFFFFF not in _ISATAP
