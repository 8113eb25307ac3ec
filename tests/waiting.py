"""Wait for what other threads do."""

import time
from collections.abc import Callable


def wait_until(true: Callable[[], bool]) -> None:
    """Return when it is true; fail after ten seconds."""
    end = time.monotonic() + 10
    while not true():
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.001)
