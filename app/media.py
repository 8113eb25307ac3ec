"""Encoded bytes on their way out, and their form at rest."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
import pybase64


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


_BLOCK = 256 << 10


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
