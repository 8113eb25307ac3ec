"""The `identicon` renderer: a symmetrical pattern that a text decides."""

import hashlib
from typing import Annotated, NamedTuple

from pydantic import Field

from app.renderer.base import Picture, Renderer, Vector
from app.renderer.builtin.qr import Cells, cells_svg, draw_cells
from app.renderer.params import LENGTH, Text
from app.renderer.params import Parameters as Base
from app.renderer.produce import scaled

# Colours of about equal lightness, dark enough for white text (contrast 4.5:1).
PALETTE = (
    "#b91c1c",
    "#c2410c",
    "#a16207",
    "#4d7c0f",
    "#15803d",
    "#047857",
    "#0f766e",
    "#0e7490",
    "#0369a1",
    "#1d4ed8",
    "#4338ca",
    "#6d28d9",
    "#7e22ce",
    "#a21caf",
    "#be185d",
    "#be123c",
)
Rows = tuple[tuple[bool, ...], ...]

_PAPER = "#f1f5f9"
_CELLS = 5
_HALF = 3


class Parameters(Base):
    """A seed and the side of the square."""

    seed: Text = Field(
        min_length=1, description="Decides the pattern: a name, an address, an id."
    )
    size: Annotated[int, Field(ge=16, le=65_535), LENGTH] = Field(
        256,
        description="Side in CSS pixels, at least 16; or a length as in 30mm.",
    )


class Pattern(NamedTuple):
    """Five rows of five cells, true where filled, and the colour of those."""

    rows: Rows
    color: str


def pattern(seed: str) -> Pattern:
    """Derive a pattern from the SHA-256 of the seed."""
    digest = hashlib.sha256(seed.encode("utf-8", "surrogatepass")).digest()
    color = PALETTE[digest[0] % len(PALETTE)]
    # The first byte chose the colour; any two neighbours of the others are a try.
    windows = (digest[start : start + 2] for start in range(1, len(digest) - 1))
    choices = [_rows(int.from_bytes(window)) for window in windows]
    return Pattern(next(filter(_is_balanced, choices), choices[0]), color)


def _is_balanced(rows: Rows) -> bool:
    """Tell whether a pattern is neither bare nor crowded and reaches all four sides."""
    reaches = any(rows[0]) and any(rows[-1]) and any(row[0] for row in rows)
    return reaches and 8 <= sum(map(sum, rows)) <= 17


def _rows(bits: int) -> Rows:
    """Lay 15 bits out as the left half and the middle column, then mirror."""
    halves = [
        [bool(bits >> (row * _HALF + column) & 1) for column in range(_HALF)]
        for row in range(_CELLS)
    ]
    return tuple((*half, *half[-2::-1]) for half in halves)


def grid(side: int) -> Cells:
    """Give the pattern five sixths of the square, in whole pixels."""
    # Half a cell of margin on each side, as on GitHub's; fractions would blur.
    cell = side // (_CELLS + 1)
    return Cells(cell, (side - _CELLS * cell) // 2)


def draw(parameters: Parameters, scale: float) -> Picture:
    """Draw the pattern in two colours."""
    side = scaled((parameters.size, parameters.size), scale)[0]
    rows, color = pattern(parameters.seed)
    return draw_cells(tuple(map(bytes, rows)), grid(side), side, (_PAPER, color))


def draw_svg(parameters: Parameters) -> Vector:
    """Return the pattern as an SVG document."""
    rows, color = pattern(parameters.seed)
    side = parameters.size
    return cells_svg(tuple(map(bytes, rows)), grid(side), side, (_PAPER, color))


RENDERER = Renderer(
    name="identicon",
    title="Pattern that identifies a text",
    parameters=Parameters,
    size=lambda parameters: (parameters.size, parameters.size),
    draw=draw,
    vector=lambda parameters, _: draw_svg(parameters),
    cheap=True,
    version="2",
    example={"seed": "ada@example.org", "size": "256"},
)
