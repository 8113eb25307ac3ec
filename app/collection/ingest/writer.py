"""Valid rows into one object: lines in blocks, images once each, a head before all."""

import hashlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import IO, Any

import orjson
from zlib_ng import zlib_ng

from app.access.policy import require, require_buy
from app.collection.collection import Collection, Header, edition_of
from app.collection.notices import Notices
from app.config import Settings
from app.image_request import ImageRequest
from app.renderer.base import Output, Renderer
from app.renderer.catalogue import Catalogue
from app.renderer.errors import RendererError

_BLOCK_ROWS = 128
_BLOCK_BYTES = 256 << 10
_PIECE = 256 << 10
_NONE: Mapping[str, str] = {}
# Of so many rows the texts are laid out when they come, 1 to 3 ms each; of the others
# it is known at once what no font has, and what is cut when they are drawn.
_LAID_OUT = 100


class Draft:
    """A collection that is complete and not yet stored; whoever has it closes it.

    `warnings` are what was assumed or passed over when it was read, `delivery` what
    the upload says of its delivery.
    """

    warnings: tuple[str, ...] = ()
    delivery: Mapping[str, Any] = MappingProxyType({})

    def __init__(self, header: Header, file: IO[bytes]) -> None:
        self.header = header
        # What it is stored under.
        self.id = header.id
        self._head = header.encode()
        self._file = file

    @property
    def size(self) -> int:
        """Bytes of the object to store."""
        return len(self._head) + self.header.size

    def chunks(self) -> Iterator[bytes]:
        """Yield the object to store, in pieces of up to 256 KiB."""
        for start in range(0, self.size, _PIECE):
            yield self.read(start, min(start + _PIECE, self.size))

    def read(self, start: int, stop: int) -> bytes:
        """Return bytes of that object; safe in threads."""
        length = len(self._head)
        first, last = max(start - length, 0), max(stop - length, 0)
        # By place: the thread that sends and the one that stores share the descriptor.
        data = os.pread(self._file.fileno(), last - first, first)
        return self._head[start:stop] + data

    def collection(self, catalogue: Catalogue, bounds: Settings) -> Collection:
        """Read it as it is; it must not be closed meanwhile."""
        return Collection(self.header, len(self._head), self.read, catalogue, bounds)

    def close(self) -> None:
        """Give the temporary file back."""
        self._file.close()


class Writer:
    """Takes rows one at a time; in memory is one block of them, and no image.

    Either `finish` or `close` gives the temporary file on or back.
    """

    def __init__(self, output: Output) -> None:
        self._output = output
        # It outlives this method: `close` or the draft gives it back.
        self._file = tempfile.TemporaryFile("w+b")  # noqa: SIM115
        self._size = 0
        self._renderers: dict[str, tuple[int, Renderer]] = {}
        self._rows = hashlib.sha256()
        # Rows that are not written yet, and the number of the first of them.
        self._lines: list[bytes] = []
        self._lines_size = 0
        self._first = 1
        self._blocks: list[tuple[int, int, int, int]] = []
        self._assets: dict[str, tuple[int, int]] = {}
        self._last: tuple[bytes | None, str] = (None, "")
        self._notices = Notices()

    def add(
        self, request: ImageRequest, name: str, kept: Mapping[str, str] = _NONE
    ) -> None:
        """Write a row down; `name` is its file name without extension.

        `kept` are the digests of images that `keep` has already.
        """
        given = vars(request.parameters)
        plain: dict[str, Any] = {}
        images: dict[str, str] = {**kept}
        # Only what was given: defaults belong to a version, which the edition names.
        for each in sorted(request.parameters.model_fields_set - kept.keys()):
            value = given[each]
            if isinstance(value, bytes):
                images[each] = self.keep(value)
            else:
                plain[each] = value
        renderer = request.renderer
        if renderer.name not in self._renderers:
            require(renderer)
            if renderer.remote is not None:
                require_buy(renderer.name)
            self._renderers[renderer.name] = (len(self._renderers), renderer)
        number, _ = self._renderers[renderer.name]
        row = (number, name, plain, images)
        option = orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE
        self._append(orjson.dumps(row, option=option))
        self._notice(request)

    def keep(self, data: bytes) -> str:
        """Store an image unless it is stored; return its SHA-256."""
        # Rows that share an image mostly share the very object.
        if data is not self._last[0]:
            self._last = (data, hashlib.sha256(data).hexdigest())
        digest = self._last[1]
        if digest not in self._assets:
            self._assets[digest] = self._write(data)
        return digest

    @property
    def size(self) -> int:
        """Bytes so far, of rows and images."""
        return self._size + self._lines_size

    def finish(self, pixels: int, limits: tuple[int, ...] = ()) -> Draft:
        """Close the last block and hand everything over.

        `pixels` are those of all images, `limits` what rows were held against.
        """
        self._flush()
        self._file.flush()
        renderers = tuple(self._renderers)
        output = self._output.model_dump(exclude_defaults=True)
        output["format"] = self._output.format
        # Of the rows and not of the file, in which blocks may end elsewhere.
        content = orjson.dumps(
            (renderers, output, self._rows.hexdigest()), option=orjson.OPT_SORT_KEYS
        )
        header = Header(
            count=self._first - 1,
            renderers=renderers,
            output=output,
            pixels=pixels,
            content=hashlib.sha256(content).hexdigest(),
            edition=edition_of([row for _, row in self._renderers.values()]),
            size=self._size,
            blocks=tuple(self._blocks),
            assets=self._assets,
            limits=limits,
            notices=self._notices.document(),
        )
        return Draft(header, self._file)

    def close(self) -> None:
        """Give the temporary file back."""
        self._file.close()

    def _notice(self, request: ImageRequest) -> None:
        look = request.renderer.preflight
        if look is None:
            return
        index = self._first + len(self._lines) - 1
        # What cannot be laid out is told in its place when it is drawn.
        with suppress(RendererError):
            self._notices.add(index, look(request.parameters, index <= _LAID_OUT))

    def _append(self, line: bytes) -> None:
        full = len(self._lines) == _BLOCK_ROWS
        if full or self._lines_size + len(line) > _BLOCK_BYTES:
            self._flush()
        self._lines.append(line)
        self._lines_size += len(line)

    def _flush(self) -> None:
        data = b"".join(self._lines)
        if data:
            self._rows.update(data)
            place = self._write(data)
            self._blocks.append((self._first, *place, zlib_ng.crc32(data)))
        self._first += len(self._lines)
        self._lines, self._lines_size = [], 0

    def _write(self, data: bytes) -> tuple[int, int]:
        offset = self._size
        self._file.write(data)
        self._size += len(data)
        return offset, len(data)
