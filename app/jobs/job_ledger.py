"""What is true of jobs, in the store: entries are created where there are none.

    <id>/job.json          what is asked for; the job is there when this is
    <id>/rows              the collection, so that nobody can push it out
    <id>/lines             of a batch, what each line of its file became
    <id>/sizes             of a batch that has ended, the lengths of its files
    <id>/started           when the first chunk was begun
    <id>/attempts/<n>/<k>  somebody began with chunk n for the k-th time; `<k>.clean`
                           says that they left it because they were told to,
                           `<k>.duplicate` that another had done it before they had;
                           who draws it now holds the last
    <id>/suspects/<row>/<k>  a row was begun with alone, for the k-th time
    <id>/chunks/<n>        the segment of chunk n: it is done when this is there
    <id>/layout            where the bytes of the archive are in all segments
    <id>/cancelled         somebody wants no more
    <id>/deliveries/<k>    the k-th attempt to tell a receiver of the end
    <id>/others            since when somebody who cannot draw it leaves it to others,
                           and how many attempts there were by then
    <id>/finished          the end, and what it came to
    <purged>/<id>          of a job that was purged, when: its id is not used again

Whatever dies in between leaves entries from which anybody can go on.
"""

import logging
import re
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from itertools import count
from threading import Lock
from typing import Any, TypeVar

import orjson

from app.access.errors import QuotaExceeded
from app.archive.errors import DamagedManifest
from app.archive.segments import SEGMENT_HEAD, ReadSegments, Segment, SegmentLayout
from app.collection.collection import Read
from app.config import Settings
from app.jobs.delivery_log import DeliveryLog
from app.jobs.errors import (
    DamagedJob,
    JobEnded,
    JobNeeded,
    JobOpen,
    JobsFull,
    JobsNotKept,
    NothingToRetry,
    PurgedJob,
    TooManySubmit,
    UnknownJob,
)
from app.jobs.job import Job, digest, known_fields
from app.observability.spans import TRACE
from app.pipeline.idempotency import KeyReused
from app.store import (
    Copies,
    Locked,
    Pauses,
    Store,
    get_or_create,
    key_for,
    sees_all,
)

_LOG = logging.getLogger("mimeo.jobs")
# An upload that is not whole by then never will be.
_UPLOAD_S = 3600.0
# One caller may have a quarter of the room, those without a key a half together.
_SHARE, _ANONYMOUS_SHARE = 4, 2
_QUOTA_RETRY_S = 3600
# A row that its process ended with as often is given up.
_TRIES = 2
# Jobs whose chunks are remembered, and ends.
_COUNTED, _REMEMBERED = 8, 16_384
_ID = re.compile(r"[0-9a-f]{64}\Z")
_SUBMITTING = key_for("submitting jobs")
# So long a submitter waits for those before it, and is then told to come again.
_SUBMIT_S, _SUBMIT_RETRY_S = 10.0, 5
_PURGED = key_for("purged jobs")
# Between two looks for ids that may be used again.
_SWEEP_S = 3600.0
# Bytes that are copied at a time.
_PIECE = 1 << 20
# When a machine that does nothing but draw jobs last said that it is there.
_ATTENDED = key_for("workers of jobs")
_ATTENDED_S = 60.0
_CHUNKS = "chunks/"
# The first name behind those of all attempts.
_ATTEMPTS_END = "attempts0"
# So long a job is left to others that begin none of its chunks.
_OTHERS_S = 600.0
_IN_FOLDER, _IN_MEMORY = 10 << 30, 256 << 20
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class JobEnd:
    """How a job ended: `succeeded`, `failed` or `cancelled`, when, and with what.

    `bytes` are those of its entries in the store; `error` is a problem; `attempts` says
    how often chunks were begun, and what for.
    """

    state: str
    at: float
    done: int
    failed: int
    bytes: int
    error: Mapping[str, Any] | None = None
    attempts: Mapping[str, int] | None = None

    @property
    def lacks(self) -> bool:
        """Whether images failed, or are missing."""
        return self.state != "succeeded" or self.failed > 0


@dataclass(frozen=True, slots=True)
class ChunkAttempt:
    """Leave to draw a chunk: its key, and how many began before and never ended."""

    key: str
    unclean: int


@dataclass(frozen=True, slots=True)
class JobProgress:
    """What there is of an open job: its rows, the wish to cancel it, chunks done."""

    has_rows: bool
    is_cancelled: bool
    done: frozenset[int]


def room_bytes(settings: Settings) -> int | None:
    """Return how many bytes jobs may have together; None without a bound."""
    if settings.jobs_bytes is not None or "://" in settings.store:
        return settings.jobs_bytes
    return _IN_MEMORY if settings.store == "memory:" else _IN_FOLDER


class JobLedger:
    """The jobs of a store, as all workers see them; raises StoreError.

    `limit` are bytes for all, None where there is no bound; what has ended is kept
    for `ttl_s` seconds.
    """

    def __init__(
        self,
        store: Store,
        limit: int | None,
        ttl_s: int,
        workers: int,
        copies: Copies | None = None,
    ) -> None:
        self._store = store
        self._copies = copies or Copies()
        self._limit = limit
        self._ttl_s = ttl_s
        self.keeps = sees_all(store, workers)
        self._guard = Lock()
        self._submitting = Lock()
        self._swept_s = 0.0
        # Chunks that threads of this process draw.
        self._drawing: set[str] = set()
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._ends: OrderedDict[str, JobEnd] = OrderedDict()
        # What is there of jobs, and stays for as long as they do.
        self._seen: OrderedDict[str, float] = OrderedDict()
        self._segments: OrderedDict[tuple[str, float], dict[int, Segment]] = (
            OrderedDict()
        )
        # Chunks that somebody else had begun with.
        self._others: OrderedDict[tuple[str, float], set[int]] = OrderedDict()

    def check(self) -> None:
        """Raise JobsNotKept where nothing can be kept."""
        if not self.keeps:
            raise JobsNotKept

    def submit(
        self,
        job: Job,
        key: str | None,
        rows: Callable[[], Iterator[bytes]],
        lines: Callable[[], Iterator[bytes]] | None = None,
    ) -> Job:
        """Keep a job, its rows and lines; return it, or the one that it repeats.

        A `key` of the caller's says which are one; without it, equal content does,
        unless that was cancelled or failed. Raises JobsNotKept, JobsFull,
        QuotaExceeded, TooManySubmit, and KeyReused where the key was for other
        content.
        """
        kept = self._enter(job, key)
        self._fill(kept, rows, lines)
        return kept

    def _fill(
        self,
        job: Job,
        rows: Callable[[], Iterator[bytes]],
        lines: Callable[[], Iterator[bytes]] | None,
    ) -> None:
        # Also of one whose first caller was cut off before they were all there.
        if not self._store.has(f"{job.id}/rows"):
            # It begins when its rows are there.
            if lines is not None:
                self._store.put(f"{job.id}/lines", lines())
            self._store.put(f"{job.id}/rows", rows())

    def refuse(self, job: Job, error: Mapping[str, Any]) -> Job:
        """Keep a job that has failed before it had rows; raise as `submit`."""
        kept = self._enter(job, None)
        self.finish(kept, "failed", error)
        return kept

    def _enter(self, job: Job, key: str | None) -> Job:
        self.check()
        names = ("content", job.account, job.content)
        if key is not None:
            names = ("key", job.account, key)
        for kept in self._first(job, *names):
            if kept.content != job.content:
                raise KeyReused
            if key is not None:
                return kept
            last = self._last_retry(kept)
            if not self._in_vain(last):
                return last
        raise AssertionError("ids have no end")

    def _first(self, job: Job, *names: str) -> Iterator[Job]:
        """Yield the jobs that were submitted under some names; then this one."""
        for id in _ids(*names):
            kept = self._find(id)
            if kept is None and not self._is_purged(id):
                kept = self._create(replace(job, id=id, trace=TRACE.get()))
            if kept is not None:
                yield kept

    def _last_retry(self, job: Job) -> Job:
        """Return the last of the jobs that go on with one, or the job itself."""
        # What has not ended has none.
        while self.end(job.id) is not None:
            for id in _ids("retry", job.id, job.content):
                after = self._find(id)
                if after is not None or not self._is_purged(id):
                    break
            if after is None:
                break
            job = after
        return job

    def _in_vain(self, job: Job) -> bool:
        end = self.end(job.id)
        if end is not None:
            return end.state != "succeeded"
        return self._store.has(f"{job.id}/cancelled")

    def check_retry(self, job: Job) -> None:
        """Raise JobOpen or NothingToRetry where a job cannot be retried."""
        end = self.end(job.id)
        if end is None:
            raise JobOpen(self.state(job))
        if not end.lacks or not self._store.has(f"{job.id}/rows"):
            raise NothingToRetry

    def retry(self, job: Job) -> Job:
        """Submit what a job lacks that has ended: as another, which this returns.

        Asked again it is the same, and the next only where that one lacks something,
        too. Raises what `check_retry` and `submit` raise.
        """
        self.check_retry(job)
        last = self._last_retry(job)
        end = self.end(last.id)
        if last is not job and (end is None or not end.lacks):
            return last
        made = replace(last, created=time.time(), retry_of=last.id)
        kept = next(self._first(made, "retry", last.id, last.content))
        lines = partial(self._copied, last, "lines")
        rows = partial(self._copied, last, "rows")
        self._fill(kept, rows, None if job.batch is None else lines)
        return kept

    def goes_on_from(self, job: Job) -> set[str]:
        """Return the ids of the jobs whose results an open retry may take over."""
        ids: set[str] = set()
        before: Job | None = job
        while before is not None and before.retry_of is not None:
            ids.add(before.retry_of)
            before = self._find(before.retry_of)
        return ids

    def _copied(self, job: Job, name: str) -> Iterator[bytes]:
        read = self._read(job, f"{job.id}/{name}")
        for start in count(0, _PIECE):
            piece = read(start, start + _PIECE)
            if not piece:
                return
            yield piece

    def _create(self, job: Job) -> Job:
        with ExitStack() as stack:
            if self._limit is not None:
                stack.enter_context(self._turn_to_reserve())
                self._reserve(job, self._limit)
            if self._store.create(f"{job.id}/job.json", job.encode()):
                return job
        return self.job(job.id)

    @contextmanager
    def _turn_to_reserve(self) -> Iterator[None]:
        """Keep others from finding the same room; raise TooManySubmit."""
        with ExitStack() as stack:
            if not self._submitting.acquire(timeout=_SUBMIT_S):
                raise TooManySubmit(_SUBMIT_RETRY_S)
            stack.callback(self._submitting.release)
            try:
                stack.enter_context(self._store.lock(_SUBMITTING, _patience()))
            except Locked as error:
                raise TooManySubmit(_SUBMIT_RETRY_S) from error
            yield

    def _reserve(self, job: Job, limit: int) -> None:
        """Refuse what there is no room for: nothing of a job that began goes."""
        own = anonymous = total = 0
        for other in self.jobs():
            end = self.end(other.id)
            size = self._expected(other) if end is None else end.bytes
            total += size
            own += size if other.account == job.account else 0
            anonymous += size if other.kind == "anonymous" else 0
        if total + job.reserved > limit:
            raise JobsFull("MIMEO_JOBS_BYTES", limit, job.reserved)
        bounds = [(limit // _SHARE, own)]
        if job.kind == "anonymous":
            bounds.append((limit // _ANONYMOUS_SHARE, anonymous))
        for most, used in bounds:
            if job.kind != "local" and used + job.reserved > most:
                left = max(0, most - used)
                raise QuotaExceeded(most, left, "bytes", _QUOTA_RETRY_S)

    def _expected(self, job: Job) -> int:
        """Return what a job is reserved for, or more by what it has taken so far."""
        sizes = {key: size for key, size in self._store.below(job.id)}
        chunks = {
            int(key.rpartition("/")[2]): size
            for key, size in sizes.items()
            if key.startswith(f"{job.id}/chunks/")
        }
        rows = sum(last - first + 1 for first, last in map(job.rows, chunks))
        if not rows:
            return job.reserved
        drawn = sum(chunks.values())
        return max(
            job.reserved, sum(sizes.values()) + drawn * (job.count - rows) // rows
        )

    def ids(self) -> list[str]:
        """Return the ids of all jobs, in no order."""
        return [id for id in self._store.folders() if id != _PURGED]

    def jobs(self) -> Iterator[Job]:
        """Yield all jobs, in no order."""
        self.check()
        ids = self.ids()
        for gone in list(self._jobs.keys() - set(ids)):
            self._forget(gone)
        for id in ids:
            # Of what is listed a head is read once: each chunk begins with this.
            job = self._jobs.get(id)
            try:
                yield job or self.job(id)
            except PurgedJob:
                # Somebody has written a result down who did not know yet.
                self.delete(id)
            except (UnknownJob, DamagedJob):
                continue

    def job(self, id: str) -> Job:
        """Return a job; raise JobsNotKept, UnknownJob, PurgedJob, DamagedJob."""
        self.check()
        # Callers make ids up; a store takes another form of key for a mistake of ours.
        if not _ID.match(id):
            raise UnknownJob(id)
        job = self._find(id)
        if job is None:
            raise PurgedJob(id) if self._is_purged(id) else UnknownJob(id)
        return job

    def _is_purged(self, id: str) -> bool:
        return self._store.has(f"{_PURGED}/{id}")

    def _find(self, id: str) -> Job | None:
        # Taken out at once: other threads forget what is gone.
        known = self._jobs.get(id)
        if known is not None:
            if self._store.has(f"{id}/job.json"):
                return known
            # Another worker has deleted it: what comes under its id later is new.
            self._forget(id)
            return None
        data = self._store.get(f"{id}/job.json")
        if data is None:
            return None
        return _remember(self._guard, self._jobs, id, Job.decode(data))

    def end(self, id: str) -> JobEnd | None:
        """Return how a job ended; None while it has not."""
        known = self._ends.get(id)
        # Later another worker may have deleted it, and somebody submitted it again.
        if known is not None and not self._is_past(known):
            return known
        data = self._store.get(f"{id}/finished")
        if data is None:
            return None
        try:
            end = JobEnd(**known_fields(JobEnd, orjson.loads(data)))
        except (ValueError, TypeError) as error:
            # Whoever looks next finds it again.
            _LOG.warning("store: %s/finished: %s", id, error)
            self._store.delete(f"{id}/finished")
            return None
        return _remember(self._guard, self._ends, id, end)

    def rows(self, job: Job) -> Read | None:
        """Return what reads the rows; None where they are not there yet."""
        has = self._has_for_good(job, "rows")
        return self._read(job, f"{job.id}/rows") if has else None

    def _has_for_good(self, job: Job, name: str) -> bool:
        """Tell whether there is an entry that goes only with its job.

        Each chunk asks, and of a bucket each answer would be a request.
        """
        key = f"{job.id}/{name}"
        # An id may come again after its time.
        if self._seen.get(key) == job.created:
            return True
        if not self._store.has(key):
            return False
        _remember(self._guard, self._seen, key, job.created)
        return True

    def lines(self, job: Job) -> Read:
        """Return what reads the lines of a batch."""
        return self._read(job, f"{job.id}/lines")

    def sizes(self, job: Job, measure: Callable[[], bytes]) -> bytes:
        """Return what was measured of a job that has ended, by whoever did so first."""
        key = f"{job.id}/sizes"
        found = self._store.get(key)
        if found is not None:
            return bytes(found)
        return get_or_create(self._store, key, measure())

    def _read(self, job: Job, key: str) -> Read:
        def read(start: int, stop: int) -> bytes:
            block = self._store.read(key, start, stop)
            if block is None:
                raise UnknownJob(job.id)
            return block

        return read

    def abandoned(self, job: Job) -> bool:
        """Tell whether whoever submitted a job was cut off, long ago."""
        return time.time() > job.created + _UPLOAD_S

    def progress(self, job: Job) -> JobProgress | None:
        """Return what an open job has come to, by one list; None where it has ended.

        Or where it was deleted.
        """
        known = self._ends.get(job.id)
        if known is not None and not self._is_past(known):
            return None
        start = len(job.id) + 1
        # Of the attempts there are more than of all else.
        listed = self._store.below(job.id, after=_ATTEMPTS_END)
        names = {key[start:] for key, _ in listed}
        if "finished" in names and self.end(job.id) is not None:
            return None
        if "job.json" not in names:
            return None
        done = frozenset(
            int(name[len(_CHUNKS) :]) for name in names if name.startswith(_CHUNKS)
        )
        return JobProgress("rows" in names, "cancelled" in names, done)

    def done(self, job: Job) -> set[int]:
        """Return the numbers of the chunks that are done."""
        return {int(key.rpartition("/")[2]) for key, _ in self._chunks(job)}

    def _chunks(self, job: Job) -> Iterable[tuple[str, int]]:
        return self._store.below(f"{job.id}/chunks")

    def read_chunk(self, job: Job, chunk: int) -> Read:
        """Return what reads the result of a chunk."""
        read = self._read(job, f"{job.id}/chunks/{chunk}")
        end = self._ends.get(job.id)
        if end is None or end.state != "succeeded":
            # Until then one that a disk has spoilt is drawn anew.
            return read
        # By when, too: an id may come again after its time.
        name = f"{job.id} {job.created} {chunk}"
        return self._copies.reading(name, read, large=True)

    def segment(self, job: Job, chunk: int) -> Segment | None:
        """Return what a chunk came to; None until it is done."""
        known = self._of(self._segments, job, {})
        if chunk not in known:
            head = self._store.read(f"{job.id}/chunks/{chunk}", 0, SEGMENT_HEAD)
            if head is None:
                return None
            with damaged():
                known[chunk] = Segment.decode(head)
        return known[chunk]

    def _of(self, known: OrderedDict[tuple[str, float], T], job: Job, new: T) -> T:
        """Return what is remembered of a job: `new`, where there is nothing yet."""
        # By when, too: an id may come again after its time.
        key = job.id, job.created
        with self._guard:
            found = known.setdefault(key, new)
            known.move_to_end(key)
            while len(known) > _COUNTED:
                known.popitem(last=False)
        return found

    def segments(self, job: Job) -> Mapping[int, Segment]:
        """Return what each chunk came to that is done."""
        found = ((chunk, self.segment(job, chunk)) for chunk in sorted(self.done(job)))
        return {chunk: segment for chunk, segment in found if segment is not None}

    def drop_damaged(self, job: Job) -> set[int]:
        """Forget the results of chunks that are damaged; return which those were."""
        dropped = set()
        for chunk in self.done(job):
            try:
                self.segment(job, chunk)
            except DamagedJob as error:
                _LOG.warning("job %s, chunk %s: %s", job.id[:12], chunk, error)
                self._store.delete(f"{job.id}/chunks/{chunk}")
                dropped.add(chunk)
        return dropped

    def layout(self, job: Job) -> SegmentLayout:
        """Return where every byte of the archive of a job that succeeded is."""
        block = self._store.get(f"{job.id}/layout")
        if block is not None:
            try:
                return SegmentLayout.unpack(bytes(block), self._reader(job))
            except DamagedManifest as error:
                _LOG.warning("store: %s/layout: %s", job.id, error)
        segments = self.segments(job)
        if len(segments) < job.chunks:
            raise UnknownJob(job.id)
        return self._lay_out(job, segments)

    def _lay_out(self, job: Job, segments: Mapping[int, Segment]) -> SegmentLayout:
        """Write the layout; whoever does finds the same."""
        found = [segments[chunk] for chunk in range(job.chunks)]
        with damaged():
            layout = SegmentLayout.of(
                job.collection, job.count, found, self._reader(job)
            )
        self._store.put(f"{job.id}/layout", layout.pack())
        return layout

    def _reader(self, job: Job) -> ReadSegments:
        return lambda chunk, *span: self.read_chunk(job, chunk)(*span)

    @contextmanager
    def attempt(self, job: Job, chunk: int) -> Iterator[ChunkAttempt | None]:
        """Let the body draw a chunk; None where it is done, or another draws it."""
        folder = f"{job.id}/attempts/{chunk}"
        with ExitStack() as stack:
            try:
                stack.enter_context(self._drawn_here(folder))
            except Locked:
                yield None
                return
            yield self._begin(job, chunk, stack)

    @contextmanager
    def _drawn_here(self, folder: str) -> Iterator[None]:
        """Keep a chunk from other threads: memory has no locks, and needs no more."""
        with self._guard:
            if folder in self._drawing:
                raise Locked
            self._drawing.add(folder)
        try:
            yield
        finally:
            self._drawing.discard(folder)

    def _begin(self, job: Job, chunk: int, stack: ExitStack) -> ChunkAttempt | None:
        """Hold the entry of a new attempt until the stack is closed."""
        folder = f"{job.id}/attempts/{chunk}"
        key, unclean = f"{folder}/0", 0
        others = self._of(self._others, job, set())
        # What nobody has begun with is not done.
        if chunk in others or not stack.enter_context(self._store.hold(key)):
            others.add(chunk)
            begun, left = self._attempts(folder)
            # Those before it are dead, or it would not be there.
            if self._is_last_held(folder, begun, left):
                return None
            if self._store.has(f"{job.id}/chunks/{chunk}"):
                return None
            key, unclean = f"{folder}/{begun}", len(left)
            if not stack.enter_context(self._store.hold(key)):
                return None
        self._start(job)
        return ChunkAttempt(key, unclean)

    def _is_last_held(self, folder: str, begun: int, left: list[int]) -> bool:
        last = begun - 1
        return last in left and self._store.is_held(f"{folder}/{last}")

    def _attempts(self, folder: str) -> tuple[int, list[int]]:
        """Return how many there were, and the numbers of those that never ended."""
        names = {key.rpartition("/")[2] for key, _ in self._store.below(folder)}
        begun = [int(name) for name in names if name.isdigit()]
        return len(begun), [k for k in begun if f"{k}.clean" not in names]

    def _start(self, job: Job) -> None:
        if not self._has_for_good(job, "started"):
            self._store.create(f"{job.id}/started", orjson.dumps(time.time()))

    def leave(self, attempt: ChunkAttempt) -> None:
        """Note that a chunk was left on purpose: another may begin with it at once."""
        self._store.create(f"{attempt.key}.clean", b"")

    def commit(
        self, job: Job, chunk: int, result: Iterator[bytes], attempt: ChunkAttempt
    ) -> bool:
        """Keep the result of a chunk; False, which is noted, where there was one."""
        kept = self._store.create(f"{job.id}/chunks/{chunk}", result)
        if not kept:
            self._store.create(f"{attempt.key}.duplicate", b"")
        return kept

    def suspect(self, job: Job, row: int) -> bool:
        """Note that a row is drawn alone; False where that ended too many."""
        folder = f"{job.id}/suspects/{row}"
        return any(self._store.create(f"{folder}/{k}", b"") for k in range(_TRIES))

    def clear(self, job: Job, row: int) -> None:
        """Note that a row ended nobody."""
        for k in range(_TRIES):
            self._store.delete(f"{job.id}/suspects/{row}/{k}")

    def is_cancelled(self, job: Job) -> bool:
        """Tell whether somebody wants no more of a job."""
        return self._store.has(f"{job.id}/cancelled")

    def cancel(self, job: Job) -> bool:
        """Want no more of a job; False where somebody did before.

        Raises JobEnded where it has succeeded or failed.
        """
        end = self.end(job.id)
        if end is not None and end.state != "cancelled":
            raise JobEnded(end.state)
        return self._store.create(f"{job.id}/cancelled", orjson.dumps(time.time()))

    def is_idle(self, job: Job) -> bool:
        """Tell whether nobody draws a chunk of a job."""
        folder = f"{job.id}/attempts"
        begun = {int(key.split("/")[2]) for key, _ in self._store.below(folder)}
        return not any(self._is_drawn(job, n) for n in begun - self.done(job))

    def _is_drawn(self, job: Job, chunk: int) -> bool:
        folder = f"{job.id}/attempts/{chunk}"
        return folder in self._drawing or self._is_last_held(
            folder, *self._attempts(folder)
        )

    def finish(
        self, job: Job, state: str, error: Mapping[str, Any] | None = None
    ) -> bool:
        """Write the end down, once; return whether it is this one.

        Of a job that was deleted meanwhile nothing is written.
        """
        if not self._store.has(f"{job.id}/job.json"):
            return False
        segments = self.segments(job)
        if state == "succeeded":
            self._lay_out(job, segments)
        done, failed = _counts(segments)
        entries = self._store.below(job.id)
        size = sum(size for _, size in entries)
        attempts = _attempts(len(segments), (key for key, _ in entries))
        end = JobEnd(state, time.time(), done, failed, size, error, attempts)
        if not self._store.create(f"{job.id}/finished", orjson.dumps(end)):
            return False
        _LOG.info("job %s %s: %s images, %s failed", job.id[:12], state, done, failed)
        return True

    def is_given_up(self, job: Job) -> bool:
        """Tell whether a job that is left to others was drawn by nobody for long."""
        key = f"{job.id}/others"
        now, since, count = time.time(), 0.0, -1
        data = self._store.get(key)
        if data is not None:
            try:
                since, count = orjson.loads(data)
            except (ValueError, TypeError) as error:
                _LOG.warning("store: %s: %s", key, error)
        if now < since + _OTHERS_S:
            return False
        begun = len(self._store.below(f"{job.id}/attempts"))
        if begun == count and self.is_idle(job):
            return True
        self._store.put(key, orjson.dumps((now, begun)))
        return False

    def attend(self) -> None:
        """Say that jobs are drawn here; to be repeated every 15 seconds."""
        self._store.put(_ATTENDED, orjson.dumps(time.time()))

    def attended(self) -> float | None:
        """Return when somebody last said so, in seconds since the epoch."""
        return self._moment(_ATTENDED)

    def is_attended(self) -> bool:
        """Tell whether somebody said so within a minute."""
        said = self.attended()
        return said is not None and time.time() < said + _ATTENDED_S

    def deliveries(self, job: Job) -> DeliveryLog:
        """Return the attempts to tell a receiver of the end."""
        return DeliveryLog(self._store, job.id)

    def is_over(self, id: str) -> bool:
        """Tell whether a job ended so long ago that it is kept no longer."""
        end = self.end(id)
        return end is not None and self._is_past(end)

    def _is_past(self, end: JobEnd) -> bool:
        return time.time() > end.at + self._ttl_s

    def delete(self, id: str) -> None:
        """Forget a job, its end and head last: until then it can be tried again."""
        last = [f"{id}/finished", f"{id}/job.json"]
        keys = {key for key, _ in self._store.below(id)}
        for key in (*(keys - set(last)), *last):
            self._store.delete(key)
        self._forget(id)

    def purge(self, job: Job) -> None:
        """Forget a job that has ended before its time; raise JobOpen, JobNeeded."""
        if self.end(job.id) is None:
            raise JobOpen(self.state(job))
        for other in self.jobs():
            if job.id in self.goes_on_from(other) and self.end(other.id) is None:
                raise JobNeeded(other.id)
        # Others may remember the job for as long as it would have been kept: until then
        # no other is to have its id.
        self._store.create(f"{_PURGED}/{job.id}", orjson.dumps(time.time()))
        self.delete(job.id)
        self._sweep()

    def _sweep(self) -> None:
        """Forget which jobs were purged longer ago than any job is kept."""
        now = time.time()
        if now < self._swept_s + _SWEEP_S:
            return
        self._swept_s = now
        for key, _ in self._store.below(_PURGED):
            if (self._moment(key) or 0.0) + self._ttl_s < now:
                self._store.delete(key)

    def _forget(self, id: str) -> None:
        with self._guard:
            self._jobs.pop(id, None)
            self._ends.pop(id, None)
            for name in ("rows", "started"):
                self._seen.pop(f"{id}/{name}", None)

    def state(self, job: Job) -> str:
        """Return the state of a job, as `document` says it."""
        end = self.end(job.id)
        if end is not None:
            return end.state
        if self.is_cancelled(job):
            return "cancelling"
        return "running" if self._store.has(f"{job.id}/started") else "queued"

    def document(self, job: Job) -> dict[str, Any]:
        """Say a job as JSON: the same to whoever asks and to whoever is told."""
        # First: what has ended may be deleted, and what is counted only grows.
        state, end = self.state(job), self.end(job.id)
        if end is None:
            done, failed = _counts(self.segments(job))
        else:
            done, failed = end.done, end.failed
        place = f"/jobs/{job.id}"
        return {
            "id": job.id,
            "state": state,
            "counts": {"total": job.count, "done": done, "failed": failed},
            "form": job.form,
            "format": job.format,
            "bytes": None if end is None else end.bytes,
            "attempts": None if end is None else end.attempts,
            "created": _spelt(job.created),
            "started": _spelt(self._moment(f"{job.id}/started")),
            "cancelled": _spelt(self._moment(f"{job.id}/cancelled")),
            "finished": None if end is None else _spelt(end.at),
            "expires": None if end is None else _spelt(end.at + self._ttl_s),
            "error": None if end is None else end.error,
            "retry_of": job.retry_of,
            "links": {
                "self": place,
                "cancel": f"{place}/cancel",
                "retry": f"{place}/retry",
                "purge": f"{place}/purge",
                "archive": f"{place}/archive.{job.form}{job.query}",
                "manifest": f"{place}/manifest.json",
                "errors": f"{place}/errors",
                "deliveries": f"{place}/deliveries",
                **({} if job.answer is None else {"answer": f"{place}/answer"}),
            },
        }

    def _moment(self, key: str) -> float | None:
        data = self._store.get(key)
        try:
            return None if data is None else float(orjson.loads(data))
        except (ValueError, TypeError) as error:
            # It is of no moment that anybody knows.
            _LOG.warning("store: %s: %s", key, error)
            return None


@contextmanager
def damaged() -> Iterator[None]:
    """Say of a job what the body finds of its segments."""
    try:
        yield
    except DamagedManifest as error:
        raise DamagedJob(str(error)) from error


def _counts(segments: Mapping[int, Segment]) -> tuple[int, int]:
    """Return how many images there are, and how many failed."""
    found = segments.values()
    return sum(one.images for one in found), sum(one.failures for one in found)


def _attempts(done: int, keys: Iterable[str]) -> Mapping[str, int]:
    """Return how many chunks are done, and what became of the attempts at all."""
    names = [key.split("/") for key in keys]
    kinds = Counter(
        name[3].rpartition(".")[2] for name in names if name[1] == "attempts"
    )
    marks = kinds["clean"], kinds["duplicate"]
    begun = kinds.total() - sum(marks)
    return {"chunks": done, "begun": begun, "left": marks[0], "duplicates": marks[1]}


def _ids(*names: str) -> Iterator[str]:
    """Yield the ids for which some names stand, one after another is used up."""
    for generation in count():
        yield digest(*names, str(generation))


def _patience() -> Pauses:
    """Return the pauses of who waits for some seconds, however long each look takes."""
    end_s = time.monotonic() + _SUBMIT_S
    while time.monotonic() < end_s:
        yield 0.05


def _remember(guard: Lock, known: OrderedDict[str, T], id: str, value: T) -> T:
    with guard:
        # Not the oldest: all are looked at in turn, and each would be gone by then.
        while len(known) >= _REMEMBERED and id not in known:
            known.popitem()
        known[id] = value
    return value


def _spelt(moment: float | None) -> str | None:
    """Spell a moment by RFC 3339, to the second."""
    if moment is None:
        return None
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
