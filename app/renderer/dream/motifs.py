"""What scenes are made of: skies, towers, firs, blossoms."""

import math
from collections.abc import Callable

from PIL import ImageDraw

from app.renderer.dream.brush import Canvas, Colour, Point, mix
from app.renderer.dream.palette import Palette

_WHITE = (255, 255, 255)
Box = tuple[float, float, float, float]
Outline = Callable[[ImageDraw.ImageDraw, float, float], None]


def sky(canvas: Canvas, palette: Palette, height: float) -> Point:
    """Paint sky, stars and sun or moon; return where that is."""
    chance = canvas.chance
    canvas.fill(palette.sky)
    if palette.starry:
        canvas.dots(420, (0, 0.7), _WHITE)
    at = (0.18 + 0.64 * chance.random(), height)
    canvas.glow(at, 0.75, palette.light, 0.55)
    radius = 0.04 + 0.05 * chance.random()
    canvas.glow(at, radius * 3, palette.light, 0.6)
    canvas.disc(at, radius, (mix(palette.light, _WHITE, 0.5), palette.light), 0.95)
    for _ in range(0 if palette.starry else chance.randint(3, 6)):
        _cloud(canvas, palette, 0.06 + 0.34 * chance.random())
    return at


def _cloud(canvas: Canvas, palette: Palette, y: float) -> None:
    chance = canvas.chance
    x, wide = chance.random(), 0.12 + 0.2 * chance.random()
    puffs = [
        (
            x + wide * (chance.random() - 0.5),
            y + 0.012 * (chance.random() - 0.5),
            chance.random(),
        )
        for _ in range(9)
    ]

    def outline(draw: ImageDraw.ImageDraw, width: float, height: float) -> None:
        for px, py, share in puffs:
            across = (0.03 + 0.07 * share) * width
            down = (0.004 + 0.008 * share) * height
            cx, cy = px * width, py * height
            draw.ellipse((cx - across, cy - down, cx + across, cy + down), fill=255)

    light = mix(palette.sky[2], _WHITE, 0.55)
    canvas.shape(outline, (light, palette.sky[2]), (y - 0.02, y + 0.02), 0.38)


def glitter(canvas: Canvas, palette: Palette, x: float, horizon: float) -> None:
    chance = canvas.chance
    strokes = []
    for _ in range(170):
        depth = chance.random() ** 1.3
        wide = (0.008 + 0.05 * depth) * (0.4 + chance.random())
        off = (chance.random() - 0.5) * (0.05 + 0.3 * depth)
        strokes.append(
            (x + off, horizon + 0.004 + depth * (0.98 - horizon), wide, depth)
        )

    def outline(draw: ImageDraw.ImageDraw, width: float, height: float) -> None:
        for sx, sy, wide, depth in strokes:
            thick = (0.0012 + 0.003 * depth) * height
            cx, cy = sx * width, sy * height
            box = (cx - wide * width / 2, cy - thick, cx + wide * width / 2, cy + thick)
            draw.ellipse(box, fill=255)

    canvas.shape(
        outline,
        (palette.light, mix(palette.light, palette.sky[1], 0.6)),
        (horizon, 1),
        0.7,
    )


def towers(canvas: Canvas, top: float, wide: float) -> list[Box]:
    chance = canvas.chance
    towers: list[Box] = []
    x = -wide * chance.random()
    while x < 1:
        width = wide * (0.7 + chance.random())
        high = top + 0.3 * chance.random() ** 1.6
        towers.append((x, high, x + width * 0.94, 1.0))
        if chance.random() < 0.3:
            middle = x + width * 0.47
            towers.append(
                (
                    middle - wide * 0.04,
                    high - 0.06 * chance.random(),
                    middle + wide * 0.04,
                    high,
                )
            )
        x += width
    return towers


def windows(canvas: Canvas, towers: list[Box]) -> list[Box]:
    chance = canvas.chance
    found: list[Box] = []
    for left, top, right, _ in towers:
        if right - left < 0.015:
            continue
        columns = max(2, round((right - left) / 0.011))
        step = (right - left) / (columns + 0.5)
        for row in range(int((1 - top) / 0.022)):
            for column in range(columns):
                if chance.random() < 0.3:
                    x, y = left + step * (column + 0.45), top + 0.014 + row * 0.022
                    found.append((x, y, x + step * 0.5, y + 0.011))
    return found


def rectangles(
    boxes: list[Box],
) -> Outline:
    def outline(draw: ImageDraw.ImageDraw, width: float, height: float) -> None:
        for left, top, right, bottom in boxes:
            draw.rectangle(
                (left * width, top * height, right * width, bottom * height), fill=255
            )

    return outline


def firs(canvas: Canvas, hill: list[float], tall: float) -> list[list[Point]]:
    chance = canvas.chance
    firs = []
    x = 0.0
    while x < 1.02:
        foot = hill[min(len(hill) - 1, int(x * (len(hill) - 1)))] + 0.01
        high = tall * (0.55 + 0.6 * chance.random())
        slim = high * 0.22 * canvas.size[1] / canvas.size[0]
        for step in range(5):
            low = foot - high * step / 6
            wide = slim * (1 - step / 5.6)
            firs.append([(x - wide, low), (x, low - high * 0.36), (x + wide, low)])
        x += slim * (0.7 + 0.9 * chance.random())
    return firs


def polygons(
    shapes: list[list[Point]],
) -> Outline:
    def outline(draw: ImageDraw.ImageDraw, width: float, height: float) -> None:
        for shape in shapes:
            draw.polygon([(x * width, y * height) for x, y in shape], fill=255)

    return outline


def ribbon(line: list[float], thick: float) -> Outline:
    def outline(draw: ImageDraw.ImageDraw, width: float, height: float) -> None:
        step = width / (len(line) - 1)
        points = [(x * step, y * height) for x, y in enumerate(line)]
        draw.line(points, fill=255, width=max(1, round(thick * height)), joint="curve")

    return outline


def bands(canvas: Canvas, palette: Palette, at: Point, radius: float) -> None:
    """Lay a ring around a planet: behind it above, before it below."""
    if canvas.chance.random() < 0.35:
        return
    tilt = 0.22 + 0.14 * canvas.chance.random()
    reach = radius * canvas.short

    def outline(draw: ImageDraw.ImageDraw, width: float, height: float) -> None:
        finer = width / canvas.size[0]
        x, y, r = at[0] * width, at[1] * height, reach * finer
        for share in (1.45, 1.55, 1.62, 1.78, 1.86, 1.92):
            across, down = r * share, r * share * tilt
            thick = max(1, round(r * 0.045))
            draw.arc(
                (x - across, y - down, x + across, y + down),
                -8,
                188,
                fill=255,
                width=thick,
            )
            for start, end in ((188, 232), (308, 352)):
                draw.arc(
                    (x - across, y - down, x + across, y + down),
                    start,
                    end,
                    fill=255,
                    width=thick,
                )

    canvas.shape(
        outline, (palette.light, palette.sky[2]), (at[1] - 0.1, at[1] + 0.1), 0.6
    )


def grass(canvas: Canvas, palette: Palette) -> None:
    """Draw blades that rise from below, the farther ones paler."""
    chance = canvas.chance
    for layer in range(3):
        blades = []
        for _ in range(46):
            x, lean = chance.random(), 0.16 * (chance.random() - 0.5)
            top = 0.98 - (0.16 + 0.3 * chance.random()) * (1 - layer / 4)
            wide = 0.004 + 0.006 * chance.random()
            blades.append([(x - wide, 1.02), (x + lean, top), (x + wide, 1.02)])
        green = mix((96, 150, 92), palette.near, 0.2 + 0.25 * layer)
        tip = mix(green, palette.haze, 0.6 - 0.25 * layer)
        canvas.shape(polygons(blades), (tip, green), (0.5, 1), 0.55)


def stem(canvas: Canvas, at: Point, size: float, green: Colour) -> None:
    """Draw a stem from a blossom to the ground, with one leaf."""
    lean = 0.3 * size * (canvas.chance.random() - 0.5)
    across = canvas.short / canvas.size[0]
    points = [
        (at[0] + lean * share * share, at[1] + (1.05 - at[1]) * share)
        for share in (step / 12 for step in range(13))
    ]
    wide = 0.018 * size * across * 3
    left = [(x - wide, y) for x, y in points]
    right = [(x + wide, y) for x, y in reversed(points)]
    foot = points[6]
    reach = 0.5 * size * across
    leaf = [
        foot,
        (foot[0] + reach * 0.5, foot[1] - size * 0.34),
        (foot[0] + reach, foot[1] - size * 0.5),
        (foot[0] + reach * 0.7, foot[1] - size * 0.1),
    ]
    dark = mix(green, (20, 50, 34), 0.35)
    canvas.shape(polygons([left + right, leaf]), (green, dark), (at[1], 1), 0.95)


def blossom(
    canvas: Canvas, at: Point, size: float, tint: Colour, palette: Palette
) -> None:
    chance = canvas.chance
    petals, turn = chance.randint(6, 11), chance.random() * math.tau
    for ring, (share, colour) in enumerate(
        (
            (1.0, mix(tint, palette.near, 0.3)),
            (0.72, tint),
            (0.46, mix(tint, palette.light, 0.5)),
        )
    ):
        shapes = [
            _petal(
                canvas,
                at,
                size * share,
                turn + ring * 0.3 + math.tau * k / petals,
                petals,
            )
            for k in range(petals)
        ]
        reach = size * canvas.short / canvas.size[1]
        canvas.shape(
            polygons(shapes),
            (mix(colour, palette.light, 0.35), colour),
            (at[1] - reach, at[1] + reach),
            0.92,
        )
    canvas.disc(at, size * 0.17, ((255, 226, 120), (214, 140, 40)))


def _petal(
    canvas: Canvas, at: Point, size: float, angle: float, petals: int
) -> list[Point]:
    width, height = canvas.size
    wide = 2.4 / petals
    points = []
    for step in range(25):
        along = step / 24
        out = math.sin(math.pi * along) ** 0.8 * wide
        for_side = -out if step <= 24 else out
        points.append((along, for_side))
    points += [(1 - along, -side) for along, side in points]
    found = []
    for along, side in points:
        x = along * math.cos(angle) - side * 0.5 * math.sin(angle)
        y = along * math.sin(angle) + side * 0.5 * math.cos(angle)
        found.append(
            (
                at[0] + x * size * canvas.short / width,
                at[1] + y * size * canvas.short / height,
            )
        )
    return found
