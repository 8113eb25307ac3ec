"""Tables as grids: where cells stand (HTML, 4.9.12), and what grids need for them."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from turbohtml import Element

from app.renderer.document import box_model
from app.renderer.document.cascade import Style, Styles
from app.renderer.document.table_columns import Column, distribute, fixed
from app.renderer.errors import Undrawable

TABLES = frozenset({"table", "inline-table"})
_GROUPS = ("table-header-group", "table-row-group", "table-footer-group")
_BREAKS = ("break-before", "break-after", "break-inside")
_UNSEEN = ("none", "table-column", "table-column-group")
_WHOLE = re.compile(r"\s*(\d{1,12})")
_MOST_COLUMNS = 1_000
_MOST_ROWS = 20_000
# What cells have of their row and its group, which are no boxes here.
_PASSED_ON = re.compile(
    r"color$|font|text-|line-height|letter-spacing|word-|white-space|vertical-align"
    r"|background|visibility|direction|overflow-wrap|list-style|--"
)


class GridRow(NamedTuple):
    """A row: what its cells have of it, and the elements that they are."""

    style: Style
    cells: list[Element]
    # What is said of breaks before, after and in it.
    breaks: Style
    # Its borders, and those of its group that are on it.
    edges: tuple[Style, ...] = ()


class GridCell(NamedTuple):
    """A cell with its place, from nought."""

    element: Element
    row: int
    column: int
    rows: int
    columns: int


@dataclass(frozen=True, slots=True)
class Grid:
    """The cells of a table, its captions, and how many columns there are."""

    rows: list[GridRow]
    cells: list[GridCell]
    captions: list[Element]
    columns: int
    # How many rows are in its head, and in its foot.
    heads: int = 0
    feet: int = 0


def read(table: Element, styles: Styles) -> Grid:
    """Return where the cells of a table stand.

    Raises Undrawable beyond 1,000 columns or 20,000 rows.
    """
    parts: dict[str, list[GridRow]] = {name: [] for name in _GROUPS}
    captions: list[Element] = []
    loose: GridRow | None = None
    for child in _children(table):
        style = styles.elements[child]
        kind = style.get("display", "inline")
        if kind == "table-caption":
            captions.append(child)
        elif kind in parts:
            passed, first = _passed(style), len(parts[kind])
            for row in _children(child):
                own = styles.elements[row]
                if _is_row(row, own):
                    parts[kind].append(_row(row, {**passed, **_of_row(own)}, styles))
                elif _is_shown(own):
                    parts[kind].append(GridRow(passed, [row], {}))
            if edges := _edges(style):
                _frame(parts[kind], first, edges)
        elif _is_row(child, style):
            parts["table-row-group"].append(_row(child, _of_row(style), styles))
        elif _is_shown(style):
            rows = parts["table-row-group"]
            if kind == "table-cell" and loose is not None:
                # Cells that follow each other stand in one row (CSS 2.2, 17.2.1).
                loose.cells.append(child)
                continue
            rows.append(GridRow({}, [child], {}))
            loose = rows[-1] if kind == "table-cell" else None
            continue
        loose = None
    rows = [row for name in _GROUPS for row in parts[name]]
    if len(rows) > _MOST_ROWS:
        raise Undrawable(f"A table has more than {_MOST_ROWS:,} rows.")
    cells: list[GridCell] = []
    above = 0
    for name in _GROUPS:
        cells += _placed(parts[name], above)
        above += len(parts[name])
    columns = max((cell.column + cell.columns for cell in cells), default=0)
    heads, feet = len(parts[_GROUPS[0]]), len(parts[_GROUPS[2]])
    return Grid(rows, cells, captions, columns, heads, feet)


def is_block(table: Element, style: Style, styles: Styles) -> bool:
    """Tell whether a table is a block, and what is in it is not."""
    kinds = {styles.elements[child].get("display") for child in _children(table)}
    return style.get("display") == "block" and not kinds.isdisjoint(
        {*_GROUPS, "table-row"}
    )


def _children(element: Element) -> list[Element]:
    return [child for child in element.children if isinstance(child, Element)]


def _row(row: Element, style: Style, styles: Styles) -> GridRow:
    # What is none stands in a cell that nobody has written (CSS 2.2, 17.2.1).
    cells = [child for child in _children(row) if _is_shown(styles.elements[child])]
    own = styles.elements[row]
    breaks = {name: own[name] for name in _BREAKS if name in own}
    edges = _edges(own)
    return GridRow(style, cells, breaks, (edges,) if edges else ())


def _edges(style: Style) -> Style:
    return {n: v for n, v in style.items() if n.startswith("border")}


def _frame(rows: list[GridRow], first: int, edges: Style) -> None:
    """Put the border of a group around its rows."""
    for number in range(first, len(rows)):
        given: Style = {}
        for which in box_model.SIDES:
            if {"top": first, "bottom": len(rows) - 1}.get(which, number) == number:
                given |= box_model.on_side(edges, which)
        rows[number] = rows[number]._replace(edges=(*rows[number].edges, given))


def _is_row(element: Element, style: Style) -> bool:
    """Tell whether an element is a row; what its cells are in is a box nowhere."""
    return style.get("display") == "table-row" or (
        element.tag == "tr" and _is_shown(style)
    )


def _is_shown(style: Style) -> bool:
    return style.get("display") not in _UNSEEN


def _passed(style: Style) -> Style:
    return {name: value for name, value in style.items() if _PASSED_ON.match(name)}


def _of_row(style: Style) -> Style:
    """Return what cells have of a row: its height too."""
    found = _passed(style)
    if height := style.get("height"):
        found["height"] = height
    return found


def _placed(rows: list[GridRow], above: int) -> Iterable[GridCell]:
    """Yield the cells of a group, below so many rows: no cell reaches out of it."""
    # The row in which each column is free again.
    free: list[int] = []
    for number, row in enumerate(rows):
        column = 0
        for element in row.cells:
            wide = _span(element, "colspan", 1)
            while column < len(free) and free[column] > number:
                column += 1
            if column + wide > _MOST_COLUMNS:
                raise Undrawable(f"A table has more than {_MOST_COLUMNS:,} columns.")
            left = len(rows) - number
            high = min(_span(element, "rowspan", 0) or left, left)
            free.extend([0] * (column + wide - len(free)))
            free[column : column + wide] = [number + high] * wide
            yield GridCell(element, above + number, column, high, wide)
            column += wide


def _span(element: Element, name: str, least: int) -> int:
    text = element.attr(name)
    found = _WHOLE.match(text) if text else None
    return max(least, int(found[1])) if found else 1


def columns(
    grid: Grid,
    table: Element,
    styles: Styles,
    pixels: Callable[[str], float | None],
) -> list[Column]:
    """Return the columns of a table with the widths that `<col>` asks for.

    `pixels` reads a length.
    """
    found = [Column() for _ in range(grid.columns)]
    place = 0
    for each in table.select("col"):
        if each.closest("table") is table:
            width = styles.elements[each].get("width", "")
            for _ in range(min(_span(each, "span", 1), _MOST_COLUMNS)):
                if place < len(found):
                    _ask(found[place], width, pixels(width) or None)
                place += 1
    return found


def _ask(column: Column, width: str, length: float | None) -> None:
    if _SHARE.fullmatch(width):
        column.share = max(column.share or 0.0, float(width[:-1]))
    elif length is not None:
        column.fixed = max(column.fixed or 0.0, length)


def note(
    cell: GridCell,
    style: Style,
    columns: list[Column],
    least: float,
    most: float,
    edges: float,
    length: float | None,
) -> None:
    """Let a column be as wide as a cell that stands in it alone asks for.

    `least` and `most` are widths of the content, `edges` those of padding and borders,
    `length` is what its own width comes to, all in CSS pixels.
    """
    if cell.columns > 1:
        return
    column = columns[cell.column]
    column.least = max(column.least, least + edges)
    column.most = max(column.most, most + edges)
    if length is not None and style.get("box-sizing") != "border-box":
        length += edges
    _ask(column, style.get("width", ""), length)


def widths(
    columns: list[Column], room: float | None, gaps: float, said: str, is_fixed: bool
) -> list[float] | None:
    """Return how wide columns are in a table with so much room; None without.

    `said` is the table's own width, `gaps` what lies between columns.
    """
    if room is None:
        return None
    room -= gaps
    if is_fixed:
        return fixed(columns, room)
    if said in ("auto", "fit-content"):
        room = min(room, sum(each.wanted for each in columns))
    return distribute(columns, max(room, sum(each.least for each in columns)))


def tracks(
    columns: list[Column], widths: list[float] | None, said: str, is_fixed: bool
) -> str:
    """Return columns as the grid's: by the engine's own measure where that is all."""
    if said in ("auto", "fit-content") and (
        widths is None
        or all(
            width >= each.wanted - _ROUNDING
            for width, each in zip(widths, columns, strict=True)
        )
    ):
        return " ".join(map(_track, columns))
    if widths is None:
        if is_fixed:
            return " ".join(["minmax(0,1fr)"] * len(columns))
        return " ".join(
            _track(each) if each.share or each.fixed else f"{max(each.most, 1):g}fr"
            for each in columns
        )
    kind = "minmax(0,{:.6g}fr)" if is_fixed else "{:.6g}fr"
    return " ".join(kind.format(max(width, 0.01)) for width in widths)


_SHARE = re.compile(r"[\d.]+%")
_ROUNDING = 0.01


def _track(column: Column) -> str:
    if column.share is not None:
        return f"{column.share:g}%"
    return "auto" if column.fixed is None else f"minmax(auto,{column.fixed:g}px)"


def cell_style(
    style: Style, row: Style, cell: GridCell, first: int, length: float | None
) -> Style:
    """Return the style of a cell's box, of which `first` is the grid's first row.

    `length` is what its width comes to in CSS pixels, None where it is no length.
    """
    kept = {**row, **style}
    if "background" in style or "background-color" in style:
        for name in [name for name in row if name.startswith("background")]:
            if name not in style:
                del kept[name]
    width, height = kept.pop("width", ""), kept.pop("height", "")
    if length is not None and cell.columns > 1:
        kept["min-width"] = width
    if height and not height.endswith("%"):
        kept["min-height"] = height
    if kept.get("min-width", "%").endswith("%"):
        kept["min-width"] = "min-content"
    kept["display"] = "block"
    for name in ("margin", "margin-left", "margin-right", "margin-top"):
        kept.pop(name, None)
    kept["grid-row"] = f"{cell.row + first} / span {cell.rows}"
    kept["grid-column"] = f"{cell.column + 1} / span {cell.columns}"
    return kept


def collapse(style: Style, left: float, top: float) -> None:
    """Let so much of a cell's borders lie on those of the cells before and above it."""
    for side, width in (("left", left), ("top", top)):
        if width:
            style[f"margin-{side}"] = f"-{width:g}px"
