"""The `qr` renderer: a QR code of exactly the size asked for."""

import io
import math
import re
from base64 import b64encode
from collections.abc import Iterator
from functools import lru_cache
from typing import Annotated, Literal, NamedTuple

import segno
from PIL import Image
from pydantic import Field

from app.renderer.base import Picture, Renderer, Vector
from app.renderer.builtin.qr_matrix import Matrix, matrix_of
from app.renderer.builtin.solid import fill
from app.renderer.errors import BadParameter, Fault
from app.renderer.input_image import DrawSvg, prepare
from app.renderer.params import LENGTH, Color, ImageBytes, rgba
from app.renderer.params import Parameters as Base
from app.renderer.produce import scaled

Level = Literal["L", "M", "Q", "H"]
_DARK = re.compile(b"\x01+")
_LEVEL: Literal["M"] = "M"
_LEVEL_UNDER_LOGO: Literal["H"] = "H"
# The share of a code's bytes that may be wrong (ISO/IEC 18004, table 12). Dirt and
# glare keep a third of it.
_MENDED = {"L": 0.07, "M": 0.15, "Q": 0.25, "H": 0.30}
_COVERED = 2 / 3
# Modules from an edge that belong to the patterns by which a reader finds a code, and
# to what says its level and mask.
_PATTERNS = 9
# A code of this version, the largest, has 177 modules.
_LARGEST = 40


class Parameters(Base):
    """What the code says and how it looks."""

    data: str = Field(
        min_length=1,
        description="What the code says, byte by byte; beyond ASCII marked as UTF-8.",
    )
    size: Annotated[int, Field(ge=21, le=65_535), LENGTH] = Field(
        300,
        description="Side in CSS pixels, margin included, at least 21; or a length as"
        " in 30mm.",
    )
    margin: int = Field(
        4, ge=0, le=64, description="Quiet zone in modules; readers expect 4."
    )
    level: Level | None = Field(
        None,
        description="Error correction: L 7 %, M 15 %, Q 25 % or H 30 %;"
        " M if left out, H under a logo.",
    )
    dark: Color = Field("#000000", description="Colour of the dark modules.")
    light: Color = Field("#ffffff", description="Ground; may be transparent.")
    logo: ImageBytes | None = Field(
        None, description="Image in the middle, on a ground of its own."
    )
    logo_size: float = Field(
        0.2,
        ge=0.05,
        le=0.3,
        description="Longer side of the logo as a share of the code's, 0.05 to 0.3.",
    )


class Cells(NamedTuple):
    """Whole pixels of one module, or cell, and of the margin before the first."""

    module: int
    margin: int


class Logo(NamedTuple):
    """An image, and the modules in the middle of a code that are light for it.

    `data` is PNG or JPEG; `width` and `height` are in modules, whole and of the
    code's parity.
    """

    data: bytes
    notes: tuple[str, ...]
    size: tuple[int, int]
    width: int
    height: int


@lru_cache(64)
def encode(data: str, level: Level, version: int | None = None) -> Matrix:
    """Return the code without margin, a row as bytes of 0 (light) and 1 (dark).

    It has the least version that holds the text, or the one given. Raises BadParameter
    where the text is too long for it.
    """
    # Readers guess the character set where the code does not say it by an ECI (ISO/IEC
    # 18004, 7.4.3); ASCII is the same in all. Left to itself, segno takes UTF-8 that
    # could also be Shift JIS for kanji, whatever its encoding.
    beyond = not data.isascii()
    try:
        # Without boost the code has the level that was asked for, and no better one.
        return matrix_of(
            data,
            error=level,
            version=version,
            encoding="utf-8" if beyond else None,
            mode="byte" if beyond else None,
            eci=beyond,
            boost_error=False,
        )
    except segno.DataOverflowError as error:
        reason = f"is too long for a QR code with error correction {level}"
        raise BadParameter(Fault("data", reason)) from error


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


def _plain(parameters: Parameters) -> Matrix:
    return encode(parameters.data, parameters.level or _LEVEL)


def _draw(parameters: Parameters, matrix: Matrix, scale: float) -> Picture:
    side = scaled((parameters.size, parameters.size), scale)[0]
    colors = (parameters.light, parameters.dark)
    return draw_cells(matrix, grid(parameters, matrix, scale), side, colors)


def _draw_svg(parameters: Parameters, matrix: Matrix) -> Vector:
    colors = (parameters.light, parameters.dark)
    return cells_svg(matrix, grid(parameters, matrix, 1), parameters.size, colors)


class LogoPainter:
    """Draws codes, in two palette entries, and those with a logo in the middle."""

    def __init__(self, max_pixels: int, draw_svg: DrawSvg | None) -> None:
        self._max_pixels = max_pixels
        self._draw_svg = draw_svg

    def draw(self, parameters: Parameters, scale: float) -> Picture:
        """Draw the code; a logo makes it full colour."""
        if parameters.logo is None:
            return _draw(parameters, _plain(parameters), scale)
        logo, matrix = self._fit(parameters, scale)
        ground = _draw(parameters, matrix, scale)
        image = ground.image.convert("RGBA")
        cells = grid(parameters, matrix, scale)
        left, top, width, height = _place(logo, matrix, cells)
        with Image.open(io.BytesIO(logo.data)) as opened:
            shrunk = opened.convert("RGBA").resize(
                (round(width), round(height)), Image.Resampling.LANCZOS
            )
        image.alpha_composite(shrunk, (round(left), round(top)))
        if ground.image.has_transparency_data:
            return Picture(image, facts=_facts(logo))
        return Picture(image.convert("RGB"), facts=_facts(logo))

    def draw_svg(self, parameters: Parameters, scale: float) -> Vector:
        """Return the code as an SVG document, with the logo's pixels in it."""
        if parameters.logo is None:
            return _draw_svg(parameters, _plain(parameters))
        # Twice as sharp as it is wide: it is printed, and looked at on phones.
        logo, matrix = self._fit(parameters, max(2, scale))
        left, top, width, height = _place(logo, matrix, grid(parameters, matrix, 1))
        kind = "png" if logo.data.startswith(b"\x89PNG") else "jpeg"
        image = (
            f'<image x="{left:g}" y="{top:g}" width="{width:g}" height="{height:g}"'
            f' href="data:image/{kind};base64,{b64encode(logo.data).decode()}"/></svg>'
        )
        svg = _draw_svg(parameters, matrix).svg.replace("</svg>", image)
        return Vector(svg, _facts(logo))

    def _fit(self, parameters: Parameters, scale: float) -> tuple[Logo, Matrix]:
        """Return the logo, and the smallest code that is read in spite of it.

        Raises BadParameter where there is none.
        """
        assert parameters.logo is not None
        level: Level = parameters.level or _LEVEL_UNDER_LOGO
        side = max(1, round(parameters.size * parameters.logo_size * scale))
        cover = (side, side)
        prepared = prepare(
            parameters.logo, "logo", cover, self._max_pixels, self._draw_svg
        )
        with Image.open(io.BytesIO(prepared.data)) as opened:
            size = opened.size
        modules = len(encode(parameters.data, level))
        for version in range((modules - 17) // 4, _LARGEST + 1):
            count = version * 4 + 17
            longer = max(1.0, count * parameters.logo_size)
            sides = [longer * each / max(size) for each in size]
            width, height = (_whole(each, count) for each in sides)
            logo = Logo(prepared.data, prepared.notes, size, width, height)
            if _is_readable(logo, count, version, level):
                return logo, _cleared(encode(parameters.data, level, version), logo)
        reason = f"covers more than error correction {level} mends"
        field = "logo_size" if parameters.level is None else "level"
        raise BadParameter(Fault(field, reason))


def _whole(side: float, modules: int) -> int:
    """Return the modules of the code's parity that hold a side, half of one spare."""
    least = math.ceil(side + 0.5)
    return least if least % 2 == modules % 2 else least + 1


def _is_readable(logo: Logo, modules: int, version: int, level: Level) -> bool:
    if max(logo.width, logo.height) > modules - 2 * _PATTERNS:
        return False
    # A byte is two modules wide and four high: those that are cut count as wrong.
    covered = (logo.width + 2) * (logo.height + 4)
    return covered <= _COVERED * _MENDED[level] * _data_modules(version)


def _data_modules(version: int) -> int:
    """Return the modules that hold bytes (ISO/IEC 18004, table 1)."""
    free = (16 * version + 128) * version + 64
    if version > 1:
        aligned = version // 7 + 2
        free -= (25 * aligned - 10) * aligned - 55
    return free - 36 if version > 6 else free


def _cleared(matrix: Matrix, logo: Logo) -> Matrix:
    """Return the code with light modules under the logo."""
    left = (len(matrix) - logo.width) // 2
    top = (len(matrix) - logo.height) // 2
    hole = bytes(logo.width)
    return tuple(
        row[:left] + hole + row[left + logo.width :]
        if top <= y < top + logo.height
        else row
        for y, row in enumerate(matrix)
    )


def _place(logo: Logo, matrix: Matrix, cells: Cells) -> tuple[float, ...]:
    """Return left, top, width and height of the image, in pixels."""
    room = (logo.width - 0.5) * cells.module, (logo.height - 0.5) * cells.module
    ratio = min(room[0] / logo.size[0], room[1] / logo.size[1])
    width, height = (max(1.0, each * ratio) for each in logo.size)
    middle = cells.margin + len(matrix) * cells.module / 2
    return middle - width / 2, middle - height / 2, width, height


def _check(parameters: Parameters) -> None:
    """Refuse the size of a logo that is not there."""
    if parameters.logo is None and "logo_size" in parameters.model_fields_set:
        raise BadParameter(Fault("logo_size", "is of a logo, and there is none"))


def _facts(logo: Logo) -> dict[str, list[str]]:
    return {"warnings": [f"logo: {note}" for note in logo.notes]} if logo.notes else {}


def ground(size: tuple[int, int], colors: tuple[str, str]) -> Image.Image:
    """Return an image of 0, the first of two colours; 1 is the second."""
    image = Image.new("P", size, 0)
    entries = [rgba(color) for color in colors]
    # With alpha only where a colour has any: other formats take an opaque image faster.
    mode = "RGB" if all(entry[3] == 255 for entry in entries) else "RGBA"
    image.putpalette([v for entry in entries for v in entry[: len(mode)]], mode)
    return image


def stamp(
    image: Image.Image, rows: Matrix, corner: tuple[int, int], size: tuple[int, int]
) -> None:
    """Put cells into an image of palette entries, stretched to a size from a corner."""
    cells = Image.frombytes("P", (len(rows[0]), len(rows)), b"".join(rows))
    image.paste(cells.resize(size, Image.Resampling.NEAREST), corner)


def dark_runs(row: bytes) -> Iterator[tuple[int, int]]:
    """Yield where cells of 1 begin in a row, and how many follow one another."""
    for run in _DARK.finditer(row):
        yield run.start(), len(run[0])


def draw_cells(
    rows: Matrix, grid: Cells, side: int, colors: tuple[str, str]
) -> Picture:
    """Draw a square of cells in two colours: the ground, and what is 1."""
    image = ground((side, side), colors)
    stamp(image, rows, (grid.margin,) * 2, (len(rows) * grid.module,) * 2)
    return Picture(image)


def cells_path(rows: Matrix) -> str:
    """Return what is 1 in a square of cells as the data of a path, in cells."""
    return "".join(
        f"M{x} {y}h{run}v1h-{run}z"
        for y, row in enumerate(rows)
        for x, run in dark_runs(row)
    )


def cells_svg(rows: Matrix, grid: Cells, side: int, colors: tuple[str, str]) -> Vector:
    """Return the same square as an SVG document."""
    ground, ink = map(fill, colors)
    return Vector(
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{side}" height="{side}"'
        f' viewBox="0 0 {side} {side}" shape-rendering="crispEdges">'
        f'<rect width="{side}" height="{side}" {ground}/>'
        f'<path transform="translate({grid.margin} {grid.margin}) scale({grid.module})"'
        f' {ink} d="{cells_path(rows)}"/></svg>\n'
    )


def build(max_image_pixels: int, draw_svg: DrawSvg | None = None) -> Renderer:
    """Return the renderer; `draw_svg` draws logos that are SVG."""
    painter = LogoPainter(max_image_pixels, draw_svg)
    return Renderer(
        name="qr",
        title="QR code",
        parameters=Parameters,
        size=lambda parameters: (parameters.size, parameters.size),
        draw=painter.draw,
        vector=painter.draw_svg,
        cheap=True,
        check=_check,
        version=f"4 segno {segno.__version__}",
        example={"data": "https://example.org/", "size": "300"},
    )
