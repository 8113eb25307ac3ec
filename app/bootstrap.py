"""Opens what an operator configured: services, and rooms of the store."""

from collections.abc import Mapping

from app.config import BadSetting, Settings
from app.observability import metrics
from app.renderer.base import ImageSource
from app.renderer.catalogue import Catalogue, TakenName
from app.renderer.input_image import DrawSvg
from app.store import Store, StoreError, open_store
from app.upstream.config.environment import read_upstreams
from app.upstream.config.file import UpstreamSettingError
from app.upstream.service_renderer import renderer_of


def open_catalogue(
    settings: Settings,
    environ: Mapping[str, str],
    draw_svg: DrawSvg | None = None,
    images: ImageSource | None = None,
) -> Catalogue:
    """Return all renderers, services among them.

    `draw_svg` draws what callers send as SVG, which is refused without it; `images`
    reads what they name by URL.
    Raises BadSetting where a service cannot be used as it is configured, and
    BrokenFont.
    """
    try:
        upstreams = read_upstreams(environ, settings.upstreams)
        services = [renderer_of(each, metrics.count_attempt) for each in upstreams]
        return Catalogue(settings, services, draw_svg, images)
    except UpstreamSettingError as error:
        raise BadSetting(error.place, None, error.reason) from error
    except TakenName as error:
        raise BadSetting(
            "MIMEO_UPSTREAMS", str(settings.upstreams), str(error)
        ) from error


def open_room(
    settings: Settings, limit: int, room: str, *, durable: bool = False
) -> Store:
    """Open a room of the store, bounded to `limit` bytes; raise BadSetting."""
    try:
        return open_store(settings.store, limit, room, durable=durable)
    except StoreError as error:
        raise BadSetting("MIMEO_STORE", settings.store, str(error)) from error


def open_media(settings: Settings) -> Store:
    """Open the room of the images that are drawn here; raise BadSetting."""
    return open_room(settings, settings.store_bytes, "media")


def open_purchases(settings: Settings) -> Store:
    """Open the room of the images that services made; raise BadSetting."""
    return open_room(settings, settings.purchases_bytes, "purchases", durable=True)
