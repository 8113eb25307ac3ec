"""Images that come as a ZIP: read member by member, never held."""

import os
import zipfile
import zlib
from collections.abc import Iterator
from typing import IO, BinaryIO

from app.renderer.probe.base64_stream import OverBytes
from app.renderer.probe.byte_range import BLOCK, Region

_END = 22
_LOCATOR = 20
# `zipfile` makes an object of each entry, so the directory is bounded before.
_MOST_DIRECTORY = 256 << 10


class NotZip(ValueError):
    """The archive is not whole, or of a kind that is not read."""


def extract(archive: Region, target: BinaryIO, most: int) -> Iterator[Region]:
    """Append each member to `target`; yield where it is.

    Descriptions (`.json`, `.txt`) and folders are passed over. Raises NotZip, and
    OverBytes where a member is longer than `most`, whatever its header says.
    """
    _check_end(archive)
    try:
        with archive.open() as reader, zipfile.ZipFile(reader) as members:
            for member in members.infolist():
                if not member.filename.endswith(("/", ".json", ".txt")):
                    with members.open(member) as source:
                        yield _copy(source, target, most)
    # An unknown compression or a password is no BadZipFile.
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise NotZip("the ZIP is damaged") from error
    except RuntimeError as error:
        raise NotZip("the ZIP is encrypted") from error


def _check_end(archive: Region) -> None:
    """Bound the directory by the very record that `zipfile` is going to trust."""
    tail = archive.read(max(0, archive.length - _END - _LOCATOR), _END + _LOCATOR)
    end = tail[-_END:]
    if end[:4] != b"PK\x05\x06" or end[-2:] != b"\0\0":
        raise NotZip("the ZIP is cut off, or ends in a comment")
    if tail[: len(tail) - _END].startswith(b"PK\x06\x07"):
        raise NotZip("the ZIP is of the 64-bit kind")
    if int.from_bytes(end[12:16], "little") > _MOST_DIRECTORY:
        raise NotZip("the ZIP has too many members")


def _copy(source: IO[bytes], target: BinaryIO, most: int) -> Region:
    start, length = target.seek(0, os.SEEK_END), 0
    while block := source.read(BLOCK):
        length += len(block)
        if length > most:
            raise OverBytes(f"a member of the ZIP has over {most:,} bytes")
        target.write(block)
    target.flush()
    return Region(target, start, length)
