"""Archives drawn by processes under gunicorn: killed ones, reloads, and the end."""

import os
import signal
import time
from pathlib import Path

import pytest

from tests.gunicorn_server import Server, serve
from tests.pipeline.process_work import drawing
from tests.production.test_killed_workers import create, download, wait_until


def processes(server: Server) -> list[int]:
    return [pid for worker in server.workers() for pid in drawing(worker)]


def lives(pid: int) -> bool:
    try:
        return "(zombie)" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("ended_by", [signal.SIGKILL, signal.SIGHUP])
def test_an_archive_is_whole_whatever_ends_processes_or_workers(ended_by, tmp_path):
    with serve(settings={"MIMEO_STORE": str(tmp_path / "store")}) as server:
        path = f"{create(server)}.zip"
        expected = server.ask(path).body
        target = tmp_path / "a.zip"
        with download(server.url + path, target, "--limit-rate", "2M") as client:
            wait_until(lambda: target.is_file() and target.stat().st_size > 100_000)
            assert client.poll() is None, "done too early to prove anything"
            found = processes(server)
            ended = found if ended_by == signal.SIGKILL else [server.pid]
            for pid in ended:
                os.kill(pid, ended_by)
            assert client.wait(120) == 0

        assert len(found) in (1, 2)
        assert target.read_bytes() == expected
        wait_until(lambda: not any(map(lives, found)))


def test_no_process_outlives_the_server(tmp_path):
    with serve(settings={"MIMEO_STORE": str(tmp_path / "store")}) as server:
        path = f"{create(server)}.zip"
        server.ask(path)
        found = processes(server)

    end = time.monotonic() + 10
    while any(map(lives, found)) and time.monotonic() < end:
        time.sleep(0.05)
    assert found
    assert not any(map(lives, found))
