"""One renderer, one request: check its bounds, draw, encode; here or elsewhere."""

import time
from collections.abc import Iterable, Mapping
from functools import lru_cache, partial
from importlib.metadata import version
from typing import Any

from pydantic import BaseModel

from app.config import PIXEL_BYTES, Settings, allocator, weight_of
from app.renderer import encode
from app.renderer.base import Encoded, Output, PrintedPage, Renderer, Vector
from app.renderer.encode.pdf.document import PdfPage, pages
from app.renderer.encode.pdf.page import pictured_page, vector_page
from app.renderer.errors import BadParameter, Fault, LimitExceeded, UnknownFormat
from app.renderer.paper import CSS_DPI, POINTS, Paper, resolve
from app.renderer.params import Parameters

# Whatever decides the bytes beside the renderer is part of every fingerprint.
# Raise the first number when this package encodes a picture in another way.
ENCODERS = (
    "mimeo 8",
    *(f"{package} {version(package)}" for package in ("pillow", "zlib-ng", "deflate")),
)
_CONTENT = ("contentEncoding", "contentMediaType")
_PAINTED = "parts of the page that are pictures, having no form in PDF: %d"
_PICTURED = "the page is a picture, as what is on it has no form in PDF"
# Bytes of a picture after which memory is given back: less is needed again at once.
_LARGE = 32 << 20


def scaled(size: tuple[int, int], scale: float) -> tuple[int, int]:
    """Return a size in CSS pixels as device pixels, at least one each."""
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def device_size(
    renderer: Renderer, parameters: Parameters, scale: float
) -> tuple[int, int]:
    """Return width and height in device pixels, each at least 1."""
    size = renderer.size
    return scaled(size if isinstance(size, tuple) else size(parameters), scale)


def drawn_by(renderer: Renderer, output: Output) -> Renderer:
    """Return what draws an output: with the bleed, where that is wanted.

    Raises BadParameter where none is declared.
    """
    if not output.bleed:
        return renderer
    if renderer.bled is None:
        raise BadParameter(Fault("bleed", f"is not declared by {renderer.name!r}"))
    return renderer.bled


def check(
    renderer: Renderer, parameters: Parameters, output: Output, limits: Settings
) -> None:
    """Raise LimitExceeded where the canvas or the text is over a limit.

    Raises BadParameter where the format cannot hold the canvas.
    """
    drawn = drawn_by(renderer, output)
    size = device_size(drawn, parameters, output.scale)
    for name, side in zip(("width", "height"), size, strict=True):
        if side > limits.max_side:
            field = size_field(renderer, name, "scale")
            raise LimitExceeded(field, "MIMEO_MAX_SIDE", limits.max_side, side)
    pixels = size[0] * size[1]
    if pixels > limits.max_pixels:
        field = size_field(renderer, "width", "scale")
        raise LimitExceeded(field, "MIMEO_MAX_PIXELS", limits.max_pixels, pixels)
    need = memory_of(pixels, output)
    allowed, setting = limits.drawing_bytes, "MIMEO_DRAWING_BYTES"
    if renderer.isolated and limits.html_memory_bytes < allowed:
        allowed, setting = limits.html_memory_bytes, "MIMEO_HTML_MEMORY_BYTES"
    if need > allowed:
        raise LimitExceeded("format", setting, allowed, need)
    # The text of an isolated renderer is a document, with a bound of its own.
    document = renderer.isolated and renderer.files is None
    bounded = not (document or renderer.prompted)
    fields = text_fields(type(parameters)) if bounded else ()
    texts = {name: len(getattr(parameters, name) or "") for name in fields}
    total = sum(texts.values())
    if total > limits.max_text_chars:
        longest = max(texts, key=texts.__getitem__)
        raise LimitExceeded(
            longest, "MIMEO_MAX_TEXT_CHARS", limits.max_text_chars, total
        )
    if renderer.check is not None:
        renderer.check(parameters)
    if drawn is not renderer:
        size = device_size(renderer, parameters, output.scale)
    _check_format(renderer, output, size)


def memory_of(pixels: int, output: Output) -> int:
    """Return the bytes that a picture takes while it is drawn and encoded."""
    small = output.compression == "small"
    return pixels * PIXEL_BYTES * weight_of(output.format, small=small)


def check_size(renderer: Renderer, parameters: Parameters, output: Output) -> None:
    """Raise BadParameter where the format has no picture of this size.

    It names what the caller can change.
    """
    size = device_size(renderer, parameters, output.scale)
    _check_format(renderer, output, size)
    drawn_by(renderer, output)


def _check_format(renderer: Renderer, output: Output, size: tuple[int, int]) -> None:
    try:
        encode.check(output, *size)
    except BadParameter as error:
        sides = {
            side: size_field(renderer, side, "format") for side in ("width", "height")
        }
        renamed = [Fault(sides.get(name, name), why) for name, why in error.faults]
        raise BadParameter(*renamed) from error


def size_field(renderer: Renderer, side: str, otherwise: str) -> str:
    """Name the parameter that decides a side; `otherwise` where the side is fixed."""
    known = renderer.parameters.model_fields
    return next((name for name in (side, "size") if name in known), otherwise)


# A schema takes pydantic longer than all the other checks together.
@lru_cache(256)
def text_fields(model: type[Parameters]) -> tuple[str, ...]:
    """Name the parameters that are free text: no colour, choice or image."""
    schema = model.model_json_schema()["properties"]
    return tuple(name for name, property in schema.items() if _is_text(property))


@lru_cache(256)
def image_fields(model: type[BaseModel]) -> frozenset[str]:
    """Name the parameters that are images."""
    properties = model.model_json_schema().get("properties", {})
    return frozenset(name for name, schema in properties.items() if _is_image(schema))


def _is_image(schema: Mapping[str, Any]) -> bool:
    return "contentEncoding" in schema or any(map(_is_image, schema.get("anyOf", ())))


def _is_text(schema: dict[str, Any]) -> bool:
    if "anyOf" in schema:
        return any(map(_is_text, schema["anyOf"]))
    # Rows and cells of a table have bounds of their own.
    bound = schema.keys() & {"enum", "const", "format", *_CONTENT}
    return schema.get("type") == "string" and not bound


def produce(renderer: Renderer, parameters: Parameters, output: Output) -> Encoded:
    """Draw and encode; pure, equal arguments give equal bytes.

    Raises Undrawable where the engine refuses the drawing, BadParameter where a
    fault shows only while drawing (a text too long for a QR code).
    """
    started, began_cpu = time.perf_counter(), time.thread_time()
    size = device_size(drawn_by(renderer, output), parameters, output.scale)
    media_type = encode.FORMATS[output.format].media_type
    if output.format == "svg":
        drawing = vector(renderer, parameters, 1)
        drawn_s = time.perf_counter() - started
        svg = drawing.svg.encode()
        times = (drawn_s, 0.0, drawing.fonts_s, time.thread_time() - began_cpu)
        facts = _of_one_page(drawing.facts, parameters)
        return Encoded(svg, media_type, *size, facts, *times)
    if output.format == "pdf" and renderer.printed is not None:
        leaves = renderer.printed(parameters, output.scale)
        if leaves is not None:
            return _printed(renderer, output, leaves, started, began_cpu)
    if output.format == "pdf" and renderer.vector is not None:
        return _pdf(renderer, parameters, output, size)
    picture = renderer.draw(parameters, output.scale)
    drawn = time.perf_counter()
    data = encode.encode(picture, output, renderer.paper)
    encoded_s, cpu_s = time.perf_counter() - drawn, time.thread_time() - began_cpu
    times = (drawn - started, encoded_s, picture.fonts_s, cpu_s)
    facts = _of_one_page(picture.facts, parameters)
    del picture
    if memory_of(size[0] * size[1], output) > _LARGE:
        # Else the C library keeps it, and each thread keeps as much.
        allocator.trim()
    return Encoded(data, media_type, *size, facts, *times)


def vector(renderer: Renderer, parameters: Parameters, scale: float) -> Vector:
    """Return the drawing as an SVG document; raise UnknownFormat if it has none."""
    if renderer.vector is None:
        raise UnknownFormat("svg", formats(renderer))
    return renderer.vector(parameters, scale)


def paper_for(renderer: Renderer, parameters: Parameters, output: Output) -> Paper:
    """Return the size on paper of a drawing, and the bleed that it could have."""
    pixels = device_size(renderer, parameters, 1)
    return resolve(renderer.paper, pixels, 1, output.dpi)


def _of_one_page(facts: Mapping[str, Any], parameters: Parameters) -> Mapping[str, Any]:
    """Return the facts of an image, and that there are more pages, if nobody chose."""
    pages = facts.get("pages", 1)
    if pages == 1 or getattr(parameters, "page", None) is not None:
        return facts
    return _warned(facts, f"page: this is the first of {pages}; a PDF has all")


def _warned(facts: Mapping[str, Any], *warnings: str) -> Mapping[str, Any]:
    if not warnings:
        return facts
    return {**facts, "warnings": [*facts.get("warnings", ()), *warnings]}


def _pdf(
    renderer: Renderer, parameters: Parameters, output: Output, size: tuple[int, int]
) -> Encoded:
    """Return the pages that a caller did not choose from, or the one that was chosen.

    What is said of several is said once.
    """
    started, began_cpu = time.perf_counter(), time.thread_time()
    paper = paper_for(renderer, parameters, output)
    if not output.bleed:
        paper = paper._replace(bleed=0.0)
    renderer = drawn_by(renderer, output)
    drawn_s = fonts_s = 0.0
    facts: Mapping[str, Any] = {}
    leaves: list[PdfPage] = []
    chosen = getattr(parameters, "page", None) is not None
    # The first page tells how many there are.
    while len(leaves) < (1 if chosen else facts.get("pages", 1)):
        if leaves:
            number = len(leaves) + 1
            parameters = parameters.model_copy(update={"page": number})
        began = time.perf_counter()
        drawing = vector(renderer, parameters, output.scale)
        drawn_s += time.perf_counter() - began
        fonts_s += drawing.fonts_s
        pixels = device_size(renderer, parameters, 1)
        draw = partial(renderer.draw, parameters)
        leaf, said = _page(
            PrintedPage(drawing, pixels, None, draw), renderer.title, output, paper
        )
        leaves.append(leaf)
        facts = _both(facts, said)
    data = b"".join(pages(iter(leaves)))
    encoded_s = time.perf_counter() - started - drawn_s
    times = (drawn_s, encoded_s, fonts_s, time.thread_time() - began_cpu)
    return Encoded(data, encode.FORMATS["pdf"].media_type, *size, facts, *times)


def _both(facts: Mapping[str, Any], more: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the facts of two pages: lists joined, mappings too."""
    joined = {**facts}
    for name, value in more.items():
        known = joined.get(name)
        if isinstance(known, Mapping):
            joined[name] = {**known, **value}
        elif isinstance(known, list | tuple):
            joined[name] = list(dict.fromkeys([*known, *value]))
        else:
            joined[name] = value
    return joined


def _printed(
    renderer: Renderer,
    output: Output,
    leaves: Iterable[PrintedPage],
    started: float,
    began_cpu: float,
) -> Encoded:
    """Return pages whose number and sizes the drawing decides; the first one's size."""
    made: list[PdfPage] = []
    size = (1, 1)
    facts: Mapping[str, Any] = {}
    fonts_s = 0.0
    for leaf in leaves:
        paper = resolve(None, leaf.size, 1, output.dpi)
        if leaf.paper is not None:
            if output.dpi not in (None, CSS_DPI):
                reason = "cannot be chosen: the document says how large its pages are"
                raise BadParameter(Fault("dpi", reason))
            width, height = leaf.paper
            paper = Paper(width * POINTS, height * POINTS, CSS_DPI)
        page, said = _page(leaf, renderer.title, output, paper)
        if not made:
            size, fonts_s = scaled(leaf.size, output.scale), leaf.vector.fonts_s
        made.append(page)
        facts = _both(facts, said)
    drawn_s = time.perf_counter() - started
    data = b"".join(pages(iter(made)))
    encoded_s = time.perf_counter() - started - drawn_s
    times = (drawn_s, encoded_s, fonts_s, time.thread_time() - began_cpu)
    return Encoded(data, encode.FORMATS["pdf"].media_type, *size, facts, *times)


def _page(
    leaf: PrintedPage, title: str, output: Output, paper: Paper
) -> tuple[PdfPage, Mapping[str, Any]]:
    """Return a page of outlines and text, or of text over a picture, and its facts."""
    drawing, pixels = leaf.vector, leaf.pixels
    made = vector_page(drawing, pixels, paper, output, title)
    if made is not None:
        page, painted = made
        warnings = (_PAINTED % painted,) if painted else ()
        return page, _warned(drawing.facts, *warnings)
    picture = encode.flatten(leaf.draw(output.scale), output.background)
    png = encode.encode_png(picture)
    page = pictured_page(drawing, png, pixels, paper, title)
    return page, _warned(drawing.facts, _PICTURED)


@lru_cache(256)
def formats(renderer: Renderer) -> tuple[str, ...]:
    """Name the formats that a renderer can be had in."""
    return tuple(name for name in encode.FORMATS if _can(renderer, name))


def _can(renderer: Renderer, name: str) -> bool:
    """Tell whether some parameters give this format: not of a fixed size it refuses."""
    if name == "svg":
        return renderer.vector is not None
    sized = renderer.parameters.model_fields.keys() & {"width", "height", "size"}
    if sized or renderer.remote is not None:
        return True
    # Of a fixed size, so that any parameters show what the size allows.
    example = renderer.parameters.model_validate_strings(dict(renderer.example))
    output = Output.model_validate({"format": name})
    try:
        encode.check(output, *device_size(renderer, example, 1))
    except BadParameter:
        return False
    return True
