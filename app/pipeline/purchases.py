"""What services made: asked for once, kept as it came, and never bought twice.

A purchase is one request to a service for some images of one prompt. Equal purchases
at one moment are one request: within a process the first leads and the others wait
for it, between processes the leaders take turns at the store's lock and look into
the store again. Every format that somebody wants is made from what is kept here.
"""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial

from app.access.budgets import Budgets
from app.access.caller import CALLER
from app.access.errors import Exhausted
from app.access.policy import require_buy
from app.image_request import ImageRequest
from app.media import Media
from app.observability import audit, metrics, spans
from app.pipeline.admission import POLL_S, Busy
from app.pipeline.media_store import MediaStore, Stored, media_of
from app.pipeline.singleflight import InFlight, Singleflight
from app.renderer.base import Absent, Encoded, Remote, Wanted
from app.renderer.errors import RendererError
from app.store import Pauses, Store, key_for
from app.upstream.errors import CircuitOpen, UpstreamBusy, UpstreamFiltered

_LOG = logging.getLogger("mimeo.purchases")
# A service takes seconds to minutes.
_BUSY_RETRY_S = 5


class NotBought(Exception):
    """A prefetch asks for an image that a service would have to be paid for."""

    def __str__(self) -> str:
        return "A prefetch does not buy images; ask again without it."


@dataclass(frozen=True, slots=True)
class Purchase:
    """Images as a service sent them, and what it did not send.

    `source` is `hit` (kept from an earlier request), `miss` (asked for now) or
    `collapsed` (asked for by another request at the same moment).
    """

    media: tuple[Media, ...]
    absent: tuple[Absent, ...] = ()
    source: str = "miss"


class Purchases:
    """Buys from services, for all threads of a worker.

    Of the server's threads half may wait for services at a time: the rest serve what
    is drawn here.
    """

    def __init__(
        self, store: Store, threads: int, budgets: Budgets | None = None
    ) -> None:
        self._kept = MediaStore(store)
        self._budgets = budgets or Budgets(None, 0)
        self._seats = threading.BoundedSemaphore(max(1, threads // 2))
        self._singleflight: Singleflight[Purchase] = Singleflight(self._kept.lock)

    def buy(self, request: ImageRequest, wanted: Wanted) -> Purchase:
        """Return the images of a request to a remote renderer.

        The patient have threads of their own and take no seat. Raises what the
        service raises, BadParameter before anything is sent, Busy, BudgetExhausted,
        and StoreError where the budget cannot be counted.
        """
        found = self._recall(request, wanted.count)
        metrics.count_lookup("purchases", hit=found is not None)
        if found is not None:
            return found
        require_buy(request.renderer.name)
        _remote(request).check(request.parameters, wanted)
        with ExitStack() as stack:
            if not wanted.patient:
                stack.enter_context(self._seat())
            keyed = replace(wanted, key=_album_key(request, wanted.count))
            return self._singleflight.do(
                keyed.key,
                _pauses(wanted.deadline),
                partial(self._recall, request, wanted.count, "collapsed"),
                partial(self._make, request, keyed),
                partial(_follow, wanted),
            )

    def _recall(
        self, request: ImageRequest, count: int, source: str = "hit"
    ) -> Purchase | None:
        """Return what is kept of an earlier purchase, or None."""
        # Of one image alone, none can be missing.
        note = self._kept.get_note(_album_key(request, count)) if count > 1 else ()
        if note is None:
            return None
        # What a filter kept is bought, too: asked again, it would be paid for again.
        absent = tuple(Absent(**row) for row in note)
        kept = count - len(absent)
        media = [self.find(_key(request, count, place)) for place in range(1, kept + 1)]
        whole = tuple(image for image in media if image is not None)
        return Purchase(whole, absent, source) if len(whole) == kept else None

    def peek_single(self, request: ImageRequest) -> Stored | None:
        """Return what is known of a purchase of one image, without reading it."""
        return self._kept.peek(_key(request, 1, 1))

    def forget(self, request: ImageRequest) -> None:
        """Delete a purchase of one image; raise StoreError."""
        self._kept.delete(_key(request, 1, 1))

    def has(self, key: str) -> bool:
        """Say whether there is an image of this fingerprint, without reading it."""
        return self._kept.peek(key) is not None

    def find(self, key: str) -> Media | None:
        """Return an image by the fingerprint that its media have here."""
        return self._kept.get(key)

    @contextmanager
    def _seat(self) -> Iterator[None]:
        # Not waited for: services take so long that the wait would end in a 503 anyway.
        if not self._seats.acquire(blocking=False):
            raise Busy(_BUSY_RETRY_S)
        try:
            yield
        finally:
            self._seats.release()

    def _make(
        self, request: ImageRequest, wanted: Wanted, _: InFlight[Purchase]
    ) -> Purchase:
        remote = _remote(request)
        reservation = self._budgets.reserve(
            CALLER.get(), request.renderer.name, remote.price, wanted.count
        )
        try:
            with spans.span("fetch"):
                made, absent = _call(request, wanted)
        except BaseException as error:
            unmade = isinstance(error, RendererError) and _is_unmade(error)
            _record(request, wanted, 0, type(error).__name__, unmade=unmade)
            if unmade:
                reservation.release()
            raise
        _record(request, wanted, len(made), "ok")
        media = tuple(
            media_of(image, _key(request, wanted.count, place))
            for place, image in enumerate(made, 1)
        )
        self._keep(wanted, media, absent)
        return Purchase(media, absent)

    def _keep(
        self, wanted: Wanted, media: tuple[Media, ...], absent: tuple[Absent, ...]
    ) -> None:
        """Keep the images, and last of all the note of them, if there may be others."""
        kept = [self._kept.put(image) for image in media]
        if wanted.count > 1 and all(kept):
            kept.append(self._kept.put_note(wanted.key, absent))
        if not all(kept):
            # The one place where money is lost in silence, were it not said.
            _LOG.error("a paid image could not be kept")


def _follow(wanted: Wanted, flight: InFlight[Purchase]) -> Purchase | None:
    try:
        return replace(flight.result.result(), source="collapsed")
    except Exhausted:
        # The leader's account is empty, which says nothing of ours.
        return None
    except (Busy, UpstreamBusy, CircuitOpen):
        # The leader's patience is at an end, which says nothing of ours.
        if not wanted.patient or time.monotonic() >= wanted.deadline:
            raise
        return None


def _is_unmade(error: RendererError) -> bool:
    """Tell whether a service surely made nothing, which is all that costs nothing."""
    # What a filter kept was made, and may stand on the bill.
    if isinstance(error, UpstreamFiltered):
        return False
    return not getattr(error, "outcome_unknown", False)


def _pauses(deadline: float) -> Pauses:
    """Yield the seconds between two looks whether another process is done.

    Raises Busy at the deadline.
    """
    while time.monotonic() < deadline:
        yield POLL_S
    raise Busy(_BUSY_RETRY_S)


def _remote(request: ImageRequest) -> Remote:
    remote = request.renderer.remote
    assert remote is not None
    return remote


def _call(
    request: ImageRequest, wanted: Wanted
) -> tuple[tuple[Encoded, ...], tuple[Absent, ...]]:
    """Call the service, and count what came of it."""
    name = request.renderer.name
    try:
        with metrics.rendering(name):
            made, absent = _remote(request).make(request.parameters, wanted)
    except RendererError as error:
        metrics.count_call(name, type(error).__name__)
        raise
    metrics.count_call(name, "ok")
    for image in made:
        facts = image.facts
        metrics.count_image(
            name, facts.get("form", ""), len(image.data), facts.get("repairs", ())
        )
    for each in absent:
        metrics.count_absent(name, filtered=each.filtered)
    return made, absent


def _record(
    request: ImageRequest,
    wanted: Wanted,
    received: int,
    outcome: str,
    *,
    unmade: bool = False,
) -> None:
    """Note and count a call: a fault after which something may be made, too."""
    caller = CALLER.get()
    price = _remote(request).price
    if not unmade:
        metrics.count_bought(
            request.renderer.name, wanted.count, (price or 0) * wanted.count
        )
    audit.purchase(
        service=request.renderer.name,
        count=wanted.count,
        received=received,
        price=price,
        unmade=unmade,
        outcome=outcome,
        caller=caller.label,
        request_id=caller.request_id,
        fingerprint=wanted.key,
    )


def _key(request: ImageRequest, count: int, place: int) -> str:
    """Return the key of an image by its place, from 1, among so many."""
    return key_for(f"{request.purchase} {place}/{count}")


def _album_key(request: ImageRequest, count: int) -> str:
    return key_for(f"{request.purchase} {count}")
