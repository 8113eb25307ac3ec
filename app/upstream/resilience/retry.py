"""When to try again: as the other side says, or a little later each time."""

import math
import random
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_FIRST_S = 0.2


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
    longest = _FIRST_S * 2.0 ** (attempt - 1)
    return random.uniform(longest / 2, longest)
