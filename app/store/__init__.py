"""Bytes by key: a folder, memory, a bucket, or nothing.

Keys are 64 hexadecimal digits with or without a suffix such as `.archive`, or with a
path behind them. Most are content addresses, so that an entry never changes once it is
written; the only questions are whether it is there and when it goes. Each room of a
store has a bound of its own, or none: then nothing goes but by `delete`.
"""

import os
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from weakref import WeakValueDictionary

from obstore.exceptions import BaseError
from obstore.store import MemoryStore, from_url
from obstore.store import ObjectStore as Backend

from app.store.bucket import Bucket, BucketStore
from app.store.checked import checked, unchecked
from app.store.copies import Copies, copies_in
from app.store.format import mark_folder, marked
from app.store.rooms import SWEEPER, BoundedStore, FolderStore, ObjectStore
from app.store.store import (
    Locked,
    NoStore,
    Pauses,
    Store,
    StoreError,
    WrongFormat,
    get_or_create,
    key_for,
    reason,
    sees_all,
)

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig

__all__ = [
    "SWEEPER",
    "BoundedStore",
    "BucketStore",
    "Copies",
    "FolderStore",
    "Locked",
    "NoStore",
    "ObjectStore",
    "Pauses",
    "Store",
    "StoreError",
    "WrongFormat",
    "checked",
    "copies_in",
    "get_or_create",
    "key_for",
    "open_store",
    "sees_all",
    "unchecked",
]

# A bucket that does not answer costs seconds; obstore's own patience is minutes. Of a
# part of 5 MiB, which is sent in silence, a megabyte a second gets through.
_SILENCE_S = 5.0
_CONNECT_S = 2.0
_RETRY_S = 2.0
_WHOLE_S = 60.0
# Threads that wait for a bucket, where nobody says how many there are.
_PLACES = 8
# By their URLs and what the environment says of them: all rooms share one.
_BUCKETS: WeakValueDictionary[object, Bucket] = WeakValueDictionary()
_ENVIRONMENT = re.compile(r"(AWS|GOOGLE|AZURE)_(.+)")
# What obstore itself reads there, and forgets where it is given anything of the kind.
_CLIENT = frozenset(
    (
        *("allow_http", "allow_invalid_certificates", "connect_timeout", "http1_only"),
        *("http2_only", "pool_idle_timeout", "pool_max_idle_per_host", "proxy_url"),
        *("proxy_ca_certificate", "proxy_excludes", "randomize_addresses"),
        *("read_timeout", "timeout", "user_agent"),
    )
)


def open_store(
    url: str,
    limit: int | None,
    room: str = "media",
    swept: Callable[[int, int], None] | None = None,
    *,
    durable: bool = False,
    places: int = _PLACES,
) -> Store:
    """Open a room of the store that `MIMEO_STORE` names, bounded to `limit` bytes.

    Without a limit nothing is ever deleted to make room. What a `durable` room of a
    folder has taken outlives the machine's fall; in a bucket it has locks. `swept` is
    told how many entries, and bytes, went at a time. At most `places` threads call a
    bucket at a time.
    Raises StoreError where the folder cannot be made or written, or the URL of a
    bucket cannot be used, or where a later version of Mimeo has written there; of a
    bucket that shows at the first use, as whether it answers.
    """
    if url == "none":
        return NoStore()
    if url == "memory:":
        return BoundedStore(MemoryStore, room, limit, swept)
    if "://" in url:
        _connect(url)
        return BucketStore(_bucket(url, places), room, leases=durable)
    # First: a later version's folder is left as it is.
    mark_folder(Path(url))
    store = FolderStore(Path(url), room, limit, swept, durable=durable)
    store.prove_writable()
    return store


def _bucket(url: str, places: int) -> Bucket:
    """Return the bucket, which is the same for all rooms of it."""
    settings = frozenset(i for i in os.environ.items() if _ENVIRONMENT.match(i[0]))
    made = Bucket(lambda: marked(_connect(url), url), places)
    return _BUCKETS.setdefault((url, settings), made)


def _connect(url: str) -> Backend:
    """Connect with the credentials in the environment (`AWS_...` and the like)."""
    retries: RetryConfig = {
        "max_retries": 2,
        "retry_timeout": timedelta(seconds=_RETRY_S),
    }
    options: dict[str, Any] = {
        "connect_timeout": timedelta(seconds=_CONNECT_S),
        "read_timeout": timedelta(seconds=_SILENCE_S),
        # Of a whole answer: large ones take their time.
        "timeout": timedelta(seconds=_WHOLE_S),
    }
    for variable, value in os.environ.items():
        found = _ENVIRONMENT.fullmatch(variable)
        if found and found[2].lower() in _CLIENT:
            options[found[2].lower()] = value
    client = cast("ClientConfig", options)
    try:
        return from_url(url, retry_config=retries, client_options=client)
    except (BaseError, ValueError) as error:
        raise StoreError(f"cannot open {url}: {reason(error)}") from error
