"""QR codes as matrices, in the mask that segno would choose, in a quarter of the time.

A mask turns the same modules of every code of one version and level, so a code in
another mask is what it is in the first one, with what differs between the two in any
other code. Penalties are counted over all modules at once, as bits of one number
(ISO/IEC 18004, 7.8.3).
"""

from collections.abc import Iterable
from functools import lru_cache
from typing import Any, NamedTuple

import segno

Matrix = tuple[bytes, ...]
# Light modules behind each row, as the search for finder patterns sees a code's edge.
_EDGE = bytes(4)
_DIGITS, _BITS = bytes.maketrans(b"\0\1", b"01"), bytes.maketrans(b"01", b"\0\1")
# The row and column that tell level and mask; modules from which on a version is told.
_FORMAT, _VERSIONS = 8, 45


def matrix_of(data: str, **options: Any) -> Matrix:
    """Return a code without margin, a row as bytes of 0 (light) and 1 (dark).

    Takes the options of `segno.make_qr` and raises what that does.
    """
    code = segno.make_qr(data, mask=0, **options)
    masks = _masks(int(code.version), str(code.error))
    first = _number(code.matrix)
    across, down = first & masks.judged, _number(_turned(code.matrix)) & masks.judged
    size = len(code.matrix)
    best = min(
        range(len(masks.rows)),
        key=lambda mask: _penalty(
            across ^ (masks.rows[mask] & masks.judged),
            down ^ (masks.columns[mask] & masks.judged),
            size,
        ),
    )
    return _matrix(first ^ masks.rows[best], size)


class _Masks(NamedTuple):
    """What differs in each mask from the first one, in rows and in columns.

    `judged` are the modules that penalties are counted of, the same in both.
    """

    rows: tuple[int, ...]
    columns: tuple[int, ...]
    judged: int


@lru_cache(32)
def _masks(version: int, level: str) -> _Masks:
    codes = [
        segno.make_qr("0", version=version, error=level, mask=mask, boost_error=False)
        for mask in range(8)
    ]
    rows = [_number(code.matrix) for code in codes]
    columns = [_number(_turned(code.matrix)) for code in codes]
    return _Masks(
        tuple(each ^ rows[0] for each in rows),
        tuple(each ^ columns[0] for each in columns),
        _judged(len(codes[0].matrix)),
    )


def _judged(size: int) -> int:
    """Return the modules that are there before a mask is chosen."""
    rows = [bytearray(b"\1" * size) for _ in range(size)]
    for at in (*range(_FORMAT + 1), *range(size - 8, size)):
        # Where the timing pattern crosses.
        if at != 6:
            rows[_FORMAT][at] = rows[at][_FORMAT] = 0
    if size >= _VERSIONS:
        for near in range(6):
            for far in range(size - 11, size - 8):
                rows[near][far] = rows[far][near] = 0
    return _number(rows)


def _turned(matrix: Iterable[Iterable[int]]) -> list[bytes]:
    return [bytes(column) for column in zip(*matrix, strict=True)]


def _number(rows: Iterable[Iterable[int]]) -> int:
    """Return modules as bits, those of the first row highest."""
    bits = b"".join(bytes(row) + _EDGE for row in rows)
    return int(bits.translate(_DIGITS), 2)


def _matrix(number: int, size: int) -> Matrix:
    stride = size + len(_EDGE)
    bits = f"{number:0{size * stride}b}".encode().translate(_BITS)
    return tuple(bits[at : at + size] for at in range(0, len(bits), stride))


@lru_cache(64)
def _columns(size: int, first: int, last: int) -> int:
    """Return the bits of some columns, in all rows."""
    row = bytes(first <= column < last for column in range(size))
    return _number([row] * size)


def _penalty(across: int, down: int, size: int) -> int:
    """Return the penalty of a code, given by its rows and by its columns."""
    dark = across.bit_count() / size**2
    uneven = 10 * int(abs(dark * 100 - 50) / 5)
    return uneven + _lines(across, size) + _lines(down, size) + _blocks(across, size)


def _lines(cells: int, size: int) -> int:
    """Return what rows cost: runs of one colour, and what looks like a finder."""
    same = _columns(size, 1, size) & ~(cells ^ cells >> 1)
    runs = same & same >> 1 & same >> 2 & same >> 3
    cost = runs.bit_count() + 2 * (runs & ~(runs >> 1)).bit_count()
    # Dark, light, dark for three, light, dark; with four light ones before or behind.
    found = _columns(size, 0, size - 6) & cells & cells << 2 & cells << 3 & cells << 4
    found &= cells << 6 & ~(cells << 1 | cells << 5)
    before = cells >> 1 | cells >> 2 | cells >> 3 | cells >> 4
    behind = cells << 7 | cells << 8 | cells << 9 | cells << 10
    found &= ~(before & behind)
    # One that begins within another is none.
    return cost + 40 * (found & ~(found >> 4 | found >> 6)).bit_count()


def _blocks(cells: int, size: int) -> int:
    """Return what squares of two by two of one colour cost."""
    stride = size + len(_EDGE)
    same = _columns(size, 1, size) & ~(cells ^ cells >> 1)
    above = _columns(size, 0, size) & ~(cells ^ cells >> stride)
    # Nothing is above the first row.
    return 3 * (same & above & same >> stride).bit_count()
