"""Pictures of the documents are of the studio as it is, doing what they say.

    TEST_WRITE_SCREENSHOTS=1 bin/test tests/studio/test_tutorial.py

writes them anew.
"""

import io
import os
from pathlib import Path
from urllib.parse import unquote_plus, urlencode

import pytest
from PIL import Image, ImageChops, ImageStat

from tests.studio.conftest import PATIENCE

ROOT = Path(__file__).parent.parent.parent
IMAGES = ROOT / "docs/images"
WINDOW = {"width": 1280, "height": 800}
# Fonts of a page are the system's, so letters differ: as a mean of 256 steps.
MOST_APART = 12.0


@pytest.fixture
def opened_once(opened):
    """Opens a page of a window's size, in light."""
    return lambda path: opened(path, viewport=WINDOW, color_scheme="light")


def compare(page, name: str) -> None:
    """Hold a screenshot against the one in the documents, or write that."""
    shown = Image.open(io.BytesIO(page.screenshot(animations="disabled")))
    path = IMAGES / name
    if os.environ.get("TEST_WRITE_SCREENSHOTS"):
        shown.convert("RGB").save(path, quality=82, method=6)
    with Image.open(path) as kept:
        assert kept.size == shown.size
        apart = ImageChops.difference(kept.convert("RGB"), shown.convert("RGB"))
    assert max(ImageStat.Stat(apart).mean) < MOST_APART


@pytest.mark.parametrize(
    ("scheme", "name"), [("light", "studio.webp"), ("dark", "studio-dark.webp")]
)
def test_the_picture_of_the_readme_is_of_the_studio(opened, scheme, name):
    window = {"width": 1280, "height": 760}
    shown = {"title": "Ten thousand pictures before lunch", "author": "Grace Hopper"}
    shown |= {"subtitle": "Type, and the card follows.", "tag": "Studio"}
    place = f"/studio#/make/card?{urlencode({**shown, 'theme': 'sunset'})}"
    page = opened(place, viewport=window, color_scheme=scheme, device_scale_factor=1.5)
    page.wait_for_selector("#preview")
    page.get_by_role("tab", name="curl").click()
    # Where a server stands that nobody has told otherwise.
    page.eval_on_selector(
        "#snippet",
        "(e, own) => { e.textContent = e.textContent.replace(own, '127.0.0.1:8000') }",
        page.url.split("/")[2],
    )
    page.wait_for_load_state("networkidle")

    compare(page, name)


def test_a_badge_follows_what_is_typed(opened_once):
    page = opened_once("/studio#/make/badge")
    page.wait_for_selector("#preview")
    typed = {"name": "Ada Lovelace", "role": "Speaker", "event": "PyCon"}
    typed = {"company": "Analytical Engines", "qr": "https://example.org/p/1", **typed}

    with page.expect_response(lambda answer: "PyCon" in unquote_plus(answer.url)):
        for field, text in typed.items():
            page.fill(f"[data-field={field}] :is(input, textarea)", text)

    page.wait_for_load_state("networkidle")
    page.wait_for_function("document.querySelector('#preview').complete")
    assert "Ada" in page.url
    compare(page, "tutorial-badge.webp")


def test_a_table_of_guests_becomes_badges(opened_once):
    page = opened_once("/studio#/many/badge")
    page.wait_for_selector(".drop.large")

    page.set_input_files(".drop.large input", [ROOT / "docs/how-to/guests.csv"])

    page.wait_for_selector(".rows[aria-busy=false] h2")
    page.wait_for_load_state("networkidle")
    assert page.locator(".contact img").count() == 3
    compare(page, "tutorial-many.webp")
    page.click(".take .primary:not([aria-disabled])")
    page.wait_for_selector(".job[data-state=succeeded]", timeout=3 * PATIENCE)
