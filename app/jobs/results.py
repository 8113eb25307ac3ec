"""What a finished job made, read from its chunks: nothing is drawn again."""

import hashlib
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import replace
from heapq import merge
from operator import attrgetter
from typing import Any

import orjson

from app.archive.manifest import Entry, Failure, Manifest
from app.archive.segments import ReadSegment, data_places, members_of
from app.collection.collection import Collection
from app.collection.export.exports import ExportOptions, Form
from app.collection.lookahead import TICK_S, Whole
from app.collection.outcome import Bundle, Drawn, Failed, Outcome
from app.jobs.errors import DamagedJob, JobUnfinished, RecordedFailure, UnknownJob
from app.jobs.job import Job
from app.jobs.job_ledger import JobLedger, damaged
from app.media import Media

# Bytes of several images that are read at a time.
_BLOCK = 4 << 20
# Between two looks for the next chunk.
_LOOK_S = 0.5


class JobResults:
    """The results of jobs in one worker; all may raise StoreError and DamagedJob."""

    def __init__(self, ledger: JobLedger) -> None:
        self._ledger = ledger

    def archive(self, job: Job) -> Whole:
        """Return the archive of a job that has succeeded, whose every byte is known."""
        layout = self._ledger.layout(job)

        def part(start: int, stop: int) -> Iterator[bytes]:
            with damaged():
                yield from layout.pieces(start, stop)

        return Whole(layout.length, part)

    def has_begun(self, job: Job) -> bool:
        """Tell whether there is a beginning of the archive to be sent."""
        return self._ledger.segment(job, 0) is not None

    def follow(self, job: Job, stopping: Callable[[], bool]) -> Iterator[bytes]:
        """Yield the archive as far as it is drawn, and the rest as that goes on.

        An empty piece says that the next is not there yet. Raises JobUnfinished where
        the job ends in another way, or this process does.
        """
        sent = 0
        for chunk in range(job.chunks):
            yield from self._wait_for(job, chunk, stopping)
            segment = self._ledger.segment(job, chunk)
            if segment is None:
                raise UnknownJob(job.id)
            with damaged():
                yield from members_of(segment, self._ledger.read_chunk(job, chunk))
            sent += segment.members
        yield from self._wait_for(job, None, stopping)
        whole = self.archive(job)
        yield from whole.cut(sent, whole.length)

    def _wait_for(
        self, job: Job, chunk: int | None, stopping: Callable[[], bool]
    ) -> Iterator[bytes]:
        """Yield nothing, now and then, until a chunk, or the whole job, is done."""
        ticked_s = time.monotonic()
        while chunk is None or self._ledger.segment(job, chunk) is None:
            state = self._ledger.state(job)
            if state == "succeeded":
                return
            if state != "running" or stopping():
                raise JobUnfinished(state)
            time.sleep(_LOOK_S)
            if time.monotonic() > ticked_s + TICK_S:
                ticked_s = time.monotonic()
                yield b""

    def make(
        self, job: Job, form: Form, options: ExportOptions, collection: Collection
    ) -> Iterator[bytes]:
        """Yield the result in another form than the archive's."""
        assert form.make is not None
        outcomes = self._named(job, form, collection)
        bundle = Bundle(
            collection.id, job.count, outcomes, _problem, lambda: None, begun=True
        )
        return form.make(bundle, collection, options)

    def _named(self, job: Job, form: Form, collection: Collection) -> Iterator[Outcome]:
        """Yield all outcomes, with the fingerprints that other forms tell."""
        for outcome in self._outcomes(job, 1, job.count):
            if isinstance(outcome, Drawn):
                item = collection.item(outcome.index, form.image_format)
                fingerprint = item.request.fingerprint
                media = replace(outcome.media, fingerprint=fingerprint)
                outcome = replace(outcome, media=media)
            yield outcome

    def outcomes(self, job: Job) -> Iterator[Outcome]:
        """Yield what became of the images of the chunks that are done, in order."""
        for chunk in sorted(self._ledger.done(job)):
            yield from self._outcomes(job, *job.rows(chunk))

    def indexes(self, job: Job) -> Iterator[Manifest]:
        """Yield the same without the bytes of images, a chunk at a time."""
        for chunk, segment in self._ledger.segments(job).items():
            with damaged():
                index = segment.manifest(self._ledger.read_chunk(job, chunk))
            yield index

    def manifest(self, job: Job) -> Iterator[bytes]:
        """Yield what became of each image of a job that has succeeded, as JSON."""
        layout = self._ledger.layout(job)
        with damaged():
            yield from layout.text()

    def failures(self, job: Job) -> Iterator[bytes]:
        """Yield a line of JSON for each image that there is none of, so far."""
        for chunk, segment in self._ledger.segments(job).items():
            if segment.failures:
                with damaged():
                    index = segment.manifest(self._ledger.read_chunk(job, chunk))
                yield from map(_line, index.failures)

    def _outcomes(self, job: Job, first: int, last: int) -> Generator[Outcome]:
        """Yield what became of the images from a number to another, in order."""
        for chunk in range((first - 1) // job.size, (last - 1) // job.size + 1):
            segment = self._ledger.segment(job, chunk)
            if segment is None:
                raise UnknownJob(job.id)
            read = self._ledger.read_chunk(job, chunk)
            with damaged():
                index = segment.manifest(read)
            yield from _between(index, read, first, last)


def _between(
    manifest: Manifest, read: ReadSegment, first: int, last: int
) -> Iterator[Outcome]:
    """Yield the outcomes of a chunk that have numbers from `first` to `last`."""
    wanted = [
        (entry, at)
        for entry, at in data_places(manifest)
        if first <= entry.index <= last
    ]
    drawn: Iterator[Outcome] = (
        Drawn(entry.index, entry.name, media_of(entry, data))
        for entry, data in _read(read, wanted)
    )
    failed = (
        Failed(failure.index, failure.name, RecordedFailure(failure.problem))
        for failure in manifest.failures
        if first <= failure.index <= last
    )
    yield from merge(drawn, failed, key=attrgetter("index"))


def images_of(ledger: JobLedger, job: Job, chunk: int) -> Iterator[tuple[Entry, bytes]]:
    """Yield the images of a chunk, nothing where it is not done; raise DamagedJob."""
    segment = ledger.segment(job, chunk)
    if segment is not None:
        read = ledger.read_chunk(job, chunk)
        with damaged():
            index = segment.manifest(read)
        yield from _read(read, list(data_places(index)))


def _read(
    read: ReadSegment, wanted: Sequence[tuple[Entry, int]]
) -> Iterator[tuple[Entry, bytes]]:
    """Yield images that lie one behind the other, several with one read."""
    start, block = 0, b""
    for place, (entry, at) in enumerate(wanted):
        if at + entry.size > start + len(block):
            stop = at + entry.size
            for each, begin in wanted[place + 1 :]:
                if begin + each.size > at + _BLOCK:
                    break
                stop = begin + each.size
            start, block = at, read(at, stop)
        data = block[at - start : at - start + entry.size]
        if hashlib.sha256(data).digest() != entry.sha256:
            raise DamagedJob(f"Image {entry.index} of the job is damaged.")
        yield entry, data


def media_of(entry: Entry, data: bytes) -> Media:
    """Return an image as it was drawn, without the fingerprint of its request."""
    facts = orjson.loads(entry.facts) if entry.facts else {}
    size = entry.width, entry.height
    return Media(data, entry.media_type, *size, entry.sha256.hex(), "", facts)


def _problem(error: Exception) -> Mapping[str, Any]:
    assert isinstance(error, RecordedFailure)
    return error.problem


def _line(failure: Failure) -> bytes:
    """Return a failure as a line: row, name, code, field and message."""
    problem = failure.problem
    about = {
        "row": failure.index,
        "name": failure.name,
        "code": str(problem.get("type", "")).rpartition("/")[2],
        "field": problem.get("field"),
        "message": problem.get("detail"),
    }
    return orjson.dumps(about, option=orjson.OPT_APPEND_NEWLINE)
