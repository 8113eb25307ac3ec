"""What pages of other origins may send and read: one policy for every route.

Pictures carry no credentials, so every origin may read them, and errors too: without
the header a script sees a network error instead of the problem (Fetch, section 3.2).
"""

from collections.abc import Callable
from types import MappingProxyType
from typing import Any

from flask import Flask, Request, Response, request
from flask.sessions import NullSession, SessionInterface
from werkzeug.routing import MapAdapter

_SAFE = (("X-Content-Type-Options", "nosniff"),)
SHARED = (
    *_SAFE,
    ("Access-Control-Allow-Origin", "*"),
    # Fetch, 4.9: every header, where no credentials are sent. Whoever sends them reads
    # nothing of an answer for every origin anyway. Names would be 380 bytes of each.
    ("Access-Control-Expose-Headers", "*"),
)
# What the figures of a server in somebody's own network say is not for every page.
BY_PATH = MappingProxyType({"/metrics": _SAFE})
_ACCEPTED = (
    *("Accept", "Authorization", "Cache-Control", "Content-Type", "Idempotency-Key"),
    *("If-Match", "If-None-Match", "If-Range", "Prefer", "Range", "X-API-Key"),
    *("X-Request-ID", "X-Requested-With"),
)
# What the clients of OpenAI's API say of themselves, and those of others that share it.
_CLIENTS = ("x-stainless-", "openai-", "http-referer", "x-title")
# What tracing in a page puts on each request that it makes: OpenTelemetry, Sentry,
# Zipkin, Datadog, New Relic, X-Ray, Application Insights.
_TRACING = (
    *("traceparent", "tracestate", "baggage", "sentry-trace", "b3", "x-b3-"),
    *("x-datadog-", "newrelic", "x-amzn-trace-id", "request-id"),
)
# Conditions by date, where a stream of events is taken up again, a body that is packed.
_OTHERS = (
    *("if-modified-since", "if-unmodified-since", "last-event-id", "pragma"),
    "content-encoding",
)
_BEGINNINGS = _CLIENTS + _TRACING + _OTHERS
# The clients have 14 such names of up to 32 bytes; the answer stays below 4 KiB.
_MOST_NAMES, _MOST_NAME = 40, 48
_ANYWHERE = "GET, HEAD, OPTIONS, POST"
_DAY_S = 86400


class NoSessions(SessionInterface):
    """Nobody is remembered: there is no cookie to read, to sign or to write."""

    _none = NullSession()

    def open_session(self, app: Flask, request: Request) -> NullSession:
        """Return the one session, which cannot be written to."""
        return self._none

    def is_null_session(self, obj: object) -> bool:
        """Tell that there is nothing to save."""
        return True


class OpenFlask(Flask):
    """A Flask app that answers OPTIONS for each route, preflights among them.

    It leaves out what costs each request of Flask's time and is used by none here:
    sessions, async views, hosts that decide which view it is. Together a quarter of
    what Flask takes for an empty view (docs/explanation/performance.md).
    """

    session_interface = NoSessions()

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function: none is async."""
        return func

    def create_url_adapter(self, request: Request | None) -> MapAdapter | None:
        """Return what finds the view of a request, by its path alone.

        The host was or will be checked by `body.check_frame` and the gate; here it is
        no more than a text.
        """
        if request is None:
            return None
        environ = request.environ
        return MapAdapter(
            self.url_map,
            environ.get("HTTP_HOST") or environ["SERVER_NAME"],
            request.root_path,
            "",
            environ["wsgi.url_scheme"],
            request.path,
            environ["REQUEST_METHOD"],
            environ.get("QUERY_STRING", ""),
        )

    def make_default_options_response(self) -> Response:
        """Say which methods a route answers, and what may be sent to it.

        Where there is none a page may ask too: it could not read the 404 otherwise.
        """
        allowed = super().make_default_options_response().headers.get("Allow")
        methods = ", ".join(sorted((allowed or _ANYWHERE).split(", ")))
        headers = {
            **({"Allow": methods} if allowed else {}),
            "Access-Control-Allow-Methods": methods,
            "Access-Control-Allow-Headers": ", ".join((*_ACCEPTED, *_asked_for())),
            "Access-Control-Max-Age": str(_DAY_S),
            "Vary": "Access-Control-Request-Headers",
        }
        answer = Response(status=204, headers=headers)
        # RFC 9110, 8.3: nothing is sent that could have a type.
        del answer.headers["Content-Type"]
        return answer


def is_preflight() -> bool:
    """Tell whether a browser asks what a page may send."""
    return (
        request.method == "OPTIONS"
        and "Access-Control-Request-Method" in request.headers
    )


def _asked_for() -> list[str]:
    """Return what a preflight names of headers that are allowed where asked for."""
    names = request.headers.get("Access-Control-Request-Headers", "").lower().split(",")
    bare = (name.strip() for name in names[:_MOST_NAMES])
    return [
        name
        for name in bare
        if name.startswith(_BEGINNINGS)
        and name.isascii()
        and name.replace("-", "").isalnum()
        and len(name) <= _MOST_NAME
    ]
