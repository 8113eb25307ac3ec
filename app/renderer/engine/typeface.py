"""What of a font the layout of a page depends on, in ems."""

import unicodedata
from collections.abc import Sequence

import uharfbuzz as hb  # type: ignore[import-untyped]

# Of a character that the font lacks, as wide ones and others are in most.
_WIDE, _OTHER = 1.0, 0.55


class Typeface:
    """The first font of a list of families that is loaded, at a weight.

    `ascent` and `descent` are positive, `zero` is how far "0" advances, `x_height`
    how high "x" is.
    """

    def __init__(self, font: hb.Font, em: int) -> None:
        self._font = font
        self._em = em
        self._advances: dict[str, float] = {}
        extents = font.get_font_extents("ltr")
        self.ascent = extents.ascender / em
        self.descent = -extents.descender / em
        self.zero = self._advance("0")
        glyph = font.get_nominal_glyph(ord("x"))
        box = font.get_glyph_extents(glyph) if glyph is not None else None
        self.x_height = box.y_bearing / em if box else 0.5

    def width(self, text: str) -> float:
        """Return how far the letters of a text advance, without kerning."""
        advances = self._advances
        total = 0.0
        for letter in text:
            known = advances.get(letter)
            if known is None:
                known = advances[letter] = self._advance(letter)
            total += known
        return total

    def _advance(self, letter: str) -> float:
        glyph = self._font.get_nominal_glyph(ord(letter))
        if glyph is not None:
            return float(self._font.get_glyph_h_advance(glyph)) / self._em
        kind = unicodedata.category(letter)
        if kind in ("Mn", "Me", "Cf", "Cc"):
            return 0.0
        return _WIDE if unicodedata.east_asian_width(letter) in "WF" else _OTHER


def names(families: str) -> Sequence[str]:
    """Return the names in a `font-family`."""
    return [name.strip().strip("\"'").strip() for name in families.split(",")]
