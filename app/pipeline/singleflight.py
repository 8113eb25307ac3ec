"""Equal work at one moment is done once, in one process and between processes."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from app.store import Pauses

T = TypeVar("T")
Lock = Callable[[str, Pauses], AbstractContextManager[bool]]


@dataclass(frozen=True, slots=True)
class InFlight(Generic[T]):
    """Work that several wait for.

    `begun` is set when the leader waits no longer, `urgent` when a follower is less
    patient than the leader.
    """

    result: "Future[T]" = field(default_factory=Future)
    begun: threading.Event = field(default_factory=threading.Event)
    urgent: threading.Event = field(default_factory=threading.Event)


class Singleflight(Generic[T]):
    """The work under way, by key: the first of each key leads, the others follow.

    The leaders of several processes take turns at the key's `lock`.
    """

    def __init__(self, lock: Lock) -> None:
        self._lock = lock
        self._singleflight: dict[str, InFlight[T]] = {}
        self._guard = threading.Lock()

    def join(self, key: str) -> tuple[InFlight[T], bool]:
        """Return the flight of a key, and whether the caller has to lead it."""
        with self._guard:
            flight = self._singleflight.get(key)
            if flight is not None:
                return flight, False
            flight = self._singleflight[key] = InFlight()
            return flight, True

    def do(
        self,
        key: str,
        pauses: Pauses,
        find: Callable[[], T | None],
        make: Callable[[InFlight[T]], T],
        follow: Callable[[InFlight[T]], T | None],
    ) -> T:
        """Do the work, or wait for whoever does it; raise what it raises.

        `make` does it and `follow` waits, which returns None to try to lead instead.
        `find` looks for what another process made while this one waited, and `pauses`
        is how it waits, as in Store.lock.
        """
        flight, leads = self.join(key)
        while not leads:
            followed = follow(flight)
            if followed is not None:
                return followed
            flight, leads = self.join(key)
        try:
            with self._lock(key, pauses) as shared:
                # Without a lock of all processes nobody else was waited for: a second
                # look would only read the store in vain.
                found = find() if shared else None
                result = make(flight) if found is None else found
        except BaseException as error:
            # Out of the table first: a follower who tries again must not join this one.
            self._leave(key, flight)
            flight.result.set_exception(error)
            raise
        self._leave(key, flight)
        flight.result.set_result(result)
        return result

    def _leave(self, key: str, flight: InFlight[T]) -> None:
        with self._guard:
            del self._singleflight[key]
        flight.begun.set()
