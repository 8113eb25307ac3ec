"""Which texts become pictures, and which stay."""

import re

import pytest
from PIL import Image, ImageChops

from app.renderer.engine import emoji
from app.renderer.engine.emoji import ends_in_picture, illustrate
from app.renderer.engine.engine import Engine, Page
from app.renderer.engine.text_fitting import fitter

FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466"
SCOTLAND = "\U0001f3f4\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f"


def pictures(text: str) -> list[str]:
    """Return the pictures in a text, in order."""
    return re.findall('src="emoji:([^"]*)"', illustrate(text).markup)


def drawn(engine: Engine, body: str, size: tuple[int, int] = (200, 60)) -> Image.Image:
    page = Page(f'<div style="font-size:24px;background:#fff">{body}</div>')
    return engine.draw(page, size, 1).image


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("\U0001f680", ["1f680"]),
        ("a\U0001f44d\U0001f3fdb", ["1f44d-1f3fd"]),
        (FAMILY, ["1f468-200d-1f469-200d-1f467-200d-1f466"]),
        ("\U0001f1e9\U0001f1ea\U0001f1eb\U0001f1f7", ["1f1e9-1f1ea", "1f1eb-1f1f7"]),
        (SCOTLAND, ["1f3f4-e0067-e0062-e0073-e0063-e0074-e007f"]),
        ("1\ufe0f\u20e3 #\u20e3", ["31-20e3", "23-20e3"]),
        ("\u2764\ufe0f\u200d\U0001f525", ["2764-200d-1f525"]),
        ("\u2764\u200d\U0001f525", ["2764-200d-1f525"]),
        ("\u261d\U0001f3ff", ["261d-1f3ff"]),
        ("\U0001faeb\U0001faf9\U0001f3fb", ["1faeb", "1faf9-1f3fb"]),
    ],
)
def test_the_longest_sequence_is_one_picture(text: str, found: list[str]) -> None:
    assert pictures(text) == found


@pytest.mark.parametrize("text", ["©", "☎", "1 # *", "❤", "Ⓜ", "™", "\U0001f680\ufe0e"])
def test_text_by_default_or_by_selector_stays_text(text: str) -> None:
    assert illustrate(text) == (text, {})


@pytest.mark.parametrize("text", ["©\ufe0f", "☎\ufe0f", "❤\ufe0f", "™\ufe0f"])
def test_the_selector_makes_a_picture_of_what_is_text_by_default(text: str) -> None:
    assert len(pictures(text)) == 1


def test_an_unknown_sequence_becomes_the_pictures_of_its_parts() -> None:
    assert pictures("\U0001f680\u200d\U0001f984") == ["1f680", "1f984"]
    assert pictures("\U0001f1fd\U0001f1fd") == ["1f1fd", "1f1fd"]


def test_attributes_drawings_and_comments_stay_as_they_are() -> None:
    kept = (
        '<p title="\U0001f680 > x"><svg><text>\U0001f680</text></svg><!--\U0001f680-->'
    )

    assert illustrate(kept) == (kept, {})


def test_references_are_characters() -> None:
    assert pictures("&#128640; &#x1F984; &copy;&#xfe0f;") == ["1f680", "1f984", "a9"]


def test_what_was_escaped_stays_escaped() -> None:
    markup = illustrate("&lt;b&gt; \U0001f680 &amp;").markup

    assert "&lt;b&gt; " in markup
    assert "&amp;" in markup


def test_a_picture_keeps_its_brackets_and_marks_on_its_line() -> None:
    markup = illustrate("a (\U0001f680)! b").markup

    glued = re.search("<x-glued[^>]*>(.*?)</x-glued>", markup)

    assert glued is not None
    assert re.sub("<[^>]*>", "*", glued[1]) == "(*)!"


def test_a_page_is_drawn_with_the_picture_and_says_whose_it_is(engine: Engine) -> None:
    picture = engine.draw(Page('<p style="font-size:30px">\U0001f680</p>'), (40, 40), 1)

    colors = {color for _, color in picture.image.convert("RGB").getcolors(1600)}
    assert any(blue > red + 60 for red, _, blue in colors)
    assert picture.facts == {"attribution": [emoji.ATTRIBUTION]}


def test_monochrome_emoji_are_left_to_the_fonts(engine: Engine) -> None:
    picture = engine.draw(Page("\U0001f680", emoji="mono"), (40, 40), 1)

    assert "attribution" not in picture.facts


def test_rules_of_the_page_do_not_reach_the_pictures(engine: Engine) -> None:
    body = '<div style="font-size:24px;background:#fff">a \U0001f680 b</div>'
    rules = "img{width:3px;display:block;margin:9px} span{color:red}"

    plain = engine.draw(Page(body), (200, 60), 1)
    ruled = engine.draw(Page(body, (rules,)), (200, 60), 1)

    assert plain.packed == ruled.packed


def test_a_text_with_pictures_is_one_item_of_a_flex_container(engine: Engine) -> None:
    text = "words before \U0001f680 and words after it"

    block = drawn(engine, text)
    flex = drawn(engine, f'<div style="display:flex">{text}</div>')

    assert ImageChops.difference(block, flex).getbbox() is None


def test_pictures_are_measured_as_they_are_drawn(engine: Engine) -> None:
    style = {"fontSize": "20px", "lineHeight": 1.2, "width": "100%"}
    node = {"type": "text", "text": "ab \U0001f680\U0001f984 cd", "style": style}

    measured = engine.measure(node, 70)

    first, second = measured["runs"][:3], measured["runs"][3:]
    assert {run["text"].strip() for run in first} == {"ab", "\ufffc"}
    assert [run["text"].strip() for run in second] == ["cd"]
    assert measured["height"] == 48


def test_an_svg_holds_the_pictures_as_drawings(engine: Engine) -> None:
    vector = engine.draw_svg(Page("\U0001f680"), (40, 40))

    assert "data:image/svg+xml;base64," in vector.svg
    assert vector.facts == {"attribution": [emoji.ATTRIBUTION]}


def test_many_open_tags_and_joiners_take_linear_time() -> None:
    assert illustrate("\U0001f680" + "<" * 100_000).images
    assert illustrate("\U0001f468\u200d" * 20_000).images


@pytest.mark.parametrize("text", ["8 " + "🚀" * 40, "Hello " + "👩‍👩‍👧" * 30 + "🇩🇪"])
def test_lines_that_end_in_a_picture_are_not_cut_to_an_ellipsis(
    engine: Engine, text: str
) -> None:
    """They came out as three dots, though there was room for all."""
    found = fitter(engine)(text, 300, 400, 16, 16)

    body = (
        f'<div style="width:300px;height:400px"><p style="{found.css}">{text}</p></div>'
    )
    image = engine.draw(Page(body), (300, 400), 1).image

    _, top, right, bottom = image.getbbox()
    assert right > 280
    assert bottom - top > 1.4 * 16


def test_text_that_ends_in_a_picture_is_told_from_others() -> None:
    assert all(map(ends_in_picture, ["🚀", "a🚀", "a" * 99 + "👩‍👩‍👧", "🇩🇪" * 30]))
    assert not any(map(ends_in_picture, ["", "a", "🚀a", "🚀)", "🚀\ufe0e", "1", "©"]))
