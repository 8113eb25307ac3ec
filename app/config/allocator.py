"""Tell the C library to keep the memory that pictures are made in."""

import ctypes
import sys

# From glibc's malloc.h.
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8
_MIB = 1 << 20
# Releases before 2.35 refuse more than 32 MiB.
_MMAP_THRESHOLDS = (64 * _MIB, 32 * _MIB)


def tune() -> bool:
    """Keep freed buffers of up to 64 MiB for reuse; return whether it was possible.

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
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    kept = any(mallopt(_M_MMAP_THRESHOLD, size) for size in _MMAP_THRESHOLDS)
    return bool(
        kept and mallopt(_M_TRIM_THRESHOLD, 256 * _MIB) and mallopt(_M_ARENA_MAX, 2)
    )
