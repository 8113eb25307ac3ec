"""Gradients of SVG as shadings (ISO 32000-1, section 8.7.4)."""

from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple
from xml.etree.ElementTree import Element

from app.renderer.encode.pdf.document import Objects
from app.renderer.encode.pdf.matrix import Matrix, concatenate, transform
from app.renderer.encode.pdf.outline import Bounds, Unsupported, number
from app.renderer.encode.pdf.style import lengths, rgb

# Where each colour of a gradient may lie off a line between its neighbours, of 255.
_EVEN = 0.75
_Points = list[tuple[float, tuple[float, ...]]]


class _Stop(NamedTuple):
    """Where a gradient has which colour; channels and alpha are 0 to 1."""

    at: float
    color: tuple[float, float, float, float]


class Gradient(NamedTuple):
    """A gradient along a line or between circles, in a space of its own."""

    kind: int
    coordinates: tuple[float, ...]
    matrix: Matrix
    stops: tuple[_Stop, ...]

    def shading(self, objects: Objects, *, alpha: bool) -> bytes:
        """Return a shading of the colours, or of the alpha as gray."""
        pick: Callable[[_Stop], tuple[float, ...]] = (
            (lambda stop: stop.color[3:]) if alpha else (lambda stop: stop.color[:3])
        )
        points = _straightened([(stop.at, pick(stop)) for stop in self.stops])
        places = " ".join(number(each, 4) for each in self.coordinates)
        return b"<</ShadingType %d/ColorSpace/%b/Coords[%b]/Extend[true true]%b>>" % (
            self.kind,
            b"DeviceGray" if alpha else b"DeviceRGB",
            places.encode(),
            b"/Function %d 0 R" % objects.add(_function(points)),
        )


def _function(points: _Points) -> bytes:
    """Return straight lines between colours (sections 7.10.3 and 7.10.4)."""

    def words(values: tuple[float, ...]) -> bytes:
        return " ".join(number(each, 4) for each in values).encode()

    pieces = [
        b"<</FunctionType 2/Domain[0 1]/N 1/C0[%b]/C1[%b]>>" % (words(one), words(two))
        for (_, one), (_, two) in pairwise(points)
    ]
    if len(pieces) == 1:
        return pieces[0]
    return b"<</FunctionType 3/Domain[0 1]/Functions[%b]/Bounds[%b]/Encode[%b]>>" % (
        b"".join(pieces),
        words(tuple(at for at, _ in points[1:-1])),
        b" ".join([b"0 1"] * len(pieces)),
    )


def _straightened(
    points: _Points,
) -> _Points:
    """Leave points out that lie on the line between others, from 0 to 1."""
    if points[0][0] > 0:
        points.insert(0, (0.0, points[0][1]))
    if points[-1][0] < 1:
        points.append((1.0, points[-1][1]))
    kept = [points[0]]
    start = 0
    for end in range(2, len(points)):
        if not all(
            _between(points[start], points[end], points[at])
            for at in range(start + 1, end)
        ):
            start = end - 1
            kept.append(points[start])
    if len(points) > 1:
        kept.append(points[-1])
    return kept


def _between(
    one: tuple[float, tuple[float, ...]],
    other: tuple[float, tuple[float, ...]],
    point: tuple[float, tuple[float, ...]],
) -> bool:
    span = other[0] - one[0]
    if span <= 0:
        return False
    part = (point[0] - one[0]) / span
    return all(
        abs(a + part * (b - a) - c) * 255 <= _EVEN
        for a, b, c in zip(one[1], other[1], point[1], strict=True)
    )


def gradient_of(server: Element, tag: str, bounds: Bounds) -> Gradient:
    known = {"id", "gradientUnits", "gradientTransform", "x1", "y1", "x2", "y2"}
    known |= {"cx", "cy", "r", "fx", "fy", "spreadMethod"}
    if not known.issuperset(server.keys()) or (
        server.get("spreadMethod", "pad") != "pad"
    ):
        raise Unsupported("gradient")
    get = lengths(server)
    stops = tuple(_stop(each) for each in server)
    if not stops:
        raise Unsupported("gradient")
    matrix = transform(server.get("gradientTransform", ""))
    if server.get("gradientUnits") != "userSpaceOnUse":
        left, top, right, bottom = bounds
        box = (right - left, 0.0, 0.0, bottom - top, left, top)
        matrix = concatenate(matrix, box)
    if tag == "linearGradient":
        end = get("x2") if server.get("x2") else 1.0
        line = get("x1"), get("y1"), end, get("y2")
        return Gradient(2, line, matrix, stops)
    if tag != "radialGradient":
        raise Unsupported(tag)
    cx, cy, r = (get(name, 0.5) for name in ("cx", "cy", "r"))
    focus = get("fx", cx), get("fy", cy)
    return Gradient(3, (*focus, 0.0, cx, cy, r), matrix, stops)


def _stop(element: Element) -> _Stop:
    offset = element.get("offset", "0")
    at = float(offset.rstrip("%")) / (100 if offset.endswith("%") else 1)
    red, green, blue, alpha = rgb(element.get("stop-color", "#000000"))
    alpha *= float(element.get("stop-opacity", "1"))
    return _Stop(min(1.0, max(0.0, at)), (red, green, blue, alpha))
