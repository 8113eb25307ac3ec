"""The local engine: a thread of each worker draws chunks when no single image waits.

Any engine has three calls, `enqueue`, `stopping` and `health`; what is true of a job it
finds in the ledger. So an engine that was killed loses nothing but time: the next
look of any worker finds the chunks that have no result.
"""

import logging
from collections.abc import Mapping
from threading import Event, Lock, Thread

from app.jobs.job_ledger import JobLedger
from app.jobs.turns import JobTurns
from app.store import StoreError

_LOG = logging.getLogger("mimeo.jobs")
# Between two looks for what other workers got, or left.
_LOOK_S = 5.0
# The same of a bucket, which counts requests, while no job is open.
_IDLE_S = 30.0
# A chunk is left between two images.
_CLOSE_S = 10.0


class LocalEngine:
    """Draws the chunks of open jobs in turns, one chunk of this process at a time.

    A `sparing` one looks more rarely while no job is open.
    """

    def __init__(
        self, ledger: JobLedger, turns: JobTurns, *, sparing: bool = False
    ) -> None:
        self._ledger = ledger
        self._sparing = sparing
        self._turns = turns
        self._stopping = Event()
        self._wake = Event()
        self._guard = Lock()
        self._thread: Thread | None = None
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
            busy, pause_s = False, _LOOK_S
            try:
                busy = self._look()
                if self._sparing and not self._turns.has_open:
                    pause_s = _IDLE_S
            except StoreError as error:
                if not error.known:
                    _LOG.warning("jobs: %s", error)
            except Exception:
                # Of one chunk: the attempt is not clean, and so counted.
                _LOG.exception("a chunk of a job could not be drawn")
            if not busy:
                self._wake.wait(pause_s)

    def _look(self) -> bool:
        """Draw one chunk; return whether there was one."""
        drawn = self._turns.draw(self._stopping)
        self._drawn += drawn
        return drawn
