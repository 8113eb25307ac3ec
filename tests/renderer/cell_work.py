"""What the tests of a cell run inside it; a module that a process can import."""

import os
import resource
import signal
import socket
import stat
import sys
import time
from pathlib import Path


class Refused(Exception):
    """An error with two values."""

    def __init__(self, one: str, two: int) -> None:
        super().__init__(one, two)
        self.one, self.two = one, two


_OPEN: list[int] = []


def prepare() -> None:
    """Open what cannot be opened later."""
    if sys.platform == "linux":
        # Left open: nothing else can be opened later.
        _OPEN.append(os.open("/proc/self/smaps_rollup", os.O_RDONLY))


_FOUND: list[bool] = []


def look() -> None:
    """Note whether a module is there before this process imports anything."""
    _FOUND.append("imaplib" in sys.modules)


def found() -> list[bool]:
    """Return what `look` has found."""
    return _FOUND


def fail() -> None:
    """Do not get ready."""
    raise RuntimeError("cannot get ready")


def pid() -> int:
    """Tell which process this is."""
    return os.getpid()


def private_bytes() -> int:
    """Tell how much memory this process shares with no other."""
    text = os.pread(_OPEN[0], 1 << 16, 0).decode()
    lines = [row.split() for row in text.splitlines() if row.startswith("Private_")]
    return sum(int(line[1]) for line in lines) * 1024


def sleep(seconds: float) -> None:
    """Wait in Python."""
    time.sleep(seconds)


def spin() -> None:
    """Hold the GIL where no signal handler runs."""
    sum(range(10**12))


def take(count: int) -> int:
    """Take that much memory."""
    return len(bytearray(count))


def abort() -> None:
    """End as native code does when it runs out of memory."""
    os.kill(os.getpid(), signal.SIGABRT)


def refuse() -> None:
    """Raise an error of ours."""
    raise Refused("a", 1)


def lie(message: bytes) -> None:
    """Send a message of one's own in place of the answer."""
    for descriptor in range(256):
        try:
            is_socket = stat.S_ISSOCK(os.fstat(descriptor).st_mode)
        except OSError:
            continue
        if is_socket:
            os.write(descriptor, message)


def odd() -> object:
    """Return what no answer can have."""
    return {"a": object()}


def doors() -> list[str]:
    """Try every way to a file or a socket; name those that open."""
    ways = {
        "file": lambda: os.open(__file__, os.O_RDONLY),
        "directory": lambda: list(Path("/").iterdir()),
        "socket": socket.socket,
        "pair": socket.socketpair,
        "pipe": os.pipe,
        "copy": lambda: os.dup(1),
        "connection": lambda: socket.create_connection(("127.0.0.1", 9)),
    }
    return [name for name, way in ways.items() if opens(way)]


def opens(way) -> bool:
    """Tell whether a call succeeds."""
    try:
        way()
    except OSError:
        return False
    return True


def core_limit() -> tuple[int, int]:
    """Tell how large a core dump may be."""
    return resource.getrlimit(resource.RLIMIT_CORE)
