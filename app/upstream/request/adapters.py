"""What is asked of an upstream, in the words of its kind; nothing is sent here.

What a kind cannot say is refused and never left out, and so is what it would change
without a word.
"""

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from math import gcd
from types import MappingProxyType
from typing import Annotated, Any, Literal
from urllib.parse import quote, urlsplit

import orjson
from pydantic import Field, create_model
from urllib3.filepost import encode_multipart_formdata

from app.renderer.errors import BadParameter, Fault
from app.renderer.params import Parameters, Text, Words
from app.upstream.request.capabilities import DETAILS, RATIOS, Dialect, dialect_of
from app.upstream.service import Service


@dataclass(frozen=True, slots=True)
class Ask:
    """What a caller wants; sides are in pixels, None is the upstream's own choice.

    `format` (`png`, `jpeg`, ...) is the one in which the upstream's bytes could be
    handed on untouched. It is a wish: where it cannot be said, whoever asks encodes.
    `details` are by the names in `capabilities.DETAILS`.
    """

    prompt: str
    negative_prompt: str | None = None
    seed: int | None = None
    width: int | None = None
    height: int | None = None
    n: int = 1
    format: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(
        cls, parameters: Parameters, *, n: int = 1, format: str | None = None
    ) -> "Ask":
        """Return what instances of a class made by `parameters` ask for."""
        given = parameters.model_dump(exclude_none=True)
        details = {name: given.pop(name) for name in DETAILS if name in given}
        return cls(**given, n=n, format=format, details=details)


def parameters(upstream: Service) -> type[Parameters]:
    """Return the class of a caller's parameters: only fields that the upstream knows.

    Bounds that tie fields together, such as a list of sizes, are checked by `check`.
    """
    dialect = dialect_of(upstream)
    known = {"prompt": _prompt(dialect), **_optional(dialect)}
    fields: dict[str, Any] = {
        name: row for name, row in known.items() if name in ("prompt", *dialect.fields)
    }
    title = "".join(
        part.capitalize() for part in re.split(r"[^A-Za-z0-9]+", upstream.name)
    )
    about = f"What {upstream.name} can be asked for."
    return create_model(title, __base__=Parameters, __doc__=about, **fields)


def _prompt(dialect: Dialect) -> tuple[Any, Any]:
    length = Field(min_length=1, max_length=dialect.prompt_chars)
    return Annotated[Words, length], Field(description="What to show, in words.")


def _optional(dialect: Dialect) -> dict[str, tuple[Any, Any]]:
    """Return every field beside the prompt that some upstream knows."""
    chars = Field(max_length=dialect.prompt_chars)
    seed = Field(ge=0, le=dialect.most_seed)
    side = Field(ge=dialect.least_side, le=dialect.most_side, multiple_of=dialect.step)
    size = f" {_sizes(dialect)}" if dialect.sizes or dialect.ratios else ""
    absent = "without it the service chooses."
    return {
        "negative_prompt": (
            Annotated[Text, chars] | None,
            Field(None, description="What not to show, in words."),
        ),
        "seed": (
            Annotated[int, seed] | None,
            Field(None, description=f"Starts the service's chance; {absent}"),
        ),
        "width": (
            Annotated[int, side] | None,
            Field(None, description=f"Pixels; {absent}{size}"),
        ),
        "height": (
            Annotated[int, side] | None,
            Field(None, description=f"Pixels; {absent}{size}"),
        ),
        "steps": (
            Annotated[int, Field(ge=1, le=150)] | None,
            Field(None, description=f"Steps of the diffusion; {absent}"),
        ),
        "cfg_scale": (
            Annotated[float, Field(ge=0, le=35)] | None,
            Field(None, description=f"How closely to keep to the prompt; {absent}"),
        ),
        **{
            name: (_word(dialect.words.get(name)), Field(None, description=about))
            for name, about in _ABOUT.items()
        },
    }


# What the words among the details mean.
_ABOUT = MappingProxyType(
    {
        "model_quality": "How much effort the model makes.",
        "model_background": "Whether the model leaves the ground transparent.",
        "style": "The manner of the model.",
        "moderation": "How strict the service's filter is.",
        "user": "Whom the service's own records name.",
    }
)


def _word(known: tuple[str, ...] | None) -> Any:
    """Return the type of a word: one of those known, or any short one."""
    if known is None:
        return Annotated[Words, Field(max_length=200)] | None
    return Literal[known] | None


def _sizes(dialect: Dialect) -> str:
    """Say which sizes there are, as a sentence."""
    if dialect.sizes:
        known = ", ".join(f"{width}x{height}" for width, height in dialect.sizes)
        return f"Width and height together are one of {known}."
    return f"Width to height is one of {', '.join(RATIOS.values())}."


def check(upstream: Service, ask: Ask) -> None:
    """Raise BadParameter for what the upstream cannot be told."""
    faults = tuple(_faults(dialect_of(upstream), ask))
    if faults:
        raise BadParameter(*faults)


def _faults(dialect: Dialect, ask: Ask) -> Iterator[Fault]:
    """Yield what this upstream cannot be told."""
    if not ask.prompt.strip():
        yield Fault("prompt", "is empty")
    elif len(ask.prompt) > dialect.prompt_chars:
        reason = f"has more than the {dialect.prompt_chars:,} characters it may have"
        yield Fault("prompt", reason)
    asked = {
        "negative_prompt": bool(ask.negative_prompt),
        "seed": ask.seed is not None,
        "width": ask.width is not None,
        "height": ask.height is not None,
        "n": ask.n != 1,
        **dict.fromkeys(ask.details, True),
    }
    unknown = [
        name for name, given in asked.items() if given and name not in dialect.fields
    ]
    for name in unknown:
        yield Fault(name, "is not something that this service can be told")
    for fault in _out_of_bounds(dialect, ask):
        if fault.field not in unknown:
            yield fault


def _out_of_bounds(dialect: Dialect, ask: Ask) -> Iterator[Fault]:
    if ask.negative_prompt and len(ask.negative_prompt) > dialect.prompt_chars:
        reason = f"has more than the {dialect.prompt_chars:,} characters it may have"
        yield Fault("negative_prompt", reason)
    if not 1 <= ask.n <= dialect.most:
        yield Fault("n", f"must be from 1 to {dialect.most}")
    if ask.seed is not None and not 0 <= ask.seed <= dialect.most_seed:
        yield Fault("seed", f"must be from 0 to {dialect.most_seed:,}")
    sides = list(_bad_sides(dialect, ask))
    yield from sides or _bad_size(dialect, ask)


def _bad_sides(dialect: Dialect, ask: Ask) -> Iterator[Fault]:
    # One side alone leaves the other to the service: no listed size is sure then.
    together = dialect.paired or dialect.sizes
    for name, side, other in (
        ("width", ask.width, ask.height),
        ("height", ask.height, ask.width),
    ):
        if side is None:
            if together and other is not None:
                yield Fault(name, "is required where the other side is given")
        elif not dialect.least_side <= side <= dialect.most_side:
            reason = f"must be from {dialect.least_side} to {dialect.most_side:,}"
            yield Fault(name, reason)
        elif side % dialect.step:
            yield Fault(name, f"must be a multiple of {dialect.step}")


def _bad_size(dialect: Dialect, ask: Ask) -> Iterator[Fault]:
    if ask.width is None or ask.height is None:
        return
    listed = not dialect.sizes or (ask.width, ask.height) in dialect.sizes
    if not listed or (dialect.ratios and ratio(ask) is None):
        yield Fault("width", f"{ask.width}x{ask.height}: {_sizes(dialect)}")


def ratio(ask: Ask) -> str | None:
    """Return the aspect ratio in Stability's words; None where it has none."""
    if ask.width is None or ask.height is None:
        return None
    divisor = gcd(ask.width, ask.height)
    return RATIOS.get((ask.width // divisor, ask.height // divisor))


_JSON = "application/json"


@dataclass(frozen=True, slots=True)
class WireRequest:
    """A request as it is sent; `path` goes behind the upstream's base.

    `warnings` say what the upstream will do otherwise than asked. Headers hold a key
    and the body a prompt, so neither is shown.
    """

    method: str
    path: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    warnings: tuple[str, ...] = ()


def build(upstream: Service, ask: Ask) -> WireRequest:
    """Return the request for what `check` has found nothing against."""
    request = _BUILDERS[upstream.kind](upstream, dialect_of(upstream), ask)
    credential = upstream.credential
    if credential is None:
        return request
    signed = {**request.headers, credential.header: credential.value}
    return replace(request, headers=signed)


def _format(dialect: Dialect, ask: Ask) -> str | None:
    """Return the wished format in the words of media types, if it can be said."""
    name = "jpeg" if ask.format == "jpg" else ask.format
    return name if name in dialect.formats else None


def _given(**values: Any) -> dict[str, Any]:
    """Leave out what is absent or empty."""
    return {name: value for name, value in values.items() if value not in (None, "")}


def _post(path: str, document: Any, accept: str) -> WireRequest:
    headers = {"Accept": accept, "Content-Type": _JSON}
    return WireRequest("POST", path, headers, orjson.dumps(document))


def _openai(upstream: Service, dialect: Dialect, ask: Ask) -> WireRequest:
    size = f"{ask.width}x{ask.height}" if ask.width else None
    # The models named so always send base64, and refuse the question.
    asks_for_form = not (upstream.model or "").startswith(("gpt-image", "chatgpt"))
    document = _given(
        model=upstream.model,
        prompt=ask.prompt,
        n=ask.n,
        size=size,
        response_format="b64_json" if asks_for_form else None,
        output_format=_format(dialect, ask),
        **_details(ask),
    )
    return _post("/images/generations", document, _JSON)


def _stability(upstream: Service, dialect: Dialect, ask: Ask) -> WireRequest:
    build_api = _v1 if upstream.api == "v1" else _v2beta
    return build_api(upstream, dialect, ask)


def _v1(upstream: Service, dialect: Dialect, ask: Ask) -> WireRequest:
    prompts = [{"text": ask.prompt, "weight": 1}]
    if ask.negative_prompt:
        prompts.append({"text": ask.negative_prompt, "weight": -1})
    document = _given(
        text_prompts=prompts,
        samples=ask.n,
        seed=ask.seed,
        width=ask.width,
        height=ask.height,
        **_details(ask),
    )
    engine = quote(upstream.model or "", safe="")
    return _post(f"/v1/generation/{engine}/text-to-image", document, _JSON)


def _v2beta(upstream: Service, dialect: Dialect, ask: Ask) -> WireRequest:
    """Write a form: multipart it must be, although it holds no file."""
    model = upstream.model or ""
    shape = ratio(ask)
    parts = _given(
        prompt=ask.prompt,
        negative_prompt=ask.negative_prompt,
        seed=ask.seed,
        aspect_ratio=shape,
        output_format=_format(dialect, ask),
        model=model if len(model) > len("sd3") and model.startswith("sd3") else None,
    )
    kind, body = _multipart(parts)
    # Binary, whose headers tell seed and finish reason: base64 costs a third more.
    headers = {"Accept": "image/*", "Content-Type": kind}
    place = "sd3" if model.startswith("sd3") else quote(model, safe="")
    return WireRequest(
        "POST",
        f"/v2beta/stable-image/generate/{place}",
        headers,
        body,
        (f"width and height became the aspect ratio {shape}",) if shape else (),
    )


def _multipart(parts: Mapping[str, Any]) -> tuple[str, bytes]:
    """Return media type and body of a form (RFC 7578); equal parts, equal bytes."""
    boundary = hashlib.sha256(orjson.dumps(dict(parts))).hexdigest()
    fields = {name: str(value) for name, value in parts.items()}
    body, media_type = encode_multipart_formdata(fields, boundary)
    return media_type, body


def _details(ask: Ask) -> dict[str, Any]:
    """Return the details by the names that services have for them."""
    named = {"model_quality": "quality", "model_background": "background"}
    return {named.get(name, name): value for name, value in ask.details.items()}


def _words(ask: Ask) -> dict[str, Any]:
    """Return what most kinds call as we do."""
    return {
        "prompt": ask.prompt,
        "negative_prompt": ask.negative_prompt,
        "seed": ask.seed,
        "width": ask.width,
        "height": ask.height,
    }


def _sdwebui(upstream: Service, dialect: Dialect, ask: Ask) -> WireRequest:
    # Images one after the other: a batch needs the memory of all of them at once.
    document = _given(
        **_words(ask),
        batch_size=1,
        n_iter=ask.n,
        send_images=True,
        save_images=False,
        **_details(ask),
    )
    if upstream.model:
        document["override_settings"] = {"sd_model_checkpoint": upstream.model}
    return _post("/sdapi/v1/txt2img", document, _JSON)


def _plain(upstream: Service, dialect: Dialect, ask: Ask) -> WireRequest:
    """Speak the simple producer contract, which Mimeo's own `/inference` speaks."""
    model = "renderer" if upstream.kind == "auto" else "model"
    document = _given(
        **_words(ask),
        n=ask.n if ask.n != 1 else None,
        **{model: upstream.model},
        # Another Mimeo has our names, others have OpenAI's.
        **(ask.details if upstream.kind == "auto" else _details(ask)),
    )
    path = "/inference" if upstream.kind == "auto" and _is_bare(upstream.url) else ""
    return _post(path, document, _accept(upstream, dialect, ask))


def _is_bare(url: str) -> bool:
    return urlsplit(url).path in ("", "/") and "?" not in url


def _accept(upstream: Service, dialect: Dialect, ask: Ask) -> str:
    if upstream.kind == "json" or ask.n != 1:
        return _JSON
    if upstream.kind == "binary":
        return "image/*"
    wished = _format(dialect, ask)
    binary = f"image/{wished}, image/*;q=0.9" if wished else "image/*"
    return f"{binary}, {_JSON};q=0.5"


_BUILDERS: Mapping[str, Callable[[Service, Dialect, Ask], WireRequest]] = (
    MappingProxyType(
        {
            "auto": _plain,
            "binary": _plain,
            "json": _plain,
            "openai": _openai,
            "sdwebui": _sdwebui,
            "stability": _stability,
        }
    )
)
