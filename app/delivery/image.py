"""Send one image, in binary or as base64 in JSON.

Two steps, so that a 304 or 412 costs no drawing: `answer_early` needs only the
fingerprint, `send` the media. The body is one `bytes` object: through `send_file`
gunicorn copies 8 KiB at a time, which cost 38 % of the requests a second for images
of 32 KB and 71 % for 2 MB, and makes a range read from byte 0.
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import pybase64
from flask import Response

from app.delivery.answer import Answer, Pair, send_bytes
from app.delivery.conditional import (
    NOT_MODIFIED,
    Conditions,
    Representation,
    precondition,
)
from app.delivery.disposition import content_disposition
from app.delivery.embed import embed
from app.delivery.errors import PreconditionFailed
from app.delivery.facts import EXPOSED, fact_headers
from app.media import Media, document
from app.parsing.accept import JSON

# Pictures carry no credentials, and pages draw them onto a canvas (CORS); a page
# that isolates itself loads them only with the resource policy.
_SHARED: tuple[Pair, ...] = (
    ("Vary", "Accept"),
    ("Access-Control-Allow-Origin", "*"),
)
_FIXED: tuple[Pair, ...] = (
    *_SHARED,
    ("Accept-Ranges", "bytes"),
    ("X-Content-Type-Options", "nosniff"),
    ("Cross-Origin-Resource-Policy", "cross-origin"),
    (
        "Access-Control-Expose-Headers",
        "Accept-Ranges, Content-Disposition, Content-Range, ETag, Repr-Digest, "
        f"Link, Server-Timing, X-Request-ID, {EXPOSED}",
    ),
)
# An SVG is a document: opened on its own it may neither run nor load anything.
_BY_TYPE: Mapping[str, tuple[Pair, ...]] = {
    "image/svg+xml": (
        (
            "Content-Security-Policy",
            "default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
            "font-src data:; sandbox",
        ),
    ),
}
# RFC 8246: no revalidation, because the URL names the bytes.
_PINNED = "public, max-age=31536000, immutable"


class Terms(NamedTuple):
    """What is known of an answer before anything is drawn.

    `name` is the file name without extension, `download` the one the caller asked
    for; where it is not None, the picture is an attachment. `extensions` are those
    of the format, the usual one first. `max_age_s` counts where the URL does not pin.
    """

    fingerprint: str
    name: str
    extensions: tuple[str, ...]
    pinned: bool = False
    as_json: bool = False
    download: str | None = None
    max_age_s: int = 0

    @property
    def etag(self) -> str:
        """The strong entity tag, quoted; JSON has its own."""
        return f'"{self.fingerprint}-json"' if self.as_json else f'"{self.fingerprint}"'


def answer_early(environ: Mapping[str, Any], terms: Terms) -> Response | None:
    """Return 304 where the client has the bytes already, or None to go on.

    `environ` is the WSGI environment. Raises PreconditionFailed.
    """
    asked = Conditions.from_environ(environ)
    decision = precondition(asked, Representation(terms.etag, terms.pinned))
    if decision is None:
        return None
    if decision is not NOT_MODIFIED:
        raise PreconditionFailed
    # RFC 9110, 15.4.5: what a cache needs to refresh its copy.
    return Answer("304 NOT MODIFIED", (*_validators(terms), *_SHARED), ())


def send(
    environ: Mapping[str, Any],
    terms: Terms,
    media: Media,
    about: Iterable[Pair] = (),
    **described: str,
) -> Response:
    """Return the media as the terms say, with the headers `about` how it was made.

    `described` are more members of the JSON. Raises RangeNotSatisfiable. The
    preconditions are `answer_early`'s business.
    """
    if terms.as_json:
        return send_json(environ, terms, media, about, **described)
    return send_image(environ, terms, media, about)


def send_image(
    environ: Mapping[str, Any], terms: Terms, media: Media, about: Iterable[Pair] = ()
) -> Response:
    """Return the picture's bytes, or the range of them that was asked for."""
    pairs = [
        *about,
        ("Content-Type", media.media_type),
        # RFC 9530: of the whole, also with a 206.
        ("Repr-Digest", repr_digest(media.sha256)),
        ("Content-Disposition", _disposition(terms)),
        *safeguards(media.media_type),
        *fact_headers(media.facts),
    ]
    return _body(environ, terms, media.data, pairs)


def safeguards(media_type: str) -> tuple[Pair, ...]:
    """Return the headers without which a type is not safe to be opened."""
    return _BY_TYPE.get(media_type, ())


def send_json(
    environ: Mapping[str, Any],
    terms: Terms,
    media: Media,
    about: Iterable[Pair] = (),
    **described: str,
) -> Response:
    """Return the picture as base64 in a JSON object that describes it.

    `described` are members that the media cannot know: renderer, format, url. The
    same fingerprint must always have the same ones, for the entity tag is strong.
    """
    pairs = [*about, ("Content-Type", JSON)]
    if terms.download is not None:
        wrapped = terms._replace(extensions=("json",))
        pairs.append(("Content-Disposition", _disposition(wrapped)))
    pairs += fact_headers(media.facts)
    return _body(environ, terms, embed(document(media, described)), pairs)


def _body(
    environ: Mapping[str, Any],
    terms: Terms,
    data: bytes | memoryview,
    pairs: list[Pair],
) -> Response:
    pairs += _validators(terms)
    pairs += _FIXED
    current = Representation(terms.etag, terms.pinned)
    return send_bytes(environ, current, data, pairs)


def _validators(terms: Terms) -> tuple[Pair, Pair]:
    return ("ETag", terms.etag), ("Cache-Control", _cache_control(terms))


def _cache_control(terms: Terms) -> str:
    if terms.pinned:
        return _PINNED
    return (
        f"public, max-age={terms.max_age_s}" if terms.max_age_s else "public, no-cache"
    )


def _disposition(terms: Terms) -> str:
    return content_disposition(
        terms.download or terms.name,
        terms.extensions,
        attachment=terms.download is not None,
    )


@lru_cache(maxsize=1024)
def repr_digest(sha256: str) -> str:
    """Return the value of Repr-Digest (RFC 9530) of a hexadecimal digest."""
    encoded = pybase64.b64encode(bytes.fromhex(sha256)).decode("ascii")
    return f"sha-256=:{encoded}:"
