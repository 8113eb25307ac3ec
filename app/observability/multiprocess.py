"""Figures of several processes: each keeps its own in files, and all are read as one.

What dead workers counted must stay, or counters would fall. prometheus_client leaves
their files where they are, two for each worker that ever was, and reads them all at
each scrape (its issue 568); here they are folded into one.
"""

import fcntl
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.mmap_dict import MmapedDict, mmap_key
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

# A counter of the master's, which has no figures of its own: workers show its 0.
ENDED = ("workers_ended", "Workers that ended: replaced by a reload, or killed.")
# Gauges have no place here: what a worker had in hand ends with it.
_KINDS = ("counter", "histogram")
_TRIES, _PAUSE_S = 100, 0.01


def exposition(folder: Path) -> bytes:
    """Return the figures of all processes that keep theirs in a folder."""
    # Made for each answer: it reads the files of all workers, those that ended too.
    registry = CollectorRegistry()
    with _locked(folder, patient=True):
        MultiProcessCollector(registry, str(folder))  # type: ignore[no-untyped-call]
        return generate_latest(registry)


def bury(folder: Path, pid: int) -> None:
    """Take back what a dead worker had in hand, and add what it counted to the rest.

    Called by whoever reaped it: until then no other process can have its id.
    """
    mark_process_dead(pid, str(folder))  # type: ignore[no-untyped-call]
    # Whoever read between the two steps would count twice, or not at all.
    with _locked(folder) as locked:
        # The files are read as they are, too, only more slowly.
        if locked:
            for kind in _KINDS:
                _fold(folder / f"{kind}_{pid}.db", folder / f"{kind}_dead.db")
            name = f"mimeo_{ENDED[0]}"
            key = mmap_key(name, f"{name}_total", [], [], ENDED[1])
            _add([(key, 1.0)], folder / "counter_dead.db")


def _fold(file: Path, into: Path) -> None:
    if not file.exists():
        return
    # All of it first: what is damaged is added in no part.
    read = MmapedDict.read_all_values_from_file(str(file))  # type: ignore[no-untyped-call]
    rows = [(key, value) for key, value, *_ in read]
    _add(rows, into)
    file.unlink()


def _add(rows: Iterable[tuple[str, float]], into: Path) -> None:
    total = MmapedDict(str(into))  # type: ignore[no-untyped-call]
    for key, value in rows:
        value += total.read_value(key)[0]  # type: ignore[no-untyped-call]
        total.write_value(key, value, 0.0)  # type: ignore[no-untyped-call]
    total.close()  # type: ignore[no-untyped-call]


@contextmanager
def _locked(folder: Path, *, patient: bool = False) -> Iterator[bool]:
    """Hold a folder while the body runs; say whether it is held.

    The patient wait for it, others for a second: the master, which buries, has workers
    to watch, and one of them may hang in the body.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        if patient:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield True
            return
        for _ in range(_TRIES):
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(_PAUSE_S)
            else:
                yield True
                return
        yield False
    finally:
        os.close(descriptor)
