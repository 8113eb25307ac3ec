"""A layer of text that nobody sees, over the outlines of its letters.

By it a page is searched, selected and copied. A word is as wide and as high as its
ink, in a font of one glyph, as programs lay it that recognize text (ISO 32000-1,
9.3.6: rendering mode 3). Which ink is whose is found by the order of both: a run of
text and the line of glyphs that the engine drew of it.
"""

import re
import struct
import unicodedata
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from itertools import groupby, pairwise
from typing import NamedTuple
from xml.etree.ElementTree import Element

from app.renderer.base import Lettering, TextRun
from app.renderer.encode.pdf.content import ContentStream, packed
from app.renderer.encode.pdf.lines import Line
from app.renderer.encode.pdf.matrix import IDENTITY, Matrix, concatenate, transform
from app.renderer.encode.pdf.outline import Bounds, Unsupported, number
from app.renderer.encode.pdf.style import SVG, lengths

# What the engine is told about breaking lines is no text: U+200B, and U+200C at an end.
_MARKS = re.compile("\u200b|\u00ad|\u200c$")
_JOINER = "\u2060"
# Shares of a run's height in which a word's is told, so that few fonts are enough.
_STEPS = 10
# CSS pixels between where a run was measured and where it was drawn.
_NEAR = 1.0
# Codes of two bytes stand for themselves; those of surrogates for what is beyond them.
_FIRST_FREE, _LAST_FREE = 0xD800, 0xDFFF
_SPACE = b"\0 "


class Word(NamedTuple):
    """A word with its ink, in units of its matrix; `size` is the height of its line."""

    text: str
    matrix: Matrix
    left: float
    right: float
    base: float
    above: float
    below: float
    size: float
    spaced: bool = False

    @property
    def backward(self) -> bool:
        """Tell whether it is written from right to left (UAX #9, rule P2)."""
        kinds = map(unicodedata.bidirectional, self.text)
        return next((kind for kind in kinds if kind in ("L", "R", "AL")), "L") != "L"


def write_text(
    root: Element, lines: Sequence[Line], texts: Lettering, out: ContentStream
) -> None:
    """Write the texts of a drawing, by its lines of glyphs, into a part of its own."""
    found = [*_words(lines, texts.runs), *_pictures(root, texts.pictures)]
    # A font of no size has lines without height, and nothing to be found by.
    words = [word for word in found if word.size > 0]
    if not words:
        return
    out.part()
    codes = _Codes(word.text for word in words)
    fonts = _LayerFonts(out, codes)
    last = b""
    out.write(b"BT\n3 Tr\n")
    for word in words:
        font = fonts.choose(word.above / word.size, word.below / word.size)
        if font != last:
            out.write(b"/%b 1 Tf\n" % font)
            last = font
        backward = word.backward
        # As other programs write what runs from right to left: as it is seen.
        written = codes.encode(word.text[::-1] if backward else word.text)
        advance = (word.right - word.left) / max(1, len(written) // 2)
        left = word.left
        if word.spaced and backward:
            written, left = _SPACE + written, left - advance
        elif word.spaced:
            written += _SPACE
        own = (advance, 0.0, 0.0, -word.size, left, word.base)
        placed = concatenate(own, word.matrix)
        try:
            place = " ".join(number(each, 3) for each in placed)
        except Unsupported:
            # So far off, or so large, that no page shows it.
            continue
        out.write(f"{place} Tm<{written.hex()}>Tj\n".encode())
    out.write(b"ET\n")
    out.part()


def _words(lines: Sequence[Line], runs: Sequence[TextRun]) -> list[Word]:
    words: list[Word] = []
    # How far the content of a box begins from its edge, once a line of it is found.
    inset: dict[int, tuple[float, float]] = {}
    at = 0
    for run in runs:
        text = _MARKS.sub("", run.text.replace(_JOINER, " "))
        text = unicodedata.normalize("NFC", text)
        if words and text[:1].isspace():
            words[-1] = words[-1]._replace(spaced=True)
        parts = text.split()
        if not parts:
            continue
        found = _match(lines, at, run, inset)
        if found is None:
            spans = [_unseen(run, inset.get(run.box, (0.0, 0.0)))]
            parts = [" ".join(parts)]
        else:
            at = found + 1
            spans = _parted(lines[found], len(parts))
            if len(spans) < len(parts):
                parts = [" ".join(parts)]
        matrix = run.matrix if found is None else lines[found].matrix
        base = run.y + run.height * 0.8 if found is None else lines[found].base
        if found is None:
            base += inset.get(run.box, (0.0, 0.0))[1]
        new = [
            Word(
                part,
                matrix,
                left,
                right,
                base,
                base - top,
                bottom - base,
                run.height,
                spaced=True,
            )
            for part, (left, top, right, bottom) in zip(
                parts, _ordered(spans, text), strict=True
            )
        ]
        new[-1] = new[-1]._replace(spaced=text[-1].isspace())
        words.extend(new)
    return _turned(words)


def _turned(words: list[Word]) -> list[Word]:
    """Put words that run from right to left into the order in which they are read.

    Runs come from left to right, and each has the words of one direction.
    """
    turned: list[Word] = []
    for backward, some in groupby(words, lambda word: (word.backward, word.base)):
        row = list(some)
        if backward[0]:
            row.sort(key=lambda word: -word.left)
            row = [word._replace(spaced=True) for word in row]
        turned.extend(row)
    return turned


def _match(
    lines: Sequence[Line],
    first: int,
    run: TextRun,
    inset: dict[int, tuple[float, float]],
) -> int | None:
    """Return which line was drawn of a run, or None where that is not sure."""
    for at in range(first, len(lines)):
        line = lines[at]
        x, y = _seen(run, line)
        x, y = x - run.x, y - run.y
        extent = max(g[2] for g in line.glyphs) - min(g[0] for g in line.glyphs)
        known = inset.get(run.box)
        if extent > run.width + run.height:
            continue
        if known is None:
            if x >= -_NEAR and y >= -_NEAR:
                inset[run.box] = (x, y - run.height)
                return at
        elif abs(x - known[0]) < _NEAR + run.height / 4 and (
            abs(y - run.height - known[1]) < run.height
        ):
            return at
    return None


def _seen(run: TextRun, line: Line) -> tuple[float, float]:
    """Return where a line begins, in the space of a run's box."""
    a, b, c, d, e, f = line.matrix
    x = a * line.start + c * line.base + e
    y = b * line.start + d * line.base + f
    a, b, c, d, e, f = run.matrix
    size = a * d - b * c or 1.0
    x, y = x - e, y - f
    return (d * x - c * y) / size, (a * y - b * x) / size


def _unseen(run: TextRun, inset: tuple[float, float]) -> Bounds:
    x, y = run.x + inset[0], run.y
    return x, y, x + run.width, y + run.height


def _parted(line: Line, count: int) -> list[Bounds]:
    """Part the ink of a line at its widest gaps, into words from left to right."""
    glyphs = sorted(each for each in line.glyphs if each[2] > each[0])
    if not glyphs:
        return [line.glyphs[0]]
    if count == 1:
        return [_around(glyphs)]
    gaps = []
    reach = glyphs[0][2]
    for at, ink in enumerate(glyphs[1:], 1):
        gaps.append((ink[0] - reach, at))
        reach = max(reach, ink[2])
    if len(gaps) < count - 1:
        return [_around(glyphs)]
    widest = sorted(sorted(gaps, reverse=True)[: count - 1], key=lambda gap: gap[1])
    cuts = [0, *(at for _, at in widest), len(glyphs)]
    return [_around(glyphs[start:end]) for start, end in pairwise(cuts)]


def _around(glyphs: Sequence[Bounds]) -> Bounds:
    lefts, tops, rights, bottoms = zip(*glyphs, strict=True)
    return min(lefts), min(tops), max(rights), max(bottoms)


def _ordered(spans: list[Bounds], text: str) -> list[Bounds]:
    """Return spans in the order of reading: a run has one direction."""
    kinds = map(unicodedata.bidirectional, text)
    kind = next((kind for kind in kinds if kind in ("L", "R", "AL")), "L")
    return spans if kind == "L" else spans[::-1]


def _pictures(root: Element, pictures: Mapping[bytes, str]) -> Iterator[Word]:
    """Yield the characters that pictures stand for."""
    if not pictures:
        return
    known = {
        "data:image/svg+xml;base64," + b64encode(data).decode(): text
        for data, text in pictures.items()
    }
    for image, matrix in _images(root, IDENTITY):
        text = known.get(image.get("href", ""))
        if text is not None:
            get = lengths(image)
            left, top = get("x"), get("y")
            right, bottom = left + get("width"), top + get("height")
            size = max(1.0, bottom - top)
            base = bottom - size / 8
            yield Word(text, matrix, left, right, base, base - top, bottom - base, size)


def _images(element: Element, matrix: Matrix) -> Iterator[tuple[Element, Matrix]]:
    for child in element:
        if child.tag == f"{SVG}image":
            yield child, matrix
        elif child.tag == f"{SVG}g":
            own = transform(child.get("transform", ""))
            yield from _images(child, concatenate(own, matrix))


class _Codes:
    """Codes of two bytes for characters, and how a reader finds these again.

    A code is the character of its number. Characters beyond U+FFFF get the codes of
    surrogates, which no text has.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        points = sorted({ord(each) for text in texts for each in text} | {0x20})
        beyond = [point for point in points if point > 0xFFFF]
        # More in one page than there are codes: they are not found by a search.
        self._beyond = {
            point: code
            for point, code in zip(
                beyond, range(_FIRST_FREE, _LAST_FREE + 1), strict=False
            )
        }
        self._rows = sorted({point >> 8 for point in points if point <= 0xFFFF})

    def encode(self, text: str) -> bytes:
        """Return the codes of a text."""
        if not self._beyond:
            return text.encode("utf-16-be", "replace")
        codes = (self._beyond.get(ord(each), ord(each)) for each in text)
        return b"".join(struct.pack(">H", min(code, 0xFFFD)) for code in codes)

    def table(self) -> bytes:
        """Return what the codes mean (section 9.10.3)."""
        # A range stays within one value of the first byte.
        ranges = [
            f"<{row:02X}00><{row:02X}FF><{row:02X}00>"
            for row in self._rows
            if not 0xD8 <= row <= 0xDF
        ]
        chars = [
            f"<{code:04X}><{chr(point).encode('utf-16-be').hex().upper()}>"
            for point, code in self._beyond.items()
        ]
        body = _listed("range", ranges) + _listed("char", chars)
        return (
            "/CIDInit/ProcSet findresource begin 12 dict begin begincmap\n"
            "/CIDSystemInfo<</Registry(Adobe)/Ordering(UCS)/Supplement 0>>def\n"
            "/CMapName/Adobe-Identity-UCS def/CMapType 2 def\n"
            "1 begincodespacerange<0000><FFFF>endcodespacerange\n"
            f"{body}endcmap CMapName currentdict/CMap defineresource pop end end\n"
        ).encode()


def _listed(kind: str, entries: list[str]) -> str:
    """Return sections of a CMap, of up to a hundred entries each."""
    return "".join(
        f"{len(some)} beginbf{kind}\n{chr(10).join(some)}\nendbf{kind}\n"
        for first in range(0, len(entries), 100)
        if (some := entries[first : first + 100])
    )


class _LayerFonts:
    """Fonts of one file of one glyph that differ in how high their letters are."""

    def __init__(self, out: ContentStream, codes: _Codes) -> None:
        self._out = out
        objects = out.objects
        self._file = objects.add(*_font_file())
        self._glyphs = objects.add(*_no_glyphs())
        self._table = objects.add(*packed(b"<<", codes.table()))
        self._known: dict[tuple[int, int], bytes] = {}

    def choose(self, above: float, below: float) -> bytes:
        """Return the name of the font whose letters reach so far, in its size."""
        ascent, descent = (
            round(max(0.0, min(2.0, share)) * _STEPS) * 1000 // _STEPS
            for share in (above, below)
        )
        # Readers take a height of 0 for one that is not told.
        ascent, descent = max(ascent, 1000 // _STEPS), max(descent, 1)
        known = self._known.get((ascent, descent))
        if known is None:
            known = self._known[ascent, descent] = self._add(ascent, descent)
        return known

    def _add(self, ascent: int, descent: int) -> bytes:
        objects = self._out.objects
        described = objects.add(
            b"<</Type/FontDescriptor/FontName/Text/Flags 4/FontBBox[0 -%d 1000 %d]"
            b"/ItalicAngle 0/Ascent %d/Descent -%d/CapHeight %d/StemV 80"
            b"/FontFile2 %d 0 R>>"
            % (descent, ascent, ascent, descent, ascent, self._file)
        )
        font = objects.add(
            b"<</Type/Font/Subtype/CIDFontType2/BaseFont/Text/CIDSystemInfo<<"
            b"/Registry(Adobe)/Ordering(Identity)/Supplement 0>>/FontDescriptor %d 0 R"
            b"/CIDToGIDMap %d 0 R/DW 1000>>" % (described, self._glyphs)
        )
        return self._out.name(
            b"Font",
            b"<</Type/Font/Subtype/Type0/BaseFont/Text/Encoding/Identity-H"
            b"/DescendantFonts[%d 0 R]/ToUnicode %d 0 R>>" % (font, self._table),
        )


@cache
def _no_glyphs() -> tuple[bytes, bytes]:
    """Return the stream by which every code has the same glyph."""
    return packed(b"<<", bytes(2 << 16))


@cache
def _font_file() -> tuple[bytes, bytes]:
    """Return a font of one square glyph (OpenType 1.9), as the stream of a file.

    MuPDF leaves letters out whose glyph has no outline.
    """
    square = struct.pack(
        ">hhhhhHH4B8h",
        *(1, 0, 0, 1000, 1000, 3, 0, 1, 1, 1, 1),
        *(0, 1000, 0, -1000, 0, 0, 1000, 0),
    )
    tables = {
        b"glyf": square,
        b"head": struct.pack(
            ">IIIIHHQQhhhhHHhhh",
            *(0x10000, 0x10000, 0, 0x5F0F3CF5, 0, 1000, 0, 0),
            *(0, 0, 1000, 1000, 0, 8, 2, 0, 0),
        ),
        b"hhea": struct.pack(
            ">IhhhHhhhhhhhhhhhH",
            *(0x10000, 1000, -1, 0, 1000, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1),
        ),
        b"hmtx": struct.pack(">Hh", 1000, 0),
        b"loca": struct.pack(">HH", 0, len(square) // 2),
        b"maxp": struct.pack(">IH13H", 0x10000, 1, 4, 1, *[0] * 11),
    }
    at = 12 + 16 * len(tables)
    head = struct.pack(">IHHHH", 0x10000, len(tables), 64, 2, 32)
    body = b""
    for name, data in tables.items():
        padded = data + b"\0" * (-len(data) % 4)
        total = sum(struct.unpack(f">{len(padded) // 4}I", padded)) & 0xFFFFFFFF
        head += name + struct.pack(">III", total, at + len(body), len(data))
        body += padded
    file = head + body
    return packed(b"<</Length1 %d" % len(file), file)
