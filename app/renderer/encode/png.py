"""A PNG writer for pictures that are made to be sent once, and soon.

Follows the PNG specification, third edition (W3C, 2025). One IDAT chunk, no
interlacing. An opaque RGBA picture becomes RGB only where the plan asks for it: the
look at its alpha and the copy take 0.35 ms for a card, as much as a quarter of the
deflating of a gradient, and more than that of a flat one.
"""

import struct
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from PIL import Image
from zlib_ng import zlib_ng

from app.renderer.base import Compression, Picture
from app.renderer.encode import quantize, strategy
from app.renderer.encode.scanlines import Rows

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_HEADER = struct.Struct(">IIBBBBB")
_LENGTH = struct.Struct(">I")
_GREY, _RGB, _INDEXED, _RGBA = 0, 2, 3, 6

_NO_ROWS = np.empty((0, 0), np.uint8)

Deflate = Callable[[Rows, int], bytes]
_DEFLATE: Mapping[Compression, Deflate] = MappingProxyType(
    {"fast": strategy.compress_fast, "small": strategy.compress_small}
)


class Layout(NamedTuple):
    """Pixels as PNG stores them; `pixel` is their size in bytes, at least 1."""

    color: int
    depth: int
    pixel: int
    rows: Rows
    chunks: bytes = b""


def encode_png(picture: Picture, compression: Compression | None = None) -> bytes:
    """Return a PNG file with exactly the pixels of the picture.

    `compression` trades time for size: `fast`, None for the default, `small`.
    """
    if _is_blank(picture.image):
        return _blank(picture.image)
    flat = None if compression == "small" else _flat(picture)
    if flat is not None:
        data = strategy.compress_runs(flat.rows, flat.pixel)
        return _file(picture.image.size, flat, data)
    if compression is None:
        return _encode_default(picture)
    layout = _shrunk(picture) if compression == "small" else _narrow(picture)
    data = _DEFLATE[compression](layout.rows, layout.pixel)
    return _file(picture.image.size, layout, data)


def _is_blank(image: Image.Image) -> bool:
    """Tell whether there is but one colour to choose from."""
    if image.mode != "P" or image.palette is None:
        return False
    return len(image.palette.palette) == len(image.palette.mode)


def _blank(image: Image.Image) -> bytes:
    """Write a picture of one colour: only the size decides the data."""
    stream = _blank_stream(*image.size)
    chunks = _palette(_colors(image, 1))
    return _file(image.size, Layout(_INDEXED, 1, 1, _NO_ROWS, chunks), stream)


@lru_cache(256)
def _blank_stream(width: int, height: int) -> bytes:
    rows = np.zeros((height, -(-width // 8)), np.uint8)
    return strategy.compress_indices(rows, 1)


def encode_rgba(picture: Picture) -> bytes:
    """Return a PNG file of colour type RGBA even where all is opaque, as icons ask."""
    image = picture.image
    rgba = picture if image.mode == "RGBA" else Picture(image.convert("RGBA"))
    return _file(image.size, Layout(_RGBA, 8, 4, _NO_ROWS), compress(rgba))


def compress(picture: Picture) -> bytes:
    """Return the zlib stream that an IDAT of these pixels holds, mode as it is.

    For containers other than a PNG file; modes L, RGB and RGBA.
    """
    layout = _layout(picture)
    return strategy.choose(layout.rows, layout.pixel).run(layout.rows, layout.pixel)


def _encode_default(picture: Picture) -> bytes:
    layout = _layout(picture)
    if layout.color == _INDEXED or layout.depth < 8:
        data = strategy.compress_indices(layout.rows, layout.pixel)
        return _file(picture.image.size, layout, data)
    chosen = strategy.choose(layout.rows, layout.pixel)
    if chosen.narrow:
        layout = _narrow(picture)
    data = chosen.run(layout.rows, layout.pixel)
    return _file(picture.image.size, layout, data)


def _file(size: tuple[int, int], layout: Layout, data: bytes) -> bytes:
    header = _HEADER.pack(*size, layout.depth, layout.color, 0, 0, 0)
    chunks = (
        SIGNATURE,
        chunk(b"IHDR", header),
        layout.chunks,
        chunk(b"IDAT", data),
        chunk(b"IEND", b""),
    )
    return b"".join(chunks)


def chunk(kind: bytes, data: bytes) -> bytes:
    """Return a chunk: length, type, data and the CRC-32 of type and data."""
    crc = zlib_ng.crc32(data, zlib_ng.crc32(kind))
    return b"".join((_LENGTH.pack(len(data)), kind, data, _LENGTH.pack(crc)))


def read_chunks(data: bytes) -> Iterator[tuple[bytes, memoryview]]:
    """Yield type and content of each chunk of a PNG file, as views of `data`.

    Trusts the file, as one of our own: checks no CRC.
    """
    view, place = memoryview(data), len(SIGNATURE)
    while place < len(data):
        (length,) = _LENGTH.unpack_from(data, place)
        yield data[place + 4 : place + 8], view[place + 8 : place + 8 + length]
        place += length + 12


def _layout(picture: Picture) -> Layout:
    return _LAYOUTS[picture.image.mode](picture)


def _bits(picture: Picture) -> Layout:
    levels = _rows(picture.image, picture.image.tobytes("raw", "L"))
    return Layout(_GREY, 1, 1, np.packbits(levels, axis=1))


def _grey(picture: Picture) -> Layout:
    return Layout(_GREY, 8, 1, _packed(picture))


def _rgb(picture: Picture) -> Layout:
    return Layout(_RGB, 8, 3, _packed(picture))


def _rgba(picture: Picture) -> Layout:
    return Layout(_RGBA, 8, 4, _packed(picture))


def _flat(picture: Picture) -> Layout | None:
    """Write flat graphics as indices: a quarter of the bytes to deflate."""
    if picture.image.mode != "RGBA":
        return None
    found = quantize.from_runs(_packed(picture))
    if found is None:
        return None
    indices, colors = found
    depth = _depth(len(colors) // 4)
    return Layout(_INDEXED, depth, 1, _pack(indices, depth), _palette(colors))


def _narrow(picture: Picture) -> Layout:
    """Like `_layout`, but an opaque RGBA picture becomes RGB."""
    layout = _layout(picture)
    if layout.color != _RGBA or not _opaque(layout.rows):
        return layout
    data = picture.image.tobytes("raw", "RGB")
    return Layout(_RGB, 8, 3, _rows(picture.image, data))


def _opaque(rows: Rows) -> bool:
    return bool(np.bitwise_and.reduce(rows.view("<u4"), axis=None) >> 24 == 255)


def _packed(picture: Picture) -> Rows:
    """Return the pixels as rows of bytes, without a copy where there is a buffer."""
    packed = picture.packed
    return _rows(picture.image, picture.image.tobytes() if packed is None else packed)


def _rows(image: Image.Image, data: bytes) -> Rows:
    return np.frombuffer(data, np.uint8).reshape(image.height, -1)


def _indexed(picture: Picture) -> Layout:
    """Write as few bits a pixel, and as few colours, as the highest index needs."""
    indices = _packed(picture)
    count = 1 + int(indices.max())
    depth = _depth(count)
    colors = _palette(_colors(picture.image, count))
    return Layout(_INDEXED, depth, 1, _pack(indices, depth), colors)


def _depth(count: int) -> int:
    return next(bits for bits in (1, 2, 4, 8) if count <= 1 << bits)


def _pack(indices: Rows, depth: int) -> Rows:
    """Put 8 / depth indices into a byte, the leftmost highest.

    Numpy packs a 480x480 picture in 0.01 ms; through Pillow it takes 0.15 ms.
    """
    if depth == 8:
        return indices
    if depth == 1:
        return np.packbits(indices, axis=1)
    share = 8 // depth
    height, width = indices.shape
    packed = np.zeros((height, -(-width // share)), np.uint8)
    for place in range(share):
        part = indices[:, place::share]
        packed[:, : part.shape[1]] |= part << (8 - depth * (place + 1))
    return packed


def _colors(image: Image.Image, count: int) -> bytes:
    """Return `count` palette entries as RGBA, with the file's transparency applied."""
    entries = bytearray(image.getpalette("RGBA") or b"").ljust(1024, b"\0")
    transparency = image.info.get("transparency", b"")
    if isinstance(transparency, int):
        entries[4 * transparency + 3] = 0
    else:
        entries[3 : 4 * len(transparency) : 4] = transparency
    return bytes(entries[: 4 * count])


def _palette(colors: bytes) -> bytes:
    """Return PLTE and, unless all colours are opaque, tRNS."""
    rgb = np.frombuffer(colors, np.uint8).reshape(-1, 4)[:, :3].tobytes()
    alpha = colors[3::4].rstrip(b"\xff")
    return chunk(b"PLTE", rgb) + (chunk(b"tRNS", alpha) if alpha else b"")


def _shrunk(picture: Picture) -> Layout:
    """Like `_layout`, but up to 256 different colours become a palette."""
    image = picture.image
    flat = quantize.index(image) if image.mode in ("RGB", "RGBA") else None
    return _narrow(picture if flat is None else Picture(flat))


_LAYOUTS: Mapping[str, Callable[[Picture], Layout]] = MappingProxyType(
    {"1": _bits, "L": _grey, "P": _indexed, "RGB": _rgb, "RGBA": _rgba}
)
