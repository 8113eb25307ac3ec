"""Decide what becomes of a conditional or range request: RFC 9110, 13 and 14.

Pure: header values in, a decision out. `precondition` needs no more than the
entity tag, so that 304 and 412 cost no drawing; `select_range` is asked once the
length is known. Any string is a legal argument, and time is linear in it.

No representation here has a date: it is known by its bytes alone. So conditions on
dates do not count (RFC 9110, 13.1.3 and 13.1.4), and a date in If-Range matches none.

This is our own because Werkzeug's `make_conditional` lets a Range outrank
If-None-Match and If-Match, accepts a weak tag in If-Range, answers HEAD with 206, and
refuses suffixes longer than the whole (Werkzeug 3.1).
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple


class Conditions(NamedTuple):
    """The method and the raw header values that a decision depends on."""

    method: str
    if_match: str | None = None
    if_none_match: str | None = None
    if_range: str | None = None
    range: str | None = None

    @classmethod
    def from_environ(cls, environ: Mapping[str, Any]) -> "Conditions":
        """Read the conditions out of a WSGI environment."""
        get = environ.get
        return cls(
            environ["REQUEST_METHOD"],
            get("HTTP_IF_MATCH"),
            get("HTTP_IF_NONE_MATCH"),
            get("HTTP_IF_RANGE"),
            get("HTTP_RANGE"),
        )


class Representation(NamedTuple):
    """What is known of a representation before it is made.

    `etag` is strong and has its quotes. The URL of a `pinned` one names its bytes:
    they never change.
    """

    etag: str
    pinned: bool = False


class Span(NamedTuple):
    """Bytes `start` up to, but without, `stop`; never empty."""

    start: int
    stop: int


class Decision(NamedTuple):
    """The status to answer with, and the bytes to send when it is 206."""

    status: int
    span: Span | None = None


WHOLE = Decision(200)
NOT_MODIFIED = Decision(304)
PRECONDITION_FAILED = Decision(412)
UNSATISFIABLE = Decision(416)

# RFC 9110, 13.2.1: these methods do not select a representation.
_UNCONDITIONAL = frozenset({"CONNECT", "OPTIONS", "TRACE"})
_SAFE = frozenset({"GET", "HEAD"})

# RFC 9110, 8.8.3: a comma is legal inside an entity tag, a space is not.
_TAGS = re.compile(r'(?:^|,)[ \t]*+(W/)?("[\x21\x23-\x7e\x80-\xff]*+")[ \t]*+(?=,|\Z)')
# RFC 9110, 14.2 and 5.6.1.2: one range, among empty list elements.
_SINGLE_RANGE = re.compile(
    r"bytes=[, \t]*+(?:([0-9]++)-([0-9]*+)|-([0-9]++))[, \t]*+\Z", re.ASCII | re.I
)
# Beyond any length; int() refuses a string of more than 4,300 digits.
_FAR = 10**18


def precondition(asked: Conditions, current: Representation) -> Decision | None:
    """Return 304 or 412 where a precondition fails, or None to go on."""
    if asked.method in _UNCONDITIONAL:
        return None
    # RFC 9110, 13.2.2, step 1; 13.1.1: If-Match takes the strong comparison.
    matched = asked.if_match
    if matched is not None and not _lists(matched, current.etag, weakly=False):
        return PRECONDITION_FAILED
    # Step 3; 13.1.2: If-None-Match takes the weak comparison.
    if asked.if_none_match is None:
        return None
    if not _lists(asked.if_none_match, current.etag, weakly=True):
        return None
    # RFC 9110, 13.1.2: 304 to GET and HEAD, 412 to all other methods.
    return NOT_MODIFIED if asked.method in _SAFE else PRECONDITION_FAILED


def select_range(asked: Conditions, current: Representation, length: int) -> Decision:
    """Return 206 with the bytes asked for, 416, or 200 where Range does not count."""
    # RFC 9110, 14.2: Range is defined for GET only.
    if asked.range is None or asked.method != "GET":
        return WHOLE
    # `curl -C -` sends Range alone and would splice the bytes of two pictures.
    if asked.if_range is None and not current.pinned:
        return WHOLE
    # RFC 9110, 13.2.2, step 5; 13.1.5: the strong comparison, of one tag.
    if asked.if_range is not None and asked.if_range != current.etag:
        return WHOLE
    match = _SINGLE_RANGE.match(asked.range)
    # RFC 9110, 14.2: an unknown unit must, an invalid or multiple range may be ignored.
    if match is None:
        return WHOLE
    first, last, suffix = match.groups()
    return _interval(first, last, length) if suffix is None else _tail(suffix, length)


def _lists(header: str, etag: str, *, weakly: bool) -> bool:
    """Tell whether a list of entity tags, or `*`, matches; nothing else ever does."""
    if header == etag or header.strip(" \t") == "*":
        return True
    if etag not in header:
        return False
    found = _TAGS.findall(header)
    return any(tag == etag and (weakly or not weak) for weak, tag in found)


def _interval(first: str, last: str, length: int) -> Decision:
    start = _number(first)
    # RFC 9110, 14.1.2: an end beyond the whole means the end of the whole.
    end = _number(last) if last else max(start, length - 1)
    # RFC 9110, 14.1.1: an end before the start makes the range invalid.
    if end < start:
        return WHOLE
    if start >= length:
        return UNSATISFIABLE
    return Decision(206, Span(start, min(end + 1, length)))


def _tail(suffix: str, length: int) -> Decision:
    wanted = _number(suffix)
    # RFC 9110, 14.1.2: a suffix is satisfiable if its length is not zero.
    if wanted == 0:
        return UNSATISFIABLE
    # Content-Range cannot name zero bytes.
    if length == 0:
        return WHOLE
    return Decision(206, Span(max(length - wanted, 0), length))


def _number(digits: str) -> int:
    significant = digits.lstrip("0")
    return int(significant or "0") if len(significant) < 19 else _FAR
