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
import numpy.typing as npt
from PIL import Image
from zlib_ng import zlib_ng

from app.renderer.base import Compression, Picture
from app.renderer.encode import quantize, scanlines
from app.renderer.encode.scanlines import Rows

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_HEADER = struct.Struct(">IIBBBBB")
_LENGTH = struct.Struct(">I")
_GREY, _RGB, _INDEXED, _RGBA = 0, 2, 3, 6

# Colour type and bytes of a pixel, by Pillow's mode.
_DIRECT = MappingProxyType({"L": (_GREY, 1), "RGB": (_RGB, 3), "RGBA": (_RGBA, 4)})
_NO_ROWS = np.empty((0, 0), np.uint8)
# Runs a pixel: cards have 0.03, gradients and photographs 0.3 and more.
_MOST_RUNS = 1 / 8
# Odd numbers near 2**32 / golden ratio and unrelated to it. Each sends 256 values to
# different slots in 6 cases of 10.
_FACTORS = tuple(
    np.uint32(factor)
    for factor in (
        *(0x9E3779B1, 0x85EBCA6B, 0xC2B2AE35, 0x27D4EB2F),
        *(0x165667B1, 0xCC9E2D51, 0x1B873593, 0xE6546B65),
    )
)

Values = npt.NDArray[np.uint32]

Deflate = Callable[[Rows, int], bytes]
_DEFLATE: Mapping[Compression, Deflate] = MappingProxyType(
    {"fast": scanlines.compress_fast, "small": scanlines.compress_small}
)


class PixelLayout(NamedTuple):
    """Pixels as PNG stores them; `pixel` is their size in bytes, at least 1."""

    color: int
    depth: int
    pixel: int
    rows: Rows
    chunks: bytes = b""


def encode_png(
    picture: Picture, compression: Compression | None = None, dpi: float | None = None
) -> bytes:
    """Return a PNG file with exactly the pixels of the picture.

    `compression` trades time for size: `fast`, None for the default, `small`. `dpi` are
    device pixels an inch; without it the file says nothing of them.
    """
    density = b"" if dpi is None else _density(dpi)
    if _is_blank(picture.image):
        return _blank(picture.image, density)
    flat = None if compression == "small" else _flat(picture)
    if flat is not None:
        data = scanlines.compress_runs(flat.rows, flat.pixel)
        return _file(picture.image.size, flat, data, density)
    if compression is None:
        return _encode_default(picture, density)
    layout = _shrunk(picture) if compression == "small" else _narrow(picture)
    data = _DEFLATE[compression](layout.rows, layout.pixel)
    return _file(picture.image.size, layout, data, density)


@lru_cache(64)
def _density(dpi: float) -> bytes:
    """Return the chunk pHYs: pixels a metre, of either axis (section 11.3.4.3)."""
    pixels = round(dpi / 0.0254)
    return chunk(b"pHYs", struct.pack(">IIB", pixels, pixels, 1))


def _is_blank(image: Image.Image) -> bool:
    """Tell whether there is but one colour to choose from."""
    if image.mode != "P" or image.palette is None:
        return False
    return len(image.palette.palette) == len(image.palette.mode)


def _blank(image: Image.Image, density: bytes) -> bytes:
    """Write a picture of one colour: only the size decides the data."""
    stream = _blank_stream(*image.size)
    chunks = _palette(_colors(image, 1))
    layout = PixelLayout(_INDEXED, 1, 1, _NO_ROWS, chunks)
    return _file(image.size, layout, stream, density)


@lru_cache(256)
def _blank_stream(width: int, height: int) -> bytes:
    rows = np.zeros((height, -(-width // 8)), np.uint8)
    return scanlines.compress_indices(rows, 1)


def encode_rgba(picture: Picture) -> bytes:
    """Return a PNG file of colour type RGBA even where all is opaque, as icons ask."""
    image = picture.image
    rgba = picture if image.mode == "RGBA" else Picture(image.convert("RGBA"))
    return _file(image.size, PixelLayout(_RGBA, 8, 4, _NO_ROWS), compress(rgba))


def compress(picture: Picture) -> bytes:
    """Return the zlib stream that an IDAT of these pixels holds, mode as it is.

    For containers other than a PNG file; modes L, RGB and RGBA.
    """
    layout = _layout(picture)
    return scanlines.choose(layout.rows, layout.pixel).run(layout.rows, layout.pixel)


def _encode_default(picture: Picture, density: bytes) -> bytes:
    layout = _layout(picture)
    if layout.color == _INDEXED or layout.depth < 8:
        data = scanlines.compress_indices(layout.rows, layout.pixel)
        return _file(picture.image.size, layout, data, density)
    chosen = scanlines.choose(layout.rows, layout.pixel)
    if chosen.narrow:
        layout = _narrow(picture)
    data = chosen.run(layout.rows, layout.pixel)
    return _file(picture.image.size, layout, data, density)


def _file(
    size: tuple[int, int], layout: PixelLayout, data: bytes, density: bytes = b""
) -> bytes:
    # The zeros are the only methods of compression and filtering that there are, and no
    # interlacing (section 11.2.1).
    header = _HEADER.pack(*size, layout.depth, layout.color, 0, 0, 0)
    chunks = (
        SIGNATURE,
        chunk(b"IHDR", header),
        density,
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


def _layout(picture: Picture) -> PixelLayout:
    mode = picture.image.mode
    if mode == "P":
        return _indexed(picture)
    if mode == "1":
        levels = _rows(picture.image, picture.image.tobytes("raw", "L"))
        return PixelLayout(_GREY, 1, 1, np.packbits(levels, axis=1))
    color, pixel = _DIRECT[mode]
    return PixelLayout(color, 8, pixel, _packed(picture))


def _flat(picture: Picture) -> PixelLayout | None:
    """Write flat graphics as indices: a quarter of the bytes to deflate."""
    if picture.image.mode != "RGBA":
        return None
    found = from_runs(_packed(picture))
    if found is None:
        return None
    indices, colors = found
    depth = _depth(len(colors) // 4)
    return PixelLayout(_INDEXED, depth, 1, _pack(indices, depth), _palette(colors))


def _narrow(picture: Picture) -> PixelLayout:
    """Like `_layout`, but an opaque RGBA picture becomes RGB."""
    layout = _layout(picture)
    if layout.color != _RGBA or not _opaque(layout.rows):
        return layout
    data = picture.image.tobytes("raw", "RGB")
    return PixelLayout(_RGB, 8, 3, _rows(picture.image, data))


def _opaque(rows: Rows) -> bool:
    # In little-endian words alpha is the highest byte: one pass, and no copy of the
    # channel.
    return bool(np.bitwise_and.reduce(rows.view("<u4"), axis=None) >> 24 == 255)


def _packed(picture: Picture) -> Rows:
    """Return the pixels as rows of bytes, without a copy where there is a buffer."""
    packed = picture.packed
    return _rows(picture.image, picture.image.tobytes() if packed is None else packed)


def _rows(image: Image.Image, data: bytes) -> Rows:
    return np.frombuffer(data, np.uint8).reshape(image.height, -1)


def _indexed(picture: Picture) -> PixelLayout:
    """Write as few bits a pixel, and as few colours, as the highest index needs."""
    indices = _packed(picture)
    count = 1 + int(indices.max())
    depth = _depth(count)
    colors = _palette(_colors(picture.image, count))
    return PixelLayout(_INDEXED, depth, 1, _pack(indices, depth), colors)


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
    # Pillow keeps a number where one index is clear, as in GIF, and bytes where the
    # first entries have an alpha each, as in tRNS.
    transparency = image.info.get("transparency", b"")
    if isinstance(transparency, int):
        entries[4 * transparency + 3] = 0
    else:
        entries[3 : 4 * len(transparency) : 4] = transparency
    return bytes(entries[: 4 * count])


def _palette(colors: bytes) -> bytes:
    """Return PLTE and, unless all colours are opaque, tRNS."""
    rgb = np.frombuffer(colors, np.uint8).reshape(-1, 4)[:, :3].tobytes()
    # Entries that tRNS leaves out at its end are opaque (section 11.3.1.1).
    alpha = colors[3::4].rstrip(b"\xff")
    return chunk(b"PLTE", rgb) + (chunk(b"tRNS", alpha) if alpha else b"")


def _shrunk(picture: Picture) -> PixelLayout:
    """Like `_layout`, but up to 256 different colours become a palette."""
    image = picture.image
    flat = quantize.index(image) if image.mode in ("RGB", "RGBA") else None
    return _narrow(picture if flat is None else Picture(flat))


def from_runs(rows: Rows) -> tuple[Rows, bytes] | None:
    """Return indices, a byte a pixel, and RGBA colours of flat graphics, or None.

    `rows` hold RGBA. None where neighbours differ too often, or where there are more
    than 256 colours. Looks only at pixels that differ from the one before: 1 ms for
    a card, where sorting all its pixels takes 40.
    """
    pixels = rows.view("<u4").reshape(-1)
    changed = np.empty(pixels.size, np.bool_)
    changed[0] = True
    np.not_equal(pixels[1:], pixels[:-1], out=changed[1:])
    if np.count_nonzero(changed) > pixels.size * _MOST_RUNS:
        return None
    starts = np.flatnonzero(changed)
    found = _number(pixels[starts])
    if found is None:
        return None
    numbers, colors = found
    # Runs go on over the ends of rows: here the pixels are one long line.
    indices = np.repeat(numbers, np.diff(starts, append=pixels.size))
    return indices.reshape(len(rows), -1), colors.tobytes()


def _number(values: Values) -> tuple[Rows, Values] | None:
    """Number different values from 0, by multiplicative hashing (Knuth, 6.4)."""
    for factor in _FACTORS:
        slots = (values * factor) >> np.uint32(16)
        table = np.zeros(1 << 16, np.uint32)
        used = np.zeros(1 << 16, np.bool_)
        table[slots], used[slots] = values, True
        taken = np.flatnonzero(used)
        if taken.size > 256:
            return None
        if np.array_equal(table[slots], values):
            numbers = np.empty(1 << 16, np.uint8)
            numbers[taken] = np.arange(taken.size)
            return numbers[slots], table[taken]
    return None
