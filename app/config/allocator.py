"""Tell the C library to keep the memory that pictures are made in, or to let it go."""

import ctypes
import gc
import sys
from typing import Any

# From glibc's malloc.h.
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8
_MIB = 1 << 20
# Above it the system has a buffer back as soon as it is free: four million pixels.
_MMAP_THRESHOLD = 16 * _MIB


def tune() -> bool:
    """Keep freed buffers of up to 16 MiB for reuse; return whether it was possible.

    One render takes and frees several buffers of 2 to 3 MB. By default glibc maps
    each from the system and gives it back, and the page faults cost more than the
    drawing: 100 conversions of a 1200 x 630 picture took 219,000 page faults and
    0.45 s before, 1 fault and 0.06 s after. Pillow's own block cache
    (`Image.core.set_blocks_max`) made no further difference, so it is left alone.
    Two arenas serve the two drawings that a worker admits at a time; with one for
    each thread, a worker that had drawn everything kept 637 MiB instead of 378
    (benchmarks/memory.py).
    Child processes inherit the setting through a fork. Does nothing where the C
    library is not glibc.
    """
    mallopt = _of_glibc("mallopt")
    if mallopt is None:
        return False
    return bool(
        mallopt(_M_MMAP_THRESHOLD, _MMAP_THRESHOLD)
        and mallopt(_M_TRIM_THRESHOLD, 64 * _MIB)
        and mallopt(_M_ARENA_MAX, 2)
    )


def trim() -> bool:
    """Give the system back what is free; return whether there was anything.

    Takes a millisecond for each 10 MiB. Does nothing where the C library is not glibc.
    """
    malloc_trim = _of_glibc("malloc_trim")
    return malloc_trim is not None and bool(malloc_trim(0))


def settle() -> None:
    """Prepare for a fork: afterwards both processes share as much as they can.

    Free memory would be copied as soon as one of them uses it (40 MiB after fonts are
    registered), and so would each page with an object that is looked at for garbage;
    what is there now stays for good, and is not looked at any more.
    """
    gc.collect()
    trim()
    gc.freeze()


def _of_glibc(name: str) -> Any:
    """Return a function of the C library; None where that is not glibc."""
    if not sys.platform.startswith("linux"):
        return None
    return getattr(ctypes.CDLL(None), name, None)
