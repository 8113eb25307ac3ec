"""Collections: created, described, one image of them, a sheet of all."""

import orjson
from flask import Blueprint, Response, request

from app.collection.collection import Collection
from app.collection.export.exports import FORMS, Options, read_options
from app.delivery.image import Terms, send_image
from app.delivery.image import answer_early as answer_image_early
from app.image_request import in_format, unique
from app.parsing.image import read_pairs
from app.pipeline.pipeline import Pipeline
from app.renderer.catalogue import Catalogue
from app.renderer.encode import EXTENSIONS, FORMATS
from app.views.archives import Desk
from app.views.images import PREFLIGHT, how_made, raw_query, settle
from app.views.uploads import receive


def blueprint(desk: Desk, catalogue: Catalogue, pipeline: Pipeline) -> Blueprint:
    """Return the routes of collections and of their single images."""
    bp = Blueprint("collections", __name__, url_prefix="/collections")

    @bp.post("")
    def create() -> Response:
        """Keep a collection and say where it is."""
        desk.shelf.check()
        draft, _ = receive(catalogue, desk.settings)
        try:
            new = desk.shelf.add(draft)
            collection = draft.collection(catalogue, desk.settings)
            return _described(collection, 201 if new else 200)
        finally:
            draft.close()

    @bp.get("/<key>")
    def show(key: str) -> Response:
        """Describe a collection."""
        return _described(desk.shelf.open(key), 200)

    @bp.get("/<key>/<int:index>.<ending>")
    def image(key: str, index: int, ending: str) -> Response:
        """Draw one image of a collection."""
        options = read_options(Options, unique(read_pairs(raw_query())))
        item = desk.shelf.open(key).item(index)
        made = item.request
        name = EXTENSIONS.get(ending, ending)
        if name != made.output.format:
            made = in_format(made, name)
        terms = Terms(
            fingerprint=made.fingerprint,
            name=item.name.rpartition(".")[0],
            extensions=FORMATS[name].extensions,
            pinned=True,
            download=options.download,
        )
        terms, production = settle(made, terms, pipeline)
        early = answer_image_early(request.environ, terms)
        if early is not None:
            return early
        production = production or pipeline.produce(made)
        about = how_made(production)
        return send_image(request.environ, terms, production.media, about)

    @bp.route("", methods=["OPTIONS"])
    def preflight() -> Response:
        """Say what may be sent."""
        return Response(status=204, headers=PREFLIGHT)

    return bp


def _described(collection: Collection, status: int) -> Response:
    place = f"/collections/{collection.id}"
    body = {
        "id": collection.id,
        "count": collection.count,
        "renderers": collection.header.renderers,
        "format": collection.output.format,
        "output": collection.header.output,
        "pixels": collection.header.pixels,
        "links": _links(collection, place),
    }
    data = orjson.dumps(body, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    response = Response(data, status, content_type="application/json")
    response.headers["Location"] = place
    response.headers["Cache-Control"] = "private, no-cache"
    response.headers["Access-Control-Allow-Origin"] = "*"
    return response


def _links(collection: Collection, place: str) -> dict[str, str]:
    ending = FORMATS[collection.output.format].extensions[0]
    return {
        "self": place,
        "image": f"{place}/{{index}}.{ending}",
        "sheet": f"{place}/sheet.png",
        **{name: f"{place}.{name}" for name in FORMS},
    }
