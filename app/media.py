"""Encoded bytes on their way out, and their form at rest."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import orjson
import pybase64
from zlib_ng import zlib_ng


@dataclass(frozen=True, slots=True)
class Media:
    """An encoded image: bytes, what they are, and what is known of them.

    `sha256` is the hexadecimal digest of `data`; `fingerprint` that of the
    request. `facts` are JSON values about the drawing (`missing_glyphs`, ...). Large
    data of a service are a view of a mapped file: they are not held in memory.
    """

    data: bytes | memoryview
    media_type: str
    width: int
    height: int
    sha256: str
    fingerprint: str
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def in_memory(self) -> bytes:
        """The data as bytes: a copy of those in a file."""
        return bytes(self.data)

    def blocks(self) -> Iterator[bytes]:
        """Yield the data in pieces of at most 256 KiB."""
        return pieces(self.data)


@dataclass(frozen=True, slots=True)
class Stored:
    """What a stored block says of its data: as in Media, and `size` in bytes."""

    media_type: str
    width: int
    height: int
    size: int
    crc32: int
    sha256: str
    facts: Mapping[str, Any] = field(default_factory=dict)


_BLOCK = 256 << 10
# Header and facts of nearly all blocks.
_PEEK_BYTES = 1024
_MAGIC = b"mimeo2\n"
_OLD_MAGIC = b"mimeo1\n"
_LENGTH = 4
_PREFIX = len(_MAGIC) + 2 * _LENGTH


def pieces(data: bytes | memoryview) -> Iterator[bytes]:
    """Yield data in pieces of at most 256 KiB."""
    for at in range(0, len(data), _BLOCK):
        yield bytes(data[at : at + _BLOCK])


def document(media: Media, described: Mapping[str, object]) -> dict[str, object]:
    """Describe media for JSON; `described` are members that media cannot know."""
    return {
        **described,
        "media_type": media.media_type,
        "width": media.width,
        "height": media.height,
        "sha256": media.sha256,
        "fingerprint": media.fingerprint,
        "facts": media.facts,
        "data": media.data,
    }


def to_json(media: Media, described: Mapping[str, object]) -> bytes:
    """Describe media as a JSON object; the last member, `data`, is base64."""
    data = pybase64.b64encode_as_string(media.data)
    return orjson.dumps({**document(media, described), "data": data})


def pack(media: Media) -> bytes:
    """Return one self-describing block: magic, two lengths, header, facts, data."""
    return _head(media) + media.in_memory


def packed(media: Media) -> Iterator[bytes]:
    """Yield what `pack` returns, in pieces."""
    yield _head(media)
    yield from media.blocks()


def _head(media: Media) -> bytes:
    stored = Stored(
        media.media_type,
        media.width,
        media.height,
        len(media.data),
        zlib_ng.crc32(media.data),
        media.sha256,
    )
    about = asdict(stored)
    del about["facts"]
    header, facts = orjson.dumps(about), orjson.dumps(media.facts)
    lengths = (len(part).to_bytes(_LENGTH, "big") for part in (header, facts))
    return b"".join((_MAGIC, *lengths, header, facts))


def unpack(block: bytes | memoryview, fingerprint: str) -> Media | None:
    """Reverse `pack`; None where an earlier version of Mimeo packed it.

    The data of a view are a view. Raises ValueError where the block is not whole or
    not ours.
    """
    if block[: len(_OLD_MAGIC)] == _OLD_MAGIC:
        return None
    stored, facts_at, data_at = _header(block)
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


def peek(read: Callable[[int, int], bytes | None]) -> Stored | None:
    """Return what a block says of its data; None where there is none, or an old one.

    `read` gets the bytes from one place up to another. Raises ValueError where the
    block is not ours.
    """
    head = read(0, _PEEK_BYTES)
    if head is None or head.startswith(_OLD_MAGIC):
        return None
    stored, facts_at, data_at = _header(head)
    facts = head[facts_at:data_at]
    if data_at > len(head):
        facts += read(len(head), data_at) or b""
    return replace(stored, facts=orjson.loads(facts))


def _header(block: bytes | memoryview) -> tuple[Stored, int, int]:
    """Return the header, and where facts and data begin."""
    if block[: len(_MAGIC)] != _MAGIC:
        raise ValueError("a stored block does not begin with its magic bytes")
    first = len(_MAGIC) + _LENGTH
    facts_at = _PREFIX + int.from_bytes(block[len(_MAGIC) : first], "big")
    data_at = facts_at + int.from_bytes(block[first:_PREFIX], "big")
    try:
        return Stored(**orjson.loads(block[_PREFIX:facts_at])), facts_at, data_at
    except TypeError as error:
        raise ValueError("the header of a stored block is not ours") from error
