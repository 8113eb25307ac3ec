"""Size and completeness of a TIFF, read from its first directory (TIFF 6.0, 2)."""

import struct

from app.upstream.probe.byte_range import Region
from app.upstream.probe.raster import Damaged, Size

_WIDTH, _HEIGHT = 256, 257
# Offsets and byte counts: of strips, and of tiles.
_PLACES = ((273, 279), (324, 325))
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
    order = "<" if image.read(0, 2) == b"II" else ">"
    start = _unpack(f"{order}I", image.read(4, 4))[0]
    count = _unpack(f"{order}H", image.read(start, 2))[0]
    entries = image.read(start + 2, 12 * count)
    tags: Directory = {}
    for at in range(0, 12 * count, 12):
        tag, kind, length, _ = _unpack(f"{order}HHII", entries[at : at + 12])
        if kind in _TYPES:
            spelt = f"{order}{length}{_TYPES[kind]}"
            tags[tag] = _read_values(image, order, spelt, length, entries[at + 8 :])
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
