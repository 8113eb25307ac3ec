"""The server under soak: two workers behind nginx, and a store that can be broken."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests

from benchmarks.servers import ROOT, START_S, _free_port
from tests.gunicorn_server import DEFAULTS, Server
from tests.nginx_server import in_front

# Room for what is kept, and little enough that a full one is soon made.
_ROOM_BYTES = 256 << 20
_STORE = {
    "MIMEO_STORE_BYTES": str(64 << 20),
    "MIMEO_COLLECTIONS_BYTES": str(64 << 20),
    "MIMEO_RATE_ANONYMOUS": "none",
    "MIMEO_LOCAL_CALLERS": "off",
    "MIMEO_PROXIES": "1",
}
# Longer than `graceful_timeout`.
_STOP_S = 60.0


class Backend:
    """gunicorn on a port that stays the same over restarts, in a session of its own."""

    def __init__(self, store: Path, log: Path) -> None:
        self._port = _free_port()
        self._log = log
        self._environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("MIMEO_")},
            **DEFAULTS,
            **_STORE,
            "MIMEO_STORE": str(store),
            "HOST": "127.0.0.1",
            "PORT": str(self._port),
        }
        self.url = f"http://127.0.0.1:{self._port}"
        self._process = self._start()

    @property
    def pid(self) -> int:
        """The master's id."""
        return self._process.pid

    def workers(self) -> list[int]:
        """Return the ids of the workers, oldest first."""
        path = Path(f"/proc/{self.pid}/task/{self.pid}/children")
        return [int(pid) for pid in path.read_text().split()]

    def reload(self, patience_s: float = 60.0) -> None:
        """Send HUP, and wait until the workers of before are gone; or TimeoutError."""
        before = set(self.workers())
        os.kill(self.pid, signal.SIGHUP)
        end = time.monotonic() + patience_s
        while before & set(self.workers()) or not self.workers():
            if time.monotonic() > end:
                raise TimeoutError("workers of before the HUP are still there")
            time.sleep(0.02)

    def restart(self) -> int:
        """Stop with TERM, start anew; return the status with which the first ended."""
        self._process.terminate()
        status = self._process.wait(_STOP_S)
        self._process = self._start()
        return status

    def stop(self) -> int:
        """Stop with TERM; return the exit status."""
        self._process.terminate()
        try:
            return self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            os.killpg(self.pid, signal.SIGKILL)
            return self._process.wait()

    def _start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "gunicorn", "wsgi:app"]
        with self._log.open("ab") as log:
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        end = time.monotonic() + START_S
        while process.poll() is None and time.monotonic() < end:
            try:
                requests.get(f"{self.url}/health/live", timeout=5).close()
                return process
            except requests.RequestException:
                time.sleep(0.05)
        process.kill()
        raise RuntimeError(f"no start:\n{self._log.read_text()[-2000:]}")


class Room:
    """The file system of the store: root can fill it up and make it read-only."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.store = folder / "store"
        self.own = False

    def __enter__(self) -> "Room":
        command = ["mount", "-t", "tmpfs", "-o", f"size={_ROOM_BYTES}", "soak"]
        self.own = os.geteuid() == 0 and _done(*command, str(self._folder))
        self.store.mkdir()
        return self

    def __exit__(self, *_: object) -> None:
        if self.own:
            _done("umount", str(self._folder))

    @contextmanager
    def full(self) -> Iterator[None]:
        """Leave no room in the file system."""
        ballast = self._folder / "ballast"
        try:
            with ballast.open("wb", buffering=0) as file:
                _fill(file.fileno())
            yield
        finally:
            ballast.unlink()

    @contextmanager
    def read_only(self) -> Iterator[None]:
        """Let nobody write to the store; files that are open stay so."""
        store = str(self.store)
        _must("mount", "--bind", store, store)
        try:
            _must("mount", "-o", "remount,bind,ro", store)
            yield
        finally:
            # A file of it may be open or mapped for as long as an answer is sent.
            _must("umount", "--lazy", store)

    def empty(self) -> int:
        """Delete the store; return how many files it had."""
        count = sum(len(files) for _, _, files in os.walk(self.store))
        shutil.rmtree(self.store, ignore_errors=True)
        return count


def _fill(descriptor: int) -> None:
    for size in (1 << 20, 4096, 1):
        block = bytes(size)
        try:
            while os.write(descriptor, block) == size:
                pass
        except OSError:
            continue


def _done(*command: str) -> bool:
    done = subprocess.run(command, capture_output=True, check=False)
    return done.returncode == 0


def _must(*command: str) -> None:
    subprocess.run(command, capture_output=True, check=True)


@dataclass(frozen=True, slots=True)
class Stack:
    """A backend, the URL of nginx in front of it, and the place of its store."""

    backend: Backend
    front: str
    room: Room
    log: Path


@contextmanager
def running() -> Iterator[Stack]:
    """Start it all, and stop it by the ids that were started."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "log")
        place = Path(folder, "room")
        place.mkdir()
        with Room(place) as room:
            backend = Backend(room.store, log)
            try:
                server = Server(backend.url, backend.pid, log)
                with in_front(server) as front:
                    yield Stack(backend, front.url, room, log)
            finally:
                backend.stop()
