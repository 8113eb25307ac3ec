"""A worker that is killed costs the answers that it was sending, and these resume."""

import os
import signal
import subprocess
import time
import zipfile
from pathlib import Path

import pytest

from tests.gunicorn_server import Server, serve
from tests.nginx_server import in_front

ROWS = b"title\n" + b"".join(b"Card number %d\n" % n for n in range(300))
FORMS = ["zip", "ndjson", "json"]


def create(server: Server) -> str:
    reply = server.ask(
        "/collections?renderer=card", "POST", ROWS, {"Content-Type": "text/csv"}
    )
    assert reply.status == 201, reply.body
    return reply.headers["Location"]


def download(url: str, target: Path, *options: str) -> subprocess.Popen[bytes]:
    command = ["curl", "-sf", *options, "-o", str(target), url]
    return subprocess.Popen(command)


def interrupt(server: Server, url: str, target: Path, pids: set[int]) -> None:
    """Begin a download, and kill processes in the middle of it."""
    with download(url, target, "--limit-rate", "2M") as client:
        wait_until(lambda: target.is_file() and target.stat().st_size > 100_000)
        assert client.poll() is None, "done too early to prove anything"
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        # curl's 18: not all of it came; 56, 92: the connection was reset.
        assert client.wait(60) in (18, 56, 92)


def resume(url: str, target: Path) -> None:
    with download(url, target, "-C", "-") as client:
        assert client.wait(120) == 0


def wait_until(done, longest_s: float = 60) -> None:
    end = time.monotonic() + longest_s
    while not done():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


@pytest.mark.parametrize("form", FORMS)
def test_an_archive_resumes_after_its_worker_was_killed(form, tmp_path):
    with serve(settings={"MIMEO_STORE": str(tmp_path / "store")}) as server:
        path = f"{create(server)}.{form}"
        target = tmp_path / f"a.{form}"
        before = server.workers()
        # Whichever it was that sent, both are killed.
        interrupt(server, server.url + path, target, before)
        part = target.stat().st_size
        wait_until(lambda: len(server.workers() - before) == 2)

        resume(server.url + path, target)

        assert 0 < part < target.stat().st_size
        assert target.read_bytes() == server.ask(path).body


def test_an_archive_resumes_behind_nginx_after_its_worker_was_killed(tmp_path):
    settings = {"MIMEO_STORE": str(tmp_path / "store")}
    with serve(settings=settings) as server, in_front(server) as front:
        path = f"{create(front)}.zip"
        target = tmp_path / "a.zip"
        before = server.workers()
        interrupt(server, front.url + path, target, before)
        wait_until(lambda: len(server.workers() - before) == 2)

        resume(front.url + path, target)

        assert target.read_bytes() == server.ask(path).body
    with zipfile.ZipFile(target) as archive:
        assert archive.testzip() is None
        assert len(archive.namelist()) >= 300


def test_an_archive_resumes_on_another_server_that_shares_the_store(tmp_path):
    settings = {"MIMEO_STORE": str(tmp_path / "store")}
    target = tmp_path / "a.zip"
    with serve(settings=settings) as server:
        path = f"{create(server)}.zip"
        interrupt(server, server.url + path, target, server.workers())
    with serve(settings=settings) as other:
        resume(other.url + path, target)

        assert target.read_bytes() == other.ask(path).body
