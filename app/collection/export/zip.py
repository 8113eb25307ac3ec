"""A collection as a ZIP: the first run, which lays it out, and any range after it.

The archive package knows sizes and places, not how images are made: here both
meet. A first run has no length, because nothing is drawn ahead; it leaves a
manifest, from which length, ranges and bytes of all later ones come.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from zlib_ng import zlib_ng

from app.archive.layout import Layout, Member, Slice, cut
from app.archive.manifest import Entry, Failure, Manifest
from app.collection.outcome import (
    Bundle,
    Drawn,
    Failed,
    ImageFailed,
    Outcomes,
    reported,
)
from app.media import Media
from app.pipeline.media_store import Stored

Problem = Mapping[str, Any]


class Changed(Exception):
    """Images no longer have the bytes that an answer was begun with."""

    def __str__(self) -> str:
        return "An image is no longer what it was; the rest of the answer is not."


def first_run(bundle: Bundle, keep: Callable[[Manifest], None]) -> Iterator[bytes]:
    """Yield the archive of images that are drawn meanwhile.

    `keep` gets the manifest before the last bytes are yielded, so that whoever has
    the whole archive can resume it, and what there is of it where a client leaves.
    """
    manifest = Manifest(bundle.id, bundle.count)
    layout = Layout()
    try:
        for outcome in reported(bundle):
            if isinstance(outcome, Drawn):
                entry = entry_of(outcome.index, outcome.name, outcome.media)
                manifest.add(entry)
                header = layout.add(Member(entry.name, entry.size, entry.crc32))
                # Joined without a copy first where the data are a view of a file.
                yield b"".join((header, outcome.media.data))
                continue
            if outcome is not None:
                manifest.fail(failure_of(outcome, bundle.describe))
            # What is not made yet, or never, has no byte of its own.
            yield b""
    finally:
        # Also where the client leaves: the next run goes on from here.
        if len(manifest):
            keep(manifest)
    # Made twice, for its size and for its bytes: of 100,000 images it has about 20 MB.
    yield layout.add(manifest.member())
    yield from manifest.text()
    layout.close()
    yield from layout.tail()


def entry_of(index: int, name: str, image: Media | Stored) -> Entry:
    """Return what the manifest says of an image, here or as it is in the store."""
    if isinstance(image, Stored):
        size, crc32 = image.size, image.crc32
    else:
        size, crc32 = len(image.data), zlib_ng.crc32(image.data)
    # orjson writes UTF-8 only, and a manifest keeps texts of one byte a letter.
    facts = json.dumps(image.facts, separators=(",", ":")) if image.facts else ""
    return Entry(
        index,
        name,
        image.media_type,
        image.width,
        image.height,
        size,
        crc32,
        bytes.fromhex(image.sha256),
        facts,
    )


def failure_of(failed: Failed, describe: Callable[[Exception], Problem]) -> Failure:
    """Return what the manifest says of an image that there is none of."""
    return Failure(failed.index, failed.name, describe(failed.error))


def parts(
    manifest: Manifest,
    layout: Layout,
    span: tuple[int, int],
    draw: Callable[[int, int], Outcomes],
    flaw: Callable[[], None],
) -> Iterator[bytes]:
    """Yield a range of an archive that is laid out, and draw only what it touches.

    `draw` gets the numbers of the first and the last image. Raises Changed where an
    image has other bytes than it had, after `flaw` has taken note.
    """
    images = [place for place in layout.touched(*span) if place < len(manifest)]
    outcomes: Outcomes = iter(())
    if images:
        outcomes = draw(manifest[images[0]].index, manifest[images[-1]].index)
    for piece in layout.pieces(*span):
        if isinstance(piece, bytes):
            yield piece
        elif piece.index == len(manifest):
            yield from cut(manifest.text(), piece.start, piece.stop)
        else:
            yield from _data(manifest[piece.index], piece, outcomes, flaw)


def _data(
    entry: Entry, piece: Slice, outcomes: Outcomes, flaw: Callable[[], None]
) -> Iterator[bytes]:
    """Yield the data of an image, and ticks until it is drawn."""
    for outcome in outcomes:
        if outcome is None:
            yield b""
        # Those between have no data here: they failed before, and fail again.
        elif outcome.index == entry.index:
            if isinstance(outcome, Failed):
                raise ImageFailed(outcome.index, outcome.error) from outcome.error
            if bytes.fromhex(outcome.media.sha256) != entry.sha256:
                flaw()
                raise Changed
            yield bytes(outcome.media.data[piece.start : piece.stop])
            return
    raise Changed
