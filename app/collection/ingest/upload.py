"""One upload of any kind to one draft: the way in."""

import codecs
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from json import detect_encoding
from shutil import copyfileobj
from types import MappingProxyType

from app.collection.errors import BadRows, RowFault, Unreadable
from app.collection.ingest.columns import bind_items, read_table
from app.collection.ingest.csv import InUtf8, read_csv
from app.collection.ingest.json import JsonDocument, spool
from app.collection.ingest.multipart import (
    NDJSON,
    TABLES,
    Files,
    charset_of,
    read_multipart,
)
from app.collection.ingest.preview import Preview
from app.collection.ingest.shared import SharedParameters, from_members, from_pairs
from app.collection.ingest.spreadsheet import read_workbook
from app.collection.ingest.table import Stream, TableRow, Warnings, read_ndjson
from app.collection.ingest.validate import RowValidator
from app.collection.ingest.writer import Draft
from app.config import Settings
from app.parsing.image import BadBody, BodyTooLarge, UnsupportedBody, told_type
from app.renderer.catalogue import Catalogue
from app.renderer.errors import BadParameter, Fault
from app.renderer.probe.sniff import HEAD, sniff

Pairs = Sequence[tuple[str, str]]
# Members of JSON that say how the collection is delivered, which queries say otherwise.
DELIVERY = ("sheet", "webhook")
_FORM = "application/x-www-form-urlencoded"
_BLOCK = 64 << 10


def read_upload(
    stream: Stream,
    content_type: str,
    pairs: Pairs,
    catalogue: Catalogue,
    bounds: Settings,
    expected: int | None = None,
    preview: Preview | None = None,
) -> Draft:
    """Read an upload row by row; whoever gets the draft closes it.

    `pairs` are those of the query, `expected` the number of bytes that are to come, if
    that is known; a `preview` takes note of the worst rows. Raises BadRows, BadBody,
    BodyTooLarge, UnsupportedBody, LimitExceeded, BadParameter, UnknownRenderer, and
    what reading the stream raises.
    """
    # What comes without a type may be examined (RFC 9110, 8.3).
    named = content_type.partition(";")[0].strip().lower()
    mimetype = told_type(named, b"") or _UNNAMED[-1]
    if mimetype == _FORM:
        raise UnsupportedBody(
            f"A collection is no {_FORM}, which curl sends by default: send"
            " -H 'Content-Type: text/csv', or what else the body is."
        )
    if mimetype not in READERS:
        known = ", ".join(READERS)
        raise UnsupportedBody(f"A collection is one of {known}, not {mimetype}.")
    most = bounds.max_collection_bytes
    # Said before it is sent, so nothing of it need be read.
    if expected is not None and expected > most:
        raise BodyTooLarge("MIMEO_MAX_COLLECTION_BYTES", most)
    bounded = _Bounded(stream, expected, most)
    try:
        return READERS[mimetype](
            bounded, content_type, pairs, catalogue, bounds, preview
        )
    except Unreadable as error:
        fault = RowFault(None, error.line, "", error.reason)
        raise BadRows((fault,)) from error


def _table(
    stream: Stream,
    content_type: str,
    pairs: Pairs,
    catalogue: Catalogue,
    bounds: Settings,
    preview: Preview | None,
    files: Files | None = None,
) -> Draft:
    """Read CSV or a workbook, by its first bytes and whatever it is called.

    The query, and text fields beside the table, have the rest.
    """
    shared = from_pairs(pairs, catalogue, bounds, files.places if files else ())
    head = _Head(stream)
    with ExitStack() as stack:
        if head.is_workbook:
            file = stack.enter_context(tempfile.TemporaryFile("w+b"))
            copyfileobj(head, file)
            most = bounds.max_collection_bytes
            records = read_workbook(file, shared.sheet, most, shared.warned)
            stack.enter_context(closing(records))
            rows = read_table(records, shared.columns, shared.warned, preview)
        else:
            head.refuse_what_is_no_table()
            if shared.sheet is not None:
                raise BadParameter(Fault("sheet", "is for workbooks, and this is CSV"))
            charset = charset_of(content_type)
            most = bounds.max_body_bytes
            rows = read_csv(head, shared.columns, most, shared.warned, charset, preview)
        return _taken(rows, shared, catalogue, bounds, preview, files)


def _taken(
    rows: Iterator[TableRow],
    shared: SharedParameters,
    catalogue: Catalogue,
    bounds: Settings,
    preview: Preview | None,
    files: Files | None = None,
) -> Draft:
    """Validate rows; the draft says what was assumed on the way."""
    validator = RowValidator(shared, catalogue, bounds, files, preview)
    try:
        draft = validator.take(rows)
    finally:
        if preview is not None:
            preview.warnings = tuple(shared.warned)
    draft.warnings = tuple(shared.warned)
    return draft


_SAVE = "save it as CSV UTF-8 or .xlsx"
# What is sent for a table, by mistake, under the name of one.
_OTHERS: Mapping[str, str] = MappingProxyType(
    {
        "application/pdf": "a PDF",
        "application/gzip": "packed with gzip: unpack it",
        # Web programs call it .xls, and Excel opens it.
        "text/html": "a web page",
        "application/xml": "XML",
    }
)


# Bytes that tell kinds apart, however few come at a time.
_TELLING = 64


class _Head:
    """A stream whose first bytes were looked at."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._head = b""
        while len(self._head) < _TELLING and (more := stream.read(_BLOCK)):
            self._head += more
        self.charset = detect_encoding(self._head)
        # ZIP and OLE 2: what workbooks are, and what no text begins with.
        self.is_workbook = self._head.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0"))

    @property
    def is_list(self) -> bool:
        """Whether it begins as a list of JSON."""
        return self._head.removeprefix(codecs.BOM_UTF8).lstrip()[:1] == b"["

    def refuse_what_is_no_table(self) -> None:
        """Raise Unreadable where the bytes are of another kind, whatever they claim."""
        head = self._head[:HEAD]
        text = head.removeprefix(codecs.BOM_UTF8).lstrip()
        kind = sniff(head) or ""
        what = "a picture" if kind.startswith("image/") else _OTHERS.get(kind)
        if text[:6].lower() == b"<table":
            what = _OTHERS["text/html"]
        elif text.startswith((b"[{", b'{"')):
            what = "JSON: send it as application/json"
        if what is not None:
            reason = f"the file is no table but {what}"
            raise Unreadable(1, reason if ":" in what else f"{reason}: {_SAVE}")

    def read(self, size: int = _BLOCK, /) -> bytes:
        """Return up to `size` bytes; none at the end."""
        if self._head:
            head, self._head = self._head[:size], self._head[size:]
            return head
        return self._stream.read(size)


def _json_text(stream: Stream) -> Stream:
    """Return JSON in UTF-8, where its first bytes say that it is UTF-16 or UTF-32."""
    head = _Head(stream)
    if head.charset.startswith("utf-8"):
        return head
    return InUtf8(head, head.charset, Warnings())


def _ndjson(
    stream: Stream,
    content_type: str,
    pairs: Pairs,
    catalogue: Catalogue,
    bounds: Settings,
    preview: Preview | None,
    files: Files | None = None,
) -> Draft:
    """Read an object a line; the query, and text fields beside it, have the rest."""
    shared = _shared_of_items(pairs, catalogue, bounds, files)
    rows = read_ndjson(_json_text(stream), bounds.max_body_bytes)
    rows = _bound(rows, shared, preview)
    return _taken(rows, shared, catalogue, bounds, preview, files)


def _shared_of_items(
    pairs: Pairs, catalogue: Catalogue, bounds: Settings, files: Files | None = None
) -> SharedParameters:
    shared = from_pairs(pairs, catalogue, bounds, files.places if files else ())
    if shared.columns.ignored:
        raise BadParameter(Fault("ignore", "is for tables, which have columns"))
    if shared.columns.edits:
        raise BadParameter(Fault("cell", "is for tables, which have cells"))
    if shared.sheet is not None:
        raise BadParameter(Fault("sheet", "is for workbooks, which have sheets"))
    return shared


def _bound(
    rows: Iterator[TableRow], shared: SharedParameters, preview: Preview | None
) -> Iterator[TableRow]:
    if preview is not None:
        rows = preview.see_items(rows)
    columns = shared.columns
    if columns.bindings or columns.wanted:
        return bind_items(rows, columns, shared.warned)
    return rows


def _json(
    stream: Stream,
    content_type: str,
    pairs: Pairs,
    catalogue: Catalogue,
    bounds: Settings,
    preview: Preview | None,
) -> Draft:
    """Read one object that has all; or a list of items, whose query has the rest."""
    text = _Head(_json_text(stream))
    # To a file, because the members that hold for all items may follow them.
    with tempfile.TemporaryFile("w+b") as file:
        if text.is_list:
            file.write(b'{"items":')
            spool(text, file)
            file.write(b"}")
            document = JsonDocument(file, bounds)
            if document.members:
                raise BadBody("The body is not JSON: something follows the list.")
            shared = _shared_of_items(pairs, catalogue, bounds)
            rows = _bound(document.rows(), shared, preview)
            return _taken(rows, shared, catalogue, bounds, preview)
        if pairs:
            reason = "belongs into the body, which is JSON"
            raise BadParameter(*(Fault(name, reason) for name, _ in pairs))
        spool(text, file)
        document = JsonDocument(file, bounds)
        members = document.members
        delivery = {name: members.pop(name) for name in DELIVERY if name in members}
        shared = from_members(members, catalogue, bounds)
        rows = _bound(document.rows(), shared, preview)
        draft = _taken(rows, shared, catalogue, bounds, preview)
        draft.delivery = delivery
        return draft


def _multipart(
    stream: Stream,
    content_type: str,
    pairs: Pairs,
    catalogue: Catalogue,
    bounds: Settings,
    preview: Preview | None,
) -> Draft:
    """Read a table or lines with the images that they refer to."""
    # To a file, because the images may follow the rows.
    with tempfile.TemporaryFile("w+b") as file:
        sent = read_multipart(stream, content_type, file, bounds)
        read = _ndjson if sent.is_ndjson else _table
        given = [*pairs, *sent.pairs]
        kind = sent.content_type
        return read(sent.rows, kind, given, catalogue, bounds, preview, sent.files)


# What may be anything.
_UNNAMED = ("text/plain", "application/octet-stream")
# What each media type is read by.
READERS: Mapping[str, Callable[..., Draft]] = MappingProxyType(
    {
        "application/json": _json,
        **dict.fromkeys(NDJSON, _ndjson),
        **dict.fromkeys((*TABLES, *_UNNAMED), _table),
        "multipart/form-data": _multipart,
    }
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
