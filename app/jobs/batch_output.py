"""The files of a batch that has ended: lines of answers, and lines of errors.

They are not stored: each line is said anew from the chunks, so that one image is in
memory at a time.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, TypeVar

import orjson
import pybase64

from app.archive.manifest import Entry, Failure
from app.collection.outcome import Drawn
from app.dialects import openai
from app.jobs.job import Job, digest
from app.jobs.job_ledger import JobLedger
from app.jobs.openai_batch import BatchLine, read_lines
from app.jobs.results import JobResults, media_of
from app.media import Media
from app.pipeline.generation import GeneratedImages

# The status and document that an answer to a problem of its own has.
Retell = Callable[[Mapping[str, Any]], tuple[int, Mapping[str, Any]]]
_CANCELLED = {
    "code": "batch_cancelled",
    "message": "The line was not drawn before the batch ended.",
}
T = TypeVar("T")


class BatchSizes(NamedTuple):
    """Bytes of a batch's two files; an empty one is none."""

    output: int
    errors: int


class BatchOutput:
    """The files of batches; all may raise StoreError, DamagedJob and UnknownJob."""

    def __init__(self, ledger: JobLedger, results: JobResults, retell: Retell) -> None:
        self._ledger = ledger
        self._results = results
        self._retell = retell

    def sizes(self, job: Job) -> BatchSizes:
        """Return what the files of a batch that has ended take, without reading it."""

        def measure() -> bytes:
            return orjson.dumps((*self._measure(job),))

        return BatchSizes(*orjson.loads(self._ledger.sizes(job, measure)))

    def output(self, job: Job) -> Iterator[bytes]:
        """Yield a line for each image, as `/v1/images/generations` answers."""
        outcomes = ((each.index, each) for each in self._results.outcomes(job))
        for line, outcome in self._joined(job, outcomes):
            if isinstance(outcome, Drawn):
                yield self._answer(job, line, outcome.media)

    def errors(self, job: Job) -> Iterator[bytes]:
        """Yield a line for each line of the file that there is no image of."""
        for line, found in self._joined(job, self._indexed(job)):
            if not isinstance(found, Entry):
                yield self._error(job, line, found)

    def _measure(self, job: Job) -> BatchSizes:
        output = errors = 0
        for line, found in self._joined(job, self._indexed(job)):
            if isinstance(found, Entry):
                answer = self._answer(job, line, media_of(found, b""))
                output += len(answer) + (found.size + 2) // 3 * 4
            else:
                errors += len(self._error(job, line, found))
        return BatchSizes(output, errors)

    def _indexed(self, job: Job) -> Iterator[tuple[int, Entry | Failure]]:
        """Yield what became of each row, with its number, and without images."""
        for index in self._results.indexes(job):
            rows: list[Entry | Failure] = [*index.entries(), *index.failures]
            rows.sort(key=lambda row: row.index)
            yield from ((row.index, row) for row in rows)

    def _joined(
        self, job: Job, rows: Iterator[tuple[int, T]]
    ) -> Iterator[tuple[BatchLine, T | None]]:
        """Yield each line with what became of it: nothing where it is no row."""
        number, row = 0, next(rows, None)
        for line in read_lines(self._ledger.lines(job)):
            number += line.error is None
            if line.error is None and row is not None and row[0] == number:
                yield line, row[1]
                row = next(rows, None)
            else:
                yield line, None

    def _answer(self, job: Job, line: BatchLine, media: Media) -> bytes:
        album = GeneratedImages("", (media,), (), "hit")
        body = openai.write(album, int(job.created), None, "b64_json")
        if line.warnings:
            body["warnings"] = line.warnings
        return _said(job, line.custom_id, 200, body)

    def _error(self, job: Job, line: BatchLine, failure: Failure | None) -> bytes:
        if line.error is not None:
            return _said(job, line.custom_id, line.status, line.error)
        if failure is None:
            return _said(job, line.custom_id, None, _CANCELLED)
        return _said(job, line.custom_id, *self._retell(failure.problem))


def _said(job: Job, id: str, status: int | None, body: Mapping[str, Any]) -> bytes:
    """Return a line; without a status the request was never made."""
    name = digest(job.id, id)[:32]
    response = {"status_code": status, "request_id": f"req_{name}", "body": body}
    document = {
        "id": f"batch_req_{name}",
        "custom_id": id,
        "response": None if status is None else response,
        "error": body if status is None else None,
    }
    option = orjson.OPT_APPEND_NEWLINE
    return orjson.dumps(document, default=pybase64.b64encode_as_string, option=option)
