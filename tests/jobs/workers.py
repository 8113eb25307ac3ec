"""Worker processes as the Procfile starts them, and what they say."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.gunicorn_server import DEFAULTS, ROOT
from tests.waiting import wait_until

COMMAND = (sys.executable, "-m", "app.cli.start", "worker")
READY = "mimeo worker: draws jobs"
_START_S = 120
_STOP_S = 60


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """Return an environment without the settings of whoever runs the tests."""
    foreign = ("MIMEO_", "REDIS_URL", "PORT", "HOST", "PROMETHEUS_")
    kept = {n: v for n, v in os.environ.items() if not n.startswith(foreign)}
    return {**kept, **DEFAULTS, **settings}


@dataclass(frozen=True)
class WorkerProcess:
    """A worker, and the file in which it says what it does."""

    process: subprocess.Popen[bytes]
    log: Path
    # Whether it leads a group that all signals go to.
    group: bool = False

    def said(self) -> str:
        return self.log.read_text()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(_STOP_S)

    def stop(self) -> int:
        """Ask it to stop, and return its exit status."""
        if self.process.poll() is None:
            send = os.killpg if self.group else os.kill
            send(self.process.pid, signal.SIGTERM)
        return self.process.wait(_STOP_S)


@contextmanager
def working(folder: Path, settings: Mapping[str, str]) -> Iterator[WorkerProcess]:
    """Start a worker, and yield it when it draws."""
    number = len(list(folder.glob("worker-*.log")))
    path = folder / f"worker-{number}.log"
    with path.open("wb") as log:
        process = subprocess.Popen(
            COMMAND, cwd=ROOT, env=environment(settings), stdout=log, stderr=log
        )
    worker = WorkerProcess(process, path)
    try:
        wait_until(
            lambda: READY in worker.said() or process.poll() is not None, _START_S
        )
        assert process.poll() is None, worker.said()
        yield worker
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(_STOP_S)
