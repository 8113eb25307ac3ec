"""A table and the pictures it refers to, in one body (RFC 7578): into one file."""

import os
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, NamedTuple

from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.http import parse_options_header
from werkzeug.sansio.multipart import (
    Data,
    Epilogue,
    Event,
    Field,
    File,
    MultipartDecoder,
    NeedData,
)

from app.collection.ingest.table import Stream
from app.config import Settings
from app.parsing.image import MAX_FIELDS, BadBody, UnsupportedBody
from app.renderer.errors import BadParameter, Fault, shorten

_BLOCK = 64 << 10
# More than any header of a part, and than what may hide a boundary.
_MOST_BUFFERED = 1 << 20
_ROWS = ("rows", "file")
# What CSV and NDJSON are called beside their names; the latter has no registered one.
# Firefox and Chrome on Windows name a .csv by the registry: Excel puts its own there.
TABLES = (
    *("text/csv", "text/tab-separated-values", "application/csv", "text/x-csv"),
    *("application/x-csv", "text/comma-separated-values"),
    "application/vnd.ms-excel",
    "application/vnd.ms-excel.sheet.macroenabled.12",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "application/vnd.oasis.opendocument.spreadsheet",
)
NDJSON = (
    *("application/x-ndjson", "application/ndjson", "application/jsonl"),
    *("application/x-jsonlines", "application/jsonlines"),
)
# curl says application/octet-stream of whatever it does not know, a .csv included.
_TABLE_NAME = re.compile(r"\.(csv|tsv|tab|txt|xlsx|xlsm|ods|xls)\Z", re.I)
_NDJSON_NAME = re.compile(r"\.(ndjson|jsonl)\Z", re.I)


def charset_of(content_type: str) -> str | None:
    """Return the charset that a media type declares, if any (RFC 9110, 8.3.2)."""
    return parse_options_header(content_type)[1].get("charset") or None


class FilePlace(NamedTuple):
    """Where a part lies in the file of all parts, in bytes."""

    offset: int
    length: int


class FileSlice:
    """Reads one part as a stream, without a position of the file's own."""

    def __init__(self, file: IO[bytes], place: FilePlace) -> None:
        self._file = file
        self._next = place.offset
        self._stop = place.offset + place.length

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes; none at the end."""
        wanted = min(size, self._stop - self._next)
        data = os.pread(self._file.fileno(), wanted, self._next)
        self._next += len(data)
        return data


class Files:
    """The image files of an upload, by the name that rows refer to them by.

    Parts of one temporary file: no descriptor for each of ten thousand pictures.
    """

    def __init__(self, file: IO[bytes], places: Mapping[str, FilePlace]) -> None:
        self._file = file
        self.places = places
        self.unused = dict.fromkeys(places)
        self._loose: dict[str, list[str]] = {}
        for name in places:
            self._loose.setdefault(_loose(name), []).append(name)

    def find(self, value: str) -> str | None:
        """Return the name of the file that a cell means, or None.

        Exactly, or by the last part of a path whatever its case, blanks around it and
        normal form. Raises ValueError where that means more than one.
        """
        if value in self.places:
            return value
        last = re.split(r"[\\/]", value)[-1]
        if last in self.places:
            return last
        found = self._loose.get(_loose(last), [])
        if len(found) > 1:
            raise ValueError(f"may be any of {', '.join(map(shorten, found[:5]))}")
        return found[0] if found else None

    def read(self, name: str) -> bytes:
        """Return a file's bytes, and take note that a row refers to it."""
        self.unused.pop(name, None)
        place = self.places[name]
        return os.pread(self._file.fileno(), place.length, place.offset)


def _loose(name: str) -> str:
    """Return a file's name without case and form: macOS sends NFD, tables have NFC."""
    return unicodedata.normalize("NFC", name.strip()).casefold()


class Sent(NamedTuple):
    """What a multipart body holds: text fields, the rows, image files."""

    pairs: Sequence[tuple[str, str]]
    rows: FileSlice
    content_type: str
    is_ndjson: bool
    files: Files


@dataclass(slots=True)
class _Part:
    """One part while it is read; a text has no file name."""

    name: str
    filename: str | None
    content_type: str
    offset: int
    text: bytearray = field(default_factory=bytearray)

    @property
    def mimetype(self) -> str:
        return parse_options_header(self.content_type)[0].lower()

    @property
    def is_ndjson(self) -> bool:
        return self.mimetype in NDJSON or _named(_NDJSON_NAME, self.filename)

    @property
    def is_rows(self) -> bool:
        """Whether it is the table: said by its type, its file name or its field."""
        if self.is_ndjson or self.mimetype in TABLES:
            return True
        if _named(_TABLE_NAME, self.filename):
            return True
        return self.name in _ROWS and not self.mimetype.startswith("image/")


def _named(pattern: re.Pattern[str], filename: str | None) -> bool:
    return bool(pattern.search(filename or ""))


class _Sorting:
    """Puts each part where it belongs: texts into memory, all others into `file`."""

    def __init__(self, file: IO[bytes], most_text: int) -> None:
        self._file = file
        self._most_text = most_text
        self._size = self._text = 0
        self.pairs: list[tuple[str, str]] = []
        self.rows: list[tuple[_Part, FilePlace]] = []
        self.places: dict[str, FilePlace] = {}

    def begin(self, event: Field | File) -> None:
        """Begin a part."""
        if event.name is None:
            raise BadBody("A part of the body has no name.")
        name = event.filename if isinstance(event, File) else None
        # Some browsers sent the whole path (RFC 7578, section 4.2).
        base = None if name is None else re.split(r"[\\/]", name)[-1]
        content_type = event.headers.get("content-type", "")
        self._part = _Part(event.name, base, content_type, self._size)

    def take(self, data: bytes) -> None:
        """Take the next bytes of the part."""
        part = self._part
        # A table may come as a text field: browsers' scripts send strings so.
        if part.filename is not None or part.is_rows:
            self._file.write(data)
            self._size += len(data)
            return
        self._text += len(data)
        if self._text > self._most_text:
            raise BadBody(f"The text fields have over {self._most_text:,} bytes.")
        part.text += data

    def end(self) -> None:
        """Sort the part in that is complete."""
        part = self._part
        place = FilePlace(part.offset, self._size - part.offset)
        # A form in a browser sends a file that nobody chose as an empty one.
        if part.filename == "" and not place.length:
            return
        if part.is_rows:
            self.rows.append((part, place))
        elif part.filename == "":
            raise BadBody(f"The file in {shorten(part.name)!r} has no name.")
        elif part.filename is not None:
            if part.filename in self.places:
                reason = "is the name of more than one file"
                raise BadParameter(Fault(part.filename, reason))
            self.places[part.filename] = place
        elif len(self.pairs) == MAX_FIELDS:
            raise BadBody(f"There are more than {MAX_FIELDS} fields.")
        else:
            try:
                self.pairs.append((part.name, part.text.decode("utf-8-sig")))
            except UnicodeDecodeError as error:
                reason = (
                    f"The field {shorten(part.name)!r} is not UTF-8; a part that is a"
                    " file needs a filename in its Content-Disposition."
                )
                raise BadBody(reason) from error


def read_multipart(
    stream: Stream, content_type: str, file: IO[bytes], bounds: Settings
) -> Sent:
    """Write the parts into `file`, which stays the caller's to close.

    Raises BadBody where it is not multipart, BadParameter where there is not
    exactly one table or a file name comes twice.
    """
    sorting = _Sorting(file, bounds.max_body_bytes)
    for event in _events(stream, content_type, bounds):
        if isinstance(event, Field | File):
            sorting.begin(event)
        elif isinstance(event, Data):
            sorting.take(event.data)
            if not event.more_data:
                sorting.end()
    # From here on the file is read by place, past the buffer of whoever wrote it.
    file.flush()
    if len(sorting.rows) != 1:
        reason = f"must be one CSV, workbook or NDJSON file, not {len(sorting.rows)}"
        raise BadParameter(Fault("rows", reason))
    part, place = sorting.rows[0]
    if part.mimetype == "application/json":
        raise UnsupportedBody(
            "The part `rows` takes CSV, a workbook or NDJSON, not JSON."
        )
    files = Files(file, sorting.places)
    rows = FileSlice(file, place)
    return Sent(sorting.pairs, rows, part.content_type, part.is_ndjson, files)


def _events(stream: Stream, content_type: str, bounds: Settings) -> Iterator[Event]:
    boundary = parse_options_header(content_type)[1].get("boundary", "")
    if not boundary.isascii() or not 1 <= len(boundary) <= 200:
        raise BadBody("The body is not multipart/form-data: it names no boundary.")
    most = bounds.max_rows + MAX_FIELDS
    decoder = MultipartDecoder(boundary.encode(), _MOST_BUFFERED, max_parts=most)
    while True:
        # Outside of the translation below: a stream may raise errors of its own.
        block = stream.read(_BLOCK)
        try:
            decoder.receive_data(block or None)
            while not isinstance(event := decoder.next_event(), NeedData):
                yield event
                if isinstance(event, Epilogue):
                    return
        except ValueError as error:
            raise BadBody(f"The body is not multipart/form-data: {error}") from error
        except RequestEntityTooLarge as error:
            raise BadBody(
                f"The body has more than {most:,} parts, or one with a header of over"
                f" {_MOST_BUFFERED:,} bytes."
            ) from error
