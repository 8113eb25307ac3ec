"""Plots as SVG, drawn here: lines over time, with bands where a fault lasted."""

import math
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

_WIDTH, _HEIGHT = 960, 320
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 16, 36, 40
_COLORS = ("#2563eb", "#dc2626", "#059669", "#d97706")


class Line(NamedTuple):
    """A name, and points of seconds and values, in order; None parts a line."""

    name: str
    points: Sequence[tuple[float, float | None]]


class Band(NamedTuple):
    """A time that is marked, and what with."""

    name: str
    began: float
    ended: float


def draw(
    title: str, lines: Sequence[Line], bands: Sequence[Band], log: bool = False
) -> str:
    """Return an SVG; with `log` the values go by powers of ten."""
    values = [v for line in lines for _, v in line.points if v is not None]
    times = [t for line in lines for t, _ in line.points] or [1.0]
    low, high = _range(values or [1.0], log)
    last = max(max(times), 1.0)

    def x(seconds: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * min(seconds, last) / last

    def y(value: float) -> float:
        part = _scaled(value, low, high, log)
        return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * part

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}"'
        ' font-family="sans-serif" font-size="12">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff"/>',
        f'<text x="{_LEFT}" y="20" font-size="14">{escape(title)}</text>',
    ]
    for band in bands:
        width = max(1.0, x(band.ended) - x(band.began))
        parts.append(
            f'<rect x="{x(band.began):.1f}" y="{_TOP}" width="{width:.1f}"'
            f' height="{_HEIGHT - _TOP - _BOTTOM}" fill="#f59e0b" fill-opacity=".18">'
            f"<title>{escape(band.name)}</title></rect>"
        )
    for value in _ticks(low, high, log):
        parts.append(
            f'<path d="M{_LEFT} {y(value):.1f}H{_WIDTH - _RIGHT}" stroke="#e5e7eb"/>'
            f'<text x="{_LEFT - 6}" y="{y(value) + 4:.1f}" text-anchor="end"'
            f">{value:g}</text>"
        )
    for seconds in _ticks(0, last / 60, False):
        parts.append(
            f'<text x="{x(seconds * 60):.1f}" y="{_HEIGHT - 20}" text-anchor="middle"'
            f">{seconds:g} min</text>"
        )
    for number, line in enumerate(lines):
        color = _COLORS[number % len(_COLORS)]
        parts.append(
            f'<path d="{_path(line, x, y)}" fill="none" stroke="{color}"'
            ' stroke-width="1.5"/>'
        )
        parts.append(
            f'<text x="{_LEFT + 200 * number}" y="{_HEIGHT - 4}" fill="{color}"'
            f">{escape(line.name)}</text>"
        )
    return "\n".join([*parts, "</svg>", ""])


def _range(values: Sequence[float], log: bool) -> tuple[float, float]:
    if not log:
        return 0.0, max(values) * 1.05 or 1.0
    least = min((value for value in values if value > 0), default=1.0)
    low = 10.0 ** math.floor(math.log10(least))
    return low, max(low * 10, 10.0 ** math.ceil(math.log10(max(*values, least))))


def _scaled(value: float, low: float, high: float, log: bool) -> float:
    if log:
        value = max(value, low)
        return math.log(value / low) / math.log(high / low)
    return (value - low) / (high - low)


def _ticks(low: float, high: float, log: bool) -> list[float]:
    if log:
        count = round(math.log10(high / low))
        return [low * 10**n for n in range(count + 1)]
    step = 10.0 ** math.floor(math.log10(high))
    step = next(s for s in (step / 5, step / 2, step, step * 2) if high / s <= 8)
    return [step * n for n in range(int(high / step) + 1)]


def _path(line: Line, x: object, y: object) -> str:
    parts, drawn = [], False
    for seconds, value in line.points:
        if value is not None:
            parts.append(f"{'L' if drawn else 'M'}{x(seconds):.1f} {y(value):.1f}")
        drawn = value is not None
    return "".join(parts)
