"""Draw a collection in order, a bounded way ahead of the client; whole or a range.

Nothing runs ahead by more than `images` drawings, nor goes on once `held_bytes` are
drawn and not taken: a client that stalls stalls the drawing, and memory does not
grow with the number of images. Closing the generator ends the work.
"""

import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import CancelledError, Future
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from threading import BoundedSemaphore, Event
from typing import NamedTuple, TypeVar

from zlib_ng import zlib_ng

from app.access.caller import CALLER, Caller
from app.access.errors import AccessError
from app.access.quotas import Quotas
from app.access.rates import Charge
from app.archive.layout import Layout, cut
from app.archive.manifest import Manifest
from app.collection.collection import Item
from app.collection.export.exports import Export
from app.collection.export.zip import (
    Changed,
    entry_of,
    failure_of,
    first_run,
    parts,
)
from app.collection.notices import Notices
from app.collection.outcome import Bundle, Drawn, Failed, Outcome, Outcomes
from app.collection.repository import CollectionRepository, Length
from app.config import Settings
from app.image_request import ImageRequest
from app.media import Media
from app.observability import metrics
from app.pipeline.admission import Busy
from app.pipeline.pipeline import Pipeline
from app.renderer.errors import RendererError

# A third of the 20 seconds after which no connection may still be silent.
TICK_S = 6.0
_AT_A_TIME = 4
_SHORT_S = 0.05
_T = TypeVar("_T")
# Streams last for seconds to minutes.
_BUSY_RETRY_S = 5
# Drawing stops when nobody waits for it.
_UNFINISHED_RETRY_S = 1
Describe = Callable[[Exception], dict[str, object]]
# Hears of each image that failed: the error, who asked, and the number of the image, or
# None where one of this answer failed by an equal error before.
Refused = Callable[[RendererError | AccessError, Caller, int | None], None]
Submit = Callable[[ImageRequest, Event], Future[Media]]
_Queue = deque[tuple[Item | Failed, Future[Media]]]


@dataclass(frozen=True, slots=True)
class Bounds:
    """How far ahead: drawings under way or done, and bytes done but not taken."""

    images: int
    held_bytes: int
    tick_s: float = TICK_S


def bounds_of(pipeline: Pipeline, settings: Settings) -> Bounds:
    """Return the bounds that are set, the images for each process that draws."""
    images = settings.lookahead_images * max(1, pipeline.processes)
    return Bounds(images, settings.lookahead_bytes)


def look_ahead(
    items: Iterable[Item | Failed], submit: Submit, bounds: Bounds
) -> Generator[Outcome | None]:
    """Yield one outcome for each item, in order; None after every `tick_s` of waiting.

    The first image is drawn alone, so that it comes as soon as a single one would.
    A row that has failed already comes in its place.
    `submit` begins a drawing, and gets an event that is set when nobody waits any
    more. Raises what drawing raises, RendererError and AccessError apart.
    """
    left = iter(items)
    cancelled = Event()
    queue: _Queue = deque()
    # How many may be ahead, and the bytes that an image is expected to have.
    wanted, usual = 1, 1
    try:
        while True:
            room = _room(queue, wanted, bounds.held_bytes, usual)
            for item in islice(left, room):
                if isinstance(item, Item):
                    future = submit(item.request, cancelled)
                else:
                    future = Future()
                    future.set_exception(item.error)
                queue.append((item, future))
            if not queue:
                return
            if not _settled(queue, bounds.tick_s):
                yield None
                continue
            wanted = bounds.images
            item, future = queue.popleft()
            outcome: Outcome
            try:
                media = future.result()
                outcome = Drawn(item.index, item.name, media)
                usual = max(len(media.data), usual - usual // 8)
            except (RendererError, AccessError) as error:
                outcome = Failed(item.index, item.name, error)
            yield outcome
    finally:
        cancelled.set()
        for _, future in queue:
            future.cancel()


def _room(queue: _Queue, wanted: int, held_bytes: int, usual: int) -> int:
    """Return how many more drawings may start; those under way count as `usual`.

    Half of the window at a time: those who draw get several with one message, and to
    sum up what is held for each image took as long as to lay it into the archive.
    """
    # Where nothing is under way one may start, however large its neighbours were.
    if not queue:
        return max(1, min(wanted, held_bytes // usual))
    if len(queue) > wanted // 2:
        return 0
    held = 0
    for _, future in queue:
        if not future.done():
            held += usual
        elif not future.exception():
            held += len(future.result().data)
    return max(0, min(wanted - len(queue), (held_bytes - held) // usual))


def _settled(queue: _Queue, tick_s: float) -> bool:
    """Wait for the first of the drawings; return whether it is done.

    Fast ones are waited for several at a time: to wake for each would take the
    interpreter from those who draw as often (3 % of the images a second).
    """
    first = queue[0][1]
    if not first.done():
        _wait(queue[min(len(queue), _AT_A_TIME) - 1][1], _SHORT_S)
        _wait(first, tick_s)
    return first.done()


def _wait(future: Future[Media], seconds: float) -> None:
    # The module's `wait` can wait for several, and takes four times as long for one.
    with suppress(TimeoutError, CancelledError):
        future.exception(seconds)


def _noticed(outcomes: Outcomes, notices: Notices) -> Outcomes:
    """Yield the outcomes, and take note of their texts."""
    for outcome in outcomes:
        if isinstance(outcome, Drawn):
            notices.add(outcome.index, outcome.media.facts)
        yield outcome


class Unfinished(Busy):
    """The length is not known yet; what was drawn is kept for the next attempt."""

    def __str__(self) -> str:
        return "The archive is still being drawn; ask again, and it goes on from here."


class Whole(NamedTuple):
    """An export whose every byte is known; `cut` yields those of a range."""

    length: int
    cut: Callable[[int, int], Iterator[bytes]]


class CollectionDrawing:
    """Draws collections in one worker: so many at a time, each so far ahead.

    What is drawn is sent and forgotten; see docs/decisions/archives.md. `describe`
    says an error as a problem's members, `refused` hears of every image that failed.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        repository: CollectionRepository,
        settings: Settings,
        describe: Describe,
        refused: Refused,
        quotas: Quotas | None = None,
    ) -> None:
        self._pipeline = pipeline
        self._quotas = quotas or Quotas(None, None, 0)
        self._repository = repository
        self._describe = describe
        self._refused = refused
        self._settings = settings
        self._wait_s = settings.layout_wait_s
        # A stream holds a thread of the server: the rest serve single images.
        self._seats = BoundedSemaphore(max(1, settings.threads // 2))

    @contextmanager
    def admit(self) -> Iterator[None]:
        """Hold a seat for a stream while the body runs; raise Busy where none is.

        Raises QuotaExceeded where the caller has as many as they may.
        """
        if not self._seats.acquire(blocking=False):
            raise Busy(_BUSY_RETRY_S)
        try:
            with self._quotas.stream(CALLER.get()), metrics.streaming():
                yield
        finally:
            self._seats.release()

    def charge(self) -> Charge:
        """Return what the current caller is charged by for one answer."""
        return self._pipeline.charge()

    def draw(
        self,
        items: Iterable[Item | Failed],
        *,
        keep: bool = False,
        look: bool = True,
        here: bool = False,
        charge: Charge | None = None,
    ) -> Generator[Outcome | None]:
        """Yield what becomes of the items, in order; see `look_ahead`.

        Images are looked for in the store, and kept there, where those two say so.
        With `here` this thread draws one after the other, and none ahead.
        """
        charge = charge or self.charge()
        submit = partial(
            self._pipeline.submit, keep=keep, look=look, here=here, charge=charge
        )
        bounds = bounds_of(self._pipeline, self._settings)
        if here:
            bounds = replace(bounds, images=1)
        return self.heard(look_ahead(items, submit, bounds), charge.caller)

    def heard(
        self, outcomes: Generator[Outcome | None], caller: Caller
    ) -> Generator[Outcome | None]:
        """Yield the outcomes; say of those that failed that they did."""
        kinds: set[type[Exception]] = set()
        with closing(outcomes):
            for outcome in outcomes:
                if isinstance(outcome, Failed):
                    kind = type(outcome.error)
                    index = None if kind in kinds else outcome.index
                    kinds.add(kind)
                    self._refused(outcome.error, caller, index)
                yield outcome

    def would_buy(self, items: Iterable[Item | Failed]) -> bool:
        """Tell whether a service would be paid for one of the images at least."""
        requests = (item.request for item in items if isinstance(item, Item))
        return any(map(self._pipeline.would_buy, requests))

    def run(self, work: Callable[[], _T]) -> _T:
        """Do other work on pictures in the threads that draw, after single images."""
        return self._pipeline.run(work)

    def first_run(self, export: Export) -> Iterator[bytes]:
        """Yield all bytes, and keep what is needed to send ranges of them later."""
        if export.form.make is None:
            bundle = self._bundle(export, keep=False)
            return first_run(bundle, partial(self._keep_manifest, export))
        return self._measured(export, keep=False)

    def known(self, export: Export) -> Whole | None:
        """Return what a run left, or what the images in the store make."""
        if export.form.make is not None:
            length = self._repository.length(export.tag)
            if length is None:
                return None
            return Whole(
                length.bytes,
                lambda start, stop: cut(self._again(export, length), start, stop),
            )
        archive = self._repository.archive(export.collection.id)
        if archive is not None:
            return self._archive(export, *archive)
        manifest = self._survey(export)
        if manifest is None:
            return None
        return self._archive(export, manifest, manifest.layout())

    def complete(self, export: Export) -> Whole | None:
        """Draw what is missing until every byte is known, for a bounded time.

        None where an image failed that may be drawn next time: nothing can be relied
        on then. Raises Unfinished when the time is up; what was drawn is kept.
        """
        end = time.monotonic() + self._wait_s
        if export.form.make is None:
            return self._complete_archive(export, end)
        # Made and thrown away: what counts is the length, and images in the store.
        for _ in self._measured(export, keep=True):
            if time.monotonic() > end:
                raise Unfinished(_UNFINISHED_RETRY_S)
        return self.known(export)

    def _bundle(self, export: Export, *, keep: bool) -> Bundle:
        outcomes = self.draw(export.items(), keep=keep)
        collection, flaw = export.collection, partial(self._flaw, export)
        return Bundle(collection.id, collection.count, outcomes, self._describe, flaw)

    def _flaw(self, export: Export) -> None:
        """Note that this collection no longer has one sequence of bytes."""
        if export.kept:
            self._repository.flaw(export.collection.id)

    def _is_sure(self, export: Export) -> bool:
        """Tell whether another run would give the same bytes."""
        # What is not kept has no URL, and nobody can ask for its other half.
        return export.kept and not self._repository.is_flawed(export.collection.id)

    def _keep_manifest(self, export: Export, manifest: Manifest) -> None:
        if self._is_sure(export):
            self._repository.keep_manifest(manifest)

    def _made(self, export: Export, notices: Notices, *, keep: bool) -> Iterator[bytes]:
        assert export.form.make is not None
        bundle = self._bundle(export, keep=keep)
        bundle = replace(bundle, outcomes=_noticed(bundle.outcomes, notices))
        return export.form.make(bundle, export.collection, export.options)

    def _measured(self, export: Export, *, keep: bool) -> Iterator[bytes]:
        """Yield all bytes of what is no archive; its length is kept before the end."""
        length = check = 0
        notices = Notices()
        for chunk in self._made(export, notices, keep=keep):
            yield chunk
            length += len(chunk)
            check = zlib_ng.crc32(chunk, check)
        if self._is_sure(export):
            self._repository.keep_length(export.tag, Length(length, check))
            self._repository.keep_notices(export.collection.id, notices)

    def _again(self, export: Export, length: Length) -> Iterator[bytes]:
        """Yield all bytes once more; the last of them only if all are as they were."""
        at = check = 0
        held = b""
        for chunk in self._made(export, Notices(), keep=False):
            if not chunk:
                yield chunk
                continue
            yield held
            held = chunk
            at += len(chunk)
            check = zlib_ng.crc32(chunk, check)
        # Too late for all but the last chunk, which is why that is held back.
        if (at, check) != length:
            self._flaw(export)
            raise Changed
        yield held

    def _archive(self, export: Export, manifest: Manifest, layout: Layout) -> Whole:
        def draw(first: int, last: int) -> Generator[Outcome | None]:
            return self.draw(export.items(first, last))

        def part(start: int, stop: int) -> Iterator[bytes]:
            flaw = partial(self._flaw, export)
            return parts(manifest, layout, (start, stop), draw, flaw)

        return Whole(layout.length, part)

    def _survey(self, export: Export) -> Manifest | None:
        """Lay an archive out by what the store knows; None if an image is missing.

        What cannot be drawn is missing in the archive, as a run would leave it: the
        first image alone is worth a problem of its own, which the run tells.
        """
        collection = export.collection
        manifest = Manifest(collection.id, collection.count)
        for item in export.items():
            if isinstance(item, Failed):
                if item.index == 1 or item.error.transient:
                    return None
                manifest.fail(failure_of(item, self._describe))
                continue
            known = self._pipeline.peek(item.request)
            if known is None:
                return None
            manifest.add(entry_of(item.index, item.name, known))
        self._keep_manifest(export, manifest)
        return manifest

    def _complete_archive(self, export: Export, end: float) -> Whole | None:
        """Go on with a first run that broke off: draw what is missing of its layout."""
        manifest = self._repository.begun(export.collection)
        first = len(manifest) + len(manifest.failures) + 1
        if not manifest.complete:
            items = export.items(first)
            with closing(self.draw(items, keep=True)) as outcomes:
                for outcome in outcomes:
                    if isinstance(outcome, Drawn):
                        index, name = outcome.index, outcome.name
                        manifest.add(entry_of(index, name, outcome.media))
                    elif outcome is not None:
                        if outcome.error.transient:
                            self._flaw(export)
                            return None
                        manifest.fail(failure_of(outcome, self._describe))
                    if time.monotonic() > end:
                        break
        self._keep_manifest(export, manifest)
        if not manifest.complete:
            raise Unfinished(_UNFINISHED_RETRY_S)
        return self._archive(export, manifest, manifest.layout())
