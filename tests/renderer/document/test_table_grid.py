"""Tables: where cells stand, how wide columns are, and what bounds them."""

import re

import pytest
import turbohtml

from app.renderer.builtin.html import Parameters, page
from app.renderer.document import table_grid
from app.renderer.document.cascade import cascade
from app.renderer.document.properties import Ignored
from app.renderer.document.translation import translate
from app.renderer.embedded_images import EmbeddedImages
from app.renderer.errors import Undrawable
from tests.renderer.document.fonts import fonts

SIZE = (200, 120)
WHITE, RED, BLUE = (255, 255, 255), (255, 0, 0), (0, 0, 255)


@pytest.fixture
def shown(engine):
    """Draws a document; returns its pixels without alpha."""

    def show(document: str):
        parameters = Parameters(html=document, width=SIZE[0], height=SIZE[1])
        found = page(parameters, EmbeddedImages(1_000_000), engine)
        return engine.draw(found, SIZE, 1).image.convert("RGB")

    return show


def grid(markup: str) -> table_grid.Grid:
    document = turbohtml.parse(markup)
    elements = document.select("*")
    styles = cascade(document, elements, {}, Ignored())
    found = document.select_one("table")
    assert found is not None
    return table_grid.read(found, styles)


def width_of(image, color, y: int) -> int:
    return sum(image.getpixel((x, y)) == color for x in range(SIZE[0]))


@pytest.mark.parametrize(
    ("rows", "places"),
    [
        ("<tr><td>a<td>b<tr><td>c", [(0, 0, 1, 1), (0, 1, 1, 1), (1, 0, 1, 1)]),
        ("<tr><td colspan=2>a<td>b", [(0, 0, 1, 2), (0, 2, 1, 1)]),
        (
            "<tr><td rowspan=2>a<td>b<tr><td>c",
            [(0, 0, 2, 1), (0, 1, 1, 1), (1, 1, 1, 1)],
        ),
        ("<tr><td rowspan=65534>a<tr><td>b", [(0, 0, 2, 1), (1, 1, 1, 1)]),
        ("<tr><td rowspan=0>a<tr><td>b", [(0, 0, 2, 1), (1, 1, 1, 1)]),
        ("<tr><td colspan=0>a<td colspan=x>b", [(0, 0, 1, 1), (0, 1, 1, 1)]),
        (
            "<tfoot><tr><td>f</tfoot><thead><tr><td>h</thead><tr><td colspan=3>b",
            [(0, 0, 1, 1), (1, 0, 1, 3), (2, 0, 1, 1)],
        ),
    ],
)
def test_cells_stand_where_html_says(rows, places) -> None:
    cells = grid(f"<table>{rows}</table>").cells

    assert [(c.row, c.column, c.rows, c.columns) for c in cells] == places


@pytest.mark.parametrize(
    "markup",
    [
        "<table><tr><td colspan=1000000000>x</table>",
        "<table><tr>" + "<td>x" * 1_001 + "</table>",
        "<table>" + "<tr><td>" * 20_001 + "</table>",
    ],
)
def test_a_table_beyond_all_bounds_is_refused(markup) -> None:
    with pytest.raises(Undrawable, match="more than"):
        translate(markup, SIZE, EmbeddedImages(100), 200, fonts())


def test_only_even_rows_are_coloured(shown) -> None:
    image = shown(
        "<style>table{border-spacing:0;width:100%}td{height:20px;padding:0}"
        "tr:nth-child(even) td{background:red}</style>"
        "<table>\n<tr><td>\n<tr><td>\n<tr><td>\n</table>"
    )

    assert [image.getpixel((100, y)) for y in (10, 30, 50)] == [WHITE, RED, WHITE]


def test_a_table_is_no_wider_than_its_content(shown) -> None:
    image = shown("<table style='background:red'><tr><td>a<td>b</table>")

    assert 10 < width_of(image, RED, 1) < 60


def test_a_table_of_a_width_has_it_with_its_border(shown) -> None:
    image = shown(
        "<table width=100 cellspacing=0 style='border:5px solid red'><tr><td>a</table>"
    )

    assert width_of(image, RED, 2) == 100


def test_columns_have_the_widths_that_cells_ask_for(shown) -> None:
    image = shown(
        "<table width=200 cellspacing=0 cellpadding=0><tr height=20>"
        "<td width=50 bgcolor=red><td bgcolor=blue></table>"
    )

    assert (width_of(image, RED, 10), width_of(image, BLUE, 10)) == (50, 150)


def test_columns_share_a_width_by_their_parts(shown) -> None:
    image = shown(
        "<table width=200 cellspacing=0 cellpadding=0><tr height=20>"
        "<td width=25% bgcolor=red><td width=75% bgcolor=blue></table>"
    )

    assert (width_of(image, RED, 10), width_of(image, BLUE, 10)) == (50, 150)


def test_a_cell_over_two_rows_is_as_high_as_both(shown) -> None:
    image = shown(
        "<table cellspacing=0 cellpadding=0><tr><td rowspan=2 bgcolor=red width=20>"
        "<td height=30><tr><td height=30></table>"
    )

    assert [image.getpixel((10, y)) for y in (2, 57, 65)] == [RED, RED, WHITE]


def test_collapsed_borders_lie_on_each_other(shown) -> None:
    image = shown(
        "<style>table{border-collapse:collapse}td{border:4px solid red;padding:0;"
        "width:30px;height:20px}</style><table><tr><td><td><tr><td><td></table>"
    )

    assert width_of(image, RED, 14) == 12
    assert sum(image.getpixel((14, y)) == RED for y in range(SIZE[1])) == 12


def test_a_row_hands_colour_and_border_to_its_cells(shown) -> None:
    image = shown(
        "<style>table{border-collapse:collapse;width:100%}"
        "tr{border-bottom:4px solid red;background:blue}td{height:20px}</style>"
        "<table><tr><td></table>"
    )

    assert image.getpixel((100, 5)) == BLUE
    assert RED in {image.getpixel((100, y)) for y in range(18, 30)}


def test_border_and_padding_of_old_tables_are_those_of_their_cells(shown) -> None:
    plain, framed, padded = (
        shown(f"<table {attributes} bgcolor=red><tr><td>a</table>")
        for attributes in ("", "border=1", "cellpadding=20")
    )

    assert width_of(padded, RED, 10) > width_of(plain, RED, 10) + 30
    assert framed.getpixel((0, 10)) != RED
    assert framed.getpixel((3, 10)) != RED
    assert plain.getpixel((0, 10)) == RED


def test_what_is_displayed_as_a_table_fits_its_content(shown) -> None:
    image = shown("<div style='display:table;background:red'>x</div>")

    assert 3 < width_of(image, RED, 2) < 30


@pytest.mark.parametrize(
    "markup",
    [
        "<table><tr><td>a<td style='display:flex'>B</table>",
        "<table><tr style='display:flex'><td>a<td>B</table>",
        "<table><tr><td>a<td style='display:block'>B</table>",
    ],
)
def test_cells_and_rows_of_another_kind_of_box_stay_in_the_table(markup: str) -> None:
    found = grid(markup)

    assert [(cell.row, cell.column) for cell in found.cells] == [(0, 0), (0, 1)]


def test_a_cell_of_another_kind_of_box_is_drawn(shown) -> None:
    box = "display:flex;background:#f00;width:40px;height:30px;padding:0"

    image = shown(f"<table><tr><td>a</td><td style='{box}'>b</td></tr></table>")

    assert width_of(image, RED, 5) >= 30


def test_no_cell_reaches_out_of_its_group() -> None:
    found = grid(
        "<table><thead><tr><th rowspan=2>H<th>I<tbody><tr><td>a<td>b"
        "<tr><td rowspan=0>c<td>d</table>"
    )

    places = [(cell.row, cell.column, cell.rows) for cell in found.cells]
    assert places == [(0, 0, 1), (0, 1, 1), (1, 0, 1), (1, 1, 1), (2, 0, 1), (2, 1, 1)]


@pytest.mark.parametrize(
    ("said", "pixels"),
    [
        ("<style>table{border-spacing:1em}</style>", "16px"),
        ("<style>table{border-spacing:12pt 3px}</style>", "16px 3px"),
    ],
)
def test_the_spacing_of_borders_counts_in_any_unit(said, pixels) -> None:
    # Such as were not in pixels took no room, and columns were too wide by them.
    table = "<table><tr><td>some words<td>and many more words than there is room for"

    def columns(style: str) -> str:
        found = translate(style + table, SIZE, EmbeddedImages(1_000), 200, fonts())
        return re.search("grid-template-columns:[^;]*", found.body)[0]

    assert columns(said) == columns(f"<style>table{{border-spacing:{pixels}}}</style>")
    assert columns(said) != columns("<style>table{border-spacing:0}</style>")


@pytest.mark.parametrize(
    ("said", "pixels"),
    [
        ("<col style='width:36pt'>", "<col style='width:48px'>"),
        (
            "<td style='font-size:20px;width:3em'>",
            "<td style='font-size:20px;width:60px'>",
        ),
        ("<td style='width:0'>", "<td style='width:0px'>"),
    ],
)
def test_the_width_of_a_column_counts_in_any_unit(said, pixels) -> None:
    # Those of `<col>` were read in pixels alone, and `em` as sixteen of them.
    def columns(first: str) -> str:
        table = f"<table>{first}a b<td>some words and many more than there is room for"
        found = translate(table, SIZE, EmbeddedImages(1_000), 200, fonts())
        return re.search("grid-template-columns:[^;]*", found.body)[0]

    assert columns(said) == columns(pixels)
    assert columns(said) != columns("<td>")


@pytest.mark.parametrize("width", ["120px", "60vw", "7.5pc", "calc(100px + 20px)"])
def test_a_cell_over_columns_keeps_its_width_in_any_unit(shown, width) -> None:
    # Only some units were known.
    image = shown(
        "<style>table{border-spacing:0}td{padding:0;height:20px}</style>"
        f"<table><tr><td colspan=2 style='width:{width};background:red'>"
        "<tr><td>a<td>b</table>"
    )

    assert width_of(image, RED, 10) == 120
