"""Which upstreams there are: from the environment alone, or from a file of them.

Nothing of a mistake is guessed at or passed over, and no message shows a secret.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from app.upstream.config.file import (
    read_credential,
    read_file,
    read_model,
    read_url,
)
from app.upstream.service import Api, Kind, Service


def documented() -> tuple[tuple[str, str], ...]:
    """List the environment variables that make upstreams, each with its meaning."""
    return (
        ("AI_SERVICE_URL", "Service behind the renderer `ai-service`, any form."),
        ("AI_SERVICE_KEY", "Its bearer token, if it asks for one."),
        ("OPENAI_API_KEY", "Key of OpenAI; makes the renderer `openai`."),
        ("OPENAI_BASE_URL", "Another server that speaks OpenAI's format."),
        ("OPENAI_MODEL", "Its model (gpt-image-1)."),
        ("STABILITY_API_KEY", "Key of Stability; makes the renderer `stability`."),
        ("STABILITY_BASE_URL", "Another server that speaks Stability's v2beta."),
        ("STABILITY_MODEL", "Its model: core, ultra, sd3 or one of sd3's (core)."),
        ("SD_WEBUI_URL", "Stable Diffusion WebUI behind the renderer `sd-webui`."),
        ("SD_WEBUI_AUTH", "Its user:password, if it asks for one."),
    )


def read_upstreams(
    environ: Mapping[str, str], file: Path | None = None
) -> tuple[Service, ...]:
    """Return the upstreams, sorted by name; the file's replace the environment's.

    Raises UpstreamSettingError at the first mistake.
    """
    found = {each.name: each for each in _from_environment(environ)}
    if file is not None:
        found |= {each.name: each for each in read_file(file, environ)}
    return tuple(found[name] for name in sorted(found))


def _from_environment(environ: Mapping[str, str]) -> Iterator[Service]:
    given = {name: value.strip() for name, value in environ.items() if value.strip()}
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
        url=read_url(f"{prefix}_URL", given[f"{prefix}_URL"], kind),
        credential=read_credential(key, given, scheme=scheme),
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
        url=read_url(base, given.get(base, url), kind),
        credential=read_credential(f"{kind.upper()}_API_KEY", given),
        model=read_model(named, given.get(named, model), kind),
    )
