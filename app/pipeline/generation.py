"""Images of a prompt, as all faces ask for them, over every renderer that takes one.

A face is a table of names and shapes: it says a `Generation` out of its own wire
format, and `GeneratedImages` in it.
"""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from app.config import Settings
from app.image_request import ImageRequest, from_parts
from app.media import Media
from app.pipeline.idempotency import IdempotencyKeys
from app.pipeline.pipeline import Pipeline
from app.renderer.base import Absent, Renderer
from app.renderer.catalogue import Catalogue
from app.renderer.errors import BadParameter, Fault
from app.store import StoreError

_LOG = logging.getLogger("mimeo.generation")
# The renderer that AI_SERVICE_URL makes, and the one that needs no service.
_SERVICE, _LOCAL = "ai-service", "dream"
_MOST_LOCAL = 10
_MOST_KEY = 255


@dataclass(frozen=True, slots=True)
class Generation:
    """What a face asks for, in JSON's own types.

    `parameters` are the renderer's (`prompt`, `seed`, `width`, ...), `output` the
    options of an image's encoding; without a `format` a service's images stay as
    they come. `key` is the client's idempotency key. Without a `renderer` it is the
    default one.
    """

    parameters: Mapping[str, Any]
    renderer: str | None = None
    count: int = 1
    output: dict[str, Any] = field(default_factory=dict)
    key: str | None = None


@dataclass(frozen=True, slots=True)
class GeneratedImages:
    """At least one image, and what is missing of the number asked for.

    Facts of an image are such as `seed`, `finish_reason`, `revised_prompt`,
    `repairs`, `warnings`. `source` is as in a Production.
    """

    renderer: str
    images: tuple[Media, ...]
    absent: tuple[Absent, ...]
    source: str


class Generations:
    """Makes the images of prompts, for all threads of a worker."""

    def __init__(
        self,
        catalogue: Catalogue,
        pipeline: Pipeline,
        occasions: IdempotencyKeys,
        settings: Settings,
    ) -> None:
        self._catalogue = catalogue
        self._pipeline = pipeline
        self._occasions = occasions
        self._settings = settings

    def renderers(self) -> tuple[str, ...]:
        """Name the renderers that take a prompt, sorted."""
        names = self._catalogue.names()
        return tuple(name for name in names if _takes_prompt(self._catalogue.get(name)))

    def make(self, asked: Generation) -> GeneratedImages:
        """Return the images.

        Raises what the renderer raises, Busy, KeyReused, and BadParameter, which
        names fields as `Generation` does, `n` for the count and `Idempotency-Key`.
        """
        renderer = self._catalogue.get(asked.renderer or self._default())
        _check(renderer, asked)
        output = {"format": "png", **asked.output}
        request = from_parts(renderer, asked.parameters, output, self._settings)
        if renderer.remote is None:
            return self._draw(request, asked)
        return self._buy(request, asked)

    def _default(self) -> str:
        if self._settings.default_renderer is not None:
            return self._settings.default_renderer
        names = self.renderers()
        if _SERVICE in names:
            return _SERVICE
        remote = [name for name in names if self._catalogue.get(name).remote]
        if len(remote) > 1:
            reason = f"is required, for there are several: {', '.join(remote)}"
            raise BadParameter(Fault("renderer", reason))
        return remote[0] if remote else _LOCAL

    def _draw(self, request: ImageRequest, asked: Generation) -> GeneratedImages:
        requests = [request, *self._variations(request, asked)]
        productions = [self._pipeline.produce(each) for each in requests]
        images = tuple(production.media for production in productions)
        sources = {production.source for production in productions}
        source = sources.pop() if len(sources) == 1 else "miss"
        return GeneratedImages(request.renderer.name, images, (), source)

    def _variations(
        self, request: ImageRequest, asked: Generation
    ) -> Iterator[ImageRequest]:
        """Yield the requests after the first: their seeds follow one another."""
        for step in range(1, asked.count):
            seed = request.parameters.seed + step  # type: ignore[attr-defined]
            parameters = {**asked.parameters, "seed": seed}
            output = request.output.model_dump(exclude_unset=True)
            yield from_parts(request.renderer, parameters, output, self._settings)

    def _buy(self, request: ImageRequest, asked: Generation) -> GeneratedImages:
        wish = request.output.format if "format" in asked.output else None
        bought = replace(request, occasion=self._occasion(request, asked))
        purchase = self._pipeline.buy(bought, asked.count, wish)
        images = purchase.media
        if asked.output:
            images = tuple(self._convert(bought, image) for image in images)
        return GeneratedImages(
            request.renderer.name, images, purchase.absent, purchase.source
        )

    def _convert(self, request: ImageRequest, image: Media) -> Media:
        occasion = f"{request.occasion} {image.fingerprint}"
        return self._pipeline.convert(replace(request, occasion=occasion), image).media

    def _occasion(self, request: ImageRequest, asked: Generation) -> str:
        """Return what parts this purchase from others; a store at fault parts it."""
        subject = f"{request.purchase} {asked.count}"
        try:
            if asked.key is not None:
                return self._occasions.of_key(asked.key, subject)
            return self._occasions.of_request(subject)
        except StoreError as error:
            _LOG.warning("store: %s", error)
            return asked.key or ""


def _takes_prompt(renderer: Renderer) -> bool:
    return "prompt" in renderer.parameters.model_fields


def _check(renderer: Renderer, asked: Generation) -> None:
    faults = tuple(_faults(renderer, asked))
    if faults:
        raise BadParameter(*faults)


def _faults(renderer: Renderer, asked: Generation) -> Iterator[Fault]:
    if not _takes_prompt(renderer):
        yield Fault("renderer", f"{renderer.name} takes no prompt")
    most = renderer.remote.most if renderer.remote else _MOST_LOCAL
    if not 1 <= asked.count <= most:
        yield Fault("n", f"must be from 1 to {most} with {renderer.name}")
    seeded = "seed" in renderer.parameters.model_fields
    if asked.count > 1 and not (seeded or renderer.remote):
        yield Fault("n", f"must be 1: {renderer.name} draws one image of a prompt")
    key = asked.key
    if key is not None and not (1 <= len(key) <= _MOST_KEY and key.isprintable()):
        yield Fault("Idempotency-Key", f"must have 1 to {_MOST_KEY} characters")
