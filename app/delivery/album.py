"""Several images of one prompt in one answer: JSON that holds them, or a ZIP."""

import secrets
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import zip_longest
from typing import NamedTuple

import orjson
import pybase64
from zlib_ng import zlib_ng

from app.archive.layout import Layout, Member
from app.archive.manifest import MANIFEST
from app.delivery.answer import Pair
from app.media import Media, pieces
from app.renderer.base import Absent
from app.renderer.encode import FORMATS
from app.store import mapped

# Base64 of an image is a third larger than it, and a JSON library would hold image,
# base64 and document at once. So small documents are bytes, and large ones are written
# piece by piece to a file that is then mapped.
Data = bytes | memoryview
# A multiple of three: pieces of base64 join without padding between them.
_STEP = 3 << 16


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
