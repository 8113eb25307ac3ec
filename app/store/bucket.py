"""A bucket's rooms, and how a bucket that does not answer is left alone."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import (
    AbstractContextManager,
    closing,
    contextmanager,
    nullcontext,
    suppress,
)
from functools import partial

import obstore
from obstore.exceptions import BaseError, GenericError
from obstore.store import ObjectStore as Backend

from app.store.circuit_breaker import Breaker
from app.store.lease import Leases
from app.store.rooms import ObjectStore
from app.store.store import LeftAlone, Pauses, StoreError, fault, reason

_LOG = logging.getLogger("mimeo.store")
_COOLDOWN_S = 5.0
# A bucket that is well has answered by then whether it is.
_PROBE_S = 0.5
# Seconds that a call waits for another to end.
_PLACE_S = 0.5
# Silence, refused connections and 5xx. A bucket that forbids something is alive.
_FAILURES = (GenericError,)
_FULL = "too many calls of the bucket wait"


def _refuse(seconds: float) -> LeftAlone:
    return LeftAlone(f"the bucket did not answer: left alone for {seconds:.0f} s")


class Bucket:
    """What all rooms of one bucket have in common in this process.

    At most `places` threads call it at a time and as many wait for them, each for half
    a second: the others serve what needs no bucket. One failure, after the retries of
    obstore, opens the breaker; from then on nobody waits for more than a probe.
    """

    def __init__(self, connect: Callable[[], Backend], places: int) -> None:
        self._connect = connect
        self._opening = threading.Lock()
        self._backend: Backend | None = None
        self._places = threading.BoundedSemaphore(places)
        self._waiting = threading.BoundedSemaphore(places)
        self._breaker = Breaker(_refuse, _FAILURES, 1, _COOLDOWN_S)

    def open(self) -> Backend:
        """Return the client, which is made at the first use.

        obstore starts threads then, and they would not survive a fork.
        """
        return self._connected(self._breaker.check)

    @contextmanager
    def call(self, *, urgent: bool = False) -> Iterator[None]:
        """Let a call run, and judge the bucket by what it raises.

        An `urgent` one takes no place. Raises LeftAlone, or ConnectionError, where it
        may not run.
        """
        self._breaker.check()
        probing = self._breaker.state != "closed" and self._probe()
        with nullcontext() if urgent else self._place():
            was = self._breaker.state
            try:
                with self._breaker.guard(_PROBE_S if probing else 0):
                    yield
            except _FAILURES as error:
                if was == "closed" != self._breaker.state:
                    _LOG.error("store: the bucket is left alone: %s", reason(error))
                raise

    @contextmanager
    def _place(self) -> Iterator[None]:
        if not self._places.acquire(blocking=False):
            if not self._waiting.acquire(blocking=False):
                raise ConnectionError(_FULL)
            try:
                if not self._places.acquire(timeout=_PLACE_S):
                    raise ConnectionError(_FULL)
            finally:
                self._waiting.release()
        try:
            yield
        finally:
            self._places.release()

    def _probe(self) -> bool:
        """Let one thread that serves nobody see whether the bucket answers again."""
        begun = threading.Event()
        threading.Thread(target=self._try, args=(begun,), daemon=True).start()
        return begun.wait(_PROBE_S)

    def _try(self, begun: threading.Event) -> None:
        with suppress(BaseError, OSError, StoreError), self._breaker.guard():
            begun.set()
            with suppress(FileNotFoundError):
                # No entry is asked for: what counts is that there is an answer.
                obstore.head(self._connected(bool), "format")
        begun.set()
        if self._breaker.state == "closed":
            _LOG.warning("store: the bucket answers again")

    def _connected(self, check: Callable[[], object]) -> Backend:
        if self._backend is None:
            with self._opening:
                # Asked again: another thread may have been first, or in vain.
                if self._backend is None:
                    check()
                    self._backend = self._connect()
        return self._backend


class BucketStore(ObjectStore):
    """A room of a bucket, which is bounded by the bucket's own lifecycle rules.

    Where it `leases`, keys can be locked and entries held.
    """

    def __init__(self, bucket: Bucket, room: str, *, leases: bool = False) -> None:
        super().__init__(bucket.open, room)
        self._bucket = bucket
        # Who renews a lease must not wait for those who only want to read.
        call = partial(bucket.call, urgent=True)
        self._leases = Leases(bucket.open, call) if leases else None

    def lock(self, key: str, pauses: Pauses) -> AbstractContextManager[bool]:
        """Hold a lease of the key while the body runs, or nothing without leases."""
        if self._leases is None:
            return super().lock(key, pauses)
        return self._hold(self._leases, key, pauses)

    @contextmanager
    def _hold(self, leases: Leases, key: str, pauses: Pauses) -> Iterator[bool]:
        path = f"locks/{self._path(key).replace('/', '-')}"
        try:
            with closing(pauses):
                lease = leases.gain(path, pauses)
        except (BaseError, OSError) as error:
            raise fault("lock", key, error) from error
        with leases.kept(lease):
            yield True

    def hold(self, key: str) -> AbstractContextManager[bool]:
        """Create an entry that is a lease while the body runs, and stays."""
        if self._leases is None:
            return super().hold(key)
        return self._make(self._leases, key)

    @contextmanager
    def _make(self, leases: Leases, key: str) -> Iterator[bool]:
        try:
            lease = leases.make(self._path(key))
        except (BaseError, OSError) as error:
            raise fault("write", key, error) from error
        if lease is None:
            yield False
            return
        with leases.left(lease):
            yield True

    def is_held(self, key: str) -> bool:
        """Tell whether the maker of an entry was seen to live, or not looked at yet."""
        if self._leases is None:
            return super().is_held(key)
        try:
            return self._leases.is_alive(self._path(key))
        except (BaseError, OSError) as error:
            raise fault("read", key, error) from error

    def _below(self, path: str, after: str) -> list[tuple[str, int]]:
        with self._bucket.call():
            return super()._below(path, after)

    def _folders(self) -> list[str]:
        with self._bucket.call():
            return super()._folders()

    def _get(self, path: str) -> bytes | memoryview:
        with self._bucket.call():
            return super()._get(path)

    def _read(self, path: str, start: int, stop: int) -> bytes:
        with self._bucket.call():
            return super()._read(path, start, stop)

    def _send(self, path: str, data: bytes | Iterator[bytes]) -> None:
        with self._bucket.call():
            super()._send(path, data)

    def _create(self, path: str, data: bytes | Iterator[bytes]) -> None:
        with self._bucket.call():
            super()._create(path, data)

    def _delete(self, path: str) -> None:
        with self._bucket.call():
            super()._delete(path)

    def _size(self, path: str) -> int:
        with self._bucket.call():
            return super()._size(path)
