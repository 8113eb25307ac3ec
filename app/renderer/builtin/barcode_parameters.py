"""What a caller may say of a barcode, and the whole pixels that come of it."""

import math
import re
from typing import Annotated, Any, NamedTuple

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from app.renderer.builtin.symbologies import (
    SYMBOLOGIES,
    Symbol,
    Symbology,
    canonical,
    encode,
)
from app.renderer.errors import BadParameter, Fault
from app.renderer.params import LENGTH, Color, Side, Typeset, TypesetText

# The most that any symbology holds: digits in Aztec.
_LONGEST = 3832
# Font size at linear bars, in modules: a digit fits in seven.
_LETTERS = 10
# Font size at a matrix, as a share of its side.
_CAPTION = 0.1
# What letters may take of a height that was asked for, and their least, in CSS pixels.
_SHARE = 0.3
LEAST_LETTERS = 6
# Height of a line, in font sizes.
_LINE = 1.2
_UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
_CHOICES = {"on": "on", "true": "on", "off": "off", "false": "off", "": "off"}


def _choice(value: Any) -> Any:
    """Return `on` and `off` for what other tools call so; other texts as they are."""
    return _CHOICES.get(str(value).strip().lower(), value)


class Parameters(Typeset):
    """What the code says, in which symbology, and how it looks."""

    data: str = Field(
        min_length=1,
        max_length=_LONGEST,
        description="What the code says. A check digit is added where it is left out,"
        " and verified where it is given.",
    )
    symbology: Annotated[
        str,
        AfterValidator(canonical),
        WithJsonSchema({"type": "string", "enum": list(SYMBOLOGIES)}),
    ] = Field(
        "code128", description="Kind of code; EAN-13 and EAN_13 are read as ean13."
    )
    width: Side | None = Field(
        None,
        description="CSS pixels or a length, quiet zone included, which takes what"
        " whole modules leave. Left out, what the modules need.",
    )
    height: Side | None = Field(
        None,
        description="CSS pixels or a length, text included. Left out, what is usual for"
        " the kind.",
    )
    module: Annotated[int, Field(ge=1, le=100), LENGTH] | None = Field(
        None,
        description="Width of a module, the narrowest bar, in whole CSS pixels, or a"
        " length as in 0.33mm. Left out, what fits the width, or 2 (Data Matrix and"
        " Aztec: 6).",
    )
    margin: int | None = Field(
        None,
        ge=0,
        le=64,
        description="Quiet zone in modules. Left out, the standard's, such as 11 left"
        " and 7 right of EAN-13.",
    )
    text: Annotated[TypesetText, BeforeValidator(_choice)] | None = Field(
        None,
        description="Line below: `on`, `off`, or a text of your own. Left out, it is on"
        " for linear codes.",
    )
    dark: Color = Field("#000000", description="Colour of bars and text.")
    light: Color = Field("#ffffff", description="Ground; may be transparent.")

    @property
    def kind(self) -> Symbology:
        """The symbology, by its name."""
        return SYMBOLOGIES[self.symbology]

    @property
    def symbol(self) -> Symbol:
        """The code without quiet zone; raises BadParameter."""
        return encode(self.data, self.symbology)

    @property
    def line(self) -> str:
        """The text below, empty where there is none."""
        text = self.text or ("off" if self.kind.matrix else "on")
        if text == "off":
            return ""
        shown = self.symbol.content.data if text == "on" else text
        return _UNSEEN.sub(" ", shown).strip()

    @property
    def digits(self) -> bool:
        """Whether each digit stands in its place below the bars."""
        return bool(self.kind.digits) and self.text in (None, "on")

    @property
    def quiet(self) -> tuple[int, int]:
        """Modules of the quiet zone, left and right."""
        return self.kind.margin if self.margin is None else (self.margin, self.margin)

    @property
    def across(self) -> int:
        """Modules of the picture from left to right."""
        return len(self.symbol.rows[0]) + sum(self.quiet) + 2 * self.kind.frame

    @property
    def down(self) -> int:
        """Modules from top to bottom, of bars as many as is usual; text excluded."""
        bars = self.kind.height + 2 * self.kind.frame
        return len(self.symbol.rows) + sum(self.quiet) if self.kind.matrix else bars


class Measures(NamedTuple):
    """Pixels of a module, of the font, and of the text's room above and below."""

    module: int
    letters: int
    above: int
    below: int


def measure(
    parameters: Parameters, width: int | None, height: int | None, scale: float
) -> Measures:
    """Choose the largest whole module for sides in CSS pixels, and the font size.

    A side that is None is as long as it need be. Raises BadParameter naming the side
    that leaves no module, no bars or no text.
    """
    kind, across, down = parameters.kind, parameters.across, parameters.down
    least = max(1, int((parameters.module or 1) * scale))
    module = int((parameters.module or kind.module) * scale)
    if width is not None:
        most = round(width * scale) // across
        if most < least:
            raise _small("width", across * least / scale)
        module = least if parameters.module else most
    letters, above, below = _letters(parameters, module, scale)
    if height is None:
        return Measures(module, letters, above, below)
    room = round(height * scale) - above - below
    if not kind.matrix:
        if room <= (frame := 2 * kind.frame * module):
            raise _small("height", (above + below + frame + 1) / scale)
        return Measures(module, letters, above, below)
    most = room // down
    if most < least:
        raise _small("height", (down * least + below) / scale)
    if not parameters.module:
        module = most if width is None else min(module, most)
    return Measures(module, letters, above, below)


def _small(side: str, least: float) -> BadParameter:
    reason = f"is too small for this code: at least {math.ceil(least)}"
    return BadParameter(Fault(side, reason))


def _letters(parameters: Parameters, module: int, scale: float) -> tuple[int, int, int]:
    """Return the font size, and the room above and below, in device pixels."""
    if not parameters.line:
        return 0, 0, 0
    most = math.inf if parameters.height is None else parameters.height * _SHARE
    if most < LEAST_LETTERS:
        reason = (
            f"is too small for text: at least {LEAST_LETTERS / _SHARE:g}, or text=off"
        )
        raise BadParameter(Fault("height", reason))
    if parameters.kind.matrix:
        size = int(max(LEAST_LETTERS, min(_side(parameters) * _CAPTION, most)))
        # Rounded so that a scale leaves no less for the modules.
        return int(size * scale), 0, int(math.ceil(size * _LINE) * scale)
    letters = int(min(_LETTERS * module, most * scale))
    line = math.ceil(letters * _LINE)
    if not parameters.digits:
        return letters, 0, line
    return letters, line if parameters.symbol.content.heading else 0, letters


def _side(parameters: Parameters) -> float:
    """Return about the shorter side of a matrix, in CSS pixels."""
    across, down = parameters.across, parameters.down
    width, height = parameters.width, parameters.height
    if width is None and height is not None:
        return height
    wide = width or across * (parameters.module or parameters.kind.module)
    return min(wide * min(1, down / across), height or math.inf)


def size(parameters: Parameters) -> tuple[int, int]:
    """Return width and height in CSS pixels; raise what `measure` raises."""
    width, height = parameters.width, parameters.height
    if width is not None and height is not None:
        return width, height
    found = measure(parameters, width, height, 1)
    return (
        width or parameters.across * found.module,
        height or parameters.down * found.module + found.above + found.below,
    )


def trimmed(parameters: Parameters) -> Parameters:
    """Return parameters of the sides given at most, less what whole modules leave."""
    found = measure(parameters, parameters.width, parameters.height, 1)
    width = parameters.across * found.module
    height = parameters.height
    if height is None or parameters.kind.matrix:
        height = parameters.down * found.module + found.above + found.below
    return parameters.model_copy(update={"width": width, "height": height})


def check(parameters: Parameters) -> None:
    """Refuse a margin that has no room for the digits beside the bars."""
    if not parameters.digits:
        return
    columns, quiet = len(parameters.symbol.rows[0]), parameters.quiet
    ends = [
        (group.start, group.start + 7 * group.number)
        for group in parameters.kind.digits
    ]
    least = -min(start for start, _ in ends), max(end for _, end in ends) - columns
    if quiet[0] < least[0] or quiet[1] < least[1]:
        reason = f"leaves no room for digits: at least {max(least)}, or text=off"
        raise BadParameter(Fault("margin", reason))
