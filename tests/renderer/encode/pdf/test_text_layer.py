"""The text of a page: found where it is seen, and copied as it was sent."""

import html
import io
import re
import unicodedata
from pathlib import Path

import numpy as np
import pypdfium2
import pytest
from PIL import Image
from pypdf import PdfReader

from app.renderer.base import Output
from app.renderer.produce import produce
from tests.renderer.encode.pdf.drawings import (
    Page,
    mupdf,
    page,
    program,
    renderer,
    run,
)

TEXTS = {
    "Latin": "Grace Hopper Ångström office",
    "Cyrillic": "Анна Каренина Ёлка",
    "Greek": "Σωκράτης Ἀθηναῖος Ωμέγα",
    "Arabic": "السلام عليكم يا صديقي",
    "Hebrew": "שלום עולם טוב",
    "Devanagari": "नमस्ते दुनिया हिन्दी",
    "Thai": "สวัสดีชาวโลก",
    "Chinese": "你好世界",
    "Japanese": "こんにちは世界",
    "Korean": "안녕하세요 세계",
}
BACKWARD = ("Arabic", "Hebrew")
# What pdftotext writes around text that runs from right to left.
_EMBEDDED = re.compile("[\u202a-\u202e]")
_WORD = re.compile(
    r'<word xMin="([\d.]+)" yMin="([\d.]+)" xMax="([\d.]+)" yMax="([\d.]+)">'
    r"(.*?)</word>"
)
Box = tuple[float, float, float, float]


def words(made: Page, folder: Path) -> list[tuple[str, Box]]:
    """Return the words that poppler finds, with their boxes in CSS pixels."""
    tool = program("pdftotext", "poppler-utils")
    told = run(tool, "-bbox", str(made.write(folder)), "-")
    width = re.search(r'<page width="([\d.]+)"', told)
    assert width is not None
    scale = made.pixels.width / float(width[1])
    found = []
    for *sides, text in _WORD.findall(told):
        a, b, c, d = (float(side) * scale for side in sides)
        found.append((html.unescape(text), (a, b, c, d)))
    return found


def overlap(box: Box, pixels: Image.Image) -> float:
    """Return how much of a word's box and of the ink in its columns is both."""
    grey = np.asarray(pixels.convert("L"), dtype=int)
    ink = np.abs(grey - grey[0, 0]) > 40
    # A letter's edge may lie a pixel beside the box, a space further off.
    left, right = int(box[0]) - 2, int(box[2]) + 3
    down, across = np.where(ink[:, left:right])
    seen = (
        *(float(across.min() + left), float(down.min())),
        *(float(across.max() + left + 1), float(down.max() + 1)),
    )
    width = min(box[2], seen[2]) - max(box[0], seen[0])
    height = min(box[3], seen[3]) - max(box[1], seen[1])
    both = max(0.0, width) * max(0.0, height)
    areas = [(b[2] - b[0]) * (b[3] - b[1]) for b in (box, seen)]
    return both / (sum(areas) - both)


def lettered(text: str) -> Page:
    return page("placeholder", text=text, width="600", height="200")


def shown(pdf: bytes) -> str:
    """Return the text as Chromium has it."""
    document = pypdfium2.PdfDocument(pdf)
    return str(document[0].get_textpage().get_text_range()).strip()


@pytest.mark.parametrize("script", TEXTS)
def test_the_box_of_a_word_is_around_its_ink(script: str, tmp_path: Path) -> None:
    made = lettered(TEXTS[script])

    found = words(made, tmp_path)

    assert len(found) == len(TEXTS[script].split())
    assert [each for each in found if overlap(each[1], made.pixels) < 0.7] == []


@pytest.mark.parametrize("script", TEXTS)
def test_text_is_copied_as_it_was_sent(script: str, tmp_path: Path) -> None:
    sent = unicodedata.normalize("NFC", TEXTS[script])
    made = lettered(sent)

    tool = program("pdftotext", "poppler-utils")
    copied = run(tool, str(made.write(tmp_path)), "-").strip()

    assert _EMBEDDED.sub("", copied) == sent
    assert shown(made.pdf) == sent


@pytest.mark.parametrize("script", sorted(set(TEXTS) - set(BACKWARD)))
def test_mupdf_and_pypdf_copy_the_same(script: str, tmp_path: Path) -> None:
    made = lettered(TEXTS[script])

    tool = program("mutool", "mupdf-tools")
    copied = run(tool, "draw", "-q", "-F", "txt", str(made.write(tmp_path)))

    assert copied.strip() == TEXTS[script]
    (read,) = PdfReader(io.BytesIO(made.pdf)).pages
    assert read.extract_text().strip() == TEXTS[script]


@pytest.mark.parametrize("script", BACKWARD)
def test_words_from_right_to_left_are_seen_from_left_to_right(
    script: str, tmp_path: Path
) -> None:
    # As in PDFs of browsers: what shows a page turns them round, what only lists its
    # letters does not.
    found = {text[::-1] for text, _ in words(lettered(TEXTS[script]), tmp_path)}

    assert found == set(TEXTS[script].split())


def test_letters_beyond_the_first_plane_are_found() -> None:
    assert shown(lettered("𠮷野家 𠀋 astral").pdf) == "𠮷野家 𠀋 astral"


def test_pictures_of_emoji_are_copied_as_emoji() -> None:
    made = lettered("Hi \U0001f600 there \U0001f1e9\U0001f1ea")

    (read,) = PdfReader(io.BytesIO(made.pdf)).pages
    assert {"\U0001f600", "\U0001f1e9\U0001f1ea"} <= set(read.extract_text().split())


def test_all_texts_of_a_template_are_there_in_order() -> None:
    assert shown(page("badge").pdf).split() == [
        *("Compiler", "Summit", "2026", "Grace", "Hopper"),
        *("Rear", "admiral", "United", "States", "Navy"),
    ]


def test_a_shadow_of_text_is_no_text(tmp_path: Path) -> None:
    markup = (
        "<div style='font-size:30px;text-shadow:3px 3px 0 red'>One two</div>"
        "<div style='font-size:30px'>three</div>"
    )
    made = page("html", html=markup, width="200", height="100")

    found = words(made, tmp_path)

    assert [text for text, _ in found] == ["One", "two", "three"]
    assert found[2][1][1] > 36


def test_text_is_turned_with_its_box(tmp_path: Path) -> None:
    markup = (
        "<div style='margin:90px 40px;font-size:20px;transform:rotate(90deg)'>Up</div>"
    )
    made = page("html", html=markup, width="200", height="200")

    (text, box), *more = words(made, tmp_path)

    assert (text, more) == ("Up", [])
    assert box[3] - box[1] > box[2] - box[0]


def test_padding_and_borders_move_text(tmp_path: Path) -> None:
    markup = "<p style='padding:30px 50px;border:7px solid red;font-size:20px'>Ada</p>"
    made = page("html", html=markup, width="300", height="150")

    ((_, box),) = words(made, tmp_path)

    assert box[0] == pytest.approx(57, abs=3)


def test_the_layer_shows_nothing(tmp_path: Path) -> None:
    clear = "<div style='color:transparent;font-size:60px'>Hidden</div>"
    made = page("html", html=clear, width="300", height="100")

    assert mupdf(made, tmp_path).getextrema() == ((255, 255),) * 3
    assert shown(made.pdf) == "Hidden"


@pytest.mark.parametrize(
    "lang,text,known",
    [("de", "Straße", "de"), (None, "こんにちは", "ja"), (None, "Hello", None)],
)
def test_title_and_language_are_what_is_known(
    lang: str | None, text: str, known: str | None
) -> None:
    chosen = renderer("placeholder")
    given = {"text": text, "width": "300", "height": "100"}
    given |= {"lang": lang} if lang else {}
    parameters = chosen.parameters.model_validate_strings(given)

    made = produce(chosen, parameters, Output(format="pdf")).data

    reader = PdfReader(io.BytesIO(made), strict=True)
    assert reader.metadata is not None
    assert reader.metadata.title == chosen.title
    assert reader.root_object.get("/Lang") == known


def test_text_of_no_size_is_left_out() -> None:
    markup = '<p style="font-size:0">hidden</p><p>seen</p>'

    assert shown(page("html", html=markup, width="300", height="200").pdf) == "seen"


def test_text_a_million_pixels_away_is_left_out() -> None:
    markup = '<p style="position:absolute;left:1e6px">far</p><p>seen</p>'

    assert shown(page("html", html=markup, width="300", height="200").pdf) == "seen"
