"""The `gradient` renderer: one colour turning into another."""

from pydantic import Field

from app.renderer.base import Renderer
from app.renderer.engine.engine import Engine, Page
from app.renderer.params import Canvas, Color


class Parameters(Canvas):
    """Two colours and the direction from the first to the second."""

    start: Color = Field("#4f46e5", description="Colour at the beginning.")
    end: Color = Field("#ec4899", description="Colour at the end.")
    angle: float = Field(
        135,
        ge=-360,
        le=360,
        allow_inf_nan=False,
        description="Degrees clockwise from upwards, as in CSS: 90 runs to the right.",
    )


def page(parameters: Parameters) -> Page:
    """Return the gradient as the background of one box."""
    image = (
        f"linear-gradient({parameters.angle:f}deg,{parameters.start},{parameters.end})"
    )
    return Page(f'<div style="width:100%;height:100%;background:{image}"></div>')


def build(engine: Engine) -> Renderer:
    """Return the renderer."""
    return Renderer(
        name="gradient",
        title="Linear gradient of two colours",
        parameters=Parameters,
        size=lambda parameters: parameters.size,
        draw=lambda parameters, scale: engine.draw(
            page(parameters), parameters.size, scale
        ),
        vector=lambda parameters, _: engine.draw_svg(page(parameters), parameters.size),
        version=f"1 {engine.version}",
        example={"start": "4f46e5", "end": "ec4899", "angle": "135"},
    )
