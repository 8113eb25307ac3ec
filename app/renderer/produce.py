"""One renderer, one request: draw and encode, here or in another process."""

import time
from functools import lru_cache
from importlib.metadata import version

from app.renderer.base import Encoded, Output, Renderer, Vector
from app.renderer.encode import FORMATS, check, encode
from app.renderer.errors import BadParameter, UnknownFormat
from app.renderer.limits import device_size
from app.renderer.params import Parameters

# Whatever decides the bytes beside the renderer is part of every fingerprint.
ENCODERS = tuple(
    f"{package} {version(package)}"
    for package in ("pillow", "isal", "zlib-ng", "deflate")
)


def produce(renderer: Renderer, parameters: Parameters, output: Output) -> Encoded:
    """Draw and encode; pure, equal arguments give equal bytes.

    Raises Undrawable where the engine refuses the drawing, BadParameter where a
    fault shows only while drawing (a text too long for a QR code).
    """
    started = time.perf_counter()
    size = device_size(renderer, parameters, output.scale)
    media_type = FORMATS[output.format].media_type
    if output.format == "svg":
        drawing = vector(renderer, parameters)
        drawn_s = time.perf_counter() - started
        svg = drawing.svg.encode()
        return Encoded(svg, media_type, *size, drawing.facts, drawn_s)
    picture = renderer.draw(parameters, output.scale)
    drawn = time.perf_counter()
    data = encode(picture, output)
    encoded = time.perf_counter()
    return Encoded(
        data, media_type, *size, picture.facts, drawn - started, encoded - drawn
    )


def vector(renderer: Renderer, parameters: Parameters) -> Vector:
    """Return the drawing as an SVG document; raise UnknownFormat if it has none."""
    if renderer.vector is None:
        raise UnknownFormat("svg", formats(renderer))
    return renderer.vector(parameters)


@lru_cache(256)
def formats(renderer: Renderer) -> tuple[str, ...]:
    """Name the formats that a renderer can be had in."""
    return tuple(name for name in FORMATS if _can(renderer, name))


def _can(renderer: Renderer, name: str) -> bool:
    """Tell whether some parameters give this format: not of a fixed size it refuses."""
    if name == "svg":
        return renderer.vector is not None
    sized = renderer.parameters.model_fields.keys() & {"width", "height", "size"}
    if sized or renderer.remote is not None:
        return True
    example = renderer.parameters.model_validate_strings(dict(renderer.example))
    output = Output.model_validate({"format": name})
    try:
        check(output, *device_size(renderer, example, 1))
    except BadParameter:
        return False
    return True
