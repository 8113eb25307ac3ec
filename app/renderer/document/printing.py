"""A document as pages of paper: laid out once, cut, and each part drawn on its page."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from html import escape
from itertools import chain
from typing import Any, NamedTuple

from app.renderer.base import Lettering, Picture, PrintedPage, TextRun, Vector
from app.renderer.document import page_rules
from app.renderer.document.flow_boxes import placed
from app.renderer.document.fragmentation import Fragment, fragments
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
# In a tag: text may read so too.
_MARK = re.compile(
    r'(<(?:html|body|div|span)(?: (?:lang|dir|tw)="[^"]*")*)'
    r' mark="([0-9]{1,7})" style="([^"]*)"'
)


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
    source: Source,
    images: EmbeddedImages,
    engine: Engine,
    check: Callable[[tuple[int, int]], None],
) -> PrintedDocument | None:
    """Return a document as pages; None where it says nothing of them.

    It does by `@page`, and by a break before or after an element. `check` is called
    with each size of a page in CSS pixels before anything is laid out for it. Raises as
    that and `translate`, and BadParameter beyond 100 pages.
    """
    if not SPEAKS_OF_PAGES.search(source.html):
        return None
    ignored = Ignored()
    whole = PageArea(*source.canvas)
    rules = page_rules_of(source.html, whole, ignored)
    fonts = EmbeddedFonts(engine)
    units = Units(source.canvas, fonts.typeface)
    styles = _PageStyles(rules or (), source.canvas, units, ignored, check)
    layouts = _Layouts(source, engine, images, fonts, styles, ignored)
    # Lines are as wide as most pages have them; but for a first page by itself.
    laid = [layouts.lay(styles.of(3 if rules else 1), 0)]
    if rules is None and not laid[0].breaks.is_forced:
        return None
    if round(styles.of(1).area[0]) != laid[0].canvas.width:
        first = layouts.lay(styles.of(1), 0)
        if len(first.parts) < 2 or first.parts[1].section:
            first.parts[1:] = []
            laid = [first, layouts.lay(styles.of(3), 1)]
    parts = [(each, part) for each in laid for part in each.parts]
    sheets = [styles.of(n, part.blank) for n, (_, part) in enumerate(parts, 1)]
    if any(
        abs(page.area[0] - each.canvas.width) > 1
        for page, (each, _) in zip(sheets, parts, strict=True)
    ):
        ignored.add("@page margin: another width of lines")
    printer = _Printer(source, engine, images, fonts, ignored, len(parts))
    drawn = []
    number = 1
    for each in laid:
        own = sheets[number - 1 :][: len(each.parts)]
        # Before any is drawn, for what of them is not.
        overs = [printer.over(page, n, each) for n, page in enumerate(own, number)]
        # Pages of a kind have one ground.
        kinds = {id(page): page for page in own}
        grounds = {
            kind: printer.under(page, each.breaks.ground)
            for kind, page in kinds.items()
        }
        unders = [grounds[id(page)] for page in own]
        drawn.append(printer.pages(each, own, unders, overs))
        number += len(own)
    return PrintedDocument(ignored.found, chain.from_iterable(drawn))


class _Laid(NamedTuple):
    """A document that is laid out for pages of an area, and what is on each."""

    flow: Page
    canvas: PageArea
    breaks: PageBreaks
    parts: list[Fragment]


class _Layouts(NamedTuple):
    """Lays a document out for pages of several widths."""

    source: Source
    engine: Engine
    images: EmbeddedImages
    fonts: EmbeddedFonts
    styles: "_PageStyles"
    ignored: Ignored

    def lay(self, page: PageStyle, skip: int) -> _Laid:
        """Lay it out for lines as wide as those of a page, without `skip` sections."""
        width, height = (max(1, round(side)) for side in page.area)
        canvas = PageArea(width, height)
        source, engine, fonts = self.source, self.engine, self.fonts
        found = translate(source.html, canvas, self.images, source.most_deep, fonts)
        for each in found.ignored:
            self.ignored.add(each)
        breaks = found.pages
        assert breaks is not None
        flow = Page(
            _MARK.sub(r'\1 style="\3"', found.body),
            images=self.images.images,
            lang=source.lang,
            emoji=source.emoji,
            fonts=tuple(fonts.faces),
        )
        marked = replace(
            flow,
            body=_MARK.sub(
                lambda tag: f'{tag[1]} style="{tag[3]};{placed(int(tag[2]))}"',
                found.body,
            ),
        )
        try:
            parts = fragments(
                engine.layout(flow, (width, None)),
                engine.layout(marked, (width, None)),
                breaks.marks,
                width,
                lambda number: self.styles.of(number).area[1],
                skip,
            )
        except RecursionError as error:
            raise Undrawable("The page's elements nest too deep.") from error
        return _Laid(flow, canvas, breaks, parts)


class _PageStyles:
    """How pages look, by number."""

    def __init__(
        self,
        rules: Sequence[PageRule],
        canvas: tuple[int, int],
        units: Units,
        ignored: Ignored,
        check: Callable[[tuple[int, int]], None],
    ) -> None:
        self._rules = rules
        self._canvas = canvas
        self._units = units
        self._ignored = ignored
        self._check = check
        self._known: dict[tuple[bool, int, bool], PageStyle] = {}

    def of(self, number: int, blank: bool = False) -> PageStyle:
        """Return how a page looks; those of one side are alike but for the first."""
        key = (number == 1, number % 2, blank)
        if key not in self._known:
            style = page_rules.page_style(
                *(self._rules, number, blank, self._canvas, self._units, self._ignored)
            )
            self._check(style.size)
            self._known[key] = style
        return self._known[key]


class _Printer:
    """Draws the pages of one document."""

    def __init__(
        self,
        source: Source,
        engine: Engine,
        images: EmbeddedImages,
        fonts: EmbeddedFonts,
        ignored: Ignored,
        count: int,
    ) -> None:
        self._source = source
        self._engine = engine
        self._images = images
        self._fonts = fonts
        self._ignored = ignored
        self._count = count

    def over(self, page: PageStyle, number: int, laid: _Laid) -> str:
        """Return what stands on a page beside the document, as markup."""
        boxes = page_rules.margin_boxes(page, number, self._count, self._ignored)
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
        alone = [*laid.breaks.fixed, *(laid.breaks.first if number == 1 else ())]
        if alone:
            markup += (
                f'<div style="position:absolute;left:{left:g}px;top:{top:g}px;'
                f'width:{width:g}px;height:{height:g}px">'
                f"{''.join(alone)}</div>"
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

    def under(self, page: PageStyle, ground: dict[str, str]) -> str:
        """Return the grounds of a page, as markup."""
        own = {n: v for n, v in page.style.items() if n.startswith("background")}
        markup = ""
        if own:
            markup = self._translated(_ground(own, (0.0, 0.0), page.size), page.size)
        if ground:
            top, _, _, left = page.margins
            markup += _ground(ground, (left, top), page.area)
        return markup

    def pages(
        self,
        laid: _Laid,
        sheets: Sequence[PageStyle],
        unders: Sequence[str],
        overs: Sequence[str],
    ) -> Iterator[PrintedPage]:
        """Yield the pages as they are drawn."""
        drawing = self._engine.draw_svg(laid.flow, (laid.canvas.width, None))
        tall = TallDrawing(drawing.svg)
        assert drawing.texts is not None
        texts = drawing.texts()
        found = [(*_middle(run), run) for run in texts.runs]
        grounds: dict[str, Vector | None] = {}
        for part, page, below, over in zip(
            laid.parts, sheets, unders, overs, strict=True
        ):
            top, _, _, left = page.margins
            strips = [
                PlacedStrip(
                    (each.left, each.top, each.right, each.bottom),
                    *(left, top + each.at - each.top, each.over),
                )
                for each in part.strips
            ]
            if below not in grounds:
                grounds[below] = self._beside(below, page.size)
            under = grounds[below]
            above = self._beside(over, page.size)
            vector = drawing
            runs = [*_runs_in(found, strips)]
            pictures = {**texts.pictures}
            for each in (under, above):
                if each is not None and each.texts is not None:
                    more = each.texts()
                    pictures |= more.pictures
                    runs += [run._replace(box=-run.box) for run in more.runs]
                    facts = _with_facts(vector.facts, each.facts)
                    vector = replace(
                        vector, facts=facts, exact=vector.exact and each.exact
                    )
            svg = composed(
                page.size,
                under.svg if under else None,
                tall.parts(strips),
                above.svg if above else None,
            )
            lettering = Lettering(tuple(runs), pictures)
            vector = replace(
                vector,
                svg=svg,
                facts={**vector.facts, "pages": self._count},
                texts=partial(_measured, lettering),
            )
            draw = partial(self._painted, laid, strips, (below, over), page.size)
            yield PrintedPage(vector, page.size, page.paper, draw)

    def _painted(
        self,
        laid: _Laid,
        strips: Sequence[PlacedStrip],
        around: tuple[str, str],
        size: tuple[int, int],
        scale: float,
    ) -> Picture:
        under, over = around
        whole = self._page(under + _cut_out(laid, strips) + over)
        return self._engine.draw(whole, size, scale)

    def _beside(self, body: str, size: tuple[int, int]) -> Vector | None:
        if not body:
            return None
        return self._engine.draw_svg(self._page(body), size)

    def _page(self, body: str) -> Page:
        # Boxes at the margins may name fonts that nothing else is set in.
        return Page(
            f'<div style="position:relative;width:100%;height:100%">{body}</div>',
            images=self._images.images,
            lang=self._source.lang,
            emoji=self._source.emoji,
            fonts=tuple(self._fonts.faces),
        )


def _cut_out(laid: _Laid, strips: Sequence[PlacedStrip]) -> str:
    """Return the document in as many windows as there are strips, as markup."""
    # Within a page there is no other.
    inner = _ROOTS.sub(r"<\1div", laid.flow.body)
    width, height = laid.canvas
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


def _with_facts(facts: Mapping[str, Any], more: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the facts of a drawing with those of another one on the same page."""
    return {
        **facts,
        **{
            name: [*dict.fromkeys([*facts.get(name, ()), *more[name]])]
            for name in ("missing_glyphs", "attribution")
            if name in more
        },
    }


def _measured(found: Lettering) -> Lettering:
    """Return the text of a page, which is measured with the whole document."""
    return found


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
