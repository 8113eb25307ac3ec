"""Print sheets over HTTP, read back by poppler and pypdf."""

import io
import re
import shutil
import subprocess
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pypdfium2
import pytest
from flask import Flask
from flask.testing import FlaskClient
from PIL import Image
from pypdf import PdfReader
from werkzeug.test import TestResponse

from app.collection.export.print_sheet import PRESETS
from tests.renderer.encode.pdf.drawings import difference, program, raster, run

NAMES = ("Ada Lovelace", "Мария Кюри", "محمد الفيصل", "孫中山", "김민준")
ROWS = "name\n" + "\n".join(NAMES) + "\n"
# Ten scripts.
PEOPLE = (
    ("Ada Lovelace", "Σωκράτης"),
    ("Мария Кюри", "Royal Society"),
    ("محمد الفيصل", "Riyadh"),
    ("יעל כהן", "Haifa"),
    ("नरेंद्र शर्मा", "Delhi"),
    ("สมชาย", "Bangkok"),
    ("孫中山", "こんにちは"),
    ("김민준", "Seoul"),
)
MM = 72 / 25.4
needs_poppler = pytest.mark.skipif(
    shutil.which("pdftoppm") is None, reason="pdftoppm of poppler-utils is not here"
)


def posted(client: FlaskClient, path: str, **body: Any) -> TestResponse:
    """Return an answer that is read and closed."""
    if not body:
        body = {"data": ROWS.encode(), "content_type": "text/csv"}
    with client.post(path, **body) as answer:
        answer.get_data()
        return answer


def sheet(client: FlaskClient, query: str, rows: str = ROWS) -> bytes:
    body = {"data": rows.encode(), "content_type": "text/csv"}
    answer = posted(client, f"/collections.pdf?{query}", **body)
    assert answer.status_code == 200, answer.get_data(as_text=True)
    return answer.data


def rendered(data: bytes, folder: Path, page: int, dpi: int) -> Image.Image:
    file = folder / "sheet.pdf"
    file.write_bytes(data)
    command = ["pdftoppm", "-r", str(dpi), "-f", str(page), "-l", str(page)]
    made = subprocess.run([*command, str(file)], capture_output=True, check=True)
    return Image.open(io.BytesIO(made.stdout)).convert("RGB")


def inked(image: Image.Image, dpi: int) -> tuple[float, float, float, float]:
    """Return left, top, right and bottom of what is not white, in millimetres."""
    dark = np.asarray(image.convert("L")) < 250
    rows, columns = np.flatnonzero(dark.any(1)), np.flatnonzero(dark.any(0))
    edges = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
    left, top, right, bottom = (edge / dpi * 25.4 for edge in edges)
    return left, top, right, bottom


def test_as_many_as_fit_on_a_page_in_their_own_size(client: FlaskClient) -> None:
    pages = PdfReader(io.BytesIO(sheet(client, "renderer=badge&sheet[page]=A3"))).pages

    # A3 is 297 mm wide and takes two badges of 101.6 by 152.4 mm across and down.
    assert len(pages) == 2
    assert [float(side) for side in pages[0].mediabox[2:]] == pytest.approx(
        [297 * MM, 420 * MM], abs=0.01
    )


@needs_poppler
@pytest.mark.parametrize("scale", [1, 2])
def test_pieces_measure_what_they_are_to_a_fifth_of_a_millimetre(
    client: FlaskClient, tmp_path: Path, scale: int
) -> None:
    # 1004 and 650 pixels are 85 and 55 mm.
    query = f"renderer=solid&width=1004&height=650&dpi=300&scale={scale}"
    rows = "color\n" + "black\n" * 3
    data = sheet(client, f"{query}&sheet[gap]=5mm", rows)

    found = inked(rendered(data, tmp_path, 1, 300), 300)

    # Two across with a gap, in the middle of A4; the third begins a row.
    left = (210 - 2 * 85 - 5) / 2
    assert found[0] == pytest.approx(left, abs=0.2)
    assert found[2] == pytest.approx(left + 175, abs=0.2)


def edges(line: np.ndarray) -> list[float]:
    """Return where the grey of a line of pixels changes, in millimetres."""
    steps = np.abs(np.diff(line.astype(int)))
    changed = np.flatnonzero(steps > 4)
    groups = np.split(changed, np.flatnonzero(np.diff(changed) > 1) + 1)
    middles = (np.average(each + 1, weights=steps[each]) for each in groups)
    return [float(middle) / 300 * 25.4 for middle in middles]


@needs_poppler
@pytest.mark.parametrize("scale", [1, 2, 3])
@pytest.mark.parametrize("name", PRESETS)
def test_a_ruler_finds_all_labels_of_a_sheet(
    client: FlaskClient, tmp_path: Path, name: str, scale: int
) -> None:
    stock = PRESETS[name]
    width, height = (f"{side:.4f}in" for side in stock.label)
    solid = f"renderer=solid&width={width}&height={height}&dpi=300&scale={scale}"
    # Neighbours differ, as those of a chessboard.
    colors = [
        "black" if (row + column) % 2 else "gray"
        for row in range(stock.rows)
        for column in range(stock.columns)
    ]

    rows = "\n".join(("color", *colors))
    data = sheet(client, f"{solid}&sheet[preset]={name}", rows)

    grey = np.asarray(rendered(data, tmp_path, 1, 300).convert("L"))
    for axis, count in enumerate((stock.columns, stock.rows)):
        corner, side, gap = (
            lengths[axis] * 25.4 for lengths in (stock.corner, stock.label, stock.gap)
        )
        begins = [corner + number * (side + gap) for number in range(count)]
        wanted = sorted({round(x, 2) for b in begins for x in (b, b + side)})
        other = stock.corner[1 - axis] + stock.label[1 - axis] / 2
        lines = grey.T if axis else grey
        assert edges(lines[round(other * 300)]) == pytest.approx(wanted, abs=0.2)


@needs_poppler
def test_all_scripts_are_text_on_a_sheet(client: FlaskClient, tmp_path: Path) -> None:
    file = tmp_path / "sheet.pdf"
    file.write_bytes(sheet(client, "renderer=badge&sheet[grid]=2x3"))

    said = subprocess.run(
        ["pdftotext", str(file), "-"], capture_output=True, check=True
    ).stdout.decode()

    plain = "".join(said.replace("\u202b", "").replace("\u202c", "").split())
    for name in NAMES:
        assert "".join(name.split()) in plain, name


@pytest.fixture(scope="module")
def eight(app: Flask) -> bytes:
    """A page of A4 with eight badges in ten scripts."""
    rows = "name,company\n" + "".join(f"{a},{b}\n" for a, b in PEOPLE)
    return sheet(
        app.test_client(), "renderer=badge&sheet[grid]=4x2&sheet[marks]=crop", rows
    )


@needs_poppler
def test_boxes_of_words_on_a_sheet_are_around_their_ink(
    eight: bytes, tmp_path: Path
) -> None:
    ink = np.asarray(rendered(eight, tmp_path, 1, 288).convert("L")) < 128
    told = run("pdftotext", "-bbox", str(tmp_path / "sheet.pdf"), "-")

    words = re.findall(
        r'<word xMin="(.+?)" yMin="(.+?)" xMax="(.+?)" yMax="(.+?)">', told
    )
    assert len(words) >= sum(len(" ".join(pair).split()) for pair in PEOPLE)
    for word in words:
        left, top, right, bottom = (float(side) * 4 for side in word)
        around = ink[int(top) - 3 : int(bottom) + 4, int(left) - 3 : int(right) + 4]
        down, across = np.nonzero(around)
        seen = (down.max() - down.min() + 1) * (across.max() - across.min() + 1)
        area = (bottom - top) * (right - left)
        assert 0.7 < seen / area < 1 / 0.7, word


@needs_poppler
def test_words_on_a_sheet_are_copied_as_they_were_sent(
    eight: bytes, tmp_path: Path
) -> None:
    (tmp_path / "sheet.pdf").write_bytes(eight)
    said = re.sub("[\u202a-\u202e]", "", run("pdftotext", f"{tmp_path}/sheet.pdf", "-"))

    for word in " ".join(" ".join(pair) for pair in PEOPLE).split():
        assert unicodedata.normalize("NFC", word) in said.split(), word


@needs_poppler
def test_a_piece_of_a_sheet_looks_as_its_picture(
    client: FlaskClient, eight: bytes, tmp_path: Path
) -> None:
    name, company = PEOPLE[0]
    query = {"name": name, "company": company}
    with client.get("/images/badge.png", query_string=query) as answer:
        picture = Image.open(io.BytesIO(answer.data)).convert("RGB")
    # Cells are 47.5 mm wide within margins of 10; a badge has 600 pixels.
    dpi = 600 / 47.5 * 25.4
    shown = rendered(eight, tmp_path, 1, round(dpi))
    height = 47.5 * 1.5
    top = 10 + ((297 - 20) / 2 - height) / 2
    left, upper = round(10 / 25.4 * dpi), round(top / 25.4 * dpi)
    piece = shown.crop((left, upper, left + 600, upper + 900))

    mean, off = difference(piece, picture)
    assert mean < 6
    assert off < 0.03


def test_a_sheet_takes_a_tenth_of_its_pictures(eight: bytes) -> None:
    # At 300 dots an inch.
    assert len(eight) < 8 * len(raster("badge", 2)) / 10


def test_a_sheet_opens_in_readers_that_are_not_ours(
    eight: bytes, tmp_path: Path
) -> None:
    file = tmp_path / "sheet.pdf"
    file.write_bytes(eight)

    assert len(PdfReader(file).pages) == 1
    assert len(pypdfium2.PdfDocument(file)) == 1
    run(program("qpdf", "qpdf"), "--check", str(file))
    tool = program("mutool", "mupdf-tools")
    run(tool, "draw", "-q", "-o", str(tmp_path / "a.png"), str(file), "1")


def test_equal_parts_of_pieces_are_in_the_file_once(client: FlaskClient) -> None:
    one = len(sheet(client, "renderer=badge&sheet[page]=A3", "name\nAda\n"))
    many = len(sheet(client, "renderer=badge&sheet[page]=A3", "name\n" + "Ada\n" * 40))

    # Ten sheets of four pieces: each is where they lie, and no word of what is there.
    assert many < one + 10 * 3000


def test_what_is_made_smaller_is_said(client: FlaskClient) -> None:
    answer = posted(client, "/collections.pdf?renderer=badge&sheet[grid]=2x4")

    assert "62%" in answer.headers["X-Media-Warnings"]


def test_json_has_the_options_as_one_object(client: FlaskClient) -> None:
    body = {
        "renderer": "badge",
        "items": [{"name": name} for name in NAMES],
        "sheet": {"page": "A3", "marks": "cut"},
    }

    answer = posted(client, "/collections.pdf", json=body)

    assert answer.status_code == 200
    assert answer.data == sheet(
        client, "renderer=badge&sheet[page]=A3&sheet[marks]=cut"
    )


@pytest.mark.parametrize("path", ["/collections", "/collections.zip"])
def test_a_sheet_is_for_pdf_alone(client: FlaskClient, path: str) -> None:
    body = {"renderer": "badge", "items": [{"name": "Ada"}], "sheet": {"page": "A4"}}

    answer = posted(client, path, json=body)

    assert answer.status_code == 422
    assert answer.json["field"] == "sheet"


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("sheet[page]=B7", "sheet[page]"),
        ("sheet[grid]=two", "sheet[grid]"),
        ("sheet[fold]=right", "sheet[fold]"),
        ("sheet[preset]=avery", "sheet[preset]"),
        ("sheet[colour]=red", "sheet[colour]"),
        ("sheet[page]=A4&sheet[preset]=avery-5160", "sheet[page]"),
        ("sheet[page]=A4&sheet[page]=A5", "sheet[page]"),
    ],
)
def test_options_that_mean_nothing_are_named(
    client: FlaskClient, query: str, field: str
) -> None:
    answer = posted(client, f"/collections.pdf?renderer=badge&{query}")

    assert answer.status_code == 422
    assert answer.json["field"] == field


def test_a_kept_collection_is_had_as_sheets_again(client: FlaskClient) -> None:
    made = posted(client, "/collections.pdf?renderer=badge&sheet[page]=A3")
    place = made.headers["Content-Location"]

    with client.get(place) as again, client.get(place.partition("?")[0]) as plain:
        assert again.data != plain.data

    assert again.data == made.data
    assert again.headers["ETag"] != plain.headers["ETag"]
    with client.get(place, headers={"Range": "bytes=100-199"}) as part:
        part.get_data()
    assert (part.status_code, part.data) == (206, made.data[100:200])


def test_backs_follow_their_fronts(client: FlaskClient) -> None:
    data = sheet(client, "renderer=place-card&sheet[duplex]=long&sheet[grid]=2x1")

    pages = PdfReader(io.BytesIO(data)).pages
    assert len(pages) == 6
    words = [page.extract_text() for page in pages]
    assert "Ada" in words[0]
    assert sorted(words[0].split()) == sorted(words[1].split())


def test_members_of_json_that_are_no_options_are_named(client: FlaskClient) -> None:
    body = {"renderer": "badge", "items": [{"name": "Ada"}], "sheet": ["A4"]}

    answer = posted(client, "/collections.pdf", json=body)

    assert answer.status_code == 422
    assert answer.json["field"] == "sheet"
