"""Threads that draw, and what goes first."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from itertools import count
from queue import PriorityQueue
from typing import Any, NamedTuple, TypeVar

_T = TypeVar("_T")
_SOON, _LATER, _NEVER = range(3)


class _Order(NamedTuple):
    """What is to be done; equal ranks go in the order in which they came."""

    rank: int
    number: int
    future: "Future[Any] | None"
    work: Callable[[], Any] | None


class Easels:
    """A fixed number of threads, started when first needed, with two lanes.

    What is submitted `later` waits until nothing else does. Standard executors have
    one lane, in which a single image would queue behind the images of collections.
    """

    def __init__(self, threads: int, name: str) -> None:
        self._names = [f"{name}-{number}" for number in range(threads)]
        self._orders: PriorityQueue[_Order] = PriorityQueue()
        self._numbers = count()
        self._guard = threading.Lock()
        self._threads: list[threading.Thread] = []

    def submit(self, work: Callable[[], _T], *, later: bool = False) -> Future[_T]:
        """Return the future of the work; cancelled before it begins, it never does."""
        self._start()
        future: Future[_T] = Future()
        rank = _LATER if later else _SOON
        self._orders.put(_Order(rank, next(self._numbers), future, work))
        return future

    def shutdown(self) -> None:
        """End the threads when all is done."""
        with self._guard:
            threads, self._threads = self._threads, []
        for _ in threads:
            self._orders.put(_Order(_NEVER, next(self._numbers), None, None))
        for thread in threads:
            thread.join()

    def _start(self) -> None:
        if self._threads:
            return
        with self._guard:
            if not self._threads:
                self._threads = [
                    threading.Thread(target=self._draw, name=name, daemon=True)
                    for name in self._names
                ]
                for thread in self._threads:
                    thread.start()

    def _draw(self) -> None:
        while True:
            _, _, future, work = self._orders.get()
            if future is None or work is None:
                return
            if future.set_running_or_notify_cancel():
                _do(future, work)


def _do(future: "Future[_T]", work: Callable[[], _T]) -> None:
    try:
        result = work()
    except BaseException as error:
        future.set_exception(error)
    else:
        future.set_result(result)
