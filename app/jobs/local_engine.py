"""The local engine: a thread of each worker draws chunks when no single image waits.

Any engine has three calls, `enqueue`, `stopping` and `health`; what is true of a job it
finds in the ledger. So an engine that was killed loses nothing but time: the next
look of any worker finds the chunks that have no result.
"""

import logging
from collections.abc import Callable, Mapping
from threading import Event, Lock, Thread

from app.jobs.chunk_drawing import ChunkDrawing
from app.jobs.job import Job
from app.jobs.job_ledger import JobLedger
from app.store import StoreError

_LOG = logging.getLogger("mimeo.jobs")
# Between two looks for what other workers got, or left.
_LOOK_S = 5.0
# A chunk is left between two images.
_CLOSE_S = 10.0


class LocalEngine:
    """Draws the chunks of open jobs in turns, one chunk of this process at a time.

    `tell` is called with every job that has ended, again and again.
    """

    def __init__(
        self,
        ledger: JobLedger,
        drawing: ChunkDrawing,
        tell: Callable[[Job], None] = lambda _: None,
    ) -> None:
        self._ledger = ledger
        self._drawing = drawing
        self._tell = tell
        self._stopping = Event()
        self._wake = Event()
        self._guard = Lock()
        self._thread: Thread | None = None
        # The job that was looked at last: those behind it are next.
        self._last = (0.0, "")
        self._drawn = 0

    def enqueue(self, id: str) -> None:
        """Say that a job was submitted or cancelled: look now."""
        self.start()
        self._wake.set()

    def stopping(self) -> bool:
        """Tell whether chunks are to be left between two images."""
        return self._stopping.is_set()

    def health(self) -> Mapping[str, object]:
        """Say whether chunks are drawn, and how many were by this process."""
        thread = self._thread
        return {
            "alive": thread is not None and thread.is_alive(),
            "chunks": self._drawn,
        }

    def start(self) -> None:
        """Begin to look for chunks; not before the process has forked."""
        with self._guard:
            if self._thread is None and self._ledger.keeps:
                self._thread = Thread(target=self._run, name="mimeo-jobs", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """Leave the chunk that is being drawn, and end."""
        self._stopping.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(_CLOSE_S)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._wake.clear()
            busy = False
            try:
                busy = self._look()
            except StoreError as error:
                if not error.known:
                    _LOG.warning("jobs: %s", error)
            except Exception:
                # Of one chunk: the attempt is not clean, and so counted.
                _LOG.exception("a chunk of a job could not be drawn")
            if not busy:
                self._wake.wait(_LOOK_S)

    def _look(self) -> bool:
        """Draw one chunk, of the job behind the last; return whether there was one."""
        jobs, over = [], set()
        for job in self._ledger.jobs():
            if self._ledger.end(job.id) is None:
                jobs.append(job)
            elif self._ledger.is_over(job.id):
                over.add(job.id)
            else:
                self._tell(job)
        # What a retry takes over is kept until that has ended.
        for id in over - {job.retry_of for job in jobs}:
            self._ledger.delete(id)
        for job in sorted(
            jobs, key=lambda j: ((j.created, j.id) <= self._last, j.created)
        ):
            # Before: whatever becomes of this one, the next look begins behind it.
            self._last = job.created, job.id
            for chunk in self._drawing.missing(job):
                if self._drawing.draw(job, chunk, self._stopping):
                    self._drawn += 1
                    return True
            if self._ledger.end(job.id) is not None:
                self._tell(job)
        return False
