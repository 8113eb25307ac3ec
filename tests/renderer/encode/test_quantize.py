"""Flat graphics become indices with exactly the same pixels."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from app.renderer.encode import png, quantize

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


def test_indices_take_little_beside_the_picture() -> None:
    # Before, numbers of 8 bytes for each pixel made a GIF take 47 bytes a pixel.
    side = 1500
    image = Image.new("RGB", (side, side), "#123456")
    image.paste("#654321", (0, 0, side // 2, side))
    tracemalloc.start()

    flat = quantize.index(image)

    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert flat is not None
    assert flat.convert("RGB").tobytes() == image.tobytes()
    assert peak < 6 * side * side


@given(st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=300), st.booleans())
def test_an_index_gives_the_pixels_back(colors: list[int], opaque: bool) -> None:
    pixels = np.resize(np.array(colors, "<u4"), (len(colors) // 7 + 1, 7))
    whole = Image.frombytes("RGBA", pixels.shape[::-1], pixels.tobytes())
    image = whole.convert("RGB") if opaque else whole

    flat = quantize.index(image)

    few = image.getcolors(256)
    assert (flat is None) == (few is None)
    if flat is not None:
        assert flat.convert(image.mode).tobytes() == image.tobytes()
