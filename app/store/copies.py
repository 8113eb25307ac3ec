"""Copies of what a bucket has, in a folder of this machine, for a while.

Only what never changes is copied. No copy is needed: instead of one that is damaged,
too old or not there the bucket is read. Nobody asks whether the original of a copy is
still there, so it is served for an hour at most.
"""

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from app.store.checked import checked, unchecked
from app.store.format import mark_folder
from app.store.rooms import FolderStore
from app.store.store import NoStore, Store, StoreError, key_for

_LOG = logging.getLogger("mimeo.store")
_KEPT_S = 3600.0
# Of large entries so much is read, and copied, at a time.
_BLOCK = 1 << 20
Block = bytes | memoryview
Read = Callable[[int, int], bytes]
T = TypeVar("T")


class FolderOfCopies(FolderStore):
    """A bounded room of a folder whose entries are old after an hour."""

    def _get(self, path: str) -> bytes | memoryview:
        self._refuse_old(path)
        return super()._get(path)

    def _read(self, path: str, start: int, stop: int) -> bytes:
        self._refuse_old(path)
        return super()._read(path, start, stop)

    def _refuse_old(self, path: str) -> None:
        if (self._root / path).stat().st_mtime < time.time() - _KEPT_S:
            raise FileNotFoundError

    def sweep(self) -> int:
        """Delete the old, and the oldest beyond the bound; return how much went."""
        oldest = time.time() - _KEPT_S
        for modified, _, path in self._entries():
            if modified < oldest:
                # Another worker may have been quicker.
                with suppress(FileNotFoundError):
                    self._delete(path)
        return super().sweep()


class Copies:
    """Copies of entries, or none; may be shared by threads, and raises nothing.

    `whole` has those of small entries, `parts` blocks of large ones, so that an archive
    pushes out no picture. `count` is told of each look whether it found something.
    """

    def __init__(
        self,
        whole: Store | None = None,
        parts: Store | None = None,
        count: Callable[[bool], None] = lambda _: None,
    ) -> None:
        self._whole: Store = whole or NoStore()
        self._parts: Store = parts or NoStore()
        self._count = count
        self.keeps = self._whole.keeps

    def find(self, key: str, decode: Callable[[Block], T | None]) -> T | None:
        """Return what `decode` makes of a copy; None without one that is whole.

        It raises ValueError where the copy is damaged.
        """
        return self._find(self._whole, key, decode)

    def keep(self, key: str, block: Block) -> None:
        """Keep a copy."""
        self._keep(self._whole, key, block)

    def forget(self, key: str) -> None:
        """Delete a copy: its original goes."""
        try:
            self._whole.delete(key)
        except StoreError as error:
            _LOG.warning("store: a copy stays for an hour: %s", error)

    def reading(self, name: str, read: Read, *, large: bool = False) -> Read:
        """Return what reads an entry that never changes, and copies what it reads.

        `name` is the entry's alone, now and later; `large` ones have room of their own.
        """
        if not self.keeps:
            return read
        store = self._parts if large else self._whole

        def cut(start: int, stop: int) -> bytes:
            pieces = []
            while start < stop:
                number, at = divmod(start, _BLOCK)
                block = self._block(store, f"{name} {number}", number, read)
                pieces.append(block[at : at + stop - start])
                start = (number + 1) * _BLOCK
                if len(block) < _BLOCK:
                    break
            return b"".join(pieces)

        return cut

    def _block(self, store: Store, name: str, number: int, read: Read) -> bytes:
        key = key_for(name)
        block = self._find(store, key, unchecked)
        if block is None:
            block = read(number * _BLOCK, (number + 1) * _BLOCK)
            self._keep(store, key, checked(block))
        return block

    def _find(
        self, store: Store, key: str, decode: Callable[[Block], T | None]
    ) -> T | None:
        if not self.keeps:
            return None
        found = None
        try:
            block = store.get(key)
            found = None if block is None else decode(block)
        except (StoreError, ValueError) as error:
            _LOG.warning("store: a copy is not used: %s", error)
        self._count(found is not None)
        return found

    def _keep(self, store: Store, key: str, block: Block) -> None:
        try:
            store.put(key, bytes(block))
        except StoreError as error:
            # Too large for the folder, or the disk is full.
            _LOG.info("store: nothing is copied: %s", error)


def copies_in(
    folder: Path,
    limit: int,
    count: Callable[[bool], None],
    swept: Callable[[int, int], None],
) -> Copies:
    """Return copies in a folder, of at most `limit` bytes; raise StoreError."""
    mark_folder(folder)
    whole, parts = (
        FolderOfCopies(folder, room, limit // 2, swept) for room in ("copies", "parts")
    )
    for room in (whole, parts):
        room.prove_writable()
    return Copies(whole, parts, count)
