"""Print sheets: several images of a collection on one page, to be cut or folded.

Here is where everything goes, without a word of how a PDF says it. Lengths are points,
72 an inch; a place is counted from the page's lower left corner, as in PDF.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType
from typing import Annotated, Literal, NamedTuple

from pydantic import AfterValidator, Field

from app.renderer import params
from app.renderer.encode.pdf.document import PdfPage
from app.renderer.encode.pdf.sheet import Cell, Mark, Placed, impose, size_of
from app.renderer.errors import BadParameter, Fault, Undrawable
from app.renderer.paper import (
    CSS_DPI,
    POINTS,
    Paper,
    Sides,
    parse_length,
    parse_page,
    parse_sides,
)

# What bracketed names in a query begin with, and the object's name in JSON.
NAME = "sheet"
# Rounding of lengths in millimetres: what is smaller than this does not differ.
_EQUAL = 0.01
# A page's pieces are held until it is full.
_MOST_PIECES, _MOST_BYTES = 250, 64 << 20
# ISO 32000-1, annex C: 200 inches.
_MOST_POINTS = 14_400
# A page that names no margin keeps so much for what printers cannot reach.
_MARGIN = 10 / 25.4 * POINTS
# Crop marks begin so far outside, and are so long; shorter ones are left out.
_OFFSET, _LENGTH, _SHORTEST = 2 / 25.4 * POINTS, 5 / 25.4 * POINTS, 1.0
_NOTHING = re.compile(r"0+(\.0+)?\s*(mm|cm|in|pt|px)?", re.I)
_GRID = re.compile(r"\s*([1-9][0-9]{0,2})\s*[x\u00d7]\s*([1-9][0-9]{0,2})\s*", re.I)


def _points(text: str) -> float:
    """Return a length in points, or 0 for `gap=0`; raise ValueError."""
    if _NOTHING.fullmatch(text.strip()):
        return 0.0
    return parse_length(text, CSS_DPI) * POINTS


def _is_length(text: str) -> str:
    _points(text)
    return text.strip()


def _is_page(text: str) -> str:
    _page(text)
    return text.strip()


def _is_grid(text: str) -> str:
    if _GRID.fullmatch(text) is None:
        raise ValueError("must be columns x rows, such as 2x4")
    return text.strip()


def _page(text: str) -> Sides:
    """Return a page's sides in points; raise ValueError."""
    by_sides = any(digit.isdigit() for digit in text) and "x" in text.lower()
    width, height = parse_sides(text, CSS_DPI) if by_sides else parse_page(text)
    if max(width, height) * POINTS > _MOST_POINTS:
        raise ValueError("has a side of over 200 inches")
    return width * POINTS, height * POINTS


class _Stock(NamedTuple):
    """A sheet of labels that is sold: columns and rows, and lengths in inches."""

    page: str
    columns: int
    rows: int
    label: Sides
    corner: Sides
    gap: Sides


def _metric(columns: int, rows: int, label: Sides, corner: Sides, gap: float) -> _Stock:
    """Return a sheet of A4, measured in millimetres."""
    sides = [(x / 25.4, y / 25.4) for x, y in (label, corner, (gap, 0.0))]
    return _Stock("A4", columns, rows, *sides)


# What the makers of label sheets print on their packages: left and upper margin are
# those of the first label.
PRESETS: Mapping[str, _Stock] = MappingProxyType(
    {
        "avery-l7160": _metric(3, 7, (63.5, 38.1), (7.25, 15.15), 2.5),
        "avery-l7159": _metric(3, 8, (63.5, 33.9), (7.25, 12.9), 2.5),
        "avery-l7163": _metric(2, 7, (99.1, 38.1), (4.65, 15.15), 2.5),
        "avery-l7165": _metric(2, 4, (99.1, 67.7), (4.65, 13.1), 2.5),
        "avery-l7651": _metric(5, 13, (38.1, 21.2), (4.75, 10.7), 2.5),
        "avery-5160": _Stock("Letter", 3, 10, (2.625, 1), (0.1875, 0.5), (0.125, 0)),
        "avery-5163": _Stock("Letter", 2, 5, (4, 2), (0.15625, 0.5), (0.1875, 0)),
        "avery-5164": _Stock("Letter", 2, 3, (4, 10 / 3), (0.15625, 0.5), (0.1875, 0)),
        "avery-5371": _Stock("Letter", 2, 5, (3.5, 2), (0.75, 0.5), (0, 0)),
        "avery-5392": _Stock("Letter", 2, 3, (4, 3), (0.25, 1), (0, 0)),
    }
)

_Length = Annotated[str, AfterValidator(_is_length)]


class PrintOptions(params.Parameters):
    """What a caller can say of a print sheet."""

    page: Annotated[str, AfterValidator(_is_page)] | None = Field(
        None,
        description="Page, such as A4, Letter landscape or 13in x 19in; else A4.",
    )
    grid: Annotated[str, AfterValidator(_is_grid)] | None = Field(
        None,
        description="Columns x rows, such as 2x4. Left out, as many as fit in their"
        " own size.",
    )
    gap: _Length | None = Field(
        None,
        description="Between two pieces, such as 3mm; if left out, twice the bleed.",
    )
    margin: _Length | None = Field(
        None, description="Kept free around all and its bleed, such as 10mm."
    )
    bleed: _Length | None = Field(
        None,
        description="Of the artwork beyond every cut, such as 3mm: at most what the"
        " template declares, and half the gap. Nothing if left out.",
    )
    marks: Literal["none", "crop", "cut"] = Field(
        "none",
        description="Where to cut: marks outside at the corners, or lines across.",
    )
    fold: Literal["none", "top", "left"] = Field(
        "none",
        description="Each image twice, to be folded at this edge: at the top the"
        " second one stands on its head, as tents want it.",
    )
    duplex: Literal["none", "long", "short"] = Field(
        "none",
        description="A back with the same images behind each front, for printers that"
        " turn the paper at this edge.",
    )
    preset: str | None = Field(
        None,
        description="Sheet of labels by its maker's number: "
        + ", ".join(PRESETS)
        + ". It says page, grid, gap and margin.",
    )


@dataclass(frozen=True, slots=True)
class PrintSheet:
    """The measures of a page, and the cells in which pieces lie, row by row.

    `scale` is what the first image's own size is multiplied with to fit. Artwork is
    seen to the `bleed` beyond its cell.
    """

    page: Sides
    cells: tuple[Cell, ...]
    fold: str
    duplex: str
    marks: str
    scale: float
    bleed: float = 0.0

    def place(self, sizes: Sequence[Sides], *, back: bool = False) -> Iterator[Placed]:
        """Yield where images of these sizes lie, at most as many as there are cells.

        An image keeps its size where it fits; else it is made smaller, and turned where
        it is larger so. `back` is the other side of the paper.
        """
        for index, size in enumerate(sizes):
            cell = self.cells[index]
            turned = False
            if back:
                cell, turned = self._behind(cell)
            # Both are folded in the middle, and there no artwork is seen beyond.
            parts = zip(
                self._parts(cell), self._parts(_grown(cell, self.bleed)), strict=True
            )
            for (part, upside_down), (reach, _) in parts:
                yield self._placed(index, size, part, reach, upside_down != turned)

    def lines(self, count: int, *, back: bool = False) -> Iterator[Mark]:
        """Yield the marks for the first `count` pieces, and for folds."""
        if self.marks == "none":
            return
        cells = [self._behind(cell)[0] if back else cell for cell in self.cells[:count]]
        around = _around(cells)
        for axis in (0, 1):
            cuts = {edge for cell in cells for edge in _edges(cell, axis)}
            yield from self._marks(_apart(cuts), axis, around, dashed=False)
        folds = {middle for cell in cells for middle in self._folds(cell)}
        if folds:
            yield from self._marks(
                _apart(folds), int(self.fold == "top"), around, dashed=True
            )

    def check_bleed(self, name: str, paper: Paper) -> None:
        """Raise BadParameter where an image of a renderer has not the sheet's bleed."""
        if not self.bleed:
            return
        if not paper.bleed:
            raise _bad_bleed(self.bleed, f"{name!r} declares no bleed")
        part, _ = next(self._parts(self.cells[0]))
        scale, _ = self._fitted((paper.width, paper.height), part)
        if self.bleed > paper.bleed * scale + _EQUAL:
            at = "" if scale == 1 else f" at {scale:.0%} of its size"
            has = f"{name!r} has {_millimetres(paper.bleed * scale)}{at}"
            raise _bad_bleed(self.bleed, has)

    def _fitted(self, size: Sides, part: Cell) -> tuple[float, bool]:
        return _fit(size, (part.width, part.height), turns=self.fold == "none")

    def _placed(
        self, index: int, size: Sides, part: Cell, reach: Cell, upside_down: bool
    ) -> Placed:
        """Put an image into the middle of its part, to be seen as far as `reach`."""
        scale, turned = self._fitted(size, part)
        # Turned to the left: what was right of it is above.
        right = (0.0, scale) if turned else (scale, 0.0)
        if upside_down:
            right = -right[0], -right[1]
        up = -right[1], right[0]
        middle = part.x + part.width / 2, part.y + part.height / 2
        x, y = (
            at - (size[0] * a + size[1] * b) / 2
            for at, a, b in zip(middle, right, up, strict=True)
        )
        shown = _centred(_scaled(size, scale, turned=turned), part)
        seen = _common(_grown(shown, self.bleed), reach)
        return Placed(index, (*right, *up, x, y), seen)

    def _marks(
        self, places: Sequence[float], axis: int, around: Cell, *, dashed: bool
    ) -> Iterator[Mark]:
        """Yield lines at places on an axis, through the page or beside the pieces."""
        low, high = _edges(around, 1 - axis)
        end = self.page[1 - axis]
        if self.marks == "cut" and not dashed:
            spans = [(0.0, end)]
        else:
            away = self.bleed + _OFFSET
            before, after = low - away, high + away
            spans = [
                (max(0.0, before - _LENGTH), before),
                (after, min(end, after + _LENGTH)),
            ]
        for at in places:
            for start, stop in spans:
                if stop - start > _SHORTEST:
                    ends = (at, start), (at, stop)
                    first, last = (end[::-1] for end in ends) if axis else ends
                    yield Mark(_pair(first), _pair(last), dashed)

    def _behind(self, cell: Cell) -> tuple[Cell, bool]:
        """Return the cell on the other side, and whether what is in it is turned.

        A piece is turned like a page of a book, around its upright edge.
        """
        width, height = self.page
        upright = width <= height
        if (self.duplex == "long") == upright:
            return cell._replace(x=width - cell.x - cell.width), False
        return cell._replace(y=height - cell.y - cell.height), True

    def _parts(self, cell: Cell) -> Iterator[tuple[Cell, bool]]:
        """Yield the parts of a folded piece, and whether one stands on its head."""
        x, y, width, height = cell
        if self.fold == "top":
            yield Cell(x, y, width, height / 2), False
            yield Cell(x, y + height / 2, width, height / 2), True
        elif self.fold == "left":
            yield Cell(x + width / 2, y, width / 2, height), False
            yield Cell(x, y, width / 2, height), False
        else:
            yield cell, False

    def _folds(self, cell: Cell) -> Iterator[float]:
        if self.fold == "top":
            yield cell.y + cell.height / 2
        elif self.fold == "left":
            yield cell.x + cell.width / 2


def plan(options: PrintOptions, size: Sides) -> PrintSheet:
    """Return the sheet for images of which the first has this size in points.

    Raises BadParameter naming what contradicts another or leaves no room.
    """
    piece = (
        size[0] * (2 if options.fold == "left" else 1),
        size[1] * (2 if options.fold == "top" else 1),
    )
    page, cells, gap = _stocked(options) if options.preset else _divided(options, piece)
    bleed = _length(options.bleed, 0.0)
    if 2 * bleed > gap + _EQUAL:
        between = f"pieces are {_millimetres(gap)} apart, which has to be twice as much"
        raise _bad_bleed(bleed, between)
    turns = options.fold == "none"
    scale, _ = _fit(piece, (cells[0].width, cells[0].height), turns=turns)
    chosen = options.fold, options.duplex, options.marks
    return PrintSheet(page, cells, *chosen, scale, bleed)


def sheets(
    drawn: Iterator[PdfPage | None], options: PrintOptions
) -> Iterator[PdfPage | None]:
    """Yield a sheet, and its back, when its images are there; None while they are not.

    The first image decides the grid. Raises what `plan` raises, and Undrawable where
    the images of a page are over 64 MiB.
    """
    planned: PrintSheet | None = None
    held: list[PdfPage] = []
    size = 0
    for page in drawn:
        if page is None:
            yield None
            continue
        planned = planned or plan(options, size_of(page))
        held.append(page)
        size += sum(len(part.data or b"") for part in page.objects)
        if size > _MOST_BYTES:
            raise Undrawable("The images of one page are over 64 MiB together.")
        if len(held) == len(planned.cells):
            yield from _imposed(planned, held)
            held, size = [], 0
    if planned is not None and held:
        yield from _imposed(planned, held)


def _imposed(planned: PrintSheet, held: Sequence[PdfPage]) -> Iterator[PdfPage]:
    sizes = [size_of(page) for page in held]
    for back in (False, True)[: 1 if planned.duplex == "none" else 2]:
        placed = planned.place(sizes, back=back)
        yield impose(held, placed, planned.lines(len(held), back=back), planned.page)


def assumed(
    options: PrintOptions, size: Sides, papers: Mapping[str, Paper]
) -> tuple[str, ...]:
    """Return what a caller should know of the sheet; raise what `plan` raises.

    `size` is that of the first image. Raises BadParameter, too, where one of the
    `papers`, by renderer, has not the bleed that is asked for.
    """
    planned = plan(options, size)
    for name, paper in papers.items():
        planned.check_bleed(name, paper)
    scale = planned.scale
    if scale == 1:
        return ()
    return (f"sheet: printed at {scale:.0%} of their own size, to fit",)


def _stocked(options: PrintOptions) -> tuple[Sides, tuple[Cell, ...], float]:
    """Return a preset's page, its cells, and the least that two of them are apart."""
    name = str(options.preset).lower()
    if name not in PRESETS:
        known = ", ".join(PRESETS)
        raise BadParameter(Fault(f"{NAME}[preset]", f"is not known; there are {known}"))
    for field in ("page", "grid", "gap", "margin"):
        if getattr(options, field) is not None:
            fault = Fault(f"{NAME}[{field}]", "is what the preset says already")
            raise BadParameter(fault)
    stock = PRESETS[name]
    page = _page(stock.page)
    label, corner, gap = (
        (x * POINTS, y * POINTS) for x, y in (stock.label, stock.corner, stock.gap)
    )
    cells = _cells(page, (stock.columns, stock.rows), label, corner, gap)
    return page, cells, min(gap)


def _divided(
    options: PrintOptions, piece: Sides
) -> tuple[Sides, tuple[Cell, ...], float]:
    """Return the page, its cells, of a piece's size where so many fit, and the gap."""
    page = _page(options.page or "A4")
    bleed = _length(options.bleed, 0.0)
    gap = _length(options.gap, 2 * bleed)
    least = _length(options.margin, 0.0) + bleed
    room = page[0] - 2 * least, page[1] - 2 * least
    if min(room) <= 0:
        blamed = "bleed" if options.margin is None else "margin"
        raise BadParameter(Fault(f"{NAME}[{blamed}]", "leaves nothing of the page"))
    fitting = [
        int((side + gap + _EQUAL) // (own + gap))
        for side, own in zip(room, piece, strict=True)
    ]
    if options.grid is not None:
        found = _GRID.fullmatch(options.grid)
        assert found is not None
        counts = int(found[1]), int(found[2])
    else:
        counts = max(1, fitting[0]), max(1, fitting[1])
    if counts[0] <= fitting[0] and counts[1] <= fitting[1]:
        space = piece
    else:
        around = _length(options.margin, _MARGIN) + bleed
        sides = [
            (side - 2 * around - (count - 1) * gap) / count
            for side, count in zip(page, counts, strict=True)
        ]
        if min(sides) < 1:
            blamed = "page" if options.grid is None else "grid"
            raise BadParameter(Fault(f"{NAME}[{blamed}]", "leaves no room for a piece"))
        space = _pair(sides)
    total = [
        count * side + (count - 1) * gap
        for count, side in zip(counts, space, strict=True)
    ]
    corner = (page[0] - total[0]) / 2, (page[1] - total[1]) / 2
    scale, turned = _fit(piece, space, turns=options.fold == "none")
    cut = _scaled(piece, scale, turned=turned)
    # It is cut where the piece ends, and not where it had room.
    spaces = _cells(page, counts, space, corner, (gap, gap))
    return page, tuple(_centred(cut, each) for each in spaces), gap


def _cells(
    page: Sides, counts: tuple[int, int], cell: Sides, corner: Sides, gap: Sides
) -> tuple[Cell, ...]:
    """Return cells row by row from the upper left `corner`."""
    columns, rows = counts
    if columns * rows > _MOST_PIECES:
        has = f"is {columns}x{rows}, and a page takes {_MOST_PIECES} pieces"
        raise BadParameter(Fault(f"{NAME}[grid]", has))
    return tuple(
        Cell(
            corner[0] + column * (cell[0] + gap[0]),
            page[1] - corner[1] - row * (cell[1] + gap[1]) - cell[1],
            *cell,
        )
        for row in range(rows)
        for column in range(columns)
    )


def _bad_bleed(bleed: float, reason: str) -> BadParameter:
    return BadParameter(
        Fault(f"{NAME}[bleed]", f"is {_millimetres(bleed)}, and {reason}")
    )


def _millimetres(points: float) -> str:
    return f"{round(points / POINTS * 25.4, 2):g}mm"


def _centred(sides: Sides, within: Cell) -> Cell:
    (width, height), (x, y, *room) = sides, within
    return Cell(x + (room[0] - width) / 2, y + (room[1] - height) / 2, width, height)


def _grown(cell: Cell, by: float) -> Cell:
    x, y, width, height = cell
    return Cell(x - by, y - by, width + 2 * by, height + 2 * by)


def _common(one: Cell, other: Cell) -> Cell:
    """Return what two rectangles that overlap have in common."""
    left, bottom = max(one.x, other.x), max(one.y, other.y)
    right = min(one.x + one.width, other.x + other.width)
    top = min(one.y + one.height, other.y + other.height)
    return Cell(left, bottom, right - left, top - bottom)


def _length(text: str | None, default: float) -> float:
    return default if text is None else _points(text)


def _fit(size: Sides, room: Sides, *, turns: bool) -> tuple[float, bool]:
    """Return how much smaller a size becomes in a room, and whether it is turned.

    It is turned, where it may be, for what makes it larger.
    """
    upright = min(room[0] / size[0], room[1] / size[1])
    turned = min(room[0] / size[1], room[1] / size[0])
    # A hundredth of a point too much is rounding.
    if upright >= 1 - _EQUAL / max(size):
        return 1.0, False
    if turns and turned > upright * 1.01:
        return min(turned, 1.0), True
    return upright, False


def _edges(box: Cell, axis: int) -> tuple[float, float]:
    low, side = (box.y, box.height) if axis else (box.x, box.width)
    return low, low + side


def _around(cells: Sequence[Cell]) -> Cell:
    left = min(cell.x for cell in cells)
    bottom = min(cell.y for cell in cells)
    right = max(cell.x + cell.width for cell in cells)
    top = max(cell.y + cell.height for cell in cells)
    return Cell(left, bottom, right - left, top - bottom)


def _apart(places: set[float]) -> list[float]:
    """Return places in order, those that differ by rounding alone once."""
    ordered = sorted(places)
    return ordered[:1] + [b for a, b in pairwise(ordered) if b - a > _EQUAL]


def _scaled(size: Sides, scale: float, *, turned: bool) -> Sides:
    width, height = size[::-1] if turned else size
    return width * scale, height * scale


def _pair(ends: Sequence[float]) -> Sides:
    return ends[0], ends[1]
