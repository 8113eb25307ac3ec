"""Rooms of a folder, which all processes of a machine share."""

import fcntl
import logging
import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

from filelock import FileLock, Timeout
from obstore.store import LocalStore

from app.store import mapped
from app.store.objects import BoundedStore
from app.store.store import Locked, Pauses, StoreError, fault

_LOG = logging.getLogger("mimeo.store")
# No write takes as long: whoever began it is dead.
_STALE_S = 3600
T = TypeVar("T")


class FolderStore(BoundedStore):
    """A room of a folder that processes share; what they lock is the kernel's.

    What a `durable` room has taken outlives the machine's fall.
    """

    shared = True

    def __init__(
        self, root: Path, room: str, limit: int, *, durable: bool = False
    ) -> None:
        super().__init__(lambda: LocalStore(root, mkdir=True), room, limit)
        self._root = root
        self._locks = root / "locks"
        self._scratch = root / "scratch"
        self._durable = durable

    def prove_writable(self) -> None:
        """Fail at the start, not at the first request."""
        try:
            self._locks.mkdir(parents=True, exist_ok=True)
            self._sweep_lock().touch()
        except OSError as error:
            raise StoreError(
                f"cannot write to {self._root}: {error.strerror}"
            ) from error

    @contextmanager
    def lock(self, key: str, pauses: Pauses) -> Iterator[bool]:
        """Hold the key's lock file while the body runs."""
        path = self._locks / self._path(key).replace("/", "-")
        try:
            with closing(pauses):
                descriptor = _flock(path, pauses)
        except OSError as error:
            raise fault("lock", key, error) from error
        try:
            yield True
        finally:
            _unlock(path, descriptor)

    def _write(self, path: str, data: bytes | Iterator[bytes]) -> None:
        with self._staged(data) as staged:
            _place(staged.rename, self._root / path)
            self._settle(path)

    def _create(self, path: str, data: bytes) -> None:
        with self._staged(data) as staged:
            # Unlike a rename, it fails where there is a file.
            _place(partial(os.link, staged), self._root / path)
            self._settle(path)

    @contextmanager
    def _staged(self, data: bytes | Iterator[bytes]) -> Iterator[Path]:
        """Write a file that nobody reads, for the body to give it its name.

        Directly, as files are read: obstore goes through a thread of its own, which
        makes 85 us of 45 for a write, and 75 of 10 for a read of 40 KB.
        """
        # Process and thread ids are unique in one container, not in a shared folder.
        staged = self._scratch / f"{self._room}-{secrets.token_hex(16)}"
        pieces = (data,) if isinstance(data, bytes) else data
        try:
            with _place(lambda path: open(path, "xb"), staged) as file:
                file.writelines(pieces)
                if self._durable:
                    file.flush()
                    os.fsync(file.fileno())
            yield staged
        finally:
            staged.unlink(missing_ok=True)

    def _settle(self, path: str) -> None:
        """Write the name of a new file to the disk, too, where the room is durable."""
        if self._durable:
            descriptor = os.open((self._root / path).parent, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def _get(self, path: str) -> bytes | memoryview:
        with open(self._root / path, "rb") as file:
            if os.fstat(file.fileno()).st_size < mapped.LARGE:
                return file.read()
            # Files are replaced and deleted, never changed: a map stays as it is.
            return mapped.view(file.fileno())

    def _read(self, path: str, start: int, stop: int) -> bytes:
        with open(self._root / path, "rb", buffering=0) as file:
            # Room is made for all that is asked for, and a damaged entry may ask for
            # more than there is memory.
            end = min(stop, os.fstat(file.fileno()).st_size)
            return os.pread(file.fileno(), max(0, end - start), start)

    def _size(self, path: str) -> int:
        return (self._root / path).stat().st_size

    def _sweep_lock(self) -> Path:
        return self._locks / f"{self._room}-sweep"

    def _sweep_alone(self) -> None:
        """Sweep unless another worker does."""
        self._locks.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(self._sweep_lock(), timeout=0):
                self.sweep()
                self._sweep_remains()
        except Timeout:
            _LOG.debug("another worker sweeps the store")

    def _sweep_remains(self) -> None:
        """Delete what killed processes left: files half written, and locks."""
        oldest = time.time() - _STALE_S
        for path in self._scratch.glob(f"{self._room}-*"):
            if _is_older(path, oldest):
                path.unlink(missing_ok=True)
        for path in self._locks.glob(f"{self._room}-*"):
            if path != self._sweep_lock() and _is_older(path, oldest):
                with suppress(Locked):
                    _unlock(path, _flock(path, iter(())))


def _is_older(path: Path, than_s: float) -> bool:
    try:
        return path.stat().st_mtime < than_s
    except FileNotFoundError:
        return False


def _place(use: Callable[[Path], T], path: Path) -> T:
    """Use a path whose folder may be gone, because somebody emptied the cache."""
    try:
        return use(path)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        return use(path)


def _flock(path: Path, pauses: Iterator[float]) -> int:
    """Return a descriptor that holds the file, which is made where there is none.

    By hand, 4 us; filelock, which also serves Windows, takes 85 us.
    """
    while True:
        descriptor = _place(_open, path)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            pause = next(pauses, None)
            if pause is None:
                raise Locked from None
            time.sleep(pause)
            continue
        if os.fstat(descriptor).st_nlink:
            return descriptor
        # Whoever held it deleted it: by now there may be another of this name.
        os.close(descriptor)


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o644)


def _unlock(path: Path, descriptor: int) -> None:
    """Delete a lock file that is held, and hold it no longer."""
    with suppress(OSError):
        path.unlink()
    # Unlocked by name: a forked process may hold the descriptor, too.
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    os.close(descriptor)
