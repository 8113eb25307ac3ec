"""A process without threads that forks others.

Forked early from a worker it has fonts and code in memory already, and shares the pages
with whatever it forks; from a process that has threads it is started anew, because a
thread that holds a lock is not there to release it after a fork.
"""

import ctypes
import os
import select
import signal
import socket
import struct
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
_FORK, _KILL = b"f", b"k"
_PID = struct.Struct("q")
# Of a process, whether it has ended, and with which code.
_TOLD = struct.Struct("q?q")
_PROGRAM = (
    "import sys; sys.path[:] = {path!r};"
    " from app.renderer.sandbox.fork_server import serve_descriptor;"
    " serve_descriptor({descriptor}, {module!r}, {name!r}, {preload!r}, {late!r})"
)
Work = Callable[[socket.socket], None]


class ForkServer:
    """Forks processes that run `work`, a function of a module, on a socket.

    `preload` names the module that the work needs, `late` those that are imported when
    the first process is asked for, so that no other has to. Used by one thread at a
    time, and by the process that made it alone. Without `preload` the work need be no
    function of a module, and whoever makes the server has one thread only.
    """

    def __init__(
        self, work: Work, preload: str | None = None, late: tuple[str, ...] = ()
    ) -> None:
        self._ended: dict[int, int] = {}
        self._control, theirs = socket.socketpair()
        with closing(theirs):
            if preload is None or is_single():
                self._pid = _fork(work, theirs, late)
            else:
                self._pid = _start(work, theirs, preload, late)

    def fork(self) -> tuple[int, socket.socket]:
        """Fork a process; return its id, and the other end of its work's socket.

        Raises OSError where this server has ended.
        """
        ours, theirs = socket.socketpair()
        with closing(theirs):
            try:
                socket.send_fds(self._control, [_FORK], [theirs.fileno()])
                while True:
                    pid, ended, code = self._hear()
                    if not ended:
                        return pid, ours
                    self._ended[pid] = code
            except OSError:
                ours.close()
                raise

    def kill(self, pid: int) -> None:
        """Kill a process, if it has not ended."""
        # By its parent: to anybody else the id may be of another process by now.
        with suppress(OSError):
            self._control.sendall(_KILL + _PID.pack(pid))

    def wait(self, pid: int) -> int:
        """Return how a process ended, as `os.waitstatus_to_exitcode` says it."""
        try:
            while pid not in self._ended:
                other, _, code = self._hear()
                self._ended[other] = code
        except OSError:
            # The server is gone, and its processes have gone with it.
            return -signal.SIGKILL
        return self._ended.pop(pid)

    def _hear(self) -> tuple[int, bool, int]:
        return _TOLD.unpack(_receive(self._control, _TOLD.size))

    def close(self) -> None:
        """End the server, and the processes that it has forked."""
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


def _fork(work: Work, control: socket.socket, late: tuple[str, ...]) -> int:
    allocator.settle()
    pid = os.fork()
    if pid == 0:
        _serve(work, control, late)
    return pid


def _start(
    work: Work, control: socket.socket, preload: str, late: tuple[str, ...]
) -> int:
    number = control.fileno()
    program = _PROGRAM.format(
        path=sys.path,
        descriptor=number,
        module=work.__module__,
        name=work.__name__,
        preload=preload,
        late=late,
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.DEVNULL, pass_fds=[number]
    )
    # Waited for by `close`; the object would warn that nobody has.
    process.returncode = 0
    return process.pid


def serve_descriptor(
    descriptor: int, module: str, name: str, preload: str, late: tuple[str, ...]
) -> None:
    """Serve on an inherited socket, in a process that was started for it."""
    import_module(preload)
    work: Work = getattr(import_module(module), name)
    allocator.settle()
    _serve(work, socket.socket(fileno=descriptor), late)


def _serve(work: Work, control: socket.socket, late: tuple[str, ...]) -> None:
    """Fork when asked, until the other end is closed; never return."""
    try:
        _forget(control)
        woken, waker = os.pipe()
        for end in (woken, waker):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        children: set[int] = set()
        while True:
            ready, _, _ = select.select([control.fileno(), woken], [], [])
            if woken in ready:
                os.read(woken, 4096)
                _reap(children, control)
            if control.fileno() in ready:
                # A plain read would drop the descriptor that comes along.
                data, given, _, _ = socket.recv_fds(control, 1, 1)
                if not data:
                    break
                if data == _KILL:
                    (child,) = _PID.unpack(_receive(control, _PID.size))
                    if child in children:
                        os.kill(child, signal.SIGKILL)
                    continue
                for each in late:
                    import_module(each)
                child = os.fork()
                if child == 0:
                    signal.set_wakeup_fd(-1)
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    for end in (woken, waker, control.detach()):
                        os.close(end)
                    _work(work, given[0])
                os.close(given[0])
                children.add(child)
                control.sendall(_TOLD.pack(child, False, 0))
        for child in children:
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


def _reap(children: set[int], control: socket.socket) -> None:
    """Tell the other end of the children that have ended, and how."""
    for child in tuple(children):
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            children.remove(child)
            with suppress(OSError):
                code = os.waitstatus_to_exitcode(status)
                control.sendall(_TOLD.pack(child, True, code))


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


def _receive(of: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = of.recv(count - len(data))
        if not more:
            raise ConnectionError("the fork server has ended")
        data += more
    return data
