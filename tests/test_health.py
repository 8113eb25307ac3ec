"""The server says that it is ready where it is, and why where it is not."""

import json
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app import create_app
from app.config import Settings
from app.observability import metrics
from app.renderer.catalogue import Catalogue
from app.store import NoStore, StoreError, WrongFormat
from app.views import health
from app.views.health import StoreProbe
from tests.faulty_disk import full_disk
from tests.gunicorn_server import Reply, Server, serve


@pytest.fixture
def client(tmp_path: Path) -> Iterator[FlaskClient]:
    """A client of a server with a store of its own, in `tmp_path/swordfish`."""
    app = create_app(
        replace(Settings(), local_callers=True, store=str(tmp_path / "swordfish"))
    )
    yield app.test_client()
    app.extensions["mimeo"].close()


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every question look at the store."""
    monkeypatch.setattr(health, "_PROBED_S", 0.0)
    monkeypatch.setattr(health, "_FAILED_S", 0.0)


def test_a_server_that_can_keep_images_is_ready(client: FlaskClient) -> None:
    answer = client.get("/health/ready")

    assert answer.status_code == 200
    told = answer.get_json()
    assert told.pop("version") == metrics.release()
    assert told == {
        **{"status": "ready", "store": "ok", "broken": []},
        "client": "127.0.0.1",
    }
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("store", ["memory:", "none"])
def test_a_server_without_a_folder_is_ready(store: str) -> None:
    app = create_app(replace(Settings(), local_callers=True, store=store))
    answer = app.test_client().get("/health/ready")
    app.extensions["mimeo"].close()

    assert answer.get_json()["status"] == "ready"


def test_a_full_disk_is_said_though_it_can_be_read_and_images_are_served(
    client: FlaskClient, at_once: None
) -> None:
    client.get("/health/ready")

    with full_disk():
        during = client.get("/health/ready")
        card = client.get("/images/solid.png")
    after = client.get("/health/ready")

    # A 503 took the only server, or every one of a bucket, away from those it served.
    assert (during.status_code, card.status_code, after.status_code) == (200,) * 3
    assert during.get_json()["status"] == "degraded"
    assert during.get_json()["store"] == BAD
    assert (after.get_json()["status"], after.get_json()["store"]) == ("ready", "ok")


def test_strangers_are_told_that_it_is_degraded_and_not_why(
    client: FlaskClient, at_once: None
) -> None:
    client.get("/health/ready")

    with full_disk():
        told = client.get("/health/ready", headers={"Via": "1.1 proxy"})

    assert (told.status_code, told.get_json()) == (200, {"status": "degraded"})


def test_a_store_of_another_version_is_not_ready() -> None:
    # Nothing but another version mends it: a roll-out must not go on.
    class Foreign(NoStore):
        def put(self, key: str, data: bytes | Iterator[bytes]) -> None:
            raise WrongFormat("s3://bucket has format 2")

    app = Flask(__name__)
    catalogue = Catalogue(Settings())
    app.register_blueprint(health.blueprint(catalogue, Foreign(), dict))
    answer = app.test_client().get("/health/ready")

    assert (answer.status_code, answer.get_json()["status"]) == (503, "unready")
    assert "another version" in answer.get_json()["store"]
    assert answer.headers["Retry-After"]


def test_a_degraded_server_tells_the_log_and_not_the_world_where_its_store_is(
    client: FlaskClient, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.rmtree(tmp_path / "swordfish")
    (tmp_path / "swordfish").write_text("in the way")

    answer = client.get("/health/ready")

    assert answer.get_json()["store"] == BAD
    assert "swordfish" in caplog.text
    assert "swordfish" not in answer.text


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts")
def test_a_disk_that_turns_read_only_is_served_without_and_said(
    tmp_path: Path,
) -> None:
    place = tmp_path / "disk"
    place.mkdir()
    with mounted(place), serve(settings={"MIMEO_STORE": str(place)}) as server:
        before = server.ask("/health/ready")
        remount(place, "ro")
        during = wait_for(server, "degraded")
        os.kill(min(server.workers()), signal.SIGKILL)
        log = wait_for_log(server, str(place))
        card = server.ask("/images/card.png?title=served")
        live = server.ask("/health/live")
        remount(place, "rw")
        after = wait_for(server, "ready")

    told = json.loads(during.body)
    assert (before.status, live.status, card.status) == (200, 200, 200)
    assert (during.status, told["store"]) == (200, BAD)
    assert json.loads(after.body)["store"] == "ok"
    # Whoever starts in place of the killed one starts all the same.
    assert f"cannot write to {place}" in log


def remount(place: Path, mode: str) -> None:
    """Change the mode of a disk, which is busy while a file is open for writing."""
    for _ in range(100):
        done = subprocess.run(["mount", "-o", f"remount,{mode}", place])
        if done.returncode == 0:
            return
        time.sleep(0.1)
    raise AssertionError(f"the disk stays as it is, not {mode}")


@contextmanager
def mounted(place: Path) -> Iterator[None]:
    """Mount a disk of its own on a folder."""
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "mimeo-test", place],
        capture_output=True,
    )
    if made.returncode:
        pytest.skip("nothing can be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", place], check=True)


def wait_for(server: Server, status: str) -> Reply:
    """Ask until the server's state shows, of whichever worker."""
    end = time.monotonic() + 60
    while json.loads((reply := server.ask("/health/ready")).body)["status"] != status:
        assert time.monotonic() < end
        time.sleep(0.1)
    return reply


def wait_for_log(server: Server, place: str) -> str:
    """Return the log, once a worker has begun that finds the disk as it is."""
    end = time.monotonic() + 60
    while f"cannot write to {place}" not in (log := server.log.read_text()):
        assert time.monotonic() < end, log
        time.sleep(0.1)
    return log


class Disk(NoStore):
    """A store that counts what is written, and may be full or slow."""

    def __init__(self) -> None:
        self.written = 0
        self.full = False
        self.begun, self.go = threading.Event(), threading.Event()
        self.go.set()

    def put(self, key: str, data: bytes | Iterator[bytes]) -> None:
        self.written += 1
        self.begun.set()
        assert self.go.wait(20)
        if self.full:
            raise StoreError("no space left")


def test_the_store_is_written_to_every_few_seconds_however_often_one_asks() -> None:
    disk, now_s = Disk(), [100.0]
    probe = StoreProbe(disk, lambda: now_s[0])

    for _ in range(100):
        assert probe.state() == "ok"
    assert disk.written == 1
    disk.full = True
    now_s[0] += health._PROBED_S
    assert [probe.state() for _ in range(100)] == [BAD] * 100
    assert disk.written == 2
    disk.full = False
    now_s[0] += health._FAILED_S

    assert probe.state() == "ok"
    assert disk.written == 3


BAD = "cannot be used; the server's log says why"


def test_nobody_waits_for_the_look_of_another() -> None:
    disk, now_s = Disk(), [100.0]
    probe = StoreProbe(disk, lambda: now_s[0])
    probe.state()
    disk.begun.clear()
    disk.go.clear()
    disk.full = True
    now_s[0] += health._PROBED_S

    with ThreadPoolExecutor(1) as pool:
        looking = pool.submit(probe.state)
        assert disk.begun.wait(20)
        meanwhile = [probe.state() for _ in range(9)]
        disk.go.set()

        assert meanwhile == ["ok"] * 9
        assert looking.result(20) == BAD
    assert disk.written == 2


def test_asking_again_and_again_fills_no_store(
    client: FlaskClient, tmp_path: Path
) -> None:
    for _ in range(5):
        client.get("/health/ready")

    media = (tmp_path / "swordfish" / "media").rglob("*")
    assert sum(path.stat().st_size for path in media if path.is_file()) <= 4096


def test_a_full_disk_costs_no_image(client: FlaskClient, tmp_path: Path) -> None:
    with full_disk():
        answers = [client.get(f"/images/solid.png?width={8 + n}") for n in range(9)]

    assert [answer.status_code for answer in answers] == [200] * 9
    files = [path for path in (tmp_path / "swordfish").glob("*/**/*") if path.is_file()]
    assert {path.parent.name for path in files} <= {"locks"}
