"""Tells linear from quadratic time by a ratio, so that a slow machine cannot lie."""

import gc
import time
from collections.abc import Callable

# Eight times the input takes 8 times the time where that is linear, 64 where it is
# quadratic; between the two is room for noise.
_MORE = 8
_MOST = 30


def assert_linear(work: Callable[[str], object], piece: str, characters: int) -> None:
    """Fail where `work` takes far more than in proportion for repeated pieces."""
    long = piece * (characters // len(piece))
    short = piece * (characters // len(piece) // _MORE)
    ratio = _best(work, long) / _best(work, short)
    assert ratio < _MOST, f"{_MORE} times the input took {ratio:.0f} times the time"


def _best(work: Callable[[str], object], text: str) -> float:
    times = []
    # What else this process holds is not walked through for the objects of a long text.
    gc.disable()
    try:
        for _ in range(5):
            started = time.process_time()
            work(text)
            times.append(time.process_time() - started)
    finally:
        gc.enable()
    return max(min(times), 1e-4)
