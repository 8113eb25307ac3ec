"""Draw one chunk of a job, and find out what is left: the same for every engine.

Chunks are drawn by what draws the rows of an export, so that the archive in a request
and that of a job are the same bytes.
"""

import logging
import tempfile
import time
from collections import OrderedDict
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from heapq import merge
from operator import attrgetter
from threading import Event, Lock
from typing import IO, Any

from app.access.caller import Caller
from app.access.keys import KeyRing
from app.access.rates import Charge
from app.archive.manifest import Entry, Manifest
from app.archive.segments import encode_segment
from app.collection.collection import Collection, Item, edition_of
from app.collection.errors import CollectionError, ExpiredCollection
from app.collection.export.exports import FORMS
from app.collection.export.zip import entry_of, failure_of
from app.collection.lookahead import CollectionDrawing, Describe
from app.collection.outcome import Drawn, Failed, Outcome
from app.config import Settings
from app.jobs.album_drawing import AlbumDrawing
from app.jobs.errors import DamagedJob, JobError, UnknownJob
from app.jobs.job import Job
from app.jobs.job_ledger import ChunkAttempt, JobLedger, damaged
from app.jobs.results import images_of
from app.observability import metrics
from app.observability.spans import TraceWork, untraced
from app.pipeline.pipeline import Pipeline
from app.renderer.catalogue import Catalogue
from app.renderer.errors import RendererError, Undrawable, UnknownRenderer
from app.upstream.errors import UpstreamBusy

_LOG = logging.getLogger("mimeo.jobs")
Draw = Callable[[Iterable[Item | Failed]], Generator[Outcome | None]]
# Of a chunk so much is in memory until it is done; the rest is in a file.
_HELD = 8 << 20
# Between two looks whether somebody wants no more.
_LOOK_S = 1.0
# What failed and may not fail again is drawn anew after so many seconds.
_PAUSES_S = (1.0, 5.0)
# A service that is busy, with rows of other machines as it may be, is waited for.
_TURNS_S = (10.0,) * 30
# Where more began with a chunk and never ended, each of its rows is drawn alone.
_MOST_UNCLEAN = 5
# Jobs whose rows are open.
_OPEN = 4
_PINNED = 4096
# Jobs have limits of their own, and what all images take is bounded by their room.
_ANY_PIXELS = 1 << 62


class ChunkLeft(Exception):
    """A chunk is left, because the process is to end or the job is cancelled."""


def _spool() -> IO[bytes]:
    """Return a file that is in memory while it is small."""
    return tempfile.SpooledTemporaryFile(_HELD, "w+b")


def bounds_for_jobs(settings: Settings) -> Settings:
    """Return the settings by which the rows of a job are read."""
    return replace(
        settings,
        max_rows=settings.max_job_rows,
        max_collection_bytes=settings.max_job_bytes,
        max_collection_pixels=_ANY_PIXELS,
    )


class ChunkDrawing:
    """Draws chunks in one process; may be used by several threads."""

    def __init__(
        self,
        ledger: JobLedger,
        drawing: CollectionDrawing,
        albums: AlbumDrawing,
        pipeline: Pipeline,
        catalogue: Catalogue,
        settings: Settings,
        keys: KeyRing,
        describe: Describe,
        trace: TraceWork = untraced,
    ) -> None:
        self._ledger = ledger
        self._drawing = drawing
        self._albums = albums
        self._pipeline = pipeline
        self._catalogue = catalogue
        self._bounds = bounds_for_jobs(settings)
        self._keys = keys
        self._describe = describe
        self._trace = trace
        # What decides the pixels of each: its renderers, and a digest of versions.
        self._pinned: OrderedDict[tuple[str, float], tuple[tuple[str, ...], str]] = (
            OrderedDict()
        )
        self._collections: OrderedDict[tuple[str, float], Collection] = OrderedDict()
        # Of one core: while one thread draws, others begin and end their chunks.
        self._core = Lock()

    def missing(self, job: Job) -> list[int]:
        """Return the chunks that are to be drawn; write the end down where it is time.

        Whoever calls this again and again finds whatever others left behind.
        """
        found = self._ledger.progress(job)
        if found is None:
            return []
        if found.is_cancelled:
            if self._ledger.is_idle(job):
                self._ledger.finish(job, "cancelled")
            return []
        if not found.has_rows:
            if self._ledger.abandoned(job):
                self._fail(job, UnknownJob(job.id))
            return []
        done = set(found.done)
        if len(done) == job.chunks:
            # What a disk has spoilt since is drawn once more.
            done -= self._ledger.drop_damaged(job)
        if len(done) == job.chunks:
            self._ledger.finish(job, *self._end(job))
            return []
        return [chunk for chunk in range(job.chunks) if chunk not in done]

    def is_ours(self, job: Job) -> bool:
        """Tell whether this installation makes the pixels that a job is to have.

        During an upgrade there are two. A job that is neither's, for ten minutes, has
        failed, as one has whose rows cannot be read.
        """
        try:
            if self._edition_is_current(job):
                return True
            if self._ledger.is_given_up(job):
                self.collection(job)
        except (CollectionError, JobError, RendererError) as error:
            self._fail(job, error)
        return False

    def _edition_is_current(self, job: Job) -> bool:
        key = job.id, job.created
        # Each look asks it of each open job.
        pinned = self._pinned.get(key)
        if pinned is None:
            header = self._opened(job).header
            pinned = self._pinned[key] = header.renderers, header.edition
            while len(self._pinned) > _PINNED:
                self._pinned.popitem(last=False)
        names, edition = pinned
        try:
            return edition_of(map(self._catalogue.get, names)) == edition
        except UnknownRenderer:
            return False

    def _end(self, job: Job) -> tuple[str, Mapping[str, Any] | None]:
        """Return how a job ends whose chunks are all done.

        Without any image there is no answer: then it may be sent again.
        """
        segments = self._ledger.segments(job)
        if job.answer is None or any(one.images for one in segments.values()):
            return "succeeded", None
        with damaged():
            first = segments[0].manifest(self._ledger.read_chunk(job, 0))
        return "failed", first.failures[0].problem

    def draw(
        self,
        job: Job,
        chunk: int,
        stopping: Event,
        begun: Callable[[], None] = lambda: None,
    ) -> bool:
        """Draw a chunk, unless another does; return whether it was begun.

        It is left where `stopping` is set, the job is cancelled or its pixels are those
        of another version. What else is wrong with all of it ends it. `begun` is
        called once nobody else can have it. Raises StoreError.
        """
        with self._ledger.attempt(job, chunk) as attempt:
            if attempt is None:
                return False
            begun()
            first, last = job.rows(chunk)
            about = {"mimeo.job": job.id[:12], "mimeo.rows": str(last - first + 1)}
            with self._trace("draw chunk", job.trace, about, apart=True):
                try:
                    self._draw(job, chunk, attempt, stopping)
                except (ChunkLeft, ExpiredCollection):
                    metrics.count_chunk("left")
                    self._ledger.leave(attempt)
                except (CollectionError, JobError, RendererError) as error:
                    # Whatever draws it again would find the same.
                    self._fail(job, error)
            return True

    def collection(self, job: Job) -> Collection:
        """Open the rows of a job.

        Raises UnknownJob, DamagedCollection, LimitExceeded, and ExpiredCollection
        where other pixels are made by now than when it was submitted.
        """
        known = self._opened(job)
        if not known.edition_is_current:
            raise ExpiredCollection(known.id, known.relabel()[0])
        return known

    def _opened(self, job: Job) -> Collection:
        # By what it was written under: an id may come again after its time.
        key = job.id, job.created
        known = self._collections.get(key)
        if known is None:
            read = self._ledger.rows(job)
            if read is None:
                raise UnknownJob(job.id)
            known = Collection.open(read, self._catalogue, self._bounds)
            self._collections[key] = known
            while len(self._collections) > _OPEN:
                self._collections.popitem(last=False)
        return known

    def _fail(self, job: Job, error: Exception) -> None:
        self._ledger.finish(job, "failed", self._describe(error))

    def _draw(
        self, job: Job, chunk: int, attempt: ChunkAttempt, stopping: Event
    ) -> None:
        here = self._draws_here(job)
        draw = self._draw_with(job, self._pipeline.charge(self._caller(job)), here)
        rows = _Rows(self.collection(job), draw, self._ledger, job, stopping)
        first, last = job.rows(chunk)
        manifest = Manifest(job.collection, last - first + 1)
        suspicious = attempt.unclean > _MOST_UNCLEAN
        draw_rows = rows.one_by_one if suspicious else rows.ahead
        with _spool() as before, _spool() as file:
            taken = self._take_over(job, chunk, before)
            known = {entry.index for entry in taken}
            left = [row for row in range(first, last + 1) if row not in known]
            turn = self._turn(rows) if here else nullcontext()
            with turn, closing(draw_rows(left)) as outcomes:
                for made in merge(taken, outcomes, key=attrgetter("index")):
                    if isinstance(made, Failed):
                        manifest.fail(failure_of(made, self._describe))
                    elif isinstance(made, Drawn):
                        manifest.add(entry_of(made.index, made.name, made.media))
                        file.write(made.media.in_memory)
                    else:
                        manifest.add(made)
                        file.write(before.read(made.size))
            file.seek(0)
            result = encode_segment(manifest, file)
            new = self._ledger.commit(job, chunk, result, attempt)
        metrics.count_chunk("done" if new else "duplicate")

    def _take_over(self, job: Job, chunk: int, file: IO[bytes]) -> list[Entry]:
        """Copy what the jobs had made that this one goes on from; say which images."""
        taken: list[Entry] = []
        before = job
        try:
            # A retry that was cancelled may not have come to this chunk.
            while not taken and before.retry_of is not None:
                before = self._ledger.job(before.retry_of)
                if (before.content, before.size) != (job.content, job.size):
                    break
                for entry, data in images_of(self._ledger, before, chunk):
                    file.write(data)
                    taken.append(entry)
        except (UnknownJob, DamagedJob) as error:
            # What of it cannot be read is drawn again.
            _LOG.warning("job %s, chunk %s: %s", job.id[:12], chunk, error)
        file.seek(0)
        return taken

    def _draws_here(self, job: Job) -> bool:
        """Tell whether the thread that has a chunk draws it, with no other beside.

        Not what is waited for: other chunks may be drawn meanwhile.
        """
        return self._pipeline.draws_in_place and not any(
            each.isolated or each.remote is not None
            for each in self.collection(job).renderers
        )

    @contextmanager
    def _turn(self, rows: "_Rows") -> Iterator[None]:
        """Wait until no other thread draws, and let none until the body has ended."""
        while not self._core.acquire(timeout=_LOOK_S):
            rows.look()
        try:
            yield
        finally:
            self._core.release()

    def _draw_with(self, job: Job, charge: Charge, here: bool) -> Draw:
        """Return what draws the rows of a job."""
        if job.answer is not None and _is_purchase(job):
            return partial(self._albums.draw, answer=job.answer, charge=charge)
        # Whoever asks for a single image without a job finds it, too. Of the rows of a
        # collection none is likely to be there: in a bucket each would be a request.
        keep = job.answer is not None
        return partial(
            self._drawing.draw, charge=charge, keep=keep, look=keep, here=here
        )

    def _caller(self, job: Job) -> Caller:
        """Return whose drawings these are; what they may do was seen to before."""
        key = self._keys.get(job.key_id) if job.key_id else None
        return Caller(job.kind, job.address, key, endpoint="jobs.create")


class _Rows:
    """The rows of one job as they are drawn; raises ChunkLeft between two."""

    def __init__(
        self,
        collection: Collection,
        draw: Draw,
        ledger: JobLedger,
        job: Job,
        stopping: Event,
    ) -> None:
        self._collection = collection
        form = FORMS[job.form]
        self._format = form.image_format
        self._bleed = form.read(job.query).bled
        self._draw = draw
        self._ledger = ledger
        self._job = job
        self._stopping = stopping
        # Whoever chose the chunk has looked.
        self._looked_s = time.monotonic()

    def ahead(self, rows: Sequence[int]) -> Generator[Outcome]:
        """Yield what becomes of the rows; once more of what may not fail again."""
        for outcome in self._drawn(rows):
            if isinstance(outcome, Failed) and self._may_come(outcome):
                yield self._again(outcome)
            else:
                yield outcome

    def one_by_one(self, rows: Sequence[int]) -> Generator[Outcome]:
        """Yield the same, and give up the row that ends whoever draws it."""
        for row in rows:
            fault = Undrawable("Drawing it ended the process, again and again.")
            outcome: Outcome = Failed(row, self._collection.name(row), fault)
            if self._ledger.suspect(self._job, row):
                try:
                    (outcome,) = self._drawn((row,))
                except (ChunkLeft, CollectionError):
                    self._ledger.clear(self._job, row)
                    raise
                except Exception:
                    # It is this row's fault alone, and the others are to be had.
                    _LOG.exception("job %s: row %s", self._job.id[:12], row)
            self._ledger.clear(self._job, row)
            yield outcome

    def _drawn(self, rows: Sequence[int]) -> Generator[Outcome]:
        with closing(self._draw(self._items(rows))) as outcomes:
            for outcome in outcomes:
                self.look()
                if outcome is not None:
                    yield outcome

    def _items(self, rows: Sequence[int]) -> Iterator[Item | Failed]:
        for row in rows:
            yield from self._collection.items(row, row, self._format, bleed=self._bleed)

    def _may_come(self, failed: Failed) -> bool:
        """Tell whether a row may be drawn once more, and costs nothing if it is."""
        error = failed.error
        # Of a purchase all failed. What a service may have made may be on its bill.
        together = _is_purchase(self._job)
        unknown = getattr(error, "outcome_unknown", False)
        return error.transient and not together and not unknown

    def _again(self, failed: Failed) -> Outcome:
        outcome: Outcome = failed
        for number, pause_s in enumerate(_PAUSES_S + _TURNS_S):
            if isinstance(outcome, Drawn):
                break
            if number >= len(_PAUSES_S) and not _is_busy(outcome):
                break
            self._stopping.wait(pause_s)
            self.look()
            (outcome,) = self._drawn((failed.index,))
        return outcome

    def look(self) -> None:
        """Raise ChunkLeft where the chunk is to be left."""
        if self._stopping.is_set():
            raise ChunkLeft
        now_s = time.monotonic()
        if now_s > self._looked_s + _LOOK_S:
            self._looked_s = now_s
            if self._ledger.is_cancelled(self._job):
                raise ChunkLeft


def _is_purchase(job: Job) -> bool:
    """Tell whether the images of a job are one purchase of a service."""
    return job.answer is not None and job.answer.get("occasion") is not None


def _is_busy(outcome: Outcome) -> bool:
    return isinstance(outcome, Failed) and isinstance(outcome.error, UpstreamBusy)
