"""Turns rows of pixels into the zlib stream of a PNG: which filter, which deflate.

Rows are a uint8 array of height x bytes per row; filtered, they have one column more,
the filter type before each row (PNG specification, third edition, section 9).
Numpy does one pass over the picture a filter, in 0.1 ms for a 1200x630 card;
through Pillow's channel operations the same took three passes and 0.3 ms, and
Paeth cannot be expressed there.

Two deflaters share the work (figures: docs/decisions/png-encoder.md). zlib-ng at
level 2 is fast, and small where rows repeat; libdeflate is small and slow. Where a
filter leaves mostly noise, as in photographs, looking for repeats only costs time and
bits: run lengths or Huffman codes alone do better. Both make the same bytes of equal
input, whatever was in their memory before, which ISA-L's levels 1 and 2 do not.
"""

from collections.abc import Callable
from typing import NamedTuple

import deflate
import numpy as np
import numpy.typing as npt
from zlib_ng import zlib_ng

Rows = npt.NDArray[np.uint8]
Filter = Callable[[Rows, int], Rows]

# Six buffers of this many bytes stay in the second-level cache; blocks of two
# thirds the size were 8 % slower.
_BLOCK_BYTES = 96 * 1024
# A sample of up to nine strips of three rows shows what a picture is like; a fourth
# row above each is there as a neighbour, so that matches between rows count.
_STRIP_ROWS = 3
_ROWS_PER_STRIP = 60
_FEWEST, _MOST = 4, 9
# Filtered bytes of which deflate leaves more than this share are noise, not graphics.
_NOISE = 0.065
_SURE_NOISE = 0.11
_PURE_NOISE = 0.25
# Rows as they are must beat filtered ones by this much: a sample is not all.
_REPEATS = 0.92
# Below this size, trying both ways costs less than looking at a sample.
_SMALL_BYTES = 64 * 1024
# Where next to nothing is left, a more thorough search costs next to nothing.
_SPARSE = 0.02
_TINY_BYTES = 128
# libdeflate takes up to 0.5 s for a million bytes at level 12, 0.2 s at level 9.
_THOROUGH_BYTES = 8 * 1024 * 1024


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


class Plan(NamedTuple):
    """A scanline filter and the deflater that suits its results.

    `narrow` says that a channel less is worth a copy of the picture.
    """

    filter: Filter
    deflate: Callable[[Rows], bytes]
    narrow: bool = False

    def run(self, rows: Rows, pixel: int) -> bytes:
        """Return the zlib stream of rows with `pixel` bytes a pixel."""
        return self.deflate(self.filter(rows, pixel))


def _quick(lines: Rows) -> bytes:
    # Of a smaller memory level the blocks are smaller, and so are graphics.
    stream = zlib_ng.compressobj(2, zlib_ng.DEFLATED, 15, 6)
    return stream.compress(lines.data) + stream.flush()


def _thrifty(lines: Rows) -> bytes:
    return zlib_ng.compress(lines.data, 6)


def _runs(lines: Rows) -> bytes:
    return _with_strategy(lines, zlib_ng.Z_RLE)


def _codes(lines: Rows) -> bytes:
    return _with_strategy(lines, zlib_ng.Z_HUFFMAN_ONLY)


def _with_strategy(lines: Rows, strategy: int) -> bytes:
    stream = zlib_ng.compressobj(1, zlib_ng.DEFLATED, 15, 9, strategy)
    return stream.compress(lines.data) + stream.flush()


def _libdeflate(lines: Rows) -> bytes:
    level = 12 if lines.size <= _THOROUGH_BYTES else 9
    return bytes(deflate.zlib_compress(lines.data, level))


def choose(rows: Rows, pixel: int) -> Plan:
    """Return what is fast and near the size of zlib's level 6, by a look at a sample.

    The table in docs/decisions/png-encoder.md has the outcomes.
    """
    sample = _sample(rows)
    best, share = above, sample.share(above, pixel)
    if share < _SURE_NOISE:
        west = sample.share(left, pixel)
        best, share = (above, share) if share <= west else (left, west)
    # Where next to nothing is left, the sample may have missed the only text.
    if share > _SPARSE and sample.share(plain, pixel) < _REPEATS * share:
        return Plan(plain, _quick, True)
    if share < _NOISE:
        return Plan(best, _quick)
    return Plan(paeth, _runs if share < _PURE_NOISE else _codes, True)


def compress_fast(rows: Rows, pixel: int) -> bytes:
    """Return a zlib stream: the filter that suits zlib-ng at level 2 best."""
    best = _sample(rows).best((plain, left, above), pixel)
    return Plan(best, _quick).run(rows, pixel)


def compress_small(rows: Rows, pixel: int) -> bytes:
    """Return the smallest zlib stream that libdeflate makes of the better filter."""
    lines = (plain(rows, pixel), adaptive(rows, pixel))
    return _libdeflate(min(lines, key=lambda each: len(zlib_ng.compress(each, 6))))


def compress_indices(rows: Rows, pixel: int) -> bytes:
    """Return a zlib stream of bits or palette indices: graphics, and never noise."""
    if rows.size <= _SMALL_BYTES:
        return _least(rows, pixel)
    sample = _sample(rows)
    best = sample.best((plain, above), pixel)
    sparse = sample.share(best, pixel) < _SPARSE
    return Plan(best, _thrifty if sparse else _quick).run(rows, pixel)


def compress_runs(rows: Rows, pixel: int) -> bytes:
    """Return a zlib stream of indices that mostly repeat: no filter."""
    return Plan(plain, _quick).run(rows, pixel)


def _least(rows: Rows, pixel: int) -> bytes:
    unfiltered = plain(rows, pixel)
    least = _quick(unfiltered)
    if len(least) <= _TINY_BYTES:
        return least
    filtered = above(rows, pixel)
    least = min(least, _quick(filtered), key=len)
    if len(least) > _SPARSE * rows.size:
        return least
    return min(least, _thrifty(unfiltered), _thrifty(filtered), key=len)


class _Sample(NamedTuple):
    """Strips of rows on top of each other; of each the first row only helps."""

    rows: Rows
    strip: int

    def best(self, filters: tuple[Filter, ...], pixel: int) -> Filter:
        """Return the filter of which zlib-ng leaves least."""
        return min(filters, key=lambda each: self.share(each, pixel))

    def share(self, applied: Filter, pixel: int) -> float:
        """Return the share of the bytes that zlib-ng leaves after a filter."""
        lines = applied(self.rows, pixel)
        if self.strip == 1:
            return len(_quick(lines)) / self.rows.size
        strips = lines.reshape(-1, self.strip, lines.shape[1])
        counted = self.rows.size * (self.strip - 1) / self.strip
        if applied is plain:
            first = np.ascontiguousarray(strips[:, 0])
            return (len(_quick(lines)) - len(_quick(first))) / counted
        return len(_quick(np.ascontiguousarray(strips[:, 1:]))) / counted


def _sample(rows: Rows) -> _Sample:
    height = len(rows)
    if height < _FEWEST * _ROWS_PER_STRIP // 2:
        return _Sample(rows, 1)
    count = min(max(_FEWEST, height // _ROWS_PER_STRIP), _MOST)
    tops = [(2 * strip + 1) * height // (2 * count) for strip in range(count)]
    strip = _STRIP_ROWS + 1
    return _Sample(np.concatenate([rows[top : top + strip] for top in tops]), strip)
