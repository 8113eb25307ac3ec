"""The `dream` renderer: procedural art of a prompt, and no neural network.

It stands where a service that makes images would, with no account and no network.
Some words choose colours and a subject, all of the prompt decides the rest by chance.
"""

import hashlib
import math
import random
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Annotated, Any

import numpy as np
from PIL import Image, ImageChops
from pydantic import Field

from app.renderer.base import Picture, Renderer
from app.renderer.params import Parameters, Words
from app.renderer.produce import scaled

# Colours of RGB up to 255, heights as fractions of the canvas from its top.
Array = np.ndarray[Any, np.dtype[Any]]
_WHITE, _LAMP, _LEAF = np.array([(255, 255, 255), (255, 214, 120), (70, 130, 80)])
_WORD = re.compile(r"[^\W\d_]+")
# Rows painted at once: masks of floats stay in the processor's cache, and small.
_ROWS = 64
_DEPTHS = (0.0, 0.25, 0.5, 0.75, 1.0)

# High, middle and low sky, which is the haze too, what is near, and the light; then
# the words that ask for it.
_PALETTES = """
sunset  3b2a63 c2556d f8b26a 2a1533 ffe2a8  sunset evening dusk orange autumn
dawn    5b7db8 e8a9a9 fbe3c0 33405f fff2d0  dawn morning sunrise spring pastel
night   050a24 14245a 34508f 04081a e9efff  night midnight dark moonlight starry black
blue    1d5fa8 5aa7dd cfeaf5 0c2f52 ffffff  blue azure summer
green   7fb7a8 bcdcb4 eef3d2 12392f fffbd9  green emerald lush
gold    d98b3a f2bf6b fbeac0 5a2f14 fff6d8  gold golden yellow honey
snow    8fa9c4 c5d5e4 f2f5f8 3d5570 ffffff  snow snowy winter white ice silver \
grey gray fog foggy misty
red     3a0d1c a32a2a f0704a 1c060d ffd9a0  red fire lava crimson mars
rose    8d6bb5 e59bbd fbdcd9 44224f fff0ec  pink rose love cherry
violet  241a52 6a4bb0 c79be0 140d33 f6e7ff  violet purple magic lavender
"""
_ROWS_OF_PALETTES = [line.split() for line in _PALETTES.strip().splitlines()]
PALETTES: Mapping[str, Array] = MappingProxyType(
    {
        row[0]: np.array([[*bytes.fromhex(color)] for color in row[1:6]], float)
        for row in _ROWS_OF_PALETTES
    }
)
_COLORS = {word: row[0] for row in _ROWS_OF_PALETTES for word in row[6:]}


class Painting:
    """An image that is painted on, its colours, and the chance that guides the hand."""

    def __init__(
        self, size: tuple[int, int], chance: random.Random, palette: Array
    ) -> None:
        self.image = Image.new("RGB", size)
        self.width, self.height = size
        self.short = min(size)
        self.x = (np.arange(self.width) + 0.5) / self.width
        self.high, self.middle, self.haze, self.near, self.light = palette
        self._chance = chance

    def some(self, *shape: int) -> Array:
        """Return numbers from 0 to 1 that chance decides."""
        # Unlike numpy's, those of `random` are the same in every version.
        found = np.frombuffer(self._chance.randbytes(2 * math.prod(shape)), "<u2")
        return (found / 65536).reshape(shape)

    def one(self) -> float:
        """Return a number from 0 to 1 that chance decides."""
        return self._chance.random()

    def wave(self, base: float, rise: float, waves: float) -> Array:
        """Return a smooth line, a height for each column: three sines."""
        turns = self.x[:, None] * waves * (1, 1.7, 2.9) + self.some(3)
        return base + rise * (np.sin(math.tau * turns) @ (0.5, 0.25, 0.17))

    def ridge(self, base: float, rise: float) -> Array:
        """Return a mountain line: eight octaves of noise, each about half as strong."""
        line = np.full(self.width, base)
        for octave in range(8):
            knots = np.linspace(0, 1, 2 + (1 << octave))
            noise = np.interp(self.x, knots, self.some(len(knots)) - 0.5)
            line += rise * 0.52**octave * noise
        return line

    def paint(
        self,
        box: tuple[float, float, float, float],
        cover: Callable[[Array, Array], Array],
        *colors: Array,
        opacity: float = 1,
    ) -> None:
        """Paint a box of pixels in colours that run down it.

        `cover` takes the middles of its columns and of some rows, in pixels, and
        returns how much of each pixel is covered, from 0 to 1 and beyond.
        """
        left, top, right, bottom = box
        x = np.arange(max(0, int(left)), min(self.width, math.ceil(right))) + 0.5
        rows = range(max(0, int(top)), min(self.height, math.ceil(bottom)), _ROWS)
        stops = np.linspace(top, bottom, len(colors))
        for first in rows if len(x) else ():
            y = np.arange(first, min(first + _ROWS, rows.stop)) + 0.5
            shares = cover(x.astype("f4"), y.astype("f4")[:, None]).clip(0, 1)
            mask = Image.fromarray((shares * (255 * opacity)).astype(np.uint8))
            runs = [np.interp(y, stops, band) for band in np.transpose(colors)]
            column = Image.fromarray(np.stack(runs, 1)[:, None].astype(np.uint8))
            paint = column.resize(mask.size, Image.Resampling.NEAREST)
            self.image.paste(paint, (int(x[0]), first), mask)

    def land(
        self, line: Array, *colors: Array, bottom: Any = 1, opacity: float = 1
    ) -> None:
        """Paint what is below a line, as far as another one."""
        over, under = (
            (at * self.height).astype("f4") for at in (line, line * 0 + bottom)
        )
        box = (0, over.min() - 1, self.width, under.max() + 1)

        def cover(x: Array, y: Array) -> Array:
            return np.asarray(np.minimum(y + 0.5 - over, under + 0.5 - y))

        self.paint(box, cover, *colors, opacity=opacity)

    def disc(
        self,
        at: tuple[float, float],
        radius: float,
        *colors: Array,
        opacity: float = 1,
        flat: float = 1,
        soft: bool = False,
    ) -> None:
        """Paint a circle, of a radius in shorter sides; its light may fall off."""
        mx, my, wide = at[0] * self.width, at[1] * self.height, radius * self.short
        high = wide * flat
        gain = 1 if soft else max(1, high / 1.5)

        def cover(x: Array, y: Array) -> Array:
            inside = 1 - ((x - mx) / wide) ** 2 - ((y - my) / high) ** 2
            return (inside.clip(0) * gain) ** 2

        box = (mx - wide, my - high, mx + wide + 1, my + high + 1)
        self.paint(box, cover, *colors, opacity=opacity)

    def stars(self, count: int) -> None:
        """Strew stars: many dim ones, few bright ones."""
        side = max(1, round(self.short / 600))
        mask = np.zeros((-(-self.height // side), -(-self.width // side)), np.uint8)
        y, x, light = self.some(3, count)
        where = (y * len(mask)).astype(int), (x * mask.shape[1]).astype(int)
        mask[where] = 80 + 170 * light**3
        size = mask.shape[1] * side, len(mask) * side
        stars = Image.fromarray(mask).resize(size, Image.Resampling.NEAREST)
        self.image.paste((255, 255, 255), (0, 0), stars.crop((0, 0, *self.image.size)))

    def sky(self, height: float) -> float:
        """Paint sky, stars or clouds, sun or moon; return how far right that is."""
        self.land(self.x * 0, self.high, self.middle, self.haze)
        starry = self.high.sum() < 150
        self.stars(420 if starry else 0)
        at, radius = (0.18 + 0.64 * self.one(), height), 0.04 + 0.05 * self.one()
        self.disc(at, 1, self.light, opacity=0.5, soft=True)
        self.disc(at, radius * 4, self.light, opacity=0.6, soft=True)
        self.disc(at, radius, mix(self.light, _WHITE, 0.5), self.light)
        cloud = mix(self.haze, _WHITE, 0.55)
        for x, y in self.some(0 if starry else 4, 2).tolist():
            for along, share in self.some(4, 2).tolist():
                place = x + 0.25 * (along - 0.5), 0.05 + 0.35 * y + 0.012 * share
                self.disc(place, 0.05 + 0.12 * share, cloud, opacity=0.28, flat=0.1)
        return at[0]

    def layer(self, line: Array, depth: float) -> None:
        """Paint land below a line, the paler the farther it is; 0 is the farthest."""
        color = mix(self.haze, self.near, 0.22 + 0.78 * depth)
        self.land(line, color, mix(color, self.haze, 0.45 * (1 - depth)))


def mix(one: Array, other: Array, share: float) -> Array:
    """Return one colour with a share of the other, 0 to 1."""
    return one + (other - one) * share


def mountains(canvas: Painting) -> None:
    """Ridges behind ridges."""
    canvas.sky(0.25 + 0.2 * canvas.one())
    for depth in _DEPTHS:
        canvas.layer(canvas.ridge(0.45 + 0.42 * depth, 0.34 - 0.16 * depth), depth)


def sea(canvas: Painting) -> None:
    """Water to the horizon, and the light's path on it."""
    horizon, height = 0.48 + 0.12 * canvas.one(), canvas.height
    middle = canvas.sky(horizon - 0.04 - 0.16 * canvas.one()) * canvas.width
    coast = canvas.ridge(horizon + 0.03 - 0.05 * canvas.one(), 0.09).clip(0, horizon)
    canvas.land(coast, mix(canvas.haze, canvas.near, 0.35), bottom=horizon)
    deep = mix(canvas.near, canvas.high, 0.35)
    canvas.land(coast * 0 + horizon, mix(canvas.haze, canvas.middle, 0.5), deep)
    strokes = canvas.some(2, 61).astype("f4")

    def glitter(x: Array, y: Array) -> Array:
        depth = (y / height - horizon).clip(0) / (1 - horizon)
        stroke, within = np.divmod(np.sqrt(depth) * 60, 1)
        size, place = strokes[:, stroke.astype(int)]
        wide = (0.01 + 0.09 * depth) * size * (1 - (2 * within - 1) ** 2)
        off = (place - 0.5) * (0.03 + 0.2 * depth)
        return np.asarray(wide * canvas.width - np.abs(x - middle - off * canvas.width))

    box = (0, horizon * height, canvas.width, height)
    canvas.paint(box, glitter, canvas.light, opacity=0.7)
    for depth in _DEPTHS:
        line = canvas.wave(horizon + 0.1 + 0.36 * depth, 0.01 + 0.02 * depth, 3)
        color = mix(
            mix(canvas.middle, canvas.near, 0.25 + 0.5 * depth), canvas.light, 0.12
        )
        canvas.land(line, color, deep, opacity=0.45)


def city(canvas: Painting) -> None:
    """Towers in the haze, and lit windows in the nearest."""
    canvas.sky(0.3 + 0.25 * canvas.one())
    for depth in _DEPTHS:
        ends = np.cumsum((0.6 + canvas.some(80)) * (0.03 + 0.035 * depth)) - 0.02
        tower = np.searchsorted(ends, canvas.x)
        roof = (0.3 + 0.22 * depth + 0.26 * canvas.some(81))[tower]
        canvas.layer(roof, depth)
    cell, on = max(2.0, 0.013 * canvas.short), canvas.some(64, 512) < 0.4
    column = (canvas.x - ends[tower - 1]) * canvas.width / cell
    number = (column.astype(int) + 7 * tower) % 512

    def windows(x: Array, y: Array) -> Array:
        row = (y - (roof * canvas.height).astype("f4")) / (1.7 * cell)
        glass = (column % 1 > 0.5) & (row % 1 > 0.5) & (row > 0.6)
        return np.asarray(glass & on[row.astype(int) % 64, number], "f4")

    box = (0, roof.min() * canvas.height, canvas.width, canvas.height)
    canvas.paint(box, windows, mix(canvas.light, _LAMP, 0.5), opacity=0.85)


def forest(canvas: Painting) -> None:
    """Firs on hills, and mist between them."""
    canvas.sky(0.3 + 0.15 * canvas.one())
    canvas.layer(canvas.ridge(0.42, 0.22), 0)
    for depth in _DEPTHS:
        hill = canvas.wave(0.58 + 0.34 * depth, 0.05, 1.2)
        count = round(20 * canvas.width / canvas.height / (0.3 + depth)) + 2
        line = hill + 0.02
        # Two rows of firs, the one between the other, each of five tiers.
        for shift in (0, 0.5):
            tree, along = np.divmod(canvas.x * count + shift, 1)
            tall = (0.09 + 0.15 * depth) * (0.55 + 0.6 * canvas.some(count + 2))
            up = (1 - np.abs(2 * along - 1)).clip(0)
            fir = up - 0.16 * (5 * up % 1)
            line = np.minimum(line, hill + 0.02 - tall[tree.astype(int)] * fir)
        color = mix(canvas.haze, canvas.near, 0.4 + 0.6 * depth)
        mist = mix(color, canvas.haze, 0.5 * (1 - depth))
        canvas.land(line, color, color, mist)


def desert(canvas: Painting) -> None:
    """Dunes, each with a lit and a shaded side."""
    canvas.sky(0.28 + 0.12 * canvas.one())
    sand = mix(canvas.light, canvas.middle, 0.55)
    for depth in _DEPTHS:
        line = canvas.wave(0.5 + 0.36 * depth, 0.1 + 0.03 * depth, 0.7)
        lit = mix(canvas.haze, sand, 0.35 + 0.65 * depth)
        canvas.land(line, lit, mix(lit, canvas.near, 0.25))
        shade = line + 0.015 + 0.08 * np.sin(7 * canvas.x + 4 * depth).clip(0)
        dark = (mix(lit, canvas.near, share) for share in (0.5, 0.2))
        canvas.land(shade, *dark, opacity=0.6)


def space(canvas: Painting) -> None:
    """A planet, perhaps with rings, among clouds of stars."""
    canvas.land(canvas.x * 0, canvas.high * 0.14, canvas.high * 0.28, canvas.near * 0.6)
    for x, y, share in canvas.some(6, 3).tolist():
        color = mix(canvas.high, canvas.middle, share)
        canvas.disc((x, y), 0.4 + 0.4 * share, color, opacity=0.3, soft=True)
    canvas.stars(700)
    at, tilt = (0.3 + 0.4 * canvas.one(), 0.4 + 0.2 * canvas.one()), canvas.some(1) / 6
    radius = 0.17 + 0.12 * canvas.one()
    canvas.disc(at, radius * 2.2, canvas.middle, opacity=0.55, soft=True)
    canvas.disc(at, radius, canvas.light, canvas.haze, canvas.middle, canvas.near)
    mx, my, reach = at[0] * canvas.width, at[1] * canvas.height, radius * canvas.short

    def rings(x: Array, y: Array) -> Array:
        across, down = (x - mx) / reach, (y - my) / reach
        away = np.hypot(across, down / (0.2 + tilt))
        bands = (away > 1.4) & (away < 1.95) & (away % 0.12 < 0.075)
        behind = (down < 0) & (across**2 + down**2 < 1)
        return (bands & ~behind).astype("f4")

    if canvas.one() < 0.65:
        box = (mx - 2 * reach, my - reach, mx + 2 * reach, my + reach)
        canvas.paint(box, rings, canvas.light, opacity=0.5)
    for away, (turn, share) in enumerate(canvas.some(2, 2).tolist(), 3):
        angle, far = math.tau * turn, away * 0.6 * reach
        moon = mx + far * math.cos(angle), my + far * math.sin(angle)
        place = moon[0] / canvas.width, moon[1] / canvas.height
        canvas.disc(place, 0.012 + 0.03 * share, canvas.light, canvas.middle)


def flowers(canvas: Painting) -> None:
    """Blossoms before a blurred meadow."""
    meadow = mix(canvas.near, _LEAF, 0.5)
    canvas.land(canvas.x * 0, canvas.haze, mix(canvas.middle, meadow, 0.5), meadow)
    for x, y, share in canvas.some(20, 3).tolist():
        color = mix(canvas.middle, canvas.light, share)
        canvas.disc((x, y), 0.08 + 0.16 * share, color, opacity=0.35, soft=True)
    for depth in _DEPTHS[1:]:
        # Blades of grass: narrow spikes, each leaning to one side.
        blade, along = np.divmod(canvas.x * 37 + canvas.one(), 1)
        tall, lean = canvas.some(2, 39)[:, blade.astype(int)]
        up = 1 - np.abs(along - lean) / np.where(along < lean, lean, 1 - lean).clip(
            0.01
        )
        line = 1 - (0.12 + 0.3 * tall) * (1.2 - 0.6 * depth) * up**2
        green = mix(_LEAF, canvas.near, 0.2 + 0.4 * depth)
        canvas.land(
            line, mix(green, canvas.haze, 0.5 - 0.4 * depth), green, opacity=0.55
        )
    for number, (x, y, share, turn) in enumerate(canvas.some(8, 4).tolist()):
        at = (number * 0.381966 + 0.2 * x) % 1, 0.2 + 0.5 * y
        size, count = 0.09 + 0.018 * number + 0.03 * share, 6 + int(5 * share)
        _blossom(canvas, at, size, (count, turn), meadow)


def _blossom(
    canvas: Painting,
    at: tuple[float, float],
    size: float,
    petals: tuple[int, float],
    green: Array,
) -> None:
    mx, my, reach = at[0] * canvas.width, at[1] * canvas.height, size * canvas.short
    count, turn = petals
    bend = 0.5 * reach * (turn - 0.5)

    def stem(x: Array, y: Array) -> Array:
        return 0.045 * reach - np.abs(x - mx - bend * (y - my) / canvas.height * 2)

    box = (mx - reach, my, mx + reach, canvas.height)
    canvas.paint(box, stem, green, mix(green, canvas.near, 0.5), opacity=0.95)
    tint = mix(canvas.high if count % 2 else canvas.middle, canvas.light, 0.45)
    deep, pale = mix(tint, canvas.near, 0.3), mix(tint, canvas.light, 0.5)
    for ring, color in ((1.0, deep), (0.72, tint), (0.46, pale)):

        def bloom(x: Array, y: Array, ring: float = ring) -> Array:
            angle = np.arctan2(y - my, x - mx) + math.tau * turn + ring
            edge = 0.4 + 0.6 * np.abs(np.cos(angle * count / 2)) ** 0.8
            return ring * reach * edge - np.hypot(x - mx, y - my)

        wide = ring * reach
        around = (mx - wide, my - wide, mx + wide, my + wide)
        canvas.paint(around, bloom, mix(color, canvas.light, 0.35), color, opacity=0.92)
    canvas.disc(at, size * 0.17, *np.array([(255, 226, 120), (214, 140, 40)]))


def flow(canvas: Painting) -> None:
    """Ribbons of light that run through each other."""
    canvas.land(canvas.x * 0, canvas.high * 0.65, canvas.high, canvas.near)
    at = canvas.one(), 0.2 + 0.4 * canvas.one()
    canvas.disc(at, 1.1, canvas.middle, opacity=0.7, soft=True)
    colors = (canvas.high, canvas.light, canvas.haze, canvas.middle)
    for number in range(12):
        line = canvas.wave(0.12 + 0.07 * number, 0.25, 0.5 + canvas.one())
        color = colors[number % 4]
        end = line.max() + 0.12 + 0.3 * canvas.one()
        canvas.land(line, color, mix(color, canvas.near, 0.75), bottom=end, opacity=0.3)
        canvas.land(line, canvas.light, bottom=line + 0.003, opacity=0.5)


Scene = Callable[[Painting], None]
_SCENES = (mountains, sea, city, forest, desert, space, flowers, flow)
# The words that ask for a subject; the palettes that become it, where no word says.
_ASKED = """
mountain peak alp hill volcano ridge summit glacier
sea ocean wave water lake beach coast ship boat island lighthouse
city skyline town street tower building skyscraper metropolis
forest tree wood jungle fir pine fox deer owl bear
desert dune sand camel oasis sahara canyon
space star planet galaxy moon rocket astronaut nebula cosmos
flower garden rose tulip bloom blossom meadow bouquet daisy
abstract flow music dream wind silk smoke pattern
"""
_BECOMING: Mapping[Scene, str] = MappingProxyType(
    {
        sea: "blue sunset dawn night",
        city: "night sunset violet",
        forest: "green dawn sunset snow",
        desert: "gold sunset dawn red",
        space: "violet night blue red",
        flowers: "rose dawn violet gold",
    }
)
_SUBJECTS: Mapping[str, Scene] = MappingProxyType(
    {
        word: scene
        for scene, words in zip(_SCENES, _ASKED.strip().splitlines(), strict=True)
        for word in words.split()
    }
)


_Side = Annotated[int, Field(ge=64, le=2048, description="CSS pixels.")]


class Prompted(Parameters):
    """A prompt, the seed of chance, and a size."""

    prompt: Annotated[Words, Field(min_length=1, max_length=2000)] = Field(
        description="What to show, in words."
    )
    seed: Annotated[int, Field(ge=0, lt=1 << 32)] = Field(
        0, description="Another one is another picture of the same prompt."
    )
    width: _Side = 1024
    height: _Side = 1024


def draw(parameters: Prompted, scale: float) -> Picture:
    """Paint the prompt; equal prompt, seed and size are equal pixels."""
    text = f"{parameters.seed}\n{parameters.prompt}"
    chance = random.Random(hashlib.sha256(text.encode()).digest())
    scene, palette = choose(parameters.prompt)
    size = scaled((parameters.width, parameters.height), scale)
    canvas = Painting(size, chance, PALETTES[palette])
    scene(canvas)
    # The corners fall off.
    shade = Image.radial_gradient("L").resize(size, Image.Resampling.BICUBIC)
    shade = shade.point([255 - round((v / 255) ** 2.4 * 71) for v in range(256)])
    shaded = ImageChops.multiply(canvas.image, Image.merge("RGB", [shade] * 3))
    return Picture(shaded, facts={"seed": parameters.seed})


def choose(prompt: str) -> tuple[Scene, str]:
    """Return the subject and the name of the palette that a prompt's words ask for.

    What they leave open its digest decides.
    """
    words = [word.lower() for word in _WORD.findall(prompt)]
    words = [word.removesuffix("s") if len(word) > 3 else word for word in words]
    dice = hashlib.sha256(prompt.encode()).digest()
    subjects = [_SUBJECTS[word] for word in words if word in _SUBJECTS]
    scene = subjects[0] if subjects else _SCENES[dice[0] % len(_SCENES)]
    fitting = _BECOMING[scene].split() if scene in _BECOMING else list(PALETTES)
    colors = [_COLORS[word] for word in words if word in _COLORS]
    return scene, colors[0] if colors else fitting[dice[1] % len(fitting)]


RENDERER = Renderer(
    name="dream",
    title="Procedural art of a prompt (no neural network)",
    parameters=Prompted,
    size=lambda parameters: (parameters.width, parameters.height),
    draw=draw,
    version="2",
    example={"prompt": "mountains at dawn", "width": "640", "height": "400"},
)
