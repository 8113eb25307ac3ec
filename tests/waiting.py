"""Wait for what other threads do."""

import time
from collections.abc import Callable


def wait_until(true: Callable[[], bool], seconds: float = 10) -> None:
    """Return when it is true; fail after some seconds."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.001)
