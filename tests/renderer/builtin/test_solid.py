from xml.etree import ElementTree

import pytest
from PIL import ImageColor

from app.renderer.builtin.solid import RENDERER, Parameters


@pytest.mark.parametrize(
    ("color", "expected"),
    [
        ("red", (255, 0, 0, 255)),
        ("12345680", (0x12, 0x34, 0x56, 0x80)),
        ("transparent", (0, 0, 0, 0)),
    ],
)
def test_every_pixel_has_the_colour(color, expected) -> None:
    picture = RENDERER.draw(Parameters(color=color, width=5, height=3), 1)

    assert picture.image.convert("RGBA").getcolors() == [(15, expected)]


def test_scale_multiplies_pixels() -> None:
    picture = RENDERER.draw(Parameters(width=5, height=3), 2.5)

    assert picture.image.size == (12, 8)


def test_an_opaque_picture_has_no_alpha() -> None:
    picture = RENDERER.draw(Parameters(), 1)

    assert picture.image.mode == "P"
    assert picture.image.im.getpalettemode() == "RGB"


def test_svg_fills_its_size_with_the_colour() -> None:
    root = ElementTree.fromstring(
        RENDERER.vector(Parameters(color="ff000080", width=5, height=3), 1).svg
    )

    assert (root.get("width"), root.get("height")) == ("5", "3")
    assert root[0].get("fill") == "#ff0000"
    assert float(root[0].get("fill-opacity")) == pytest.approx(0.502, abs=0.001)


def test_a_colour_name_that_pillow_has_seen_still_works() -> None:
    """Pillow turns the value of a used name from text into a tuple."""
    ImageColor.getrgb("teal")

    assert Parameters(color="teal").color == "#008080"
