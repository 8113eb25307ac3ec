"""Tables as grids of the engine, their columns as wide as browsers make them."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import NamedTuple

from turbohtml import Element

from app.renderer.document import box_model, defaults, table_columns, table_grid
from app.renderer.document.box_model import LayoutBox, is_in_flow
from app.renderer.document.cascade import Style
from app.renderer.document.computed_style import Context
from app.renderer.document.intrinsic_size import Extent
from app.renderer.document.markup_writer import MarkupWriter

# Writes an element with its content; tells whether it, or something in it, is a block.
WriteBox = Callable[[MarkupWriter, Element, Style, Context, LayoutBox], bool]


class _DrawnBorders(NamedTuple):
    """How wide, in CSS pixels, the borders of cells so far are.

    Below them by the row beneath, and on their right by the column beside, with the
    row in which that ends.
    """

    below: dict[int, float]
    beside: dict[int, tuple[int, float]]

    def overlap(
        self, cell: table_grid.GridCell, borders: tuple[float, float, float, float]
    ) -> tuple[float, float]:
        """Return what of its borders on the left and above lies on its neighbours'."""
        top, right, bottom, left = borders
        end, beside = self.beside.get(cell.column, (0, 0.0))
        found = (
            min(left, beside if end > cell.row else 0.0),
            min(top, self.below.get(cell.row, 0.0)),
        )
        under, after = cell.row + cell.rows, cell.column + cell.columns
        self.below[under] = max(bottom, self.below.get(under, 0.0))
        self.beside[after] = under, right
        return found


def write(
    writer: MarkupWriter,
    write_box: WriteBox,
    element: Element,
    style: Style,
    context: Context,
    box: LayoutBox,
) -> bool:
    """Write a table as a grid; a box without cells as a block that fits.

    Tells whether it is a block.
    """
    writer.first_letter = None
    grid = table_grid.read(element, writer.styles)
    is_inline = style["display"] == "inline-table"
    said = style.get("width", "auto")
    style.setdefault("width", "fit-content")
    if not grid.cells:
        style["display"] = "inline-block" if is_inline else "block"
        return write_box(writer, element, style, context, box)
    style["display"] = "inline-grid" if is_inline else "grid"
    collapsed = context.inherited.get("border-collapse") == "collapse"
    spacing = 0.0
    if not collapsed:
        spaces = context.inherited.get("border-spacing", "0").split()
        style["gap"] = f"{spaces[-1]} {spaces[0]}"
        style.setdefault("padding", style["gap"])
        spacing = writer.units.pixels(spaces[0], context.font) or 0.0
    writer.end_line(style)
    place = writer.begin()
    # What a table itself is placed by is not its cells' (HTML, 15.3.11).
    given = {**context.inherited}
    if given.get("text-align", "").startswith("-webkit-"):
        del given["text-align"]
    inner = replace(context, inherited=given, is_flex=False)
    side = context.inherited.get("caption-side", "top")
    captions: list[list[Element]] = [[], []]
    for caption in grid.captions:
        own = writer.styles.elements[caption].get("caption-side", side)
        captions[own == "bottom"].append(caption)
    above = len(captions[0])
    outer, writer.extent = writer.extent, Extent()
    cost, writer.cost = writer.cost, 1.0
    for first, several in zip((1, above + 1 + len(grid.rows)), captions, strict=True):
        for number, caption in enumerate(several, first):
            _caption(writer, write_box, caption, number, inner, box)
    columns = table_grid.columns(
        grid, element, writer.styles, partial(writer.units.pixels, font=context.font)
    )
    wide: list[tuple[table_grid.GridCell, LayoutBox, Extent]] = []
    framed = False
    drawn = _DrawnBorders({}, {})
    for cell in grid.cells:
        if writer.printed is not None:
            writer.printed.enter_row(cell.row, grid)
        each, border = _cell(
            *(
                writer,
                write_box,
                cell,
                grid,
                above + 1,
                drawn if collapsed else None,
                inner,
                columns,
                box,
            )
        )
        wide.append((cell, each, writer.extent))
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
    writer.extent = outer
    if outer is not None:
        inner_extent = Extent(
            0.0,
            sum(each.wanted for each in columns) + gaps,
            sum(each.least for each in columns) + gaps,
        )
        outer.add_box(inner_extent, box, is_inline)
    writer.at_start, writer.blank = not is_inline, -1
    writer.nest(cost, is_inline)
    mark = writer.mark(style, context)

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
        style["grid-template-columns"] = table_grid.tracks(columns, widths, said, fixed)
        if said in ("auto", "fit-content"):
            # The engine would make it as wide as its content, room or not.
            if widths is None:
                style.setdefault("max-width", "100%")
            elif sum(widths) < sum(each.wanted for each in columns):
                is_whole = style.get("box-sizing") == "border-box"
                style["width"] = f"{sum(widths) + gaps + is_whole * edges:.6g}px"
        writer.open(place, "div", style, element, "", mark)

    writer.unfinished.append((place, finish))
    writer.put("</div>")
    return not is_inline


def _caption(
    writer: MarkupWriter,
    write_box: WriteBox,
    caption: Element,
    row: int,
    context: Context,
    table: LayoutBox,
) -> None:
    style, inner = writer.computed.compute(writer.styles.elements[caption], context)
    style |= {"display": "block", "grid-column": "1 / -1", "grid-row": f"{row}"}
    box = LayoutBox(style, inner.font, table, writer.units, is_in_flow(style))
    write_box(writer, caption, style, inner, box)


def _cell(
    writer: MarkupWriter,
    write_box: WriteBox,
    cell: table_grid.GridCell,
    grid: table_grid.Grid,
    first: int,
    drawn: "_DrawnBorders | None",
    context: Context,
    columns: list[table_columns.Column],
    table: LayoutBox,
) -> tuple[LayoutBox, bool]:
    """Write a cell, and tell its box, and whether it has a border above."""
    row = grid.rows[cell.row].style
    given = {**row, **writer.styles.elements[cell.element]}
    if "text-align" in row and given["text-align"] == defaults.HEADING_ALIGN:
        given["text-align"] = row["text-align"]
    own, inner = writer.computed.compute(given, context)
    across, _ = writer.computed.compute(row, context)
    length = writer.units.pixels(own.get("width", "auto"), inner.font)
    style = table_grid.cell_style(own, across, cell, first, length)
    if drawn is not None:
        _take_edges(writer, cell, grid, style, context, table)
    widths = top, right, _, left = box_model.borders(style)
    if drawn is not None:
        table_grid.collapse(style, *drawn.overlap(cell, widths))
    usual = "middle" if cell.element.tag in ("td", "th") else "baseline"
    place = style.pop("vertical-align", usual)
    writer.counters.enter(style, inner.depth)
    box = LayoutBox(style, inner.font, table, writer.units)
    writer.extent = extent = Extent()
    outer = writer.begin()
    if place in ("middle", "bottom"):
        style |= {"display": "flex", "flex-direction": "column"}
        style["justify-content"] = "center" if place == "middle" else "end"
    content = LayoutBox({}, inner.font, box, writer.units)
    mark = writer.mark(style, inner)
    write_box(writer, cell.element, {"display": "block"}, inner, content)
    writer.open(outer, "div", style, None, "", mark)
    writer.counters.leave(inner.depth)
    writer.put("</div>")
    extent.end()
    edges = box.edges("padding", None)
    if drawn is not None:
        # Neighbours share their borders.
        edges -= left / 2
        edges -= right / 2
    table_grid.note(cell, own, columns, extent.least, extent.most, edges, length)
    extent.least, extent.most = extent.least + edges, extent.most + edges
    writer.extent = extent
    return box, not cell.row and top > 0


def _take_edges(
    writer: MarkupWriter,
    cell: table_grid.GridCell,
    grid: table_grid.Grid,
    style: Style,
    context: Context,
    table: LayoutBox,
) -> None:
    """Give a cell the borders of its rows that are wider than its own.

    And those of the table that are wider than one of its own.

    CSS 2.2, 17.6.2.1; rows have none where borders are not collapsed.
    """
    first, last = grid.rows[cell.row], grid.rows[cell.row + cell.rows - 1]
    sides = [("top", first), ("bottom", last)]
    if not cell.column:
        sides.append(("left", first))
    if cell.column + cell.columns == grid.columns:
        sides.append(("right", first))
    for which, row in sides:
        at = box_model.SIDES.index(which)
        for edges in row.edges:
            found, _ = writer.computed.compute(edges, context)
            if box_model.borders(found)[at] > box_model.borders(style)[at]:
                _take_edge(style, found, which)
    around = box_model.borders(table.style)
    own = box_model.borders(style)
    is_last = cell.row + cell.rows == len(grid.rows)
    is_right = cell.column + cell.columns == grid.columns
    for at, is_edge in enumerate((cell.row == 0, is_right, is_last, not cell.column)):
        if is_edge and 0 < own[at] < around[at]:
            _take_edge(style, table.style, box_model.SIDES[at])


def _take_edge(style: Style, given: Mapping[str, str], which: str) -> None:
    for name, value in box_model.on_side(given, which).items():
        style.pop(name, None)
        style[name] = value
