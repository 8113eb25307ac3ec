"""`/media/<fingerprint>.<ending>`: images by signed URLs that end."""

import logging
import time

from flask import Blueprint, Response, request

from app.access.caller import CALLER
from app.access.errors import ExpiredUrl
from app.access.signed_url import UrlSigner
from app.config import Settings
from app.delivery.image import ending_of, send
from app.delivery.terms import Terms, answer_early
from app.media import Media
from app.pipeline.pipeline import Pipeline
from app.renderer.errors import BadParameter, Fault
from app.store import StoreError
from app.views.body import read_link

_LOG = logging.getLogger("mimeo.media")


def blueprint(pipeline: Pipeline, tracking: tuple[str, ...]) -> Blueprint:
    """Return the route of signed URLs, to which `tracking` names may be appended.

    The gate lets nothing through here that is not signed.
    """
    bp = Blueprint("media", __name__)

    @bp.get("/media/<fingerprint>.<ending>")
    def show(fingerprint: str, ending: str) -> Response:
        """Send an image that was made before."""
        given, ignored = read_link((), tracking)
        if given:
            raise BadParameter(Fault(next(iter(given)), "is not a parameter of media"))
        media = pipeline.find(fingerprint)
        if media is None or ending_of(media) != ending:
            raise ExpiredUrl
        terms = Terms(
            media.sha256,
            "image",
            (ending,),
            pinned=True,
            shared=False,
            ignored=ignored,
        )
        early = answer_early(request.environ, terms)
        return early or send(request.environ, terms, media)

    return bp


def link(
    pipeline: Pipeline, signer: UrlSigner, settings: Settings, media: Media
) -> dict[str, object] | None:
    """Return the URL of an image and when it ends, as OpenAI's dialect says it.

    None where it would lead nowhere: the store is full or at fault.
    """
    expires = int(time.time()) + settings.url_ttl_s
    origin = _origin(settings)
    if origin is None:
        return None
    try:
        target = f"/media/{media.fingerprint}.{ending_of(media)}"
        signed = signer.sign(target, expires)
    except StoreError as error:
        _LOG.warning("store: %s", error)
        return None
    # Asked of the store itself: what could not be kept was only logged.
    if not pipeline.has(media.fingerprint):
        return None
    return {"url": f"{origin}{signed}", "expires_at": expires}


def _origin(settings: Settings) -> str | None:
    """Return what URLs begin with; None where the Host may be a stranger's word."""
    if settings.public_url is not None:
        return settings.public_url
    known = bool(settings.allowed_hosts) or CALLER.get().kind == "local"
    return request.host_url.rstrip("/") if known else None
