"""Images in HTML are read as those that are sent; what is not drawn is said."""

import io

import pytest
from PIL import Image

from app.config import Settings
from app.renderer.base import Output
from app.renderer.builtin import html
from app.renderer.embedded_images import EmbeddedImages
from app.renderer.engine.engine import load_engine
from app.renderer.params import Parameters
from app.renderer.sandbox.sandbox import Sandbox
from tests.ugly_pictures import BLUE, HALVES, RED, SVG, percent, uri

SETTINGS = Settings(store="none", system_fonts=False)
MOST = 1_000_000


@pytest.fixture(scope="module")
def isolation():
    made = Sandbox(SETTINGS)
    yield made
    made.close()


@pytest.fixture(scope="module")
def renderer(isolation):
    """The renderer `html` without the engine that only the sandbox has."""
    return html.build(_NoEngine(), SETTINGS)


class _NoEngine:
    version = "none"


def parsed(markup: str, most: int = MOST):
    engine = load_engine(None, False)
    return html.page(html.Parameters(html=markup), EmbeddedImages(most), engine)


def drawn(renderer, isolation, markup: str) -> tuple[Image.Image, dict[str, object]]:
    parameters: Parameters = renderer.parameters(html=markup, width=100, height=60)
    encoded = isolation.produce(renderer, parameters, Output())
    return Image.open(io.BytesIO(encoded.data)).convert("RGB"), dict(encoded.facts)


@pytest.mark.parametrize(
    "kind",
    ["AVIF", "BMP", "TIFF", "HEIC", "JPEG, EXIF 6", "CMYK, JPEG", "PNG of 16 bits"],
)
@pytest.mark.parametrize(
    "markup",
    [
        '<img src="{}" style="width:100px;height:60px">',
        "<img style='width:100px;height:60px' src={}>",
        '<div style="width:100px;height:60px;background:url({}) 0 0/100% 100%"></div>',
        "<style>p{{width:100px;height:60px;margin:0;background-image:url('{}');"
        "background-size:100% 100%}}</style><p></p>",
        '<p style="width:100px;height:60px;margin:0;background-size:100% 100%;'
        'background-image:url(&quot;{}&quot;)"></p>',
        '<body style="background:url({}) 0 0/100% 100%">',
    ],
    ids=["img", "unquoted", "style", "style sheet", "escaped", "body"],
)
def test_an_image_in_html_is_read_as_one_that_is_sent(
    kind, markup, renderer, isolation
):
    image, facts = drawn(renderer, isolation, markup.format(uri(HALVES[kind], "")))

    for place, color in (((20, 30), RED), ((80, 30), BLUE)):
        found = image.getpixel(place)
        assert max(abs(a - b) for a, b in zip(found, color, strict=True)) < 8
    assert facts == {}


@pytest.mark.parametrize(
    "source", [percent(SVG.encode()), uri(SVG.encode(), "image/svg+xml")]
)
def test_an_svg_in_html_stays_one(source, renderer, isolation):
    image, _ = drawn(
        renderer, isolation, f'<img src="{source}" style="width:100px;height:60px">'
    )

    assert (image.getpixel((20, 30)), image.getpixel((80, 30))) == (RED, BLUE)


@pytest.mark.parametrize(
    ("markup", "said"),
    [
        ('<img src="https://a.example/b.png">', "https://a.example/b.png is not"),
        ('<div style="background:url(logo.png)"></div>', "logo.png is not fetched"),
        ("<style>p{background:url('a.png')}</style><p>", "a.png is not fetched"),
        (f'<img src="{uri(b"<html></html>")}">', "image 1 is an HTML page"),
        (f'<img src="{uri(HALVES["PNG"][:60])}">', "image 1 is a damaged image"),
        ('<img src="data:image/png;base64,%%">', "image 1 is not drawn"),
        (f'<img src="{uri(HALVES["APNG"])}">', "image 1: only the first frame"),
        (f'<img src="{uri(SVG[:-6].encode(), "")}">', "image 1 is not drawn: line 1"),
    ],
)
def test_an_image_that_is_not_drawn_is_named(markup, said, renderer, isolation):
    _, facts = drawn(renderer, isolation, markup)

    (ignored,) = facts["ignored"]
    assert ignored.startswith(said)


def test_an_image_over_the_limit_is_named_and_the_page_drawn():
    page = parsed(f'<p>x</p><img src="{uri(HALVES["PNG"])}">', 100)

    assert [b"svg" in data for data in page.images.values()] == [True]
    assert "MIMEO_MAX_IMAGE_PIXELS" in page.facts["ignored"][0]


@pytest.mark.parametrize(
    "markup",
    [
        '<a href="https://a.example">x</a>',
        '<svg><rect fill="url(#a)"/></svg>',
        '<pre>&lt;img src="data:image/png;base64,AAAA"></pre>',
    ],
)
def test_what_is_no_image_stays_as_it_is(markup):
    page = parsed(markup)

    assert (page.images, page.facts) == ({}, {})


def test_equal_images_are_read_once():
    source = uri(HALVES["PNG"])

    page = parsed(f'<img src="{source}"><img src="{source}">')

    assert len(page.images) == 1
    assert page.body.count(next(iter(page.images))) == 2


@pytest.mark.parametrize(
    "piece", ["<img src=", "url(", "url(&quot;", "<img x=\" src='"]
)
def test_what_is_left_open_takes_linear_time(piece):
    parsed(piece * (250_000 // len(piece)))
