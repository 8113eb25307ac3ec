"""`/v1`: OpenAI's images API over every renderer that takes a prompt."""

import logging
import re
import time
from collections.abc import Callable, Mapping
from types import MappingProxyType

import orjson
from flask import Blueprint, Response, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound

from app.delivery.album import pairs_of
from app.delivery.answer import send_whole
from app.delivery.embed import embed
from app.dialects import openai
from app.media import Media
from app.parsing.accept import JSON
from app.pipeline.admission import Busy
from app.pipeline.generation import Album, Generations
from app.pipeline.idempotency import KeyReused
from app.problems import PROBLEMS, headers_of, shown
from app.renderer.errors import (
    BadParameter,
    LimitExceeded,
    RenderTimeout,
    Undrawable,
    UnknownRenderer,
)
from app.store import StoreError
from app.upstream.errors import (
    CircuitOpen,
    UpstreamBusy,
    UpstreamError,
    UpstreamFiltered,
    UpstreamRefused,
)
from app.views.images import CACHE_STATUS
from app.views.inference import read_document

Link = Callable[[Media], Mapping[str, object] | None]
_LOG = logging.getLogger("mimeo")
# Where OpenAI's status or code is not that of the problem.
_OWN: Mapping[type[Exception], tuple[int, str]] = MappingProxyType(
    {
        LimitExceeded: (400, "limit_exceeded"),
        Undrawable: (400, "undrawable"),
        RenderTimeout: (400, "render_timeout"),
        UnknownRenderer: (404, "model_not_found"),
        UpstreamFiltered: (400, "content_policy_violation"),
        UpstreamRefused: (400, "upstream_refused"),
        UpstreamBusy: (429, "rate_limit_exceeded"),
    }
)
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
_ALLOWED = MappingProxyType({"models": ["GET"], "images/generations": ["POST"]})
_MODEL = re.compile(r"\Amodels/[^/]+\Z")
_UNLINKED = "urls need a store that all workers share: the images are sent themselves"
_UNKEPT = "the store could not keep the images for urls: they are sent themselves"


def blueprint(generations: Generations, link: Link | None) -> Blueprint:
    """Return the routes; `link` makes URLs of images, None where nothing is kept."""
    bp = Blueprint("openai", __name__, url_prefix="/v1")

    @bp.post("/images/generations")
    def generate() -> Response:
        """Make the images of a prompt."""
        key = request.headers.get("Idempotency-Key")
        asked = openai.read(read_document(), key)
        try:
            album = generations.make(asked.generation)
        except BadParameter as error:
            raise openai.renamed(error) from error
        links = _links(album, link) if asked.form == "url" else None
        document = openai.write(album, int(time.time()), links)
        pairs = pairs_of(CACHE_STATUS[album.source], album.absent)
        if asked.form == "url" and links is None:
            warning = _UNLINKED if link is None else _UNKEPT
            document["warnings"] = [warning]
            pairs.append(("X-Media-Warnings", warning))
        return send_whole(embed(document), [*pairs, ("Content-Type", JSON)])

    @bp.get("/models")
    def models() -> Response:
        """List what takes a prompt."""
        rows = [openai.write_model(name) for name in generations.renderers()]
        return _json({"object": "list", "data": rows})

    @bp.get("/models/<name>")
    def model(name: str) -> Response:
        """Describe one."""
        known = generations.renderers()
        if name not in known:
            raise UnknownRenderer(name, known)
        return _json(openai.write_model(name))

    @bp.route("/", defaults={"rest": ""}, methods=_METHODS, strict_slashes=False)
    @bp.route("/<path:rest>", methods=_METHODS)
    def nothing(rest: str) -> Response:
        """Answer in this dialect also where there is nothing."""
        allowed = _ALLOWED.get(_MODEL.sub("models", rest))
        if allowed:
            raise MethodNotAllowed(allowed)
        raise NotFound

    bp.register_error_handler(Exception, _fail)
    bp.after_request(_translate)
    return bp


def _links(album: Album, link: Link | None) -> list[Mapping[str, object]] | None:
    """Return what stands for each image, or None where one has no URL."""
    if link is None:
        return None
    links = [members for media in album.images if (members := link(media))]
    return links if len(links) == len(album.images) else None


def _translate(answer: Response) -> Response:
    """Say in this dialect what the app itself answers: a body over its limit.

    Flask prefers a handler of the app's for one status to a blueprint's for all, and
    that one reads on what the client still sends.
    """
    if answer.mimetype == "application/problem+json":
        told = orjson.loads(answer.data)
        code = told["type"].rpartition("/")[2].replace("-", "_")
        error = openai.write_error(told["detail"], answer.status_code, code, None)
        answer.data = orjson.dumps(error)
        answer.content_type = JSON
    return answer


def _json(document: object) -> Response:
    pairs = (("Content-Type", JSON), ("Cache-Control", "no-store"))
    return send_whole(orjson.dumps(document), pairs)


def _fail(error: Exception) -> Response:
    """Answer an error in OpenAI's shape; of a fault of ours only where it is found."""
    status, code = _status(error)
    if status == 500 or isinstance(error, StoreError):
        request_id = request.environ.get("mimeo.request_id", "")
        _LOG.error("request %s failed", request_id, exc_info=error)
        message = f"Request {request_id} failed; the server's log has the cause."
    else:
        message = _message(error)
    document = openai.write_error(message, status, code, _param(error))
    answer = Response(orjson.dumps(document), shown(status), content_type=JSON)
    answer.headers["Cache-Control"] = "no-store"
    answer.headers["Access-Control-Allow-Origin"] = "*"
    answer.headers.update(headers_of(error))
    if isinstance(error, MethodNotAllowed) and error.valid_methods:
        answer.headers["Allow"] = ", ".join(error.valid_methods)
    retry = _retry(error)
    if retry:
        answer.headers["x-should-retry"] = retry
    return answer


def _status(error: Exception) -> tuple[int, str]:
    kind = type(error)
    if isinstance(error, BadParameter):
        return 400, openai.code_of(error)
    if kind in _OWN:
        return _OWN[kind]
    row = PROBLEMS.get(kind)
    if row is not None:
        return row.status, (row.slug or "error").replace("-", "_")
    if isinstance(error, HTTPException):
        return error.code or 500, error.name.lower().replace(" ", "_")
    return 500, "internal_error"


def _message(error: Exception) -> str:
    if isinstance(error, HTTPException):
        return error.description or error.name
    return str(error)


def _param(error: Exception) -> str | None:
    if isinstance(error, UnknownRenderer):
        return "model"
    if isinstance(error, BadParameter):
        return error.faults[0].field
    field = getattr(error, "field", None)
    return None if field is None else openai.name_of(field)


def _retry(error: Exception) -> str:
    """Say what openai's clients ask before they count attempts, or nothing."""
    if isinstance(error, (Busy, UpstreamBusy, CircuitOpen)):
        return "true"
    paid = isinstance(error, UpstreamError) and error.outcome_unknown
    return "false" if paid or isinstance(error, KeyReused) else ""
