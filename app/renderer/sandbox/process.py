"""A process that runs functions under bounds and is killed at a deadline.

What a thread does cannot be interrupted; a process can. The one here may map
only so much memory, opens neither file nor socket once it is ready, leaves no
core dump, and never outlives its parent.
"""

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from pebble import ProcessExpired, ProcessPool

from app.errors import with_fields

if sys.platform != "win32":
    import resource

_T = TypeVar("_T")

# Seconds that a process may take to get ready, beside the time of its work.
START_S = 60.0

# Of <linux/prctl.h>; the standard library has no name for it.
_PR_SET_PDEATHSIG = 1


class Expired(Exception):
    """The work was not done at the deadline; its process was killed."""


@with_fields
class Died(Exception):
    """The process ended in the middle of the work: out of memory, or a fault.

    `code` is what the system says: the negative number of a signal, or a status.
    """

    code: int


class SandboxProcess:
    """One process, started when first needed and replaced when it dies.

    `prepare(*arguments)` runs in the process before the bounds are set; it must
    import and open whatever the work needs. It and its arguments are pickled.
    `memory_bytes` counts on top of what the process maps when it is ready. May
    be shared by threads, which then take turns; each process that is forked
    from this one gets a process of its own.
    """

    def __init__(
        self, prepare: Callable[..., None], *arguments: Any, memory_bytes: int
    ) -> None:
        self._enter = (prepare, arguments, memory_bytes)
        self._guard = threading.Lock()
        self._pool: ProcessPool | None = None
        self._owner = 0

    def run(self, function: Callable[..., _T], *arguments: Any, timeout_s: float) -> _T:
        """Return what the function returns, or raise what it raises.

        Function, arguments, result and exceptions are pickled. The time counts
        from the moment the process begins. Raises Expired and Died.
        """
        try:
            return self._attempt(function, arguments, timeout_s)
        except BrokenProcessPool:
            # The process was killed while it had nothing to do.
            return self._attempt(function, arguments, timeout_s)

    def close(self) -> None:
        """End the process; a later `run` starts another."""
        with self._guard:
            pool, self._pool = self._pool, None
            mine = self._owner == os.getpid()
        if pool is not None and mine:
            pool.stop()  # type: ignore[no-untyped-call]
            pool.join()

    def _attempt(
        self, function: Callable[..., _T], arguments: tuple[Any, ...], timeout_s: float
    ) -> _T:
        pool = self._ready()
        try:
            future = pool.schedule(function, arguments, timeout=timeout_s)
        except RuntimeError as error:
            self._discard(pool)
            raise BrokenProcessPool("the process ended") from error
        try:
            return future.result(timeout_s + START_S)
        except ProcessExpired as error:
            raise Died(error.exitcode) from error
        except TimeoutError as error:
            future.cancel()  # type: ignore[no-untyped-call]
            raise Expired from error
        except BrokenProcessPool:
            self._discard(pool)
            raise

    def _ready(self) -> ProcessPool:
        with self._guard:
            # A fork copies the pool but not the threads that serve it.
            if self._pool is None or self._owner != os.getpid():
                self._pool = ProcessPool(
                    max_workers=1,
                    initializer=_enter,
                    initargs=self._enter,
                    context=_context(self._enter[0].__module__),
                )
                self._owner = os.getpid()
            return self._pool

    def _discard(self, pool: ProcessPool) -> None:
        with self._guard:
            if self._pool is pool:
                self._pool = None
        pool.stop()  # type: ignore[no-untyped-call]
        pool.join()


def _context(module: str) -> Any:
    """Choose how processes start; never by forking a process that has threads.

    The fork server imports `module` once, so that a replacement is ready soon.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([module])
    return context


def _enter(
    prepare: Callable[..., None], arguments: tuple[Any, ...], memory_bytes: int
) -> None:
    # Native code does not return to Python for a handler: the default action
    # ends the process at once.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    prepare(*arguments)
    if sys.platform != "win32":
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        _bound_memory(memory_bytes)
        _close_the_door()


if sys.platform != "win32":

    def _bound_memory(more: int) -> None:
        # Elsewhere the limit is not enforced and the size is not to be had.
        if sys.platform == "linux":
            with open("/proc/self/statm", encoding="ascii") as file:
                pages = int(file.read().split()[0])
            most = pages * resource.getpagesize() + more
            resource.setrlimit(resource.RLIMIT_AS, (most, most))

    def _close_the_door() -> None:
        """Take away every free descriptor: what is open works, nothing else opens."""
        free = os.open(os.devnull, os.O_RDONLY)
        # poll() refuses to watch more descriptors than the limit: keep a few.
        while free < 4:
            free = os.open(os.devnull, os.O_RDONLY)
        os.close(free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (free, free))
