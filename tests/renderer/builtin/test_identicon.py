import re
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ImageOps
from pydantic import ValidationError

from app.renderer.builtin.identicon import RENDERER, Parameters, grid, pattern


@given(st.text(min_size=1))
def test_patterns_are_symmetrical_and_reach_all_sides(seed) -> None:
    rows = pattern(seed).rows

    assert all(row == row[::-1] for row in rows)
    assert any(rows[0])
    assert any(rows[-1])
    assert any(row[0] for row in rows)


def test_a_seed_keeps_its_pattern_for_ever() -> None:
    rows, color = pattern("ada@example.org")

    drawn = "/".join("".join(".#"[cell] for cell in row) for row in rows)
    assert (drawn, color) == ("#.#.#/#...#/...../...../.###.", "#be123c")


def test_seeds_look_different() -> None:
    assert len({pattern(str(number)) for number in range(1000)}) > 950


@pytest.mark.parametrize("size", [16, 17, 100, 255, 256])
@pytest.mark.parametrize("scale", [1, 1.5, 3])
def test_drawings_are_crisp_symmetrical_and_of_the_size(size, scale) -> None:
    image = RENDERER.draw(Parameters(seed="x", size=size), scale).image

    assert image.size == (round(size * scale),) * 2
    cell, margin = grid(image.width)
    inner = image.crop((margin, margin, margin + 5 * cell, margin + 5 * cell))
    assert inner.tobytes() == ImageOps.mirror(inner).tobytes()
    assert len(image.getcolors()) == 2


def test_svg_draws_the_same_cells() -> None:
    parameters = Parameters(seed="x", size=60)

    path = ElementTree.fromstring(RENDERER.vector(parameters, 1).svg)[1].get("d")

    cells = sum(map(int, re.findall(r"h(\d+)v1", path)))
    assert cells == sum(map(sum, pattern("x").rows))


@pytest.mark.parametrize("values", [{}, {"seed": ""}, {"seed": "x", "size": "15"}])
def test_a_seed_and_a_sensible_size_are_required(values) -> None:
    with pytest.raises(ValidationError):
        Parameters.model_validate_strings(values)
