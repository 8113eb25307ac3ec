"""A stored collection, read by ranges: any image request by its number."""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

import orjson

from app.collection.errors import DamagedCollection, NoSuchIndex
from app.collection.header import Header, decode, edition_of, length_of
from app.config import Settings
from app.image_request import ImageRequest
from app.renderer.base import Output, Renderer
from app.renderer.catalogue import Catalogue
from app.renderer.encode import FORMATS
from app.renderer.errors import LimitExceeded, UnknownRenderer
from app.renderer.params import validate

# Most heads come whole with the first read.
_FIRST_READ = 64 << 10
_PIECE = 256 << 10


class Source(Protocol):
    """Where a collection's bytes are; may be called by any thread."""

    def read(self, start: int, stop: int) -> bytes:
        """Return the bytes of a range; fewer where the object ends."""


class Item(NamedTuple):
    """One image of a collection: number from 1, file name, request."""

    index: int  # type: ignore[assignment]
    name: str
    request: ImageRequest


class Collection:
    """Image requests in order, without holding more than a few hundred of them.

    Rows were validated when they came; only what may have changed since then, the
    renderer's parameters, is validated again.
    """

    def __init__(
        self, header: Header, base: int, source: Source, catalogue: Catalogue
    ) -> None:
        self.header = header
        self._base = base
        self._source = source
        self._catalogue = catalogue
        self._output = Output.model_validate(dict(header.output))
        extensions = FORMATS[self._output.format].extensions
        self._ending = f".{extensions[0]}"
        self._renderers: dict[int, Renderer] = {}
        self._firsts = [first for first, _, _ in header.blocks]
        # Neighbours are mostly asked for one after the other, and mostly share images.
        self._rows = lru_cache(2)(self._read_rows)
        self._asset = lru_cache(2)(self._read_asset)

    @classmethod
    def open(
        cls, source: Source, catalogue: Catalogue, bounds: Settings
    ) -> "Collection":
        """Read the head of a collection.

        Raises DamagedCollection, and LimitExceeded where limits are lower now than
        when it was made.
        """
        head = source.read(0, _FIRST_READ)
        length = length_of(head)
        if length > len(head):
            head += source.read(len(head), length)
        header = decode(head[:length])
        _check(header, bounds)
        return cls(header, length, source, catalogue)

    @property
    def id(self) -> str:
        """SHA-256, 64 hexadecimal digits, of the rows and the edition."""
        return self.header.id

    @property
    def count(self) -> int:
        """How many images there are."""
        return self.header.count

    @property
    def output(self) -> Output:
        """The options that all images share."""
        return self._output

    @property
    def buys(self) -> bool:
        """Whether services make some of the images."""
        names = self.header.renderers
        return any(self._catalogue.get(name).remote is not None for name in names)

    @property
    def edition_is_current(self) -> bool:
        """Whether this installation makes the bytes that the id pins."""
        try:
            return self._edition() == self.header.edition
        except UnknownRenderer:
            return False

    def relabel(self) -> tuple[str, bytes]:
        """Return the id on this installation, and the head to store before `data`.

        Raises UnknownRenderer where one of the renderers is gone.
        """
        header = replace(self.header, edition=self._edition())
        return header.id, header.encode()

    def data(self) -> Iterator[bytes]:
        """Yield what follows the head, in pieces of up to 256 KiB."""
        for start in range(0, self.header.size, _PIECE):
            yield self._read(start, min(_PIECE, self.header.size - start))

    def items(self, first: int = 1, last: int | None = None) -> Iterator[Item]:
        """Iterate over the images from `first` to `last`, both included.

        Raises NoSuchIndex at once. A row that is no longer valid raises a
        RendererError in its turn, and the iterator goes on behind it.
        """
        last = self.count if last is None else last
        for index in (first, last):
            self._find(index)
        return _Items(self, first, last)

    def item(self, index: int) -> Item:
        """Return one image; raise NoSuchIndex or a RendererError."""
        number, name, values, images = self._row(index)
        renderer = self._renderer(number)
        for each, digest in images.items():
            values[each] = self._asset(digest)
        made = validate(renderer.parameters, values, strict=True)
        request = ImageRequest(renderer, made, self._output)
        return Item(index, name + self._ending, request)

    def name(self, index: int) -> str:
        """Return a file name alone: of a row that is not valid any more, too."""
        stem: str = self._row(index)[1]
        return stem + self._ending

    def _row(self, index: int) -> Any:
        block = self._find(index)
        return orjson.loads(self._rows(block)[index - self._firsts[block]])

    def _find(self, index: int) -> int:
        """Return the number of the block that has a row."""
        if not 1 <= index <= self.count:
            raise NoSuchIndex(index, self.count)
        return bisect_right(self._firsts, index) - 1

    def _renderer(self, number: int) -> Renderer:
        found = self._renderers.get(number)
        if found is None:
            found = self._catalogue.get(self.header.renderers[number])
            self._renderers[number] = found
        return found

    def _edition(self) -> str:
        return edition_of(map(self._catalogue.get, self.header.renderers))

    def _read_rows(self, block: int) -> list[bytes]:
        _, offset, length = self.header.blocks[block]
        return self._read(offset, length).splitlines()

    def _read_asset(self, digest: str) -> bytes:
        return self._read(*self.header.assets[digest])

    def _read(self, offset: int, length: int) -> bytes:
        start = self._base + offset
        data = self._source.read(start, start + length)
        if len(data) != length:
            raise DamagedCollection(f"Collection {self.id} is cut off.")
        return data


class _Items:
    """An iterator that an error does not end."""

    def __init__(self, collection: Collection, first: int, last: int) -> None:
        self._collection = collection
        self._next = first
        self._last = last

    def __iter__(self) -> "_Items":
        return self

    def __next__(self) -> Item:
        index = self._next
        if index > self._last:
            raise StopIteration
        self._next += 1
        return self._collection.item(index)


def _check(header: Header, bounds: Settings) -> None:
    if header.count > bounds.max_rows:
        raise LimitExceeded("rows", "MIMEO_MAX_ROWS", bounds.max_rows, header.count)
    most = bounds.max_collection_pixels
    if header.pixels > most:
        raise LimitExceeded("rows", "MIMEO_MAX_COLLECTION_PIXELS", most, header.pixels)
