"""Send one image, in binary or as base64 in JSON.

Two steps, so that a 304 or 412 costs no drawing: `terms.answer_early` needs only the
fingerprint, `send` the media. The body is one `bytes` object: through `send_file`
gunicorn copies 8 KiB at a time, which cost 38 % of the requests a second for images
of 32 KB and 71 % for 2 MB, and makes a range read from byte 0.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import pybase64
from flask import Response

from app.delivery.album import embed
from app.delivery.answer import Pair, list_of, send_bytes, token
from app.delivery.terms import Terms
from app.media import Media, document
from app.parsing.accept import JSON

# A page that isolates itself loads pictures only with the resource policy.
_FIXED: tuple[Pair, ...] = (
    ("Accept-Ranges", "bytes"),
    ("Cross-Origin-Resource-Policy", "cross-origin"),
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

# nginx takes 4 KiB of headers as it comes, and makes a 502 of more. What is always
# there takes up to 2.2 KiB: the longest file name alone is 0.8 KiB.
_MOST_FACTS = 1000
# No list takes the others' room.
_MOST_LIST = 400
# Of what was assumed of a table.
_MOST_WARNED = 800


def send(
    environ: Mapping[str, Any],
    terms: Terms,
    media: Media,
    about: Iterable[Pair] = (),
    **described: str,
) -> Response:
    """Return the media as the terms say, with the headers `about` how it was made.

    `described` are members of the JSON that the media cannot know: renderer, format,
    url. The same fingerprint must always have the same ones, for the entity tag is
    strong. Raises RangeNotSatisfiable. The preconditions are `answer_early`'s business.
    """
    pairs = [*about, *fact_headers(media.facts), *terms.validators(), *_FIXED]
    if not terms.as_json:
        pairs += describe(media)
        pairs.append(("Content-Disposition", terms.disposition))
        return send_bytes(environ, terms.representation, media.data, pairs)
    pairs.append(("Content-Type", JSON))
    if terms.download is not None:
        wrapped = terms._replace(extensions=("json",))
        pairs.append(("Content-Disposition", wrapped.disposition))
    data = embed(document(media, described))
    return send_bytes(environ, terms.representation, data, pairs)


def describe(media: Media) -> tuple[Pair, ...]:
    """Return the headers that belong to a picture's bytes, whoever sends them."""
    return (
        ("Content-Type", media.media_type),
        # RFC 9530: of the whole, also with a 206.
        ("Repr-Digest", repr_digest(media.sha256)),
        *_BY_TYPE.get(media.media_type, ()),
    )


@lru_cache(maxsize=1024)
def repr_digest(sha256: str) -> str:
    """Return the value of Repr-Digest (RFC 9530) of a hexadecimal digest."""
    encoded = pybase64.b64encode(bytes.fromhex(sha256)).decode("ascii")
    return f"sha-256=:{encoded}:"


def fact_headers(facts: Mapping[str, Any]) -> tuple[Pair, ...]:
    """Return the headers of what is known of an image beside its bytes.

    They take 1,200 bytes at most: a list that is cut says how many are left out. Texts
    stay in JSON, where all facts stand in full, as in an archive's manifest.
    """
    pairs: list[Pair] = []
    left = _MOST_FACTS
    for name, (header, spell) in _HEADERS.items() if facts else ():
        if facts.get(name) not in (None, "", [], (), {}):
            left -= len(header) + len(": \r\n")
            pairs.append((header, spell(facts[name], min(left, _MOST_LIST))))
            left -= len(pairs[-1][1])
    return tuple(pairs)


def warn(warnings: Sequence[str]) -> tuple[Pair, ...]:
    """Return the header that says what was assumed; JSON has all of it in full."""
    if not warnings:
        return ()
    return ((_HEADERS["warnings"][0], list_of(warnings, _MOST_WARNED)),)


def _parameters(values: Mapping[str, str], most: int) -> str:
    """List parameters, each with what became of its text (RFC 9651, 3.1.2)."""
    return list_of([f"{name};{how}" for name, how in values.items()], most)


# Those that are short go first: lists share what they leave.
_HEADERS: Mapping[str, tuple[str, Callable[[Any, int], str]]] = {
    "seed": ("X-Media-Seed", token),
    "finish_reason": ("X-Media-Finish-Reason", token),
    "upstream": ("X-Media-Upstream", token),
    "converted_from": ("X-Media-Converted-From", token),
    "ignored": ("X-Html-Ignored", list_of),
    "missing_glyphs": ("X-Missing-Glyphs", list_of),
    "text_clipped": ("X-Text-Clipped", _parameters),
    "repairs": ("X-Media-Repairs", list_of),
    "warnings": ("X-Media-Warnings", list_of),
}
