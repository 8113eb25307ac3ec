"""What a complete run of an archive leaves: enough to lay it out again.

Kept in columns, about 100 bytes an image, because an archive may have 100,000.
"""

import sys
from array import array
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from itertools import chain
from typing import Any

import orjson
from zlib_ng import zlib_ng

from app.archive.errors import DamagedManifest
from app.archive.layout import Layout, Member, Texts, blocks

MANIFEST = "manifest.json"
# The number is another one wherever the columns are.
_MAGIC = b"mimeoa2\n"
_DIGEST = 32
# Names and facts that are texts at one time, rather than bytes in a buffer.
_AT_A_TIME = 1024
# Type codes of the columns: numbers, widths, heights, CRC-32s, sizes.
_COLUMNS = ("I", "I", "I", "I", "Q")


@dataclass(frozen=True, slots=True)
class Entry:
    """An image in the archive: number from 1, file, pixels, bytes, digests.

    `sha256` are the 32 bytes of the digest; `facts` what else is known of the image,
    as JSON in ASCII without line feeds, or nothing.
    """

    index: int
    name: str
    media_type: str
    width: int
    height: int
    size: int
    crc32: int
    sha256: bytes
    facts: str = ""


_TOLD = tuple(field.name for field in fields(Entry) if field.name != "facts")


@dataclass(frozen=True, slots=True)
class Failure:
    """An image that could not be made: number from 1, file, problem as JSON."""

    index: int
    name: str
    problem: Mapping[str, Any]


# What stands in the text between the lines of images and those of errors, and behind.
BETWEEN = b'\n],"errors":['
CLOSING = b"\n]}\n"


def opening(collection_id: str, count: int) -> bytes:
    """Return what stands in the text before the first image."""
    about = {"collection": collection_id, "count": count}
    return orjson.dumps(about)[:-1] + b',"images":['


def listed(lines: Iterable[bytes], before: bytes = b"\n") -> Iterator[bytes]:
    """Yield lines as a list has them: the first after `before`, others after commas."""
    for line in lines:
        yield before + line
        before = b",\n"


class Manifest:
    """What became of each image of a collection, in ascending order."""

    def __init__(self, collection_id: str, count: int) -> None:
        self.collection_id = collection_id
        self.count = count
        self.failures: list[Failure] = []
        self._media_type = ""
        self._columns = tuple(array(code) for code in _COLUMNS)
        self._digests = bytearray()
        self._names = Texts()
        self._facts = Texts()

    def __len__(self) -> int:
        return len(self._columns[0])

    def __getitem__(self, place: int) -> Entry:
        """Return an entry by its place in the archive, from 0."""
        return self._entry(place, self._names[place], self._facts[place])

    def _entry(self, place: int, name: str, facts: str) -> Entry:
        index, width, height, crc32, size = (column[place] for column in self._columns)
        sha256 = bytes(self._digests[place * _DIGEST : (place + 1) * _DIGEST])
        return Entry(
            index, name, self._media_type, width, height, size, crc32, sha256, facts
        )

    @property
    def complete(self) -> bool:
        """Whether every image is accounted for."""
        return len(self) + len(self.failures) == self.count

    def add(self, entry: Entry) -> None:
        """Take an image; all of an archive have one media type.

        Raises ValueError where they have not, the digest is not of 32 bytes, or a
        number or name does not fit; nothing is taken then.
        """
        media_type = self._media_type or entry.media_type
        if entry.media_type != media_type:
            raise ValueError(f"{entry.media_type} beside {media_type}")
        texts = entry.name + entry.facts
        if len(entry.sha256) != _DIGEST or "\n" in texts or not entry.facts.isascii():
            raise ValueError(f"{entry.name!r} has no digest, or is more than a line")
        row = (entry.index, entry.width, entry.height, entry.crc32, entry.size)
        # All are tried before one is kept: columns must not differ in length.
        try:
            cells = [array(code, (v,)) for code, v in zip(_COLUMNS, row, strict=True)]
        except OverflowError as error:
            raise ValueError(f"{entry.name} has a number out of bounds") from error
        for column, cell in zip(self._columns, cells, strict=True):
            column.extend(cell)
        self._media_type = media_type
        self._digests += entry.sha256
        self._names.append(entry.name)
        self._facts.append(entry.facts)

    def fail(self, failure: Failure) -> None:
        """Take an image that there is none of."""
        self.failures.append(failure)

    def entries(self) -> Iterator[Entry]:
        """Yield the images that there are."""
        for at in range(0, len(self), _AT_A_TIME):
            stop = at + _AT_A_TIME
            texts = zip(
                self._names.some(at, stop), self._facts.some(at, stop), strict=True
            )
            for place, (name, facts) in enumerate(texts, at):
                yield self._entry(place, name, facts)

    def text(self) -> Iterator[bytes]:
        """Yield the archive's last member, JSON for people too, an image a line."""
        return blocks(
            chain(
                (opening(self.collection_id, self.count),),
                listed(self.image_lines()),
                (BETWEEN,),
                listed(self.error_lines()),
                (CLOSING,),
            )
        )

    def image_lines(self) -> Iterator[bytes]:
        """Yield what the text says of each image, without what stands between."""
        for entry in self.entries():
            about = {name: getattr(entry, name) for name in _TOLD}
            if entry.facts:
                about["facts"] = orjson.Fragment(entry.facts)
            yield orjson.dumps(about, default=bytes.hex)

    def error_lines(self) -> Iterator[bytes]:
        """Yield what the text says of each image that could not be made."""
        for failure in self.failures:
            place = {"index": failure.index, "name": failure.name}
            # First to be read by people, and last because no problem may replace them.
            yield orjson.dumps(place | dict(failure.problem) | place)

    def member(self) -> Member:
        """Return the member that the manifest itself is, the last of its archive."""
        size = crc32 = 0
        for piece in self.text():
            size += len(piece)
            crc32 = zlib_ng.crc32(piece, crc32)
        return Member(MANIFEST, size, crc32)

    def layout(self) -> Layout:
        """Lay the archive out: the images, and this manifest."""
        layout = Layout()
        for entry in self.entries():
            layout.add(Member(entry.name, entry.size, entry.crc32))
        layout.add(self.member())
        layout.close()
        return layout

    def pack(self) -> bytes:
        """Return one block that `unpack` reads."""
        about = {
            "collection": self.collection_id,
            "count": self.count,
            "media_type": self._media_type,
            "entries": len(self),
            "failures": self.failures,
            "order": sys.byteorder,
        }
        head = orjson.dumps(about)
        columns = (column.tobytes() for column in self._columns)
        body = b"".join(
            (
                len(head).to_bytes(4, "big"),
                head,
                *columns,
                self._digests,
                self._names.lines(),
                self._facts.lines(),
            )
        )
        return _MAGIC + zlib_ng.crc32(body).to_bytes(4, "big") + body

    @classmethod
    def unpack(cls, block: bytes) -> "Manifest":
        """Reverse `pack`; raise DamagedManifest where the block is not whole."""
        body = memoryview(block)[len(_MAGIC) + 4 :]
        check = block[len(_MAGIC) : len(_MAGIC) + 4]
        if not block.startswith(_MAGIC) or (
            zlib_ng.crc32(body).to_bytes(4, "big") != check
        ):
            raise DamagedManifest("The manifest of an archive is damaged.")
        try:
            return cls._read(body)
        except (KeyError, TypeError, ValueError) as error:
            # Its checksum is right, so something else wrote it: another version.
            raise DamagedManifest("The manifest is not of this version.") from error

    @classmethod
    def _read(cls, body: memoryview) -> "Manifest":
        start = 4 + int.from_bytes(body[:4], "big")
        about = orjson.loads(body[4:start])
        failures = [Failure(**row) for row in about["failures"]]
        counts = (about["count"], about["entries"])
        numbers = (*counts, *(failure.index for failure in failures))
        texts = (about["collection"], about["media_type"], *(f.name for f in failures))
        if (
            not all(isinstance(number, int) for number in numbers)
            or min(counts) < 0
            or not all(isinstance(text, str) for text in texts)
            or not all(isinstance(failure.problem, dict) for failure in failures)
            or about["order"] not in ("little", "big")
        ):
            raise ValueError("the head has values of other types")
        made = cls(about["collection"], about["count"])
        made._media_type = about["media_type"]
        made.failures = failures
        made._fill(body[start:], about["entries"], about["order"])
        return made

    def _fill(self, data: memoryview, count: int, order: str) -> None:
        at = 0
        for column in self._columns:
            stop = at + count * column.itemsize
            column.frombytes(data[at:stop])
            at = stop
            # A folder may be shared with, or moved from, a machine of the other order.
            if order != sys.byteorder:
                column.byteswap()
        stop = at + count * _DIGEST
        self._digests += data[at:stop]
        lines = bytes(data[stop:]).decode().split("\n")
        # A line feed stands behind the last one too.
        if len(lines) != 2 * count + 1 or lines.pop():
            raise ValueError(f"not the names and facts of {count} images")
        for place in range(count):
            self._names.append(lines[place])
            self._facts.append(lines[count + place])
