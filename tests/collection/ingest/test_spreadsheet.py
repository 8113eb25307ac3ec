"""Workbooks are read as they are shown."""

import io
import tracemalloc
import zipfile
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from typing import Any

import pytest
from openpyxl import Workbook

from app.collection.errors import Unreadable
from app.collection.ingest.columns import Record
from app.collection.ingest.spreadsheet import read_workbook
from app.collection.ingest.table import Warnings
from app.renderer.errors import BadParameter

MOST = 16 << 20
ODS = "application/vnd.oasis.opendocument.spreadsheet"


def book(fill: Callable[[Any], None]) -> bytes:
    made = Workbook()
    fill(made)
    buffer = io.BytesIO()
    made.save(buffer)
    return buffer.getvalue()


def sheet_of(*rows: list[object], formats: dict[str, str] | None = None) -> bytes:
    def fill(made: Any) -> None:
        for row in rows:
            made.active.append(row)
        for place, code in (formats or {}).items():
            made.active[place].number_format = code

    return book(fill)


def read(
    data: bytes, sheet: str | None = None, most: int = MOST
) -> tuple[list[Record], list[str]]:
    warned = Warnings()
    records = list(read_workbook(io.BytesIO(data), sheet, most, warned))
    return records, list(warned)


def cells(data: bytes) -> list[list[str]]:
    return [[*record.cells] for record in read(data)[0]]


def ods(content: str) -> bytes:
    spaces = " ".join(
        f'xmlns:{short}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"'
        for short, name in [
            *[(name, name) for name in ("office", "table", "text", "style")],
        ]
    )
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("mimetype", ODS)
        archive.writestr(
            "content.xml",
            f"<office:document-content {spaces}>{content}</office:document-content>",
        )
    return buffer.getvalue()


def test_numbers_are_shown_in_their_formats() -> None:
    data = sheet_of(
        ["zip", "share", "price", "count"],
        [123, 0.25, 1234.5, 1234567],
        formats={"A2": "00000", "B2": "0%", "C2": '#,##0.00 "€"', "D2": "#,##0"},
    )

    assert cells(data)[1] == ["00123", "25%", "1,234.50 €", "1,234,567"]


def test_moments_are_shown_in_their_formats() -> None:
    data = sheet_of(
        ["a", "b", "c", "d"],
        [
            date(2026, 3, 4),
            datetime(2026, 3, 4, 19, 30),
            time(9, 5),
            timedelta(hours=30),
        ],
        formats={"A2": "d mmm yyyy", "B2": "dd.mm.yyyy hh:mm", "D2": "[h]:mm"},
    )

    assert cells(data)[1] == ["4 Mar 2026", "04.03.2026 19:30", "9:05:00", "30:00"]


def test_a_date_in_the_format_of_a_system_is_spelt_by_iso_and_said() -> None:
    data = sheet_of(["a"], [date(2026, 3, 4)], formats={"A2": "mm-dd-yy"})

    records, warned = read(data)

    assert records[1].cells == ["2026-03-04"]
    assert any("the reader's system" in note for note in warned)


def test_texts_truths_and_numbers_are_as_they_are() -> None:
    data = sheet_of(["a"], ["  007 "], [True], [4006381333931], [0.5], ["é\nü"])

    assert cells(data) == [
        ["a"],
        ["  007 "],
        ["TRUE"],
        ["4006381333931"],
        ["0.5"],
        ["é\nü"],
    ]


def test_an_unknown_format_is_said_and_the_value_is_plain() -> None:
    code = "[$-411]ggge年m月d日"
    data = sheet_of(["a"], [date(2026, 3, 4)], formats={"A2": code})

    records, warned = read(data)

    assert records[1].cells == ["2026-03-04T00:00:00"]
    assert any(code in note for note in warned)


def test_blank_rows_are_none_and_lines_are_the_sheet_s() -> None:
    data = sheet_of(["a"], [], [None, ""], ["x"])

    assert [record.line for record in read(data)[0]] == [1, 4]


def test_the_first_visible_sheet_is_read_and_said() -> None:
    def fill(made: Any) -> None:
        made.active.title = "Secret"
        made.active.append(["secret"])
        made.active.sheet_state = "hidden"
        made.create_sheet("Guests").append(["guest"])

    records, warned = read(book(fill))

    assert [record.cells for record in records] == [["guest"]]
    assert warned == ["the sheet 'Guests' was read; sheet=NAME reads another: Secret"]


def test_a_sheet_is_chosen_by_name_whatever_its_case() -> None:
    def fill(made: Any) -> None:
        made.active.append(["first"])
        made.create_sheet("Guests").append(["guest"])

    assert [record.cells for record in read(book(fill), "guests")[0]] == [["guest"]]


def test_an_unknown_sheet_hears_the_known_ones() -> None:
    with pytest.raises(BadParameter, match="sheet: no sheet is called 'x'; there are"):
        read(sheet_of(["a"]), "x")


def test_hidden_rows_are_passed_over_and_counted() -> None:
    def fill(made: Any) -> None:
        for text in ("a", "b", "c"):
            made.active.append([text])
        made.active.row_dimensions[2].hidden = True

    records, warned = read(book(fill))

    assert [record.cells for record in records] == [["a"], ["c"]]
    assert warned == ["1 hidden row passed over"]


def test_a_formula_without_a_stored_result_is_a_fault_of_its_cell() -> None:
    record = read(sheet_of(["a"], ["=1+1"]))[0][1]

    assert record.faults[0].startswith("holds a formula without a stored result")


def test_an_error_in_a_cell_is_a_fault() -> None:
    record = read(sheet_of(["a"], ["#N/A"]))[0][1]

    assert record.faults == {0: "holds the error #N/A"}


def test_merged_cells_are_their_first_one() -> None:
    def fill(made: Any) -> None:
        made.active.append(["Guest list 2026", None])
        made.active.merge_cells("A1:B1")
        made.active.append(["name", "role"])

    assert cells(book(fill)) == [["Guest list 2026"], ["name", "role"]]


def test_parts_are_bounded_by_their_unpacked_size() -> None:
    data = sheet_of(*[["x" * 1000] for _ in range(100)], ["y"])

    with pytest.raises(Unreadable, match="of the workbook has"):
        read(data, most=2000)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"\xd0\xcf\x11\xe0" + bytes(600), "old .xls or has a password"),
        (b"PK\x03\x04\x14\0\6\0", "damaged"),
        (sheet_of(["a"])[:-200], "damaged"),
    ],
)
def test_what_is_no_workbook_is_named(data: bytes, why: str) -> None:
    with pytest.raises(Unreadable, match=why):
        read(data)


def test_another_archive_is_no_workbook() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("word/document.xml", "<a/>")

    with pytest.raises(Unreadable, match=r"neither \.xlsx nor \.ods"):
        read(buffer.getvalue())


def test_an_ods_sheet_is_what_it_shows() -> None:
    data = ods(
        "<office:body><office:spreadsheet><table:table table:name='A'>"
        "<table:table-row><table:table-cell><text:p>name</text:p></table:table-cell>"
        "<table:table-cell table:number-columns-repeated='2'/>"
        "<table:table-cell><text:p>share</text:p></table:table-cell>"
        "<table:table-cell table:number-columns-repeated='16380'/></table:table-row>"
        "<table:table-row table:number-rows-repeated='2'><table:table-cell>"
        "<office:annotation><text:p>a comment</text:p></office:annotation>"
        "<text:p>Ada<text:s text:c='2'/><text:span>L.</text:span></text:p>"
        "</table:table-cell><table:table-cell/><table:table-cell/>"
        "<table:table-cell office:value-type='percentage' office:value='0.25'>"
        "<text:p>25 %</text:p></table:table-cell></table:table-row>"
        "<table:table-row table:number-rows-repeated='1048000'><table:table-cell/>"
        "</table:table-row></table:table></office:spreadsheet></office:body>"
    )

    records, _ = read(data)

    assert [(record.line, [*record.cells]) for record in records] == [
        (1, ["name", "", "", "share"]),
        (2, ["Ada  L.", "", "", "25 %"]),
        (3, ["Ada  L.", "", "", "25 %"]),
    ]


def test_hidden_sheets_and_rows_of_ods_are_passed_over() -> None:
    data = ods(
        "<office:automatic-styles><style:style style:name='h'>"
        "<style:table-properties table:display='false'/></style:style>"
        "</office:automatic-styles><office:body><office:spreadsheet>"
        "<table:table table:name='A' table:style-name='h'><table:table-row>"
        "<table:table-cell><text:p>a</text:p></table:table-cell></table:table-row>"
        "</table:table><table:table table:name='B'>"
        "<table:table-row table:visibility='filter'>"
        "<table:table-cell><text:p>b</text:p></table:table-cell></table:table-row><table:table-row><table:table-cell>"
        "<text:p>c</text:p></table:table-cell></table:table-row></table:table>"
        "</office:spreadsheet></office:body>"
    )

    records, warned = read(data)

    assert [record.cells for record in records] == [["c"]]
    assert "1 hidden row passed over" in warned


def peak(rows: int) -> int:
    data = sheet_of(*([f"Guest {n}", f"Company {n}"] for n in range(rows)))
    tracemalloc.start()
    for _ in read_workbook(io.BytesIO(data), None, MOST, Warnings()):
        pass
    size = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return size


def test_memory_does_not_grow_with_the_rows() -> None:
    few = peak(100)

    # Eight bytes of each shared string.
    assert peak(5_000) - few < 256 << 10
