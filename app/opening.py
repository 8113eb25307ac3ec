"""Opens the catalogue with the services that an operator configured."""

from collections.abc import Mapping

from app import metrics
from app.config import BadSetting, Settings
from app.renderer.registry import Catalogue, TakenName
from app.upstream.configuration import read_upstreams
from app.upstream.renderer import renderer_of
from app.upstream.setting import UpstreamSettingError


def open_catalogue(settings: Settings, environ: Mapping[str, str]) -> Catalogue:
    """Return all renderers, services among them.

    Raises BadSetting where a service cannot be used as it is configured, and
    BrokenFont.
    """
    try:
        upstreams = read_upstreams(environ, settings.upstreams)
        services = [renderer_of(each, metrics.count_attempt) for each in upstreams]
        return Catalogue(settings, services)
    except UpstreamSettingError as error:
        raise BadSetting(error.place, None, error.reason) from error
    except TakenName as error:
        raise BadSetting(
            "MIMEO_UPSTREAMS", str(settings.upstreams), str(error)
        ) from error
