"""Single images: `/images/<renderer>.<format>` and `/images`."""

from collections.abc import Mapping
from io import BytesIO
from typing import Any

from flask import Blueprint, Response, request
from werkzeug.datastructures import FileStorage
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.formparser import FormDataParser

from app.delivery.answer import Pair
from app.delivery.image import Terms, answer_early, send
from app.image_request import ImageRequest
from app.parsing.image import (
    MAX_FIELDS,
    Asked,
    BadBody,
    Body,
    Line,
    Parser,
    UnsupportedBody,
)
from app.pipeline.pipeline import Pipeline, Production
from app.renderer.encode import FORMATS
from app.renderer.errors import shorten

# RFC 9211, section 2: what the store had to do with an answer.
CACHE_STATUS = {
    "hit": ("Cache-Status", "mimeo; hit"),
    "miss": ("Cache-Status", "mimeo; fwd=uri-miss"),
    "collapsed": ("Cache-Status", "mimeo; fwd=uri-miss; collapsed"),
}
# What a page of another origin may send, for a day (Fetch, section 3.2.3).
PREFLIGHT = {
    "Allow": "GET, HEAD, OPTIONS, POST",
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "GET, HEAD, POST",
    "Access-Control-Allow-Headers": "Accept, Content-Type, If-None-Match, Range",
    "Access-Control-Max-Age": "86400",
}


def blueprint(parser: Parser, pipeline: Pipeline, max_age_s: int) -> Blueprint:
    """Return the routes of single images; those not pinned may be kept so long."""
    bp = Blueprint("images", __name__, url_prefix="/images")
    # OPTIONS has a route of its own, below.
    plain: dict[str, Any] = {"provide_automatic_options": False}

    def answer(asked: Asked) -> Response:
        environ, made = request.environ, asked.request
        terms = Terms(
            made.fingerprint,
            made.renderer.name,
            FORMATS[made.output.format].extensions,
            pinned=asked.pinned,
            as_json=asked.as_json,
            download=asked.download,
            max_age_s=max_age_s,
        )
        terms, production = settle(made, terms, pipeline)
        early = answer_early(environ, terms)
        if early is not None:
            return early
        production = production or pipeline.produce(made)
        return _deliver(environ, made, terms, production)

    @bp.get("/<name>.<ending>", **plain)
    @bp.get("/<name>", defaults={"ending": None}, **plain)
    def show(name: str, ending: str | None) -> Response:
        """Draw one image from the query."""
        return answer(parser.query(_line(name, ending)))

    @bp.post("/<name>.<ending>", **plain)
    @bp.post("/<name>", defaults={"ending": None}, **plain)
    def draw(name: str, ending: str | None) -> Response:
        """Draw one image from a form, JSON, multipart or raw HTML."""
        return answer(parser.body(_line(name, ending), _body()))

    @bp.post("", **plain)
    def envelope() -> Response:
        """Draw one image from JSON that names the renderer."""
        if request.mimetype != "application/json":
            raise UnsupportedBody("POST /images takes application/json.")
        refuse_coding()
        return answer(parser.envelope(_line("", None), read_data()))

    @bp.route("", methods=["OPTIONS"], **plain)
    @bp.route("/<name>", methods=["OPTIONS"], **plain)
    def preflight(name: str = "") -> Response:
        """Say what may be sent."""
        return Response(status=204, headers=PREFLIGHT)

    return bp


def settle(
    made: ImageRequest, terms: Terms, pipeline: Pipeline
) -> tuple[Terms, Production | None]:
    """Return the terms of an image with its entity tag, and the image if need be.

    What a service makes is known by its bytes alone: made anew, it is another image.
    So the tag is their digest, and no URL pins them.
    """
    if made.renderer.remote is None:
        return terms, None
    known = pipeline.peek(made)
    if known is not None:
        return terms._replace(fingerprint=known.sha256, pinned=False), None
    production = pipeline.produce(made)
    sha256 = production.media.sha256
    return terms._replace(fingerprint=sha256, pinned=False), production


def _line(name: str, ending: str | None) -> Line:
    return Line(name, ending, raw_query(), request.environ.get("HTTP_ACCEPT"))


def raw_query() -> bytes:
    """Return the query as it came over the wire (PEP 3333: a byte a character)."""
    query: str = request.environ.get("QUERY_STRING", "")
    return query.encode("latin-1")


def _body() -> Body:
    refuse_coding()
    if request.mimetype == "multipart/form-data":
        return _multipart()
    return Body(request.mimetype, read_data())


def refuse_coding() -> None:
    """Refuse a compressed body (RFC 9110, 8.4): it would be read as it stands."""
    coding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if coding != "identity":
        raise UnsupportedBody("The body must have no Content-Encoding.")


def read_data() -> bytes:
    """Return the body whole; not by Werkzeug, which cuts a chunked one at the limit."""
    most = request.max_content_length or 0
    data: bytes = b""
    if (request.content_length or 0) <= most:
        data = request.environ["wsgi.input"].read(most + 1)
    if (request.content_length or len(data)) > most:
        raise RequestEntityTooLarge
    return data


def _multipart() -> Body:
    """Read the parts; Werkzeug's own way takes a broken body for an empty one."""
    parser = FormDataParser(
        # The body is bounded: a file of its own would only have to be closed.
        stream_factory=lambda *_, **__: BytesIO(),
        max_form_memory_size=request.max_content_length,
        max_content_length=request.max_content_length,
        max_form_parts=MAX_FIELDS,
        silent=False,
    )
    try:
        _, form, files = parser.parse(
            request.stream,
            request.mimetype,
            request.content_length,
            request.mimetype_params,
        )
    except ValueError as error:
        raise BadBody(f"The body is not multipart/form-data: {error}") from error
    except RequestEntityTooLarge as error:
        if (request.content_length or 0) > (request.max_content_length or 0):
            raise
        raise BadBody(f"There are more than {MAX_FIELDS} fields.") from error
    if None in form or None in files:
        raise BadBody("A part of the body has no name.")
    texts = tuple(_utf8(*pair) for pair in form.items(multi=True))
    contents = [_content(*pair) for pair in files.items(multi=True)]
    # A form in a browser sends a file that nobody chose as an empty one.
    chosen = tuple((name, data) for name, data, file in contents if data or file)
    return Body(request.mimetype, b"", texts, chosen)


def _content(name: str, file: FileStorage) -> tuple[str, bytes, str]:
    return name, file.read(), file.filename or ""


def _utf8(name: str, text: str) -> tuple[str, str]:
    """Refuse U+FFFD, as which Werkzeug shows what was not UTF-8."""
    if "\ufffd" in name + text:
        raise BadBody(f"The field {shorten(name)!r} is not UTF-8.")
    return name, text


def _deliver(
    environ: Mapping[str, Any],
    made: ImageRequest,
    terms: Terms,
    production: Production,
) -> Response:
    described = {"renderer": made.renderer.name, "format": made.output.format}
    about = how_made(production)
    if made.url is not None and made.renderer.remote is None:
        described["url"] = made.url
        about.append(("Link", f'<{made.url}>; rel="canonical"'))
    return send(environ, terms, production.media, about, **described)


def how_made(production: Production) -> list[Pair]:
    """Return the headers that say where an image came from, and its time."""
    return [("Server-Timing", _timing(production)), CACHE_STATUS[production.source]]


def _timing(production: Production) -> str:
    """Say where the time went, in milliseconds (W3C Server Timing)."""
    if production.source != "miss":
        return production.source
    return (
        f"queue;dur={production.queue_s * 1000:.1f}, "
        f"render;dur={production.draw_s * 1000:.1f}, "
        f"encode;dur={production.encode_s * 1000:.1f}"
    )
