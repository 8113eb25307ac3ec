"""Builds the app out of its parts, in the order in which they need each other."""

import os
from collections.abc import Mapping
from functools import partial

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.routing import BaseConverter, IntegerConverter

from app.access.rates import Rates
from app.bootstrap import (
    open_budgets,
    open_catalogue,
    open_copies,
    open_keys,
    open_ledger,
    open_media,
    open_purchases,
    open_quotas,
    open_room,
    open_secrets,
    open_signer,
    open_tracing,
    report_errors,
    trace,
)
from app.collection.export.exports import FORMS
from app.collection.lookahead import CollectionDrawing
from app.collection.repository import CollectionRepository
from app.config import BadSetting, Settings, budget_of
from app.jobs.album_drawing import AlbumDrawing
from app.jobs.batch_output import BatchOutput
from app.jobs.celery_engine import open_engine
from app.jobs.chunk_drawing import ChunkDrawing
from app.jobs.job_figures import JobSurvey
from app.jobs.job_ledger import JobLedger, room_bytes
from app.jobs.results import JobResults
from app.jobs.turns import JobTurns
from app.jobs.uploaded_files import UploadedFiles
from app.jobs.webhooks import DeliveryThreads, open_webhooks
from app.observability import access_log, metrics
from app.observability.spans import untraced
from app.openapi.openapi_document import Documents
from app.parsing.image import Parser
from app.pipeline.generation import Generations
from app.pipeline.idempotency import IdempotencyKeys
from app.pipeline.image_origins import open_images
from app.pipeline.pipeline import Pipeline
from app.pipeline.process_pool import ProcessPool
from app.pipeline.purchases import Purchases
from app.problems import describe
from app.renderer.catalogue import Catalogue
from app.renderer.engine.fonts import BrokenFont
from app.renderer.input_image import MOST_REMEMBERED, PREPARED
from app.renderer.sandbox.sandbox import Sandbox
from app.renderer.template.watchdog import WATCHDOG
from app.store import sees_all
from app.views import (
    archives,
    batches,
    body,
    collections,
    errors,
    health,
    images,
    index,
    inference,
    jobs,
    manual,
    media,
    openai,
    reference,
    sheets,
    single_jobs,
    static_files,
    templates,
    webui,
)
from app.views import catalogue as catalogue_view
from app.views.cors import BY_PATH, SHARED, OpenFlask
from app.views.gate import Gate, vouches

# Single images go first on every core: where both want one, a process that draws a
# collection gets a tenth of it.
_NICE = 10


class _WholeNumber(IntegerConverter):
    """A number in a path, in its one spelling.

    Werkzeug's own fails on more than the 4,300 digits that int() takes.
    """

    regex = r"0|[1-9][0-9]{0,17}"


class _Undotted(BaseConverter):
    """A part of a path that has no ending; Werkzeug's own would take `<id>.zip`."""

    regex = "[^.]+"


def _fork_early(
    isolation: Sandbox,
    processes: ProcessPool,
    catalogue: Catalogue,
    pipeline: Pipeline,
    cores: int,
    *,
    serves: bool = True,
) -> None:
    """Make what processes are forked from; `serves` where single images go first.

    With one core and nobody to serve this process draws by itself.
    """
    # Templates were tried, under the eye of a thread.
    WATCHDOG.rest()
    isolation.fork_early()
    if cores == 1 and not serves:
        pipeline.draws_in_place = True
        return
    nice = _NICE if serves else 0
    processes.fork_early(catalogue, isolation, nice, native=not serves)


def build(
    settings: Settings | None = None, environ: Mapping[str, str] | None = None
) -> Flask:
    """Return the WSGI app; settings come from the environment by default.

    `environ` is that environment: keys of services are read from it alone.

    Raises BadSetting naming the variable where a setting cannot be used.
    """
    environ = os.environ if environ is None else environ
    settings = settings or Settings.from_env(environ)
    # As they are set, whether there is memory for a process or not.
    cores = settings.bulk_processes
    budget = budget_of(settings)
    settings = budget.applied_to(settings)
    PREPARED.bound(min(MOST_REMEMBERED, budget.cache_bytes))
    access_log.configure()
    report_errors(settings)
    tracing = open_tracing(settings, environ)
    trace_work = untraced if tracing is None else tracing.work
    store, paid = open_media(settings), open_purchases(settings)
    kept = open_room(settings, settings.collections_bytes, "collections")
    isolation, origins = Sandbox(settings), open_images(settings, open_room)
    ledger = open_ledger(settings)
    try:
        catalogue = open_catalogue(
            settings, environ, isolation.draw_svg, origins, ledger
        )
    except BrokenFont as error:
        raise BadSetting("MIMEO_FONTS", str(settings.fonts), str(error)) from error
    purchases = Purchases(paid, settings.threads, open_budgets(settings))
    rates, quotas = Rates(settings, ledger), open_quotas(settings, ledger)
    processes = ProcessPool(settings.bulk_processes, settings.render_timeout_s)
    copies = open_copies(settings)
    pipeline = Pipeline(
        settings, store, 2, purchases, isolation, rates, processes, copies
    )
    parser = Parser(catalogue, settings)
    occasions = IdempotencyKeys(paid, settings.reuse_s)
    generations = Generations(catalogue, pipeline, occasions, settings)
    keys, shared = open_keys(settings), open_secrets(settings)
    signer = open_signer(settings, shared)
    repository = CollectionRepository(kept, catalogue, settings, quotas, copies)
    drawing = CollectionDrawing(
        pipeline, repository, settings, describe, errors.refused, quotas
    )
    room_of_jobs = open_room(settings, None, "jobs", durable=True)
    ledger_of_jobs = JobLedger(
        room_of_jobs,
        room_bytes(settings),
        settings.jobs_ttl_s,
        settings.workers,
        copies,
    )
    albums = AlbumDrawing(generations, drawing, pipeline)
    chunks = ChunkDrawing(
        ledger_of_jobs,
        drawing,
        albums,
        pipeline,
        catalogue,
        settings,
        keys,
        describe,
        trace_work,
    )
    webhooks = open_webhooks(settings, shared, trace_work)
    told = () if webhooks is None else (DeliveryThreads(webhooks, ledger_of_jobs).tend,)
    turns = partial(JobTurns, ledger_of_jobs, chunks, *told)
    engine = open_engine(settings, ledger_of_jobs, turns)
    results = JobResults(ledger_of_jobs)
    answers = jobs.JobAnswers(
        ledger_of_jobs,
        engine,
        chunks,
        results,
        drawing,
        catalogue,
        settings,
        webhooks,
    )
    singles = single_jobs.SingleJobs(answers, results, generations, pipeline, settings)
    answers_of_batches = batches.BatchAnswers(
        UploadedFiles(
            open_room(settings, None, "files", durable=True),
            room_bytes(settings),
            settings.jobs_ttl_s,
        ),
        ledger_of_jobs,
        engine,
        BatchOutput(ledger_of_jobs, results, batches.retell),
        generations,
        drawing,
        settings,
    )
    app = OpenFlask(__name__, static_folder=None)
    app.url_map.converters["int"] = _WholeNumber
    app.url_map.converters["undotted"] = _Undotted
    # Werkzeug's redirect repeats the Host of whoever asks, and caches may keep a 308.
    app.url_map.merge_slashes = False
    # No rule has a default that another rule spells out.
    app.url_map.redirect_defaults = False
    app.before_request(body.check_frame)
    Gate(settings, keys, signer).install(app)
    app.config["MAX_CONTENT_LENGTH"] = settings.max_body_bytes
    app.config["MAX_FORM_MEMORY_SIZE"] = settings.max_body_bytes
    app.config["GATEWAY_STATUS"] = settings.gateway_status
    linked = signer if sees_all(shared, settings.workers) else None
    link = partial(media.link, pipeline, linked, settings) if linked else None
    tracking = settings.tracking_names
    for blueprint in (
        images.blueprint(parser, pipeline, settings.max_age_s, singles.later_image),
        inference.blueprint(generations, singles.later_album),
        openai.blueprint(generations, link),
        webui.blueprint(generations),
        *((media.blueprint(pipeline, tracking),) if linked else ()),
        collections.blueprint(
            repository,
            catalogue,
            pipeline,
            settings,
            partial(answers.later, FORMS["zip"], whole=False),
        ),
        sheets.blueprint(repository, drawing, settings),
        archives.blueprint(repository, drawing, catalogue, settings, answers.later),
        jobs.blueprint(
            answers,
            ledger_of_jobs,
            engine,
            results,
            drawing,
            settings,
            singles.send,
        ),
        batches.blueprint(answers_of_batches, drawing),
        catalogue_view.blueprint(catalogue, settings),
        health.blueprint(
            catalogue, store, JobSurvey(ledger_of_jobs, room_of_jobs).gauges
        ),
        index.blueprint(catalogue),
        reference.blueprint(Documents(catalogue, settings), tracking),
        static_files.pages("studio", "/studio", "studio", "The studio"),
        manual.blueprint(),
        templates.blueprint(catalogue, pipeline, tracking),
    ):
        app.register_blueprint(blueprint)
    errors.install(app)
    services = [each.name for each in catalogue.renderers() if each.remote is not None]
    metrics.begin(pipeline.slots, services)
    app.extensions["mimeo"] = pipeline
    # For servers, which call it before their first thread.
    app.extensions["mimeo.fork_early"] = partial(
        _fork_early, isolation, processes, catalogue, pipeline, cores
    )
    # Its thread is begun by servers after the fork, or by the first job.
    app.extensions["mimeo.jobs"] = engine
    wrapped = access_log.AccessLog(
        app.wsgi_app, write=settings.access_log, usual=SHARED, fixed=BY_PATH
    )
    # Around the log, which has to say the client's address too.
    counts = settings.proxies
    outer = (
        ProxyFix(wrapped, x_for=counts, x_proto=counts, x_host=0) if counts else wrapped
    )
    traced = trace(outer, tracing, partial(vouches, settings))
    app.wsgi_app = traced  # type: ignore[method-assign, assignment]
    return app
