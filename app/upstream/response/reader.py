"""The answer of any upstream as images, decided by the bytes and never by a label.

Nothing is held in memory: the body is in a file, base64 is decoded from it to one
other file, and images are regions of the two. Beside the baseline of the process
an answer within its bounds costs under 8 MiB of memory, and a hostile one under 32,
however large they are (`tests/upstream/test_caps.py` asserts both). On disk it costs
its wire bytes about twice, or `max_images` times `max_image_bytes` from a ZIP.
"""

import os
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import IO, Any, BinaryIO, NamedTuple

from app.renderer.probe.base64_stream import OverBytes, Text
from app.renderer.probe.byte_range import BLOCK, Region, whole
from app.renderer.probe.sniff import HEAD, IMAGES, sniff
from app.upstream.errors import BadMedia, TooLarge, UpstreamFiltered, scrub
from app.upstream.response.decode import (
    Found,
    Linked,
    Missing,
    Piece,
    Reading,
)
from app.upstream.response.finish_reason import classify, explain, is_filter
from app.upstream.response.json_images import (
    BOM,
    JsonImage,
    NotJson,
    OverOutline,
    find,
    scan,
    tell,
)
from app.upstream.response.refusal import message, refuse
from app.upstream.service import Service

__all__ = ["Found", "Linked", "Missing", "ServiceAnswer", "read_answer", "read_fetched"]

_BREAK = re.compile(rb"[\r\n]")
_FIELD = b"data:"
# Pings are lines, too: one a second for five hours.
_MOST_LINES = 20_000


class OverLines(ValueError):
    """The stream has more lines than are ever read of an answer."""


def data_lines(stream: Region) -> Iterator[Region]:
    """Yield the content of every `data` line, up to `[DONE]`.

    Services put each event's JSON on one line, so lines are not joined as the
    standard has it (HTML, section 9.2).
    """
    for line in _lines(stream):
        if line.read(0, len(_FIELD)) != _FIELD:
            continue
        content = line.part(len(_FIELD), line.length)
        if content.read(0, 16).strip() == b"[DONE]":
            return
        yield content


def _lines(stream: Region) -> Iterator[Region]:
    start, position, count = 0, 0, 0
    for block in stream.blocks():
        for match in _BREAK.finditer(block):
            end = position + match.start()
            if end > start:
                yield stream.part(start, end)
            start, count = end + 1, count + 1
            if count > _MOST_LINES:
                raise OverLines("it has too many lines")
        position += len(block)
    if stream.length > start:
        yield stream.part(start, stream.length)


_END = 22
_LOCATOR = 20
# `zipfile` makes an object of each entry, so the directory is bounded before.
_MOST_DIRECTORY = 256 << 10


class NotZip(ValueError):
    """The archive is not whole, or of a kind that is not read."""


def extract(archive: Region, target: BinaryIO, most: int) -> Iterator[Region]:
    """Append each member to `target`; yield where it is.

    Descriptions (`.json`, `.txt`) and folders are passed over. Raises NotZip, and
    OverBytes where a member is longer than `most`, whatever its header says.
    """
    _check_end(archive)
    try:
        with archive.open() as reader, zipfile.ZipFile(reader) as members:
            for member in members.infolist():
                if not member.filename.endswith(("/", ".json", ".txt")):
                    with members.open(member) as source:
                        yield _copy(source, target, most)
    # An unknown compression or a password is no BadZipFile.
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise NotZip("the ZIP is damaged") from error
    except RuntimeError as error:
        raise NotZip("the ZIP is encrypted") from error


def _check_end(archive: Region) -> None:
    """Bound the directory by the very record that `zipfile` is going to trust."""
    tail = archive.read(max(0, archive.length - _END - _LOCATOR), _END + _LOCATOR)
    end = tail[-_END:]
    if end[:4] != b"PK\x05\x06" or end[-2:] != b"\0\0":
        raise NotZip("the ZIP is cut off, or ends in a comment")
    if tail[: len(tail) - _END].startswith(b"PK\x06\x07"):
        raise NotZip("the ZIP is of the 64-bit kind")
    if int.from_bytes(end[12:16], "little") > _MOST_DIRECTORY:
        raise NotZip("the ZIP has too many members")


def _copy(source: IO[bytes], target: BinaryIO, most: int) -> Region:
    start, length = target.seek(0, os.SEEK_END), 0
    while block := source.read(BLOCK):
        length += len(block)
        if length > most:
            raise OverBytes(f"a member of the ZIP has over {most:,} bytes")
        target.write(block)
    target.flush()
    return Region(target, start, length)


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
    image = JsonImage(
        seed=int(seed) if is_number else None,
        finish=classify(finish),
        reason=finish or "",
    )
    return [reading.look(reading.body, "binary", image)], ""


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
        for region in extract(reading.body, reading.target, most):
            pieces.append(reading.look(region, "zip"))
            reading.check_count(len(pieces))
    except OverBytes as error:
        raise TooLarge(reading.service.name, "max_image_bytes", most) from error
    except NotZip as error:
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
    pieces = [reading.read_item(item) for item in tell(items, document)]
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


class ServiceAnswer(NamedTuple):
    """What came: `images` in the upstream's order, and a `Missing` for each absent.

    There is at least one image. Those that are `Linked` have to be fetched.
    """

    images: tuple[Found | Linked, ...]
    missing: tuple[Missing, ...]


def read_answer(
    body: BinaryIO,
    decoded: BinaryIO,
    service: Service,
    *,
    status: int,
    content_type: str,
    headers: Mapping[str, str],
    asked: int,
) -> ServiceAnswer:
    """Return the images of an answer, at least one, and say which are missing.

    `body` and `decoded` are real files in which found images live, so the caller
    closes them afterwards; what is base64 or in a ZIP is decoded to the end of the
    second. Positions do not matter. `asked` is how many images were asked for.
    Raises UpstreamFiltered where a filter kept all back, BadMedia where there is none
    for another reason, TooLarge beyond a bound of the service, and the error that a
    status of 400 or above means.
    """
    named = {name.lower(): value for name, value in headers.items()}
    region = whole(body)
    # The bytes decide only below: a page of HTML is an outage under a 502, and under a
    # 200 it is no image.
    if status >= 400:
        raise refuse(service.name, status, named, region)
    _check_body(service, status, region)
    repairs = _repairs(region, content_type)
    reading = Reading(service, region, named, decoded, repairs)
    return _sort(service.name, _read(reading), asked)


def read_fetched(
    body: BinaryIO,
    decoded: BinaryIO,
    linked: Linked,
    service: Service,
    *,
    content_type: str,
) -> Found:
    """Return the one image that was fetched for a link, with what the link knew.

    Raises BadMedia where the body is no image, TooLarge beyond a bound.
    """
    answer = read_answer(
        body,
        decoded,
        replace(service, pointer=None),
        status=200,
        content_type=content_type,
        headers={},
        asked=1,
    )
    image = answer.images[0]
    if len(answer.images) != 1 or not isinstance(image, Found):
        raise BadMedia(service.name, "the address of its image leads to no image")
    return replace(
        image,
        form="url",
        seed=linked.seed,
        finish=linked.finish,
        revised_prompt=linked.revised_prompt,
        repairs=tuple(dict.fromkeys((*linked.repairs, *image.repairs))),
    )


def _check_body(service: Service, status: int, body: Region) -> None:
    upstream = service.name
    # Redirects of services are not followed: the credentials would go along.
    if status >= 300:
        raise BadMedia(upstream, f"it answered {status}")
    if status == 202:
        raise BadMedia(upstream, "the work is not finished (202)")
    if not body.length:
        raise BadMedia(upstream, "the answer is empty")
    if body.length > service.max_wire_bytes:
        raise TooLarge(upstream, "max_wire_bytes", service.max_wire_bytes)


def _read(reading: Reading) -> Pieces:
    kind = sniff(reading.body.read(0, HEAD))
    if kind is None or kind not in READERS:
        raise BadMedia(reading.service.name, f"success, but {kind or 'unknown bytes'}")
    return READERS[kind](reading)


# What says nothing about the bytes cannot be wrong about them.
_NEUTRAL = ("", "application/octet-stream", "binary/octet-stream", "image/*", "*/*")


def _repairs(body: Region, content_type: str) -> tuple[str, ...]:
    """Name what is wrong with the answer as a whole: its label, its first bytes."""
    head = body.read(0, HEAD)
    kind = sniff(head)
    label = content_type.partition(";")[0].strip().lower()
    label = {"image/jpg": "image/jpeg", "text/json": "application/json"}.get(
        label, label
    )
    fits = label in (*_NEUTRAL, kind) or (
        kind == "application/json" and label.endswith("+json")
    )
    bom = ("bom",) if head.startswith(BOM) else ()
    return bom if fits else (*bom, "content-type")


def _sort(upstream: str, found: Pieces, asked: int) -> ServiceAnswer:
    """Part what came from what did not; count as missing what is not even told."""
    pieces, untold = found
    images = tuple(p for p in pieces if not isinstance(p, Missing))
    missing = [p for p in pieces if isinstance(p, Missing)]
    if not images:
        raise _nothing(upstream, missing)
    if (short := asked - len(pieces)) > 0:
        reason = untold or f"only {len(pieces)} of {asked} images came"
        missing += [Missing(reason, is_filter(untold))] * short
    return ServiceAnswer(images, tuple(missing))


def _nothing(upstream: str, missing: list[Missing]) -> UpstreamFiltered | BadMedia:
    filtered = [piece for piece in missing if piece.filtered]
    if filtered:
        return UpstreamFiltered(upstream, filtered[0].reason)
    return BadMedia(upstream, missing[0].reason if missing else "there is no image")
