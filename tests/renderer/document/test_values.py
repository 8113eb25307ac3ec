"""Lengths and fonts as browsers compute them."""

import pytest

from app.renderer.document.table_columns import Column, distribute, span
from app.renderer.document.values import ComputedFont, Units
from tests.renderer.document.fonts import typeface

FONT = ComputedFont(size=20.0, families="JetBrains Mono", line="1.45")


@pytest.fixture
def units() -> Units:
    return Units((800, 400), typeface)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("5ch", "60px"),
        ("2ex", "22px"),
        ("min(60px, 2em)", "40px"),
        ("max(1rem, 10vw)", "80px"),
        ("clamp(1rem, 50vh, 90px)", "90px"),
        ("CLAMP(1rem, 50vh, 90px)", "90px"),
        ("min(10px, calc(2px * (3 + 1)))", "8px"),
        ("calc((100% - 20px) / (3 + 1))", "calc(25% + -5px)"),
        ("0 max(4px, 2px) 1ch", "0 4px 12px"),
        ("linear-gradient(red min(4px, 9px), blue)", "linear-gradient(red 4px, blue)"),
    ],
)
def test_functions_and_units_become_pixels(units, value, said) -> None:
    assert units.computed("padding", value, FONT) == {"padding": said}


@pytest.mark.parametrize("value", ["min(10%, 3px)", "max(1px, 2)", "min(1px, 1foo)"])
def test_what_the_layout_alone_tells_is_not_guessed(units, value) -> None:
    assert units.computed("padding", value, FONT) is None


@pytest.mark.parametrize(
    ("value", "whole", "pixels"),
    [
        ("3pt", None, 4.0),
        (".5em", None, 10.0),
        ("0", None, 0.0),
        ("calc(50% + 1px)", 80.0, 41.0),
        ("50%", None, None),
        ("5", None, None),
        ("auto", 80.0, None),
        ("", 80.0, None),
    ],
)
def test_a_length_is_read_in_pixels_as_far_as_it_is_known(
    units, value, whole, pixels
) -> None:
    assert units.pixels(value, FONT, whole) == pixels


def test_a_bound_of_a_width_is_a_property_of_its_own(units) -> None:
    least = units.computed("width", "min(100%, 300px)", FONT)
    most = units.computed("width", "max(50%, 10em)", FONT)
    both = units.computed("width", "clamp(100px, 50%, 300px)", FONT)

    assert least == {"width": "100%", "max-width": "300px"}
    assert most == {"width": "50%", "min-width": "200px"}
    assert both == {"width": "50%", "min-width": "100px", "max-width": "300px"}


def test_a_column_of_a_grid_keeps_its_least_width(units) -> None:
    value = "repeat(auto-fill, minmax(min(100%, 200px), 1fr))"

    found = units.computed("grid-template-columns", value, FONT)

    assert found == {"grid-template-columns": "repeat(auto-fill, minmax(200px, 1fr))"}


@pytest.mark.parametrize(
    ("style", "parent", "size"),
    [
        ({"font-family": "monospace"}, ComputedFont(), 13.0),
        ({"font-family": "Menlo, monospace"}, ComputedFont(), 16.0),
        ({"font-family": "monospace"}, ComputedFont(size=20.0, is_absolute=True), 20.0),
        ({"font-size": "smaller"}, ComputedFont(size=12.0), 10.0),
        ({"font-size": "150%"}, ComputedFont(size=12.0), 18.0),
        ({"font-size": "clamp(1rem, 5vw, 3rem)"}, ComputedFont(), 40.0),
        ({"font-size": "x-large"}, ComputedFont(size=12.0), 24.0),
    ],
)
def test_letters_are_as_large_as_in_a_browser(units, style, parent, size) -> None:
    assert units.font(style, parent).size == pytest.approx(size)


def test_columns_share_what_is_left_by_the_length_of_their_lines() -> None:
    columns = [Column(10, 100), Column(10, 50), Column(10, 50)]

    assert distribute(columns, 400) == [200, 100, 100]


def test_columns_shrink_towards_their_longest_words() -> None:
    columns = [Column(20, 220), Column(40, 40), Column(20, 120)]

    assert distribute(columns, 230) == pytest.approx([120, 40, 70])


def test_columns_with_widths_keep_them_while_others_can_grow() -> None:
    columns = [Column(5, 40, fixed=50), Column(5, 30), Column(5, 30, share=25)]

    assert distribute(columns, 200) == [50, 100, 50]


def test_columns_without_text_share_alike() -> None:
    assert distribute([Column(0, 0, fixed=50), Column(), Column()], 200) == [50, 75, 75]


def test_a_cell_over_columns_widens_them() -> None:
    columns = [Column(10, 30), Column(10, 10)]

    span(columns, 40, 80)

    assert [each.least for each in columns] == [25, 15]
    assert [each.most for each in columns] == [60, 20]
