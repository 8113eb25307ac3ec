"""A hundred kinds of malformed input: each is named with its place, or made safe."""

from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.collection.errors import BadRows
from app.collection.ingest.upload import read_upload
from app.parsing.image import BadBody, BodyTooLarge, UnsupportedBody, read_pairs
from app.renderer.catalogue import Catalogue
from app.renderer.errors import (
    BadParameter,
    LimitExceeded,
    UnknownRenderer,
)
from tests.collection.uploads import (
    CSV,
    JSON,
    MULTIPART,
    NDJSON,
    Drips,
    Endless,
    Limits,
    faults_of,
    form,
    json_of,
    upload,
)

SMALL = Limits(
    max_rows=3,
    max_body_bytes=4096,
    max_collection_bytes=100_000,
    max_pixels=2_000_000,
)
BADGE = "renderer=badge"
SOLID = "renderer=solid"
CARD = 'name="renderer"', b"card"
HEAD = b'{"renderer":"solid","items":'


class Case(NamedTuple):
    """A body, and how the error that it makes says what is wrong and where."""

    kind: str
    query: str
    body: bytes
    error: type[Exception]
    says: str


def table(body: bytes, says: str, query: str = BADGE) -> Case:
    return Case(CSV, query, body, BadRows, says)


def lines(body: bytes, says: str, query: str = SOLID) -> Case:
    return Case(NDJSON, query, body, BadRows, says)


def items(body: bytes, says: str) -> Case:
    return Case(JSON, "", HEAD + body + b"}", BadRows, says)


def broken(body: bytes, says: str) -> Case:
    return Case(JSON, "", body, BadBody, says)


def member(body: bytes, says: str) -> Case:
    return Case(JSON, "", body, BadParameter, says)


def asked(query: str, says: str) -> Case:
    return Case(CSV, query, b"name\nA\n", BadParameter, says)


def parts(error: type[Exception], says: str, *sent: tuple[str, bytes]) -> Case:
    return Case(MULTIPART, "", form(CARD, *sent), error, says)


ROWS = 'name="rows"; filename="rows.csv"'
NUL_PLACE = "row 1, line 2: name: holds the control character U+0000 at character 2"
NESTED = b'[{"color":' + b"[" * 500 + b"]" * 500 + b"}]"
CASES = {
    # The file as a whole.
    "empty": table(b"", "the file is empty"),
    "only a BOM": table(b"\xef\xbb\xbf", "the file is empty"),
    "only blank lines": table(b"\n\r\n  \n", "the file is empty"),
    "header alone": table(b"name\n", "rows: there are none"),
    "separator alone": table(b"sep=;\n", "the file is empty"),
    "odd separator": table(b"sep=!\nname\nA\n", "line 1: sep='!'"),
    "UTF-16 cut off": table(b"\xfe\xff\0n\0a\0m\0e\0\n\0", "is not utf-16-be"),
    "Latin-1 cell": table("name\nZoë\n".encode("latin-1"), "line 2: is not UTF-8 at"),
    "Latin-1 header": table("näme\nA\n".encode("latin-1"), "line 1: is not UTF-8"),
    "surrogate in UTF-8": table(b"name\n\xed\xa0\x80\n", "line 2: is not UTF-8"),
    "overlong UTF-8": table(b"name\n\xc0\xaf\n", "line 2: is not UTF-8"),
    "cut in a character": table("name\nZoë".encode()[:-1], "line 2: is not UTF-8"),
    "a picture": table(
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "no table but a picture: save"
    ),
    "a PDF": table(
        b"%PDF-1.7\n1 0 obj\n", "line 1: the file is no table but a PDF: save"
    ),
    "gzip": table(
        b"\x1f\x8b\x08\0\0\0\0\0", "no table but packed with gzip: unpack it"
    ),
    "a web page": table(b"<!DOCTYPE html><p>Sign in", "no table but a web page: save"),
    "a page called .xls": table(
        b"<table><tr><td>name", "no table but a web page: save"
    ),
    "XML of Excel 2003": table(b'<?xml version="1.0"?><Workbook/>', "but XML: save it"),
    "JSON as CSV": table(b'\xef\xbb\xbf [{"name": "A"}]', "but JSON: send it as"),
    "a spreadsheet": table(b"PK\x03\x04\x14\0\6\0", "the workbook is damaged"),
    "JSON sent as CSV": table(b'{"name": "A"}\n', "line 1"),
    # The header.
    "misspelt column": table(b"name,compny\nA,B\n", "compny: is no parameter; did you"),
    "output as column": table(b"name,scale\nA,2\n", "line 1: scale: is not known"),
    "emoji as column": table("🎉\n1\n".encode(), "line 1: 🎉: is not known"),
    "duplicate column": table(b"name,name\nA,B\n", "line 1: name: names 2 columns"),
    "duplicate by blanks": table(b"name, name\nA,B\n", "name: names 2 columns"),
    "no header": table(b"Grace Hopper,Admiral\n", "line 1: Grace Hopper: is not known"),
    "NUL in the header": table(b"na\0me\nA\n", "line 1: na\0me: is not known"),
    "quote in the header": table(b'"name\nA\n', "line 2: the quotes of the header"),
    "quote amid header": table(b'"na"me\nA\n', "line 1: the quotes of the header"),
    "ignored is missing": table(
        b"name\nA\n", "notes: is to be", f"{BADGE}&ignore=notes"
    ),
    "header of a megabyte": table(
        b"name," * 300_000, "line 1: the row is over the limit"
    ),
    "long column": table(b"x" * 300 + b"\n", "x" * 60 + "…"),
    # Quoting and cells.
    "open quote at the end": table(b'name\nA\n"B\n', "row 2, line 3: a quote that op"),
    "open quote": table(b'name,role\n"A,B\nC,D\n', "row 1, line 2: a quote that op"),
    "text after a quote": table(
        b'name\n"A"B\n', "row 1, line 2: the quoting is broken"
    ),
    "quote over lines": table(b'name\n"A\nB"C\n', "line 3: the quoting is broken"),
    "too many cells": table(b"name,role\nA,B,C\n", "row 1, line 2: has 3 cells; the"),
    "two delimiters": table(b"name;role\nA,B\n", "row 1, line 2: has 1 cells"),
    "NUL": table(b"name\nA\0B\n", NUL_PLACE),
    "escape": table(b"name\n\x1b[31mA\n", "row 1, line 2: name: holds the control"),
    "C1 control": table("name\nA\x85B\n".encode(), "U+0085 at character 2"),
    "delete": table(b"name\nA\x7f\n", "U+007F at character 2"),
    "NUL behind a break": table(
        b'name,role\n"A\nB",\0\n', "row 1, line 2: role: holds"
    ),
    "CR in a cell": table(b'name\n"A\rB"\n', "row 1, line 2: name: holds the control"),
    "required is empty": table(b"name,role\n,B\n", "row 1, line 2: name: is required"),
    "required is blank": table(b"name,role\n  ,B\n", "row 1, line 2: name: "),
    "invisible name": table("name\n\u200b\n".encode(), "holds no visible character"),
    "text too long": table(
        b"name\n" + b"x" * 300 + b"\n", "line 2: name: must have at most 80"
    ),
    "no number": table(b"width\nwide\n", "row 1, line 2: width: is no length", SOLID),
    "decimal comma": table(b"width\n1.5\n", "row 1, line 2: width: must be", SOLID),
    "number too large": table(
        b"width\n70000\n", "row 1, line 2: width: must be", SOLID
    ),
    "endless number": table(b"width\n" + b"9" * 4000 + b"\n", "line 2: width: ", SOLID),
    "infinite number": table(b"angle\ninf\n", "angle: must be", "renderer=gradient"),
    "negative side": table(b"width\n-1\n", "row 1, line 2: width: must be", SOLID),
    "formula as colour": table(
        b"color\n=A1\n", "row 1, line 2: color: is not a", SOLID
    ),
    "no such choice": table(
        b"title,theme\nA,pink\n", "theme: must be", "renderer=card"
    ),
    "no image": table(
        b"title,image\nA,a.png\n", "image: is the name of a file", "renderer=card"
    ),
    "side over the limit": table(b"width\n9000\n", "9,000 is over the limit", SOLID),
    "area over the limit": table(
        b"width,height\n8000,8000\n", "MIMEO_MAX_PIXELS", SOLID
    ),
    "second row": table(b"width\n1\n\n\nx\n", "row 2, line 5: width", SOLID),
    "old Mac, third row": table(b"width\r1\r2\rx\r", "row 3, line 4: width", SOLID),
    # What the query says.
    "no renderer": asked("", "renderer: is required in the query"),
    "renderer twice": asked("renderer=badge&renderer=qr", "renderer: is given more"),
    "unknown shared": asked("renderer=badge&shoe=43", "shoe: is not known"),
    "bad shared": asked("renderer=solid&width=wide", "width: is no length"),
    "bad format": asked("renderer=badge&format=bmp", "format: 'bmp' is not one of"),
    "bad scale": asked("renderer=badge&scale=9", "scale: must be"),
    "option of others": asked("renderer=badge&quality=80", "quality: is not an option"),
    "unknown placeholder": asked(
        "renderer=badge&name={shoe|no}", "name: 'no' is no filter"
    ),
    "half a brace": asked("renderer=badge&name={index", "name: has a brace"),
    "column of no table": Case(
        CSV, "renderer=badge&name={shoe}", b"name\nA\n", BadRows, "{shoe} is neither"
    ),
    "attribute in braces": Case(
        CSV, "renderer=badge&name={name.real}", b"name\nA\n", BadRows, "is neither"
    ),
    "bound to nobody": asked(f"{BADGE}&bind[shoe]=x", "bind[shoe]: is no parameter of"),
    "unknown filter": asked(
        f"{BADGE}&bind[role]={{a|x}}", "bind[role]: 'x' is no filt"
    ),
    "bound to no column": Case(
        CSV, f"{BADGE}&bind[role]={{job}}", b"name\nA\n", BadRows, "{job} is no column"
    ),
    "sheet of a text": asked(f"{BADGE}&sheet=A", "sheet: is for workbooks"),
    "pattern of 300 KB": asked(f"{BADGE}&name={'x' * 300_000}", "name: has more than"),
    "ignored parameter": asked(f"{BADGE}&ignore=name", "ignore: name is a parameter"),
    "query not UTF-8": Case(CSV, "renderer=%ff", b"", BadBody, "not percent-encoded"),
    "fields without end": Case(CSV, "&a=" * 300, b"", BadBody, "more than 200 fields"),
    "unknown renderer": Case(CSV, "renderer=no", b"", UnknownRenderer, "'no'"),
    "scale over a side": Case(
        CSV,
        f"{BADGE}&scale=3",
        b"",
        LimitExceeded,
        "MIMEO_MAX_PIXELS",
    ),
    # NDJSON.
    "line is no JSON": lines(b'{"width":1}\n{"width":\n', "row 2, line 2: the line is"),
    "single quotes": lines(b"{'width':1}\n", "row 1, line 1: the line is not JSON"),
    "two on a line": lines(b"{} {}\n", "row 1, line 1: the line is not JSON: Extra"),
    "line is an array": lines(
        b"[1]\n", "row 1, line 1: the line must be a JSON object"
    ),
    "line is not UTF-8": lines(b'{"color":"\xff"}\n', "line 1: The JSON is not UTF-8"),
    "name twice": lines(b'{"width":1,"width":2}\n', "line 1: width: is given more"),
    "number as text": lines(b'{"width":"1.5"}\n', "row 1, line 1: width: must be"),
    "truth as number": lines(b'{"width":true}\n', "row 1, line 1: width: must be"),
    "NaN": lines(b'{"width":NaN}\n', "row 1, line 1: the line is not JSON: NaN"),
    "nested without end": lines(
        b"[" * 4000 + b"\n", "row 1, line 1: The JSON is nested"
    ),
    "NUL in JSON": lines(b'{"seed":"\\u0000"}\n', "seed: holds", "renderer=identicon"),
    "half a pair": lines(b'{"seed":"\\ud800"}\n', "seed: holds", "renderer=identicon"),
    "CSV sent as NDJSON": lines(b"width\n1\n", "row 1, line 1: the line is not JSON"),
    "ignored in NDJSON": Case(
        NDJSON, f"{SOLID}&ignore=a", b"{}\n", BadParameter, "ignore: is for tables"
    ),
    # JSON.
    "no bytes": broken(b"", "not JSON: parse error: premature EOF"),
    "no object": broken(b"7", "must be a JSON object"),
    "items of nobody": Case(JSON, "", b"[]", BadParameter, "renderer: is required"),
    "cut off": broken(HEAD + b'[{"width":1},{"wid', "premature EOF"),
    "after the end": broken(HEAD + b"[{}]} x", "trailing garbage"),
    "comma too many": broken(HEAD + b"[{},]}", "near '"),
    "bytes in a text": broken(HEAD + b'[{"color":"\xff"}]}', "invalid bytes in UTF8"),
    "JSON in UTF-16, cut": Case(
        JSON, "", "{}".encode("utf-16")[:-1], BadRows, "is not utf-16"
    ),
    "a lone surrogate": broken(HEAD + b'[{"color":"\\ud800"}]}', "\\ud800, at byte 40"),
    "a low surrogate": broken(HEAD + b'[{"color":"\\udc00a"}]}', "half of a pair"),
    "nested items": broken(HEAD + NESTED + b"}", "nested more than 32 deep in item 1"),
    "number of 400 digits": broken(HEAD + b'[{"width":1e400}]}', "overflow"),
    "integer of 40 digits": broken(
        HEAD + b'[{"width":' + b"9" * 40 + b"}]}", "overflow"
    ),
    "no items": member(b'{"renderer":"solid"}', "items: is required"),
    "items is an object": member(HEAD + b"{}}", "items: must be an array"),
    "items twice": member(HEAD + b'[],"items":[]}', "items: is given more than once"),
    "renderer is a number": member(b'{"renderer":1,"items":[]}', "renderer: must be"),
    "unknown member": member(b'{"rows":[],"items":[]}', "rows: is not known"),
    "defaults is a list": member(HEAD + b'[],"defaults":[]}', "defaults: must be"),
    "unknown default": member(HEAD + b'[],"defaults":{"x":1}}', "defaults.x: is not"),
    "bad default": member(
        HEAD + b'[],"defaults":{"width":"1.5"}}', "defaults.width: must"
    ),
    "default twice": member(
        HEAD + b'[],"defaults":{"width":1,"width":2}}', "defaults.width: is given more"
    ),
    "format of a number": member(HEAD + b'[],"format":7}', "format: '7' is not one of"),
    "format without renderer": member(b'{"format":"bmp","items":[]}', "format: 'bmp'"),
    "defaults for nobody": member(
        b'{"items":[],"defaults":{"a":1}}', "renderer: is required where there are"
    ),
    "members without end": member(
        b"{" + b"".join(b'"a%d":1,' % n for n in range(300)) + b'"items":[]}',
        "there are more than 200 values",
    ),
    "query beside JSON": Case(
        JSON, "format=webp", HEAD + b"[{}]}", BadParameter, "format: belongs into the"
    ),
    "no rows": items(b"[]", "rows: there are none"),
    "item is null": items(b"[{},null]", "row 2: must be an object"),
    "item has a name twice": items(
        b'[{"width":1,"width":2}]', "row 1: width: is given"
    ),
    "item has a bad type": items(b'[{"width":1.5}]', "row 1: width: must be"),
    "item is nested": items(b'[{"width":{"a":1}}]', "row 1: width: must be"),
    "unknown parameter": items(b'[{},{"widht":1}]', "row 2: widht: is not known"),
    "params is a list": items(b'[{"params":[]}]', "row 1: params: must be an object"),
    "name is a number": items(b'[{"params":{},"name":1}]', "row 1: name: must be a"),
    "envelope with more": items(
        b'[{"params":{},"width":1}]', "row 1: width: is not kn"
    ),
    "renderer of an item": items(
        b'[{"params":{},"renderer":"no"}]', "row 1: renderer: No renderer is named"
    ),
    "a thousand names": items(
        b"[{" + b",".join(b'"a%d":1' % n for n in range(1000)) + b"}]", "more than 200"
    ),
    "nobody names a renderer": Case(
        JSON, "", b'{"items":[{}]}', BadRows, "row 1: renderer: is required"
    ),
    # Multipart.
    "no boundary": Case("multipart/form-data", "", b"", BadBody, "names no boundary"),
    "no parts": Case(MULTIPART, "", b"", BadBody, "not multipart/form-data"),
    "not multipart": Case(MULTIPART, "", b"name\nA\n", BadBody, "not multipart"),
    "part cut off": Case(MULTIPART, "", form(CARD)[:-20], BadBody, "not multipart"),
    "part without name": parts(BadBody, "has no name", ("x", b"")),
    "no table": parts(BadParameter, "rows: must be one CSV"),
    "two tables": parts(
        BadParameter, "not 2", (ROWS, b"title\nA\n"), (ROWS, b"title\nA\n")
    ),
    "field twice": parts(
        BadParameter, "renderer: is given more", CARD, (ROWS, b"title\nA\n")
    ),
    "field not UTF-8": parts(
        BadBody, "'tag' is not UTF-8", ('name="tag"', b"\xff"), (ROWS, b"title\nA\n")
    ),
    "texts without end": parts(
        BadBody, "over 4,096 bytes", ('name="tag"', b"x" * 5000), (ROWS, b"title\nA\n")
    ),
    "text fields without end": parts(
        BadBody, "more than 200 fields", *[(f'name="a{n}"', b"") for n in range(200)]
    ),
    "file that is missing": parts(
        BadRows,
        "row 1, line 2: image: no file named 'a.png'",
        (ROWS, b"title,image\nA,a.png\n"),
    ),
    "file by its path": parts(
        BadRows,
        "no file named '../b.png' was sent",
        ('name="p"; filename="a.png"', b"x"),
        (ROWS, b"title,image\nA,../b.png\n"),
    ),
    "file without use": parts(
        BadRows,
        "a.png: is a file that no row refers to",
        ('name="p"; filename="a.png"', b"x"),
        (ROWS, b"title\nA\n"),
    ),
    "file twice": parts(
        BadParameter,
        "a.png: is the name of more than one file",
        ('name="p"; filename="a.png"', b"x"),
        ('name="q"; filename="b/a.png"', b"y"),
        (ROWS, b"title,image\nA,a.png\n"),
    ),
    "file without bytes": parts(
        BadRows,
        "row 1, line 2: image: the file 'a.png' is empty",
        ('name="p"; filename="a.png"', b""),
        (ROWS, b"title,image\nA,a.png\n"),
    ),
    "file without name": parts(
        BadBody, "has no name", ('name="p"; filename=""', b"x"), (ROWS, b"title\nA\n")
    ),
    # Types.
    "a form": Case(
        "application/x-www-form-urlencoded",
        "",
        b"",
        UnsupportedBody,
        "-H 'Content-Type:",
    ),
    "slides": Case(
        "application/vnd.ms-powerpoint", "", b"", UnsupportedBody, "text/csv"
    ),
    "another charset": Case(
        "text/csv; charset=klingon", BADGE, b"name\nA\n", UnsupportedBody, "'klingon'"
    ),
    # Limits.
    "a row too many": Case(
        CSV, SOLID, b"width\n1\n1\n1\n1\n", LimitExceeded, "rows: 4 is over"
    ),
    "an item too many": Case(
        JSON, "", HEAD + b"[{},{},{},[1]]}", LimitExceeded, "rows: 4 is over"
    ),
    "a row too long": table(
        b"name\nA\n" + b"x" * 5000,
        "row 2, line 3: the row is over the limit MIMEO_MAX_B",
    ),
    "a quote over all": table(
        b'name\nA\n"' + b"x\n" * 3000, "row 2, line 3: the row is over the limit"
    ),
    "a line too long": lines(b"{}\n" + b" " * 5000, "row 2, line 2: the row is over"),
    "too many bytes": Case(
        CSV, BADGE, b"name\n" + b"A\n" * 60_000, LimitExceeded, "rows: 4 is over"
    ),
    "bytes after the rows": Case(
        JSON, "", HEAD + b"[{}]}" + b" " * 200_000, BodyTooLarge, "MAX_COLLECTION_BYTES"
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_it_is_refused_with_what_and_where(case: Case, catalogue: Catalogue) -> None:
    with pytest.raises(case.error) as caught:
        upload(catalogue, case.body, case.kind, case.query, SMALL)

    assert case.says in str(caught.value)
    # It repeats what was sent, and must not grow with it.
    assert len(str(caught.value)) < 1500


def test_there_are_a_hundred_kinds() -> None:
    assert len(CASES) >= 100


# A long body in single bytes takes long and shows no more.
SHORT = {name: case for name, case in CASES.items() if len(case.body) < 10_000}


@pytest.mark.parametrize("size", [1, 2, 3, 7])
@pytest.mark.parametrize("case", SHORT.values(), ids=SHORT)
def test_the_answer_does_not_depend_on_how_it_arrives(
    case: Case, size: int, catalogue: Catalogue
) -> None:
    stream = Drips(case.body, size)

    with pytest.raises(case.error) as caught:
        read_upload(
            stream, case.kind, read_pairs(case.query.encode()), catalogue, SMALL
        )

    assert case.says in str(caught.value)


NAMES = {
    "../../etc/passwd": "etc-passwd",
    "..\\..\\boot.ini": "boot.ini",
    "/etc/passwd": "etc-passwd",
    "C:\\Users": "C-Users",
    "CON": "image-CON",
    "con.tar": "image-con.tar",
    "Lpt1": "image-Lpt1",
    "🎉🎉": "tada-tada",
    "Zoë Müller": "Zoe-Muller",
    "北京": "BeiJing",
    "...": "00001",
    "~": "00001",
    " ": "00001",
    "\u202egnp.exe": "gnp.exe",
    "a\tb": "a-b",
    "--rf": "rf",
    "-_.a.-_": "a",
    "=cmd|' /C calc'!A0": "cmd-C-calc-A0",
    "%2e%2e%2f": "2e-2e-2f",
    "x" * 300: "x" * 100,
    "ß" * 80: "s" * 100,
}


@pytest.mark.parametrize("name", NAMES, ids=[name[:20] for name in NAMES])
def test_an_odd_name_becomes_a_safe_one(name: str, catalogue: Catalogue) -> None:
    body = json_of(renderer="solid", items=[{"params": {}, "name": name}])

    draft = upload(catalogue, body, JSON, "")

    item = draft.collection(catalogue, Limits()).item(1)
    draft.close()
    assert item.name == f"{NAMES[name]}.png"


@pytest.mark.parametrize("kind", [CSV, NDJSON])
@pytest.mark.parametrize("pattern", [b"x", b'"x\n', b"x,", b'""', b'"', b"[", b'{"a":'])
def test_a_line_without_end_is_not_read_to_its_end(
    kind: str, pattern: bytes, catalogue: Catalogue
) -> None:
    head = b"name\nA\n" if kind == CSV else b'{"color":"red"}\n'
    query = BADGE if kind == CSV else SOLID
    stream = Endless(head + b'"' * (kind == CSV), pattern)

    with pytest.raises((BadRows, LimitExceeded)) as caught:
        read_upload(stream, kind, read_pairs(query.encode()), catalogue, SMALL)

    # One block, of 64 KiB, shows that a row is over 4 KiB.
    assert stream.taken <= 128 << 10
    assert isinstance(caught.value, LimitExceeded) or caught.value.faults[-1].line


@pytest.mark.parametrize(("kind", "head"), [(CSV, b"color\nred\n"), (NDJSON, b"{}\n")])
def test_blank_lines_without_end_are_not_read_to_their_end(
    kind: str, head: bytes, catalogue: Catalogue
) -> None:
    stream = Endless(head, b"\n")

    with pytest.raises(BadRows) as caught:
        read_upload(stream, kind, read_pairs(SOLID.encode()), catalogue, Limits())

    assert "there are more than 1,048,576 blank lines" in str(caught.value)
    assert stream.taken < 2 << 20


def test_the_first_hundred_faults_are_named_and_the_rest_counted(
    catalogue: Catalogue,
) -> None:
    body = "width\n" + "x\n" * 250

    with pytest.raises(BadRows) as caught:
        upload(catalogue, body, CSV, SOLID)

    assert [fault.row for fault in caught.value.faults] == [*range(1, 101)]
    assert caught.value.more == 150
    assert str(caught.value).endswith("and 249 more")


def test_what_ends_the_reading_is_named_however_many_rows_are_bad(
    catalogue: Catalogue,
) -> None:
    body = "width\n" + "x\n" * 250 + '"open'

    with pytest.raises(BadRows) as caught:
        upload(catalogue, body, CSV, SOLID)

    assert caught.value.faults[-1][:2] == (251, 252)
    assert (len(caught.value.faults), caught.value.more) == (100, 151)


def test_reading_goes_on_behind_a_bad_row(catalogue: Catalogue) -> None:
    body = "width,height\n1,x\n2,2\ny,z\n"

    with pytest.raises(BadRows) as caught:
        upload(catalogue, body, CSV, SOLID)

    assert [*faults_of(caught.value)] == [
        (1, 2, "height"),
        (3, 4, "width"),
        (3, 4, "height"),
    ]


@given(
    data=st.binary(max_size=300), kind=st.sampled_from([CSV, NDJSON, JSON, MULTIPART])
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_no_bytes_make_another_error(
    data: bytes, kind: str, catalogue: Catalogue
) -> None:
    known = (BadRows, BadBody, BadParameter, LimitExceeded)
    query = "" if kind == JSON else SOLID
    try:
        upload(catalogue, data, kind, query).close()
    except known as error:
        assert str(error)


@given(
    data=st.lists(st.sampled_from([*b'"\n\r,;\t{}[]:\\u0d8 ']), max_size=60).map(bytes),
    kind=st.sampled_from([CSV, NDJSON, JSON]),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_no_punctuation_makes_another_error(
    data: bytes, kind: str, catalogue: Catalogue
) -> None:
    heads = {CSV: b"seed\n", NDJSON: b"", JSON: b'{"renderer":"identicon","items":['}
    query = "" if kind == JSON else "renderer=identicon"
    try:
        upload(catalogue, heads[kind] + data, kind, query).close()
    except (BadRows, BadBody, BadParameter, LimitExceeded) as error:
        assert str(error)
