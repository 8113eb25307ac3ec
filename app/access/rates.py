"""How much a caller may have drawn: a bucket of megapixels that fills by the second.

Whoever has any left is admitted, and debited whole for what is drawn: the balance may
go below zero. Hits, 304s and everything that draws nothing are not asked about.
"""

import threading
import time
from collections import OrderedDict
from math import ceil
from types import MappingProxyType

from app.access.caller import CALLER, Caller
from app.access.errors import RateExceeded
from app.access.ledger import LEAST, SHARE, TolerantLedger
from app.config import Settings
from app.config.parsers import Rate

# What an encoder of these formats takes more than PNG's.
_FORMATS = MappingProxyType({"avif": 8, "webp": 3})
# A caller's own HTML is drawn in a process of its own.
_ISOLATED = 2
# Callers whose grants a worker remembers, about 300 bytes each.
_MOST = 4096
_LONGEST_S = 60.0
# A refusal is repeated without asking for so long.
_REFUSED_S = 1.0


def cost_of(size: tuple[int, int], format: str, *, isolated: bool = False) -> float:
    """Return what an image of so many device pixels costs, in megapixels."""
    weight = _FORMATS.get(format, 1) * (_ISOLATED if isolated else 1)
    return max(LEAST, size[0] * size[1] / 1e6) * weight


class _Lease:
    """What a worker may let a caller spend without asking the ledger."""

    __slots__ = ("ends", "free_at", "guard", "left")

    def __init__(self) -> None:
        self.guard = threading.Lock()
        self.left = 0.0
        # On the monotonic clock: until when it counts, and when there is some again.
        self.ends = 0.0
        self.free_at = 0.0


class Rates:
    """The buckets of all callers, for all threads of a worker.

    Without a ledger nobody is asked. A worker draws on grants of a twentieth of the
    bucket, so all workers together let through that much more in a window at most.
    """

    def __init__(self, settings: Settings, ledger: TolerantLedger | None) -> None:
        self._anonymous = settings.rate_anonymous
        self._key = settings.rate_key
        self._ledger = ledger
        self._guard = threading.Lock()
        self._leases: OrderedDict[str, _Lease] = OrderedDict()

    def charge(self, admitted: Caller | None = None) -> "Charge":
        """Return what the current caller, or one `admitted` before, is charged by."""
        return Charge(self, admitted or CALLER.get(), admitted=admitted is not None)

    def check(self, caller: Caller) -> None:
        """Raise RateExceeded where the caller has nothing left."""
        rate = self._rate_of(caller)
        if rate is None:
            return
        lease = self._lease(caller.id)
        with lease.guard:
            now = time.monotonic()
            if lease.left > 0 and now < lease.ends:
                return
            if lease.left > 0 or now >= lease.ends:
                self._renew(caller.id, rate, lease, now)
            if lease.left <= 0:
                retry_s = max(1, ceil(lease.free_at - now))
                raise RateExceeded(rate.amount, 0, "megapixels", retry_s, rate.seconds)

    def debit(self, caller: Caller, cost: float) -> None:
        """Take the cost of what is drawn for the caller, in megapixels."""
        rate = self._rate_of(caller)
        if rate is None:
            return
        lease = self._lease(caller.id)
        with lease.guard:
            lease.left -= cost
            # Other workers must hear of a debt.
            if lease.left <= 0:
                self._renew(caller.id, rate, lease, time.monotonic())

    def close(self) -> None:
        """Give back what the ledger holds."""
        if self._ledger is not None:
            self._ledger.close()

    def _rate_of(self, caller: Caller) -> Rate | None:
        if self._ledger is None or caller.kind == "local":
            return None
        if caller.key is not None:
            own = caller.key.rate
            if own is None:
                return self._key
            return None if own == "none" else own
        # Without an address all would share one bucket, and one could empty it.
        return self._anonymous if caller.address else None

    def _lease(self, account: str) -> _Lease:
        with self._guard:
            lease = self._leases.get(account)
            if lease is None:
                lease = self._leases[account] = _Lease()
                # What it was granted and has not spent is lost to it.
                if len(self._leases) > _MOST:
                    self._leases.popitem(last=False)
            else:
                self._leases.move_to_end(account)
            return lease

    def _renew(self, account: str, rate: Rate, lease: _Lease, now: float) -> None:
        """Settle a lease with the ledger, and get another where there is some left."""
        assert self._ledger is not None
        grant = self._ledger.ask(lambda ledger: ledger.take(account, rate, -lease.left))
        if grant is None:
            # At fault: drawing goes on.
            lease.left, lease.ends = rate.amount / SHARE, now + _REFUSED_S
            return
        lease.left = grant.amount
        if grant.amount > 0:
            # As long as it takes to fill up again.
            span_s = min(_LONGEST_S, max(1.0, rate.seconds / SHARE))
        else:
            debt_s = -grant.balance * rate.seconds / rate.amount
            lease.free_at = now + debt_s
            span_s = min(_REFUSED_S, debt_s)
        lease.ends = now + span_s


class Charge:
    """What one caller has drawn: let in once, at the first image, then debited.

    So a collection that began is drawn to its end. `caller` is who it is for, in
    whatever thread.
    """

    __slots__ = ("_admitted", "_rates", "caller")

    def __init__(self, rates: Rates, caller: Caller, *, admitted: bool = False) -> None:
        self._rates = rates
        self.caller = caller
        self._admitted = admitted

    def check(self) -> None:
        """Raise RateExceeded where the caller has nothing left, and was not let in."""
        if not self._admitted:
            self._rates.check(self.caller)
            self._admitted = True

    def debit(self, cost: float) -> None:
        """Take the cost of an image, in megapixels."""
        self._rates.debit(self.caller, cost)
