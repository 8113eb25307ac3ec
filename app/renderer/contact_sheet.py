"""A contact sheet: many pictures small on one page, each above its file name."""

import io
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated

import numpy as np
import regex  # type: ignore[import-untyped]
from PIL import Image, ImageDraw, ImageFont
from pydantic import Field

from app.renderer import params
from app.renderer.base import Picture
from app.renderer.engine.fonts import interface_font

_PAPER = "#f7f6f3"
_INK = "#57534e"
# Black of little opacity darkens a white picture's frame and hardly touches others.
_HAIRLINE = (28, 25, 23, 46)
_LIGHT, _DARK = np.array([(255, 255, 255), (231, 229, 228)], np.uint8)
# How much larger than their size letters are drawn.
_FINER = 4
_ELLIPSIS = "…"
# Axes of Inter: the smallest optical size is drawn for captions.
_OPTICAL_SIZE, _MEDIUM = 14, 500
# Below this, a name would be three letters and an ellipsis.
_NARROWEST_NAMED = 56


class SheetParameters(params.Parameters):
    """What a contact sheet shows, and how large."""

    columns: Annotated[int, Field(ge=1, le=100)] = Field(
        5, description="Pictures side by side."
    )
    cell: Annotated[int, Field(ge=16, le=1024)] = Field(
        240, description="Longest side of a picture, in CSS pixels."
    )
    first: Annotated[int, Field(ge=1)] = Field(
        1, description="Number of the first image shown."
    )
    count: Annotated[int, Field(ge=1)] | None = Field(
        None, description="How many images are shown; all from the first if left out."
    )


@dataclass(frozen=True, slots=True)
class SheetPlan:
    """The measures of a sheet in pixels.

    `cell` is the longest side of a picture, `room` the width and height that each
    has. `gap` is between rooms. `line` is the height kept below each room for its
    name, of letters of size `letter`; both are 0 where rooms are too narrow.
    """

    count: int
    columns: int
    cell: int
    room: tuple[int, int]
    gap: int
    line: int
    letter: int

    @property
    def margin(self) -> int:
        """Pixels around all."""
        return self.gap * 3 // 2

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the canvas."""
        across, down = self._pitch
        rows = -(-self.count // self.columns)
        width = self.columns * across - self.gap + 2 * self.margin
        return width, rows * down - self.gap + 2 * self.margin

    def corner(self, index: int) -> tuple[int, int]:
        """Return where the room of a picture begins; the first has index 0."""
        row, column = divmod(index, self.columns)
        across, down = self._pitch
        return self.margin + column * across, self.margin + row * down

    @property
    def _pitch(self) -> tuple[int, int]:
        width, height = self.room
        return width + self.gap, height + self.line + self.gap


def plan(
    count: int, columns: int, cell: int, room: tuple[int, int] | None = None
) -> SheetPlan:
    """Return the measures of a sheet; no work is done yet.

    Pictures stand in squares of side `cell`, or in `room` where that is known (see
    `measure`). A sheet of fewer pictures than columns is as wide as its pictures.
    Rooms that are narrower than 56 pixels have no names.
    """
    columns = min(columns, count)
    room = room or (cell, cell)
    gap = min(6 + round(cell * 0.08), 48)
    if room[0] < _NARROWEST_NAMED:
        return SheetPlan(count, columns, cell, room, gap, 0, 0)
    letter = min(max(round(cell * 0.05), 9), 18)
    return SheetPlan(count, columns, cell, room, gap, 2 * letter, letter)


def measure(sizes: Iterable[tuple[int, int]], cell: int) -> tuple[int, int]:
    """Return the least room for thumbnails of images of these sizes.

    So wide cards come without bands of paper between them. Names want a width of
    half a cell.
    """
    width, height = cell // 2, 1
    for size in sizes:
        across, down = _within(size, cell)
        width, height = max(width, across), max(height, down)
    return width, height


def draw(plan: SheetPlan, thumbnails: Iterable[tuple[Image.Image, str]]) -> Picture:
    """Lay thumbnails out, one after the other as they come; none is kept.

    Each comes with its name of one line, which loses its middle where it is wider
    than its room. What is transparent lies on a chequerboard. Modes are RGB and
    RGBA, sides at most `plan.cell`. Places stay empty where there are fewer than
    planned. Raises ValueError where there are more.
    """
    # By Pillow and not by the engine, which would need all thumbnails at once.
    canvas = Image.new("RGB", plan.size, _PAPER)
    pen = ImageDraw.Draw(canvas, "RGBA")
    font = _font(plan.letter) if plan.letter else None
    for index, (thumbnail, name) in enumerate(thumbnails):
        if index == plan.count:
            raise ValueError(f"there are more than {plan.count} thumbnails")
        left, top = plan.corner(index)
        _mount(canvas, pen, thumbnail, (left, top), plan)
        if font is not None:
            width, height = plan.room
            place = left + width / 2, top + height + 1.6 * plan.letter
            _write(canvas, fit(name, width * _FINER, font), place, font)
    return Picture(canvas)


def shrink(data: bytes, cell: int) -> Image.Image:
    """Return an encoded image in mode RGB or RGBA, its longest side at most `cell`.

    It is never enlarged. Trusts the data, as an image of ours; raises
    UnidentifiedImageError where it is no raster.
    """
    with Image.open(io.BytesIO(data)) as image:
        # The decoder of JPEG itself halves, as long as twice the size remains.
        image.draft("RGB", _within(image.size, 2 * cell))
        direct = image.convert("RGBA" if image.has_transparency_data else "RGB")
    size = _within(direct.size, cell)
    if size == direct.size:
        return direct
    return direct.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)


def fit(name: str, width: int, font: ImageFont.FreeTypeFont) -> str:
    """Return a name no wider than `width` pixels; its middle becomes an ellipsis.

    The end, where names have their number and extension, is kept as long as the
    beginning, and no grapheme is parted. Empty where not even the ellipsis fits.
    """
    if font.getlength(name) <= width:
        return name
    graphemes = regex.findall(r"\X", name)
    kept = bisect_left(
        range(len(graphemes)),
        True,
        key=lambda count: font.getlength(_without_middle(graphemes, count)) > width,
    )
    return _without_middle(graphemes, kept - 1) if kept else ""


def _without_middle(graphemes: list[str], kept: int) -> str:
    end = kept // 2
    first, last = graphemes[: kept - end], graphemes[len(graphemes) - end :]
    return "".join((*first, _ELLIPSIS, *last))


def _within(size: tuple[int, int], longest: int) -> tuple[int, int]:
    """Return the size in the same shape with sides of at most `longest` pixels."""
    ratio = min(1.0, longest / max(size))
    return max(1, round(size[0] * ratio)), max(1, round(size[1] * ratio))


def _write(
    canvas: Image.Image,
    words: str,
    place: tuple[float, float],
    font: ImageFont.FreeTypeFont,
) -> None:
    """Write below the middle of a room, `place` being on the baseline.

    The letters are drawn finer and reduced: at their own size FreeType would push
    each to whole pixels, which leaves small text uneven.
    """
    if not words:
        return
    width = -(-round(font.getlength(words)) // _FINER) + 2
    above, below = (-(-part // _FINER) for part in font.getmetrics())
    fine = Image.new("L", (width * _FINER, (above + below) * _FINER))
    middle = fine.width / 2, above * _FINER
    ImageDraw.Draw(fine).text(middle, words, fill=255, font=font, anchor="ms")
    corner = round(place[0] - width / 2), round(place[1]) - above
    canvas.paste(_INK, corner, fine.reduce(_FINER))


def _mount(
    canvas: Image.Image,
    pen: ImageDraw.ImageDraw,
    thumbnail: Image.Image,
    corner: tuple[int, int],
    plan: SheetPlan,
) -> None:
    """Paste into the middle of a room, with a hairline around."""
    width, height = thumbnail.size
    left = corner[0] + (plan.room[0] - width) // 2
    top = corner[1] + (plan.room[1] - height) // 2
    if thumbnail.has_transparency_data:
        ground = _chequers(plan.cell).crop((0, 0, width, height))
        ground.paste(thumbnail, mask=thumbnail.getchannel("A"))
        thumbnail = ground
    canvas.paste(thumbnail, (left, top))
    frame = (left - 1, top - 1, left + width, top + height)
    pen.rectangle(frame, outline=_HAIRLINE)


@lru_cache(4)
def _chequers(cell: int) -> Image.Image:
    """Return a chequerboard of a cell's size; not to be drawn on."""
    # Seen as a pattern on a stamp, and not as large tiles on a poster.
    side = min(max(cell // 30, 4), 12)
    square = np.arange(cell) // side
    odd = np.add.outer(square, square) % 2 == 1
    return Image.fromarray(np.where(odd[..., None], _DARK, _LIGHT))


def _font(size: int) -> ImageFont.FreeTypeFont:
    """Return the packaged face of the user interface, a little bolder than regular.

    A new one each time: it is not safe in threads. Simple layout, since the better one
    is not in every build of Pillow and file names need none.
    """
    font = ImageFont.truetype(
        interface_font(), size * _FINER, layout_engine=ImageFont.Layout.BASIC
    )
    font.set_variation_by_axes([_OPTICAL_SIZE, _MEDIUM])
    return font
