"""Outlines of SVG as operators of PDF (SVG 2, section 9; ISO 32000-1, 8.5)."""

import math
import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import NamedTuple

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_COMMAND = re.compile(r"([MmLlHhVvCcSsQqTtAaZz])([^MmLlHhVvCcSsQqTtAaZz]*)")
_NUMBERS = re.compile(_NUMBER)
# Flags of an arc may stand without anything between them.
_ARC = re.compile(
    rf"({_NUMBER})[\s,]*({_NUMBER})[\s,]*({_NUMBER})[\s,]*([01])[\s,]*([01])[\s,]*"
    rf"({_NUMBER})[\s,]*({_NUMBER})"
)
# Numbers without signs and exponents, as segno writes a QR code.
_ROW = re.compile(r"([Mm])(-?\d+\.?\d*) (-?\d+\.?\d*)h(\d+)")
# Rectangles, as we write cells.
_BOX = re.compile(r"M(\d+\.?\d*) (\d+\.?\d*)h(\d+)v(\d+)h-\d+z")
_BOXES = re.compile(rf"(?:{_BOX.pattern})+")
_TAKEN = {"M": 2, "L": 2, "H": 1, "V": 1, "C": 6, "S": 4, "Q": 4, "T": 2}
# CSS pixels by which a curve may be off; a printer's dot has a sixth of one.
_OFF = 0.03
# Readers have single precision.
_LARGEST = 1e6

Point = tuple[float, float]
# Left, top, right, bottom.
Bounds = tuple[float, float, float, float]


class PathOutline(NamedTuple):
    """Operators that build a path, and what holds all its points."""

    operators: bytes
    bounds: Bounds


class Unsupported(Exception):
    """This has no exact form in PDF."""


def number(value: float, digits: int = 2) -> str:
    """Write a number as short as it can be; PDF has no exponents."""
    if not -_LARGEST < value < _LARGEST:
        raise Unsupported(f"{value} is too large")
    text = f"{value:.{digits}f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    if text.startswith("0."):
        return text[1:]
    if text.startswith("-0"):
        return f"-{text[2:]}" if len(text) > 2 else "0"
    return text


@lru_cache(4096)
def outline(data: str, digits: int = 2) -> PathOutline:
    """Convert the data of a path; coordinates get so many digits after the point.

    Quadratic curves become cubic ones that are nowhere further off than `_OFF`, and
    arcs curves that differ by 0.03 % of their radius. Raises Unsupported.
    """
    if _BOXES.fullmatch(data):
        return _boxes(data, digits)
    pen = _Pen(lambda value: number(value, digits))
    for letter, rest in _COMMAND.findall(data):
        pen.follow(letter, rest)
    return pen.outline()


def _boxes(data: str, digits: int) -> PathOutline:
    found = [tuple(map(float, each)) for each in _BOX.findall(data)]
    operators = b"".join(
        rectangle(x, y, width, height, digits).operators
        for x, y, width, height in found
    )
    left, top = min(x for x, *_ in found), min(y for _, y, *_ in found)
    right = max(x + width for x, _, width, _ in found)
    bottom = max(y + height for _, y, _, height in found)
    return PathOutline(operators, (left, top, right, bottom))


@lru_cache(4096)
def glyph(data: str) -> PathOutline:
    """Convert the data of a path as `outline`, with operators in hundredths.

    Without points they are a sixth shorter.
    """
    pen = _Pen(lambda value: str(round(value * 100)))
    for letter, rest in _COMMAND.findall(data):
        pen.follow(letter, rest)
    return pen.outline()


@lru_cache(4096)
def rectangle(
    x: float, y: float, width: float, height: float, digits: int
) -> PathOutline:
    """Return a rectangle with sharp corners."""
    sides = " ".join(number(each, digits) for each in (x, y, width, height))
    return PathOutline(f"{sides} re\n".encode(), (x, y, x + width, y + height))


def ellipse(cx: float, cy: float, rx: float, ry: float) -> str:
    """Return an ellipse as the data of a path; dashes begin at its right."""
    return (
        f"M{cx + rx} {cy}A{rx} {ry} 0 0 1 {cx - rx} {cy}"
        f"A{rx} {ry} 0 0 1 {cx + rx} {cy}Z"
    )


def rounded(
    x: float, y: float, width: float, height: float, rx: float, ry: float
) -> str:
    """Return a rectangle with round corners as the data of a path."""
    right, bottom, arc = x + width, y + height, f"A{rx} {ry} 0 0 1 "
    return (
        f"M{x + rx} {y}H{right - rx}{arc}{right} {y + ry}V{bottom - ry}"
        f"{arc}{right - rx} {bottom}H{x + rx}{arc}{x} {bottom - ry}V{y + ry}"
        f"{arc}{x + rx} {y}Z"
    )


def horizontals(data: str, width: float, digits: int) -> PathOutline | None:
    """Return what strokes of horizontal lines cover, as rectangles; a QR code is such.

    Readers that widen thin strokes to pixels leave rectangles alone. None where a line
    is not horizontal.
    """
    boxes: list[str] = []
    right = bottom = 0.0
    left = top = math.inf
    half, end = width / 2, f" {number(width, digits)} re\n"
    x = y = 0.0
    at = 0
    for row in _ROW.finditer(data):
        if row.start() != at:
            return None
        at = row.end()
        letter, across, down, length = row.groups()
        dx, dy, wide = float(across), float(down), float(length)
        x, y = (x + dx, y + dy) if letter == "m" else (dx, dy)
        boxes.append(f"{x:.7g} {y - half:.7g} {wide:.7g}{end}")
        if x < left:
            left = x
        if y < top:
            top = y
        x += wide
        right, bottom = max(right, x), y
    if at != len(data):
        return None
    if max(right, bottom) > _LARGEST or not boxes:
        return None
    bounds = (left, top - half, right, bottom + half)
    return PathOutline("".join(boxes).encode(), bounds)


class _Pen:
    """Follows commands, and writes where the point goes."""

    def __init__(self, write: Callable[[float], str]) -> None:
        self._number = write
        # A quadratic curve that may be one with the next: its start, handle and end.
        self._waiting: tuple[Point, Point, Point] | None = None
        self._parts: list[str] = []
        self._at: Point = (0.0, 0.0)
        self._start: Point = (0.0, 0.0)
        # The last handle of a curve, for what continues it smoothly, and its kind.
        self._handle: Point = (0.0, 0.0)
        self._kind = ""
        self._xs: list[float] = []
        self._ys: list[float] = []

    def outline(self) -> PathOutline:
        """Return what was written."""
        self._flush()
        bounds = (
            (min(self._xs), min(self._ys), max(self._xs), max(self._ys))
            if self._xs
            else (0.0, 0.0, 0.0, 0.0)
        )
        return PathOutline("".join(self._parts).encode(), bounds)

    def follow(self, letter: str, rest: str) -> None:
        """Follow one letter and all that is said behind it."""
        kind = letter.upper()
        if kind == "Z":
            self._flush()
            self._parts.append("h\n")
            self._at, self._kind = self._start, ""
            return
        relative = letter != kind
        if kind == "A":
            for found in _ARC.findall(rest):
                self._arc([float(each) for each in found], relative)
            return
        values = [float(each) for each in _NUMBERS.findall(rest)]
        taken = _TAKEN[kind]
        if not values or len(values) % taken:
            raise Unsupported(f"{letter} has {len(values)} numbers")
        for first in range(0, len(values), taken):
            self._step(kind, values[first : first + taken], relative)
            # What follows a start without a letter of its own are lines.
            kind = "L" if kind == "M" else kind

    def _step(self, kind: str, values: list[float], relative: bool) -> None:
        x, y = self._at
        if kind in "HV":
            base = (x if kind == "H" else y) if relative else 0.0
            moved = base + values[0]
            self._line((moved, y) if kind == "H" else (x, moved))
            return
        dx, dy = (x, y) if relative else (0.0, 0.0)
        points = [
            (values[i] + dx, values[i + 1] + dy) for i in range(0, len(values), 2)
        ]
        if kind == "M":
            self._write("m", points)
            self._start, self._kind = points[0], ""
        elif kind == "L":
            self._line(points[0])
        elif kind == "C":
            self._curve(points, "C")
        elif kind == "S":
            self._curve([self._reflected("C"), *points], "C")
        else:
            control = self._reflected("Q") if kind == "T" else points[0]
            self._quadratic(control, points[-1])

    def _reflected(self, kind: str) -> Point:
        (x, y), (hx, hy) = self._at, self._handle
        return (2 * x - hx, 2 * y - hy) if self._kind == kind else (x, y)

    def _line(self, to: Point) -> None:
        self._write("l", [to])
        self._kind = ""

    def _quadratic(self, control: Point, to: Point) -> None:
        curve = (self._at, control, to)
        waiting, self._waiting = self._waiting, None
        if waiting is None:
            self._waiting = curve
        else:
            joined = _joined(waiting, curve)
            if joined is None:
                self._put("c", [*_raised(waiting), waiting[2]])
                self._waiting = curve
            else:
                self._put("c", [*joined, to])
        self._at = to
        self._handle, self._kind = control, "Q"

    def _flush(self) -> None:
        if self._waiting is not None:
            waiting, self._waiting = self._waiting, None
            self._put("c", [*_raised(waiting), waiting[2]])

    def _curve(self, points: list[Point], kind: str) -> None:
        self._write("c", points)
        self._handle, self._kind = points[1], kind

    def _arc(self, values: list[float], relative: bool) -> None:
        to = values[5], values[6]
        if relative:
            to = to[0] + self._at[0], to[1] + self._at[1]
        for points in _curves(self._at, values[:5], to):
            self._curve(list(points), "")

    def _write(self, operator: str, points: list[Point]) -> None:
        self._flush()
        self._put(operator, points)
        self._at = points[-1]

    def _put(self, operator: str, points: list[Point]) -> None:
        write = self._number
        for x, y in points:
            self._parts.append(f"{write(x)} {write(y)} ")
            self._xs.append(x)
            self._ys.append(y)
        self._parts.append(f"{operator}\n")


def _raised(curve: tuple[Point, Point, Point]) -> tuple[Point, Point]:
    """Return the handles of the cubic curve that is a quadratic one."""
    (x, y), (cx, cy), (to_x, to_y) = curve
    return (
        (x + 2 * (cx - x) / 3, y + 2 * (cy - y) / 3),
        (to_x + 2 * (cx - to_x) / 3, to_y + 2 * (cy - to_y) / 3),
    )


def _joined(
    one: tuple[Point, Point, Point], two: tuple[Point, Point, Point]
) -> tuple[Point, Point] | None:
    """Return the handles of a cubic curve that is both of two quadratic ones.

    None where there is none: fonts have most cubic curves as such pairs.
    """
    (x0, y0), (qx, qy), (x1, y1) = one
    _, (rx, ry), (x2, y2) = two
    before, after = math.hypot(x1 - qx, y1 - qy), math.hypot(rx - x1, ry - y1)
    if not before or not after:
        return None
    # They meet without a corner.
    bend = (x1 - qx) * (ry - y1) - (y1 - qy) * (rx - x1)
    along = (x1 - qx) * (rx - x1) + (y1 - qy) * (ry - y1)
    if along <= 0 or abs(bend) > 0.05 * before * after:
        return None
    t = before / (before + after)
    s = 1 - t
    ux, uy, vx, vy = qx - x0, qy - y0, rx - x2, ry - y2
    cross = ux * vy - uy * vx
    if abs(cross) < 1e-6:
        return None
    # The cubic curve begins and ends in the same directions, and passes the middle.
    mx = x1 - (s * s * (s + 3 * t)) * x0 - (t * t * (t + 3 * s)) * x2
    my = y1 - (s * s * (s + 3 * t)) * y0 - (t * t * (t + 3 * s)) * y2
    a = (mx * vy - my * vx) / (3 * s * s * t * cross)
    b = (ux * my - uy * mx) / (3 * s * t * t * cross)
    if not (0 < a < 3 and 0 < b < 3):
        return None
    first, second = (x0 + a * ux, y0 + a * uy), (x2 + b * vx, y2 + b * vy)
    cubic = ((x0, y0), first, second, (x2, y2))
    for (px, py), (hx, hy), (ex, ey), at in (
        ((x0, y0), (qx, qy), (x1, y1), t / 2),
        ((x1, y1), (rx, ry), (x2, y2), (1 + t) / 2),
    ):
        # Half way a quadratic curve runs along its chord.
        middle = (px + 2 * hx + ex) / 4, (py + 2 * hy + ey) / 4
        cx, cy = _at(cubic, at)
        chord = math.hypot(ex - px, ey - py)
        off = (cx - middle[0]) * (ey - py) - (cy - middle[1]) * (ex - px)
        if not chord or abs(off) > _OFF * chord:
            return None
    return first, second


def _at(cubic: tuple[Point, Point, Point, Point], t: float) -> Point:
    s = 1 - t
    parts = (s * s * s, 3 * s * s * t, 3 * s * t * t, t * t * t)
    return (
        sum(part * point[0] for part, point in zip(parts, cubic, strict=True)),
        sum(part * point[1] for part, point in zip(parts, cubic, strict=True)),
    )


def _curves(
    start: Point, arc: list[float], end: Point
) -> Iterator[tuple[Point, Point, Point]]:
    """Yield curves that follow an elliptical arc (SVG 2, appendix B.2)."""
    rx, ry, turn, large, sweep = arc
    rx, ry, turn = abs(rx), abs(ry), math.radians(turn)
    if start == end:
        return
    if not rx or not ry:
        yield start, end, end
        return
    cos, sin = math.cos(turn), math.sin(turn)
    half = (start[0] - end[0]) / 2, (start[1] - end[1]) / 2
    x, y = cos * half[0] + sin * half[1], cos * half[1] - sin * half[0]
    # Radii that do not reach grow until they do.
    reach = max(1.0, math.hypot(x / rx, y / ry))
    rx, ry = rx * reach, ry * reach
    lack = (rx * ry) ** 2 / ((rx * y) ** 2 + (ry * x) ** 2) - 1
    root = math.sqrt(max(0.0, lack)) * (1 if large != sweep else -1)
    cx, cy = root * rx * y / ry, -root * ry * x / rx
    first = math.atan2((y - cy) / ry, (x - cx) / rx)
    swept = math.atan2((-y - cy) / ry, (-x - cx) / rx) - first
    if sweep and swept < 0:
        swept += 2 * math.pi
    elif not sweep and swept > 0:
        swept -= 2 * math.pi
    middle = (
        cos * cx - sin * cy + (start[0] + end[0]) / 2,
        sin * cx + cos * cy + (start[1] + end[1]) / 2,
    )
    count = max(1, math.ceil(abs(swept) / (math.pi / 2) - 1e-6))
    step = swept / count
    reach = 4 / 3 * math.tan(step / 4)

    def placed(u: float, v: float) -> Point:
        u, v = u * rx, v * ry
        return middle[0] + cos * u - sin * v, middle[1] + sin * u + cos * v

    for part in range(count):
        a, b = first + part * step, first + (part + 1) * step
        ca, sa, cb, sb = math.cos(a), math.sin(a), math.cos(b), math.sin(b)
        last = end if part == count - 1 else placed(cb, sb)
        yield (
            placed(ca - reach * sa, sa + reach * ca),
            placed(cb + reach * sb, sb - reach * cb),
            last,
        )
