"""Every error as an RFC 9457 problem, from one table; knows nothing of the web."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar

from app.access.errors import (
    BadSignature,
    BudgetExhausted,
    ExpiredUrl,
    KeyExpired,
    KeyInvalid,
    KeyRequired,
    QuotaExceeded,
    RateExceeded,
    ScopeMissing,
    UnlistedHost,
)
from app.collection.errors import (
    BadRows,
    DamagedCollection,
    ExpiredCollection,
    NoSuchIndex,
    UnknownCollection,
)
from app.collection.export.zip import Changed
from app.collection.lookahead import Unfinished
from app.collection.repository import CollectionsNotKept
from app.delivery.errors import (
    PreconditionFailed,
    PreconditionRequired,
    RangeNotSatisfiable,
)
from app.jobs.errors import (
    AbsentImage,
    AnswerFailed,
    DamagedJob,
    JobEnded,
    JobNeeded,
    JobOpen,
    JobsFull,
    JobsNotKept,
    JobUnfinished,
    NothingToRetry,
    PurgedJob,
    RecordedFailure,
    UnknownFile,
    UnknownJob,
)
from app.parsing.accept import NotAcceptable
from app.parsing.image import BadBody, BodyTooLarge, StalePin, UnsupportedBody
from app.pipeline.admission import Busy
from app.pipeline.idempotency import KeyReused
from app.pipeline.image_origins import ImageOriginError
from app.pipeline.purchases import NotBought
from app.renderer.errors import (
    BadParameter,
    BrokenTemplate,
    BrowserUnavailable,
    LimitExceeded,
    RefusedTemplate,
    RenderTimeout,
    Undrawable,
    UnknownFormat,
    UnknownRenderer,
)
from app.renderer.template.saved_templates import (
    TakenTemplate,
    TemplateFull,
    TemplatesFull,
    TemplatesNotSaved,
)
from app.serving.errors import (
    BadHead,
    BodiesWait,
    ForbiddenSender,
    LargeHead,
    LongRequestLine,
    SlowRequest,
    UnknownCoding,
    UnknownExpectation,
)
from app.store import StoreError
from app.upstream.errors import (
    BadMedia,
    CircuitOpen,
    ForbiddenAddress,
    TooLarge,
    UpstreamBroken,
    UpstreamBusy,
    UpstreamDenied,
    UpstreamFiltered,
    UpstreamRefused,
    UpstreamTimeout,
    UpstreamUnavailable,
)

T = TypeVar("T")
# Attributes of errors that become members of their problems.
_TOLD = (
    *("field", "limit", "allowed", "value", "known"),
    *("file", "line", "current", "index", "count"),
    *("upstream", "hop", "upstream_status", "outcome_unknown"),
    *("needed_by", "state", "scope", "help", "host", "remaining", "unit"),
    *("filtered",),
)


class ProblemType(NamedTuple):
    """What a class of errors becomes: status, name of the type, title.

    Without a name the type is `about:blank`: the status says it all (RFC 9457, 4.2.1).
    """

    status: int
    slug: str | None
    title: str

    @property
    def type(self) -> str:
        """The URI reference of the type."""
        return "about:blank" if self.slug is None else f"/problems/{self.slug}"


# What comes of the same request again is 4xx, though the words be a service's: clients
# and proxies repeat a 5xx.
_ROWS: tuple[tuple[type[Exception], int, str, str], ...] = (
    (UnknownRenderer, 404, "unknown-renderer", "There is no such renderer"),
    (BadParameter, 422, "bad-parameter", "A parameter is not valid"),
    (UnknownFormat, 422, "unknown-format", "The format cannot be had"),
    (LimitExceeded, 422, "limit-exceeded", "The request is over a limit"),
    (Undrawable, 422, "undrawable", "The input cannot be drawn"),
    # Equal input takes as long again, so it is the caller's to change, not a 503.
    (RenderTimeout, 422, "render-timeout", "Drawing took too long"),
    (BadRows, 422, "bad-rows", "Rows of the collection are not valid"),
    (UnknownCollection, 404, "unknown-collection", "No such collection"),
    (NoSuchIndex, 404, "no-such-index", "The collection has no such image"),
    # 410 (RFC 9110, 15.5.11) lets caches and crawlers forget what 404 lets them retry.
    (ExpiredCollection, 410, "expired-collection", "The id pins old images"),
    (DamagedCollection, 410, "damaged-collection", "The collection is damaged"),
    (Changed, 500, "changed-image", "An image is no longer what it was"),
    (CollectionsNotKept, 501, "no-shelf", "Collections are not kept here"),
    (UnknownJob, 404, "unknown-job", "No such job"),
    (PurgedJob, 410, "purged-job", "The job was purged"),
    (UnknownFile, 404, "unknown-file", "No such file"),
    (JobEnded, 409, "job-ended", "The job has ended"),
    (JobOpen, 409, "job-open", "The job has not ended"),
    (JobNeeded, 409, "job-needed", "A retry still needs the job"),
    (NothingToRetry, 409, "nothing-to-retry", "All of the job is there"),
    (JobUnfinished, 409, "job-unfinished", "The job has no result"),
    (DamagedJob, 410, "damaged-job", "The job is damaged"),
    (RecordedFailure, 422, "failed-image", "An image of the job failed"),
    (AbsentImage, 422, "absent-image", "The service did not make the image"),
    (JobsNotKept, 501, "no-jobs", "Jobs are not kept here"),
    # RFC 4918, 11.5: the server cannot store what would come of it.
    (JobsFull, 507, "jobs-full", "There is no room for the job"),
    # 400 and not 422: what cannot be read has no field that could be named.
    (BadBody, 400, "bad-body", "The request cannot be read"),
    (BadHead, 400, "bad-head", "The head of the request cannot be read"),
    (ForbiddenSender, 403, "forbidden-sender", "The sender may not speak for others"),
    (SlowRequest, 408, "slow-request", "The request arrives too slowly"),
    (LongRequestLine, 414, "long-request-line", "The request line is too long"),
    (UnknownExpectation, 417, "unknown-expectation", "The expectation is not known"),
    (LargeHead, 431, "large-head", "The head of the request is too large"),
    (UnknownCoding, 501, "unknown-coding", "The transfer coding is not known"),
    (BodiesWait, 503, "bodies-wait", "Too many bodies arrive"),
    (UnsupportedBody, 415, "unsupported-body", "The body's type is not known"),
    (StalePin, 410, "stale-pin", "The pinned image no longer exists"),
    (NotAcceptable, 406, "not-acceptable", "No accepted type can be had"),
    (PreconditionFailed, 412, "precondition-failed", "A precondition failed"),
    (BodyTooLarge, 413, "body-too-large", "The body is too large"),
    (RangeNotSatisfiable, 416, "range-not-satisfiable", "The range is outside"),
    (BrowserUnavailable, 503, "browser-unavailable", "The browser does not start"),
    (BrokenTemplate, 503, "broken-template", "The template is broken"),
    (RefusedTemplate, 422, "refused-template", "The template cannot be used"),
    (TakenTemplate, 409, "taken-template", "The name is another renderer's"),
    (TemplateFull, 409, "template-full", "The template has all its versions"),
    # RFC 4918, 11.5, as of jobs.
    (TemplatesFull, 507, "templates-full", "There is no room for the template"),
    (TemplatesNotSaved, 501, "no-templates", "Templates are not saved here"),
    # RFC 6585, section 3: so that nobody writes over what they have not seen.
    (PreconditionRequired, 428, "precondition-required", "A condition is required"),
    (Busy, 503, "busy", "The server is busy"),
    (Unfinished, 503, "unfinished", "The archive is being drawn"),
    (KeyRequired, 401, "key-required", "A key is needed"),
    (KeyInvalid, 401, "key-invalid", "The key is not known"),
    (KeyExpired, 401, "key-expired", "The key has expired"),
    (ScopeMissing, 403, "scope-missing", "The key does not allow this"),
    (BadSignature, 403, "bad-signature", "The URL is not signed"),
    # Browsers drop a prefetch that failed, and ask again when somebody follows it.
    (NotBought, 403, "not-bought", "The image is not bought yet"),
    (ExpiredUrl, 410, "expired-url", "The URL has expired"),
    (UnlistedHost, 421, "unlisted-host", "The host is not this server's"),
    (RateExceeded, 429, "rate-exceeded", "Too much was drawn"),
    (QuotaExceeded, 429, "quota-exceeded", "Too much is kept"),
    (BudgetExhausted, 429, "budget-exhausted", "The budget is used up"),
    (StoreError, 503, "store-unavailable", "The store cannot be used"),
    (KeyReused, 422, "key-reused", "The key is of another request"),
    (ImageOriginError, 502, "image-origin", "An image cannot be had from its origin"),
    # A 401 or 403 of a service is about our key: passed on, it blames the caller's.
    (UpstreamDenied, 502, "upstream-denied", "The service denied the request"),
    (UpstreamRefused, 422, "upstream-refused", "The service refused"),
    (UpstreamFiltered, 422, "upstream-filtered", "The service's filter"),
    (UpstreamBroken, 502, "upstream-broken", "The service failed"),
    (BadMedia, 502, "upstream-bad-media", "The service sent no image"),
    (TooLarge, 502, "upstream-too-large", "The service sent too much"),
    (ForbiddenAddress, 502, "upstream-address", "The address is forbidden"),
    (UpstreamBusy, 503, "upstream-busy", "The service is busy"),
    (CircuitOpen, 503, "circuit-open", "The service is left alone"),
    (UpstreamUnavailable, 503, "upstream-unavailable", "No connection"),
    (UpstreamTimeout, 504, "upstream-timeout", "The service was too slow"),
)
PROBLEMS: Mapping[type[Exception], ProblemType] = MappingProxyType(
    {kind: ProblemType(status, slug, title) for kind, status, slug, title in _ROWS}
)

# When to come back after errors that do not know it themselves.
_RETRY_S: Mapping[type[Exception], int] = MappingProxyType(
    {StoreError: 5, UpstreamUnavailable: 10, BrokenTemplate: 60, BrowserUnavailable: 30}
)


_CORE = ("type", "title", "status", "detail")


def of_kind(table: Mapping[type[Exception], T], error: Exception) -> T | None:
    """Return what a table has for an error's class, or one that it is derived from."""
    return next((table[kind] for kind in type(error).__mro__ if kind in table), None)


def row_of(error: Exception) -> ProblemType | None:
    """Return the row of an error's class, or of one that it is derived from."""
    if isinstance(error, AnswerFailed):
        told = error.problem
        slug = told["type"].removeprefix("/problems/")
        name = None if slug == "about:blank" else slug
        return ProblemType(told["status"], name, told["title"])
    return of_kind(PROBLEMS, error)


def core(row: ProblemType, detail: str) -> dict[str, Any]:
    """Return the members that every problem has."""
    return {
        "type": row.type,
        "title": row.title,
        "status": row.status,
        "detail": detail,
    }


def describe(error: Exception) -> dict[str, Any]:
    """Return an error of the table as a part of a larger answer says it.

    The same every time: no path, no request id.
    """
    return {**core(PROBLEMS[type(error)], str(error)), **members(error)}


def members(error: Exception) -> dict[str, Any]:
    """Pick the extension members that help a client to mend its request."""
    if isinstance(error, AnswerFailed):
        return {name: v for name, v in error.problem.items() if name not in _CORE}
    if isinstance(error, BadParameter):
        errors = [fault._asdict() for fault in error.faults]
        more = {"more": error.more} if error.more else {}
        return {"field": error.faults[0].field, "errors": errors, **more}
    if isinstance(error, BadRows):
        rows = [fault._asdict() for fault in error.faults]
        return {"rows": rows, **({"more": error.more} if error.more else {})}
    return {name: getattr(error, name) for name in _TOLD if hasattr(error, name)}


def headers_of(error: Exception) -> Iterable[tuple[str, str]]:
    """Return the headers that an error of the table has beside its problem."""
    if isinstance(error, (Busy, UpstreamBusy, CircuitOpen)):
        return (("Retry-After", str(error.retry_s)),)
    if type(error) in _RETRY_S:
        return (("Retry-After", str(_RETRY_S[type(error)])),)
    headers: Iterable[tuple[str, str]] = getattr(error, "headers", ())
    return headers
