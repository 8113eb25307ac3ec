"""Single images: `/images/<renderer>.<format>` and `/images`."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from flask import Blueprint, Response, request

from app.access.errors import AccessError
from app.access.policy import require_buy
from app.delivery.answer import Answer, Pair
from app.delivery.image import send
from app.delivery.terms import STALE, Terms, answer_early
from app.image_request import ImageRequest
from app.observability import spans
from app.parsing.accept import JSON
from app.parsing.image import (
    ParsedRequest,
    Parser,
    RequestLine,
    StalePin,
    UnsupportedBody,
)
from app.parsing.prefer import FOR_A_JOB
from app.pipeline.pipeline import Pipeline, Production
from app.pipeline.purchases import NotBought
from app.renderer.encode import FORMATS
from app.renderer.errors import BadParameter, Fault
from app.views.body import read_body

# RFC 9211, section 2: what the store had to do with an answer.
CACHE_STATUS = {
    "hit": ("Cache-Status", "mimeo; hit"),
    "miss": ("Cache-Status", "mimeo; fwd=uri-miss"),
    "collapsed": ("Cache-Status", "mimeo; fwd=uri-miss; collapsed"),
}
# Bytes of a URL in a header; all of them together stay below 4 KiB, which is what
# nginx reads before it gives up with a 502.
_MOST_LINKED = 800
# What browsers and proxies say when nobody has asked for the image yet.
_PREFETCH = ("HTTP_SEC_PURPOSE", "HTTP_PURPOSE", "HTTP_X_PURPOSE", "HTTP_X_MOZ")


def blueprint(
    parser: Parser,
    pipeline: Pipeline,
    max_age_s: int,
    later: Callable[[ParsedRequest], Response | None],
) -> Blueprint:
    """Return the routes of single images; those not pinned may be kept so long.

    `later` answers where what is sent would rather be drawn as a job.
    """
    bp = Blueprint("images", __name__, url_prefix="/images")

    # The environment is handed on: each look through Flask's proxy is five calls.
    def answer(environ: Mapping[str, Any], asked: ParsedRequest) -> Response:
        made = asked.request
        if asked.webhook is not None:
            raise BadParameter(Fault("webhook", FOR_A_JOB))
        if asked.stale and "HTTP_RANGE" in environ:
            # Whoever resumes would splice the parts of two pictures.
            raise StalePin(made.fingerprint)
        terms = Terms(
            made.fingerprint,
            made.renderer.name,
            FORMATS[made.output.format].extensions,
            pinned=asked.pinned,
            negotiated=True,
            as_json=asked.as_json,
            download=asked.download,
            max_age_s=0 if asked.stale else max_age_s,
            ignored=asked.ignored,
        )
        answered = deliver(environ, made, terms, pipeline)
        if asked.stale:
            answered.headers[STALE] = made.fingerprint
        return answered

    @bp.get("/<path:name>.<ending>")
    @bp.get("/<path:name>", defaults={"ending": None})
    def show(name: str, ending: str | None) -> Response:
        """Draw one image from the query; HEAD fetches nothing for it."""
        environ = request.environ
        line = _line(environ, name, ending)
        kind = parser.unfetched(line) if environ["REQUEST_METHOD"] == "HEAD" else None
        if kind is not None:
            return _unknown(kind)
        return answer(environ, parser.query(line))

    @bp.post("/<path:name>.<ending>")
    @bp.post("/<path:name>", defaults={"ending": None})
    def draw(name: str, ending: str | None) -> Response:
        """Draw one image from a form, JSON, multipart or raw HTML."""
        environ = request.environ
        line = _line(environ, name, ending)
        asked = parser.body(line, read_body())
        return later(asked) or answer(environ, asked)

    @bp.post("")
    def envelope() -> Response:
        """Draw one image from JSON that names the renderer."""
        environ = request.environ
        line = _line(environ, "", None)
        body = read_body()
        if body.mimetype != JSON:
            raise UnsupportedBody(f"POST /images takes {JSON}.")
        asked = parser.envelope(line, body)
        return later(asked) or answer(environ, asked)

    return bp


def deliver(
    environ: Mapping[str, Any], made: ImageRequest, terms: Terms, pipeline: Pipeline
) -> Response:
    """Return one image on its terms, drawn only where no early answer serves.

    What a service makes is known by its bytes alone: made anew, it is another image.
    So the tag is their digest, and no URL pins them. Raises NotBought for a prefetch.
    """
    production = None
    if made.renderer.remote is not None:
        known = pipeline.peek(made)
        if known is None:
            kind = JSON if terms.as_json else FORMATS[made.output.format].media_type
            would_buy = partial(pipeline.would_buy, made)
            spared = spare(environ, kind, would_buy, (made.renderer.name,))
            if spared is not None:
                return spared
            production = pipeline.produce(made)
            terms = terms._replace(tag=production.media.sha256, pinned=False)
        else:
            terms = terms._replace(tag=known.sha256, pinned=False)
    # The tag is the request's fingerprint, so a 304 needs neither store nor drawing.
    early = answer_early(environ, terms)
    if early is not None:
        return early
    # What was just bought is at hand; asked for anew it could be another image.
    production = production or pipeline.produce(made)
    described = {"renderer": made.renderer.name, "format": made.output.format}
    about = how_made(production)
    # A collection's image is not named by a public URL that repeats people's names.
    if terms.shared and made.url is not None and made.renderer.remote is None:
        described["url"] = made.url
        if len(made.url) <= _MOST_LINKED:
            about.append(("Link", f'<{made.url}>; rel="canonical"'))
    return send(environ, terms, production.media, about, **described)


def spare(
    environ: Mapping[str, Any],
    media_type: str,
    would_buy: Callable[[], bool],
    services: Iterable[str],
) -> Answer | None:
    """Return what HEAD is told of what is not bought yet, or None to go on.

    Nothing is bought by HEAD, which learns the type, nor by a prefetch, for which
    this raises NotBought, nor by who may not buy of the services; `would_buy` is asked
    for these alone. Before the first byte: later ones could not tell it.
    """
    head = environ["REQUEST_METHOD"] == "HEAD"
    if not head:
        try:
            require_buy(*services)
        except AccessError:
            if would_buy():
                raise
            return None
        if not _is_prefetch(environ):
            return None
    if not would_buy():
        return None
    if not head:
        raise NotBought
    return _unknown(media_type)


def _unknown(media_type: str) -> Answer:
    """Return what HEAD is told of bytes that nobody has yet."""
    pairs = (("Content-Type", media_type), ("Cache-Control", "no-store"))
    return Answer("200 OK", pairs, ())


def _is_prefetch(environ: Mapping[str, Any]) -> bool:
    said = " ".join(environ.get(name, "") for name in _PREFETCH).lower()
    return any(word in said for word in ("prefetch", "preview", "prerender"))


def _line(environ: Mapping[str, Any], name: str, ending: str | None) -> RequestLine:
    # PEP 3333: bytes of the request stand in a str of code points below 256.
    query = environ.get("QUERY_STRING", "").encode("latin-1")
    return RequestLine(name, ending, query, environ.get("HTTP_ACCEPT"))


def how_made(production: Production) -> list[Pair]:
    """Return the headers that say where an image came from, and its time."""
    # W3C Server Timing, section 3: durations are in milliseconds.
    took = [f"{phase};dur={s * 1000:.1f}" for phase, s in spans.seen().items()]
    timing = ", ".join((production.source, *took))
    return [("Server-Timing", timing), CACHE_STATUS[production.source]]
