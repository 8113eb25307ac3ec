"""After TERM whoever comes is told at once, also by nginx; what began is finished."""

import http.client
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.gunicorn_server import Server, serve
from tests.nginx_server import in_front

ROWS = b"title\n" + b"".join(b"Card %d\n" % n for n in range(250))


def listens(server: Server) -> bool:
    place = urlsplit(server.url)
    try:
        socket.create_connection((place.hostname, place.port), 5).close()
    except ConnectionRefusedError:
        return False
    return True


def wait_until(done: Callable[[], bool], longest_s: float = 60) -> None:
    end = time.monotonic() + longest_s
    while not done():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


@contextmanager
def draining(
    tmp_path: Path, warm: Callable[[Server], object] = lambda front: None
) -> Iterator[tuple[Server, Server, object]]:
    """Yield a server that was told to stop in the middle of an archive, and nginx."""
    target = tmp_path / "all.zip"
    (tmp_path / "rows.csv").write_bytes(ROWS)
    settings = {"MIMEO_STORE": str(tmp_path / "store"), "WEB_CONCURRENCY": "1"}
    with serve(settings=settings) as server, in_front(server) as front:
        found = warm(front)
        command = [
            "curl",
            "-sf",
            "--limit-rate",
            "1M",
            "-H",
            "Content-Type: text/csv",
            "--data-binary",
        ]
        command += [f"@{tmp_path / 'rows.csv'}", "-o", str(target)]
        command += [f"{front.url}/collections.zip?renderer=card"]
        with subprocess.Popen(command) as download:
            wait_until(lambda: target.is_file() and target.stat().st_size > 1000)
            os.kill(server.pid, signal.SIGTERM)
            wait_until(lambda: not listens(server))
            assert download.poll() is None, "done too early to prove anything"
            yield server, front, found
            # The archive outlives all that was asked meanwhile.
            assert download.poll() is None, "nothing was asked during the drain"
            assert download.wait(60) == 0
    check = subprocess.run(["unzip", "-tq", target], capture_output=True, check=False)
    assert check.returncode == 0, check.stdout


def test_behind_nginx_the_new_are_told_at_once_when_to_come_again(tmp_path):
    with draining(tmp_path) as (_, front, _):
        # Connections that nginx has kept are served once more.
        wait_until(lambda: front.ask("/health/live").status == 502)
        replies = [front.ask(f"/images/card.png?title={n}") for n in range(3)]
        replies.append(front.ask("/health/ready"))
        replies.append(front.ask("/images", "POST", b"{}"))

    for reply in replies:
        assert reply.status == 502
        assert reply.headers["Retry-After"] == "5"
        assert reply.headers["Content-Type"] == "application/problem+json"


def test_what_nginx_has_is_served_during_the_drain(tmp_path):
    def keep(front: Server) -> str:
        first = front.ask("/images/card.png?title=Kept")
        path = first.headers["Link"].partition("<")[2].partition(">")[0]
        assert front.ask(path).status == 200
        return path

    with draining(tmp_path, keep) as (_, front, path):
        kept = front.ask(str(path))

    assert kept.status == 200
    assert kept.body.startswith(b"\x89PNG")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_connection_that_is_open_is_served_once_more(method):
    def served() -> bool:
        """Tell whether it was: two seconds may be over before it asks."""
        with serve(settings={"WEB_CONCURRENCY": "1"}) as server:
            place = urlsplit(server.url).netloc
            with closing(http.client.HTTPConnection(place, timeout=60)) as kept:
                kept.request("GET", "/health/live")
                kept.getresponse().read()
                os.kill(server.pid, signal.SIGTERM)
                wait_until(lambda: not listens(server))
                try:
                    kept.request(method, "/images/solid.png?width=9&height=9")
                    answer = kept.getresponse()
                    answer.read()
                except ConnectionError:
                    return False
        assert answer.status == 200
        assert answer.headers["Connection"] == "close"
        return True

    wait_until(served, 60)
