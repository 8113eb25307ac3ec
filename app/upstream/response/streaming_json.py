"""JSON whose long strings stay in their file.

A small scanner finds the strings and copies everything else, with a mark in place
of each long string, to an outline of bounded size; the standard library's parser
reads the outline. So the structure is checked strictly, and images cost nothing.
"""

import json
from typing import Any

from app.upstream.probe.byte_range import Region
from app.upstream.response.base64_stream import Text

# Longer strings stay in the file.
_KEPT = 1_024
# An outline of this size makes objects of 16 MiB at the very worst.
_MOST_OUTLINE = 256 << 10
# Quotes are stepped over one by one, at about a microsecond each.
_MOST_QUOTES = 100_000
_MOST_BACKSLASHES = 64
BOM = b"\xef\xbb\xbf"


class NotJson(ValueError):
    """The bytes are not JSON that can be read."""


class OverOutline(ValueError):
    """There is more around the images than is ever read of an answer."""


def scan(region: Region) -> Any:
    """Return the value of a JSON text; strings over 1,024 bytes are `Text`s in it.

    A byte order mark is passed over, and NaN is None: neither is worth an image.
    Raises NotJson, and OverOutline beyond 256 KiB without the long strings.
    """
    outline = _Outline(region)
    start = len(BOM) if region.read(0, len(BOM)) == BOM else 0
    position = start
    while position < region.length:
        block = _read_block(region, position)
        outline.add(block, position)
        position += len(block)
    return outline.parse()


def _read_block(region: Region, position: int) -> bytes:
    """Return a block that ends in no backslash: what one escapes is beside it."""
    block = next(region.part(position, region.length).blocks())
    for _ in range(_MOST_BACKSLASHES):
        more = region.read(position + len(block), 1)
        if not block.endswith(b"\\") or not more:
            return block
        block += more
    raise NotJson("it has too many backslashes")


class _Outline:
    """What is left of a JSON text without its long strings."""

    def __init__(self, region: Region) -> None:
        self._region = region
        self._kept = bytearray()
        self._texts: dict[str, Text] = {}
        self._quotes = 0
        # Where the content of the string begins that is being read.
        self._start: int | None = None
        self._pending = bytearray()
        self._escaped = False

    def add(self, block: bytes, position: int) -> None:
        """Read on, with the block that begins at a position of the region."""
        at = 0
        while at < len(block):
            end = block.find(b'"', at)
            piece = block[at : end if end >= 0 else len(block)]
            if self._start is None:
                self._keep(piece)
            else:
                self._pass(piece)
            if end < 0:
                return
            at = end + 1
            self._quote(block, end, position)

    def parse(self) -> Any:
        """Return the value, its marks replaced by what they stand for."""
        if self._start is not None:
            raise NotJson("it is cut off inside of a string")
        try:
            outline = self._kept.decode("utf-8", "replace")
            return self._restore(json.loads(outline, parse_constant=_nothing))
        except (ValueError, RecursionError):
            raise NotJson("it is not whole JSON") from None

    def _quote(self, block: bytes, end: int, position: int) -> None:
        self._quotes += 1
        if self._quotes > _MOST_QUOTES:
            raise OverOutline("it has too many strings")
        if self._start is None:
            self._start, self._escaped = position + end + 1, False
        elif _is_escaped(block, end):
            self._pass(b'"')
        else:
            self._close(position + end)

    def _keep(self, piece: bytes | bytearray) -> None:
        if len(self._kept) + len(piece) > _MOST_OUTLINE:
            raise OverOutline("it has too much beside its images")
        self._kept += piece

    def _pass(self, piece: bytes) -> None:
        self._escaped = self._escaped or b"\\" in piece
        self._pending += piece[: _KEPT + 1 - len(self._pending)]

    def _close(self, end: int) -> None:
        if len(self._pending) > _KEPT and self._start is not None:
            mark = f"\0{len(self._texts)}"
            self._texts[mark] = Text(self._region.part(self._start, end), self._escaped)
            self._pending[:] = json.dumps(mark).encode()[1:-1]
        self._keep(b'"' + self._pending + b'"')
        self._pending.clear()
        self._start = None

    def _restore(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._texts.get(value, value)
        if isinstance(value, list):
            return [self._restore(item) for item in value]
        if isinstance(value, dict):
            return {key: self._restore(item) for key, item in value.items()}
        return value


def _is_escaped(block: bytes, at: int) -> bool:
    before = block[max(0, at - _MOST_BACKSLASHES) : at]
    count = len(before) - len(before.rstrip(b"\\"))
    if count == _MOST_BACKSLASHES:
        raise NotJson("it has too many backslashes")
    return count % 2 == 1


def _nothing(_: str) -> None:
    return None
