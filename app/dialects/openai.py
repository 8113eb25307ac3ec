"""OpenAI's images API: the names of its fields, the shape of answers and errors.

Its clients send more than any one service knows. A field that is known is checked and
handed on to a renderer that has a parameter for it; what has no effect is said in
`warnings`. Refused is what has no meaning, and a name that is one of these misspelt.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from types import MappingProxyType
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
)

from app.access.errors import (
    BudgetExhausted,
    KeyExpired,
    KeyInvalid,
    KeyRequired,
    QuotaExceeded,
    RateExceeded,
    ScopeMissing,
)
from app.media import Media
from app.pipeline.admission import Busy
from app.pipeline.generation import GeneratedImages, Generation
from app.pipeline.idempotency import Attempt, KeyReused
from app.renderer.errors import (
    BadParameter,
    Fault,
    LimitExceeded,
    RenderTimeout,
    Undrawable,
    UnknownRenderer,
    nearest,
    shorten,
)
from app.renderer.params import as_meant, faults_of
from app.upstream.errors import (
    CircuitOpen,
    UpstreamBusy,
    UpstreamError,
    UpstreamFiltered,
    UpstreamRefused,
)

_SIZE = re.compile(r"([1-9][0-9]{0,4})[xX\u00d7*]([1-9][0-9]{0,4})\Z")
_INVALID = "invalid_value"
_KEY = "invalid_api_key"
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
        "model_quality": "quality",
        "model_background": "background",
    }
)
# Parameters that only some renderers have, by their names here.
_WISHES = MappingProxyType(
    {
        **{name: name for name in ("negative_prompt", "seed", "style", "moderation")},
        **{name: name for name in ("user", "steps", "cfg_scale")},
        "quality": "model_quality",
        "background": "model_background",
        "guidance_scale": "cfg_scale",
        "num_inference_steps": "steps",
    }
)
# Values that say what is done anyway.
_USUAL = MappingProxyType(
    {
        "quality": ("auto", "standard"),
        "style": ("auto",),
        "background": ("auto",),
        "moderation": ("auto",),
    }
)
# A picture that is left out is no detail.
_PICTURES = ("image", "image_url", "images", "init_images", "mask")
_NO_EFFECT = "is not known here and has no effect"
# From this likeness on an unknown name is a known one misspelt: `sizee`, no `style_id`.
_LIKENESS = 0.8
# How clients count their attempts, and how they say who they are.
_RETRIES = re.compile(r"[1-9][0-9]{0,3}\Z")
# It makes n calls of one image each, all at once and equal.
_PARTING = re.compile(r"(?:^|\s)ai-sdk/")
_MOST_WARNINGS = 20
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
        KeyRequired: (401, _KEY),
        KeyInvalid: (401, _KEY),
        KeyExpired: (401, _KEY),
        ScopeMissing: (403, "insufficient_permissions"),
        RateExceeded: (429, "rate_limit_exceeded"),
        QuotaExceeded: (429, "insufficient_quota"),
        BudgetExhausted: (429, "insufficient_quota"),
    }
)


class BadField(BadParameter):
    """Fields of this dialect are not valid; `code` is OpenAI's word for the first."""

    def __init__(self, code: str, *faults: Fault) -> None:
        super().__init__(*faults)
        self.code = code


class OpenAIRequest(NamedTuple):
    """What to make, and how it is to come.

    `form` is `b64_json`, `url`, or None for both; `stream` asks for events. `warnings`
    are of fields that have no effect whatever the renderer.
    """

    generation: Generation
    form: str | None = None
    stream: bool = False
    warnings: tuple[str, ...] = ()


def _size(text: str) -> str:
    if text != "auto" and not _SIZE.match(text):
        raise ValueError("must be auto, or like 1024x1024")
    return text


_Word = Annotated[str, StringConstraints(max_length=200)]
_Side = Annotated[int, Field(ge=1, le=65_535)]


class _Request(BaseModel):
    """The fields that are known, with the values that some service takes."""

    model_config = ConfigDict(strict=True, extra="allow", allow_inf_nan=False)

    prompt: str
    model: str | None = None
    n: int = 1
    size: Annotated[str, AfterValidator(_size)] = "auto"
    width: _Side | None = None
    height: _Side | None = None
    response_format: Literal["b64_json", "url"] | None = None
    output_format: Literal["png", "jpeg", "jpg", "webp"] | None = None
    output_compression: int | None = Field(None, ge=0, le=100)
    quality: _Word | None = None
    style: _Word | None = None
    background: _Word | None = None
    moderation: _Word | None = None
    user: _Word | None = None
    seed: int | None = Field(None, ge=-1)
    negative_prompt: str | None = None
    steps: int | None = None
    num_inference_steps: int | None = None
    cfg_scale: float | None = None
    guidance_scale: float | None = None
    stream: bool = False
    partial_images: int = Field(0, ge=0, le=3)

    @property
    def wishes(self) -> dict[str, Any]:
        """What only some renderers know, by the names of their parameters."""
        given = {name: getattr(self, name) for name in _WISHES}
        if self.seed == -1:
            # Stable Diffusion's word for a seed of its own choice.
            given["seed"] = None
        return {
            _WISHES[name]: value
            for name, value in given.items()
            if value is not None and value not in _USUAL.get(name, ())
        }


def request_schema() -> dict[str, Any]:
    """Return the JSON Schema of a request; what else is sent has no effect."""
    return _Request.model_json_schema()


def attempt_of(retry_count: str | None, user_agent: str | None) -> Attempt:
    """Return what a request is to equal ones before it, by what a client says.

    The clients of OpenAI count: `x-stainless-retry-count` is 0 at first. Others say
    nothing, and one makes several calls of one wish.
    """
    if retry_count is not None and _RETRIES.match(retry_count.strip()):
        return "retry"
    return "part" if _PARTING.search(user_agent or "") else "first"


def read(
    document: Mapping[str, Any], key: str | None, attempt: Attempt = "first"
) -> OpenAIRequest:
    """Return what is asked for; raise BadField that names OpenAI's fields."""
    values = {name: value for name, value in document.items() if value is not None}
    try:
        given = _Request.model_validate(values)
    except ValidationError as error:
        meant = as_meant(_Request, values, error)
        if meant:
            return read({**document, **meant}, key, attempt)
        code = _CODES.get(error.errors(include_input=False)[0]["type"], _INVALID)
        raise BadField(code, *faults_of(error)) from error
    warnings = list(_unknown(given))
    output = {"format": "jpeg" if given.output_format == "jpg" else given.output_format}
    quality = given.output_compression
    if quality is not None and given.output_format in ("jpeg", "jpg", "webp"):
        # Ours begin at 1.
        output["quality"] = max(quality, 1)  # type: ignore[assignment]
    elif quality not in (None, 100):
        warnings.append("output_compression: counts for jpeg and webp alone")
    if given.partial_images:
        warnings.append("partial_images: images are sent when they are done")
    generation = Generation(
        {"prompt": given.prompt, **_sides(given)},
        given.model,
        given.n,
        {name: value for name, value in output.items() if value is not None},
        key,
        attempt,
        given.wishes,
    )
    return OpenAIRequest(
        generation, given.response_format, given.stream, tuple(warnings)
    )


def read_edit(
    fields: Mapping[str, Any],
    images: Sequence[str],
    key: str | None,
    attempt: Attempt = "first",
) -> OpenAIRequest:
    """Return what is to be made of an image; raise BadField that names the fields.

    `fields` may be texts, as a form has them, `images` are base64 or data URIs.
    """
    if len(images) != 1:
        reason = "is required" if not images else "is given more than once"
        raise BadField(_INVALID, Fault("image", reason))
    if "mask" in fields:
        reason = "is not something that a renderer here can be told"
        raise BadField("unknown_parameter", Fault("mask", reason))
    asked = read(fields, key, attempt)
    return asked._replace(generation=replace(asked.generation, image=images[0]))


def _sides(given: _Request) -> dict[str, int]:
    """Return width and height, which some clients send beside `size`."""
    sides = {"width": given.width, "height": given.height}
    apart = {name: side for name, side in sides.items() if side is not None}
    size = _SIZE.match(given.size)
    if size is None:
        return apart
    both = {"width": int(size[1]), "height": int(size[2])}
    for name, side in apart.items():
        if side != both[name]:
            raise BadField(_INVALID, Fault(name, f"is another than in size {size[0]}"))
    return both


def _unknown(given: _Request) -> Iterator[str]:
    """Yield a warning for each name that is not known; raise where one is misspelt."""
    for name in given.model_extra or ():
        if name in _PICTURES:
            reason = "belongs to /v1/images/edits: no image is made of another here"
            raise BadField("unknown_parameter", Fault(name, reason))
        like = nearest(name.lower(), _Request.model_fields, _LIKENESS)
        if like:
            reason = f"is not known (did you mean {like}?)"
            raise BadField("unknown_parameter", Fault(shorten(name), reason))
        yield f"{shorten(name)}: {_NO_EFFECT}"


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
    return status_of_kind(type(error), status, word)


def status_of_kind(
    kind: type[Exception] | None, status: int, word: str
) -> tuple[int, str]:
    """Return OpenAI's status and code of a class of errors, as `status_of`."""
    own = None if kind is None else _OWN.get(kind)
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
    if isinstance(error, (BudgetExhausted, QuotaExceeded)):
        # They would come back within seconds, and it takes hours.
        return (("x-should-retry", "false"),)
    paid = isinstance(error, UpstreamError) and error.outcome_unknown
    if paid or isinstance(error, KeyReused):
        return (("x-should-retry", "false"),)
    return ()


def warnings_of(asked: OpenAIRequest, unfulfilled: Iterable[Fault]) -> list[str]:
    """Return what of a request had no effect, by the names of this dialect."""
    told = [f"{name_of(field)}: {why}" for field, why in unfulfilled]
    found = [*asked.warnings, *told]
    more = [f"and {len(found) - _MOST_WARNINGS} more"] if found[_MOST_WARNINGS:] else []
    return found[:_MOST_WARNINGS] + more


def write(
    album: GeneratedImages,
    created: int,
    links: Sequence[Mapping[str, Any]] | None,
    form: str | None = None,
) -> dict[str, Any]:
    """Return the answer as a document in which images are bytes.

    `created` is in seconds since the epoch. `links` are the members that lead to
    each image, `url` and `expires_at`, where there are any; they stand beside the
    image itself unless `form` asks for one of both.
    """
    document: dict[str, Any] = {
        "created": created,
        "data": [
            {**members, **_told(media)}
            for members, media in zip(
                _members(album, links, form), album.images, strict=True
            )
        ],
        "output_format": album.images[0].media_type.partition("/")[2],
        "size": f"{album.images[0].width}x{album.images[0].height}",
    }
    if album.absent:
        document["missing"] = [asdict(each) for each in album.absent]
    return document


def _members(
    album: GeneratedImages, links: Sequence[Mapping[str, Any]] | None, form: str | None
) -> Iterator[dict[str, Any]]:
    for place, media in enumerate(album.images):
        link = {} if links is None or form == "b64_json" else links[place]
        yield {**link, **({} if form == "url" and link else {"b64_json": media.data})}


def write_events(
    album: GeneratedImages, created: int, kind: str
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the events of a stream: name and document, in which images are bytes.

    `kind` is `image_generation` or `image_edit`.
    """
    for media in album.images:
        yield (
            f"{kind}.completed",
            {
                "type": f"{kind}.completed",
                "b64_json": media.data,
                "created_at": created,
                "output_format": media.media_type.partition("/")[2],
                "size": f"{media.width}x{media.height}",
                **_told(media),
            },
        )


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
