"""Several images of one prompt as a ZIP, its length known before the first byte."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass

import orjson
from zlib_ng import zlib_ng

from app.archive.layout import Layout, Member
from app.archive.manifest import MANIFEST
from app.delivery.answer import Pair
from app.media import Media
from app.renderer.base import Absent
from app.renderer.encode import FORMATS

_FIXED: tuple[Pair, ...] = (
    ("Cache-Control", "no-store"),
    ("Vary", "Accept"),
)
ENDINGS = {row.media_type: row.extensions[0] for row in FORMATS.values()}


def ending_of(media: Media) -> str:
    """Return the file ending of an image, also of a type that is not made here."""
    return ENDINGS.get(media.media_type, media.media_type.partition("/")[2])


def pairs_of(source: Pair, absent: tuple[Absent, ...]) -> list[Pair]:
    """Return the headers of every answer with an album: it is nobody else's."""
    missing = (("X-Media-Missing", str(len(absent))),) if absent else ()
    return [source, *_FIXED, *missing]


@dataclass(frozen=True, slots=True)
class SmallArchive:
    """A ZIP that is laid out; `length` counts its bytes."""

    length: int
    chunks: Iterator[bytes]


def archive(images: tuple[Media, ...], absent: tuple[Absent, ...]) -> SmallArchive:
    """Lay images out as `1.png`, `2.png`, ..., and last a manifest with all facts.

    Members are stored; the same images are the same bytes.
    """
    names = [f"{place}.{ending_of(media)}" for place, media in enumerate(images, 1)]
    note = _note(names, images, absent)
    layout = Layout()
    members = [
        Member(name, len(data), zlib_ng.crc32(data))
        for name, data in [
            *zip(names, (media.data for media in images), strict=True),
            (MANIFEST, note),
        ]
    ]
    headers = [layout.add(member) for member in members]
    layout.close()
    return SmallArchive(layout.length, _chunks(headers, images, note, layout))


def _chunks(
    headers: list[bytes], images: tuple[Media, ...], note: bytes, layout: Layout
) -> Iterator[bytes]:
    for header, media in zip(headers, images, strict=False):
        yield header
        yield from media.blocks()
    yield headers[-1] + note
    yield from layout.tail()


def _note(
    names: list[str], images: tuple[Media, ...], absent: tuple[Absent, ...]
) -> bytes:
    rows = [
        {
            "index": place,
            "name": name,
            "media_type": media.media_type,
            "width": media.width,
            "height": media.height,
            "size": len(media.data),
            "sha256": media.sha256,
            "facts": media.facts,
        }
        for place, (name, media) in enumerate(zip(names, images, strict=True), 1)
    ]
    about = {
        "count": len(images) + len(absent),
        "images": rows,
        "errors": [asdict(each) for each in absent],
    }
    return orjson.dumps(about, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
