"""Drawings as outlines: beside the engine's pixels, in readers that are not ours."""

import io
import re
from base64 import b64encode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image
from pypdf import PdfReader

from app.renderer.base import Output
from app.renderer.encode.pdf import content, drawing, outline
from app.renderer.encode.pdf.document import pages, read_pages
from app.renderer.produce import produce
from tests.renderer.encode.pdf.drawings import (
    Page,
    chromium,
    difference,
    mupdf,
    page,
    poppler,
    program,
    raster,
    renderer,
    run,
)

NAMES = (
    *("avatar", "badge", "card", "certificate", "dream", "gradient", "html"),
    *("identicon", "label", "placeholder", "qr", "quote", "solid"),
)
READERS = (poppler, mupdf, chromium)
# Edges are smoothed by every program in its own way, and lines of a certificate's
# border that are thinner than a pixel.
MEAN, FAR = 3.5, 0.005

BOX = "width:100px;height:60px;"
HELLO = ">Hello</div>"


def image(kind: str) -> str:
    buffer = io.BytesIO()
    Image.new("RGB", (100, 60), "#c04060").save(buffer, kind)
    data = b64encode(buffer.getvalue()).decode()
    return f"data:image/{kind.lower()};base64,{data}"


VECTORS = {
    "opacity": f"<div style='{BOX}opacity:.5;background:red'{HELLO}",
    "alpha": f"<div style='{BOX}background:#f004;color:#0008'{HELLO}",
    "linear": f"<div style='{BOX}background:linear-gradient(45deg,red,blue)'{HELLO}",
    "faint": f"<div style='{BOX}background:linear-gradient(red,#00f2)'{HELLO}",
    "radial": f"<div style='{BOX}background:radial-gradient(red,blue 60%)'{HELLO}",
    "round": f"<div style='{BOX}border:3px solid red;border-radius:12px'{HELLO}",
    "hidden": f"<div style='{BOX}overflow:hidden;border-radius:9px'{HELLO}",
    "blend": f"<div style='{BOX}mix-blend-mode:multiply;background:red'{HELLO}",
    "mask": f"<div style='{BOX}mask-image:linear-gradient(red,#0000);background:red'"
    f"{HELLO}",
    "circle": f"<div style='{BOX}clip-path:circle(20px);background:red'{HELLO}",
    "text": "<div style='background:linear-gradient(red,blue);background-clip:text;"
    f"color:transparent;font-size:40px'{HELLO}",
    "turned": f"<div style='{BOX}margin:20px;transform:rotate(10deg);background:red'"
    f"{HELLO}",
    "png": f"<img src='{image('PNG')}' style='{BOX}'>",
    "jpeg": f"<img src='{image('JPEG')}' style='{BOX}'>",
    "tiles": f"<div style='width:200px;height:60px;background:url({image('PNG')})'"
    f"{HELLO}",
    "emoji": "<div style='font-size:40px'>Hi \U0001f600 \U0001f1e9\U0001f1ea</div>",
    "svg": "<svg width='90' height='90' viewBox='0 0 9 9'><g transform='rotate(30 4 4)'"
    " fill='none' stroke='teal' stroke-dasharray='1 .5'><circle cx='4.5' cy='4.5'"
    " r='3'/><path d='M2 2a2 3 20 0 1 4 1q1 1 2 0t-1 3z' fill='#fa0' stroke='none'/>"
    "<polygon points='1,1 3,1 2,3' stroke-linejoin='round'/></g></svg>",
}
# In readers, what lies in between is smoothed.
PAINTED = {
    "shadow": f"<div style='{BOX}margin:20px;background:#fff;"
    f"box-shadow:4px 4px 9px #0008'{HELLO}",
    "text shadow": f"<div style='font-size:40px;text-shadow:2px 2px 4px red'{HELLO}",
    "grey": f"<div style='{BOX}margin:20px;filter:grayscale(1);background:red'{HELLO}",
}
PICTURED = {
    "sharp shadow": f"<div style='{BOX}box-shadow:4px 4px 0 2px #0008'{HELLO}",
    "shadow of nothing": f"<div style='{BOX}box-shadow:4px 4px 9px #0008'{HELLO}",
    "tailwind": "<div tw='shadow'>Hello</div>",
    "conic": f"<div style='{BOX}background:conic-gradient(red,blue)'{HELLO}",
    "blended backgrounds": f"<div style='{BOX}background-blend-mode:multiply;"
    f"background:linear-gradient(red,blue),linear-gradient(45deg,green,red)'{HELLO}",
}
Reader = Callable[[Page, Path], Image.Image]


def drawn(markup: str) -> dict[str, str]:
    return {"html": markup, "width": "200", "height": "100"}


def warnings(markup: str) -> list[str]:
    html = renderer("html")
    parameters = html.parameters.model_validate_strings(drawn(markup))
    facts = produce(html, parameters, Output(format="pdf")).facts
    return list(facts.get("warnings", ()))


def images_of(pdf: bytes) -> int:
    return len(re.findall(rb"/Subtype/Image\b", pdf))


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("name", NAMES)
def test_a_page_looks_like_its_pixels(
    name: str, reader: Reader, tmp_path: Path
) -> None:
    made = page(name)

    mean, far = difference(reader(made, tmp_path), made.pixels)

    assert mean < MEAN
    assert far < FAR
    assert images_of(made.pdf) == 0


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("what", VECTORS)
def test_css_has_a_form_in_pdf(what: str, reader: Reader, tmp_path: Path) -> None:
    made = page("html", **drawn(VECTORS[what]))

    mean, far = difference(reader(made, tmp_path), made.pixels)

    assert mean < MEAN
    assert far < 0.01
    assert images_of(made.pdf) == (1 if what in ("png", "jpeg", "tiles") else 0)
    assert not warnings(VECTORS[what])


@pytest.mark.parametrize("what", PAINTED)
def test_a_part_without_a_form_is_painted_and_said(what: str, tmp_path: Path) -> None:
    made = page("html", **drawn(PAINTED[what]))

    mean, _ = difference(mupdf(made, tmp_path), made.pixels)

    assert mean < MEAN
    assert images_of(made.pdf) in (1, 2)
    assert warnings(PAINTED[what]) == [
        "parts of the page that are pictures, having no form in PDF: 1"
    ]
    assert "Hello" in PdfReader(io.BytesIO(made.pdf)).pages[0].extract_text()


@pytest.mark.parametrize("what", PICTURED)
def test_a_page_without_a_form_is_a_picture_and_says_so(
    what: str, tmp_path: Path
) -> None:
    made = page("html", **drawn(PICTURED[what]))

    assert difference(mupdf(made, tmp_path), made.pixels) == (0, 0)
    assert "Hello" in PdfReader(io.BytesIO(made.pdf)).pages[0].extract_text()
    assert warnings(PICTURED[what]) == [
        "the page is a picture, as what is on it has no form in PDF"
    ]


def test_many_parts_without_a_form_make_the_page_a_picture() -> None:
    shadows = PAINTED["shadow"] * 20

    assert warnings(shadows)[0].startswith("the page is a picture")


def test_a_badge_is_a_fraction_of_its_picture() -> None:
    vector = len(page("badge").pdf)

    # Paper is printed at 300 and more dots an inch, which are two and three a pixel.
    assert vector < 0.7 * len(raster("badge"))
    assert vector < 0.3 * len(raster("badge", 2))
    assert vector < 0.2 * len(raster("badge", 3))


def test_the_size_of_a_page_is_that_of_its_picture() -> None:
    for name in NAMES:
        boxes = [
            PdfReader(io.BytesIO(data)).pages[0].mediabox
            for data in (page(name).pdf, page(name, 2).pdf, raster(name, 2))
        ]
        assert boxes[0] == boxes[1] == boxes[2]


def test_equal_drawings_give_equal_bytes() -> None:
    page.cache_clear()
    made = page("certificate").pdf
    page.cache_clear()

    assert page("certificate").pdf == made


def test_what_is_remembered_moves_no_byte() -> None:
    names = ("badge", "card", "certificate", "quote")
    caches = (outline.outline, outline.glyph, outline.rectangle, outline.number)

    def forget() -> None:
        for each in (*caches, content.packed, drawing._converted):
            each.cache_clear()

    def make(name: str) -> bytes:
        chosen = renderer(name)
        parameters = chosen.parameters.model_validate_strings(dict(chosen.example))
        return bytes(produce(chosen, parameters, Output(format="pdf")).data)

    cold = []
    for name in names:
        forget()
        cold.append(make(name))
    warm = list(map(make, names))
    forget()
    with ThreadPoolExecutor(4) as threads:
        threaded = list(threads.map(make, names * 4))

    assert warm == cold
    assert threaded == cold * 4


@pytest.mark.parametrize("name", NAMES)
def test_qpdf_finds_nothing_to_complain_of(name: str, tmp_path: Path) -> None:
    tool = program("qpdf", "qpdf")

    said = run(tool, "--check", str(page(name).write(tmp_path)))

    assert "No syntax or stream encoding errors found" in said


def test_a_background_lies_under_the_drawing(tmp_path: Path) -> None:
    chosen = renderer("html")
    clear = "<style>html{background:transparent}</style><b>Hi</b>"
    parameters = chosen.parameters.model_validate_strings(drawn(clear))
    output = Output.model_validate({"format": "pdf", "background": "#ffd43b"})
    ground = Image.new("RGB", (200, 100))

    made = Page(bytes(produce(chosen, parameters, output).data), ground)

    assert mupdf(made, tmp_path).getpixel((150, 80)) == pytest.approx(
        (255, 212, 59), abs=1
    )


def test_photos_are_as_sharp_as_the_scale_asks_for() -> None:
    noise = Image.effect_noise((2600, 1400), 90).convert("RGB")
    buffer = io.BytesIO()
    noise.save(buffer, "JPEG")
    sent = b64encode(buffer.getvalue()).decode()

    widths = []
    for scale in (1, 2):
        made = page("card", scale, image=sent)
        (found,) = PdfReader(io.BytesIO(made.pdf)).pages[0].images
        widths.append(found.image.width if found.image else 0)

    assert widths[1] > 1.5 * widths[0]


def test_badges_of_a_collection_take_a_fifth_of_their_pictures() -> None:
    badges = [
        page("badge", name=f"Grace Hopper {number}", qr=f"https://example.org/{number}")
        for number in range(20)
    ]

    joined = b"".join(pages(page for each in badges for page in read_pages(each.pdf)))

    assert len(PdfReader(io.BytesIO(joined), strict=True).pages) == 20
    assert len(joined) / 20 < len(raster("badge")) / 5
    assert images_of(joined) == 0
