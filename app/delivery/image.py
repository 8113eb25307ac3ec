"""Send one image, in binary or as base64 in JSON, or several, in JSON or a ZIP.

One takes two steps, so that a 304 or 412 costs no drawing: `terms.answer_early` needs
only the fingerprint, `send` the media. The body is one `bytes` object: through
`send_file` gunicorn copies 8 KiB at a time, which cost 38 % of the requests a second
for images of 32 KB and 71 % for 2 MB, and makes a range read from byte 0.
"""

import secrets
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import lru_cache
from itertools import zip_longest
from typing import Any, NamedTuple

import orjson
import pybase64
from flask import Response
from zlib_ng import zlib_ng

from app.archive.layout import Layout, Member
from app.archive.manifest import MANIFEST
from app.delivery.answer import Pair, list_of, send_bytes, token
from app.delivery.terms import Terms
from app.media import Media, document, pieces
from app.parsing.accept import JSON
from app.renderer.base import Absent
from app.renderer.encode import FORMATS
from app.store import mapped

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

# Base64 of an image is a third larger than it, and a JSON library would hold image,
# base64 and document at once. So small documents are bytes, and large ones are written
# piece by piece to a file that is then mapped.
Data = bytes | memoryview
# A multiple of three: pieces of base64 join without padding between them.
_STEP = 3 << 16


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


def embed(document: object) -> Data:
    """Return a document as JSON; bytes and views in it become base64.

    From 1 MiB of them on, the JSON is a view of a file that is gone when nobody looks.
    """
    token = secrets.token_hex(16)
    found: list[Data] = []

    def slot(value: object) -> str:
        if not isinstance(value, (bytes, memoryview)):
            raise TypeError(f"{type(value).__name__} is no JSON")
        found.append(value)
        return token

    frame = orjson.dumps(document, default=slot).split(token.encode())
    pieces = _interleave(frame, found)
    if sum(map(len, found)) < mapped.LARGE:
        return b"".join(pieces)
    # Without a name: the system takes it back when the view goes.
    with tempfile.TemporaryFile() as file:
        file.writelines(pieces)
        file.flush()
        return mapped.view(file.fileno())


def _interleave(frame: list[bytes], found: list[Data]) -> Iterator[bytes]:
    for text, data in zip_longest(frame, found, fillvalue=b""):
        yield bytes(text)
        for at in range(0, len(data), _STEP):
            yield pybase64.b64encode(data[at : at + _STEP])


ENDINGS = {row.media_type: row.extensions[0] for row in FORMATS.values()}


def ending_of(media: Media) -> str:
    """Return the file ending of an image, also of a type that is not made here."""
    return ENDINGS.get(media.media_type, media.media_type.partition("/")[2])


def pairs_of(source: Pair, absent: tuple[Absent, ...]) -> list[Pair]:
    """Return the headers of every answer with an album: it is nobody else's."""
    missing = (("X-Media-Missing", str(len(absent))),) if absent else ()
    return [source, ("Cache-Control", "no-store"), ("Vary", "Accept"), *missing]


class SmallArchive(NamedTuple):
    """A ZIP that is laid out; `length` counts its bytes."""

    length: int
    chunks: Iterator[bytes]


def archive(images: tuple[Media, ...], absent: tuple[Absent, ...]) -> SmallArchive:
    """Lay images out as `1.png`, `2.png`, ..., and last a manifest with all facts.

    Members are stored; the same images are the same bytes.
    """
    rows = [
        {
            "index": place,
            "name": f"{place}.{ending_of(media)}",
            "media_type": media.media_type,
            "width": media.width,
            "height": media.height,
            "size": len(media.data),
            "sha256": media.sha256,
            "facts": media.facts,
        }
        for place, media in enumerate(images, 1)
    ]
    about = {
        "count": len(images) + len(absent),
        "images": rows,
        "errors": [asdict(each) for each in absent],
    }
    option = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
    names = [*(str(row["name"]) for row in rows), MANIFEST]
    files = [*(media.data for media in images), orjson.dumps(about, option=option)]
    layout = Layout()
    for name, data in zip(names, files, strict=True):
        layout.add(Member(name, len(data), zlib_ng.crc32(data)))
    layout.close()
    return SmallArchive(layout.length, _chunks(layout, files))


def _chunks(layout: Layout, files: Sequence[bytes | memoryview]) -> Iterator[bytes]:
    for piece in layout.pieces(0, layout.length):
        if isinstance(piece, bytes):
            yield piece
        else:
            # What a service made may be a mapped file: never all of it at once.
            yield from pieces(files[piece.index])
