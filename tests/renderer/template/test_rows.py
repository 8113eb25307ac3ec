"""Tables as a parameter: read from what programs write, and laid on pages."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import create_model

from app.renderer.params import Parameters
from app.renderer.template.rows import paginate, parse_rows

Row = create_model(
    "Row",
    __base__=Parameters,
    description=str,
    quantity=(float | None, None),
    price=(float | None, None),
)
JSON = (
    '[{"description":"Tea, green","price":3.5,"quantity":2},'
    '{"description":"Kanne","price":-4}]'
)
LIST = [
    {"description": "Tea, green", "quantity": 2, "price": 3.5},
    {"description": "Kanne", "price": -4},
]


@pytest.mark.parametrize(
    "value",
    [
        LIST,
        JSON,
        f" {JSON}\n",
        "\n".join(orjson.dumps(row).decode() for row in LIST),
        [{**LIST[0], "quantity": "2", "price": "3.50"}, {**LIST[1], "quantity": None}],
        'description,quantity,price\n"Tea, green",2,3.50\nKanne,,-4\n',
        "\ufeffDescription;Quantity;Price\r\nTea, green;2;3.5\r\n\r\nKanne;;-4",
        "price\tdescription\tquantity\n3.5\tTea, green\t2\n-4\tKanne",
        "price|description|quantity\n3.5|Tea, green|2\n-4|Kanne|",
    ],
)
def test_one_table_has_one_spelling_however_it_is_sent(value: Any) -> None:
    assert parse_rows(value, Row, 10) == JSON


def test_a_line_of_json_ends_at_a_line_feed_alone() -> None:
    """U+2028 within a text broke the line."""
    line = '{"description":"one\u2028two"}'

    assert parse_rows(f"{line}\r\n{line}", Row, 10) == f"[{line},{line}]"


@pytest.mark.parametrize("value", ["", " \n", "[]", [], "description,price\n"])
def test_no_row_is_an_empty_table(value: Any) -> None:
    assert parse_rows(value, Row, 10) == "[]"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (LIST * 6, "has 12 rows, and takes 10"),
        ([{"price": 1}], "row 1, description: is required"),
        ([LIST[0], {"description": "A", "cost": 1}], "row 2, cost: is not known"),
        ([{"description": "A", "price": "much"}], "row 1, price: "),
        ([{"description": "A", "price": "1,50"}], "row 1, price: "),
        ([{"description": ["A"]}], "row 1, description: must be a text or a number"),
        (["Tea"], "row 1: must be an object with description, quantity, price"),
        ({"description": "A"}, "must be a list of rows"),
        (7, "must be a list of rows"),
        ("[1", "is not JSON: "),
        ("Tea 3.50", "CSV whose first line names description, quantity, price"),
        ("description,price\nTea,3,50", "row 1: has 3 cells, and there are 2 columns"),
        ("description,Description\nTea,3", "names a column twice"),
        ('description\n"Tea', "is not CSV: "),
    ],
)
def test_what_is_wrong_with_a_table_is_named(value: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_rows(value, Row, 10)


HEIGHTS = st.lists(st.floats(1, 100), max_size=60)


@given(HEIGHTS, st.floats(10, 300), st.floats(100, 300), st.floats(0, 100))
def test_every_row_is_on_one_page_that_has_room(
    heights: list[float], first: float, rest: float, tail: float
) -> None:
    pages = paginate(heights, first, rest, tail)

    assert [n for page in pages for n in range(*page)] == [*range(len(heights))]
    rooms = [first] + [rest] * (len(pages) - 1)
    for number, (page, room) in enumerate(zip(pages, rooms, strict=True)):
        used = sum(heights[slice(*page)])
        below = tail if number == len(pages) - 1 else 0
        assert used + below <= room + 1e-6 or page[1] - page[0] <= 1 or not number


def test_the_last_row_goes_to_the_page_of_what_stands_below() -> None:
    assert paginate([40, 40, 40], 120, 100, 30) == [(0, 2), (2, 3)]


def test_what_stands_below_has_a_page_where_no_row_is() -> None:
    assert paginate([], 50, 100, 80) == [(0, 0), (0, 0)]
