"""Turns to draw: so many at a time, so many waiting, and nobody for too long."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import inf

from app.errors import with_fields
from app.renderer.errors import RendererError
from app.store import Pauses

# How soon somebody patient notices that nobody wants the picture any more.
_GLANCE_S = 0.5
# Between two tries to lock what another process holds.
POLL_S = 0.005


@with_fields
class Busy(RendererError):
    """No turn came, or too many wait for one already; try again in `retry_s`."""

    transient = True
    retry_s: int

    def __str__(self) -> str:
        return f"Too many pictures are being drawn; try again in {self.retry_s} s."


class Cancelled(Exception):
    """Whoever waited patiently was told to wait no longer."""


@dataclass(frozen=True, slots=True)
class WaitPolicy:
    """How long somebody waits: until `deadline` (monotonic), or until `cancelled`.

    Without a deadline one is patient: lets the others go first, and takes no thread
    that serves single images.
    """

    deadline: float = inf
    cancelled: threading.Event = field(default_factory=threading.Event)

    @property
    def unbounded(self) -> bool:
        """Whether there is no deadline."""
        return self.deadline == inf

    def span(self) -> float:
        """Return the seconds to wait before looking again; raise Cancelled."""
        if self.cancelled.is_set():
            raise Cancelled
        return min(_GLANCE_S, self.left())

    def left(self) -> float:
        """Return the seconds that are left, 0 at least."""
        return max(0.0, self.deadline - time.monotonic())


class AdmissionQueue:
    """Admits `slots` at a time and lets at most `most_waiting` others wait.

    Whoever waits holds a thread of the server, so there must be an end to it: the
    rest are turned away at once, and threads remain for what needs no drawing. The
    patient have threads of their own; they are admitted when nobody else waits.
    """

    def __init__(self, slots: int, most_waiting: int, timeout_s: float) -> None:
        self._free = slots
        self._most_waiting = most_waiting
        self._timeout_s = timeout_s
        self._guard = threading.Lock()
        self._next = threading.Condition(self._guard)
        self._spare = threading.Condition(self._guard)
        self._queued = 0
        self._waiting = 0

    def patience(self) -> WaitPolicy:
        """Return how long a single image waits from now on."""
        return WaitPolicy(time.monotonic() + self._timeout_s)

    @contextmanager
    def admit(self, patience: WaitPolicy, promoted: threading.Event) -> Iterator[None]:
        """Hold a slot while the body runs.

        Once `promoted` is set, the patient queue like everybody else. Raises Busy where
        no slot can be had, and Cancelled.
        """
        if patience.unbounded:
            self._acquire_patiently(patience, promoted)
        else:
            self._acquire(patience)
        try:
            yield
        finally:
            with self._guard:
                self._free += 1
                self._call()

    @contextmanager
    def wait(self, patience: WaitPolicy) -> Iterator[None]:
        """Count among those who wait while the body runs; raise Busy if too many do.

        The patient do not count.
        """
        if patience.unbounded:
            yield
            return
        with self._guard:
            # At once and not after the wait: proxies try another server on a 503.
            if self._waiting >= self._most_waiting:
                raise self.busy()
            self._waiting += 1
        try:
            yield
        finally:
            with self._guard:
                self._waiting -= 1

    def pauses(self, patience: WaitPolicy) -> Pauses:
        """Yield the seconds between two looks whether another process is done.

        Raises Busy where too many wait, or when the patience is at its end, and
        Cancelled.
        """
        with self.wait(patience):
            while patience.left():
                yield min(POLL_S, patience.span())
        raise self.busy()

    def promote(self, event: threading.Event) -> None:
        """Set the event that promotes somebody patient, and let them look at once."""
        with self._guard:
            event.set()
            self._spare.notify_all()

    def busy(self) -> Busy:
        """Return the error for whoever has waited long enough."""
        return Busy(max(1, round(self._timeout_s)))

    def _acquire(self, patience: WaitPolicy) -> None:
        with self._guard:
            if self._free:
                self._free -= 1
                return
        with self.wait(patience), self._guard:
            if not self._queue(patience.left()):
                raise self.busy()

    def _acquire_patiently(
        self, patience: WaitPolicy, promoted: threading.Event
    ) -> None:
        with self._guard:
            try:
                while not self._try_patiently(patience.span(), promoted):
                    pass
            finally:
                # Whoever gives up may have been called in place of another.
                self._call()

    def _try_patiently(self, span_s: float, promoted: threading.Event) -> bool:
        if promoted.is_set():
            return self._queue(span_s)
        if self._free and not self._queued:
            self._free -= 1
            return True
        self._spare.wait(span_s)
        return False

    def _queue(self, timeout_s: float) -> bool:
        """Take a slot before the patient; say whether there was one in time."""
        self._queued += 1
        gained = self._next.wait_for(lambda: self._free > 0, timeout_s)
        self._queued -= 1
        self._free -= gained
        self._call()
        return gained

    def _call(self) -> None:
        """Wake who is next, where a slot is free."""
        if self._free:
            (self._next if self._queued else self._spare).notify()
