"""Bytes by key: a folder, memory, a bucket, or nothing.

Keys are 64 hexadecimal digits with or without a suffix such as `.archive`. Most are
content addresses, so that an entry never changes once it is written; the only questions
are whether it is there and when it goes. Each room of a store has a bound of its own.
"""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from obstore.exceptions import BaseError
from obstore.store import MemoryStore, from_url
from obstore.store import ObjectStore as Backend

from app.store.checked import checked, unchecked
from app.store.format import mark_folder, marked
from app.store.rooms import SWEEPER, BoundedStore, FolderStore, ObjectStore
from app.store.store import (
    Locked,
    NoStore,
    Pauses,
    Store,
    StoreError,
    get_or_create,
    key_for,
    reason,
    sees_all,
)

if TYPE_CHECKING:
    from obstore.store import RetryConfig

__all__ = [
    "SWEEPER",
    "BoundedStore",
    "FolderStore",
    "Locked",
    "NoStore",
    "ObjectStore",
    "Pauses",
    "Store",
    "StoreError",
    "checked",
    "get_or_create",
    "key_for",
    "open_store",
    "sees_all",
    "unchecked",
]

# A bucket that does not answer costs seconds; obstore's own patience is minutes.
_RETRIES: "RetryConfig" = {"max_retries": 2, "retry_timeout": timedelta(seconds=5)}


def open_store(
    url: str,
    limit: int,
    room: str = "media",
    swept: Callable[[int, int], None] | None = None,
    *,
    durable: bool = False,
) -> Store:
    """Open a room of the store that `MIMEO_STORE` names, bounded to `limit` bytes.

    What a `durable` room of a folder has taken outlives the machine's fall. `swept` is
    told how many entries, and bytes, went at a time.
    Raises StoreError where the folder cannot be made or written, or the URL of a
    bucket cannot be used, or where a later version of Mimeo has written there; of a
    bucket that shows at the first use, as whether it answers.
    """
    if url == "none":
        return NoStore()
    if url == "memory:":
        return BoundedStore(MemoryStore, room, limit, swept)
    if "://" in url:
        _bucket(url)
        return ObjectStore(lambda: marked(_bucket(url), url), room)
    # First: a later version's folder is left as it is.
    mark_folder(Path(url))
    store = FolderStore(Path(url), room, limit, swept, durable=durable)
    store.prove_writable()
    return store


def _bucket(url: str) -> Backend:
    """Connect with the credentials in the environment (`AWS_...` and the like)."""
    try:
        return from_url(url, retry_config=_RETRIES)
    except (BaseError, ValueError) as error:
        raise StoreError(f"cannot open {url}: {reason(error)}") from error
