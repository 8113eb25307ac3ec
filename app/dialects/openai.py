"""OpenAI's images API: the names of its fields, the shape of answers and errors.

Of the request every field counts or is refused; `user` alone, which is for the
service's own records, has no effect. `seed` and `negative_prompt` are additions.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from types import MappingProxyType
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
)

from app.media import Media
from app.pipeline.admission import Busy
from app.pipeline.generation import GeneratedImages, Generation
from app.pipeline.idempotency import KeyReused
from app.renderer.errors import (
    BadParameter,
    Fault,
    LimitExceeded,
    RenderTimeout,
    Undrawable,
    UnknownRenderer,
)
from app.renderer.params import faults_of
from app.upstream.errors import (
    CircuitOpen,
    UpstreamBusy,
    UpstreamError,
    UpstreamFiltered,
    UpstreamRefused,
)

_SIZE = re.compile(r"([1-9][0-9]{0,4})x([1-9][0-9]{0,4})\Z")
_INVALID = "invalid_value"
# OpenAI's words for what pydantic finds, where it is not an invalid value.
_CODES = MappingProxyType(
    {"extra_forbidden": "unknown_parameter", "literal_error": "unsupported_value"}
)
# What the fields of a Generation are called here.
_NAMES = MappingProxyType(
    {
        "renderer": "model",
        "width": "size",
        "height": "size",
        "format": "output_format",
        "quality": "output_compression",
    }
)
# What of an image's facts is told beside it.
_TOLD = ("revised_prompt", "seed", "finish_reason", "repairs", "warnings")


# Where OpenAI's status or code is not that of the problem.
_OWN: Mapping[type[Exception], tuple[int, str]] = MappingProxyType(
    {
        BadParameter: (400, _INVALID),
        LimitExceeded: (400, "limit_exceeded"),
        Undrawable: (400, "undrawable"),
        RenderTimeout: (400, "render_timeout"),
        UnknownRenderer: (404, "model_not_found"),
        UpstreamFiltered: (400, "content_policy_violation"),
        UpstreamRefused: (400, "upstream_refused"),
        UpstreamBusy: (429, "rate_limit_exceeded"),
    }
)


class BadField(BadParameter):
    """Fields of this dialect are not valid; `code` is OpenAI's word for the first."""

    def __init__(self, code: str, *faults: Fault) -> None:
        super().__init__(*faults)
        self.code = code


class OpenAIRequest(NamedTuple):
    """What to make, and whether images are to come as `b64_json` or as `url`."""

    generation: Generation
    form: str


def _size(text: str) -> str:
    if text != "auto" and not _SIZE.match(text):
        raise ValueError("must be auto, or like 1024x1024")
    return text


def _boolean(value: Any) -> Any:
    # A Literal takes 0 for False.
    if not isinstance(value, bool):
        raise ValueError("must be true or false")
    return value


class _Request(BaseModel):
    """The fields; a Literal of one value chooses where there is no choice here."""

    model_config = ConfigDict(strict=True, extra="forbid")

    prompt: str
    model: str | None = None
    n: int = 1
    size: Annotated[str, AfterValidator(_size)] = "auto"
    output_compression: int | None = Field(None, ge=1, le=100)
    seed: int | None = None
    negative_prompt: str | None = None
    user: str | None = None
    response_format: Literal["b64_json", "url"] = "b64_json"
    output_format: Literal["png", "jpeg", "webp"] | None = None
    quality: Literal["auto", "standard"] = "auto"
    style: Literal["auto"] = "auto"
    background: Literal["auto"] = "auto"
    moderation: Literal["auto"] = "auto"
    stream: Annotated[Literal[False], BeforeValidator(_boolean)] = False
    partial_images: Literal[0] = 0


def read(document: Mapping[str, Any], key: str | None) -> OpenAIRequest:
    """Return what is asked for; raise BadField that names OpenAI's fields."""
    values = {name: value for name, value in document.items() if value is not None}
    try:
        given = _Request.model_validate(values)
    except ValidationError as error:
        code = _CODES.get(error.errors(include_input=False)[0]["type"], _INVALID)
        raise BadField(code, *_faults(error)) from error
    parameters = given.model_dump(
        include={"prompt", "negative_prompt", "seed"}, exclude_none=True
    )
    size = _SIZE.match(given.size)
    if size is not None:
        parameters |= {"width": int(size[1]), "height": int(size[2])}
    output = {"format": given.output_format, "quality": given.output_compression}
    output = {name: value for name, value in output.items() if value is not None}
    generation = Generation(parameters, given.model, given.n, output, key)
    return OpenAIRequest(generation, given.response_format)


def _faults(error: ValidationError) -> Iterator[Fault]:
    for name, reason in faults_of(error):
        if name not in _Request.model_fields:
            reason = f"is not known; known are {', '.join(_Request.model_fields)}"
        yield Fault(name, reason)


def name_of(field: str) -> str:
    """Return what a field of a Generation is called here."""
    return _NAMES.get(field, field)


def renamed(error: BadParameter) -> BadParameter:
    """Return an error of a Generation with the names of this dialect."""
    return BadParameter(*(Fault(name_of(field), why) for field, why in error.faults))


def status_of(error: Exception, status: int, word: str) -> tuple[int, str]:
    """Return OpenAI's status and code of an error.

    `status` is the one of its problem, `word` the problem's type, or its title.
    """
    if isinstance(error, BadField):
        return 400, error.code
    own = _OWN.get(type(error))
    return own or (status, re.sub(r"[^a-z]+", "_", word.lower()))


def param_of(error: Exception) -> str | None:
    """Return the field that an error is about, by its name here."""
    if isinstance(error, UnknownRenderer):
        return "model"
    if isinstance(error, BadParameter):
        return error.faults[0].field
    field = getattr(error, "field", None)
    return None if field is None else name_of(field)


def retry_headers(error: Exception) -> tuple[tuple[str, str], ...]:
    """Say what OpenAI's clients ask before they count attempts, or nothing."""
    if isinstance(error, (Busy, UpstreamBusy, CircuitOpen)):
        return (("x-should-retry", "true"),)
    paid = isinstance(error, UpstreamError) and error.outcome_unknown
    if paid or isinstance(error, KeyReused):
        return (("x-should-retry", "false"),)
    return ()


def write(
    album: GeneratedImages, created: int, links: Sequence[Mapping[str, Any]] | None
) -> dict[str, Any]:
    """Return the answer as a document in which images are bytes.

    `created` is in seconds since the epoch. `links` are the members that stand for
    each image where it is not sent itself: `url` and `expires_at`.
    """
    sent = links or [{"b64_json": media.data} for media in album.images]
    document: dict[str, Any] = {
        "created": created,
        "data": [
            {**members, **_told(media)}
            for members, media in zip(sent, album.images, strict=True)
        ],
        "output_format": album.images[0].media_type.partition("/")[2],
        "size": f"{album.images[0].width}x{album.images[0].height}",
    }
    if album.absent:
        document["missing"] = [asdict(each) for each in album.absent]
    return document


def write_model(name: str) -> dict[str, Any]:
    """Return a renderer as a model; there is no time at which it was made."""
    return {"id": name, "object": "model", "created": 0, "owned_by": "mimeo"}


def write_error(message: str, status: int, code: str, param: str | None) -> Any:
    """Return an error; all four members are always there."""
    kind = "invalid_request_error" if status < 500 else "server_error"
    kind = "rate_limit_error" if status == 429 else kind
    error = {"message": message, "type": kind, "param": param, "code": code}
    return {"error": error}


def _told(media: Media) -> dict[str, Any]:
    told = {name: media.facts[name] for name in _TOLD if media.facts.get(name)}
    if "seed" in media.facts:
        told["seed"] = media.facts["seed"]
    return told
