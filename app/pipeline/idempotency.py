"""Which requests to a service are one purchase, and which are to be another.

A client's key (draft-ietf-httpapi-idempotency-key-header) says it best. Without one,
what is asked again within a window is a retry, for clients repeat what they believe
lost; after it, somebody wants other images of the same prompt.
"""

import hashlib
import secrets
import time
from contextlib import suppress

import orjson

from app.store import Store, StoreError, get_or_create, key_for

# How far the clocks of two machines may be apart.
_SKEW_S = 60.0


class KeyReused(Exception):
    """An idempotency key came with another request than the first time."""

    def __str__(self) -> str:
        return "The Idempotency-Key was used for another request; take a new one."


class IdempotencyKeys:
    """The occasions of a store, which all workers see; raises StoreError."""

    def __init__(self, store: Store, window_s: int) -> None:
        self._store = store
        self._window_s = window_s

    def of_key(self, key: str, request: str) -> str:
        """Return the occasion of a key; raise KeyReused where it was for another.

        `request` is a digest of what is asked for.
        """
        name = key_for(f"key {key}")
        if get_or_create(self._store, name, request.encode()) != request.encode():
            raise KeyReused
        return name

    def of_request(self, request: str) -> str:
        """Return the occasion of what was asked for within the window, or a new one.

        Where nothing is kept it is always the same: equal requests at one moment are
        one, and later ones are made anew anyway.
        """
        if not self._store.keeps:
            return ""
        name = first = key_for(f"window {request}")
        now = time.time()
        fresh = orjson.dumps((secrets.token_hex(16), now))
        while True:
            record = get_or_create(self._store, name, fresh)
            occasion, begun = _parse(record)
            # Another machine's clock may be ahead: within the skew its time is now.
            if record == fresh or -_SKEW_S < now - begun < self._window_s:
                break
            # No entry can be replaced by one of two without a lock, but what follows
            # it can be created by one alone.
            name = key_for(f"{first} {hashlib.sha256(record).hexdigest()}")
        if name != first:
            # Only a shortcut: without it the next one finds the way through the old.
            with suppress(StoreError):
                self._store.put(first, record)
        return occasion


def _parse(record: bytes) -> tuple[str, float]:
    """Return an occasion and when it began: long ago, where the record is damaged."""
    try:
        occasion, begun = orjson.loads(record)
        return str(occasion), float(begun)
    except (TypeError, ValueError):
        return "", 0.0
