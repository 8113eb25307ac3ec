"""What is counted, summed over the workers of a server: Prometheus.

Where `PROMETHEUS_MULTIPROC_DIR` is set before this module is imported, each process
keeps its figures in files there, and any of them answers for all.
"""

import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from app.observability import multiprocess

MEDIA_TYPE = CONTENT_TYPE_LATEST
# Why a request is refused: what its caller used up, the server's own queues, keys and
# signatures, the name of the host, a service that is busy or left alone.
REASONS = ("rate", "quota", "budget", "busy", "auth", "host", "service")
# Where the time of a picture goes, in order: see app.observability.spans.
PHASES = ("queue", "fetch", "fonts", "draw", "encode", "store")
# Rooms of the store that are bounded, and what is copied of a bucket.
ROOMS = ("media", "purchases", "collections", "images", "copies")
# What comes of an attempt to tell a receiver of a job.
DELIVERIES = (
    *("delivered", "redirected", "gone", "refused", "failed"),
    *("timeout", "unreachable", "broken", "forbidden"),
)
# Of this project's own: a module that is loaded anew registers nothing twice.
_REGISTRY = CollectorRegistry()


def _counter(name: str, doc: str, *labels: str) -> Counter:
    return Counter(f"mimeo_{name}", doc, labels, registry=_REGISTRY)


def _gauge(name: str, doc: str, *labels: str) -> Gauge:
    # The sum over the living: what a killed worker had in hand is gone with it.
    mode: Final = "livesum"
    return Gauge(
        f"mimeo_{name}", doc, labels, multiprocess_mode=mode, registry=_REGISTRY
    )


_renders = _counter(
    "renders", "Pictures drawn, those included that failed.", "renderer"
)
_rendering = _gauge("renders_in_flight", "Pictures that are being drawn.")
_render_seconds = Histogram(
    "mimeo_render_seconds",
    "Seconds that drawing and encoding took, without the wait for a turn.",
    # From a solid, under a millisecond, to the longest that a caller's HTML may take.
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
    registry=_REGISTRY,
)
_phase_seconds = Histogram(
    "mimeo_phase_seconds",
    "Seconds that a phase of making or finding a picture took.",
    ("phase",),
    # From a look into the store to the longest that a service may take.
    buckets=(0.0005, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 2.5, 10, 60),
    registry=_REGISTRY,
)
_slots = _gauge("slots", "Drawings that may run at a time.")
_streams = _gauge("streams_in_flight", "Collections that are being sent.")
# By status alone: paths name renderers, collections and what people made up, and each
# value of a label is a series that Prometheus keeps.
_requests = _counter("requests", "Requests answered.", "status")
_store_errors = _counter(
    "store_errors", "Times that the store could not be read, written or locked."
)
_ledger_errors = _counter(
    "ledger_errors", "Times that the ledger of rates and quotas was at fault."
)
_attempts = _counter(
    "upstream_attempts", "Requests sent to a service, retries included.", "upstream"
)
_open = _gauge(
    "upstream_open",
    "Workers that leave a service alone, because it failed again and again.",
    "upstream",
)
_calls = _counter(
    "upstream_calls",
    "Calls of a service by what came of them: ok, or the class of the error.",
    *("upstream", "outcome"),
)
_images = _counter(
    "upstream_images",
    "Images that a service sent, by the form they came in.",
    *("upstream", "form"),
)
_image_bytes = _counter(
    "upstream_image_bytes",
    "Bytes of the images that a service sent, by the form they came in.",
    *("upstream", "form"),
)
_repairs = _counter(
    "upstream_repairs",
    "What was wrong with images of a service and was mended.",
    *("upstream", "repair"),
)
_absent = _counter(
    "upstream_missing",
    "Images that a service did not send, by whether its filter kept them.",
    *("upstream", "filtered"),
)
_bought = _counter(
    "upstream_bought",
    "Images bought of a service: those asked for that it may have made.",
    "upstream",
)
_cost = _counter(
    "upstream_cost",
    "Money that images bought of a service cost, where it has a price.",
    "upstream",
)
_refusals = _counter(
    "refusals", "Requests refused because of who asked, or how much.", "reason"
)
_lookups = _counter(
    "store_lookups",
    "Images looked for in the store before they would be made, by what came of it.",
    *("room", "result"),
)
_evicted = _counter(
    "store_evictions", "Entries that went to make room for others.", "room"
)
_evicted_bytes = _counter(
    "store_evicted_bytes", "Bytes of the entries that went to make room.", "room"
)
_chunks = _counter(
    "job_chunks",
    "Chunks of jobs by what became of them: done, duplicate or left.",
    "outcome",
)
_webhooks = _counter(
    "webhook_attempts", "Attempts to tell a receiver of a job.", "result"
)
# Not of this server but of the jobs in its store, each with its label, if any.
_OF_JOBS: Mapping[str, tuple[str, tuple[str, ...]]] = MappingProxyType(
    {
        "jobs": ("Jobs that have not ended, by their state.", ("state",)),
        "jobs_chunks": (
            "Chunks of jobs that have not ended: done, begun or waiting.",
            ("state",),
        ),
        "jobs_begun_again": (
            "Times that a chunk of these was begun again after somebody died with it.",
            (),
        ),
        "jobs_rows_left": ("Rows of these that are in no chunk that is done.", ()),
        "jobs_rows_per_second": ("Rows of jobs drawn between the last two looks.", ()),
        "jobs_oldest_queued_seconds": (
            "Since when the oldest job waits that nobody has begun with.",
            (),
        ),
        "jobs_stalled_seconds": (
            "For how long the job that stands still the longest has not changed.",
            (),
        ),
        "jobs_worker_seen_seconds": (
            "Since when no worker elsewhere has said that it draws.",
            (),
        ),
        "jobs_seen_seconds": ("How old these figures of jobs are.", ()),
    }
)
_NO_JOBS: Mapping[str, Mapping[str, float]] = MappingProxyType({})
_ended = _counter(*multiprocess.ENDED)
_recycled = _counter(
    "workers_recycled", "Workers that were replaced because they outgrew their memory."
)
_workers = _gauge("workers", "Workers that serve, by their version.", "version")


# `labels` takes a lock, and as long as the counting itself. These are never removed.
@lru_cache(256)
def _series(of: Any, *labels: object) -> Any:
    return of.labels(*labels)


@contextmanager
def rendering(renderer: str) -> Iterator[None]:
    """Count the body as the drawing of a picture."""
    _rendering.inc()
    started = time.perf_counter()
    try:
        yield
    finally:
        _render_seconds.observe(time.perf_counter() - started)
        _renders.labels(renderer).inc()
        _rendering.dec()


def add_in_flight(count: int) -> None:
    """Count so many pictures more, or fewer, that other processes draw."""
    _rendering.inc(count)


def count_rendering(renderer: str, seconds: float) -> None:
    """Count a picture that another process drew in so many seconds."""
    _render_seconds.observe(seconds)
    _renders.labels(renderer).inc()


@contextmanager
def streaming() -> Iterator[None]:
    """Count the body as the sending of a collection."""
    with _streams.track_inprogress():
        yield


def count_request(status: int) -> None:
    """Count a request by the status of its answer."""
    _series(_requests, status).inc()


def count_turned_away(count: int) -> None:
    """Count requests that were refused before anybody had read them."""
    _requests.labels(503).inc(count)
    _refusals.labels("busy").inc(count)


def count_attempt(upstream: str, state: str) -> None:
    """Count an attempt to call a service; `state` is its breaker's after it."""
    _attempts.labels(upstream).inc()
    _open.labels(upstream).set(state == "open")


def count_call(upstream: str, outcome: str) -> None:
    """Count a call of a service: `ok`, or the name of the error's class."""
    _calls.labels(upstream, outcome).inc()


def count_image(upstream: str, form: str, size: int, repairs: Iterable[str]) -> None:
    """Count an image of a service; the size is in bytes."""
    _images.labels(upstream, form).inc()
    _image_bytes.labels(upstream, form).inc(size)
    for repair in repairs:
        _repairs.labels(upstream, repair).inc()


def count_absent(upstream: str, *, filtered: bool) -> None:
    """Count an image that a service did not send."""
    _absent.labels(upstream, "yes" if filtered else "no").inc()


def count_store_error() -> None:
    """Count a fault of the store."""
    _store_errors.inc()


def count_ledger_error() -> None:
    """Count a fault of the ledger of rates and quotas."""
    _ledger_errors.inc()


def observe_phase(phase: str, seconds: float) -> None:
    """Count the time that one of PHASES took."""
    _series(_phase_seconds, phase).observe(seconds)


def count_bought(upstream: str, count: int, cost: float) -> None:
    """Count images that were bought of a service, and what they cost."""
    _bought.labels(upstream).inc(count)
    _cost.labels(upstream).inc(cost)


def count_recycled() -> None:
    """Count a worker that ends because it holds more than its share of memory."""
    _recycled.inc()


def count_refusal(reason: str) -> None:
    """Count a request, or an image of an answer, refused for one of REASONS."""
    _refusals.labels(reason).inc()


def count_lookup(room: str, *, hit: bool) -> None:
    """Count a look for an image in a room of the store."""
    _series(_lookups, room, "hit" if hit else "miss").inc()


def count_evicted(room: str, entries: int, size: int) -> None:
    """Count entries that a room of the store dropped; the size is in bytes."""
    _evicted.labels(room).inc(entries)
    _evicted_bytes.labels(room).inc(size)


def count_chunk(outcome: str) -> None:
    """Count a chunk of a job that was drawn or begun with, by what became of it."""
    _chunks.labels(outcome).inc()


def count_webhook(result: str) -> None:
    """Count an attempt to tell a receiver of a job, by one of DELIVERIES."""
    _webhooks.labels(result).inc()


def release() -> str:
    """Return the version of Mimeo that runs."""
    try:
        return version("mimeo")
    except PackageNotFoundError:
        # A checkout, of which only the requirements are installed.
        return "unknown"


def begin(slots: int, upstreams: Iterable[str] = ()) -> None:
    """Count this worker and its slots, and show what has not happened yet as 0.

    A rate needs a first value: what appears with a 1 shows no increase.
    """
    _workers.labels(release()).set(1)
    _slots.set(slots)
    for phase in PHASES:
        _phase_seconds.labels(phase)
    for reason in REASONS:
        _refusals.labels(reason)
    for delivery in DELIVERIES:
        _webhooks.labels(delivery)
    for room in ROOMS:
        _evicted.labels(room)
        _evicted_bytes.labels(room)
    for outcome in ("done", "duplicate", "left"):
        _chunks.labels(outcome)
    for room in ("media", "purchases", "copies"):
        for result in ("hit", "miss"):
            _lookups.labels(room, result)
    for upstream in upstreams:
        for each in (_attempts, _open, _bought, _cost):
            each.labels(upstream)
        _calls.labels(upstream, "ok")


class _FiguresOfJobs(Collector):
    """Gauges that no process counts: whoever looks into the store finds the same."""

    def __init__(self, found: Mapping[str, Mapping[str, float]]) -> None:
        self._found = found

    def collect(self) -> Iterator[GaugeMetricFamily]:
        for name, values in self._found.items():
            doc, labels = _OF_JOBS[name]
            family = GaugeMetricFamily(f"mimeo_{name}", doc, labels=labels)
            for label, value in values.items():
                family.add_metric([label] if labels else [], value)
            yield family


def exposition(jobs: Mapping[str, Mapping[str, float]] = _NO_JOBS) -> bytes:
    """Return the figures in the text format of MEDIA_TYPE.

    `jobs` are those of the jobs in the store, by name and by label's value.
    """
    folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    found = CollectorRegistry()
    found.register(_FiguresOfJobs(jobs))
    if folder is None:
        counted = generate_latest(_REGISTRY)
    else:
        counted = multiprocess.exposition(Path(folder))
    return counted + generate_latest(found)
