"""One upload of any kind to one draft: the way in."""

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from types import MappingProxyType

from app.collection.errors import BadRows, RowFault, Unreadable
from app.collection.ingest.json import JsonDocument, spool
from app.collection.ingest.multipart import Files, read_multipart
from app.collection.ingest.shared import from_members, from_pairs
from app.collection.ingest.table import (
    Columns,
    Stream,
    TableRow,
    read_csv,
    read_ndjson,
)
from app.collection.ingest.validate import RowValidator
from app.collection.ingest.writer import Draft
from app.config import Settings
from app.parsing.image import BadBody, BodyTooLarge, UnsupportedBody
from app.renderer.catalogue import Catalogue
from app.renderer.errors import BadParameter, Fault

Pairs = Sequence[tuple[str, str]]
_FORM = "application/x-www-form-urlencoded"
_UTF8 = ("", "utf-8", "utf8", "us-ascii")


def read_upload(
    stream: Stream,
    content_type: str,
    pairs: Pairs,
    catalogue: Catalogue,
    bounds: Settings,
    expected: int | None = None,
) -> Draft:
    """Read an upload row by row; whoever gets the draft closes it.

    `pairs` are those of the query, `expected` the number of bytes that are to come, if
    that is known. Raises BadRows, BadBody, BodyTooLarge, UnsupportedBody,
    LimitExceeded, BadParameter, UnknownRenderer, and what reading the stream raises.
    """
    mimetype = content_type.partition(";")[0].strip().lower()
    if mimetype == _FORM:
        raise UnsupportedBody(
            f"A collection is no {_FORM}, which curl sends by default: send"
            " -H 'Content-Type: text/csv', or what else the body is."
        )
    if mimetype not in READERS:
        known = ", ".join(READERS)
        named = mimetype or "no type"
        raise UnsupportedBody(f"A collection is one of {known}, not {named}.")
    for part in content_type.split(";")[1:]:
        name, _, value = part.partition("=")
        charset = value.strip().strip('"').lower()
        # A text that says it is not UTF-8 would be read wrongly.
        if name.strip().lower() == "charset" and charset not in _UTF8:
            raise UnsupportedBody(f"{mimetype} must be UTF-8: save it as CSV UTF-8.")
    most = bounds.max_collection_bytes
    # Said before it is sent, so nothing of it need be read.
    if expected is not None and expected > most:
        raise BodyTooLarge("MIMEO_MAX_COLLECTION_BYTES", most)
    bounded = _Bounded(stream, expected, most)
    try:
        return READERS[mimetype](bounded, content_type, pairs, catalogue, bounds)
    except Unreadable as error:
        fault = RowFault(None, error.line, "", error.reason)
        raise BadRows((fault,)) from error


def _table(
    read: Callable[[Stream, Columns, int], Iterator[TableRow]],
    stream: Stream,
    content_type: str,
    pairs: Pairs,
    catalogue: Catalogue,
    bounds: Settings,
    files: Files | None = None,
) -> Draft:
    """Read rows; the query, and text fields beside them, have the rest."""
    shared = from_pairs(pairs, catalogue, bounds, files.places if files else ())
    rows = read(stream, shared.columns, bounds.max_body_bytes)
    return RowValidator(shared, catalogue, bounds, files).take(rows)


def _json(
    stream: Stream,
    content_type: str,
    pairs: Pairs,
    catalogue: Catalogue,
    bounds: Settings,
) -> Draft:
    """Read one object that has all; the query has nothing."""
    if pairs:
        reason = "belongs into the body, which is JSON"
        raise BadParameter(*(Fault(name, reason) for name, _ in pairs))
    # To a file, because the members that hold for all items may follow them.
    with tempfile.TemporaryFile("w+b") as file:
        spool(stream, file)
        document = JsonDocument(file, bounds)
        shared = from_members(document.members, catalogue, bounds)
        return RowValidator(shared, catalogue, bounds).take(document.rows())


def _multipart(
    stream: Stream,
    content_type: str,
    pairs: Pairs,
    catalogue: Catalogue,
    bounds: Settings,
) -> Draft:
    """Read a table or lines with the images that they refer to."""
    # To a file, because the images may follow the rows.
    with tempfile.TemporaryFile("w+b") as file:
        sent = read_multipart(stream, content_type, file, bounds)
        read = _ndjson if sent.is_ndjson else _csv
        given = [*pairs, *sent.pairs]
        return read(sent.rows, content_type, given, catalogue, bounds, sent.files)


_csv = partial(_table, read_csv)
_ndjson = partial(_table, read_ndjson)
# What each media type is read by; NDJSON has no registered one, so three are in use.
READERS: Mapping[str, Callable[[Stream, str, Pairs, Catalogue, Settings], Draft]] = (
    MappingProxyType(
        {
            "application/json": _json,
            "application/x-ndjson": _ndjson,
            "application/ndjson": _ndjson,
            "application/jsonl": _ndjson,
            "text/csv": _csv,
            "text/tab-separated-values": _csv,
            "multipart/form-data": _multipart,
        }
    )
)


class _Bounded:
    """Hands a body on; raises where it has too many bytes, or fewer than it said."""

    def __init__(self, stream: Stream, expected: int | None, most: int) -> None:
        self._stream = stream
        self._expected = expected
        self._most = most
        self._taken = 0

    def read(self, size: int, /) -> bytes:
        data = self._stream.read(size)
        self._taken += len(data)
        if self._taken > self._most:
            raise BodyTooLarge("MIMEO_MAX_COLLECTION_BYTES", self._most)
        if size and not data and self._expected not in (None, self._taken):
            raise BadBody(f"The body ended after {self._taken:,} bytes.")
        return data
