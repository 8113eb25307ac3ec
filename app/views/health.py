"""Whether this worker lives and can serve, and what all have done."""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from flask import Blueprint, Response, request

from app.access.policy import administers
from app.delivery.answer import send_json
from app.observability import metrics
from app.renderer.catalogue import Catalogue
from app.store import Store, StoreError, WrongFormat
from app.views.body import pass_over_query

_LOG = logging.getLogger("mimeo.health")
_PROBE = "0" * 64
# A block of most file systems: less may go beside a file's name, where there is room.
_PROBE_BYTES = 4096
# Seconds for which one look counts, while all is well and after a fault.
_PROBED_S = 5.0
_FAILED_S = 2.0
_FINE = "ok"
_FAULTY = "cannot be used; the server's log says why"
_FOREIGN = "is of another version; the server's log says why"


def blueprint(
    catalogue: Catalogue,
    store: Store,
    gauges: Callable[[], Mapping[str, Mapping[str, float]]],
) -> Blueprint:
    """Return the routes that an orchestrator asks; `gauges` are those of the jobs."""
    bp = Blueprint("health", __name__)
    probe = StoreProbe(store)

    @bp.get("/health/live")
    def live() -> Response:
        """Answer as long as the process runs."""
        # Nothing is looked at: whoever asks restarts the process, which mends no disk.
        return send_json({"status": "live"}, pairs=pass_over_query())

    @bp.get("/health/ready")
    def ready() -> Response:
        """Answer 200 where images are served; report the store, and broken templates.

        A worker that ends is not ready: whoever still has a connection goes elsewhere.
        """
        told = pass_over_query()
        retry = (("Retry-After", "5"), *told)
        if request.environ.get("mimeo.draining"):
            return send_json({"status": "draining"}, "503 UNAVAILABLE", retry)
        state = probe.state()
        checks: dict[str, Any] = {
            "store": state,
            "broken": sorted(catalogue.broken()),
            "version": metrics.release(),
            # Whom a rate or an audit line is about: to see whether proxies are told.
            "client": request.environ.get("REMOTE_ADDR", ""),
        }
        if not administers():
            checks = {}
        if state == _FOREIGN:
            return send_json({"status": "unready", **checks}, "503 UNAVAILABLE", retry)
        # Images are drawn and sent without a store, and all instances share its fault:
        # a 503 would take the last of them away.
        status = "ready" if state == _FINE else "degraded"
        return send_json({"status": status, **checks}, pairs=told)

    @bp.get("/metrics")
    def show_metrics() -> Response:
        """Return the figures of all workers, for Prometheus."""
        figures = metrics.exposition(gauges())
        response = Response(figures, content_type=metrics.MEDIA_TYPE)
        # An old figure would be stored as one of now.
        response.headers["Cache-Control"] = "no-store"
        response.headers.extend(pass_over_query())
        return response

    return bp


class StoreProbe:
    """Says whether the store takes entries; asked at most every few seconds.

    Who asks meanwhile is told what was seen last, also while a slow store is asked.
    """

    def __init__(
        self, store: Store, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._store = store
        self._clock = clock
        self._asking = threading.Lock()
        self._asked_s: float | None = None
        self._state = _FINE

    def state(self) -> str:
        """Return `ok`, or what is wrong."""
        first = self._asked_s is None
        if self._asking.acquire(blocking=first):
            try:
                self._ask()
            finally:
                self._asking.release()
        return self._state

    def _ask(self) -> None:
        now_s = self._clock()
        # What failed is asked again sooner: whoever mends it wants to see it.
        wait_s = _PROBED_S if self._state == _FINE else _FAILED_S
        if self._asked_s is not None and now_s - self._asked_s < wait_s:
            return
        try:
            # Written, not only read: a disk that is full or read-only can be read as
            # ever.
            self._store.put(_PROBE, bytes(_PROBE_BYTES))
        except StoreError as error:
            # The log may say where the store is; the world may not know.
            if self._state == _FINE or not error.known:
                _LOG.error("store: %s", error)
            foreign = isinstance(error, WrongFormat)
            self._state = _FOREIGN if foreign else _FAULTY
        else:
            self._state = _FINE
        self._asked_s = self._clock()
