"""When to try again, how often in all, and by when to be done."""

import math
import random
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_FIRST_S = 0.2
_LONGEST_S = 10.0


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that Retry-After asks for (RFC 9110, section 10.2.3).

    A date counts from the sender's own `Date`, where there is one, because clocks
    differ. None where the header is absent or makes no sense.
    """
    text = headers.get("retry-after", "").strip()
    try:
        seconds = float(text)
    except ValueError:
        seconds = _until(text, headers.get("date", ""))
    return seconds if math.isfinite(seconds) and seconds >= 0 else None


def _until(text: str, now: str) -> float:
    moment = _date(text)
    if moment is None:
        return math.nan
    return max(0.0, (moment - (_date(now) or datetime.now(UTC))).total_seconds())


def _date(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def backoff(attempt: int) -> float:
    """Return a pause before attempt 2, 3, ...: doubled each time, half of it by lot."""
    # By lot, because callers that failed together would otherwise come back together.
    longest = min(_LONGEST_S, _FIRST_S * 2.0 ** min(attempt - 1, 10))
    return random.uniform(longest / 2, longest)


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


class Budget:
    """Allows `reserve` retries, and `share` of one more for every call.

    A count of attempts alone multiplies the load of an upstream at the moment it
    has too much; here, retries stay under a tenth of the calls in the long run.
    The reserve is all that is ever saved up.
    """

    def __init__(self, share: float = 0.1, reserve: int = 2) -> None:
        self._share = share
        self._reserve = float(reserve)
        self._tokens = float(reserve)
        self._guard = threading.Lock()

    def earn(self) -> None:
        """Count one call, however many attempts it will take."""
        with self._guard:
            self._tokens = min(self._reserve, self._tokens + self._share)

    def spend(self) -> bool:
        """Take one retry; say whether there was one to take."""
        with self._guard:
            # Ten tenths are a little less than one.
            if self._tokens < 1 - 1e-9:
                return False
            self._tokens -= 1
            return True
