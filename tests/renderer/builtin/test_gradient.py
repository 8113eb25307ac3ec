from xml.etree import ElementTree

import pytest
from pydantic import ValidationError

from app.renderer.builtin.gradient import Parameters, build


def test_ninety_degrees_run_to_the_right(engine, draw) -> None:
    image = draw(
        build(engine), start="f00", end="00f", angle="90", width="100", height="2"
    ).image

    left, middle, right = (image.getpixel((x, 0)) for x in (0, 50, 99))
    assert left[0] > 250 > 130 > middle[0] > 120 > 5 > right[0]
    assert right[2] > 250


def test_zero_degrees_run_upwards(engine, draw) -> None:
    image = draw(
        build(engine), start="f00", end="00f", angle="0", width="2", height="100"
    ).image

    assert image.getpixel((0, 99))[0] > 250
    assert image.getpixel((0, 0))[2] > 250


def test_transparent_colours_keep_their_alpha(engine, draw) -> None:
    image = draw(
        build(engine), start="f00", end="f000", angle="90", width="100", height="2"
    ).image

    assert image.getpixel((0, 0))[3] > 250
    assert image.getpixel((99, 0))[3] < 5


@pytest.mark.parametrize("angle", ["-361", "360.5", "nan", "inf", "left"])
def test_an_angle_out_of_range_is_refused(angle) -> None:
    with pytest.raises(ValidationError, match="angle"):
        Parameters.model_validate_strings({"angle": angle})


@pytest.mark.parametrize("angle", ["1e-9", "0.1", "-359.999"])
def test_any_angle_in_range_can_be_drawn(engine, draw, angle) -> None:
    image = draw(build(engine), angle=angle, width="9", height="9").image

    assert image.getchannel("A").getextrema() == (255, 255)


def test_svg_has_the_size_and_a_gradient(engine) -> None:
    root = ElementTree.fromstring(
        build(engine).vector(Parameters(width=50, height=20), 1).svg
    )

    assert (root.get("width"), root.get("height")) == ("50", "20")
    assert any(child.tag.endswith("linearGradient") for child in root)
