"""When the workers of before a reload may stop listening: once others do.

gunicorn starts new workers at HUP and at the same moment stops the old ones. The new
ones take their time to import the app, and until then nobody would listen: requests
would not be lost, but wait in the kernel's queue.
"""

import mmap
import struct

# Shared with all workers, which are forks of the master: the age of the newest worker
# at the last reload, and that of one that listens since. Ages only grow, and whichever
# of two workers writes last, it is newer than those of before.
_SHARED = mmap.mmap(-1, 16)
_AGE = struct.Struct("q")
_RELOADED, _LISTENING = 0, 8


def reloads(newest: int) -> None:
    """Take note, in the master, that workers up to this age are to be replaced."""
    _AGE.pack_into(_SHARED, _RELOADED, newest)


def listens(age: int) -> None:
    """Take note, in a worker of this age, that it listens."""
    _AGE.pack_into(_SHARED, _LISTENING, age)


def is_awaited(age: int) -> bool:
    """Tell whether a worker of this age is replaced by one that does not listen yet."""
    (reloaded,) = _AGE.unpack_from(_SHARED, _RELOADED)
    (listening,) = _AGE.unpack_from(_SHARED, _LISTENING)
    return bool(age <= reloaded and listening <= reloaded)
