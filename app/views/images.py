"""Single images: `/images/<renderer>.<format>` and `/images`."""

from collections.abc import Iterator

from flask import Blueprint, Response, request

from app.delivery.image import answer_early, send
from app.parsing import Asked, BadBody, Body, Line, Parser, UnsupportedBody, file_pair
from app.pipeline import Pipeline, Production

# RFC 9211, section 2: what the store had to do with an answer.
_CACHE_STATUS = {
    "hit": ("Cache-Status", "mimeo; hit"),
    "miss": ("Cache-Status", "mimeo; fwd=uri-miss"),
    "collapsed": ("Cache-Status", "mimeo; fwd=uri-miss; collapsed"),
}


def blueprint(parser: Parser, pipeline: Pipeline) -> Blueprint:
    """Return the routes of single images."""
    bp = Blueprint("images", __name__, url_prefix="/images")

    def answer(asked: Asked) -> Response:
        early = answer_early(request.environ, asked.terms)
        return early or _deliver(asked, pipeline.produce(asked.request))

    @bp.get("/<name>.<ending>")
    @bp.get("/<name>", defaults={"ending": None})
    def show(name: str, ending: str | None) -> Response:
        """Draw one image from the query."""
        return answer(parser.query(_line(name, ending)))

    @bp.post("/<name>.<ending>")
    @bp.post("/<name>", defaults={"ending": None})
    def draw(name: str, ending: str | None) -> Response:
        """Draw one image from a form, JSON, multipart or raw HTML."""
        return answer(parser.body(_line(name, ending), _body()))

    @bp.post("")
    def envelope() -> Response:
        """Draw one image from JSON that names the renderer."""
        if request.mimetype != "application/json":
            raise UnsupportedBody("POST /images takes application/json.")
        return answer(parser.envelope(_line("", None), request.get_data(cache=False)))

    return bp


def _line(name: str, ending: str | None) -> Line:
    environ = request.environ
    query = request.query_string
    return Line(name, ending, query, environ.get("HTTP_ACCEPT"))


def _body() -> Body:
    if request.mimetype != "multipart/form-data":
        return Body(request.mimetype, request.get_data(cache=False))
    return Body(request.mimetype, b"", tuple(_parts()))


def _parts() -> Iterator[tuple[str, str]]:
    """List multipart fields; text that was not UTF-8 shows as U+FFFD and is refused."""
    for name, text in request.form.items(multi=True):
        if "\ufffd" in name + text:
            raise BadBody(f"The field {name!r} is not UTF-8.")
        yield name, text
    for name, file in request.files.items(multi=True):
        yield file_pair(name, file.read())


def _deliver(asked: Asked, production: Production) -> Response:
    made = asked.request
    described = {"renderer": made.renderer.name, "format": made.output.format}
    about = [("Server-Timing", _timing(production)), _CACHE_STATUS[production.source]]
    if made.url is not None:
        described["url"] = made.url
        about.append(("Link", f'<{made.url}>; rel="canonical"'))
    return send(request.environ, asked.terms, production.media, about, **described)


def _timing(production: Production) -> str:
    """Say where the time went, in milliseconds (W3C Server Timing)."""
    if production.source != "miss":
        return production.source
    return (
        f"queue;dur={production.queue_s * 1000:.1f}, "
        f"render;dur={production.draw_s * 1000:.1f}, "
        f"encode;dur={production.encode_s * 1000:.1f}"
    )
