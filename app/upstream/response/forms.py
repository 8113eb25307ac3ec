"""The forms of an answer, each read to the same pieces; chosen by sniffed type."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from app.upstream.errors import BadMedia, TooLarge, UpstreamFiltered, scrub
from app.upstream.probe.byte_range import Region
from app.upstream.probe.sniff import IMAGES
from app.upstream.response import unzip
from app.upstream.response.base64_stream import OverBytes, Text
from app.upstream.response.decode import Missing, Piece, Reading
from app.upstream.response.finish_reason import classify, explain, is_filter
from app.upstream.response.json_images import Said, find, tell
from app.upstream.response.refusal import message
from app.upstream.response.sse import OverLines, data_lines
from app.upstream.response.streaming_json import BOM, NotJson, OverOutline, scan

_UNFINISHED = frozenset(
    (
        "starting",
        "processing",
        "queued",
        "pending",
        "running",
        "in_progress",
        "in_queue",
    )
)
# Images or their absence in order, and what the answer says of those that are not
# even told of.
Pieces = tuple[list[Piece], str]


def _header(reading: Reading, name: str) -> str | None:
    """Return what Stability says in a header, and Mimeo in one of its own."""
    value = reading.headers.get(name, reading.headers.get(f"x-media-{name}"))
    return value and value.strip()


def read_binary(reading: Reading) -> Pieces:
    """Take the body as it is; seed and finish are in headers."""
    seed = _header(reading, "seed") or ""
    finish = _header(reading, "finish-reason")
    is_number = seed.isascii() and seed.isdigit() and len(seed) < 21
    said = Said(int(seed) if is_number else None, classify(finish), finish or "")
    return [reading.look(reading.body, "binary", said)], ""


def read_text(reading: Reading) -> Pieces:
    """Take the body as base64, a data URI or an address."""
    text = reading.body.read(0, 1024).lower()
    # Base64 may spell a filter's word by chance; a sentence has blanks, too.
    if is_filter(text.decode("utf-8", "replace")) and b" " in text:
        raise UpstreamFiltered(reading.service.name, message(reading.body))
    body = reading.body
    start = len(BOM) if body.read(0, len(BOM)) == BOM else 0
    bare = Text(body.part(start, body.length))
    return [reading.read_bare(bare)], ""


def read_zip(reading: Reading) -> Pieces:
    """Take every member that is no description."""
    pieces = list[Piece]()
    most = reading.service.max_image_bytes
    try:
        for region in unzip.extract(reading.body, reading.target, most):
            pieces.append(reading.look(region, "zip"))
            reading.check_count(len(pieces))
    except OverBytes as error:
        raise TooLarge(reading.service.name, "max_image_bytes", most) from error
    except unzip.NotZip as error:
        raise BadMedia(reading.service.name, str(error)) from error
    return pieces, ""


def read_json(reading: Reading) -> Pieces:
    """Take the images of a JSON document."""
    document = _scan(reading, reading.body)
    if (status := _word(document, "status")) in _UNFINISHED:
        raise BadMedia(reading.service.name, f"the work is not finished ({status})")
    return _read_document(reading, document)


def read_events(reading: Reading) -> Pieces:
    """Take the images of completed events; previews are none."""
    pieces = list[Piece]()
    try:
        for line in data_lines(reading.body):
            event = _scan(reading, line)
            # OpenAI streams previews as events of their own, with a b64_json as well.
            if "partial" not in _word(event, "type"):
                read, _ = _read_document(reading, event)
                pieces += [piece for piece in read if _counts(piece, event)]
                reading.check_count(len(pieces))
    except OverLines as error:
        raise BadMedia(reading.service.name, str(error)) from error
    ended = Missing("the stream ended before an image was complete")
    return pieces or [ended], ""


def _counts(piece: Piece, event: Any) -> bool:
    """Tell an image, or the lack of one, from an event about something else."""
    return not isinstance(piece, Missing) or piece.filtered or _failed(event)


def refuse_page(reading: Reading) -> Pieces:
    """Refuse a page for people, naming its title."""
    raise BadMedia(reading.service.name, f"success, but {message(reading.body)}")


READERS: Mapping[str, Callable[[Reading], Pieces]] = MappingProxyType(
    {
        **dict.fromkeys(IMAGES, read_binary),
        "application/json": read_json,
        "text/event-stream": read_events,
        "text/plain": read_text,
        "application/zip": read_zip,
        "text/html": refuse_page,
    }
)


def _scan(reading: Reading, region: Region) -> Any:
    try:
        return scan(region)
    except OverOutline as error:
        raise BadMedia(
            reading.service.name, f"its JSON cannot be read: {error}"
        ) from error
    except NotJson as error:
        raise BadMedia(reading.service.name, f"its JSON is broken: {error}") from error


def _read_document(reading: Reading, document: Any) -> Pieces:
    items = find(document, reading.service.pointer)
    reading.check_count(len(items))
    said = tell(items, document)
    read = reading.read_item
    pieces = [read(*pair) for pair in zip(items, said, strict=True)]
    if not pieces or all(isinstance(piece, Missing) for piece in pieces):
        pieces = _explained(document, pieces, reading.service.pointer)
    return pieces, _reason(document)


def _explained(document: Any, pieces: list[Piece], pointer: str | None) -> list[Piece]:
    """Say why a document has no image, in its own words where it has some."""
    reason = _reason(document)
    block = document.get("promptFeedback") if isinstance(document, dict) else None
    if isinstance(block, dict) and block.get("blockReason"):
        return [Missing(scrub(str(block["blockReason"])), filtered=True)]
    if reason:
        return [Missing(reason, is_filter(reason))]
    nothing = "its JSON has no image where one is known to be"
    at_pointer = f"nothing is at {pointer}" if pointer else nothing
    return pieces or [Missing(at_pointer)]


def _reason(document: Any) -> str:
    return scrub(explain(document)) if _failed(document) else ""


def _failed(document: Any) -> bool:
    """Tell whether a document is an error, or says that the work failed."""
    if not isinstance(document, dict):
        return False
    failed = _word(document, "status") in ("failed", "error", "canceled", "cancelled")
    keys = ("error", "errors", "detail", "message")
    return failed or any(document.get(key) for key in keys)


def _word(document: Any, key: str) -> str:
    value = document.get(key) if isinstance(document, dict) else None
    return value.lower() if isinstance(value, str) else ""
