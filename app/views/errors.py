"""Answers every error: a problem (RFC 9457), or what OpenAI's clients expect."""

import json
import logging
import socket
from collections.abc import Mapping
from contextlib import suppress
from threading import Timer
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

from flask import Flask, Response, current_app, request
from flask.globals import request_ctx
from werkzeug.exceptions import (
    HTTPException,
    MethodNotAllowed,
    NotFound,
    RequestEntityTooLarge,
)

from app.access.caller import CALLER, Caller
from app.access.errors import (
    AccessError,
    BudgetExhausted,
    QuotaExceeded,
    RateExceeded,
    UnlistedHost,
)
from app.collection.outcome import ImageFailed
from app.delivery.answer import Pair, send_redirect
from app.dialects import openai
from app.observability import audit, metrics
from app.parsing.accept import JSON
from app.parsing.image import BadBody, BodyTooLarge
from app.pipeline.admission import Busy
from app.problems import (
    PROBLEMS,
    ProblemType,
    core,
    headers_of,
    members,
    of_kind,
    row_of,
)
from app.renderer.errors import shorten
from app.serving.errors import BodiesWait
from app.store import StoreError
from app.upstream.errors import CircuitOpen, UpstreamBusy
from app.views.cors import is_preflight

_LOG = logging.getLogger("mimeo")
_DRAINED = 64 << 20
_BLOCK = 64 << 10
_PATIENCE_S = 2.0
_MOST_DRAINING_S = 10.0
# Why a request is refused, as the figures say it.
_REASONS: Mapping[type[Exception], str] = MappingProxyType(
    {
        RateExceeded: "rate",
        QuotaExceeded: "quota",
        BudgetExhausted: "budget",
        UnlistedHost: "host",
        AccessError: "auth",
        Busy: "busy",
        BodiesWait: "busy",
        UpstreamBusy: "service",
        CircuitOpen: "service",
    }
)


def install(app: Flask) -> None:
    """Answer every error of an app."""
    app.register_error_handler(Exception, _answer)


def _answer(error: Exception) -> Response:
    # A preflight that fails hides the 404 itself from the page that asks; OPTIONS * is
    # about the server, and no path (RFC 9110, 9.3.7).
    whole = request.method == "OPTIONS" and request.environ["PATH_INFO"] == "*"
    if isinstance(error, NotFound) and (whole or is_preflight()):
        return current_app.make_default_options_response()
    if isinstance(error, NotFound):
        bare = _without_slash()
        if bare and request.method in ("GET", "HEAD") and _is_browser():
            last = quote(bare.rpartition("/")[2])
            query = request.query_string.decode("latin-1")
            place = f"../{last}?{query}" if query else f"../{last}"
            return send_redirect(place, (("Vary", "Accept"),))
        if bare or request.url_rule is None:
            error.description = _nothing_here(bare)
    if isinstance(error, RequestEntityTooLarge):
        allowed = current_app.config["MAX_CONTENT_LENGTH"]
        error = BodyTooLarge("MIMEO_MAX_BODY_BYTES", allowed)
    if isinstance(error, BodyTooLarge) and (request.content_length or 0) <= _DRAINED:
        _drain(request.environ)
    cause = error.error if isinstance(error, ImageFailed) else error
    row, detail, pairs = _seen(error, cause)
    # Of an image in an answer whoever draws it has told already.
    if cause is error:
        _note(
            error,
            request.endpoint,
            request.environ.get("REMOTE_ADDR", ""),
            CALLER.get().label,
            request.environ.get("mimeo.request_id", ""),
        )
    own: int | None = current_app.config.get("GATEWAY_STATUS")
    if own is not None and row.status in (502, 504):
        row = row._replace(status=own)
    # RFC 9111, 4.2.2: a cache may keep a 404 or 410 by a guess of its own otherwise.
    pairs.append(("Cache-Control", "no-store"))
    more = {"index": error.index} if isinstance(error, ImageFailed) else {}
    if request.path == "/v1" or request.path.startswith("/v1/"):
        status, code = openai.status_of(cause, row.status, row.slug or row.title)
        answer = openai.write_error(detail, status, code, openai.param_of(cause))
        pairs += openai.retry_headers(cause)
        return _send(status, JSON, answer, pairs)
    document = {
        **core(row, detail),
        "instance": request.path,
        "request_id": request.environ.get("mimeo.request_id", ""),
        **members(cause),
        **more,
    }
    return _send(row.status, "application/problem+json", document, pairs)


def _without_slash() -> str | None:
    """Return the path without the slash at its end, where that is a route.

    What a view has not found is below its route: then only a route of its own counts.
    """
    bare = request.path.removesuffix("/")
    adapter = request_ctx.url_adapter
    if adapter is None or bare in ("", request.path):
        return None
    if request.url_rule is not None and request.url_rule.rule == request.path:
        # It is written with the slash, and may be where the other leads.
        return None
    try:
        _, values = adapter.match(bare, request.method)
    except HTTPException:
        return None
    return bare if request.url_rule is None or not values else None


def _is_browser() -> bool:
    """Tell whether a page is asked for, by the name that programs do not send."""
    return "text/html" in request.headers.get("Accept", "")


def _nothing_here(bare: str | None) -> str:
    """Say that a path is no route, and what is: `bare`, where it is without a slash."""
    where = shorten(request.path)
    if bare is not None:
        return f"There is nothing at {where}; {shorten(bare)} is without the slash."
    if request.path.startswith("/jobs/"):
        return f"There is nothing at {where}: the id of a job has 64 digits."
    return f"There is nothing at {where}; /openapi.json lists what there is."


def refused(error: Exception, caller: Caller, index: int | None) -> None:
    """Count and audit an image that is refused in an answer which goes on.

    `index` is its number, from 1; None where the audit has an equal one of this answer.
    """
    about = (caller.endpoint, caller.remote, caller.label, caller.request_id)
    _note(error, *about, index=index, audited=index is not None)


def _note(
    error: Exception,
    endpoint: str | None,
    address: str,
    caller: str,
    request_id: str,
    *,
    index: int | None = None,
    audited: bool = True,
) -> None:
    """Count a refusal, and audit it, where it is one."""
    reason = of_kind(_REASONS, error)
    if reason is not None:
        metrics.count_refusal(reason)
    if audited and isinstance(error, AccessError):
        row = PROBLEMS[type(error)]
        audit.refusal(
            reason=row.slug or row.title,
            endpoint=endpoint,
            address=address,
            caller=error.key_id or caller,
            request_id=request_id,
            index=index,
        )


def _send(status: int, media_type: str, document: Any, pairs: list[Pair]) -> Response:
    # Not by orjson, which refuses whole numbers beyond 64 bits: errors repeat them.
    text = json.dumps(document, ensure_ascii=False, indent=2)
    data = f"{text}\n".encode(errors="backslashreplace")
    return Response(data, status, pairs, content_type=media_type)


def _seen(error: Exception, cause: Exception) -> tuple[ProblemType, str, list[Pair]]:
    """Return the row, what the client is told, and headers; log what it is not told."""
    row = row_of(cause)
    request_id = request.environ.get("mimeo.request_id", "")
    if isinstance(cause, StoreError):
        # The store names paths, which are nobody else's business.
        _LOG.error("request %s: store: %s", request_id, cause)
        detail = (
            "What this needs cannot be read or kept now; the server's log says why."
        )
        return PROBLEMS[StoreError], detail, [*headers_of(cause)]
    if row is not None:
        return row, str(error), [*headers_of(cause)]
    if isinstance(error, HTTPException):
        kept = ("content-type", "content-length")
        pairs = [pair for pair in error.get_headers() if pair[0].lower() not in kept]
        if isinstance(error, MethodNotAllowed):
            pairs = [("Allow", ", ".join(sorted(error.valid_methods or ())))]
        title = error.name
        row = ProblemType(error.code or 500, None, title)
        return row, error.description or title, pairs
    told = {"request_id": request_id}
    _LOG.error("request %s failed", request_id, exc_info=error, extra=told)
    detail = f"Request {request_id} failed; the server's log has the cause."
    return ProblemType(500, None, "Internal Server Error"), detail, []


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
