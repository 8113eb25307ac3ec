"""Who reads slowly holds up nobody else, with nginx in front and without."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from urllib.parse import urlsplit

import pytest

from tests.gunicorn_server import Server, serve
from tests.nginx_server import in_front
from tests.waiting import wait_until

THREADS = 4
ROWS = b"name\n" + b"".join(b"Guest %d\n" % n for n in range(600))
ARCHIVE = (
    b"POST /collections.zip?renderer=badge HTTP/1.1\r\nHost: a\r\n"
    b"Content-Type: text/csv\r\nContent-Length: %d\r\n\r\n%b" % (len(ROWS), ROWS)
)
LARGE = (
    b"GET /images/dream.tiff?prompt=sea&width=1600&height=1600 HTTP/1.1\r\n"
    b"Host: a\r\n\r\n"
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One worker with few threads."""
    chosen = {"WEB_CONCURRENCY": "1", "MIMEO_THREADS": f"{THREADS}"}
    chosen["MIMEO_STORE"] = str(tmp_path_factory.mktemp("store"))
    with serve(settings=chosen) as running:
        yield running


@pytest.fixture(scope="module")
def front(server: Server) -> Iterator[Server]:
    with in_front(server) as running:
        yield running


@contextmanager
def readers(server: Server, request: bytes, count: int) -> Iterator[list[bytes]]:
    """Ask on connections that take the first line of the answer, and no more."""
    place = urlsplit(server.url)
    with ExitStack() as stack:
        wires = []
        for _ in range(count):
            wire = stack.enter_context(socket.socket())
            # So small that the kernel does not read on for a client that does not.
            wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            wire.settimeout(60)
            wire.connect((place.hostname, place.port))
            wire.sendall(request)
            wires.append(wire)
        yield [wire.recv(12) for wire in wires]


@pytest.mark.parametrize("where", ["server", "front"])
def test_archives_that_are_read_slowly_hold_half_of_the_threads(where, request):
    asked: Server = request.getfixturevalue(where)
    with readers(asked, ARCHIVE, 3 * THREADS) as lines:
        cards = [asked.ask(f"/images/card.png?title={n}") for n in range(5)]
        health = asked.ask("/health/live")

    assert lines.count(b"HTTP/1.1 200") == THREADS // 2
    assert lines.count(b"HTTP/1.1 503") == 3 * THREADS - THREADS // 2
    assert [card.status for card in cards] == [200] * 5
    assert health.status == 200


@pytest.mark.parametrize("where", ["server", "front"])
def test_readers_that_leave_give_their_threads_back(where, request):
    asked: Server = request.getfixturevalue(where)

    def are_taken() -> bool:
        """Tell whether as many as may be read at once are answered, and leave them."""
        with readers(asked, ARCHIVE, THREADS // 2) as lines:
            return lines == [b"HTTP/1.1 200"] * (THREADS // 2)

    for _ in range(2):
        wait_until(are_taken, 30)


def test_large_images_that_are_read_slowly_hold_no_thread_behind_nginx(front):
    assert front.ask(LARGE.split()[1].decode()).status == 200
    with readers(front, LARGE, 3 * THREADS) as lines:
        cards = [front.ask(f"/images/card.png?title={n}") for n in range(5)]

    assert lines == [b"HTTP/1.1 200"] * (3 * THREADS)
    assert [card.status for card in cards] == [200] * 5
