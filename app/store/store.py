"""What a store is, and the one that keeps nothing."""

import hashlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol


class StoreError(Exception):
    """The store cannot be used: the folder is not writable, the disk is full."""


class Store(Protocol):
    """What the pipeline needs of a store; every method may be called by any thread.

    All raise StoreError on a fault, and ValueError where the key is none.
    """

    @property
    def shared(self) -> bool:
        """Whether other processes see the entries."""

    @property
    def keeps(self) -> bool:
        """Whether what is put can be had again."""

    def get(self, key: str) -> bytes | memoryview | None:
        """Return the bytes under a key, or None: of large ones a view of a file."""

    def read(self, key: str, start: int, stop: int) -> bytes | None:
        """Return the bytes from `start` to before `stop`: fewer at the end.

        None where there is no entry.
        """

    def has(self, key: str) -> bool:
        """Say whether there is an entry, without reading it."""

    def put(self, key: str, data: bytes | Iterator[bytes]) -> None:
        """Keep the bytes, whole or not at all; an iterator is not held in memory.

        What the iterator raises is raised, and nothing is kept.
        """

    def lock(self, key: str, timeout_s: float) -> AbstractContextManager[bool | None]:
        """Hold the key against other processes while the body runs.

        The body gets True, or False where another held it all the time, or None
        where there is no such lock and it cannot know. A few keys share a lock.
        """


class NoStore:
    """Keeps nothing."""

    shared = False
    keeps = False

    def get(self, key: str) -> bytes | memoryview | None:
        """Return None."""
        return None

    def read(self, key: str, start: int, stop: int) -> bytes | None:
        """Return None."""
        return None

    def has(self, key: str) -> bool:
        """Return False."""
        return False

    def put(self, key: str, data: bytes | Iterator[bytes]) -> None:
        """Forget the bytes."""

    def lock(self, key: str, timeout_s: float) -> AbstractContextManager[bool | None]:
        """Hold nothing."""
        return nullcontext()


def key_for(text: str) -> str:
    """Return the key of what has a name and not a content address."""
    return hashlib.sha256(text.encode()).hexdigest()


def sees_all(store: Store, workers: int) -> bool:
    """Tell whether each of the workers finds what another one put."""
    return store.keeps and (store.shared or workers == 1)


def fault(verb: str, key: str, error: Exception) -> StoreError:
    """Return the error that says what could not be done with a key."""
    return StoreError(f"cannot {verb} {key}: {reason(error)}")


def reason(error: Exception) -> str:
    """Return the first line: what obstore adds below is for its own developers."""
    return str(error).partition("\n")[0]
