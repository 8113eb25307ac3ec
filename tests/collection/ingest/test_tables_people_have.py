"""Tables as they leave the programs of people: read, and what was assumed is said."""

import contextlib
import io
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from openpyxl import Workbook

from app.collection.collection import Item
from app.collection.errors import BadRows
from app.collection.ingest.upload import read_upload
from app.parsing.image import UnsupportedBody, read_pairs
from app.renderer.catalogue import Catalogue
from app.renderer.errors import BadParameter
from tests.collection.uploads import JSON, MULTIPART, NDJSON, Limits, form, json_of
from tests.growth import assert_linear

BADGE = "renderer=badge"


def made(
    catalogue: Catalogue,
    body: bytes | str,
    query: str = BADGE,
    kind: str = "text/csv",
    size: int = 1 << 20,
) -> tuple[list[dict[str, object]], list[str], tuple[str, ...]]:
    """Upload, and return what was given to each image, their names, and warnings."""
    data = body.encode() if isinstance(body, str) else body
    pairs = read_pairs(query.encode())
    draft = read_upload(_Slow(data, size), kind, pairs, catalogue, Limits())
    try:
        items = [*_items(draft.collection(catalogue, Limits()).items())]
    finally:
        draft.close()
    values = [_given(item) for item in items]
    return values, [item.name for item in items], draft.warnings


class _Slow:
    def __init__(self, data: bytes, size: int) -> None:
        self._data = io.BytesIO(data)
        self._size = size

    def read(self, size: int, /) -> bytes:
        return self._data.read(min(size, self._size))


def _items(items: Iterator[object]) -> Iterator[Item]:
    for item in items:
        assert isinstance(item, Item)
        yield item


def _given(item: Item) -> dict[str, object]:
    parameters = item.request.parameters
    return {
        name: getattr(parameters, name) for name in sorted(parameters.model_fields_set)
    }


ADA = [{"name": "Ada", "role": "Speaker"}]
SEVEN = {"name": "007", "role": "42"}
READ = {
    "short row": ("name,role,company\nAda,Speaker\n", ADA),
    "empty cells beyond the header": ("name,role\nAda,Speaker,,,\n", ADA),
    "rows of separators": ("name,role\n,\n , \nAda,Speaker\n,,,\n", ADA),
    "blank before quotes": ('name, role\n"Ada", "Speaker"\n', ADA),
    "blank behind quotes": ('name ,role\n"Ada" ,"Speaker"\n', ADA),
    "comma in quotes behind a blank": (
        'name, company\nAda, "Acme, Inc."\n',
        [{"name": "Ada", "company": "Acme, Inc."}],
    ),
    "break in quotes behind a blank": (
        'name, role\nAda, "Spea\nker, too" \n',
        [{"name": "Ada", "role": "Spea\nker, too"}],
    ),
    "quotes doubled behind a blank": (
        'name, role\nAda, "the ""best"", ever"\n',
        [{"name": "Ada", "role": 'the "best", ever'}],
    ),
    "capitals": ("Name,ROLE\nAda,Speaker\n", ADA),
    "fullwidth header": ("\uff4e\uff41\uff4d\uff45,role\nAda,Speaker\n", ADA),
    "blank column": ("name,,role\nAda,,Speaker\n", ADA),
    "comma at the end": ("name,role,\nAda,Speaker,\n", ADA),
    "column without name": ("name,,role\nAda,x,Speaker\n", ADA),
    "unknown column": ("name,role,shoe\nAda,Speaker,43\n", ADA),
    "emoji as column": ("name,role,🎉\nAda,Speaker,1\n", ADA),
    "title above": ("Guests of 2026\n\nname,role\nAda,Speaker\n", ADA),
    "title with commas above": ("Guests,,\n,,\nName;x,Role\nAda,Speaker\n", None),
    "title above semicolons": ("Export;;\nname;role\nAda;Speaker\n", ADA),
    "bars": ("name|role\nAda|Speaker\n", ADA),
    "Markdown": ("| name | role |\n|:---|---:|\n| Ada | Speaker |\n", ADA),
    "Org mode": ("| name | role |\n|------+------|\n| Ada | Speaker |\n", ADA),
    "MySQL": (
        "+------+---------+\n| name | role    |\n+------+---------+\n"
        "| Ada  | Speaker |\n+------+---------+\n",
        ADA,
    ),
    "PostgreSQL": (" name | role\n------+------\n Ada  | Speaker\n(1 row)\n", ADA),
    "two dashes are a cell": (
        "name,role\n--,Speaker\n",
        [{"name": "--", "role": "Speaker"}],
    ),
    "semicolons and commas": (
        "name;role\nAda;Speaker, Chair\n",
        [{"name": "Ada", "role": "Speaker, Chair"}],
    ),
    "no-break blank in the header": ("name\u00a0,role\nAda,Speaker\n", ADA),
    "UTF-16 with BOM": ("name\trole\nAda\tSpeaker\n".encode("utf-16"), ADA),
    "UTF-16 big": (b"\xfe\xff" + "name,role\nAda,Speaker".encode("utf-16-be"), ADA),
    "UTF-16 without BOM": ("name,role\nAda,Speaker\n".encode("utf-16-le"), ADA),
    "UTF-32": ("name,role\nAda,Speaker\n".encode("utf-32"), ADA),
    "UTF-8 with BOM": ("\ufeffname,role\nAda,Speaker\n", ADA),
    "a quoted cell with a comma alone": (
        'name,role\n"Lovelace, Ada"\n',
        [{"name": "Lovelace, Ada"}],
    ),
    "proof against numbers": ('name,role\n="007","=""42"""\n', [SEVEN]),
}


@pytest.mark.parametrize("size", [1, 7, 1 << 20])
@pytest.mark.parametrize("case", READ)
def test_it_is_read_as_it_is_meant(case: str, size: int, catalogue: Catalogue) -> None:
    body, wanted = READ[case]
    if wanted is None:
        with pytest.raises(BadRows):
            made(catalogue, body, size=size)
        return

    assert made(catalogue, body, size=size)[0] == wanted


# What PowerShell writes, by its marks and without; UTF-32 as it has another mark.
@pytest.mark.parametrize("charset", ["utf-8-sig", "utf-16", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("size", [1, 7, 1 << 20])
def test_json_in_another_unicode_encoding_is_read(
    charset: str, size: int, catalogue: Catalogue
) -> None:
    item = '{"name": "Zoë", "role": "🎉"}'
    whole = f'{{"renderer": "badge", "items": [{item}]}}'.encode(charset)
    lines = f"{item}\r\n".encode(charset)

    for body, kind, query in [
        (whole, "application/json", ""),
        (lines, "application/x-ndjson", BADGE),
    ]:
        assert made(catalogue, body, query, kind, size)[0] == [
            {"name": "Zoë", "role": "🎉"}
        ]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("name,shoe\nAda,43\n", "a column that nothing uses passed over: shoe"),
        ("name,a,b\nAda,1,2\n", "columns that nothing uses passed over: a, b"),
        ("name,role\n,\nAda,\n, \n", "2 rows without anything passed over"),
        ("Guests\nname\nAda\n", "line 1 above the header passed over"),
        ("Guests\n\n2026\nname\nAda\n", "lines 1 to 3 above the header passed over"),
        ("name,,role\nAda,x,\n", "column 2 has no name: it was passed over"),
        (
            "name\nИван Петров\nМария Сидорова\nОльга Кузнецова\n".encode(  # noqa: RUF001
                "cp1251"
            ),
            "the file is not UTF-8: it was read as windows-1251",
        ),
        (
            "name\nAda\n".encode("utf-16-le"),
            "the file was read as utf-16-le",
        ),
    ],
)
def test_what_was_assumed_is_said(
    body: bytes | str, said: str, catalogue: Catalogue
) -> None:
    assert made(catalogue, body)[2] == (said,)


def test_nothing_is_said_of_a_plain_table(catalogue: Catalogue) -> None:
    assert made(catalogue, "name,role\nAda,Speaker\n")[2] == ()


@pytest.mark.parametrize(
    ("charset", "name"),
    [
        ("windows-1252", "José Müller \u2013 Zoë"),
        ("iso-8859-1", "José Müller"),
        ("ISO-8859-2", "Łukasz Żółć"),
        ("shift_jis", "山田太郎"),
        ("gb18030", "王小明"),
        ("utf-16-le", "Ada"),
        ("UTF-8", "Zoë"),
        ("koi8-r", "Иван"),
        ("macintosh", "José"),
    ],
)
def test_a_charset_that_is_declared_is_honoured(
    charset: str, name: str, catalogue: Catalogue
) -> None:
    body = f"name\n{name}\n".encode(
        "mac-roman"
        if charset == "macintosh"
        else "cp1252"
        if charset == "iso-8859-1"
        else charset
    )

    values, _, warnings = made(catalogue, body, kind=f"text/csv; charset={charset}")

    assert (values, warnings) == ([{"name": name}], ())


@pytest.mark.parametrize(
    "charset", ["punycode", "undefined", "idna", "unicode_escape", "utf-7", "hex"]
)
def test_what_is_no_charset_of_files_is_refused(
    charset: str, catalogue: Catalogue
) -> None:
    with pytest.raises(UnsupportedBody, match="charset"):
        made(catalogue, "name\nA\n", kind=f"text/csv; charset={charset}")


@pytest.mark.parametrize(
    ("charset", "names"),
    [
        ("cp1255", "דוד כהן\nשרה לוי\nמשה פרץ"),
        ("big5", "王小明\n李華\n張偉\n劉德華"),
        ("gb18030", "王小明\n中国银行\n北京大学"),
        ("cp874", "สมชาย ใจดี\nสมหญิง รักไทย"),
        ("cp850", "Jürgen Müller\nZoë Böhm\nSøren Ærø"),
        ("euc_jp", "山田太郎\n佐藤花子\n鈴木一郎"),
        ("iso8859-2", "Łukasz Żółć\nPaweł Wąs"),
        ("koi8_r", "Иван Петров"),
    ],
)
def test_a_charset_that_may_be_another_is_not_guessed(
    charset: str, names: str, catalogue: Catalogue
) -> None:
    with pytest.raises(BadRows, match="say in Content-Type whether its charset is"):
        made(catalogue, f"name\n{names}\n".encode(charset))


def test_windows_1252_is_the_first_reading_where_it_is_one(
    catalogue: Catalogue,
) -> None:
    with pytest.raises(BadRows, match=r"charset is windows-1252 \(Björn\)"):
        made(catalogue, "name\nAda\nBjörn\n".encode("cp1252"))


@pytest.mark.parametrize("charset", ["iso-8859-1", "windows-1250", "utf-16"])
def test_a_mark_goes_before_what_is_declared(
    charset: str, catalogue: Catalogue
) -> None:
    body = "name\nZoë\n".encode("utf-8-sig")

    assert made(catalogue, body, kind=f"text/csv; charset={charset}")[0] == [
        {"name": "Zoë"}
    ]


def test_two_likely_charsets_are_told_and_none_is_guessed(
    catalogue: Catalogue,
) -> None:
    body = "name\nRenée Núñez\n".encode("cp1252")

    with pytest.raises(BadRows) as caught:
        made(catalogue, body)

    said = str(caught.value)
    assert "line 2: is not UTF-8 at byte 4 of the line" in said
    assert "windows-125" in said


@pytest.mark.parametrize(
    "kind",
    [
        "application/csv",
        "application/octet-stream",
        "text/plain",
        "application/vnd.ms-excel",
        "Text/CSV; header=present",
    ],
)
def test_a_table_may_be_called_otherwise(kind: str, catalogue: Catalogue) -> None:
    assert made(catalogue, "name,role\nAda,Speaker\n", kind=kind)[0] == ADA


def workbook(*rows: list[object]) -> bytes:
    book = Workbook()
    for row in rows:
        book.active.append(row)
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "kind",
    [
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        "application/octet-stream",
        "application/vnd.ms-excel",
        "text/csv",
    ],
)
def test_a_workbook_is_known_by_its_bytes(kind: str, catalogue: Catalogue) -> None:
    data = workbook(
        ["Guests 2026"], [], ["Name", "Role"], ["Ada", "Speaker"], [None, ""]
    )

    assert made(catalogue, data, kind=kind)[0] == ADA


def test_a_workbook_among_files_is_the_table(catalogue: Catalogue) -> None:
    data = workbook(["name", "role"], ["Ada", "Speaker"])
    body = form(('name="x"; filename="guests.xlsx"', data))

    assert made(catalogue, body, kind=MULTIPART)[0] == ADA


def test_columns_are_bound_to_parameters(catalogue: Catalogue) -> None:
    table = "First name,Last name,Order #,Job\nada,LOVELACE,A 7,Speaker\n"
    query = (
        f"{BADGE}&bind[name]={{First name|title}} {{last name|title}}"
        "&bind[role]={Job}"
        "&bind[qr]=https://example.org/t/{Order %23}&name={%23}-{Last name}"
    )

    values, names, warnings = made(catalogue, table, query)

    qr = "https://example.org/t/A 7"
    assert values == [{"name": "Ada Lovelace", "role": "Speaker", "qr": qr}]
    assert names == ["1-LOVELACE.png"]
    assert warnings == ()


def test_a_binding_goes_before_a_column_of_the_name(catalogue: Catalogue) -> None:
    values = made(catalogue, "name,full\nA,Ada\n", f"{BADGE}&bind[name]={{full}}")[0]

    assert values == [{"name": "Ada"}]


def test_a_column_is_forced_into_a_name(catalogue: Catalogue) -> None:
    table = "name,Name\nada,Ada\n"

    names = made(catalogue, table, f"{BADGE}&name={{name}}-{{column:Name|upper}}")[1]

    assert names == ["ada-ADA.png"]


def test_names_keep_their_script_in_folders(catalogue: Catalogue) -> None:
    table = "name,table\n王小明,A/1\nZoë,B\n"
    query = f"{BADGE}&names=unicode&name=Tisch {{table}}/{{name}}"

    assert made(catalogue, table, query)[1] == [
        "Tisch A-1/王小明.png",
        "Tisch B/Zoë.png",
    ]


def test_names_are_ascii_or_unicode(catalogue: Catalogue) -> None:
    with pytest.raises(BadParameter, match="'utf' is neither ascii nor unicode"):
        made(catalogue, "name\nA\n", f"{BADGE}&names=utf")


def test_members_of_json_are_bound_as_columns_are(catalogue: Catalogue) -> None:
    body = json_of(
        renderer="badge",
        bind={"name": "{first} {last}", "role": "No. {seat}"},
        name="{last}",
        defaults={"event": "Summit"},
        items=[{"first": "Ada", "last": "Lovelace", "seat": 7, "shoe": 43}],
    )

    values, names, warnings = made(catalogue, body, "", JSON)

    assert values == [{"event": "Summit", "name": "Ada Lovelace", "role": "No. 7"}]
    assert names == ["Lovelace.png"]
    assert warnings == ("a member that nothing uses passed over: shoe",)


def test_lines_of_json_are_bound_too(catalogue: Catalogue) -> None:
    body = '{"Full Name":"Ada"}\n'

    values = made(catalogue, body, f"{BADGE}&bind[name]={{full name}}", NDJSON)[0]

    assert values == [{"name": "Ada"}]


def test_a_member_may_be_missing_in_some_items(catalogue: Catalogue) -> None:
    body = '{"n":"A","seat":1,"tags":[]}\n{"n":"B"}\n'
    query = f"{BADGE}&bind[name]={{n}}&bind[role]={{seat}}{{row|default:-}}"

    values = made(catalogue, body, query, NDJSON)[0]

    assert values == [{"name": "A", "role": "1-"}, {"name": "B", "role": "-"}]


def test_a_preamble_that_names_a_column_is_not_the_header(catalogue: Catalogue) -> None:
    body = "Event,Summit\nName,Role,Event\nAda,Speaker,Spring\n"

    values = made(catalogue, body, BADGE)[0]

    assert values == [{"name": "Ada", "role": "Speaker", "event": "Spring"}]


def faults(catalogue: Catalogue, body: str, query: str = BADGE) -> list[str]:
    with pytest.raises(BadRows) as caught:
        made(catalogue, body, query)
    return [str(fault) for fault in caught.value.faults]


def test_a_required_parameter_without_a_column_hears_how_to_bind_one(
    catalogue: Catalogue,
) -> None:
    assert faults(catalogue, "Full Name,Role\nAda,Speaker\n") == [
        "line 1: name: is required, and no column is called so;"
        " bind[name]={Full Name} binds one to it"
    ]


def test_two_columns_of_one_name_are_ambiguous(catalogue: Catalogue) -> None:
    assert faults(catalogue, "Name,NAME\nA,B\n") == [
        "line 1: name: names 2 columns: 1, 2; rename all but one"
    ]


def test_a_cell_that_a_filter_cannot_read_is_a_fault_of_its_row(
    catalogue: Catalogue,
) -> None:
    said = faults(
        catalogue,
        "name,when\nA,2026-03-04\nB,soon\n",
        f"{BADGE}&bind[role]={{when|date:D MMM}}",
    )

    assert said == [
        "row 2, line 3: bind[role]: date: 'soon' is not a date that can be read"
        "; write 2026-03-04, 4 March 2026 or 31.12.2026"
    ]


def test_a_row_that_separates_otherwise_is_a_fault(catalogue: Catalogue) -> None:
    assert "has 1 cells; the header has 2" in faults(catalogue, "name;role\nA,B\n")[0]


PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(40)


@pytest.mark.parametrize(
    ("cell", "sent"),
    [
        ("photos/ada.jpg", "ada.jpg"),
        ("C:\\photos\\ada.jpg", "ada.jpg"),
        (" ada.jpg ", "ada.jpg"),
        ("Ada.JPG", "ada.jpg"),
        ("Zoe\u0308.jpg", "Zo\u00eb.jpg"),
        ("./ada.jpg", "photos/ada.jpg"),
        ("file:///home/x/ada.jpg", "ada.jpg"),
    ],
)
def test_a_file_is_found_by_the_last_part_of_its_path(
    cell: str, sent: str, catalogue: Catalogue
) -> None:
    body = form(
        ('name="renderer"', b"card"),
        (f'name="p"; filename="{sent}"', PICTURE),
        ('name="rows"; filename="rows.csv"', f"title,image\nA,{cell}\n".encode()),
    )
    stream = io.BytesIO(body)

    draft = read_upload(stream, MULTIPART, [], catalogue, Limits())
    draft.close()

    assert len(draft.header.assets) == 1


def test_a_file_that_may_be_any_of_two_is_refused(catalogue: Catalogue) -> None:
    body = form(
        ('name="renderer"', b"card"),
        ('name="p"; filename="ada.jpg"', PICTURE),
        ('name="q"; filename="ADA.jpg"', PICTURE),
        ('name="rows"; filename="rows.csv"', b"title,image\nA,Ada.jpg\n"),
    )

    with pytest.raises(BadRows, match=r"may be any of ada.jpg, ADA.jpg"):
        read_upload(io.BytesIO(body), MULTIPART, [], catalogue, Limits())


# Headers as the programs write them, with rows made up.
EXPORTS = {
    "Eventbrite": (
        "Order no.,Order Date,First Name,Surname,Email,Ticket Type,Total Paid\n"
        "987654321,2026-03-04 10:12:00,ada,LOVELACE,a@example.org,Speaker,0.00\n",
        "text/csv",
        "bind[name]={First Name|title} {Surname|title}&bind[role]={Ticket Type}",
        {"name": "Ada Lovelace", "role": "Speaker"},
    ),
    "pretix": (
        '"Event";"Order code";"Attendee name";"Product";"Order date"\n'
        '"Summit";"AB3XY";"Ada Lovelace";"Speaker";"04.03.2026"\n',
        "text/csv; charset=utf-8",
        "bind[name]={Attendee name}&bind[role]={Product}, {Order date|date:D MMMM}",
        {"event": "Summit", "name": "Ada Lovelace", "role": "Speaker, 4 March"},
    ),
    "Meetup": (
        "Name\tUser ID\tTitle\tEvent Host\tRSVP\tGuests\tRSVPed on\n"
        "Ada Lovelace\tuser 1234\t\tYes\tYes\t0\tMarch 4, 2026\n".encode("utf-16"),
        "application/vnd.ms-excel",
        "bind[role]={Title|default:Guest}&bind[qr]={User ID}",
        {"name": "Ada Lovelace", "qr": "user 1234", "role": "Guest"},
    ),
    "Outlook": (
        '"First Name","Middle Name","Last Name","Company","Job Title"\r\n'
        '"José","","Núñez","Café & Co","Geschäftsführer"\r\n'.encode("cp1252"),
        "text/csv; charset=windows-1252",
        "bind[name]={First Name} {Middle Name} {Last Name|upper|trim}",
        {"company": "Café & Co", "name": "José  NÚÑEZ"},
    ),
    "Google Contacts": (
        "Name,Given Name,Family Name,Organization 1 - Name,Phone 1 - Value\n"
        "Ada Lovelace,Ada,Lovelace,Engines,+44 20 7946 0000\n",
        "text/csv",
        "bind[company]={Organization 1 - Name}&bind[qr]=tel:{Phone 1 - Value}",
        {"company": "Engines", "name": "Ada Lovelace", "qr": "tel:+44 20 7946 0000"},
    ),
    "Shopify": (
        "Name,Email,Paid at,Total,Billing Name,Lineitem name\n"
        '#1001,a@example.org,2026-03-04 10:12:00 +0100,"1,234.50",Ada,Ticket\n',
        "application/octet-stream",
        'bind[name]={Billing Name}&bind[role]={Total|number:#,##0 "EUR"}'
        "&bind[qr]={Name}",
        {"name": "Ada", "qr": "#1001", "role": "1,235 EUR"},
    ),
    "Datev, Excel in German": (
        'sep=;\r\nName;Rolle;Betrag\r\nJürgen;Gast;"1.234,50"\r\n'.encode("utf-8-sig"),
        "text/csv",
        "bind[role]={Rolle} {Betrag|number:0.00}",
        {"name": "Jürgen", "role": "Gast 1234.50"},
    ),
    "a form of Microsoft": (
        workbook(
            ["ID", "Start time", "Name", "Wie heißt du?\n(Vor- und Nachname)"],
            [1, "2026-03-04", "anonymous", "Ada Lovelace"],
        ),
        "application/octet-stream",
        "bind[name]={Wie heißt du? (Vor- und Nachname)}",
        {"name": "Ada Lovelace"},
    ),
}


@pytest.mark.parametrize("program", EXPORTS)
def test_what_a_program_exports_gives_the_right_badge(
    program: str, catalogue: Catalogue
) -> None:
    body, kind, query, wanted = EXPORTS[program]
    pairs = "&".join(quote(pair, safe="=") for pair in query.split("&"))

    values = made(catalogue, body, f"{BADGE}&{pairs}", kind)[0]

    assert values == [wanted]


# Rules of Markdown and of databases were sought with two neighbours for the same marks.
@pytest.mark.parametrize("piece", ["-", "--", "+", " ", "(1", "| "])
def test_a_row_of_marks_is_read_in_time_by_its_length(
    piece: str, catalogue: Catalogue
) -> None:
    def read(text: str) -> None:
        with contextlib.suppress(BadRows):
            made(catalogue, f"data|label\nx|y\nx|y\n{text}x|y\n", "renderer=qr")

    assert_linear(read, piece, 40_000)
