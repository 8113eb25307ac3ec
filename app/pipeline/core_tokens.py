"""One token for each core, shared by all processes that inherit this module.

Whoever holds one may run a process that draws collections: so all workers of a server
together have no more of them than cores. The kernel gives back what a killed process
held. Imports nothing of Mimeo's, because gunicorn's master loads it before its figures
have a folder.
"""

import fcntl
import os
import tempfile
import threading
from contextlib import suppress


class CoreTokens:
    """So many tokens of this process and those that are forked from it.

    Each is a byte of a file without a name that one process at a time may lock (POSIX
    record locks are of a process, and its forks do not inherit them).
    """

    def __init__(self) -> None:
        self._file, path = tempfile.mkstemp(prefix="mimeo-cores-")
        os.unlink(path)
        self._guard = threading.Lock()
        self._held: set[int] = set()
        self._owner = os.getpid()

    def take(self, most: int) -> int | None:
        """Return a token out of `most`, or None where all are held."""
        with self._guard:
            self._own()
            for token in range(most):
                if token in self._held:
                    continue
                with suppress(OSError):
                    fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, token)
                    self._held.add(token)
                    return token
        return None

    def give_back(self, token: int) -> None:
        """Let another process, or this one, have a token."""
        with self._guard:
            self._own()
            if token in self._held:
                self._held.remove(token)
                fcntl.lockf(self._file, fcntl.LOCK_UN, 1, token)

    def _own(self) -> None:
        """Forget what the process holds that this one was forked from."""
        if self._owner != os.getpid():
            self._owner = os.getpid()
            self._held.clear()


TOKENS = CoreTokens()
