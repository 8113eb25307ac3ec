"""`/v1`: OpenAI's images API over every renderer that takes a prompt."""

import time
from collections.abc import Callable, Mapping

from flask import Blueprint, Response, request

from app.delivery.album import embed, pairs_of
from app.delivery.answer import send_json, send_whole
from app.dialects import openai
from app.media import Media
from app.parsing.accept import JSON
from app.pipeline.generation import GeneratedImages, Generations
from app.renderer.errors import BadParameter, UnknownRenderer
from app.views.body import read_document
from app.views.images import CACHE_STATUS

Link = Callable[[Media], Mapping[str, object] | None]
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
            # The renderer names its own parameters; the client knows OpenAI's alone.
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
        return send_json({"object": "list", "data": rows})

    @bp.get("/models/<name>")
    def model(name: str) -> Response:
        """Describe one."""
        known = generations.renderers()
        if name not in known:
            raise UnknownRenderer(name, known)
        return send_json(openai.write_model(name))

    return bp


def _links(
    album: GeneratedImages, link: Link | None
) -> list[Mapping[str, object]] | None:
    """Return what stands for each image, or None where one has no URL."""
    if link is None:
        return None
    # All or none: OpenAI's clients read one member of every image.
    links = [members for media in album.images if (members := link(media))]
    return links if len(links) == len(album.images) else None
