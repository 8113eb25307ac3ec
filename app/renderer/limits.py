"""Bounds on a request, checked before any work."""

from functools import lru_cache
from typing import Any

from app.config import Settings
from app.renderer.base import Output, Renderer, scaled
from app.renderer.errors import LimitExceeded
from app.renderer.params import Parameters


def device_size(
    renderer: Renderer, parameters: Parameters, scale: float
) -> tuple[int, int]:
    """Return width and height in device pixels, each at least 1."""
    return scaled(renderer.size(parameters), scale)


def check(
    renderer: Renderer, parameters: Parameters, output: Output, limits: Settings
) -> None:
    """Raise LimitExceeded where the canvas or the text is over a limit."""
    _check_canvas(renderer, parameters, output, limits)
    if not renderer.isolated:
        _check_text(parameters, limits)
    renderer.check(parameters)


def _check_canvas(
    renderer: Renderer, parameters: Parameters, output: Output, limits: Settings
) -> None:
    size = device_size(renderer, parameters, output.scale)
    names = [size_field(renderer, name, "scale") for name in ("width", "height")]
    for name, side in zip(names, size, strict=True):
        if side > limits.max_side:
            raise LimitExceeded(name, "MIMEO_MAX_SIDE", limits.max_side, side)
    pixels = size[0] * size[1]
    if pixels > limits.max_pixels:
        raise LimitExceeded(names[0], "MIMEO_MAX_PIXELS", limits.max_pixels, pixels)


def size_field(renderer: Renderer, side: str, otherwise: str) -> str:
    """Name the parameter that decides a side; `otherwise` where the side is fixed."""
    known = renderer.parameters.model_fields
    return next((name for name in (side, "size") if name in known), otherwise)


def _check_text(parameters: Parameters, limits: Settings) -> None:
    values = vars(parameters)
    texts = {name: len(values[name] or "") for name in text_fields(type(parameters))}
    total = sum(texts.values())
    if total > limits.max_text_chars:
        longest = max(texts, key=texts.__getitem__)
        raise LimitExceeded(
            longest, "MIMEO_MAX_TEXT_CHARS", limits.max_text_chars, total
        )


@lru_cache(256)
def text_fields(model: type[Parameters]) -> tuple[str, ...]:
    """Name the parameters that are free text: no colour, choice or image."""
    schema = model.model_json_schema()["properties"]
    return tuple(name for name, property in schema.items() if _is_text(property))


def _is_text(schema: dict[str, Any]) -> bool:
    if "anyOf" in schema:
        return any(map(_is_text, schema["anyOf"]))
    bound = schema.keys() & {"enum", "const", "format", "contentEncoding"}
    return schema.get("type") == "string" and not bound
