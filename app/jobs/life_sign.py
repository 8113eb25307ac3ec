"""The sign of life of a worker: a file that is touched while drawing goes on.

A worker has no port that could be asked, and an answer to a ping says nothing of its
threads. Whoever supervises it looks how old the file is.
"""

import logging
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Lock

_LOG = logging.getLogger("mimeo.jobs")
# The name is in deploy/: its age says what a health check would.
SIGN = "mimeo-worker"
# The file is touched as often at most.
_TOUCH_S = 10.0
# Between two images of a chunk, a service's too, no thread is silent for so long.
_HUNG_S = 600.0


class LifeSign:
    """Touches a file unless a thread that draws is stuck; shared by threads."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or Path(tempfile.gettempdir(), SIGN)
        self._guard = Lock()
        self._drawing: set[_LookedAt] = set()
        self._touched_s = float("-inf")

    @contextmanager
    def drawing(self, stopping: Event) -> Iterator[Event]:
        """Yield an event in the place of `stopping`, for who looks between images."""
        watched = _LookedAt(stopping, self)
        with self._guard:
            self._drawing.add(watched)
        try:
            yield watched
        finally:
            with self._guard:
                self._drawing.discard(watched)

    def show(self) -> None:
        """Touch the file, unless somebody has not looked for ten minutes."""
        now_s = time.monotonic()
        with self._guard:
            if any(now_s - each.looked_s > _HUNG_S for each in self._drawing):
                return
            if now_s < self._touched_s + _TOUCH_S:
                return
            self._touched_s = now_s
        try:
            self.path.touch()
        except OSError as error:
            _LOG.warning("jobs: the sign of life cannot be written: %s", error)

    def end(self) -> None:
        """Take the file away."""
        with suppress(FileNotFoundError):
            self.path.unlink()


class _LookedAt(Event):
    """An event that is set with another, and knows when somebody last looked."""

    def __init__(self, other: Event, sign: LifeSign) -> None:
        super().__init__()
        self._other = other
        self._sign = sign
        self.looked_s = time.monotonic()

    def is_set(self) -> bool:
        self._look()
        return self._other.is_set()

    def wait(self, timeout: float | None = None) -> bool:
        self._look()
        return self._other.wait(timeout)

    def _look(self) -> None:
        self.looked_s = time.monotonic()
        self._sign.show()
