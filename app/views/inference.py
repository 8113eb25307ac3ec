"""`POST /inference`: images of a prompt, in whichever wrapping the caller takes."""

from collections.abc import Callable

from flask import Blueprint, Response, request

from app.delivery.answer import Answer, Pair, send_whole
from app.delivery.image import (
    archive,
    describe,
    embed,
    ending_of,
    fact_headers,
    pairs_of,
    warn,
)
from app.delivery.terms import content_disposition
from app.dialects import inference
from app.image_request import unknown_names
from app.parsing.accept import JSON, NotAcceptable, choose
from app.parsing.prefer import FOR_A_JOB
from app.pipeline.generation import GeneratedImages, Generation, Generations
from app.renderer.encode import FORMATS, format_of
from app.renderer.errors import BadParameter, Fault
from app.views.body import read_document, read_query
from app.views.images import CACHE_STATUS

ZIP = "application/zip"
_IMAGES = tuple(row.media_type for name, row in FORMATS.items() if name != "svg")


Later = Callable[[Generation, str, str | None], Response | None]


def blueprint(generations: Generations, later: Later) -> Blueprint:
    """Return the route of the simple producer contract.

    `later` answers where the request would rather have a job, whose end is told to a
    webhook: it gets what is asked for, the media type of the answer, and that.
    """
    bp = Blueprint("inference", __name__)

    @bp.post("/inference")
    def infer() -> Response:
        """Make the images of a prompt."""
        document = read_document()
        webhook = _webhook(document)
        asked = inference.read(document, request.headers.get("Idempotency-Key"))
        accept = request.environ.get("HTTP_ACCEPT")
        media_type = _choose(accept, asked)
        if media_type in _IMAGES and not _any_image(accept, media_type):
            name = next(n for n, row in FORMATS.items() if row.media_type == media_type)
            asked.output.setdefault("format", name)
        answered = later(asked, media_type, webhook)
        if answered is not None:
            return answered
        if webhook is not None:
            raise BadParameter(Fault("webhook", FOR_A_JOB))
        return send_album(generations.make(asked), media_type)

    return bp


def send_album(album: GeneratedImages, media_type: str) -> Answer:
    """Return the images of a prompt in the wrapping that was chosen."""
    pairs = pairs_of(CACHE_STATUS[album.source], album.absent)
    if media_type in (JSON, ZIP):
        pairs += warn([f"{name}: {why}" for name, why in album.unfulfilled])
    if media_type == JSON:
        pairs.append(("Content-Type", JSON))
        return send_whole(embed(inference.write(album)), pairs)
    return _archive(album, pairs) if media_type == ZIP else _image(album, pairs)


def _webhook(document: dict[str, object]) -> str | None:
    """Take the webhook out of a body, or the query; raise BadParameter."""
    query = read_query()
    given = query.pop("webhook", None)
    if query:
        raise BadParameter(*unknown_names(query, ("webhook",)))
    if "webhook" not in document:
        return given
    webhook = document.pop("webhook")
    if given is not None:
        raise BadParameter(Fault("webhook", "is given twice"))
    if not isinstance(webhook, str):
        raise BadParameter(Fault("webhook", "must be a text"))
    return webhook


def _choose(accept: str | None, asked: Generation) -> str:
    """Return the media type of the answer; one image alone can be one."""
    name = asked.output.get("format")
    row = FORMATS.get(format_of(name)) if isinstance(name, str) else None
    images = _IMAGES if row is None else (row.media_type,)
    offers = (JSON, ZIP) if asked.count > 1 else (JSON, ZIP, *images)
    chosen = choose(accept, offers)
    if chosen is None:
        raise NotAcceptable(offers)
    return chosen


def _any_image(accept: str | None, media_type: str) -> bool:
    """Tell whether every type of image is as welcome as one of them.

    Only then may a service's image stay as it comes, whatever its type.
    """
    images = (name for name in _IMAGES if name.startswith("image/"))
    return all(choose(accept, (name, media_type)) == name for name in images)


def _image(album: GeneratedImages, pairs: list[Pair]) -> Answer:
    media = album.images[0]
    disposition = content_disposition(
        album.renderer, (ending_of(media),), attachment=False
    )
    pairs += (
        ("Content-Disposition", disposition),
        ("ETag", f'"{media.sha256}"'),
        *describe(media),
        *fact_headers(inference.facts_of(album, media)),
    )
    return send_whole(media.data, pairs)


def _archive(album: GeneratedImages, pairs: list[Pair]) -> Answer:
    made = archive(album.images, album.absent)
    disposition = content_disposition(album.renderer, ("zip",), attachment=True)
    pairs += (
        ("Content-Type", ZIP),
        ("Content-Disposition", disposition),
        ("Content-Length", str(made.length)),
    )
    return Answer("200 OK", pairs, made.chunks)
