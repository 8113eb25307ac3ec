"""What all calls of one upstream share: their number, the breaker, the retries."""

import random
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from app.access.ledger import Ledger, TolerantLedger
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
# Between two looks for a place among those of all machines; by lot, so that none of
# them always comes first.
_LOOKS_S = (0.05, 0.3)
# So long after its deadline a call of a process that was killed counts no more.
_LOST_S = 5.0
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
    is told the state of the breaker after every attempt. With a `ledger` that other
    processes share there are as many calls of all of them together, and of each alone
    while the ledger is at fault.
    """

    def __init__(
        self,
        upstream: str,
        concurrency: int = 4,
        queue_s: float = 10.0,
        breaker: Breaker | None = None,
        budget: Budget | None = None,
        observe: Callable[[str], None] = lambda state: None,
        ledger: TolerantLedger | None = None,
    ) -> None:
        self.breaker = breaker or breaker_of(upstream)
        self.budget = budget or Budget()
        self._observe = observe
        self._upstream = upstream
        self._queue_s = queue_s
        self._concurrency = concurrency
        self._slots = threading.BoundedSemaphore(concurrency)
        self._ledger = ledger

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
        wait_s = left_s if patient else min(left_s, self._queue_s)
        end = time.monotonic() + wait_s
        if not self._slots.acquire(timeout=wait_s):
            raise UpstreamBusy(self._upstream, _RETRY_S)
        try:
            with self._place_of_all(deadline, end):
                self.budget.earn()
                yield
        finally:
            self._slots.release()

    @contextmanager
    def _place_of_all(self, deadline: Deadline, end: float) -> Iterator[None]:
        """Hold a place that counts for all machines; raise UpstreamBusy."""
        if self._ledger is None:
            yield
            return
        account, token = f"service:{self._upstream}", secrets.token_hex(8)
        most, ledger = self._concurrency, self._ledger
        while True:
            span_s = deadline.remaining() + _LOST_S
            held = ledger.ask(partial(_hold, account, token, most, span_s))
            if held is not False:
                break
            if time.monotonic() >= end:
                raise UpstreamBusy(self._upstream, _RETRY_S)
            time.sleep(random.uniform(*_LOOKS_S))
        try:
            yield
        finally:
            ledger.ask(lambda asked: asked.release(account, token))


def _hold(account: str, token: str, most: int, span_s: float, ledger: Ledger) -> bool:
    return ledger.hold(account, token, most, span_s)
