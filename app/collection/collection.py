"""A stored collection, read by ranges: any image request by its number."""

import hashlib
import struct
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from operator import ge
from typing import Any, NamedTuple

import orjson
from zlib_ng import zlib_ng

from app.collection.errors import DamagedCollection, NoSuchIndex
from app.collection.outcome import Failed
from app.config import Settings
from app.image_request import ImageRequest, in_format, request_of
from app.renderer.base import Output, Renderer
from app.renderer.catalogue import Catalogue
from app.renderer.encode import FORMATS
from app.renderer.errors import LimitExceeded, RendererError, UnknownRenderer
from app.renderer.params import validate
from app.renderer.produce import ENCODERS

# Returns the bytes of a range, fewer at the end; may be called by any thread.
Read = Callable[[int, int], bytes]
MAGIC = b"mimeoc2\n"
# Raise it when equal rows are to give other bytes: names, the order of members.
FORMAT = 2
# After the magic bytes: the length of the JSON and its CRC-32.
_SIZES = struct.Struct(">QI")
PREFIX = len(MAGIC) + _SIZES.size
# That of a hundred thousand rows with an image each has 10 MB.
_LONGEST_HEAD = 64 << 20
# Most heads come whole with the first read.
_FIRST_READ = 64 << 10
_PIECE = 256 << 10


@dataclass(frozen=True, slots=True)
class Header:
    """What a collection is, apart from its rows.

    `renderers` are the names of those in use; `output` are the options that are
    not default; `pixels` are device pixels of all images. `content` is a digest of
    all of these and the rows, `edition` one of the versions that decide pixels.
    `size` is the length of the data that follows the head, `blocks` are (first row
    from 1, offset, length, CRC-32) in it, `assets` offset and length by SHA-256.
    `limits` are those of `limits_of` that every row was held against, or nothing.
    `notices` are what was seen of the texts when the rows came.
    """

    count: int
    renderers: tuple[str, ...]
    output: Mapping[str, Any]
    pixels: int
    content: str
    edition: str
    size: int
    blocks: tuple[tuple[int, int, int, int], ...]
    assets: Mapping[str, tuple[int, int]]
    limits: tuple[int, ...] = ()
    notices: Mapping[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """SHA-256, 64 hexadecimal digits: content and edition."""
        # Not of the head: where a block ends, and what the limits were, moves no pixel.
        return hashlib.sha256(f"{self.content}{self.edition}".encode()).hexdigest()

    def encode(self) -> bytes:
        """Return magic, length and JSON: all that comes before the data."""
        text = orjson.dumps({"format": FORMAT, **asdict(self)})
        # All else is held against the head, so the head needs a check of its own.
        return MAGIC + _SIZES.pack(len(text), zlib_ng.crc32(text)) + text


def length_of(prefix: bytes) -> int:
    """Return the length of the whole head by its first bytes.

    Raises DamagedCollection where they are not those of a collection.
    """
    if len(prefix) < PREFIX or not prefix.startswith(MAGIC):
        raise DamagedCollection("The collection is damaged: it has no head.")
    length, _ = _SIZES.unpack_from(prefix, len(MAGIC))
    if length > _LONGEST_HEAD:
        raise DamagedCollection("The collection is damaged: its head has no end.")
    return PREFIX + int(length)


def decode(head: bytes) -> Header:
    """Read what `Header.encode` wrote; raise DamagedCollection if it is not that."""
    try:
        if len(head) != length_of(head):
            raise DamagedCollection("The collection is damaged: its head is cut off.")
        # Before the JSON is read: with one bit flipped a digest is still a digest.
        if zlib_ng.crc32(head[PREFIX:]) != _SIZES.unpack_from(head, len(MAGIC))[1]:
            raise DamagedCollection("The head of the collection is damaged.")
        values = orjson.loads(head[PREFIX:])
        if values.pop("format") != FORMAT:
            raise DamagedCollection("The collection has another format.")
        values["renderers"] = tuple(values["renderers"])
        values["blocks"] = tuple(tuple(block) for block in values["blocks"])
        values["limits"] = tuple(values.get("limits", ()))
        return Header(**values)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DamagedCollection("The head of the collection is damaged.") from error


def limits_of(bounds: Settings) -> tuple[int, ...]:
    """Return the limits of one image that its parameters alone decide."""
    return bounds.max_side, bounds.max_pixels, bounds.max_text_chars


def edition_of(renderers: Iterable[Renderer]) -> str:
    """Return a digest of the versions that decide the pixels of a collection."""
    # Sorted, because the order in which rows name their renderers moves no pixel.
    versions = sorted((renderer.name, renderer.version) for renderer in renderers)
    canonical = orjson.dumps((FORMAT, ENCODERS, versions))
    return hashlib.sha256(canonical).hexdigest()


class Item(NamedTuple):
    """One image of a collection: number from 1, file name, request."""

    index: int  # type: ignore[assignment]
    name: str
    request: ImageRequest


class Collection:
    """Image requests in order, without holding more than a few hundred of them.

    Rows were validated when they came; what may have changed since then, the
    renderer's parameters and the limits, is checked again. `id` is the SHA-256, 64
    hexadecimal digits, of the rows and the edition, `count` the number of images,
    `output` what they share.
    """

    def __init__(
        self,
        header: Header,
        base: int,
        read: Read,
        catalogue: Catalogue,
        bounds: Settings,
    ) -> None:
        self.header = header
        self.id = header.id
        self.count = header.count
        self.output = Output.model_validate(dict(header.output))
        self._base = base
        self._read_at = read
        self._catalogue = catalogue
        self._bounds = bounds
        extensions = FORMATS[self.output.format].extensions
        self._ending = f".{extensions[0]}"
        self._renderers: dict[int, Renderer] = {}
        # The edition pins the renderers, so only a limit that is lower now can tell.
        now = limits_of(bounds)
        self._held = bool(header.limits) and all(map(ge, now, header.limits))
        self._firsts = [block[0] for block in header.blocks]
        # Neighbours are mostly asked for one after the other, and mostly share images.
        # Of a job two threads draw, and not in order.
        self._rows = lru_cache(8)(self._read_rows)
        self._asset = lru_cache(2)(self._read_asset)

    @classmethod
    def open(cls, read: Read, catalogue: Catalogue, bounds: Settings) -> "Collection":
        """Read the head of a collection.

        Raises DamagedCollection, and LimitExceeded where limits are lower now than
        when it was made.
        """
        head = read(0, _FIRST_READ)
        length = length_of(head)
        if length > len(head):
            head += read(len(head), length)
        header = decode(head[:length])
        most = bounds.max_rows
        if header.count > most:
            raise LimitExceeded("rows", "MIMEO_MAX_ROWS", most, header.count)
        most = bounds.max_collection_pixels
        if header.pixels > most:
            limit = "MIMEO_MAX_COLLECTION_PIXELS"
            raise LimitExceeded("rows", limit, most, header.pixels)
        return cls(header, length, read, catalogue, bounds)

    @property
    def renderers(self) -> tuple[Renderer, ...]:
        """What draws the images; raises UnknownRenderer where one is gone."""
        return tuple(map(self._catalogue.get, self.header.renderers))

    @property
    def services(self) -> tuple[str, ...]:
        """The services that make some of the images."""
        return tuple(each.name for each in self.renderers if each.remote is not None)

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
        # Other versions may draw other sizes: rows are held against limits again.
        if header.edition != self.header.edition:
            header = replace(header, limits=())
        return header.id, header.encode()

    def data(self) -> Iterator[bytes]:
        """Yield what follows the head, in pieces of up to 256 KiB."""
        for start in range(0, self.header.size, _PIECE):
            yield self._read(start, min(_PIECE, self.header.size - start))

    def items(
        self,
        first: int = 1,
        last: int | None = None,
        format_name: str | None = None,
        *,
        bleed: bool = False,
    ) -> Iterator[Item | Failed]:
        """Iterate over the images from `first` to `last`, both included.

        They are in the collection's format unless another is named, which may have
        their `bleed` even where they do not ask for it. A row that is no
        longer valid, or over a limit that is lower now, is Failed in its place. Raises
        NoSuchIndex at once, and DamagedCollection in its turn.
        """
        last = self.count if last is None else last
        for index in (first, last):
            self._find(index)

        def made() -> Iterator[Item | Failed]:
            for index in range(first, last + 1):
                try:
                    yield self.item(index, format_name, bleed=bleed)
                except RendererError as error:
                    yield Failed(index, self.name(index), error)

        return made()

    def item(
        self, index: int, format_name: str | None = None, *, bleed: bool = False
    ) -> Item:
        """Return one image; raise NoSuchIndex or a RendererError."""
        number, name, values, images = self._row(index)
        renderer = self._renderer(number)
        for each, digest in images.items():
            values[each] = self._asset(digest)
        made = validate(renderer.parameters, values, strict=True)
        # A renderer's own check may depend on settings that are not in the head.
        if self._held and renderer.check is None:
            request = ImageRequest(renderer, made, self.output)
        else:
            request = request_of(renderer, made, self.output, self._bounds)
        if format_name is not None and (bleed or format_name != self.output.format):
            request = in_format(request, format_name, bleed=bleed)
        return Item(index, name + self._ending, request)

    def name(self, index: int) -> str:
        """Return a file name alone: of a row that is not valid any more, too."""
        stem: str = self._row(index)[1]
        return stem + self._ending

    def _renderer(self, number: int) -> Renderer:
        if number not in self._renderers:
            wanted = self.header.renderers[number]
            self._renderers[number] = self._catalogue.get(wanted)
        return self._renderers[number]

    def _row(self, index: int) -> Any:
        block = self._find(index)
        try:
            return orjson.loads(self._rows(block)[index - self._firsts[block]])
        except (IndexError, ValueError) as error:
            raise DamagedCollection(f"Collection {self.id} is damaged.") from error

    def _find(self, index: int) -> int:
        """Return the number of the block that has a row."""
        if not 1 <= index <= self.count:
            raise NoSuchIndex(index, self.count)
        return bisect_right(self._firsts, index) - 1

    def _edition(self) -> str:
        return edition_of(map(self._catalogue.get, self.header.renderers))

    def _read_rows(self, block: int) -> list[bytes]:
        _, offset, length, crc32 = self.header.blocks[block]
        data = self._read(offset, length)
        if zlib_ng.crc32(data) != crc32:
            raise DamagedCollection(f"Rows of collection {self.id} are damaged.")
        return data.splitlines()

    def _read_asset(self, digest: str) -> bytes:
        data = self._read(*self.header.assets[digest])
        if hashlib.sha256(data).hexdigest() != digest:
            raise DamagedCollection(f"An image of collection {self.id} is damaged.")
        return data

    def _read(self, offset: int, length: int) -> bytes:
        start = self._base + offset
        data = self._read_at(start, start + length)
        # A store that lost the end gives fewer bytes and no error.
        if len(data) != length:
            raise DamagedCollection(f"Collection {self.id} is damaged: it is cut off.")
        return data
