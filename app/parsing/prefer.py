"""What a client would rather have: the Prefer header (RFC 7240)."""

import re
from collections.abc import Iterable
from typing import NamedTuple

# RFC 7240, section 2: a preference, its value, and parameters that none here has.
_QUOTED = r'"(?:[^"\\]|\\.)*"'
_PREFERENCE = re.compile(
    rf"\s*([^\s=;,\"]+)\s*(?:=\s*({_QUOTED}|[^\s;,\"]*))?\s*"
    rf"(?:;(?:{_QUOTED}|[^,\"])*)?(?:,|\Z)"
)
# What is wrong with a webhook where no job is made.
FOR_A_JOB = "is for a job, which a POST with the header Prefer: respond-async makes"
# No client waits as long, and more digits are no number of seconds.
_SECONDS = re.compile(r"[0-9]{1,6}")


class Preference(NamedTuple):
    """Whether to answer before the work is done, and how long to wait for that."""

    respond_async: bool = False
    wait_s: int | None = None


def read_prefer(values: Iterable[str]) -> Preference:
    """Read the lines of a header; what is not known or not clear counts for nothing."""
    found: dict[str, str] = {}
    for name, value in _PREFERENCE.findall(",".join(values)):
        # RFC 7240, section 2: of a preference that comes twice the first counts.
        found.setdefault(name.lower(), value.strip('"'))
    wait = found.get("wait", "")
    seconds = int(wait) if _SECONDS.fullmatch(wait) else None
    return Preference("respond-async" in found, seconds)
