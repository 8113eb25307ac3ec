"""Choose by the Accept header: RFC 9110, section 12.5.1.

Our own matching over Werkzeug's parsers, because `MIMEAccept.best_match` prefers
the type that the client spelt out over the server's order, drops `q=0.` and `q=.2`
(the first is legal, the second is what Java's URLConnection sends), and takes
`application/json;charset=utf-8`, which many clients send, for no kind of JSON.
"""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from werkzeug.http import parse_list_header, parse_options_header

from app.errors import with_fields

JSON = "application/json"

_QVALUE = re.compile(r"(?:0(?:\.[0-9]*)?|\.[0-9]+|1(?:\.0*)?)\Z", re.ASCII)


@with_fields
class NotAcceptable(Exception):
    """The Accept header allows none of the media types on offer (406)."""

    headers = (("Vary", "Accept"),)

    offers: Sequence[str]

    def __post_init__(self) -> None:
        self.offers = tuple(self.offers)

    def __str__(self) -> str:
        return f"Accept allows none of {', '.join(self.offers)}."


class Choice(NamedTuple):
    """A media type of an image, and whether it travels as base64 in JSON."""

    media_type: str
    as_json: bool


@lru_cache(maxsize=512)
def choose(accept: str | None, offers: tuple[str, ...]) -> str | None:
    """Return the media type to send, or None where Accept allows none (406).

    Of equally welcome offers the first wins. A missing or empty header allows all.
    """
    weights = _weights(accept)
    best = max(offers, key=lambda offer: _weight(weights, offer))
    return best if _weight(weights, best) > 0 else None


@lru_cache(maxsize=512)
def prefers_json(accept: str | None, media_type: str) -> bool:
    """Tell whether JSON is more welcome than the image itself; a tie is not."""
    weights = _weights(accept)
    return _weight(weights, JSON) > _weight(weights, media_type)


def negotiate(accept: str | None, offers: tuple[str, ...]) -> Choice | None:
    """Choose format and wrapping where the URL names neither, or None (406).

    JSON is weighed against the best image. Where no image but JSON is welcome, it
    holds the first offer.
    """
    media_type = choose(accept, offers)
    if prefers_json(accept, media_type or offers[0]):
        return Choice(media_type or offers[0], True)
    return None if media_type is None else Choice(media_type, False)


@lru_cache(maxsize=512)
def accepts_gzip(codings: str | None) -> bool:
    """Tell whether gzip is welcome, and no less so than the bytes as they are.

    `codings` is the Accept-Encoding header (RFC 9110, 12.5.3); whoever sends none is
    sent none.
    """
    if not codings:
        return False
    weights = _weights(codings)
    weight = weights.get("gzip", weights.get("*", 0.0))
    return weight > 0 and weight >= weights.get("identity", 0.0)


def _weights(accept: str | None) -> Mapping[str, float]:
    """Map every media range to its weight; the higher one where it comes twice."""
    if not accept:
        return {"*/*": 1.0}
    weights: dict[str, float] = {}
    for element in parse_list_header(accept):
        media_range, options = parse_options_header(element)
        weight = options.pop("q", "1").strip(" \t")
        # A range with a parameter asks for something narrower than we make.
        if _QVALUE.match(weight) and not options.keys() - {"charset"}:
            name = media_range.lower()
            weights[name] = max(float(weight), weights.get(name, 0.0))
    return weights


def _weight(weights: Mapping[str, float], media_type: str) -> float:
    # RFC 9110, 12.5.1: the most specific range has precedence, not the highest weight.
    for media_range in (media_type, f"{media_type.partition('/')[0]}/*", "*/*"):
        if media_range in weights:
            return weights[media_range]
    return 0.0
