"""Several images of one prompt as a ZIP, its length known before the first byte."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import NamedTuple

import orjson
from zlib_ng import zlib_ng

from app.archive.layout import Layout, Member
from app.archive.manifest import MANIFEST
from app.delivery.answer import Pair
from app.media import Media, pieces
from app.renderer.base import Absent
from app.renderer.encode import FORMATS

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
