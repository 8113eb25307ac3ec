"""The `solid` renderer: a rectangle of one colour."""

from PIL import Image
from pydantic import Field

from app.renderer.base import Picture, Renderer, Vector
from app.renderer.params import Canvas, Color, rgba
from app.renderer.produce import scaled


class Parameters(Canvas):
    """A rectangle of one colour."""

    color: Color = Field("#4f46e5", description="Fill; may be transparent.")


def draw(parameters: Parameters, scale: float) -> Picture:
    """Fill the canvas: one palette entry, every index 0."""
    width, height = scaled(parameters.size, scale)
    # Where the palette has one entry, the PNG encoder looks at no pixel.
    image = Image.new("P", (width, height), 0)
    red, green, blue, alpha = rgba(parameters.color)
    if alpha == 255:
        image.putpalette((red, green, blue))
    else:
        image.putpalette((red, green, blue, alpha), "RGBA")
    return Picture(image)


def draw_svg(parameters: Parameters) -> Vector:
    """Return the rectangle as an SVG document."""
    width, height = parameters.size
    return Vector(
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}">'
        f'<rect width="100%" height="100%" {fill(parameters.color)}/></svg>\n'
    )


def fill(color: str) -> str:
    """Return a colour as SVG 1.1 attributes, which know no `#rrggbbaa`."""
    red, green, blue, alpha = rgba(color)
    opacity = "" if alpha == 255 else f' fill-opacity="{alpha / 255:.4g}"'
    return f'fill="#{red:02x}{green:02x}{blue:02x}"{opacity}'


RENDERER = Renderer(
    name="solid",
    title="One colour",
    parameters=Parameters,
    size=lambda parameters: parameters.size,
    draw=draw,
    vector=lambda parameters, _: draw_svg(parameters),
    cheap=True,
    example={"color": "4f46e5", "width": "600", "height": "400"},
)
