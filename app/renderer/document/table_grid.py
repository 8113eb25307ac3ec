"""Tables as grids: where cells stand (HTML, 4.9.12), and what grids need for them."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from turbohtml import Element

from app.renderer.document.cascade import Style, Styles
from app.renderer.errors import Undrawable

TABLES = frozenset({"table", "inline-table"})
_GROUPS = ("table-header-group", "table-row-group", "table-footer-group")
_UNSEEN = ("none", "table-column", "table-column-group")
_MOST_COLUMNS = 1_000
_MOST_ROWS = 20_000
# What cells have of their row and its group, which are no boxes here.
_PASSED_ON = re.compile(
    r"color$|font|text-|line-height|letter-spacing|word-|white-space|vertical-align"
    r"|background|visibility|direction|overflow-wrap|list-style|--"
)
_WIDTH = re.compile(r"(?:^|\s)(?:([\d.]+)px|(thin|medium|thick))(?=\s|$)")
_NAMED = {"thin": 1.0, "medium": 3.0, "thick": 5.0}


class GridRow(NamedTuple):
    """A row: what its cells have of it, and the elements that they are."""

    style: Style
    cells: list[Element]


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


def read(table: Element, styles: Styles) -> Grid:
    """Return where the cells of a table stand.

    Raises Undrawable beyond 1,000 columns or 20,000 rows.
    """
    parts: dict[str, list[GridRow]] = {name: [] for name in _GROUPS}
    captions: list[Element] = []
    for child in _children(table):
        style = styles.elements[child]
        kind = style.get("display", "inline")
        if kind == "table-caption":
            captions.append(child)
        elif kind in parts:
            passed = _passed(style)
            for row in _children(child):
                own = styles.elements[row]
                if _is_row(row, own):
                    parts[kind].append(_row(row, {**passed, **_of_row(own)}, styles))
                elif _is_shown(own):
                    parts[kind].append(GridRow(passed, [row]))
        elif _is_row(child, style):
            parts["table-row-group"].append(_row(child, _of_row(style), styles))
        elif _is_shown(style):
            parts["table-row-group"].append(GridRow({}, [child]))
    rows = [row for name in _GROUPS for row in parts[name]]
    if len(rows) > _MOST_ROWS:
        raise Undrawable(f"A table has more than {_MOST_ROWS:,} rows.")
    cells: list[GridCell] = []
    above = 0
    for name in _GROUPS:
        cells += _placed(parts[name], above)
        above += len(parts[name])
    columns = max((cell.column + cell.columns for cell in cells), default=0)
    return Grid(rows, cells, captions, columns)


def _children(element: Element) -> list[Element]:
    return [child for child in element.children if isinstance(child, Element)]


def _row(row: Element, style: Style, styles: Styles) -> GridRow:
    # What is none stands in a cell that nobody has written (CSS 2.2, 17.2.1).
    cells = [child for child in _children(row) if _is_shown(styles.elements[child])]
    return GridRow(style, cells)


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
    """Return what cells have of a row: its height and borders too."""
    found = _passed(style)
    for name in ("border-top", "border-bottom", "height"):
        if value := style.get(name) or (style.get("border") if "-" in name else None):
            found[name] = value
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
    found = re.match(r"\s*(\d{1,12})", element.attr(name) or "1")
    return max(least, int(found[1])) if found else 1


def tracks(grid: Grid, table: Element, styles: Styles) -> str:
    """Return the columns of the grid: widths that cells or `<col>` ask for."""
    wanted: dict[int, str] = {}
    column = 0
    for each in table.select("col"):
        if each.closest("table") is table:
            width = styles.elements[each].get("width", "")
            for _ in range(min(_span(each, "span", 1), _MOST_COLUMNS)):
                if width:
                    wanted[column] = width
                column += 1
    for cell in grid.cells:
        width = styles.elements[cell.element].get("width", "")
        if cell.columns == 1 and width not in ("", "auto"):
            wanted.setdefault(cell.column, width)
    widths = [wanted.get(column, "auto") for column in range(grid.columns)]
    if all(_SHARE.fullmatch(width) for width in widths):
        return " ".join(f"{width[:-1]}fr" for width in widths)
    if all(_LENGTH.fullmatch(width) for width in widths):
        # Somebody has to take what the table itself is wider.
        return " ".join(["auto"] * grid.columns)
    return " ".join(map(_track, widths))


_LENGTH = re.compile(r"[\d.]+(?:px|em|rem|pt|in|cm|mm)")
_SHARE = re.compile(r"[\d.]+%")


def _track(width: str) -> str:
    if _LENGTH.fullmatch(width):
        return f"minmax(auto,{width})"
    return width if _SHARE.fullmatch(width) else "auto"


def cell_style(style: Style, row: Style, cell: GridCell, first: int) -> Style:
    """Return the style of a cell's box, of which `first` is the grid's first row."""
    kept = {**row, **style}
    if "background" in style or "background-color" in style:
        for name in [name for name in row if name.startswith("background")]:
            if name not in style:
                del kept[name]
    width, height = kept.pop("width", ""), kept.pop("height", "")
    if _LENGTH.fullmatch(width):
        kept["min-width"] = width
    if height and not height.endswith("%"):
        kept["min-height"] = height
    kept["min-width"] = kept.get("min-width", "min-content")
    kept["display"] = "block"
    for name in ("margin", "margin-left", "margin-right", "margin-top"):
        kept.pop(name, None)
    kept["grid-row"] = f"{cell.row + first} / span {cell.rows}"
    kept["grid-column"] = f"{cell.column + 1} / span {cell.columns}"
    return kept


def collapse(style: Style, cell: GridCell) -> None:
    """Let the borders of a cell lie on those of the cells above and before it."""
    for side, at in (("left", cell.column), ("top", cell.row)):
        width = border_width(style, side)
        if at and width:
            style[f"margin-{side}"] = f"-{width:g}px"


def border_width(style: Style, side: str) -> float:
    """Return the width of a border in CSS pixels, as far as it is said in them."""
    found = 0.0
    for name in style:
        if name in ("border", f"border-{side}"):
            value = style[name].lower()
            has = not re.search(r"none|hidden|^0", value)
            width = _WIDTH.search(value)
            number = float(width[1] or _NAMED[width[2]]) if width else 3.0
            found = number if has else 0.0
        elif name in ("border-width", f"border-{side}-width"):
            width = _WIDTH.search(style[name])
            found = float(width[1] or _NAMED[width[2]]) if width else 0.0
    return found
