"""What became of one image of a collection."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from zlib_ng import zlib_ng

from app.archive.manifest import Entry
from app.media import Media
from app.renderer.errors import RendererError


@dataclass(frozen=True, slots=True)
class Drawn:
    """The image's number, from 1, its file name, and its media."""

    index: int
    name: str
    media: Media


@dataclass(frozen=True, slots=True)
class Failed:
    """The image's number, from 1, its file name, and why there is none."""

    index: int
    name: str
    error: RendererError


Outcome = Drawn | Failed


def entry_of(outcome: Drawn) -> Entry:
    """Return what the manifest says of an image."""
    media = outcome.media
    return Entry(
        outcome.index,
        outcome.name,
        media.media_type,
        media.width,
        media.height,
        len(media.data),
        zlib_ng.crc32(media.data),
        bytes.fromhex(media.sha256),
        spell(media.facts),
    )


def spell(facts: Mapping[str, Any]) -> str:
    """Return facts as a manifest has them: JSON in ASCII, or nothing."""
    return json.dumps(facts, separators=(",", ":")) if facts else ""
