"""A template that somebody edits: drawn with texts of several lengths at once."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from types import MappingProxyType
from typing import Any, NamedTuple

import orjson

from app.config import Settings
from app.renderer import produce
from app.renderer.base import Encoded, Output, Renderer
from app.renderer.engine.engine import Engine
from app.renderer.engine.text_fitting import Fit
from app.renderer.errors import (
    BrokenTemplate,
    LimitExceeded,
    RefusedTemplate,
    RendererError,
)
from app.renderer.input_image import DrawSvg
from app.renderer.params import validate
from app.renderer.template.declaration import Declaration
from app.renderer.template.parameter_types import Entry, TableEntry, TextEntry
from app.renderer.template.template import Template, renderer_of
from app.renderer.template.template_files import MARKUP, TemplateFiles

LENGTHS = ("short", "example", "longest", "arabic", "japanese")
# Characters: what may be longer is seen to be so at this length.
_MOST_CHARACTERS = 2000
# What is told of a length: so many texts, and of each so many characters.
_MOST_FITS, _MOST_LETTERS, _MOST_OUTSIDE = 200, 200, 20
_FILLER = "Words that go on for as long as they may"
# A text, what stands between two of it, and the tag of its language.
_SAMPLES: Mapping[str, tuple[str, str, str]] = MappingProxyType(
    {
        "arabic": ("مرحبا بكم في الحفل السنوي الكبير", " ", "ar"),
        "japanese": ("本日はお集まりいただきありがとうございます", "", "ja"),
    }
)
# Behind all that the template says, and in its last line, so that lines keep their
# numbers.
_OUTLINES = b"<style>*{outline:1px dashed #f0f;outline-offset:-1px}</style>"
_OUTPUT = Output.model_validate({"format": "png"})


class SetText(NamedTuple):
    """What `fit` found for a text."""

    text: str
    size: int
    lines: int
    height: float
    clipped: str | None


class LengthDrawing(NamedTuple):
    """The template with texts of one length, or why it has none.

    `outside` are lines of text that reach out of the picture.
    """

    length: str
    values: Mapping[str, str]
    fits: Sequence[SetText]
    outside: Sequence[str]
    encoded: Encoded | None
    error: RendererError | None


class TemplatePreview(NamedTuple):
    """What there is to see of a template."""

    title: str
    size: tuple[int, int]
    schema: Mapping[str, Any]
    drawings: Sequence[LengthDrawing]


def preview(
    files: TemplateFiles,
    lengths: Sequence[str],
    engine: Engine,
    limits: Settings,
    draw_svg: DrawSvg,
    *,
    outlines: bool,
) -> TemplatePreview:
    """Draw a template with texts of several `LENGTHS`, if wanted with its boxes.

    Expands what a caller wrote, so it is for a process that can be killed. What is
    wrong with one length is said there. Raises RefusedTemplate where the template
    would not be loaded, and LimitExceeded.
    """
    fits: list[SetText] = []

    def note(text: str, fit: Fit) -> None:
        # A loop costs a template little, and would cost whoever is told of it much.
        if len(fits) < _MOST_FITS:
            short = text[:_MOST_LETTERS]
            fits.append(SetText(short, fit.size, fit.lines, fit.height, fit.clipped))

    if outlines and MARKUP in files.files:
        marked = {**files.files, MARKUP: files.files[MARKUP] + _OUTLINES}
        files = replace(files, files=marked)
    try:
        template = Template(files, engine, limits, draw_svg, note)
        _check_size(template, limits)
        renderer = renderer_of(files, template)
    except BrokenTemplate as error:
        raise RefusedTemplate(*error.args) from error
    drawings = []
    for length in lengths:
        values = values_of(length, template.declaration)
        fits.clear()
        encoded, outside, fault = _draw(template, renderer, values, limits, fits)
        found = tuple(fits)
        drawn = LengthDrawing(length, values, found, outside, encoded, fault)
        drawings.append(drawn)
    schema = renderer.parameters.model_json_schema()
    return TemplatePreview(renderer.title, template.size(), schema, drawings)


def _check_size(template: Template, limits: Settings) -> None:
    width, height = template.size(bleed=True)
    for name, side in (("width", width), ("height", height)):
        if side > limits.max_side:
            raise LimitExceeded(name, "MIMEO_MAX_SIDE", limits.max_side, side)
    if width * height > limits.max_pixels:
        most = limits.max_pixels
        raise LimitExceeded("width", "MIMEO_MAX_PIXELS", most, width * height)


def _draw(
    template: Template,
    renderer: Renderer,
    values: Mapping[str, str],
    limits: Settings,
    fits: list[SetText],
) -> tuple[Encoded | None, Sequence[str], RendererError | None]:
    try:
        parameters = validate(renderer.parameters, values, strict=False)
        produce.check(renderer, parameters, _OUTPUT, limits)
        encoded = produce.produce(renderer, parameters, _OUTPUT)
        noted = len(fits)
        lines = [*islice(template.outside(parameters), _MOST_OUTSIDE)]
        # It was filled in twice, to be drawn and to be measured, and fitted alike.
        del fits[noted:]
        return encoded, tuple(line[:_MOST_LETTERS] for line in lines), None
    except BrokenTemplate as error:
        return None, (), RefusedTemplate(*error.args)
    except RendererError as error:
        return None, (), error


def values_of(length: str, declaration: Declaration) -> dict[str, str]:
    """Return values for all parameters, as query strings: texts of a length.

    `short` has no more than is required; what is no text is as in the example. A
    `verbatim` text is a code, which has its example in any length.
    """
    make = _maker(length)
    values: dict[str, str] = {}
    for name, entry in declaration.parameters.items():
        if length == "short" and not entry.required:
            continue
        value = _value(entry, make)
        if value is not None:
            values[name] = value
    if length in _SAMPLES and "lang" not in declaration.parameters:
        values["lang"] = _SAMPLES[length][2]
    return values


_Make = Callable[[TextEntry, str], str]


def _maker(length: str) -> _Make:
    if length == "short":
        return lambda entry, example: (example.split() or [""])[0][: entry.max_length]
    if length == "longest":
        return lambda entry, example: _stretched(
            example or _FILLER, " ", min(entry.max_length, _MOST_CHARACTERS)
        )
    if length in _SAMPLES:
        sample, between, _ = _SAMPLES[length]
        return lambda entry, example: _stretched(
            sample, between, min(entry.max_length, len(example) or len(sample))
        )
    return lambda _, example: example


def _stretched(text: str, between: str, length: int) -> str:
    times = length // len(text) + 1
    return between.join([text] * times)[:length].strip()


def _value(entry: Entry, make: _Make) -> str | None:
    if isinstance(entry, TextEntry):
        return entry.shown if entry.verbatim else make(entry, entry.shown or "")
    if isinstance(entry, TableEntry) and entry.example is not None:
        rows = [
            {
                name: _cell(entry.columns.get(name), cell, make)
                for name, cell in row.items()
            }
            for row in entry.example
        ]
        return orjson.dumps(rows).decode()
    return entry.shown


def _cell(column: Any, cell: Any, make: _Make) -> Any:
    is_text = isinstance(column, TextEntry) and not column.verbatim
    return make(column, str(cell)) if is_text else cell
