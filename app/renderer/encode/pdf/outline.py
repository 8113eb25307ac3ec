"""Outlines of SVG as operators of PDF (SVG 2, section 9; ISO 32000-1, 8.5)."""

import math
import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from itertools import chain
from operator import add
from types import MappingProxyType
from typing import NamedTuple

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_COMMAND = re.compile(r"([MmLlHhVvCcSsQqTtAaZz])([^MmLlHhVvCcSsQqTtAaZz]*)")
_NUMBERS = re.compile(_NUMBER)
# Flags of an arc may stand without anything between them.
_ARC = re.compile(
    rf"({_NUMBER})[\s,]*({_NUMBER})[\s,]*({_NUMBER})[\s,]*([01])[\s,]*([01])[\s,]*"
    rf"({_NUMBER})[\s,]*({_NUMBER})"
)
# Rectangles, as we write cells.
_BOX = re.compile(r"M(\d+) (\d+)h(\d+)v(\d+)h-\d+z")
_BOXES = re.compile(rf"(?:{_BOX.pattern})+")
_MOVE, _LINE, _CURVE = "%s %s m\n", "%s %s l\n", "%s %s %s %s %s %s c\n"
_TAKEN = {"M": 2, "L": 2, "H": 1, "V": 1, "C": 6, "S": 4, "Q": 4, "T": 2}
# CSS pixels by which a curve may be off; a printer's dot has a sixth of one.
_OFF = 0.03
# Readers have single precision.
_LARGEST = 1e6

Point = tuple[float, float]
# Start, handle and end.
_Quadratic = tuple[float, float, float, float, float, float]
# Two handles and the end.
_Cubic = tuple[float, float, float, float, float, float]
# Left, top, right, bottom.
Bounds = tuple[float, float, float, float]


class PathOutline(NamedTuple):
    """Operators that build a path, and what holds all its points."""

    operators: bytes
    bounds: Bounds


class Unsupported(Exception):
    """This has no exact form in PDF."""


@lru_cache(4096)
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
        return _boxes(data)
    return _Pen(lambda value: number(value, digits)).outline(data)


def _boxes(data: str) -> PathOutline:
    """Convert rectangles in one step: a QR code has hundreds."""
    numbers = tuple(map(int, chain.from_iterable(_BOX.findall(data))))
    x, y, width, height = (numbers[at::4] for at in range(4))
    operators = "%d %d %d %d re\n" * len(x) % numbers
    right, bottom = max(map(add, x, width)), max(map(add, y, height))
    return PathOutline(operators.encode(), (min(x), min(y), right, bottom))


@lru_cache(4096)
def glyph(data: str) -> PathOutline:
    """Convert the data of a path as `outline`, with operators in hundredths.

    Without points they are a sixth shorter.
    """
    return _Pen(round, 100).outline(data)


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


class _Pen:
    """Follows commands, and writes where the point goes.

    It counts in `scale` of a unit; `write` says a number as operators have it.
    """

    def __init__(self, write: Callable[[float], object], scale: int = 1) -> None:
        self._write = write
        self._scale = scale
        self._off = _OFF * scale
        # A quadratic curve that may be one with the next.
        self._waiting: _Quadratic | None = None
        # Operators with gaps, and the numbers in these: x and y in turns.
        self._operators: list[str] = []
        self._numbers: list[float] = []
        self._x = self._y = 0.0
        self._start: Point = (0.0, 0.0)
        # The last handle of a curve, for what continues it smoothly, and its kind.
        self._handle: Point = (0.0, 0.0)
        self._kind = ""

    def outline(self, data: str) -> PathOutline:
        """Follow the data of a path, and return what was written."""
        for letter, rest in _COMMAND.findall(data):
            self._follow(letter, rest)
        self._flush()
        numbers, scale = self._numbers, self._scale
        text = "".join(self._operators) % tuple(map(self._write, numbers))
        xs, ys = numbers[::2] or (0.0,), numbers[1::2] or (0.0,)
        bounds = min(xs) / scale, min(ys) / scale, max(xs) / scale, max(ys) / scale
        return PathOutline(text.encode(), bounds)

    def _follow(self, letter: str, rest: str) -> None:
        """Follow one letter and all that is said behind it."""
        kind = letter.upper()
        if kind == "Z":
            self._flush()
            self._operators.append("h\n")
            (self._x, self._y), self._kind = self._start, ""
            return
        relative = letter != kind
        if kind == "A":
            for found in _ARC.findall(rest):
                self._arc([float(each) for each in found], relative)
            return
        scale = self._scale
        values = [float(each) * scale for each in _NUMBERS.findall(rest)]
        taken = _TAKEN[kind]
        if not values or len(values) % taken:
            raise Unsupported(f"{letter} has {len(values)} numbers")
        step = _STEPS[kind]
        for first in range(0, len(values), taken):
            some = values[first : first + taken]
            x, y = (self._x, self._y) if relative else (0.0, 0.0)
            if kind == "H":
                some = [some[0] + x, self._y]
            elif kind == "V":
                some = [self._x, some[0] + y]
            elif relative:
                some = [v + (y if at % 2 else x) for at, v in enumerate(some)]
            step(self, *some)
            # What follows a start without a letter of its own are lines.
            step = _Pen._line if kind == "M" else step

    def _move(self, x: float, y: float) -> None:
        self._flush()
        self._put(_MOVE, x, y)
        self._start, self._kind = (x, y), ""

    def _line(self, x: float, y: float) -> None:
        self._flush()
        self._put(_LINE, x, y)
        self._kind = ""

    def _curve(self, *points: float) -> None:
        self._flush()
        self._put(_CURVE, *points)
        self._handle, self._kind = (points[2], points[3]), "C"

    def _smooth(self, *points: float) -> None:
        self._curve(*self._reflected("C"), *points)

    def _quadratic(self, cx: float, cy: float, x: float, y: float) -> None:
        curve = (self._x, self._y, cx, cy, x, y)
        waiting, self._waiting = self._waiting, None
        joined = waiting and _joined(waiting, curve, self._off)
        if joined:
            self._put(_CURVE, *joined)
        else:
            if waiting:
                self._put(_CURVE, *_raised(*waiting))
            self._waiting = curve
            self._x, self._y = x, y
        self._handle, self._kind = (cx, cy), "Q"

    def _smooth_quadratic(self, x: float, y: float) -> None:
        self._quadratic(*self._reflected("Q"), x, y)

    def _reflected(self, kind: str) -> Point:
        x, y = self._x, self._y
        hx, hy = self._handle
        return (2 * x - hx, 2 * y - hy) if self._kind == kind else (x, y)

    def _arc(self, values: list[float], relative: bool) -> None:
        scale = self._scale
        rx, ry, turn, large, sweep, x, y = values
        x, y = x * scale, y * scale
        if relative:
            x, y = x + self._x, y + self._y
        arc = [rx * scale, ry * scale, turn, large, sweep]
        for one, two, to in _curves((self._x, self._y), arc, (x, y)):
            self._curve(*one, *two, *to)
            self._kind = ""

    def _flush(self) -> None:
        if self._waiting:
            waiting, self._waiting = self._waiting, None
            self._put(_CURVE, *_raised(*waiting))

    def _put(self, operator: str, *numbers: float) -> None:
        self._operators.append(operator)
        self._numbers += numbers
        self._x, self._y = numbers[-2:]


_STEPS: Mapping[str, Callable[..., None]] = MappingProxyType(
    {
        "M": _Pen._move,
        **dict.fromkeys("LHV", _Pen._line),
        "C": _Pen._curve,
        "S": _Pen._smooth,
        "Q": _Pen._quadratic,
        "T": _Pen._smooth_quadratic,
    }
)


def _raised(
    x: float, y: float, cx: float, cy: float, to_x: float, to_y: float
) -> _Cubic:
    """Return the handles and the end of the cubic curve that is a quadratic one."""
    return (
        *(x + 2 * (cx - x) / 3, y + 2 * (cy - y) / 3),
        *(to_x + 2 * (cx - to_x) / 3, to_y + 2 * (cy - to_y) / 3),
        *(to_x, to_y),
    )


def _joined(one: _Quadratic, two: _Quadratic, most: float) -> _Cubic | None:
    """Return handles and end of a cubic curve that is both of two quadratic ones.

    None where there is none that is nowhere further off than `most`: fonts have most
    cubic curves as such pairs.
    """
    x0, y0, qx, qy, x1, y1 = one
    rx, ry, x2, y2 = two[2:]
    ax, ay, bx, by = x1 - qx, y1 - qy, rx - x1, ry - y1
    before, after = math.hypot(ax, ay), math.hypot(bx, by)
    along = ax * bx + ay * by
    # They meet without a corner.
    if along <= 0 or abs(ax * by - ay * bx) > 0.05 * before * after:
        return None
    t = before / (before + after)
    s = 1 - t
    ux, uy, vx, vy = qx - x0, qy - y0, rx - x2, ry - y2
    cross = ux * vy - uy * vx
    if abs(cross) < 1e-6:
        return None
    # The cubic curve begins and ends in the same directions, and passes the middle.
    near, far = s * s * (s + 3 * t), t * t * (t + 3 * s)
    mx, my = x1 - near * x0 - far * x2, y1 - near * y0 - far * y2
    a = (mx * vy - my * vx) / (3 * s * s * t * cross)
    b = (ux * my - uy * mx) / (3 * s * t * t * cross)
    if not (0 < a < 3 and 0 < b < 3):
        return None
    cubic = (x0 + a * ux, y0 + a * uy, x2 + b * vx, y2 + b * vy, x2, y2)
    for curve, at in ((one, t / 2), (two, (1 + t) / 2)):
        if _apart(curve, cubic, (x0, y0), at) > most:
            return None
    return cubic


def _apart(curve: _Quadratic, cubic: _Cubic, start: Point, t: float) -> float:
    """Return how far a cubic curve at `t` is from the middle of a quadratic one.

    It is measured across the chord, along which that runs there.
    """
    px, py, hx, hy, ex, ey = curve
    ax, ay, bx, by, to_x, to_y = cubic
    s = 1 - t
    p, q, r, u = s * s * s, 3 * s * s * t, 3 * s * t * t, t * t * t
    x = p * start[0] + q * ax + r * bx + u * to_x - (px + 2 * hx + ex) / 4
    y = p * start[1] + q * ay + r * by + u * to_y - (py + 2 * hy + ey) / 4
    dx, dy = ex - px, ey - py
    chord = math.hypot(dx, dy)
    return abs(x * dy - y * dx) / chord if chord else math.inf


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
