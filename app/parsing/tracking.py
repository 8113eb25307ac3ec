"""What mailers, networks and scripts append to a URL that somebody else wrote.

None of it says what is to be seen: names of campaigns and clicks, random numbers
against caches, versions. A link with it is still the link that was sent out, so it is
passed over, and the answer says what was.
"""

import re
from collections.abc import Container, Iterable
from functools import lru_cache

FINGERPRINT = re.compile(r"[0-9a-f]{64}\Z")

# Names under which scripts put the time or Math.random() against caches.
_BUSTERS = frozenset({"t", "ts", "time", "timestamp", "r", "rand", "random"})
_MOMENT = re.compile(r"[0-9]{10,16}|0\.[0-9]+")

Pair = tuple[str, str]


def part(
    pairs: Iterable[Pair], own: Container[str], tracking: tuple[str, ...]
) -> tuple[list[Pair], tuple[str, ...]]:
    """Part the values of a query from the names in it that count for nothing.

    Those are the `tracking` names (`utm_*` is a beginning), a number without a value,
    a `t`, `ts` or the like whose value is the time or Math.random(), and a `v` that is
    no fingerprint, unless they are the receiver's `own`. A name that is escaped for
    HTML (`&amp;name=`) is what it was before.
    """
    kept: list[Pair] = []
    ignored: dict[str, None] = {}
    for written, value in pairs:
        name = written if written in own else written.removeprefix("amp;")
        if name not in own and counts_for_nothing(name, value, tracking):
            ignored[name] = None
        else:
            kept.append((name, value))
    return kept, tuple(ignored)


def counts_for_nothing(name: str, value: str, tracking: tuple[str, ...]) -> bool:
    """Tell whether a parameter is one that others append to URLs."""
    if name == "v":
        return not FINGERPRINT.match(value)
    if not value and name.isascii() and name.isdigit():
        return True
    if name in _BUSTERS and _MOMENT.fullmatch(value):
        return True
    return _pattern(tracking).fullmatch(name) is not None


@lru_cache(8)
def _pattern(tracking: tuple[str, ...]) -> re.Pattern[str]:
    names = (re.escape(name).replace(r"\*", ".*") for name in tracking)
    # Without a name nothing matches.
    return re.compile("|".join(names) or "(?!)", re.I | re.S)
