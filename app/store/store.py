"""What a store is, and the one that keeps nothing."""

import hashlib
from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol


class StoreError(Exception):
    """The store cannot be used: the folder is not writable, the disk is full.

    A `known` one follows of what the log has said once already.
    """

    known = False


class WrongFormat(StoreError):
    """Another version of Mimeo has written the store, or somebody into its `format`."""


class LeftAlone(ConnectionError):
    """A bucket did not answer, and is not asked for a while."""


class Locked(Exception):
    """Another process holds a key for longer than one would wait."""


# A generator, because whoever counts the waiting wants to know when they do no more.
Pauses = Generator[float, None, None]


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

    def create(self, key: str, data: bytes | Iterator[bytes]) -> bool:
        """Keep the bytes where there is no entry yet; return whether they are kept.

        For a bucket they are in memory at one time. Of all who do so at one moment, on
        whatever machine, one gets True.
        """

    def delete(self, key: str) -> None:
        """Forget what is under a key, if there is anything."""

    def below(self, folder: str, after: str = "") -> list[tuple[str, int]]:
        """Return key and size of all entries below a folder, in no order.

        Of those alone whose names there come `after` one, as S3 sorts them. Keys may be
        paths: 64 digits and names of lower-case letters, digits, dots and hyphens, a
        slash before each; a folder is a key without the last of them.
        """

    def folders(self) -> list[str]:
        """Return the first parts, 64 digits, of all keys that are paths."""

    def lock(self, key: str, pauses: Pauses) -> AbstractContextManager[bool]:
        """Hold the key against other processes while the body runs.

        While another holds it, `pauses` says how many seconds to sleep before each
        look; it may raise, and Locked is raised where it ends. The body gets False
        where there are no locks between processes. A folder's ends with its process; a
        bucket's some time later, also where its holder lives and is cut off.
        """

    def hold(self, key: str) -> AbstractContextManager[bool]:
        """Create an entry, and let others see that its maker lives, in the body.

        The entry stays. The body gets False where there was one; of all who do so at
        one moment one gets True.
        """

    def is_held(self, key: str) -> bool:
        """Tell whether whoever made an entry by `hold` may still be in the body.

        Of who died it is told as `lock` ends. Without locks nobody is.
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

    def create(self, key: str, data: bytes | Iterator[bytes]) -> bool:
        """Forget the bytes; there never was an entry."""
        return True

    def delete(self, key: str) -> None:
        """Do nothing: there never is an entry."""

    def below(self, folder: str, after: str = "") -> list[tuple[str, int]]:
        """Return nothing."""
        return []

    def folders(self) -> list[str]:
        """Return nothing."""
        return []

    def lock(self, key: str, pauses: Pauses) -> AbstractContextManager[bool]:
        """Hold nothing."""
        return nullcontext(False)

    def hold(self, key: str) -> AbstractContextManager[bool]:
        """Forget the entry; there never was one."""
        return nullcontext(True)

    def is_held(self, key: str) -> bool:
        """Return False."""
        return False


def key_for(text: str) -> str:
    """Return the key of what has a name and not a content address."""
    return hashlib.sha256(text.encode()).hexdigest()


def get_or_create(store: Store, key: str, data: bytes) -> bytes:
    """Return what is under a key: `data`, where there was nothing before.

    All who do so get the same. Raises StoreError.
    """
    # By creating first: whoever looks first and writes then may write over another.
    if store.create(key, data):
        return data
    found = store.get(key)
    if found is None:
        raise StoreError(f"cannot read {key}: it was deleted at this moment")
    return bytes(found)


def sees_all(store: Store, workers: int) -> bool:
    """Tell whether each of the workers finds what another one put."""
    return store.keeps and (store.shared or workers == 1)


def fault(verb: str, key: str, error: Exception) -> StoreError:
    """Return the error that says what could not be done with a key."""
    made = StoreError(f"cannot {verb} {key}: {reason(error)}")
    made.known = isinstance(error, LeftAlone)
    return made


def reason(error: Exception) -> str:
    """Return the first line: what obstore adds below is for its own developers."""
    return str(error).partition("\n")[0]
