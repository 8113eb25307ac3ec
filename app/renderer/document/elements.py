"""The elements of a document, written one in the other as the engine draws them."""

import math
import re
from dataclasses import replace

from turbohtml import Element, Namespace, Text

from app.renderer.document import (
    box_model,
    controls,
    inline_boxes,
    inline_svg,
    list_markers,
    pseudo_elements,
    replaced_elements,
    table_grid,
    tables,
)
from app.renderer.document.box_model import (
    ATOMIC_INLINES,
    INLINE,
    INLINE_LEVEL,
    SIDEWAYS,
    LayoutBox,
    has_edges,
    has_ground,
    is_in_flow,
)
from app.renderer.document.cascade import Style
from app.renderer.document.computed_style import Context, line_of, whole_line
from app.renderer.document.intrinsic_size import Extent
from app.renderer.document.markup_writer import MarkupWriter

_CARRIED = re.compile(
    r"color$|font|line-height|text-(?!overflow|decoration)|letter-|word-|white-space"
    r"|visibility|direction|list-style|overflow-wrap"
)
# A letter of no width at which no line breaks.
_JOINER = "\ufeff"
# Of a block's width: a text that is less has one line.
_SURELY = 0.85
# What is set in at the beginning of its lines.
_SET_IN = frozenset({"ul", "ol", "menu", "dir", "dd"})
# What stands in a line before its first letter, and leaves it none.
_NO_LETTERS = frozenset({"br", "img", "svg", "video", "input"})
# Elements that browsers draw by other means, or with content from elsewhere.
_UNDRAWN_ELEMENTS = frozenset(
    {"iframe", "canvas", "object", "embed", "applet", "frame", "math", "marquee"}
)


def write(
    writer: MarkupWriter, element: Element, around: Context, box: LayoutBox
) -> bool:
    """Write an element; tell whether it, or something in it, is a block."""
    style = writer.styles.elements[element]
    if style.get("display") == "none":
        return False
    if around.carried:
        style = {**around.carried, **style}
    style, context = writer.computed.compute(style, around)
    display = style.get("display", "inline")
    if display == "none":
        return False
    if context.inherited.get("direction") == "rtl":
        _mirror(element, style)
    if display == "contents":
        # No box: its children stand in what is around, with what they inherit.
        context = replace(
            around,
            inherited=context.inherited,
            variables=context.variables,
            depth=context.depth,
            carried={n: v for n, v in style.items() if _CARRIED.match(n)},
        )
    elif display not in INLINE:
        is_item = around.is_flex and around.is_row
        fills = not is_item and display not in INLINE_LEVEL and is_in_flow(style)
        box = LayoutBox(style, context.font, box, writer.units, fills)
    if "tw" in element.attrs:
        context = replace(context, is_classed=True)
    _enter(writer, element, style, context.depth)
    begun = len(writer.out)
    if writer.printed is not None:
        writer.printed.enter(style)
    is_block = _write_kind(writer, element, style, context, box)
    if writer.printed is not None:
        writer.printed.leave(
            *(style, begun, len(writer.out), around.inherited, around.font),
            writer.units,
        )
    writer.counters.leave(context.depth)
    return is_block


def _enter(writer: MarkupWriter, element: Element, style: Style, depth: int) -> None:
    given = style.get("counter-reset", "list-item")
    if element.tag in ("ol", "ul", "menu") and "list-item" not in given:
        # Whatever else is counted there, so are items.
        style["counter-reset"] = f"list-item {given.replace('none', '')}"
    writer.counters.enter(style, depth)


def _write_kind(
    writer: MarkupWriter,
    element: Element,
    style: Style,
    context: Context,
    box: LayoutBox,
) -> bool:
    tag = element.tag
    if tag in _NO_LETTERS:
        writer.first_letter = None
    if element.namespace is Namespace.SVG:
        inline_svg.write(writer, element, style, context)
        return style.get("display") not in INLINE_LEVEL
    if tag == "br":
        writer.line_break()
        return False
    if tag == "wbr":
        writer.put("\u200b")
        return False
    if tag == "img" or (tag == "video" and element.attr("poster")):
        return replaced_elements.write(writer, element, style, context, box)
    if tag == "input" and (element.attr("type") or "").lower() == "image":
        return replaced_elements.write(writer, element, style, context, box)
    if tag in _UNDRAWN_ELEMENTS or tag == "video":
        writer.ignored.add(f"<{tag}>")
    if tag == "hr":
        _shade(style)
    if tag in controls.TAGS:
        style = controls.styled(element, style)
    if tag == "table" and table_grid.is_block(element, style, writer.styles):
        # A table that nobody has written is in it (CSS 2.2, 17.2.1).
        style["display"] = "table"
        style.pop("width", None)
    if style.get("display") in table_grid.TABLES:
        return tables.write(writer, write_box, element, style, context, box)
    if style.get("display") == "contents":
        has_block = pseudo_elements.write(writer, element, "before", context, box)
        has_block |= _write_children(writer, element, context, box)
        return has_block | pseudo_elements.write(writer, element, "after", context, box)
    return write_box(writer, element, style, context, box)


def write_box(
    writer: MarkupWriter,
    element: Element,
    style: Style,
    context: Context,
    box: LayoutBox,
) -> bool:
    """Write an element with its content."""
    display = style.get("display", "inline")
    is_inline = display in INLINE_LEVEL
    contents = display == "contents"
    room = box.room if display in INLINE else box.outside
    if not is_inline:
        writer.end_line(style)
    place = writer.begin()
    outer = writer.extent
    cost, writer.cost = writer.cost, 1.0
    initial = writer.first_letter
    pseudo_elements.enter_first_letter(writer, element, style, display)
    if display not in INLINE and not contents:
        writer.at_start, writer.blank, writer.feed = True, -1, -1
        writer.extent = outer and Extent()
        writer.lines = 0
    marker = list_markers.write(writer, element, style, context)
    has_block = pseudo_elements.write(writer, element, "before", context, box)
    has_block |= _write_children(writer, element, context, box)
    has_block |= pseudo_elements.write(writer, element, "after", context, box)
    pseudo_elements.leave_first_letter(writer, initial, style, display)
    if element.tag == "ruby":
        writer.ignored.add("<ruby>")
    if display in INLINE:
        if has_block:
            style["display"] = display = "block"
        elif (
            inline_boxes.needs_box(style)
            or inline_boxes.fades_within(element, style, context)
            or (
                has_edges(style, "padding", SIDEWAYS)
                and inline_boxes.is_beside_box(writer, element)
            )
        ):
            inline_boxes.box_text(writer, len(element.text), style, context)
    before, behind = inline_boxes.place(writer, style, context.font)
    writer.nest(cost, style.get("display") in ATOMIC_INLINES)
    if display not in INLINE and not contents:
        writer.trim()
        writer.end_feed()
        writer.at_start, writer.blank = not is_inline, -1
        if outer is not None and writer.extent is not None:
            outer.add_box(writer.extent, box, is_inline)
        elif display not in INLINE_LEVEL and not has_block:
            _fill(writer, element, style, context, box)
        writer.extent = outer
    tag = element.tag if element.tag in ("html", "body") else "div"
    if display in INLINE:
        tag = "span"
    mark = writer.mark(style, context)
    # Its letters say how high their own line is, one without width that of the block.
    is_low = (
        style.get("display", "inline") in INLINE
        and is_in_flow(style)
        and ("line-height" in style or has_ground(style))
        and writer.units.line(context.font) < context.strut
        and (text := element.text.strip()) != ""
        and (has_ground(style) or len(text) <= inline_boxes.MOST_UNBROKEN)
    )
    if is_low and not has_ground(style):
        style["line-height"] = line_of(writer.units.line(context.font), context.font)

    def open_tag() -> None:
        writer.open(place, tag, style, element, marker, mark)
        writer.out[place] += before
        if is_low:
            writer.out[place] = f"{_JOINER}{writer.out[place]}"

    inline_boxes.settle(writer, place, style, context, room, element, open_tag)
    writer.put(f"{behind}</{tag}>")
    inline_boxes.stand(writer, style, context)
    return display not in INLINE_LEVEL


def _fill(
    writer: MarkupWriter,
    element: Element,
    style: Style,
    context: Context,
    box: LayoutBox,
) -> None:
    """Give a block the part of a pixel by which its line is higher than drawn."""
    high, text = context.strut, element.text.strip()
    rest = high - whole_line(high)
    if not rest or not text or context.is_classed:
        return
    if rest < 0 and len(text) <= inline_boxes.MOST_BOXED:
        wide = writer.units.typeface(context.font).width(text) * context.font.size
        if wide < _SURELY * (box.room() or 0.0):
            # A line by itself is as high as both say together.
            style["line-height"] = f"{math.floor(high)}px"
            rest = high - math.floor(high)
    if rest > 0 and style.get("height", "auto") == "auto":
        below = box_model.side(style, "padding", "bottom")
        if below in ("0", "0px"):
            style["padding-bottom"] = f"{rest:.4g}px"
        elif not below.startswith("calc"):
            style["padding-bottom"] = f"calc({below} + {rest:.4g}px)"


def _write_children(
    writer: MarkupWriter, element: Element, context: Context, box: LayoutBox
) -> bool:
    has_block = False
    if element.tag in controls.TAGS:
        text = controls.text_of(element)
        if text is not None:
            pseudo_elements.write_text(writer, text, context)
            return False
    is_closed = element.tag == "details" and element.attr("open") is None
    for child in element.children:
        if is_closed and getattr(child, "tag", "") != "summary":
            continue
        if isinstance(child, Element):
            has_block |= write(writer, child, context, box)
        elif isinstance(child, Text):
            pseudo_elements.write_text(writer, child.data, context)
    return has_block


def _shade(style: Style) -> None:
    """Give a rule the colours of browsers, where it has none of its own."""
    own = {n: v for n, v in style.items() if n.startswith("border") and n != "border"}
    is_own = not own.keys().isdisjoint(("border-style", "border-color"))
    if style.get("border") != "1px inset gray" or is_own:
        return
    for name in own:
        del style[name]
    style["border-style"] = "solid"
    style["border-color"] = "#9a9a9a #eee #eee #9a9a9a"
    style |= own


def _mirror(element: Element, style: Style) -> None:
    """Put what a list is set in by itself on its other side."""
    kind = "margin" if element.tag == "dd" else "padding"
    said = {name: value for name, value in style.items() if name.startswith(kind)}
    if said == {f"{kind}-left": "40px"} and element.tag in _SET_IN:
        del style[f"{kind}-left"]
        style[f"{kind}-right"] = "40px"
