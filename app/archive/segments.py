"""A ZIP over segments: the place of every byte, from a small record for each.

A segment is a run of finished images in one object of a store: a head of fixed size,
their members, header and data, as they stand in the archive, and their index, which is
a packed manifest. The archive is all members one after another and what the indexes
tell: `manifest.json`, its last member, and the central directory. It equals, byte for
byte, the archive that a `Layout` of the same images gives.
"""

import struct
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, astuple, dataclass
from functools import partial
from itertools import accumulate, chain, islice
from typing import IO, NamedTuple, Self

import orjson
from zlib_ng import zlib_ng

from app.archive.errors import DamagedManifest
from app.archive.layout import (
    FULL,
    Layout,
    Member,
    blocks,
    central_entry,
    cut,
    end_records,
    local_header,
)
from app.archive.manifest import (
    BETWEEN,
    CLOSING,
    MANIFEST,
    Entry,
    Manifest,
    listed,
    opening,
)

# Returns the bytes of a range of one segment, or of the segment of a number from 0; may
# be called by any thread.
ReadSegment = Callable[[int, int], bytes]
ReadSegments = Callable[[int, int, int], bytes]
_SEGMENT = b"mimeos1\n"
_LAYOUT = b"mimeol1\n"
_NUMBERS = struct.Struct(">8sIIQIQQQQIQI")
_CHECK = struct.Struct(">I")
SEGMENT_HEAD = _NUMBERS.size + _CHECK.size
# A bucket answers in tens of milliseconds, however little is asked for.
_STEP = 1 << 20


@dataclass(frozen=True, slots=True)
class Segment:
    """The head of a segment: what the layout of the archive needs of it.

    `images` and `failures` are counts; `members` and `index` are the bytes of what
    follows the head. `entries` are those of the central directory where no offset needs
    Zip64, `far_entries` where each does; `image_lines` and `error_lines` are those of
    the manifest's text.
    """

    images: int
    failures: int
    members: int
    members_crc32: int
    index: int
    entries: int
    far_entries: int
    image_lines: int
    image_lines_crc32: int
    error_lines: int
    error_lines_crc32: int

    @classmethod
    def of(cls, manifest: Manifest, index: bytes) -> Self:
        """Return the head of the images of a manifest, which `index` is the pack of."""
        members = crc32 = near = far = 0
        for entry in manifest.entries():
            member = Member(entry.name, entry.size, entry.crc32)
            header = local_header(member)
            members += len(header) + member.size
            crc32 = zlib_ng.crc32(header, crc32)
            crc32 = zlib_ng.crc32_combine(crc32, member.crc32, member.size)
            near += len(central_entry(member, 0))
            far += len(central_entry(member, FULL))
        return cls(
            len(manifest),
            len(manifest.failures),
            members,
            crc32,
            len(index),
            near,
            far,
            *_measured(manifest.image_lines()),
            *_measured(manifest.error_lines()),
        )

    def encode(self) -> bytes:
        """Return the SEGMENT_HEAD bytes that `decode` reads."""
        numbers = _NUMBERS.pack(_SEGMENT, *astuple(self))
        return numbers + _CHECK.pack(zlib_ng.crc32(numbers))

    @classmethod
    def decode(cls, head: bytes) -> Self:
        """Reverse `encode`; raise DamagedManifest where the head is not whole."""
        numbers, check = head[: _NUMBERS.size], head[_NUMBERS.size :]
        if check != _CHECK.pack(zlib_ng.crc32(numbers)):
            raise DamagedManifest("The head of a segment is damaged.")
        magic, *values = _NUMBERS.unpack(numbers)
        if magic != _SEGMENT:
            raise DamagedManifest("The segment is not of this version.")
        return cls(*values)

    def manifest(self, read: ReadSegment) -> Manifest:
        """Return what the index tells; raise DamagedManifest."""
        start = SEGMENT_HEAD + self.members
        return Manifest.unpack(_whole(read(start, start + self.index), self.index))


def encode_segment(manifest: Manifest, data: IO[bytes]) -> Iterator[bytes]:
    """Yield the segment of some images: what is known of them, and their data.

    `data` are the bytes of all, one after another. Raises BadName, and ValueError where
    they are too few.
    """
    index = manifest.pack()
    yield Segment.of(manifest, index).encode()
    # It says how a member's header is spelt, and refuses names.
    layout = Layout()
    for entry in manifest.entries():
        yield layout.add(Member(entry.name, entry.size, entry.crc32))
        left = entry.size
        while left:
            piece = data.read(min(left, _STEP))
            if not piece:
                raise ValueError(f"{left} bytes of {entry.name} are missing")
            yield piece
            left -= len(piece)
    yield index


def data_places(manifest: Manifest) -> Iterator[tuple[Entry, int]]:
    """Yield what the index of a segment tells, and where the data begin in it."""
    at = SEGMENT_HEAD
    for entry in manifest.entries():
        at += len(local_header(Member(entry.name, entry.size, entry.crc32)))
        yield entry, at
        at += entry.size


def members_of(segment: Segment, read: ReadSegment) -> Iterator[bytes]:
    """Yield the members of a segment; raise DamagedManifest where one is damaged."""
    return _checked(read, 0, segment.members, segment.members_crc32)


def _checked(
    read: ReadSegment, start: int, stop: int, crc32: int | None
) -> Iterator[bytes]:
    """Yield bytes behind the head of a segment; the last only if all are as they were.

    Without a `crc32` of all of them nobody knows.
    """
    found = 0
    for at in range(start, stop, _STEP):
        end = min(at + _STEP, stop)
        piece = _whole(read(SEGMENT_HEAD + at, SEGMENT_HEAD + end), end - at)
        if crc32 is not None:
            found = zlib_ng.crc32(piece, found)
            if end == stop and found != crc32:
                raise DamagedManifest("A segment of an archive is damaged.")
        yield piece


def _measured(lines: Iterable[bytes]) -> tuple[int, int]:
    """Return length and CRC-32 of lines as a list has them, from the first on."""
    size = crc32 = 0
    for line in listed(lines, b""):
        size += len(line)
        crc32 = zlib_ng.crc32(line, crc32)
    return size, crc32


class _Lengths(NamedTuple):
    """Bytes of the parts of each segment, of lines with what stands before them."""

    members: Sequence[int]
    members_crc32: Sequence[int]
    indexes: Sequence[int]
    entries: Sequence[int]
    image_lines: Sequence[int]
    error_lines: Sequence[int]


@dataclass(frozen=True, slots=True)
class _About:
    """What is said of the whole archive."""

    collection_id: str
    count: int
    images: int
    text_crc32: int


# Yields the bytes of part `n` of a section from `start` to before `stop`.
_Make = Callable[[int, int, int], Iterator[bytes]]


class SegmentLayout:
    """Finished segments in the order of their rows; any range of their archive.

    Keeps about 80 bytes for each segment, and nothing for an image. The names of all
    images must differ, as those of a collection's rows do: never all of them are seen
    here at once. `length` is that of the archive in bytes.
    """

    def __init__(self, about: _About, lengths: _Lengths, read: ReadSegments) -> None:
        self._about = about
        self._lengths = lengths
        self._read = read
        text_start = opening(about.collection_id, about.count)
        lines = sum(lengths.image_lines) + sum(lengths.error_lines)
        size = len(text_start) + lines + len(BETWEEN) + len(CLOSING)
        text = Member(MANIFEST, size, about.text_crc32)
        header = local_header(text)
        at = sum(lengths.members)
        entry = central_entry(text, at)
        directory = sum(lengths.entries) + len(entry)
        start = at + len(header)
        self._text = start, start + size
        ends = end_records(about.images + 1, directory, start + size)
        sections: tuple[tuple[Sequence[int], _Make], ...] = (
            (lengths.members, self._members),
            _fixed(header + text_start),
            (lengths.image_lines, self._image_lines),
            _fixed(BETWEEN),
            (lengths.error_lines, self._error_lines),
            _fixed(CLOSING),
            (lengths.entries, self._entries),
            _fixed(entry + ends),
        )
        # Where each part of a section begins, and where the last of them ends.
        self._sections: list[tuple[Sequence[int], _Make]] = []
        at = 0
        for section, make in sections:
            places = array("Q", accumulate(section, initial=at))
            self._sections.append((places, make))
            at = places[-1]
        self.length = at

    @classmethod
    def of(
        cls,
        collection_id: str,
        count: int,
        segments: Iterable[Segment],
        read: ReadSegments,
    ) -> Self:
        """Lay out the segments of all `count` rows.

        At most one index is read: of the segment in which offsets reach 4 GiB. Raises
        DamagedManifest.
        """
        found = tuple(segments)
        entries = array("Q")
        offset = 0
        for number, one in enumerate(found):
            if offset + one.members < FULL:
                entries.append(one.entries)
            elif offset >= FULL:
                entries.append(one.far_entries)
            else:
                manifest = one.manifest(partial(read, number))
                entries.append(sum(map(len, _central_entries(manifest, offset))))
            offset += one.members
        crc32 = zlib_ng.crc32(opening(collection_id, count))
        lines = ((one.image_lines, one.image_lines_crc32) for one in found)
        image_lines, crc32 = _joined(crc32, lines)
        crc32 = zlib_ng.crc32(BETWEEN, crc32)
        lines = ((one.error_lines, one.error_lines_crc32) for one in found)
        error_lines, crc32 = _joined(crc32, lines)
        about = _About(
            collection_id,
            count,
            sum(one.images for one in found),
            zlib_ng.crc32(CLOSING, crc32),
        )
        lengths = _Lengths(
            array("Q", (one.members for one in found)),
            array("Q", (one.members_crc32 for one in found)),
            array("Q", (one.index for one in found)),
            entries,
            image_lines,
            error_lines,
        )
        return cls(about, lengths, read)

    def pack(self) -> bytes:
        """Return one block that `unpack` reads, 48 bytes a segment."""
        lengths = self._lengths
        about = asdict(self._about) | {"segments": len(lengths.members)}
        numbers = tuple(chain.from_iterable(lengths))
        body = orjson.dumps(about) + b"\n" + struct.pack(f"<{len(numbers)}Q", *numbers)
        return _LAYOUT + _CHECK.pack(zlib_ng.crc32(body)) + body

    @classmethod
    def unpack(cls, block: bytes, read: ReadSegments) -> Self:
        """Reverse `pack`; raise DamagedManifest where the block is not whole."""
        start = len(_LAYOUT) + _CHECK.size
        body = block[start:]
        if block[:start] != _LAYOUT + _CHECK.pack(zlib_ng.crc32(body)):
            raise DamagedManifest("The layout of an archive is damaged.")
        head, _, rest = body.partition(b"\n")
        about = orjson.loads(head)
        count = about.pop("segments")
        numbers = array("Q", struct.unpack(f"<{len(rest) // 8}Q", rest))
        lengths = (
            numbers[at * count : (at + 1) * count]
            for at in range(len(_Lengths._fields))
        )
        return cls(_About(**about), _Lengths(*lengths), read)

    def pieces(self, start: int, stop: int) -> Iterator[bytes]:
        """Yield the bytes from `start` to before `stop`; read no more than they need.

        Raises DamagedManifest where a segment is not whole.
        """
        for places, make in self._sections:
            first = max(0, bisect_right(places, start) - 1)
            for number in range(first, len(places) - 1):
                begin, end = places[number], places[number + 1]
                if begin >= stop:
                    return
                here, there = max(start, begin), min(stop, end)
                if here < there:
                    yield from make(number, here - begin, there - begin)

    def text(self) -> Iterator[bytes]:
        """Yield the last member, as `Manifest.text` tells it of all images."""
        return self.pieces(*self._text)

    def _members(self, number: int, start: int, stop: int) -> Iterator[bytes]:
        whole = stop - start == self._lengths.members[number]
        crc32 = self._lengths.members_crc32[number] if whole else None
        return _checked(partial(self._read, number), start, stop, crc32)

    def _image_lines(self, number: int, start: int, stop: int) -> Iterator[bytes]:
        before = _separator(self._lengths.image_lines, number)
        lines = listed(self._manifest(number).image_lines(), before)
        return cut(blocks(lines), start, stop)

    def _error_lines(self, number: int, start: int, stop: int) -> Iterator[bytes]:
        before = _separator(self._lengths.error_lines, number)
        lines = listed(self._manifest(number).error_lines(), before)
        return cut(blocks(lines), start, stop)

    def _entries(self, number: int, start: int, stop: int) -> Iterator[bytes]:
        offset = self._sections[0][0][number]
        entries = _central_entries(self._manifest(number), offset)
        return cut(blocks(entries), start, stop)

    def _manifest(self, number: int) -> Manifest:
        start = SEGMENT_HEAD + self._lengths.members[number]
        size = self._lengths.indexes[number]
        return Manifest.unpack(_whole(self._read(number, start, start + size), size))


def _fixed(data: bytes) -> tuple[Sequence[int], _Make]:
    """Return a section of one part, which is known."""
    return (len(data),), lambda _, start, stop: iter((data[start:stop],))


def _joined(crc32: int, pairs: Iterable[tuple[int, int]]) -> tuple[Sequence[int], int]:
    """Return the lengths of segments' lines in one list, and the CRC-32 up to there."""
    found = array("Q")
    for size, own in pairs:
        before = _separator(found, len(found)) if size else b""
        crc32 = zlib_ng.crc32_combine(zlib_ng.crc32(before, crc32), own, size)
        found.append(len(before) + size)
    return found, crc32


def _separator(lengths: Sequence[int], number: int) -> bytes:
    """Return what stands before the lines of a segment in the list of all."""
    return b",\n" if any(islice(lengths, number)) else b"\n"


def _central_entries(manifest: Manifest, offset: int) -> Iterator[bytes]:
    """Yield the entries of images in the central directory, the first at `offset`."""
    for entry in manifest.entries():
        member = Member(entry.name, entry.size, entry.crc32)
        yield central_entry(member, offset)
        offset += len(local_header(member)) + member.size


def _whole(data: bytes, size: int) -> bytes:
    # A store that lost the end gives fewer bytes and no error.
    if len(data) != size:
        raise DamagedManifest("A segment of an archive is cut off.")
    return data
