"""One upload of any kind to one draft: the way in."""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from app.collection.errors import BadRows, RowFault, Unreadable
from app.collection.ingest.csv import read_csv
from app.collection.ingest.files import Files
from app.collection.ingest.json import JsonDocument, spool
from app.collection.ingest.multipart import read_multipart
from app.collection.ingest.ndjson import Stream, read_ndjson
from app.collection.ingest.shared import from_members, from_pairs
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
    read = READERS.get(mimetype)
    if read is None:
        raise UnsupportedBody(_unsupported(mimetype))
    _check_charset(content_type, mimetype)
    bounded = _Bounded(stream, expected, bounds.max_collection_bytes)
    try:
        return read(bounded, content_type, pairs, catalogue, bounds)
    except Unreadable as error:
        fault = RowFault(None, error.line, "", error.reason)
        raise BadRows((fault,)) from error


def _csv(
    stream: Stream,
    content_type: str,
    pairs: Pairs,
    catalogue: Catalogue,
    bounds: Settings,
    files: Files | None = None,
) -> Draft:
    """Read a table; the query, and text fields beside it, have the rest."""
    terms = from_pairs(pairs, catalogue, bounds, files.names if files else ())
    rows = read_csv(stream, terms.columns, bounds.max_body_bytes)
    return RowValidator(terms, catalogue, bounds, files).take(rows)


def _ndjson(
    stream: Stream,
    content_type: str,
    pairs: Pairs,
    catalogue: Catalogue,
    bounds: Settings,
    files: Files | None = None,
) -> Draft:
    """Read an object a line; the query, and text fields beside it, have the rest."""
    if any(name == "ignore" for name, _ in pairs):
        raise BadParameter(Fault("ignore", "is for tables, which have columns"))
    terms = from_pairs(pairs, catalogue, bounds, files.names if files else ())
    rows = read_ndjson(stream, bounds.max_body_bytes)
    return RowValidator(terms, catalogue, bounds, files).take(rows)


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
    with tempfile.TemporaryFile("w+b") as file:
        spool(stream, file)
        document = JsonDocument(file, bounds)
        terms = from_members(document.members, catalogue, bounds)
        return RowValidator(terms, catalogue, bounds).take(document.rows())


def _multipart(
    stream: Stream,
    content_type: str,
    pairs: Pairs,
    catalogue: Catalogue,
    bounds: Settings,
) -> Draft:
    """Read a table or lines with the images that they refer to."""
    with tempfile.TemporaryFile("w+b") as file:
        sent = read_multipart(stream, content_type, file, bounds)
        read = _ndjson if sent.is_ndjson else _csv
        given = [*pairs, *sent.pairs]
        return read(sent.rows, content_type, given, catalogue, bounds, sent.files)


# What each media type is read by.
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
        self._check(expected or 0)

    def read(self, size: int, /) -> bytes:
        data = self._stream.read(size)
        self._taken += len(data)
        self._check(self._taken)
        if size and not data and self._expected not in (None, self._taken):
            raise BadBody(f"The body ended after {self._taken:,} bytes.")
        return data

    def _check(self, size: int) -> None:
        if size > self._most:
            raise BodyTooLarge("MIMEO_MAX_COLLECTION_BYTES", self._most)


def _check_charset(content_type: str, mimetype: str) -> None:
    """Refuse a text that says it is not UTF-8: it would be read wrongly."""
    for part in content_type.split(";")[1:]:
        name, _, value = part.partition("=")
        charset = value.strip().strip('"').lower()
        if name.strip().lower() == "charset" and charset not in _UTF8:
            raise UnsupportedBody(f"{mimetype} must be UTF-8: save it as CSV UTF-8.")


def _unsupported(mimetype: str) -> str:
    if mimetype == _FORM:
        return (
            f"A collection is no {_FORM}, which curl sends by default: send"
            " -H 'Content-Type: text/csv', or what else the body is."
        )
    known = ", ".join(READERS)
    return f"A collection is one of {known}, not {mimetype or 'no type'}."
