"""How much may be bought of a service in a day (UTC), by all callers and by each key.

Each image has a place, by its number, which is taken by putting an entry where there
is none: so a budget holds over workers, restarts, and machines that share a bucket.
Places only ever grow in number. What surely was not made is written down likewise, in
a row of its own: so many more places may be taken, and none is ever free in between.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from app.access.caller import Caller
from app.access.errors import BudgetExhausted
from app.store import Store, StoreError, key_for

_LOG = logging.getLogger("mimeo.access")
_DAY_S = 86_400
# Far beyond what a day can be for: a row that has no bound of its own.
_MOST = 1 << 40


class _Row:
    """Numbered places from 1 on, of which the first are taken; shared by a store.

    All raise StoreError.
    """

    def __init__(self, store: Store, name: str) -> None:
        self._store = store
        self._name = name
        # How many are taken, at least.
        self.taken = 0

    def take(self, most: int) -> bool:
        """Take the next place, unless `most` are; say whether it was taken."""
        while self.taken < most:
            if self._store.create(self._key(self.taken + 1), b"1"):
                self.taken += 1
                return True
            self.count()
        return False

    def count(self) -> int:
        """Return how many are taken: at each moment all up to the last, and no other.

        By leaps that double, and then by halves: a thousand places take ten looks.
        """
        step = 1
        while self._store.has(self._key(self.taken + step)):
            self.taken += step
            step *= 2
        while step > 1:
            step //= 2
            if self._store.has(self._key(self.taken + step)):
                self.taken += step
        return self.taken

    def clear(self) -> None:
        """Give all places back, the last one first: until then they stay a row."""
        for place in range(self.count(), 0, -1):
            self._store.delete(self._key(place))
        self.taken = 0

    def _key(self, place: int) -> str:
        return key_for(f"{self._name} {place}")


class _Account:
    """What one day was reserved of one service, and what of it was not made."""

    def __init__(self, store: Store, day: int, name: str) -> None:
        self._reserved = _Row(store, f"{day} {name}")
        self._released = _Row(store, f"{day} {name} released")
        self._guard = threading.Lock()

    def reserve(self, count: int, most: int) -> int | None:
        """Reserve so many images, or none; return then how many are left."""
        with self._guard:
            for got in range(count):
                if not self._take(most):
                    self._give(got)
                    left = most + self._released.taken - self._reserved.taken
                    return max(0, left)
        return None

    def release(self, count: int) -> None:
        """Note that so many of the reserved images were not made."""
        with self._guard:
            self._give(count)

    def clear(self) -> None:
        """Forget the day."""
        with self._guard:
            self._reserved.clear()
            self._released.clear()

    def _take(self, most: int) -> bool:
        if self._reserved.take(most + self._released.taken):
            return True
        # Another worker may have released some.
        return self._reserved.take(most + self._released.count())

    def _give(self, count: int) -> None:
        for _ in range(count):
            self._released.take(_MOST)


class _Bound(NamedTuple):
    """The name of an account, how many images it may have, and how that is said."""

    name: str
    most: int
    limit: float
    unit: str
    price: float


@dataclass(frozen=True, slots=True)
class Reservation:
    """Images that may be bought now; released only where they surely were not made."""

    accounts: tuple[_Account, ...]
    count: int

    def release(self) -> None:
        """Give the images back; a store at fault is logged, and they stay reserved."""
        try:
            for account in self.accounts:
                account.release(self.count)
        except StoreError as error:
            _LOG.warning("budget: %s", error)


class Budgets:
    """The budgets of all services, for all threads of a worker.

    `open_room` opens a durable room at the first purchase; `images` a day may be bought
    of a service by all callers together. Without a room nothing is counted.
    """

    def __init__(
        self,
        open_room: Callable[[], Store] | None,
        images: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._open_room = open_room
        self._images = images
        self._clock = clock
        self._guard = threading.Lock()
        self._store: Store | None = None
        self._accounts: dict[tuple[int, str], _Account] = {}

    def reserve(
        self, caller: Caller, service: str, price: float | None, count: int
    ) -> Reservation:
        """Reserve so many images before a service is asked for them.

        Raises BudgetExhausted, and StoreError: what cannot be counted is not bought.
        """
        if self._open_room is None:
            return Reservation((), count)
        now = self._clock()
        day = int(now // _DAY_S)
        reserved: list[_Account] = []
        for bound in self._bounds(caller, service, price):
            account = self._account(day, bound.name)
            left = account.reserve(count, bound.most)
            if left is not None:
                Reservation(tuple(reserved), count).release()
                retry_s = max(1, int((day + 1) * _DAY_S - now) + 1)
                remaining = left * bound.price
                raise BudgetExhausted(
                    bound.limit, remaining, bound.unit, retry_s, _DAY_S
                )
            reserved.append(account)
        return Reservation(tuple(reserved), count)

    def _bounds(
        self, caller: Caller, service: str, price: float | None
    ) -> tuple[_Bound, ...]:
        """Return what holds: the key's own budget first, which is the smaller one."""
        of_all = _Bound(f"{service} *", self._images, self._images, "images a day", 1)
        key = caller.key
        if key is None or key.budget is None:
            return (of_all,)
        name = f"{service} {caller.id}"
        if price is None:
            return _Bound(name, int(key.budget), key.budget, "images a day", 1), of_all
        # Ten tenths are a little less than one.
        most = min(_MOST, int(key.budget / price + 1e-9))
        return _Bound(name, most, key.budget, "money a day", price), of_all

    def _account(self, day: int, name: str) -> _Account:
        with self._guard:
            if self._store is None:
                assert self._open_room is not None
                self._store = self._open_room()
            account = self._accounts.get((day, name))
            if account is None:
                for old in [key for key in self._accounts if key[0] != day]:
                    del self._accounts[old]
                account = self._accounts[day, name] = _Account(self._store, day, name)
                # Not waited for: of a bucket each entry takes a request.
                threading.Thread(
                    target=_clear,
                    args=(_Account(self._store, day - 1, name),),
                    name="mimeo-budgets",
                    daemon=True,
                ).start()
            return account


def _clear(account: _Account) -> None:
    try:
        account.clear()
    except StoreError as error:
        _LOG.warning("budget: %s", error)
