"""Threads that draw, and what goes first."""

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, TypeVar

_T = TypeVar("_T")
_Order = tuple["Future[Any]", Callable[[], Any]]


class PriorityExecutor:
    """A fixed number of threads, started when first needed, with two lanes.

    What is submitted `later` waits until nothing else does. Standard executors have
    one lane, in which a single image would queue behind the images of collections.
    """

    def __init__(self, threads: int, name: str) -> None:
        self._names = [f"{name}-{number}" for number in range(threads)]
        self._soon: deque[_Order] = deque()
        self._later: deque[_Order] = deque()
        # One call for each order, and a False for each thread to end. The queue that
        # is written in C: one in Python costs a hand-over of the interpreter more.
        self._calls: SimpleQueue[bool] = SimpleQueue()
        self._guard = threading.Lock()
        self._threads: list[threading.Thread] = []

    def submit(self, work: Callable[[], _T], *, later: bool = False) -> Future[_T]:
        """Return the future of the work; cancelled before it begins, it never does."""
        self._start()
        future: Future[_T] = Future()
        lane = self._later if later else self._soon
        # In this order: a thread that is called must find something in a lane.
        lane.append((future, work))
        self._calls.put(True)
        return future

    def shutdown(self) -> None:
        """End the threads when all is done."""
        with self._guard:
            threads, self._threads = self._threads, []
        for _ in threads:
            self._calls.put(False)
        for thread in threads:
            thread.join()

    def _start(self) -> None:
        if len(self._threads) == len(self._names):
            return
        with self._guard:
            # Each is kept once it runs: Ctrl-C may come between, and then it is joined.
            for name in self._names[len(self._threads) :]:
                thread = threading.Thread(target=self._draw, name=name, daemon=True)
                thread.start()
                self._threads.append(thread)

    def _draw(self) -> None:
        while self._calls.get():
            future, work = self._next()
            if future.set_running_or_notify_cancel():
                settle(future, work)

    def _next(self) -> _Order:
        """Return the order that a call was for, or one that goes before it."""
        with suppress(IndexError):
            return self._soon.popleft()
        return self._later.popleft()


def settle(future: "Future[_T]", work: Callable[[], _T]) -> None:
    """Do the work in this thread, and set what it returns or raises."""
    try:
        result = work()
    except BaseException as error:
        # Whatever it is: the thread must live on, and whoever waits must hear of it.
        future.set_exception(error)
    else:
        future.set_result(result)
