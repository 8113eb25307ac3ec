"""Draw the images of a collection in order, a bounded way ahead of the client.

Nothing runs ahead by more than `images` drawings, nor goes on once `held_bytes` are
drawn and not taken: a client that stalls stalls the drawing, and memory does not
grow with the number of images. Closing the generator ends the work.
"""

import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, wait
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from threading import BoundedSemaphore, Event

from app.archive.manifest import Entry, Failure, Manifest
from app.collection.collection import Collection, Item
from app.collection.outcome import Drawn, Failed, Outcome, entry_of, spell
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


# Streams last for seconds to minutes.
_BUSY_RETRY_S = 5
Describe = Callable[[Exception], dict[str, object]]
Submit = Callable[[ImageRequest, Event], Future[Media]]


@dataclass(frozen=True, slots=True)
class Bounds:
    """How far ahead: drawings under way or done, and bytes done but not taken."""

    images: int
    held_bytes: int
    tick_s: float = TICK_S


def look_ahead(
    items: Iterable[Item | Failed], submit: Submit, bounds: Bounds
) -> Generator[Outcome | None]:
    """Yield one outcome for each item, in order; None after every `tick_s` of waiting.

    A row that has failed already comes in its place.

    The first image is drawn alone, so that it comes as soon as a single one would.
    `submit` begins a drawing, and gets an event that is set when nobody waits any
    more. Raises what drawing raises, RendererError apart.
    """
    left = iter(items)
    cancelled = Event()
    queue: deque[tuple[Item | Failed, Future[Media]]] = deque()
    wanted = 1
    try:
        while True:
            for item in islice(left, _room(queue, wanted, bounds.held_bytes)):
                queue.append((item, _begin(item, submit, cancelled)))
            if not queue:
                return
            if not _settled([future for _, future in queue], bounds.tick_s):
                yield None
                continue
            wanted = bounds.images
            yield _outcome(*queue.popleft())
    finally:
        cancelled.set()
        for _, future in queue:
            future.cancel()


def _begin(item: Item | Failed, submit: Submit, cancelled: Event) -> Future[Media]:
    if isinstance(item, Item):
        return submit(item.request, cancelled)
    failed: Future[Media] = Future()
    failed.set_exception(item.error)
    return failed


def _room(
    queue: Iterable[tuple[Item | Failed, Future[Media]]], wanted: int, held_bytes: int
) -> int:
    """Return how many more drawings may start."""
    futures = [future for _, future in queue]
    held = sum(_size(future) for future in futures if future.done())
    return max(0, wanted - len(futures)) if held < held_bytes or not futures else 0


def _size(future: Future[Media]) -> int:
    return 0 if future.exception() else len(future.result().data)


def _settled(futures: Sequence[Future[Media]], tick_s: float) -> bool:
    """Wait for the first of the drawings; return whether it is done.

    Fast ones are waited for several at a time: to wake for each would take the
    interpreter from those who draw as often (3 % of the images a second).
    """
    if not futures[0].done():
        wait((futures[min(len(futures), _AT_A_TIME) - 1],), _SHORT_S)
    return bool(wait((futures[0],), tick_s).done)


def _outcome(item: Item | Failed, future: Future[Media]) -> Outcome:
    try:
        return Drawn(item.index, item.name, future.result())
    except RendererError as error:
        return Failed(item.index, item.name, error)


class Unfinished(Busy):
    """An archive is not laid out yet; what was drawn is kept for the next attempt."""

    def __str__(self) -> str:
        return "The archive is still being drawn; ask again, and it goes on from here."


class Unsure(Exception):
    """An image failed that may be drawn next time: no layout can be relied on."""


class Studio:
    """Draws collections in one worker: so many at a time, each so far ahead.

    Without `keep` what is drawn is sent and forgotten; see docs/decisions/archives.md.
    """

    def __init__(
        self, pipeline: Pipeline, settings: Settings, *, keep: bool = True
    ) -> None:
        self._keep = keep
        self._pipeline = pipeline
        self._bounds = Bounds(settings.lookahead_images, settings.lookahead_bytes)
        self._wait_s = settings.layout_wait_s
        # A stream holds a thread of the server: the rest serve single images.
        self._seats = BoundedSemaphore(max(1, settings.threads // 2))

    @contextmanager
    def admit(self) -> Iterator[None]:
        """Hold a seat for a stream while the body runs; raise Busy where none is."""
        if not self._seats.acquire(blocking=False):
            raise Busy(_BUSY_RETRY_S)
        try:
            with metrics.streaming():
                yield
        finally:
            self._seats.release()

    def draw(self, items: Iterable[Item | Failed]) -> Generator[Outcome | None]:
        """Yield what becomes of the items, in order; see `look_ahead`."""
        return self._draw(items, self._keep)

    def _draw(
        self, items: Iterable[Item | Failed], keep: bool
    ) -> Generator[Outcome | None]:
        submit = partial(self._pipeline.submit, keep=keep)
        return look_ahead(items, submit, self._bounds)

    def survey(self, collection: Collection) -> Manifest | None:
        """Lay an archive out by what the store knows; None if an image is missing."""
        manifest = Manifest(collection.id, collection.count)
        for item in collection.items():
            known = (
                self._pipeline.peek(item.request) if isinstance(item, Item) else None
            )
            if known is None:
                return None
            manifest.add(
                Entry(
                    item.index,
                    item.name,
                    known.media_type,
                    known.width,
                    known.height,
                    known.size,
                    known.crc32,
                    bytes.fromhex(known.sha256),
                    spell(known.facts),
                )
            )
        return manifest

    def lay_out(
        self, collection: Collection, manifest: Manifest, describe: Describe
    ) -> bool:
        """Draw what is missing of a manifest, for a bounded time, and keep it.

        Returns whether the manifest is complete; raises Unsure where an image
        failed that may be drawn next time.
        """
        end = time.monotonic() + self._wait_s
        first = len(manifest) + len(manifest.failures) + 1
        with closing(self._draw(collection.items(first), True)) as outcomes:
            for outcome in outcomes:
                if isinstance(outcome, Drawn):
                    manifest.add(entry_of(outcome))
                elif outcome is not None:
                    if outcome.error.transient:
                        raise Unsure
                    problem = describe(outcome.error)
                    manifest.fail(Failure(outcome.index, outcome.name, problem))
                if time.monotonic() > end:
                    break
        return manifest.complete
