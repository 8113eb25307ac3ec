"""Rooms of a store that obstore reaches: a bucket, or this process's memory."""

import logging
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext, suppress

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import ObjectStore as Backend

from app.store.store import Pauses, StoreError, fault

_LOG = logging.getLogger("mimeo.store")
SWEEPER = "mimeo-sweeper"
# A sweep leaves an eighth free, and a worker asks for one after writing a
# sixty-fourth: eight workers together stay under the bound between two sweeps.
_KEPT = 7 / 8
_STEP = 1 / 64
_KEY = re.compile(r"[0-9a-f]{64}(\.[a-z]+)?\Z")
# S3 takes no smaller parts. One at a time, because each is held in memory.
_PART = 5 << 20


class ObjectStore:
    """A room of a bucket, which is bounded by the bucket's own lifecycle rules.

    The backend is opened at the first use: obstore starts threads then, and they
    would not survive a fork.
    """

    shared = True
    keeps = True

    def __init__(self, connect: Callable[[], Backend], room: str) -> None:
        self._connect = connect
        self._room = room
        self._guard = threading.Lock()
        self._backend: Backend | None = None

    def get(self, key: str) -> bytes | memoryview | None:
        """Return the bytes under a key, or None."""
        path = self._path(key)
        try:
            return self._get(path)
        except FileNotFoundError:
            return None
        except (BaseError, OSError) as error:
            raise fault("read", key, error) from error

    def read(self, key: str, start: int, stop: int) -> bytes | None:
        """Return the bytes from `start` to before `stop`: fewer at the end."""
        path = self._path(key)
        try:
            return self._read(path, start, stop)
        except FileNotFoundError:
            return None
        except (BaseError, OSError) as error:
            raise fault("read", key, error) from error

    def has(self, key: str) -> bool:
        """Say whether there is an entry, without reading it."""
        path = self._path(key)
        try:
            self._size(path)
        except FileNotFoundError:
            return False
        except (BaseError, OSError) as error:
            raise fault("read", key, error) from error
        return True

    def put(self, key: str, data: bytes | Iterator[bytes]) -> None:
        """Keep the bytes, whole or not at all; an iterator is not held in memory."""
        path = self._path(key)
        try:
            self._write(path, data)
        except (BaseError, OSError) as error:
            raise fault("write", key, error) from error

    def create(self, key: str, data: bytes) -> bool:
        """Keep the bytes where there is no entry yet; return whether they are kept.

        A bucket decides it (If-None-Match, RFC 9110, section 13.1.2).
        """
        path = self._path(key)
        try:
            self._create(path, data)
        except FileExistsError:
            return False
        except (BaseError, OSError) as error:
            raise fault("write", key, error) from error
        return True

    def lock(self, key: str, pauses: Pauses) -> AbstractContextManager[bool]:
        """Hold nothing: neither a bucket nor memory has locks between processes."""
        return nullcontext(False)

    def _get(self, path: str) -> bytes | memoryview:
        return obstore.get(self._open(), path).bytes().to_bytes()

    def _read(self, path: str, start: int, stop: int) -> bytes:
        try:
            found = obstore.get_range(self._open(), path, start=start, end=stop)
        except BaseError:
            # Each backend words it in its own way that the range is past the end.
            if start < self._size(path):
                raise
            return b""
        return found.to_bytes()

    def _write(self, path: str, data: bytes | Iterator[bytes]) -> None:
        obstore.put(self._open(), path, data, chunk_size=_PART, max_concurrency=1)

    def _create(self, path: str, data: bytes) -> None:
        try:
            obstore.put(self._open(), path, data, mode="create")
        except AlreadyExistsError as error:
            raise FileExistsError from error

    def _size(self, path: str) -> int:
        return obstore.head(self._open(), path)["size"]

    def _path(self, key: str) -> str:
        """Spread entries over 256 folders: one folder of a million files is slow."""
        if not _KEY.match(key):
            raise ValueError(f"{key!r} is not a key")
        return f"{self._room}/{key[:2]}/{key}"

    def _open(self) -> Backend:
        if self._backend is None:
            with self._guard:
                if self._backend is None:
                    self._backend = self._connect()
        return self._backend


class BoundedStore(ObjectStore):
    """A room of this process's memory that deletes its oldest beyond `limit` bytes."""

    shared = False

    def __init__(self, connect: Callable[[], Backend], room: str, limit: int) -> None:
        super().__init__(connect, room)
        self._limit = limit
        self._step = max(1, int(limit * _STEP))
        self._unswept = self._step

    def put(self, key: str, data: bytes | Iterator[bytes]) -> None:
        """Keep the bytes; raise StoreError where they take an eighth of the room."""
        most = int(self._limit * (1 - _KEPT))
        if isinstance(data, bytes):
            _refuse_more(len(data), most)
            super().put(key, data)
            self._count(len(data))
        else:
            counted = _CountedChunks(data, most)
            super().put(key, counted)
            self._count(counted.size)

    def create(self, key: str, data: bytes) -> bool:
        """Keep the bytes where there is no entry yet; return whether they are kept."""
        _refuse_more(len(data), int(self._limit * (1 - _KEPT)))
        created = super().create(key, data)
        if created:
            self._count(len(data))
        return created

    def sweep(self) -> int:
        """Delete the oldest entries beyond the bound; return how many bytes went."""
        entries = sorted(self._entries())
        excess = sum(size for _, size, _ in entries) - int(self._limit * _KEPT)
        freed = 0
        for _, size, path in entries:
            if freed >= excess:
                break
            # Whoever cleans the folder up by hand may have been quicker.
            with suppress(FileNotFoundError):
                obstore.delete(self._open(), path)
            freed += size
        return freed

    def _entries(self) -> Iterator[tuple[float, int, str]]:
        for batch in obstore.list(self._open(), prefix=self._room):
            for entry in batch:
                yield entry["last_modified"].timestamp(), entry["size"], entry["path"]

    def _count(self, written: int) -> None:
        with self._guard:
            self._unswept += written
            due = self._unswept > self._step
            if due:
                self._unswept = 0
        if due:
            threading.Thread(
                target=self._sweep_safely, name=SWEEPER, daemon=True
            ).start()

    def _sweep_safely(self) -> None:
        try:
            self._sweep_alone()
        except (BaseError, OSError):
            _LOG.exception("the store could not be swept")

    def _sweep_alone(self) -> None:
        self.sweep()


class _CountedChunks(Iterator[bytes]):
    """Counts what passes, and refuses what is more than `most` bytes."""

    def __init__(self, pieces: Iterator[bytes], most: int) -> None:
        self._pieces = pieces
        self._most = most
        self.size = 0

    def __next__(self) -> bytes:
        piece = next(self._pieces)
        self.size += len(piece)
        _refuse_more(self.size, self._most)
        return piece


def _refuse_more(size: int, most: int) -> None:
    if size > most:
        raise StoreError(f"{size:,} bytes are too many for one entry")
