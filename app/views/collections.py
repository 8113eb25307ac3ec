"""Collections: created, described, one image of them, a sheet of all."""

import re
from collections.abc import Callable

import orjson
from flask import Blueprint, Response, request

from app.access.policy import require_delete
from app.collection.collection import Collection
from app.collection.export.exports import FORMS, ExportOptions, read_options
from app.collection.ingest.preview import Preview
from app.collection.repository import CollectionRepository
from app.config import Settings
from app.delivery.answer import send_json, send_page
from app.delivery.image import warn
from app.delivery.terms import Terms
from app.parsing.accept import JSON
from app.pipeline.pipeline import Pipeline
from app.renderer.catalogue import Catalogue
from app.renderer.encode import FORMATS, format_of
from app.renderer.errors import BadParameter, Fault
from app.views.body import read_link, read_query, receive, refuse_query
from app.views.deletion import send_deleted
from app.views.images import deliver

# The id pins the description, but the links depend on this version's forms.
_KEPT = "private, no-cache"
_NUMBER = re.compile(r"[0-9]{1,9}")


def blueprint(
    repository: CollectionRepository,
    catalogue: Catalogue,
    pipeline: Pipeline,
    settings: Settings,
    later: Callable[[], Response | None],
) -> Blueprint:
    """Return the routes of collections and of their single images.

    `later` answers where the request would rather have it drawn as a job.
    """
    bp = Blueprint("collections", __name__, url_prefix="/collections")

    def described(collection: Collection) -> dict[str, object]:
        notices = repository.notices(collection)
        return {**_described(collection), **notices.document()}

    @bp.post("")
    def create() -> Response:
        """Keep a collection and say where it is; with `preview` only look at it."""
        wanted = read_query().get("preview")
        if wanted is not None:
            return _previewed(wanted)
        answered = later()
        if answered is not None:
            return answered
        # Before the body is read: 64 MiB would be sent in vain.
        repository.check()
        draft, _ = receive(catalogue, settings)
        try:
            new = repository.add(draft)
            collection = draft.collection(catalogue, settings)
            place = (("Location", _place(collection)), ("Cache-Control", _KEPT))
            status = "201 CREATED" if new else "200 OK"
            about = {**described(collection), "warnings": draft.warnings}
            return send_json(about, status, (*place, *warn(draft.warnings)))
        finally:
            draft.close()

    def _previewed(wanted: str) -> Response:
        """Draw the worst rows, and say whatever is wrong with any."""
        if not _NUMBER.fullmatch(wanted) or not 0 < int(wanted) <= 20:
            reason = "must be how many rows to draw, 1 to 20"
            raise BadParameter(Fault("preview", reason))
        preview = Preview(int(wanted))
        found = preview.report(
            lambda: receive(catalogue, settings, ("preview",), preview)[0],
            lambda made: pipeline.produce(made).media,
        )
        return send_json(found, pairs=warn(preview.warnings))

    @bp.get("/<undotted:key>")
    def show(key: str) -> Response:
        """Describe a collection."""
        refuse_query()
        data = orjson.dumps(described(repository.open(key)))
        return send_page(request.environ, data, JSON, _KEPT)

    @bp.delete("/<undotted:key>")
    def delete(key: str) -> Response:
        """Forget a collection, and what was drawn of it."""
        refuse_query()
        require_delete(repository.owner(key))
        repository.delete(key, pipeline.forget)
        return send_deleted("collection", key)

    @bp.get("/<key>/<int:index>.<ending>")
    def image(key: str, index: int, ending: str) -> Response:
        """Draw one image of a collection."""
        own = ExportOptions.model_fields
        given, ignored = read_link(own, settings.tracking_names)
        options = read_options(ExportOptions, given)
        name = format_of(ending)
        item = repository.open(key).item(index, name)
        made = item.request
        terms = Terms(
            made.fingerprint,
            item.name.rpartition(".")[0],
            FORMATS[name].extensions,
            pinned=True,
            shared=False,
            download=options.download,
            ignored=ignored,
        )
        return deliver(request.environ, made, terms, pipeline)

    return bp


def _place(collection: Collection) -> str:
    return f"/collections/{collection.id}"


def _described(collection: Collection) -> dict[str, object]:
    place = _place(collection)
    ending = FORMATS[collection.output.format].extensions[0]
    return {
        "id": collection.id,
        "count": collection.count,
        "renderers": collection.header.renderers,
        "format": collection.output.format,
        "output": collection.header.output,
        "pixels": collection.header.pixels,
        "links": {
            "self": place,
            # A URI template (RFC 6570): the client puts the number in.
            "image": f"{place}/{{index}}.{ending}",
            "sheet": f"{place}/sheet.png",
            **{name: f"{place}.{name}" for name in FORMS},
        },
    }
