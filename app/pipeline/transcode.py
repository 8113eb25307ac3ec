"""What a service made, in other formats than it came in."""

from dataclasses import replace
from typing import Any

from app.media import Media
from app.pipeline.media_store import Stored
from app.renderer import input_image
from app.renderer.base import Output, Picture, Renderer
from app.renderer.encode import FORMATS
from app.renderer.errors import LimitExceeded, RenderTimeout, Undrawable
from app.renderer.sandbox.sandbox import Sandbox
from app.upstream.errors import BadMedia


def is_as_asked(original: Media | Stored, output: Output) -> bool:
    """Tell whether bytes can be handed on as they are: nothing else is asked for."""
    plain = output.model_fields_set <= {"format"}
    return plain and FORMATS[output.format].media_type == original.media_type


def redraw(
    renderer: Renderer,
    original: Media,
    most_read: int,
    most_made: int,
    isolation: Sandbox,
) -> Renderer:
    """Return a renderer that draws an original, whatever its parameters.

    Of one that moves it draws the first frame; an SVG is drawn in the process for
    untrusted input. Raises LimitExceeded where it has more pixels than may be read,
    or made; drawing raises BadMedia where nothing here can read it.
    """
    pixels = original.width * original.height
    for limit, allowed in (
        ("MIMEO_MAX_IMAGE_PIXELS", most_read),
        ("MIMEO_MAX_PIXELS", most_made),
    ):
        if pixels > allowed:
            raise LimitExceeded("format", limit, allowed, pixels)
    size = (original.width, original.height)

    def draw(parameters: Any, scale: float) -> Picture:
        facts = {**original.facts, "converted_from": original.media_type}
        try:
            if original.media_type == FORMATS["svg"].media_type:
                drawing = isolation.draw_svg(original.in_memory, size)
            else:
                drawing = Picture(input_image.read(original.in_memory, most_read))
        except (Undrawable, RenderTimeout) as error:
            service = str(original.facts.get("upstream", renderer.name))
            raise BadMedia(service, f"its {original.media_type}: {error}") from error
        if notes := drawing.facts.get("warnings"):
            facts["warnings"] = [*facts.get("warnings", ()), *notes]
        return Picture(drawing.image, facts=facts)

    return replace(renderer, remote=None, cheap=False, size=size, draw=draw)
