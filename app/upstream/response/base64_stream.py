"""Base64 from file to file, in blocks, strictly, and with every repair reported.

Nothing is guessed: a repair is made only where it has one meaning, and anything
else is refused. A lenient decoder would turn an error message into junk bytes and
`data:image/webp;base64,` into the beginning of a picture.
"""

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

import pybase64

from app.upstream.probe.byte_range import Region

_HEAD = re.compile(rb"\s*data:([^,;\s]*)(?:;[^,;]*)*?;base64,", re.IGNORECASE)
# Media type and parameters together; real ones have under 100 characters.
_MOST_HEAD = 512
_SPACE = b" \t\r\n\f\v"
_SIGNS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_"
_KNOWN = _SIGNS + b"=" + _SPACE
_TO_STANDARD = bytes.maketrans(b"-_", b"+/")
_ESCAPE = re.compile(rb"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_ESCAPES = {
    **{sign: sign for sign in (b'"', b"\\", b"/")},
    **{b"n": b"\n", b"r": b"\r", b"t": b"\t", b"f": b"\f", b"b": b"\b"},
}
_SIGN_ESCAPES = {
    **{b"\\/": b"/", b"\\n": b"\n", b"\\r": b"\r", b"\\t": b"\t"},
    **{b"\\u002f": b"/", b"\\u002b": b"+", b"\\u003d": b"=", b"\\u000a": b"\n"},
    **{b"\\u002F": b"/", b"\\u002B": b"+", b"\\u003D": b"=", b"\\u000A": b"\n"},
}
_CUT_ESCAPE = re.compile(rb"\\(u[0-9a-fA-F]{0,3})?")
# Of so many characters one is a +, but for one case in 10 to the 14th.
_SURELY_HAS_PLUS = 2_048


class NotBase64(ValueError):
    """The text is not base64, and no repair with one meaning makes it so."""


class OverBytes(ValueError):
    """What the text decodes to is longer than allowed."""


@dataclass(frozen=True, slots=True)
class Text:
    """A text in a file: bare, or the inside of a JSON string with its escapes."""

    region: Region
    escaped: bool = False

    def blocks(self) -> Iterator[bytes]:
        """Yield base64 in blocks, those escapes of JSON undone that it can need.

        Any other escape keeps its backslash, and so is refused as base64.
        """
        kept = b""
        for block in self.region.blocks():
            block = kept + block
            # No escape is longer than six bytes: \u002f.
            at = block.rfind(b"\\", max(0, len(block) - 5)) if self.escaped else -1
            is_cut = at >= 0 and _CUT_ESCAPE.fullmatch(block, at)
            cut = at if is_cut else len(block)
            kept = block[cut:]
            yield _undo_escapes(block[:cut]) if self.escaped else block
        if kept:
            yield kept

    def head(self, size: int) -> bytes:
        """Return the first `size` bytes, all escapes undone (RFC 8259, section 7)."""
        # The longest escape stands for one byte and has six.
        data = self.region.read(0, size * 6 if self.escaped else size)
        return _ESCAPE.sub(_unescape, data)[:size] if self.escaped else data


def _undo_escapes(block: bytes) -> bytes:
    # A call for each escape would take half a minute for 200 MB of them.
    for escape, sign in _SIGN_ESCAPES.items() if b"\\" in block else ():
        block = block.replace(escape, sign)
    return block


def _unescape(match: re.Match[bytes]) -> bytes:
    escape = match[1]
    if len(escape) == 5:
        return chr(int(escape[1:], 16)).encode("utf-8", "replace")
    # What is no escape keeps its backslash.
    return _ESCAPES.get(escape, match[0])


@dataclass(slots=True)
class _Survey:
    """What the characters of a text say about how to read it."""

    signs: int = 0
    padding: int = 0
    seen: frozenset[str] = frozenset()

    def add(self, block: bytes) -> None:
        """Count one block; raise NotBase64 where it cannot be."""
        if block.translate(None, _KNOWN):
            raise NotBase64("it has characters that base64 has not")
        dense = block.translate(None, _SPACE)
        signs = dense.rstrip(b"=")
        if b"=" in signs or (signs and self.padding):
            raise NotBase64("it goes on behind its padding")
        self.signs += len(signs)
        self.padding += len(dense) - len(signs)
        marks = {
            "whitespace": len(dense) != len(block),
            "blank": b" " in block.strip(_SPACE),
            "+": b"+" in signs,
            "standard": b"+" in signs or b"/" in signs,
            "url-safe": b"-" in signs or b"_" in signs,
        }
        self.seen |= {name for name, is_seen in marks.items() if is_seen}

    def check(self) -> None:
        """Raise NotBase64 where the whole has no single meaning."""
        if not self.signs:
            raise NotBase64("it is empty")
        if "blank" in self.seen and not self.seen & {"+", "url-safe"}:
            self._check_blanks()
        if {"standard", "url-safe"} <= self.seen:
            raise NotBase64("it mixes two alphabets")
        if self.signs % 4 == 1:
            raise NotBase64("it is cut off")
        if self.padding and (self.padding > 2 or (self.padding + self.signs) % 4):
            raise NotBase64("its padding does not fit")

    def _check_blanks(self) -> None:
        # Leaving them out would be another picture, and none would notice.
        if self.signs >= _SURELY_HAS_PLUS:
            raise NotBase64("a form has turned its + into blanks")

    def repairs(self) -> tuple[str, ...]:
        """Name what `decode` will have to mend."""
        missing = {"padding"} if (self.signs + self.padding) % 4 else set()
        return tuple(sorted(self.seen & {"whitespace", "url-safe"} | missing))


def media_type_of(text: Text) -> str | None:
    """Return what a data URI of base64 claims to be; None where it is no such URI."""
    match = _HEAD.match(text.head(_MOST_HEAD))
    return match[1].decode("ascii", "replace").lower() if match else None


def decode(text: Text, target: BinaryIO, most: int) -> tuple[Region, tuple[str, ...]]:
    """Append what a text of base64, or a data URI, encodes to `target`.

    Returns where it is, and what had to be repaired.
    Memory is a few blocks of 256 KiB. Raises NotBase64, or OverBytes where the
    result would be longer than `most`, before a byte is written.
    """
    survey = _Survey()
    for block in _body(text):
        survey.add(block)
    length = survey.signs * 3 // 4
    if length > most:
        raise OverBytes(f"it decodes to {length:,} bytes")
    survey.check()
    start = target.seek(0, os.SEEK_END)
    for data in _decode(_body(text)):
        target.write(data)
    target.flush()
    return Region(target, start, length), survey.repairs()


def _body(text: Text) -> Iterator[bytes]:
    """Yield the blocks of a text behind the head of a data URI."""
    match = _HEAD.match(text.head(_MOST_HEAD))
    left = match.end() if match else 0
    for block in text.blocks():
        yield block[left:]
        left = max(0, left - len(block))


def _decode(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Decode what has been surveyed, four signs to three bytes."""
    kept = b""
    for block in blocks:
        signs = kept + block.translate(_TO_STANDARD, _SPACE + b"=")
        cut = len(signs) - len(signs) % 4
        kept = signs[cut:]
        yield pybase64.b64decode(signs[:cut], validate=True)
    if kept:
        yield pybase64.b64decode(kept.ljust(4, b"="), validate=True)
