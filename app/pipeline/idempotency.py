"""Which requests to a service are one purchase, and which are to be another.

A client's key (draft-ietf-httpapi-idempotency-key-header) says it best. Without one,
what is asked again within a window is a retry, for clients repeat what they believe
lost; after it, somebody wants other images of the same prompt.
"""

import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import orjson

from app.store import Store, key_for

_LOCK_S = 10.0


class KeyReused(Exception):
    """An idempotency key came with another request than the first time."""

    def __str__(self) -> str:
        return "The Idempotency-Key was used for another request; take a new one."


class Occasions:
    """The occasions of a store, which all workers see; raises StoreError."""

    def __init__(self, store: Store, window_s: int) -> None:
        self._store = store
        self._window_s = window_s
        # Of this process only: not every store has locks. One for all would let the
        # slowest answer of a bucket hold up everybody.
        self._guards = [threading.Lock() for _ in range(256)]

    def of_key(self, key: str, request: str) -> str:
        """Return the occasion of a key; raise KeyReused where it was for another.

        `request` is a digest of what is asked for.
        """
        name = key_for(f"key {key}")
        with self._locked(name):
            known = self._store.get(name)
            if known is None:
                self._store.put(name, request.encode())
            elif known != request.encode():
                raise KeyReused
        return name

    def of_request(self, request: str) -> str:
        """Return the occasion of what was asked for within the window, or a new one.

        Where nothing is kept it is always the same: equal requests at one moment are
        one, and later ones are made anew anyway.
        """
        if not self._store.keeps:
            return ""
        name = key_for(f"window {request}")
        with self._locked(name):
            known = self._store.get(name)
            if known is not None:
                occasion, begun = orjson.loads(known)
                if 0 <= time.time() - begun < self._window_s:
                    return str(occasion)
            occasion = secrets.token_hex(16)
            self._store.put(name, orjson.dumps((occasion, time.time())))
        return occasion

    @contextmanager
    def _locked(self, name: str) -> Iterator[None]:
        guard = self._guards[int(name[:2], 16)]
        with guard, self._store.lock(name, _LOCK_S):
            yield
