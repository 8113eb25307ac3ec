"""Processes that draw the images of collections; no interpreter is shared by two.

They are forked from a copy of the worker that was made before it had threads, so that
fonts, templates and code are in memory once. Each image costs its drawing and a
thirtieth part of a message; see docs/decisions/bulk.md.
"""

import hashlib
import logging
import os
import pickle
import signal
import socket
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, fields
from functools import partial
from math import ceil
from typing import Any, NamedTuple
from weakref import WeakSet

from app.image_request import ImageRequest
from app.media import Media
from app.observability import metrics
from app.pipeline.core_tokens import TOKENS
from app.renderer.base import Encoded, Output
from app.renderer.catalogue import Catalogue
from app.renderer.errors import RendererError, RenderTimeout, Undrawable
from app.renderer.produce import produce
from app.renderer.sandbox.fork_server import ForkServer, is_single
from app.renderer.sandbox.process import receive, send
from app.renderer.sandbox.sandbox import LeftToParent, Sandbox

_LOG = logging.getLogger("mimeo.processes")
# So many images come before a process is worth its start; threads draw them.
_FEW = 24
# A message has no more images, nor such as take longer together.
_MOST, _MOST_S = 8, 0.03
# A process that has done nothing for so long ends, and gives its token back.
_IDLE_S = 10.0
# Between two looks whether another worker has given a token back.
_RETRY_S = 1.0
# One message may wait behind another if it surely fits into the socket.
_FITTING = 32 << 10
# Single images first: a message is held back for as long as this where some wait.
_ASIDE_S, _GLANCE_S = 0.05, 0.002
# A machine that is busy with others takes its time: what one image may take beside
# the bound of its template.
_GRACE_S = 60.0
# So many processes end without an image before no more are begun for a while.
_MOST_FAILURES = 3
# The signals by which others end a process; all else is the drawing's fault.
_FROM_OUTSIDE = (-signal.SIGKILL, -signal.SIGTERM)


class DrawnElsewhere(NamedTuple):
    """What a process made: the image, its SHA-256, and seconds of a processor."""

    encoded: Encoded
    sha256: str
    cpu_s: float


@dataclass(slots=True, eq=False)
class Order:
    """One image, and what this process does for it.

    `run` tells the images of one collection from those of others. `begin` returns what
    is known already, or None, and raises where it may not be drawn; `finish` makes
    media of what a process made; `draw` draws in this one. `alone` is an image whose
    process ended with others in hand.
    """

    request: ImageRequest
    run: threading.Event
    cost_s: float
    begin: Callable[[], Media | None]
    finish: Callable[[DrawnElsewhere], Media]
    draw: Callable[[], Media]
    future: "Future[Media]"
    begun: bool = False
    alone: bool = False

    def start(self) -> bool:
        """Begin; tell whether it is to be drawn: not where nobody waits for it."""
        if self.begun:
            return True
        if not self.future.set_running_or_notify_cancel():
            return False
        self.begun = True
        try:
            found = self.begin()
        except BaseException as error:
            self.future.set_exception(error)
            return False
        if found is not None:
            self.future.set_result(found)
        return found is None

    def settle(self, work: Callable[[], Media]) -> None:
        """Set what the work returns or raises."""
        try:
            result = work()
        except BaseException as error:
            self.future.set_exception(error)
        else:
            self.future.set_result(result)

    def draw_here(self) -> None:
        """Draw in this thread."""
        if self.start():
            self.settle(self.draw)


class ProcessPool:
    """Up to `most` processes, those of all workers counted.

    Started when a collection is long enough, one after the other as images wait, and
    ended when there is nothing to do. Does nothing before `fork_early`, and without
    memory for a process (`most` 0). An image may take `limit_s` and a time of grace.
    """

    def __init__(self, most: int, limit_s: float) -> None:
        self._most = most
        self._limit_s = limit_s
        self._server: ForkServer | None = None
        self._server_guard = threading.Lock()
        self._changed = threading.Condition()
        # The images that wait, by collection: each has a message in its turn.
        self._waiting: OrderedDict[threading.Event, deque[Order]] = OrderedDict()
        self._seen: WeakSet[threading.Event] = WeakSet()
        self._drivers: set[threading.Thread] = set()
        self._few = self._count = 0
        self._next_try = 0.0
        self._closed = False
        self._elsewhere: Callable[[Order], object] = Order.draw_here
        self._crowded: Callable[[], bool] = bool

    def attend(
        self, elsewhere: Callable[[Order], object], crowded: Callable[[], bool]
    ) -> None:
        """Say who draws what no process can, and whether single images wait."""
        self._elsewhere, self._crowded = elsewhere, crowded

    def fork_early(
        self,
        catalogue: Catalogue,
        isolation: Sandbox,
        nice: int = 0,
        *,
        native: bool = False,
    ) -> None:
        """Make the copy that processes are forked from, which go behind by `nice`.

        Does nothing where this process has threads, of which one could hold a lock.
        With `native` only Python's count: whoever imports numpy and the engine has
        some that do nothing yet, and gunicorn's master forks workers beside them.
        """
        single = threading.active_count() == 1 if native else is_single()
        if self._most and self._server is None and single:
            self._server = ForkServer(partial(_draw_all, catalogue, isolation, nice))

    @property
    def most(self) -> int:
        """How many processes there may be; 0 where threads draw all."""
        return 0 if self._server is None else self._most

    def takes(self, run: threading.Event) -> bool:
        """Tell whether to submit the next image of a collection.

        Not its first, which a thread draws as soon as a single one, nor the first few
        where there is no process yet.
        """
        if self._server is None:
            return False
        with self._changed:
            first = run not in self._seen
            self._seen.add(run)
            if first or self._closed:
                return False
            if not self._drivers:
                self._few += 1
                if self._few <= _FEW:
                    return False
            waiting = sum(map(len, self._waiting.values()))
            if waiting >= len(self._drivers) < self._most:
                self._begin()
            return bool(self._drivers)

    def submit(self, order: Order) -> None:
        """Have an image drawn by a process, or elsewhere where there is none."""
        if not self._put(order):
            self._elsewhere(order)

    def close(self) -> None:
        """End the processes when what they have begun is done."""
        with self._changed:
            self._closed = True
            drivers = tuple(self._drivers)
            self._changed.notify_all()
        for driver in drivers:
            driver.join()
        server, self._server = self._server, None
        if server is not None:
            server.close()

    def _put(self, order: Order, *, again: bool = False) -> bool:
        """Let an image wait for a process, if there is any; say whether it does."""
        with self._changed:
            if not self._drivers:
                return False
            orders = self._waiting.setdefault(order.run, deque())
            if again:
                orders.appendleft(order)
            else:
                orders.append(order)
            self._changed.notify()
            return True

    def _begin(self) -> None:
        """Begin with another process, where one of the tokens is free."""
        now = time.monotonic()
        if now < self._next_try:
            return
        token = TOKENS.take(self._most)
        if token is None:
            self._next_try = now + _RETRY_S
            return
        self._count += 1
        name = f"mimeo-process-{self._count}"
        driver = threading.Thread(
            target=self._drive, args=(token,), name=name, daemon=True
        )
        self._drivers.add(driver)
        driver.start()

    def _drive(self, token: int) -> None:
        """Keep a process at work until there is none, or none can be had."""
        try:
            failures = 0
            while failures < _MOST_FAILURES:
                process = _Process(self._server, self._server_guard, self._limit_s)
                try:
                    self._feed(process)
                    return
                except OSError as error:
                    failures = 0 if self._recover(process, error) else failures + 1
                finally:
                    process.end()
            _LOG.warning("threads draw collections for %s s", _GRACE_S)
            with self._changed:
                self._next_try = time.monotonic() + _GRACE_S
        finally:
            self._leave(token)

    def _feed(self, process: "_Process") -> None:
        """Send images as they come, one message ahead; raise OSError at its end."""
        while True:
            if process.sent and self._crowded():
                self._hear(process)
                continue
            self._stand_aside()
            batch = self._next(wait=not process.sent)
            if batch is None:
                return
            orders = [order for order in batch if order.start()]
            if orders:
                message = pickle.dumps([_told(order.request) for order in orders])
                try:
                    while process.sent and (
                        len(process.sent) > 1 or len(message) > _FITTING
                    ):
                        self._hear(process)
                except OSError:
                    # Not sent yet, so that nobody else would know of them.
                    self._return(orders)
                    raise
                process.send(orders, message)
            elif process.sent and not batch:
                self._hear(process)

    def _return(self, orders: list[Order]) -> None:
        for order in reversed(orders):
            if not self._put(order, again=True):
                self._elsewhere(order)

    def _stand_aside(self) -> None:
        end = time.monotonic() + _ASIDE_S
        while self._crowded() and time.monotonic() < end:
            time.sleep(_GLANCE_S)

    def _next(self, *, wait: bool) -> list[Order] | None:
        """Return the images of the next message; None where it is time to end.

        Who does not `wait` may get none.
        """
        with self._changed:
            if wait:
                self._changed.wait_for(
                    lambda: self._waiting or self._closed, timeout=_IDLE_S
                )
            if not self._waiting:
                return None if wait else []
            run, orders = self._waiting.popitem(last=False)
            # Two messages for each process: the last ones are done at one moment.
            share = ceil(len(orders) / (2 * len(self._drivers)))
            batch = [orders.popleft()]
            spent_s = batch[0].cost_s
            while orders and len(batch) < min(share, _MOST):
                spent_s += orders[0].cost_s
                if spent_s > _MOST_S or batch[0].alone or orders[0].alone:
                    break
                batch.append(orders.popleft())
            if orders:
                self._waiting[run] = orders
            return batch

    def _hear(self, process: "_Process") -> None:
        """Take what came of the oldest message."""
        orders, answers = process.hear()
        for order, (result, sha256, cpu_s) in zip(orders, answers, strict=True):
            if isinstance(result, tuple):
                drawing = DrawnElsewhere(Encoded(*result), sha256, cpu_s)
                order.settle(partial(order.finish, drawing))
            elif isinstance(result, LeftToParent):
                self._elsewhere(order)
            else:
                metrics.count_rendering(order.request.renderer.name, cpu_s)
                order.future.set_exception(result)

    def _recover(self, process: "_Process", error: OSError) -> bool:
        """Have the images drawn that a process ended with, or fail the one at fault.

        Tell whether the next process has reason to fare better.
        """
        code = process.end()
        stopped = isinstance(error, TimeoutError)
        outside = not stopped and code in _FROM_OUTSIDE
        told = "was stopped, for it took too long" if stopped else f"ended with {code}"
        held = sum(map(len, process.sent))
        _LOG.warning(
            "a process that draws collections %s; %s images are drawn again", told, held
        )
        blamed = False
        for number, orders in enumerate(process.sent):
            for order in reversed(orders):
                # Those of later messages it had not begun with.
                suspect = number == 0 and not outside
                if suspect and order.alone:
                    blamed = True
                    order.future.set_exception(_fault(stopped, self._limit_s))
                    continue
                order.alone = order.alone or suspect
                if (number == 0 and outside) or not self._put(order, again=True):
                    self._elsewhere(order)
        return blamed or process.heard > 0

    def _leave(self, token: int) -> None:
        TOKENS.give_back(token)
        left: list[Order] = []
        with self._changed:
            self._drivers.discard(threading.current_thread())
            if not self._drivers:
                self._few = 0
                for orders in self._waiting.values():
                    left += orders
                self._waiting.clear()
        for order in left:
            self._elsewhere(order)


class _Process:
    """One process, and the messages that it has not answered."""

    def __init__(
        self, server: ForkServer | None, guard: threading.Lock, limit_s: float
    ) -> None:
        assert server is not None
        self._server, self._guard, self._limit_s = server, guard, limit_s
        self.sent: deque[list[Order]] = deque()
        self.heard = 0
        self._talk: socket.socket | None = None
        self._pid = 0
        # One that could not be begun is no drawing's fault.
        self._code: int = -signal.SIGKILL

    def send(self, orders: list[Order], message: bytes) -> None:
        """Send a message; raise OSError."""
        # Before: whatever fails, somebody must know of them.
        self.sent.append(orders)
        metrics.add_in_flight(len(orders))
        if self._talk is None:
            with self._guard:
                self._pid, self._talk = self._server.fork()
        send(self._talk, message)

    def hear(self) -> tuple[list[Order], Any]:
        """Return the oldest message's images and their answers.

        Raises OSError where the process has ended, TimeoutError where it takes too
        long.
        """
        assert self._talk is not None
        orders = self.sent[0]
        limit_s = _GRACE_S + self._limit_s * len(orders)
        answers = pickle.loads(receive(self._talk, time.monotonic() + limit_s))
        self.heard += 1
        metrics.add_in_flight(-len(orders))
        return self.sent.popleft(), answers

    def end(self) -> int:
        """End the process, if there is one; return how it ended."""
        talk, self._talk = self._talk, None
        if talk is not None:
            talk.close()
            with self._guard:
                self._server.kill(self._pid)
                self._code = self._server.wait(self._pid)
            metrics.add_in_flight(-sum(map(len, self.sent)))
        return self._code


def _told(request: ImageRequest) -> tuple[Any, ...]:
    """Return what a process needs to know; a template's model has no name to import."""
    renderer = request.renderer
    parameters = request.parameters.__getstate__()
    return renderer.name, renderer.version, parameters, request.output


def _fault(stopped: bool, limit_s: float) -> RendererError:
    if stopped:
        return RenderTimeout("MIMEO_RENDER_TIMEOUT_S", limit_s)
    return Undrawable("Drawing was stopped: the engine cannot cope with it.")


def _draw_all(
    catalogue: Catalogue, isolation: Sandbox, nice: int, talk: socket.socket
) -> None:
    """Draw what comes, in a process of its own, until the other end is closed."""
    isolation.leave_to_parent()
    os.nice(nice)
    talk.settimeout(None)
    while True:
        try:
            told = pickle.loads(receive(talk))
        except ConnectionError:
            return
        send(talk, pickle.dumps([_answer(catalogue, *each) for each in told]))


def _answer(
    catalogue: Catalogue, name: str, version: str, state: Any, output: Output
) -> tuple[tuple[Any, ...] | BaseException, str, float]:
    """Return the members of an Encoded, its digest, and seconds of a processor.

    In place of the members is what was raised.
    """
    started = time.thread_time()
    sha256 = ""
    answer: tuple[Any, ...] | BaseException
    try:
        renderer = catalogue.get(name)
        if renderer.version != version:
            # Its files have changed, and one of the two has not looked again yet.
            raise LeftToParent
        parameters = renderer.parameters.__new__(renderer.parameters)
        parameters.__setstate__(state)
        made = produce(renderer, parameters, output)
        sha256 = hashlib.sha256(made.data).hexdigest()
        # Plain: pickle takes five times as long for a dataclass.
        answer = tuple(getattr(made, each.name) for each in fields(made))
    except BaseException as error:
        answer = error
        if not isinstance(error, (RendererError, LeftToParent)):
            # The traceback stays here: nobody else can write it.
            _LOG.exception("an image of a collection could not be drawn")
        try:
            pickle.loads(pickle.dumps(error))
        except Exception:
            answer = RuntimeError(repr(error))
    return answer, sha256, time.thread_time() - started
