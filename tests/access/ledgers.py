"""A ledger that counts what it is asked, and a redis of a test's own."""

import shutil
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from app.access.ledger import Ledger, SqliteLedger, TolerantLedger


class CountingLedger:
    """Hands every question on, and counts them."""

    def __init__(self, ledger: Ledger) -> None:
        self.asked: Counter[str] = Counter()
        self._ledger = ledger

    def __getattr__(self, name: str) -> Any:
        self.asked[name] += 1
        return getattr(self._ledger, name)


class Clock:
    """A wall clock that stands until it is set."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


def tolerant(ledger: Any, count: Callable[[], None] = lambda: None) -> TolerantLedger:
    return TolerantLedger(ledger, count)


def in_file(folder: Path, clock: Callable[[], float] = time.time) -> SqliteLedger:
    return SqliteLedger(folder / "ledger.sqlite", clock)


@contextmanager
def redis_server(folder: Path) -> Iterator[str]:
    """Start redis on a free port, and stop it by its pid; skip where there is none."""
    program = shutil.which("redis-server")
    if program is None:
        print("skipped: redis-server is not installed", file=sys.stderr)
        pytest.skip("redis-server is not installed")
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    own = ("--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder))
    log = (folder / "redis.log").open("wb")
    process = subprocess.Popen(
        [program, *own, "--save", "", "--appendonly", "no"],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
    )
    try:
        for _ in range(500):
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert process.poll() is None, (folder / "redis.log").read_text()
                time.sleep(0.02)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.terminate()
        process.wait(20)
        log.close()
