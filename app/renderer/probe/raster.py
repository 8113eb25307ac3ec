"""Size and completeness of pixel formats, read from their structure alone.

No pixel is decoded: each reader walks the parts of a format up to its end, which
finds every cut and costs a fraction of decoding (PNG: its CRCs too, so a flipped
byte as well). Sizes are as stored; a rotation in the metadata is not applied.

Pillow's lazy opening is no substitute where strangers choose the bytes: version 13
spends 0.75 s on each MiB of a JPEG's fill bytes, and its readers of WebP and AVIF
take two copies of the file into memory.
"""

import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO

from app.renderer.probe.byte_range import Region

Size = tuple[int, int]

# A part has at least a few bytes; far fewer are in any file that a camera or a
# model makes, and a file of nothing but empty parts must not cost seconds.
_MOST_PARTS = 65_536
_MOST_GIF_BLOCKS = 500_000


class Damaged(ValueError):
    """The bytes begin like a format but are not a whole image of it."""


def take(reader: BinaryIO, size: int) -> bytes:
    """Return exactly `size` bytes; raise Damaged where the file ends before."""
    data = reader.read(size) if size > 0 else b""
    if len(data) != size:
        raise Damaged("the image is cut off")
    return data


def counted(most: int = _MOST_PARTS) -> Iterator[None]:
    """Yield for every part of a file; raise Damaged at one too many."""
    for _ in range(most):
        yield
    raise Damaged("the image has too many parts")


def measure_png(image: Region) -> Size:
    """Walk the chunks of a PNG to IEND and check their CRCs (PNG, third edition, 5)."""
    head = image.read(8, 16)
    if len(head) < 16 or head[4:8] != b"IHDR":
        raise Damaged("the PNG has no IHDR")
    position, kinds = 8, set()
    for _ in counted():
        kind, position = _check_chunk(image, position)
        kinds.add(kind)
        if kind == b"IEND":
            break
    if b"IDAT" not in kinds:
        raise Damaged("the PNG has no pixels")
    width, height = struct.unpack(">II", head[8:16])
    return width, height


def _check_chunk(image: Region, position: int) -> tuple[bytes, int]:
    """Return the kind of a chunk and where the next one begins."""
    head = image.read(position, 8)
    end = position + 12 + int.from_bytes(head[:4], "big")
    if len(head) < 8 or end > image.length:
        raise Damaged("the PNG is cut off")
    crc = 0
    for block in image.part(position + 4, end - 4).blocks():
        crc = zlib.crc32(block, crc)
    if crc != int.from_bytes(image.read(end - 4, 4), "big"):
        raise Damaged("a checksum in the PNG is wrong")
    return head[4:8], end


def measure_jpeg(image: Region) -> Size:
    """Walk the segments of a JPEG to its first scan, and find its end (T.81, B)."""
    size, _, start = _to_first_scan(image)
    _find_end(image, start)
    return size


def has_one_scan(image: Region) -> bool:
    """Tell whether the first scan of a JPEG has all there is: so no other can lack.

    Of a progressive one, or with a scan for each component, it has not.
    """
    return _to_first_scan(image)[1]


def _to_first_scan(image: Region) -> tuple[Size, bool, int]:
    """Return the size, whether the first scan is the only one, and where that begins.

    Raises Damaged where there is neither frame nor scan.
    """
    size: Size | None = None
    only, components = False, 0
    with image.open() as reader:
        take(reader, 2)
        parts = counted()
        for _ in parts:
            marker = _next_marker(reader, parts)
            body = take(reader, int.from_bytes(take(reader, 2), "big") - 2)
            if _is_frame(marker) and len(body) >= 6:
                height, width, components = struct.unpack(">HHB", body[1:6])
                size = width, height
                # Codes of sequential frames, by Huffman or arithmetic coding.
                only = marker & 3 < 2
            if marker == 0xDA:
                only = only and body[:1] == bytes((components,))
                break
        start = reader.tell()
    if size is None:
        raise Damaged("the JPEG has no frame")
    return size, only, start


def _next_marker(reader: BinaryIO, parts: Iterator[None]) -> int:
    """Return the code of a marker; the fill bytes before it count as parts."""
    if take(reader, 1) != b"\xff":
        raise Damaged("the JPEG has no marker where one is due")
    while (marker := take(reader, 1)[0]) == 0xFF:
        next(parts)
    if marker == 0xD9:
        raise Damaged("the JPEG has no pixels")
    return marker


def _is_frame(marker: int) -> bool:
    """Tell a start of frame from DHT, JPG and DAC, which share its range."""
    return 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)


def _find_end(image: Region, start: int) -> None:
    """Raise Damaged where no EOI follows: inside of a scan its bytes cannot occur."""
    last = b""
    for block in image.blocks(start):
        if b"\xff\xd9" in last + block:
            return
        last = block[-1:]
    raise Damaged("the JPEG is cut off")


def measure_gif(image: Region) -> Size:
    """Walk the blocks of a GIF to its trailer (GIF89a, 15 to 27)."""
    blocks, frames = counted(_MOST_GIF_BLOCKS), 0
    with image.open() as reader:
        head = take(reader, 13)
        _skip_colors(reader, head[10])
        while (kind := take(reader, 1)) != b";":
            if kind == b",":
                frames += 1
                _skip_colors(reader, take(reader, 9)[8])
            elif kind != b"!":
                raise Damaged("the GIF has an unknown block")
            # The size of codes, or the label of an extension.
            take(reader, 1)
            _skip_blocks(reader, blocks)
    if not frames:
        raise Damaged("the GIF has no pixels")
    width, height = struct.unpack("<HH", head[6:10])
    return width, height


def _skip_colors(reader: BinaryIO, flags: int) -> None:
    if flags & 0x80:
        take(reader, 3 << ((flags & 7) + 1))


def _skip_blocks(reader: BinaryIO, blocks: Iterator[None]) -> None:
    for _ in blocks:
        size = take(reader, 1)[0]
        if not size:
            return
        take(reader, size)


def measure_webp(image: Region) -> Size:
    """Walk the chunks of a WebP to the end of its RIFF (RFC 9649, 2)."""
    end = 8 + int.from_bytes(image.read(4, 4), "little")
    if end > image.length:
        raise Damaged("the WebP is cut off")
    sizes: list[Size] = []
    pixels, position = False, 12
    for _ in counted():
        if position + 8 > end:
            break
        head = image.read(position, 18)
        length = int.from_bytes(head[4:8], "little")
        if position + 8 + length > end:
            raise Damaged("the WebP is cut off")
        pixels = pixels or head[:4] in (b"VP8 ", b"VP8L", b"ANMF")
        sizes += _webp_size(head[:4], head[8:])
        position += 8 + length + length % 2
    if not pixels or not sizes:
        raise Damaged("the WebP has no pixels")
    return sizes[0]


def _webp_size(kind: bytes, body: bytes) -> list[Size]:
    """Read a size from the first bytes of a chunk, where it is one that has it."""
    if kind == b"VP8X" and len(body) == 10:
        canvas = (int.from_bytes(body[at : at + 3], "little") + 1 for at in (4, 7))
        return [(next(canvas), next(canvas))]
    if kind == b"VP8L" and body[:1] == b"\x2f" and len(body) >= 5:
        bits = int.from_bytes(body[1:5], "little")
        return [((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)]
    if kind == b"VP8 " and body[3:6] == b"\x9d\x01\x2a" and len(body) == 10:
        width, height = struct.unpack("<HH", body[6:10])
        return [(width & 0x3FFF, height & 0x3FFF)]
    return []


def measure_bmp(image: Region) -> Size:
    """Read the header of a BMP, and compare the file's length with it."""
    head = image.read(0, 38)
    if len(head) < 38:
        raise Damaged("the BMP is cut off")
    start, length, width, height = struct.unpack("<IIii", head[10:26])
    depth, compression, stored = struct.unpack("<HII", head[28:38])
    if length < 40:
        raise Damaged("the BMP has an unknown header")
    if compression in (0, 3):
        stored = (width * depth + 31) // 32 * 4 * abs(height)
    if start + stored > image.length:
        raise Damaged("the BMP is cut off")
    return width, abs(height)


_WIDTH, _HEIGHT = 256, 257
# Offsets and byte counts: of strips, and of tiles.
_PLACES = ((273, 279), (324, 325))
_WANTED = frozenset((_WIDTH, _HEIGHT, *sum(_PLACES, ())))
# TIFF's type of a number, as struct spells it.
_TYPES = {3: "H", 4: "I"}
_MOST_VALUES = 1 << 16

Directory = dict[int, tuple[int, ...]]


def measure_tiff(image: Region) -> Size:
    """Read the directory of a TIFF; its strips or tiles must lie inside the file."""
    tags = _read_directory(image)
    if not (tags.get(_WIDTH) and tags.get(_HEIGHT)):
        raise Damaged("the TIFF has no size")
    places = [(tags[at], tags[size]) for at, size in _PLACES if {at, size} <= set(tags)]
    if not places:
        raise Damaged("the TIFF has no pixels")
    for offsets, lengths in places:
        if max(map(sum, zip(offsets, lengths, strict=False)), default=0) > image.length:
            raise Damaged("the TIFF is cut off")
    return tags[_WIDTH][0], tags[_HEIGHT][0]


def _read_directory(image: Region) -> Directory:
    """Return what is wanted of the first directory; of a repeated tag the first."""
    order = "<" if image.read(0, 2) == b"II" else ">"
    start = _unpack(f"{order}I", image.read(4, 4))[0]
    count = _unpack(f"{order}H", image.read(start, 2))[0]
    entries = image.read(start + 2, 12 * count)
    if len(entries) != 12 * count:
        raise Damaged("the TIFF is cut off")
    tags: Directory = {}
    # Every one of 65,535 entries may claim 65,536 values of its own.
    for tag, kind, length, field in struct.iter_unpack(f"{order}HHI4s", entries):
        if tag in _WANTED and tag not in tags and kind in _TYPES:
            spelt = f"{order}{length}{_TYPES[kind]}"
            tags[tag] = _read_values(image, order, spelt, length, field)
    return tags


def _read_values(
    image: Region, order: str, spelt: str, length: int, field: bytes
) -> tuple[int, ...]:
    """Return the numbers of an entry, from its field where they fit into it."""
    if length > _MOST_VALUES:
        raise Damaged("the TIFF has too many parts")
    size = struct.calcsize(spelt)
    if size <= 4:
        return _unpack(spelt, field[:size])
    return _unpack(spelt, image.read(_unpack(f"{order}I", field[:4])[0], size))


def _unpack(spelt: str, data: bytes) -> tuple[int, ...]:
    if len(data) != struct.calcsize(spelt):
        raise Damaged("the TIFF is cut off")
    return struct.unpack(spelt, data)
