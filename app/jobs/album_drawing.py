"""The images of one purchase as rows of a job: they come together or not at all."""

from collections.abc import Generator, Iterable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import replace
from functools import partial
from threading import Event
from typing import Any

from app.access.errors import AccessError
from app.access.rates import Charge
from app.collection.collection import Item
from app.collection.lookahead import CollectionDrawing
from app.collection.outcome import Drawn, Failed, Outcome
from app.jobs.errors import AbsentImage
from app.pipeline.generation import GeneratedImages, Generations
from app.pipeline.pipeline import Pipeline
from app.renderer.encode import FORMATS
from app.renderer.errors import RendererError

# Between two looks whether somebody wants no more.
_TICK_S = 0.5
_Album = GeneratedImages | RendererError | AccessError
_ENDINGS = {row.media_type: row.extensions[0] for row in FORMATS.values()}


class AlbumDrawing:
    """Buys what a prompt asks a service for; may be used by several threads.

    What was bought is kept, so whoever draws the same job again buys nothing.
    """

    def __init__(
        self, generations: Generations, drawing: CollectionDrawing, pipeline: Pipeline
    ) -> None:
        self._generations = generations
        self._drawing = drawing
        self._pipeline = pipeline

    def draw(
        self,
        items: Iterable[Item | Failed],
        *,
        answer: Mapping[str, Any],
        charge: Charge,
    ) -> Generator[Outcome | None]:
        """Yield what becomes of rows of the purchase, in order; None while it lasts.

        `answer` is that of the job. Raises what buying raises, RendererError and
        AccessError apart.
        """
        outcomes = self._outcomes(list(items), answer, charge)
        return self._drawing.heard(outcomes, charge.caller)

    def _outcomes(
        self, rows: list[Item | Failed], answer: Mapping[str, Any], charge: Charge
    ) -> Generator[Outcome | None]:
        if not rows:
            return
        first = rows[0]
        # All are of one request: what is wrong with one is wrong with each.
        album: _Album | None = first.error if isinstance(first, Failed) else None
        if isinstance(first, Item):
            request = replace(first.request, occasion=answer["occasion"])
            cancelled = Event()
            about = answer["count"], answer["output"], charge, cancelled
            buy = partial(self._generations.buy, request, *about)
            future = self._pipeline.submit_wait(buy, charge.caller)
            try:
                while not _settled(future):
                    yield None
                album = _result(future)
            finally:
                cancelled.set()
                future.cancel()
        assert album is not None
        yield from (_outcome(row, album) for row in rows)


def _settled(future: Future[GeneratedImages]) -> bool:
    with suppress(TimeoutError):
        future.exception(_TICK_S)
    return future.done()


def _result(future: Future[GeneratedImages]) -> _Album:
    try:
        return future.result()
    except (RendererError, AccessError) as error:
        return error


def _outcome(row: Item | Failed, album: _Album) -> Outcome:
    if not isinstance(album, GeneratedImages):
        return Failed(row.index, row.name, album)
    place = row.index - 1
    if place >= len(album.images):
        absent = album.absent[place - len(album.images)]
        error = AbsentImage(absent.reason, absent.filtered)
        return Failed(row.index, row.name, error)
    media = album.images[place]
    # As it came, it may be of another type than the rows ask for.
    ending = _ENDINGS.get(media.media_type, media.media_type.partition("/")[2])
    return Drawn(row.index, f"{row.name.rpartition('.')[0]}.{ending}", media)
