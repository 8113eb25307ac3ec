"""What all calls of one upstream share: their number, the breaker, the retries."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from app.store.circuit_breaker import Breaker
from app.upstream.errors import (
    CircuitOpen,
    UpstreamBroken,
    UpstreamBusy,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from app.upstream.resilience.retry import Budget, Deadline

# What an upstream that is full is given to get a call done.
_RETRY_S = 5
# A filter, a 4xx or a bad picture come from an upstream that is alive.
_FAILURES = (UpstreamUnavailable, UpstreamTimeout, UpstreamBroken)


def breaker_of(
    upstream: str,
    failures: int = 5,
    cooldown_s: float = 30.0,
    clock: Callable[[], float] = time.monotonic,
) -> Breaker:
    """Return the breaker of an upstream, which refuses by CircuitOpen."""
    refuse = partial(CircuitOpen, upstream)
    return Breaker(refuse, _FAILURES, failures, cooldown_s, clock)


class ConcurrencyLimit:
    """Admits `concurrency` calls of one upstream at a time; others wait `queue_s`.

    The patient, who have threads of their own, wait until their deadline. `observe`
    is told the state of the breaker after every attempt.
    """

    def __init__(
        self,
        upstream: str,
        concurrency: int = 4,
        queue_s: float = 10.0,
        breaker: Breaker | None = None,
        budget: Budget | None = None,
        observe: Callable[[str], None] = lambda state: None,
    ) -> None:
        self.breaker = breaker or breaker_of(upstream)
        self.budget = budget or Budget()
        self._observe = observe
        self._upstream = upstream
        self._queue_s = queue_s
        self._slots = threading.BoundedSemaphore(concurrency)

    @contextmanager
    def attempt(self, wait_s: float = 0.0) -> Iterator[None]:
        """Run one attempt past the breaker, which judges it; raise CircuitOpen.

        An open breaker is waited out for at most `wait_s`.
        """
        try:
            with self.breaker.guard(wait_s):
                yield
        finally:
            self._observe(self.breaker.state)

    @contextmanager
    def admit(self, deadline: Deadline, *, patient: bool = False) -> Iterator[None]:
        """Hold a place while the body runs; raise UpstreamBusy or CircuitOpen.

        The impatient find an open breaker before waiting: the places may all be held
        by calls that hang, or that wait for it to close.
        """
        if not patient:
            self.breaker.check()
        left_s = deadline.remaining()
        if not self._slots.acquire(
            timeout=left_s if patient else min(left_s, self._queue_s)
        ):
            raise UpstreamBusy(self._upstream, _RETRY_S)
        try:
            self.budget.earn()
            yield
        finally:
            self._slots.release()
