"""Turns to draw: so many at a time, so many waiting, and nobody for too long."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Busy(Exception):
    """No turn came, or too many wait for one already; try again in `retry_s`."""

    def __init__(self, retry_s: int) -> None:
        super().__init__(retry_s)
        self.retry_s = retry_s

    def __str__(self) -> str:
        return f"Too many pictures are being drawn; try again in {self.retry_s} s."


class Gate:
    """Admits `slots` at a time and lets at most `most_waiting` others wait.

    Whoever waits holds a thread of the server, so there must be an end to it: the
    rest are turned away at once, and threads remain for what needs no drawing.
    """

    def __init__(self, slots: int, most_waiting: int, timeout_s: float) -> None:
        self._slots = threading.BoundedSemaphore(slots)
        self._most_waiting = most_waiting
        self._timeout_s = timeout_s
        self._guard = threading.Lock()
        self._waiting = 0

    @contextmanager
    def admit(self) -> Iterator[None]:
        """Hold a slot while the body runs; raise Busy where none can be had."""
        if not self._slots.acquire(blocking=False):
            with self.wait():
                if not self._slots.acquire(timeout=self._timeout_s):
                    raise self._busy()
        try:
            yield
        finally:
            self._slots.release()

    @contextmanager
    def wait(self) -> Iterator[None]:
        """Count among those who wait while the body runs; raise Busy if too many do."""
        with self._guard:
            if self._waiting >= self._most_waiting:
                raise self._busy()
            self._waiting += 1
        try:
            yield
        finally:
            with self._guard:
                self._waiting -= 1

    def _busy(self) -> Busy:
        return Busy(max(1, round(self._timeout_s)))
