"""Whose chunk is next: callers take turns, and so do the jobs of one caller.

Whatever runs an engine looks here, and so does by the way what nobody else would:
deletes what is kept no longer, writes ends down, and has receivers told.
"""

import logging
import random
import time
from collections.abc import Callable
from threading import Event, Lock

from app.jobs.chunk_drawing import ChunkDrawing
from app.jobs.errors import JobError
from app.jobs.job import Job
from app.jobs.job_ledger import JobLedger

_LOG = logging.getLogger("mimeo.jobs")
# Of a job that many draw, each tries some of so many first chunks, then some of the
# rest, by lot: each that another holds is a request to a bucket.
_AHEAD, _TRIED, _NEXT = 16, 8, 2
# So long a look at what a job lacks serves a worker, where it lacks more than _AHEAD
# chunks; of fewer it may be out of date in a moment.
_LOOK_S, _MOMENT_S = 1.0, 0.1


class JobTurns:
    """Finds the next chunk and draws it; may be used by several threads.

    `tell` is called with every job that has ended, again and again. The list of jobs
    is read anew after `fresh_s` seconds, and where it holds no chunk that is free; what
    one of them lacks, after no more than those, or a second.
    With `lots` chunks are drawn about in order, and not all are tried at a look.
    """

    def __init__(
        self,
        ledger: JobLedger,
        drawing: ChunkDrawing,
        tell: Callable[[Job], None] = lambda _: None,
        *,
        fresh_s: float = 0.0,
        lots: bool = False,
    ) -> None:
        self._ledger = ledger
        self._drawing = drawing
        self._tell = tell
        self._fresh_s = fresh_s
        self._lots = lots
        # Whether there is work that only another version can do.
        self.others = False
        self._guard = Lock()
        self._open: list[Job] = []
        self._read_s = float("-inf")
        self._count = 0
        # In which order callers and jobs had their last turns.
        self._served: dict[str, int] = {}
        # What each job lacked when this process last looked.
        self._looked: dict[str, tuple[float, list[int]]] = {}
        # Of each job the chunk that this process drew last, and all that it tried.
        self._drawn: dict[str, int] = {}
        self._tried: dict[str, set[int]] = {}

    def draw(self, stopping: Event, begun: Callable[[], None] = lambda: None) -> bool:
        """Draw one chunk; return whether there was one that is free.

        `begun` is called when nobody else can have it any more. Raises StoreError.
        """
        before = self._open
        known = self.open_jobs()
        if self._draw(known, stopping, begun):
            return True
        # Where it was read before this look there may be others by now.
        return known is before and self._draw(
            self.open_jobs(anew=True), stopping, begun
        )

    @property
    def has_open(self) -> bool:
        """Whether there were jobs at the last look that had not ended."""
        return bool(self._open)

    def open_jobs(self, *, anew: bool = False) -> list[Job]:
        """Return the jobs that have not ended; see to those that have."""
        with self._guard:
            now_s = time.monotonic()
            if not anew and now_s < self._read_s + self._fresh_s:
                return self._open
            self._read_s = now_s
        found, over = [], set()
        for job in self._ledger.jobs():
            if self._ledger.end(job.id) is None:
                found.append(job)
            elif self._ledger.is_over(job.id):
                over.add(job.id)
            else:
                self._tell(job)
        # What a retry takes over is kept until that has ended.
        if over:
            over.difference_update(*map(self._ledger.goes_on_from, found))
        for id in over:
            self._ledger.delete(id)
        with self._guard:
            self._open = found
            kept = {name for job in found for name in (job.id, job.account)}
            self._looked = {n: at for n, at in self._looked.items() if n in kept}
            self._drawn = {n: at for n, at in self._drawn.items() if n in kept}
            self._tried = {n: at for n, at in self._tried.items() if n in kept}
            self._served = {n: at for n, at in self._served.items() if n in kept}
        return found

    def _draw(
        self, jobs: list[Job], stopping: Event, begun: Callable[[], None]
    ) -> bool:
        self.others = False
        for job in sorted(jobs, key=self._turn):
            # Before: whatever becomes of this one, others are next.
            self._take_turn(job)
            try:
                # What was seen some time ago is not all there is.
                for look in (self._known, self._look):
                    if self._draw_one(job, look(job), stopping, begun):
                        return True
            except JobError as error:
                # A disk has spoilt its entries: the others go on.
                _LOG.warning("job %s: %s", job.id[:12], error)
        return False

    def _draw_one(
        self,
        job: Job,
        chunks: list[int],
        stopping: Event,
        begun: Callable[[], None],
    ) -> bool:
        """Draw one of the chunks that are to be had; return whether one was."""
        if chunks and not self._drawing.is_ours(job):
            self.others = True
            return False
        last = self._drawn.get(job.id, -_NEXT - 1)
        tried = self._tried.setdefault(job.id, set())
        # What another had, or was left, is tried where there is nothing else.
        some = _by_lot(chunks, last) if self._lots else chunks
        for chunk in sorted(some, key=tried.__contains__):
            tried.add(chunk)
            if self._drawing.draw(job, chunk, stopping, begun):
                self._drawn[job.id] = chunk
                if len(chunks) <= _AHEAD:
                    # It may have been the last.
                    self._look(job)
                return True
        return False

    def _known(self, job: Job) -> list[int]:
        """Return what a job lacked at a look that still counts, but for what was tried.

        Nothing where there was no such look.
        """
        looked_s, found = self._looked.get(job.id, (0.0, []))
        tried = self._tried.get(job.id, ())
        chunks = [chunk for chunk in found if chunk not in tried]
        shared_s = min(self._fresh_s, _LOOK_S)
        lasts_s = shared_s if len(chunks) > _AHEAD else _MOMENT_S
        return chunks if time.monotonic() < looked_s + lasts_s else []

    def _look(self, job: Job) -> list[int]:
        """Return what a job lacks; have its end told, if it has come to that."""
        chunks = self._drawing.missing(job)
        self._looked[job.id] = time.monotonic(), chunks
        if not chunks and self._ledger.end(job.id) is not None:
            self._tell(job)
        return chunks

    def _turn(self, job: Job) -> tuple[int, int, float]:
        served = self._served
        return served.get(job.account, 0), served.get(job.id, 0), job.created

    def _take_turn(self, job: Job) -> None:
        with self._guard:
            self._count += 1
            self._served[job.account] = self._served[job.id] = self._count


def _by_lot(chunks: list[int], last: int) -> list[int]:
    """Return which chunks to try: of the first those behind the `last` one before.

    So each process goes along a row of its own, and reads its rows once.
    """
    first, rest = chunks[:_AHEAD], chunks[_AHEAD:]
    tried = [
        chunk
        for each in (first, rest)
        for chunk in random.sample(each, min(len(each), _TRIED))
    ]
    return [chunk for chunk in first if last < chunk <= last + _NEXT] + tried
