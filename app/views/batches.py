"""`/v1/files` and `/v1/batches`: OpenAI's batches, which are jobs."""

import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, closing
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple

import orjson
from flask import Blueprint, Response

from app.access.caller import CALLER
from app.access.policy import listed, require_owner
from app.collection.errors import BadRows, RowFault
from app.collection.lookahead import CollectionDrawing
from app.config import Settings
from app.delivery.answer import send_json, stream
from app.dialects import openai
from app.jobs.batch_output import BatchOutput
from app.jobs.chunk_drawing import bounds_for_jobs
from app.jobs.errors import UnknownFile, UnknownJob
from app.jobs.job import Job, asked_by, chunk_size, digest, expected_bytes
from app.jobs.job_ledger import JobLedger
from app.jobs.local_engine import LocalEngine
from app.jobs.openai_batch import ENDPOINT, BadBatch, BatchDraft, BatchReader
from app.jobs.uploaded_files import UploadedFile, UploadedFiles
from app.pipeline.generation import Generations
from app.problems import PROBLEMS, describe, row_of
from app.renderer.errors import Fault
from app.views.body import read_document, read_query, receive_file

# As OpenAI has it.
_MOST_FILE = 200 << 20
_MOST_PAIRS, _MOST_KEY, _MOST_VALUE = 16, 64, 512
_WINDOW = "24h"
_FILE = re.compile(r"file-([0-9a-f]{64})(-output|-errors)?\Z")
_BATCH = re.compile(r"batch_([0-9a-f]{64})\Z")
_LIMIT = re.compile(r"[0-9]{1,9}")
_PIECE = 256 << 10
_STATES: Mapping[str, str] = {
    "queued": "validating",
    "running": "in_progress",
    "succeeded": "completed",
}
_KINDS = {row.slug: kind for kind, row in PROBLEMS.items()}


class _Listed(NamedTuple):
    """An entry of a list: when it was made, its id, and what says it."""

    created: float
    id: str
    say: Callable[[], dict[str, Any]]


class BatchAnswers:
    """Takes files and batches of them, and answers with what became of them."""

    def __init__(
        self,
        files: UploadedFiles,
        ledger: JobLedger,
        engine: LocalEngine,
        output: BatchOutput,
        generations: Generations,
        drawing: CollectionDrawing,
        settings: Settings,
    ) -> None:
        self._files = files
        self._ledger = ledger
        self._engine = engine
        self._output = output
        self._generations = generations
        self._drawing = drawing
        self._bounds = bounds_for_jobs(settings)

    def upload(self) -> dict[str, Any]:
        """Keep the file of the request."""
        # Before the body is read: it would be sent in vain.
        self._ledger.check()
        most = min(_MOST_FILE, self._bounds.max_job_bytes)
        with receive_file("file", most) as sent:
            purpose = sent.fields.pop("purpose", None)
            if purpose != "batch":
                raise openai.BadField(
                    "invalid_value", Fault("purpose", "must be batch")
                )
            _refuse_others(sent.fields)
            made = self._files.add(sent.name, sent.data, sent.size, CALLER.get())
        return self._file(made)

    def create(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """Make a batch of a file."""
        self._ledger.check()
        file_id, metadata = _terms(document)
        key, kind = _split(file_id)
        if kind:
            reason = "is a batch's own: upload one of purpose batch"
            raise openai.BadField("invalid_value", Fault("input_file_id", reason))
        file = self._files.get(key)
        self._drawing.charge().check()
        reader = BatchReader(self._generations, self._bounds, tell, file.id)
        terms: dict[str, Any] = {"file": file.id, "metadata": metadata, "refused": 0}
        try:
            batch = reader.read(self._files.read(file))
        except BadBatch as error:
            job = self._ledger.refuse(_job(terms, None, ""), _problem(error))
        else:
            with closing(batch):
                terms["refused"] = batch.refused
                made = _job(terms, batch, self._bounds.store)
                job = self._ledger.submit(made, None, batch.draft.chunks, batch.lines)
        self._engine.enqueue(job.id)
        return self.batch(job)

    def job(self, id: str) -> Job:
        """Return the job that is a batch; raise UnknownJob."""
        found = _BATCH.match(id)
        job = None if found is None else self._ledger.job(found[1])
        if job is None or job.batch is None:
            raise UnknownJob(id)
        return job

    def cancel(self, job: Job) -> None:
        """Want no more of a batch."""
        require_owner(job.account)
        self._ledger.cancel(job)
        self._engine.enqueue(job.id)

    def batch(self, job: Job) -> dict[str, Any]:
        """Say a batch as OpenAI does."""
        assert job.batch is not None
        document = self._ledger.document(job)
        state, counts = document["state"], document["counts"]
        refused = job.batch["refused"]
        finished, cancelled = document["finished"], document["cancelled"]
        files = self._file_ids(job)
        ends = {
            f"{name}_at": _seconds(finished)
            if _STATES.get(state, state) == name
            else None
            for name in ("completed", "failed", "cancelled")
        }
        return {
            "id": f"batch_{job.id}",
            "object": "batch",
            "endpoint": ENDPOINT,
            "errors": _errors(document["error"]),
            "input_file_id": f"file-{job.batch['file']}",
            "completion_window": _WINDOW,
            "status": _STATES.get(state, state),
            "output_file_id": files[0],
            "error_file_id": files[1],
            "created_at": int(job.created),
            "in_progress_at": _seconds(document["started"]),
            "cancelling_at": _seconds(cancelled),
            **ends,
            # Nothing is given up because it takes long, and nothing is written last.
            "expires_at": None,
            "expired_at": None,
            "finalizing_at": None,
            "request_counts": {
                "total": counts["total"] + refused,
                "completed": counts["done"],
                "failed": counts["failed"] + refused,
            },
            "metadata": job.batch["metadata"],
        }

    def _file_ids(self, job: Job) -> tuple[str | None, str | None]:
        end = self._ledger.end(job.id)
        # One that has failed before a chunk of it was done may have no lines.
        if end is None or (end.state == "failed" and not end.done + end.failed):
            return None, None
        sizes = self._output.sizes(job)
        return (
            f"file-{job.id}-output" if sizes.output else None,
            f"file-{job.id}-errors" if sizes.errors else None,
        )

    def describe(self, id: str) -> dict[str, Any]:
        """Say a file, that was uploaded or is a batch's own; raise UnknownFile."""
        key, kind = _split(id)
        if not kind:
            return self._file(self._files.get(key))
        return self._made(self._ended(key, id), kind)

    def content(self, id: str) -> Iterator[bytes]:
        """Return a file in pieces; raise UnknownFile."""
        key, kind = _split(id)
        if not kind:
            return self._pieces(self._files.get(key))
        job = self._ended(key, id)
        if id not in self._file_ids(job):
            raise UnknownFile(id)
        write = self._output.output if kind == "-output" else self._output.errors
        return write(job)

    def _pieces(self, file: UploadedFile) -> Iterator[bytes]:
        read = self._files.read(file)
        for start in range(0, file.size, _PIECE):
            yield read(start, min(start + _PIECE, file.size))

    def _ended(self, key: str, id: str) -> Job:
        try:
            job = self._ledger.job(key)
        except UnknownJob as error:
            raise UnknownFile(id) from error
        if job.batch is None or self._ledger.end(key) is None:
            raise UnknownFile(id)
        return job

    def forget(self, id: str) -> dict[str, Any]:
        """Delete an uploaded file; raise UnknownFile."""
        key, kind = _split(id)
        if kind:
            reason = "is a batch's own and goes with it"
            raise openai.BadField("invalid_value", Fault("file_id", reason))
        file = self._files.get(key)
        require_owner(file.account)
        self._files.delete(file)
        return {"id": id, "object": "file", "deleted": True}

    def _file(self, file: UploadedFile) -> dict[str, Any]:
        times = file.created, self._files.expires(file)
        return _said(f"file-{file.id}", file.name, file.size, "batch", *times)

    def _made(self, job: Job, kind: str) -> dict[str, Any]:
        """Say a file of a batch's own; raise UnknownFile where it is empty."""
        id = f"file-{job.id}{kind}"
        if id not in self._file_ids(job):
            raise UnknownFile(id)
        output, errors = self._output.sizes(job)
        size = output if kind == "-output" else errors
        document = self._ledger.document(job)
        times = _seconds(document["finished"]) or 0, _seconds(document["expires"]) or 0
        name = f"batch_{job.id[:12]}{kind.replace('-', '_')}.jsonl"
        return _said(id, name, size, "batch_output", *times)

    def batches(self) -> Iterator[_Listed]:
        """Yield the caller's batches, in no order; an operator's are all."""
        for job in self._jobs():
            yield _Listed(job.created, f"batch_{job.id}", partial(self.batch, job))

    def _jobs(self) -> Iterator[Job]:
        self._ledger.check()
        is_listed = listed()
        for job in self._ledger.jobs():
            if job.batch is not None and is_listed(job.account):
                yield job

    def files(self) -> Iterator[_Listed]:
        """Yield the caller's files, in no order, and those of their batches."""
        self._ledger.check()
        is_listed = listed()
        for file in self._files.all():
            if is_listed(file.account):
                say = partial(self._file, file)
                yield _Listed(file.created, f"file-{file.id}", say)
        for job in self._jobs():
            for id in filter(None, self._file_ids(job)):
                end = self._ledger.end(job.id)
                at = job.created if end is None else end.at
                yield _Listed(at, id, partial(self._made, job, _split(id)[1]))


def blueprint(answers: BatchAnswers, drawing: CollectionDrawing) -> Blueprint:
    """Return the routes of files and batches."""
    bp = Blueprint("batches", __name__, url_prefix="/v1")

    @bp.post("/files")
    def upload() -> Response:
        """Keep the file that a batch is to read."""
        return send_json(answers.upload())

    @bp.get("/files")
    def files() -> Response:
        """List the caller's files."""
        query = read_query()
        purpose = query.pop("purpose", None)
        listed = [
            each for each in answers.files() if purpose in (None, _purpose(each.id))
        ]
        return send_json(_page(listed, query, 10_000, 10_000))

    @bp.get("/files/<id>")
    def file(id: str) -> Response:
        """Describe a file."""
        return send_json(answers.describe(id))

    @bp.get("/files/<id>/content")
    def content(id: str) -> Response:
        """Send a file."""
        pieces = answers.content(id)
        pairs = (
            ("Content-Type", "application/octet-stream"),
            ("Cache-Control", "private, no-cache"),
        )
        with ExitStack() as ending:
            ending.enter_context(drawing.admit())
            return stream("200 OK", pairs, pieces, None, ending.pop_all().close)

    @bp.delete("/files/<id>")
    def forget(id: str) -> Response:
        """Delete a file that was uploaded."""
        return send_json(answers.forget(id))

    @bp.post("/batches")
    def create() -> Response:
        """Make a batch of a file."""
        return send_json(answers.create(read_document()))

    @bp.get("/batches")
    def index() -> Response:
        """List the caller's batches."""
        return send_json(_page(answers.batches(), read_query(), 20, 100))

    @bp.get("/batches/<id>")
    def show(id: str) -> Response:
        """Say how far a batch is."""
        return send_json(answers.batch(answers.job(id)))

    @bp.post("/batches/<id>/cancel")
    def cancel(id: str) -> Response:
        """Cancel a batch."""
        job = answers.job(id)
        answers.cancel(job)
        return send_json(answers.batch(job))

    return bp


def tell(error: Exception) -> tuple[int, dict[str, Any]]:
    """Return the status and document that a request has which raises an error."""
    row = row_of(error)
    assert row is not None
    status, code = openai.status_of(error, row.status, row.slug or row.title)
    param = openai.param_of(error)
    return status, openai.write_error(str(error), status, code, param)


def retell(problem: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
    """Return the same for an error that was written down as a problem."""
    slug = problem["type"].rpartition("/")[2]
    given = problem["status"], slug
    status, code = openai.status_of_kind(_KINDS.get(slug), *given)
    field = problem.get("field")
    param = "model" if slug == "unknown-renderer" else field and openai.name_of(field)
    return status, openai.write_error(problem["detail"], status, code, param)


def _terms(document: Mapping[str, Any]) -> tuple[str, Mapping[str, str] | None]:
    """Return the file's id and the metadata; raise BadField for other terms."""
    given = {name: value for name, value in document.items() if value is not None}
    fixed = {"endpoint": ENDPOINT, "completion_window": _WINDOW}
    for name in ("input_file_id", *fixed):
        if name not in given:
            raise openai.BadField(
                "missing_required_parameter", Fault(name, "is required")
            )
    for name, value in fixed.items():
        if given.pop(name) != value:
            raise openai.BadField("invalid_value", Fault(name, f"must be {value}"))
    file_id, metadata = given.pop("input_file_id"), given.pop("metadata", None)
    if not isinstance(file_id, str):
        raise openai.BadField("invalid_value", Fault("input_file_id", "must be a text"))
    if metadata is not None and not _is_metadata(metadata):
        reason = (
            f"must be an object of at most {_MOST_PAIRS} texts of up to {_MOST_VALUE}"
            f" characters, with names of up to {_MOST_KEY}"
        )
        raise openai.BadField("invalid_value", Fault("metadata", reason))
    _refuse_others(given)
    return file_id, metadata


def _is_metadata(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and len(value) <= _MOST_PAIRS
        and all(len(name) <= _MOST_KEY for name in value)
        and all(isinstance(v, str) and len(v) <= _MOST_VALUE for v in value.values())
    )


def _refuse_others(given: Iterable[str]) -> None:
    for name in given:
        reason = "is not something that can be told here"
        raise openai.BadField("unknown_parameter", Fault(name, reason))


def _job(terms: Mapping[str, Any], batch: BatchDraft | None, store: str) -> Job:
    """Return the job of a batch, or of one that is refused."""
    caller = CALLER.get()
    told = orjson.dumps(terms, option=orjson.OPT_SORT_KEYS).decode()
    if batch is None:
        content, count, size, reserved, format_name = "", 0, 1, 0, "png"
    else:
        header = batch.draft.header
        content, count, format_name = header.id, header.count, header.output["format"]
        size = chunk_size(header, bought=batch.bought, store=store)
        size_there = batch.draft.size + batch.size
        reserved = expected_bytes(header, size_there, format_name, bought=batch.bought)
    return Job(
        id="",
        content=digest("batch", content, told),
        collection=content,
        count=count,
        size=size,
        form="zip",
        query="",
        format=format_name,
        **asked_by(caller),
        created=time.time(),
        reserved=reserved,
        webhook=None,
        batch=terms,
    )


def _problem(error: BadBatch) -> dict[str, Any]:
    """Return why a job has failed: as a problem, and as OpenAI says it."""
    rows = [RowFault(None, f.line, f.param or "", f.message) for f in error.faults]
    told = [fault._asdict() for fault in error.faults]
    return {**describe(BadRows(rows)), "errors": told}


def _errors(problem: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Say why a batch has failed; nothing where it has not."""
    if problem is None:
        return None
    _, document = retell(problem)
    told = {
        "line": None,
        **{n: document["error"][n] for n in ("code", "message", "param")},
    }
    return {"object": "list", "data": problem.get("errors", [told])}


def _said(
    id: str, name: str, size: int, purpose: str, created: float, expires: float
) -> dict[str, Any]:
    return {
        "id": id,
        "object": "file",
        "bytes": size,
        "created_at": int(created),
        "expires_at": int(expires),
        "filename": name,
        "purpose": purpose,
        "status": "processed",
        "status_details": None,
    }


def _page(
    listed: Iterable[_Listed], query: dict[str, str], usual: int, most: int
) -> dict[str, Any]:
    """Return the part of a list that a query asks for, the newest first."""
    order = query.pop("order", "desc")
    if order not in ("asc", "desc"):
        raise openai.BadField("invalid_value", Fault("order", "must be asc or desc"))
    limit, after = query.pop("limit", str(usual)), query.pop("after", None)
    if not _LIMIT.fullmatch(limit) or not 1 <= int(limit) <= most:
        raise openai.BadField("invalid_value", Fault("limit", f"must be 1 to {most}"))
    _refuse_others(query)
    rows = sorted(listed, key=lambda row: row[:2], reverse=order == "desc")
    if after is not None:
        places = [place for place, row in enumerate(rows, 1) if row.id == after]
        if not places:
            # An empty page would be the end of the list to whoever deletes as it reads.
            reason = "is the id of nothing in this list, or of what is no longer kept"
            raise openai.BadField("invalid_value", Fault("after", reason))
        rows = rows[places[0] :]
    page = [row.say() for row in rows[: int(limit)]]
    return {
        "object": "list",
        "data": page,
        "first_id": page[0]["id"] if page else None,
        "last_id": page[-1]["id"] if page else None,
        "has_more": len(rows) > len(page),
    }


def _split(id: str) -> tuple[str, str]:
    """Return the digits of a file's id, and which of a batch's own it is, if any."""
    found = _FILE.match(id)
    if found is None:
        raise UnknownFile(id)
    return found[1], found[2] or ""


def _purpose(id: str) -> str:
    return "batch_output" if _split(id)[1] else "batch"


def _seconds(moment: str | None) -> int | None:
    return None if moment is None else int(datetime.fromisoformat(moment).timestamp())
