"""What can go wrong between a request to an upstream and a checked image.

Every message names the upstream and the hop that failed, and never a host, a
key, a URL or a traceback. Every exception keeps its values in `args`, so that it
survives the way between processes.
"""

import math
import re

from app.errors import with_fields
from app.renderer.errors import RendererError

# Longest Retry-After handed on, in seconds: the openai client gives up above it.
MOST_RETRY_S = 120

_OMITTED = (
    # Some servers answer with a whole traceback, paths and all.
    (re.compile(r"Traceback \(most recent.*", re.DOTALL), "[traceback]"),
    # An address, with whatever credentials and query it carries.
    (re.compile(r"\b[a-z][a-z0-9+.-]{0,20}://\S+", re.IGNORECASE), "[address]"),
    # A header of authorisation, quoted back by the other side.
    (re.compile(r"\b(bearer|basic)\s+[\w.~+/=-]{6,}", re.IGNORECASE), "[key]"),
    # A key, whole or masked: OpenAI repeats the first and last characters.
    (re.compile(r"\b(sk|pk|hf|r8|xai|gsk)[-_][\w*.-]{4,}", re.IGNORECASE), "[key]"),
    # Anything long without a space: a token, or base64.
    (re.compile(r"[\w+/=*~.-]{32,}", re.ASCII), "[omitted]"),
    (re.compile(r"\b[\w-]+(\.[\w-]+)*:\d{2,5}\b", re.ASCII), "[address]"),
    (re.compile(r"\b(\d{1,3}\.){3}\d{1,3}\b"), "[address]"),
    (
        re.compile(r"(\b[0-9a-f]{1,4})?(:[0-9a-f]{0,4}){3,7}", re.IGNORECASE),
        "[address]",
    ),
    (re.compile(r"\b([a-z0-9-]+\.){2,}[a-z]{2,}\b", re.IGNORECASE), "[address]"),
    (re.compile(r"\b[\w-]+\.(com|net|org|io|ai|dev|local|internal)\b"), "[address]"),
    (re.compile(r"/(home|root|usr|var|opt|srv|tmp|etc|mnt|app)/\S*"), "[path]"),
    (re.compile(r"[\x00-\x1f\x7f-\x9f\s]+"), " "),
)
# Only so much is searched, however long the message is.
_MOST_SCRUBBED = 2_000
_MOST_CHARACTERS = 200


def scrub(text: str) -> str:
    """Return the first 200 characters of an upstream's message, free of secrets.

    Addresses, keys, paths and long tokens are replaced before the text is cut,
    because half a key is still a secret.
    """
    if len(text) > _MOST_SCRUBBED:
        # Without the last word: cut in two, a key is not known as one.
        text = text[:_MOST_SCRUBBED].rpartition(" ")[0]
    for pattern, replacement in _OMITTED:
        text = pattern.sub(replacement, text)
    text = text.strip()
    return text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]}…"


@with_fields
class UpstreamError(RendererError):
    """Base of the errors of one upstream, by its name in the configuration.

    `outcome_unknown` is true where the upstream may have done the work, and may
    bill it, although nothing usable arrived: such a request is not sent again.
    All are transient: nobody knows what a service does the next time.
    """

    upstream: str
    transient = True
    outcome_unknown = False


class UpstreamUnavailable(UpstreamError):
    """No connection came about, so nothing was sent and nothing bought."""

    def __str__(self) -> str:
        return f"Upstream {self.upstream!r} cannot be reached."


@with_fields
class UpstreamTimeout(UpstreamError):
    """The upstream was too slow.

    `hop` is the limit that ran out: `connect`, `first byte`, `idle` or `total`.
    """

    hop: str
    allowed_s: float
    outcome_unknown: bool = True

    def __str__(self) -> str:
        return (
            f"Upstream {self.upstream!r} was given up after {self.allowed_s:g}"
            f" seconds (limit: {self.hop})."
        )


@with_fields
class _Explained(UpstreamError):
    """Base of the errors with a `reason`, an upstream's words scrubbed and short."""

    reason: str

    # Scrubbed here and not by whoever raises, so that no message is ever forgotten.
    def __post_init__(self) -> None:
        self.reason = scrub(self.reason)


@with_fields
class UpstreamBroken(_Explained):
    """The upstream failed after the request was sent: a 5xx, a reset or a cut."""

    outcome_unknown = True

    upstream_status: int | None = None

    def __str__(self) -> str:
        return f"Upstream {self.upstream!r} failed: {self.reason}"


@with_fields
class _Refusal(UpstreamError):
    """Base of the answers of 4xx; `reason` is the message, scrubbed and short."""

    upstream_status: int
    reason: str

    def __post_init__(self) -> None:
        self.reason = scrub(self.reason)

    def __str__(self) -> str:
        return (
            f"Upstream {self.upstream!r} refused the request"
            f" ({self.upstream_status}): {self.reason}"
        )


class UpstreamRefused(_Refusal):
    """A refusal that other parameters may mend."""


class UpstreamDenied(_Refusal):
    """A refusal that no other parameters mend: a key, an address, an empty account."""


@with_fields
class _Waiting(UpstreamError):
    """Base of the errors that say when to come back: 1 to 120 whole seconds."""

    retry_s: float

    def __post_init__(self) -> None:
        self.retry_s = math.ceil(min(max(self.retry_s, 1), MOST_RETRY_S))


class UpstreamBusy(_Waiting):
    """The upstream, or its limit of calls at once, has no room now."""

    def __str__(self) -> str:
        return f"Upstream {self.upstream!r} is busy; try again in {self.retry_s} s."


class CircuitOpen(_Waiting):
    """The upstream failed so often of late that it is not called for a while."""

    def __str__(self) -> str:
        return (
            f"Upstream {self.upstream!r} failed repeatedly and is left alone;"
            f" try again in {self.retry_s} s."
        )


class UpstreamFiltered(_Explained):
    """The upstream's content filter kept every image back."""

    def __str__(self) -> str:
        return f"Upstream {self.upstream!r} filtered the content: {self.reason}"


class BadMedia(_Explained):
    """The upstream reported success but sent no usable image."""

    outcome_unknown = True

    def __str__(self) -> str:
        return f"Upstream {self.upstream!r} sent no usable image: {self.reason}"


@with_fields
class TooLarge(UpstreamError):
    """The upstream's answer is over a limit, named with its bound."""

    outcome_unknown = True

    limit: str
    allowed: int

    def __str__(self) -> str:
        return (
            f"Upstream {self.upstream!r} sent more than the limit {self.limit}"
            f" of {self.allowed:,}."
        )


class ForbiddenAddress(UpstreamError):
    """The answer names an address that this server must not fetch from."""

    outcome_unknown = True

    def __str__(self) -> str:
        return (
            f"Upstream {self.upstream!r} answered with an address that is not"
            " allowed to be fetched."
        )
