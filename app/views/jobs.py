"""Jobs: submitted, watched, cancelled, and what they made."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from threading import BoundedSemaphore
from typing import Any

import orjson
from flask import Blueprint, Response, request
from werkzeug.exceptions import NotFound

from app.access.caller import CALLER
from app.access.policy import require, require_buy, require_jobs, require_owner
from app.collection.export.exports import FORMS, ExportOptions, Form, read_options
from app.collection.ingest.writer import Draft
from app.collection.lookahead import CollectionDrawing
from app.config import Settings
from app.delivery.answer import Answer, Pair, send_json, send_page, stream
from app.delivery.image import warn
from app.delivery.terms import Terms, answer_early, say_ignored
from app.jobs.chunk_drawing import ChunkDrawing, bounds_for_jobs
from app.jobs.errors import JobUnfinished
from app.jobs.job import ENDED, Job, asked_by, chunk_size, digest, expected_bytes
from app.jobs.job_ledger import JobLedger
from app.jobs.local_engine import LocalEngine
from app.jobs.results import JobResults
from app.jobs.webhooks import Webhooks
from app.parsing.accept import JSON
from app.parsing.image import BodyTooLarge
from app.parsing.prefer import Preference, read_prefer
from app.renderer.catalogue import Catalogue
from app.renderer.errors import BadParameter, Fault, LimitExceeded
from app.views.archives import form_of, headers_of, send_known
from app.views.body import read_link, receive, refuse_query
from app.views.deletion import send_deleted
from app.views.job_list import send_list
from app.views.job_watch import JobWatch

# Seconds after which it is worth asking again.
_RETRY_S = 2
# Less than platforms and proxies wait for an answer.
_MOST_WAIT_S = 20
# Between two looks at a job that somebody waits for.
_GLANCE_S = 0.1
_KEPT = "private, no-cache"
_NDJSON = "application/x-ndjson"
# Endpoints that read the query themselves.
_WITH_QUERY = ("jobs.create", "jobs.index", "jobs.archive")
# What limits of collections are called where they are those of jobs.
_LIMITS = {
    "MIMEO_MAX_ROWS": "MIMEO_MAX_JOB_ROWS",
    "MIMEO_MAX_COLLECTION_BYTES": "MIMEO_MAX_JOB_BYTES",
}


class JobAnswers:
    """Takes uploads as jobs, and answers with how far they are or what they made."""

    def __init__(
        self,
        ledger: JobLedger,
        engine: LocalEngine,
        chunks: ChunkDrawing,
        results: JobResults,
        drawing: CollectionDrawing,
        catalogue: Catalogue,
        settings: Settings,
        webhooks: Webhooks | None,
    ) -> None:
        self._ledger = ledger
        self._engine = engine
        self._chunks = chunks
        self._results = results
        self._drawing = drawing
        self._catalogue = catalogue
        self._settings = settings
        self._webhooks = webhooks
        self._bounds = bounds_for_jobs(settings)
        # Whoever waits holds a thread of the server.
        self._seats = BoundedSemaphore(max(1, settings.threads // 4))

    def later(self, form: Form, *, whole: bool = True) -> Response | None:
        """Answer with a job where the request prefers that; None elsewhere.

        What it made is the answer, where it is to be had `whole` and is there within
        the time that the request would rather wait.
        """
        if not self.preferred():
            return None
        job, options, warnings = self.submit(form)
        document, waited = self.awaited(job)
        if not (whole and waited and document["state"] == "succeeded"):
            return self.described(document, waited, warn(warnings))
        with ExitStack() as ending:
            answer = self.deliver(job, form, options, ending)
        answer.headers["Content-Location"] = document["links"]["archive"]
        for name, value in (applied(waited), *warn(warnings)):
            answer.headers[name] = value
        return answer

    def preferred(self) -> bool:
        """Tell whether the request would rather have a job, and can."""
        return _preference().respond_async and self._ledger.keeps

    def submit(
        self, form: Form, *own: str
    ) -> tuple[Job, ExportOptions, tuple[str, ...]]:
        """Submit the upload of the request; return the job, and what was assumed.

        `own` are names in the query that are the route's. Raises what `receive` and
        `JobLedger.submit` raise.
        """
        require_jobs()
        # Before the body is read: it would be sent in vain.
        self._ledger.check()
        own = (*own, "webhook")
        with _limits_of_jobs():
            draft, given = receive(self._catalogue, self._bounds, (*form.names, *own))
        with closing(draft):
            webhook = given.get("webhook")
            given = {name: each for name, each in given.items() if name not in own}
            options = read_options(form.options, given)
            collection = draft.collection(self._catalogue, self._bounds)
            assumed = form.check(collection, options, self._settings)
            kept = self.keep(draft, form, form.query(options), webhook)
            warnings = (*draft.warnings, *assumed)
        return kept, options, warnings

    def keep(
        self,
        draft: Draft,
        form: Form,
        query: str,
        webhook: str | None,
        answer: Mapping[str, Any] | None = None,
    ) -> Job:
        """Keep rows as a job of the caller's; return it, or the one that it repeats.

        `answer` is the job's. Raises BadParameter for the webhook, RateExceeded, and
        what `JobLedger.submit` raises.
        """
        told = self._webhook(webhook)
        collection = draft.collection(self._catalogue, self._bounds)
        self._drawing.charge().check()
        caller = CALLER.get()
        bought = bool(collection.services)
        format_name = form.image_format or collection.output.format
        content = (collection.id, form.name, query, told or "", *_spelt(answer))
        job = Job(
            id="",
            content=digest(*content),
            collection=collection.id,
            count=collection.count,
            size=chunk_size(draft.header, bought=bought, store=self._bounds.store),
            form=form.name,
            query=query,
            format=format_name,
            **asked_by(caller),
            created=time.time(),
            reserved=expected_bytes(
                draft.header, draft.size, format_name, bought=bought
            ),
            webhook=told,
            answer=answer,
        )
        key = request.headers.get("Idempotency-Key")
        self._catalogue.use(draft.header.renderers)
        kept = self._ledger.submit(job, key, draft.chunks)
        self._engine.enqueue(kept.id)
        return kept

    def _webhook(self, url: str | None) -> str | None:
        """Return where the end is to be told; raise BadParameter."""
        if url is None:
            return None
        if self._webhooks is None:
            reason = "could not be signed here: MIMEO_WEBHOOK_SECRETS is to be set"
            raise BadParameter(Fault("webhook", reason))
        self._webhooks.check(url, local=CALLER.get().kind == "local")
        return url

    def retry(self, job: Job) -> Response:
        """Submit what a job lacks as another, and answer with that.

        Raises what `JobLedger.retry` raises, what would end the other as well, and
        what `require` and `require_buy` raise.
        """
        self._ledger.check_retry(job)
        for renderer in self._chunks.collection(job).renderers:
            require(renderer)
            if renderer.remote is not None:
                require_buy(renderer.name)
        self._drawing.charge().check()
        other = self._ledger.retry(job)
        self._engine.enqueue(other.id)
        return self.answer(other, ())

    def answer(self, job: Job, warnings: tuple[str, ...]) -> Response:
        """Answer with a job, after the time that the request would rather wait."""
        return self.described(*self.awaited(job), warn(warnings))

    def described(
        self, document: dict[str, Any], waited: str, more: Iterable[Pair] = ()
    ) -> Response:
        """Answer with a job's document, and with `more` headers."""
        pairs = [("Location", document["links"]["self"]), *_again(document)]
        if waited or _preference().respond_async:
            pairs.append(applied(waited))
        status = "200 OK" if document["state"] in ENDED else "202 ACCEPTED"
        return send_json(document, status, (*pairs, *more))

    def awaited(self, job: Job) -> tuple[dict[str, Any], str]:
        """Return a job's document once it has ended, and what was applied of a wait."""
        waited, looks = self.looks()
        document = self._ledger.document(job)
        for _ in looks:
            if document["state"] in ENDED:
                break
            document = self._ledger.document(job)
        return document, waited

    def deliver(
        self, job: Job, form: Form, options: ExportOptions, ending: ExitStack
    ) -> Response:
        """Send what a job made, or the range of it that was asked for.

        Of an archive that is being drawn, what is done, and the rest as it goes on.

        `ending` holds what has to be closed when the last byte is sent.
        """
        done = self._ledger.end(job.id) is not None
        terms = Terms(
            f"{digest(job.id, str(job.created))}-{form.tag(options)}",
            job.collection[:12],
            (form.name,),
            # So that it is resumed by clients that compare no tags, as curl does.
            pinned=done and form.make is None,
            shared=False,
            download=options.download,
            attachment=form.attachment,
        )
        early = answer_early(request.environ, terms)
        if early is not None:
            return early
        if form.make is not None:
            collection = self._chunks.collection(job)
            form.check(collection, options, self._settings)
        if request.method != "HEAD":
            ending.enter_context(self._drawing.admit())
        if form.make is None and done:
            return send_known(form, terms, self._results.archive(job), ending)
        pairs = headers_of(form, terms)
        if request.method == "HEAD":
            return Answer("200 OK", pairs, ())
        if form.make is None:
            made = self._results.follow(job, self._engine.stopping)
        else:
            made = self._results.make(job, form, options, collection)
        return stream("200 OK", pairs, made, None, ending.pop_all().close)

    def looks(self) -> tuple[str, Iterator[None]]:
        """Return what is applied of a wait, and an iterator that lasts as long."""
        wait_s = _preference().wait_s
        if not wait_s:
            return "", iter(())
        wait_s = min(wait_s, _MOST_WAIT_S)
        return f"wait={wait_s}", self._glances(time.monotonic() + wait_s)

    def _glances(self, end: float) -> Iterator[None]:
        # Where too many wait, the others are answered at once.
        if not self._seats.acquire(blocking=False):
            return
        try:
            pause_s = _GLANCE_S
            while time.monotonic() < end and not self._engine.stopping():
                time.sleep(min(pause_s, max(0.0, end - time.monotonic())))
                yield
                pause_s = min(1.0, pause_s * 1.5)
        finally:
            self._seats.release()


def blueprint(
    answers: JobAnswers,
    ledger: JobLedger,
    engine: LocalEngine,
    results: JobResults,
    drawing: CollectionDrawing,
    settings: Settings,
    answer_of: Callable[[Job], Response],
) -> Blueprint:
    """Return the routes of jobs; `answer_of` sends what a job of one request made."""
    bp = Blueprint("jobs", __name__, url_prefix="/jobs")
    watch = JobWatch(ledger, engine, settings.threads)

    @bp.before_request
    def refuse() -> None:
        """Refuse a query where the route reads none."""
        if request.endpoint not in _WITH_QUERY:
            refuse_query()

    @bp.post("")
    def create() -> Response:
        """Submit a collection."""
        form = form_of(request.args.get("form", "zip"))
        job, _, warnings = answers.submit(form, "form")
        return answers.answer(job, warnings)

    @bp.get("")
    def index() -> Response:
        """List the caller's jobs, the newest first; an operator's are all."""
        return send_list(ledger)

    @bp.get("/<string(length=64):key>")
    def show(key: str) -> Response:
        """Say how far a job is; with `Prefer: wait` once that has changed."""
        job = ledger.job(key)
        waited, looks = answers.looks()
        answer, document = _page(ledger, job)
        conditional = "If-None-Match" in request.headers
        for _ in looks:
            news = answer.status_code != 304 if conditional else False
            if news or document["state"] in ENDED:
                break
            answer, document = _page(ledger, job)
        for name, value in _again(document):
            answer.headers[name] = value
        if waited:
            answer.headers["Preference-Applied"] = waited
        return answer

    @bp.get("/<string(length=64):key>/events")
    def events(key: str) -> Response:
        """Send each change of a job, until it has ended."""
        return watch.send(ledger.job(key))

    def cancelled(key: str) -> Response:
        job = ledger.job(key)
        require_owner(job.account)
        first = ledger.cancel(job)
        engine.enqueue(job.id)
        status = "202 ACCEPTED" if first else "200 OK"
        return send_json(ledger.document(job), status)

    @bp.delete("/<string(length=64):key>")
    def delete(key: str) -> Response:
        """Cancel a job."""
        return cancelled(key)

    @bp.post("/<string(length=64):key>/cancel")
    def cancel(key: str) -> Response:
        """Cancel a job."""
        return cancelled(key)

    @bp.post("/<string(length=64):key>/retry")
    def retry(key: str) -> Response:
        """Draw what a job lacks, as another job."""
        job = ledger.job(key)
        require_owner(job.account)
        return answers.retry(job)

    @bp.post("/<string(length=64):key>/purge")
    def purge(key: str) -> Response:
        """Forget a job and what it made."""
        job = ledger.job(key)
        require_owner(job.account)
        ledger.purge(job)
        return send_deleted("job", key)

    def _is_drawn(job: Job) -> bool:
        return ledger.state(job) == "running" and results.has_begun(job)

    @bp.get("/<string(length=64):key>/archive.<form>")
    def archive(key: str, form: str) -> Response:
        """Send what a job made; of an archive, also while it is being drawn."""
        row = form_of(form)
        given, ignored = read_link(row.names, settings.tracking_names)
        job = ledger.job(key)
        if row.make is not None or not _is_drawn(job):
            job = _succeeded(ledger, key)
        if FORMS[job.form].image_format != row.image_format:
            raise NotFound(f"The images of this job are not drawn for {row.name}.")
        with ExitStack() as ending:
            options = read_options(row.options, given)
            if options.bled != FORMS[job.form].read(job.query).bled:
                bleed = "without" if options.bled else "with"
                raise NotFound(f"The images of this job are drawn {bleed} bleed.")
            answer = answers.deliver(job, row, options, ending)
            for name, value in say_ignored(ignored):
                answer.headers[name] = value
            return answer

    @bp.get("/<string(length=64):key>/answer")
    def answer(key: str) -> Response:
        """Send what a request for one image, or those of a prompt, asked for."""
        return answer_of(_succeeded(ledger, key))

    @bp.get("/<string(length=64):key>/manifest.json")
    def manifest(key: str) -> Response:
        """Send what became of each image: the last member of the archive."""
        job = _succeeded(ledger, key)
        return _streamed(JSON, results.manifest(job))

    @bp.get("/<string(length=64):key>/errors")
    def errors(key: str) -> Response:
        """Send a line for each image that failed so far."""
        return _streamed(_NDJSON, results.failures(ledger.job(key)))

    @bp.get("/<string(length=64):key>/deliveries")
    def deliveries(key: str) -> Response:
        """List the attempts to tell the receiver of the end."""
        listed = ledger.deliveries(ledger.job(key)).listed()
        body = orjson.dumps({"deliveries": listed})
        return send_page(request.environ, body, JSON, _KEPT)

    def _streamed(media_type: str, chunks: Iterator[bytes]) -> Response:
        pairs = [("Content-Type", media_type), ("Cache-Control", _KEPT)]
        with ExitStack() as ending:
            ending.enter_context(drawing.admit())
            return stream("200 OK", pairs, chunks, None, ending.pop_all().close)

    return bp


def _succeeded(ledger: JobLedger, key: str) -> Job:
    job = ledger.job(key)
    state = ledger.state(job)
    if state != "succeeded":
        raise JobUnfinished(state)
    return job


def _page(ledger: JobLedger, job: Job) -> tuple[Response, dict[str, Any]]:
    document = ledger.document(job)
    page = send_page(request.environ, orjson.dumps(document), JSON, _KEPT)
    return page, document


def applied(waited: str) -> Pair:
    """Return what was applied of the request's preferences (RFC 7240, section 3)."""
    given = "respond-async" if _preference().respond_async else ""
    return "Preference-Applied", ", ".join(filter(None, (given, waited)))


def _spelt(answer: Mapping[str, Any] | None) -> tuple[str, ...]:
    """Return what of an answer makes another job of the same rows."""
    if answer is None:
        return ()
    # One image may be asked for by several URLs.
    told = {name: value for name, value in answer.items() if name != "url"}
    return (orjson.dumps(told, option=orjson.OPT_SORT_KEYS).decode(),)


def _again(document: dict[str, Any]) -> tuple[Pair, ...]:
    if document["state"] in ENDED:
        return ()
    return (("Retry-After", str(_RETRY_S)),)


def _preference() -> Preference:
    return read_prefer(request.headers.getlist("Prefer"))


@contextmanager
def _limits_of_jobs() -> Iterator[None]:
    """Name the settings that bound jobs where the body of one is too much."""
    try:
        yield
    except LimitExceeded as error:
        if error.limit not in _LIMITS:
            raise
        about = (error.field, _LIMITS[error.limit], error.allowed, error.value)
        raise LimitExceeded(*about) from error
    except BodyTooLarge as error:
        limit = _LIMITS.get(error.limit, error.limit)
        raise BodyTooLarge(limit, error.allowed) from error
