"""A document as pages of paper: laid out once, cut, and each part drawn on its page."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from html import escape
from typing import NamedTuple

from app.renderer.base import Lettering, PrintedPage, TextRun, Vector
from app.renderer.document import page_rules
from app.renderer.document.fragmentation import Fragment, fragments, placed
from app.renderer.document.media import PageArea
from app.renderer.document.page_breaks import PageBreaks
from app.renderer.document.page_rules import PageRule, PageStyle
from app.renderer.document.properties import Ignored
from app.renderer.document.translation import page_rules_of, translate
from app.renderer.document.values import Units
from app.renderer.embedded_fonts import EmbeddedFonts
from app.renderer.embedded_images import EmbeddedImages
from app.renderer.encode.pdf.strips import PlacedStrip, TallDrawing, composed
from app.renderer.engine.engine import Engine, Page
from app.renderer.errors import Undrawable
from app.renderer.params import EmojiStyle

# What a document that says anything of pages has in it.
SPEAKS_OF_PAGES = re.compile(r"@page|break-(?:before|after)\s*:", re.IGNORECASE)
_ROOTS = re.compile(r"<(/?)(?:html|body)(?=[ >])")
_MARK = re.compile(r' mark="([0-9]+)" style="([^"]*)"')


class Source(NamedTuple):
    """A document, the canvas for pages whose size it leaves open, and its options."""

    html: str
    canvas: tuple[int, int]
    most_deep: int
    lang: str | None
    emoji: EmojiStyle


@dataclass(frozen=True, slots=True)
class PrintedDocument:
    """A document that is laid out for pages, and what of it is not drawn."""

    ignored: tuple[str, ...]
    pages: Iterator[PrintedPage]


def printed(
    source: Source, images: EmbeddedImages, engine: Engine
) -> PrintedDocument | None:
    """Return a document as pages; None where it says nothing of them.

    It does by `@page`, and by a break before or after an element. Raises as
    `translate`, and BadParameter beyond 100 pages.
    """
    if not SPEAKS_OF_PAGES.search(source.html):
        return None
    ignored = Ignored()
    whole = PageArea(*source.canvas)
    rules = page_rules_of(source.html, whole, ignored)
    fonts = EmbeddedFonts(engine)
    units = Units(source.canvas, fonts.typeface)
    styles = _PageStyles(rules or (), source.canvas, units, ignored)
    # Pages lie as wide as most of them are.
    area = styles.of(3 if rules else 1).area
    canvas = PageArea(max(1, round(area[0])), max(1, round(area[1])))
    found = translate(source.html, canvas, images, source.most_deep, fonts)
    breaks = found.pages
    assert breaks is not None
    if rules is None and not breaks.is_forced:
        return None
    flow = Page(
        _MARK.sub(r' style="\2"', found.body),
        images=images.images,
        lang=source.lang,
        emoji=source.emoji,
        fonts=tuple(fonts.faces),
    )
    marked = replace(
        flow,
        body=_MARK.sub(
            lambda tag: f' style="{tag[2]};{placed(int(tag[1]))}"', found.body
        ),
    )
    try:
        parts = fragments(
            engine.layout(flow, (canvas.width, None)),
            engine.layout(marked, (canvas.width, None)),
            breaks.marks,
            canvas.width,
            lambda number: styles.of(number).area[1],
        )
    except RecursionError as error:
        raise Undrawable("The page's elements nest too deep.") from error
    printer = _Printer(source, engine, images, fonts, flow, canvas, breaks, ignored)
    sheets = [styles.of(n, part.blank) for n, part in enumerate(parts, 1)]
    if any(abs(page.area[0] - canvas.width) > 1 for page in sheets):
        ignored.add("@page margin: another width of lines")
    overs = [printer.over(page, n, len(parts)) for n, page in enumerate(sheets, 1)]
    told = dict.fromkeys((*found.ignored, *ignored.found))
    return PrintedDocument(tuple(told), printer.pages(parts, sheets, overs))


class _PageStyles:
    """How pages look, by number."""

    def __init__(
        self,
        rules: Sequence[PageRule],
        canvas: tuple[int, int],
        units: Units,
        ignored: Ignored,
    ) -> None:
        self._rules = rules
        self._canvas = canvas
        self._units = units
        self._ignored = ignored
        self._known: dict[tuple[bool, int, bool], PageStyle] = {}

    def of(self, number: int, blank: bool = False) -> PageStyle:
        """Return how a page looks; those of one side are alike but for the first."""
        key = (number == 1, number % 2, blank)
        if key not in self._known:
            self._known[key] = page_rules.page_style(
                *(self._rules, number, blank, self._canvas, self._units, self._ignored)
            )
        return self._known[key]


class _Printer:
    """Draws the pages of one document."""

    def __init__(
        self,
        source: Source,
        engine: Engine,
        images: EmbeddedImages,
        fonts: EmbeddedFonts,
        flow: Page,
        canvas: PageArea,
        breaks: PageBreaks,
        ignored: Ignored,
    ) -> None:
        self._source = source
        self._engine = engine
        self._images = images
        self._fonts = fonts
        self._flow = flow
        self._canvas = canvas
        self._breaks = breaks
        self._ignored = ignored

    def over(self, page: PageStyle, number: int, count: int) -> str:
        """Return what stands on a page beside the document, as markup."""
        boxes = page_rules.margin_boxes(page, number, count, self._ignored)
        top, _, _, left = page.margins
        width, height = page.area
        markup = ""
        if boxes:
            style = ";".join(
                f"{name}:{value}"
                for name, value in page.style.items()
                if not name.startswith("background")
            )
            markup = self._translated(
                f'<div style="{escape(style)}">{boxes}</div>', page.size
            )
        if self._breaks.fixed:
            markup += (
                f'<div style="position:absolute;left:{left:g}px;top:{top:g}px;'
                f'width:{width:g}px;height:{height:g}px">'
                f"{''.join(self._breaks.fixed)}</div>"
            )
        return markup

    def _translated(self, markup: str, size: tuple[int, int]) -> str:
        clear = "<style>html{background:transparent}</style>"
        found = translate(
            clear + markup,
            size,
            self._images,
            self._source.most_deep,
            self._fonts,
        )
        for each in found.ignored:
            self._ignored.add(f"@page {each}")
        return found.body

    def _under(self, page: PageStyle) -> str:
        """Return the grounds of a page, as markup."""
        own = {n: v for n, v in page.style.items() if n.startswith("background")}
        markup = ""
        if own:
            markup = self._translated(_ground(own, (0.0, 0.0), page.size), page.size)
        if self._breaks.ground:
            top, _, _, left = page.margins
            markup += _ground(self._breaks.ground, (left, top), page.area)
        return markup

    def pages(
        self,
        parts: Sequence[Fragment],
        sheets: Sequence[PageStyle],
        overs: Sequence[str],
    ) -> Iterator[PrintedPage]:
        """Yield the pages as they are drawn."""
        drawing = self._engine.draw_svg(self._flow, (self._canvas.width, None))
        tall = TallDrawing(drawing.svg)
        assert drawing.texts is not None
        texts = drawing.texts()
        placed_runs = [(*_middle(run), run) for run in texts.runs]
        facts = {**drawing.facts, "pages": len(parts)}
        unders: dict[str, Vector | None] = {}
        for part, page, over in zip(parts, sheets, overs, strict=True):
            top, _, _, left = page.margins
            placed = [
                PlacedStrip(
                    (each.left, each.top, each.right, each.bottom),
                    *(left, top + each.at - each.top, each.over),
                )
                for each in part.strips
            ]
            below = self._under(page)
            if below not in unders:
                unders[below] = self._beside(below, page.size)
            under, above = unders[below], self._beside(over, page.size)
            runs = [*_runs_in(placed_runs, placed)]
            pictures = {**texts.pictures}
            exact = drawing.exact
            for each in (under, above):
                if each is None or each.texts is None:
                    continue
                exact = exact and each.exact
                more = each.texts()
                pictures |= more.pictures
                runs += [run._replace(box=-run.box) for run in more.runs]
            svg = composed(
                page.size,
                under.svg if under else None,
                tall.parts(placed),
                above.svg if above else None,
            )
            lettering = Lettering(tuple(runs), pictures)
            vector = replace(
                drawing,
                svg=svg,
                facts=facts,
                texts=partial(_known, lettering),
                exact=exact,
            )
            body = below + self._cut_out(placed) + over
            whole = self._page(body)
            draw = partial(self._engine.draw, whole, page.size)
            yield PrintedPage(vector, page.size, page.paper, draw)

    def _beside(self, body: str, size: tuple[int, int]) -> Vector | None:
        if not body:
            return None
        return self._engine.draw_svg(self._page(body), size)

    def _page(self, body: str) -> Page:
        # Boxes at the margins may name fonts that nothing else is set in.
        fonts = tuple(self._fonts.faces)
        return replace(self._flow, body=_around(body), fonts=fonts)

    def _cut_out(self, strips: Sequence[PlacedStrip]) -> str:
        """Return the document in as many windows as there are strips."""
        # Within a page there is no other.
        inner = _ROOTS.sub(r"<\1div", self._flow.body)
        width, height = self._canvas
        found = []
        for (left, top, right, bottom), dx, dy, over in strips:
            found.append(
                f'<div style="position:absolute;overflow:hidden;left:{left + dx:g}px;'
                f"top:{top + dy:g}px;width:{right - left:g}px;"
                f'height:{bottom + over - top:g}px"><div style="position:absolute;'
                f'left:{-left:g}px;top:{-top:g}px;width:{width}px;height:{height}px">'
                f"{inner}</div></div>"
            )
        return "".join(found)


def _known(found: Lettering) -> Lettering:
    return found


def _around(body: str) -> str:
    return f'<div style="position:relative;width:100%;height:100%">{body}</div>'


def _ground(
    style: dict[str, str], at: tuple[float, float], size: tuple[float, float]
) -> str:
    css = ";".join(f"{name}:{value}" for name, value in style.items())
    return (
        f'<div style="position:absolute;left:{at[0]:g}px;top:{at[1]:g}px;'
        f'width:{size[0]:g}px;height:{size[1]:g}px;{escape(css)}"></div>'
    )


def _middle(run: TextRun) -> tuple[float, float]:
    """Return where the middle of a run is, across and down."""
    a, b, c, d, e, f = run.matrix
    x, y = run.x + run.width / 2, run.y + run.height / 2
    return a * x + c * y + e, b * x + d * y + f


def _runs_in(
    runs: Sequence[tuple[float, float, TextRun]], strips: Sequence[PlacedStrip]
) -> Iterator[TextRun]:
    """Yield the runs of text that are in strips, where they stand there."""
    for number, ((left, top, right, bottom), dx, dy, _) in enumerate(strips):
        for run in [
            each for x, y, each in runs if top <= y < bottom and left <= x < right
        ]:
            a, b, c, d, e, f = run.matrix
            # Another box than on the page before, as its lines are others.
            yield run._replace(
                box=run.box + number * 1_000_000, matrix=(a, b, c, d, e + dx, f + dy)
            )
