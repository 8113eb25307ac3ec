"""Encoded bytes on their way out, and their form at rest."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
from zlib_ng import zlib_ng


@dataclass(frozen=True, slots=True)
class Media:
    """An encoded image: bytes, what they are, and what is known of them.

    `sha256` is the hexadecimal digest of `data`; `fingerprint` that of the
    request. `facts` are JSON values about the drawing (`missing_glyphs`, ...).
    """

    data: bytes
    media_type: str
    width: int
    height: int
    sha256: str
    fingerprint: str
    facts: Mapping[str, Any] = field(default_factory=dict)


_MAGIC = b"mimeo1\n"
_PREFIX = len(_MAGIC) + 4


def pack(media: Media) -> bytes:
    """Return one self-describing block: magic, length of the header, header, data."""
    header = orjson.dumps(
        {
            "media_type": media.media_type,
            "width": media.width,
            "height": media.height,
            "sha256": media.sha256,
            "crc32": zlib_ng.crc32(media.data),
            "facts": media.facts,
        }
    )
    return b"".join((_MAGIC, len(header).to_bytes(4, "big"), header, media.data))


def unpack(block: bytes, fingerprint: str) -> Media:
    """Reverse `pack`; raise ValueError where the block is not whole or not ours."""
    if not block.startswith(_MAGIC):
        raise ValueError("a stored block does not begin with its magic bytes")
    start = _PREFIX + int.from_bytes(block[len(_MAGIC) : _PREFIX], "big")
    data = block[start:]
    try:
        header = orjson.loads(block[_PREFIX:start])
        crc32 = header.pop("crc32")
        media = Media(data=data, fingerprint=fingerprint, **header)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError("the header of a stored block is not ours") from error
    if zlib_ng.crc32(data) != crc32:
        raise ValueError("the data of a stored block is damaged")
    return media
