"""Rows with faults are left out where that is wanted, or mended in what is sent."""

from contextlib import closing
from urllib.parse import urlencode

import pytest

from app.collection.errors import BadRows
from app.renderer.errors import BadParameter
from tests.collection.uploads import upload

# The second and the fourth row are wrong.
COLOURS = "Colour,width\nred,100\nreddish,100\nblue,100\ngreen,wide\n#fff,100\n"


def query(**given: str) -> str:
    shared = {"renderer": "solid", "bind[color]": "{Colour}", **given}
    return urlencode(shared)


def read(catalogue, table: str, asked: str) -> tuple[str, int, tuple[str, ...]]:
    """Return the id of a collection, how many it has, and what was said."""
    with closing(upload(catalogue, table, query=asked)) as draft:
        return draft.id, draft.header.count, draft.warnings


def test_rows_with_faults_are_left_out_and_the_rest_is_numbered_anew(catalogue) -> None:
    right = "Colour,width\nred,100\nblue,100\n#fff,100\n"

    key, count, (said,) = read(catalogue, COLOURS, query(bad_rows="skip"))

    assert key == read(catalogue, right, query())[0]
    assert count == 3
    assert said.startswith("2 rows left out, as bad_rows=skip says; the first: row 2")
    assert "line 3" in said
    assert "is not a colour" in said


def test_where_nothing_is_left_the_faults_are_said(catalogue) -> None:
    with pytest.raises(BadRows) as caught:
        upload(catalogue, "Colour\nreddish\n", query=query(bad_rows="skip"))

    assert caught.value.faults[0].line == 2


def test_what_is_wrong_with_the_table_is_refused_whatever_is_left_out(
    catalogue,
) -> None:
    with pytest.raises(BadRows) as caught:
        upload(catalogue, "Color\nred\n", query=query(bad_rows="skip"))

    assert caught.value.faults[0].field == "bind[color]"


def test_bad_rows_are_refused_or_skipped_and_nothing_else(catalogue) -> None:
    with pytest.raises(BadParameter, match="bad_rows: 'drop' is neither"):
        upload(catalogue, COLOURS, query=query(bad_rows="drop"))


def test_a_preview_tells_what_is_left_out_by_its_line(client) -> None:
    asked = query(bad_rows="skip", preview="2")

    found = client.post(
        f"/collections?{asked}", data=COLOURS, content_type="text/csv"
    ).get_json()

    assert (found["count"], found["faults"]) == (3, [])
    assert found["left_out"]["count"] == 2
    assert [each["line"] for each in found["left_out"]["faults"]] == [3, 5]
    assert [each["line"] for each in found["records"]] == [2, 3, 5]
    assert found["warnings"][0].startswith("2 rows left out")


def test_a_preview_shows_rows_that_were_mended(client) -> None:
    asked = query(preview="1", **{"cell[3:Colour]": "teal", "bad_rows": "skip"})

    found = client.post(
        f"/collections?{asked}", data=COLOURS, content_type="text/csv"
    ).get_json()

    cells = {each["line"]: each["cells"] for each in found["records"]}
    assert cells[3] == ["teal", "100"]


def test_a_cell_is_mended_in_what_is_sent(catalogue) -> None:
    mended = {"cell[3:colour]": "teal", "cell[5:width]": "100"}
    same = "Colour,width\nred,100\nteal,100\nblue,100\ngreen,100\n#fff,100\n"

    made = read(catalogue, COLOURS, query(**mended))

    assert made == read(catalogue, same, query())


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("cell[99:width]", "there is no row in this line"),
        ("cell[3:size]", "is no column"),
    ],
)
def test_a_cell_that_is_not_there_is_named(catalogue, name, reason) -> None:
    with pytest.raises(BadRows) as caught:
        upload(catalogue, COLOURS, query=query(**{name: "1"}, bad_rows="skip"))

    assert [each[2:] for each in caught.value.faults] == [(name, reason)]


def test_lines_of_json_have_no_cells(catalogue) -> None:
    kind = "application/x-ndjson"
    with pytest.raises(BadParameter, match="cell: is for tables"):
        upload(catalogue, '{"color": "red"}\n', kind, "renderer=solid&cell[1:color]=x")


def test_what_is_wrong_with_file_names_is_not_said_of_a_parameter(catalogue) -> None:
    pattern = "renderer=badge&name={index}-{Seat}"
    with pytest.raises(BadRows) as caught:
        upload(catalogue, "name\nAda\n", query=pattern)

    assert [each.field for each in caught.value.faults] == ["file name"]


def test_names_that_ascii_spells_otherwise_are_said(catalogue) -> None:
    table = "name\nAda\nÆgir Þórsson\n"
    pattern = "renderer=badge&name={name}"

    _, _, (said,) = read(catalogue, table, pattern)
    _, _, kept = read(catalogue, table, f"{pattern}&names=unicode")

    assert "as Aegir-Thorsson for Ægir Þórsson; names=unicode" in said
    assert kept == ()
