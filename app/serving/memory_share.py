"""Whether a worker has outgrown its share of memory and is to be replaced."""

import re
import resource
import time
from collections.abc import Callable
from pathlib import Path

_ROLLUP = Path("/proc/self/smaps_rollup")
_STATM = Path("/proc/self/statm")
_PRIVATE = re.compile(r"^Private_(?:Clean|Dirty): +(\d+) kB$", re.MULTILINE)
# A worker that is never idle ends all the same when it has had a quarter more than its
# share for so many looks: the kernel would end it with all that it has in hand.
_FAR_OVER = 5 / 4
_PATIENT_LOOKS = 12


class MemoryShare:
    """Looks, every `every_s`, at what this process holds for itself alone.

    `trim` gives back what is free. Not before the process is `young_s` old: a share
    that is too small for any worker must not keep the server starting them. Knows
    nothing where there is no Linux.
    """

    def __init__(
        self,
        most_bytes: int,
        trim: Callable[[], object],
        every_s: float = 5.0,
        young_s: float = 60.0,
    ) -> None:
        self.most_bytes = most_bytes
        self._trim = trim
        self._every_s = every_s
        self._next = time.monotonic() + young_s
        self._far_over = 0

    def is_outgrown(self, *, idle: bool) -> bool:
        """Tell whether to replace the worker now; `idle` is one with nothing in hand.

        What is merely free goes back to the system first.
        """
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + self._every_s
        if private_bytes(self.most_bytes) <= self.most_bytes:
            self._far_over = 0
            return False
        self._trim()
        held = private_bytes()
        self._far_over = self._far_over + 1 if held > self.most_bytes * _FAR_OVER else 0
        over_for_long = self._far_over >= _PATIENT_LOOKS
        return held > self.most_bytes and (idle or over_for_long)


def private_bytes(least: int = 0) -> int:
    """Return what this process shares with no other; 0 where that is not known.

    Also where all together is not more than `least`, which is known sooner.
    """
    try:
        resident = int(_STATM.read_text().split()[1]) * resource.getpagesize()
        if resident <= least:
            return 0
        return sum(map(int, _PRIVATE.findall(_ROLLUP.read_text()))) << 10
    except OSError:
        return 0
