"""Calls over TLS: whose certificate is taken, and how long it may take."""

import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from app.upstream.errors import (
    UpstreamTimeout,
    UpstreamUnavailable,
)
from app.upstream.transport.http import roots
from tests.certificate import certify
from tests.upstream.caller import (
    LATE_S,
    ask,
    soon,
)
from tests.upstream.doubles import PNG, double


def test_a_server_that_never_shakes_hands_ends_with_the_connect_limit():
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"https://127.0.0.1:{mute.getsockname()[1]}"

        with soon(), pytest.raises(UpstreamTimeout) as caught:
            ask(url, "/image", connect_s=0.2)

    assert (caught.value.hop, caught.value.outcome_unknown) == ("connect", False)


def test_a_handshake_that_drips_ends_with_the_connect_limit():
    with (
        socket.create_server(("127.0.0.1", 0)) as dripping,
        ThreadPoolExecutor(1) as threads,
    ):
        url = f"https://127.0.0.1:{dripping.getsockname()[1]}"

        def drip() -> None:
            accepted, _ = dripping.accept()
            # The head of a record of 16 KiB, which never comes to its end.
            with accepted, suppress(OSError):
                accepted.sendall(b"\x16\x03\x03\x40\x00")
                for _ in range(LATE_S * 20):
                    accepted.sendall(b"x")
                    time.sleep(0.05)

        dripped = threads.submit(drip)
        with soon(), pytest.raises(UpstreamTimeout) as caught:
            ask(url, "/image", connect_s=0.3)

        dripped.result()
    assert (caught.value.hop, caught.value.outcome_unknown) == ("connect", False)


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """A certificate for pictures.example, its file, and a context that serves it."""
    return certify(tmp_path_factory.mktemp("tls") / "all.pem", "pictures.example")


@pytest.fixture
def home(monkeypatch):
    """Every name leads to this machine."""
    row = (socket.AF_INET, socket.SOCK_STREAM, 6, "")
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda _, port, **__: [(*row, ("127.0.0.1", port))]
    )


@pytest.fixture
def trusting(monkeypatch, authority):
    """The test's certificate is a root of the system."""
    monkeypatch.setenv("SSL_CERT_FILE", str(authority[0]))
    roots.cache_clear()
    yield
    roots.cache_clear()


def test_the_name_stays_in_host_and_tls_when_the_address_is_pinned(
    home, trusting, authority
):
    names = []
    authority[1].sni_callback = lambda _, name, __: names.append(name)
    with double(authority[1]) as secure:
        port = secure.url.rpartition(":")[2]

        _, data = ask(f"https://pictures.example:{port}", "/image")

    assert data == PNG
    assert names == ["pictures.example"]
    assert secure.seen[0].headers["Host"] == f"pictures.example:{port}"


def test_a_certificate_for_another_name_is_not_taken(home, trusting, authority):
    with double(authority[1]) as secure:
        port = secure.url.rpartition(":")[2]

        with pytest.raises(UpstreamUnavailable):
            ask(f"https://other.example:{port}", "/image")

    assert secure.seen == []


def test_a_certificate_of_nobody_known_is_not_taken(home, authority):
    with double(authority[1]) as secure:
        port = secure.url.rpartition(":")[2]

        with pytest.raises(UpstreamUnavailable):
            ask(f"https://pictures.example:{port}", "/image")

    assert secure.seen == []


def test_one_byte_at_a_time_over_tls_ends_with_the_deadline(home, trusting, authority):
    with double(authority[1]) as secure:
        port = secure.url.rpartition(":")[2]
        url = f"https://pictures.example:{port}"

        with soon(), pytest.raises(UpstreamTimeout) as caught:
            ask(url, "/drip-without-length", total_s=0.5)

    assert (caught.value.hop, caught.value.outcome_unknown) == ("total", True)
