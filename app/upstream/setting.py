"""An operator's URL, model and key, checked; no message shows a secret."""

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from app.errors import with_fields
from app.upstream.service import Credential, Kind

# Kinds whose requests have paths of their own, behind the base.
_BASED: tuple[Kind, ...] = ("openai", "stability", "sdwebui")
# Stability's models are one segment of a path.
_SEGMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\Z")


@with_fields
class UpstreamSettingError(ValueError):
    """A setting of an upstream cannot be used; `place` says which one."""

    place: str
    reason: str

    def __str__(self) -> str:
        return f"{self.place}: {self.reason}"


def read_credential(
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


def read_model(place: str, text: str, kind: Kind) -> str:
    """Return the name of a model; Stability's must do as a segment of a path."""
    if kind == "stability" and not _SEGMENT.match(text):
        reason = "must be a model's name: letters, digits, dot, - and _"
        raise UpstreamSettingError(place, reason)
    if not text.isprintable():
        raise UpstreamSettingError(place, "must be a text on one line")
    return text


def read_url(place: str, text: str, kind: Kind) -> str:
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
