"""Base64 from file to file, in blocks, strictly, and with every repair reported.

Nothing is guessed: a repair is made only where it has one meaning, and anything
else is refused. A lenient decoder would turn an error message into junk bytes and
`data:image/webp;base64,` into the beginning of a picture.
"""

import io
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO, NamedTuple
from urllib.parse import unquote_to_bytes

import pybase64

from app.renderer.probe.byte_range import BLOCK, Region, whole
from app.renderer.probe.sniff import HEAD, IMAGES, sniff

# The scheme may be missing, where the rest says the same.
_HEAD = re.compile(
    rb"\s*(?:data:\s*|(?=image/))([^,;\s]*)\s*(?:;[^,;]*)*?;\s*base64\s*,",
    re.IGNORECASE,
)
_PLAIN_HEAD = re.compile(rb"\s*data:\s*([^,;\s]*)\s*(?:;[^,;]*)*,", re.IGNORECASE)
# Media types and parameters together; real ones have under 100 characters.
_MOST_HEAD = 512
# Some put a data URI where its base64 is due.
_MOST_HEADS = 3
# An SVG, percent-encoded.
_MOST_PLAIN = 32 << 20
_BREAKS = b"\t\r\n\f\v"
_SPACE = b" " + _BREAKS
_SIGNS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_"
_KNOWN = _SIGNS + b"=" + _SPACE
_TO_STANDARD = bytes.maketrans(b"-_", b"+/")
_BLANK_TO_PLUS = bytes.maketrans(b" ", b"+")
# A line of base64 and what a line break has become.
_LINE = re.compile(rb"([^ ]+)( +)(?=[^ ])")
_LEAST_LINE, _MOST_LINE = 60, 2_048
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
_PERCENT_ESCAPES = {
    **{b"%2B": b"+", b"%2b": b"+", b"%2F": b"/", b"%2f": b"/", b"%3D": b"="},
    **{b"%3d": b"=", b"%0A": b"\n", b"%0a": b"\n", b"%0D": b"\r", b"%0d": b"\r"},
    b"%20": b" ",
}
_CUT_ESCAPE = re.compile(rb"\\(u[0-9a-fA-F]{0,3})?")
# Of so many characters one is a +, but for one case in 10 to the 14th.
_SURELY_HAS_PLUS = 2_048


class NotBase64(ValueError):
    """The text is not base64, and no repair with one meaning makes it so."""


class NoText(NotBase64):
    """There is no text at all."""


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
            body = block[:cut]
            yield _undo(body, b"\\", _SIGN_ESCAPES) if self.escaped else body
        if kept:
            yield kept

    def head(self, size: int) -> bytes:
        """Return the first `size` bytes, all escapes undone (RFC 8259, section 7)."""
        # The longest escape stands for one byte and has six.
        data = self.region.read(0, size * 6 if self.escaped else size)
        return _ESCAPE.sub(_unescape, data)[:size] if self.escaped else data


def _undo(block: bytes, mark: bytes, escapes: Mapping[bytes, bytes]) -> bytes:
    # A call for each escape would take half a minute for 200 MB of them.
    for escape, sign in escapes.items() if mark in block else ():
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
    blanks: int = 0
    seen: frozenset[str] = frozenset()
    lines: "_Wrapping" = field(default_factory=lambda: _Wrapping())

    def watch(self, blocks: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the blocks as they are; raise NotBase64 where one cannot be."""
        for block in blocks:
            if block.translate(None, _KNOWN):
                raise NotBase64("it has characters that base64 has not")
            if block.translate(None, _SIGNS + b"="):
                self.seen |= {"whitespace"}
            yield block

    def add(self, block: bytes) -> None:
        """Count one block that is trimmed."""
        dense = block.translate(None, b" ")
        signs = dense.rstrip(b"=")
        if b"=" in signs or (signs and self.padding):
            raise NotBase64("it goes on behind its padding")
        self.signs += len(signs)
        self.padding += len(dense) - len(signs)
        self.blanks += len(block) - len(dense)
        marks = {
            "+": b"+" in signs,
            "standard": b"+" in signs or b"/" in signs,
            "url-safe": b"-" in signs or b"_" in signs,
        }
        self.seen |= {name for name, is_seen in marks.items() if is_seen}
        self.lines.add(block)

    def check(self) -> None:
        """Raise NotBase64 where the whole has no single meaning."""
        if not self.signs:
            raise NoText("it is empty")
        if self._blanks_are_plus():
            self.signs += self.blanks
            self.seen = self.seen - {"whitespace"} | {"plus", "standard"}
        if {"standard", "url-safe"} <= self.seen:
            raise NotBase64("it mixes two alphabets")
        if self.signs % 4 == 1:
            raise NotBase64("it is cut off")
        if not _fits(self.signs, self.padding):
            raise NotBase64("its padding does not fit")

    def _blanks_are_plus(self) -> bool:
        """Tell what blanks are: in a form each + that is not escaped becomes one.

        Leaving those out would be another picture, and none would notice.
        """
        if not self.blanks or self.seen & {"+", "url-safe"}:
            return False
        as_space = _fits(self.signs, self.padding)
        as_plus = _fits(self.signs + self.blanks, self.padding)
        if as_space != as_plus:
            return as_plus
        if self.lines.is_sure:
            return False
        if self.signs < _SURELY_HAS_PLUS:
            raise NotBase64(
                "its blanks may be the + that a form makes blanks of: send + as %2B"
            )
        return True

    def repairs(self) -> tuple[str, ...]:
        """Name what `decode` will have to mend."""
        missing = {"padding"} if (self.signs + self.padding) % 4 else set()
        found = self.seen & {"whitespace", "url-safe", "plus"}
        return tuple(sorted(found | missing))


def _fits(signs: int, padding: int) -> bool:
    """Tell whether so many signs with so much padding, or none, are base64."""
    if not padding:
        return signs % 4 != 1
    return padding <= 2 and (signs + padding) % 4 == 0


@dataclass(slots=True)
class _Wrapping:
    """Whether the blanks of a text stand where lines of one length ended."""

    are_even: bool = True
    kept: bytes = b""
    length: int = 0
    gap: int = 0
    count: int = 0

    @property
    def is_sure(self) -> bool:
        """Tell whether blanks by chance would hardly stand so."""
        return self.are_even and self.length >= _LEAST_LINE and self.count > 1

    def add(self, block: bytes) -> None:
        """Take the next block of signs and blanks."""
        if not self.are_even:
            return
        self.kept += block
        if not self.length:
            self._begin()
        if self.length:
            line = rb"[^ ]{%d} {%d}" % (self.length, self.gap)
            found = re.match(rb"(?:%b)*" % line, self.kept)
            end = found.end() if found else 0
            self.count += end // (self.length + self.gap)
            self.kept = self.kept[end:]
            rest = rb"[^ ]{0,%d}|[^ ]{%d} {0,%d}" % (self.length, self.length, self.gap)
            self.are_even = re.fullmatch(rest, self.kept) is not None

    def _begin(self) -> None:
        first = _LINE.match(self.kept)
        if first and len(first[1]) % 4 == 0 and len(first[1]) <= _MOST_LINE:
            self.length, self.gap = len(first[1]), len(first[2])
        elif first or len(self.kept) > _MOST_LINE:
            self.are_even = False


class _UriHead(NamedTuple):
    """The head of a data URI: its length, what it claims, whether base64 follows."""

    length: int
    media_type: str
    is_base64: bool


def _head_of(text: Text) -> _UriHead | None:
    """Return the head of a data URI; of one inside of another, both."""
    data = text.head(_MOST_HEAD)
    found: re.Match[bytes] | None = None
    end = 0
    for _ in range(_MOST_HEADS):
        match = _HEAD.match(data, end) or _PLAIN_HEAD.match(data, end)
        if match is None:
            break
        found, end = match, match.end()
    if found is None:
        return None
    claimed = found[1].decode("ascii", "replace").lower()
    return _UriHead(end, claimed, found.re is _HEAD)


def media_type_of(text: Text) -> str | None:
    """Return what a data URI claims to be; None where the text is no such URI."""
    head = _head_of(text)
    return head.media_type if head else None


def decode_text(text: str) -> bytes:
    """Return the bytes that a parameter's text encodes, as `decode` does.

    Raises NotBase64.
    """
    data = text.encode("utf-8", "replace")
    target = io.BytesIO()
    _decode_once(Text(whole(data)), target, len(data))
    return _inner(target.getvalue())


def _inner(data: bytes) -> bytes:
    """Return the image that bytes hold as base64 once more, or the bytes themselves."""
    if sniff(data[:HEAD]) != "text/plain":
        return data
    target = io.BytesIO()
    try:
        _decode_once(Text(whole(data)), target, len(data))
    except NotBase64:
        return data
    inner = target.getvalue()
    return inner if sniff(inner[:HEAD]) in IMAGES else data


def decode(text: Text, target: BinaryIO, most: int) -> tuple[Region, tuple[str, ...]]:
    """Append what a text of base64, or a data URI, encodes to `target`.

    What is base64 once more is decoded again. Markup of an SVG is taken as it is.
    Returns where it is, and what had to be repaired.
    Memory is a few blocks of 256 KiB. Raises NotBase64, or OverBytes where the
    result would be longer than `most`, before a byte of it is written.
    """
    region, repairs = _append(text, target, most * 4 // 3 + 4)
    if sniff(region.read(0, HEAD)) == "text/plain":
        region, inner = _append(Text(region), target, most)
        repairs = ("base64-twice", *repairs, *inner)
    return region, repairs


def _append(text: Text, target: BinaryIO, most: int) -> tuple[Region, tuple[str, ...]]:
    start = target.seek(0, os.SEEK_END)
    length, repairs = _decode_once(text, target, most)
    target.flush()
    return Region(target, start, length), repairs


def _decode_once(
    text: Text, target: BinaryIO, most: int
) -> tuple[int, tuple[str, ...]]:
    """Write what a text encodes; return its length, and what was repaired."""
    head = _head_of(text)
    is_plain = head is not None and not head.is_base64
    if is_plain or sniff(text.head(HEAD)) == "image/svg+xml":
        return _copy(text, head, target, most)
    survey = _Survey()
    for block in _trimmed(survey.watch(_body(text, head))):
        survey.add(block)
    length = survey.signs * 3 // 4
    if length > most:
        raise OverBytes(f"it decodes to {length:,} bytes")
    survey.check()
    length = survey.signs * 3 // 4
    table = _BLANK_TO_PLUS if "plus" in survey.seen else _TO_STANDARD
    for data in _decode(_trimmed(_body(text, head)), table):
        target.write(data)
    return length, survey.repairs()


def _copy(
    text: Text, head: _UriHead | None, target: BinaryIO, most: int
) -> tuple[int, tuple[str, ...]]:
    """Write a text that is no base64: markup, or a data URI's (RFC 2397)."""
    if text.region.length > min(most * 3, _MOST_PLAIN):
        raise OverBytes(f"it has {text.region.length:,} bytes")
    data = text.head(text.region.length)
    if head is not None:
        data = unquote_to_bytes(data[head.length :])
    target.write(data)
    return len(data), ()


def _body(text: Text, head: _UriHead | None) -> Iterator[bytes]:
    """Yield the blocks of a text behind the head of a data URI."""
    left = head.length if head else 0
    kept = b""
    for block in text.blocks():
        block, left = kept + block[left:], max(0, left - len(block))
        at = block.rfind(b"%", max(0, len(block) - 2))
        cut = at if at >= 0 else len(block)
        kept = block[cut:]
        yield _undo(block[:cut], b"%", _PERCENT_ESCAPES)
    if kept:
        yield kept


def _trimmed(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield signs and blanks, without line breaks and the blanks around the whole."""
    held, is_begun = 0, False
    for block in blocks:
        bare = block.translate(None, _BREAKS)
        body = bare.strip(b" ")
        if not body:
            held += len(bare)
            continue
        held += len(bare) - len(bare.lstrip(b" "))
        if is_begun:
            for start in range(0, held, BLOCK):
                yield b" " * min(BLOCK, held - start)
        yield body
        held, is_begun = len(bare) - len(bare.rstrip(b" ")), True


def _decode(blocks: Iterable[bytes], table: bytes) -> Iterator[bytes]:
    """Decode what has been surveyed, four signs to three bytes."""
    unwanted = b"=" if table is _BLANK_TO_PLUS else b" ="
    kept = b""
    for block in blocks:
        signs = kept + block.translate(table, unwanted)
        cut = len(signs) - len(signs) % 4
        kept = signs[cut:]
        yield pybase64.b64decode(signs[:cut], validate=True)
    if kept:
        yield pybase64.b64decode(kept.ljust(4, b"="), validate=True)
