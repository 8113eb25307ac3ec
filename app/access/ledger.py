"""What callers have used up, where all workers of a machine see it and a restart too.

Rates are balances of token buckets, in megapixels; streams are held until a moment,
so that those of a worker that was killed end; of collections the sizes are kept.
"""

import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar

from filelock import FileLock

from app.config import BadSetting, Settings
from app.config.parsers import Rate
from app.store import key_for

_LOG = logging.getLogger("mimeo.access")
T = TypeVar("T")
# Of a bucket a worker is granted so much at a time: most drawings ask no ledger, and
# what a worker that ends has not spent is little.
SHARE = 20
# The smallest cost of an image, in megapixels.
LEAST = 0.05
_BUSY_S = 0.25
_OPENING_S = 2.0
# A ledger at fault is asked again after so long: each try may wait for its timeout.
_PAUSE_S = 5.0
_CLEAN_S = 60.0
_SCHEMA = """
CREATE TABLE IF NOT EXISTS rates
    (account TEXT PRIMARY KEY, balance REAL, at REAL, full REAL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS streams
    (token TEXT PRIMARY KEY, account TEXT, until REAL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS kept
    (id TEXT PRIMARY KEY, owner TEXT, pool TEXT, size INTEGER, at REAL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS kept_owner ON kept (owner);
CREATE INDEX IF NOT EXISTS kept_pool ON kept (pool);
"""


class LedgerError(Exception):
    """The ledger cannot be read or written."""


class Grant(NamedTuple):
    """What may be spent without asking again, and the balance that is left.

    Nothing is granted where the balance is not above zero.
    """

    amount: float
    balance: float


class Usage(NamedTuple):
    """Whether a collection was taken in, and the bytes of owner and pool before it."""

    taken: bool
    owner: int
    pool: int


class Ledger(Protocol):
    """Where it is written down; every method may be called by any thread.

    All raise LedgerError.
    """

    def take(self, account: str, rate: Rate, spent: float) -> Grant:
        """Debit what was spent beyond the last grant, and grant anew.

        A negative amount is what was granted and not spent.
        """

    def hold(self, account: str, token: str, most: int, span_s: float) -> bool:
        """Count a stream for so long, unless there are `most`; say whether it is."""

    def renew(self, tokens: list[tuple[str, str]], span_s: float) -> None:
        """Count streams, by account and token, for so long from now on."""

    def release(self, account: str, token: str) -> None:
        """Count a stream no longer."""

    def keep(
        self, id: str, owner: str, pool: str, size: int, most: int | None, total: int
    ) -> Usage:
        """Write a collection down unless its owner or its pool would have too much."""

    def kept(self, pool: str, owner: str | None, most: int) -> list[str]:
        """Return the ids of the oldest collections of an owner, or of a pool."""

    def forget(self, ids: list[str]) -> None:
        """Write down that collections are gone."""

    def close(self) -> None:
        """Give back what is held; the next call opens it again."""


def granted(balance: float, capacity: float) -> float:
    """Return how much of a balance one worker gets."""
    if balance <= 0:
        return 0.0
    # A quarter of what is left: near the end other workers find some, too.
    return min(balance, capacity / SHARE, max(balance / 4, LEAST))


class SqliteLedger:
    """A ledger in one file, for the workers of one machine."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self._path = path
        self._clock = clock
        self._guard = threading.Lock()
        self._open: sqlite3.Connection | None = None
        # Whose connection it is: of which process, and of which file.
        self._mark = (0, 0)
        self._cleaned = 0.0

    def __del__(self) -> None:
        self._forget_connection()

    def take(self, account: str, rate: Rate, spent: float) -> Grant:
        """Debit and grant; see Ledger."""
        refill = rate.amount / rate.seconds
        with self._transaction() as (base, now):
            row = base.execute(
                "SELECT balance, at FROM rates WHERE account = ?", (account,)
            ).fetchone()
            balance, at = row or (rate.amount, now)
            # A clock that was set back gives nothing and takes nothing.
            balance += max(0.0, now - at) * refill
            balance = min(rate.amount, min(rate.amount, balance) - spent)
            amount = granted(balance, rate.amount)
            left = balance - amount
            full = now + (rate.amount - left) / refill
            base.execute(
                "INSERT OR REPLACE INTO rates VALUES (?, ?, ?, ?)",
                (account, left, now, full),
            )
            if abs(now - self._cleaned) > _CLEAN_S:
                self._cleaned = now
                # A bucket that is full again is like one that there never was.
                base.execute("DELETE FROM rates WHERE full < ?", (now,))
                base.execute("DELETE FROM streams WHERE until < ?", (now,))
        return Grant(amount, left)

    def hold(self, account: str, token: str, most: int, span_s: float) -> bool:
        """Count a stream; see Ledger."""
        with self._transaction() as (base, now):
            (count,) = base.execute(
                "SELECT count(*) FROM streams WHERE account = ? AND until >= ?",
                (account, now),
            ).fetchone()
            if count >= most:
                return False
            base.execute(
                "INSERT OR REPLACE INTO streams VALUES (?, ?, ?)",
                (token, account, now + span_s),
            )
        return True

    def renew(self, tokens: list[tuple[str, str]], span_s: float) -> None:
        """Count streams on; see Ledger."""
        with self._transaction() as (base, now):
            # Not put in again: one may have ended at this moment.
            base.executemany(
                "UPDATE streams SET until = ? WHERE token = ?",
                [(now + span_s, token) for _, token in tokens],
            )

    def release(self, account: str, token: str) -> None:
        """Count a stream no longer."""
        with self._transaction() as (base, _):
            base.execute("DELETE FROM streams WHERE token = ?", (token,))

    def keep(
        self, id: str, owner: str, pool: str, size: int, most: int | None, total: int
    ) -> Usage:
        """Write a collection down; see Ledger."""
        with self._transaction() as (base, now):
            base.execute("DELETE FROM kept WHERE id = ?", (id,))
            of_owner, of_pool = (
                base.execute(
                    f"SELECT coalesce(sum(size), 0) FROM kept WHERE {column} = ?",
                    (value,),
                ).fetchone()[0]
                for column, value in (("owner", owner), ("pool", pool))
            )
            fits = most is None or of_owner + size <= most
            if fits and of_pool + size <= total:
                row = (id, owner, pool, size, now)
                base.execute("INSERT INTO kept VALUES (?, ?, ?, ?, ?)", row)
                return Usage(True, of_owner, of_pool)
        return Usage(False, of_owner, of_pool)

    def kept(self, pool: str, owner: str | None, most: int) -> list[str]:
        """Return the ids of the oldest; see Ledger."""
        column, value = ("pool", pool) if owner is None else ("owner", owner)
        query = f"SELECT id FROM kept WHERE {column} = ? ORDER BY at LIMIT ?"
        with self._transaction() as (base, _):
            return [id for (id,) in base.execute(query, (value, most))]

    def forget(self, ids: list[str]) -> None:
        """Write down that collections are gone."""
        with self._transaction() as (base, _):
            base.executemany("DELETE FROM kept WHERE id = ?", [(id,) for id in ids])

    def close(self) -> None:
        """Close the file."""
        with self._guard:
            self._forget_connection()

    @contextmanager
    def _transaction(self) -> Iterator[tuple[sqlite3.Connection, float]]:
        with self._guard:
            try:
                base = self._connection()
                base.execute("BEGIN IMMEDIATE")
                try:
                    yield base, self._clock()
                except BaseException:
                    base.execute("ROLLBACK")
                    raise
                base.execute("COMMIT")
            except (sqlite3.Error, OSError) as error:
                self._forget_connection()
                raise LedgerError(f"{self._path.name}: {error}") from error

    def _connection(self) -> sqlite3.Connection:
        """Return the connection, made anew after a fork and where the file is gone."""
        try:
            mark = (os.getpid(), os.stat(self._path).st_ino)
        except FileNotFoundError:
            mark = (0, 0)
        if self._open is not None and mark == self._mark:
            return self._open
        self._forget_connection()
        self._path.parent.mkdir(parents=True, exist_ok=True)
        # SQLite does not wait where two change the journal at once: it is locked.
        with FileLock(f"{self._path}.opening", _OPENING_S, poll_interval=0.002):
            base = sqlite3.connect(
                self._path,
                timeout=_BUSY_S,
                # Transactions are said, and threads take turns.
                isolation_level=None,
                check_same_thread=False,
            )
            try:
                base.execute("PRAGMA journal_mode=WAL")
                # After a fall of the machine the last moments may be missing, no more.
                base.execute("PRAGMA synchronous=NORMAL")
                base.executescript(_SCHEMA)
                self._mark = (os.getpid(), os.stat(self._path).st_ino)
            except BaseException:
                base.close()
                raise
        self._open = base
        return base

    def _forget_connection(self) -> None:
        base, self._open = self._open, None
        # In a forked process it is the parent's: closing it would end its locks.
        if base is not None and self._mark[0] == os.getpid():
            with suppress(sqlite3.Error):
                base.close()


class TolerantLedger:
    """A ledger whose faults refuse nobody: they are logged, counted, and no more."""

    def __init__(self, ledger: Ledger, count: Callable[[], None]) -> None:
        self._ledger = ledger
        self._count = count
        self._again = 0.0

    def ask(self, question: Callable[[Ledger], T]) -> T | None:
        """Return the ledger's answer, or None where it is at fault."""
        if time.monotonic() < self._again:
            return None
        try:
            return question(self._ledger)
        except LedgerError as error:
            self._again = time.monotonic() + _PAUSE_S
            _LOG.warning("the ledger of rates and quotas is at fault: %s", error)
            self._count()
            return None

    def close(self) -> None:
        """Give back what the ledger holds."""
        self._ledger.close()


def open_file(settings: Settings) -> Ledger:
    """Return the ledger of this machine: beside the images, or in the user's cache."""
    store = settings.store
    if store in ("none", "memory:") or "://" in store:
        # Servers of one user keep apart what they keep in different places.
        name = f"ledger-{key_for(store)[:12]}.sqlite"
        return SqliteLedger(Path(Settings().store) / name)
    return SqliteLedger(Path(store) / "ledger.sqlite")


def open_ledger(settings: Settings) -> Ledger:
    """Return the ledger that all workers, and with redis all machines, share.

    Raises BadSetting; whether it can be reached shows at the first use.
    """
    if settings.redis_url is None:
        return open_file(settings)
    try:
        # Not at the top: it is an extra, and takes 0.1 s.
        from app.access.redis_ledger import RedisLedger
    except ModuleNotFoundError as error:
        raise BadSetting(
            "REDIS_URL", None, "needs the extra: pip install 'mimeo[redis]'"
        ) from error
    try:
        return RedisLedger(settings.redis_url)
    except ValueError as error:
        # What it says of the URL may hold the password.
        raise BadSetting(
            "REDIS_URL", None, "must be redis://, rediss:// or unix://"
        ) from error
