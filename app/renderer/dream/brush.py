"""Painting with smooth edges: gradients, glows, shapes, ridges, on a Pillow image.

Places are fractions of the canvas, from the left and from the top.
"""

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from PIL import Image, ImageChops, ImageDraw

Colour = tuple[int, int, int]
Point = tuple[float, float]
# Shapes are drawn so many times larger and reduced: their edges are smooth then.
_FINER = 2


def mix(one: Colour, other: Colour, share: float) -> Colour:
    """Return one colour with a share of the other, 0 to 1."""
    red, green, blue = (
        round(a + (b - a) * share) for a, b in zip(one, other, strict=True)
    )
    return red, green, blue


def hexed(text: str) -> Colour:
    """Return a colour of six hexadecimal digits."""
    red, green, blue = bytes.fromhex(text)
    return red, green, blue


@dataclass(frozen=True, slots=True)
class Canvas:
    """An image that is painted on, and the chance that guides the hand."""

    image: Image.Image
    chance: random.Random

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.image.size

    @property
    def short(self) -> int:
        """The shorter side in pixels: what round things are measured by."""
        return min(self.image.size)

    def fill(self, colours: Sequence[Colour], top: float = 0, end: float = 1) -> None:
        """Paint a band across the canvas, its colours running downwards."""
        width, height = self.size
        first, last = round(top * height), round(end * height)
        if last > first:
            self.image.paste(_run(colours, (width, last - first)), (0, first))

    def glow(self, at: Point, radius: float, colour: Colour, strength: float) -> None:
        """Add light around a point; the radius is in shorter sides."""
        reach = max(2, round(radius * self.short))
        # Pillow's gradient has 181 where a circle touches the square around it.
        fall = [max(0.0, 1 - value / 181) ** 2 for value in range(256)]
        light = Image.radial_gradient("L")
        light = light.point([round(share * 255 * strength) for share in fall])
        light = light.resize((2 * reach, 2 * reach), Image.Resampling.BICUBIC)
        x, y = self._pixel(at)
        self.image.paste(
            colour, (x - reach, y - reach, x + reach, y + reach), mask=light
        )

    def shape(
        self,
        outline: Callable[[ImageDraw.ImageDraw, float, float], None],
        colours: Sequence[Colour],
        span: tuple[float, float] = (0, 1),
        opacity: float = 1,
    ) -> None:
        """Paint what `outline` draws, in colours that run down over a span.

        `outline` draws with white, and gets the width and height to draw in.
        """
        width, height = self.size
        mask = Image.new("L", (width * _FINER, height * _FINER))
        outline(ImageDraw.Draw(mask), width * _FINER, height * _FINER)
        mask = mask.reduce(_FINER)
        if opacity < 1:
            mask = mask.point([round(v * opacity) for v in range(256)])
        top, end = round(span[0] * height), round(span[1] * height)
        paint = Image.new("RGB", (width, height), colours[-1])
        paint.paste(colours[0], (0, 0, width, max(0, top)))
        paint.paste(_run(colours, (width, max(1, end - top))), (0, top))
        self.image.paste(paint, mask=mask)

    def disc(
        self, at: Point, radius: float, colours: Sequence[Colour], opacity: float = 1
    ) -> None:
        """Paint a circle; the radius is in shorter sides."""
        reach = radius * self.short

        def outline(draw: ImageDraw.ImageDraw, width: float, height: float) -> None:
            x, y, r = at[0] * width, at[1] * height, reach * _FINER
            draw.ellipse((x - r, y - r, x + r, y + r), fill=255)

        share = radius * self.short / self.size[1]
        self.shape(outline, colours, (at[1] - share, at[1] + share), opacity)

    def land(
        self,
        heights: Sequence[float],
        colours: Sequence[Colour],
        bottom: float = 1,
        opacity: float = 1,
    ) -> None:
        """Paint everything below a line of heights that runs from left to right."""

        def outline(draw: ImageDraw.ImageDraw, width: float, height: float) -> None:
            step = width / (len(heights) - 1)
            line = [(x * step, y * height) for x, y in enumerate(heights)]
            low = bottom * height
            draw.polygon([(0, low), *line, (width, low)], fill=255)

        self.shape(outline, colours, (min(heights), bottom), opacity)

    def dots(self, count: int, area: tuple[float, float], colour: Colour) -> None:
        """Strew stars between two heights: many small and dim, few large and bright."""
        width, height = self.size
        mask = Image.new("L", self.size)
        draw = ImageDraw.Draw(mask)
        for _ in range(count):
            x = self.chance.random() * width
            y = (area[0] + self.chance.random() * (area[1] - area[0])) * height
            light = self.chance.random() ** 3
            reach = (0.0006 + 0.0014 * light) * self.short
            draw.ellipse(
                (x - reach, y - reach, x + reach, y + reach), fill=60 + int(190 * light)
            )
        self.image.paste(colour, mask=mask)

    def darken(self, strength: float) -> None:
        """Let the corners fall off."""
        shade = Image.radial_gradient("L").resize(self.size, Image.Resampling.BICUBIC)
        shade = shade.point(
            [255 - round((v / 255) ** 2.4 * 255 * strength) for v in range(256)]
        )
        dark = ImageChops.multiply(self.image, Image.merge("RGB", [shade] * 3))
        self.image.paste(dark)

    def _pixel(self, at: Point) -> tuple[int, int]:
        return round(at[0] * self.size[0]), round(at[1] * self.size[1])


def ridge(
    chance: random.Random, base: float, rise: float, rough: float, bits: int = 8
) -> list[float]:
    """Return a mountain line by midpoint displacement (Fournier et al., 1982).

    2 ** bits + 1 heights around `base`, that differ by about `rise`; a `rough` one
    keeps more of its displacement from one halving to the next, 0 to 1.
    """
    line = [base + rise * (chance.random() - 0.5) for _ in range(2)]
    spread = rise
    for _ in range(bits):
        finer = [line[0]]
        for left, right in pairwise(line):
            middle = (left + right) / 2 + spread * (chance.random() - 0.5)
            finer += (middle, right)
        line = finer
        spread *= rough
    return line


def swell(
    chance: random.Random, base: float, rise: float, waves: float, count: int = 160
) -> list[float]:
    """Return a smooth line of three sines whose phases are left to chance."""
    parts = [
        (waves * factor, rise / (number + 1), chance.random() * math.tau)
        for number, factor in enumerate((1, 1.7, 2.9))
    ]
    return [
        base + sum(a * math.sin(math.tau * f * x / count + p) for f, a, p in parts) / 2
        for x in range(count + 1)
    ]


def _run(colours: Sequence[Colour], size: tuple[int, int]) -> Image.Image:
    """Return colours that run into each other from top to bottom."""
    column = Image.new("RGB", (1, 256))
    steps = len(colours) - 1
    for y in range(256):
        place = y / 255 * steps
        at = min(int(place), max(0, steps - 1))
        following = colours[min(at + 1, steps)]
        column.putpixel((0, y), mix(colours[at], following, place - at))
    return column.resize(size, Image.Resampling.BILINEAR)
