"""Draw the images of a collection in order, a bounded way ahead of the client.

Nothing runs ahead by more than `images` drawings, nor goes on once `held_bytes` are
drawn and not taken: a client that stalls stalls the drawing, and memory does not
grow with the number of images. Closing the generator ends the work.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass
from itertools import islice
from threading import Event

from app.collection.collection import Item
from app.collection.outcome import Drawn, Failed, Outcome
from app.image_request import ImageRequest
from app.media import Media
from app.renderer.errors import RendererError

# A third of the 20 seconds after which no connection may still be silent.
TICK_S = 6.0
_AT_A_TIME = 4
_SHORT_S = 0.05


Submit = Callable[[ImageRequest, Event], Future[Media]]


@dataclass(frozen=True, slots=True)
class Bounds:
    """How far ahead: drawings under way or done, and bytes done but not taken."""

    images: int
    held_bytes: int
    tick_s: float = TICK_S


def look_ahead(
    items: Iterable[Item], submit: Submit, bounds: Bounds
) -> Generator[Outcome | None]:
    """Yield one outcome for each item, in order; None after every `tick_s` of waiting.

    The first image is drawn alone, so that it comes as soon as a single one would.
    `submit` begins a drawing, and gets an event that is set when nobody waits any
    more. Raises what drawing raises, RendererError apart.
    """
    left = iter(items)
    cancelled = Event()
    queue: deque[tuple[Item, Future[Media]]] = deque()
    wanted = 1
    try:
        while True:
            for item in islice(left, _room(queue, wanted, bounds.held_bytes)):
                queue.append((item, submit(item.request, cancelled)))
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


def _room(
    queue: Iterable[tuple[Item, Future[Media]]], wanted: int, held_bytes: int
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


def _outcome(item: Item, future: Future[Media]) -> Outcome:
    try:
        return Drawn(item.index, item.name, future.result())
    except RendererError as error:
        return Failed(item.index, item.name, error)
