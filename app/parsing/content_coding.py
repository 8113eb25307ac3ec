"""Bodies in a content coding (RFC 9110, 8.4): unpacked as they are read, bounded."""

import io
import zlib
from typing import Any

from app.parsing.image import BadBody, UnsupportedBody

# RFC 9110, 8.4.1.3: x-gzip is the same.
_GZIP = frozenset({"gzip", "x-gzip"})
_CODINGS = _GZIP | {"deflate"}
_BLOCK = 16 << 10
# Bytes that may come without anything in them: heads of members, empty blocks.
_MOST_EMPTY = 256 << 10


class UnsupportedCoding(UnsupportedBody):
    """The body has a Content-Encoding that is not read here (415)."""

    # RFC 9110, 15.5.16: says what would have been.
    headers = (("Accept-Encoding", "gzip, deflate"),)

    def __init__(self) -> None:
        super().__init__(
            "The body may have the Content-Encoding gzip or deflate, or none."
        )


def is_packed(coding: str) -> bool:
    """Tell whether a Content-Encoding is one that UnpackedBody unpacks."""
    return coding.strip().lower() in _CODINGS


def is_readable(coding: str) -> bool:
    """Tell whether a body with this Content-Encoding, or with none, can be read."""
    return coding.strip().lower() in ("", "identity", *_CODINGS)


class UnpackedBody(io.RawIOBase):
    """What a stream of gzip or deflate holds; nothing is unpacked before it is read.

    Whoever reads bounds what is read, so a bomb costs no more than a body of that
    size. Raises BadBody where the stream is not what its coding says, ends too early,
    or goes on without holding anything.
    """

    def __init__(self, stream: Any, coding: str) -> None:
        self._stream = stream
        self._coding = coding.strip().lower()
        self._unpacker: Any = None
        self._packed = b""
        self._came = self._went = 0
        self._ended = False
        # What may stand before a member: zeros behind another, as gzip(1) has it.
        self._padding = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            data = self._some(len(buffer))
        except zlib.error as error:
            raise BadBody(f"The body is not {self._coding}: {error}.") from error
        buffer[: len(data)] = data
        self._went += len(data)
        return len(data)

    def _some(self, most: int) -> bytes:
        """Return up to `most` bytes, and none at the end only."""
        while most and not self._ended:
            if not self._packed and not self._fetch():
                break
            if self._unpacker is None:
                self._packed = self._packed.lstrip(self._padding)
                if not self._packed:
                    continue
                self._unpacker = zlib.decompressobj(self._window())
            data: bytes = self._unpacker.decompress(self._packed, most)
            self._packed = self._unpacker.unconsumed_tail
            if self._unpacker.eof:
                # RFC 1952, 2.2: members may follow one another.
                self._packed = self._unpacker.unused_data
                self._unpacker = None
                self._padding = b"\0"
            if data:
                return data
        return b""

    def _fetch(self) -> bool:
        """Read on; return False at the end, where all has to be there."""
        self._packed = self._stream.read(_BLOCK)
        self._came += len(self._packed)
        if self._came > _MOST_EMPTY + 2 * self._went:
            raise BadBody(f"The body is {self._coding} with next to nothing in it.")
        if self._packed:
            return True
        self._ended = True
        if self._unpacker is not None:
            raise BadBody(f"The body ended before its {self._coding} did.")
        return False

    def _window(self) -> int:
        """Return zlib's number for the format of what comes next."""
        if self._coding in _GZIP:
            return 31
        # RFC 9110, 8.4.1.2: some send deflate without zlib's two bytes around it.
        first = int.from_bytes(self._packed[:2].ljust(2, b"\0"), "big")
        is_wrapped = first >> 8 & 15 == 8 and first % 31 == 0
        return 15 if is_wrapped else -15
