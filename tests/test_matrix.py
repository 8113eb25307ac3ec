"""Every renderer in every format opens elsewhere and has the size asked for."""

import io
from collections.abc import Iterator
from xml.etree import ElementTree

import pytest
import zxingcpp
from flask.testing import FlaskClient
from PIL import Image
from pypdf import PdfReader

from app.config import Settings
from app.image_request import from_strings
from app.renderer.catalogue import Catalogue
from app.renderer.encode import EXTENSIONS, FORMATS
from app.renderer.produce import device_size, formats

NAMES = (
    *("address-label", "invoice", "place-card", "ticket"),
    *("avatar", "badge", "barcode", "card", "certificate", "gradient", "html"),
    *("dream", "identicon", "label", "markdown", "placeholder", "qr", "quote", "solid"),
)
# An icon is square and small, so only what can be that is asked for as one.
ICONS = {
    "avatar": {"size": "64"},
    "barcode": {"width": "64", "height": "64", "symbology": "aztec"},
    "dream": {"width": "64", "height": "64"},
    "gradient": {"width": "64", "height": "64"},
    "html": {"width": "64", "height": "64"},
    "identicon": {"size": "64"},
    "markdown": {"width": "64", "height": "64"},
    "placeholder": {"width": "64", "height": "64"},
    "qr": {"size": "64"},
    "solid": {"width": "64", "height": "64"},
}
PILLOW = {
    "png": "PNG",
    "jpg": "JPEG",
    "webp": "WEBP",
    "avif": "AVIF",
    "gif": "GIF",
    "tiff": "TIFF",
    "ico": "ICO",
}


def cases() -> Iterator[tuple[str, str, float]]:
    for name in NAMES:
        for kind in FORMATS:
            for scale in (1.0, 1.5, 3.0) if kind == "png" else (1.0,):
                if kind != "ico" or name in ICONS:
                    yield name, kind, scale


def test_names_are_those_of_the_catalogue(catalogue: Catalogue) -> None:
    assert set(NAMES) == set(catalogue.names())
    assert set(PILLOW) | {"pdf", "svg"} == set(FORMATS)


@pytest.mark.parametrize(("name", "kind", "scale"), list(cases()))
def test_image_opens_elsewhere_with_its_size(
    client: FlaskClient, catalogue: Catalogue, name: str, kind: str, scale: float
) -> None:
    renderer = catalogue.get(name)
    query = {**renderer.example, **(ICONS.get(name, {}) if kind == "ico" else {})}
    if scale != 1:
        query["scale"] = str(scale)
    request = from_strings(renderer, query.items(), kind, Settings())

    answer = client.get(f"/images/{name}.{kind}", query_string=query)

    assert answer.status_code == 200, answer.get_data(as_text=True)
    assert answer.content_type == FORMATS[kind].media_type
    expected = device_size(renderer, request.parameters, scale)
    dpi = 96 if renderer.paper is None else renderer.paper.dpi
    assert size_of(answer.data, kind, scale * dpi) == expected


def size_of(data: bytes, kind: str, dpi: float = 96) -> tuple[int, int]:
    """Ask an independent reader for the size, and have it read everything."""
    if kind == "pdf":
        (page,) = PdfReader(io.BytesIO(data)).pages
        for image in page.images:
            assert image.image is not None
            image.image.load()
        assert page.get_contents() is not None
        box = page.mediabox
        return round(box.width / 72 * dpi), round(box.height / 72 * dpi)
    if kind == "svg":
        root = ElementTree.fromstring(data)
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        return int(root.attrib["width"]), int(root.attrib["height"])
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        assert image.format == PILLOW[kind]
        return image.size


def test_every_renderer_has_every_format_that_fits_it(catalogue: Catalogue) -> None:
    for name in NAMES:
        missing = set() if name in ICONS else {"ico"}
        assert set(FORMATS) - set(formats(catalogue.get(name))) == missing


@pytest.mark.parametrize("ending", sorted(EXTENSIONS))
def test_every_ending_is_served(client: FlaskClient, ending: str) -> None:
    answer = client.get(f"/images/solid.{ending}?width=64&height=64")

    assert answer.content_type == FORMATS[EXTENSIONS[ending]].media_type


@pytest.mark.parametrize("kind", [kind for kind in PILLOW if kind != "ico"])
@pytest.mark.parametrize(
    "text", ["https://example.org/?a=1&b=2", "Grüße, 世界 🌍", "0123456789", "x" * 900]
)
def test_qr_code_reads_back(client: FlaskClient, kind: str, text: str) -> None:
    answer = client.get(f"/images/qr.{kind}", query_string={"data": text, "size": 600})

    assert read_code(answer.data) == text


@pytest.mark.parametrize(("name", "field"), [("badge", "name"), ("label", "product")])
def test_qr_code_in_a_template_reads_back(
    client: FlaskClient, name: str, field: str
) -> None:
    query = {field: "Ada", "qr": "https://example.org/ada"}

    answer = client.get(f"/images/{name}.png", query_string=query)

    assert read_code(answer.data) == "https://example.org/ada"


def read_code(data: bytes) -> str:
    """Return what a decoder of other makers reads."""
    with Image.open(io.BytesIO(data)) as image:
        (code,) = zxingcpp.read_barcodes(image.convert("RGB"))
    return code.text
