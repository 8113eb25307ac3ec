"""A caller's document as markup that pytakumi 0.1.5 draws as browsers would.

It is parsed by the HTML standard, each element gets the style that the cascade gives
it, and what the engine does not know is said in terms of what it does.
"""

import re
from collections.abc import Mapping
from html import escape
from typing import NamedTuple

import turbohtml
from turbohtml import Element, Namespace, Node, Text

from app.renderer.document import controls, generated, stylesheet, table_grid
from app.renderer.document.cascade import Style, Styles, cascade
from app.renderer.document.generated import Counters
from app.renderer.document.properties import UNDRAWN, Ignored
from app.renderer.embedded_images import EmbeddedImages
from app.renderer.errors import LimitExceeded, Undrawable

_BLANKS = re.compile(r"[ \t\n\r\f]+")
_FEEDS = re.compile(r"[ \t\f]*[\n\r][ \t\n\r\f]*|[ \t\f]+")
# Characters of what goes to the engine: a megabyte of style for every letter is none.
_MOST_OUTPUT = 16 << 20
_MOST_VARIABLE = 65_536
# Letters of inline text that has a box of its own, and so does not wrap.
_MOST_BOXED = 120
# What the engine leaves out of text in a line, and draws of a box in one.
_BOXED = (
    *("border", "border-top", "border-right", "border-bottom", "border-left"),
    *("border-width", "border-style", "box-shadow", "transform", "filter"),
    *("margin-left", "margin-right", "margin", "background-image", "mask-image"),
    *("mask", "clip-path", "rotate", "scale", "translate", "text-shadow"),
    *("backdrop-filter", "mix-blend-mode", "border-left-width", "border-bottom-width"),
)
_NOTHING = frozenset({"", "0", "0px", "none", "baseline", "visible", "normal", "auto"})
_INLINE = frozenset({"inline", "ruby", "ruby-text", "ruby-base"})
_IN_LINE = _INLINE | {"inline-block", "inline-flex", "inline-grid", "inline-table"}
# Elements that browsers draw by other means, or with content from elsewhere.
_UNDRAWN_ELEMENTS = frozenset(
    {"iframe", "canvas", "object", "embed", "applet", "frame", "math", "marquee"}
)
_INHERITED = (
    *("white-space", "list-style-type", "list-style-position", "quotes"),
    *("text-align", "color", "border-collapse", "border-spacing", "caption-side"),
    *("empty-cells", "visibility"),
)
# Read here, and nothing to the engine.
_OWN = frozenset(
    {"content", "counter-reset", "counter-increment", "counter-set", "quotes"}
    | {"border-collapse", "border-spacing", "caption-side", "empty-cells"}
    | {"table-layout", "break-before", "break-after", "break-inside"}
    | {"page-break-before", "page-break-after", "page-break-inside"}
    | {"list-style-type", "list-style-position", "unicode-bidi"}
)
_BY_KIND = {("display", "block"), ("display", "inline"), ("box-sizing", "content-box")}
_VARIABLE = re.compile(r"var\(\s*(--[^\s,)]+)\s*(?:,((?:[^()]|\([^()]*\))*))?\)")


class Context(NamedTuple):
    """What an element hands on to those within."""

    inherited: Mapping[str, str]
    variables: Mapping[str, str]
    depth: int
    # Whether children are laid out side by side, each as a block.
    is_flex: bool = False


class Translation(NamedTuple):
    """Markup for the engine, and what of the document is not in it."""

    body: str
    ignored: tuple[str, ...]


def translate(
    document: str, canvas: tuple[int, int], images: EmbeddedImages, most_deep: int
) -> Translation:
    """Return a document for a canvas of so many CSS pixels; `images` takes images out.

    Raises LimitExceeded where elements nest deeper than `most_deep`, Undrawable where
    style sheets make too much of them.
    """
    ignored = Ignored()
    tree = turbohtml.parse(document)
    elements = tree.select("*")
    _check_depth(elements, most_deep)
    sheets: dict[Element | None, list[stylesheet.Rule]] = {}
    for element in elements:
        if element.tag == "style":
            sheet = stylesheet.read(
                _text(element, element.attr("media")), canvas, ignored
            )
            scope = element.closest("svg")
            sheets.setdefault(scope, []).extend(sheet.rules)
            for _ in sheet.fonts:
                ignored.add("@font-face")
            for _ in sheet.pages:
                ignored.add("@page")
        elif element.tag in ("script", "link", "meta"):
            _look_at(element, ignored)
    styles = cascade(tree, elements, sheets, ignored)
    walker = _Walker(styles, images, ignored)
    root = elements[0]
    try:
        walker.element(root, Context({}, {}, 0))
    except RecursionError as error:
        # Where an operator lets elements nest deeper than Python's calls do.
        raise Undrawable("The page's elements nest too deep.") from error
    for warning in images.warnings:
        ignored.add(warning)
    return Translation("".join(walker.out), ignored.found)


def _check_depth(elements: list[Element], most_deep: int) -> None:
    depths: dict[Node | None, int] = {}
    for element in elements:
        depth = depths.get(element.parent, -1) + 1
        # The document's own three elements are no nesting of the caller's.
        if depth > most_deep + 1:
            raise LimitExceeded("html", "MIMEO_MAX_HTML_DEPTH", most_deep, depth - 1)
        depths[element] = depth


def _text(style: Element, media: str | None) -> str:
    css = style.text
    return f"@media {media} {{{css}}}" if media and media.strip() else css


def _look_at(element: Element, ignored: Ignored) -> None:
    """Report what an element in the head would have fetched or run."""
    if element.tag == "script":
        kind = (element.attr("type") or "").lower()
        if not kind or "javascript" in kind or kind == "module":
            ignored.add("script")
    elif "stylesheet" in (element.attr("rel") or "").lower().split():
        ignored.add(f"style sheet {element.attr('href') or ''}")


class _Walker:
    """Writes the elements of a document one after the other."""

    def __init__(
        self, styles: Styles, images: EmbeddedImages, ignored: Ignored
    ) -> None:
        self.out: list[str] = []
        self._styles = styles
        self._images = images
        self._ignored = ignored
        self._counters = Counters()
        self._size = 0
        # Whether the first cell of the last table has a border.
        self._framed = False
        # Whether a blank here would be the first of its line, and where the last is.
        self._at_start = True
        self._blank = -1

    def element(self, element: Element, context: Context) -> bool:
        """Write an element; tell whether it, or something in it, is a block."""
        style = self._styles.elements[element]
        if style.get("display") == "none":
            return False
        style, context = self._computed(style, context)
        if style.get("display") == "none":
            return False
        self._enter(element, style, context.depth)
        is_block = self._write(element, style, context)
        self._counters.leave(context.depth)
        return is_block

    def _enter(self, element: Element, style: Style, depth: int) -> None:
        given = style.get("counter-reset", "list-item")
        if element.tag in ("ol", "ul", "menu") and "list-item" not in given:
            # Whatever else is counted there, so are items.
            style["counter-reset"] = f"list-item {given.replace('none', '')}"
        self._counters.enter(style, depth)

    def _write(self, element: Element, style: Style, context: Context) -> bool:
        tag = element.tag
        if element.namespace is Namespace.SVG:
            self._svg(element, style)
            return style.get("display") not in _IN_LINE
        if tag == "br":
            self._break()
            return False
        if tag == "wbr":
            self.put("\u200b")
            return False
        if tag == "img" or (tag == "video" and element.attr("poster")):
            return self._image(element, style, context)
        if tag in _UNDRAWN_ELEMENTS or tag == "video":
            self._ignored.add(f"<{tag}>")
        if tag in controls.TAGS:
            style = controls.styled(element, style)
        if style.get("display") in table_grid.TABLES:
            return self._table(element, style, context)
        return self._box(element, style, context)

    def _computed(self, style: Style, context: Context) -> tuple[Style, Context]:
        """Return a style with variables and what is inherited in it, and the context.

        Of `currentcolor` and lengths the engine knows itself.
        """
        variables = context.variables
        if any(name.startswith("--") for name in style):
            own = {k: v for k, v in style.items() if k.startswith("--")}
            variables = {**variables, **own}
            variables |= {k: _substitute(v, variables) or "" for k, v in own.items()}
        kept: Style = {}
        for name, value in style.items():
            if name.startswith("--"):
                continue
            if "var(" in value:
                found = _substitute(value, variables)
                if found is None:
                    continue
                for known, each, _ in stylesheet.inline(f"{name}:{found}"):
                    kept.pop(known, None)
                    kept[known] = each
                continue
            if value[:1] == UNDRAWN:
                self._ignored.add(value[1:])
            elif value:
                kept[name] = value
        inherited = {**context.inherited}
        for name in _INHERITED:
            if name in kept and kept[name] != "inherit":
                inherited[name] = kept[name]
        display = kept.get("display", "inline")
        is_flex = display in ("flex", "inline-flex", "grid", "inline-grid")
        if context.is_flex and display in _IN_LINE:
            kept["display"] = display.removeprefix("inline-").replace("inline", "block")
        return kept, Context(inherited, variables, context.depth + 1, is_flex)

    def _box(self, element: Element, style: Style, context: Context) -> bool:
        """Write an element with its content."""
        display = style.get("display", "inline")
        is_inline = display in _IN_LINE
        contents = display == "contents"
        if not is_inline:
            self._line()
        place = self._begin()
        if display not in _INLINE and not contents:
            self._at_start, self._blank = True, -1
        marker = self._marker(element, style, context)
        has_block = self._pseudo(element, "before", context)
        has_block |= self._children(element, context)
        has_block |= self._pseudo(element, "after", context)
        if display in _INLINE:
            if has_block:
                style["display"] = display = "block"
            elif _needs_box(style):
                self._in_box(element, style)
        if display not in _INLINE and not contents:
            self._trim()
            self._at_start, self._blank = not is_inline, -1
        tag = element.tag if element.tag in ("html", "body") else "div"
        if display in _INLINE:
            tag = "span"
        self._open(place, tag, style, element, marker)
        self.put(f"</{tag}>")
        return display not in _IN_LINE

    def _in_box(self, element: Element, style: Style) -> None:
        if len(element.text) <= _MOST_BOXED:
            style["display"] = "inline-block"
            return
        if style.get("visibility", "visible") != "visible":
            style["color"] = "transparent"
        for name in _BOXED:
            if style.get(name, "") not in _NOTHING:
                self._ignored.add(f"{name} of text in a line")

    def _table(self, element: Element, style: Style, context: Context) -> bool:
        """Write a table as a grid; a box without cells as a block that fits."""
        grid = table_grid.read(element, self._styles)
        is_inline = style["display"] == "inline-table"
        style.setdefault("width", "fit-content")
        if context.inherited.get("text-align") == "-webkit-center":
            style.setdefault("margin-left", "auto")
            style.setdefault("margin-right", "auto")
        if not grid.cells:
            style["display"] = "inline-block" if is_inline else "block"
            return self._box(element, style, context)
        style["display"] = "inline-grid" if is_inline else "grid"
        style["grid-template-columns"] = table_grid.tracks(grid, element, self._styles)
        collapsed = context.inherited.get("border-collapse") == "collapse"
        if not collapsed:
            across, _, down = context.inherited.get("border-spacing", "0").partition(
                " "
            )
            style["gap"] = f"{down.strip() or across} {across}"
            style.setdefault("padding", style["gap"])
        self._line()
        place = self._begin()
        # What a table itself is placed by is not its cells' (HTML, 15.3.11).
        given = {**context.inherited}
        given.pop("text-align", None)
        inner = context._replace(inherited=given, is_flex=False)
        below = context.inherited.get("caption-side") == "bottom"
        above = 0 if below else len(grid.captions)
        for number, caption in enumerate(grid.captions):
            self._caption(caption, number + 1 + (below * len(grid.rows)), inner)
        for cell in grid.cells:
            self._cell(cell, grid.rows[cell.row].style, above + 1, collapsed, inner)
        if collapsed and self._framed:
            for name in [name for name in style if name.startswith("border")]:
                del style[name]
        self._at_start, self._blank = not is_inline, -1
        self._open(place, "div", style, element, "")
        self.put("</div>")
        return not is_inline

    def _caption(self, caption: Element, row: int, context: Context) -> None:
        style, inner = self._computed(self._styles.elements[caption], context)
        style |= {"display": "block", "grid-column": "1 / -1", "grid-row": f"{row}"}
        self._box(caption, style, inner)

    def _cell(
        self,
        cell: table_grid.GridCell,
        row: Style,
        first: int,
        collapsed: bool,
        context: Context,
    ) -> None:
        given = {**row, **self._styles.elements[cell.element]}
        own, inner = self._computed(given, context)
        across, _ = self._computed(row, context)
        style = table_grid.cell_style(own, across, cell, first)
        if collapsed:
            table_grid.collapse(style, cell)
            if not cell.row and not cell.column:
                self._framed = table_grid.border_width(style, "top") > 0
        place = style.pop("vertical-align", "middle")
        self._counters.enter(style, inner.depth)
        outer = self._begin()
        if place in ("middle", "bottom"):
            style |= {"display": "flex", "flex-direction": "column"}
            style["justify-content"] = "center" if place == "middle" else "end"
        self._open(outer, "div", style, None, "")
        self._box(cell.element, {"display": "block"}, inner)
        self._counters.leave(inner.depth)
        self.put("</div>")

    def _children(self, element: Element, context: Context) -> bool:
        has_block = False
        if element.tag in controls.TAGS:
            text = controls.text_of(element)
            if text is not None:
                self._write_text(text, context)
                return False
        is_closed = element.tag == "details" and element.attr("open") is None
        for child in element.children:
            if is_closed and getattr(child, "tag", "") != "summary":
                continue
            if isinstance(child, Element):
                has_block |= self.element(child, context)
            elif isinstance(child, Text):
                self._write_text(child.data, context)
        return has_block

    def _write_text(self, text: str, context: Context) -> None:
        space = context.inherited.get("white-space", "normal")
        if space in ("normal", "nowrap"):
            text = _BLANKS.sub(" ", text)
            if text[:1] == " " and self._at_start:
                text = text[1:]
            if not text:
                return
            self._at_start = text[-1] == " "
            self._blank = len(self.out) if self._at_start else -1
        elif text:
            self._at_start, self._blank = text[-1:] == "\n", -1
        if context.is_flex and text.strip():
            self.put(f"<div>{escape(text, False)}</div>")
            self._at_start, self._blank = True, -1
        else:
            self.put(escape(text, False))

    def _pseudo(self, element: Element, name: str, context: Context) -> bool:
        found = self._styles.pseudo.get(name)
        style = found.get(element) if found else None
        if style is None or style.get("display") == "none":
            return False
        style, inner = self._computed(dict(style), context)
        value = style.get("content", "none")
        if value in ("none", "normal"):
            return False
        self._counters.enter(style, inner.depth)
        quotes = self._quotes(inner)
        pieces = generated.content(value, element, self._counters, quotes)
        display = style.setdefault("display", "inline")
        if display == "inline" and (_needs_box(style) or _has_size(style)):
            style["display"] = display = (
                "inline-block" if _needs_box(style) else display
            )
        is_inline = display in _IN_LINE
        if not is_inline:
            self._line()
        place = self._begin()
        for kind, text in pieces:
            self._piece(kind, text, style, inner)
        tag = "span" if display == "inline" else "div"
        self._open(place, tag, style, None, "")
        self.put(f"</{tag}>")
        if not is_inline:
            self._at_start, self._blank = True, -1
        return not is_inline

    def _quotes(self, context: Context) -> tuple[str, ...]:
        given = context.inherited.get("quotes", "auto")
        return self._counters.read(generated.quotes_of, given) or ()

    def _piece(self, kind: str, text: str, style: Style, context: Context) -> None:
        if kind == "unknown":
            self._ignored.add(f"content: {text}")
        elif kind == "image":
            name = self._images.source(text)
            if name is not None:
                self.put(f'<img src="{name}" style="display:inline-block">')
        elif text:
            self._write_text(text, context)
            if style.get("display") == "inline":
                self._at_start = False

    def _marker(self, element: Element, style: Style, context: Context) -> str:
        """Write the marker of an item of a list that has a style of its own.

        Returns what the engine should write before it otherwise.
        """
        if style.get("display") != "list-item":
            return ""
        kind = context.inherited.get("list-style-type", "disc")
        inside = context.inherited.get("list-style-position") == "inside"
        text = self._marker_text(kind)
        found = self._styles.pseudo.get("marker", {}).get(element)
        if found is None and not inside:
            return _engine_marker(kind, text)
        own, inner = self._computed(dict(found or {}), context)
        value = own.pop("content", "normal")
        if value == "none":
            return "none"
        if value != "normal":
            quotes = self._quotes(inner)
            pieces = generated.content(value, element, self._counters, quotes)
            text = "".join(text for kind, text in pieces if kind == "text")
        elif kind in generated.SYMBOLS and text:
            text += "\u2002"
        own = {name: value for name, value in own.items() if name in _MARKED}
        own["white-space"] = "pre"
        if not inside:
            style.setdefault("position", "relative")
            own |= {"position": "absolute", "right": "100%", "top": "0"}
        place = self._begin()
        self.put(escape(text, False))
        self._open(place, "span", own, None, "")
        self.put("</span>")
        return "none"

    def _marker_text(self, kind: str) -> str:
        if kind[:1] in "\"'":
            return generated.unescaped(kind)
        if kind in generated.SYMBOLS:
            return generated.number(0, kind)
        if kind not in generated.NUMBERED:
            self._ignored.add(f"list-style-type: {kind}")
        value = self._counters.values("list-item")[-1]
        return generated.number(value, kind) + ". "

    def _image(self, element: Element, style: Style, context: Context) -> bool:
        source = element.attr("src") or element.attr("poster") or ""
        if not source and (several := element.attr("srcset")):
            source = several.strip().split()[0] if several.strip() else ""
        is_inline = style.get("display") in _IN_LINE
        if not is_inline:
            self._line()
        name = self._images.source(source) if source.strip() else None
        place = self._begin()
        if name is None or name in self._images.absent:
            self._alternative(element, style, place)
        else:
            style.setdefault("object-fit", "fill")
            if style.pop("visibility", "visible") != "visible":
                # The engine paints images whatever they are.
                style["opacity"] = "0"
            self._open(place, "img", style, None, "", f' src="{name}"')
        self._at_start, self._blank = not is_inline, -1
        return not is_inline

    def _alternative(self, element: Element, style: Style, place: int) -> None:
        """Write the text in place of an image that cannot be had (HTML, 15.4.2)."""
        text = element.attr("alt")
        sized = _has_size(style)
        if text is None and not sized:
            self.out[place] = ""
            return
        if sized:
            style.setdefault("border", "1px solid #c0c0c0")
            style |= {"overflow": "hidden", "box-sizing": "border-box"}
        self.put(escape(text or "", False))
        self._open(place, "div" if sized else "span", style, None, "")
        self.put("</div>" if sized else "</span>")

    def _svg(self, svg: Element, style: Style) -> None:
        """Write a drawing with the styles of its parts at them, and none beside it."""
        for part in svg.select("style,script"):
            part.decompose()
        for part in svg.select("foreignObject,image,use,feImage"):
            _look_at_part(part, self._ignored)
        for part in svg.select("*"):
            self._paint(part)
        if style.get("display") not in _IN_LINE:
            self._line()
        given = {name: value for name, value in style.items() if name not in _OWN}
        if not _has_size(style) and not svg.attr("viewBox"):
            svg.attrs["width"] = svg.attr("width") or "300"
            svg.attrs["height"] = svg.attr("height") or "150"
        if given.get("display") in _IN_LINE:
            # As it is by itself; a PDF would have to take it for a picture otherwise.
            del given["display"]
        if given:
            svg.attrs["style"] = _css(given)
        self._at_start, self._blank = False, -1
        self.put(svg.html)

    def _paint(self, part: Element) -> None:
        style = self._styles.elements.get(part)
        if not style:
            return
        kept = {}
        for name, value in style.items():
            if value[:1] == UNDRAWN:
                self._ignored.add(value[1:])
            elif value and not name.startswith("--"):
                kept[name] = value
        part.attrs["style"] = _css(kept)

    def _break(self) -> None:
        self._trim()
        self.put("<br>")
        self._at_start, self._blank = True, -1

    def _line(self) -> None:
        """End the line before a block."""
        self._trim()
        self._at_start, self._blank = True, -1

    def _trim(self) -> None:
        if self._blank >= 0:
            self.out[self._blank] = self.out[self._blank].removesuffix(" ")
            self._blank = -1

    def _begin(self) -> int:
        self.out.append("")
        return len(self.out) - 1

    def _open(
        self,
        place: int,
        tag: str,
        style: Style,
        element: Element | None,
        marker: str,
        more: str = "",
    ) -> None:
        """Write a tag where `_begin` left a place for it."""
        given = {name: value for name, value in style.items() if name not in _OWN}
        if given.get("text-align") == "-webkit-center":
            given["text-align"] = "center"
        if marker:
            given["list-style-type"] = marker
        given.setdefault("box-sizing", "content-box")
        for name, value in given.items():
            if "url(" in value.lower():
                given[name] = self._images.in_css(value)
        if element is not None:
            if "tw" in element.attrs:
                # What the element has by its kind alone would win over its classes.
                given = {n: v for n, v in given.items() if (n, v) not in _BY_KIND}
            for name in ("lang", "dir", "tw"):
                if spoken := element.attr(name):
                    more += f' {name}="{escape(spoken)}"'
        written = f'<{tag}{more} style="{escape(_css(given))}">'
        self.out[place] = written
        self._count(written)

    def put(self, text: str) -> None:
        """Write markup; raise Undrawable where it is too much."""
        self.out.append(text)
        self._count(text)

    def _count(self, text: str) -> None:
        self._size += len(text)
        if self._size > _MOST_OUTPUT:
            raise Undrawable("The page is too large with its styles applied.")


# What a marker can have (CSS Lists 3, 3.2).
_MARKED = frozenset(
    {"color", "font-family", "font-size", "font-style", "font-weight", "direction"}
    | {"letter-spacing", "line-height", "text-transform", "text-shadow"}
    | {"font-variant-numeric", "font-feature-settings", "word-spacing"}
)


def _css(style: Mapping[str, str]) -> str:
    return ";".join([f"{name}:{value}" for name, value in style.items()])


def _needs_box(style: Style) -> bool:
    if style.get("vertical-align", "baseline") not in _NOTHING:
        return True
    if style.get("visibility") == "hidden":
        return True
    return any(style.get(name, "") not in _NOTHING for name in _BOXED)


def _has_size(style: Style) -> bool:
    return (
        style.get("width", "auto") != "auto" and style.get("height", "auto") != "auto"
    )


def _engine_marker(kind: str, text: str) -> str:
    """Return the `list-style-type` by which the engine draws a marker."""
    return (
        kind if kind in ("disc", "circle", "square", "none") else generated.quoted(text)
    )


def _substitute(value: str, variables: Mapping[str, str]) -> str | None:
    """Return a value with its variables; None where one is not set, or too long."""
    for _ in range(8):
        if "var(" not in value:
            return value
        missing = False

        def known(found: re.Match[str]) -> str:
            nonlocal missing
            given = variables.get(found[1], "initial")
            if given != "initial":
                return given.strip()
            missing = missing or found[2] is None
            return (found[2] or "").strip()

        value = _VARIABLE.sub(known, value)
        if missing or len(value) > _MOST_VARIABLE:
            return None
    return None


def _look_at_part(part: Element, ignored: Ignored) -> None:
    if part.tag == "foreignObject":
        ignored.add("<foreignObject>")
        return
    source = (part.attr("href") or part.attr("xlink:href") or "").strip()
    if source and not source.startswith(("#", "data:")):
        ignored.add(f"{source} is not fetched")
