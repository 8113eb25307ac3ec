"""The `barcode` renderer: retail, industrial and matrix codes in whole pixels."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from html import escape
from importlib.metadata import version
from typing import Any, NamedTuple

from app.renderer.base import Picture, Renderer, Vector
from app.renderer.builtin.barcode_parameters import (
    LEAST_LETTERS,
    Measures,
    Parameters,
    check,
    measure,
    size,
)
from app.renderer.builtin.qr import dark_runs, ground, stamp
from app.renderer.builtin.solid import fill
from app.renderer.builtin.symbologies import Matrix
from app.renderer.engine.engine import Engine, Page
from app.renderer.engine.text_fitting import Fit, fitter
from app.renderer.produce import scaled

# How much longer guard bars are, in modules.
_GUARD = 5
# Font size of digits beside the bars, of those below; and their common baseline.
_SMALL = 0.75
_BASELINE = 0.864


class Block(NamedTuple):
    """Rows of cells, stretched to a box in whole pixels."""

    rows: Matrix
    left: int
    top: int
    width: int
    height: int


class Placement(NamedTuple):
    """What is dark, and the text as a page if there is any; all in device pixels."""

    size: tuple[int, int]
    blocks: tuple[Block, ...]
    page: Page | None


class BarcodePainter:
    """Draws bars and modules, in two palette entries, and text in full colour."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._fit = fitter(engine)

    def draw(self, parameters: Parameters, scale: float) -> Picture:
        """Draw the code; text beside it makes it full colour."""
        drawing = self._lay_out(parameters, scale)
        image = ground(drawing.size, (parameters.light, parameters.dark))
        for block in drawing.blocks:
            corner, size = (block.left, block.top), (block.width, block.height)
            stamp(image, block.rows, corner, size)
        notes = _facts(parameters)
        if drawing.page is None:
            return Picture(image, facts=notes)
        text = self._engine.draw(drawing.page, drawing.size, 1)
        if image.has_transparency_data:
            image = image.convert("RGBA")
            image.alpha_composite(text.image)
        else:
            # A third of the time, and of the memory, where the ground is opaque.
            image = image.convert("RGB")
            image.paste(text.image, mask=text.image)
        return Picture(image, facts={**text.facts, **notes}, fonts_s=text.fonts_s)

    def draw_svg(self, parameters: Parameters) -> Vector:
        """Return the code as an SVG document, with its text as outlines."""
        drawing = self._lay_out(parameters, 1)
        width, height = drawing.size
        light, dark = fill(parameters.light), fill(parameters.dark)
        bars = "".join(_path(block) for block in drawing.blocks)
        open_ = (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}"'
            f' height="{height}" viewBox="0 0 {width} {height}">'
            f'<rect width="{width}" height="{height}" {light}/>'
            f'<path shape-rendering="crispEdges" {dark} d="{bars}"/>'
        )
        notes = _facts(parameters)
        if drawing.page is None:
            return Vector(f"{open_}</svg>\n", notes)
        text = self._engine.draw_svg(drawing.page, drawing.size)
        inner = text.svg[text.svg.index(">") + 1 :]
        return replace(text, svg=open_ + inner, facts={**text.facts, **notes})

    def preflight(self, parameters: Parameters, laid_out: bool) -> Mapping[str, Any]:
        """Return the facts of a drawing without it."""
        if laid_out:
            page = self._lay_out(parameters, 1).page
        else:
            page = Page(escape(parameters.line), emoji=parameters.emoji)
        facts = self._engine.preflight(page) if page else {}
        return {**facts, **_facts(parameters)}

    def _lay_out(self, parameters: Parameters, scale: float) -> Placement:
        sides = size(parameters)
        found = measure(parameters, *sides, scale)
        width, height = scaled(sides, scale)
        kind, symbol, module = parameters.kind, parameters.symbol, found.module
        frame = kind.frame * module
        spare = (width - parameters.across * module) // 2
        left = spare + frame + parameters.quiet[0] * module
        wide = len(symbol.rows[0]) * module
        room = height - found.above - found.below - 2 * frame
        high = len(symbol.rows) * module if kind.matrix else room
        top = found.above + frame + (room - high) // 2
        bars = Block(symbol.rows, left, top, wide, high)
        blocks = [bars]
        if frame:
            across = parameters.across * module
            blocks += _framed(spare, found.above, across, room + 2 * frame, frame)
        if not found.letters:
            return Placement((width, height), tuple(blocks), None)
        if parameters.digits:
            guard = min(_GUARD * module, found.below // 2)
            guards = Block((symbol.guards,), left, top + high, wide, guard)
            blocks.append(guards)
        page = self._page(parameters, found, bars, (width, height))
        return Placement((width, height), tuple(blocks), page)

    def _page(
        self,
        parameters: Parameters,
        found: Measures,
        bars: Block,
        size: tuple[int, int],
    ) -> Page:
        """Return the digits in their places, or the line in the middle of the bars."""
        body, clipped = "", ""
        # What is centred on the bars stays within the picture.
        half = min(bars.left + bars.width // 2, size[0] - bars.left - bars.width // 2)
        left = bars.left + bars.width // 2 - half
        if parameters.digits:
            body = "".join(_digits(parameters, found, bars))
            if heading := parameters.symbol.content.heading:
                fit = self._line(parameters, heading, found, 2 * half, found.above)
                body += _centred(heading, fit, (left, 0, 2 * half, found.above))
        else:
            fit = self._line(parameters, parameters.line, found, 2 * half, found.below)
            box = (left, size[1] - found.below, 2 * half, found.below)
            body, clipped = _centred(parameters.line, fit, box), fit.clipped
        color = f"position:relative;width:100%;height:100%;color:{parameters.dark}"
        return Page(
            f'<div style="{color}">{body}</div>',
            lang=parameters.lang,
            emoji=parameters.emoji,
            facts={"text_clipped": {"text": clipped}} if clipped else {},
        )

    def _line(
        self, parameters: Parameters, text: str, found: Measures, width: int, high: int
    ) -> Fit:
        least = min(found.letters, LEAST_LETTERS)
        options = {"lines": 1, "lang": parameters.lang, "emoji": parameters.emoji}
        return self._fit(text, width, high, found.letters, least, **options)


def _facts(parameters: Parameters) -> dict[str, list[str]]:
    notes = [f"data: {note}" for note in parameters.symbol.content.notes]
    return {"warnings": notes} if notes else {}


def _framed(
    left: int, top: int, width: int, height: int, thick: int
) -> Iterator[Block]:
    """Yield the four sides of a frame, from its outer box."""
    dark = (b"\x01",)
    yield Block(dark, left, top, width, thick)
    yield Block(dark, left, top + height - thick, width, thick)
    yield Block(dark, left, top, thick, height)
    yield Block(dark, left + width - thick, top, thick, height)


def _digits(parameters: Parameters, found: Measures, bars: Block) -> Iterator[str]:
    """Yield each digit in the middle of its seven modules."""
    left = iter(parameters.symbol.content.data)
    top = bars.top + bars.height
    for group in parameters.kind.digits:
        size = found.letters * (_SMALL if group.small else 1)
        # All stand on one baseline.
        lower = (found.letters - size) * _BASELINE
        for place in range(group.number):
            start = bars.left + (group.start + 7 * place) * found.module
            yield (
                f'<div style="position:absolute;left:{start}px;top:{top + lower:g}px;'
                f"width:{7 * found.module}px;text-align:center;font-family:Inter;"
                f'font-size:{size:g}px;line-height:1">{next(left)}</div>'
            )


def _centred(text: str, fit: Fit, box: tuple[int, int, int, int]) -> str:
    left, top, width, height = box
    return (
        f'<div style="position:absolute;left:{left}px;top:{top}px;width:{width}px;'
        f'height:{height}px;display:flex;align-items:center;justify-content:center">'
        f'<div dir="{fit.direction}" style="white-space:nowrap;{fit.css}">'
        f"{escape(text)}</div></div>"
    )


def _path(block: Block) -> str:
    """Return the dark cells as SVG path data, one rectangle for each run in a row."""
    wide = block.width // len(block.rows[0])
    high = block.height // len(block.rows)
    steps = []
    for y, row in enumerate(block.rows):
        for x, run in dark_runs(row):
            place = f"M{block.left + x * wide} {block.top + y * high}"
            steps.append(f"{place}h{run * wide}v{high}h-{run * wide}z")
    return "".join(steps)


def build(engine: Engine) -> Renderer:
    """Return the renderer; the engine sets its text."""
    painter = BarcodePainter(engine)
    return Renderer(
        name="barcode",
        title="Barcode: EAN, UPC, Code 128, Data Matrix and others",
        parameters=Parameters,
        size=size,
        draw=painter.draw,
        vector=lambda parameters, _: painter.draw_svg(parameters),
        cheap=True,
        check=check,
        preflight=painter.preflight,
        version=f"1 zxing-cpp {version('zxing-cpp')} {engine.version}",
        example={"data": "5901234123457", "symbology": "ean13"},
    )
