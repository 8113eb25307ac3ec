"""Encoded bytes on their way out, and their form at rest."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
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


@dataclass(frozen=True, slots=True)
class Stored:
    """What a stored block says of its data: as in Media, and `size` in bytes."""

    media_type: str
    width: int
    height: int
    size: int
    crc32: int
    sha256: str


# So many bytes of a block are enough for `peek`.
PEEK_BYTES = 1024
_MAGIC = b"mimeo2\n"
_OLD_MAGIC = b"mimeo1\n"
_LENGTH = 4
_PREFIX = len(_MAGIC) + 2 * _LENGTH


def pack(media: Media) -> bytes:
    """Return one self-describing block: magic, two lengths, header, facts, data."""
    stored = Stored(
        media.media_type,
        media.width,
        media.height,
        len(media.data),
        zlib_ng.crc32(media.data),
        media.sha256,
    )
    header, facts = orjson.dumps(asdict(stored)), orjson.dumps(media.facts)
    lengths = (len(part).to_bytes(_LENGTH, "big") for part in (header, facts))
    return b"".join((_MAGIC, *lengths, header, facts, media.data))


def unpack(block: bytes, fingerprint: str) -> Media | None:
    """Reverse `pack`; None where an earlier version of Mimeo packed it.

    Raises ValueError where the block is not whole or not ours.
    """
    if block.startswith(_OLD_MAGIC):
        return None
    stored, facts_at = _header(block)
    data_at = facts_at + int.from_bytes(block[_PREFIX - _LENGTH : _PREFIX], "big")
    facts, data = orjson.loads(block[facts_at:data_at]), block[data_at:]
    if len(data) != stored.size or zlib_ng.crc32(data) != stored.crc32:
        raise ValueError("the data of a stored block is damaged")
    return Media(
        data,
        stored.media_type,
        stored.width,
        stored.height,
        stored.sha256,
        fingerprint,
        facts,
    )


def peek(head: bytes) -> Stored | None:
    """Return what the first PEEK_BYTES of a block say; None as `unpack` does.

    Raises ValueError where the block is not ours.
    """
    return None if head.startswith(_OLD_MAGIC) else _header(head)[0]


def _header(block: bytes) -> tuple[Stored, int]:
    """Return the header, and where it ends."""
    if not block.startswith(_MAGIC):
        raise ValueError("a stored block does not begin with its magic bytes")
    end = _PREFIX + int.from_bytes(block[len(_MAGIC) : len(_MAGIC) + _LENGTH], "big")
    try:
        return Stored(**orjson.loads(block[_PREFIX:end])), end
    except TypeError as error:
        raise ValueError("the header of a stored block is not ours") from error
