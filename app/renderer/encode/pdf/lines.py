"""Lines of glyphs, as the engine writes them in SVG, and where their ink is."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple
from xml.etree.ElementTree import Element

from app.renderer.encode.pdf.matrix import Matrix, concatenate, transform
from app.renderer.encode.pdf.outline import Bounds, glyph
from app.renderer.encode.pdf.style import LINK, SVG

GROUP, USE = f"{SVG}g", f"{SVG}use"
_PLACED = frozenset({"href", "x", "y"})
# How the engine calls the blur of shadows.
SHADOW = "url(#bl"


class Line(NamedTuple):
    """Glyphs that the engine drew at once: bounds of each, and where they stand.

    `start` is the least place of a glyph, `base` the line that they stand on.
    """

    matrix: Matrix
    glyphs: tuple[Bounds, ...]
    start: float
    base: float


def is_line(element: Element) -> bool:
    """Tell whether an element is a line of glyphs."""
    if element.tag == USE:
        return True
    return (
        element.tag == GROUP
        and len(element) > 0
        and all(each.tag == USE and _PLACED.issuperset(each.keys()) for each in element)
    )


def is_shadow(group: Element) -> bool:
    """Tell whether a group that is no line holds what is drawn again, without one."""
    return not group.attrib or group.get("filter", "").startswith(SHADOW)


def line_of(matrix: Matrix, glyphs: Sequence[tuple[float, float, Bounds]]) -> Line:
    """Return the line of glyphs of these places and bounds."""
    # Marks may be lifted off the line that the others stand on.
    heights = [y for _, y, _ in glyphs]
    boxes = [
        (left + x, top + y, right + x, bottom + y)
        for x, y, (left, top, right, bottom) in glyphs
    ]
    base = max(set(heights), key=heights.count)
    return Line(matrix, tuple(boxes), min(x for x, _, _ in glyphs), base)


def lines_of(
    element: Element, matrix: Matrix, shapes: Mapping[str, Element]
) -> Iterator[Line]:
    """Yield the lines in an element in the order of painting, without shadows."""
    if element.tag not in (GROUP, USE):
        return
    matrix = concatenate(transform(element.get("transform", "")), matrix)
    if is_line(element):
        uses = [element] if element.tag == USE else list(element)
        yield line_of(matrix, [_placed(use, shapes) for use in uses])
    elif not is_shadow(element):
        for child in element:
            yield from lines_of(child, matrix, shapes)


def _placed(use: Element, shapes: Mapping[str, Element]) -> tuple[float, float, Bounds]:
    shape = shapes[use.get("href", use.get(LINK, ""))[1:]]
    x, y = float(use.get("x", "0")), float(use.get("y", "0"))
    return x, y, glyph(shape.get("d", "")).bounds
