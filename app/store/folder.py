"""Rooms of a folder, which all processes of a machine share."""

import fcntl
import logging
import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from filelock import FileLock, Timeout
from obstore.store import LocalStore

from app.store import mapped
from app.store.objects import BoundedStore
from app.store.store import StoreError, fault

_LOG = logging.getLogger("mimeo.store")
_POLL_S = 0.005
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
    def lock(self, key: str, timeout_s: float) -> Iterator[bool | None]:
        """Hold the key's lock file, one of 4,096, while the body runs."""
        # By hand, 4 us; filelock, which also serves Windows, takes 85 us.
        try:
            descriptor = self._open_lock(self._locks / f"{self._room}-{key[:3]}")
        except OSError as error:
            raise fault("lock", key, error) from error
        try:
            yield _flock(descriptor, timeout_s)
        finally:
            # Unlocked by name: a forked process may hold the descriptor, too.
            fcntl.flock(descriptor, fcntl.LOCK_UN)
            os.close(descriptor)

    def _open_lock(self, path: Path) -> int:
        try:
            return os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except FileNotFoundError:
            # Whoever empties a cache by hand takes the folder along.
            self._locks.mkdir(parents=True, exist_ok=True)
            return os.open(path, os.O_RDWR | os.O_CREAT, 0o644)

    def _write(self, path: str, data: bytes | Iterator[bytes]) -> None:
        with self._staged(data) as staged:
            _place(staged.rename, self._root / path)
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
            return os.pread(file.fileno(), stop - start, start)

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
                self._sweep_scratch()
        except Timeout:
            _LOG.debug("another worker sweeps the store")

    def _sweep_scratch(self) -> None:
        """Delete what killed processes left half written."""
        oldest = time.time() - _STALE_S
        for staged in self._scratch.glob(f"{self._room}-*"):
            # Another process may be quicker.
            with suppress(FileNotFoundError):
                if staged.stat().st_mtime < oldest:
                    staged.unlink()


def _place(use: Callable[[Path], T], path: Path) -> T:
    """Use a path whose folder may be gone, because somebody emptied the cache."""
    try:
        return use(path)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        return use(path)


def _flock(descriptor: int, timeout_s: float) -> bool:
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(_POLL_S)
        else:
            return True
