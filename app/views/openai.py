"""`/v1`: OpenAI's images API over every renderer that takes a prompt."""

import time
from collections.abc import Callable, Mapping

from flask import Blueprint, Response, request

from app.delivery.answer import delivered, list_of, send_json, send_whole
from app.delivery.image import embed, pairs_of
from app.dialects import openai
from app.image_request import unique
from app.media import Media
from app.parsing.accept import JSON
from app.parsing.image import UnsupportedBody, read_json
from app.pipeline.generation import GeneratedImages, Generations
from app.pipeline.idempotency import Attempt
from app.renderer.errors import BadParameter, UnknownRenderer
from app.renderer.params import spell_bytes
from app.views.body import pass_over_query, read_body, read_document
from app.views.images import CACHE_STATUS

Link = Callable[[Media], Mapping[str, object] | None]
_UNLINKED = "urls need a store that all workers share: the images are sent themselves"
_UNKEPT = (
    "urls need a store that takes the images, and MIMEO_PUBLIC_URL or"
    " MIMEO_ALLOWED_HOSTS: the images are sent themselves"
)


def blueprint(generations: Generations, link: Link | None) -> Blueprint:
    """Return the routes; `link` makes URLs of images, None where nothing is kept."""
    bp = Blueprint("openai", __name__, url_prefix="/v1")

    @bp.post("/images/generations")
    def generate() -> Response:
        """Make the images of a prompt."""
        asked = openai.read(read_document(), *_attempt())
        return _answer(generations, link, asked, "image_generation")

    @bp.post("/images/edits")
    @bp.post("/images/variations")
    def edit() -> Response:
        """Make images of another one, by a renderer that takes one."""
        fields, pictures = _edit()
        asked = openai.read_edit(fields, pictures, *_attempt())
        return _answer(generations, link, asked, "image_edit")

    @bp.get("/models")
    def models() -> Response:
        """List what takes a prompt."""
        rows = [openai.write_model(name) for name in generations.models()]
        listed = {"object": "list", "data": rows}
        return send_json(listed, pairs=pass_over_query())

    @bp.get("/models/<path:name>")
    def model(name: str) -> Response:
        """Describe one."""
        known = generations.models()
        if name not in known:
            raise UnknownRenderer(name, known)
        return send_json(openai.write_model(name), pairs=pass_over_query())

    return bp


def _edit() -> tuple[dict[str, object], list[str]]:
    """Return the fields of a form or of JSON, and the images apart.

    Clients call one `image`, or `image[]`; JSON has `images` with an `image_url` each.
    """
    body = read_body()
    if body.mimetype == JSON:
        fields = read_json(body.data, body.charset)
        given = fields.pop("images", None) or fields.pop("image", None) or []
        items = given if isinstance(given, list) else [given]
        found = [i.get("image_url") if isinstance(i, dict) else i for i in items]
    else:
        if body.mimetype != "multipart/form-data":
            raise UnsupportedBody(f"{request.path} takes multipart/form-data or JSON.")
        files = [(name.removesuffix("[]"), data) for name, data in body.files]
        fields = {**unique(body.pairs), **{n: "" for n, _ in files if n != "image"}}
        found = [spell_bytes(data) for name, data in files if name == "image"]
    if request.path.endswith("variations"):
        fields.setdefault("prompt", "a variation of the image")
    return fields, [image if isinstance(image, str) else "" for image in found]


def _attempt() -> tuple[str | None, Attempt]:
    """Return the client's key, and what the request is to equal ones before it."""
    headers = request.headers
    retries, agent = headers.get("X-Stainless-Retry-Count"), headers.get("User-Agent")
    return headers.get("Idempotency-Key"), openai.attempt_of(retries, agent)


def _answer(
    generations: Generations, link: Link | None, asked: openai.OpenAIRequest, kind: str
) -> Response:
    """Make what is asked for, and send it in the form that is asked for."""
    try:
        album = generations.make(asked.generation)
    except BadParameter as error:
        # The renderer names its own parameters; the client knows OpenAI's alone.
        raise openai.renamed(error) from error
    pairs = pairs_of(CACHE_STATUS[album.source], album.absent)
    warnings = openai.warnings_of(asked, album.unfulfilled)
    created = int(time.time())
    body: bytes | memoryview
    if asked.stream:
        body = b"".join(map(_event, openai.write_events(album, created, kind)))
        media_type = "text/event-stream"
    else:
        links = None if asked.form == "b64_json" else _links(album, link)
        if asked.form == "url" and links is None:
            warnings.append(_UNLINKED if link is None else _UNKEPT)
        document = openai.write(album, created, links, asked.form)
        if warnings:
            document["warnings"] = warnings
        body, media_type = embed(document), JSON
    if warnings:
        pairs.append(("X-Media-Warnings", list_of(warnings)))
    answer = send_whole(body, [*pairs, ("Content-Type", media_type)])
    connection = request.environ.get("gunicorn.socket")
    answer.response = delivered(answer.iter_encoded(), connection, album.finish)
    return answer


def _event(event: tuple[str, Mapping[str, object]]) -> bytes:
    """Spell a server-sent event (HTML, 9.2)."""
    name, document = event
    return b"".join((f"event: {name}\ndata: ".encode(), embed(document), b"\n\n"))


def _links(
    album: GeneratedImages, link: Link | None
) -> list[Mapping[str, object]] | None:
    """Return what stands for each image, or None where one has no URL."""
    if link is None:
        return None
    # All or none: OpenAI's clients read one member of every image.
    links = [members for media in album.images if (members := link(media))]
    return links if len(links) == len(album.images) else None
