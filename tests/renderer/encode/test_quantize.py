"""Flat graphics become indices with exactly the same pixels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.renderer.encode import png

WIDTH = 64


def picture(colors: list[int], run: int) -> np.ndarray:
    """Rows of RGBA in which each colour makes a run."""
    pixels = np.repeat(np.array(colors, "<u4"), run)
    pixels = np.resize(pixels, -(-pixels.size // WIDTH) * WIDTH)
    return pixels.view(np.uint8).reshape(-1, 4 * WIDTH)


@given(st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=300), st.data())
def test_colors_and_indices_give_the_pixels_back(
    colors: list[int], data: st.DataObject
) -> None:
    rows = picture(colors, data.draw(st.integers(9, 40)))

    found = png.from_runs(rows)

    if found is not None:
        indices, entries = found
        again = np.frombuffer(entries, "<u4")[indices]
        assert (again == rows.view("<u4")).all()
    else:
        assert len(set(colors)) > 16


@pytest.mark.parametrize(("count", "flat"), [(1, True), (256, True), (257, False)])
def test_up_to_256_colors_are_flat(count: int, flat: bool) -> None:
    rows = picture([number * 0x01010101 for number in range(256)][:count], 16)
    if count > 256:
        rows = picture([number * 0x00010203 for number in range(count)], 16)

    assert (png.from_runs(rows) is not None) == flat


def test_gradients_and_noise_are_not_flat() -> None:
    gradient = np.arange(WIDTH * 10, dtype="<u4").view(np.uint8).reshape(10, -1)

    assert png.from_runs(gradient) is None


def test_colors_that_no_factor_parts_are_left_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(png, "_FACTORS", (np.uint32(1),))

    assert png.from_runs(picture([1, 2, 3], 30)) is None
