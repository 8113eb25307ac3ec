"""Media in a room of a store. A store at fault costs time, never the answer."""

import hashlib
import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import orjson

from app.media import Media, Stored, pack, packed, peek, unpack
from app.observability import metrics
from app.renderer.base import Encoded
from app.store import Store, StoreError

_LOG = logging.getLogger("mimeo.store")


class MediaStore:
    """Media by their fingerprints; faults are logged, counted, and no more."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def get(self, fingerprint: str) -> Media | None:
        """Return media, or None where there are none, or none that are whole."""
        try:
            block = self._store.get(fingerprint)
            return None if block is None else unpack(block, fingerprint)
        except (StoreError, ValueError) as error:
            _warn(error)
            return None

    def peek(self, fingerprint: str) -> Stored | None:
        """Return what is known of media, without reading their data."""
        try:
            return peek(partial(self._store.read, fingerprint))
        except (StoreError, ValueError) as error:
            _warn(error)
            return None

    def put(self, media: Media) -> bool:
        """Keep media; return whether that worked. What is in a file goes in pieces."""
        small = isinstance(media.data, bytes)
        return self._put(media.fingerprint, pack(media) if small else packed(media))

    def _put(self, key: str, data: bytes | Iterator[bytes]) -> bool:
        try:
            self._store.put(key, data)
        except StoreError as error:
            _warn(error)
            return False
        return True

    def get_note(self, key: str) -> Any:
        """Return the JSON value that is kept beside media, or None."""
        try:
            note = self._store.get(key)
            return None if note is None else orjson.loads(note)
        except (StoreError, ValueError) as error:
            _warn(error)
            return None

    def put_note(self, key: str, value: object) -> bool:
        """Keep a JSON value beside media; return whether that worked."""
        return self._put(key, orjson.dumps(value))

    @contextmanager
    def lock(self, fingerprint: str, timeout_s: float) -> Iterator[bool | None]:
        """Hold a fingerprint against other processes while the body runs.

        The body gets True, or False where another held it all the time, or None
        where there is no such lock.
        """
        with ExitStack() as stack:
            try:
                held = stack.enter_context(self._store.lock(fingerprint, timeout_s))
            except StoreError as error:
                _warn(error)
                held = None
            yield held


def media_of(encoded: Encoded, fingerprint: str) -> Media:
    """Return encoded bytes as media."""
    return Media(
        data=encoded.data,
        media_type=encoded.media_type,
        width=encoded.width,
        height=encoded.height,
        sha256=hashlib.sha256(encoded.data).hexdigest(),
        fingerprint=fingerprint,
        facts=encoded.facts,
    )


def _warn(error: Exception) -> None:
    _LOG.warning("store: %s", error)
    metrics.count_store_error()
