from dataclasses import replace
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from app.renderer.builtin.avatar import (
    Parameters,
    build,
    initial,
    initials,
    luminance,
    page,
    palette_color,
    readable_on,
)
from app.renderer.builtin.identicon import PALETTE
from app.renderer.engine.text_fitting import fitter
from app.renderer.params import is_visible, rgba


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Ada Lovelace", "AL"),
        ("ada", "A"),
        ("  Juan  Carlos de la Cruz ", "JC"),
        ("Jean-Luc (the captain) Picard", "JP"),
        ("émile Zola", "ÉZ"),
        ("e\u0301mile z\u0323ola", "E\u0301Z\u0323"),
        ("ßeta ö", "ßÖ"),
        ("Жанна Орлова", "ЖО"),
        ("דוד כהן", "דכ"),
        ("محمد علي", "م\u200cع"),
        ("राज कुमार", "राकु"),
        ("山田 太郎", "山太"),
        ("王小明", "王"),
        ("김철수", "김"),
        ("😀", "😀"),
        ("👩‍👩‍👧", "👩‍👩‍👧"),
        ("👩‍👩‍👧 Family", "F"),
        ("🇫🇷", "🇫🇷"),
        ("Studio 54", "S5"),
        ("---", "-"),
        ("\u200b!", "!"),
    ],
)
def test_initials_are_whole_graphemes(name, expected) -> None:
    assert initials(name) == expected


@given(st.text(min_size=1).filter(is_visible))
def test_every_visible_name_has_initials(name) -> None:
    assert initials(name)


@pytest.mark.parametrize("name", [" \n ", "\u200b", "\ufe0f", "\u3164"])
def test_a_blank_name_is_refused(name) -> None:
    with pytest.raises(ValidationError, match="no visible character"):
        Parameters(name=name)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("🇩🇪 Team", "T"),
        ("👩‍👩‍👧", "👩‍👩‍👧"),
        ("राज", "रा"),
        ("ada", "A"),
        ("\u200b!", "!"),
        ("", ""),
    ],
)
def test_initial_is_one_whole_grapheme(name, expected) -> None:
    assert initial(name) == expected


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
        build(engine).vector(Parameters(name="A", size=40)).svg
    )

    assert (root.get("width"), root.get("height")) == ("40", "40")
