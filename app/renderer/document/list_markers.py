"""Markers of lists as browsers draw them (CSS Lists 3, 3; the shapes are Blink's)."""

from typing import NamedTuple

from app.renderer.document.values import ComputedFont, FontMetrics

# CSS pixels between a symbol and its item.
GAP = 7
# Of a font's size: how large the triangles of `<summary>` are, and how far from it.
_TRIANGLE, _APART = 0.66, 0.4


class ListSymbol(NamedTuple):
    """The style of a box that is a symbol, and where it is, in CSS pixels.

    `above` is how far its top is above the line that letters stand on, `before` how far
    its edge is before an item that it is outside of, `wide` what it takes in a line.
    """

    style: str
    above: float
    before: float
    wide: float


def baseline(face: FontMetrics, size: float, line: float) -> float:
    """Return how far below the top of a line its letters stand, in CSS pixels."""
    ascent, descent = round(face.ascent * size), round(face.descent * size)
    return (line - ascent - descent) / 2 + ascent


def symbol(
    kind: str, face: FontMetrics, font: ComputedFont, is_rtl: bool
) -> ListSymbol:
    """Return a symbol for a font, beside text that runs in one of two directions."""
    ascent = round(face.ascent * font.size)
    third = ascent * 2 // 3
    if kind in ("disclosure-open", "disclosure-closed"):
        side = round(font.size * _TRIANGLE)
        half = f"{side / 2:g}px"
        width, side_of = f"{side}px {half} 0", "top"
        if kind == "disclosure-closed":
            width, side_of = f"{half} 0 {half} {side}px", "left"
            if is_rtl:
                width, side_of = f"{half} {side}px {half} 0", "right"
        style = (
            f"width:0;height:0;border:solid transparent;border-width:{width};"
            f"border-{side_of}-color:currentColor"
        )
        return ListSymbol(style, side, third + GAP, side + font.size * _APART)
    side = (third + 1) // 2
    shape = "border:1px solid currentColor" if kind == "circle" else ""
    style = (
        f"width:{side}px;height:{side}px;box-sizing:border-box;"
        f"{shape or 'background-color:currentColor'};"
        f"border-radius:{0 if kind == 'square' else '50%'}"
    )
    above = ascent - 3 * (ascent - third) // 2
    return ListSymbol(style, above, third + GAP, side + 1 + font.size)
