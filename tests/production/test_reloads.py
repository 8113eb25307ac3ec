"""HUP under load: no request is lost, and none waits for new workers to start.

`python -m benchmarks.soak --reloads 100` does it a hundred times.
"""

import os
import signal
import time
from pathlib import Path

from benchmarks.soak.clients import Load, asking, failures
from tests.gunicorn_server import Server, serve
from tests.nginx_server import in_front

RELOADS = 12


def reload(server: Server) -> None:
    """Send HUP, and wait until none of the workers of before is left."""
    before = server.workers()
    os.kill(server.pid, signal.SIGHUP)
    wait_until(lambda: server.workers() and not before & server.workers())


def wait_until(done, longest_s: float = 60) -> None:
    end = time.monotonic() + longest_s
    while not done():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def test_twelve_reloads_under_six_clients_lose_no_request(tmp_path: Path) -> None:
    load = Load(pause_s=0.05)
    with (
        serve(settings={"MIMEO_STORE": str(tmp_path)}) as server,
        in_front(server) as front,
        asking(load),
    ):
        for url in (server.url, front.url):
            load.start(url, ("card", "304"))
            load.start(url, ("qr", "zip", "304"))
            load.start(url, ("range", "upload", "avatar"), keep=False)
        for _ in range(RELOADS):
            reload(server)

    assert failures(load.records) == []
    assert load.counts()["served"] > 10 * RELOADS


def test_workers_of_before_serve_until_others_listen(tmp_path: Path) -> None:
    # gunicorn stops the old workers at the moment in which the new ones start, and
    # what came in the meantime waited until the app was imported: seconds under load.
    go = tmp_path / "go"
    go.touch()
    settings = {"WAITING_APP_FILE": str(go), "WEB_CONCURRENCY": "1"}
    with serve("tests.production.waiting_app:app", settings) as server:
        [before] = server.workers()
        go.unlink()
        os.kill(server.pid, signal.SIGHUP)
        wait_until(lambda: len(server.workers()) == 2)
        served = [server.ask("/images/solid.png").status for _ in range(10)]
        ready = server.ask("/health/ready")
        still = server.workers()
        go.touch()
        wait_until(lambda: before not in server.workers())
        after = server.ask("/images/solid.png").status

    assert served == [200] * 10
    assert ready.status == 200
    assert before in still
    assert after == 200
