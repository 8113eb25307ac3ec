"""Read `parameters.toml`: what a template is called, its size, its parameters."""

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, get_args

from pydantic import Field, ValidationError, create_model

from app.renderer.errors import BadParameter, BrokenTemplate, Fault, nearest
from app.renderer.paper import (
    CSS_DPI,
    POINTS,
    Paper,
    at,
    paper_of,
    parse_length,
    parse_page,
    parse_sides,
    pixels_of,
)
from app.renderer.params import Parameters, Typeset, reason_of
from app.renderer.template.parameter_types import NAME, Entry, FontEntry, Strict
from app.renderer.template.template_files import DECLARATION, TemplateFiles

_MOST = 65_535
# Inches: more is a mistake in the unit.
_MOST_BLEED = 1

# Before Python 3.14 tomllib tells the place only in its message.
_PLACE = re.compile(r" \(at line (\d+), column \d+\)\Z")
_HEADER = re.compile(r"\s*\[parameters\.(?P<name>[^\]]+)\]")
_KEY = re.compile(r"\s*(?P<key>[A-Za-z0-9_-]+)\s*=")

# What the markup of several pages is told, and what it says.
PAGE, PAGES = "page", "pages"
MOST_PAGES = 100
_PAGE = Field(
    None,
    ge=1,
    le=MOST_PAGES,
    description="Which page. Left out, an image is of the first, and a PDF has all.",
)


class Declaration(Strict):
    """The content of `parameters.toml`.

    `width` and `height` are in CSS pixels, `dpi` are CSS pixels an inch. `page` (`A4
    landscape`) or `size` (`4in x 6in`) is what the picture is on paper, `bleed` (`3mm`)
    what is drawn beyond it on each side. With `pages` it may be several, all of this
    size.
    """

    title: str = Field(min_length=1)
    width: int | None = Field(None, ge=1, le=_MOST)
    height: int | None = Field(None, ge=1, le=_MOST)
    dpi: int | float | None = Field(None, ge=1, le=2400)
    page: str | None = None
    size: str | None = None
    pages: bool = False
    bleed: str | None = None
    version: str = ""
    parameters: dict[str, Entry] = Field(default_factory=dict)

    @property
    def pixels(self) -> tuple[int, int]:
        """Width and height in CSS pixels; raises what `canvas` raises."""
        return self.canvas[0]

    @cached_property
    def canvas(self) -> tuple[tuple[int, int], Paper | None]:
        """Size in CSS pixels, and on paper where it is declared.

        Raises BadParameter naming the key where one is missing or contradicts another.
        """
        sides, key = self._sides(), "size" if self.page is None else "page"
        pixels: tuple[int, int]
        if self.width and self.height:
            pixels = self.width, self.height
        elif sides is None or self.width or self.height:
            missing = "width" if self.width is None else "height"
            reason = "is required, as long as neither page nor size says it"
            raise BadParameter(Fault(missing, reason))
        else:
            pixels = pixels_of(sides, self.dpi or CSS_DPI)
            if not 1 <= min(pixels) <= max(pixels) <= _MOST:
                reason = f"is {pixels[0]:,}x{pixels[1]:,} pixels; a side has 1"
                raise BadParameter(Fault(key, f"{reason} to {_MOST:,}"))
        if sides is None:
            return pixels, None if self.dpi is None else at(pixels, self.dpi)
        # What pixels were made by is the resolution; given ones are asked for it.
        dpi = self.dpi or (None if self.width else CSS_DPI)
        try:
            return pixels, paper_of(sides, pixels, dpi)
        except ValueError as error:
            raise BadParameter(Fault(key, str(error))) from error

    @cached_property
    def paper(self) -> Paper | None:
        """The size on paper and the bleed, where declared; raises as `canvas`."""
        paper = self.canvas[1]
        if self.bleed is None:
            return paper
        if paper is None:
            reason = "is for paper, and needs a size, page or dpi"
            raise BadParameter(Fault("bleed", reason))
        try:
            bleed = parse_length(self.bleed, paper.dpi)
        except ValueError as error:
            raise BadParameter(Fault("bleed", str(error))) from error
        if bleed > _MOST_BLEED:
            raise BadParameter(Fault("bleed", f"is over {_MOST_BLEED}in"))
        return paper._replace(bleed=bleed * POINTS)

    def _sides(self) -> tuple[float, float] | None:
        """Return the sides on paper in inches; raise BadParameter."""
        if self.page is not None and self.size is not None:
            raise BadParameter(Fault("size", "cannot stand beside a page"))
        try:
            if self.page is not None:
                return parse_page(self.page)
            if self.size is not None:
                return parse_sides(self.size, self.dpi or CSS_DPI)
        except ValueError as error:
            key = "size" if self.page is None else "page"
            raise BadParameter(Fault(key, str(error))) from error
        return None

    @property
    def example(self) -> dict[str, str]:
        """All examples, as query strings."""
        return {
            name: entry.shown
            for name, entry in self.parameters.items()
            if entry.shown is not None
        }

    @property
    def images(self) -> tuple[str, ...]:
        """Names of the parameters that are images."""
        return tuple(
            name for name, entry in self.parameters.items() if entry.type == "image"
        )

    def model(self, name: str, families: Sequence[str] = ()) -> type[Parameters]:
        """Return the class of which a caller's parameters are instances.

        A parameter that is a font is one of the `families`.
        A parameter of the template's own replaces the option of that name.
        """
        own = dict(self._fields(families))
        options: dict[str, Any] = {
            option: (field.annotation, field)
            for option, field in Typeset.model_fields.items()
            if option not in own
        }
        if self.pages:
            options[PAGE] = (int | None, _PAGE)
        fields: dict[str, Any] = {**own, **options}
        title = "".join(part.capitalize() for part in re.split(r"[-_]", name))
        return create_model(title, __base__=Parameters, __doc__=self.title, **fields)

    def _fields(self, families: Sequence[str]) -> Iterator[tuple[str, tuple[Any, Any]]]:
        for name, entry in self.parameters.items():
            if isinstance(entry, FontEntry):
                kind = entry.among(families)
            else:
                kind = entry.kind()
            details: dict[str, Any] = {"description": entry.description or None}
            if entry.example is not None:
                details["examples"] = [entry.example]
            if entry.required:
                yield name, (kind, Field(**details))
            elif entry.absent is None:
                yield name, (kind | None, Field(None, **details))
            else:
                yield name, (kind, Field(entry.absent, **details))


# Every key that a declaration may have somewhere.
_KEYS = sorted(
    {
        key
        for kind in (Declaration, *get_args(get_args(Entry)[0]))
        for key in kind.model_fields
    }
)


def read(files: TemplateFiles, reserved: frozenset[str]) -> Declaration:
    """Read a template's declaration; raise BrokenTemplate naming the line.

    `reserved` are names that no parameter may have.
    """
    source = files.text(DECLARATION)
    try:
        table = tomllib.loads(source)
    except (ValueError, RecursionError) as error:
        # Beside what is no TOML: numbers of thousands of digits, and deep nesting.
        place = _PLACE.search(str(error))
        line = int(place[1]) if place else source.count("\n") + 1
        reason = f"is not TOML: {_PLACE.sub('', str(error))}"
        raise files.broken(DECLARATION, line, reason) from error
    try:
        declaration = Declaration.model_validate(table)
    except ValidationError as error:
        raise _fault(files, source, error) from error
    except (TypeError, RecursionError) as error:
        raise files.broken(DECLARATION, 1, str(error)) from error
    try:
        _ = declaration.paper
    except BadParameter as error:
        key, reason = error.faults[0]
        at_fault = _line(source, None, key)
        raise files.broken(DECLARATION, at_fault, f"{key!r}: {reason}") from error
    implied = {PAGE, PAGES} if declaration.pages else set()
    for name in declaration.parameters:
        _check_name(files, source, name, reserved | implied)
    return declaration


def check_values(
    files: TemplateFiles, model: type[Parameters], values: Mapping[str, str]
) -> Parameters:
    """Build parameters from examples; raise BrokenTemplate at the line at fault."""
    try:
        return model.model_validate_strings(dict(values))
    except ValidationError as error:
        finding = error.errors(include_url=False)[0]
        # One fault at a time: an author mends a file from top to bottom.
        name = str(finding["loc"][0])
        key = "example" if name in values else "default"
        line = _line(files.text(DECLARATION), name, key)
        reason = f"{key} of {name!r}: {_message(finding)}"
        raise files.broken(DECLARATION, line, reason) from error


def _check_name(
    files: TemplateFiles, source: str, name: str, reserved: frozenset[str]
) -> None:
    if not NAME.fullmatch(name):
        reason = f"{name!r} is no name: use a to z, 0 to 9 and _, up to 40"
    # A field like `copy` or `json` would hide the method of pydantic's.
    elif name in reserved or hasattr(Parameters, name):
        reason = f"{name!r} already means something else; choose another name"
    else:
        return
    raise files.broken(DECLARATION, _line(source, name, None), reason)


def _fault(files: TemplateFiles, source: str, error: ValidationError) -> BrokenTemplate:
    finding = error.errors(include_url=False)[0]
    # A place is (key,), (parameters, name) or (parameters, name, type, key).
    place = [str(part) for part in finding["loc"]]
    name = place[1] if len(place) > 1 and place[0] == "parameters" else None
    key = place[3] if len(place) > 3 else None if name else place[0]
    if finding["type"].startswith("union_tag"):
        key = "type"
    subject = " of ".join(repr(part) for part in (key, name) if part)
    line = _line(source, name, key)
    return files.broken(DECLARATION, line, f"{subject}: {_message(finding)}")


def _message(finding: Mapping[str, Any]) -> str:
    if finding["type"] == "extra_forbidden":
        like = nearest(str(finding["loc"][-1]), _KEYS, 0.75)
        meant = "leave it out" if like is None else f"is {like!r} meant?"
        return f"is not known here: {meant}"
    if finding["type"] == "union_tag_invalid":
        return f"must be one of {finding['ctx']['expected_tags']}"
    return "is required" if "union_tag" in finding["type"] else reason_of(finding)


def _line(source: str, name: str | None, key: str | None) -> int | None:
    """Find `key` of parameter `name`, else the parameter's header, else nothing."""
    # Tomllib keeps no places of values, so the text is read once more.
    section, header = None, None
    for number, text in enumerate(source.splitlines(), 1):
        if text.lstrip().startswith("["):
            found = _HEADER.match(text)
            section = found["name"].strip(" \"'") if found else text
            header = number if section == name else header
        matched = _KEY.match(text)
        if matched and section == name and matched["key"] == key:
            return number
    return header
