"""Pictures have their size on paper in every file that can say one, to 0.2 mm."""

import base64
import io
import json
import shutil
import struct
import subprocess
import zipfile
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient
from PIL import Image
from pypdf import PdfReader

from app.cli.main import main

MM = 72 / 25.4
# Millimetres, and CSS pixels an inch.
DECLARED = {
    "badge": (101.6, 152.4, 150),
    "certificate": (297.0, 210.0, 96),
    "label": (101.6, 50.8, 150),
    "address-label": (63.5, 38.1, 150),
    "place-card": (88.9, 50.8, 150),
    "invoice": (210.0, 297.0, 96),
    "ticket": (139.7, 50.8, 150),
}
# For screens: a pixel is CSS's, 96 an inch.
UNDECLARED = {"card": (317.5, 166.688), "quote": (285.75, 285.75)}
QUERY = {
    "badge": {"name": "Ada"},
    "certificate": {"name": "Ada", "course": "Engines"},
    "label": {"product": "Tea"},
    "address-label": {"name": "Ada"},
    "place-card": {"name": "Ada"},
    "invoice": {"number": "7"},
    "ticket": {"event": "Jazz", "code": "A1"},
    "card": {"title": "Hello"},
    "quote": {"text": "Hello"},
}
# What has lines and grounds whose places the template's style says.
FULL = {"label": {"price": "$9"}, "address-label": {"sender": "Mimeo, Leipzig"}}
# A template, a line over it at so many CSS pixels (None: all of it is looked at), and
# the first and the last edges there.
RULED = [
    ("badge", "down", 30, (168, 750), ()),
    ("badge", "across", 26, (250, 350), ()),
    ("certificate", "across", 397, (24.75, 27.25), (1095.75, 1098.25)),
    ("certificate", "down", 561, (24.75, 27.25), (766.75, 769.25)),
    ("label", "across", 12, (368, 376), ()),
    ("address-label", "across", None, (22,), (353,)),
    ("place-card", "across", 60, (20, 22), (503, 505)),
    ("place-card", "down", 60, (20, 22), (278, 280)),
    ("invoice", "across", None, (64,), (730,)),
    ("ticket", "down", 600, (13.2,), (286.8,)),
    ("ticket", "across", 3, (593.3,), ()),
]
# White to their edges.
WHITE = ("badge", "label", "address-label", "invoice")
needs_poppler = pytest.mark.skipif(
    shutil.which("pdftoppm") is None, reason="pdftoppm of poppler-utils is not here"
)
BADGE = "/images/badge.{}?name=Ada"
ROWS = "name\nAda\nGrace\n"


def fetched(client: FlaskClient, url: str, **query: str) -> bytes:
    path, _, given = url.partition("?")
    answer = client.get(path, query_string={**dict(parse_qsl(given)), **query})
    assert answer.status_code == 200, answer.get_data(as_text=True)
    return answer.data


def posted(client: FlaskClient, url: str, **body: Any) -> bytes:
    with client.post(url, **body) as answer:
        assert answer.status_code == 200, answer.get_data(as_text=True)
        return answer.data


def refused(client: FlaskClient, url: str, **query: str) -> list[dict[str, str]]:
    path, _, given = url.partition("?")
    answer = client.get(path, query_string={**dict(parse_qsl(given)), **query})
    assert answer.status_code == 422
    return answer.json["errors"]


def edges(image: Image.Image, axis: str, at: float | None) -> list[float]:
    """Return where the grey on a line changes, in millimetres; `at` are some, too."""
    # Poppler makes whole pixels of a page: the last ones are paper in part.
    grey = np.asarray(image).astype(int)[:-1, :-1]
    grey = grey if axis == "across" else grey.T
    # Without a place the darkest of each column is looked at.
    line = grey.min(0) if at is None else grey[round(at / 25.4 * 300)]
    steps = np.abs(np.diff(line))
    changed = np.flatnonzero(steps > 4)
    groups = np.split(changed, np.flatnonzero(np.diff(changed) > 1) + 1)
    middles = (np.average(each + 1, weights=steps[each]) for each in groups)
    return [float(middle) / 300 * 25.4 for middle in middles]


def boxes(data: bytes) -> list[tuple[float, float]]:
    pages = PdfReader(io.BytesIO(data), strict=True).pages
    return [(float(p.mediabox.width), float(p.mediabox.height)) for p in pages]


def dpi_of(data: bytes) -> float | None:
    """Return the dots an inch that Pillow finds in a file."""
    with Image.open(io.BytesIO(data)) as image:
        found = image.info.get("dpi")
    return None if found is None else pytest.approx(float(found[0]), abs=0.02)


@pytest.mark.parametrize("scale", ["1", "1.337", "2"])
@pytest.mark.parametrize("name", DECLARED)
def test_the_page_of_a_pdf_is_what_the_template_declares(
    client: FlaskClient, name: str, scale: str
) -> None:
    data = fetched(client, f"/images/{name}.pdf", scale=scale, **QUERY[name])

    width, height, _ = DECLARED[name]
    assert boxes(data) == [pytest.approx((width * MM, height * MM), abs=0.001)]


@pytest.fixture(scope="module", params=[1, 2, 3])
def drawn(
    app: Flask, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Image.Image]:
    """All templates as poppler draws their pages, at a scale and 300 dots an inch."""
    items = [
        {"renderer": name, "params": {**QUERY[name], **FULL.get(name, {})}}
        for name in QUERY
    ]
    body = {"items": items, "scale": request.param}
    folder = tmp_path_factory.mktemp("pages")
    (folder / "all.pdf").write_bytes(
        posted(app.test_client(), "/collections.pdf", json=body)
    )
    command = ["pdftoppm", "-r", "300", "-gray", "all.pdf", "page"]
    subprocess.run(command, check=True, cwd=folder)
    files = sorted(folder.glob("page-*"))
    return {name: Image.open(file) for name, file in zip(QUERY, files, strict=True)}


@needs_poppler
@pytest.mark.parametrize("name", QUERY)
def test_a_ruler_on_what_poppler_draws_finds_the_size(
    drawn: dict[str, Image.Image], name: str
) -> None:
    page = drawn[name]

    # What is drawn fills the page, and no rim of it stays white.
    rim = np.asarray(page)[[0, -2]], np.asarray(page).T[[0, -2]]
    wanted = (*DECLARED.get(name, UNDECLARED.get(name, ())),)[:2]
    assert tuple(side / 300 * 25.4 for side in page.size) == pytest.approx(
        wanted, abs=0.2
    )
    if name not in WHITE:
        assert all((each < 255).mean() > 0.5 for edges in rim for each in edges)


@needs_poppler
@pytest.mark.parametrize(("name", "axis", "at", "first", "last"), RULED)
def test_a_ruler_finds_what_the_style_of_a_template_says(
    drawn: dict[str, Image.Image],
    name: str,
    axis: str,
    at: float | None,
    first: tuple[float, ...],
    last: tuple[float, ...],
) -> None:
    dpi = DECLARED[name][2]

    found = edges(drawn[name], axis, None if at is None else at / dpi * 25.4)

    # Places are CSS pixels of the template.
    millimetres = [[each / dpi * 25.4 for each in places] for places in (first, last)]
    assert found[: len(first)] == pytest.approx(millimetres[0], abs=0.2)
    assert found[len(found) - len(last) :] == pytest.approx(millimetres[1], abs=0.2)


@pytest.mark.parametrize("scale", [1, 2, 2.5, 3])
@pytest.mark.parametrize("kind", ["png", "jpg", "tiff"])
@pytest.mark.parametrize("name", DECLARED)
def test_pixels_know_how_many_are_an_inch(
    client: FlaskClient, name: str, kind: str, scale: float
) -> None:
    url = f"/images/{name}.{kind}"
    data = fetched(client, url, scale=str(scale), **QUERY[name])

    width, height, dpi = DECLARED[name]
    assert dpi_of(data) == dpi * scale
    with Image.open(io.BytesIO(data)) as image:
        sides = tuple(side / dpi / scale * 25.4 for side in image.size)
    assert sides == pytest.approx((width, height), abs=0.2)


@pytest.mark.parametrize("compression", ["fast", "small"])
def test_every_way_of_writing_a_png_says_it(
    client: FlaskClient, compression: str
) -> None:
    data = fetched(client, BADGE.format("png"), compression=compression)

    assert dpi_of(data) == 150


@pytest.mark.parametrize("color", ["red", "ff000080"])
def test_a_png_of_one_colour_says_it_too(client: FlaskClient, color: str) -> None:
    data = fetched(client, "/images/solid.png", color=color, dpi="300")

    assert data[33:50] == struct.pack(">I4sIIB", 9, b"pHYs", 11811, 11811, 1)
    assert dpi_of(data) == 300


def test_jpeg_has_whole_dots(client: FlaskClient) -> None:
    data = fetched(client, BADGE.format("jpg"), scale="1.337")

    # After the marker APP0: JFIF 1.1, dots an inch.
    assert data[6:18] == b"JFIF\0\x01\x01\x01" + struct.pack(">HH", 201, 201)


@pytest.mark.parametrize("kind", ["png", "jpg", "tiff"])
@pytest.mark.parametrize("name", UNDECLARED)
def test_what_is_for_screens_says_nothing_of_paper(
    client: FlaskClient, name: str, kind: str
) -> None:
    data = fetched(client, f"/images/{name}.{kind}", **QUERY[name])

    with Image.open(io.BytesIO(data)) as image:
        assert image.info.get("dpi") in (None, (1, 1))
        assert not {282, 283} & set(dict(getattr(image, "tag_v2", {})))


@pytest.mark.parametrize(
    ("query", "points"),
    [
        ({}, (225, 225)),
        ({"dpi": "300"}, (72, 72)),
        ({"dpi": "300", "scale": "2"}, (72, 72)),
        ({"dpi": "150", "scale": "1.337"}, (144, 144)),
    ],
)
def test_a_pdf_of_free_size_follows_the_callers_resolution(
    client: FlaskClient, query: dict[str, str], points: tuple[float, float]
) -> None:
    data = fetched(client, "/images/qr.pdf?data=hello&size=300", **query)

    assert boxes(data) == [points]


def test_a_callers_resolution_goes_before_the_templates(client: FlaskClient) -> None:
    drawn = fetched(client, BADGE.format("png"), dpi="300", scale="2")
    page = fetched(client, BADGE.format("pdf"), dpi="300", scale="2")

    assert dpi_of(drawn) == 600
    assert boxes(page) == [(144, 216)]


def test_the_declared_resolution_said_again_keeps_the_page(client: FlaskClient) -> None:
    query = {**QUERY["certificate"], "dpi": "96"}

    data = fetched(client, "/images/certificate.pdf", **query)

    assert boxes(data) == [(841.88976, 595.27559)]


@pytest.mark.parametrize("kind", ["webp", "avif", "gif", "svg"])
def test_a_format_that_says_no_size_refuses_a_resolution(
    client: FlaskClient, kind: str
) -> None:
    faults = refused(client, BADGE.format(kind), dpi="300")

    reason = f"is not an option of {kind}; it is one of png, jpg, tiff, pdf"
    assert faults == [{"field": "dpi", "reason": reason}]


@pytest.mark.parametrize("dpi", ["0", "2401", "nan", "-1", "many"])
def test_a_resolution_out_of_bounds_is_named(client: FlaskClient, dpi: str) -> None:
    faults = refused(client, BADGE.format("png"), dpi=dpi)

    assert [fault["field"] for fault in faults] == ["dpi"]


def test_an_icon_of_several_sizes_says_none(client: FlaskClient) -> None:
    data = fetched(client, "/images/qr.ico?data=hello&size=256&sizes=64,128")

    assert b"pHYs" not in data


def test_json_and_archives_have_the_same_file(client: FlaskClient) -> None:
    alone = fetched(client, BADGE.format("png"), scale="2")

    told = client.get(
        f"{BADGE.format('png')}&scale=2", headers={"Accept": "application/json"}
    )
    url = "/collections.zip?renderer=badge&scale=2"
    packed = posted(client, url, data=ROWS, content_type="text/csv")

    assert base64.b64decode(told.json["data"]) == alone
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        assert archive.read(archive.namelist()[0]) == alone


@pytest.mark.parametrize(
    ("query", "points"),
    [("", (288, 432)), ("&scale=3", (288, 432)), ("&dpi=100", (432, 648))],
)
def test_pages_of_a_collection_are_those_of_single_images(
    client: FlaskClient, query: str, points: tuple[float, float]
) -> None:
    url = f"/collections.pdf?renderer=badge{query}"

    data = posted(client, url, data=ROWS, content_type="text/csv")

    assert boxes(data) == [points] * 2
    assert boxes(fetched(client, BADGE.format("pdf") + query)) == [points]


def test_each_page_of_a_mixed_collection_has_its_own_size(client: FlaskClient) -> None:
    items = [
        {"renderer": name, "params": QUERY.get(name, {"color": "red", "width": 101})}
        for name in ("certificate", "solid", "badge", "card", "certificate")
    ]
    body = {"items": items, "scale": 1.5, "format": "webp"}

    data = posted(client, "/collections.pdf", json=body)

    a4 = (841.88976, 595.27559)
    assert boxes(data) == [a4, (75.75, 300), (288, 432), (900, 472.5), a4]


def test_a_batch_has_the_size_in_its_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MIMEO_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("MIMEO_SYSTEM_FONTS", "off")
    Path("rows.csv").write_text(ROWS)

    batch = ["batch", "rows.csv", "--renderer", "badge", "--scale", "2"]
    assert main([*batch, "-o", "a.zip"]) == 0

    with zipfile.ZipFile("a.zip") as archive:
        assert dpi_of(archive.read(archive.namelist()[0])) == 300


def test_the_catalogue_says_the_declared_size(client: FlaskClient) -> None:
    listed = json.loads(fetched(client, "/renderers"))["renderers"]

    papers = {row["name"]: row["paper"] for row in listed}
    for name, (width, height, dpi) in DECLARED.items():
        declared = {"width_mm": width, "height_mm": height, "dpi": dpi}
        assert papers[name].items() >= declared.items()
    assert {name for name, paper in papers.items() if paper} == set(DECLARED)
    described = json.loads(fetched(client, "/renderers/badge"))
    assert "dpi" in described["output"]["properties"]


@pytest.mark.parametrize(
    ("length", "dpi", "pixels"),
    [
        ("85mm", "", 321),
        ("85mm", "300", 1004),
        ("1.5in", "", 144),
        ("2.5 cm", "254", 250),
        ("36pt", "144", 72),
        ("600px", "300", 600),
    ],
)
def test_a_length_is_one_picture_with_its_pixels(
    client: FlaskClient, length: str, dpi: str, pixels: int
) -> None:
    shared = {"height": "20", **({"dpi": dpi} if dpi else {})}

    said = client.get("/images/solid.png", query_string={"width": length, **shared})
    counted = client.get("/images/solid.png", query_string={"width": pixels, **shared})

    assert said.status_code == 200, said.get_data(as_text=True)
    assert said.data == counted.data
    assert said.headers["ETag"] == counted.headers["ETag"]
    assert said.headers["Link"] == counted.headers["Link"]


@pytest.mark.parametrize("name", ["qr", "avatar", "identicon"])
def test_a_side_may_be_a_length(client: FlaskClient, name: str) -> None:
    text = {"qr": "data", "avatar": "name", "identicon": "seed"}[name]

    data = fetched(client, f"/images/{name}.png?{text}=Ada&size=30mm&dpi=300&scale=2")

    with Image.open(io.BytesIO(data)) as image:
        assert image.size == (708, 708)
    assert dpi_of(data) == 600


def test_a_barcode_may_be_as_wide_as_a_label(client: FlaskClient) -> None:
    url = "/images/barcode.png?symbology=code128&data=A-17&dpi=300"
    data = fetched(client, f"{url}&width=60mm&height=1in")

    with Image.open(io.BytesIO(data)) as image:
        assert image.size == (709, 300)
    assert refused(client, url, width="6mil")[0]["reason"].startswith("has the unit")


def test_a_page_of_html_may_be_said_in_millimetres(client: FlaskClient) -> None:
    url = "/images/html.pdf?html=<p>Hello&width=210mm&height=297mm"

    assert boxes(fetched(client, url)) == [pytest.approx((210 * MM, 297 * MM), abs=0.4)]


def test_a_length_in_json_is_a_text_and_without_a_unit_pixels(
    client: FlaskClient,
) -> None:
    inch, bare, wrong = (
        client.post(
            "/images",
            json={"renderer": "solid", "params": {"width": text}, "dpi": 300},
        )
        for text in ("1in", "200", "200 apples")
    )

    for answer, width in ((inch, 300), (bare, 200)):
        with Image.open(io.BytesIO(answer.data)) as image:
            assert image.width == width
    assert wrong.status_code == 422
    assert [each["field"] for each in wrong.json["errors"]] == ["width"]


@pytest.mark.parametrize(
    ("length", "reason"),
    [
        ("3furlong", "has the unit 'furlong'; known are mm, cm, in, pt or px"),
        ("abc", "is no length: write a number and mm, cm, in, pt or px, such as 85mm"),
        ("-3mm", "is no length: write a number and mm, cm, in, pt or px, such as 85mm"),
        (
            "1e3mm",
            "is no length: write a number and mm, cm, in, pt or px, such as 85mm",
        ),
        ("100.5px", "must be whole pixels"),
        ("0mm", "must be more than 0"),
        ("0.01mm", "must be greater than or equal to 1"),
        ("9km", "has the unit 'km'; known are mm, cm, in, pt or px"),
        ("99999in", "must be less than or equal to 65535"),
    ],
)
def test_what_is_no_length_is_refused_alike_in_query_and_json(
    client: FlaskClient, length: str, reason: str
) -> None:
    asked = refused(client, "/images/solid.png", width=length)
    body = {"renderer": "solid", "params": {"width": length}}
    sent = client.post("/images", json=body)

    assert asked == [{"field": "width", "reason": reason}]
    assert sent.json["errors"] == asked


def test_lengths_in_a_table_are_at_the_resolution_of_the_collection(
    client: FlaskClient,
) -> None:
    url = "/collections.pdf?renderer=solid&dpi=300&height=40mm"
    rows = "width\n2in\n10mm\n300\n"

    data = posted(client, url, data=rows, content_type="text/csv")

    height = pytest.approx(40 * MM, abs=0.2)
    assert boxes(data) == [
        (144, height),
        (pytest.approx(10 * MM, abs=0.2), height),
        (72, height),
    ]


def test_lengths_in_items_and_defaults_are_too(client: FlaskClient) -> None:
    body = {
        "renderer": "solid",
        "dpi": 144,
        "defaults": {"width": "1in"},
        "items": [{"height": "2in"}, {"height": 72, "width": "72px"}],
    }

    data = posted(client, "/collections.pdf", json=body)

    assert boxes(data) == [(72, 144), (36, 36)]


def test_an_unknown_unit_in_a_table_names_its_row(client: FlaskClient) -> None:
    url = "/collections.pdf?renderer=solid"
    answer = client.post(url, data="width\n2in\n2yd\n", content_type="text/csv")

    assert answer.status_code == 422
    (fault,) = answer.json["rows"]
    assert (fault["row"], fault["field"]) == (2, "width")
    assert fault["reason"].startswith("has the unit 'yd'")
