"""What answers have in common: their headers, and the problems that can come."""

import re
from collections.abc import Iterator, Mapping
from itertools import chain
from types import MappingProxyType
from typing import Any

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
from app.dialects import openai
from app.jobs.errors import (
    AbsentImage,
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
from app.openapi.schemas import Schema, ref
from app.parsing.accept import NotAcceptable
from app.parsing.image import BadBody, BodyTooLarge, StalePin, UnsupportedBody
from app.pipeline.admission import Busy
from app.pipeline.idempotency import KeyReused
from app.pipeline.image_origins import ImageOriginError
from app.pipeline.purchases import NotBought
from app.problems import PROBLEMS, ProblemType, core
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

JSON = "application/json"
PROBLEM = "application/problem+json"

_FAULT = ProblemType(500, None, "Internal Server Error")
_NOT_FOUND = ProblemType(404, None, "Not Found")

Failures = tuple[type[Exception] | ProblemType, ...]
# Of every request: it was framed wrongly, the caller may not, the server cannot.
_EVERY: Failures = (
    *(BadBody, BadHead, SlowRequest, LongRequestLine, UnknownExpectation, LargeHead),
    *(UnknownCoding, BodiesWait, ForbiddenSender, UnlistedHost, _FAULT),
    *(KeyRequired, KeyInvalid, KeyExpired, ScopeMissing, BadSignature, ExpiredUrl),
)
_PICTURE: Failures = (
    *(BadParameter, UnknownFormat, LimitExceeded, Undrawable, RenderTimeout),
    *(UnknownRenderer, BrokenTemplate, Busy, StoreError, RateExceeded),
    *(BudgetExhausted, ImageOriginError, UpstreamDenied, UpstreamRefused),
    *(UpstreamFiltered, UpstreamBroken, BadMedia, TooLarge, ForbiddenAddress),
    *(UpstreamBusy, CircuitOpen, UpstreamUnavailable, UpstreamTimeout, KeyReused),
    BrowserUnavailable,
)
_BODY: Failures = (BodyTooLarge, UnsupportedBody)
_CONDITION: Failures = (PreconditionFailed, RangeNotSatisfiable)
_UPLOAD: Failures = (*_BODY, BadRows, QuotaExceeded, CollectionsNotKept)
_JOB: Failures = (UnknownJob, PurgedJob, DamagedJob, JobsNotKept, StoreError)
_SUBMISSION: Failures = (*_UPLOAD, *_PICTURE, JobsNotKept, JobsFull)
# What may be said of one picture as a job.
_LATER: Failures = (JobsNotKept, JobsFull, QuotaExceeded)
_KEPT: Failures = (UnknownCollection, ExpiredCollection, DamagedCollection)
_EXPORT: Failures = (*_CONDITION, Changed, Unfinished, NotBought, QuotaExceeded)
# By what an operation does, all that can go wrong.
GROUPS: Mapping[str, Failures] = MappingProxyType(
    {
        name: (*_EVERY, *rest)
        for name, rest in {
            "Look": (PreconditionFailed, _NOT_FOUND, UnknownRenderer, BrokenTemplate),
            "Draw": (*_PICTURE, *_CONDITION, NotAcceptable, StalePin, NotBought),
            "DrawOfBody": (
                *(*_PICTURE, *_CONDITION, *_BODY),
                *(NotAcceptable, StalePin, NotBought, *_LATER),
            ),
            "ListTemplates": (PreconditionFailed, StoreError),
            "ReadTemplate": (
                *(PreconditionFailed, UnknownRenderer, BrokenTemplate, StoreError),
            ),
            "SaveTemplate": (
                *(*_BODY, BadParameter, LimitExceeded, RefusedTemplate, Undrawable),
                *(RenderTimeout, Busy, RateExceeded, StoreError, PreconditionFailed),
                *(PreconditionRequired, TakenTemplate, TemplateFull, TemplatesNotSaved),
                TemplatesFull,
            ),
            "DeleteTemplate": (
                *(BadParameter, StoreError, PreconditionFailed, PreconditionRequired),
                *(UnknownRenderer, TakenTemplate, TemplatesNotSaved),
            ),
            "Template": (
                *(*_BODY, BadParameter, LimitExceeded, RefusedTemplate, Undrawable),
                *(RenderTimeout, Busy, RateExceeded),
            ),
            "Prompt": (*_PICTURE, *_BODY, NotAcceptable, *_LATER),
            "WebUIPrompt": (*_PICTURE, *_BODY),
            "WebUIList": (BadParameter, UnknownRenderer, BrokenTemplate),
            "Keep": _SUBMISSION,
            "KeepAndSend": (*_SUBMISSION, *_EXPORT, RecordedFailure, _NOT_FOUND),
            "Read": (
                *(*_KEPT, StoreError, PreconditionFailed, CollectionsNotKept),
                BadParameter,
            ),
            "ReadImages": (
                *(*_KEPT, *_PICTURE, *_EXPORT, NoSuchIndex, CollectionsNotKept),
                _NOT_FOUND,
            ),
            "Jobs": (*_JOB, JobEnded, PreconditionFailed, Busy, BadParameter),
            "RetryJob": (
                *(*_JOB, JobOpen, NothingToRetry, JobsFull, QuotaExceeded, Busy),
                *(RateExceeded, LimitExceeded, UnknownRenderer, BrokenTemplate),
                *(ExpiredCollection, DamagedCollection, BadParameter),
            ),
            "PurgeJob": (*_JOB, JobOpen, JobNeeded, BadParameter),
            "ReadJob": (
                *(
                    *_JOB,
                    *_EXPORT,
                    *_PICTURE,
                    AbsentImage,
                    JobUnfinished,
                    RecordedFailure,
                    BadParameter,
                ),
                *(LimitExceeded, Busy, RateExceeded, _NOT_FOUND),
            ),
            "Media": (*_CONDITION, BadParameter, StoreError),
            "Operate": (),
        }.items()
    }
)
# The same for what answers errors in OpenAI's dialect.
OPENAI_GROUPS: Mapping[str, Failures] = MappingProxyType(
    {
        "OpenAIPrompt": (*_EVERY, *_PICTURE, *_BODY),
        "OpenAIModels": (*_EVERY, UnknownRenderer, BrokenTemplate),
        "OpenAIFiles": (
            *(*_EVERY, *_BODY, *_JOB, BadParameter, UnknownFile, JobsFull),
            *(QuotaExceeded, Busy, RateExceeded, JobEnded, BudgetExhausted),
        ),
    }
)

# Headers of answers, and what they say.
HEADERS: Mapping[str, str] = MappingProxyType(
    {
        "Accept-Ranges": "`bytes`: parts can be asked for.",
        "Cache-Control": "Who may keep the answer, and how long (RFC 9111).",
        "Cache-Status": "Whether the store had it (RFC 9211).",
        "Content-Disposition": "A safe file name (RFC 6266).",
        "Content-Length": "Bytes of the answer.",
        "Content-Location": "Where what is sent is kept.",
        "Content-Range": "Which bytes of how many these are.",
        "Content-Security-Policy": "What a page or an SVG may load and run.",
        "Cross-Origin-Resource-Policy": "Pages that isolate themselves may show it.",
        "ETag": "Names the bytes (RFC 9110, section 8.8.3).",
        "Link": "The URL that pins these bytes, as `canonical`.",
        "Location": "Where it is.",
        "Preference-Applied": "What of `Prefer` was done (RFC 7240).",
        "RateLimit": "What is left, and when there is more.",
        "RateLimit-Policy": "What the limit is.",
        "Referrer-Policy": "`no-referrer`: what a page says to others.",
        "Repr-Digest": "SHA-256 of the whole (RFC 9530).",
        "Retry-After": "Seconds after which it is worth asking again.",
        "Server-Timing": "Milliseconds of each phase.",
        "Vary": "The request's headers that the answer depends on.",
        "WWW-Authenticate": "That a key is wanted (RFC 6750).",
        "X-Accel-Buffering": "Tells nginx to send the answer as it comes.",
        "X-Content-Type-Options": "`nosniff`.",
        "X-Html-Ignored": "What of a caller's HTML is not drawn.",
        "X-Ignored-Parameters": "Names in the query that count for nothing.",
        "X-Media-Converted-From": "The type that a service sent.",
        "X-Media-Finish-Reason": "Why a service stopped.",
        "X-Media-Missing": "How many images did not come.",
        "X-Media-Repairs": "What was wrong with a service's answer, and was mended.",
        "X-Media-Seed": "The seed that a service used.",
        "X-Media-Upstream": "The service that made the image.",
        "X-Media-Warnings": "What was assumed, or has no effect.",
        "X-Missing-Glyphs": "Characters that no loaded font has.",
        "X-Request-ID": "What the server's log calls the request.",
        "X-Should-Retry": "Whether OpenAI's clients are to try again.",
        "X-Stale-Pin": "The fingerprint that the URL's parameters make today.",
        "X-Text-Clipped": "Parameters whose text did not fit.",
    }
)
EVERYWHERE = ("X-Content-Type-Options", "X-Request-ID")
_VALIDATORS = ("Cache-Control", "Content-Length", "ETag")
_FACTS = (
    *("X-Media-Converted-From", "X-Media-Finish-Reason", "X-Media-Repairs"),
    *("X-Media-Seed", "X-Media-Upstream", "X-Media-Warnings", "X-Missing-Glyphs"),
    *("X-Html-Ignored", "X-Text-Clipped"),
)
# Headers by the kind of answer.
PAGE = _VALIDATORS
BROWSED = (*_VALIDATORS, "Content-Security-Policy", "Referrer-Policy")
PLAIN = ("Cache-Control", "Content-Length")
IMAGE = (
    *(*_VALIDATORS, *_FACTS, "Accept-Ranges", "Cache-Status", "Content-Disposition"),
    *("Content-Security-Policy", "Cross-Origin-Resource-Policy", "Link"),
    *("Repr-Digest", "Server-Timing", "Vary", "X-Ignored-Parameters", "X-Stale-Pin"),
)
WHOLE = (
    *(*_VALIDATORS, *_FACTS, "Accept-Ranges", "Content-Disposition"),
    *("Content-Location", "Preference-Applied", "X-Accel-Buffering"),
    "X-Ignored-Parameters",
)
MADE = ("Cache-Control", "Cache-Status", "Vary", "X-Media-Missing", *_FACTS)
JOB = ("Cache-Control", "Location", "Preference-Applied", "Retry-After")
_BY_STATUS: Mapping[int, tuple[str, ...]] = MappingProxyType(
    {
        401: ("WWW-Authenticate",),
        406: ("Vary",),
        409: ("Retry-After",),
        416: ("Content-Range",),
        429: ("Retry-After", "RateLimit", "RateLimit-Policy"),
        503: ("Retry-After",),
        507: ("Retry-After",),
    }
)


def headers(*names: str) -> Schema:
    """Return the headers of an answer; those that every one has are among them."""
    return {
        name: {"$ref": f"#/components/headers/{name}"}
        for name in sorted({*names, *EVERYWHERE})
    }


def answer(
    description: str,
    content: Mapping[str, Schema] = MappingProxyType({}),
    named: tuple[str, ...] = (),
) -> dict[str, Any]:
    """Return an answer: the schema of each media type, and its headers."""
    made: dict[str, Any] = {"description": description, "headers": headers(*named)}
    if content:
        made["content"] = {kind: {"schema": row} for kind, row in content.items()}
    return made


def header_components() -> dict[str, Schema]:
    """Return the headers of all answers, by name."""
    return {
        name: {
            "description": text,
            "schema": {"type": "string"},
            **({"required": True} if name in EVERYWHERE else {}),
        }
        for name, text in HEADERS.items()
    }


def failures(group: str, gateway_status: int | None = None) -> dict[str, Schema]:
    """Return references to the answers of what can go wrong, by status."""
    statuses = sorted({row[0] for row in _rows(group, gateway_status)})
    return {
        str(status): {"$ref": f"#/components/responses/{group}{status}"}
        for status in statuses
    }


def failure_components(gateway_status: int | None = None) -> dict[str, Schema]:
    """Return those answers, by group and status."""
    found: dict[str, Schema] = {}
    for group in chain(GROUPS, OPENAI_GROUPS):
        by_status: dict[int, list[tuple[ProblemType, str]]] = {}
        for status, row, code in _rows(group, gateway_status):
            by_status.setdefault(status, []).append((row, code))
        for status, rows in by_status.items():
            dialect = group in OPENAI_GROUPS
            found[f"{group}{status}"] = _failure(status, rows, dialect=dialect)
    return found


def _rows(group: str, gateway: int | None) -> Iterator[tuple[int, ProblemType, str]]:
    """Yield status, problem and OpenAI's code of what can go wrong, each once."""
    dialect = group in OPENAI_GROUPS
    given = OPENAI_GROUPS[group] if dialect else GROUPS[group]
    # A field that is wrong has a code of its own: that of its fault.
    for each in dict.fromkeys(given):
        row = each if isinstance(each, ProblemType) else PROBLEMS[each]
        if gateway is not None and row.status in (502, 504):
            row = row._replace(status=gateway)
        status, code = row.status, row.slug or row.title
        if dialect:
            kind = None if isinstance(each, ProblemType) else each
            status, code = openai.status_of_kind(kind, status, code)
        yield status, row, code


def _failure(
    status: int, rows: list[tuple[ProblemType, str]], *, dialect: bool
) -> dict[str, Any]:
    """Return one answer with an example of each problem that it may be."""
    named = ("Cache-Control", *_BY_STATUS.get(status, ()))
    titles = "; ".join(dict.fromkeys(row.title for row, _ in rows))
    if dialect:
        made = answer(f"{titles}.", {JSON: ref("OpenAIError")}, named)
        examples = {
            _word(code): {"value": openai.write_error(row.title, status, code, None)}
            for row, code in rows
        }
        made["content"][JSON]["examples"] = examples
        made["headers"].update(headers("X-Should-Retry"))
        return made
    made = answer(f"{titles}.", {PROBLEM: ref("Problem")}, named)
    made["content"][PROBLEM]["examples"] = {
        row.slug or _word(row.title): {
            "value": {
                **core(row, f"{row.title}."),
                "instance": "/",
                "request_id": "0" * 32,
            }
        }
        for row, _ in rows
    }
    return made


def _word(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower())
