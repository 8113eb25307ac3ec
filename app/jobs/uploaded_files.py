"""Files that are sent before the batch that reads them, in a room of the store.

One entry each, `<id>/file`: a head of fixed length, and the bytes behind it.
"""

import secrets
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from threading import Lock
from typing import IO

import orjson

from app.access.caller import Caller, Kind
from app.access.errors import QuotaExceeded
from app.collection.collection import Read
from app.jobs.errors import JobsFull, UnknownFile
from app.store import Store

_HEAD = 4096
# In JSON a character takes up to six bytes for each of its own four.
_MOST_NAME = 150
_PIECE = 256 << 10
# Of what jobs may have, all files may have a part beside; one caller, a part of that.
_PART, _SHARE = 4, 4
_QUOTA_RETRY_S = 3600
_LIMIT = "a quarter of MIMEO_JOBS_BYTES"


@dataclass(frozen=True, slots=True)
class UploadedFile:
    """A file: whose it is, when it came, in seconds since the epoch, and its bytes."""

    id: str
    name: str
    size: int
    created: float
    kind: Kind
    account: str


class UploadedFiles:
    """The files of a store, as all workers see them; all may raise StoreError.

    `limit` are the bytes that jobs may have, None where there is no bound; a file is
    kept for `ttl_s` seconds.
    """

    def __init__(self, store: Store, limit: int | None, ttl_s: int) -> None:
        self._store = store
        self._limit = None if limit is None else limit // _PART
        self._ttl_s = ttl_s
        self._adding = Lock()

    def add(
        self, name: str, data: IO[bytes], size: int, caller: Caller
    ) -> UploadedFile:
        """Keep a file, read from its beginning; raise JobsFull, QuotaExceeded."""
        id, now = secrets.token_hex(32), time.time()
        made = UploadedFile(id, name[:_MOST_NAME], size, now, caller.kind, caller.id)

        def pieces() -> Iterator[bytes]:
            yield orjson.dumps(asdict(made)).ljust(_HEAD)
            data.seek(0)
            while piece := data.read(_PIECE):
                yield piece

        # Two of one worker at once would both find the same room.
        with self._adding:
            self._reserve(made)
            self._store.put(f"{id}/file", pieces())
        return made

    def _reserve(self, made: UploadedFile) -> None:
        """Forget what is over, and refuse what there is no room for."""
        own = total = 0
        for other in self._kept():
            if self._is_past(other):
                self.delete(other)
                continue
            total += other.size
            own += other.size if other.account == made.account else 0
        if self._limit is None:
            return
        if total + made.size > self._limit:
            raise JobsFull(_LIMIT, self._limit, made.size)
        most = self._limit // _SHARE
        if made.kind != "local" and own + made.size > most:
            left = max(0, most - own)
            raise QuotaExceeded(most, left, "bytes", _QUOTA_RETRY_S)

    def get(self, id: str) -> UploadedFile:
        """Return a file by its id, 64 hexadecimal digits; raise UnknownFile."""
        found = self._get(id)
        if self._is_past(found):
            raise UnknownFile(id)
        return found

    def _get(self, id: str) -> UploadedFile:
        head = self._store.read(f"{id}/file", 0, _HEAD)
        if head is None:
            raise UnknownFile(id)
        return UploadedFile(**orjson.loads(head))

    def _is_past(self, file: UploadedFile) -> bool:
        return time.time() > self.expires(file)

    def all(self) -> Iterator[UploadedFile]:
        """Yield all files, in no order."""
        for file in self._kept():
            if not self._is_past(file):
                yield file

    def _kept(self) -> Iterator[UploadedFile]:
        for id in self._store.folders():
            # Another worker may have deleted it since.
            with suppress(UnknownFile):
                yield self._get(id)

    def expires(self, file: UploadedFile) -> float:
        """Return until when a file is kept, in seconds since the epoch."""
        return file.created + self._ttl_s

    def read(self, file: UploadedFile) -> Read:
        """Return what reads a file; what it returns raises UnknownFile."""

        def read(start: int, stop: int) -> bytes:
            block = self._store.read(f"{file.id}/file", _HEAD + start, _HEAD + stop)
            if block is None:
                raise UnknownFile(file.id)
            return block

        return read

    def delete(self, file: UploadedFile) -> None:
        """Forget a file; batches that have read it need it no more."""
        self._store.delete(f"{file.id}/file")


class ReadStream:
    """Hands out, as a stream, what is read by places."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._at = 0

    def read(self, size: int = _PIECE, /) -> bytes:
        """Return up to `size` bytes; none at the end."""
        block = self._read(self._at, self._at + size)
        self._at += len(block)
        return block
