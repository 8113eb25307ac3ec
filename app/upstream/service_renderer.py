"""An upstream as a renderer: its parameters, and its images as they come."""

import hashlib
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import orjson

from app.access.ledger import TolerantLedger
from app.renderer.base import Absent, Encoded, Renderer, Wanted
from app.renderer.params import Parameters
from app.renderer.probe.byte_range import Region
from app.store import mapped
from app.upstream.errors import UpstreamError
from app.upstream.request.adapters import Ask, WireRequest, build, check, parameters
from app.upstream.request.capabilities import dialect_of
from app.upstream.resilience.concurrency import ConcurrencyLimit, breaker_of
from app.upstream.resilience.retry import Deadline
from app.upstream.response.reader import Found, Linked, read_answer, read_fetched
from app.upstream.service import Service
from app.upstream.transport.call import call, fetch_url

# Limits are checked with it where the caller leaves the size to the service.
_USUAL_SIDE = 1024
_COOLDOWN_S = 30.0


def renderer_of(
    upstream: Service,
    observe: Callable[[str, str], None] = lambda name, state: None,
    ledger: TolerantLedger | None = None,
) -> Renderer:
    """Return the renderer that an upstream is; its calls share one gate.

    `observe` is told name and state of the breaker after every attempt. Calls of other
    processes count where they have the same `ledger`.
    """
    told = partial(observe, upstream.name)
    # Whoever waits for a service that is left alone is to see more than one probe.
    cooldown_s = min(_COOLDOWN_S, upstream.total_s / 3)
    breaker = breaker_of(upstream.name, cooldown_s=cooldown_s)
    gate = ConcurrencyLimit(
        upstream.name,
        upstream.concurrency,
        breaker=breaker,
        observe=told,
        ledger=ledger,
    )
    return Renderer(
        name=upstream.name,
        title=f"Images that the service {upstream.name} makes",
        parameters=parameters(upstream),
        size=_size,
        draw=_cannot_draw,
        version=_version(upstream),
        remote=RemoteService(upstream, gate),
        prompted=True,
        example={"prompt": "a lighthouse at dusk"},
    )


@dataclass(frozen=True, slots=True)
class RemoteService:
    """One upstream, and what all calls of it in this process share.

    It is a `Remote`, as the renderer package calls it.
    """

    service: Service
    gate: ConcurrencyLimit

    @property
    def most(self) -> int:
        """How many images one request can be for."""
        return dialect_of(self.service).most

    @property
    def total_s(self) -> float:
        """Seconds from the acceptance of a request to the last byte of its answer."""
        return self.service.total_s

    @property
    def price(self) -> float | None:
        """What an image costs, in the operator's money; None where it is not said."""
        return self.service.price

    def check(self, parameters: Parameters, wanted: Wanted) -> None:
        """Raise BadParameter for what the service cannot be told; nothing is sent.

        Raises CircuitOpen where the service is left alone and `wanted` is not patient.
        """
        check(self.service, _ask(parameters, wanted))
        if not wanted.patient:
            self.gate.breaker.check()

    def make(
        self, parameters: Parameters, wanted: Wanted
    ) -> tuple[tuple[Encoded, ...], tuple[Absent, ...]]:
        """Return the images of one call, and what is missing of the number wanted.

        Together they are `wanted.count`. Raises UpstreamError.
        """
        request = build(self.service, _ask(parameters, wanted))
        if wanted.key:
            keyed = {**request.headers, "Idempotency-Key": wanted.key}
            request = replace(request, headers=keyed)
        deadline = Deadline(wanted.deadline, self.total_s)
        with ExitStack() as stack:
            received = call(
                self.service,
                request,
                deadline=deadline,
                gate=self.gate,
                patient=wanted.patient,
            )
            answer = read_answer(
                stack.enter_context(received.body),
                stack.enter_context(tempfile.TemporaryFile()),
                self.service,
                status=received.status,
                content_type=received.content_type,
                headers=received.headers,
                asked=wanted.count,
            )
            told = _told(request, len(answer.images) - wanted.count)
            pieces = answer.images[: wanted.count]
            made, lost = self._collect(pieces, deadline, told)
        absent = (*lost, *(Absent(m.reason, m.filtered) for m in answer.missing))
        return tuple(made), absent[: wanted.count - len(made)]

    def _collect(
        self,
        pieces: tuple[Found | Linked, ...],
        deadline: Deadline,
        told: Mapping[str, Any],
    ) -> tuple[list[Encoded], list[Absent]]:
        """Fetch what is only linked; one that cannot be had does not lose the others.

        Raises the error of the last one where there is no other.
        """
        made: list[Encoded] = []
        lost: list[UpstreamError] = []
        for piece in pieces:
            try:
                made.append(self._encoded(piece, deadline, told))
            except UpstreamError as error:
                lost.append(error)
        if not made:
            raise lost[-1]
        return made, [Absent(str(error)) for error in lost]

    def _encoded(
        self, piece: Found | Linked, deadline: Deadline, told: Mapping[str, Any]
    ) -> Encoded:
        if isinstance(piece, Found):
            return self._described(piece, told)
        fetched = fetch_url(piece.url, service=self.service, deadline=deadline)
        with fetched.body, tempfile.TemporaryFile() as decoded:
            kind = fetched.content_type
            image = read_fetched(
                fetched.body, decoded, piece, self.service, content_type=kind
            )
            return self._described(image, told)

    def _described(self, image: Found, told: Mapping[str, Any]) -> Encoded:
        facts = {
            "upstream": self.service.name,
            "form": image.form,
            "seed": image.seed,
            "finish_reason": image.finish,
            "revised_prompt": image.revised_prompt,
            "repairs": list(image.repairs),
            **told,
        }
        known = {
            name: value for name, value in facts.items() if value not in (None, [])
        }
        return Encoded(
            _data(image.region), image.media_type, image.width, image.height, known
        )


def _ask(parameters: Parameters, wanted: Wanted) -> Ask:
    return Ask.of(parameters, n=wanted.count, format=wanted.format)


def _told(request: WireRequest, surplus: int) -> Mapping[str, Any]:
    warnings = list(request.warnings)
    if surplus > 0:
        warnings.append(f"{surplus} more came than were asked for and were left out")
    return {"warnings": warnings}


def _data(region: Region) -> bytes | memoryview:
    """Return the bytes of an image; of a large one a view of its file."""
    if region.length < mapped.LARGE or isinstance(region.file, bytes):
        return region.read(0, region.length)
    whole = mapped.view(region.file.fileno())
    return whole[region.offset : region.offset + region.length]


def _size(parameters: Any) -> tuple[int, int]:
    sides = (getattr(parameters, name, None) for name in ("width", "height"))
    width, height = (side or _USUAL_SIDE for side in sides)
    return width, height


def _cannot_draw(parameters: Any, scale: float) -> Any:
    raise AssertionError("a service's images are never drawn here")


def _version(upstream: Service) -> str:
    """Return what changes when the same prompt goes somewhere else."""
    # No key and no limit is in it: a new key does not make stored images stale.
    where = (upstream.kind, upstream.url, upstream.api, upstream.model)
    return hashlib.sha256(orjson.dumps((*where, upstream.pointer))).hexdigest()[:16]
