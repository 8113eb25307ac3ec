"""Uploads for tests: bodies, bounds, and streams that are too long to keep."""

import io
from collections.abc import Iterator
from functools import partial

import orjson

from app.collection.errors import BadRows, RowFault
from app.collection.ingest.upload import read_upload
from app.collection.ingest.writer import Draft
from app.config import Settings
from app.parsing.image import read_pairs
from app.renderer.catalogue import Catalogue

CSV = "text/csv"
JSON = "application/json"
NDJSON = "application/x-ndjson"
MULTIPART = "multipart/form-data; boundary=B"


# Settings with the bound of a row that a test can reach.
Limits = partial(Settings, max_body_bytes=1 << 20)


class Endless:
    """A stream that repeats a pattern without end and counts what was taken."""

    def __init__(self, head: bytes, pattern: bytes) -> None:
        self._head = head
        self._pattern = pattern
        self.taken = 0

    def read(self, size: int) -> bytes:
        """Return `size` bytes, however often."""
        head, self._head = self._head[:size], self._head[size:]
        rest = size - len(head)
        self.taken += size
        return head + (self._pattern * (rest // len(self._pattern) + 1))[:rest]


class Drips:
    """A stream that hands out a few bytes at a time."""

    def __init__(self, data: bytes, size: int) -> None:
        self._data = io.BytesIO(data)
        self._size = size

    def read(self, size: int) -> bytes:
        """Return fewer bytes than asked for."""
        return self._data.read(min(size, self._size))


def upload(
    catalogue: Catalogue,
    body: bytes | str,
    kind: str = CSV,
    query: str = "renderer=badge",
    bounds: Settings | None = None,
) -> Draft:
    """Read a body; a table of badges unless said otherwise."""
    data = body.encode() if isinstance(body, str) else body
    limits = bounds or Limits()
    pairs = read_pairs(query.encode())
    return read_upload(io.BytesIO(data), kind, pairs, catalogue, limits)


def faults_of(error: BadRows) -> Iterator[tuple[int | None, int | None, str]]:
    """Yield row, line and field of each fault."""
    for fault in error.faults:
        assert isinstance(fault, RowFault)
        yield fault.row, fault.line, fault.field


def form(*parts: tuple[str, bytes]) -> bytes:
    """Return a multipart body of headers, such as `name="rows"`, and contents."""
    made = [
        b"--B\r\nContent-Disposition: form-data; %b\r\n\r\n%b\r\n"
        % (head.encode(), data)
        for head, data in parts
    ]
    return b"".join(made) + b"--B--\r\n"


def json_of(**members: object) -> bytes:
    """Return a JSON body."""
    return orjson.dumps(members)
