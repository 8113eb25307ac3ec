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
    LONGEST_NAME,
    Member,
    is_plain,
    local_header,
)

# With a Zip64 field there are 20 bytes behind the name: an id, a length, two sizes.
_EXTRAS = (0, 20)
_TAIL = (CENTRAL_SIGNATURE, END64_SIGNATURE, END_SIGNATURE)


class _Open(NamedTuple):
    """A member whose header has come: what it says, and where its data end."""

    member: Member
    stop: int


class Walker:
    """Takes the bytes of an archive and yields each member once it is whole.

    `whole` is the offset behind the last one: a file that is to be resumed is cut
    there. `at_tail` says that no member follows; what is fed then is not looked at.
    Between calls it keeps a part of a header at most, never data.
    """

    def __init__(self) -> None:
        self.whole = 0
        self.at_tail = False
        self._buffer = bytearray()
        self._at = 0
        self._open: _Open | None = None
        self._crc32 = 0

    def feed(self, data: bytes) -> Iterator[Member]:
        """Take the next bytes; raise DamagedArchive where they are not right.

        Has to be run to its end, as it takes nothing until it is asked for a member.
        """
        if self.at_tail:
            return
        self._buffer += data
        while self._buffer:
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
            self._buffer.clear()
            return False
        if signature != LOCAL_SIGNATURE:
            raise DamagedArchive(self.whole, "no file begins here")
        if len(self._buffer) < LOCAL.size:
            return False
        *_, names, extras = LOCAL.unpack(self._buffer[: LOCAL.size])
        # Before more is waited for: a name may claim to be of 64 KiB.
        if not 0 < names <= LONGEST_NAME or extras not in _EXTRAS:
            raise DamagedArchive(self.whole, "the header is not as ours are")
        total = LOCAL.size + names + extras
        if len(self._buffer) < total:
            return False
        member = self._member(bytes(self._buffer[:total]))
        del self._buffer[:total]
        self._at += total
        self._open = _Open(member, self._at + member.size)
        self._crc32 = 0
        return True

    def _member(self, header: bytes) -> Member:
        """Return what a header says, if it is byte for byte the one we write."""
        *_, crc32, _, size, names, _ = LOCAL.unpack(header[: LOCAL.size])
        name = header[LOCAL.size : LOCAL.size + names].decode("latin-1")
        if size == FULL:
            size = int.from_bytes(header[-8:], "little")
        member = Member(name, size, crc32)
        if not is_plain(name) or local_header(member) != header:
            raise DamagedArchive(self.whole, "the header is not as ours are")
        return member

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
            raise DamagedArchive(self.whole, f"{member.name} has another checksum")
        self._open = None
        self.whole = self._at
        return member
