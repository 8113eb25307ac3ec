"""What pages of other origins may send and read: one policy for every route.

Pictures carry no credentials, so every origin may read them, and errors too: without
the header a script sees a network error instead of the problem (Fetch, section 3.2).
"""

from types import MappingProxyType

from flask import Flask, Response, request

from app.delivery.image import EXPOSED

_SAFE = (("X-Content-Type-Options", "nosniff"),)
SHARED = (
    *_SAFE,
    ("Access-Control-Allow-Origin", "*"),
    (
        "Access-Control-Expose-Headers",
        "Accept-Ranges, Cache-Status, Content-Disposition, Content-Length, "
        "Content-Location, Content-Range, ETag, Link, Location, Repr-Digest, "
        "Retry-After, Server-Timing, X-Media-Missing, X-Request-ID, X-Should-Retry, "
        f"{EXPOSED}",
    ),
)
# What the figures of a server in somebody's own network say is not for every page.
BY_PATH = MappingProxyType({"/metrics": _SAFE})
_ACCEPTED = (
    *("Accept", "Authorization", "Cache-Control", "Content-Type", "Idempotency-Key"),
    *("If-Match", "If-None-Match", "If-Range", "Prefer", "Range", "X-API-Key"),
    *("X-Request-ID", "X-Requested-With"),
)
# What the clients of OpenAI's API say of themselves.
_PREFIXES = ("x-stainless-", "openai-")
# The clients have 14 such names of up to 32 bytes; the answer stays below 4 KiB.
_MOST_NAMES, _MOST_NAME = 40, 48
_ANYWHERE = "GET, HEAD, OPTIONS, POST"
_DAY_S = 86400


class OpenFlask(Flask):
    """A Flask app that answers OPTIONS for each route, preflights among them."""

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
    """Return the headers that a preflight names and that stand for a whole family."""
    names = request.headers.get("Access-Control-Request-Headers", "").lower().split(",")
    bare = (name.strip() for name in names[:_MOST_NAMES])
    return [
        name
        for name in bare
        if name.startswith(_PREFIXES)
        and name.isascii()
        and name.replace("-", "").isalnum()
        and len(name) <= _MOST_NAME
    ]
