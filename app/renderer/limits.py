"""Bounds on a request, checked before any work."""

from typing import Protocol

from app.renderer.base import Output, Renderer, scaled
from app.renderer.errors import LimitExceeded
from app.renderer.params import Parameters


class Limits(Protocol):
    """The part of the settings that bounds a picture."""

    @property
    def max_side(self) -> int:
        """Longest side in device pixels."""

    @property
    def max_pixels(self) -> int:
        """Largest area in device pixels."""

    @property
    def max_text_chars(self) -> int:
        """Characters in all text parameters together."""


def device_size(
    renderer: Renderer, parameters: Parameters, scale: float
) -> tuple[int, int]:
    """Return width and height in device pixels, each at least 1."""
    return scaled(renderer.size(parameters), scale)


def check(
    renderer: Renderer, parameters: Parameters, output: Output, limits: Limits
) -> None:
    """Raise LimitExceeded where the canvas or the text is over a limit."""
    _check_canvas(renderer, parameters, output, limits)
    if not renderer.isolated:
        _check_text(parameters, limits)
    renderer.check(parameters)


def _check_canvas(
    renderer: Renderer, parameters: Parameters, output: Output, limits: Limits
) -> None:
    size = device_size(renderer, parameters, output.scale)
    names = [_size_field(renderer, name) for name in ("width", "height")]
    for name, side in zip(names, size, strict=True):
        if side > limits.max_side:
            raise LimitExceeded(name, "MIMEO_MAX_SIDE", limits.max_side, side)
    pixels = size[0] * size[1]
    if pixels > limits.max_pixels:
        raise LimitExceeded(names[0], "MIMEO_MAX_PIXELS", limits.max_pixels, pixels)


def _size_field(renderer: Renderer, side: str) -> str:
    """Name the parameter a caller has to change to make this side smaller."""
    known = renderer.parameters.model_fields
    return next((name for name in (side, "size") if name in known), "scale")


def _check_text(parameters: Parameters, limits: Limits) -> None:
    total = 0
    for name, value in vars(parameters).items():
        total += len(value) if isinstance(value, str) else 0
        if total > limits.max_text_chars:
            raise LimitExceeded(
                name, "MIMEO_MAX_TEXT_CHARS", limits.max_text_chars, total
            )
