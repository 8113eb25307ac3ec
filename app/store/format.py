"""The version of a store's format, which stands in the store itself as `format`.

It counts folders, names and locks. What an entry holds has a version of its own in
its first bytes, and of an older one is made anew.
"""

from contextlib import suppress
from pathlib import Path

import obstore
from obstore.exceptions import AlreadyExistsError
from obstore.store import ObjectStore as Backend

from app.store.store import StoreError, WrongFormat

NAME = "format"
VERSION = 1
_TEXT = b"%d\n" % VERSION


def mark_folder(root: Path) -> None:
    """Write the version into a folder that has none; raise StoreError.

    Of a later version it is WrongFormat.
    """
    file = root / NAME
    try:
        root.mkdir(parents=True, exist_ok=True)
        if not file.exists():
            # Not durable and not locked: all who write it write the same.
            file.write_bytes(_TEXT)
        _check(file.read_bytes(), str(root))
    except OSError as error:
        raise StoreError(f"cannot write to {root}: {error.strerror}") from error


def marked(backend: Backend, place: str) -> Backend:
    """Do the same for a bucket, which is returned.

    Raises StoreError, and what obstore raises where the bucket does not answer.
    """
    try:
        _check(obstore.get(backend, NAME).bytes().to_bytes(), place)
    except FileNotFoundError:
        # Of several workers one is first, and all write the same.
        with suppress(AlreadyExistsError):
            obstore.put(backend, NAME, _TEXT, mode="create")
    return backend


def _check(data: bytes, place: str) -> None:
    # Empty: it is being written at this moment.
    text = data[:20].decode("ascii", "replace").strip() or str(VERSION)
    if text == str(VERSION):
        return
    if text.isascii() and text.isdigit() and int(text) > VERSION:
        raise WrongFormat(
            f"{place} has format {text}, and this version of Mimeo knows {VERSION}:"
            " run the version that wrote it, or name another store"
        )
    raise WrongFormat(f"{place} has {text!r} in its file `format`, which is no version")
