"""Which addresses from outside are refused, and that no spelling gets round it."""

import socket
import threading
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.upstream.errors import ForbiddenAddress, UpstreamError
from app.upstream.resilience.retry import Deadline
from app.upstream.service import Service
from app.upstream.transport.addresses import is_public, origin, parse
from app.upstream.transport.call import fetch_url
from app.upstream.transport.http import Forbidden, dial, resolve
from tests.upstream.doubles import PNG, double

# Host and port as they stand between the scheme and the path.
FORBIDDEN = (
    "127.0.0.1",
    "127.1",
    "127.0.1",
    "127.255.255.254",
    "0.0.0.0",
    "0",
    "2130706433",
    "017700000001",
    "0x7f000001",
    "0x7f.1",
    "0177.0.0.1",
    "0x7F.0x0.0x0.0x1",
    "127.0.0.1.",
    "localhost",
    "LOCALHOST",
    "localhost.",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "100.100.100.200",
    "169.254.169.254",
    "169.254.169.254:80",
    "2852039166",
    "0xa9fea9fe",
    "0251.0376.0251.0376",
    "168.63.129.16",
    "192.0.0.192",
    "198.18.0.1",
    "203.0.113.9",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "[::]",
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[::127.0.0.1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::ffff:0:127.0.0.1]",
    "[::ffff:8.8.8.8]",
    "[64:ff9b::127.0.0.1]",
    "[64:ff9b::a9fe:a9fe]",
    "[64:ff9b:1::10.0.0.1]",
    "[2002:7f00:1::]",
    "[2002:a9fe:a9fe::1]",
    "[2002:808:808::1]",
    "[2001:0:7f00:1::]",
    "[2001:0:4136:e378:8000:63bf:5601:5601]",
    "[2001:db8::1]",
    "[2a00:1450:4001::5efe:127.0.0.1]",
    "[fe80::1]",
    "[fe80::1%25lo]",
    "[fe80::1%lo]",
    "[fec0::1]",
    "[fd00:ec2::254]",
    "[fc00::1]",
    "[ff02::1]",
    "[100::1]",
    "[5f00::1]",
    "user@127.0.0.1",
    "8.8.8.8@127.0.0.1",
    "8.8.8.8:80@127.0.0.1",
    "8.8.8.8%40127.0.0.1",
    "8.8.8.8\\@127.0.0.1",
    "127.0.0.1\\.example.com",
    "127.0.0.1%00.example.com",
    "127.0.0.1\t",
    "127.0.0.1\n",
    " 127.0.0.1",
    "①②⑦.⓪.⓪.①",
    "\uff11\uff12\uff17.0.0.1",
    "127。0。0。1",
    "127.0.0.1:0",
    "127.0.0.1:99999",
    "8.8.8.8:",
    "8.8.8.8..",
    "999.8.8.8",
    "8.8.2056",
    "",
)
OTHER_SCHEMES = (
    "file:///etc/passwd",
    "gs://bucket/1.png",
    "ftp://8.8.8.8/1.png",
    "gopher://127.0.0.1:6379/_FLUSHALL",
    "data:image/png;base64,iVBORw0KGgo=",
    "javascript:alert(1)",
    "//127.0.0.1/1.png",
    "http:127.0.0.1",
    "http:/127.0.0.1",
    "http:///127.0.0.1",
    "https://",
    "",
)
UPSTREAM = Service(
    name="far", kind="auto", url="https://upstream.example/v1", connect_s=2
)


def addresses(*answers: str):
    """Return a getaddrinfo that gives these addresses, all of them, every time."""

    def look_up(host, port, **_):
        return [
            (
                socket.AF_INET6 if ":" in answer else socket.AF_INET,
                socket.SOCK_STREAM,
                6,
                "",
                (answer, port, 0, 0) if ":" in answer else (answer, port),
            )
            for answer in answers
        ]

    return look_up


@pytest.fixture
def connections(monkeypatch):
    """Every address a socket was connected to; connections all fail, at once."""
    tried = []

    def connect(self, address):
        tried.append(address[0])
        raise ConnectionRefusedError

    monkeypatch.setattr(socket.socket, "connect", connect)
    return tried


def fetch(url: str, service: Service = UPSTREAM):
    return fetch_url(url, service=service, deadline=Deadline.after(3))


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("host", FORBIDDEN)
def test_a_forbidden_address_is_refused_and_never_called(scheme, host, connections):
    with pytest.raises(ForbiddenAddress) as caught:
        fetch(f"{scheme}://{host}/latest/meta-data/")

    assert connections == []
    assert host.strip("0 ") == "" or host not in str(caught.value)


@pytest.mark.parametrize("url", OTHER_SCHEMES)
def test_only_whole_web_addresses_are_fetched(url, connections):
    with pytest.raises(ForbiddenAddress):
        fetch(url)

    assert connections == []


@pytest.mark.parametrize("closed", ["127.0.0.1", "169.254.169.254", "fd00:ec2::254"])
def test_one_closed_address_among_public_ones_closes_the_name(
    closed, connections, monkeypatch
):
    monkeypatch.setattr(socket, "getaddrinfo", addresses("8.8.8.8", closed))

    with pytest.raises(ForbiddenAddress):
        fetch("https://pictures.example/1.png")

    assert connections == []


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "2a00:1450:4001:80b::200e", "64:ff9b::808:808"]
)
def test_a_public_address_is_called(address, connections, monkeypatch):
    monkeypatch.setattr(socket, "getaddrinfo", addresses(address))

    with pytest.raises(UpstreamError):
        fetch("https://pictures.example/1.png")

    assert set(connections) == {address}


def test_a_resolver_that_changes_its_answer_changes_nothing(connections, monkeypatch):
    answers = iter(["8.8.8.8", "127.0.0.1"])
    asked = []

    def rebind(host, port, **named):
        asked.append(host)
        return addresses(next(answers, "127.0.0.1"))(host, port, **named)

    monkeypatch.setattr(socket, "getaddrinfo", rebind)

    with double() as local, pytest.raises(ForbiddenAddress):
        fetch(f"http://rebind.example:{local.url.rpartition(':')[2]}/image")

    # The first attempt goes where its own look-up led; the second is looked at anew.
    assert asked == ["rebind.example"] * 2
    assert connections == ["8.8.8.8"]
    assert local.seen == []


def test_a_connection_goes_to_the_address_that_was_looked_at(monkeypatch):
    """Were the name resolved twice, the second answer would reach the double."""
    calls = []

    def rebind(host, port, **named):
        calls.append(host)
        found = "192.0.2.1" if len(calls) == 1 else "127.0.0.1"
        return addresses(found)(host, port, **named)

    monkeypatch.setattr(socket, "getaddrinfo", rebind)
    with double() as local:
        port = int(local.url.rpartition(":")[2])

        with pytest.raises(OSError):
            dial("rebind.example", port, 0.3, public=False)

    assert calls == ["rebind.example"]


def test_a_configured_private_upstream_may_name_its_own_addresses():
    with double() as local:
        service = Service(name="near", kind="auto", url=f"{local.url}/v1")

        received = fetch(f"{local.url}/image", service)

        with received.body as body:
            assert body.read() == PNG


def test_another_port_of_a_configured_host_is_not_its_own():
    with double() as upstream, double() as neighbour:
        with pytest.raises(ForbiddenAddress):
            service = Service(name="near", kind="auto", url=upstream.url)
            fetch(f"{neighbour.url}/image", service)

        assert neighbour.seen == []


def test_a_name_with_several_addresses_falls_back_to_the_next(monkeypatch):
    # 127.0.0.2 refuses: the double listens on 127.0.0.1 only.
    monkeypatch.setattr(socket, "getaddrinfo", addresses("127.0.0.2", "127.0.0.1"))
    with double() as local:
        port = int(local.url.rpartition(":")[2])

        with dial("two.example", port, 2, public=False) as connected:
            assert connected.getpeername() == ("127.0.0.1", port)


def test_a_resolver_that_hangs_is_given_up_in_time(monkeypatch):
    with double() as local:

        def hang(*_, **__):
            local.stopping.wait(30)
            return []

        monkeypatch.setattr(socket, "getaddrinfo", hang)

        with pytest.raises(TimeoutError):
            resolve("slow.example", 80, 0.1)


def test_look_ups_that_hang_leave_only_so_many_threads_behind(monkeypatch):
    hanging, held = threading.Event(), []
    look_up = socket.getaddrinfo

    def hang(host, *values, **named):
        if host != "slow.example":
            return look_up(host, *values, **named)
        held.append(host)
        hanging.wait(30)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    for _ in range(20):
        with pytest.raises(TimeoutError):
            resolve("slow.example", 80, 0.01, public=True)

    # A stranger's names hold up no service.
    assert resolve("127.0.0.1", 80, 5, public=False)
    assert len(held) == 8
    hanging.set()
    assert resolve("127.0.0.1", 80, 5, public=True)


def test_dialling_in_public_refuses_what_dialling_at_home_reaches():
    with double() as local:
        port = int(local.url.rpartition(":")[2])

        dial("127.0.0.1", port, 2, public=False).close()
        with pytest.raises(Forbidden):
            dial("127.0.0.1", port, 2, public=True)


@given(st.integers(0, 2**32 - 1))
def test_no_closed_ipv4_address_is_public_in_any_wrapping(number):
    plain = IPv4Address(number)
    tail = number.to_bytes(4, "big")
    mapped = IPv6Address(bytes(10) + b"\xff\xff" + tail)
    compatible = IPv6Address(bytes(12) + tail)
    six_to_four = IPv6Address(b"\x20\x02" + tail + bytes(10))
    nat64 = IPv6Address(b"\x00\x64\xff\x9b" + bytes(8) + tail)

    wrapped = [is_public(str(one)) for one in (mapped, compatible, six_to_four)]

    assert wrapped == [False] * 3
    assert is_public(str(nat64)) == is_public(str(plain))
    assert plain.is_global or not is_public(str(plain))


@given(st.integers(0, 2**128 - 1))
def test_whatever_python_calls_private_is_not_public(number):
    address = IPv6Address(number)

    public = is_public(str(address))

    assert not public or (address.is_global and not address.is_multicast)


@given(st.text(max_size=40))
def test_an_address_is_taken_apart_or_refused_with_a_value_error(text):
    for url in (text, f"http://{text}", f"https://a.example/{text}"):
        try:
            target = parse(url)
        except ValueError:
            continue

        assert parse(target.url) == target


@pytest.mark.parametrize(
    ("url", "host", "port", "path"),
    [
        ("HTTPS://CDN.Example/A.png", "cdn.example", 443, "/A.png"),
        ("http://a.example:8080", "a.example", 8080, "/"),
        ("http://a.example?x=1", "a.example", 80, "/?x=1"),
        ("https://a.example/1.png?sig=a%2Fb%3D&e=1#x", "a.example", 443, None),
        ("https://[2A00:1450::0:1]:8443/", "2a00:1450::1", 8443, "/"),
        ("https://a.example/ü.png", "a.example", 443, "/%C3%BC.png"),
    ],
)
def test_an_honest_address_keeps_its_parts(url, host, port, path):
    target = parse(url)

    assert (target.host, target.port) == (host, port)
    assert target.path == (path or "/1.png?sig=a%2Fb%3D&e=1")


def test_a_configured_address_has_an_origin_however_it_is_spelled():
    assert origin("http://user:key@127.1:8001/v1") == ("http", "127.1", 8001)
    assert origin("https://Api.Example") == parse("https://api.example/x").origin
