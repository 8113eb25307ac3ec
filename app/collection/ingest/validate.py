"""From rows to a draft: every row is validated and named, and every fault is found.

File names are safe on every system, unique, ASCII, and made from a pattern.
"""

import base64
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

import regex  # type: ignore[import-untyped]
from anyascii import anyascii

from app.archive.layout import is_device, same_file
from app.collection.collection import limits_of
from app.collection.errors import Unreadable
from app.collection.ingest.binding import LONGEST
from app.collection.ingest.multipart import Files
from app.collection.ingest.preview import Preview
from app.collection.ingest.shared import SharedParameters
from app.collection.ingest.table import MOST_NAMED, Faults, TableRow
from app.collection.ingest.writer import Draft, Writer
from app.config import Settings
from app.image_request import request_of
from app.parsing.image import MAX_FIELDS
from app.pipeline.image_origins import ImageOriginError
from app.renderer.base import Renderer
from app.renderer.catalogue import Catalogue
from app.renderer.encode import FORMATS
from app.renderer.errors import (
    BadParameter,
    Fault,
    LimitExceeded,
    RendererError,
    shorten,
)
from app.renderer.params import is_address, validate
from app.renderer.produce import device_size, image_fields

# Longer than any file's name is only an image itself.
_MOST_FILENAME = 255
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
# Room for a number of six digits below the longest name.
_SHARED = LONGEST - 8
_MOST_TEXT = 10 * LONGEST
# With a number and an extension at most 200 bytes.
_MOST_STEM = 180
_UNWRITABLE = re.compile(r'[\\/:*?"<>|]+')
_GRAPHEME = regex.compile(r"\X")
_OF_ALL_ROWS = ("MIMEO_MAX_COLLECTION_BYTES", "MIMEO_MAX_COLLECTION_PIXELS")


class RowValidator:
    """Takes the rows of one upload, once.

    `files` are the images that rows may refer to by name, if there can be any.
    """

    def __init__(
        self,
        shared: SharedParameters,
        catalogue: Catalogue,
        bounds: Settings,
        files: Files | None = None,
        preview: Preview | None = None,
    ) -> None:
        self._shared = shared
        self._catalogue = catalogue
        self._bounds = bounds
        self._files = files
        self._preview = preview
        self._pixels = 0
        self._laid = 0
        endings = FORMATS[shared.output.format].extensions
        # An archive's last member.
        taken = ("manifest",) if "json" in endings else ()
        self._names = Names(taken, endings, unicode=shared.unicode_names)
        main = shared.renderer
        self._renderers = {} if main is None else {main.name: main}
        self._digests: dict[str, str] = {}
        self._fetched = ("", b"")
        self._faults = Faults()
        # What is wrong with rows that are left out refuses nothing.
        self._of_rows = Faults() if shared.skips_bad else self._faults
        self._bad = 0
        self._count = 0
        self._writer = Writer(shared.output)

    def take(self, rows: Iterator[TableRow]) -> Draft:
        """Validate all rows and write them down.

        Raises BadRows with every fault found, LimitExceeded where there are too
        many rows or pixels, and what the reader of the rows raises.
        """
        try:
            self._read(rows)
            self._faults.check()
            return self._writer.finish(self._pixels, limits_of(self._bounds))
        # All of them, because nobody else knows of the temporary file.
        except BaseException:
            self._writer.close()
            raise

    def _read(self, rows: Iterator[TableRow]) -> None:
        index, most = 0, self._bounds.max_rows
        try:
            for index, row in enumerate(rows, 1):
                _bound("MIMEO_MAX_ROWS", most, index)
                try:
                    self._take(index, row)
                except BadParameter as error:
                    self._blame(index, row, *error.faults)
                    self._of_rows.pass_over(error.more)
                except LimitExceeded as error:
                    if error.limit in _OF_ALL_ROWS:
                        raise
                    reason = str(error).removeprefix(f"{error.field}: ")
                    self._blame(index, row, Fault(error.field, reason))
                except ImageOriginError as error:
                    self._blame(index, row, Fault(error.field, error.told))
                except RendererError as error:
                    self._blame(index, row, Fault("renderer", str(error)))
        except Unreadable as error:
            # What follows cannot be told apart into rows: one fault stands for all.
            self._faults.end(index + 1, error.line, error.reason)
            return
        if not index:
            self._faults.add(None, None, "rows", "there are none")
        for name in self._files.unused if self._files else ():
            self._faults.add(None, None, name, "is a file that no row refers to")
        self._say()

    def _say(self) -> None:
        """Say which rows were left out, and how file names are spelt."""
        left, warned = self._of_rows, self._shared.warned
        if self._shared.skips_bad and left.named:
            # Nothing is left: what is wrong with each row is why.
            if not self._count and not self._faults.named:
                self._faults = left
                return
            if self._preview is not None:
                self._preview.leave_out(self._bad, left.named, left.more)
            first = str(left.named[0])
            rows = "1 row" if self._bad == 1 else f"{self._bad:,} rows"
            begun = ": " if self._bad == 1 else "; the first: "
            warned.lead(f"{rows} left out, as bad_rows=skip says{begun}{first}")
        if self._names.respelt:
            wanted, stem = self._names.respelt
            warned.add(
                f"file names are in ASCII, as {stem} for {shorten(wanted)};"
                " names=unicode keeps their script"
            )

    def _blame(self, index: int, row: TableRow, *faults: Fault) -> None:
        self._bad += 1
        if self._preview is not None and len(self._of_rows.named) < MOST_NAMED:
            self._preview.blame(index)
        for field, reason in faults:
            self._of_rows.add(index, row.line, field, reason)

    def _take(self, index: int, row: TableRow) -> None:
        """Make a row's image request, and write it down."""
        if row.faults:
            raise BadParameter(*row.faults)
        renderer = self._shared.renderer
        if row.renderer is not None:
            # A template may be edited meanwhile: all rows get one and the same.
            if row.renderer not in self._renderers:
                self._renderers[row.renderer] = self._catalogue.get(row.renderer)
            renderer = self._renderers[row.renderer]
        elif renderer is None:
            raise BadParameter(Fault("renderer", "is required"))
        values = self._lay(row, renderer)
        kept = self._keep_files(renderer, values, text=row.text)
        dpi = self._shared.output.dpi
        parameters = validate(renderer.parameters, values, strict=not row.text, dpi=dpi)
        request = request_of(renderer, parameters, self._shared.output, self._bounds)
        width, height = device_size(renderer, parameters, request.output.scale)
        # A name of the row's own is a text, in which braces are no placeholders.
        wanted = row.name
        folders = wanted is None
        number = self._count + 1
        if wanted is None:
            cells = {**row.extra, **vars(parameters)}
            wanted = self._shared.pattern.fill(number, renderer.name, cells)
        self._pixels += width * height
        most = self._bounds.max_collection_pixels
        _bound("MIMEO_MAX_COLLECTION_PIXELS", most, self._pixels)
        if self._preview is not None:
            self._preview.add(index, row.line, request)
        # What follows a bad row is validated too, and then thrown away.
        if self._faults.named:
            return
        self._count = number
        self._writer.add(
            request, self._names.give(wanted, number, folders=folders), kept
        )
        self._check_size(self._writer.size)

    def _lay(self, row: TableRow, renderer: Renderer) -> dict[str, Any]:
        """Lay the row over what is shared, which is meant for one renderer only."""
        shared = self._shared.texts if row.text else self._shared.values
        if len(row.values) > MAX_FIELDS:
            raise BadParameter(Fault("", f"has more than {MAX_FIELDS} values"))
        # A shared text is checked again with each row: a short upload is not to
        # cost the work of a long one.
        self._laid += sum(len(v) for v in shared.values() if isinstance(v, str))
        self._check_size(self._laid)
        is_main = renderer is self._shared.renderer
        return {**shared, **row.values} if is_main else dict(row.values)

    def _check_size(self, size: int) -> None:
        """Bound what is kept as what is sent is, shared values laid out."""
        most = self._bounds.max_collection_bytes
        _bound("MIMEO_MAX_COLLECTION_BYTES", most, size)

    def _keep_files(
        self, renderer: Renderer, values: dict[str, Any], *, text: bool
    ) -> Mapping[str, str]:
        """Store the files and addresses that values name; return digests by parameter.

        Each of them once.
        """
        kept: dict[str, str] = {}
        for field in sorted(image_fields(renderer.parameters) & values.keys()):
            read = self._reader(renderer, field, values[field])
            if read is None:
                continue
            name, data_of = read
            if name not in self._digests:
                data = data_of()
                if not data:
                    reason = f"the file {shorten(name)!r} is empty"
                    raise BadParameter(Fault(field, reason))
                self._digests[name] = self._writer.keep(data)
            kept[field] = self._digests[name]
            # The bytes are stored; their digest is valid in their place. Only what is
            # drawn at once needs them.
            raw = bytes.fromhex(kept[field])
            if self._preview is not None:
                raw = data_of()
            values[field] = base64.b64encode(raw).decode() if text else raw
        return kept

    def _reader(
        self, renderer: Renderer, field: str, value: object
    ) -> tuple[str, Callable[[], bytes]] | None:
        """Return what names a file or an address, and what reads it; None for neither.

        An address that many rows in succession have is fetched once.
        """
        images, files = renderer.images, self._files
        if not isinstance(value, str):
            return None
        if images is not None and is_address(value):

            def fetch() -> bytes:
                if self._fetched[0] != value:
                    self._fetched = (value, images.read(value, field))
                return self._fetched[1]

            return value, fetch
        name = None if files is None else _file(field, value, files)
        return (
            None if name is None or files is None else (name, partial(files.read, name))
        )


def _bound(limit: str, most: int, found: int) -> None:
    """Raise LimitExceeded where all rows together are more than a setting allows."""
    if found > most:
        raise LimitExceeded("rows", limit, most, found)


def _file(field: str, value: str, files: Files) -> str | None:
    """Return the file that a value names; raise BadParameter if it can be no other."""
    if len(value) > _MOST_FILENAME or value.startswith("data:"):
        return None
    try:
        name = files.find(value)
    except ValueError as error:
        raise BadParameter(Fault(field, f"{shorten(value)!r} {error}")) from error
    if name is not None:
        return name
    try:
        base64.b64decode(value, validate=True)
    except ValueError as error:
        reason = f"no file named {shorten(value)!r} was sent"
        raise BadParameter(Fault(field, reason)) from error
    return None


class Names:
    """Makes names safe and unique within one collection, whatever their case.

    Names are given without extension: one of the `endings` of the collection's format
    is taken off what is wanted. A name that is already `taken` is not given. They are
    ASCII unless `unicode` lets them keep their script.
    """

    def __init__(
        self,
        taken: Iterable[str] = (),
        endings: Iterable[str] = (),
        *,
        unicode: bool = False,
    ) -> None:
        self._next = {same_file(name): 2 for name in taken}
        self._suffixes = tuple(f".{ending}" for ending in endings)
        self._safe = safe_unicode if unicode else safe
        # The first name that ASCII spells otherwise, and how.
        self.respelt: tuple[str, str] | None = None

    def give(self, wanted: str, index: int, *, folders: bool = False) -> str:
        """Return a stem of 1 to 100 characters, below up to four such folders.

        Of A-Z, a-z, 0-9, dot, hyphen and underscore, unless the script is kept.
        """
        for suffix in self._suffixes:
            if wanted.lower().endswith(suffix):
                wanted = wanted[: -len(suffix)]
                break
        above, slash, last = wanted.rpartition("/") if folders else ("", "", wanted)
        parts = map(self._safe, above.split("/")) if slash else ()
        stem = self._safe(last) or f"{index:05}"
        if self.respelt is None and self._safe is safe and not wanted.isascii():
            self.respelt = wanted, stem
        folder = "".join(f"{part}/" for part in parts if part)
        file = same_file(folder + stem)
        if file not in self._next:
            self._next[file] = 2
            return folder + stem
        # One counter for all that are equal so far: trying stays linear.
        shared = folder + _cut(stem, _SHARED)
        number = self._next.setdefault(same_file(shared), 2)
        while same_file(f"{shared}-{number}") in self._next:
            number += 1
        self._next[same_file(shared)] = number + 1
        self._next[same_file(f"{shared}-{number}")] = 2
        return f"{shared}-{number}"


def safe(text: str) -> str:
    """Return text as a stem that no system takes for a path or a device; maybe none."""
    text = text[:_MOST_TEXT]
    ascii_only = text if text.isascii() else anyascii(text)
    stem = _UNSAFE.sub("-", ascii_only).strip("._-")[:LONGEST].rstrip("._-")
    return f"image-{stem}"[:LONGEST] if is_device(stem) else stem


def safe_unicode(text: str) -> str:
    """Return text as such a stem in its own script, NFC, of up to 180 bytes."""
    text = unicodedata.normalize("NFC", text[:_MOST_TEXT])
    # Controls, marks of direction and unassigned characters are not seen in a name.
    seen = "".join(" " if each.isspace() else each for each in text)
    seen = "".join(c for c in seen if unicodedata.category(c)[0] != "C")
    plain = _UNWRITABLE.sub("-", seen).strip("._- ")
    # What a name begins with is a letter, a digit or a sign of its own.
    while plain and not (plain[0].isalnum() or plain[0] == "_"):
        plain = plain[1:]
    stem = _cut(" ".join(plain.split()), LONGEST).rstrip("._- ")
    return _cut(f"image-{stem}", LONGEST) if is_device(stem) else stem


def _cut(stem: str, most: int) -> str:
    """Shorten a stem to so many characters and 180 bytes, between graphemes."""
    if stem.isascii():
        return stem[:most]
    kept, size = [], 0
    for grapheme in _GRAPHEME.findall(stem[:most]):
        size += len(grapheme.encode())
        if size > _MOST_STEM:
            break
        kept.append(grapheme)
    return "".join(kept)
