"""A URL and a key as an operator writes them, checked; no message shows a secret."""

from collections.abc import Mapping
from urllib.parse import urlsplit

from app.upstream.upstream import Credential


class UpstreamSettingError(ValueError):
    """A setting of an upstream cannot be used; `place` says which one."""

    def __init__(self, place: str, reason: str) -> None:
        super().__init__(place, reason)
        self.place = place
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.place}: {self.reason}"


def read_credential(
    variable: str,
    given: Mapping[str, str],
    *,
    header: str = "Authorization",
    scheme: str = "Bearer",
) -> Credential | None:
    secret = given.get(variable)
    if secret is None:
        return None
    if not secret.isascii() or not secret.isprintable():
        raise UpstreamSettingError(variable, "holds characters that no header can")
    if scheme.lower() == "basic" and ":" not in secret:
        raise UpstreamSettingError(variable, "must be user:password")
    return Credential(variable=variable, secret=secret, header=header, scheme=scheme)


def read_url(place: str, text: str) -> str:
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
    if parts.fragment or not text.isascii() or not text.isprintable() or " " in text:
        raise UpstreamSettingError(place, "must be a URL in ASCII without a fragment")
    return text
