"""Matrices of SVG and PDF: six numbers, by which a point is placed."""

import math
import re

from app.renderer.encode.pdf.outline import Bounds, Unsupported, number

Matrix = tuple[float, float, float, float, float, float]
IDENTITY: Matrix = (1.0, 0.0, 0.0, 1.0, 0.0, 0.0)
NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
_TRANSFORM = re.compile(r"(matrix|translate|scale|rotate|skewX|skewY)\s*\(([^)]*)\)")


def concatenate(inner: Matrix, outer: Matrix) -> Matrix:
    """Return what `inner`, and then `outer`, do to a point."""
    a, b, c, d, e, f = inner
    p, q, r, s, t, u = outer
    return (
        *(a * p + b * r, a * q + b * s, c * p + d * r, c * q + d * s),
        *(e * p + f * r + t, e * q + f * s + u),
    )


def transform(text: str) -> Matrix:
    """Read the attribute `transform`; raise Unsupported for another unit."""
    if _TRANSFORM.sub("", text).strip(" ,\n\t"):
        raise Unsupported(text)
    total = IDENTITY
    for name, inside in _TRANSFORM.findall(text):
        values = [float(each) for each in NUMBER.findall(inside)]
        total = concatenate(_step(name, values), total)
    return total


def _step(name: str, values: list[float]) -> Matrix:
    if name == "matrix" and len(values) == 6:
        a, b, c, d, e, f = values
        return a, b, c, d, e, f
    if name == "translate" and values:
        return 1, 0, 0, 1, values[0], (*values, 0.0)[1]
    if name == "scale" and values:
        return values[0], 0, 0, (*values, values[0])[1], 0, 0
    if name == "rotate" and len(values) in (1, 3):
        turn = math.radians(values[0])
        cos, sin = math.cos(turn), math.sin(turn)
        x, y = values[1:] or (0.0, 0.0)
        back: Matrix = (1, 0, 0, 1, -x, -y)
        return concatenate(
            concatenate(back, (cos, sin, -sin, cos, 0, 0)), (1, 0, 0, 1, x, y)
        )
    if name == "skewX" and len(values) == 1:
        return 1, 0, math.tan(math.radians(values[0])), 1, 0, 0
    if name == "skewY" and len(values) == 1:
        return 1, math.tan(math.radians(values[0])), 0, 1, 0, 0
    raise Unsupported(name)


def cm(matrix: Matrix) -> bytes:
    return (" ".join(number(each, 5) for each in matrix) + " cm\n").encode()


def spread(matrix: Matrix, bounds: Bounds) -> Bounds:
    """Return what holds bounds after a matrix."""
    a, b, c, d, e, f = matrix
    left, top, right, bottom = bounds
    corners = [(x, y) for x in (left, right) for y in (top, bottom)]
    xs = [a * x + c * y + e for x, y in corners]
    ys = [b * x + d * y + f for x, y in corners]
    return min(xs), min(ys), max(xs), max(ys)


def inverse(matrix: Matrix) -> Matrix:
    a, b, c, d, e, f = matrix
    size = a * d - b * c
    if abs(size) < 1e-9:
        raise Unsupported("nothing is left of it")
    return (
        *(d / size, -b / size, -c / size, a / size),
        *((c * f - d * e) / size, (b * e - a * f) / size),
    )
