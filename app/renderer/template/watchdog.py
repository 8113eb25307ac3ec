"""Stop a template whose loops go on and on, at its next step in Python."""

import ctypes
import os
import threading
import time
from collections.abc import Callable
from typing import TypeVar

_T = TypeVar("_T")
_LOOK_S = 0.1
_AGAIN_S = 1.0
_raise_in = ctypes.pythonapi.PyThreadState_SetAsyncExc


class Overrun(BaseException):
    """Raised in the thread that took too long; no `except Exception` stops it."""


class _Watched:
    """A thread at work, and the reading of its clock at which it is stopped."""

    __slots__ = ("_clock", "end", "stopped", "thread")

    def __init__(self, limit_s: float) -> None:
        self.thread = threading.get_ident()
        # Its processor time: a machine that is busy with others takes nothing of it.
        clock_of = getattr(time, "pthread_getcpuclockid", None)
        self._clock = None if clock_of is None else clock_of(self.thread)
        self.end = self.now() + limit_s
        self.stopped = False

    def now(self) -> float:
        if self._clock is None:
            return time.monotonic()
        return time.clock_gettime(self._clock)


class Watchdog:
    """Looks ten times a second at the threads that it watches, while there are any."""

    def __init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        """Begin anew: in a forked process no thread looks any more."""
        self._guard = threading.Lock()
        self._watched: set[_Watched] = set()
        self._wanted = threading.Event()
        self._looks: threading.Thread | None = None

    def rest(self) -> None:
        """End the thread that looks, at a moment when nobody is watched.

        For whoever forks next; another thread begins when it is needed.
        """
        with self._guard:
            thread, self._looks = self._looks, None
            self._wanted.set()
        if thread is not None:
            thread.join()

    def run(self, work: Callable[[], _T], limit_s: float) -> _T:
        """Return what the work returns; raise Overrun where it takes too long."""
        own = _Watched(limit_s)
        try:
            self._watch(own)
            return work()
        finally:
            try:
                self._forget(own)
            except Overrun:
                self._forget(own)
                raise

    def _watch(self, own: _Watched) -> None:
        with self._guard:
            if self._looks is None:
                self._looks = threading.Thread(target=self._look, daemon=True)
                self._looks.start()
            self._watched.add(own)
        self._wanted.set()

    def _forget(self, own: _Watched) -> None:
        with self._guard:
            self._watched.discard(own)
            if own.stopped:
                # The work was done at that very moment: nothing may be raised later.
                _raise_in(ctypes.c_ulong(own.thread), None)
                own.stopped = False

    def _look(self) -> None:
        while self._wanted.wait():
            time.sleep(_LOOK_S)
            with self._guard:
                if self._looks is not threading.current_thread():
                    return
                if not self._watched:
                    self._wanted.clear()
                for each in self._watched:
                    if each.now() > each.end:
                        # Again after a while, which is enough to leave: whatever a
                        # destructor or a callback of C code raises is ignored.
                        each.stopped = True
                        each.end = each.now() + _AGAIN_S
                        _raise_in(
                            ctypes.c_ulong(each.thread), ctypes.py_object(Overrun)
                        )


WATCHDOG = Watchdog()
os.register_at_fork(after_in_child=WATCHDOG.renew)
