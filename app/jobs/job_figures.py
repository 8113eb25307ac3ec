"""How the open jobs of a store stand, in numbers: whoever asks is told the same.

A look lists the entries of each open job. It is written down beside them, so that all
servers of a store together look once in some seconds, and know since when a job has not
changed.
"""

import logging
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from threading import Lock, Thread
from typing import Any

import orjson

from app.jobs.job import Job
from app.jobs.job_ledger import JobLedger
from app.store import Store, StoreError, checked, key_for, unchecked

_LOG = logging.getLogger("mimeo.jobs")
_KEY = key_for("figures of jobs")
# A look counts for so long, and for so many times as long as it took.
_FRESH_S, _REST = 15.0, 4
# Whoever has no workers any more is not told so for ever.
_FORGOTTEN_S = 86_400.0
# Who asks waits so long for a look, and then is told of the one before.
_PATIENCE_S = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFigures:
    """The open jobs at one moment; moments are in seconds since the epoch.

    `chunks` are those that are done, begun and waiting; `begun_again` is how often one
    was begun because whoever had it before never ended. `queued` is when the oldest was
    submitted that nobody has begun with, `changed` when the one that has stood still
    for the longest last moved, `attended` when a worker elsewhere last said that it
    draws. `marks` are of each: its entries, when there were fewer, and the rows that
    are done.
    """

    at: float
    took_s: float
    states: Mapping[str, int]
    chunks: Mapping[str, int]
    begun_again: int
    rows_left: int
    rows_per_s: float
    queued: float | None
    changed: float | None
    attended: float | None
    marks: Mapping[str, tuple[int, float, int]]

    def is_fresh(self, now: float) -> bool:
        """Tell whether another look would be too early."""
        return 0 <= now - self.at < max(_FRESH_S, _REST * self.took_s)

    def gauges(self, now: float) -> Mapping[str, Mapping[str, float]]:
        """Return the values of each gauge of app.observability.metrics, by label."""

        def since(moment: float | None) -> Mapping[str, float]:
            return {"": 0.0 if moment is None else max(0.0, now - moment)}

        forgotten = self.attended is None or now > self.attended + _FORGOTTEN_S
        return {
            "jobs_worker_seen_seconds": {} if forgotten else since(self.attended),
            "jobs": {name: float(count) for name, count in self.states.items()},
            "jobs_chunks": {name: float(count) for name, count in self.chunks.items()},
            "jobs_begun_again": {"": float(self.begun_again)},
            "jobs_rows_left": {"": float(self.rows_left)},
            "jobs_rows_per_second": {"": self.rows_per_s},
            "jobs_oldest_queued_seconds": since(self.queued),
            "jobs_stalled_seconds": since(self.changed),
            "jobs_seen_seconds": since(self.at),
        }


class JobSurvey:
    """Looks at the jobs in a thread of its own, so that no slow store is waited for.

    `store` is the room of the ledger.
    """

    def __init__(self, ledger: JobLedger, store: Store) -> None:
        self._ledger = ledger
        self._store = store
        self._guard = Lock()
        self._thread: Thread | None = None
        self._last: JobFigures | None = None

    def gauges(self) -> Mapping[str, Mapping[str, float]]:
        """Return what was seen last; nothing where no jobs are kept, or none seen."""
        if not self._ledger.keeps:
            return {}
        if self._last is None or not self._last.is_fresh(time.time()):
            with self._guard:
                if self._thread is None or not self._thread.is_alive():
                    self._thread = Thread(
                        target=self._look, name="mimeo-job-figures", daemon=True
                    )
                    self._thread.start()
                thread = self._thread
            thread.join(_PATIENCE_S)
        last = self._last
        return {} if last is None else last.gauges(time.time())

    def _look(self) -> None:
        try:
            found = self._read()
            if found is None or not found.is_fresh(time.time()):
                found = self._survey(found)
                self._store.put(_KEY, checked(orjson.dumps(found)))
            self._last = found
        except StoreError as error:
            # The age of the figures says so too.
            if not error.known:
                _LOG.warning("figures of jobs: %s", error)

    def _read(self) -> JobFigures | None:
        block = self._store.get(_KEY)
        try:
            return None if block is None else _decoded(orjson.loads(unchecked(block)))
        except (ValueError, TypeError) as error:
            # A fault of the disk, or of another version: a new look does without.
            _LOG.warning("figures of jobs: %s", error)
            return None

    def _survey(self, before: JobFigures | None) -> JobFigures:
        began, marks = time.time(), {} if before is None else before.marks
        states = dict.fromkeys(("queued", "running", "cancelling"), 0)
        chunks = Counter(done=0, begun=0, waiting=0)
        begun_again = rows_left = drawn = 0
        queued: list[float] = []
        changed: list[float] = []
        found: dict[str, tuple[int, float, int]] = {}
        for job in self._ledger.jobs():
            end = self._ledger.end(job.id)
            known = marks.get(job.id)
            if end is not None:
                if before is not None and end.at > before.at:
                    drawn += end.done + end.failed - (known[2] if known else 0)
                continue
            entries = _Entries.of(job, self._store.below(job.id))
            if not entries.count:
                # It was purged meanwhile.
                continue
            states[entries.state] += 1
            chunks += Counter(entries.chunks)
            begun_again += entries.begun_again
            rows_left += job.count - entries.rows
            drawn += entries.rows - (known[2] if known else 0)
            since = known[1] if known and known[0] == entries.count else began
            found[job.id] = entries.count, since, entries.rows
            if entries.state != "queued":
                changed.append(since)
            elif entries.is_whole:
                queued.append(job.created)
        ended = time.time()
        over_s = began - before.at if before is not None else 0.0
        return JobFigures(
            at=began,
            took_s=max(0.0, ended - began),
            states=states,
            chunks={name: chunks[name] for name in ("done", "begun", "waiting")},
            begun_again=begun_again,
            rows_left=rows_left,
            rows_per_s=max(0, drawn) / over_s if over_s > 0 else 0.0,
            queued=min(queued, default=None),
            changed=min(changed, default=None),
            attended=self._ledger.attended(),
            marks=found,
        )


@dataclass(frozen=True, slots=True)
class _Entries:
    """What the names of an open job's entries say; `is_whole` is that of its rows."""

    count: int
    state: str
    is_whole: bool
    chunks: Mapping[str, int]
    begun_again: int
    rows: int

    @classmethod
    def of(cls, job: Job, listed: Iterable[tuple[str, int]]) -> "_Entries":
        names = [key.partition("/")[2] for key, _ in listed]
        done: set[int] = set()
        attempts: Counter[int] = Counter()
        left: Counter[int] = Counter()
        for name in names:
            kind, *rest = name.split("/")
            if kind == "chunks":
                done.add(int(rest[0]))
            elif kind == "attempts":
                ended = not rest[1].isdigit()
                (left if ended else attempts)[int(rest[0])] += 1
        begun = attempts.keys() - done
        rows = sum(last - first + 1 for first, last in map(job.rows, done))
        state = "running" if "started" in names or attempts else "queued"
        return cls(
            count=len(names),
            state="cancelling" if "cancelled" in names else state,
            is_whole="rows" in names,
            chunks={
                "done": len(done),
                "begun": len(begun),
                "waiting": job.chunks - len(done) - len(begun),
            },
            begun_again=sum(
                max(0, attempts[chunk] - left[chunk] - 1) for chunk in attempts
            ),
            rows=rows,
        )


def _decoded(values: Any) -> JobFigures:
    marks = {id: tuple(mark) for id, mark in values.pop("marks").items()}
    return JobFigures(**values, marks=marks)
