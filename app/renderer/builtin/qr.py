"""The `qr` renderer: a QR code of exactly the size asked for."""

import math
from functools import lru_cache
from typing import Literal, NamedTuple

import segno
from PIL import Image
from pydantic import Field

from app.renderer.base import Picture, Renderer, Vector
from app.renderer.builtin.solid import fill
from app.renderer.errors import BadParameter, Fault
from app.renderer.params import Color, rgba
from app.renderer.params import Parameters as Base
from app.renderer.produce import scaled

Level = Literal["L", "M", "Q", "H"]
Matrix = tuple[bytes, ...]


class Parameters(Base):
    """What the code says and how it looks."""

    data: str = Field(
        min_length=1,
        description="What the code says, byte by byte; beyond ASCII marked as UTF-8.",
    )
    size: int = Field(
        300,
        ge=21,
        le=65_535,
        description="Side in CSS pixels, margin included; at least 21.",
    )
    margin: int = Field(
        4, ge=0, le=64, description="Quiet zone in modules; readers expect 4."
    )
    level: Level = Field(
        "M", description="Error correction: L 7 %, M 15 %, Q 25 % or H 30 %."
    )
    dark: Color = Field("#000000", description="Colour of the dark modules.")
    light: Color = Field("#ffffff", description="Ground; may be transparent.")


class Cells(NamedTuple):
    """Whole pixels of one module, or cell, and of the margin before the first."""

    module: int
    margin: int


@lru_cache(64)
def encode(data: str, level: Level) -> Matrix:
    """Return the code without margin, a row as bytes of 0 (light) and 1 (dark).

    Raises BadParameter where the text is too long for the largest code.
    """
    # Readers guess the character set where the code does not say it by an ECI (ISO/IEC
    # 18004, 7.4.3); ASCII is the same in all.
    beyond = not data.isascii()
    try:
        # Without boost the code has the level that was asked for, and no better one.
        code = segno.make_qr(
            data,
            error=level,
            encoding="utf-8" if beyond else None,
            eci=beyond,
            boost_error=False,
        )
    except segno.DataOverflowError as error:
        reason = f"is too long for a QR code with error correction {level}"
        raise BadParameter(Fault("data", reason)) from error
    return tuple(bytes(row) for row in code.matrix)


def grid(parameters: Parameters, matrix: Matrix, scale: float) -> Cells:
    """Choose the largest whole module; what remains widens the margin.

    Raises BadParameter where a module would be smaller than a pixel.
    """
    side = scaled((parameters.size, parameters.size), scale)[0]
    modules = len(matrix) + 2 * parameters.margin
    module = side // modules
    if not module:
        least = math.ceil(modules / scale)
        reason = f"is too small for this code of {modules} modules: at least {least}"
        raise BadParameter(Fault("size", reason))
    return Cells(module, (side - len(matrix) * module) // 2)


def draw(parameters: Parameters, scale: float) -> Picture:
    """Draw the code in two palette entries."""
    matrix = encode(parameters.data, parameters.level)
    side = scaled((parameters.size, parameters.size), scale)[0]
    colors = (parameters.light, parameters.dark)
    return draw_cells(matrix, grid(parameters, matrix, scale), side, colors)


def draw_svg(parameters: Parameters) -> Vector:
    """Return the code as an SVG document."""
    matrix = encode(parameters.data, parameters.level)
    colors = (parameters.light, parameters.dark)
    return cells_svg(matrix, grid(parameters, matrix, 1), parameters.size, colors)


def draw_cells(
    rows: Matrix, grid: Cells, side: int, colors: tuple[str, str]
) -> Picture:
    """Draw a square of cells in two colours: the ground, and what is 1."""
    image = Image.new("P", (side, side), 0)
    entries = [rgba(color) for color in colors]
    # With alpha only where a colour has any: other formats take an opaque image faster.
    mode = "RGB" if all(entry[3] == 255 for entry in entries) else "RGBA"
    image.putpalette([v for entry in entries for v in entry[: len(mode)]], mode)
    cells = Image.frombytes("P", (len(rows),) * 2, b"".join(rows))
    large = cells.resize((len(rows) * grid.module,) * 2, Image.Resampling.NEAREST)
    image.paste(large, (grid.margin, grid.margin))
    return Picture(image)


def cells_svg(rows: Matrix, grid: Cells, side: int, colors: tuple[str, str]) -> Vector:
    """Return the same square as an SVG document."""
    ground, ink = map(fill, colors)
    path = "".join(
        f"M{x} {y}h1v1h-1z"
        for y, row in enumerate(rows)
        for x, cell in enumerate(row)
        if cell
    )
    return Vector(
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{side}" height="{side}"'
        f' viewBox="0 0 {side} {side}" shape-rendering="crispEdges">'
        f'<rect width="{side}" height="{side}" {ground}/>'
        f'<path transform="translate({grid.margin} {grid.margin}) scale({grid.module})"'
        f' {ink} d="{path}"/></svg>\n'
    )


RENDERER = Renderer(
    name="qr",
    title="QR code",
    parameters=Parameters,
    size=lambda parameters: (parameters.size, parameters.size),
    draw=draw,
    vector=draw_svg,
    cheap=True,
    version=f"2 segno {segno.__version__}",
    example={"data": "https://example.org/", "size": "300"},
)
