"""Text as it stands in its lines: white space, and what it inherits (CSS Text 3, 4)."""

import re
from html import escape

from app.renderer.document.computed_style import Context, whole_line
from app.renderer.document.markup_writer import MarkupWriter, css

_BLANKS = re.compile(r"[ \t\n\r\f]+")
# What laying out a text takes beside an empty box.
_TEXT_COST = 10


def write(writer: MarkupWriter, text: str, context: Context) -> None:
    """Write a text in its line, its blanks as they count there."""
    space = context.inherited.get("white-space", "normal")
    if space in ("normal", "nowrap"):
        text = _BLANKS.sub(" ", text)
        if text[:1] == " " and writer.at_start:
            text = text[1:]
        if not text:
            return
        writer.at_start = text[-1] == " "
        writer.blank = len(writer.out) if writer.at_start else -1
    elif text:
        writer.at_start, writer.blank = text[-1:] == "\n", -1
        if writer.at_start and space != "pre-line":
            writer.blank = len(writer.out)
        if "\n" in text and space in ("pre", "break-spaces", "pre-wrap"):
            text = text.replace("\r", "")
            if _pieces(writer, text, context):
                return
    writer.cost += _TEXT_COST
    writer.feed = -1
    if writer.extent is not None:
        writer.extent.add_text(text, context, writer.units)
    carried = css(context.carried) if context.carried else ""
    style = ";".join(filter(None, (carried, context.decoration)))
    written = escape(text, False)
    if context.is_flex and text.strip():
        if space in ("normal", "nowrap"):
            written = escape(text.strip(" "), False)
        if style:
            written = f'<span style="{escape(style)}">{written}</span>'
        writer.put(f"<div>{written}</div>")
        writer.at_start, writer.blank = True, -1
    elif style and (text.strip() or context.decoration):
        writer.put(f'<span style="{escape(style)}">')
        if writer.blank == len(writer.out) - 1:
            writer.blank += 1
        writer.put(written)
        writer.put("</span>")
    else:
        writer.put(written)


def _pieces(writer: MarkupWriter, text: str, context: Context) -> bool:
    """Write lines of a listing, some higher by a pixel that fractions add up to.

    Tells whether there is any fraction.
    """
    whole = whole_line(context.strut)
    rest = context.strut - whole
    if (
        context.is_flex
        or context.carried
        or context.decoration
        or rest <= 0
        or whole != context.strut - rest
    ):
        return False
    pieces = text.split("\n")
    for number, piece in enumerate(pieces):
        feed = "\n" if number < len(pieces) - 1 else ""
        if number:
            writer.lines += 1
        higher = int(writer.lines * rest + rest) - int(writer.lines * rest)
        if piece and higher:
            style = f"line-height:{whole + 1:g}px"
            writer.put(f'<span style="{style}">{escape(piece, False)}</span>')
            piece = ""
        if piece or feed:
            writer.put(escape(piece + feed, False))
    writer.blank = len(writer.out) - 1 if text.endswith("\n") else -1
    return True
