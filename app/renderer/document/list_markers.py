"""Markers of lists as browsers draw them (CSS Lists 3, 3; the shapes are Blink's)."""

from html import escape
from typing import NamedTuple

from turbohtml import Element, Text

from app.renderer.document import (
    box_model,
    counter_styles,
    css_tokens,
    generated,
    pseudo_elements,
)
from app.renderer.document.box_model import INLINE, OUT_OF_FLOW
from app.renderer.document.cascade import Style
from app.renderer.document.computed_style import Context, whole_line
from app.renderer.document.markup_writer import MarkupWriter
from app.renderer.document.values import ComputedFont, FontMetrics

# CSS pixels between a symbol and its item.
GAP = 7
# Of a font's size: how large the triangles of `<summary>` are, and how far from it.
_TRIANGLE, _APART = 0.66, 0.4
# Where the engine looks at a block's text itself.
_CUT = frozenset({"text-overflow", "line-clamp", "-webkit-line-clamp"})
# Inline elements without text of the line they stand in.
_UNWRITTEN = frozenset({"br", "wbr", "img", "svg", "ruby", "video"})
# What a marker can have (CSS Lists 3, 3.2).
_MARKED = frozenset(
    {"color", "font-family", "font-size", "font-style", "font-weight", "direction"}
    | {"letter-spacing", "line-height", "text-transform", "text-shadow"}
    | {"font-variant-numeric", "font-feature-settings", "word-spacing"}
)
# A marker that the engine draws takes a third of a millisecond.
_MARKER_COST = 500


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


def write(
    writer: MarkupWriter, element: Element, style: Style, context: Context
) -> str:
    """Write the marker of an item of a list.

    Returns what the engine should write before it otherwise.
    """
    if style.get("display") != "list-item":
        return ""
    kind = context.inherited.get("list-style-type", "disc")
    inside = context.inherited.get("list-style-position") == "inside"
    is_rtl = context.inherited.get("direction") == "rtl"
    image = _image(writer, context)
    text = image or _text(writer, kind)
    found = writer.styles.pseudo.get("marker", {}).get(element)
    is_own = inside or is_rtl or image or _begins(writer, element, style)
    if found is None and not is_own:
        # The engine alone knows where the first line is.
        writer.cost += _MARKER_COST
        return _engine_marker(kind, text)
    own, inner = writer.computed.compute(found or {}, context)
    value = own.pop("content", "normal")
    shape = ""
    if value not in ("none", "normal"):
        quotes = pseudo_elements.quotes(writer, inner)
        pieces = generated.content(value, element, writer.counters, quotes)
        text = "".join(text for kind, text in pieces if kind == "text")
    elif kind in counter_styles.SYMBOLS and not image:
        shape = kind
    is_image = bool(image) and value == "normal"
    apart = _apart(writer, style, context, "right" if is_rtl else "left")
    if value == "none" or not text:
        return "none"
    own = {name: value for name, value in own.items() if name in _MARKED}
    own |= {"white-space": "pre", "text-indent": "0"}
    # CSS Lists 3, 3.2.
    own.setdefault("font-variant-numeric", "tabular-nums")
    face, font = writer.units.typeface(inner.font), inner.font
    drawn = symbol(shape, face, font, is_rtl) if shape else None
    if is_image:
        _mark_with_image(writer, image, inside, is_rtl, context, apart)
        return "none"
    if inside:
        _mark_inside(writer, own, text, drawn, face, font)
        return "none"
    high = whole_line(context.strut)
    stands = baseline(writer.units.typeface(context.font), context.font.size, high)
    line = writer.units.line(font)
    rises = baseline(face, font.size, line)
    # A marker in larger letters moves its item down.
    lower = max(0.0, rises - stands)
    own |= {"position": "absolute", "line-height": f"{line:g}px"}
    if drawn is None:
        own["left" if is_rtl else "right"] = f"calc(100% + {apart:g}px)"
        own["top"] = f"{lower + stands - rises:g}px"
        written = escape(text, False)
    else:
        own["right" if is_rtl else "left"] = f"{-drawn.before - apart:g}px"
        own["top"] = f"{lower + stands - drawn.above:g}px"
        written = f'<div style="{drawn.style}"></div>'
    writer.put(f'<div style="position:relative;height:{lower:g}px">')
    place = writer.begin()
    writer.open(place, "div", own, None, "")
    writer.put(f"{written}</div></div>")
    return "none"


def _apart(writer: MarkupWriter, style: Style, context: Context, which: str) -> float:
    """Return how far the edge of an item is before its content, in CSS pixels."""
    said = box_model.side(style, "padding", which)
    inner = writer.units.pixels(said, context.font) or 0.0
    return box_model.borders(style)[box_model.SIDES.index(which)] + inner


def _image(writer: MarkupWriter, context: Context) -> str:
    """Return the name of the image that markers are, none where it is not had."""
    value = context.inherited.get("list-style-image", "none")
    if value in ("none", "initial"):
        return ""
    address = css_tokens.url_of(value)
    if address is None:
        writer.ignored.add(f"list-style-image: {value}")
        return ""
    name = writer.images.source(address)
    return "" if name is None or name in writer.images.absent else name


def _mark_with_image(
    writer: MarkupWriter,
    name: str,
    inside: bool,
    is_rtl: bool,
    context: Context,
    apart: float,
) -> None:
    """Write an image before an item, standing on its first line."""
    gap = GAP if inside else GAP + apart
    if inside:
        writer.put(f'<img src="{name}" style="display:inline-block">')
        writer.put(f'<span style="display:inline-block;width:{gap}px"></span>')
        return
    face, high = (
        writer.units.typeface(context.font),
        whole_line(context.strut),
    )
    down = baseline(face, context.font.size, high)
    side = "left" if is_rtl else "right"
    style = f"position:absolute;{side}:100%;margin-{side}:{gap}px;bottom:{-down:g}px"
    writer.put(
        '<div style="position:relative;height:0">'
        f'<img src="{name}" style="{style}"></div>'
    )


def _mark_inside(
    writer: MarkupWriter,
    style: Style,
    text: str,
    drawn: ListSymbol | None,
    face: FontMetrics,
    font: ComputedFont,
) -> None:
    """Write a marker as the first of its line."""
    place = writer.begin()
    if drawn is None:
        writer.put(escape(text, False))
        wide = face.width(text) * font.size
    else:
        wide = drawn.wide
        style |= {"display": "inline-block", "position": "relative"}
        style |= {"width": f"{wide:g}px", "height": f"{drawn.above:g}px"}
        writer.put(f'<div style="position:absolute;top:0;{drawn.style}"></div>')
    if writer.extent is not None:
        writer.extent.line += wide
    writer.open(place, "span", style, None, "")
    writer.put("</span>")


def _begins(writer: MarkupWriter, element: Element, style: Style | None = None) -> bool:
    """Tell whether text of a block's own, or a table, is the first in it."""
    if style is not None and not _CUT.isdisjoint(style):
        return False
    for child in element.children:
        if isinstance(child, Text) and child.data.strip():
            return True
        if isinstance(child, Element):
            its = writer.styles.elements[child]
            display = its.get("display", "inline")
            if display == "none" or its.get("position") in OUT_OF_FLOW:
                continue
            if display == "table":
                return True
            known = display in INLINE and child.tag not in _UNWRITTEN
            return known and _begins(writer, child)
    return False


def _text(writer: MarkupWriter, kind: str) -> str:
    if kind[:1] in "\"'":
        return css_tokens.unescaped(kind)
    if kind in counter_styles.SYMBOLS:
        return counter_styles.number(0, kind)
    if kind not in counter_styles.NUMBERED:
        writer.ignored.add(f"list-style-type: {kind}")
    value = writer.counters.values("list-item")[-1]
    return counter_styles.number(value, kind) + counter_styles.suffix(kind)


def _engine_marker(kind: str, text: str) -> str:
    """Return the `list-style-type` by which the engine draws a marker."""
    known = kind in ("disc", "circle", "square", "none")
    return kind if known else css_tokens.quoted(text)
