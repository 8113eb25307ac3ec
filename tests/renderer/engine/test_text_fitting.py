"""Setting text: what was measured is what is drawn."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytakumi
import pytest

from app.renderer.engine.engine import Engine
from app.renderer.engine.fonts import load_fonts
from app.renderer.engine.text_fitting import Fit, fitter
from app.renderer.params import is_visible

RULER = pytakumi.Renderer()
FAMILIES = [
    family["name"]
    for face in load_fonts(None, system=False).faces
    for family in RULER.register_font(face.read(), generic=face.generic)
]
LOOK: dict[str, Any] = {"weight": 800, "leading": 1.1, "tracking": -0.03}
WORDS = tuple(
    word
    for line in (
        "Languages Customers Generation Lewandowski Esperanza Understanding Jacqueline",
        "Bartholomew Maximilian Christopher Alexandra Montgomery Washington Hernandez",
        "Papadopoulos Vandenberg Krzysztof Wojciechowski Fitzgerald Abernathy",
        "Rodriguez Balasubramanian Ramachandran Goldschmidt Andersson Kowalczyk",
        "Szczepaniak Charlemagne Evangeline Gwendolyn Persephone Clementine",
        "Seraphina Alessandro Giovanni Francesca Guillermo Performance Documentation",
        "Announcing Accessibility Internationalization Engineering Community",
        "Ευαγγελία Александра Ähnlichkeit ǅungla Wilhelmina Infrastructure",
    )
    for word in line.split()
)


def drawn(text: str, found: Fit, width: float) -> list[str]:
    """Lay out the very style of the drawing; return what stands in its lines."""
    markup = f'<div style="width: {width}px; {found.css}">{text}</div>'
    root = RULER.measure(pytakumi.from_html(markup), width=700, font_families=FAMILIES)
    lines: dict[int, str] = {}
    for run in _runs(root):
        row = int((run["y"] + run["height"] / 2) / (1.1 * found.size))
        lines[row] = lines.get(row, "") + run["text"]
    return list(lines.values())


def _runs(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield from node.get("runs", ())
    for child in node["children"]:
        yield from _runs(child)


@pytest.mark.parametrize("width", [644, 504, 444.1, 301, 302.4, 257.9])
@pytest.mark.parametrize("largest", [132, 124, 90])
def test_no_word_is_broken_that_a_smaller_size_keeps_whole(
    engine: Engine, width: float, largest: int
) -> None:
    fit = fitter(engine)

    found = {word: fit(word, width, 300, largest, 8, **LOOK) for word in WORDS}

    assert {word: drawn(word, found[word], width) for word in WORDS} == {
        word: [word] for word in WORDS
    }


def test_word_of_two_fonts_is_measured_whole(engine: Engine) -> None:
    found = fitter(engine)("ǄX", 38.4, 38.4, 20, 1, lines=1)

    assert drawn("ǄX", found, 38.4) == ["ǄX"]


@pytest.mark.parametrize(
    ("text", "visible"),
    [
        ("", False),
        (" \n\u3000", False),
        ("\u200b\u00ad\ufe0f", False),
        ("\u3164\u2800", False),
        ("\u200b-", True),
        ("ा अ", True),
        ("🇩🇪", True),
    ],
)
def test_only_ink_is_visible(text: str, visible: bool) -> None:
    assert is_visible(text) is visible


@pytest.mark.parametrize(
    ("text", "clipped"),
    [
        ("short", ""),
        ("a text of some words", "shrunk"),
        ("a text that is much too long for its box " * 3, "cut"),
        ("W" * 60, "cut"),
    ],
)
def test_a_text_at_its_floor_is_shrunk_or_cut(
    engine: Engine, text: str, clipped: str
) -> None:
    found = fitter(engine)(text, 120, 20, 40, 12, lines=1)

    assert found.clipped == clipped


def test_a_text_of_one_size_only_is_not_shrunk(engine: Engine) -> None:
    assert fitter(engine)("ab", 120, 20, 12, 12, lines=1).clipped == ""
