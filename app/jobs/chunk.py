"""The result of a chunk at rest: an index, and the bytes of its images behind it.

The images are stored in an archive as they are, so that the archive of a job is laid
over its chunks and nothing is written twice.
"""

import struct
from collections.abc import Callable, Iterator
from typing import IO, NamedTuple

from app.archive.manifest import Manifest
from app.jobs.errors import DamagedJob

# Returns the bytes from one place to before another, fewer at the end.
Read = Callable[[int, int], bytes]
_MAGIC = b"mimeoj1\n"
# Bytes of the index, images, failures, bytes of the images.
_HEAD = struct.Struct(">IIIQ")
_START = len(_MAGIC) + _HEAD.size
_PIECE = 256 << 10
# An index of 500 images has about 60 KB: mostly it comes with the first read.
_FIRST_READ = 64 << 10


class Tally(NamedTuple):
    """What a chunk came to: images, failures, bytes of the images."""

    images: int
    failures: int
    bytes: int


class ChunkIndex(NamedTuple):
    """The images of a chunk in order, and where the bytes of the first begin.

    Images and failures have the numbers that they have in the whole.
    """

    manifest: Manifest
    start: int


def encode(manifest: Manifest, data: IO[bytes], size: int) -> Iterator[bytes]:
    """Yield the object to store: `data` is read from its beginning."""
    index = manifest.pack()
    counts = len(manifest), len(manifest.failures), size
    yield _MAGIC + _HEAD.pack(len(index), *counts) + index
    data.seek(0)
    while piece := data.read(_PIECE):
        yield piece


def read_tally(read: Read) -> Tally:
    """Return what a chunk came to; raise DamagedJob."""
    return Tally(*_head(read(0, _START))[1:])


def read_index(read: Read) -> ChunkIndex:
    """Return the index of a chunk; raise DamagedJob, DamagedManifest."""
    block = read(0, _FIRST_READ)
    start = _START + _head(block[:_START])[0]
    if start > len(block):
        block += read(len(block), start)
    return ChunkIndex(Manifest.unpack(block[_START:start]), start)


def _head(block: bytes) -> tuple[int, int, int, int]:
    if len(block) != _START or not block.startswith(_MAGIC):
        raise DamagedJob("The result of a chunk is damaged.")
    length, images, failures, size = _HEAD.unpack_from(block, len(_MAGIC))
    return length, images, failures, size
