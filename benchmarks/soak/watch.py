"""What the processes hold, and how soon they say that they live, while it goes on."""

import os
import threading
import time
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from typing import NamedTuple

from benchmarks.soak.clients import Client, Record
from benchmarks.soak.kinds import Request
from benchmarks.soak.stack import Stack

_HEALTH = Request("health", "/health/live")


class Sample(NamedTuple):
    """All processes of the server at one moment: how many, MiB of PSS, open files.

    A page that several share counts in parts (`Pss` of proc_pid_smaps_rollup(5)).
    """

    time: float
    processes: int
    pss_mib: float
    files: int


def sample(master: int) -> Sample:
    """Look at a master and all that descends from it."""
    pids = _tree(master)
    # A process may end while it is looked at.
    pss, files, count = 0, 0, 0
    for pid in pids:
        with suppress(OSError):
            pss += _pss_kib(pid)
            files += len(os.listdir(f"/proc/{pid}/fd"))
            count += 1
    return Sample(time.time(), count, pss / 1024, files)


def _pss_kib(pid: int) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    return 0


def _tree(master: int) -> list[int]:
    parents: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
            parents.setdefault(parent, []).append(int(stat.parent.name))
    found, waiting = [], [master]
    while waiting:
        pid = waiting.pop()
        found.append(pid)
        waiting += parents.get(pid, ())
    return found


class Watch:
    """Samples the processes, and asks nginx for `/health/live`, until it is told."""

    def __init__(self, stack: Stack, every_s: float = 2.0) -> None:
        self.samples: list[Sample] = []
        self.health: list[Record] = []
        self._stack = stack
        self._every_s = every_s
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=run) for run in (self._sample, self._ask)
        ]

    def __enter__(self) -> "Watch":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _sample(self) -> None:
        while not self._stop.is_set():
            self.samples.append(sample(self._stack.backend.pid))
            self._stop.wait(self._every_s)

    def _ask(self) -> None:
        client = Client(self._stack.front, "127.0.0.100", keep=True)
        while not self._stop.is_set():
            began = time.time()
            try:
                answer, _ = client.ask(_HEALTH)
            except (OSError, HTTPException) as error:
                client.close()
                told = Record(began, time.time(), "health", 0, "broken", repr(error))
            else:
                status = answer.status
                away = "away" if status in (502, 504) else "wrong"
                outcome = "served" if status == 200 else away
                told = Record(began, time.time(), "health", status, outcome)
            self.health.append(told)
            self._stop.wait(0.1)
        client.close()
