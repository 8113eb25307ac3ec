"""Drawings in a document, each by itself with the styles of the page (SVG 2, 6)."""

import copy
import re
from collections.abc import Mapping

import turbohtml
from turbohtml import Element

from app.renderer.document import inline_boxes
from app.renderer.document.box_model import INLINE_LEVEL, has_size
from app.renderer.document.cascade import Style
from app.renderer.document.computed_style import Context
from app.renderer.document.markup_writer import OWN, MarkupWriter, css
from app.renderer.document.properties import UNDRAWN, Ignored

# What a drawing uses by its name.
_REFERRED = re.compile(r"""(?:href="|url\((?:"|'|&quot;)?)#([^"'()&\s]+)""")


def write(writer: MarkupWriter, svg: Element, style: Style, context: Context) -> None:
    """Write a drawing with the styles of its parts at them, and none beside it."""
    for part in svg.select("style,script"):
        part.decompose()
    for part in svg.select("foreignObject,image,use,feImage"):
        _look_at_part(part, writer.ignored)
    uses: list[tuple[Element, Mapping[str, str]]] = []
    svg = _painted(writer, svg, context.variables, uses)
    if style.get("display") not in INLINE_LEVEL:
        writer.end_line(style)
    given = {name: value for name, value in style.items() if name not in OWN}
    if writer.printed is not None:
        given = writer.printed.on_page(given)
    if not has_size(style) and not svg.attr("viewBox"):
        svg.attrs["width"] = svg.attr("width") or "300"
        svg.attrs["height"] = svg.attr("height") or "150"
    if given.get("display") in INLINE_LEVEL:
        # As it is by itself; a PDF would have to take it for a picture otherwise.
        del given["display"]
    if svg.select("text"):
        # What is around it the engine does not hand on to it.
        font = context.font
        around = {
            "font-family": font.families or f"'{writer.fonts.first}'",
            "font-size": f"{font.size:.6g}px",
            "font-weight": f"{font.weight:g}",
            "font-style": "italic" if font.is_italic else "normal",
        }
        for name, value in around.items():
            if not svg.attr(name):
                given.setdefault(name, value)
    svg.attrs.pop("style", None)
    if given:
        svg.attrs["style"] = css(given)
    writer.at_start, writer.blank = False, -1
    copies = _copied(writer, uses)
    markup = svg.html
    parts = copies + _referred(writer, svg, copies + markup, context.variables)
    if parts:
        held = turbohtml.parse(f"<svg><defs>{parts}</defs></svg>")
        svg.insert(0, held.select("defs")[0])
        markup = svg.html
    writer.put(markup)
    inline_boxes.stand(writer, style, context)


def _referred(
    writer: MarkupWriter, svg: Element, markup: str, variables: Mapping[str, str]
) -> str:
    """Return what a drawing uses of the others in its document, such as symbols."""
    wanted = _REFERRED.findall(markup)
    if not wanted:
        return ""
    known = {part.attr("id") for part in (svg, *svg.select("[id]"))}
    found: list[str] = []
    while wanted:
        name = wanted.pop()
        if name not in known and (part := writer.svg_parts.get(name)):
            found.append(_painted(writer, part, variables).html)
            wanted += _REFERRED.findall(found[-1])
        known.add(name)
    return "".join(found)


def _copied(writer: MarkupWriter, uses: list[tuple[Element, Mapping[str, str]]]) -> str:
    """Return copies of what is used with variables of its own, under other names."""
    found = []
    for number, (use, variables) in enumerate(uses):
        name = (use.attr("href") or "").strip().removeprefix("#")
        if part := writer.svg_parts.get(name):
            copied = _painted(writer, part, variables)
            copied.attrs["id"] = f"{name}-used-{number}"
            use.attrs["href"] = f"#{name}-used-{number}"
            found.append(copied.html)
    return "".join(found)


def _painted(
    writer: MarkupWriter,
    drawing: Element,
    variables: Mapping[str, str],
    uses: list[tuple[Element, Mapping[str, str]]] | None = None,
) -> Element:
    """Return a copy with the variables of where it is used.

    To `uses` come those in it that have variables of their own. The drawing stays as it
    is: a symbol has other colours at its next use.
    """
    made = copy.copy(drawing)
    within = {drawing: _paint(writer, made, drawing, variables)}
    parts = zip(made.select("*"), drawing.select("*"), strict=True)
    for part, origin in parts:
        around = origin.parent
        assert isinstance(around, Element)
        within[origin] = _paint(writer, part, origin, within[around])
        is_own = within[origin] is not within[drawing]
        if uses is not None and part.tag == "use" and is_own:
            uses.append((part, within[origin]))
    return made


def _paint(
    writer: MarkupWriter, part: Element, origin: Element, variables: Mapping[str, str]
) -> Mapping[str, str]:
    """Put variables into the style of a part, and into its attributes.

    The style is that of the element in the page that it is a copy of. Attributes
    that present are values of properties (SVG 2, 6.6). Returns the variables
    within.
    """
    style = writer.styles.elements.get(origin, {})
    variables = writer.computed.custom_properties(style, variables)
    if reference := part.attrs.pop("xlink:href", None):
        # The engine knows its prefix only where it is declared.
        part.attrs.setdefault("href", reference)
    for name, value in [*part.attrs.items()]:
        if name == "font-family" and isinstance(value, str):
            value = part.attrs[name] = writer.fonts.families(value)
        if name != "style" and isinstance(value, str) and "var(" in value:
            known = writer.computed.substitute(value, variables)
            if known is None:
                del part.attrs[name]
            else:
                part.attrs[name] = known
    kept = {}
    for name, value in writer.computed.with_variables(style, variables):
        if value[:1] == UNDRAWN:
            writer.ignored.add(value[1:])
        elif name == "font-family":
            kept[name] = writer.fonts.families(value)
        elif value:
            kept[name] = value
    if style:
        part.attrs["style"] = css(kept)
    return variables


def _look_at_part(part: Element, ignored: Ignored) -> None:
    if part.tag == "foreignObject":
        ignored.add("<foreignObject>")
        return
    source = (part.attr("href") or part.attr("xlink:href") or "").strip()
    if source and not source.startswith(("#", "data:")):
        ignored.add(f"{source} is not fetched")
