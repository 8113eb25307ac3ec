"""Opens what an operator configured: services, and rooms of the store."""

import logging
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from app.access import ledger
from app.access.budgets import Budgets
from app.access.keys import BadKeys, KeyRing, read_keys
from app.access.ledger import TolerantLedger
from app.access.quotas import Quotas
from app.access.signed_url import DEFAULT, UrlSigner, secret_of
from app.config import BadSetting, Settings
from app.observability import metrics
from app.renderer.base import ImageSource
from app.renderer.catalogue import Catalogue, TakenName
from app.renderer.input_image import DrawSvg
from app.store import Copies, Store, StoreError, copies_in, open_store, sees_all
from app.upstream.configuration import UpstreamSettingError, read_upstreams
from app.upstream.service_renderer import renderer_of

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment

    from app.observability.tracing import Tracing

_LOG = logging.getLogger("mimeo.access")
# Entries of a byte: more than are bought in a day.
_BUDGETS_BYTES = 1 << 26
# Room for one secret, which is never swept.
_SECRETS_BYTES = 1 << 20


def open_catalogue(
    settings: Settings,
    environ: Mapping[str, str],
    draw_svg: DrawSvg | None = None,
    images: ImageSource | None = None,
    shared: TolerantLedger | None = None,
) -> Catalogue:
    """Return all renderers, services among them.

    `draw_svg` draws what callers send as SVG, which is refused without it; `images`
    reads what they name by URL. Calls of a service are counted in the `shared` ledger,
    where machines have one.
    Raises BadSetting where a service cannot be used as it is configured, and
    BrokenFont.
    """
    try:
        upstreams = read_upstreams(environ, settings.upstreams)
        counted = shared if settings.redis_url is not None else None
        services = [
            renderer_of(each, metrics.count_attempt, counted) for each in upstreams
        ]
        return Catalogue(settings, services, draw_svg, images, _open_saved(settings))
    except UpstreamSettingError as error:
        raise BadSetting(error.place, None, error.reason) from error
    except TakenName as error:
        raise BadSetting(
            "MIMEO_UPSTREAMS", str(settings.upstreams), str(error)
        ) from error


def _open_saved(settings: Settings) -> Store | None:
    """Open the room of saved templates, where they can be; raise BadSetting."""
    if not settings.template_editing:
        return None
    room = open_room(settings, None, "templates", durable=True)
    if not sees_all(room, settings.workers):
        reason = "MIMEO_STORE has to be a folder or a bucket, where they are kept"
        raise BadSetting("MIMEO_TEMPLATE_EDITING", "on", reason)
    return room


def open_room(
    settings: Settings, limit: int | None, room: str, *, durable: bool = False
) -> Store:
    """Open a room of the store, bounded to `limit` bytes; raise BadSetting."""
    try:
        swept = partial(metrics.count_evicted, room)
        places = _places(settings)
        return open_store(
            settings.store, limit, room, swept, durable=durable, places=places
        )
    except StoreError as error:
        raise BadSetting("MIMEO_STORE", settings.store, str(error)) from error


def _places(settings: Settings) -> int:
    """Return how many threads may wait for a bucket: as many again wait for those."""
    return max(1, settings.threads // 4)


def open_media(settings: Settings) -> Store:
    """Open the room of the images that are drawn here; raise BadSetting."""
    return open_room(settings, settings.store_bytes, "media")


def open_copies(settings: Settings) -> Copies:
    """Return copies of what is read from a bucket; none where there is no room."""
    if "://" not in settings.store or not settings.copies_bytes:
        return Copies()
    swept = partial(metrics.count_evicted, "copies")
    try:
        return copies_in(
            Path(settings.copies),
            settings.copies_bytes,
            lambda hit: metrics.count_lookup("copies", hit=hit),
            swept,
        )
    except StoreError as error:
        logging.getLogger("mimeo.store").warning("store: no copies: %s", error)
        return Copies()


def open_purchases(settings: Settings) -> Store:
    """Open the room of the images that services made; raise BadSetting."""
    return open_room(settings, settings.purchases_bytes, "purchases", durable=True)


def open_budgets(settings: Settings) -> Budgets:
    """Return the budgets, whose room is opened at the first purchase."""
    return Budgets(lambda: _open_counts(settings), settings.budget_images)


def _open_counts(settings: Settings) -> Store:
    """Open the room of what was bought: of the store, or of the user's cache folder."""
    shared = settings.store not in ("none", "memory:")
    url = settings.store if shared else Settings().store
    try:
        places = _places(settings)
        return open_store(url, _BUDGETS_BYTES, "budgets", durable=True, places=places)
    except StoreError as error:
        if shared:
            raise
        _LOG.warning("budgets are counted by each worker alone: %s", error)
        return open_store("memory:", _BUDGETS_BYTES, "budgets")


def open_secrets(settings: Settings) -> Store:
    """Open the room of the secret that signs URLs; raise BadSetting."""
    return open_room(settings, _SECRETS_BYTES, "keys", durable=True)


def open_signer(settings: Settings, store: Store) -> UrlSigner | None:
    """Return who signs URLs; None where no worker could find another's secret."""
    named = dict(settings.url_keys)
    if settings.url_key is not None:
        named.setdefault(DEFAULT, settings.url_key)
    if named:
        return UrlSigner(lambda: {name: key.encode() for name, key in named.items()})
    if not sees_all(store, settings.workers):
        return None
    return UrlSigner(lambda: {DEFAULT: secret_of(store)})


def open_ledger(settings: Settings) -> TolerantLedger:
    """Open the ledger that all workers share; raise BadSetting."""
    return TolerantLedger(ledger.open_ledger(settings), metrics.count_ledger_error)


def open_quotas(settings: Settings, shared: TolerantLedger) -> Quotas:
    """Return the quotas; what is kept is counted where the store is."""
    kept = shared
    if settings.redis_url is not None and "://" not in settings.store:
        # Machines that share redis have folders of their own.
        kept = TolerantLedger(ledger.open_file(settings), metrics.count_ledger_error)
    return Quotas(shared, kept, settings.collections_bytes)


def open_tracing(settings: Settings, environ: Mapping[str, str]) -> "Tracing | None":
    """Return what makes spans, if a collector is set; raise BadSetting."""
    if settings.traces is None:
        return None
    try:
        # Not at the top: it is an extra, and takes 0.2 s.
        from app.observability.tracing import Tracing, open_provider
    except ModuleNotFoundError as error:
        raise BadSetting(
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            None,
            "needs the extra: pip install 'mimeo[otel]'",
        ) from error
    return Tracing(partial(open_provider, settings.traces, environ))


def trace(
    app: "WSGIApplication",
    tracing: "Tracing | None",
    vouches: Callable[["WSGIEnvironment"], bool],
) -> "WSGIApplication":
    """Return an app whose requests are traced, where there is what makes spans.

    `vouches` tells of a request whether it may say which trace it is part of.
    """
    if tracing is None:
        return app
    from app.observability.tracing import Traced

    return Traced(app, tracing, vouches)


def report_errors(settings: Settings) -> None:
    """Send what is logged with a traceback, if Sentry is set; raise BadSetting."""
    if settings.error_reports is None:
        return
    try:
        # Not at the top: it is an extra, and takes 0.1 s.
        from app.observability.error_reports import ErrorReports
    except ModuleNotFoundError as error:
        raise BadSetting(
            "SENTRY_DSN", None, "needs the extra: pip install 'mimeo[sentry]'"
        ) from error
    logger = logging.getLogger("mimeo")
    # A process that builds two apps, as tests do, would send every error twice.
    if not any(isinstance(each, ErrorReports) for each in logger.handlers):
        try:
            logger.addHandler(ErrorReports(settings.error_reports))
        except ValueError as error:
            raise BadSetting("SENTRY_DSN", None, str(error)) from error


def open_keys(settings: Settings) -> KeyRing:
    """Read the keys of callers; raise BadSetting."""
    try:
        return read_keys(settings.keys_file, settings.keys)
    except BadKeys as error:
        variable = "MIMEO_KEYS_FILE" if settings.keys_file else "MIMEO_KEYS"
        raise BadSetting(variable, None, str(error)) from error
