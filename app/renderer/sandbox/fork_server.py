"""A process without threads that forks others, one at a time.

Forked early from a worker it has fonts and code in memory already, and shares the pages
with whatever it forks; from a process that has threads it is started anew, because a
thread that holds a lock is not there to release it after a fork.
"""

import ctypes
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress
from importlib import import_module
from pathlib import Path

from app.config import allocator

# Of <linux/prctl.h>; the standard library has no name for it.
_PR_SET_PDEATHSIG = 1
_NUMBER_BYTES = 8
_FORK, _KILL = b"f", b"k"
_PROGRAM = (
    "import sys; sys.path[:] = {path!r};"
    " from app.renderer.sandbox.fork_server import serve_descriptor;"
    " serve_descriptor({descriptor}, {module!r}, {name!r}, {preload!r})"
)
Work = Callable[[socket.socket], None]


class ForkServer:
    """Forks processes that run `work`, a function of a module, on a socket.

    One at a time: `wait` for the end of one before the next. `preload` names the module
    that the work needs. Used by one thread at a time, and by the process that made it
    alone.
    """

    def __init__(self, work: Work, preload: str) -> None:
        self._control, theirs = socket.socketpair()
        with closing(theirs):
            if is_single():
                self._pid = _fork(work, theirs)
            else:
                self._pid = _start(work, theirs, preload)

    def fork(self) -> socket.socket:
        """Fork a process; return the other end of the socket that its work gets.

        Raises OSError where this server has ended.
        """
        ours, theirs = socket.socketpair()
        with closing(theirs):
            try:
                socket.send_fds(self._control, [_FORK], [theirs.fileno()])
                return ours
            except OSError:
                ours.close()
                raise

    def kill(self) -> None:
        """Kill the process, if it has not ended."""
        # By its parent: to anybody else the id may be of another process by now.
        with suppress(OSError):
            self._control.sendall(_KILL)

    def wait(self) -> int:
        """Return how the process ended, as `os.waitstatus_to_exitcode` says it."""
        try:
            return _receive_number(self._control)
        except OSError:
            # The server is gone, and its process has gone with it.
            return -signal.SIGKILL

    def close(self) -> None:
        """End the server, and the process that it has forked."""
        self._control.close()
        with suppress(ChildProcessError):
            os.waitpid(self._pid, 0)


def is_single() -> bool:
    """Tell whether this process has one thread only, those of native code counted."""
    tasks = Path("/proc/self/task")
    for _ in range(10):
        native = len(list(tasks.iterdir())) if tasks.is_dir() else 1
        if native == threading.active_count() == 1:
            return True
        if threading.active_count() > 1:
            return False
        # A thread that was joined is gone from there a little later.
        time.sleep(0.005)
    return False


def die_with_parent() -> None:
    """Have the kernel kill this process when the thread that forked it ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _fork(work: Work, control: socket.socket) -> int:
    allocator.settle()
    pid = os.fork()
    if pid == 0:
        _serve(work, control)
    return pid


def _start(work: Work, control: socket.socket, preload: str) -> int:
    number = control.fileno()
    program = _PROGRAM.format(
        path=sys.path,
        descriptor=number,
        module=work.__module__,
        name=work.__name__,
        preload=preload,
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.DEVNULL, pass_fds=[number]
    )
    # Waited for by `close`; the object would warn that nobody has.
    process.returncode = 0
    return process.pid


def serve_descriptor(descriptor: int, module: str, name: str, preload: str) -> None:
    """Serve on an inherited socket, in a process that was started for it."""
    import_module(preload)
    work: Work = getattr(import_module(module), name)
    allocator.settle()
    _serve(work, socket.socket(fileno=descriptor))


def _serve(work: Work, control: socket.socket) -> None:
    """Fork when asked, until the other end is closed; never return."""
    try:
        _forget(control)
        woken, waker = os.pipe()
        for end in (woken, waker):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        child = 0
        while True:
            ready, _, _ = select.select([control.fileno(), woken], [], [])
            if woken in ready:
                os.read(woken, 4096)
                child = _reap(child, control)
            if control.fileno() in ready:
                # A plain read would drop the descriptor that comes along.
                data, given, _, _ = socket.recv_fds(control, 1, 1)
                if data == _KILL and child:
                    os.kill(child, signal.SIGKILL)
                if data == _KILL:
                    continue
                if not data:
                    break
                child = os.fork()
                if child == 0:
                    signal.set_wakeup_fd(-1)
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    for end in (woken, waker, control.detach()):
                        os.close(end)
                    _work(work, given[0])
                os.close(given[0])
        if child:
            os.kill(child, signal.SIGKILL)
    finally:
        os._exit(0)


def _work(work: Work, descriptor: int) -> None:
    """Run the work in the forked process, and end it."""
    code = 1
    try:
        die_with_parent()
        work(socket.socket(fileno=descriptor))
        code = 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
        with suppress(OSError, ValueError):
            sys.stderr.flush()
    finally:
        os._exit(code)


def _reap(child: int, control: socket.socket) -> int:
    """Tell the other end how the child ended, if it has; return it if it has not."""
    if not child:
        return 0
    pid, status = os.waitpid(child, os.WNOHANG)
    if pid == 0:
        return child
    with suppress(OSError):
        _send_number(control, os.waitstatus_to_exitcode(status))
    return 0


def _forget(control: socket.socket) -> None:
    """Let go of the sockets, files and signals of the process copied here."""
    for number in range(1, signal.NSIG):
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.SIG_DFL)
    # Ctrl-C is sent to all; the one who started this decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.set_wakeup_fd(-1)
    kept = control.fileno()
    os.closerange(3, kept)
    os.closerange(kept + 1, os.sysconf("SC_OPEN_MAX"))
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)


def _send_number(to: socket.socket, number: int) -> None:
    to.sendall(number.to_bytes(_NUMBER_BYTES, signed=True))


def _receive_number(of: socket.socket) -> int:
    data = b""
    while len(data) < _NUMBER_BYTES:
        more = of.recv(_NUMBER_BYTES - len(data))
        if not more:
            raise ConnectionError("the fork server has ended")
        data += more
    return int.from_bytes(data, signed=True)
