"""From rows to a draft: every row is validated, and every fault is found."""

import base64
import binascii
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from app.collection.errors import Faults, Unreadable
from app.collection.ingest.files import Files
from app.collection.ingest.names import DEFAULT, Names
from app.collection.ingest.ndjson import TableRow
from app.collection.ingest.shared import SharedParameters, image_fields, spell_options
from app.collection.ingest.writer import Draft, Writer
from app.config import Settings
from app.image_request import ImageRequest, from_parts, from_strings
from app.parsing.image import MAX_FIELDS
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
from app.renderer.produce import device_size

# Longer than any file's name is only an image itself.
_MOST_FILENAME = 255
_OF_ALL_ROWS = ("MIMEO_MAX_COLLECTION_BYTES", "MIMEO_MAX_COLLECTION_PIXELS")


class _Laid(NamedTuple):
    """A row's values with the shared ones, and digests of images that are files."""

    values: dict[str, Any]
    kept: Mapping[str, str]


class RowValidator:
    """Takes the rows of one upload, once.

    `files` are the images that rows may refer to by name, if there can be any.
    """

    def __init__(
        self,
        terms: SharedParameters,
        catalogue: Catalogue,
        bounds: Settings,
        files: Files | None = None,
    ) -> None:
        self._terms = terms
        self._catalogue = catalogue
        self._bounds = bounds
        self._files = files
        self._faults = Faults()
        self._is_bad = False
        self._pixels = 0
        self._laid = 0
        self._options = tuple(spell_options(terms.options))
        endings = FORMATS[terms.output.format].extensions
        # An archive's last member.
        self._names = Names(("manifest",) if "json" in endings else (), endings)
        self._renderers: dict[str, Renderer] = {}
        self._digests: dict[str, str] = {}

    def take(self, rows: Iterator[TableRow]) -> Draft:
        """Validate all rows and write them down.

        Raises BadRows with every fault found, LimitExceeded where there are too
        many rows or pixels, and what the reader of the rows raises.
        """
        writer = Writer(self._terms.output)
        try:
            self._read(rows, writer)
            self._faults.check()
            return writer.finish(self._pixels)
        except BaseException:
            writer.close()
            raise

    def _read(self, rows: Iterator[TableRow], writer: Writer) -> None:
        index, most = 0, self._bounds.max_rows
        try:
            for index, row in enumerate(rows, 1):
                if index > most:
                    raise LimitExceeded("rows", "MIMEO_MAX_ROWS", most, index)
                self._take(index, row, writer)
        except Unreadable as error:
            self._faults.end(index + 1, error.line, error.reason)
            return
        if not index:
            self._faults.add(None, None, "rows", "there are none")
        for name in self._files.unused if self._files else ():
            self._faults.add(None, None, name, "is a file that no row refers to")

    def _take(self, index: int, row: TableRow, writer: Writer) -> None:
        try:
            if row.faults:
                raise BadParameter(*row.faults)
            self._write(index, row, writer)
        except BadParameter as error:
            self._blame(index, row, *error.faults)
            self._faults.pass_over(error.more)
        except LimitExceeded as error:
            if error.limit in _OF_ALL_ROWS:
                raise
            reason = str(error).removeprefix(f"{error.field}: ")
            self._blame(index, row, Fault(error.field, reason))
        except RendererError as error:
            self._blame(index, row, Fault("renderer", str(error)))

    def _blame(self, index: int, row: TableRow, *faults: Fault) -> None:
        self._is_bad = True
        for field, reason in faults:
            self._faults.add(index, row.line, field, reason)

    def _write(self, index: int, row: TableRow, writer: Writer) -> None:
        renderer = self._renderer(row)
        laid = self._lay(row, renderer, writer)
        request = self._request(row, renderer, laid.values)
        self._count(request)
        # What follows a bad row is validated too, and then thrown away.
        if not self._is_bad:
            writer.add(request, self._name(index, row, request), laid.kept)
            self._check_size(writer.size)

    def _renderer(self, row: TableRow) -> Renderer:
        main = self._terms.renderer
        if row.renderer is None:
            if main is None:
                raise BadParameter(Fault("renderer", "is required"))
            return main
        if main is not None and row.renderer == main.name:
            return main
        if row.renderer not in self._renderers:
            self._renderers[row.renderer] = self._catalogue.get(row.renderer)
        return self._renderers[row.renderer]

    def _request(
        self, row: TableRow, renderer: Renderer, values: dict[str, Any]
    ) -> ImageRequest:
        if row.text:
            pairs = (*values.items(), *self._options)
            return from_strings(renderer, pairs, None, self._bounds)
        return from_parts(renderer, values, self._terms.options, self._bounds)

    def _lay(self, row: TableRow, renderer: Renderer, writer: Writer) -> _Laid:
        """Lay the row over what is shared, which is meant for one renderer only."""
        shared = self._terms.texts if row.text else self._terms.values
        is_main = renderer is self._terms.renderer
        if len(row.values) > MAX_FIELDS:
            raise BadParameter(Fault("", f"has more than {MAX_FIELDS} values"))
        values = {**shared, **row.values} if is_main else dict(row.values)
        # A shared text is checked again with each row: a short upload is not to
        # cost the work of a long one.
        self._laid += sum(len(v) for v in shared.values() if isinstance(v, str))
        self._check_size(self._laid)
        if self._files is None:
            return _Laid(values, {})
        kept = {}
        for field in sorted(image_fields(renderer.parameters) & values.keys()):
            value = values[field]
            if isinstance(value, str) and _is_file(field, value, self._files):
                digest = self._keep(field, value, self._files, writer)
                kept[field] = digest
                # The bytes are stored; their digest is valid in their place.
                raw = bytes.fromhex(digest)
                values[field] = base64.b64encode(raw).decode() if row.text else raw
        return _Laid(values, kept)

    def _keep(self, field: str, name: str, files: Files, writer: Writer) -> str:
        """Store a file, once; return its digest."""
        if name not in self._digests:
            data = files.read(name)
            if not data:
                reason = f"the file {shorten(name)!r} is empty"
                raise BadParameter(Fault(field, reason))
            self._digests[name] = writer.keep(data)
        files.use(name)
        return self._digests[name]

    def _count(self, request: ImageRequest) -> None:
        scale = request.output.scale
        width, height = device_size(request.renderer, request.parameters, scale)
        self._pixels += width * height
        most = self._bounds.max_collection_pixels
        if self._pixels > most:
            limit = "MIMEO_MAX_COLLECTION_PIXELS"
            raise LimitExceeded("rows", limit, most, self._pixels)

    def _check_size(self, size: int) -> None:
        """Bound what is kept as what is sent is, shared values laid out."""
        most = self._bounds.max_collection_bytes
        if size > most:
            raise LimitExceeded("rows", "MIMEO_MAX_COLLECTION_BYTES", most, size)

    def _name(self, index: int, row: TableRow, request: ImageRequest) -> str:
        if row.name is not None:
            return self._names.give(row.name, index)
        pattern = self._terms.pattern
        if pattern.text == DEFAULT:
            return self._names.give(f"{index:05}", index)
        values = {**row.extra, **vars(request.parameters)}
        wanted = pattern.fill(index, request.renderer.name, values)
        return self._names.give(wanted, index)


def _is_file(field: str, value: str, files: Files) -> bool:
    """Tell whether a value names a file that was sent; raise if it can be no other."""
    if value in files:
        return True
    if len(value) > _MOST_FILENAME or value.startswith("data:"):
        return False
    try:
        base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as error:
        reason = f"no file named {shorten(value)!r} was sent"
        raise BadParameter(Fault(field, reason)) from error
    return False
