"""What is asked of an upstream, in the words of its kind; nothing is sent here."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any
from urllib.parse import quote, urlsplit

import orjson
from urllib3.filepost import encode_multipart_formdata

from app.upstream.request.capabilities import Dialect, dialect_of
from app.upstream.request.prompt import Ask, ratio
from app.upstream.service import Service

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
