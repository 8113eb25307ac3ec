"""Images of a prompt, as all faces ask for them, over every renderer that takes one.

A face is a table of names and shapes: it says a `Generation` out of its own wire
format, and `GeneratedImages` in it.
"""

import hashlib
import logging
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from threading import Event
from typing import Any

from app.access.policy import require
from app.access.rates import Charge
from app.config import Settings
from app.image_request import ImageRequest, from_parts
from app.media import Media
from app.pipeline.admission import WaitPolicy
from app.pipeline.idempotency import Attempt, IdempotencyKeys
from app.pipeline.pipeline import Pipeline
from app.renderer.base import Absent, Renderer
from app.renderer.catalogue import Catalogue
from app.renderer.errors import BadParameter, Fault
from app.renderer.produce import image_fields
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
    they come. `key` is the client's idempotency key; without one `attempt` says what
    the request is to equal ones before it. Without a `renderer` it is the default one.
    `wishes` are parameters that count where the renderer knows them. `image` is one, as
    base64 or a data URI, of which others are to be made.
    """

    parameters: Mapping[str, Any]
    renderer: str | None = None
    count: int = 1
    output: dict[str, Any] = field(default_factory=dict)
    key: str | None = None
    attempt: Attempt = "window"
    wishes: Mapping[str, Any] = field(default_factory=dict)
    image: str | None = None


@dataclass(frozen=True, slots=True)
class GeneratedImages:
    """At least one image, and what is missing of the number asked for.

    Facts of an image are such as `seed`, `finish_reason`, `revised_prompt`,
    `repairs`, `warnings`. `source` is as in a Production. `unfulfilled` are the wishes
    that have no effect, and why. `finish` is to be called once the client has got them,
    or has not: an equal first request wants other images only where it has.
    """

    renderer: str
    images: tuple[Media, ...]
    absent: tuple[Absent, ...]
    source: str
    unfulfilled: tuple[Fault, ...] = ()
    finish: Callable[..., None] = lambda arrived: None


@dataclass(frozen=True, slots=True)
class PlannedImages:
    """Images that are asked for and not made yet: a request for each.

    Those of a service are one purchase of its `occasion`, which is None for what is
    drawn here. `output` names the options of encoding that were given.
    """

    requests: tuple[ImageRequest, ...]
    occasion: str | None
    output: tuple[str, ...]


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
        self._aliases = dict(settings.model_aliases)

    def renderers(self) -> tuple[str, ...]:
        """Name the renderers that take a prompt, sorted."""
        return tuple(each.name for each in self._of_prompts())

    def _of_prompts(self) -> Iterator[Renderer]:
        return filter(_takes_prompt, self._catalogue.renderers())

    def models(self) -> tuple[str, ...]:
        """Name all that a client can ask for as a model, aliases too, sorted."""
        return tuple(sorted({*self.renderers(), *self._aliases}))

    def usual(self) -> str:
        """Name what makes the images of a prompt that names nothing.

        Raises BadParameter where there are several services and none is the default.
        """
        return self._default()

    def make(self, asked: Generation) -> GeneratedImages:
        """Return the images.

        Raises what the renderer raises, Busy, KeyReused, and BadParameter, which
        names fields as `Generation` does, `n` for the count and `Idempotency-Key`.
        """
        request, asked, unfulfilled = self._resolve(asked)
        renderer = request.renderer
        occasion = self._occasion(request, asked)
        make = self._draw if renderer.remote is None else self._buy
        try:
            album = make(request, asked, occasion)
        except BaseException:
            self._settle(occasion, asked, arrived=False)
            raise
        finish = partial(self._settle, occasion, asked)
        return replace(album, unfulfilled=unfulfilled, finish=finish)

    def request(
        self, asked: Generation, occasion: str
    ) -> tuple[ImageRequest, tuple[Fault, ...]]:
        """Return the one image that is asked for, unmade, and wishes without effect.

        One that is drawn here without a seed gets one of its `occasion`'s own. Raises
        what `make` raises before anything is drawn.
        """
        renderer, asked = self._renderer(asked)
        given = {*asked.parameters, *asked.wishes}
        if renderer.remote is None and _has_seeds(renderer) and "seed" not in given:
            parameters = {**asked.parameters, "seed": _seed_of(occasion)}
            # A renderer of few seeds keeps its usual one; what else is wrong is wrong
            # without it.
            with suppress(BadParameter):
                seeded = replace(asked, parameters=parameters)
                request, _, unfulfilled = self._fulfil(renderer, seeded)
                return request, unfulfilled
        request, _, unfulfilled = self._fulfil(renderer, asked)
        return request, unfulfilled

    def plan(self, asked: Generation) -> PlannedImages:
        """Return what `make` would make, for who tells no attempts apart.

        Raises what `make` raises before anything is drawn or sent.
        """
        request, asked, _ = self._resolve(asked)
        occasion, output = self._occasion(request, asked), tuple(sorted(asked.output))
        if request.renderer.remote is None:
            return PlannedImages(self._drawn(request, asked, occasion), None, output)
        self._pipeline.check_wanted(request, asked.count, _wish(request, output))
        return PlannedImages((request,) * asked.count, occasion, output)

    def buy(
        self,
        request: ImageRequest,
        count: int,
        output: Collection[str],
        charge: Charge | None = None,
        cancelled: Event | None = None,
    ) -> GeneratedImages:
        """Return so many images of a service, of the occasion of the request.

        Where none of the options of `output` was given they stay as they come. With a
        `charge` it waits as long as it takes, or until `cancelled`. Raises what `make`
        raises, and then Cancelled.
        """
        patience = None
        if charge is not None:
            patience = WaitPolicy(cancelled=cancelled or Event())
        wish, patient = _wish(request, output), patience is not None
        purchase = self._pipeline.buy(request, count, wish, patient=patient)
        images = purchase.media
        if output:
            images = tuple(
                self._convert(request, image, patience, charge) for image in images
            )
        return GeneratedImages(
            request.renderer.name, images, purchase.absent, purchase.source
        )

    def _resolve(
        self, asked: Generation
    ) -> tuple[ImageRequest, Generation, tuple[Fault, ...]]:
        """Return the first image's request, what is asked of its renderer, the rest."""
        renderer, asked = self._renderer(asked)
        return self._fulfil(renderer, asked)

    def _renderer(self, asked: Generation) -> tuple[Renderer, Generation]:
        """Return what draws, and what is asked of it with the image in its place."""
        name = asked.renderer or self._default()
        if name not in self._catalogue.names():
            name = self._aliases.get(name, name)
        renderer = self._catalogue.get(name)
        require(renderer)
        _check(renderer, asked)
        if asked.image is not None:
            given = {**asked.parameters, _image_field(renderer): asked.image}
            asked = replace(asked, parameters=given)
        return renderer, asked

    def _settle(self, occasion: str, asked: Generation, *, arrived: bool) -> None:
        """Remember whether a client has the images; a store at fault is logged."""
        if asked.key is not None or asked.attempt == "window" or not occasion:
            return
        try:
            if arrived:
                self._occasions.arrive(occasion)
            else:
                self._occasions.leave(occasion)
        except StoreError as error:
            _LOG.warning("store: %s", error)

    def _request(
        self, renderer: Renderer, parameters: Mapping[str, Any], asked: Generation
    ) -> ImageRequest:
        output = {"format": "png", **asked.output}
        return from_parts(renderer, parameters, output, self._settings)

    def _fulfil(
        self, renderer: Renderer, asked: Generation
    ) -> tuple[ImageRequest, Generation, tuple[Fault, ...]]:
        """Make parameters of the wishes that the renderer knows; return the others.

        The request and what is asked have them. A word that the renderer does not know
        is none of its own; wrong numbers are wrong.
        """
        known = renderer.parameters.model_fields
        reason = f"is not something that {renderer.name} can be told"
        others = [Fault(name, reason) for name in asked.wishes if name not in known]
        wishes = {name: v for name, v in asked.wishes.items() if name in known}
        wished = replace(asked, parameters={**asked.parameters, **wishes})
        try:
            request = self._request(renderer, wished.parameters, asked)
        except BadParameter as error:
            words = [
                fault
                for fault in error.faults
                if isinstance(wishes.get(fault.field), str)
            ]
            if not words:
                raise
            others += words
            wishes = {n: v for n, v in wishes.items() if n not in dict(words)}
            wished = replace(asked, parameters={**asked.parameters, **wishes})
            request = self._request(renderer, wished.parameters, asked)
        return request, wished, tuple(others)

    def _default(self) -> str:
        if self._settings.default_renderer is not None:
            return self._settings.default_renderer
        found = {each.name: each.remote for each in self._of_prompts()}
        if _SERVICE in found:
            return _SERVICE
        remote = [name for name, service in found.items() if service]
        if len(remote) > 1:
            reason = f"is required, for there are several: {', '.join(remote)}"
            raise BadParameter(Fault("renderer", reason))
        return remote[0] if remote else _LOCAL

    def _draw(
        self, request: ImageRequest, asked: Generation, occasion: str
    ) -> GeneratedImages:
        requests = self._drawn(request, asked, occasion)
        productions = [self._pipeline.produce(each) for each in requests]
        images = tuple(production.media for production in productions)
        sources = {production.source for production in productions}
        source = sources.pop() if len(sources) == 1 else "miss"
        return GeneratedImages(request.renderer.name, images, (), source)

    def _drawn(
        self, request: ImageRequest, asked: Generation, occasion: str
    ) -> tuple[ImageRequest, ...]:
        """Return the requests of images that are drawn here."""
        if occasion and "seed" not in asked.parameters:
            request = self._by_chance(request, asked, occasion)
        return request, *self._variations(request, asked)

    def _by_chance(
        self, request: ImageRequest, asked: Generation, occasion: str
    ) -> ImageRequest:
        """Return the request with a seed of its occasion's own, where it has seeds."""
        if not _has_seeds(request.renderer):
            return request
        try:
            parameters = {**asked.parameters, "seed": _seed_of(occasion)}
            return self._request(request.renderer, parameters, asked)
        except BadParameter:
            # A renderer of few seeds keeps its usual one.
            return request

    def _variations(
        self, request: ImageRequest, asked: Generation
    ) -> Iterator[ImageRequest]:
        """Yield the requests after the first: their seeds follow one another."""
        for step in range(1, asked.count):
            seed = request.parameters.seed + step  # type: ignore[attr-defined]
            parameters = {**asked.parameters, "seed": seed}
            output = request.output.model_dump(exclude_unset=True)
            yield from_parts(request.renderer, parameters, output, self._settings)

    def _buy(
        self, request: ImageRequest, asked: Generation, occasion: str
    ) -> GeneratedImages:
        bought = replace(request, occasion=occasion)
        return self.buy(bought, asked.count, asked.output)

    def _convert(
        self,
        request: ImageRequest,
        image: Media,
        patience: WaitPolicy | None,
        charge: Charge | None,
    ) -> Media:
        occasion = f"{request.occasion} {image.fingerprint}"
        wanted = replace(request, occasion=occasion)
        return self._pipeline.convert(wanted, image, patience, charge).media

    def _occasion(self, request: ImageRequest, asked: Generation) -> str:
        """Return what parts this purchase from others; a store at fault parts it.

        What is drawn here is always the same, unless attempts are told apart.
        """
        if request.renderer.remote is None and asked.attempt == "window":
            return ""
        subject = f"{request.purchase} {asked.count}"
        try:
            if asked.key is not None:
                return self._occasions.of_key(asked.key, subject)
            # Of one seed a service would make the same image again.
            attempt = "window" if "seed" in asked.parameters else asked.attempt
            return self._occasions.of_request(subject, attempt)
        except StoreError as error:
            _LOG.warning("store: %s", error)
            return asked.key or ""


def _has_seeds(renderer: Renderer) -> bool:
    return "seed" in renderer.parameters.model_fields


def _seed_of(occasion: str) -> int:
    digest = hashlib.sha256(occasion.encode()).digest()
    return int.from_bytes(digest[:4]) >> 1


def _wish(request: ImageRequest, output: Collection[str]) -> str | None:
    """Return the format that a service is to be asked for, if any."""
    return request.output.format if "format" in output else None


def _image_field(renderer: Renderer) -> str:
    """Name the parameter that is an image; raise BadParameter without just one."""
    fields = sorted(image_fields(renderer.parameters))
    if len(fields) != 1:
        reason = f"{renderer.name} makes no image of another one"
        if fields:
            reason = f"{renderer.name} takes several: {', '.join(fields)}"
        raise BadParameter(Fault("image", reason))
    return fields[0]


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
    if asked.count > 1 and not (_has_seeds(renderer) or renderer.remote):
        yield Fault("n", f"must be 1: {renderer.name} draws one image of a prompt")
    key = asked.key
    if key is not None and not (1 <= len(key) <= _MOST_KEY and key.isprintable()):
        yield Fault("Idempotency-Key", f"must have 1 to {_MOST_KEY} characters")
