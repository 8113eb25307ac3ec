"""From an image request to media: store, one flight, admission, draw, encode.

Equal requests at one moment are drawn once. Within a process one of them leads a
flight and the others follow; between processes the leaders take turns at the store's
lock, and look into the store again when they have it.
"""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from app.access.caller import CALLER, Caller
from app.access.errors import Exhausted
from app.access.rates import Charge, Rates
from app.config import Settings, allocator
from app.image_request import ImageRequest
from app.media import Media
from app.observability import metrics, spans
from app.pipeline.admission import AdmissionQueue, Busy, Cancelled, Turn, WaitPolicy
from app.pipeline.cost import Costs, Estimate
from app.pipeline.executor import PriorityExecutor, settle
from app.pipeline.media_store import MediaStore, Stored, media_of
from app.pipeline.process_pool import DrawnElsewhere, Order, ProcessPool
from app.pipeline.purchases import Purchase, Purchases
from app.pipeline.singleflight import InFlight, Singleflight
from app.pipeline.transcode import is_as_asked, redraw
from app.renderer.base import Encoded, Wanted
from app.renderer.produce import produce
from app.renderer.sandbox.sandbox import Sandbox
from app.renderer.template.template_files import TemplateFiles
from app.renderer.template.template_preview import TemplatePreview
from app.store import Copies, NoStore, Store

_T = TypeVar("_T")
# Of a template that somebody edits, for each length of its texts.
_PREVIEW_S, _PREVIEW_MEGAPIXELS = 0.05, 2.0


@dataclass(frozen=True, slots=True)
class _Lane:
    """Where drawings of a kind wait for their turns, and the threads that draw them.

    Without threads they are drawn in the process for callers' HTML. Whoever waits for
    what another draws counts in `audience`. Those whose memory is in another process
    wait for `room` first.
    """

    gate: AdmissionQueue
    executor: PriorityExecutor | None
    audience: AdmissionQueue
    room: AdmissionQueue | None = None


@dataclass(frozen=True, slots=True)
class Production:
    """Media, and how it came about.

    `source` is `hit` (from the store), `miss` (drawn now) or `collapsed` (drawn
    by another request at the same moment).
    """

    media: Media
    source: str


class Pipeline:
    """The one way from requests to media; shared by all threads of a worker.

    `slots` drawings run at a time: the engine and the deflaters release the GIL, so
    two keep a core busy while one of them is in Python. They have threads of their
    own, because each thread that draws keeps scratch memory: with eight, a worker
    went on growing for 2,000 renders, with two for 1,000 (benchmarks/memory.py).
    Large pictures have one thread of their own: small ones never wait for them, and
    the pixels of one are in memory at a time. Small ones of a collection are drawn by
    `processes`, if there are any. They and `isolation` are closed with the pipeline.
    """

    def __init__(
        self,
        settings: Settings,
        store: Store,
        slots: int = 2,
        purchases: Purchases | None = None,
        isolation: Sandbox | None = None,
        rates: Rates | None = None,
        processes: ProcessPool | None = None,
        copies: Copies | None = None,
    ) -> None:
        self._settings = settings
        self._slots = slots
        self._rates = rates or Rates(settings, None)
        self._kept = MediaStore(store, copies)
        self._purchases = purchases or Purchases(NoStore(), settings.threads)
        # All of the server's threads may wait for a small drawing, or for the process
        # that draws callers' HTML: what is known has others while they do. A quarter
        # may wait for HTML that takes long, an eighth for a large picture.
        wait_s, threads = settings.queue_timeout_s, settings.threads
        self._gate = AdmissionQueue(slots, threads - slots, wait_s)
        executor = self._executor = PriorityExecutor(slots, "mimeo-draw")
        self._small = _Lane(self._gate, executor, self._gate)
        large = AdmissionQueue(1, max(1, threads // 8), wait_s)
        single = PriorityExecutor(1, "mimeo-draw-large")
        self._large = _Lane(large, single, self._gate)
        isolated = AdmissionQueue(1, threads - 1, wait_s, threads // 4)
        self._isolated = _Lane(isolated, None, isolated)
        # The pixels of a large page and of a large picture are never in memory at once.
        self._isolated_heavy = _Lane(isolated, None, isolated, room=large)
        self._costs = Costs(settings.drawing_bytes)
        self._waiters = ThreadPoolExecutor(threads // 2, "mimeo-wait")
        self._isolation = isolation or Sandbox(settings)
        self._processes = processes or ProcessPool(0, settings.render_timeout_s)
        self._processes.attend(
            lambda order: executor.submit(order.draw_here, later=True),
            self._gate.is_crowded,
        )
        self._singleflight: Singleflight[Production] = Singleflight(self._kept.lock)
        # Whether this process serves nobody, and has one core to draw many images with.
        self.draws_in_place = False

    @property
    def slots(self) -> int:
        """How many drawings may run at a time: small ones, a large, an isolated one."""
        return self._slots + 2

    @property
    def processes(self) -> int:
        """How many processes may draw collections; 0 where threads draw them."""
        return self._processes.most

    def produce(
        self,
        request: ImageRequest,
        *,
        patient: bool = False,
        cancelled: threading.Event | None = None,
        charge: Charge | None = None,
    ) -> Production:
        """Return the media of a request, drawn at most once at a time.

        The patient wait for a slot as long as it takes, or until `cancelled` is set,
        in threads that serve no single images; those go first. What is drawn is put
        on `charge`, by default one of the current caller's own. Raises what the
        renderer raises, Busy, RateExceeded, and to the patient Cancelled.
        """
        remote = request.renderer.remote is not None
        stored = None if remote else self._kept.find(request.fingerprint)
        if stored is not None:
            return Production(stored, "hit")
        patience = self._gate.patience()
        if patient:
            patience = WaitPolicy(cancelled=cancelled or threading.Event())
        work = self._from_afar if remote else self._from_here
        return work(request, patience, charge)

    def _from_here(
        self, request: ImageRequest, patience: WaitPolicy, charge: Charge | None
    ) -> Production:
        lane, estimate = self._lane_of(request)
        asked_s = time.perf_counter()
        return self._singleflight.do(
            request.fingerprint,
            lane.audience.pauses(patience),
            partial(self._find_collapsed, request.fingerprint),
            partial(self._make, request, lane, estimate, patience, asked_s, charge),
            partial(self._follow, lane, patience),
        )

    def buy(
        self,
        request: ImageRequest,
        count: int,
        format: str | None,
        *,
        patient: bool = False,
    ) -> Purchase:
        """Return so many images of a request to a remote renderer, as they came.

        `format` is the one that the service is asked for, if it can be.
        """
        wanted = _wanted(request, count, format, patient=patient)
        return self._purchases.buy(request, wanted)

    @staticmethod
    def check_wanted(request: ImageRequest, count: int, format: str | None) -> None:
        """Raise what `buy` raises before a service is asked; nothing is sent."""
        if request.renderer.remote is not None:
            wanted = _wanted(request, count, format, patient=True)
            request.renderer.remote.check(request.parameters, wanted)

    def submit_wait(self, work: Callable[[], _T], caller: Caller) -> Future[_T]:
        """Return the future of what waits for a service, on account of a caller."""

        def run() -> _T:
            # The thread is nobody's.
            CALLER.set(caller)
            return work()

        return self._waiters.submit(run)

    def convert(
        self,
        request: ImageRequest,
        original: Media,
        patience: WaitPolicy | None = None,
        charge: Charge | None = None,
    ) -> Production:
        """Return an image that a service made, in the format of the request.

        The service's own bytes, where they are in that format and no option asks for
        other ones. Raises BadMedia where they cannot be read.
        """
        if is_as_asked(original, request.output):
            return Production(original, "hit")
        stored = self._kept.get(request.fingerprint)
        if stored is not None:
            return Production(stored, "hit")
        bounds = (self._settings.max_image_pixels, self._settings.max_pixels)
        renderer = redraw(request.renderer, original, *bounds, self._isolation)
        patience = patience or self._gate.patience()
        return self._from_here(replace(request, renderer=renderer), patience, charge)

    def find(self, fingerprint: str) -> Media | None:
        """Return what is kept under a fingerprint that some media have, or None."""
        return self._kept.get(fingerprint) or self._purchases.find(fingerprint)

    def has(self, fingerprint: str) -> bool:
        """Say whether `find` would find something, without reading it."""
        drawn = self._kept.peek(fingerprint) is not None
        return drawn or self._purchases.has(fingerprint)

    def _from_afar(
        self, request: ImageRequest, patience: WaitPolicy, charge: Charge | None
    ) -> Production:
        patient = patience.unbounded
        wanted = _wanted(request, 1, request.output.format, patient=patient)
        purchase = self._purchases.buy(request, wanted)
        # The service has used the time up of whoever is not patient: the drawing has
        # its own.
        left = patience if patient else None
        production = self.convert(request, purchase.media[0], left, charge)
        if purchase.source == "hit":
            return production
        return replace(production, source=purchase.source)

    def charge(self, admitted: Caller | None = None) -> Charge:
        """Return what the images of one collection are put on, for its caller.

        Who was `admitted` before is debited, and not refused.
        """
        return self._rates.charge(admitted)

    def submit(
        self,
        request: ImageRequest,
        cancelled: threading.Event,
        *,
        keep: bool,
        look: bool = True,
        here: bool = False,
        charge: Charge | None = None,
    ) -> Future[Media]:
        """Return the future of the media of one image of many; single ones go first.

        What runs elsewhere is waited for in threads of its own, and kept. The rest is
        drawn by processes, or from end to end in one thread, without looking whether
        another draws the same at this moment: each hand-over between threads costs
        about 0.1 ms, a fortieth of a card. It is looked for in the store where `look`
        says so, and put there where `keep` does. With `here` small ones are drawn by
        this thread, before it gets the future. Those that share a `charge` are let in
        together, at the first that has to be drawn.
        """
        charge = charge or self.charge()
        if request.renderer.isolated or request.renderer.remote is not None:
            return self._waiters.submit(self._patiently, request, cancelled, charge)
        lane, estimate = self._lane_of(request)
        assert lane.executor is not None
        begin = partial(self._begin_one_of_many, request, estimate, charge, look)
        draw = partial(self._draw_one_of_many, request, estimate, keep)
        future: Future[Media] = Future()
        if here and lane is self._small:
            settle(future, lambda: begin() or draw())
            return future
        if lane is not self._small or not self._processes.takes(cancelled):
            return lane.executor.submit(lambda: begin() or draw(), later=True)
        finish = partial(self._finish_one_of_many, request, estimate, keep)
        cost_s = estimate.seconds
        order = Order(request, cancelled, cost_s, begin, finish, draw, future)
        self._processes.submit(order)
        return future

    def _patiently(
        self, request: ImageRequest, cancelled: threading.Event, charge: Charge
    ) -> Media:
        # The thread is nobody's: what is bought, is bought for whoever asked.
        CALLER.set(charge.caller)
        made = self.produce(request, patient=True, cancelled=cancelled, charge=charge)
        media = made.media
        # An archive may keep it for minutes: a mapped file would stay open as long.
        return replace(media, data=media.in_memory)

    def _begin_one_of_many(
        self, request: ImageRequest, estimate: Estimate, charge: Charge, look: bool
    ) -> Media | None:
        """Return what is kept; else charge for what is about to be drawn."""
        stored = self._kept.find(request.fingerprint) if look else None
        if stored is None:
            charge.check()
            charge.debit(estimate.megapixels)
        return stored

    def _draw_one_of_many(
        self, request: ImageRequest, estimate: Estimate, keep: bool
    ) -> Media:
        with metrics.rendering(request.renderer.name):
            encoded = self._produce(request, estimate)
        media = media_of(encoded, request.fingerprint)
        return self._note(encoded, media, keep)

    def _finish_one_of_many(
        self,
        request: ImageRequest,
        estimate: Estimate,
        keep: bool,
        drawing: DrawnElsewhere,
    ) -> Media:
        """Return what another process drew, and count it here."""
        encoded = drawing.encoded
        self._costs.learn(estimate, drawing.cpu_s)
        seconds = encoded.draw_s + encoded.encode_s
        metrics.count_rendering(request.renderer.name, seconds)
        media = media_of(encoded, request.fingerprint, drawing.sha256)
        return self._note(encoded, media, keep)

    def _note(self, encoded: Encoded, media: Media, keep: bool) -> Media:
        spans.note_drawing(encoded.draw_s, encoded.encode_s, encoded.fonts_s)
        if keep:
            self._kept.put(media)
        return media

    def preview(
        self, files: TemplateFiles, lengths: Sequence[str], *, outlines: bool
    ) -> TemplatePreview:
        """Draw a template that came over HTTP, in the process for callers' HTML.

        Nothing is kept. Raises what `Sandbox.preview` raises, Busy and RateExceeded.
        """
        charge = self._rates.charge()
        charge.check()
        turn = Turn(_PREVIEW_S * len(lengths), CALLER.get().id)
        gate = self._isolated.gate
        with gate.admit(gate.patience(), threading.Event(), turn):
            # Before its size is known: what fails takes time as well.
            charge.debit(_PREVIEW_MEGAPIXELS * len(lengths))
            return self._isolation.preview(files, lengths, outlines=outlines)

    def run(self, work: Callable[[], _T]) -> _T:
        """Do other work on pictures in the threads that draw, after single images."""
        return self._executor.submit(work, later=True).result()

    def peek(self, request: ImageRequest) -> Stored | None:
        """Return what the store knows of a request's media, without reading them."""
        if request.renderer.remote is not None:
            kept = self._purchases.peek_single(request)
            if kept is None or is_as_asked(kept, request.output):
                return kept
        return self._kept.peek(request.fingerprint)

    def forget(self, request: ImageRequest) -> None:
        """Delete what is kept of a request's image; raise StoreError."""
        self._kept.delete(request.fingerprint)
        if request.renderer.remote is not None:
            self._purchases.forget(request)

    def would_buy(self, request: ImageRequest) -> bool:
        """Tell whether a service would be paid for the image, in any format."""
        if request.renderer.remote is None:
            return False
        return self._purchases.peek_single(request) is None

    def close(self) -> None:
        """End the threads that draw, and the process for untrusted input."""
        # First those that hand work to the executor, which would wait for it in vain.
        self._waiters.shutdown(cancel_futures=True)
        self._processes.close()
        for lane in (self._small, self._large):
            assert lane.executor is not None
            lane.executor.shutdown()
        self._isolation.close()
        self._rates.close()

    @staticmethod
    def _follow(
        lane: _Lane, patience: WaitPolicy, flight: InFlight[Production]
    ) -> Production | None:
        """Return what the leader made; None if it gave up and there is time left."""
        gate = lane.audience
        if not patience.unbounded:
            # Or a request of a person would wait at the pace of a collection.
            lane.gate.promote(flight.urgent)
        with gate.wait(patience):
            while not flight.begun.wait(patience.span()):
                if not patience.left():
                    raise gate.busy()
            try:
                return Production(flight.result.result().media, "collapsed")
            except Exhausted:
                # The leader's account is empty, which says nothing of ours.
                return None
            except (Busy, Cancelled):
                # The leader's patience is at an end, which says nothing of ours.
                if not patience.left():
                    raise gate.busy() from None
                return None

    def _find_collapsed(self, fingerprint: str) -> Production | None:
        stored = self._kept.get(fingerprint)
        return None if stored is None else Production(stored, "collapsed")

    def _make(
        self,
        request: ImageRequest,
        lane: _Lane,
        estimate: Estimate,
        patience: WaitPolicy,
        asked_s: float,
        charge: Charge | None,
        flight: InFlight[Production],
    ) -> Production:
        # Only here is it sure that it must be drawn.
        charge = charge or self._rates.charge()
        charge.check()
        turn = Turn(estimate.seconds, CALLER.get().id)
        with ExitStack() as stack:
            if lane.room is not None:
                stack.enter_context(lane.room.admit(patience, flight.urgent, turn))
            stack.enter_context(lane.gate.admit(patience, flight.urgent, turn))
            flight.begun.set()
            spans.note("queue", time.perf_counter() - asked_s)
            charge.debit(estimate.megapixels)
            with metrics.rendering(request.renderer.name):
                encoded = self._draw(request, lane, estimate)
        # Out of the slot already: hashing and writing need none, and another may draw.
        media = media_of(encoded, request.fingerprint)
        self._kept.put(media)
        spans.note_drawing(encoded.draw_s, encoded.encode_s, encoded.fonts_s)
        return Production(media, "miss")

    def _lane_of(self, request: ImageRequest) -> tuple[_Lane, Estimate]:
        """Return where a request is drawn, and what it is expected to take there."""
        estimate = self._costs.estimate(request)
        if request.renderer.isolated:
            lane = self._isolated_heavy if estimate.heavy else self._isolated
            return lane, estimate
        return self._large if estimate.large else self._small, estimate

    def _draw(self, request: ImageRequest, lane: _Lane, estimate: Estimate) -> Encoded:
        if lane.executor is None:
            if estimate.heavy:
                # Of one budget: what is free here is for the other process.
                allocator.trim()
            wanted = (request.renderer, request.parameters, request.output)
            encoded = self._isolation.produce(*wanted)
            self._costs.learn(estimate, encoded.cpu_s)
            return encoded
        if request.renderer.cheap and lane is self._small:
            # Under a millisecond: the way to another thread and back costs 0.1 ms.
            return self._produce(request, estimate)
        return lane.executor.submit(partial(self._produce, request, estimate)).result()

    def _produce(self, request: ImageRequest, estimate: Estimate) -> Encoded:
        """Draw and encode in this thread, and take note of its processor time.

        By the clock everything seems large on a machine that is busy.
        """
        encoded = produce(request.renderer, request.parameters, request.output)
        self._costs.learn(estimate, encoded.cpu_s)
        return encoded


def _wanted(
    request: ImageRequest, count: int, format: str | None, *, patient: bool = False
) -> Wanted:
    remote = request.renderer.remote
    assert remote is not None
    return Wanted(count, format, time.monotonic() + remote.total_s, patient)
