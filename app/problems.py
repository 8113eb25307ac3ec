"""Every error as an RFC 9457 problem, from one table."""

import json
import logging
import socket
from collections.abc import Iterable, Mapping
from contextlib import suppress
from threading import Timer
from types import MappingProxyType
from typing import Any, NamedTuple

from flask import Flask, Response, current_app, request
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from app.collection.drawing import Unfinished
from app.collection.errors import (
    BadRows,
    DamagedCollection,
    ExpiredCollection,
    NoSuchIndex,
    UnknownCollection,
)
from app.collection.export.base64_json import ImageFailed
from app.collection.export.zip import Changed
from app.collection.repository import NoShelf
from app.delivery.errors import (
    PreconditionFailed,
    RangeNotSatisfiable,
)
from app.parsing.accept import NotAcceptable
from app.parsing.image import BadBody, StalePin, UnsupportedBody
from app.pipeline.admission import Busy
from app.pipeline.idempotency import KeyReused
from app.pipeline.signed_url import BadSignature, ExpiredUrl
from app.renderer.errors import (
    BadParameter,
    BrokenTemplate,
    LimitExceeded,
    RenderTimeout,
    Undrawable,
    UnknownFormat,
    UnknownRenderer,
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

# Attributes of errors that become members of their problems.
_TOLD = (
    *("field", "limit", "allowed", "value", "known"),
    *("file", "line", "current", "index", "count"),
    *("upstream", "hop", "upstream_status", "outcome_unknown"),
)
_LOG = logging.getLogger("mimeo")
_DRAINED = 64 << 20
_BLOCK = 64 << 10
_PATIENCE_S = 2.0
_MOST_DRAINING_S = 10.0


class Row(NamedTuple):
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


PROBLEMS: Mapping[type[Exception], Row] = MappingProxyType(
    {
        UnknownRenderer: Row(404, "unknown-renderer", "There is no such renderer"),
        BadParameter: Row(422, "bad-parameter", "A parameter is not valid"),
        UnknownFormat: Row(422, "unknown-format", "The format cannot be had"),
        LimitExceeded: Row(422, "limit-exceeded", "The request is over a limit"),
        Undrawable: Row(422, "undrawable", "The input cannot be drawn"),
        RenderTimeout: Row(422, "render-timeout", "Drawing took too long"),
        BadRows: Row(422, "bad-rows", "Rows of the collection are not valid"),
        UnknownCollection: Row(404, "unknown-collection", "No such collection"),
        NoSuchIndex: Row(404, "no-such-index", "The collection has no such image"),
        ExpiredCollection: Row(410, "expired-collection", "The id pins old images"),
        DamagedCollection: Row(500, "damaged-collection", "The collection is damaged"),
        Changed: Row(500, "changed-image", "An image is no longer what it was"),
        NoShelf: Row(501, "no-shelf", "Collections are not kept here"),
        BadBody: Row(400, "bad-body", "The request cannot be read"),
        UnsupportedBody: Row(415, "unsupported-body", "The body's type is not known"),
        StalePin: Row(410, "stale-pin", "The pinned image no longer exists"),
        NotAcceptable: Row(406, "not-acceptable", "No accepted type can be had"),
        PreconditionFailed: Row(412, "precondition-failed", "A precondition failed"),
        RequestEntityTooLarge: Row(413, "body-too-large", "The body is too large"),
        RangeNotSatisfiable: Row(416, "range-not-satisfiable", "The range is outside"),
        BrokenTemplate: Row(503, "broken-template", "The template is broken"),
        Busy: Row(503, "busy", "The server is busy"),
        Unfinished: Row(503, "unfinished", "The archive is being drawn"),
        BadSignature: Row(403, "bad-signature", "The URL is not signed"),
        ExpiredUrl: Row(410, "expired-url", "The URL has expired"),
        StoreError: Row(503, "store-unavailable", "The store cannot be used"),
        KeyReused: Row(422, "key-reused", "The key is of another request"),
        UpstreamDenied: Row(502, "upstream-denied", "The service denied the request"),
        UpstreamRefused: Row(422, "upstream-refused", "The service refused"),
        UpstreamFiltered: Row(422, "upstream-filtered", "The service's filter"),
        UpstreamBroken: Row(502, "upstream-broken", "The service failed"),
        BadMedia: Row(502, "upstream-bad-media", "The service sent no image"),
        TooLarge: Row(502, "upstream-too-large", "The service sent too much"),
        ForbiddenAddress: Row(502, "upstream-address", "The address is forbidden"),
        UpstreamBusy: Row(503, "upstream-busy", "The service is busy"),
        CircuitOpen: Row(503, "circuit-open", "The service is left alone"),
        UpstreamUnavailable: Row(503, "upstream-unavailable", "No connection"),
        UpstreamTimeout: Row(504, "upstream-timeout", "The service was too slow"),
    }
)

# When to come back after errors that do not know it themselves.
_RETRY_S: Mapping[type[Exception], int] = MappingProxyType(
    {StoreError: 5, UpstreamUnavailable: 10, BrokenTemplate: 60}
)


def problem(
    row: Row, detail: str, headers: Iterable[tuple[str, str]] = (), **more: Any
) -> Response:
    """Return an `application/problem+json` response (RFC 9457 section 3).

    `more` are extension members, such as the `field` at fault.
    """
    row = row._replace(status=shown(row.status))
    body = {
        **_core(row, detail),
        "instance": request.path,
        "request_id": request.environ.get("mimeo.request_id", ""),
        **more,
    }
    # Not by orjson, which refuses whole numbers beyond 64 bits: errors repeat them.
    text = json.dumps(body, ensure_ascii=False, indent=2)
    data = f"{text}\n".encode(errors="backslashreplace")
    response = Response(data, row.status, content_type="application/problem+json")
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Content-Type-Options"] = "nosniff"
    # Without it a script on another origin sees a network error, not the problem.
    response.headers["Access-Control-Allow-Origin"] = "*"
    response.headers.update(headers)
    return response


def shown(status: int) -> int:
    """Return the status to answer with: an operator's own in place of 502 and 504."""
    own: int | None = current_app.config.get("GATEWAY_STATUS")
    return own if own is not None and status in (502, 504) else status


def _core(row: Row, detail: str) -> dict[str, Any]:
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
    return {**_core(PROBLEMS[type(error)], str(error)), **_members(error)}


def install(app: Flask) -> None:
    """Answer every error of an app with a problem."""
    for kind in PROBLEMS:
        app.register_error_handler(kind, _from_table)
    app.register_error_handler(RequestEntityTooLarge, _too_large)
    app.register_error_handler(StoreError, _from_store)
    app.register_error_handler(ImageFailed, _from_image)
    app.register_error_handler(HTTPException, _from_http)
    app.register_error_handler(Exception, _unexpected)


def _from_table(error: Exception) -> Response:
    row = PROBLEMS[type(error)]
    return problem(row, str(error), headers_of(error), **_members(error))


def _from_image(error: ImageFailed) -> Response:
    """Answer with the problem of the image, and say which one it is."""
    cause = error.error
    row = PROBLEMS[type(cause)]
    more = {**_members(cause), "index": error.index}
    return problem(row, str(error), headers_of(cause), **more)


def _from_store(error: StoreError) -> Response:
    """Log what the store said, for it names paths; tell the client to come back."""
    _LOG.error("store: %s", error)
    detail = "What this needs cannot be read or kept now; the server's log says why."
    return problem(PROBLEMS[StoreError], detail, headers_of(error))


def _members(error: Exception) -> dict[str, Any]:
    """Pick the extension members that help a client to mend its request."""
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


def _from_http(error: HTTPException) -> Response:
    """Translate Werkzeug's own errors, keeping headers such as `Allow`."""
    status = error.code or 500
    title = error.name
    headers = [
        (name, value)
        for name, value in error.get_headers()
        if name.lower() not in ("content-type", "content-length")
    ]
    return problem(Row(status, None, title), error.description or title, headers)


def _too_large(error: RequestEntityTooLarge) -> Response:
    name = getattr(error, "limit", "MIMEO_MAX_BODY_BYTES")
    allowed = getattr(error, "allowed", current_app.config["MAX_CONTENT_LENGTH"])
    if (request.content_length or 0) <= _DRAINED:
        _drain(request.environ)
    detail = f"The body is over the limit {name} of {allowed:,} bytes."
    row = PROBLEMS[RequestEntityTooLarge]
    return problem(row, detail, limit=name, allowed=allowed)


def _drain(environ: dict[str, Any]) -> None:
    """Read what is still coming: a client that sends on would see a reset, no answer.

    Up to 64 MiB, in bounded memory, for 10 seconds at most and for as long as
    something comes.
    """
    connection = environ.get("gunicorn.socket")
    # A read waits for a whole block, so it is ended from outside.
    timer = Timer(_MOST_DRAINING_S, _end_reading, (connection,))
    if connection is not None:
        connection.settimeout(_PATIENCE_S)
        timer.start()
    unread = _DRAINED
    try:
        while unread > 0 and (block := environ["wsgi.input"].read(_BLOCK)):
            unread -= len(block)
    except (OSError, BadBody):
        # Nothing more comes, or nobody is there: the answer goes out all the same.
        return
    finally:
        timer.cancel()


def _end_reading(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RD)


def _unexpected(error: Exception) -> Response:
    """Log what happened; tell the client only how to find it in the log."""
    request_id = request.environ.get("mimeo.request_id", "")
    _LOG.error("request %s failed", request_id, exc_info=error)
    row = Row(500, None, "Internal Server Error")
    return problem(row, f"Request {request_id} failed; the server's log has the cause.")
