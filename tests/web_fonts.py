"""Fonts that tests send: letters of which each is a rectangle, as wide as its em."""

import base64
import io
from collections.abc import Mapping

from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from fontTools.ttLib import TTFont

EM = 1000


def block_font(letters: Mapping[str, float], flavor: str | None = None) -> bytes:
    """Return a font of blocks upon the baseline, each so high, in ems.

    `flavor` is None, `woff` or `woff2`.
    """
    names = {letter: f"u{ord(letter):X}" for letter in letters}
    glyphs = {".notdef": TTGlyphPen(None).glyph()}
    for letter, share in letters.items():
        pen = TTGlyphPen(None)
        if share:
            high = round(share * EM)
            pen.moveTo((0, 0))
            for corner in ((0, high), (EM, high), (EM, 0)):
                pen.lineTo(corner)
            pen.closePath()
        glyphs[names[letter]] = pen.glyph()
    made = FontBuilder(EM, isTTF=True)
    made.setupGlyphOrder(list(glyphs))
    made.setupCharacterMap({ord(each): name for each, name in names.items()})
    made.setupGlyf(glyphs)
    made.setupHorizontalMetrics({name: (EM, 0) for name in glyphs})
    made.setupHorizontalHeader(ascent=EM, descent=0)
    made.setupNameTable({"familyName": "Blocks", "styleName": "Regular"})
    made.setupOS2(sTypoAscender=EM, usWinAscent=EM, usWinDescent=0)
    made.setupPost()
    file = io.BytesIO()
    made.font.recalcTimestamp = False
    made.save(file)
    return repacked(file.getvalue(), flavor)


def repacked(data: bytes, flavor: str | None) -> bytes:
    """Return a font file in another format."""
    file = io.BytesIO()
    font = TTFont(io.BytesIO(data), recalcTimestamp=False)
    font.flavor = flavor
    font.save(file)
    return file.getvalue()


def source(data: bytes, more: str = "") -> str:
    """Return a font as the `src` of a rule."""
    return f"url(data:font/x;base64,{base64.b64encode(data).decode()}) {more}"
