"""Time, as robust as it can be beside other work."""

import time
from collections.abc import Callable


def quickest(call: Callable[[], object], repeats: int) -> float:
    """Return the seconds of the quickest of some calls."""
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return min(seconds)
