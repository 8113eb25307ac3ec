"""Time, as robust as it can be beside other work."""

import time
from collections.abc import Callable


def quickest(call: Callable[[], object], repeats: int) -> float:
    """Return the processor's seconds of the quickest of some calls."""
    seconds = []
    for _ in range(repeats):
        start = time.process_time()
        call()
        seconds.append(time.process_time() - start)
    return min(seconds)
