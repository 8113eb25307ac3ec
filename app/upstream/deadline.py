"""One wall clock for a request, from its acceptance to its last byte."""

import time
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment on the monotonic clock; whatever is tried ends there.

    `total_s` is what was allowed at the start, as errors repeat it.
    """

    at: float
    total_s: float

    @classmethod
    def after(cls, total_s: float) -> "Deadline":
        """Return the deadline that lies `total_s` seconds ahead."""
        return cls(time.monotonic() + total_s, total_s)

    def remaining(self) -> float:
        """Return the seconds left, never less than 0."""
        return max(0.0, self.at - time.monotonic())

    def passed(self) -> bool:
        """Say whether time is up."""
        return time.monotonic() >= self.at

    def within(self, limit_s: float) -> float:
        """Return the seconds that a step of at most `limit_s` may take."""
        return min(limit_s, self.remaining())
