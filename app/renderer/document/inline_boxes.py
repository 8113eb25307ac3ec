"""Boxes in a line: text that needs one of its own, and where they stand.

Inline boxes and atomic inlines (CSS Display 3, 2.4; CSS 2.2, 9.4.2).
"""

import re
from collections.abc import Callable
from functools import partial

from turbohtml import Element, Text

from app.renderer.document import box_model
from app.renderer.document.box_model import (
    ATOMIC_INLINES,
    INLINE,
    INSETS,
    NOTHING,
    SIDEWAYS,
    has_edges,
    is_in_flow,
)
from app.renderer.document.cascade import Style
from app.renderer.document.computed_style import Context
from app.renderer.document.markup_writer import STRUT, MarkupWriter
from app.renderer.document.values import ComputedFont

# What the engine leaves out of text in a line, and draws of a box in one.
_BOXED = (
    *("border", "border-top", "border-right", "border-bottom", "border-left"),
    *("border-width", "border-style", "box-shadow", "transform", "filter"),
    *("margin-left", "margin-right", "margin", "background-image", "mask-image"),
    *("mask", "clip-path", "rotate", "scale", "translate", "text-shadow"),
    *("backdrop-filter", "mix-blend-mode", "border-left-width", "border-bottom-width"),
)
_PICTURE = re.compile(r"gradient\(|url\(", re.IGNORECASE)
# Letters of inline text that has a box of its own, and so does not wrap.
MOST_BOXED = 120
# And such that does not wrap in a browser either, but for the end of a line.
MOST_UNBROKEN = 40
# So many elements in a line are looked through for boxes.
_MOST_AROUND = 4
_PERCENT = re.compile(r"(?<![\d.])(-?(?:\d+\.?\d*|\.\d+))%")
_OF_WIDTH = re.compile(r"(?:min-|max-)?width$|(?:margin|padding)(?:-[a-z]+)?$")
# What is in a box in a line that has margins.
_SPACED = '<div style="flex:auto">', "</div>"


def settle(
    writer: MarkupWriter,
    place: int,
    style: Style,
    context: Context,
    room: Callable[[], float | None],
    element: Element | None,
    write: Callable[[], None],
    late: bool = False,
) -> None:
    """Write a tag; of a box in a line, as soon as the `room` around it is known.

    What it says in shares of that, the engine would take of what is in the box.
    `late` is for what hangs on it in whatever box.
    """
    is_in_line = style.get("display") in ATOMIC_INLINES and is_in_flow(style)
    if not late and not (is_in_line and shares(style)):
        write()
        return
    align = context.inherited.get("text-align", "")

    def finish() -> None:
        wide = room()
        if wide is not None or is_in_line:
            if wide is None and element is not None and _is_alone(element):
                _set_apart(style, align)
            else:
                _share(writer, style, wide)
        write()

    writer.unfinished.append((place, finish))


def stand(writer: MarkupWriter, style: Style, context: Context) -> None:
    """Let the line of a box be as high as its block says (CSS 2.2, 10.8.1).

    The engine knows that of the text in a line alone.
    """
    if style.get("display") not in ATOMIC_INLINES or not is_in_flow(style):
        return
    if context.inherited.get("letter-spacing", "normal") in NOTHING:
        writer.put(STRUT)
    else:
        writer.put(f'<span style="letter-spacing:0">{STRUT}</span>')


def _share(writer: MarkupWriter, style: Style, room: float | None) -> None:
    for name in shares(style):
        if room is None:
            del style[name]
            writer.ignored.add(f"{name} in per cent in a line")
            continue
        style[name] = _PERCENT.sub(partial(_pixels, room), style[name])


def box_text(
    writer: MarkupWriter, letters: int, style: Style, context: Context
) -> None:
    """Give text of so many letters a box, for what the engine draws of one alone.

    Names what it does not draw where the text is too long for that.
    """
    if letters <= MOST_BOXED and writer.takes_boxes:
        style["display"] = "inline-block"
        if letters <= MOST_UNBROKEN and not context.is_classed:
            style.setdefault("white-space", "nowrap")
            _flatten(writer, style, context.font)
        return
    if style.get("visibility", "visible") != "visible":
        style["color"] = "transparent"
    for name in (*_BOXED, "opacity", "background"):
        if name == "background" and not _PICTURE.search(style.get(name, "")):
            continue
        if style.get(name, "") not in NOTHING:
            writer.ignored.add(f"{name} of text in a line")


def is_beside_box(writer: MarkupWriter, element: Element) -> bool:
    """Tell whether boxes are in the line of text with padding on its sides.

    The engine would put those behind it elsewhere.
    """
    around = element.parent
    for _ in range(_MOST_AROUND):
        if not isinstance(around, Element):
            return False
        known = writer.with_boxes.get(around)
        if known is None:
            styles = (
                writer.styles.elements[each]
                for each in around.children
                if isinstance(each, Element)
            )
            known = any(
                style.get("display", "inline") in ATOMIC_INLINES
                or (style.get("display", "inline") in INLINE and needs_box(style))
                for style in styles
            )
            writer.with_boxes[around] = known
        if known:
            return True
        if writer.styles.elements[around].get("display", "inline") not in INLINE:
            return False
        around = around.parent
    return False


def place(writer: MarkupWriter, style: Style, font: ComputedFont) -> tuple[str, str]:
    """Say in terms of the engine where a box in a line stands.

    It moves none by `position`, and makes no room for margins of those as wide as
    their content. Returns the tags that have to be around the content for that.
    """
    if style.get("display") not in ATOMIC_INLINES:
        return "", ""
    if style.get("position") == "relative":
        across = _moved(writer, style, SIDEWAYS, font)
        down = _moved(writer, style, ("top", "bottom"), font)
        is_moved = across or down
        if None in (across, down) or (is_moved and style.get("translate")):
            writer.ignored.add("position: relative in a line")
        elif is_moved:
            style["translate"] = f"{across:g}px {down:g}px"
    if style["display"] != "inline-block" or style.get("width", "auto") != "auto":
        return "", ""
    if not has_edges(style, "margin", SIDEWAYS):
        return "", ""
    style["display"] = "inline-flex"
    return _SPACED


def _moved(
    writer: MarkupWriter, style: Style, sides: tuple[str, str], font: ComputedFont
) -> float | None:
    """Return how far one side moves a box, or else the other; None for shares."""
    for side, way in zip(sides, (1, -1), strict=True):
        value = style.get(side, "auto")
        inset = writer.units.pixels("0" if value in NOTHING else value, font)
        if inset is None or inset:
            return inset and way * inset
    return 0.0


def _flatten(writer: MarkupWriter, style: Style, font: ComputedFont) -> None:
    """Let a box in a line be as high as its letters: its edges move no line."""
    high, normal = writer.units.line(font), font._replace(line="normal")
    is_sub = style.get("vertical-align", "").startswith("-")
    if not high or (high > writer.units.line(normal) and not is_sub):
        style["line-height"] = "normal"
    top, _, bottom, _ = box_model.borders(style)
    for which, edge in (("top", top), ("bottom", bottom)):
        said = box_model.side(style, "padding", which)
        padding = writer.units.pixels(said, font, 0.0)
        if padding is not None and (edge := edge + padding):
            style["line-height"] = "normal"
            style[f"margin-{which}"] = f"{-edge:.4g}px"


def shares(style: Style) -> list[str]:
    """Return what a style says in shares of the width around it."""
    return [n for n, value in style.items() if "%" in value and _OF_WIDTH.match(n)]


def _pixels(whole: float, share: re.Match[str]) -> str:
    return f"{float(share[1]) * whole / 100:.6g}px"


def _is_alone(element: Element) -> bool:
    """Tell whether a box in a line is all that is in it."""
    around = element.parent.children if element.parent is not None else ()
    return not any(
        each is not element
        and (
            isinstance(each, Element) or (isinstance(each, Text) and each.data.strip())
        )
        for each in around
    )


def _set_apart(style: Style, align: str) -> None:
    """Make a block of a box in a line that stands where its line is aligned."""
    style["display"] = (
        style["display"].removeprefix("inline-").replace("inline", "block")
    )
    if align.endswith(("center", "right", "end")):
        style["margin-left"] = "auto"
    if align.endswith("center"):
        style["margin-right"] = "auto"


def needs_box(style: Style) -> bool:
    """Tell whether text has to be a box in its line for what its style says."""
    if style.get("vertical-align", "baseline") not in NOTHING:
        return True
    if style.get("visibility") == "hidden":
        return True
    if style.get("position") == "relative" and any(
        style.get(name, "auto") not in NOTHING for name in INSETS
    ):
        return True
    if _PICTURE.search(style.get("background", "")):
        return True
    return any(style.get(name, "") not in NOTHING for name in _BOXED)


def fades_within(element: Element, style: Style, context: Context) -> bool:
    """Tell whether text fades that is not an element's own, which the engine leaves."""
    if style.get("opacity", "1") in ("1", "1.0", "100%"):
        return False
    inner = any(isinstance(child, Element) for child in element.children)
    return inner or bool(context.decoration)
