from xml.etree import ElementTree

import pytest
from PIL import ImageChops

from app.renderer.builtin.placeholder import Parameters, build, font_size


def ink(picture, background="white"):
    """The box around all pixels that are not background."""
    ground = picture.image.copy()
    ground.paste(background, (0, 0, *ground.size))
    return ImageChops.difference(picture.image.convert("RGB"), ground.convert("RGB"))


def box_of(engine, draw, **values):
    colors = {"background": "fff", "color": "000"}
    picture = draw(build(engine), **colors, **values)
    return ink(picture).getbbox(), picture.image.size


def test_the_size_stands_in_the_middle_by_default(engine, draw) -> None:
    (left, top, right, bottom), (width, height) = box_of(
        engine, draw, width="600", height="400"
    )

    assert abs(left - (width - right)) <= 4
    assert abs(top - (height - bottom)) <= 12
    assert 250 < right - left < 500


def test_the_default_text_is_the_size() -> None:
    assert Parameters(width=30, height=20).words == "30\u00a0\u00d7\u00a020"


@pytest.mark.parametrize(
    "text",
    [
        "x",
        "lorem ipsum dolor sit amet " * 30,
        "W" * 400,
        "one\ntwo\n\nfour",
        "Donaudampfschifffahrtselektrizitätenhauptbetriebswerk",
        "مرحبا بالعالم",
        "שלום עולם",
        "नमस्ते दुनिया यह एक लंबा वाक्य है",
    ],
)
@pytest.mark.parametrize("size", [(300, 200), (728, 90), (90, 728)])
def test_no_text_touches_the_edge(engine, draw, text, size) -> None:
    (left, top, right, bottom), (width, height) = box_of(
        engine, draw, text=text, width=str(size[0]), height=str(size[1])
    )

    assert left > 0 < top
    assert right < width
    assert bottom < height


@pytest.mark.parametrize("side", ["1", "2", "7"])
def test_a_tiny_box_can_be_drawn(engine, draw, side) -> None:
    picture = draw(build(engine), width=side, height=side)

    assert picture.image.size == (int(side), int(side))


@pytest.mark.parametrize(
    ("text", "side", "clipped"),
    [
        ("Hi", 100, None),
        ("words " * 90, 40, "shrunk"),
        ("words " * 99, 9, "cut"),
        (None, 3, None),
    ],
)
def test_a_text_that_does_not_fit_says_so(engine, draw, text, side, clipped) -> None:
    given = {"text": text} if text else {}
    facts = draw(build(engine), width=str(side), height=str(side), **given).facts

    assert facts.get("text_clipped") == (clipped and {"text": clipped})


def test_words_are_kept_whole_where_a_smaller_size_allows_it(engine) -> None:
    short = Parameters(width=300, height=200, text="word")
    long = Parameters(width=300, height=200, text="Incomprehensibilities")

    assert 1 < font_size(long, engine) < font_size(short, engine)


@pytest.mark.parametrize("text", ["W" * 200, "x" * 60, "a" * 2000])
def test_a_word_is_broken_before_it_is_too_small(engine, text) -> None:
    parameters = Parameters(width=300, height=300, text=text)
    words = Parameters(width=300, height=300, text=text.replace(text[:4], "abc "))

    assert font_size(parameters, engine) > 0.5 * font_size(words, engine)


def test_line_breaks_are_kept(engine, draw) -> None:
    (_, top, _, bottom), _ = box_of(engine, draw, text="a\na\na")
    (_, one_top, _, one_bottom), _ = box_of(engine, draw, text="a")

    assert bottom - top > 3 * (one_bottom - one_top)


def test_markup_is_text(engine, draw) -> None:
    picture = draw(
        build(engine), text="<b style='background:red'>&amp;</b>", color="000"
    )

    assert (255, 0, 0, 255) not in {c for _, c in picture.image.getcolors(100_000)}


def test_an_empty_text_leaves_the_box_empty(engine, draw) -> None:
    picture = draw(build(engine), text="", background="0f0", width="9", height="9")

    assert picture.image.getcolors() == [(81, (0, 255, 0, 255))]


def test_svg_has_the_size(engine) -> None:
    root = ElementTree.fromstring(
        build(engine).vector(Parameters(width=50, height=20), 1).svg
    )

    assert (root.get("width"), root.get("height")) == ("50", "20")


def test_canonically_equal_texts_are_one() -> None:
    assert Parameters(text="\u00e9") == Parameters(text="e\u0301")
    assert Parameters(text="a\r\nb").text == "a\nb"
