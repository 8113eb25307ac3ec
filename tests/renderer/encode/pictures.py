"""Strategies for pictures of every mode, small enough to make many."""

import random

from hypothesis import strategies as st
from PIL import Image

from app.renderer.base import Picture

MODES = ("1", "L", "P", "RGB", "RGBA")
SIDES = st.integers(1, 70)
BYTES_PER_PIXEL = {"1": 1, "L": 1, "P": 1, "RGB": 3, "RGBA": 4}


@st.composite
def pictures(draw: st.DrawFn, modes: tuple[str, ...] = MODES) -> Picture:
    """Noise, stripes or one colour, with or without a packed buffer."""
    mode = draw(st.sampled_from(modes))
    size = draw(st.tuples(SIDES, SIDES))
    period = draw(st.sampled_from((1, 3, 7, 64, 100_000)))
    source = random.Random(draw(st.integers(0, 99)))
    length = size[0] * size[1] * BYTES_PER_PIXEL[mode]
    pattern = source.randbytes(min(period, length))
    data = (pattern * (length // len(pattern) + 1))[:length]
    if mode == "P":
        image = _indexed(draw, size, data, source)
    elif mode == "1":
        image = Image.frombytes("L", size, data).point([0] * 128 + [255] * 128, "1")
    else:
        image = Image.frombytes(mode, size, data)
    packed = draw(st.booleans()) and mode != "1"
    return Picture(image, image.tobytes() if packed else None)


def _indexed(
    draw: st.DrawFn, size: tuple[int, int], data: bytes, source: random.Random
) -> Image.Image:
    colors = draw(st.sampled_from((1, 2, 3, 4, 5, 16, 17, 255, 256)))
    image = Image.frombytes("P", size, bytes(value % colors for value in data))
    kind = draw(st.sampled_from(("RGB", "RGBA", "list", "index")))
    image.putpalette(
        source.randbytes(colors * (4 if kind == "RGBA" else 3)),
        "RGBA" if kind == "RGBA" else "RGB",
    )
    if kind == "list":
        image.info["transparency"] = source.randbytes(colors)
    elif kind == "index":
        image.info["transparency"] = source.randrange(colors)
    return image


def wide() -> Picture:
    """Noise above stripes above one colour, tall enough to be sampled."""
    width, height = 61, 600
    noise = random.Random(5).randbytes(width * 3 * height // 3)
    stripes = (b"\x00\x80\xff" * width + b"\x10" * 3 * width) * (height // 6)
    data = (noise + stripes).ljust(width * height * 3, b"\x33")
    return Picture(Image.frombytes("RGB", (width, height), data))
