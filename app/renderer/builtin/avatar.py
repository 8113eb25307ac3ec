"""The `avatar` renderer: a name's initials on a colour of their own."""

import hashlib
from collections.abc import Callable, Sequence
from html import escape
from typing import Annotated

from pydantic import AfterValidator, Field

from app.renderer.base import Renderer
from app.renderer.builtin.identicon import PALETTE
from app.renderer.engine.engine import Engine, Page
from app.renderer.engine.text_fitting import Fit, fitter
from app.renderer.initials import canonical, initials
from app.renderer.params import LENGTH, Color, Typeset, TypesetText, rgba, visible

_LETTERS_SIZE = 0.42
_LIGHT, _DARK = "#ffffff", "#0f172a"


class Parameters(Typeset):
    """A name and the side of the square."""

    name: Annotated[TypesetText, AfterValidator(visible)] = Field(
        min_length=1,
        description="A person's name; initials of first and last word,"
        " without titles and what stands in brackets.",
    )
    size: Annotated[int, Field(ge=1, le=65_535), LENGTH] = Field(
        256,
        description="Side in CSS pixels, or a length as in 30mm.",
    )
    background: Color | None = Field(
        None, description="Colour of the square; the name decides if left out."
    )
    color: Color | None = Field(
        None, description="Colour of the letters; white or dark if left out."
    )


def palette_color(name: str, lang: str | None = None) -> str:
    """Return the colour of a name: equal names, whatever their case, equal colours."""
    spelling = canonical(name, lang).encode("utf-8", "surrogatepass")
    digest = hashlib.sha256(spelling)
    return PALETTE[digest.digest()[0] % len(PALETTE)]


def readable_on(background: str) -> str:
    """Return white or a dark blue, whichever contrasts more (WCAG 2.2)."""
    red, green, blue, alpha = rgba(background)
    # What is transparent will most likely be seen on white.
    seen = [channel * alpha + 255 * (255 - alpha) for channel in (red, green, blue)]
    light = luminance([channel / 255**2 for channel in seen])
    # 0.059 is the luminance of the dark blue and the 0.05 of the formula.
    return _LIGHT if 1.05 / (light + 0.05) >= (light + 0.05) / 0.059 else _DARK


def luminance(channels: Sequence[float]) -> float:
    """Return the relative luminance of sRGB channels from 0 to 1 (WCAG 2.2)."""
    linear = [
        value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
        for value in channels
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def page(parameters: Parameters, fit: Callable[..., Fit]) -> Page:
    """Return the initials in the middle of their square."""
    name, lang, side = parameters.name, parameters.lang, parameters.size
    background = parameters.background or palette_color(name, lang)
    color = parameters.color or readable_on(background)
    letters = initials(name, lang)
    largest = max(1, round(side * _LETTERS_SIZE))
    room, emoji = side * 0.8, parameters.emoji
    options = {"lines": 1, "weight": 600, "lang": lang, "emoji": emoji}
    found = fit(letters, room, room, largest, 1, **options)
    style = (
        "width:100%;height:100%;display:flex;align-items:center;overflow:hidden;"
        f"justify-content:center;background:{background};color:{color}"
    )
    return Page(
        f'<div style="{style}"><div dir="{found.direction}"'
        f' style="white-space:nowrap;{found.css}">{escape(letters)}</div></div>',
        lang=lang,
        emoji=emoji,
        facts={"text_clipped": {"name": found.clipped}} if found.clipped else {},
    )


def build(engine: Engine) -> Renderer:
    """Return the renderer."""
    fit = fitter(engine)
    return Renderer(
        name="avatar",
        title="Initials of a name",
        parameters=Parameters,
        size=lambda parameters: (parameters.size, parameters.size),
        draw=lambda parameters, scale: engine.draw(
            page(parameters, fit), (parameters.size, parameters.size), scale
        ),
        vector=lambda parameters, _: engine.draw_svg(
            page(parameters, fit), (parameters.size, parameters.size)
        ),
        preflight=lambda parameters, _: engine.preflight(page(parameters, fit)),
        version=f"4 {engine.version}",
        example={"name": "Ada Lovelace", "size": "256"},
    )
