"""The simple producer contract: a prompt in, an image and its metadata out.

Hugging Face's clients say the same in other words (`inputs`, `parameters`), and more
than any one renderer knows.
"""

from collections.abc import Mapping
from dataclasses import asdict
from types import MappingProxyType
from typing import Any

from app.media import Media
from app.pipeline.generation import GeneratedImages, Generation
from app.renderer.base import Output
from app.renderer.errors import BadParameter, Fault
from app.renderer.params import as_whole

# Parameters of Hugging Face by their names here.
_HUGGING_FACE = MappingProxyType(
    {"num_inference_steps": "steps", "guidance_scale": "cfg_scale"}
)


def read(document: Mapping[str, Any], key: str | None) -> Generation:
    """Return what is asked for; the renderer names parameters that it does not know.

    `renderer`, `n` and the options of an image's encoding are Mimeo's, everything
    else the renderer's. What Hugging Face's clients send beside the prompt and the
    size counts where the renderer knows it. `key` is the client's idempotency key.
    Raises BadParameter.
    """
    values = {name: value for name, value in document.items() if value is not None}
    wishes = _wishes(values) if _is_hugging_face(values) else {}
    renderer, count = values.pop("renderer", None), as_whole(values.pop("n", 1))
    if not isinstance(renderer, (str, type(None))):
        raise BadParameter(Fault("renderer", "must be the name of a renderer"))
    # To Python a JSON `true` is a whole number, too.
    if not isinstance(count, int) or isinstance(count, bool):
        raise BadParameter(Fault("n", "must be a whole number"))
    output = {name: values.pop(name) for name in Output.model_fields if name in values}
    return Generation(values, renderer, count, output, key, wishes=wishes)


def _is_hugging_face(values: Mapping[str, Any]) -> bool:
    return "inputs" in values and "prompt" not in values


def _wishes(values: dict[str, Any]) -> dict[str, Any]:
    """Turn a body of Hugging Face into ours in place; return what may have no effect.

    `target_size` is how its older clients say the size.
    """
    values["prompt"] = values.pop("inputs")
    parameters = values.pop("parameters", {})
    if not isinstance(parameters, Mapping):
        raise BadParameter(Fault("parameters", "must be an object"))
    given = {name: value for name, value in parameters.items() if value is not None}
    if "prompt" in given:
        # Its image-to-image, whose `inputs` are the image.
        reason = "is for an image in `inputs`: no image is made of another one here"
        raise BadParameter(Fault("parameters.prompt", reason))
    size = given.pop("target_size", {})
    sides = {**size, **given} if isinstance(size, Mapping) else given
    for name in ("width", "height"):
        if name in sides:
            values[name] = sides[name]
            given.pop(name, None)
    # How its servers cache and wait is said by HTTP here.
    values.pop("options", None)
    return {_HUGGING_FACE.get(name, name): value for name, value in given.items()}


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


def facts_of(album: GeneratedImages, media: Media) -> dict[str, Any]:
    """Return what is known of an image, and which wishes had no effect."""
    told = [f"{name}: {why}" for name, why in album.unfulfilled]
    if not told:
        return dict(media.facts)
    return {**media.facts, "warnings": [*media.facts.get("warnings", ()), *told]}


def _item(album: GeneratedImages, media: Media) -> dict[str, Any]:
    metadata = {
        "renderer": album.renderer,
        "media_type": media.media_type,
        "width": media.width,
        "height": media.height,
        "sha256": media.sha256,
        **facts_of(album, media),
    }
    return {"image_base64": media.data, "metadata": metadata}
