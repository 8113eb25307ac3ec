"""What keeps failing is left alone for a while: a service, or a bucket."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Breaker:
    """Opens after `failures` in a row; `cooldown_s` later, one call may try.

    What counts as a failure are the errors of `counted`; `refuse` makes the error for
    whoever may not call, of the seconds until somebody may. The one that tries
    decides: the breaker closes, or stays open for as long again. The lock is held
    around the state only, never during a call. What was admitted before the state
    changed no longer changes it. Whoever waits while it is open goes on when that one
    call worked, and waits again when it did not.
    """

    def __init__(
        self,
        refuse: Callable[[float], Exception],
        counted: tuple[type[Exception], ...],
        failures: int = 5,
        cooldown_s: float = 30.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._refuse = refuse
        self._counted = counted
        self._most = failures
        self._cooldown_s = cooldown_s
        self._clock = clock
        self._changed = threading.Condition()
        self._failed = 0
        self._opened: float | None = None
        self._probing = False
        self._era = 0

    @property
    def state(self) -> str:
        """`closed`, `open` or `half-open`: whether calls pass, for the metrics."""
        with self._changed:
            if self._opened is None:
                return "closed"
            return "half-open" if self._left() <= 0 else "open"

    def check(self) -> None:
        """Raise what `guard` would; admit nobody."""
        with self._changed:
            if self._shut():
                raise self._refusal()

    @contextmanager
    def guard(self, wait_s: float = 0.0) -> Iterator[None]:
        """Let a call run, within `wait_s`, and judge it by what it raises.

        Raises what `refuse` makes where it may not run until then.
        """
        era = self._admit(wait_s)
        try:
            yield
        except self._counted:
            self._settle(era, failed=True)
            raise
        except Exception:
            self._settle(era, failed=False)
            raise
        except BaseException:
            # The caller was interrupted: that says nothing about whom it called.
            self._forget(era)
            raise
        self._settle(era, failed=False)

    def _left(self) -> float:
        """Return the seconds until a call may try; the lock is held."""
        opened = self._clock() if self._opened is None else self._opened
        return opened + self._cooldown_s - self._clock()

    def _shut(self) -> bool:
        return self._opened is not None and (self._left() > 0 or self._probing)

    def _refusal(self) -> Exception:
        return self._refuse(max(self._left(), 1))

    def _admit(self, wait_s: float) -> int:
        end = time.monotonic() + wait_s
        with self._changed:
            while self._shut():
                patience_s = end - time.monotonic()
                if patience_s <= 0:
                    raise self._refusal()
                # The end of a probe is told; nobody tells that the cooldown is over.
                left_s = self._left()
                self._changed.wait(
                    min(patience_s, left_s) if left_s > 0 else patience_s
                )
            self._probing = self._opened is not None
            return self._era

    def _settle(self, era: int, *, failed: bool) -> None:
        with self._changed:
            if era != self._era:
                return
            probe, self._probing = self._probing, False
            self._failed = self._failed + 1 if failed else 0
            if failed and (probe or self._failed >= self._most):
                self._opened = self._clock()
                self._era += 1
            elif probe:
                self._opened = None
                self._era += 1
            self._changed.notify_all()

    def _forget(self, era: int) -> None:
        with self._changed:
            if era == self._era:
                self._probing = False
                self._changed.notify_all()
