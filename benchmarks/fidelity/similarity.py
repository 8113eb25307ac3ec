"""How like two pictures of one page are, where there is something to see.

The measure is SSIM (Wang and others, 2004), of windows of 8 by 8 pixels. Ground of one
colour in both pictures is left out, or a blank page would be like any page; where it is
of two colours, it counts as nothing alike. A window may lie up to two pixels elsewhere
in the other picture: so far glyphs and lines of two engines are apart.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_SIDE = 8
_SHIFT = 2
# Of 255: how much a gradient or a soft shadow changes within a window, and how much two
# engines are apart in it. SSIM takes any two such windows for alike.
_UNIFORM = 16
_SAME = 12
# Constants of the paper, for values up to 255.
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2

Values = NDArray[np.float32]


def similarity(one: Image.Image, other: Image.Image) -> float:
    """Return from 0 to 1 how like two pictures of one size are; 1 where both are blank.

    It is the mean over the windows in which either is not of one colour, or the two are
    of different ones.
    """
    told = windows(one, other)
    scores = told[~np.isnan(told)]
    return min(1.0, float(scores.mean())) if scores.size else 1.0


def windows(one: Image.Image, other: Image.Image) -> Values:
    """Return the similarity of each window; NaN where neither shows anything."""
    if one.size != other.size:
        raise ValueError(f"{one.size} is not {other.size}")
    first, second = _pixels(one), _pixels(other)
    a, b = _windows(first), _windows(second)
    apart = np.abs(a.mean(axis=2) - b.mean(axis=2)).max(axis=2) > _SAME
    shown = (_range(a) > _UNIFORM) | (_range(b) > _UNIFORM)
    scores = np.where(shown | apart, 0, np.nan).astype(np.float32)
    looked_at = a[shown]
    best = np.zeros(len(looked_at), np.float32)
    for shifted in _shifted(second):
        best = np.maximum(best, _ssim(looked_at, _windows(shifted)[shown]))
    scores[shown] = best
    return scores


def _pixels(image: Image.Image) -> Values:
    """Return the pixels on white, in whole windows."""
    ground = Image.new("RGBA", image.size, "white")
    ground.alpha_composite(image.convert("RGBA"))
    values = np.asarray(ground.convert("RGB"), np.float32)
    rows, columns = (side // _SIDE * _SIDE for side in values.shape[:2])
    return values[:rows, :columns]


def _windows(values: Values) -> Values:
    """Return pixels as (row, column, pixel, channel) of windows."""
    rows, columns = values.shape[0] // _SIDE, values.shape[1] // _SIDE
    parted = values.reshape(rows, _SIDE, columns, _SIDE, 3)
    return parted.transpose(0, 2, 1, 3, 4).reshape(rows, columns, _SIDE * _SIDE, 3)


def _shifted(values: Values) -> Iterator[Values]:
    padded = np.pad(values, ((_SHIFT, _SHIFT), (_SHIFT, _SHIFT), (0, 0)), mode="edge")
    rows, columns = values.shape[:2]
    for down in range(2 * _SHIFT + 1):
        for right in range(2 * _SHIFT + 1):
            yield padded[down : down + rows, right : right + columns]


def _ssim(a: Values, b: Values) -> Values:
    """Return the similarity of windows, given as (window, pixel, channel)."""
    mean_a, mean_b = a.mean(axis=1), b.mean(axis=1)
    var_a, var_b = a.var(axis=1), b.var(axis=1)
    both = (a * b).mean(axis=1) - mean_a * mean_b
    above = (2 * mean_a * mean_b + _C1) * (2 * both + _C2)
    below = (mean_a**2 + mean_b**2 + _C1) * (var_a + var_b + _C2)
    return (above / below).mean(axis=1)


def _range(values: Values) -> Values:
    return (values.max(axis=2) - values.min(axis=2)).max(axis=2)
