"""Parts of one temporary file: no descriptor for each of ten thousand pictures."""

import os
from collections.abc import Mapping
from typing import IO, NamedTuple


class FilePlace(NamedTuple):
    """Where a part lies, in bytes."""

    offset: int
    length: int


class FileSlice:
    """Reads one part as a stream, without a position of the file's own."""

    def __init__(self, file: IO[bytes], place: FilePlace) -> None:
        self._file = file
        self._next = place.offset
        self._stop = place.offset + place.length

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes; none at the end."""
        wanted = min(size, self._stop - self._next)
        data = os.pread(self._file.fileno(), wanted, self._next)
        self._next += len(data)
        return data


class Files:
    """The image files of an upload, by the name that rows refer to them by."""

    def __init__(self, file: IO[bytes], places: Mapping[str, FilePlace]) -> None:
        self._file = file
        self._places = places
        self._used: set[str] = set()

    def __contains__(self, name: str) -> bool:
        return name in self._places

    @property
    def names(self) -> tuple[str, ...]:
        """All names, in the order they came."""
        return tuple(self._places)

    @property
    def unused(self) -> tuple[str, ...]:
        """The names that nobody asked for."""
        return tuple(name for name in self._places if name not in self._used)

    def use(self, name: str) -> None:
        """Take note that a row refers to a file."""
        self._used.add(name)

    def read(self, name: str) -> bytes:
        """Return a file's bytes."""
        place = self._places[name]
        return os.pread(self._file.fileno(), place.length, place.offset)
