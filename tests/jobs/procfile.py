"""The lines of the Procfile as a hosting platform starts them."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from socket import create_server

import requests

from tests.gunicorn_server import ROOT
from tests.jobs.workers import READY, WorkerProcess
from tests.waiting import wait_until

_START_S = 120
_STOP_S = 60


def lines() -> dict[str, str]:
    """Return the commands by the names of their processes."""
    rows = (ROOT / "Procfile").read_text().splitlines()
    return dict(row.split(": ", 1) for row in rows)


class Platform:
    """Starts processes with the given environment, a `PORT`, and no more."""

    def __init__(self, folder: Path, given: Mapping[str, str]) -> None:
        self._folder = folder
        self._given = given
        self.processes: list[subprocess.Popen[bytes]] = []

    def web(self) -> str:
        """Start a server, and return its URL."""
        with create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        url = f"http://127.0.0.1:{port}"
        started = self._start("web", PORT=str(port))

        def answers() -> bool:
            assert started.process.poll() is None, started.said()
            try:
                return requests.get(f"{url}/health/ready", timeout=60).ok
            except requests.ConnectionError:
                return False

        wait_until(answers, _START_S)
        return url

    def worker(self) -> WorkerProcess:
        """Start a worker, and return it when it draws."""
        started = self._start("worker", PORT="5000")
        wait_until(lambda: READY in started.said(), _START_S)
        return started

    def _start(self, name: str, **more: str) -> WorkerProcess:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        given = {"PATH": path, "HOME": str(self._folder), **self._given, **more}
        log = self._folder / f"{name}-{len(self.processes)}.log"
        with log.open("wb") as file:
            process = subprocess.Popen(
                # Signals go to every process, as those of platforms do.
                ["bash", "-c", lines()[name]],
                cwd=ROOT,
                env=given,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )
        self.processes.append(process)
        return WorkerProcess(process, log, group=True)


@contextmanager
def running(folder: Path, given: Mapping[str, str]) -> Iterator[Platform]:
    """Yield what starts processes, and end them all."""
    platform = Platform(folder, given)
    try:
        yield platform
    finally:
        for process in platform.processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(_STOP_S)
