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
from app.delivery.answer import Pair, send_bytes
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

# Header lines beyond 8 KiB are refused by proxies; 32 entries take under 400 bytes.
_LISTED = 32
# Sentences, of up to 200 characters each.
_WARNED = 5


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

    Texts stay in JSON, where all facts stand in full, as in an archive's manifest.
    """
    if not facts:
        return ()
    return tuple(
        (header, spell(facts[name]))
        for name, (header, spell) in _HEADERS.items()
        if facts.get(name) not in (None, "", [], (), {})
    )


def warn(warnings: Sequence[str]) -> tuple[Pair, ...]:
    """Return the header that says what was assumed; JSON has all of it in full."""
    if not warnings:
        return ()
    header, spell = _HEADERS["warnings"]
    return ((header, spell(warnings[:_WARNED])),)


def _token(value: object) -> str:
    """Spell a word of a service as a header can hold it (RFC 9110, 5.5)."""
    text = str(value)
    return "".join(c if c.isascii() and c.isprintable() else "?" for c in text)[:200]


def _list(values: Any) -> str:
    """List tokens (RFC 9651, 3.1), at most 32 of them."""
    shown = [_token(value) for value in values[:_LISTED]]
    if len(values) > len(shown):
        shown.append(f"more;count={len(values) - len(shown)}")
    return ", ".join(shown)


def _parameters(values: Mapping[str, str]) -> str:
    """List parameters, each with what became of its text (RFC 9651, 3.1.2)."""
    return _list([f"{name};{how}" for name, how in values.items()])


_HEADERS: Mapping[str, tuple[str, Callable[[Any], str]]] = {
    "missing_glyphs": ("X-Missing-Glyphs", _list),
    "text_clipped": ("X-Text-Clipped", _parameters),
    "seed": ("X-Media-Seed", _token),
    "finish_reason": ("X-Media-Finish-Reason", _token),
    "repairs": ("X-Media-Repairs", _list),
    "warnings": ("X-Media-Warnings", _list),
    "upstream": ("X-Media-Upstream", _token),
    "converted_from": ("X-Media-Converted-From", _token),
}
EXPOSED = ", ".join(header for header, _ in _HEADERS.values())
