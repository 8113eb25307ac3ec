"""Where every byte of a ZIP stands: length, headers, ranges and tail from one object.

PKWARE's APPNOTE 6.3.10. Members are stored, because images do not shrink, and are
complete before their header is written, so there is no data descriptor, which
several readers refuse. Times, attributes and order are fixed: equal members give
equal bytes. Zip64 stands only where a number does not fit.

This is our own because no library for Python has all of it: zipstream-ng 1.9 writes
descriptors and promises a wrong length at 65,535 members, stream-zip 0.0.84 cuts
some archives short, and none knows ranges.
"""

import re
import struct
import unicodedata
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple

from app.archive.errors import BadName

# What Windows takes for a device, whatever follows its first dot.
_DEVICE = re.compile(
    r"(?:CON|PRN|AUX|NUL|(?:COM|LPT)[0-9]|CONIN|CONOUT)(?:\.|\Z)", re.I
)


class Member(NamedTuple):
    """A file in the archive: its name, bytes, and CRC-32 as an unsigned number."""

    name: str
    size: int
    crc32: int


class Texts:
    """An append-only list of texts without line feeds.

    Many short texts in two buffers instead of as many objects: a `str` alone has 41
    bytes beside its letters, and a list 8 more.
    """

    def __init__(self) -> None:
        self._data = bytearray()
        self._ends = array("Q")

    def __len__(self) -> int:
        return len(self._ends)

    def append(self, text: str) -> None:
        """Take a text."""
        self._data += text.encode() + b"\n"
        self._ends.append(len(self._data))

    def __getitem__(self, index: int) -> str:
        start = self._ends[index - 1] if index else 0
        return self._data[start : self._ends[index] - 1].decode()

    def some(self, start: int, stop: int) -> list[str]:
        """Return the texts from one place to before another, or to the end."""
        first = self._ends[start - 1] if start else 0
        last = self._ends[min(stop, len(self._ends)) - 1]
        return self._data[first:last].decode().split("\n")[:-1]

    def lines(self) -> bytes:
        """Return the texts, a line feed after each."""
        return bytes(self._data)


@dataclass(frozen=True, slots=True)
class Slice:
    """Bytes `start` up to, but without, `stop` of the data of a member, from 0."""

    index: int
    start: int
    stop: int


_LOCAL = struct.Struct("<IHHHHHIIIHH")
_CENTRAL = struct.Struct("<IHHHHHHIIIHHHHHII")
_END = struct.Struct("<IHHHHIIH")
_END64 = struct.Struct("<IQHHIIQQQQ")
_LOCATOR = struct.Struct("<IIQI")
_LOCAL_SIGNATURE = 0x04034B50
_CENTRAL_SIGNATURE = 0x02014B50
_END_SIGNATURE = 0x06054B50
_END64_SIGNATURE = 0x06064B50
_LOCATOR_SIGNATURE = 0x07064B50
# APPNOTE 4.4.3.2: stored files need 1.0, Zip64 needs 4.5.
_PLAIN, _ZIP64 = 10, 45
# APPNOTE 4.4.2: made on Unix, so that the attributes below count.
_MADE_BY = 3 << 8
_ATTRIBUTES = 0o100644 << 16
# 1980-01-01 00:00, the first that MS-DOS can say.
_TIME, _DATE = 0, 1 << 5 | 1
# APPNOTE 4.4.8: this value says that the number stands in the Zip64 field.
FULL = 0xFFFFFFFF
_MANY = 0xFFFF
_ZIP64_FIELD = 1
# APPNOTE 4.4.4, bit 11: the name is UTF-8. Of ASCII it says nothing new.
_UTF8 = 1 << 11
_LONGEST_NAME = 200
_DEEPEST = 4
# Safe to unpack under on every system: below the folder that it is unpacked in, no
# hidden file, no option of a command, and nothing that Windows cannot write.
_UNWRITABLE = r"\x00-\x1f\x7f-\x9f\\/:*?\"<>|"
_PART = re.compile(rf"\w(?:[^{_UNWRITABLE}]*[^{_UNWRITABLE} .])?\Z")
_PIECE = 64 << 10


class Layout:
    """Members in order; after `close`, the place of every byte.

    Keeps about 70 bytes for each member beside its name.
    """

    def __init__(self) -> None:
        self._names = Texts()
        self._sizes = array("Q")
        self._crcs = array("I")
        self._offsets = array("Q")
        # Where each entry of the central directory begins in it.
        self._entries = array("Q")
        self._seen: set[str] = set()
        self._end = 0
        self._central_size = 0
        self._closed = False

    def __len__(self) -> int:
        return len(self._sizes)

    @property
    def length(self) -> int:
        """Bytes of the whole archive; it has to be closed."""
        return self._end + self._central_size + len(self._ends())

    def add(self, member: Member) -> bytes:
        """Return the header that stands before the member's data.

        Raises BadName where a part of a name is no plain file name or has more than
        200 bytes, where there are more than four folders, and where a name differs
        from another in case or normal form only.
        """
        if self._closed:
            raise ValueError("the layout is closed")
        name = member.name
        parts = name.split("/")
        longest = max(len(part.encode()) for part in parts)
        if not all(map(_PART.match, parts)) or longest > _LONGEST_NAME:
            raise BadName(name, "is not a plain file name of up to 200 bytes")
        if len(parts) > _DEEPEST + 1:
            raise BadName(name, f"is in more than {_DEEPEST} folders")
        # Windows and macOS would unpack the one over the other.
        spelt = same_file(name)
        if spelt in self._seen:
            raise BadName(name, "is there already, in some spelling")
        header = local_header(member)
        self._seen.add(spelt)
        self._offsets.append(self._end)
        self._names.append(name)
        self._sizes.append(member.size)
        self._crcs.append(member.crc32)
        self._entries.append(self._central_size)
        self._central_size += len(central_entry(member, self._end))
        self._end += len(header) + member.size
        return header

    def close(self) -> None:
        """Take no more members."""
        self._closed = True
        self._seen.clear()

    def member(self, index: int) -> Member:
        """Return a member by its place, from 0."""
        return Member(self._names[index], self._sizes[index], self._crcs[index])

    def touched(self, start: int, stop: int) -> range:
        """Return the places of the members whose headers or data a range touches."""
        if start >= min(stop, self._end):
            return range(0)
        first = bisect_right(self._offsets, start) - 1
        return range(first, bisect_right(self._offsets, stop - 1))

    def pieces(self, start: int, stop: int) -> Iterator[bytes | Slice]:
        """Yield what a range consists of: bytes of headers and tail, and data."""
        for index in self.touched(start, stop):
            member = self.member(index)
            # Spelt again: to keep all headers would take 30 bytes and a name a member.
            header = local_header(member)
            begin = self._offsets[index]
            data = begin + len(header)
            if start < data:
                yield header[max(start - begin, 0) : stop - begin]
            first = max(start - data, 0)
            last = min(stop - data, member.size)
            if first < last:
                yield Slice(index, first, last)
        yield from self._tail(start, stop)

    def tail(self) -> Iterator[bytes]:
        """Yield what follows the last member, in pieces of about 64 KiB."""
        return self._tail(self._end, self.length)

    def _tail(self, start: int, stop: int) -> Iterator[bytes]:
        if stop <= self._end:
            return
        # A range that begins in the middle does not spell the entries before it.
        first = max(0, bisect_right(self._entries, start - self._end) - 1)
        at = self._end + (self._entries[first] if self._entries else 0)
        entries = (
            central_entry(self.member(index), self._offsets[index])
            for index in range(first, len(self))
        )
        pieces = blocks(chain(entries, (self._ends(),)))
        yield from cut(pieces, max(start - at, 0), stop - at)

    def _ends(self) -> bytes:
        return end_records(len(self), self._central_size, self._end)


def blocks(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the bytes of many small pieces in some of about 64 KiB."""
    block = bytearray()
    for piece in pieces:
        block += piece
        if len(block) >= _PIECE:
            yield bytes(block)
            block.clear()
    if block:
        yield bytes(block)


def cut(chunks: Iterable[bytes], start: int, stop: int) -> Iterator[bytes]:
    """Yield the bytes from `start` to before `stop`, and empty chunks as they are."""
    at = 0
    for chunk in chunks:
        part = chunk[max(start - at, 0) : max(stop - at, 0)]
        at += len(chunk)
        if part or not chunk:
            yield part
        if at >= stop:
            return


def is_device(name: str) -> bool:
    """Tell whether Windows takes a file's name for a device: `con`, `nul.txt`."""
    return _DEVICE.match(name) is not None


def same_file(name: str) -> str:
    """Return what is equal of names that a file system may take for one."""
    return unicodedata.normalize("NFC", name).casefold()


def _flags(name: str) -> int:
    return 0 if name.isascii() else _UTF8


def local_header(member: Member) -> bytes:
    """Return a local file header (APPNOTE 4.3.7)."""
    large = member.size >= FULL
    # APPNOTE 4.5.3: in a local header both sizes stand in the field.
    sizes = struct.pack("<HHQQ", _ZIP64_FIELD, 16, member.size, member.size)
    extra = sizes if large else b""
    name = member.name.encode()
    size = min(member.size, FULL)
    return (
        _LOCAL.pack(
            _LOCAL_SIGNATURE,
            _ZIP64 if large else _PLAIN,
            *(_flags(member.name), 0, _TIME, _DATE, member.crc32, size, size),
            *(len(name), len(extra)),
        )
        + name
        + extra
    )


def central_entry(member: Member, offset: int) -> bytes:
    """Return an entry of the central directory (APPNOTE 4.3.12)."""
    sizes = (member.size, member.size) if member.size >= FULL else ()
    # APPNOTE 4.5.3: here the field has those numbers only that do not fit.
    numbers = (*sizes, offset) if offset >= FULL else sizes
    extra = b"".join(number.to_bytes(8, "little") for number in numbers)
    if extra:
        extra = struct.pack("<HH", _ZIP64_FIELD, len(extra)) + extra
    name = member.name.encode()
    size = min(member.size, FULL)
    version = _ZIP64 if extra else _PLAIN
    return (
        _CENTRAL.pack(
            _CENTRAL_SIGNATURE,
            *(_MADE_BY | version, version),
            *(_flags(member.name), 0, _TIME, _DATE, member.crc32, size, size),
            *(len(name), len(extra), 0, 0, 0, _ATTRIBUTES, min(offset, FULL)),
        )
        + name
        + extra
    )


def end_records(count: int, size: int, offset: int) -> bytes:
    """Return the records at the very end (APPNOTE 4.3.14 to 4.3.16).

    Of so many members, whose entries take `size` bytes and begin at `offset`.
    """
    records = b""
    # APPNOTE 4.4.1.4: all ones say "see Zip64", so 65,535 members need it already.
    if count >= _MANY or max(size, offset) >= FULL:
        versions = (_MADE_BY | _ZIP64, _ZIP64)
        rest = (0, 0, count, count, size, offset)
        end64 = _END64.pack(_END64_SIGNATURE, _END64.size - 12, *versions, *rest)
        place = (_LOCATOR_SIGNATURE, 0, offset + size, 1)
        records = end64 + _LOCATOR.pack(*place)
    few, size, offset = min(count, _MANY), min(size, FULL), min(offset, FULL)
    return records + _END.pack(_END_SIGNATURE, 0, 0, few, few, size, offset, 0)
