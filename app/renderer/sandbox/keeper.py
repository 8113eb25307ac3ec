"""A program that keeps a browser: begins it with little, and ends all of it.

It waits between the one who asked for the browser and the browser itself, for whichever
ends first, however that ends: then it kills whatever the browser has begun and removes
its folder. It stands alone, as it is run by its path, and needs no package.
"""

import ctypes
import os
import pwd
import resource
import select
import shutil
import signal
import sys
from contextlib import suppress

# Of <linux/prctl.h> and <linux/sched.h>; the standard library has names for them later
# than Python 3.11, or none.
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE = 1, 4
_CLONE_NEWIPC, _CLONE_NEWUSER, _CLONE_NEWNET = 0x08000000, 0x10000000, 0x40000000
# By its documentation the browser reads from the one and writes to the other.
_READS, _WRITES = 3, 4


def keep(
    talk: int, folder: str, user: str, own_network: bool, command: list[str]
) -> None:
    """Run a browser on a socket until it, or whoever holds the other end, ends.

    It runs as `user`, where one is named; with `own_network` in a namespace where there
    is no network, if the system has such.
    """
    woken, waker = os.pipe()
    for end in (woken, waker):
        os.set_blocking(end, False)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # A supervisor that ends all processes at once means the server, which ends us.
        signal.signal(number, signal.SIG_IGN)
    signal.set_wakeup_fd(waker)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    browser = os.fork()
    if browser == 0:
        try:
            _become(talk, folder, user, own_network, command)
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(127)
    looked_at = select.poll()
    looked_at.register(talk, select.POLLRDHUP)
    looked_at.register(woken, select.POLLIN)
    looked_at.poll()
    # At once, it may not have a group of its own yet.
    for kill in (os.kill, os.killpg):
        with suppress(ProcessLookupError):
            kill(browser, signal.SIGKILL)
    os.waitpid(browser, 0)
    shutil.rmtree(folder, ignore_errors=True)


def _become(
    talk: int, folder: str, user: str, own_network: bool, command: list[str]
) -> None:
    """Turn this process, which was forked for it, into the browser."""
    keeper = os.getppid()
    # A group that can be killed, in the session by which its processes are found.
    os.setpgid(0, 0)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    high = os.dup2(talk, max(talk, _WRITES) + 1)
    for place in (_READS, _WRITES):
        os.dup2(high, place)
    os.closerange(_WRITES + 1, os.sysconf("SC_OPEN_MAX"))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if user:
        found = pwd.getpwnam(user)
        os.setgroups([])
        os.setgid(found.pw_gid)
        os.setuid(found.pw_uid)
    libc = ctypes.CDLL(None, use_errno=True)
    if own_network:
        _leave_the_network(libc)
    # After that: a change of user takes it back.
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() == keeper:
        os.chdir(folder)
        os.execv(command[0], command)


def _leave_the_network(libc: ctypes.CDLL) -> None:
    """Enter namespaces of our own, as the same user; stay where that is not allowed."""
    user, group = os.getuid(), os.getgid()
    # Or the maps are root's to write, after a change of user.
    libc.prctl(_PR_SET_DUMPABLE, 1)
    if libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET | _CLONE_NEWIPC) != 0:
        return
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{user} {user} 1"),
        ("gid_map", f"{group} {group} 1"),
    ):
        # Nothing is imported any more, as `open` would: the user may not read it.
        file = os.open(f"/proc/self/{name}", os.O_WRONLY)
        os.write(file, text.encode())
        os.close(file)


if __name__ == "__main__":
    _talk, _folder, _user, _own_network, *_command = sys.argv[1:]
    keep(int(_talk), _folder, _user, _own_network == "yes", _command)
