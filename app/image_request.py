"""Strings and JSON in, one valid, frozen image request out.

All spellings of a request (query, form, JSON, multipart) end in the same
object, so they have one fingerprint and one answer.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeVar
from urllib.parse import quote_plus

import orjson
from pydantic import BaseModel

from app.config import Settings
from app.renderer import encode, produce
from app.renderer.base import ImageSource, Output, Renderer
from app.renderer.errors import BadParameter, Fault, nearest, shorten
from app.renderer.params import Parameters, is_address, spell_bytes, validate
from app.renderer.produce import ENCODERS, formats, image_fields

# gunicorn takes request lines of up to 8,190 bytes.
_MAX_URL = 8000
_LATER = ("sizes", "dpi", "bleed")

Checked = TypeVar("Checked", bound=BaseModel)


@dataclass(frozen=True)
class ImageRequest:
    """A renderer, its parameters and the output: everything that decides the bytes.

    What a service makes is not decided by its parameters: requests that are to have
    images of their own differ in their `occasion`, which is empty otherwise.
    """

    renderer: Renderer
    parameters: Parameters
    output: Output
    occasion: str = ""

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256, 64 hexadecimal digits, of whatever decides the bytes."""
        occasion = (self.occasion,) if self.occasion else ()
        # An option that came later would change the fingerprint of all others.
        later = {name for name in _LATER if not getattr(self.output, name)}
        options = self.output.model_dump(exclude=later)
        return _digest(*self._subject, options, ENCODERS, *occasion)

    @cached_property
    def purchase(self) -> str:
        """SHA-256 of what a service is asked for: all formats are made of one image."""
        return _digest(*self._subject, self.occasion)

    @property
    def _subject(self) -> tuple[object, ...]:
        parameters = self.parameters.model_dump(mode="json")
        return self.renderer.name, self.renderer.version, parameters

    @cached_property
    def url(self) -> str | None:
        """Path and query that pin these bytes, or None where no GET can ask for them.

        Images sent in and texts of several thousand characters do not fit a URL.
        """
        values = {**_given(self.output), **_given(self.parameters)}
        if any(isinstance(value, bytes) for value in values.values()):
            return None
        if self.output.background is not None and "background" in _names(self):
            return None
        pairs = [f"{name}={_spell(value)}" for name, value in values.items()]
        query = "&".join((*pairs, f"v={self.fingerprint}"))
        url = f"/images/{self.renderer.name}.{self.output.format}?{query}"
        return url if len(url) <= _MAX_URL else None


def _digest(*parts: object) -> str:
    canonical = orjson.dumps(parts, option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(canonical).hexdigest()


def from_strings(
    renderer: Renderer,
    pairs: Iterable[tuple[str, str]],
    format_name: str | None,
    bounds: Settings,
) -> ImageRequest:
    """Build a request from text values, as a query, a form or a command line has them.

    `format_name` is what the URL's path says, if it does. Raises BadParameter
    with every fault found, or LimitExceeded.
    """
    values = unique(pairs)
    parameters, output = _split(renderer, values, format_name)
    return _build(renderer, parameters, output, bounds, strict=False)


def from_json(
    renderer: Renderer,
    values: Mapping[str, Any],
    format_name: str | None,
    bounds: Settings,
) -> ImageRequest:
    """Build a request from one flat JSON object; types must be JSON's own."""
    parameters, output = _split(renderer, values, format_name)
    return _build(renderer, parameters, output, bounds, strict=True)


def from_parts(
    renderer: Renderer,
    parameters: Mapping[str, Any],
    output: Mapping[str, Any],
    bounds: Settings,
) -> ImageRequest:
    """Build a request from JSON that keeps parameters and output apart."""
    return _build(renderer, parameters, output, bounds, strict=True)


def in_format(request: ImageRequest, name: str, *, bleed: bool = False) -> ImageRequest:
    """Return the request for another format, with the options that it honours.

    With its `bleed`, if that is wanted, whatever the request says.

    Raises BadParameter where the picture cannot be had in it.
    """
    options = encode.FORMATS[name].options if name in encode.FORMATS else frozenset()
    given = request.output.model_dump(include=set(options), exclude_unset=True)
    wanted = {"bleed": True} if bleed else {}
    output = Output.model_validate({**given, **wanted, "format": name})
    _check_format(request.renderer, output)
    produce.check_size(request.renderer, request.parameters, output)
    return replace(request, output=output)


def _names(request: ImageRequest) -> Mapping[str, Any]:
    return request.renderer.parameters.model_fields


def _given(model: BaseModel) -> dict[str, Any]:
    """Return the fields that a caller set, without the format and empty ones."""
    names = sorted(model.model_fields_set - {"format"})
    values = {name: getattr(model, name) for name in names}
    return {name: value for name, value in values.items() if value is not None}


def _spell(value: Any) -> str:
    if isinstance(value, str):
        return quote_plus(value)
    return str(value).lower()


def unique(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return the pairs as a dict; raise BadParameter where a name comes twice."""
    values: dict[str, str] = {}
    for name, value in pairs:
        if name in values:
            raise BadParameter(Fault(name, "is given more than once"))
        values[name] = value
    return values


def _split(
    renderer: Renderer, values: Mapping[str, Any], format_name: str | None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Part renderer parameters from output options; the renderer's names go first."""
    own = renderer.parameters.model_fields
    parameters = {name: value for name, value in values.items() if name in own}
    rest = {name: value for name, value in values.items() if name not in own}
    unknown = [name for name in rest if name not in Output.model_fields]
    if unknown:
        raise BadParameter(*unknown_names(unknown, (*own, *Output.model_fields)))
    if format_name is not None:
        if "format" in rest:
            raise BadParameter(Fault("format", "is already given by the path"))
        rest["format"] = format_name
    return parameters, rest


def _build(
    renderer: Renderer,
    parameters: Mapping[str, Any],
    output: Mapping[str, Any],
    bounds: Settings,
    *,
    strict: bool,
) -> ImageRequest:
    if renderer.images is not None:
        parameters = _with_images(renderer, renderer.images, parameters, strict)
    if isinstance(output.get("format"), str):
        output = {**output, "format": encode.format_of(output["format"])}
    encoded, others = _checked(Output, output, strict)
    # Lengths become pixels at the resolution of the file.
    dpi = None if encoded is None else encoded.dpi
    drawn, faults = _checked(renderer.parameters, parameters, strict, dpi)
    if drawn is None or encoded is None:
        raise BadParameter(*faults, *others)
    return request_of(renderer, drawn, encoded, bounds)


def _checked(
    model: type[Checked],
    values: Mapping[str, Any],
    strict: bool,
    dpi: float | None = None,
) -> tuple[Checked | None, tuple[Fault, ...]]:
    """Return a model, or None and what is wrong with its values."""
    try:
        return validate(model, values, strict=strict, dpi=dpi), ()
    except BadParameter as error:
        return None, error.args


def _with_images(
    renderer: Renderer, images: ImageSource, parameters: Mapping[str, Any], strict: bool
) -> Mapping[str, Any]:
    """Put the bytes of images that are named by URL in their places."""
    found: dict[str, Any] = {}
    for name in image_fields(renderer.parameters) & parameters.keys():
        if is_address(parameters[name]):
            data = images.read(parameters[name], name)
            found[name] = data if strict else spell_bytes(data)
    return {**parameters, **found} if found else parameters


def request_of(
    renderer: Renderer, parameters: Parameters, output: Output, bounds: Settings
) -> ImageRequest:
    """Return the request for parameters and an output that are valid by themselves.

    Raises BadParameter where they cannot be had together, LimitExceeded where they
    are over a limit.
    """
    _check_format(renderer, output)
    produce.check(renderer, parameters, output, bounds)
    return ImageRequest(renderer, parameters, output)


def unknown_names(names: Iterable[str], known: Iterable[str]) -> Iterator[Fault]:
    """Name what is not known and what is like it; the first one hears what is."""
    known = tuple(known)
    hint = f"; known are {', '.join(known)}"
    for name in names:
        like = nearest(name.lower(), known)
        meant = f" (did you mean {like}?)" if like else ""
        yield Fault(name, f"is not known{meant}{hint}")
        hint = ""


def _check_format(renderer: Renderer, output: Output) -> None:
    known = formats(renderer)
    if output.format not in known:
        names = ", ".join(sorted(known))
        raise BadParameter(
            Fault("format", f"{shorten(output.format)!r} is not one of {names}")
        )
    if renderer.remote is not None and output.scale != 1:
        raise BadParameter(Fault("scale", "must be 1: a service makes the pixels"))
