"""`/media/<fingerprint>.<ending>`: images by signed URLs that end."""

import logging
import time

from flask import Blueprint, Response, request

from app.config import Settings
from app.delivery.album import ending_of
from app.delivery.image import send
from app.delivery.terms import Terms, answer_early
from app.media import Media
from app.pipeline.pipeline import Pipeline
from app.pipeline.signed_url import BadSignature, ExpiredUrl, UrlSigner
from app.renderer.errors import BadParameter
from app.store import StoreError
from app.views.body import read_link

_LOG = logging.getLogger("mimeo.media")
_OWN = frozenset({"expires", "signature"})


def blueprint(
    pipeline: Pipeline, signer: UrlSigner, tracking: tuple[str, ...]
) -> Blueprint:
    """Return the route of signed URLs, to which `tracking` names may be appended."""
    bp = Blueprint("media", __name__)

    @bp.get("/media/<fingerprint>.<ending>")
    def show(fingerprint: str, ending: str) -> Response:
        """Send an image that was made before."""
        expires, ignored = _check(signer, f"{fingerprint}.{ending}", tracking)
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
        answer = early or send(request.environ, terms, media)
        # No cache is to show the image when the URL has ended.
        left = max(0, expires - int(time.time()))
        answer.headers["Cache-Control"] = f"private, max-age={left}"
        return answer

    return bp


def _check(
    signer: UrlSigner, name: str, tracking: tuple[str, ...]
) -> tuple[int, tuple[str, ...]]:
    """Return when the URL ends, and the names in it that count for nothing."""
    try:
        given, ignored = read_link(_OWN, tracking)
    except BadParameter:
        # A name twice was not signed so: which of the two counts is not to be guessed.
        raise BadSignature from None
    if given.keys() != _OWN:
        raise BadSignature
    signed = given["expires"], given["signature"]
    return signer.check(name, *signed, time.time()), ignored


def link(
    pipeline: Pipeline, signer: UrlSigner, settings: Settings, media: Media
) -> dict[str, object] | None:
    """Return the URL of an image and when it ends, as OpenAI's dialect says it.

    None where it would lead nowhere: the store is full or at fault.
    """
    expires = int(time.time()) + settings.url_ttl_s
    name = f"{media.fingerprint}.{ending_of(media)}"
    origin = settings.public_url or request.host_url.rstrip("/")
    try:
        signature = signer.sign(name, expires)
    except StoreError as error:
        _LOG.warning("store: %s", error)
        return None
    # Asked of the store itself: what could not be kept was only logged.
    if not pipeline.has(media.fingerprint):
        return None
    query = f"expires={expires}&signature={signature}"
    return {"url": f"{origin}/media/{name}?{query}", "expires_at": expires}
