"""What `dream` paints: a composition for each subject, in any palette."""

import math
from collections.abc import Callable

from app.renderer.dream import motifs
from app.renderer.dream.brush import Canvas, mix, ridge, swell
from app.renderer.dream.palette import Palette

_WHITE = (255, 255, 255)
_BLACK = (0, 0, 0)


def mountains(canvas: Canvas, palette: Palette) -> None:
    """Ridges behind ridges, paler the farther they are."""
    chance = canvas.chance
    motifs.sky(canvas, palette, 0.25 + 0.2 * chance.random())
    layers = chance.randint(4, 6)
    for layer in range(layers):
        depth = layer / (layers - 1)
        base = 0.45 + 0.42 * depth
        line = ridge(chance, base, 0.34 - 0.16 * depth, 0.52)
        far = mix(palette.haze, palette.near, 0.22 + 0.78 * depth**1.1)
        canvas.land(line, (far, mix(far, palette.haze, 0.45 * (1 - depth))))


def sea(canvas: Canvas, palette: Palette) -> None:
    """Water to the horizon, and the light's path on it."""
    chance = canvas.chance
    horizon = 0.48 + 0.12 * chance.random()
    x, _ = motifs.sky(canvas, palette, horizon - 0.06 - 0.16 * chance.random())
    if chance.random() < 0.7:
        coast = ridge(chance, horizon - 0.02, 0.09, 0.5)
        far = mix(palette.haze, palette.near, 0.35)
        canvas.land([min(y, horizon) for y in coast], (far, far), horizon)
    deep = mix(palette.near, palette.sky[0], 0.35)
    canvas.fill((mix(palette.haze, palette.sky[1], 0.5), deep), horizon)
    motifs.glitter(canvas, palette, x, horizon)
    for layer in range(5):
        depth = layer / 4
        line = swell(chance, horizon + 0.1 + 0.36 * depth, 0.01 + 0.02 * depth, 3)
        colour = mix(palette.sky[1], palette.near, 0.25 + 0.5 * depth)
        canvas.land(line, (mix(colour, palette.light, 0.12), deep), opacity=0.45)


def city(canvas: Canvas, palette: Palette) -> None:
    """Towers in the haze, and lit windows in those that are near."""
    chance = canvas.chance
    motifs.sky(canvas, palette, 0.3 + 0.25 * chance.random())
    for layer in range(4):
        depth = layer / 3
        colour = mix(palette.haze, palette.near, 0.25 + 0.75 * depth)
        base = mix(colour, palette.haze, 0.35 * (1 - depth))
        towers = motifs.towers(canvas, 0.38 + 0.2 * depth, 0.03 + 0.035 * depth)
        canvas.shape(motifs.rectangles(towers), (colour, base), (0.3, 1))
        if layer >= 2:
            lit = mix(palette.light, (255, 214, 120), 0.5)
            canvas.shape(
                motifs.rectangles(motifs.windows(canvas, towers)),
                (lit, lit),
                opacity=0.85,
            )


def forest(canvas: Canvas, palette: Palette) -> None:
    """Firs on hills, and mist between them."""
    chance = canvas.chance
    motifs.sky(canvas, palette, 0.3 + 0.15 * chance.random())
    far = ridge(chance, 0.42, 0.22, 0.5)
    canvas.land(far, (mix(palette.haze, palette.near, 0.25), palette.haze))
    for layer in range(4):
        depth = layer / 3
        hill = swell(chance, 0.56 + 0.34 * depth, 0.05, 1.2)
        colour = mix(palette.haze, palette.near, 0.4 + 0.6 * depth)
        firs = motifs.firs(canvas, hill, 0.1 + 0.16 * depth)
        canvas.shape(motifs.polygons(firs), (colour, colour))
        ground = [y - 0.012 - 0.03 * depth for y in hill]
        canvas.land(ground, (colour, mix(colour, palette.haze, 0.5 * (1 - depth))))


def desert(canvas: Canvas, palette: Palette) -> None:
    """Dunes, each with a lit and a shaded side."""
    chance = canvas.chance
    motifs.sky(canvas, palette, 0.28 + 0.12 * chance.random())
    sand = mix(palette.light, palette.sky[1], 0.55)
    for layer in range(5):
        depth = layer / 4
        line = swell(chance, 0.5 + 0.36 * depth, 0.1 + 0.03 * depth, 0.7)
        lit = mix(palette.haze, sand, 0.35 + 0.65 * depth)
        canvas.land(line, (lit, mix(lit, palette.near, 0.25)))
        shaded = [
            y + 0.015 + 0.08 * max(0.0, math.sin(x / 23 + layer))
            for x, y in enumerate(line)
        ]
        canvas.land(
            shaded,
            (mix(lit, palette.near, 0.5), mix(lit, palette.near, 0.2)),
            opacity=0.6,
        )


def space(canvas: Canvas, palette: Palette) -> None:
    """A planet, perhaps with rings, among clouds of stars."""
    chance = canvas.chance
    dark = mix(palette.sky[0], _BLACK, 0.72)
    canvas.fill((mix(dark, _BLACK, 0.5), dark, mix(palette.near, _BLACK, 0.4)))
    for _ in range(9):
        colour = palette.sky[chance.randint(0, 2)]
        at = (chance.random(), chance.random())
        canvas.glow(
            at, 0.3 + 0.4 * chance.random(), colour, 0.16 + 0.22 * chance.random()
        )
    canvas.dots(700, (0, 1), _WHITE)
    at = (0.3 + 0.4 * chance.random(), 0.4 + 0.2 * chance.random())
    radius = 0.17 + 0.12 * chance.random()
    canvas.glow(at, radius * 2.2, palette.sky[1], 0.55)
    canvas.disc(
        at, radius, (palette.light, palette.sky[2], palette.sky[1], palette.near)
    )
    motifs.bands(canvas, palette, at, radius)
    for number in range(chance.randint(1, 3)):
        turn, away = chance.random() * math.tau, 1.7 + 0.5 * number
        short, (width, height) = radius * canvas.short, canvas.size
        moon = (
            at[0] + away * short * math.cos(turn) / width,
            at[1] + away * short * math.sin(turn) / height,
        )
        canvas.disc(
            moon, 0.012 + 0.03 * chance.random(), (palette.light, palette.sky[1])
        )


def flowers(canvas: Canvas, palette: Palette) -> None:
    """Blossoms before a blurred meadow."""
    chance = canvas.chance
    meadow = mix(palette.near, (70, 130, 80), 0.5)
    canvas.fill((palette.sky[2], mix(palette.sky[1], meadow, 0.5), meadow))
    for _ in range(24):
        colour = mix(palette.sky[chance.randint(0, 2)], palette.light, chance.random())
        canvas.glow(
            (chance.random(), chance.random()),
            0.06 + 0.14 * chance.random(),
            colour,
            0.35,
        )
    motifs.grass(canvas, palette)
    count = chance.randint(6, 9)
    for number in range(count):
        size = 0.08 + 0.14 * (number / count) + 0.03 * chance.random()
        at = (
            (number * 0.381966 + chance.random() * 0.2) % 1,
            0.22 + 0.6 * chance.random(),
        )
        tint = mix(
            palette.sky[chance.randint(0, 1)],
            palette.light,
            0.25 + 0.4 * chance.random(),
        )
        motifs.stem(canvas, at, size, meadow)
        motifs.blossom(canvas, at, size, tint, palette)


def flow(canvas: Canvas, palette: Palette) -> None:
    """Ribbons of light that run through each other."""
    chance = canvas.chance
    canvas.fill((mix(palette.sky[0], _BLACK, 0.35), palette.sky[0], palette.near))
    canvas.glow(
        (chance.random(), 0.2 + 0.4 * chance.random()), 0.9, palette.sky[1], 0.7
    )
    count = chance.randint(9, 14)
    for number in range(count):
        depth = number / (count - 1)
        line = swell(chance, 0.12 + 0.8 * depth, 0.22, 0.5 + chance.random())
        colour = (*palette.sky, palette.light)[chance.randint(0, 3)]
        end = min(1.0, max(line) + 0.12 + 0.3 * chance.random())
        under = mix(colour, palette.near, 0.75)
        canvas.land(line, (colour, under), max(end, max(line)), opacity=0.3)
        canvas.shape(motifs.ribbon(line, 0.0022), (palette.light, colour), opacity=0.5)


Scene = Callable[[Canvas, Palette], None]
