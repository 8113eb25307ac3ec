"""`::before`, `::after` and `::first-letter` (CSS Pseudo-Elements 4)."""

import regex  # type: ignore[import-untyped]
from turbohtml import Element

from app.renderer.document import generated, inline_boxes, text_runs
from app.renderer.document.box_model import (
    INLINE,
    INLINE_LEVEL,
    OUT_OF_FLOW,
    LayoutBox,
)
from app.renderer.document.cascade import Style
from app.renderer.document.computed_style import Context
from app.renderer.document.markup_writer import MarkupWriter

# Boxes in which the first letter of what they are in may be.
_FLOWS = frozenset({"block", "list-item", "flow-root"})
# A first letter with its marks and the punctuation around it, spaces within it counted
# before the letter (CSS Pseudo-Elements 4, 2.2); or punctuation alone, up to the end.
_FIRST_LETTER = regex.compile(
    r"[ \t\n\r\f]*(?:((?:\p{P}[\p{Zs}--\u3000]*)*+(?!\s)\X[\p{P}--[\p{Ps}\p{Pd}]]*+)"
    r"|((?:\p{P}[\p{Zs}--\u3000]*)++)\Z)",
    regex.V1,
)
# Where a first letter is punctuation alone.
_OPENING = 2


def enter_first_letter(
    writer: MarkupWriter, element: Element, style: Style, display: str
) -> None:
    """Look for a first letter in a box where it, or what it is in, styles one."""
    is_out = style.get("position") in OUT_OF_FLOW
    if not is_out and (display in INLINE or display == "contents"):
        return
    if is_out or display not in _FLOWS:
        writer.first_letter = None
    found = writer.styles.pseudo.get("first-letter", {}).get(element)
    if found and (display in _FLOWS or display == "inline-block"):
        writer.first_letter = found


def leave_first_letter(
    writer: MarkupWriter, around: Style | None, style: Style, display: str
) -> None:
    """Look for the letter behind a box where none was in it."""
    is_flow = display in _FLOWS and writer.first_letter
    if style.get("position") in OUT_OF_FLOW or is_flow:
        writer.first_letter = around
    elif display not in INLINE and display != "contents":
        writer.first_letter = None


def write_text(writer: MarkupWriter, text: str, context: Context) -> None:
    """Write a text, its first letter in a style of its own where it has one."""
    if not (writer.first_letter and _first_letter(writer, text, context)):
        text_runs.write(writer, text, context)


def _first_letter(writer: MarkupWriter, text: str, context: Context) -> bool:
    """Write a text whose first letter has a style of its own, if it has.

    CSS Pseudo-Elements 4, 2.2: it is what an inline element around it would be.
    """
    if not text.strip(" \t\n\r\f"):
        return False
    given, writer.first_letter = writer.first_letter, None
    assert given is not None
    found = _FIRST_LETTER.match(text)
    if found is None:
        return False
    start, end = found.span(found.lastindex)
    letter = text[start:end]
    style, inner = writer.computed.compute({**given, "display": "inline"}, context)
    write_text(writer, text[:start], context)
    place = writer.begin()
    if inline_boxes.needs_box(style):
        inline_boxes.box_text(writer, len(letter), style, inner)
    write_text(writer, letter, inner)
    before, behind = inline_boxes.place(writer, style, inner.font)
    writer.open(place, "span", style, None, "")
    writer.out[place] += before
    writer.put(f"{behind}</span>")
    if found.lastindex == _OPENING:
        # The letter itself is in the text behind it.
        writer.first_letter = given
    write_text(writer, text[end:], context)
    return True


def write(
    writer: MarkupWriter, element: Element, name: str, context: Context, box: LayoutBox
) -> bool:
    """Write what `::before` or `::after` makes; tell whether it is a block."""
    found = writer.styles.pseudo.get(name)
    style = found.get(element) if found else None
    if style is None or style.get("display") == "none":
        return False
    style, inner = writer.computed.compute(style, context)
    value = style.get("content", "none")
    if value in ("none", "normal"):
        return False
    writer.counters.enter(style, inner.depth)
    pieces = generated.content(value, element, writer.counters, quotes(writer, inner))
    display = style.setdefault("display", "inline")
    if display == "inline" and inline_boxes.needs_box(style):
        style["display"] = display = "inline-block"
    is_inline = display in INLINE_LEVEL
    if not is_inline:
        writer.end_line(style)
    place = writer.begin()
    for kind, text in pieces:
        _piece(writer, kind, text, style, inner)
    tag = "span" if display == "inline" else "div"
    before, behind = inline_boxes.place(writer, style, inner.font)

    def open_tag() -> None:
        writer.open(place, tag, style, None, "")
        writer.out[place] += before

    inline_boxes.settle(writer, place, style, inner, box.room, None, open_tag)
    writer.put(f"{behind}</{tag}>")
    if not is_inline:
        writer.at_start, writer.blank = True, -1
    inline_boxes.stand(writer, style, inner)
    return not is_inline


def quotes(writer: MarkupWriter, context: Context) -> tuple[str, ...]:
    """Return the quotation marks of a context, none for those of English."""
    given = context.inherited.get("quotes", "auto")
    return writer.counters.read(generated.quotes_of, given) or ()


def _piece(
    writer: MarkupWriter, kind: str, text: str, style: Style, context: Context
) -> None:
    if kind == "unknown":
        writer.ignored.add(f"content: {text}")
    elif kind == "image":
        name = writer.images.source(text)
        if name is not None:
            writer.put(f'<img src="{name}" style="display:inline-block">')
            writer.at_start, writer.blank = False, -1
    elif text:
        write_text(writer, text, context)
        if style.get("display") == "inline":
            writer.at_start = False
