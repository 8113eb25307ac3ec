"""What a finished job made, read from its chunks: nothing is drawn again."""

import hashlib
from collections import OrderedDict
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from heapq import merge
from operator import attrgetter
from threading import Lock
from typing import Any

import orjson

from app.archive.layout import Layout
from app.archive.manifest import Entry, Failure, Manifest
from app.collection.collection import Collection
from app.collection.export.exports import ExportOptions, Form
from app.collection.export.zip import parts
from app.collection.lookahead import Whole
from app.collection.outcome import Bundle, Drawn, Failed, Outcome
from app.jobs.chunk import Read, read_index
from app.jobs.errors import DamagedJob, RecordedFailure
from app.jobs.job import Job
from app.jobs.job_ledger import JobLedger
from app.media import Media

# Bytes of several images that are read at a time.
_BLOCK = 4 << 20
# Jobs whose layout is remembered, about 300 bytes an image.
_LAID_OUT = 2


class JobResults:
    """The results of jobs in one worker; all may raise StoreError and DamagedJob."""

    def __init__(self, ledger: JobLedger) -> None:
        self._ledger = ledger
        self._lock = Lock()
        self._archives: OrderedDict[tuple[str, float], tuple[Manifest, Layout]]
        self._archives = OrderedDict()

    def archive(self, job: Job) -> Whole:
        """Return the archive of a job that has succeeded, whose every byte is known."""
        manifest, layout = self._laid_out(job)

        def part(start: int, stop: int) -> Iterator[bytes]:
            draw = partial(self._outcomes, job)
            return parts(manifest, layout, (start, stop), draw, lambda: None)

        return Whole(layout.length, part)

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

    def manifest(self, job: Job) -> Manifest:
        """Return what became of each image of a job that has succeeded."""
        return self._laid_out(job)[0]

    def failures(self, job: Job) -> Iterator[bytes]:
        """Yield a line of JSON for each image that there is none of, so far."""
        for chunk, tally in sorted(self._ledger.tallies(job).items()):
            if tally.failures:
                read = self._ledger.read_chunk(job, chunk)
                for failure in read_index(read).manifest.failures:
                    yield _line(failure)

    def _laid_out(self, job: Job) -> tuple[Manifest, Layout]:
        # Held while it is laid out: of two requests at once, one does the work.
        with self._lock:
            key = job.id, job.created
            if key not in self._archives:
                whole = Manifest(job.collection, job.count)
                for chunk in range(job.chunks):
                    index = read_index(self._ledger.read_chunk(job, chunk))
                    for entry in index.manifest.entries():
                        whole.add(entry)
                    for failure in index.manifest.failures:
                        whole.fail(failure)
                self._archives[key] = whole, whole.layout()
            self._archives.move_to_end(key)
            while len(self._archives) > _LAID_OUT:
                self._archives.popitem(last=False)
            return self._archives[key]

    def _outcomes(self, job: Job, first: int, last: int) -> Generator[Outcome]:
        """Yield what became of the images from a number to another, in order."""
        for chunk in range((first - 1) // job.size, (last - 1) // job.size + 1):
            yield from _between(self._ledger.read_chunk(job, chunk), first, last)


def _between(read: Read, first: int, last: int) -> Iterator[Outcome]:
    """Yield the outcomes of a chunk that have numbers from `first` to `last`."""
    manifest, at = read_index(read)
    wanted: list[tuple[Entry, int]] = []
    for entry in manifest.entries():
        if first <= entry.index <= last:
            wanted.append((entry, at))
        at += entry.size
    failed = (
        Failed(failure.index, failure.name, RecordedFailure(failure.problem))
        for failure in manifest.failures
        if first <= failure.index <= last
    )
    drawn: Iterator[Outcome] = _read(read, wanted)
    yield from merge(drawn, failed, key=attrgetter("index"))


def _read(read: Read, wanted: Sequence[tuple[Entry, int]]) -> Iterator[Drawn]:
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
        facts = orjson.loads(entry.facts) if entry.facts else {}
        size = entry.width, entry.height
        about = entry.sha256.hex(), ""
        media = Media(data, entry.media_type, *size, *about, facts)
        yield Drawn(entry.index, entry.name, media)


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
