"""How much a caller may keep, and stream, at a time: in bytes and in streams.

Nothing of anybody is deleted to make room for whoever has used up their own.
"""

import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from app.access.caller import Caller
from app.access.errors import QuotaExceeded
from app.access.ledger import Ledger, TolerantLedger, Usage

_ANONYMOUS_BYTES = 64 << 20
_ANONYMOUS_STREAMS = 4
_KEY_STREAMS = 16
# Of the room of collections: for a key, and for all without one together.
_KEY_SHARE = 4
_ANONYMOUS_SHARE = 2
# The pool of those without a key; a key is a pool of its own.
_ANONYMOUS = "anonymous"
# A stream counts so long beyond its last sign of life: a killed worker gives none.
_SPAN_S = 15.0
_BEAT_S = 5.0
# Streams end in seconds to minutes, collections after hours.
_STREAM_RETRY_S = 5
_BYTES_RETRY_S = 3600
# Collections that are looked for at a time, when a caller has used up their own.
_LOOKED = 100


class Quotas:
    """The quotas of all callers, for all threads of a worker.

    `streams` is the ledger that counts those, `kept` the one of the collections, of
    which there may be `room_bytes`. Without ledgers nobody is asked.
    """

    def __init__(
        self,
        streams: TolerantLedger | None,
        kept: TolerantLedger | None,
        room_bytes: int,
        beat_s: float = _BEAT_S,
    ) -> None:
        self._streams = streams
        self._kept = kept
        self._room_bytes = room_bytes
        self._beat_s = beat_s
        self._span_s = beat_s * _SPAN_S / _BEAT_S
        self._guard = threading.Lock()
        self._held: set[tuple[str, str]] = set()
        self._beating = False

    def keep(
        self, caller: Caller, id: str, size: int, is_there: Callable[[str], bool]
    ) -> None:
        """Count a collection as the caller's, before it is stored.

        `is_there` says whether one is still stored. Raises QuotaExceeded.
        """
        if self._kept is None or caller.kind == "local":
            return
        most, pool, total = self._most_bytes(caller)
        put = partial(self._put, caller.id, id, size, most, pool, total)
        usage = put()
        while usage is not None and not usage.taken:
            # What has been swept since counts no longer.
            own = most is not None and usage.owner + size > most
            owner = caller.id if own else None
            if not self._prune(pool, owner, is_there):
                limit, used = (most, usage.owner) if own else (total, usage.pool)
                assert limit is not None
                remaining = max(0, limit - used)
                raise QuotaExceeded(limit, remaining, "bytes", _BYTES_RETRY_S)
            usage = put()

    def forget(self, id: str) -> None:
        """Count a collection no longer, because it is gone."""
        if self._kept is not None:
            self._kept.ask(lambda ledger: ledger.forget([id]))

    @contextmanager
    def stream(self, caller: Caller) -> Iterator[None]:
        """Count a stream of the caller's while the body runs; raise QuotaExceeded."""
        most = self._most_streams(caller)
        if self._streams is None or most is None:
            yield
            return
        account, token = caller.id, secrets.token_hex(8)
        span_s = self._span_s
        held = self._streams.ask(
            lambda ledger: ledger.hold(account, token, most, span_s)
        )
        if held is False:
            raise QuotaExceeded(most, 0, "streams", _STREAM_RETRY_S)
        self._begin((account, token))
        try:
            yield
        finally:
            with self._guard:
                self._held.discard((account, token))
            self._streams.ask(lambda ledger: ledger.release(account, token))

    def _most_bytes(self, caller: Caller) -> tuple[int | None, str, int]:
        """Return the caller's own bound, the pool it is in, and the pool's bound."""
        if caller.key is not None:
            own = caller.key.stored_bytes
            most = self._room_bytes // _KEY_SHARE if own is None else own
            return most, caller.id, most
        # Without an address nobody can tell one caller from another.
        each = _ANONYMOUS_BYTES if caller.address else None
        return each, _ANONYMOUS, self._room_bytes // _ANONYMOUS_SHARE

    def _most_streams(self, caller: Caller) -> int | None:
        if caller.key is not None:
            own = caller.key.streams
            return _KEY_STREAMS if own is None else own
        if caller.kind == "local" or not caller.address:
            return None
        return _ANONYMOUS_STREAMS

    def _put(
        self, owner: str, id: str, size: int, most: int | None, pool: str, total: int
    ) -> Usage | None:
        assert self._kept is not None
        return self._kept.ask(
            lambda ledger: ledger.keep(id, owner, pool, size, most, total)
        )

    def _prune(
        self, pool: str, owner: str | None, is_there: Callable[[str], bool]
    ) -> bool:
        """Forget the oldest that are gone; say whether there were any."""
        assert self._kept is not None
        ids = self._kept.ask(lambda ledger: ledger.kept(pool, owner, _LOOKED)) or []
        gone = [id for id in ids if not is_there(id)]
        if gone:
            self._kept.ask(lambda ledger: ledger.forget(gone))
        return bool(gone)

    def _begin(self, held: tuple[str, str]) -> None:
        """Give signs of life of a stream from now on."""
        with self._guard:
            self._held.add(held)
            if self._beating:
                return
            self._beating = True
        threading.Thread(target=self._beat, name="mimeo-streams", daemon=True).start()

    def _beat(self) -> None:
        pause = threading.Event()
        while True:
            pause.wait(self._beat_s)
            with self._guard:
                held = list(self._held)
                if not held:
                    self._beating = False
                    return
            assert self._streams is not None
            self._streams.ask(partial(_renew, held, self._span_s))


def _renew(held: list[tuple[str, str]], span_s: float, ledger: Ledger) -> None:
    ledger.renew(held, span_s)
