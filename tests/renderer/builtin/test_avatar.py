from dataclasses import replace
from xml.etree import ElementTree

import pytest
from pydantic import ValidationError

from app.renderer.builtin.avatar import (
    Parameters,
    build,
    luminance,
    page,
    palette_color,
    readable_on,
)
from app.renderer.builtin.identicon import PALETTE
from app.renderer.engine.text_fitting import fitter
from app.renderer.params import rgba


@pytest.mark.parametrize("name", [" \n ", "\u200b", "\ufe0f", "\u3164"])
def test_a_blank_name_is_refused(name) -> None:
    with pytest.raises(ValidationError, match="no visible character"):
        Parameters(name=name)


@pytest.mark.parametrize("name", ["Mary Watson", "Will Moore", "ǆ x", "Gwen Quill"])
@pytest.mark.parametrize("size", [16, 24, 37, 48, 100, 256])
def test_initials_are_never_cut(engine, name, size) -> None:
    made = page(Parameters(name=name, size=size), fitter(engine))
    uncut = replace(made, body=made.body.replace("text-overflow:ellipsis", ""))

    drawn = [engine.draw(one, (size, size), 1).packed for one in (made, uncut)]

    assert drawn[0] == drawn[1]


def test_initials_name_their_font(engine) -> None:
    made = page(Parameters(name="Ada"), fitter(engine))

    assert "font-family:'Inter';" in made.body


def test_a_name_keeps_its_colour_in_any_case() -> None:
    assert palette_color("Ada Lovelace") == palette_color(" ada lovelace ") in PALETTE


def test_the_same_person_has_the_same_colour() -> None:
    spellings = ("Mara Lindqvist", "Dr. Mara Lindqvist (she/her)", "LINDQVIST, MARA")

    assert len({palette_color(name) for name in spellings}) == 1


def test_case_is_that_of_the_language() -> None:
    assert palette_color("ISIK", "tr") == palette_color("\u0131s\u0131k", "tr")


def test_canonically_equal_names_are_one_picture(engine, draw) -> None:
    composed, apart = Parameters(name="\u00c9mile"), Parameters(name="E\u0301mile")

    assert composed == apart
    assert draw(build(engine), name="\u00e9").packed == (
        draw(build(engine), name="e\u0301").packed
    )


def test_initials_are_those_of_the_language(engine) -> None:
    made = page(Parameters(name="irem", lang="tr"), fitter(engine))

    assert "\u0130" in made.body


def contrast(one: str, two: str) -> float:
    low, high = sorted(
        luminance([channel / 255 for channel in rgba(color)[:3]])
        for color in (one, two)
    )
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("background", [*PALETTE, "#ffffff", "#000000", "#ffff00"])
def test_letters_are_readable_on_any_ground(background) -> None:
    assert contrast(background, readable_on(background)) >= 4.5


def test_own_colours_are_taken(engine, draw) -> None:
    image = draw(
        build(engine), name="Ada", size="64", background="f00", color="0f0"
    ).image

    colors = {color for _, color in image.getcolors(10_000)}
    assert {(255, 0, 0, 255), (0, 255, 0, 255)} <= colors


@pytest.mark.parametrize("name", ["Ada Lovelace", "WM WM", "राज कुमार", "محمد علي"])
@pytest.mark.parametrize("size", ["16", "128"])
def test_initials_stay_clear_of_the_edge(engine, draw, name, size) -> None:
    image = draw(
        build(engine), name=name, size=size, background="fff", color="000"
    ).image

    left, top, right, bottom = image.convert("L").point(lambda v: 255 - v).getbbox()
    assert left > 0 < top
    assert max(right, bottom) < int(size)


def test_a_single_pixel_can_be_drawn(engine, draw) -> None:
    assert draw(build(engine), name="Ada", size="1").image.size == (1, 1)


def test_svg_has_the_size(engine) -> None:
    root = ElementTree.fromstring(
        build(engine).vector(Parameters(name="A", size=40), 1).svg
    )

    assert (root.get("width"), root.get("height")) == ("40", "40")
