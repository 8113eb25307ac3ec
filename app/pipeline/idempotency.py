"""Which requests to a service are one purchase, and which are to be another.

A client's key (draft-ietf-httpapi-idempotency-key-header) says it best. Without one,
what is asked again within a window is a retry, for clients repeat what they believe
lost; after it, somebody wants other images of the same prompt. Clients that count
their attempts say more: a first one wants other images once those before have arrived.
"""

import hashlib
import secrets
import time
from contextlib import suppress
from typing import Literal

import orjson

from app.store import Store, StoreError, get_or_create, key_for

# What a request without a key is to equal ones before it: a `retry`, which shares their
# images, arrived or not, as does one whose `window` alone says so; a `first` attempt,
# which shares only what has not arrived; a `part`, one of several calls that a client
# makes for one wish, each of which has its own.
Attempt = Literal["window", "retry", "first", "part"]

# How far the clocks of two machines may be apart.
_SKEW_S = 60.0
_REPEATING = ("window", "retry")
_HELD, _LEFT = b"1", b"0"


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

    def of_request(self, request: str, attempt: Attempt = "window") -> str:
        """Return the occasion of what was asked for within the window, or a new one.

        Whoever is a `part` has it alone, until `leave`. Where nothing is kept it is
        always the same: equal requests at one moment are one, and later ones are made
        anew anyway.
        """
        if not self._store.keeps:
            return ""
        name = first = key_for(f"window {request}")
        now, held = time.time(), False
        while True:
            fresh = orjson.dumps((secrets.token_hex(16), now))
            record = get_or_create(self._store, name, fresh)
            occasion, begun = _parse(record)
            # No entry can be replaced by one of two without a lock, but what follows
            # it can be created by one alone.
            following = key_for(f"{first} {hashlib.sha256(record).hexdigest()}")
            # Another machine's clock may be ahead: within the skew its time is now.
            recent = record == fresh or -_SKEW_S < now - begun < self._window_s
            if recent and self._suits(occasion, attempt, following):
                break
            held = held or (recent and not self._store.has(_arrived(occasion)))
            name = following
        if name != first and not held:
            # Only a shortcut: without it the next one finds the way through the old.
            with suppress(StoreError):
                self._store.put(first, record)
        return occasion

    def _suits(self, occasion: str, attempt: Attempt, following: str) -> bool:
        if self._store.has(_arrived(occasion)):
            # Of those that arrived, a retry repeats the last.
            return attempt in _REPEATING and not self._store.has(following)
        return attempt != "part" or self._hold(_held(occasion))

    def _hold(self, key: str) -> bool:
        if self._store.create(key, _HELD):
            return True
        if self._store.get(key) != _LEFT:
            return False
        self._store.put(key, _HELD)
        return True

    def leave(self, occasion: str) -> None:
        """Let a `part` take over what another of them has not got."""
        if self._store.keeps:
            self._store.put(_held(occasion), _LEFT)

    def arrive(self, occasion: str) -> None:
        """Remember that the images of an occasion have been handed over in full."""
        if self._store.keeps:
            self._store.put(_arrived(occasion), _HELD)


def _arrived(occasion: str) -> str:
    return key_for(f"arrived {occasion}")


def _held(occasion: str) -> str:
    return key_for(f"held {occasion}")


def _parse(record: bytes) -> tuple[str, float]:
    """Return an occasion and when it began: long ago, where the record is damaged."""
    try:
        occasion, begun = orjson.loads(record)
        return str(occasion), float(begun)
    except (TypeError, ValueError):
        return "", 0.0
