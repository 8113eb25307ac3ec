"""Why a caller is refused; `app.problems` maps each to a status.

`headers` must go out with the problem. `help` names the setting that opens what was
asked for, or where to look. `key_id` is of the key that was refused, where it is one of
this server's, and is for the log alone.
"""

from app.errors import with_fields

_REALM = 'Bearer realm="mimeo"'


class AccessError(Exception):
    """Base of all refusals of this room."""

    headers: tuple[tuple[str, str], ...] = ()
    key_id: str = ""
    # Of this caller, at this moment: the image itself can be drawn.
    transient = True


@with_fields
class KeyRequired(AccessError):
    """What was asked for needs a key, or a signature, and none came (401)."""

    scope: str
    help: str

    def __post_init__(self) -> None:
        # RFC 6750, section 3: without `error`, because nothing was sent.
        self.headers = (("WWW-Authenticate", _REALM),)

    def __str__(self) -> str:
        return f"This needs a key with the scope {self.scope}. {self.help}"


@with_fields
class KeyInvalid(AccessError):
    """A key came that is none of this server's (401)."""

    key_id: str = ""
    headers = (("WWW-Authenticate", f'{_REALM}, error="invalid_token"'),)
    help = "Send one that `mimeo key new` printed and the server was started with."

    def __str__(self) -> str:
        return f"The key is none of this server's. {self.help}"


class KeyExpired(KeyInvalid):
    """A key came whose time is over (401)."""

    def __str__(self) -> str:
        return "The key has expired."


@with_fields
class ScopeMissing(AccessError):
    """A key or a signature came that does not allow what was asked for (403)."""

    scope: str

    def __str__(self) -> str:
        return f"The key or signature does not have the scope {self.scope}."


@with_fields
class BadSignature(AccessError):
    """A signed URL was not made here, or was changed (403)."""

    key_id: str = ""

    def __str__(self) -> str:
        return "This URL was not signed by this server."


@with_fields
class ExpiredUrl(AccessError):
    """A signed URL is past its time, or its image is no longer kept (410)."""

    key_id: str = ""

    def __str__(self) -> str:
        return "This URL has expired."


@with_fields
class UnlistedHost(AccessError):
    """The request names a host that is none of this server's (421)."""

    host: str

    def __str__(self) -> str:
        return (
            f"This server does not answer for {self.host!r}: see MIMEO_ALLOWED_HOSTS."
        )


@with_fields
class Exhausted(AccessError):
    """Base of what a caller has used up; `retry_s` is when there is some again.

    `window_s` is the time for which the limit is, None where it is of a moment.
    """

    limit: float
    remaining: float
    unit: str
    retry_s: int
    window_s: int | None = None

    def __post_init__(self) -> None:
        # draft-ietf-httpapi-ratelimit-headers-11, sections 3 and 4: whole numbers.
        window = "" if self.window_s is None else f";w={self.window_s}"
        left = max(0, int(self.remaining))
        self.headers = (
            ("Retry-After", str(self.retry_s)),
            ("RateLimit-Policy", f'"default";q={int(self.limit)}{window}'),
            ("RateLimit", f'"default";r={left};t={self.retry_s}'),
        )


class RateExceeded(Exhausted):
    """The caller drew more megapixels in the window than it may (429)."""

    def __str__(self) -> str:
        return f"More than {self.limit:,.10g} {self.unit} were drawn; come back later."


class QuotaExceeded(Exhausted):
    """The caller keeps, or streams, as much as it may (429)."""

    def __str__(self) -> str:
        return f"No more than {self.limit:,.10g} {self.unit} at a time."


class BudgetExhausted(Exhausted):
    """What may be bought of a service today is bought (429)."""

    def __str__(self) -> str:
        return f"The budget of {self.limit:,.10g} {self.unit} is used up."
