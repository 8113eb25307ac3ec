"""Many images in one answer, as generators of bytes: JSON and NDJSON.

Each takes a `Bundle` and yields `b""` where the next image is not made yet. What
fails by itself is reported in its place; anything else breaks the answer off.
"""

from collections.abc import Iterator

import orjson

from app.collection.outcome import Bundle, Drawn, Failed, Outcome, reported
from app.media import to_json


def json_text(bundle: Bundle) -> Iterator[bytes]:
    """Yield one JSON object, which is whole only when the last image is."""
    before = b'{"id":"%b","count":%d,"images":[\n' % (bundle.id.encode(), bundle.count)
    failed = 0
    for outcome in reported(bundle):
        if outcome is None:
            yield b""
            continue
        failed += isinstance(outcome, Failed)
        # The comma stands before: which image is the last is not known yet.
        yield before + _object(bundle, outcome)
        before = b",\n"
    yield b'\n],"failed":%d}\n' % failed


def ndjson(bundle: Bundle) -> Iterator[bytes]:
    """Yield an object a line, and a last one without which lines are missing."""
    failed = 0
    for outcome in reported(bundle):
        if outcome is None:
            yield b""
            continue
        failed += isinstance(outcome, Failed)
        yield _object(bundle, outcome) + b"\n"
    # RFC 9112, 8 tells a cut answer, but few clients do: they see whole lines.
    last = {"done": True, "count": bundle.count, "failed": failed}
    yield orjson.dumps(last, option=orjson.OPT_APPEND_NEWLINE)


def _object(bundle: Bundle, outcome: Outcome) -> bytes:
    about = {"index": outcome.index, "name": outcome.name}
    if isinstance(outcome, Drawn):
        return to_json(outcome.media, about)
    return orjson.dumps({**about, "error": bundle.describe(outcome.error)})
