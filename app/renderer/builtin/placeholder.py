"""The `placeholder` renderer: a box that states its size, or any text."""

from bisect import bisect
from functools import partial
from html import escape
from typing import Annotated

from pydantic import AfterValidator, Field, create_model

from app.renderer.base import Renderer
from app.renderer.engine.engine import Engine, Page
from app.renderer.engine.families import find
from app.renderer.engine.text_fitting import Clipped, direction, families
from app.renderer.params import Canvas, Color, FontName, Typeset, TypesetText

# Parts of the canvas that text may fill, and the part of the shorter side that
# its letters take if the words are few.
_ROOM = 0.88
_HEADLINE = 0.17
_LEADING = 1.25
_WEIGHT = 600


class Parameters(Typeset, Canvas):
    """A box with a text in its middle."""

    text: TypesetText | None = Field(
        None, description="Any text, with line breaks; the size if left out."
    )
    font: FontName = Field("Inter", description="Family of fonts, of those in /fonts.")
    background: Color = Field("#e2e8f0", description="Colour of the box.")
    color: Color = Field("#475569", description="Colour of the text.")

    @property
    def words(self) -> str:
        """The text to show."""
        # No-break spaces keep the two sides in one line.
        default = f"{self.width}\u00a0\u00d7\u00a0{self.height}"
        return default if self.text is None else self.text.strip()

    @property
    def setting(self) -> tuple[str, str]:
        """The text as it is set, and the CSS `white-space` to set it with.

        The size has plain spaces and no wrapping: to lay no-break spaces out takes
        half as long again.
        """
        if self.text is None:
            return self.words.replace("\u00a0", " "), "nowrap"
        return self.words, "pre-line"


def page(parameters: Parameters, engine: Engine) -> Page:
    """Return the box with its text at the largest size that looks well."""
    (words, wrap), size = parameters.setting, font_size(parameters, engine)
    names = families(words, parameters.font, engine.covers)
    clipped = _clipped(parameters, engine, size)
    box = (
        "width:100%;height:100%;display:flex;align-items:center;overflow:hidden;"
        f"justify-content:center;text-align:center;background:{parameters.background}"
    )
    text = (
        f"font-family:{names};font-weight:{_WEIGHT};"
        f"font-size:{size}px;line-height:{_LEADING};"
        f"max-width:{_ROOM:.0%};white-space:{wrap};"
        f"overflow-wrap:anywhere;color:{parameters.color}"
    )
    return Page(
        f'<div style="{box}"><div dir="{direction(words)}" style="{text}">'
        f"{escape(words)}</div></div>",
        lang=parameters.lang,
        emoji=parameters.emoji,
        facts={"text_clipped": {"text": clipped}} if clipped else {},
    )


def font_size(parameters: Parameters, engine: Engine) -> int:
    """Return the largest size in CSS pixels at which the text fits, at least 1.

    Words are kept whole where that leaves at least half of the size at which
    they may break anywhere.
    """
    largest = max(1, round(min(parameters.size) * _HEADLINE))
    whole = _largest(parameters, engine, "normal", largest)
    if whole == largest:
        return whole
    broken = _largest(parameters, engine, "anywhere", largest)
    return max(1, whole if 2 * whole >= broken else broken)


def _clipped(parameters: Parameters, engine: Engine, size: int) -> Clipped:
    """Tell whether the caller's text is cut even at the smallest size."""
    if size > 1 or parameters.text is None:
        return ""
    return "shrunk" if _fits(parameters, engine, size, "anywhere") else "cut"


def _largest(parameters: Parameters, engine: Engine, wrap: str, largest: int) -> int:
    """Return the largest size at which the text fits with this wrapping, or 0."""

    def overflows(size: int) -> bool:
        return not _fits(parameters, engine, size, wrap)

    # Halving finds one of 127 sizes in seven layouts.
    return bisect(range(1, largest + 1), False, key=overflows)


def _fits(parameters: Parameters, engine: Engine, size: int, wrap: str) -> bool:
    words, white_space = parameters.setting
    width, height = (side * _ROOM for side in parameters.size)
    style = {
        "width": "100%",
        "whiteSpace": white_space,
        "overflowWrap": wrap,
        "fontFamily": families(words, parameters.font, engine.covers),
        "fontSize": f"{size}px",
        "fontWeight": _WEIGHT,
        "lineHeight": _LEADING,
    }
    node = {"type": "text", "text": words, "style": style}
    measured = engine.measure(node, width, parameters.lang, parameters.emoji)
    # A space at the end of a line may hang out; it is at most 0.3 em wide.
    widths = (
        run["width"] - 0.3 * size * run["text"].endswith((" ", "\n"))
        for run in measured["runs"]
    )
    return bool(measured["height"] <= height and max(widths, default=0) <= width)


def build(engine: Engine) -> Renderer:
    """Return the renderer; its `font` is one of the engine's families."""
    known = AfterValidator(partial(find, known=engine.families))
    return Renderer(
        name="placeholder",
        title="Placeholder that states its size",
        parameters=create_model(
            "Parameters",
            __base__=Parameters,
            __doc__=Parameters.__doc__,
            font=(Annotated[FontName, known], Parameters.model_fields["font"]),
        ),
        size=lambda parameters: parameters.size,
        draw=lambda parameters, scale: engine.draw(
            page(parameters, engine), parameters.size, scale
        ),
        vector=lambda parameters, _: engine.draw_svg(
            page(parameters, engine), parameters.size
        ),
        preflight=lambda parameters, laid_out: engine.preflight(
            page(parameters, engine)
            if laid_out
            else Page(escape(parameters.words), emoji=parameters.emoji)
        ),
        version=f"2 {engine.version}",
        example={"width": "600", "height": "400", "text": "Hero image"},
    )
