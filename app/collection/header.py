"""The head of a stored collection: what it holds and where, and its id."""

import hashlib
import struct
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import orjson

from app.collection.errors import DamagedCollection
from app.renderer.base import Renderer
from app.renderer.produce import ENCODERS

MAGIC = b"mimeoc1\n"
# Raise it when equal rows are to give other bytes: names, the order of members.
FORMAT = 1
PREFIX = len(MAGIC) + 8


@dataclass(frozen=True, slots=True)
class Header:
    """What a collection is, apart from its rows.

    `renderers` are the names of those in use; `output` are the options that are
    not default; `pixels` are device pixels of all images. `content` is a digest of
    all of these and the rows, `edition` one of the versions that decide pixels.
    `size` is the length of the data that follows the head, `blocks` are (first row
    from 1, offset, length) in it, `assets` offset and length by SHA-256.
    """

    count: int
    renderers: tuple[str, ...]
    output: Mapping[str, Any]
    pixels: int
    content: str
    edition: str
    size: int
    blocks: tuple[tuple[int, int, int], ...]
    assets: Mapping[str, tuple[int, int]]

    @property
    def id(self) -> str:
        """SHA-256, 64 hexadecimal digits: content and edition."""
        return hashlib.sha256(f"{self.content}{self.edition}".encode()).hexdigest()

    def encode(self) -> bytes:
        """Return magic, length and JSON: all that comes before the data."""
        text = orjson.dumps({"format": FORMAT, **asdict(self)})
        return MAGIC + struct.pack(">Q", len(text)) + text


def length_of(prefix: bytes) -> int:
    """Return the length of the whole head by its first bytes.

    Raises DamagedCollection where they are not those of a collection.
    """
    if len(prefix) < PREFIX or not prefix.startswith(MAGIC):
        raise DamagedCollection("This is no collection.")
    (length,) = struct.unpack_from(">Q", prefix, len(MAGIC))
    return PREFIX + int(length)


def decode(head: bytes) -> Header:
    """Read what `Header.encode` wrote; raise DamagedCollection if it is not that."""
    try:
        if len(head) != length_of(head):
            raise DamagedCollection("The head of the collection is cut off.")
        values = orjson.loads(head[PREFIX:])
        if values.pop("format") != FORMAT:
            raise DamagedCollection("The collection has another format.")
        values["renderers"] = tuple(values["renderers"])
        values["blocks"] = tuple(tuple(block) for block in values["blocks"])
        return Header(**values)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DamagedCollection("The head of the collection is damaged.") from error


def edition_of(renderers: Iterable[Renderer]) -> str:
    """Return a digest of the versions that decide the pixels of a collection."""
    versions = sorted((renderer.name, renderer.version) for renderer in renderers)
    canonical = orjson.dumps((FORMAT, ENCODERS, versions))
    return hashlib.sha256(canonical).hexdigest()
