"""Pictures of few colours, as indices into a palette."""

import numpy as np
import numpy.typing as npt
from PIL import Image

from app.renderer.encode.scanlines import Rows

Values = npt.NDArray[np.uint32]

_MOST_CUT = 1 << 20
# Runs a pixel: cards have 0.03, gradients and photographs 0.3 and more.
_MOST_RUNS = 1 / 8
# Odd numbers near 2**32 / golden ratio and unrelated to it. Each sends 256 values to
# different slots in 6 cases of 10.
_FACTORS = tuple(
    np.uint32(factor)
    for factor in (
        *(0x9E3779B1, 0x85EBCA6B, 0xC2B2AE35, 0x27D4EB2F),
        *(0x165667B1, 0xCC9E2D51, 0x1B873593, 0xE6546B65),
    )
)


def index(image: Image.Image) -> Image.Image | None:
    """Return the same pixels in mode P with an RGBA palette, or None.

    None where the picture, in mode RGB or RGBA, has more than 256 colours.
    """
    if image.getcolors(256) is None:
        return None
    pixels = np.frombuffer(image.convert("RGBA").tobytes(), np.dtype("<u4"))
    colors, indices = np.unique(pixels, return_inverse=True)
    flat = Image.frombytes("P", image.size, indices.astype(np.uint8).tobytes())
    flat.putpalette(colors.tobytes(), "RGBA")
    return flat


def from_runs(rows: Rows) -> tuple[Rows, bytes] | None:
    """Return indices, a byte a pixel, and RGBA colours of flat graphics, or None.

    `rows` hold RGBA. None where neighbours differ too often, or where there are more
    than 256 colours. Looks only at pixels that differ from the one before: 1 ms for
    a card, where sorting all its pixels takes 40.
    """
    pixels = rows.view("<u4").reshape(-1)
    changed = np.empty(pixels.size, np.bool_)
    changed[0] = True
    np.not_equal(pixels[1:], pixels[:-1], out=changed[1:])
    if np.count_nonzero(changed) > pixels.size * _MOST_RUNS:
        return None
    starts = np.flatnonzero(changed)
    found = _number(pixels[starts])
    if found is None:
        return None
    numbers, colors = found
    indices = np.repeat(numbers, np.diff(starts, append=pixels.size))
    return indices.reshape(len(rows), -1), colors.tobytes()


def _number(values: Values) -> tuple[Rows, Values] | None:
    """Number different values from 0, by multiplicative hashing (Knuth, 6.4)."""
    for factor in _FACTORS:
        slots = (values * factor) >> np.uint32(16)
        table = np.zeros(1 << 16, np.uint32)
        used = np.zeros(1 << 16, np.bool_)
        table[slots], used[slots] = values, True
        taken = np.flatnonzero(used)
        if taken.size > 256:
            return None
        if np.array_equal(table[slots], values):
            numbers = np.empty(1 << 16, np.uint8)
            numbers[taken] = np.arange(taken.size)
            return numbers[slots], table[taken]
    return None


def reduce(image: Image.Image) -> Image.Image:
    """Return mode P with at most 256 colours, where alpha is all or nothing.

    Pixels of less than half opacity are transparent: they take the last index, the
    `transparency` of the result. Up to 256 colours, 255 beside a transparent one,
    stay exact; more are cut to the median with error diffusion.
    """
    if image.mode != "RGBA":
        return _cut(image, 256)
    clear = image.getchannel("A").point([255] * 128 + [0] * 128)
    if clear.getbbox() is None:
        return _cut(image.convert("RGB"), 256)
    # Colours that nobody sees must not take places in the palette.
    seen = image.convert("RGB")
    seen.paste(_first_seen(image, clear), mask=clear)
    reduced = _cut(seen, 255)
    reduced.paste(255, mask=clear)
    reduced.info["transparency"] = 255
    return reduced


def _first_seen(image: Image.Image, clear: Image.Image) -> tuple[int, int, int]:
    """Return the colour of some pixel that is not transparent; black if none is."""
    opaque = clear.point([255] + [0] * 255)
    box = opaque.getbbox()
    if box is None:
        return 0, 0, 0
    left, top, right, _ = box
    row = opaque.crop((left, top, right, top + 1)).tobytes()
    pixel = image.convert("RGB").getpixel((left + row.index(255), top))
    assert isinstance(pixel, tuple)
    return pixel[0], pixel[1], pixel[2]


def _median_cut(image: Image.Image, colors: int) -> Image.Image:
    """Choose the colours from a million pixels at the most.

    Pillow's cut takes 4 to 10 s for 16 million; choosing among every fourth in both
    directions, and then mapping all of them, takes 0.3.
    """
    fraction = min(1.0, (_MOST_CUT / (image.width * image.height)) ** 0.5)
    width, height = (max(1, round(side * fraction)) for side in image.size)
    sample = image.resize((width, height), Image.Resampling.NEAREST)
    return sample.quantize(colors, Image.Quantize.MEDIANCUT)


def _cut(image: Image.Image, colors: int) -> Image.Image:
    flat = index(image) if image.getcolors(colors) else None
    if flat is None:
        return image.quantize(palette=_median_cut(image, colors))
    entries = bytes(flat.getpalette("RGBA") or b"")
    flat.putpalette(b"".join(entries[at : at + 3] for at in range(0, len(entries), 4)))
    return flat
