"""The app with one renderer more, which fails, waits or lies on request: for tests.

`FAULTY_FOLDER` is where it drops a file for each drawing, so that a test sees
from outside what was drawn, and where it looks for a file `change` that makes it draw
something else.
"""

import os
import time
from pathlib import Path
from typing import Annotated

from flask import Flask
from PIL import Image
from pydantic import Field

from app import create_app
from app.renderer import catalogue
from app.renderer.base import Picture, Renderer
from app.renderer.errors import RenderTimeout, Undrawable
from app.renderer.params import Canvas, Color

FOLDER = Path(os.environ.get("FAULTY_FOLDER", "."))


class Parameters(Canvas):
    """A rectangle that may come late, or not at all."""

    number: Annotated[int, Field(ge=0)] = 0
    color: Color = "#336699"
    fail: str = ""
    wait_s: Annotated[float, Field(ge=0, le=60)] = 0.0


def draw(parameters: Parameters, scale: float) -> Picture:
    """Do as the parameters say; leave a trace of it."""
    trace = FOLDER / f"{parameters.number}-{time.monotonic_ns()}"
    trace.touch()
    time.sleep(parameters.wait_s)
    if parameters.fail == "crash":
        raise ZeroDivisionError("as asked")
    if parameters.fail == "socket":
        raise BrokenPipeError("as asked")
    if parameters.fail == "undrawable":
        raise Undrawable("as asked")
    if parameters.fail == "timeout":
        raise RenderTimeout("MIMEO_RENDER_TIMEOUT_S", 1)
    color = "#000000" if (FOLDER / "change").exists() else parameters.color
    image = Image.new("RGB", parameters.size, color)
    image.putpixel((0, 0), (parameters.number % 256, parameters.number // 256, 0))
    return Picture(image)


RENDERER = Renderer(
    "faulty", "A test", Parameters, lambda parameters: parameters.size, draw
)


def build() -> Flask:
    """Return the app with the renderer in its catalogue."""
    known = catalogue.drawn
    catalogue.drawn = lambda *given: (*known(*given), RENDERER)
    try:
        return create_app()
    finally:
        catalogue.drawn = known
