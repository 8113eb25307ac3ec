"""One upload of any kind to one draft: the way in."""

import tempfile
from collections.abc import Callable, Mapping
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
from app.parsing.image import UnsupportedBody, read_pairs
from app.renderer.catalogue import Catalogue
from app.renderer.errors import BadParameter, Fault, LimitExceeded

_Pairs = list[tuple[str, str]]
_FORM = "application/x-www-form-urlencoded"
_UTF8 = ("", "utf-8", "utf8", "us-ascii")


def read_upload(
    stream: Stream,
    content_type: str,
    query: bytes,
    catalogue: Catalogue,
    bounds: Settings,
) -> Draft:
    """Read an upload row by row; whoever gets the draft closes it.

    Raises BadRows, BadBody, UnsupportedBody, LimitExceeded, BadParameter,
    UnknownRenderer, and what reading the stream raises.
    """
    mimetype = content_type.partition(";")[0].strip().lower()
    read = READERS.get(mimetype)
    if read is None:
        raise UnsupportedBody(_unsupported(mimetype))
    _check_charset(content_type, mimetype)
    upload = _Upload(
        _Bounded(stream, bounds.max_collection_bytes),
        content_type,
        read_pairs(query),
        catalogue,
        bounds,
    )
    try:
        return read(upload)
    except Unreadable as error:
        fault = RowFault(None, error.line, "", error.reason)
        raise BadRows((fault,)) from error


class _Upload:
    """An upload and what it is judged by."""

    def __init__(
        self,
        stream: Stream,
        content_type: str,
        pairs: _Pairs,
        catalogue: Catalogue,
        bounds: Settings,
    ) -> None:
        self.stream = stream
        self.content_type = content_type
        self.pairs = pairs
        self.catalogue = catalogue
        self.bounds = bounds

    def csv(self) -> Draft:
        """Read a table; the query has the rest."""
        return self._table(self.stream, self.pairs, None)

    def ndjson(self) -> Draft:
        """Read an object a line; the query has the rest."""
        return self._lines(self.stream, self.pairs, None)

    def json(self) -> Draft:
        """Read one object that has all; the query has nothing."""
        if self.pairs:
            reason = "belongs into the body, which is JSON"
            raise BadParameter(*(Fault(name, reason) for name, _ in self.pairs))
        with tempfile.TemporaryFile("w+b") as file:
            spool(self.stream, file)
            document = JsonDocument(file, self.bounds)
            terms = from_members(document.members, self.catalogue, self.bounds)
            intake = RowValidator(terms, self.catalogue, self.bounds)
            return intake.take(document.rows())

    def multipart(self) -> Draft:
        """Read a table or lines with the images that they refer to."""
        with tempfile.TemporaryFile("w+b") as file:
            sent = read_multipart(self.stream, self.content_type, file, self.bounds)
            read = self._lines if sent.is_ndjson else self._table
            return read(sent.rows, [*self.pairs, *sent.pairs], sent.files)

    def _table(self, stream: Stream, pairs: _Pairs, files: Files | None) -> Draft:
        names = files.names if files else ()
        terms = from_pairs(pairs, self.catalogue, self.bounds, names)
        rows = read_csv(stream, terms.columns, self.bounds.max_body_bytes)
        return RowValidator(terms, self.catalogue, self.bounds, files).take(rows)

    def _lines(self, stream: Stream, pairs: _Pairs, files: Files | None) -> Draft:
        if any(name == "ignore" for name, _ in pairs):
            raise BadParameter(Fault("ignore", "is for tables, which have columns"))
        names = files.names if files else ()
        terms = from_pairs(pairs, self.catalogue, self.bounds, names)
        rows = read_ndjson(stream, self.bounds.max_body_bytes)
        return RowValidator(terms, self.catalogue, self.bounds, files).take(rows)


# What each media type is read by.
READERS: Mapping[str, Callable[[_Upload], Draft]] = MappingProxyType(
    {
        "application/json": _Upload.json,
        "application/x-ndjson": _Upload.ndjson,
        "application/ndjson": _Upload.ndjson,
        "application/jsonl": _Upload.ndjson,
        "text/csv": _Upload.csv,
        "text/tab-separated-values": _Upload.csv,
        "multipart/form-data": _Upload.multipart,
    }
)


class _Bounded:
    """A stream that raises LimitExceeded as soon as it is too long."""

    def __init__(self, stream: Stream, most: int) -> None:
        self._stream = stream
        self._most = most
        self._taken = 0

    def read(self, size: int, /) -> bytes:
        data = self._stream.read(size)
        self._taken += len(data)
        if self._taken > self._most:
            limit = "MIMEO_MAX_COLLECTION_BYTES"
            raise LimitExceeded("body", limit, self._most, self._taken)
        return data


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
