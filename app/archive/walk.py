"""Read an archive of ours as it arrives: to show progress, and to know where to go on.

Push, not pull: bytes come in pieces of any size, as from a socket.
"""

from collections.abc import Iterator
from typing import NamedTuple

from zlib_ng import zlib_ng

from app.archive.errors import DamagedArchive
from app.archive.layout import (
    CENTRAL_SIGNATURE,
    END64_SIGNATURE,
    END_SIGNATURE,
    FULL,
    LOCAL,
    LOCAL_SIGNATURE,
    Member,
)

_TAIL = (CENTRAL_SIGNATURE, END64_SIGNATURE, END_SIGNATURE)


class _Open(NamedTuple):
    """A member whose header has come: what it says, and where its data end."""

    member: Member
    stop: int


class Walker:
    """Takes the bytes of an archive and yields each member once it is whole.

    `whole` is the offset behind the last one: a file that is to be resumed is cut
    there. `at_tail` says that no member follows.
    """

    def __init__(self) -> None:
        self.whole = 0
        self.at_tail = False
        self._buffer = bytearray()
        self._at = 0
        self._open: _Open | None = None
        self._crc32 = 0

    def feed(self, data: bytes) -> Iterator[Member]:
        """Take the next bytes; raise DamagedArchive where they are not right."""
        self._buffer += data
        while not self.at_tail and self._buffer:
            if self._open is None and not self._read_header():
                return
            member = self._read_data()
            if member is None:
                return
            yield member

    def _read_header(self) -> bool:
        """Open the next member; False where more bytes are needed, or none follows."""
        if len(self._buffer) < 4:
            return False
        signature = int.from_bytes(self._buffer[:4], "little")
        if signature in _TAIL:
            self.at_tail = True
            return False
        if signature != LOCAL_SIGNATURE:
            raise DamagedArchive(self._at, "no file begins here")
        if len(self._buffer) < LOCAL.size:
            return False
        _, _, flags, method, _, _, crc32, size, packed, names, extras = LOCAL.unpack(
            self._buffer[: LOCAL.size]
        )
        if flags or method or size != packed:
            raise DamagedArchive(self._at, "the file is not stored as ours are")
        total = LOCAL.size + names + extras
        if len(self._buffer) < total:
            return False
        name = self._buffer[LOCAL.size : LOCAL.size + names].decode("latin-1")
        if size == FULL:
            extra = self._buffer[LOCAL.size + names : total]
            size = int.from_bytes(extra[4:12], "little")
        del self._buffer[:total]
        self._at += total
        self._open = _Open(Member(name, size, crc32), self._at + size)
        self._crc32 = 0
        return True

    def _read_data(self) -> Member | None:
        assert self._open is not None
        member, stop = self._open
        block = self._buffer[: stop - self._at]
        del self._buffer[: len(block)]
        self._at += len(block)
        self._crc32 = zlib_ng.crc32(block, self._crc32)
        if self._at < stop:
            return None
        if self._crc32 != member.crc32:
            raise DamagedArchive(self._at, f"{member.name} has another checksum")
        self._open = None
        self.whole = self._at
        return member
