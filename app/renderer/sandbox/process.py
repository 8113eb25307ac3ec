"""A process that runs functions under bounds and is killed at a deadline.

What a thread does cannot be interrupted; a process can. The one here may map
only so much memory, opens neither file nor socket once it is ready, leaves no
core dump, and never outlives its parent. What it answers is believed no more than
its work is: it is JSON and bytes (`answers`), and no longer than its memory.
"""

import logging
import os
import pickle
import resource
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import MappingProxyType
from typing import Any, TypeVar

from app.errors import with_fields
from app.renderer.sandbox.answers import BadAnswer, Kinds, packed, unpacked
from app.renderer.sandbox.fork_server import ForkServer

_T = TypeVar("_T")

# Seconds that a process may take to get ready, beside the time of its work.
START_S = 60.0
_LENGTH_BYTES = 8
# What of an answer is no data.
_DOCUMENT = 1 << 20
_LOG = logging.getLogger("mimeo.sandbox")


class Expired(Exception):
    """The work was not done at the deadline; its process was killed."""


class NotReady(Exception):
    """The process ended before it was ready to do any work."""


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
    `memory_bytes` counts on top of what the process maps when it is ready. Answers
    may have records and exceptions of these `kinds`. What `prepare` imports of the
    modules `late` is imported once for all processes. May be shared by threads, which
    then take turns; each process that is forked from this one gets a process of its
    own.
    """

    def __init__(
        self,
        prepare: Callable[..., None],
        *arguments: Any,
        memory_bytes: int,
        kinds: Kinds = MappingProxyType({}),
        late: tuple[str, ...] = (),
    ) -> None:
        self._late = late
        self._enter = (prepare, arguments, memory_bytes)
        self._kinds = dict(kinds)
        # What is longer would not have had room where it comes from.
        self._longest = memory_bytes + _DOCUMENT
        self._turn = threading.Lock()
        self._server: ForkServer | None = None
        self._talk: socket.socket | None = None
        self._pid = 0
        self._owner = os.getpid()

    @property
    def pid(self) -> int:
        """The process that was begun last, 0 before there was one."""
        return self._pid

    def fork_early(self) -> None:
        """Make the copy of this process that others are forked from.

        Cheap in memory only while this process has no threads.
        """
        with self._turn:
            self._own()
            self._server = self._server or self._fork_server()

    def run(self, function: Callable[..., _T], *arguments: Any, timeout_s: float) -> _T:
        """Return what the function returns, or raise what it raises.

        Function and arguments are pickled; result and exceptions are not: they are
        what an answer can have. The time counts from the moment the process begins.
        Raises Expired, Died, also where the answer is none, and NotReady.
        """
        order = pickle.dumps((function, arguments))
        with self._turn:
            self._own()
            talk = self._talk or self._begin()
            try:
                send(talk, order)
            except OSError:
                # The process was killed while it had nothing to do.
                self._end()
                talk = self._begin()
                with suppress(OSError):
                    send(talk, order)
            answer = self._answer(talk, timeout_s)
            if isinstance(answer, int):
                raise Died(answer)
            done, result = self._read(answer)
        if not done:
            raise result
        value: _T = result
        return value

    def close(self) -> None:
        """End the process; a later `run` starts another."""
        with self._turn:
            self._own()
            self._end()
            server, self._server = self._server, None
            if server is not None:
                server.close()

    def _own(self) -> None:
        """Forget what belongs to the process that this one was forked from."""
        if self._owner != os.getpid():
            self._server = self._talk = None
            self._owner = os.getpid()

    def _fork_server(self) -> ForkServer:
        return ForkServer(_loop, self._enter[0].__module__, self._late)

    def _begin(self) -> socket.socket:
        self._server = self._server or self._fork_server()
        try:
            self._pid, self._talk = self._server.fork()
        except OSError:
            self._server.close()
            self._server = self._fork_server()
            self._pid, self._talk = self._server.fork()
        with suppress(OSError):
            send(self._talk, pickle.dumps((self._kinds, self._enter)))
        answer = self._answer(self._talk, START_S)
        if isinstance(answer, int):
            raise NotReady(f"the process ended with {answer}")
        done, error = self._read(answer)
        if not done:
            self._end()
            raise NotReady(str(error)) from error
        return self._talk

    def _answer(self, talk: socket.socket, timeout_s: float) -> bytearray | int:
        """Return what the process sends, or how it ended; raise Expired."""
        try:
            return receive(talk, time.monotonic() + timeout_s, self._longest)
        except TimeoutError:
            self._end()
            raise Expired from None
        except OSError:
            return self._end()

    def _read(self, answer: bytearray) -> tuple[bool, Any]:
        """Return whether the work was done, and what came of it.

        Raises Died where the answer is none: its process does not go on.
        """
        try:
            done, result = unpacked(answer, self._kinds)
            if done is True or (done is False and isinstance(result, Exception)):
                return done, result
            raise BadAnswer("it says neither what was done nor what was wrong")
        except (BadAnswer, ValueError, TypeError) as error:
            _LOG.error("an isolated process sent what is no answer: %s", error)
            raise Died(self._end()) from error

    def _end(self) -> int:
        """End the process if there is one; return how it ended."""
        talk, self._talk = self._talk, None
        if talk is None or self._server is None:
            return 0
        talk.close()
        self._server.kill(self._pid)
        return self._server.wait(self._pid)


def send(to: socket.socket, data: bytes) -> None:
    """Send a message; raise OSError where nobody takes it within `START_S`."""
    to.settimeout(START_S)
    to.sendall(len(data).to_bytes(_LENGTH_BYTES))
    to.sendall(data)


def receive(
    of: socket.socket, deadline: float | None = None, longest: int | None = None
) -> bytearray:
    """Return a whole message, of so many bytes at most.

    Raises TimeoutError, and ConnectionError at the end, or where it is longer.
    """
    length = int.from_bytes(_take(of, _LENGTH_BYTES, deadline))
    if longest is not None and length > longest:
        raise ConnectionError(f"a message has {length} bytes, over {longest}")
    return _take(of, length, deadline)


def _take(of: socket.socket, count: int, deadline: float | None) -> bytearray:
    data = bytearray(count)
    view, at = memoryview(data), 0
    while at < count:
        if deadline is not None:
            # Zero would stand for a socket that does not block.
            of.settimeout(max(deadline - time.monotonic(), 1e-6))
        more = of.recv_into(view[at:])
        if not more:
            raise ConnectionError("the other end is closed")
        at += more
    return data


def _loop(talk: socket.socket) -> None:
    """Get ready, then do what comes, until the other end is closed."""
    # Native code does not return to Python for a handler: the default action
    # ends the process at once.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    talk.settimeout(None)
    kinds, enter = pickle.loads(receive(talk))
    _send_outcome(talk, kinds, _get_ready, enter)
    while True:
        try:
            order = receive(talk)
        except ConnectionError:
            return
        function, arguments = pickle.loads(order)
        del order
        _send_outcome(talk, kinds, function, arguments)


def _send_outcome(
    talk: socket.socket,
    kinds: Kinds,
    function: Callable[..., Any],
    arguments: tuple[Any, ...],
) -> None:
    """Run a function, and send what comes of it."""
    try:
        outcome = packed((True, function(*arguments)), kinds)
    except BaseException as error:
        try:
            outcome = packed((False, error), kinds)
        except Exception:
            outcome = packed((False, RuntimeError(repr(error))), kinds)
    send(talk, outcome)
    talk.settimeout(None)


def _get_ready(
    prepare: Callable[..., None], arguments: tuple[Any, ...], memory_bytes: int
) -> None:
    prepare(*arguments)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _bound_memory(memory_bytes)
    _close_the_door()


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
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, free))
