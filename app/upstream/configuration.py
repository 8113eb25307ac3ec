"""Which services there are: from the environment alone, or from a TOML file of them.

Nothing of a mistake is guessed at or passed over, and no message shows a secret: each
says what a value must be, and never the value.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, NoReturn, get_args
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from app.errors import with_fields
from app.renderer.errors import BadParameter
from app.upstream.request.adapters import Ask, check
from app.upstream.request.capabilities import open_fields
from app.upstream.service import Api, Credential, Kind, Service

# Kinds whose requests have paths of their own, behind the base.
_BASED: tuple[Kind, ...] = ("openai", "stability", "sdwebui")
# Stability's models are one segment of a path.
_SEGMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\Z")
# As services write the names of models: `gpt-image-1.5`, `org/Model`.
_NAME = re.compile(r"[A-Za-z](?:[A-Za-z0-9_-]|[./](?=[A-Za-z0-9])){0,99}\Z")
_TOKEN = r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z"
# Headers that the connection and the request have of their own.
_OWN_HEADERS = frozenset(
    (
        *("accept", "accept-encoding", "connection", "content-encoding"),
        *("content-length", "content-type", "expect", "host", "idempotency-key"),
        *("te", "trailer", "transfer-encoding", "upgrade", "user-agent"),
    )
)
_ONE_LINE = "a text on one line"
# The environment variables that make upstreams, each with its meaning.
VARIABLES: Mapping[str, str] = MappingProxyType(
    {
        "AI_SERVICE_URL": "Service behind the renderer `ai-service`, any form.",
        "AI_SERVICE_KEY": "Its bearer token, if it asks for one.",
        "OPENAI_API_KEY": "Key of OpenAI; makes the renderer `openai`.",
        "OPENAI_BASE_URL": "Another server that speaks OpenAI's format.",
        "OPENAI_MODEL": "Its model (gpt-image-1).",
        "STABILITY_API_KEY": "Key of Stability; makes the renderer `stability`.",
        "STABILITY_BASE_URL": "Another server that speaks Stability's v2beta.",
        "STABILITY_MODEL": "Its model: core, ultra, sd3 or one of sd3's (core).",
        "SD_WEBUI_URL": "Stable Diffusion WebUI behind the renderer `sd-webui`.",
        "SD_WEBUI_AUTH": "Its user:password, if it asks for one.",
    }
)


@with_fields
class UpstreamSettingError(ValueError):
    """A setting of an upstream cannot be used; `place` says which one."""

    place: str
    reason: str

    def __str__(self) -> str:
        return f"{self.place}: {self.reason}"


def read_upstreams(
    environ: Mapping[str, str], file: Path | None = None
) -> tuple[Service, ...]:
    """Return the upstreams, sorted by name; the file's replace the environment's.

    Raises UpstreamSettingError at the first mistake.
    """
    found = {each.name: each for each in _from_environment(environ)}
    if file is not None:
        found |= {each.name: each for each in _read_file(file, environ)}
    return tuple(found[name] for name in sorted(found))


def _from_environment(environ: Mapping[str, str]) -> Iterator[Service]:
    given = {name: environ.get(name, "").strip() for name in VARIABLES}
    given = {name: value for name, value in given.items() if value}
    if "AI_SERVICE_URL" in given:
        yield _plain("ai-service", "auto", "AI_SERVICE", given, key="AI_SERVICE_KEY")
    if given.keys() & {"OPENAI_API_KEY", "OPENAI_BASE_URL"}:
        yield _hosted("openai", given, "https://api.openai.com/v1", "gpt-image-1")
    if given.keys() & {"STABILITY_API_KEY", "STABILITY_BASE_URL"}:
        base = "https://api.stability.ai"
        yield _hosted("stability", given, base, "core", api="v2beta")
    if "SD_WEBUI_URL" in given:
        yield _plain("sd-webui", "sdwebui", "SD_WEBUI", given, key="SD_WEBUI_AUTH")


def _plain(
    name: str, kind: Kind, prefix: str, given: Mapping[str, str], *, key: str
) -> Service:
    scheme = "Basic" if key.endswith("_AUTH") else "Bearer"
    return Service(
        name=name,
        kind=kind,
        url=_read_url(f"{prefix}_URL", given[f"{prefix}_URL"], kind),
        credential=_read_credential(key, given, scheme=scheme),
    )


def _hosted(
    kind: Kind, given: Mapping[str, str], url: str, model: str, api: Api | None = None
) -> Service:
    """Return a service whose base and model need not be given, and have its name."""
    base, named = f"{kind.upper()}_BASE_URL", f"{kind.upper()}_MODEL"
    return Service(
        name=kind,
        kind=kind,
        api=api,
        url=_read_url(base, given.get(base, url), kind),
        credential=_read_credential(f"{kind.upper()}_API_KEY", given),
        model=_read_model(named, given.get(named, model), kind),
    )


def _check_line(text: str) -> str:
    if not text.isprintable():
        raise ValueError
    return text


_OneLine = Annotated[str, AfterValidator(_check_line)]


def _seconds(most: int) -> Any:
    about = f"seconds, more than 0 and {most} at most"
    return Field(None, gt=0, le=most, description=about)


def _whole(most: int) -> Any:
    about = f"a whole number from 1 to {most:,}"
    return Field(None, ge=1, le=most, description=about)


class Table(BaseModel):
    """The table of one service; a field's description is what its value must be."""

    model_config = ConfigDict(
        strict=True, extra="forbid", allow_inf_nan=False, regex_engine="python-re"
    )

    kind: Kind = Field(description=f"a text, one of {', '.join(get_args(Kind))}")
    url: str = Field(description=_ONE_LINE)
    api: Api | None = Field(None, description=f"one of {', '.join(get_args(Api))}")
    model: str | None = Field(None, description=_ONE_LINE)
    # RFC 6901, section 3: a tilde is only ever ~0 or ~1.
    pointer: _OneLine | None = Field(
        None,
        pattern=r"^(?:/(?:[^/~]|~[01])*)*\Z",
        description="a JSON pointer, such as /images/*/data",
    )
    key_env: str | None = Field(
        None,
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*\Z",
        description="the name of an environment variable",
    )
    key_header: str | None = Field(
        None, pattern=_TOKEN, description="the name of a header for a key"
    )
    key_scheme: str | None = Field(
        None, pattern=rf"{_TOKEN}|^\Z", description="a word such as Bearer, or empty"
    )
    knows: list[str] | None = Field(None, description="a list of texts")
    sizes: list[
        Annotated[str, Field(pattern=r"^[1-9][0-9]{0,4}x[1-9][0-9]{0,4}\Z")]
    ] = Field([], description="a list of texts like 1024x768")
    connect_s: float = _seconds(60)
    first_byte_s: float = _seconds(600)
    idle_s: float = _seconds(600)
    total_s: float = _seconds(900)
    max_wire_bytes: int = _whole(1 << 30)
    max_image_bytes: int = _whole(1 << 29)
    max_images: int = _whole(100)
    max_pixels: int = _whole(1 << 30)
    concurrency: int = _whole(1_000)
    price: float | None = Field(
        None, gt=0, le=1e6, description="a number, more than 0 and 1,000,000 at most"
    )


# What a service is told as it stands in the table.
_LIMITS = {name for name in Table.model_fields if name.endswith("_s")} | {
    *("max_wire_bytes", "max_image_bytes", "max_images", "max_pixels", "concurrency"),
    "price",
}


def _read_file(file: Path, environ: Mapping[str, str]) -> Iterator[Service]:
    """Yield the services of a file; raise UpstreamSettingError at the first mistake."""
    try:
        document = tomllib.loads(file.read_text("utf-8"))
    except OSError as error:
        raise UpstreamSettingError(file.name, error.strerror or "unreadable") from error
    except ValueError as error:
        raise UpstreamSettingError(file.name, f"is not TOML: {error}") from error
    except RecursionError as error:
        raise UpstreamSettingError(file.name, "is nested too deeply") from error
    for key in document.keys() - {"upstreams"}:
        raise UpstreamSettingError(f"{file.name}: {key}", "is not known; say upstreams")
    tables = document.get("upstreams", {})
    if not isinstance(tables, dict):
        raise UpstreamSettingError(f"{file.name}: upstreams", "must be a table")
    for name, table in tables.items():
        yield _read_table(f"{file.name}: upstreams.{name}", name, table, environ)


def _read_table(
    place: str, name: str, values: object, environ: Mapping[str, str]
) -> Service:
    if not _NAME.match(name):
        reason = "a name has letters, digits and -_./, 100 at most, a letter first"
        raise UpstreamSettingError(place, reason)
    if not isinstance(values, dict):
        raise UpstreamSettingError(place, "must be a table")
    try:
        table = Table.model_validate(values)
    except ValidationError as error:
        key = str(error.errors()[0]["loc"][0])
        reason = _reason(key, error.errors()[0]["type"])
        # What pydantic says of a value holds the value.
        raise UpstreamSettingError(f"{place}.{key}", reason) from None
    return _service(place, name, table, environ)


def _reason(key: str, fault: str) -> str:
    if fault == "missing":
        return "is required"
    if fault == "extra_forbidden":
        return f"is not known; known are {', '.join(Table.model_fields)}"
    return f"must be {Table.model_fields[key].description}"


def _service(
    place: str, name: str, table: Table, environ: Mapping[str, str]
) -> Service:
    """Return the service of a table, whose values fit each other."""

    def refuse(key: str, reason: str) -> NoReturn:
        raise UpstreamSettingError(f"{place}.{key}", reason)

    if table.api is not None and table.kind != "stability":
        refuse("api", "belongs to the kind stability")
    if table.pointer is not None and table.kind != "json":
        refuse("pointer", "belongs to the kind json")
    if not table.model and table.kind == "stability":
        refuse("model", "is required")
    knows = None if table.knows is None else tuple(table.knows)
    for key, named in (("knows", knows or ()), ("sizes", table.sizes)):
        if len(set(named)) != len(named):
            refuse(key, "names one twice")
    sides = (text.split("x") for text in table.sizes)
    service = Service(
        name=name,
        kind=table.kind,
        url=_read_url(f"{place}.url", table.url, table.kind),
        credential=_credential(place, table, environ),
        api=table.api or ("v2beta" if table.kind == "stability" else None),
        model=_read_model(f"{place}.model", table.model, table.kind)
        if table.model
        else None,
        pointer=table.pointer,
        sizes=tuple((int(width), int(height)) for width, height in sides),
        **table.model_dump(include=_LIMITS, exclude_unset=True),
    )
    for unknown in set(knows or ()) - set(open_fields(service)):
        known = ", ".join(open_fields(service))
        refuse("knows", f"{unknown!r} is not one of {known}")
    for width, height in service.sizes:
        try:
            check(service, Ask("any", width=width, height=height))
        except BadParameter as error:
            refuse("sizes", f"{width}x{height}: {error}")
    return replace(service, knows=knows)


def _credential(
    place: str, table: Table, environ: Mapping[str, str]
) -> Credential | None:
    given = table.model_fields_set & {"key_header", "key_scheme"}
    if table.key_env is None:
        for key in given:
            raise UpstreamSettingError(f"{place}.{key}", "is of no use without key_env")
        return None
    secret = environ.get(table.key_env, "").strip()
    if not secret:
        raise UpstreamSettingError(f"{place}.key_env", f"{table.key_env} is not set")
    header = table.key_header or "Authorization"
    if header.lower() in _OWN_HEADERS:
        reason = f"must be {Table.model_fields['key_header'].description}"
        raise UpstreamSettingError(f"{place}.key_header", reason)
    scheme = "Bearer" if table.key_scheme is None else table.key_scheme
    return _read_credential(
        table.key_env, {table.key_env: secret}, header=header, scheme=scheme
    )


def _read_credential(
    variable: str,
    given: Mapping[str, str],
    *,
    header: str = "Authorization",
    scheme: str = "Bearer",
) -> Credential | None:
    """Return the credential that a variable of `given` holds, None where it is not."""
    secret = given.get(variable)
    if secret is None:
        return None
    if not secret.isascii() or not secret.isprintable():
        raise UpstreamSettingError(variable, "holds characters that no header can")
    if scheme.lower() == "basic" and ":" not in secret:
        raise UpstreamSettingError(variable, "must be user:password")
    return Credential(secret=secret, header=header, scheme=scheme)


def _read_model(place: str, text: str, kind: Kind) -> str:
    """Return the name of a model; Stability's must do as a segment of a path."""
    if kind == "stability" and not _SEGMENT.match(text):
        reason = "must be a model's name: letters, digits, dot, - and _"
        raise UpstreamSettingError(place, reason)
    if not text.isprintable():
        raise UpstreamSettingError(place, "must be a text on one line")
    return text


def _read_url(place: str, text: str, kind: Kind) -> str:
    """Return a URL of http or https, of an operator who may name any address."""
    try:
        parts = urlsplit(text)
        usable = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        usable = False
    if not usable or parts.scheme not in ("http", "https"):
        raise UpstreamSettingError(place, "must be a URL of http or https")
    if "@" in parts.netloc:
        reason = "must not hold a user: name the credential's variable"
        raise UpstreamSettingError(place, reason)
    if "#" in text or not text.isascii() or not text.isprintable() or " " in text:
        raise UpstreamSettingError(place, "must be a URL in ASCII without a fragment")
    if kind in _BASED and "?" in text:
        reason = f"must have no query: {kind} puts its own paths behind it"
        raise UpstreamSettingError(place, reason)
    return text
