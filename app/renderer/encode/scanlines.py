"""The five scanline filters of PNG, over whole pictures at a time.

Rows are a uint8 array of height x bytes per row; results have one column more,
the filter type before each row (PNG specification, third edition, section 9).
Numpy does one pass over the picture a filter, in 0.1 ms for a 1200x630 card;
through Pillow's channel operations the same took three passes and 0.3 ms, and
Paeth cannot be expressed there (docs/decisions/png-encoder.md).
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.uint8]
Filter = Callable[[Rows, int], Rows]

# Six buffers of this many bytes stay in the second-level cache; blocks of two
# thirds the size were 8 % slower.
_BLOCK_BYTES = 96 * 1024


def _empty(rows: Rows, kind: int) -> Rows:
    """Return room for filtered rows, with the filter type in its column."""
    lines = np.empty((rows.shape[0], rows.shape[1] + 1), np.uint8)
    lines[:, 0] = kind
    return lines


def plain(rows: Rows, pixel: int) -> Rows:
    """Leave the bytes as they are (type 0)."""
    lines = _empty(rows, 0)
    lines[:, 1:] = rows
    return lines


def left(rows: Rows, pixel: int) -> Rows:
    """Subtract the pixel to the left (type 1); `pixel` is its size in bytes."""
    lines = _empty(rows, 1)
    lines[:, 1 : pixel + 1] = rows[:, :pixel]
    np.subtract(rows[:, pixel:], rows[:, :-pixel], out=lines[:, pixel + 1 :])
    return lines


def above(rows: Rows, pixel: int) -> Rows:
    """Subtract the pixel above (type 2); the first row has the one to the left."""
    lines = _empty(rows, 2)
    np.subtract(rows[1:], rows[:-1], out=lines[1:, 1:])
    lines[:1] = left(rows[:1], pixel)
    return lines


def average(rows: Rows, pixel: int) -> Rows:
    """Subtract the mean of left and above (type 3); the first row has left."""
    lines = _empty(rows, 3)
    west = np.zeros_like(rows[1:])
    west[:, pixel:] = rows[1:, :-pixel]
    north = rows[:-1]
    # The mean without a ninth bit: what both share, and half of what they do not.
    mean = (west & north) + ((west ^ north) >> 1)
    np.subtract(rows[1:], mean, out=lines[1:, 1:])
    lines[:1] = left(rows[:1], pixel)
    return lines


def paeth(rows: Rows, pixel: int) -> Rows:
    """Subtract Paeth's predictor (type 4); the first row has left."""
    lines = _empty(rows, 4)
    np.subtract(rows[1:, :pixel], rows[:-1, :pixel], out=lines[1:, 1 : pixel + 1])
    lines[:1] = left(rows[:1], pixel)
    step = max(1, _BLOCK_BYTES // rows.shape[1])
    scratch = np.empty((6, step, rows.shape[1] - pixel), np.uint8)
    for top in range(1, len(rows), step):
        block = lines[top : top + step, pixel + 1 :]
        _paeth_block(rows[top - 1 : top + step], block, pixel, scratch[:, : len(block)])
    return lines


def _paeth_block(rows: Rows, residues: Rows, pixel: int, scratch: Rows) -> None:
    """Filter all rows but the first, which is the one above them.

    Paeth takes the neighbour nearest to left + above - corner. With the corner
    clamped between the lower and the higher of left and above, that neighbour is
    the higher where the distance to it is at least twice the distance to the
    lower, the lower where it is the other way round, and else the corner: nine
    bits are never needed, and no branch.
    """
    west, north, corner = rows[1:, :-pixel], rows[:-1, pixel:], rows[:-1, :-pixel]
    low, high, middle, down, up, chosen = scratch
    np.minimum(west, north, out=low)
    np.maximum(west, north, out=high)
    np.maximum(corner, low, out=middle)
    np.minimum(middle, high, out=middle)
    np.subtract(middle, low, out=down)
    np.subtract(high, middle, out=up)
    np.subtract(rows[1:, pixel:], middle, out=middle)
    np.floor_divide(up, 2, out=low)
    np.floor_divide(down, 2, out=high)
    np.less_equal(down, low, out=chosen.view(np.bool_))
    np.multiply(up, chosen, out=low)
    np.less_equal(up, high, out=chosen.view(np.bool_))
    np.multiply(down, chosen, out=high)
    np.subtract(middle, low, out=middle)
    np.add(middle, high, out=residues)


FILTERS: tuple[Filter, ...] = (plain, left, above, average, paeth)


def adaptive(rows: Rows, pixel: int) -> Rows:
    """Choose each row's filter by the least sum of absolute differences.

    The heuristic of the PNG specification, section 12.7; takes 20 times as long
    as one filter.
    """
    lines = plain(rows, pixel)
    least = _weight(lines)
    for apply in FILTERS[1:]:
        other = apply(rows, pixel)
        weight = _weight(other)
        better = weight < least
        lines[better], least[better] = other[better], weight[better]
    return lines


def _weight(lines: Rows) -> npt.NDArray[np.int64]:
    signed = lines[:, 1:].view(np.int8)
    # int8 has no +128; as uint8 the magnitude of -128 is right.
    magnitude: npt.NDArray[np.int64] = np.abs(signed).view(np.uint8).sum(1, np.int64)
    return magnitude
