"""Whether this worker lives and can serve, and what all have done."""

import orjson
from flask import Blueprint, Response

from app.observability import metrics
from app.renderer.catalogue import Catalogue
from app.store import Store, StoreError


def blueprint(catalogue: Catalogue, store: Store) -> Blueprint:
    """Return the routes that an orchestrator asks."""
    bp = Blueprint("health", __name__)

    @bp.get("/health/live")
    def live() -> Response:
        """Answer as long as the process runs."""
        return _state(200, {"status": "live"})

    @bp.get("/health/ready")
    def ready() -> Response:
        """Answer 200 where the store can be read; report broken templates."""
        checks = {"store": _store_state(store), "broken": sorted(catalogue.broken())}
        fine = checks["store"] == "ok"
        return _state(200 if fine else 503, {"status": "ready", **checks})

    @bp.get("/metrics")
    def show_metrics() -> Response:
        """Return the figures of all workers, for Prometheus."""
        response = Response(metrics.exposition(), content_type=metrics.MEDIA_TYPE)
        response.headers["Cache-Control"] = "no-store"
        return response

    @bp.after_app_request
    def count(response: Response) -> Response:
        metrics.count_request(response.status_code)
        return response

    return bp


def _store_state(store: Store) -> str:
    try:
        store.get("0" * 64)
    except StoreError as error:
        return str(error)
    return "ok"


def _state(status: int, body: dict[str, object]) -> Response:
    response = Response(orjson.dumps(body), status, content_type="application/json")
    response.headers["Cache-Control"] = "no-store"
    if status != 200:
        response.headers["Retry-After"] = "5"
    return response
