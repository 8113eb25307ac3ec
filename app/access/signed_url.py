"""Signed URLs: `<path>?<query>&expires=<s>&key=<id>[&free=<names>]&signature=v1.<mac>`.

The signature is HMAC-SHA256 (RFC 2104), base64url without padding (RFC 4648, section
5), over `v1`, `GET` and the path and query before `&signature=` as they are sent, with
a line feed between the three. After it may follow the parameters that are `free`, and
tracking names.
"""

import hmac
import re
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple
from urllib.parse import unquote_plus

from app.access.errors import BadSignature, ExpiredUrl
from app.renderer.params import RESERVED
from app.store import Store, StoreError, get_or_create, key_for

NEVER = "never"
# The id of the one secret that has none.
DEFAULT = "default"
# Where the secret is in its room.
_NAME = key_for("key of signed URLs")
_SECRET_BYTES = 32
_SIGNED = re.compile(r"(?:^|&)signature=")
_TAIL = re.compile(
    r"(?:^|&)expires=(?P<expires>[0-9]{1,11}|never)&key=(?P<key>[a-z0-9_-]{1,32})"
    r"(?:&free=(?P<free>[^&]*))?\Z"
)
_RESERVED_TOO = re.compile(r"(?:^|&)(?:expires|key|free)=")
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")


class SignedUrl(NamedTuple):
    """What a signed URL says: whose secret signed it, until when, for what query.

    `expires` is in seconds since the epoch, or None for never. `query` is without
    the signature, and with what follows it.
    """

    key: str
    expires: int | None
    query: str


class UrlSigner:
    """Signs and checks URLs; of several secrets by id the first signs, all verify.

    They are looked for at the first use.
    """

    def __init__(self, secrets: Callable[[], Mapping[str, bytes]]) -> None:
        self._find = secrets
        self._found: Mapping[str, bytes] | None = None

    @property
    def _secrets(self) -> Mapping[str, bytes]:
        if self._found is None:
            self._found = self._find()
        return self._found

    def sign(
        self,
        target: str,
        expires: int | None,
        free: Iterable[str] = (),
        key: str | None = None,
    ) -> str:
        """Return a path and query, signed; raise ValueError where that cannot be.

        `key` is the id of a secret, the first by default; StoreError may be raised.
        """
        query = target.partition("?")[2]
        if _SIGNED.search(query) or _RESERVED_TOO.search(query):
            raise ValueError(f"{', '.join(sorted(RESERVED))} belong to the signature")
        free = tuple(free)
        for name in free:
            if not _PLAIN.fullmatch(name) or name in RESERVED:
                raise ValueError(f"{name!r} is not the name of a parameter")
        key = key or next(iter(self._secrets))
        if key not in self._secrets:
            raise ValueError(f"there is no secret {key!r}")
        mark = "&" if query else "?"
        if not query:
            target = target.rstrip("?")
        ends = NEVER if expires is None else str(expires)
        text = f"{target}{mark}expires={ends}&key={key}"
        if free:
            text += f"&free={','.join(free)}"
        return f"{text}&signature={_mac(self._secrets[key], text)}"

    def check(
        self, path: str, query: str, passes: Callable[[str, str], bool], now: float
    ) -> SignedUrl:
        """Return what a URL says; raise BadSignature or ExpiredUrl.

        `path` and `query` are as they were sent; `passes` tells which
        parameters may follow that are not free.
        """
        signed, mark, rest = query.partition("&signature=")
        tail = _TAIL.search(signed)
        signature, *appended = rest.split("&")
        if not mark or tail is None or tail["key"] not in self._secrets:
            raise BadSignature
        wanted = _mac(self._secrets[tail["key"]], f"{path}?{signed}").encode()
        # In constant time: `==` tells by its time how many characters are right.
        if not hmac.compare_digest(wanted, signature.encode("utf-8", "replace")):
            raise BadSignature(tail["key"])
        free = unquote_plus(tail["free"] or "").split(",")
        pairs = [map(unquote_plus, each.split("=", 1)) for each in appended if each]
        own = signed[: tail.start()]
        if _RESERVED_TOO.search(own):
            raise BadSignature(tail["key"])
        for name, *value in pairs:
            allowed = name in free or passes(name, "".join(value))
            if name in RESERVED or not allowed:
                raise BadSignature(tail["key"])
        expires = None if tail["expires"] == NEVER else int(tail["expires"])
        # Last: only to whoever has a true URL is it said that it was one.
        if expires is not None and now >= expires:
            raise ExpiredUrl(tail["key"])
        return SignedUrl(tail["key"], expires, "&".join(filter(None, (own, *appended))))


def is_signed(query: str) -> bool:
    """Tell whether a query has a signature, right or wrong."""
    return "signature=" in query and _SIGNED.search(query) is not None


def _mac(secret: bytes, target: str) -> str:
    text = f"v1\nGET\n{target}".encode("utf-8", "surrogateescape")
    digest = hmac.digest(secret, text, "sha256")
    return f"v1.{urlsafe_b64encode(digest).decode().rstrip('=')}"


def secret_of(store: Store) -> bytes:
    """Return the secret that all who share a store sign with, made at the first use.

    Raises StoreError.
    """
    secret = get_or_create(store, _NAME, secrets.token_bytes(_SECRET_BYTES))
    if len(secret) != _SECRET_BYTES:
        raise StoreError("the key of signed URLs is damaged: delete the room `keys`")
    return secret
