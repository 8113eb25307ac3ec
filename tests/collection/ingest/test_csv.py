"""CSV is read as spreadsheets write it."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.collection.errors import BadRows, Unreadable
from app.collection.ingest.columns import Columns
from app.collection.ingest.csv import read_csv
from app.collection.ingest.table import TableRow
from tests.collection.uploads import Drips

NAMES = Columns(frozenset({"name", "role", "qr"}))
MOST = 1 << 20


def rows(text: str | bytes, columns: Columns = NAMES) -> list[TableRow]:
    data = text.encode() if isinstance(text, str) else text
    return [*read_csv(io.BytesIO(data), columns, MOST)]


def values(text: str | bytes, columns: Columns = NAMES) -> list[object]:
    return [row.values for row in rows(text, columns)]


@pytest.mark.parametrize(
    "text",
    [
        "name,role\nA,B\n",
        "name;role\nA;B\n",
        "name\trole\nA\tB\n",
        "\ufeffname,role\r\nA,B\r\n",
        "name,role\rA,B\r",
        "name,role\nA,B",
        'name,role\n"A","B"\n',
        "sep=;\nname;role\nA;B\n",
        '"sep=\t"\r\nname\trole\r\nA\tB\r\n',
        "\n\nname , role\n\nA,B\n \n",
        '"name","role"\nA,B\n',
    ],
)
def test_every_dialect_gives_the_same_row(text: str) -> None:
    assert values(text) == [{"name": "A", "role": "B"}]


def test_a_comma_in_quotes_stays_in_its_cell() -> None:
    assert values('name,role\n"Hopper, Grace",B\n')[0] == {
        "name": "Hopper, Grace",
        "role": "B",
    }


def test_a_line_break_in_quotes_stays_in_its_cell_and_lines_are_counted() -> None:
    found = rows('name\n"A\r\nB"\nC\n')

    assert [(row.line, row.values["name"]) for row in found] == [
        (2, "A\r\nB"),
        (4, "C"),
    ]


def test_a_quote_in_quotes_is_doubled() -> None:
    assert values('name\n"say ""A"""\n') == [{"name": 'say "A"'}]


def test_an_empty_cell_is_not_given() -> None:
    assert values("name,role\nA,\n") == [{"name": "A"}]


def test_a_quoted_nothing_is_a_row_and_a_blank_line_is_none() -> None:
    assert values('name\n""\n\n') == [{}]


def test_cells_keep_their_blanks() -> None:
    assert values("name\n A \n") == [{"name": " A "}]


def test_the_delimiter_is_the_one_that_makes_known_columns() -> None:
    columns = Columns(frozenset({"name", "role"}), frozenset({"a,b,c"}))

    assert values("name;role;a,b,c\nA;B;x\n", columns) == [{"name": "A", "role": "B"}]


def test_a_column_may_have_a_line_break_in_its_name() -> None:
    columns = Columns(frozenset({"name"}), frozenset({"the\nnotes"}))

    found = rows('name,"the\nnotes"\nA,x\n', columns)

    assert found[0].extra == {"the\nnotes": "x"}
    assert found[0].line == 3


def test_ignored_columns_are_apart() -> None:
    columns = Columns(frozenset({"name"}), frozenset({"id"}))

    row = rows("id,name\n7,A\n", columns)[0]

    assert (row.values, row.extra) == ({"name": "A"}, {"id": "7"})


def test_a_header_has_a_bound_of_its_own() -> None:
    with pytest.raises(BadRows) as caught:
        rows("name," * 20_000)

    assert "the header has more than 65,536 characters" in str(caught.value)


def test_a_row_does_not_become_millions_of_cells() -> None:
    with pytest.raises(Unreadable) as caught:
        rows("name\nA\n" + "," * 200_000)

    assert (caught.value.line, caught.value.reason[:12]) == (3, "has more tha")


def test_a_long_text_may_have_many_commas() -> None:
    text = "a," * 60_000

    assert values(f'name\n"{text}"\n') == [{"name": text}]


def test_unknown_columns_hear_the_known_ones_once() -> None:
    with pytest.raises(BadRows) as caught:
        rows("shoe,hat\n")

    said = [fault.reason for fault in caught.value.faults]
    assert said[0].startswith("is not known; known are name, qr, role")
    assert said[1] == "is not known; ignore=hat passes it over"


CELLS = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=8)


@given(
    table=st.lists(st.tuples(CELLS, CELLS, CELLS), max_size=8),
    delimiter=st.sampled_from(",;\t"),
    end=st.sampled_from(["\n", "\r\n"]),
    size=st.integers(1, 9),
)
def test_what_a_csv_writer_writes_is_read(
    table: list[tuple[str, str, str]], delimiter: str, end: str, size: int
) -> None:
    buffer = io.StringIO()
    writer = csv.writer(
        buffer, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL
    )
    writer.writerows([("name", "role", "qr"), *table])
    stream = Drips(buffer.getvalue().encode(), size)

    found = [row.values for row in read_csv(stream, NAMES, MOST)]

    wanted = [dict(zip(("name", "role", "qr"), row, strict=True)) for row in table]
    assert found == [{n: cell for n, cell in row.items() if cell} for row in wanted]
