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


MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
STRICT = "http://purl.oclc.org/ooxml/spreadsheetml/main"


def raw(
    rows: str,
    *,
    styles: str = "",
    strings: str | None = None,
    book: str = "",
    space: str = MAIN,
    target: str = "worksheets/sheet1.xml",
) -> bytes:
    """Return a workbook of XML as it is given: `rows` is what follows the header."""
    office = "http://purl.oclc.org/ooxml/officeDocument/relationships"
    kinds = {"worksheet": target, "styles": "styles.xml"}
    if strings is not None:
        kinds["sharedStrings"] = "sharedStrings.xml"
    relations = "".join(
        f'<Relationship Id="{kind}" Type="{office}/{kind}" Target="{place}"/>'
        for kind, place in kinds.items()
    )
    parts = {
        "[Content_Types].xml": "<Types/>",
        "_rels/.rels": f"<R><Relationship Id='a' Type='{office}/officeDocument'"
        " Target='xl/workbook.xml'/></R>",
        "xl/_rels/workbook.xml.rels": f"<R>{relations}</R>",
        "xl/workbook.xml": f"<workbook xmlns='{space}' xmlns:r='{office}'>{book}"
        "<sheets><sheet name='A' r:id='worksheet'/></sheets></workbook>",
        "xl/styles.xml": f"<styleSheet xmlns='{space}'>{styles}</styleSheet>",
        "xl/worksheets/sheet1.xml": f"<worksheet xmlns='{space}'><sheetData>{rows}"
        "</worksheet>"
        if "</sheetData>" in rows
        else f"<worksheet xmlns='{space}'><sheetData>{rows}</sheetData></worksheet>",
    }
    if strings:
        parts["xl/sharedStrings.xml"] = f"<sst xmlns='{space}'>{strings}</sst>"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in parts.items():
            archive.writestr(name, text)
    return buffer.getvalue()


def styled(value: str, code: str | int) -> bytes:
    """Return a workbook of one cell in a format of a code, or of a built-in number."""
    number = code if isinstance(code, int) else 170
    formats = f"<numFmts><numFmt numFmtId='170' formatCode='{code}'/></numFmts>"
    return raw(
        f"<row><c s='1'><v>{value}</v></c></row>",
        styles=("" if isinstance(code, int) else formats)
        + "<fills><fill/></fills><fonts><font><family val='20'/></font></fonts>"
        f"<cellXfs><xf/><xf numFmtId='{number}'/></cellXfs>",
    )


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("1e308", "0.00"),
        ("1e300", "#,##0.00%"),
        ("1", "[&lt;..5]0"),
        ("12345678901234567890123456789", "0.00"),
        ("-1", "yyyy"),
        ("1e300", "[h]:mm"),
        ("1e300", "yyyy"),
    ],
)
def test_a_number_that_its_format_cannot_show_is_shown_somehow(
    value: str, code: str
) -> None:
    assert read(styled(value, code))[0][0].cells[0]


@pytest.mark.parametrize("value", ["1e400", "-1e400", "nan", "twelve", "9" * 5000])
def test_a_number_that_is_none_is_a_fault_of_its_cell(value: str) -> None:
    record = read(raw(f"<row><c/><c><v>{value}</v></c><c><v>1</v></c></row>"))[0][0]

    assert "save the file again" in record.faults[1]
    assert record.cells == ["", "", "1"]


@pytest.mark.parametrize(
    ("value", "number", "shown"),
    [
        ("46085", 31, "2026-03-04"),
        ("46085", 57, "2026-03-04"),
        ("0.5", 32, "12:00"),
        ("46085.5", 55, "2026-03-04 12:00"),
        ("1234.5", 44, "$1,234.50"),
        ("-1234.5", 44, "$(1,234.50)"),
        ("46085.5", 47, "00:00.0"),
    ],
)
def test_a_built_in_format_need_not_be_declared(
    value: str, number: int, shown: str
) -> None:
    assert cells(styled(value, number)) == [[shown]]


def test_a_date_of_the_1904_system_is_the_same_day() -> None:
    data = raw(
        "<row><c s='0'><v>44623</v></c></row>",
        styles="<cellXfs><xf numFmtId='14'/></cellXfs>",
        book="<workbookPr date1904='1'/>",
    )

    assert cells(data) == [["2026-03-04"]]


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("a_x000A_b", "a\nb"),
        ("_x0041_", "A"),
        ("_x005F_x0041_", "_x0041_"),
        ("_xD83D__xDE00_", "\U0001f600"),
        ("_x41_", "_x41_"),
    ],
)
def test_escapes_of_texts_are_characters(written: str, text: str) -> None:
    rows = (
        "<row><c t='s'><v>0</v></c>"
        f"<c t='inlineStr'><is><t>{written}</t></is></c>"
        f"<c t='str'><v>{written}</v></c></row>"
    )

    data = raw(rows, strings=f"<si><t>{written}</t></si>")

    assert cells(data) == [[text, text, text]]


@pytest.mark.parametrize("written", ["_xD83D_", "_xDE00__xD83D_", "a_xdc00_b"])
def test_half_of_a_character_is_a_fault_of_its_cell(written: str) -> None:
    rows = (
        "<row><c t='s'><v>0</v></c>"
        f"<c t='inlineStr'><is><t>{written}</t></is></c>"
        f"<c t='str'><v>{written}</v></c><c t='str'><v>whole</v></c></row>"
    )

    [record] = read(raw(rows, strings=f"<si><t>{written}</t></si>"))[0]

    half = written.strip("ab")[:7].replace("dc", "DC")
    reason = f"holds half of a character, {half}: write it anew"
    assert record.faults == dict.fromkeys(range(3), reason)
    assert [*record.cells] == ["", "", "", "whole"]


def test_a_text_of_runs_is_without_its_readings() -> None:
    strings = "<si><r><t>東</t></r><r><t>京</t></r><rPh><t>トウキョウ</t></rPh></si>"

    assert cells(raw("<row><c t='s'><v>0</v></c></row>", strings=strings)) == [["東京"]]


def test_cells_merged_across_rows_are_said() -> None:
    data = raw(
        "<row><c><v>1</v></c></row></sheetData>"
        "<mergeCells><mergeCell ref='B2:B4'/></mergeCells>"
    )

    assert "merged across rows" in read(data)[1][0]


@pytest.mark.parametrize(
    "data",
    [
        raw("<row><c t='b'><v>true</v></c></row>", space=STRICT),
        raw("<row><c t='b'><v>1</v></c></row>", target="worksheets\\Sheet1.xml"),
        raw("<row><c t='b'><v>1</v></c></row>", strings=""),
    ],
    ids=["strict", "backslash", "no strings"],
)
def test_a_workbook_of_another_writer_is_read(data: bytes) -> None:
    assert cells(data) == [["TRUE"]]


def test_a_text_that_is_not_there_is_a_fault_of_its_cell() -> None:
    record = read(raw("<row><c t='s'><v>99</v></c></row>"))[0][0]

    assert record.faults[0].startswith("refers to the text '99', which is none")


@pytest.mark.parametrize(
    "data",
    [
        raw(f"<row>{'<c/>' * 300_000}</row>"),
        raw("<a>" * 100_000 + "</a>" * 100_000),
        raw(f"<row><c t='inlineStr'><is><t>{'a' * (5 << 20)}</t></is></c></row>"),
        raw("", strings="<si><t>a</t></si>" * 300_000),
        raw("", strings=f"<si>{'<r><t>a</t></r>' * 60_000}</si>"),
        raw("", styles=f"<cellXfs>{'<xf/>' * 400_000}</cellXfs>"),
        ods(
            "<table:table><table:table-row table:number-rows-repeated='9999999'>"
            "<table:table-cell><text:p>a</text:p></table:table-cell>"
            "</table:table-row></table:table>"
        ),
        ods(
            f"<table:table><table:table-row>{'<table:table-cell/>' * 110_000}"
            "</table:table-row></table:table>"
        ),
    ],
    ids=[*("cells", "depth", "text", "strings", "runs", "styles", "rows", "ods")],
)
def test_a_small_file_does_not_cost_much(data: bytes) -> None:
    tracemalloc.start()
    with pytest.raises(Unreadable):
        read(data, most=64 << 20)
    size = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert size < 48 << 20


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

    assert records[1].cells == ["2026-03-04"]
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


def repacked(flag: int = 0, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A workbook packed by another method, or with a flag in its directory."""
    buffer = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(sheet_of(["a"]))) as old,
        zipfile.ZipFile(buffer, "w", method) as new,
    ):
        for info in old.infolist():
            new.writestr(info.filename, old.read(info))
        for info in new.infolist():
            info.flag_bits |= flag
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (repacked(flag=1), "has a password: save it without one"),
        (repacked(method=zipfile.ZIP_LZMA), "by another method than deflate"),
        (repacked(method=zipfile.ZIP_BZIP2), "by another method than deflate"),
    ],
)
def test_what_no_package_may_have_is_refused(data: bytes, why: str) -> None:
    with pytest.raises(Unreadable, match=why):
        read(data)


def test_the_type_of_an_archive_is_not_unpacked_beyond_its_length() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mimetype", bytes(8 << 20))

    with pytest.raises(Unreadable, match="mimetype of the workbook has 8,388,608"):
        read(buffer.getvalue())


def test_another_archive_is_no_workbook() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("word/document.xml", "<a/>")

    with pytest.raises(Unreadable, match=r"neither \.xlsx nor \.ods"):
        read(buffer.getvalue())


def test_a_repetition_that_is_no_number_counts_as_none() -> None:
    data = ods(
        "<office:body><office:spreadsheet><table:table table:name='A'>"
        "<table:table-row table:number-rows-repeated='\N{SUPERSCRIPT TWO}'>"
        "<table:table-cell table:number-columns-repeated='\N{SUPERSCRIPT TWO}'>"
        "<text:p>a<text:s text:c='\N{SUPERSCRIPT TWO}'/>b</text:p></table:table-cell>"
        "</table:table-row></table:table></office:spreadsheet></office:body>"
    )

    records, _ = read(data)

    assert [(record.line, [*record.cells]) for record in records] == [(1, ["a b"])]


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


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("office:value-type='float' office:value='7.50'", "7.5"),
        ("office:value-type='percentage' office:value='0.25'", "25%"),
        ("office:value-type='string' office:string-value='007'", "007"),
        ("office:value-type='date' office:date-value='2026-03-04'", "2026-03-04"),
        ("office:value-type='boolean' office:boolean-value='true'", "TRUE"),
    ],
)
def test_a_cell_of_ods_without_a_text_shows_its_value(value: str, shown: str) -> None:
    data = ods(
        "<table:table><table:table-row table:visibility='visible'>"
        f"<table:table-cell {value}/></table:table-row></table:table>"
    )

    assert read(data) == ([Record(1, [shown], {})], [])


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
