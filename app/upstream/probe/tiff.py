"""Size and completeness of a TIFF, read from its first directory (TIFF 6.0, 2)."""

import struct

from app.upstream.probe.byte_range import Region
from app.upstream.probe.raster import Damaged, Size

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
