"""What is done to the server meanwhile, and which failures each of it excuses."""

import os
import signal
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from types import MappingProxyType
from urllib.parse import urlsplit

from benchmarks.soak.kinds import _table
from benchmarks.soak.stack import Stack

# So long a fault lasts that is a state and not a moment.
STATE_S = 12.0
# A client that wrote to a dead worker hears of it a moment later.
_ECHO_S = 1.0
_HEADS, _BODIES, _READERS = 100, 40, 8
_ROWS = 400


@dataclass(frozen=True, slots=True)
class Window:
    """A fault, from when until when, which outcomes it excuses, and what it said."""

    name: str
    began: float
    ended: float
    excuses: frozenset[str] = frozenset()
    note: str = ""


@dataclass(frozen=True, slots=True)
class Fault:
    """What to do to a stack; returns a note. Some need root."""

    act: Callable[[Stack], str]
    excuses: frozenset[str] = frozenset()
    root: bool = False


def inflict(name: str, stack: Stack) -> Window:
    """Do one of `FAULTS`; a TimeoutError and the like of it are the caller's."""
    fault = FAULTS[name]
    began = time.time()
    if fault.root and not stack.room.own:
        return Window(name, began, began, note="skipped: needs root")
    note = fault.act(stack)
    return Window(name, began, time.time() + _ECHO_S, fault.excuses, note)


def _reload(stack: Stack) -> str:
    stack.backend.reload()
    return ""


def _kill(stack: Stack) -> str:
    worker = stack.backend.workers()[0]
    os.kill(worker, signal.SIGKILL)
    end = time.monotonic() + 30
    while worker in stack.backend.workers() or len(stack.backend.workers()) < 2:
        if time.monotonic() > end:
            raise TimeoutError("no new worker")
        time.sleep(0.02)
    return ""


def _restart(stack: Stack) -> str:
    status = stack.backend.restart()
    if status != 0:
        raise RuntimeError(f"after TERM gunicorn ended with {status}")
    return ""


def _full(stack: Stack) -> str:
    with stack.room.full():
        time.sleep(STATE_S)
    return ""


def _read_only(stack: Stack) -> str:
    with stack.room.read_only():
        time.sleep(STATE_S)
    return ""


def _empty(stack: Stack) -> str:
    count = stack.room.empty()
    time.sleep(STATE_S)
    return f"{count} files deleted"


def _slow_heads(stack: Stack) -> str:
    with _connected(stack.backend.url, _HEADS) as wires:
        for wire in wires:
            wire.sendall(b"GET /images/card.png?title=Slow HTTP/1.1\r\nHost: a\r\nX-H")
        time.sleep(STATE_S)
        return _answers(wires)


def _slow_bodies(stack: Stack) -> str:
    with _connected(stack.backend.url, _BODIES) as wires:
        for wire in wires:
            wire.sendall(
                b"POST /collections?renderer=badge HTTP/1.1\r\nHost: a\r\n"
                b"Content-Type: text/csv\r\nContent-Length: 100000\r\n\r\nname\n"
                + b"A name\n"
                * 7000
            )
        time.sleep(STATE_S)
        return _answers(wires)


def _slow_readers(stack: Stack) -> str:
    body = _table(9, _ROWS)
    ask = (
        b"POST /collections.zip?renderer=badge HTTP/1.1\r\nHost: a\r\n"
        b"Content-Type: text/csv\r\nContent-Length: %d\r\n\r\n" % len(body)
    )
    taken = 0
    half = _READERS // 2
    with (
        _connected(stack.backend.url, half) as direct,
        _connected(stack.front, half) as behind,
    ):
        wires = [*direct, *behind]
        for wire in wires:
            wire.sendall(ask + body)
        end = time.monotonic() + STATE_S
        while time.monotonic() < end:
            for wire in wires:
                with suppress(OSError):
                    taken += len(wire.recv(1024))
            time.sleep(0.2)
    return f"{len(wires)} clients took {taken // 1024} KiB of archives and left"


@contextmanager
def _connected(url: str, count: int) -> Iterator[list[socket.socket]]:
    place = urlsplit(url)
    with ExitStack() as stack:
        wires = []
        for number in range(count):
            wire = socket.create_connection(
                (place.hostname, place.port), 10, (f"127.0.1.{number + 1}", 0)
            )
            # Little room: the kernel must not read for a client that does not.
            wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            wires.append(stack.enter_context(wire))
        yield wires


def _answers(wires: list[socket.socket]) -> str:
    seen: dict[str, int] = {}
    for wire in wires:
        wire.setblocking(False)
        try:
            line = wire.recv(64).partition(b"\r\n")[0].decode("latin-1")
        except OSError:
            line = ""
        status = line[9:12] or "none yet"
        seen[status] = seen.get(status, 0) + 1
    return ", ".join(f"{count} answered {status}" for status, count in seen.items())


FAULTS: Mapping[str, Fault] = MappingProxyType(
    {
        "HUP": Fault(_reload),
        "KILL of a worker": Fault(_kill, frozenset({"away", "broken"})),
        "slow heads": Fault(_slow_heads),
        "TERM and restart": Fault(_restart, frozenset({"away"})),
        "slow bodies": Fault(_slow_bodies),
        "store full": Fault(_full, root=True),
        "slow readers": Fault(_slow_readers),
        "store read-only": Fault(_read_only, root=True),
        "store deleted": Fault(_empty),
    }
)
