"""The filters, undone as the PNG specification says."""

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.renderer.encode.scanlines import FILTERS, Filter, Rows, adaptive
from tests.gunicorn_server import ROOT

PIXELS = st.sampled_from((1, 3, 4))


def reconstruct(lines: Rows, pixel: int) -> bytes:
    """Undo the filters, byte by byte (PNG specification, section 9.2)."""
    above = [0] * (lines.shape[1] - 1)
    rows = []
    for kind, *filtered in lines.tolist():
        row: list[int] = []
        for place, value in enumerate(filtered):
            left = row[place - pixel] if place >= pixel else 0
            corner = above[place - pixel] if place >= pixel else 0
            row.append((value + predict(kind, left, above[place], corner)) % 256)
        rows.append(bytes(row))
        above = row
    return b"".join(rows)


def predict(kind: int, left: int, above: int, corner: int) -> int:
    """Return the predicted byte of a filter type, without any trick."""
    estimate = left + above - corner
    nearest = min((left, above, corner), key=lambda value: abs(estimate - value))
    return (0, left, above, (left + above) // 2, nearest)[kind]


@pytest.mark.parametrize("apply", [*FILTERS, adaptive])
@given(st.data())
@settings(max_examples=40, deadline=None)
def test_every_filter_can_be_undone(apply: Filter, data: st.DataObject) -> None:
    pixel = data.draw(PIXELS)
    height, width = data.draw(st.integers(1, 20)), pixel * data.draw(st.integers(1, 20))
    flat = data.draw(st.binary(min_size=height * width, max_size=height * width))
    rows = np.frombuffer(flat, np.uint8).reshape(height, width)

    lines = apply(rows, pixel)

    assert reconstruct(lines, pixel) == flat


def test_paeth_agrees_with_the_specification_for_all_neighbours() -> None:
    # Left, above and corner, each in steps of 15, beside every other.
    steps = np.arange(0, 256, 15, np.uint8)
    left, above, corner = (v.ravel() for v in np.meshgrid(steps, steps, steps))
    rows = np.empty((2, 2 * len(left)), np.uint8)
    rows[0, ::2], rows[0, 1::2], rows[1, ::2], rows[1, 1::2] = corner, above, left, 0

    lines = FILTERS[4](rows, 1)

    expected = [
        -predict(4, *map(int, three)) % 256
        for three in zip(left, above, corner, strict=True)
    ]
    assert lines[1, 2::2].tolist() == expected


STREAMS = """
import hashlib
import numpy as np
from app.renderer.encode import scanlines
random = np.random.default_rng(1)
seen = hashlib.sha256()
for number in range(3000):
    size = int(random.choice([20, 50, 100, 300, 1000]))
    few = random.integers(0, random.choice([2, 5, 256]), random.choice([3, 7, 40, 257]))
    rows = np.resize(few, (3, size)).astype(np.uint8)
    seen.update(scanlines.compress_runs(rows, 1))
    if number % 10 == 0:
        for way in ("fast", "small", "indices"):
            seen.update(getattr(scanlines, f"compress_{way}")(rows, 1))
        seen.update(scanlines.choose(rows, 1).run(rows, 1))
print(seen.hexdigest())
"""


def test_equal_rows_make_equal_bytes_whatever_was_in_memory_before():
    """ISA-L's levels 1 and 2 missed a match now and then, by what malloc returned."""

    def stream(filled_with: int) -> str:
        # glibc fills what it hands out with the complement of this byte (mallopt(3)).
        environ = {**os.environ, "MALLOC_PERTURB_": str(filled_with)}
        command = [sys.executable, "-c", STREAMS]
        done = subprocess.run(
            command, env=environ, cwd=ROOT, capture_output=True, check=True, text=True
        )
        return done.stdout

    assert len({stream(byte) for byte in (0, 85, 170, 199)}) == 1
