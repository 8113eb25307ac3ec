"""OpenAI's images API: the names of its fields, the shape of answers and errors.

Of the request every field counts or is refused; `user` alone, which is for the
service's own records, has no effect. `seed` and `negative_prompt` are additions.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from types import MappingProxyType
from typing import Any, NamedTuple

from app.media import Media
from app.pipeline.admission import Busy
from app.pipeline.generation import Album, Generation
from app.pipeline.idempotency import KeyReused
from app.renderer.errors import (
    BadParameter,
    Fault,
    LimitExceeded,
    RenderTimeout,
    Undrawable,
    UnknownRenderer,
    shorten,
)
from app.upstream.errors import (
    CircuitOpen,
    UpstreamBusy,
    UpstreamError,
    UpstreamFiltered,
    UpstreamRefused,
)

_SIZE = re.compile(r"([1-9][0-9]{0,4})x([1-9][0-9]{0,4})\Z")
_FORMATS = ("png", "jpeg", "webp")
FORMS = ("b64_json", "url")
_INVALID = "invalid_value"
# Fields of OpenAI's that choose between things there is no choice of here.
_FIXED = MappingProxyType(
    {
        "quality": ("auto", "standard"),
        "style": ("auto",),
        "background": ("auto",),
        "moderation": ("auto",),
        "stream": (False,),
        "partial_images": (0,),
    }
)
_CHOICES = MappingProxyType(
    {"response_format": FORMS, "output_format": _FORMATS, **_FIXED}
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


class Asked(NamedTuple):
    """What to make, and whether images are to come as `b64_json` or as `url`."""

    generation: Generation
    form: str


def read(document: Mapping[str, Any], key: str | None) -> Asked:
    """Return what is asked for; raise BadField that names OpenAI's fields."""
    given = {name: value for name, value in document.items() if value is not None}
    faults = tuple(_faults(given))
    if faults:
        raise BadField(faults[0][0], *(fault for _, fault in faults))
    parameters: dict[str, Any] = {
        name: given[name]
        for name in ("prompt", "negative_prompt", "seed")
        if name in given
    }
    size = _SIZE.match(given.get("size", "auto"))
    if size is not None:
        parameters |= {"width": int(size[1]), "height": int(size[2])}
    names = {"format": "output_format", "quality": "output_compression"}
    output = {name: given[theirs] for name, theirs in names.items() if theirs in given}
    generation = Generation(
        parameters, given.get("model"), given.get("n", 1), output, key
    )
    return Asked(generation, given.get("response_format", "b64_json"))


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
    album: Album, created: int, links: Sequence[Mapping[str, Any]] | None
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


def _faults(given: Mapping[str, Any]) -> Iterator[tuple[str, Fault]]:
    for name, value in given.items():
        check = _CHECKS.get(name)
        if check is None:
            reason = f"is not known; known are {', '.join(_CHECKS)}"
            yield "unknown_parameter", Fault(name, reason)
        elif reason := check(value):
            code = "unsupported_value" if name in _CHOICES else _INVALID
            yield code, Fault(name, reason)
    if "prompt" not in given:
        yield _INVALID, Fault("prompt", "is required")


def _text(value: Any) -> str:
    return "" if isinstance(value, str) else "must be a text"


def _whole(value: Any) -> str:
    whole = isinstance(value, int) and not isinstance(value, bool)
    return "" if whole else "must be a whole number"


def _one_of(*known: Any) -> Callable[[Any], str]:
    names = ", ".join(map(str, known))

    def check(value: Any) -> str:
        fits = any(value == one and type(value) is type(one) for one in known)
        return "" if fits else f"{shorten(str(value))} is not supported; say {names}"

    return check


def _size(value: Any) -> str:
    fits = isinstance(value, str) and (value == "auto" or _SIZE.match(value))
    return "" if fits else "must be auto, or like 1024x1024"


def _compression(value: Any) -> str:
    if _whole(value) or not 1 <= value <= 100:
        return "must be a whole number from 1 to 100"
    return ""


_CHECKS: Mapping[str, Callable[[Any], str]] = MappingProxyType(
    {
        "prompt": _text,
        "model": _text,
        "n": _whole,
        "size": _size,
        "output_compression": _compression,
        "seed": _whole,
        "negative_prompt": _text,
        "user": _text,
        **{name: _one_of(*known) for name, known in _CHOICES.items()},
    }
)
