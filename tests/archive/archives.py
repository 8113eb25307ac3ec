"""Archives for the tests: made of real bytes, or of zeros that nobody writes."""

import json
import struct
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from hypothesis import strategies as st
from zlib_ng import zlib_ng

from app.archive.layout import Layout, Member, Slice

GIB = 1 << 30
FOUR_GIB = 4 * GIB
_LOCAL = struct.Struct("<4sHHHHHLLLHH")
_BLOCK = bytes(1 << 20)

names = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._ -]{0,30}[A-Za-z0-9_-]", fullmatch=True)
files = st.lists(
    st.tuples(names, st.binary(max_size=300)),
    max_size=8,
    unique_by=lambda file: file[0].lower(),
)


def member(name: str, data: bytes) -> Member:
    return Member(name, len(data), zlib_ng.crc32(data))


def laid_out(members: Iterable[Member]) -> Layout:
    layout = Layout()
    for each in members:
        layout.add(each)
    layout.close()
    return layout


def sent(contents: Iterable[tuple[str, bytes]]) -> bytes:
    """Return the archive as a first run sends it: header, data, ..., tail."""
    layout = Layout()
    out = bytearray()
    for name, data in contents:
        out += layout.add(member(name, data)) + data
    layout.close()
    return bytes(out) + b"".join(layout.tail())


def cut(layout: Layout, contents: list[tuple[str, bytes]], start: int, stop: int):
    """Return a range of the archive as a later run sends it, from its pieces."""
    out = bytearray()
    for piece in layout.pieces(start, stop):
        if isinstance(piece, Slice):
            piece = contents[piece.index][1][piece.start : piece.stop]
        out += piece
    return bytes(out)


def many(count: int) -> list[tuple[str, bytes]]:
    return [(f"{number}.png", b"%d" % number) for number in range(count)]


@cache
def crc32_of_zeros(size: int) -> int:
    crc32 = 0
    for _ in range(size // len(_BLOCK)):
        crc32 = zlib_ng.crc32(_BLOCK, crc32)
    return zlib_ng.crc32(_BLOCK[: size % len(_BLOCK)], crc32)


def zeros(name: str, size: int) -> Member:
    return Member(name, size, crc32_of_zeros(size))


def save_zeros(path: Path, layout: Layout) -> None:
    """Write an archive whose data are zeros, as holes of a sparse file."""
    with path.open("wb") as file:
        for piece in layout.pieces(0, layout.length):
            if isinstance(piece, Slice):
                file.seek(piece.stop - piece.start, 1)
            else:
                file.write(piece)


def local_header(file, offset: int) -> tuple[tuple, bytes, bytes]:
    """Return the numbers, name and extra field of the header at an offset."""
    file.seek(offset)
    numbers = _LOCAL.unpack(file.read(_LOCAL.size))
    return numbers, file.read(numbers[-2]), file.read(numbers[-1])


def from_json(pieces: Iterable[bytes]):
    return json.loads(b"".join(pieces))
