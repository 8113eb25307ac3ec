"""Pages beside Chromium: the measure sees faults, and a part of the gallery is alike.

The whole gallery and the table of features are `python -m benchmarks.fidelity`.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image, ImageChops, ImageDraw

from benchmarks.fidelity import __main__ as fidelity
from benchmarks.fidelity.boxes import Box, Places
from benchmarks.fidelity.drawing import CHROMIUM, Pair, pair
from benchmarks.fidelity.similarity import similarity

PAGE = Path(__file__).parent.parent / "docs/explanation/html.md"
SEEN = ("boarding-pass", "japanese", "og-repository", "changelog", "email-order")
needs_chromium = pytest.mark.skipif(
    not CHROMIUM.is_file(), reason=f"there is no {CHROMIUM}"
)


@pytest.fixture(scope="module")
def both() -> Iterator[Pair]:
    with pair() as made:
        yield made


def drawing() -> Image.Image:
    image = Image.new("RGB", (320, 240), "white")
    pen = ImageDraw.Draw(image)
    for number in range(12):
        pen.text((20, 12 + number * 18), f"Line {number} of a page", "black")
    pen.rectangle((200, 40, 300, 200), "#0066cc")
    return image


def test_a_page_is_like_itself():
    assert similarity(drawing(), drawing()) > 0.9999


def test_two_pixels_are_allowed_and_twenty_are_not():
    nudged = ImageChops.offset(drawing(), 2, -2)
    moved = ImageChops.offset(drawing(), 20, 20)

    assert similarity(drawing(), nudged) > 0.95
    assert similarity(drawing(), moved) < fidelity.EACH


def test_a_blank_page_and_a_panel_that_is_missing_count():
    blank = Image.new("RGB", (320, 240), "white")
    without = drawing()
    ImageDraw.Draw(without).rectangle((200, 40, 300, 200), "white")

    assert similarity(drawing(), blank) < 0.2
    assert similarity(drawing(), without) < fidelity.EACH
    assert similarity(blank, blank) == 1


def test_pages_of_two_sizes_are_not_compared():
    with pytest.raises(ValueError, match="is not"):
        similarity(drawing(), Image.new("RGB", (10, 10)))


def test_an_element_strays_beyond_two_pixels_and_a_hundredth():
    browser = {"p 1": Box(0, 0, 100, 20), "p 2": Box(0, 20, 100, 20)}
    engine = {"p 1": Box(11, 0, 100, 20), "p 2": Box(13, 20, 100, 20)}

    assert list(Places(browser, engine).strays(1000)) == ["p 2"]
    assert list(Places(browser, {}).strays(1000)) == ["p 1", "p 2"]


def test_every_feature_stands_in_the_page():
    named = re.findall(
        r"^\| (.+?) \| (?:as Chromium|otherwise|not drawn) \|", PAGE.read_text(), re.M
    )

    assert named == [feature.name for feature in fidelity.features()]


def test_the_gallery_has_pages_of_every_kind():
    pages = fidelity.gallery()

    assert len(pages) >= 25
    assert all(max(page.size) <= 1200 for page in pages)


@needs_chromium
@pytest.mark.parametrize("name", SEEN)
def test_a_page_is_drawn_as_in_chromium(both: Pair, name: str):
    [page] = fidelity.gallery([name])

    result = fidelity.compare(both, page)

    assert result.score >= fidelity.MEAN
    assert result.places is not None
    assert len(result.places.browser) >= 10
    strays = result.places.strays(page.size[0])
    assert len(strays) <= (1 - fidelity.IN_PLACE) * len(result.places.browser)
    assert fidelity.faults([result]) == []


@needs_chromium
@pytest.mark.parametrize("name", SEEN)
def test_a_blank_page_and_a_moved_one_are_faults(both: Pair, name: str):
    [page] = fidelity.gallery([name])
    shown = both.chromium(page.document, page.size)

    scores = fidelity.spoiled(shown)

    assert set(scores) == {"blank", "moved"}
    assert max(scores.values()) < fidelity.EACH


@needs_chromium
def test_a_feature_that_chromium_does_not_show_is_no_row(both: Pair):
    nothing = fidelity.Feature("Group", "nothing", "<p>a", "<p>a")

    with pytest.raises(ValueError, match="draws the same without it"):
        list(fidelity.judge(both, [nothing]))
