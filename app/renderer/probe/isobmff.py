"""Size and completeness of formats made of boxes: AVIF, HEIC and JPEG XL."""

import struct
from collections.abc import Iterator

from app.renderer.probe.byte_range import Region
from app.renderer.probe.raster import Damaged, Size, counted

# The metadata of one image; a bigger box is not read.
_MOST_META = 1 << 20
_CODESTREAM = b"\xff\x0a"
# How many bits a dimension of a JPEG XL has, by its selector (18181-1, B.2).
_DIMENSION_BITS = (9, 13, 18, 30)
_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))


def measure_heif(image: Region) -> Size:
    """Walk the boxes of an AVIF or HEIC (ISO/IEC 23008-12).

    An image in tiles has the size of a tile too, so the largest size counts.
    """
    wanted = (b"meta", b"mdat")
    found = {kind: box for kind, box in _walk(image) if kind in wanted}
    if len(found) < len(wanted):
        raise Damaged("the image has no pixels")
    meta = found[b"meta"]
    properties = _child(_child(meta.part(4, meta.length), b"iprp"), b"ipco")
    sizes = [_extents(box) for kind, box in _walk(properties) if kind == b"ispe"]
    if not sizes:
        raise Damaged("the image has no size")
    return max(sizes, key=lambda size: size[0] * size[1])


def _walk(region: Region) -> Iterator[tuple[bytes, Region]]:
    """Yield the boxes of a region, name and content; raise where one is cut off."""
    position = 0
    for _ in counted():
        if position == region.length:
            return
        head = region.read(position, 16)
        size, start = int.from_bytes(head[:4], "big"), 8
        if size == 1:
            size, start = int.from_bytes(head[8:16], "big"), 16
        size = size or region.length - position
        if size < start or len(head) < start or position + size > region.length:
            raise Damaged("the image is cut off")
        yield head[4:8], region.part(position + start, position + size)
        position += size


def _child(region: Region, name: bytes) -> Region:
    if region.length > _MOST_META:
        raise Damaged("the image has too much metadata")
    for kind, box in _walk(region):
        if kind == name:
            return box
    raise Damaged("the image has no size")


def _extents(box: Region) -> Size:
    data = box.read(4, 8)
    if len(data) < 8:
        raise Damaged("the image has no size")
    width, height = struct.unpack(">II", data)
    return width, height


def measure_jxl(image: Region) -> Size:
    """Read the size of a JPEG XL, bare or in boxes.

    The cut of a bare one cannot be seen without decoding it.
    """
    if image.read(0, 2) == _CODESTREAM:
        return _read_size(image.read(2, 16))
    stream = [box for kind, box in _walk(image) if kind in (b"jxlc", b"jxlp")]
    if not stream:
        raise Damaged("the image has no pixels")
    head = stream[0].read(0, 22)
    # The parts of a split stream are numbered in four bytes.
    return _read_size(head[head.find(_CODESTREAM) + 2 :])


def _read_size(data: bytes) -> Size:
    """Read a SizeHeader: bits from the lowest up (ISO/IEC 18181-1, B.2)."""
    if len(data) < 10:
        raise Damaged("the image is cut off")
    bits = _Bits(int.from_bytes(data, "little"))
    small = bits.take(1)
    height = _dimension(bits, small)
    ratio = bits.take(3)
    if not ratio:
        return _dimension(bits, small), height
    over, under = _RATIOS[ratio - 1]
    return height * over // under, height


def _dimension(bits: "_Bits", small: int) -> int:
    if small:
        return (bits.take(5) + 1) * 8
    return bits.take(_DIMENSION_BITS[bits.take(2)]) + 1


class _Bits:
    """A number read from its lowest bit up."""

    def __init__(self, value: int) -> None:
        self._left = value

    def take(self, count: int) -> int:
        value = self._left & ((1 << count) - 1)
        self._left >>= count
        return value
