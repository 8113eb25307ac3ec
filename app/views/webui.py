"""`/sdapi/v1`: Stable Diffusion WebUI's API over every renderer with a prompt."""

from flask import Blueprint, Response, request

from app.delivery.answer import delivered, send_json, send_whole
from app.delivery.image import embed, pairs_of, warn
from app.dialects import webui
from app.parsing.accept import JSON
from app.pipeline.generation import Generations
from app.renderer.errors import BadParameter
from app.views.body import pass_over_query, read_document
from app.views.images import CACHE_STATUS


def blueprint(generations: Generations) -> Blueprint:
    """Return the routes that its clients ask before and for a picture."""
    bp = Blueprint("webui", __name__, url_prefix="/sdapi/v1")

    @bp.post("/txt2img")
    def generate() -> Response:
        """Make the images of a prompt."""
        document = read_document()
        asked, ignored = webui.read(document, request.headers.get("Idempotency-Key"))
        try:
            album = generations.make(asked)
        except BadParameter as error:
            raise webui.renamed(error) from error
        told = tuple(f"{name}: {why}" for name, why in album.unfulfilled)
        warnings = ignored + told
        pairs = [
            *pairs_of(CACHE_STATUS[album.source], album.absent),
            *warn(warnings),
        ]
        body = embed(webui.write(album, document, warnings))
        answer = send_whole(body, [*pairs, ("Content-Type", JSON)])
        connection = request.environ.get("gunicorn.socket")
        answer.response = delivered(answer.iter_encoded(), connection, album.finish)
        return answer

    @bp.get("/sd-models")
    def models() -> Response:
        """List what takes a prompt."""
        return _list(webui.write_models(generations.models()))

    @bp.get("/samplers")
    def samplers() -> Response:
        """List what a client may choose from."""
        return _list(list(webui.SAMPLERS))

    @bp.get("/options")
    def options() -> Response:
        """Say which model is the usual one."""
        return _list(webui.write_options(generations.usual()))

    return bp


def _list(value: object) -> Response:
    return send_json(value, pairs=pass_over_query())
