"""The simple producer contract: a prompt in, an image and its metadata out."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from app.media import Media
from app.pipeline.generation import GeneratedImages, Generation
from app.renderer.base import Output
from app.renderer.errors import BadParameter, Fault


def read(document: Mapping[str, Any], key: str | None) -> Generation:
    """Return what is asked for; the renderer names parameters that it does not know.

    `renderer`, `n` and the options of an image's encoding are Mimeo's, everything
    else the renderer's. `key` is the client's idempotency key. Raises BadParameter.
    """
    values = dict(document)
    renderer, count = values.pop("renderer", None), values.pop("n", 1)
    if not isinstance(renderer, (str, type(None))):
        raise BadParameter(Fault("renderer", "must be the name of a renderer"))
    # To Python a JSON `true` is a whole number, too.
    if not isinstance(count, int) or isinstance(count, bool):
        raise BadParameter(Fault("n", "must be a whole number"))
    output = {name: values.pop(name) for name in Output.model_fields if name in values}
    return Generation(values, renderer, count, output, key)


def write(album: GeneratedImages) -> dict[str, Any]:
    """Return the answer as a document in which images are bytes.

    The first image stands at the top; of several, all are in `images`.
    """
    items = [_item(album, media) for media in album.images]
    # A client that wants one image finds it in one place, however many there are.
    document = dict(items[0])
    if len(items) + len(album.absent) > 1:
        document["images"] = items
    if album.absent:
        document["missing"] = [asdict(each) for each in album.absent]
    return document


def _item(album: GeneratedImages, media: Media) -> dict[str, Any]:
    metadata = {
        "renderer": album.renderer,
        "media_type": media.media_type,
        "width": media.width,
        "height": media.height,
        "sha256": media.sha256,
        **media.facts,
    }
    return {"image_base64": media.data, "metadata": metadata}
