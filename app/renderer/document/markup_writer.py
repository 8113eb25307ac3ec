"""Markup for the engine while it is written, and where its lines and boxes stand."""

from collections.abc import Callable, Mapping
from functools import cached_property
from html import escape

from turbohtml import Element, Namespace

from app.renderer.document.box_model import is_in_flow
from app.renderer.document.cascade import Style, Styles
from app.renderer.document.computed_style import ComputedStyles, Context
from app.renderer.document.generated import Counters
from app.renderer.document.intrinsic_size import Extent
from app.renderer.document.page_breaks import PageBreaks
from app.renderer.document.properties import Ignored
from app.renderer.document.values import Units
from app.renderer.embedded_fonts import EmbeddedFonts
from app.renderer.embedded_images import EmbeddedImages
from app.renderer.errors import Undrawable

# Characters of what goes to the engine: a megabyte of style for every letter is none.
_MOST_OUTPUT = 16 << 20
# How often the engine lays out what is in a box in a line, for itself and for each
# such box around it (`benchmarks/hostile.py`); what all may come to, about a
# microsecond each; and what text is given boxes up to.
_AGAIN, _MOST_COST, _MOST_GIVEN = 7, 20e6, 5e5
# A letter of no width, by which a line is as high as its block says.
STRUT = "\u200b"
# Read here, and nothing to the engine.
OWN = frozenset(
    {"content", "counter-reset", "counter-increment", "counter-set", "quotes"}
    | {"border-collapse", "border-spacing", "caption-side", "empty-cells"}
    | {"table-layout", "break-before", "break-after", "break-inside"}
    | {"orphans", "widows", "page"}
    | {"list-style-type", "list-style-position", "list-style-image", "unicode-bidi"}
)
_ANY_PAGE = frozenset({"auto", "initial", "unset", "inherit", "revert", "revert-layer"})
# As the engine has tags without a style.
_DISPLAYS = {"div": "block", "span": "inline", "html": "block", "body": "block"}
_BY_KIND = {"display:block", "display:inline", "box-sizing:content-box"}
# What is of a box's content where nothing else is said, and of the whole box to the
# engine.
_SIZES = frozenset(
    {"width", "min-width", "max-width", "height", "min-height", "max-height"}
    | {"flex", "flex-basis", "aspect-ratio"}
)


class MarkupWriter:
    """Writes markup for the engine, with all that a document's elements have in common.

    `out` are the pieces that are written so far.
    """

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
        self.printed = printed
        self.styles = styles
        self.images = images
        self.fonts = fonts
        self.ignored = ignored
        self.counters = Counters()
        self._size = 0
        self.units = units
        self.canvas = canvas
        # How wide what stands in a cell is, and what is written when that is known.
        self.extent: Extent | None = None
        self.unfinished: list[tuple[int, Callable[[], None]]] = []
        # Whether a blank here would be the first of its line, and where the last is.
        self.at_start = True
        self.blank = -1
        # Where the last feed is, if nothing is behind it, and what it is if it ends its
        # block: that begins no line (CSS Text 3, 4.1.3).
        self.feed, self._last_feed = -1, ""
        self.computed = ComputedStyles(fonts, ignored, units, printed)
        # Lines so far of a listing.
        self.lines = 0
        # The style of a first letter that has not come yet: as in Chromium that of the
        # innermost block.
        self.first_letter: Style | None = None
        # Whether what is in an element has boxes in its lines.
        self.with_boxes: dict[Element, bool] = {}
        # What laying out takes so far, in the innermost box.
        self.cost = 0.0

    @cached_property
    def svg_parts(self) -> Mapping[str, Element]:
        """The parts of the document's drawings, by their names."""
        named = ((part.attr("id"), part) for part in self.styles.elements)
        return {
            name: part
            for name, part in named
            if name and part.namespace is Namespace.SVG
        }

    @property
    def takes_boxes(self) -> bool:
        """Tell whether text of a line may have more boxes of its own."""
        return self.cost <= _MOST_GIVEN / _AGAIN

    def begin(self) -> int:
        """Leave a place for a tag; return its number."""
        self.out.append("")
        return len(self.out) - 1

    def open(
        self,
        place: int,
        tag: str,
        style: Style,
        element: Element | None,
        marker: str,
        more: str = "",
    ) -> None:
        """Write a tag where `begin` left a place for it."""
        if self.printed is not None:
            if tag in ("html", "body"):
                self.printed.take_ground(style, tag == "html", self.images.in_css)
            style = self.printed.on_page(style)
        if style.get("text-align", "").startswith("-webkit-"):
            style["text-align"] = style["text-align"].removeprefix("-webkit-")
        if style.get("display") == _DISPLAYS.get(tag, ""):
            del style["display"]
        given = [f"{name}:{value}" for name, value in style.items() if name not in OWN]
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
            css = ";".join(map(self.images.in_css, given))
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

    def line_break(self) -> None:
        """Break the line."""
        is_empty = self.at_start and self.blank < 0
        self.trim()
        if self.extent is not None:
            self.extent.end()
        self.feed, self._last_feed = len(self.out), STRUT if is_empty else ""
        self.put("<br>")
        self.at_start, self.blank = True, -1

    def end_line(self, style: Style) -> None:
        """End the line before a block of a style."""
        self.trim()
        if is_in_flow(style):
            self.end_feed()
        self.at_start, self.blank = True, -1

    def end_feed(self) -> None:
        """Let the feed that nothing is behind begin no line."""
        if self.feed >= 0 and self.at_start:
            self.out[self.feed] = self._last_feed
        self.feed = -1

    def trim(self) -> None:
        """Take the last blank of a line out."""
        if self.blank >= 0:
            # The last feed ends a line and begins none.
            last = self.out[self.blank]
            self.out[self.blank] = last[:-1] if last[-1:] in (" ", "\n") else last
            self.blank = -1

    def mark(self, style: Style, context: Context) -> str:
        """Return an attribute by which pages know what breaks a box allows."""
        if self.printed is None:
            return ""
        if (page := style.get("page", "auto")) not in _ANY_PAGE:
            self.ignored.add(f"page: {page}")
        return self.printed.attribute(
            style, context.inherited, context.font, self.units
        )

    def nest(self, around: float, is_boxed: bool) -> None:
        """Count what a box takes among those around it; raise Undrawable beyond all."""
        self.cost = around + self.cost * (_AGAIN if is_boxed else 1)
        if self.cost > _MOST_COST:
            raise Undrawable("The page's inline blocks nest too deep.")

    def finish(self) -> None:
        """Write what hangs on widths of what is around it, and of what is in tables."""
        # The outer ones first, for the widths of those in them.
        for _, finish in sorted(self.unfinished, key=lambda each: each[0]):
            finish()
        if self.printed is not None:
            self.printed.take_out(self.out)


def css(style: Mapping[str, str]) -> str:
    """Return declarations as text."""
    return ";".join([f"{name}:{value}" for name, value in style.items()])
