"""A worker without a free file descriptor waits for one, and does not end."""

import os
import resource
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.gunicorn_server import Server, serve

THREADS = 8
# Descriptors that a worker may have beside those that it has when it is warm.
FREE = 24
HALF_HEAD = b"GET /images/card.png?title=Slow HTTP/1.1\r\nHost: a\r\nX-Half: "
LARGE = (
    b"GET /images/dream.tiff?prompt=sea&width=1600&height=1600 HTTP/1.1\r\n"
    b"Host: a\r\n\r\n"
)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """One worker that may open few files more than it has."""
    chosen = {
        "WEB_CONCURRENCY": "1",
        "MIMEO_THREADS": f"{THREADS}",
        "MIMEO_RECEIVE_TIMEOUT_S": "2",
        "MIMEO_STORE": str(tmp_path),
    }
    with serve(settings=chosen) as running:
        for path in ("/images/card.png?title=warm", LARGE.split()[1].decode()):
            assert running.ask(path).status == 200
        (pid,) = running.workers()
        _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (opened(pid) + FREE, hard))
        yield running


def opened(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


@contextmanager
def connections(server: Server, sent: bytes, count: int) -> Iterator[None]:
    """Hold connections on which so much was sent, and nothing is read."""
    place = urlsplit(server.url)
    with ExitStack() as stack:
        for _ in range(count):
            wire = stack.enter_context(socket.socket())
            # So small that the kernel does not read on for a client that does not.
            wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            wire.settimeout(60)
            wire.connect((place.hostname, place.port))
            wire.sendall(sent)
        yield


def wait_until_scarce(server: Server) -> None:
    """Wait until a connection could not be accepted."""
    end = time.monotonic() + 30
    while "Too many open files" not in server.log.read_text():
        assert time.monotonic() < end, server.log.read_text()
        time.sleep(0.02)


@pytest.mark.parametrize(
    "sent", [b"", HALF_HEAD, LARGE], ids=["nothing", "half a head", "slow readers"]
)
def test_a_worker_without_descriptors_does_not_end(server: Server, sent: bytes):
    before = server.workers()

    with connections(server, sent, 3 * FREE):
        wait_until_scarce(server)
        # Those that sent nothing make room at once, half heads when their time is over.
        if sent != LARGE:
            assert server.ask("/images/card.png?title=beside").status == 200
    after = server.ask("/images/card.png?title=after")

    assert after.status == 200
    assert server.workers() == before
    log = server.log.read_text()
    # Not one for each that could not be accepted.
    assert 0 < log.count("No connection is accepted for a moment") < 10
    assert "Traceback" not in log


def test_a_worker_that_waits_for_a_descriptor_does_not_spin(server: Server):
    (pid,) = server.workers()
    clock = os.sysconf("SC_CLK_TCK")

    def used_s() -> float:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / clock

    with connections(server, LARGE, 3 * FREE):
        wait_until_scarce(server)
        end = time.monotonic() + 60
        share = 1.0
        # What has been accepted may still be worked on. A loop would take all it gets.
        while share > 0.1 and time.monotonic() < end:
            begun, cpu_s = time.monotonic(), used_s()
            time.sleep(1)
            share = (used_s() - cpu_s) / (time.monotonic() - begun)

    assert share < 0.1
