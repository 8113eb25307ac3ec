"""Pictures with few colours, as indices into a palette."""

from typing import Any

import numpy as np
from PIL import Image

_MOST_CUT = 1 << 20
# Pixels that are looked at together.
_STRIPE = 1 << 18


def index(image: Image.Image) -> Image.Image | None:
    """Return the same pixels in mode P with an RGBA palette, or None.

    None where the picture, in mode RGB or RGBA, has more than 256 colours.
    """
    counted = image.getcolors(256)
    if counted is None:
        return None
    tones: list[Any] = [value for _, value in counted]
    opaque = () if image.mode == "RGBA" else (255,)
    listed = np.array([(*tone, *opaque) for tone in tones], np.uint8)
    colors = np.unique(listed.view("<u4"))
    indices = bytearray()
    rows = max(1, _STRIPE // image.width)
    # Numbers of 8 bytes come of a search: for all pixels they would be 47 a pixel.
    for top in range(0, image.height, rows):
        stripe = image.crop((0, top, image.width, min(top + rows, image.height)))
        pixels = np.frombuffer(stripe.convert("RGBA").tobytes(), np.dtype("<u4"))
        indices += np.searchsorted(colors, pixels).astype(np.uint8).tobytes()
    flat = Image.frombytes("P", image.size, indices)
    flat.putpalette(colors.tobytes(), "RGBA")
    return flat


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
    # No more than 255 colours were kept, so that the last index is free.
    reduced.paste(255, mask=clear)
    reduced.info["transparency"] = 255
    return reduced


def _first_seen(image: Image.Image, clear: Image.Image) -> tuple[int, int, int]:
    """Return the colour of some pixel that is not transparent; black if none is."""
    seen = np.asarray(clear) == 0
    if not seen.any():
        return 0, 0, 0
    row, column = np.unravel_index(seen.argmax(), seen.shape)
    red, green, blue, _ = np.asarray(image)[row, column].tolist()
    return red, green, blue


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
