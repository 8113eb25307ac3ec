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
from pydantic import Field

from app.renderer.base import Picture, Renderer, Vector
from app.renderer.engine.engine import Engine, Page
from app.renderer.params import LENGTH, Parameters, Words

Array = np.ndarray[Any, np.dtype[Any]]

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
_ROWS = [line.split() for line in _PALETTES.strip().splitlines()]
PALETTES: Mapping[str, Array] = MappingProxyType(
    {row[0]: np.array([[*bytes.fromhex(six)] for six in row[1:6]]) for row in _ROWS}
)
_WHITE, _LEAF, _LAMP = np.array([(255, 255, 255), (70, 130, 80), (255, 214, 120)])
# What stands side by side in a row: places across, and heights above the ground.
_TOWER = np.array([(0, 0, 1, 1), (0, 1, 1, 0)])
_BLADE = np.array([(0, 0.5, 0.7, 1), (0, 0.4, 1, 0)])
_FIR = np.array([(0, 0.3, 0.2, 0.5, 0.8, 0.7, 1), (0, 0.4, 0.4, 1, 0.4, 0.4, 0)])
_GROUND = np.array([(1, 1), (0, 1)])
_CIRCLE = np.linspace(0, math.tau, 181)


class Drawing:
    """An SVG that grows, its colours, and the chance that guides the hand.

    Points are rows of x and y, as fractions of the canvas; lengths are of its short
    side.
    """

    def __init__(
        self, width: int, height: int, chance: random.Random, palette: Array
    ) -> None:
        self.size, self.short = np.array([width, height]), min(width, height)
        self.high, self.middle, self.haze, self.near, self.light = palette
        self.elements, self._bytes = [""], chance.randbytes
        self.sun = self.some(2) * (0.64, 0.25) + (0.18, 0.25)

    def some(self, *shape: int) -> Array:
        """Return numbers from 0 to 1 that chance decides."""
        # Unlike numpy's, those of `random` are the same in every version.
        found = np.frombuffer(self._bytes(2 * math.prod(shape)), "<u2")
        return (found / 65536).reshape(shape)

    def line(self, base: float, rise: float, waves: float, octaves: int = 3) -> Array:
        """Return a line across: waves, and ever smaller ones on them."""
        x, number = np.linspace(0, 1, 257), np.arange(octaves)
        # Not twice as fine each time, or all would repeat together.
        turns = x[:, None] * waves * 1.8**number + self.some(octaves)
        return np.stack([x, base + rise * np.sin(math.tau * turns) @ 0.5**number], 1)

    def row(self, outline: Array, wide: float, base: float, tall: float) -> Array:
        """Return an outline repeated across, in many widths and heights."""
        count = 2 + int(self.size[0] / (wide * self.short))
        # None is narrower than a third of another: it would look like a line.
        widths, heights = 0.6 + self.some(2, count)
        ends = np.append(0, np.cumsum(widths / widths.sum()))
        x = ends[:-1, None] + np.diff(ends)[:, None] * outline[0]
        y = base - tall * np.outer(heights, outline[1])
        return np.stack([x.ravel(), y.ravel()], 1)

    def around(self, at: Any, reach: Any, flat: float = 1) -> Array:
        """Return the points of a closed curve about a place, at a distance each."""
        arc = np.stack([np.cos(_CIRCLE) * reach, flat * np.sin(_CIRCLE) * reach], 1)
        return np.asarray(at + arc * self.short / self.size)

    def polygon(
        self, points: Array, *colors: Array, opacity: float = 1, soft: bool = False
    ) -> None:
        """Add a shape; colours run down it, or one fades from its middle where soft."""
        kind, name = "radial" if soft else "linear", f"g{len(self.elements)}"
        # SVG fades straight from stop to stop; nine of them leave no rim around a glow.
        offsets = np.linspace(0, 1, 9 if soft else len(colors))
        shades = [row.tobytes().hex() for row in np.array(colors, np.uint8)]
        stops = [
            f'<stop offset="{at:.3f}" stop-color="#{shade}"'
            f' stop-opacity="{(1 - at * at) ** 2 if soft else 1:.3f}"/>'
            for at, shade in zip(offsets, shades * (9 if soft else 1), strict=True)
        ]
        corners = [f"{x:.1f} {y:.1f}" for x, y in (points * self.size).tolist()]
        self.elements.append(
            f'<{kind}Gradient id="{name}" x2="0" y2="1">{"".join(stops)}'
            f'</{kind}Gradient><path fill="url(#{name})" opacity="{opacity}"'
            f' d="M{"L".join(corners)}z"/>'
        )

    def land(self, line: Array, depth: float, near: Array, opacity: float = 1) -> None:
        """Add all that is below a line, the paler the farther it is."""
        color = mix(self.haze, near, 0.2 + 0.8 * depth)
        haze = mix(color, self.haze, 0.45 * (1 - depth))
        self.polygon(np.append(line, _GROUND, 0), color, haze, opacity=opacity)

    def bars(
        self, at: Array, wide: float, tall: float, color: Array, opacity: float = 1
    ) -> None:
        """Add upright bars that hang from their places."""
        shade = color.astype(np.uint8).tobytes().hex()
        path = [f"M{x:.1f} {y:.1f}v{tall * self.short:.2f}" for x, y in at * self.size]
        self.elements.append(
            f'<path d="{"".join(path)}" stroke="#{shade}" opacity="{opacity}"'
            f' stroke-width="{wide * self.short:.2f}"/>'
        )

    def sky(self) -> None:
        """Add the sky, stars or clouds, sun or moon."""
        top = np.array([(0, 0), (1, 0), *_GROUND])
        self.polygon(top, self.high, self.middle, self.haze)
        starry = self.high.sum() < 150
        for side in (1, 2, 3) if starry else ():
            places = self.some(600 // side**2, 2)
            self.bars(places, 0.0011 * side, 0.0011 * side, _WHITE, 0.3 * side)
        for reach, opacity in ((1, 0.5), (0.28, 0.6)):
            glow = self.around(self.sun, reach)
            self.polygon(glow, self.light, opacity=opacity, soft=True)
        disc = self.around(self.sun, 0.04 + 0.05 * self.some(1))
        self.polygon(disc, mix(self.light, _WHITE, 0.5), self.light)
        for x, y, share in self.some(0 if starry else 12, 3):
            cloud = self.around((x, 0.05 + 0.35 * y), 0.05 + 0.2 * share, 0.1)
            white = mix(self.haze, _WHITE, 0.55)
            self.polygon(cloud, white, opacity=0.7, soft=True)


def mix(one: Array, other: Array, share: float) -> Array:
    """Return one colour with a share of the other, 0 to 1."""
    return one + (other - one) * share


# Each of these adds what is at one depth, from 0 at the horizon to 1 at our feet.


def mountains(canvas: Drawing, depth: float) -> None:
    """A ridge."""
    ridge = canvas.line(0.45 + 0.42 * depth, 0.1 - 0.04 * depth, 0.8, 8)
    canvas.land(ridge, depth, canvas.near)


def sea(canvas: Drawing, depth: float) -> None:
    """A swell, and the light on it."""
    level = 0.54 + 0.36 * depth**1.5
    deep = mix(canvas.near, canvas.high, 0.35)
    canvas.land(canvas.line(level, 0.015 * depth, 3), depth, deep)
    for share, place, down in canvas.some(8, 3):
        at = canvas.sun[0] + (place - 0.5) * (0.05 + 0.2 * depth), level + 0.1 * down
        stroke = canvas.around(at, (0.02 + 0.12 * depth) * share, 0.07)
        canvas.polygon(stroke, canvas.light, opacity=0.7)


def city(canvas: Drawing, depth: float) -> None:
    """Towers, and lit windows in the nearest."""
    towers = canvas.row(_TOWER, 0.05 + 0.08 * depth, 1, 0.6 - 0.22 * depth)
    canvas.land(towers, depth, canvas.near)
    cell = np.array([0.013, 0.022]) * canvas.short / canvas.size
    for _, roof, _, foot in towers.reshape(-1, 4, 2) if depth == 1 else ():
        lit = np.argwhere(canvas.some(*((foot - roof) / cell).astype(int)) < 0.4)
        lamps = mix(canvas.light, _LAMP, 0.5)
        canvas.bars(roof + (lit + 0.5) * cell, 0.006, 0.011, lamps, 0.85)


def forest(canvas: Drawing, depth: float) -> None:
    """Firs on a hill."""
    firs = canvas.row(_FIR, 0.013 + 0.04 * depth, 0, 0.08 + 0.16 * depth)
    hill = canvas.line(0.55 + 0.4 * depth, 0.04, 1.2)
    firs[:, 1] += np.interp(firs[:, 0], *hill.T)
    canvas.land(firs, depth, canvas.near)


def desert(canvas: Drawing, depth: float) -> None:
    """A dune with a lit and a shaded side."""
    dune, sand = canvas.line(0.5 + 0.4 * depth, 0.06, 0.7), canvas.middle
    canvas.land(dune, depth, mix(canvas.light, sand, 0.5))
    dune[:, 1] += 0.015 + 0.08 * np.sin(7 * dune[:, 0] + 4 * depth).clip(0)
    canvas.land(dune, depth, mix(sand, canvas.near, 0.4), 0.6)


def space(canvas: Drawing, depth: float) -> None:
    """A cloud of stars and a planet, the nearest one with a ring."""
    x, y, share, place, height = canvas.some(5)
    cloud = canvas.around((x, y), 0.4 + 0.4 * share)
    canvas.polygon(cloud, canvas.near, opacity=0.8, soft=True)
    at = np.array([0.1 + 0.8 * place, 0.15 + 0.6 * height])
    radius = 0.01 + 0.2 * depth**3
    halo = canvas.around(at, radius * 2.2)
    canvas.polygon(halo, canvas.middle, opacity=0.55, soft=True)
    colors = canvas.light, canvas.haze, canvas.middle, canvas.near
    canvas.polygon(canvas.around(at, radius), *colors)
    for away in (1.4, 1.55, 1.7, 1.85) if depth == 1 else ():
        # Arcs that begin and end beside the planet seem to pass behind it.
        arcs = [canvas.around(at, radius * (away + more), 0.3) for more in (0, 0.1)]
        inner, outer = (np.roll(arc[:-1], 22, 0)[:134] for arc in arcs)
        canvas.polygon(np.append(inner, outer[::-1], 0), canvas.light, opacity=0.5)


def flowers(canvas: Drawing, depth: float) -> None:
    """Blades of grass, and blossoms among them."""
    meadow = mix(canvas.near, _LEAF, 0.5)
    grass = canvas.row(_BLADE, 0.025, 1, 0.45 - 0.3 * depth)
    canvas.land(grass, depth, meadow, 0.7)
    for number, (x, y, share, lean) in enumerate(canvas.some(2, 4)):
        # From depth to depth a step of the golden ratio: they spread evenly.
        at = np.array([(1.91 * depth + number / 2 + 0.15 * x) % 1, 0.25 + 0.45 * y])
        size, petals = 0.08 + 0.1 * depth, 6 + int(5 * share)
        canvas.bars(at[None], 0.07 * size, 2, mix(meadow, canvas.near, 0.3))
        tint = mix(canvas.middle, canvas.light, 0.3 + 0.3 * share)
        for ring, other in ((1, canvas.near), (0.72, tint), (0.46, canvas.light)):
            edge = 0.4 + 0.6 * np.abs(np.cos(_CIRCLE * petals / 2)) ** 0.8
            color = mix(tint, other, 0.4)
            bloom = canvas.around(at, size * ring * np.roll(edge, int(99 * lean)))
            canvas.polygon(bloom, mix(color, canvas.light, 0.35), color, opacity=0.92)
        canvas.polygon(canvas.around(at, size * 0.17), _LAMP)


def flow(canvas: Drawing, depth: float) -> None:
    """Ribbons of light that run through each other."""
    for color in (canvas.high, canvas.light, canvas.middle):
        level, waves = canvas.some(2)
        line = canvas.line(0.1 + 0.8 * (depth + level / 4), 0.12, 0.5 + waves)
        canvas.land(line, 0.9, color, 0.3)
        edge = np.append(line, line[::-1] + np.array((0, 0.003)), 0)
        canvas.polygon(edge, canvas.light, opacity=0.5)


Scene = Callable[[Drawing, float], None]
_SCENES = (mountains, sea, city, forest, desert, space, flowers, flow)
# The words that ask for each; the palettes that become it, where no word says.
_SUBJECTS = """
mountain peak alp hill volcano ridge summit glacier |
sea ocean wave water lake beach coast ship boat island lighthouse | blue sunset dawn \
night
city skyline town street tower building skyscraper metropolis | night sunset violet
forest tree wood jungle fir pine fox deer owl bear | green dawn sunset snow
desert dune sand camel oasis sahara canyon | gold sunset dawn red
space star planet galaxy moon rocket astronaut nebula cosmos | violet night blue red
flower garden rose tulip bloom blossom meadow bouquet daisy | rose dawn violet gold
abstract flow music dream wind silk smoke pattern |
"""
_ASKED = [
    [part.split() for part in line.split("|")]
    for line in _SUBJECTS.strip().splitlines()
]


_Side = Annotated[
    int,
    Field(ge=64, le=2048, description="CSS pixels, or a length as in 85mm."),
    LENGTH,
]


class Prompted(Parameters):
    """A prompt, the seed of chance, and a size."""

    prompt: Annotated[Words, Field(min_length=1, max_length=32_000)] = Field(
        description="What to show, in words."
    )
    seed: Annotated[int, Field(ge=0, lt=1 << 32)] = Field(
        0, description="Another one is another picture of the same prompt."
    )
    width: _Side = 1024
    height: _Side = 1024


def choose(prompt: str) -> tuple[Scene, str]:
    """Return the subject and the name of the palette that a prompt's words ask for.

    What they leave open its digest decides.
    """
    words = [word.lower() for word in re.findall(r"[^\W\d_]+", prompt)]
    words = [word.removesuffix("s") if len(word) > 3 else word for word in words]
    dice = hashlib.sha256(prompt.encode()).digest()
    asked = [at for word in words for at, row in enumerate(_ASKED) if word in row[0]]
    subject = asked[0] if asked else dice[0] % len(_SCENES)
    named = [row[0] for word in words for row in _ROWS if word in row[6:]]
    palettes = named[:1] or _ASKED[subject][1] or list(PALETTES)
    return _SCENES[subject], palettes[dice[1] % len(palettes)]


def paint(parameters: Prompted) -> Vector:
    """Return the prompt as SVG; equal prompt, seed and size are equal drawings."""
    text = f"{parameters.seed}\n{parameters.prompt}"
    chance = random.Random(hashlib.sha256(text.encode()).digest())
    scene, palette = choose(parameters.prompt)
    canvas = Drawing(parameters.width, parameters.height, chance, PALETTES[palette])
    canvas.sky()
    for depth in np.linspace(0, 1, 6).tolist():
        scene(canvas, depth)
    return Vector(
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{parameters.width}"'
        f' height="{parameters.height}">{"".join(canvas.elements)}'
        # The corners fall off.
        '<radialGradient id="shade" r="0.75"><stop offset="0.5" stop-opacity="0"/>'
        '<stop offset="1" stop-opacity="0.3"/></radialGradient>'
        '<rect width="100%" height="100%" fill="url(#shade)"/></svg>\n',
        {"seed": parameters.seed},
    )


def build(engine: Engine) -> Renderer:
    """Return the renderer."""

    def draw(parameters: Prompted, scale: float) -> Picture:
        drawing, size = paint(parameters), (parameters.width, parameters.height)
        # As markup: what comes as an image, the engine keeps, up to 64 MiB.
        image = engine.draw(Page(drawing.svg), size, scale).image.convert("RGB")
        return Picture(image, facts=drawing.facts)

    return Renderer(
        name="dream",
        title="Procedural art of a prompt (no neural network)",
        parameters=Prompted,
        size=lambda parameters: (parameters.width, parameters.height),
        draw=draw,
        vector=lambda parameters, _: paint(parameters),
        version=f"3 {engine.version}",
        prompted=True,
        example={"prompt": "mountains at dawn", "width": "640", "height": "400"},
    )
