"""A run of bytes in an open file or in memory, read without moving a position."""

import io
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

# Blocks of this size are all that is ever held of an image.
BLOCK = 256 << 10


@dataclass(frozen=True, slots=True)
class Region:
    """`length` bytes at `offset` of an open file that somebody else closes.

    The file is a real one, flushed, or bytes. Several threads may read regions of
    one file.
    """

    file: BinaryIO | bytes
    offset: int
    length: int

    def read(self, start: int, size: int) -> bytes:
        """Return up to `size` bytes at `start`, fewer only at the region's end.

        Raises EOFError where the file itself has become shorter.
        """
        size = min(size, self.length - start)
        if size <= 0:
            return b""
        at = self.offset + start
        if isinstance(self.file, bytes):
            return self.file[at : at + size]
        data = os.pread(self.file.fileno(), size, at)
        if len(data) != size:
            raise EOFError("a file is shorter than the region of it")
        return data

    def blocks(self, start: int = 0) -> Iterator[bytes]:
        """Yield everything from `start` in blocks of at most 256 KiB."""
        for position in range(start, self.length, BLOCK):
            yield self.read(position, BLOCK)

    def part(self, start: int, end: int) -> "Region":
        """Return the region from `start` up to `end`, both counted in this one."""
        return Region(self.file, self.offset + start, end - start)

    def open(self) -> BinaryIO:
        """Return a seekable, buffered reader with a position of its own."""
        return io.BufferedReader(_RangeReader(self), BLOCK)


class _RangeReader(io.RawIOBase):
    """A region as a raw stream."""

    def __init__(self, region: Region) -> None:
        self._region = region
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = (0, self._position, self._region.length)[whence]
        self._position = max(0, base + offset)
        return self._position

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer)  # type: ignore[arg-type]
        data = self._region.read(self._position, len(view))
        view[: len(data)] = data
        self._position += len(data)
        return len(data)


def whole(file: BinaryIO | bytes) -> Region:
    """Return a file from its first byte to its last; it is flushed first."""
    if isinstance(file, bytes):
        return Region(file, 0, len(file))
    file.flush()
    return Region(file, 0, os.fstat(file.fileno()).st_size)
