"""Strings and `url()` of CSS: what is an address, and what a browser drops."""

import base64

import pytest

from app.renderer.document.css_tokens import quoted, unescaped, url_of
from app.renderer.document.translation import translate
from app.renderer.embedded_images import EmbeddedImages
from tests.growth import assert_linear
from tests.renderer.document.fonts import fonts

SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'
DATA = f"data:image/svg+xml;base64,{base64.b64encode(SVG.encode()).decode()}"
RAW = f"data:image/svg+xml;utf8,{SVG}"
# Every property in which an image of a style sheet may stand.
PLACES = {
    "background": "p{background:%s}",
    "background-image": "p{background-image:%s}",
    "content": "p::before{content:%s}",
    "list-style": "li{list-style:square %s}",
    "list-style-image": "li{list-style-image:%s}",
}


def read(place: str, url: str) -> tuple[int, tuple[str, ...]]:
    """Return how many images a page with one in its style has, and what is ignored."""
    images = EmbeddedImages(1_000_000)
    page = f"<style>{PLACES[place] % url}</style><p>a</p><ul><li>b</ul>"

    found = translate(page, (200, 100), images, 200, fonts())
    return len(images.images), found.ignored


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("url(a.png)", "a.png"),
        ("URL( 'a b.png' )", "a b.png"),
        ('url("a\\"b(.png")', 'a"b(.png'),
        (r"url(a\20 b\).png)", "a b).png"),
        ("url()", ""),
        ("url('a.png'", "a.png"),
        ("url(a.png", "a.png"),
        ("url(a b.png)", None),
        ("url(a'b'.png)", None),
        ("url('a' 'b')", None),
        ("url(a) url(b)", None),
        ("image(a)", None),
    ],
)
def test_an_address_is_read_as_browsers_read_it(text, address):
    assert url_of(text) == address


def test_a_string_is_read_as_it_was_written():
    text = "it's \\ and\nso on"

    assert unescaped(quoted(text)) == text


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    "url",
    [
        f"url({DATA})",
        f"url( '{DATA}' )",
        "url('{}')".format(RAW.replace("'", "\\'")),
        # What is escaped was read by the markers and contents alone, and not well.
        'url("{}")'.format(RAW.replace('"', '\\"')),
    ],
)
def test_an_image_is_taken_out_wherever_it_stands(place, url):
    assert read(place, url) == (1, ())


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("url", [f"url({RAW})", "url(data:image/gif;base64, R0lGOD==)"])
def test_an_address_that_needs_quotes_is_named_wherever_it_stands(place, url):
    # A background was silent of it; a marker and a content drew it, as no browser does.
    images, ignored = read(place, url)

    assert images == 0
    assert len(ignored) == 1 and "url(data:image/" in ignored[0]


@pytest.mark.parametrize("name", ["list-style", "background-image", "text-decoration"])
@pytest.mark.parametrize("piece", ['""', 'a("" ', "a( ", "url(' "])
def test_a_bracket_that_nobody_closes_is_looked_for_once(name, piece):
    # Forty quotation marks in a `list-style` took hours.
    def draw(pieces: str) -> None:
        read_style = f"<style>p{{{name}:url({pieces}}}</style><p>a"
        translate(read_style, (200, 100), EmbeddedImages(1_000_000), 200, fonts())

    assert_linear(draw, piece, 40_000)
