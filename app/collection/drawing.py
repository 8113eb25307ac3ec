"""Draws the images of collections: ahead of the client, and no further."""

import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from functools import partial

from app.archive.manifest import Entry, Failure, Manifest
from app.collection.collection import Collection, Item
from app.collection.lookahead import Bounds, look_ahead
from app.collection.outcome import Drawn, Outcome, entry_of, spell
from app.config import Settings
from app.observability import metrics
from app.pipeline.admission import Busy
from app.pipeline.pipeline import Pipeline

# Streams last for seconds to minutes.
_BUSY_RETRY_S = 5
Describe = Callable[[Exception], dict[str, object]]


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
        self._seats = threading.BoundedSemaphore(max(1, settings.threads // 2))

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

    def draw(self, items: Iterable[Item]) -> Generator[Outcome | None]:
        """Yield what becomes of the items, in order; see `look_ahead`."""
        return self._draw(items, self._keep)

    def _draw(self, items: Iterable[Item], keep: bool) -> Generator[Outcome | None]:
        submit = partial(self._pipeline.submit, keep=keep)
        return look_ahead(items, submit, self._bounds)

    def survey(self, collection: Collection) -> Manifest | None:
        """Lay an archive out by what the store knows; None if an image is missing."""
        manifest = Manifest(collection.id, collection.count)
        for item in collection.items():
            known = self._pipeline.peek(item.request)
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
