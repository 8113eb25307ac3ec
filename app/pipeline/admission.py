"""Turns to draw: so many at a time, so many waiting, and nobody for too long."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from math import ceil, inf, log2

from app.errors import with_fields
from app.renderer.errors import RendererError
from app.store import Pauses

# How soon somebody patient notices that nobody wants the picture any more.
_GLANCE_S = 0.5
# Between two tries to lock what another process holds.
POLL_S = 0.005
# Seconds of a processor from which a drawing is dear: it keeps others waiting.
DEAR_S = 0.25
# When the request that this thread works on had arrived (monotonic): the time until
# a thread took it counts as well. None away from a server.
ARRIVED: ContextVar[float | None] = ContextVar("arrived", default=None)


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


@dataclass(frozen=True, slots=True)
class Turn:
    """What somebody wants a turn for: its expected seconds, and on whose account."""

    cost_s: float = 0.01
    account: str = ""

    @property
    def flow(self) -> tuple[str, int]:
        """Who and how dear, to the power of four: each flow has an equal share."""
        return self.account, round(log2(max(self.cost_s, 1e-4)) / 2)


class _Waiter:
    """Somebody in the queue; `admitted` is set with the slot.

    Who is `counted` holds a thread of the server.
    """

    __slots__ = ("admitted", "cost_s", "counted", "start")

    def __init__(self, start: float, cost_s: float, counted: bool) -> None:
        self.start = start
        self.cost_s = cost_s
        self.counted = counted
        self.admitted = threading.Event()

    def __lt__(self, other: "_Waiter") -> bool:
        return self.start < other.start


class AdmissionQueue:
    """Admits `slots` at a time and lets at most `most_waiting` others wait.

    At most `most_dear` of them, by default all, are expected to take over `DEAR_S`.

    Whoever waits holds a thread of the server, so there must be an end to it: the
    rest are turned away at once, and so is who would not have a turn in time by what
    those before are expected to take. Turns are given by start-time fair queueing
    (Goyal, Vin and Cheng, 1996): flows of small pictures and of large ones, of one
    caller and of others, have equal shares of the time, in whatever order they come.
    The patient have threads of their own; they are admitted when nobody else waits.
    """

    def __init__(
        self,
        slots: int,
        most_waiting: int,
        timeout_s: float,
        most_dear: int | None = None,
    ) -> None:
        self._slots = slots
        self._free = slots
        self._most_waiting = most_waiting
        self._most_dear = most_waiting if most_dear is None else most_dear
        self._timeout_s = timeout_s
        self._guard = threading.Lock()
        self._spare = threading.Condition(self._guard)
        self._queue: list[_Waiter] = []
        # Expected seconds of what runs and of what waits.
        self._running_s = self._queued_s = 0.0
        self._waiting = 0
        # Virtual time, and where each flow that is ahead of it ends.
        self._now = 0.0
        self._ends: dict[tuple[str, int], float] = {}

    def patience(self) -> WaitPolicy:
        """Return until when a single image waits: counted from its arrival."""
        arrived = ARRIVED.get()
        since = time.monotonic() if arrived is None else arrived
        return WaitPolicy(since + self._timeout_s)

    def is_crowded(self) -> bool:
        """Tell whether somebody waits for a turn who is not patient."""
        return bool(self._queue)

    def expected_s(self) -> float:
        """Return how long whoever came now would wait, by what is expected."""
        if self._free and not self._queue:
            return 0.0
        return (self._running_s / 2 + self._queued_s) / self._slots

    @contextmanager
    def admit(
        self, patience: WaitPolicy, promoted: threading.Event, turn: Turn = Turn()
    ) -> Iterator[None]:
        """Hold a slot while the body runs.

        Once `promoted` is set, the patient queue like everybody else. Raises Busy where
        no slot can be had, and Cancelled.
        """
        if patience.unbounded:
            self._acquire_patiently(patience, promoted, turn)
        else:
            self._acquire(patience, turn)
        try:
            yield
        finally:
            with self._guard:
                self._release(turn.cost_s)

    @contextmanager
    def wait(self, patience: WaitPolicy) -> Iterator[None]:
        """Count among those who wait while the body runs; raise Busy if too many do.

        The patient do not count.
        """
        if patience.unbounded:
            yield
            return
        with self._guard:
            self._count()
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
        """Return the error for whoever has waited long enough, or would wait."""
        return Busy(max(1, ceil(self.expected_s())))

    def _acquire(self, patience: WaitPolicy, turn: Turn) -> None:
        with self._guard:
            if self._free and not self._queue:
                self._take(turn.cost_s)
                return
            if self.expected_s() > patience.left():
                raise self.busy()
            if turn.cost_s > DEAR_S and self._dear() >= self._most_dear:
                raise self.busy()
            self._count()
            waiter = self._join(turn, counted=True)
        if waiter.admitted.wait(patience.left()):
            return
        with self._guard:
            # It may have come between the two.
            if waiter.admitted.is_set():
                return
            self._leave(waiter)
            raise self.busy()

    def _acquire_patiently(
        self, patience: WaitPolicy, promoted: threading.Event, turn: Turn
    ) -> None:
        waiter: _Waiter | None = None
        with self._guard:
            try:
                while not promoted.is_set():
                    if self._free and not self._queue:
                        self._take(turn.cost_s)
                        return
                    self._spare.wait(patience.span())
                waiter = self._join(turn, counted=False)
            finally:
                # Whoever gives up may have been called in place of another.
                self._call()
        while True:
            try:
                if waiter.admitted.wait(patience.span()):
                    return
            except Cancelled:
                with self._guard:
                    if waiter.admitted.is_set():
                        self._release(turn.cost_s)
                    else:
                        self._leave(waiter)
                raise

    def _dear(self) -> int:
        return sum(each.counted and each.cost_s > DEAR_S for each in self._queue)

    def _count(self) -> None:
        # At once and not after the wait: proxies try another server on a 503.
        if self._waiting >= self._most_waiting:
            raise self.busy()
        self._waiting += 1

    def _join(self, turn: Turn, *, counted: bool) -> _Waiter:
        """Stand in line, where the flow's share of the time begins."""
        flow = turn.flow
        start = max(self._now, self._ends.get(flow, 0.0))
        self._ends[flow] = start + turn.cost_s
        waiter = _Waiter(start, turn.cost_s, counted)
        heappush(self._queue, waiter)
        self._queued_s += turn.cost_s
        self._call()
        return waiter

    def _leave(self, waiter: _Waiter) -> None:
        self._queue.remove(waiter)
        heapify(self._queue)
        self._queued_s -= waiter.cost_s
        self._waiting -= waiter.counted

    def _take(self, cost_s: float) -> None:
        self._free -= 1
        self._running_s += cost_s

    def _release(self, cost_s: float) -> None:
        self._free += 1
        self._running_s -= cost_s
        self._call()

    def _call(self) -> None:
        """Admit who is next, where a slot is free."""
        while self._free and self._queue:
            waiter = heappop(self._queue)
            self._queued_s -= waiter.cost_s
            self._waiting -= waiter.counted
            self._now = waiter.start
            self._take(waiter.cost_s)
            waiter.admitted.set()
        if not self._queue:
            # Nobody is ahead of anybody: time begins anew, and sums lose no bits.
            self._ends.clear()
            self._now = self._queued_s = 0.0
            if self._free == self._slots:
                self._running_s = 0.0
            if self._free:
                self._spare.notify()
