"""Draw a table's images here; what an earlier run drew is in the store."""

import logging
import os
import sys
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO
from urllib.parse import urlencode

from app.bootstrap import open_catalogue, open_media, open_purchases
from app.cli.batch.order import Order
from app.cli.batch.tally import Tally, say
from app.collection.collection import Collection, Item
from app.collection.drawing import Studio
from app.collection.export.base64_json import Bundle
from app.collection.export.zip import first_run
from app.collection.ingest.upload import read_upload
from app.collection.outcome import Drawn, Outcome
from app.config import Settings, allocator
from app.pipeline.pipeline import Pipeline
from app.pipeline.purchases import Purchases
from app.problems import describe


def draw(order: Order, stream: IO[bytes], tally: Tally) -> None:
    """Draw all images into the target, which gets its name when it is whole.

    Raises what reading and drawing raise, and OSError.
    """
    allocator.tune()
    settings = Settings.from_env(os.environ)
    catalogue = open_catalogue(settings, os.environ)
    query = urlencode(order.pairs).encode()
    draft = read_upload(stream, order.media_type, query, catalogue, settings)
    with (
        closing(draft),
        _complaining_once(),
        closing(_pipeline(settings)) as pipeline,
        tally.shown(draft.header.count),
        _target(order.target) as file,
    ):
        collection = draft.collection(catalogue, settings)
        outcomes = _counted(collection, pipeline, settings, tally)
        with closing(outcomes):
            bundle = Bundle(
                collection.id, collection.count, outcomes, describe, lambda: None
            )
            for chunk in first_run(bundle, lambda manifest: None):
                file.write(chunk)
                tally.size += len(chunk)


def _pipeline(settings: Settings) -> Pipeline:
    store, paid = open_media(settings), open_purchases(settings)
    return Pipeline(settings, store, purchases=Purchases(paid, settings.threads))


def _counted(
    collection: Collection, pipeline: Pipeline, settings: Settings, tally: Tally
) -> Generator[Outcome | None]:
    """Yield what becomes of the images, and count it."""

    def notice(item: Item) -> Item:
        # Reads a few bytes of a file: 20 us beside the 1 to 5 ms of a drawing.
        tally.found += pipeline.peek(item.request) is not None
        return item

    with closing(
        Studio(pipeline, settings).draw(map(notice, collection.items()))
    ) as outcomes:
        for outcome in outcomes:
            if outcome is not None and not isinstance(outcome, Drawn):
                tally.fail(outcome.index, outcome.name, str(outcome.error))
            yield outcome
            if outcome is not None:
                tally.advance()


@contextmanager
def _target(target: str) -> Iterator[IO[bytes]]:
    """Open a file beside the target that replaces it, unless the body raises."""
    if target == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    part = Path(f"{target}.part")
    try:
        with part.open("wb") as file:
            yield file
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def _complaining_once() -> Iterator[None]:
    """Say the first fault of the store: a full disk would fail each of the images."""
    log = logging.getLogger("mimeo")
    handler = _Once()
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)


class _Once(logging.Handler):
    """Says the first message."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._said = False

    def emit(self, record: logging.LogRecord) -> None:
        """Say it, if it is the first."""
        if not self._said:
            self._said = True
            say(f"{record.getMessage()}; the run goes on without it")
