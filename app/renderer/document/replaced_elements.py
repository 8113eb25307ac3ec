"""Images in a document, or the text in their place (HTML, 15.4; CSS Images 3, 5)."""

from collections.abc import Callable
from html import escape

from turbohtml import Element

from app.renderer.document import box_model, inline_boxes, media
from app.renderer.document.box_model import (
    INLINE,
    INLINE_LEVEL,
    LayoutBox,
    has_edges,
    has_size,
)
from app.renderer.document.cascade import Style
from app.renderer.document.computed_style import Context
from app.renderer.document.markup_writer import MarkupWriter, css
from app.renderer.document.values import ComputedFont

_BOUNDS = ("min-width", "max-width", "min-height", "max-height")
_SHRINKING = '<div style="display:grid;grid-template-columns:minmax(0,{:g}px)">'
_UNSAID = ("auto", "none", "0", "")


def write(
    writer: MarkupWriter,
    element: Element,
    style: Style,
    context: Context,
    box: LayoutBox,
) -> bool:
    """Write an image; tell whether it is a block."""
    source = _chosen(writer, element) or element.attr("src") or ""
    source = source or element.attr("poster") or ""
    if not source and (several := element.attr("srcset")):
        source = several.strip().split()[0] if several.strip() else ""
    display = style.get("display", "inline")
    is_inline = display in INLINE_LEVEL
    room = box.room if display in INLINE else box.outside
    if not is_inline:
        writer.end_line(style)
    name = writer.images.source(source) if source.strip() else None
    place = writer.begin()
    if name is None or name in writer.images.absent:
        _alternative(writer, element, style, context, room, place)
    else:
        natural = None if _is_unbounded(style) else writer.images.size(name)
        if natural is None:
            style.setdefault("object-fit", "fill")
        if style.pop("visibility", "visible") != "visible":
            # The engine paints images whatever they are.
            style["opacity"] = "0"
        outer = _around_image(style)
        around = f'<span style="{escape(css(outer))}">' if outer else ""

        def open_tag() -> None:
            shrinks = natural is not None and _bound(
                writer, style, natural, context.font, room()
            )
            writer.open(place, "img", style, None, "", f' src="{name}"')
            if shrinks and natural is not None:
                begin = _SHRINKING.format(natural[0])
                writer.out[place] = f"{begin}{writer.out[place]}</div>"
            writer.out[place] = around + writer.out[place]

        late = natural is not None
        inline_boxes.settle(
            writer, place, style, context, room, element, open_tag, late
        )
        if outer:
            writer.put("</span>")
    writer.at_start, writer.blank = not is_inline, -1
    inline_boxes.stand(writer, style, context)
    return not is_inline


def _bound(
    writer: MarkupWriter,
    style: Style,
    natural: tuple[float, float],
    font: ComputedFont,
    room: float | None,
) -> bool:
    """Let an image keep its proportions within bounds; the engine cuts sides.

    Tells whether it may be smaller than it asks to be.
    """
    box = LayoutBox(style, font, room, writer.units)
    size = box_model.bounded_size(natural, box, room)
    if inline_boxes.shares(style) and room is None:
        # How much room there is the engine alone knows.
        style.setdefault("object-fit", "contain")
        style.setdefault("object-position", "0 0")
        if style.get("width", "auto") == "auto" and style.get("max-width") == "100%":
            style |= {"width": "100%", "max-width": f"{natural[0]:g}px"}
            return style.get("display") == "block"
    elif size is not None:
        style["width"], style["height"] = (f"{side:.6g}px" for side in size)
    style.setdefault("object-fit", "fill")
    return False


def _chosen(writer: MarkupWriter, element: Element) -> str:
    """Return the image that `<picture>` has for the canvas (HTML, 4.8.4.3)."""
    parent = element.parent
    if not isinstance(parent, Element) or parent.tag != "picture":
        return ""
    for each in parent.children:
        if each is element:
            break
        if isinstance(each, Element) and each.tag == "source":
            several = (each.attr("srcset") or "").split()
            if several and media.matches(each.attr("media") or "", writer.canvas):
                return several[0].rstrip(",")
    return ""


def _alternative(
    writer: MarkupWriter,
    element: Element,
    style: Style,
    context: Context,
    room: Callable[[], float | None],
    place: int,
) -> None:
    """Write the text in place of an image that cannot be had (HTML, 15.4.2)."""
    text = element.attr("alt")
    sized = has_size(style)
    if text is None and not sized:
        writer.out[place] = ""
        return
    if sized:
        style.setdefault("border", "1px solid #c0c0c0")
        style |= {"overflow": "hidden", "box-sizing": "border-box"}
    writer.put(escape(text or "", False))
    tag = "div" if sized else "span"

    def open_tag() -> None:
        writer.open(place, tag, style, None, "")

    inline_boxes.settle(writer, place, style, context, room, element, open_tag)
    writer.put(f"</{tag}>")


def _is_unbounded(style: Style) -> bool:
    return all(style.get(name, "") in _UNSAID for name in _BOUNDS)


def _around_image(style: Style) -> Style:
    """Take the margins out of an image in a line; return them as those of a box.

    The engine makes no room for them where it has to find out how large an image is.
    """
    if style.get("display") != "inline-block" or has_size(style):
        return {}
    if not has_edges(style, "margin", box_model.SIDES):
        return {}
    moved = [n for n in style if n.startswith("margin") or n == "vertical-align"]
    return {"display": "inline-flex", **{name: style.pop(name) for name in moved}}
