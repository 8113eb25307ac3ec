"""Artwork beyond the cut: in the PDF of one image, and on print sheets, to 0.2 mm."""

import io
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient
from PIL import Image, ImageChops, ImageColor
from pypdf import PdfReader
from pypdf.generic import RectangleObject
from werkzeug.test import TestResponse

from app import create_app
from app.cli.main import main
from app.config import Settings
from app.renderer.catalogue import Catalogue

MM = 72 / 25.4
DPI = 300
SHIPPED = ("badge", "certificate", "label", "place-card", "ticket")
# Black to the cut, red beyond it, and a blue edge on the left by which it is known.
DECLARATION = """\
title = "Swatch"
size = "60mm x 40mm"
dpi = 150
bleed = "3mm"

[parameters.note]
type = "text"
max_length = 20
default = "note"
"""
MARKUP = """\
<style>
div { border: 0 solid lime; padding: 0; }
.ground { position: absolute; inset: -{{ bleed }}px; background: red; }
.swatch { position: relative; width: 354px; height: 236px; background: %s; }
.left { position: absolute; left: 0; top: 0; width: 40px; height: 236px;
        background: blue; }
</style>
<div style="width: 100%%; height: 100%%">
{%% if bleed %%}<i class="ground"></i>{%% endif %%}
<div class="swatch"><i class="left"></i></div>
</div>
"""
# Conic gradients make the page of a PDF a picture.
GROUNDS = {"swatch": "black", "picture": "conic-gradient(black, black)"}
pytestmark = pytest.mark.skipif(
    shutil.which("pdftoppm") is None, reason="pdftoppm of poppler-utils is not here"
)


@pytest.fixture(scope="module")
def own(
    settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Flask]:
    """An app with two templates by whose colours places are known."""
    folder = tmp_path_factory.mktemp("templates")
    for name, ground in GROUNDS.items():
        (folder / name).mkdir()
        (folder / name / "parameters.toml").write_text(DECLARATION)
        (folder / name / "template.html").write_text(MARKUP % ground)
    (folder / "book").mkdir()
    (folder / "book" / "parameters.toml").write_text(f"pages = true\n{DECLARATION}")
    book = "{% set pages = 2 %}<p>{{ page }}</p>" + MARKUP % "black"
    (folder / "book" / "template.html").write_text(book)
    made = create_app(replace(settings, templates=folder))
    yield made
    made.extensions["mimeo"].close()


@pytest.fixture
def swatches(own: Flask) -> FlaskClient:
    return own.test_client()


def posted(
    client: FlaskClient, query: str, count: int = 1, **body: Any
) -> TestResponse:
    rows = "note\n" + "".join(f"n{number}\n" for number in range(count))
    body = body or {"data": rows, "content_type": "text/csv"}
    with client.post(f"/collections.pdf?{query}", **body) as answer:
        answer.get_data()
        return answer


def sheet(client: FlaskClient, query: str, count: int = 1) -> bytes:
    answer = posted(client, query, count)
    assert answer.status_code == 200, answer.get_data(as_text=True)
    return answer.data


def fault(client: FlaskClient, query: str) -> tuple[str, str]:
    answer = posted(client, query)
    assert answer.status_code == 422, answer.data[:20]
    (found,) = answer.json["errors"]
    return found["field"], found["reason"]


class Sheet:
    """A page as poppler draws it; places are millimetres from its upper left corner."""

    def __init__(self, data: bytes, folder: Path, page: int = 1) -> None:
        file = folder / "sheet.pdf"
        file.write_bytes(data)
        command = ["pdftoppm", "-r", str(DPI), "-f", str(page), "-l", str(page)]
        made = subprocess.run([*command, str(file)], capture_output=True, check=True)
        self.image = Image.open(io.BytesIO(made.stdout)).convert("RGB")

    def color(self, x: float, y: float) -> tuple[int, int, int]:
        place = round(x / 25.4 * DPI), round(y / 25.4 * DPI)
        found = self.image.getpixel(place)
        assert isinstance(found, tuple)
        return found

    def extent(self, color: str) -> tuple[float, float, float, float]:
        """Return left, top, right and bottom of all that has about this colour."""
        about = [
            band.point([255 * (abs(level - wanted) < 60) for level in range(256)])
            for band, wanted in zip(
                self.image.split(), ImageColor.getrgb(color), strict=True
            )
        ]
        near = np.asarray(reduce(ImageChops.darker, about))
        rows, columns = np.flatnonzero(near.any(1)), np.flatnonzero(near.any(0))
        edges = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
        left, top, right, bottom = (edge / DPI * 25.4 for edge in edges)
        return left, top, right, bottom


def box(found: RectangleObject) -> list[float]:
    return [float(side) for side in found]


@pytest.mark.parametrize("name", SHIPPED)
def test_what_is_cut_off_changes_no_pixel_of_the_rest(
    catalogue: Catalogue, name: str
) -> None:
    renderer = catalogue.get(name)
    parameters = renderer.parameters.model_validate_strings(dict(renderer.example))
    assert renderer.bled is not None
    assert renderer.paper is not None

    cut = renderer.draw(parameters, 2).image
    whole = renderer.bled.draw(parameters, 2).image

    over = 2 * renderer.paper.overhang
    inside = whole.crop((over, over, over + cut.width, over + cut.height))
    assert whole.size == (cut.width + 2 * over, cut.height + 2 * over)
    assert ImageChops.difference(inside, cut).getbbox() is None


@pytest.mark.parametrize("name", SHIPPED)
def test_the_edge_of_a_shipped_template_goes_on_in_its_bleed(
    catalogue: Catalogue, name: str
) -> None:
    renderer = catalogue.get(name)
    parameters = renderer.parameters.model_validate_strings(dict(renderer.example))
    assert renderer.bled is not None
    assert renderer.paper is not None

    drawn = renderer.bled.draw(parameters, 1).image
    paper = Image.new("RGBA", drawn.size, "white")
    whole = Image.alpha_composite(paper, drawn).convert("RGB")

    # What a cut that slips by a millimetre shows has the colour of the edge, but where
    # round shapes and notches go on in their own way.
    over = renderer.paper.overhang
    slip = round(renderer.paper.dpi / 25.4)
    width, height = whole.size
    sides = (
        [(over, y, over - slip, y) for y in range(over, height - over)],
        [
            (width - over - 1, y, width - over + slip, y)
            for y in range(over, height - over)
        ],
        [(x, over, x, over - slip) for x in range(over, width - over)],
        [
            (x, height - over - 1, x, height - over + slip)
            for x in range(over, width - over)
        ],
    )
    for side in sides:
        differ = sum(
            whole.getpixel((x, y)) != whole.getpixel((to_x, to_y))
            for x, y, to_x, to_y in side
        )
        assert differ < 0.1 * len(side)


def test_a_pdf_with_its_bleed_says_where_to_cut(client: FlaskClient) -> None:
    with client.get("/images/badge.pdf?name=Ada&bleed=on") as answer:
        (page,) = PdfReader(io.BytesIO(answer.data), strict=True).pages

    bleed = 3 * MM
    whole = pytest.approx([0, 0, 288 + 2 * bleed, 432 + 2 * bleed], abs=0.001)
    assert box(page.mediabox) == box(page.bleedbox) == whole
    trim = [bleed, bleed, 288 + bleed, 432 + bleed]
    assert box(page.trimbox) == pytest.approx(trim, abs=0.001)


def test_a_pdf_has_no_bleed_unless_it_is_asked_for(client: FlaskClient) -> None:
    with client.get("/images/badge.pdf?name=Ada") as plain:
        plain.get_data()
    with client.get("/images/badge.pdf?name=Ada&bleed=off") as without:
        without.get_data()

    assert plain.data == without.data
    assert plain.headers["ETag"] == without.headers["ETag"]
    assert b"TrimBox" not in plain.data


@pytest.mark.parametrize("name", GROUNDS)
def test_a_ruler_finds_the_cut_and_the_bleed_of_one_page(
    swatches: FlaskClient, tmp_path: Path, name: str
) -> None:
    with swatches.get(f"/images/{name}.pdf?bleed=on") as answer:
        found = Sheet(answer.data, tmp_path)

    assert found.extent("red") == pytest.approx((0, 0, 66, 46), abs=0.2)
    assert found.extent("black")[1:] == pytest.approx((3, 63, 43), abs=0.2)
    assert found.extent("blue")[0] == pytest.approx(3, abs=0.2)


def test_every_page_of_several_has_its_bleed(swatches: FlaskClient) -> None:
    with swatches.get("/images/book.pdf?bleed=on") as answer:
        pages = PdfReader(io.BytesIO(answer.data), strict=True).pages
    sheets = sheet(swatches, "renderer=book&sheet[bleed]=3mm&sheet[grid]=1x1")

    assert len(pages) == len(PdfReader(io.BytesIO(sheets)).pages) == 2
    trim = pytest.approx([3 * MM, 3 * MM, 63 * MM, 43 * MM], abs=0.2)
    assert [box(page.trimbox) for page in pages] == [trim, trim]


def test_other_resolutions_have_another_bleed(swatches: FlaskClient) -> None:
    with swatches.get("/images/swatch.pdf?bleed=on&dpi=300") as answer:
        (page,) = PdfReader(io.BytesIO(answer.data)).pages

    bleed = 1.5 * MM
    sides = (354 / 300 * 72, 236 / 300 * 72)
    trim = [bleed, bleed, sides[0] + bleed, sides[1] + bleed]
    assert box(page.trimbox) == pytest.approx(trim, abs=0.001)


@pytest.mark.parametrize("name", GROUNDS)
def test_artwork_reaches_over_every_cut_of_a_sheet(
    swatches: FlaskClient, tmp_path: Path, name: str
) -> None:
    query = f"renderer={name}&sheet[bleed]=3mm&sheet[marks]=crop&sheet[grid]=2x2"

    found = Sheet(sheet(swatches, query, 4), tmp_path)

    # Two of 60 x 40 mm each way with a gap of 6, in the middle of A4.
    left, top = (210 - 126) / 2, (297 - 86) / 2
    assert found.extent("red") == pytest.approx(
        (left - 3, top - 3, left + 129, top + 89), abs=0.2
    )
    assert found.extent("blue")[0] == pytest.approx(left, abs=0.2)
    for x in (left, left + 66):
        for y in (top, top + 46):
            for away, color in ((1, (255, 0, 0)), (-1, (0, 0, 0))):
                assert found.color(x + 60 + away, y + 10) == color
                assert found.color(x + 50, y - away) == color
                assert found.color(x + 50, y + 40 + away) == color
    for x, y in ((left - 4, top + 10), (left + 130, top + 10), (left + 9, top - 4)):
        assert found.color(x, y) == (255, 255, 255)


def test_marks_stand_outside_of_the_bleed(
    swatches: FlaskClient, tmp_path: Path
) -> None:
    query = "renderer=swatch&sheet[bleed]=3mm&sheet[marks]=crop&sheet[grid]=1x1"

    found = Sheet(sheet(swatches, query), tmp_path)

    # 2 mm beyond 3 of bleed, and 5 long.
    left, top = (210 - 60) / 2, (297 - 40) / 2
    grey = np.asarray(found.image.convert("L")) < 220
    column = round(left / 25.4 * DPI)
    ink = np.flatnonzero(grey[:, column - 1 : column + 2].any(1)) / DPI * 25.4
    above = ink[ink < top - 3.2]
    assert (above[0], above[-1]) == pytest.approx((top - 10, top - 5), abs=0.2)
    assert len(above) > 4.8 / 25.4 * DPI


def test_less_bleed_than_declared_is_as_much_as_is_asked_for(
    swatches: FlaskClient, tmp_path: Path
) -> None:
    query = "renderer=swatch&sheet[bleed]=1.2mm&sheet[grid]=1x1"

    found = Sheet(sheet(swatches, query), tmp_path)

    left, top = 75, 128.5
    edges = (left - 1.2, top - 1.2, left + 61.2, top + 41.2)
    assert found.extent("red") == pytest.approx(edges, abs=0.2)


def test_no_artwork_reaches_over_a_fold(swatches: FlaskClient, tmp_path: Path) -> None:
    query = "renderer=swatch&sheet[bleed]=3mm&sheet[fold]=top&sheet[grid]=1x1"

    found = Sheet(sheet(swatches, query), tmp_path)

    left, top = 75, (297 - 80) / 2
    assert found.color(left + 30, top + 40 - 0.5) == (0, 0, 0)
    assert found.color(left + 30, top + 40 + 0.5) == (0, 0, 0)
    edges = (left - 3, top - 3, left + 63, top + 83)
    assert found.extent("red") == pytest.approx(edges, abs=0.2)


def test_backs_have_the_bleed_behind_that_of_their_fronts(
    swatches: FlaskClient, tmp_path: Path
) -> None:
    query = "renderer=swatch&sheet[bleed]=2mm&sheet[duplex]=long&sheet[grid]=3x1"
    data = sheet(swatches, query, 1)

    front, back = Sheet(data, tmp_path, 1), Sheet(data, tmp_path, 2)

    left, top, right, bottom = front.extent("red")
    mirrored = (210 - right, top, 210 - left, bottom)
    assert back.extent("red") == pytest.approx(mirrored, abs=0.2)
    assert left < 60


def test_a_piece_that_is_made_smaller_is_cut_at_its_own_edge(
    swatches: FlaskClient, tmp_path: Path
) -> None:
    query = "renderer=swatch&sheet[bleed]=2mm&sheet[grid]=2x9&sheet[marks]=crop"

    found = Sheet(sheet(swatches, query, 18), tmp_path)

    # Nine rows within margins of 10 and bleed, eight gaps of 4: columns have more room.
    height = (297 - 2 * 12 - 8 * 4) / 9
    width = height * 60 / 40
    first, second = 12 + (91 - width) / 2, 12 + 91 + 4 + (91 - width) / 2
    edges = (first - 2, 10, second + width + 2, 287)
    assert found.extent("red") == pytest.approx(edges, abs=0.2)
    dark = np.asarray(found.image.convert("L")) < 220
    marks = np.flatnonzero(dark[: round(7 / 25.4 * DPI)].any(0)) / DPI * 25.4
    cuts = sorted({round(mark) for mark in marks})
    wanted = [first, first + width, second, second + width]
    assert cuts == pytest.approx(wanted, abs=1)
    assert all(min(abs(marks - place)) < 0.2 for place in wanted)


REFUSED = {
    "renderer=swatch&sheet[bleed]=4mm": "is 4mm, and 'swatch' has 3mm",
    "renderer=swatch&sheet[bleed]=3mm&dpi=300": "is 3mm, and 'swatch' has 1.5mm",
    "renderer=swatch&sheet[bleed]=3mm&sheet[grid]=6x1": (
        "is 3mm, and 'swatch' has 1.93mm at 64% of its size"
    ),
    "renderer=swatch&sheet[bleed]=3mm&sheet[gap]=5.9mm": (
        "is 3mm, and pieces are 5.9mm apart, which has to be twice as much"
    ),
    "renderer=swatch&sheet[bleed]=1mm&sheet[preset]=avery-l7160": (
        "is 1mm, and pieces are 0mm apart, which has to be twice as much"
    ),
    "renderer=swatch&sheet[bleed]=3": "is no length",
    "renderer=swatch&sheet[bleed]=1m": "has the unit 'm'",
    "renderer=swatch&sheet[bleed]=200mm": "leaves nothing of the page",
}


@pytest.mark.parametrize("query", REFUSED)
def test_a_bleed_that_cannot_be_is_refused_by_its_name(
    swatches: FlaskClient, query: str
) -> None:
    field, reason = fault(swatches, query)

    assert field == "sheet[bleed]"
    assert reason.startswith(REFUSED[query])


def test_a_template_without_bleed_is_named(client: FlaskClient) -> None:
    rows = {"data": "name\nAda\n", "content_type": "text/csv"}
    query = "renderer=address-label&sheet[bleed]=2mm"
    answer = posted(client, query, **rows)
    mixed = {
        "items": [
            {"renderer": "badge", "params": {"name": "Ada"}},
            {"renderer": "solid", "params": {"color": "red"}},
        ],
        "sheet": {"bleed": "2mm"},
    }

    assert (answer.status_code, answer.json["field"]) == (422, "sheet[bleed]")
    assert "'address-label' declares no bleed" in answer.json["detail"]
    refused = posted(client, "", json=mixed)
    assert (refused.status_code, refused.json["field"]) == (422, "sheet[bleed]")
    assert "'solid' declares no bleed" in refused.json["detail"]


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("badge.png?name=Ada", "is not an option of png; it is one of pdf"),
        ("address-label.pdf?name=Ada", "is not declared by 'address-label'"),
        ("qr.pdf?data=a", "is not declared by 'qr'"),
    ],
)
def test_one_image_without_a_bleed_is_refused_by_its_name(
    client: FlaskClient, path: str, reason: str
) -> None:
    with client.get(f"/images/{path}&bleed=on") as answer:
        assert answer.status_code == 422
        assert answer.json["errors"] == [{"field": "bleed", "reason": reason}]


def test_no_bleed_and_a_bleed_of_nothing_are_one_sheet(swatches: FlaskClient) -> None:
    query = "renderer=swatch&sheet[marks]=crop"

    without = sheet(swatches, f"{query}&sheet[bleed]=0")

    # A template is drawn with what it has, and cut.
    (page,) = PdfReader(io.BytesIO(without)).pages
    assert box(page.mediabox) == pytest.approx([0, 0, 210 * MM, 297 * MM], abs=0.01)
    assert len(sheet(swatches, query)) < len(without)


def test_json_and_the_command_line_have_it_too(
    client: FlaskClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = {"data": "name\nAda\n", "content_type": "text/csv"}
    asked = posted(client, "renderer=place-card&sheet[bleed]=3mm", **rows)
    document = {
        "renderer": "place-card",
        "items": [{"name": "Ada"}],
        "sheet": {"bleed": "3mm"},
    }
    sent = posted(client, "", json=document)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MIMEO_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("MIMEO_SYSTEM_FONTS", "off")
    Path("rows.csv").write_text("name\nAda\n")
    batch = ["batch", "rows.csv", "--renderer", "place-card", "-o", "a.pdf"]

    assert main([*batch, "--sheet-bleed", "3mm"]) == 0
    assert asked.data == sent.data == Path("a.pdf").read_bytes()
    assert main([*batch, "--sheet-bleed", "4mm", "--dry-run"]) == 2


def test_pages_of_a_collection_may_have_their_bleed(swatches: FlaskClient) -> None:
    data = sheet(swatches, "renderer=swatch&format=pdf&bleed=on", 2)
    cut = sheet(swatches, "renderer=swatch&format=pdf&bleed=on&sheet[grid]=1x1", 1)

    pages = PdfReader(io.BytesIO(data), strict=True).pages
    trim = pytest.approx([3 * MM, 3 * MM, 63 * MM, 43 * MM], abs=0.2)
    assert [box(page.trimbox) for page in pages] == [trim, trim]
    assert b"TrimBox" not in cut


def test_a_sheet_without_bleed_cuts_what_its_pages_have(
    swatches: FlaskClient, tmp_path: Path
) -> None:
    query = "renderer=swatch&format=pdf&bleed=on&sheet[grid]=1x1"

    found = Sheet(sheet(swatches, query), tmp_path)

    assert found.extent("blue")[0] == pytest.approx(75, abs=0.2)
    assert found.color(75 + 61, 148) == (255, 255, 255)
    assert found.color(75 + 59, 148) == (0, 0, 0)


def test_the_catalogue_says_the_bleed(client: FlaskClient) -> None:
    with client.get("/renderers") as answer:
        papers = {row["name"]: row["paper"] for row in answer.json["renderers"]}

    for name in SHIPPED:
        assert papers[name]["bleed_mm"] == 3
    assert papers["address-label"]["bleed_mm"] == 0


def test_a_deleted_collection_leaves_no_page_with_its_bleed(
    settings: Settings, tmp_path: Path
) -> None:
    made = create_app(replace(settings, store=str(tmp_path)))
    client = made.test_client()
    rows = {"data": "name\nAda\nGrace\n", "content_type": "text/csv"}
    with client.post("/collections?renderer=badge", **rows) as answer:
        place = answer.headers["Location"]
    # To know how long it is, pages are drawn and kept.
    for query in ("sheet[page]=A3", "sheet[page]=A3&sheet[bleed]=3mm"):
        part = {"Range": "bytes=0-9"}
        with client.get(f"{place}.pdf?{query}", headers=part) as answer:
            assert answer.status_code == 206

    def kept() -> int:
        files = (each for each in tmp_path.rglob("*") if each.is_file())
        return sum(b"%PDF" in each.read_bytes() for each in files)

    before = kept()
    with client.delete(place) as deleted:
        assert deleted.status_code == 204
    made.extensions["mimeo"].close()

    assert before == 4
    assert kept() == 0
