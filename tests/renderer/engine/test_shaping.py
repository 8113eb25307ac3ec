"""Fitting by arithmetic: the choice is that of the search that measures every size.

`MIMEO_FIT_TEXTS=10000` generates as many texts; the boxes are those of the built-in
templates.
"""

import os
import random
from collections import Counter
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from app.renderer.engine.engine import Engine, Paragraph
from app.renderer.engine.shaping import breaks
from app.renderer.engine.text_fitting import fitter

COUNT = int(os.environ.get("MIMEO_FIT_TEXTS", "400"))
LETTERS = {
    tag: letters.split(" ")
    for line in Path(__file__)
    .with_name("exemplars.tsv")
    .read_text("utf-8")
    .splitlines()
    for tag, _, letters in [line.partition("\t")]
}
SPACELESS = {"th", "lo", "km", "my", "ja", "zh", "yue", "bo", "dz"}
# What stands between words: most of it asks for a rule of its own.
BETWEEN = [
    *(
        ", ",
        ". ",
        "! ",
        "? ",
        ": ",
        "; ",
        " - ",
        " \u2013 ",
        "-",
        "/",
        " & ",
        " (",
        ") ",
    ),
    *(' "', '" ', "\u2019", " “", "” ", "… ", "@", "#", " 2024 ", " 3,5 ", "1.000"),
    *(" 50 % ", " $9.99 ", "€ ", "+", "_", "·", "%", " «", "» ", "|", "  ", "\n"),
]
EMOJI = ["🎉", "👍🏽", "❤️", "🇩🇪", " 😀 "]
SERIF, MONO = "Source Serif 4", "JetBrains Mono"
# Width, height, largest and smallest size, lines; weight, leading, tracking, family.
BOXES: list[tuple[tuple[int, ...], tuple[int, float, float, str]]] = [
    ((644, 300, 124, 34, 6), (800, 1.1, -0.03, "Inter")),
    ((590, 44, 22, 16, 1), (700, 1.2, 0.08, "Inter")),
    ((644, 126, 32, 22, 4), (400, 1.4, 0.0, "Inter")),
    ((504, 200, 132, 30, 4), (800, 1.06, -0.03, "Inter")),
    ((860, 132, 78, 26, 2), (600, 1.15, -0.01, SERIF)),
    ((888, 400, 132, 28, 99), (500, 1.2, -0.01, SERIF)),
    ((184, 150, 96, 16, 3), (800, 1.05, -0.04, MONO)),
]


def word(source: random.Random, letters: list[str]) -> str:
    length = source.choice((1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 17))
    made = "".join(source.choice(letters) for _ in range(length))
    return made.capitalize() if source.random() < 0.3 else made


def text(source: random.Random) -> str:
    """Make 3 to 80 characters of a language, some with words of another."""
    tag = source.choice(list(LETTERS))
    mixed = source.random() < 0.15
    other = LETTERS[source.choice(list(LETTERS)) if mixed else tag]
    space = "" if tag.split("-")[0] in SPACELESS else " "
    length, made = source.randint(3, 80), ""
    while len(made) < length:
        made += word(source, other if source.random() < 0.3 else LETTERS[tag])
        made += source.choice(BETWEEN) if source.random() < 0.15 else space
    if source.random() < 0.04:
        made = source.choice(EMOJI) + made
    if source.random() < 0.04:
        made = made.replace(" ", "\u00a0", 1)
    return made[:length].strip() or "x"


class Counting:
    """An engine that counts how often it is asked to measure."""

    def __init__(self, engine: Engine, *, arithmetic: bool) -> None:
        self.measured = self.shaped = 0
        self.covers = engine.covers
        self._engine = engine
        self._arithmetic = arithmetic

    def paragraph(self, *given: Any) -> Any:
        paragraph: Paragraph = self._engine.paragraph(*given)

        def measure(style: Mapping[str, Any], width: float) -> Mapping[str, Any]:
            self.measured += 1
            return paragraph.measure(style, width)

        def shape(*look: Any) -> Any:
            found = paragraph.shape(*look) if self._arithmetic else None
            self.shaped += found is not None
            return found

        return SimpleNamespace(measure=measure, shape=shape)


def test_arithmetic_chooses_what_measuring_every_size_chooses(engine: Engine) -> None:
    source = random.Random(11)
    quick = Counting(engine, arithmetic=True)
    careful = Counting(engine, arithmetic=False)
    fit, fit_carefully = fitter(quick), fitter(careful)
    differing: list[tuple[str, Any, Any]] = []
    calls: Counter[tuple[bool, int]] = Counter()

    for _ in range(COUNT):
        made = text(source)
        sizes, look = source.choice(BOXES)
        weight, leading, tracking, family = look
        given = {"weight": weight, "leading": leading, "tracking": tracking}
        before, shaped = quick.measured, quick.shaped
        found = fit(made, *sizes, family=family, **given)
        calls[quick.shaped > shaped, min(quick.measured - before, 3)] += 1
        expected = fit_carefully(made, *sizes, family=family, **given)
        if found != expected:
            differing.append((made, found, expected))

    able = sum(count for (shaped, _), count in calls.items() if shaped)
    fallen_back = calls[True, 3]
    print(calls, quick.measured / careful.measured)
    assert not differing
    assert able > 0.85 * COUNT
    assert fallen_back < 0.05 * able
    assert quick.measured < 0.6 * careful.measured


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("two words", ["two ", "words"]),
        ("well-known", ["well-", "known"]),
        ("and/or a|b ab!cd", ["and/or ", "a|b ", "ab!cd"]),
        ("1-2 a -1", ["1-", "2 ", "a ", "-1"]),
        ("so? (yes) !", ["so? ", "(yes) ", "!"]),
        ("é/é", ["é/", "é"]),
        ("日本。東京", ["日", "本。", "東", "京"]),
        ("日“本”日", ["日“本”日"]),
    ],
)
def test_lines_may_break_where_the_engine_breaks_them(
    engine: Engine, text: str, pieces: list[str]
) -> None:
    edges = [0, *breaks(text), len(text)]
    style = {"fontSize": "20px", "lineHeight": 3, "width": "100%"}

    runs = engine.paragraph(text).measure(style, 1)["runs"]

    found = [text[start:end] for start, end in pairwise(edges)]
    assert len({round(run["y"] / 60) for run in runs}) == len(pieces)
    assert found == pieces


def test_marks_from_right_to_left_are_left_to_the_engine(engine: Engine) -> None:
    plain, marked = engine.paragraph("שלום עולם"), engine.paragraph("שָׁלוֹם")

    assert plain.shape(["Heebo"], 400, False, 0) is not None
    assert marked.shape(["Heebo"], 400, False, 0) is None


@pytest.mark.parametrize("text", ["a 🎉", "10\u00a0km", " "])
def test_pictures_and_held_spaces_are_left_to_the_engine(
    engine: Engine, text: str
) -> None:
    assert engine.paragraph(text).shape(["Inter"], 400, False, 0) is None


def test_a_weight_or_tracking_that_css_alone_can_read_still_fits(
    engine: Engine,
) -> None:
    fit = fitter(engine)

    found = fit("two words", 300, 100, 60, 10, weight="700", tracking="0.02")

    assert (
        found.size == fit("two words", 300, 100, 60, 10, weight=700, tracking=0.02).size
    )
