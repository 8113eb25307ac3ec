"""A caller's document as markup that pytakumi 0.1.5 draws as browsers would.

It is parsed by the HTML standard, each element gets the style that the cascade gives
it, and what the engine does not know is said in terms of what it does.
"""

import copy
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from html import escape
from typing import NamedTuple

import turbohtml
from turbohtml import Element, Namespace, Node, Text

from app.renderer.document import (
    box_model,
    controls,
    generated,
    list_markers,
    media,
    page_rules,
    stylesheet,
    table_columns,
    table_grid,
)
from app.renderer.document.box_model import (
    ATOMIC_INLINES,
    INLINE,
    INLINE_LEVEL,
    INSETS,
    NOTHING,
    OUT_OF_FLOW,
    SIDEWAYS,
    LayoutBox,
    has_edges,
    has_size,
    is_in_flow,
    is_row,
)
from app.renderer.document.cascade import Style, Styles, cascade
from app.renderer.document.computed_style import ComputedStyles, Context, whole_line
from app.renderer.document.generated import Counters
from app.renderer.document.page_breaks import PageBreaks
from app.renderer.document.page_rules import PageRule
from app.renderer.document.properties import UNDRAWN, Ignored
from app.renderer.document.values import ComputedFont, FontMetrics, Units, Unresolved
from app.renderer.embedded_fonts import EmbeddedFonts
from app.renderer.embedded_images import EmbeddedImages
from app.renderer.errors import LimitExceeded, Undrawable

_BLANKS = re.compile(r"[ \t\n\r\f]+")
# Characters of what goes to the engine: a megabyte of style for every letter is none.
_MOST_OUTPUT = 16 << 20
_CARRIED = re.compile(
    r"color$|font|line-height|text-(?!overflow|decoration)|letter-|word-|white-space"
    r"|visibility|direction|list-style|overflow-wrap"
)
# Letters of inline text that has a box of its own, and so does not wrap.
_MOST_BOXED = 120
# Of a block's width: a text that is less has one line.
_SURELY = 0.85
# How often the engine lays out what is in a box in a line, for itself and for each
# such box around it (`benchmarks/hostile.py`); a text beside an empty box; what all
# may come to, about a microsecond each; and what text is given boxes up to.
_AGAIN, _TEXT_COST, _MOST_COST, _MOST_GIVEN = 7, 10, 20e6, 5e5
# A marker that the engine draws takes a third of a millisecond.
_MARKER_COST = 500
# And such that does not wrap in a browser either, but for the end of a line.
_MOST_UNBROKEN = 40
# What the engine leaves out of text in a line, and draws of a box in one.
_BOXED = (
    *("border", "border-top", "border-right", "border-bottom", "border-left"),
    *("border-width", "border-style", "box-shadow", "transform", "filter"),
    *("margin-left", "margin-right", "margin", "background-image", "mask-image"),
    *("mask", "clip-path", "rotate", "scale", "translate", "text-shadow"),
    *("backdrop-filter", "mix-blend-mode", "border-left-width", "border-bottom-width"),
)
# What is in a box in a line that has margins.
_SPACED = '<div style="flex:auto">'
# What is set in at the beginning of its lines.
_SET_IN = frozenset({"ul", "ol", "menu", "dir", "dd"})
# Where the engine looks at a block's text itself.
_CUT = frozenset({"text-overflow", "line-clamp", "-webkit-line-clamp"})
# Inline elements without text of the line they stand in.
_UNWRITTEN = frozenset({"br", "wbr", "img", "svg", "ruby", "video"})
_IMAGE = re.compile(
    r"""url\(\s*(?:"([^"]*)"|'([^']*)'|([^)]*))\s*\)""", re.IGNORECASE | re.DOTALL
)
# Boxes in which the first letter of what they are in may be.
_FLOWS = frozenset({"block", "list-item", "flow-root"})
# Where a first letter is punctuation alone.
_OPENING = 2
# What stands in a line before its first letter, and leaves it none.
_NO_LETTERS = frozenset({"br", "img", "svg", "video", "input"})
# Elements that browsers draw by other means, or with content from elsewhere.
_UNDRAWN_ELEMENTS = frozenset(
    {"iframe", "canvas", "object", "embed", "applet", "frame", "math", "marquee"}
)
# Read here, and nothing to the engine.
_OWN = frozenset(
    {"content", "counter-reset", "counter-increment", "counter-set", "quotes"}
    | {"border-collapse", "border-spacing", "caption-side", "empty-cells"}
    | {"table-layout", "break-before", "break-after", "break-inside"}
    | {"orphans", "widows", "page"}
    | {"list-style-type", "list-style-position", "list-style-image", "unicode-bidi"}
)
_ANY_PAGE = frozenset({"auto", "initial", "unset", "inherit", "revert", "revert-layer"})
# What a drawing uses by its name.
_REFERRED = re.compile(r"""(?:href="|url\((?:"|'|&quot;)?)#([^"'()&\s]+)""")
# As the engine has tags without a style.
_DISPLAYS = {"div": "block", "span": "inline", "html": "block", "body": "block"}
_BY_KIND = {"display:block", "display:inline", "box-sizing:content-box"}
# What is of a box's content where nothing else is said, and of the whole box to the
# engine.
_SIZES = frozenset(
    {"width", "min-width", "max-width", "height", "min-height", "max-height"}
    | {"flex", "flex-basis", "aspect-ratio"}
)


@dataclass(slots=True)
class Extent:
    """How wide a content is: its line so far, its longest one, and its longest word."""

    line: float = 0.0
    most: float = 0.0
    least: float = 0.0

    def end(self) -> None:
        """End the line."""
        self.most = max(self.most, self.line)
        self.line = 0.0


class Translation(NamedTuple):
    """Markup for the engine, and what of the document is not in it."""

    body: str
    ignored: tuple[str, ...]
    pages: PageBreaks | None = None


def translate(
    document: str,
    canvas: tuple[int, int],
    images: EmbeddedImages,
    most_deep: int,
    fonts: EmbeddedFonts,
) -> Translation:
    """Return a document for a canvas of so many CSS pixels.

    For a `PageArea` it tells what is said about breaks between pages, and is as high as
    it needs. `images` takes images out, `fonts` fonts, and tells which one is chosen.

    Raises LimitExceeded where elements nest deeper than `most_deep`, Undrawable where
    style sheets make too much of them.
    """
    ignored = Ignored()
    told = {*images.warnings, *fonts.warnings}
    tree = turbohtml.parse(document)
    elements = tree.select("*")
    _check_depth(elements, most_deep)
    sheets: dict[Element | None, list[stylesheet.Rule]] = {}
    printed = PageBreaks(canvas) if isinstance(canvas, media.PageArea) else None
    if printed is not None:
        sheets[None] = [*stylesheet.read(printed.defaults, canvas, ignored).rules]
    faces: list[dict[str, str]] = []
    for element in elements:
        if element.tag == "style":
            sheet = stylesheet.read(
                _text(element, element.attr("media")), canvas, ignored
            )
            scope = element.closest("svg")
            sheets.setdefault(scope, []).extend(sheet.rules)
            faces.extend(sheet.fonts)
        elif element.tag in ("script", "link", "meta"):
            _look_at(element, ignored)
    if faces:
        # With its style sheets, for what they put in.
        fonts.declare(faces, document + tree.text)
    styles = cascade(tree, elements, sheets, ignored)
    units = Units(canvas, fonts.typeface)
    walker = _Walker(styles, images, fonts, ignored, units, canvas, printed)
    root = elements[0]
    if printed is not None:
        printed.enter_root(styles.elements[root])
    box = LayoutBox({}, ComputedFont(), canvas[0], units)
    try:
        walker.element(root, Context({}, {}, 0, ComputedFont()), box)
        walker.finish()
    except RecursionError as error:
        # Where an operator lets elements nest deeper than Python's calls do.
        raise Undrawable("The page's elements nest too deep.") from error
    for warning in (*images.warnings, *fonts.warnings):
        if warning not in told:
            ignored.add(warning)
    return Translation("".join(walker.out), ignored.found, printed)


def page_rules_of(
    document: str, canvas: media.PageArea, ignored: Ignored
) -> list[PageRule] | None:
    """Return what a document's style sheets say of pages; None where they do not."""
    found: list[tuple[str, str]] = []
    for element in turbohtml.parse(document).select("style"):
        css = _text(element, element.attr("media"))
        found += stylesheet.read(css, canvas, Ignored()).pages
    return page_rules.read(found, ignored) if found else None


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
        self,
        styles: Styles,
        images: EmbeddedImages,
        fonts: EmbeddedFonts,
        ignored: Ignored,
        units: Units,
        canvas: tuple[int, int],
        printed: PageBreaks | None,
    ) -> None:
        self.out: list[str] = []
        self._printed = printed
        self._styles = styles
        self._images = images
        self._fonts = fonts
        self._ignored = ignored
        self._counters = Counters()
        self._size = 0
        self._units = units
        self._canvas = canvas
        # How wide what stands in a cell is, and what is written when that is known.
        self._extent: Extent | None = None
        self._unfinished: list[tuple[int, Callable[[], None]]] = []
        # Whether a blank here would be the first of its line, and where the last is.
        self._at_start = True
        self._blank = -1
        self._computed = ComputedStyles(fonts, ignored, units, printed)
        # Lines so far of a listing.
        self._lines = 0
        # The style of a first letter that has not come yet: as in Chromium that of the
        # innermost block.
        self._first_letter: Style | None = None
        # Parts of drawings, by their names.
        self._parts: dict[str, Element] | None = None
        # Whether what is in an element has boxes in its lines.
        self._with_boxes: dict[Element, bool] = {}
        # What laying out takes so far, in the innermost box.
        self._cost = 0.0

    def element(self, element: Element, around: Context, box: LayoutBox) -> bool:
        """Write an element; tell whether it, or something in it, is a block."""
        style = self._styles.elements[element]
        if style.get("display") == "none":
            return False
        if around.carried:
            style = {**around.carried, **style}
        style, context = self._computed.compute(style, around)
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
            box = LayoutBox(style, context.font, box, self._units, fills)
        if "tw" in element.attrs:
            context = replace(context, is_classed=True)
        self._enter(element, style, context.depth)
        begun = len(self.out)
        if self._printed is not None:
            self._printed.enter(style)
        is_block = self._write(element, style, context, box)
        if self._printed is not None:
            self._printed.leave(
                *(style, begun, len(self.out), around.inherited, around.font),
                self._units,
            )
        self._counters.leave(context.depth)
        return is_block

    def _enter(self, element: Element, style: Style, depth: int) -> None:
        given = style.get("counter-reset", "list-item")
        if element.tag in ("ol", "ul", "menu") and "list-item" not in given:
            # Whatever else is counted there, so are items.
            style["counter-reset"] = f"list-item {given.replace('none', '')}"
        self._counters.enter(style, depth)

    def _write(
        self, element: Element, style: Style, context: Context, box: LayoutBox
    ) -> bool:
        tag = element.tag
        if tag in _NO_LETTERS:
            self._first_letter = None
        if element.namespace is Namespace.SVG:
            self._svg(element, style, context)
            return style.get("display") not in INLINE_LEVEL
        if tag == "br":
            self._break()
            return False
        if tag == "wbr":
            self.put("\u200b")
            return False
        if tag == "img" or (tag == "video" and element.attr("poster")):
            return self._image(element, style, context, box)
        if tag == "input" and (element.attr("type") or "").lower() == "image":
            return self._image(element, style, context, box)
        if tag in _UNDRAWN_ELEMENTS or tag == "video":
            self._ignored.add(f"<{tag}>")
        if tag == "hr":
            _shade(style)
        if tag in controls.TAGS:
            style = controls.styled(element, style)
        if style.get("display") in table_grid.TABLES:
            return self._table(element, style, context, box)
        if style.get("display") == "contents":
            has_block = self._pseudo(element, "before", context, box)
            has_block |= self._children(element, context, box)
            return has_block | self._pseudo(element, "after", context, box)
        return self._box(element, style, context, box)

    def _box(
        self, element: Element, style: Style, context: Context, box: LayoutBox
    ) -> bool:
        """Write an element with its content."""
        display = style.get("display", "inline")
        is_inline = display in INLINE_LEVEL
        contents = display == "contents"
        room = box.room if display in INLINE else box.outside
        if not is_inline:
            self._line()
        place = self._begin()
        outer = self._extent
        cost, self._cost = self._cost, 1.0
        initial = self._first_letter
        self._enter_initial(element, style, display)
        if display not in INLINE and not contents:
            self._at_start, self._blank = True, -1
            self._extent = outer and Extent()
            self._lines = 0
        marker = self._marker(element, style, context)
        has_block = self._pseudo(element, "before", context, box)
        has_block |= self._children(element, context, box)
        has_block |= self._pseudo(element, "after", context, box)
        self._leave_initial(initial, style, display)
        if element.tag == "ruby":
            self._ignored.add("<ruby>")
        if display in INLINE:
            if has_block:
                style["display"] = display = "block"
            elif _needs_box(style) or (
                has_edges(style, "padding", SIDEWAYS) and self._is_beside_box(element)
            ):
                self._in_box(len(element.text), style, context)
        is_spaced = self._place(style, context.font)
        self._nest(cost, style.get("display") in ATOMIC_INLINES)
        if display not in INLINE and not contents:
            self._trim()
            self._at_start, self._blank = not is_inline, -1
            if outer is not None:
                self._widen(outer, box, is_inline)
            elif display not in INLINE_LEVEL and not has_block:
                self._fill(element, style, context, box)
            self._extent = outer
        tag = element.tag if element.tag in ("html", "body") else "div"
        if display in INLINE:
            tag = "span"
        mark = self._mark(style, context)

        def write() -> None:
            self._open(place, tag, style, element, marker, mark)
            if is_spaced:
                self.out[place] += _SPACED

        self._settle(place, style, context, room, element, write)
        if is_spaced:
            self.put("</div>")
        self.put(f"</{tag}>")
        return display not in INLINE_LEVEL

    def _settle(
        self,
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
        is_in_line = style.get("display") in ATOMIC_INLINES
        if not late and not (is_in_line and _shares(style)):
            write()
            return
        align = context.inherited.get("text-align", "")

        def finish() -> None:
            wide = room()
            if wide is not None or is_in_line:
                if wide is None and element is not None and _is_alone(element):
                    _set_apart(style, align)
                else:
                    self._share(style, wide)
            write()

        self._unfinished.append((place, finish))

    def _share(self, style: Style, room: float | None) -> None:
        for name in _shares(style):
            if room is None:
                del style[name]
                self._ignored.add(f"{name} in per cent in a line")
                continue
            style[name] = _PERCENT.sub(partial(_pixels, room), style[name])

    def _mark(self, style: Style, context: Context) -> str:
        """Return an attribute by which pages know what breaks a box allows."""
        if self._printed is None:
            return ""
        if (page := style.get("page", "auto")) not in _ANY_PAGE:
            self._ignored.add(f"page: {page}")
        return self._printed.attribute(
            style, context.inherited, context.font, self._units
        )

    def _fill(
        self, element: Element, style: Style, context: Context, box: LayoutBox
    ) -> None:
        """Give a block the part of a pixel by which its line is higher than drawn."""
        high, text = context.strut, element.text.strip()
        rest = high - whole_line(high)
        if not rest or not text or context.is_classed:
            return
        if rest < 0 and len(text) <= _MOST_BOXED:
            wide = self._units.typeface(context.font).width(text) * context.font.size
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

    def _widen(self, outer: Extent, box: LayoutBox, is_inline: bool) -> None:
        """Make room for a box in what it is in."""
        inner = self._extent
        assert inner is not None
        inner.end()
        edges = box.edges("padding", None) + box.edges("margin", None)
        least, most = inner.least + edges, inner.most + edges
        width = box.said("width", None)
        if width is not None:
            is_whole = box.style.get("box-sizing") == "border-box"
            least = most = width + edges - is_whole * box.edges("padding", None)
        if is_inline or (
            isinstance(box.parent, LayoutBox) and is_row(box.parent.style)
        ):
            outer.line += most
        else:
            outer.end()
            outer.most = max(outer.most, most)
        outer.least = max(outer.least, least)

    def _nest(self, around: float, is_boxed: bool) -> None:
        """Count what a box takes among those around it; raise Undrawable beyond all."""
        self._cost = around + self._cost * (_AGAIN if is_boxed else 1)
        if self._cost > _MOST_COST:
            raise Undrawable("The page's inline blocks nest too deep.")

    def _enter_initial(self, element: Element, style: Style, display: str) -> None:
        """Look for a first letter in a box where it, or what it is in, styles one."""
        is_out = style.get("position") in OUT_OF_FLOW
        if not is_out and (display in INLINE or display == "contents"):
            return
        if is_out or display not in _FLOWS:
            self._first_letter = None
        found = self._styles.pseudo.get("first-letter", {}).get(element)
        if found and (display in _FLOWS or display == "inline-block"):
            self._first_letter = found

    def _leave_initial(self, around: Style | None, style: Style, display: str) -> None:
        """Look for the letter behind a box where none was in it."""
        is_flow = display in _FLOWS and self._first_letter
        if style.get("position") in OUT_OF_FLOW or is_flow:
            self._first_letter = around
        elif display not in INLINE and display != "contents":
            self._first_letter = None

    def _initial(self, text: str, context: Context) -> bool:
        """Write a text whose first letter has a style of its own, if it has.

        CSS Pseudo-Elements 4, 2.2: it is what an inline element around it would be.
        """
        if not text.strip(" \t\n\r\f"):
            return False
        given, self._first_letter = self._first_letter, None
        assert given is not None
        found = generated.FIRST_LETTER.match(text)
        if found is None:
            return False
        start, end = found.span(found.lastindex)
        letter = text[start:end]
        style, inner = self._computed.compute({**given, "display": "inline"}, context)
        self._write_text(text[:start], context)
        place = self._begin()
        if _needs_box(style):
            self._in_box(len(letter), style, inner)
        self._write_text(letter, inner)
        is_spaced = self._place(style, inner.font)
        self._open(place, "span", style, None, "")
        if is_spaced:
            self.out[place] += _SPACED
            self.put("</div>")
        self.put("</span>")
        if found.lastindex == _OPENING:
            # The letter itself is in the text behind it.
            self._first_letter = given
        self._write_text(text[end:], context)
        return True

    def _in_box(self, letters: int, style: Style, context: Context) -> None:
        if letters <= _MOST_BOXED and self._cost <= _MOST_GIVEN / _AGAIN:
            style["display"] = "inline-block"
            if letters <= _MOST_UNBROKEN and not context.is_classed:
                style.setdefault("white-space", "nowrap")
                self._flatten(style, context.font)
            return
        if style.get("visibility", "visible") != "visible":
            style["color"] = "transparent"
        for name in _BOXED:
            if style.get(name, "") not in NOTHING:
                self._ignored.add(f"{name} of text in a line")

    def _is_beside_box(self, element: Element) -> bool:
        """Tell whether boxes are in the line of text with padding on its sides.

        The engine would put those behind it elsewhere.
        """
        around = element.parent
        for _ in range(_MOST_AROUND):
            if not isinstance(around, Element):
                return False
            known = self._with_boxes.get(around)
            if known is None:
                styles = (
                    self._styles.elements[each]
                    for each in around.children
                    if isinstance(each, Element)
                )
                known = any(
                    style.get("display", "inline") in ATOMIC_INLINES
                    or (style.get("display", "inline") in INLINE and _needs_box(style))
                    for style in styles
                )
                self._with_boxes[around] = known
            if known:
                return True
            if self._styles.elements[around].get("display", "inline") not in INLINE:
                return False
            around = around.parent
        return False

    def _place(self, style: Style, font: ComputedFont) -> bool:
        """Say in terms of the engine where a box in a line stands.

        It moves none by `position`, and makes no room for margins of those as wide as
        their content. Tells whether the content has to be in a block for that.
        """
        if style.get("display") not in ATOMIC_INLINES:
            return False
        if style.get("position") == "relative":
            try:
                across = self._inset(style, "left", font) or -self._inset(
                    style, "right", font
                )
                down = self._inset(style, "top", font) or -self._inset(
                    style, "bottom", font
                )
            except Unresolved:
                self._ignored.add("position: relative in a line")
            else:
                if (across or down) and style.get("translate"):
                    self._ignored.add("position: relative in a line")
                elif across or down:
                    style["translate"] = f"{across:g}px {down:g}px"
        if style["display"] != "inline-block" or style.get("width", "auto") != "auto":
            return False
        if not has_edges(style, "margin", SIDEWAYS):
            return False
        style["display"] = "inline-flex"
        return True

    def _inset(self, style: Style, name: str, font: ComputedFont) -> float:
        """Return a distance in CSS pixels; raise Unresolved for shares of a height."""
        value = style.get(name, "auto")
        length = self._units.length("0" if value in NOTHING else value, font)
        if length.share:
            raise Unresolved(value)
        return length.pixels

    def _flatten(self, style: Style, font: ComputedFont) -> None:
        """Let a box in a line be as high as its letters: its edges move no line."""
        style["line-height"] = "normal"
        top, _, bottom, _ = box_model.borders(style)
        for which, edge in (("top", top), ("bottom", bottom)):
            try:
                said = box_model.side(style, "padding", which)
                edge += self._units.length(said, font).pixels
            except Unresolved:
                continue
            if edge:
                style[f"margin-{which}"] = f"{-edge:.4g}px"

    def _table(
        self, element: Element, style: Style, context: Context, box: LayoutBox
    ) -> bool:
        """Write a table as a grid; a box without cells as a block that fits."""
        self._first_letter = None
        grid = table_grid.read(element, self._styles)
        is_inline = style["display"] == "inline-table"
        said = style.get("width", "auto")
        style.setdefault("width", "fit-content")
        if not grid.cells:
            style["display"] = "inline-block" if is_inline else "block"
            return self._box(element, style, context, box)
        style["display"] = "inline-grid" if is_inline else "grid"
        collapsed = context.inherited.get("border-collapse") == "collapse"
        spacing = 0.0
        if not collapsed:
            spaces = context.inherited.get("border-spacing", "0").split()
            style["gap"] = f"{spaces[-1]} {spaces[0]}"
            style.setdefault("padding", style["gap"])
            spacing = table_grid.pixels(spaces[0])
        self._line()
        place = self._begin()
        # What a table itself is placed by is not its cells' (HTML, 15.3.11).
        given = {**context.inherited}
        given.pop("text-align", None)
        inner = replace(context, inherited=given, is_flex=False)
        below = context.inherited.get("caption-side") == "bottom"
        above = 0 if below else len(grid.captions)
        outer, self._extent = self._extent, Extent()
        cost, self._cost = self._cost, 1.0
        for number, caption in enumerate(grid.captions):
            self._caption(caption, number + 1 + (below * len(grid.rows)), inner, box)
        columns = table_grid.columns(grid, element, self._styles)
        wide: list[tuple[table_grid.GridCell, LayoutBox, Extent]] = []
        framed = False
        for cell in grid.cells:
            row = grid.rows[cell.row].style
            if self._printed is not None:
                self._printed.enter_row(cell.row, grid)
            each, border = self._cell(
                *(cell, row, above + 1, collapsed, inner, columns, box)
            )
            wide.append((cell, each, self._extent))
            framed = framed or border
        for cell, _, extent in wide:
            if cell.columns > 1:
                table_columns.span(
                    columns[cell.column : cell.column + cell.columns],
                    *(extent.least, extent.most),
                )
        if collapsed and framed:
            for name in [name for name in style if name.startswith("border")]:
                del style[name]
        gaps = spacing * (len(columns) - 1)
        edges = box.edges("padding", None)
        self._extent = outer
        if outer is not None:
            self._extent = Extent(
                0.0,
                sum(each.wanted for each in columns) + gaps,
                sum(each.least for each in columns) + gaps,
            )
            self._widen(outer, box, is_inline)
            self._extent = outer
        self._at_start, self._blank = not is_inline, -1
        self._nest(cost, is_inline)
        mark = self._mark(style, context)

        def finish() -> None:
            fixed = style.get("table-layout") == "fixed" and said != "auto"
            room = box.room()
            if said in ("auto", "fit-content"):
                room = box.outside()
                if room is not None:
                    room -= edges + box.edges("margin", None)
            widths = table_grid.widths(columns, room, gaps, said, fixed)
            if widths is not None:
                for cell, each, _ in wide:
                    part = widths[cell.column : cell.column + cell.columns]
                    inside = sum(part) + spacing * (len(part) - 1)
                    each.fix(max(0.0, inside - each.edges("padding", None)))
            style["grid-template-columns"] = table_grid.tracks(
                columns, widths, said, fixed
            )
            if said in ("auto", "fit-content"):
                # The engine would make it as wide as its content, room or not.
                if widths is None:
                    style.setdefault("max-width", "100%")
                elif sum(widths) < sum(each.wanted for each in columns):
                    is_whole = style.get("box-sizing") == "border-box"
                    style["width"] = f"{sum(widths) + gaps + is_whole * edges:.6g}px"
            self._open(place, "div", style, element, "", mark)

        self._unfinished.append((place, finish))
        self.put("</div>")
        return not is_inline

    def finish(self) -> None:
        """Write what hangs on widths of what is around it, and of what is in tables."""
        # The outer ones first, for the widths of those in them.
        for _, finish in sorted(self._unfinished, key=lambda each: each[0]):
            finish()
        if self._printed is not None:
            self._printed.take_out(self.out)

    def _caption(
        self, caption: Element, row: int, context: Context, table: LayoutBox
    ) -> None:
        style, inner = self._computed.compute(self._styles.elements[caption], context)
        style |= {"display": "block", "grid-column": "1 / -1", "grid-row": f"{row}"}
        box = LayoutBox(style, inner.font, table, self._units, is_in_flow(style))
        self._box(caption, style, inner, box)

    def _cell(
        self,
        cell: table_grid.GridCell,
        row: Style,
        first: int,
        collapsed: bool,
        context: Context,
        columns: list[table_columns.Column],
        table: LayoutBox,
    ) -> tuple[LayoutBox, bool]:
        """Write a cell, and tell its box, and whether it has a border above."""
        given = {**row, **self._styles.elements[cell.element]}
        own, inner = self._computed.compute(given, context)
        across, _ = self._computed.compute(row, context)
        style = table_grid.cell_style(own, across, cell, first)
        top, right, _, left = box_model.borders(style)
        if collapsed:
            table_grid.collapse(style, cell, left, top)
        usual = "middle" if cell.element.tag in ("td", "th") else "baseline"
        place = style.pop("vertical-align", usual)
        self._counters.enter(style, inner.depth)
        box = LayoutBox(style, inner.font, table, self._units)
        self._extent = extent = Extent()
        outer = self._begin()
        if place in ("middle", "bottom"):
            style |= {"display": "flex", "flex-direction": "column"}
            style["justify-content"] = "center" if place == "middle" else "end"
        content = LayoutBox({}, inner.font, box, self._units)
        mark = self._mark(style, inner)
        self._box(cell.element, {"display": "block"}, inner, content)
        self._open(outer, "div", style, None, "", mark)
        self._counters.leave(inner.depth)
        self.put("</div>")
        extent.end()
        edges = box.edges("padding", None)
        if collapsed:
            # Neighbours share their borders.
            edges -= left / 2
            edges -= right / 2
        table_grid.note(
            cell, own, columns, extent.least, extent.most, edges, self._said
        )
        extent.least, extent.most = extent.least + edges, extent.most + edges
        self._extent = extent
        return box, not cell.row and top > 0

    def _said(self, value: str) -> float | None:
        """Return a width in CSS pixels, None for a share and what is none."""
        try:
            length = self._units.length(value, ComputedFont())
        except Unresolved:
            return None
        return None if length.share or length.is_number else length.pixels

    def _children(self, element: Element, context: Context, box: LayoutBox) -> bool:
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
                has_block |= self.element(child, context, box)
            elif isinstance(child, Text):
                self._write_text(child.data, context)
        return has_block

    def _write_text(self, text: str, context: Context) -> None:
        if self._first_letter and self._initial(text, context):
            return
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
            if self._at_start and space != "pre-line":
                self._blank = len(self.out)
            if "\n" in text and space in ("pre", "break-spaces", "pre-wrap"):
                text = text.replace("\r", "")
                if self._pieces(text, context):
                    return
        self._cost += _TEXT_COST
        if self._extent is not None:
            self._measure(self._extent, text, context)
        carried = _css(context.carried) if context.carried else ""
        style = ";".join(filter(None, (carried, context.decoration)))
        written = escape(text, False)
        if context.is_flex and text.strip():
            if style:
                written = f'<span style="{escape(style)}">{written}</span>'
            self.put(f"<div>{written}</div>")
            self._at_start, self._blank = True, -1
        elif style and (text.strip() or context.decoration):
            self.put(f'<span style="{escape(style)}">')
            if self._blank == len(self.out) - 1:
                self._blank += 1
            self.put(written)
            self.put("</span>")
        else:
            self.put(written)

    def _pieces(self, text: str, context: Context) -> bool:
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
                self._lines += 1
            higher = int(self._lines * rest + rest) - int(self._lines * rest)
            if piece and higher:
                style = f"line-height:{whole + 1:g}px"
                self.put(f'<span style="{style}">{escape(piece, False)}</span>')
                piece = ""
            if piece or feed:
                self.put(escape(piece + feed, False))
        self._blank = len(self.out) - 1 if text.endswith("\n") else -1
        return True

    def _measure(self, extent: Extent, text: str, context: Context) -> None:
        font = context.font
        face = self._units.typeface(font)
        if context.inherited.get("text-transform") == "uppercase":
            text = text.upper()
        spaced = context.inherited.get("letter-spacing", "normal")
        try:
            more = (
                0.0 if spaced == "normal" else self._units.length(spaced, font).pixels
            )
        except Unresolved:
            more = 0.0

        def width(part: str) -> float:
            return face.width(part) * font.size + more * len(part)

        space = context.inherited.get("white-space", "normal")
        if space.startswith("pre"):
            for number, line in enumerate(text.split("\n")):
                if number:
                    extent.end()
                extent.line += width(line)
        else:
            extent.line += width(text)
        if space in ("nowrap", "pre"):
            extent.least = max(extent.least, extent.line)
        else:
            extent.least = max([extent.least, *map(width, text.split())])

    def _pseudo(
        self, element: Element, name: str, context: Context, box: LayoutBox
    ) -> bool:
        found = self._styles.pseudo.get(name)
        style = found.get(element) if found else None
        if style is None or style.get("display") == "none":
            return False
        style, inner = self._computed.compute(style, context)
        value = style.get("content", "none")
        if value in ("none", "normal"):
            return False
        self._counters.enter(style, inner.depth)
        quotes = self._quotes(inner)
        pieces = generated.content(value, element, self._counters, quotes)
        display = style.setdefault("display", "inline")
        if display == "inline" and (_needs_box(style) or has_size(style)):
            style["display"] = display = (
                "inline-block" if _needs_box(style) else display
            )
        is_inline = display in INLINE_LEVEL
        if not is_inline:
            self._line()
        place = self._begin()
        for kind, text in pieces:
            self._piece(kind, text, style, inner)
        tag = "span" if display == "inline" else "div"
        is_spaced = self._place(style, inner.font)

        def write() -> None:
            self._open(place, tag, style, None, "")
            if is_spaced:
                self.out[place] += _SPACED

        self._settle(place, style, inner, box.room, None, write)
        if is_spaced:
            self.put("</div>")
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
                self._at_start, self._blank = False, -1
        elif text:
            self._write_text(text, context)
            if style.get("display") == "inline":
                self._at_start = False

    def _marker(self, element: Element, style: Style, context: Context) -> str:
        """Write the marker of an item of a list.

        Returns what the engine should write before it otherwise.
        """
        if style.get("display") != "list-item":
            return ""
        kind = context.inherited.get("list-style-type", "disc")
        inside = context.inherited.get("list-style-position") == "inside"
        is_rtl = context.inherited.get("direction") == "rtl"
        image = self._marker_image(context)
        text = image or self._marker_text(kind)
        found = self._styles.pseudo.get("marker", {}).get(element)
        is_own = inside or is_rtl or image or self._begins(element, style)
        if found is None and not is_own:
            # The engine alone knows where the first line is.
            self._cost += _MARKER_COST
            return _engine_marker(kind, text)
        own, inner = self._computed.compute(found or {}, context)
        value = own.pop("content", "normal")
        shape = ""
        if value not in ("none", "normal"):
            quotes = self._quotes(inner)
            pieces = generated.content(value, element, self._counters, quotes)
            text = "".join(text for kind, text in pieces if kind == "text")
        elif kind in generated.SYMBOLS and not image:
            shape = kind
        is_image = bool(image) and value == "normal"
        if value == "none" or not text:
            return "none"
        own = {name: value for name, value in own.items() if name in _MARKED}
        own |= {"white-space": "pre", "text-indent": "0"}
        face, font = self._units.typeface(inner.font), inner.font
        drawn = list_markers.symbol(shape, face, font, is_rtl) if shape else None
        if is_image:
            self._mark_with_image(image, inside, is_rtl, context)
            return "none"
        if inside:
            self._mark_inside(own, text, drawn, face, font)
            return "none"
        high = whole_line(context.strut)
        stands = list_markers.baseline(
            self._units.typeface(context.font), context.font.size, high
        )
        line = self._units.line(font)
        rises = list_markers.baseline(face, font.size, line)
        # A marker in larger letters moves its item down.
        lower = max(0.0, rises - stands)
        own |= {"position": "absolute", "line-height": f"{line:g}px"}
        if drawn is None:
            own["left" if is_rtl else "right"] = "100%"
            own["top"] = f"{lower + stands - rises:g}px"
            written = escape(text, False)
        else:
            own["right" if is_rtl else "left"] = f"{-drawn.before:g}px"
            own["top"] = f"{lower + stands - drawn.above:g}px"
            written = f'<div style="{drawn.style}"></div>'
        self.put(f'<div style="position:relative;height:{lower:g}px">')
        place = self._begin()
        self._open(place, "div", own, None, "")
        self.put(f"{written}</div></div>")
        return "none"

    def _marker_image(self, context: Context) -> str:
        """Return the name of the image that markers are, none where it is not had."""
        value = context.inherited.get("list-style-image", "none")
        if value in ("none", "initial"):
            return ""
        found = _IMAGE.fullmatch(value.strip())
        if found is None:
            self._ignored.add("list-style-image")
            return ""
        name = self._images.source("".join(filter(None, found.groups())).strip())
        return "" if name is None or name in self._images.absent else name

    def _mark_with_image(
        self, name: str, inside: bool, is_rtl: bool, context: Context
    ) -> None:
        """Write an image before an item, standing on its first line."""
        gap = list_markers.GAP
        if inside:
            self.put(f'<img src="{name}" style="display:inline-block">')
            self.put(f'<span style="display:inline-block;width:{gap}px"></span>')
            return
        face, high = self._units.typeface(context.font), whole_line(context.strut)
        down = list_markers.baseline(face, context.font.size, high)
        side = "left" if is_rtl else "right"
        style = (
            f"position:absolute;{side}:100%;margin-{side}:{gap}px;bottom:{-down:g}px"
        )
        self.put(
            '<div style="position:relative;height:0">'
            f'<img src="{name}" style="{style}"></div>'
        )

    def _mark_inside(
        self,
        style: Style,
        text: str,
        drawn: list_markers.ListSymbol | None,
        face: FontMetrics,
        font: ComputedFont,
    ) -> None:
        """Write a marker as the first of its line."""
        place = self._begin()
        if drawn is None:
            self.put(escape(text, False))
            wide = face.width(text) * font.size
        else:
            wide = drawn.wide
            style |= {"display": "inline-block", "position": "relative"}
            style |= {"width": f"{wide:g}px", "height": f"{drawn.above:g}px"}
            self.put(f'<div style="position:absolute;top:0;{drawn.style}"></div>')
        if self._extent is not None:
            self._extent.line += wide
        self._open(place, "span", style, None, "")
        self.put("</span>")

    def _begins(self, element: Element, style: Style | None = None) -> bool:
        """Tell whether text of a block's own, or a table, is the first in it."""
        if style is not None and not _CUT.isdisjoint(style):
            return False
        for child in element.children:
            if isinstance(child, Text) and child.data.strip():
                return True
            if isinstance(child, Element):
                its = self._styles.elements[child]
                display = its.get("display", "inline")
                if display == "none" or its.get("position") in OUT_OF_FLOW:
                    continue
                if display == "table":
                    return True
                known = display in INLINE and child.tag not in _UNWRITTEN
                return known and self._begins(child)
        return False

    def _marker_text(self, kind: str) -> str:
        if kind[:1] in "\"'":
            return generated.unescaped(kind)
        if kind in generated.SYMBOLS:
            return generated.number(0, kind)
        if kind not in generated.NUMBERED:
            self._ignored.add(f"list-style-type: {kind}")
        value = self._counters.values("list-item")[-1]
        return generated.number(value, kind) + generated.suffix(kind)

    def _image(
        self, element: Element, style: Style, context: Context, box: LayoutBox
    ) -> bool:
        source = self._chosen(element) or element.attr("src") or ""
        source = source or element.attr("poster") or ""
        if not source and (several := element.attr("srcset")):
            source = several.strip().split()[0] if several.strip() else ""
        display = style.get("display", "inline")
        is_inline = display in INLINE_LEVEL
        room = box.room if display in INLINE else box.outside
        if not is_inline:
            self._line()
        name = self._images.source(source) if source.strip() else None
        place = self._begin()
        if name is None or name in self._images.absent:
            self._alternative(element, style, context, room, place)
        else:
            natural = None if _is_unbounded(style) else self._images.size(name)
            if natural is None:
                style.setdefault("object-fit", "fill")
            if style.pop("visibility", "visible") != "visible":
                # The engine paints images whatever they are.
                style["opacity"] = "0"
            outer = _around_image(style)
            around = f'<span style="{escape(_css(outer))}">' if outer else ""

            def write() -> None:
                shrinks = natural is not None and self._bound(
                    style, natural, context.font, room()
                )
                self._open(place, "img", style, None, "", f' src="{name}"')
                if shrinks and natural is not None:
                    begin = _SHRINKING.format(natural[0])
                    self.out[place] = f"{begin}{self.out[place]}</div>"
                self.out[place] = around + self.out[place]

            late = natural is not None
            self._settle(place, style, context, room, element, write, late)
            if outer:
                self.put("</span>")
        self._at_start, self._blank = not is_inline, -1
        return not is_inline

    def _bound(
        self,
        style: Style,
        natural: tuple[float, float],
        font: ComputedFont,
        room: float | None,
    ) -> bool:
        """Let an image keep its proportions within bounds; the engine cuts sides.

        Tells whether it may be smaller than it asks to be.
        """
        box = LayoutBox(style, font, room, self._units)
        size = box_model.bounded_size(natural, box, room)
        if _shares(style) and room is None:
            # How much room there is the engine alone knows.
            style.setdefault("object-fit", "contain")
            style.setdefault("object-position", "0 0")
            if (
                style.get("width", "auto") == "auto"
                and style.get("max-width") == "100%"
            ):
                style |= {"width": "100%", "max-width": f"{natural[0]:g}px"}
                return style.get("display") == "block"
        elif size is not None:
            style["width"], style["height"] = (f"{side:.6g}px" for side in size)
        style.setdefault("object-fit", "fill")
        return False

    def _chosen(self, element: Element) -> str:
        """Return the image that `<picture>` has for the canvas (HTML, 4.8.4.3)."""
        parent = element.parent
        if not isinstance(parent, Element) or parent.tag != "picture":
            return ""
        for each in parent.children:
            if each is element:
                break
            if isinstance(each, Element) and each.tag == "source":
                several = (each.attr("srcset") or "").split()
                if several and media.matches(each.attr("media") or "", self._canvas):
                    return several[0].rstrip(",")
        return ""

    def _alternative(
        self,
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
            self.out[place] = ""
            return
        if sized:
            style.setdefault("border", "1px solid #c0c0c0")
            style |= {"overflow": "hidden", "box-sizing": "border-box"}
        self.put(escape(text or "", False))
        tag = "div" if sized else "span"

        def write() -> None:
            self._open(place, tag, style, None, "")

        self._settle(place, style, context, room, element, write)
        self.put(f"</{tag}>")

    def _svg(self, svg: Element, style: Style, context: Context) -> None:
        """Write a drawing with the styles of its parts at them, and none beside it."""
        for part in svg.select("style,script"):
            part.decompose()
        for part in svg.select("foreignObject,image,use,feImage"):
            _look_at_part(part, self._ignored)
        svg = self._painted(svg, context.variables)
        if style.get("display") not in INLINE_LEVEL:
            self._line()
        given = {name: value for name, value in style.items() if name not in _OWN}
        if self._printed is not None:
            given = self._printed.on_page(given)
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
                "font-family": font.families or f"'{self._fonts.first}'",
                "font-size": f"{font.size:.6g}px",
                "font-weight": f"{font.weight:g}",
                "font-style": "italic" if font.is_italic else "normal",
            }
            for name, value in around.items():
                if not svg.attr(name):
                    given.setdefault(name, value)
        svg.attrs.pop("style", None)
        if given:
            svg.attrs["style"] = _css(given)
        self._at_start, self._blank = False, -1
        markup = svg.html
        if parts := self._referred(svg, markup, context.variables):
            held = turbohtml.parse(f"<svg><defs>{parts}</defs></svg>")
            svg.insert(0, held.select("defs")[0])
            markup = svg.html
        self.put(markup)

    def _referred(self, svg: Element, markup: str, variables: Mapping[str, str]) -> str:
        """Return what a drawing uses of the others in its document, such as symbols."""
        wanted = _REFERRED.findall(markup)
        if not wanted:
            return ""
        if self._parts is None:
            named = ((part.attr("id"), part) for part in self._styles.elements)
            self._parts = {
                name: part
                for name, part in named
                if name and part.namespace is Namespace.SVG
            }
        known = {part.attr("id") for part in (svg, *svg.select("[id]"))}
        found: list[str] = []
        while wanted:
            name = wanted.pop()
            if name not in known and (part := self._parts.get(name)):
                found.append(self._painted(part, variables).html)
                wanted += _REFERRED.findall(found[-1])
            known.add(name)
        return "".join(found)

    def _painted(self, drawing: Element, variables: Mapping[str, str]) -> Element:
        """Return a copy with the variables of where it is used.

        The drawing stays as it is: a symbol has other colours at its next use.
        """
        made = copy.copy(drawing)
        within = {drawing: self._paint(made, drawing, variables)}
        parts = zip(made.select("*"), drawing.select("*"), strict=True)
        for part, origin in parts:
            around = origin.parent
            assert isinstance(around, Element)
            within[origin] = self._paint(part, origin, within[around])
        return made

    def _paint(
        self, part: Element, origin: Element, variables: Mapping[str, str]
    ) -> Mapping[str, str]:
        """Put variables into the style of a part, and into its attributes.

        The style is that of the element in the page that it is a copy of. Attributes
        that present are values of properties (SVG 2, 6.6). Returns the variables
        within.
        """
        style = self._styles.elements.get(origin, {})
        variables = self._computed.custom_properties(style, variables)
        if reference := part.attrs.pop("xlink:href", None):
            # The engine knows its prefix only where it is declared.
            part.attrs.setdefault("href", reference)
        for name, value in [*part.attrs.items()]:
            if name == "font-family" and isinstance(value, str):
                value = part.attrs[name] = self._fonts.families(value)
            if name != "style" and isinstance(value, str) and "var(" in value:
                known = self._computed.substitute(value, variables)
                if known is None:
                    del part.attrs[name]
                else:
                    part.attrs[name] = known
        kept = {}
        for name, value in self._computed.with_variables(style, variables):
            if value[:1] == UNDRAWN:
                self._ignored.add(value[1:])
            elif name == "font-family":
                kept[name] = self._fonts.families(value)
            elif value:
                kept[name] = value
        if style:
            part.attrs["style"] = _css(kept)
        return variables

    def _break(self) -> None:
        self._trim()
        if self._extent is not None:
            self._extent.end()
        self.put("<br>")
        self._at_start, self._blank = True, -1

    def _line(self) -> None:
        """End the line before a block."""
        self._trim()
        self._at_start, self._blank = True, -1

    def _trim(self) -> None:
        if self._blank >= 0:
            # The last feed ends a line and begins none.
            last = self.out[self._blank]
            self.out[self._blank] = last[:-1] if last[-1:] in (" ", "\n") else last
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
        if self._printed is not None:
            if tag in ("html", "body"):
                self._printed.take_ground(style, tag == "html", self._images.in_css)
            style = self._printed.on_page(style)
        if style.get("text-align", "").startswith("-webkit-"):
            style["text-align"] = style["text-align"].removeprefix("-webkit-")
        if style.get("display") == _DISPLAYS.get(tag, ""):
            del style["display"]
        given = [f"{name}:{value}" for name, value in style.items() if name not in _OWN]
        if marker:
            given.append(f"list-style-type:{marker}")
        if "box-sizing" not in style and (tag == "img" or not _SIZES.isdisjoint(style)):
            given.append("box-sizing:content-box")
        if element is not None and element.attrs:
            if "tw" in element.attrs:
                # What the element has by its kind alone would win over its classes.
                given = [each for each in given if each not in _BY_KIND]
            for name in ("lang", "dir", "tw"):
                if spoken := element.attr(name):
                    # Before the mark, which pages seek beside the style.
                    more = f' {name}="{escape(spoken)}"{more}'
        css = ";".join(given)
        if "url(" in css.lower():
            css = ";".join(map(self._images.in_css, given))
        if css or more:
            more += f' style="{escape(css)}"'
        written = f"<{tag}{more}>"
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


_BOUNDS = ("min-width", "max-width", "min-height", "max-height")
_SHRINKING = '<div style="display:grid;grid-template-columns:minmax(0,{:g}px)">'
_UNSAID = ("auto", "none", "0", "")


def _is_unbounded(style: Style) -> bool:
    return all(style.get(name, "") in _UNSAID for name in _BOUNDS)


# So many elements in a line are looked through for boxes.
_MOST_AROUND = 4
_PERCENT = re.compile(r"(?<![\d.])(-?(?:\d+\.?\d*|\.\d+))%")
_OF_WIDTH = re.compile(r"(?:min-|max-)?width$|(?:margin|padding)(?:-[a-z]+)?$")


def _shares(style: Style) -> list[str]:
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


# What a marker can have (CSS Lists 3, 3.2).
_MARKED = frozenset(
    {"color", "font-family", "font-size", "font-style", "font-weight", "direction"}
    | {"letter-spacing", "line-height", "text-transform", "text-shadow"}
    | {"font-variant-numeric", "font-feature-settings", "word-spacing"}
)


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


def _shade(style: Style) -> None:
    """Give a rule the colours of browsers, where it has none of its own."""
    own = any(n.startswith("border") and n.endswith(("style", "color")) for n in style)
    if style.get("border") == "1px inset gray" and not own:
        style["border-style"] = "solid"
        style["border-color"] = "#9a9a9a #eee #eee #9a9a9a"


def _mirror(element: Element, style: Style) -> None:
    """Put what a list is set in by itself on its other side."""
    kind = "margin" if element.tag == "dd" else "padding"
    said = {name: value for name, value in style.items() if name.startswith(kind)}
    if said == {f"{kind}-left": "40px"} and element.tag in _SET_IN:
        del style[f"{kind}-left"]
        style[f"{kind}-right"] = "40px"


def _css(style: Mapping[str, str]) -> str:
    return ";".join([f"{name}:{value}" for name, value in style.items()])


def _needs_box(style: Style) -> bool:
    if style.get("vertical-align", "baseline") not in NOTHING:
        return True
    if style.get("visibility") == "hidden":
        return True
    if style.get("position") == "relative" and any(
        style.get(name, "auto") not in NOTHING for name in INSETS
    ):
        return True
    return any(style.get(name, "") not in NOTHING for name in _BOXED)


def _engine_marker(kind: str, text: str) -> str:
    """Return the `list-style-type` by which the engine draws a marker."""
    return (
        kind if kind in ("disc", "circle", "square", "none") else generated.quoted(text)
    )


def _look_at_part(part: Element, ignored: Ignored) -> None:
    if part.tag == "foreignObject":
        ignored.add("<foreignObject>")
        return
    source = (part.attr("href") or part.attr("xlink:href") or "").strip()
    if source and not source.startswith(("#", "data:")):
        ignored.add(f"{source} is not fetched")
