"""Many images in one answer, as generators of bytes: JSON, NDJSON, joined frames.

Each takes a `Bundle` and yields `b""` where the next image is not made yet. What
fails by itself is reported in its place; anything else breaks the answer off.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from app.collection.outcome import Drawn, Failed, Outcome
from app.errors import with_fields
from app.media import to_json

Outcomes = Iterator[Outcome | None]


@with_fields
class ImageFailed(Exception):
    """An image without which the answer cannot be given failed; see the cause."""

    index: int
    error: Exception

    def __str__(self) -> str:
        return f"Image {self.index}: {self.error}"


@dataclass(frozen=True, slots=True)
class Bundle:
    """The images of a collection on their way.

    `describe` says an error as a problem's members. `flaw` is called before an
    image is reported as failed that may be drawn next time: the same URL then no
    longer names the same bytes.
    """

    id: str
    count: int
    outcomes: Outcomes
    describe: Callable[[Exception], Mapping[str, Any]]
    flaw: Callable[[], None]


def reported(bundle: Bundle) -> Outcomes:
    """Yield the outcomes; raise ImageFailed where the very first one failed."""
    first = True
    for outcome in bundle.outcomes:
        if isinstance(outcome, Failed):
            if first:
                raise ImageFailed(outcome.index, outcome.error) from outcome.error
            if outcome.error.transient:
                bundle.flaw()
        first = first and outcome is None
        yield outcome


def drawn(outcomes: Outcomes) -> Iterator[Drawn | None]:
    """Yield what was drawn; raise ImageFailed at the first that was not."""
    for outcome in outcomes:
        if isinstance(outcome, Failed):
            raise ImageFailed(outcome.index, outcome.error) from outcome.error
        yield outcome


def json_text(bundle: Bundle) -> Iterator[bytes]:
    """Yield one JSON object, which is whole only when the last image is."""
    before = b'{"id":"%b","count":%d,"images":[\n' % (bundle.id.encode(), bundle.count)
    failed = 0
    for outcome in reported(bundle):
        if outcome is None:
            yield b""
            continue
        failed += isinstance(outcome, Failed)
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
    last = {"done": True, "count": bundle.count, "failed": failed}
    yield orjson.dumps(last, option=orjson.OPT_APPEND_NEWLINE)


def _object(bundle: Bundle, outcome: Outcome) -> bytes:
    about = {"index": outcome.index, "name": outcome.name}
    if isinstance(outcome, Drawn):
        return to_json(outcome.media, about)
    return orjson.dumps({**about, "error": bundle.describe(outcome.error)})
