"""What callers have used up, in a redis that several machines share."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis

from app.access.ledger import LEAST, SHARE, Grant, LedgerError, Usage
from app.config.parsers import Rate

# Whoever draws does not wait longer for it.
_TIMEOUT_S = 0.5
# All keys in one slot of a cluster, because scripts take several.
_PREFIX = "{mimeo}:"
# Each is one step for all machines, by the clock of redis.
_NOW = "local t = redis.call('TIME') local now = t[1] + t[2] / 1e6 "
_TAKE = (
    _NOW
    + """
local capacity, refill = tonumber(ARGV[1]), ARGV[1] / ARGV[2]
local row = redis.call('HMGET', KEYS[1], 'balance', 'at')
local balance, at = tonumber(row[1] or capacity), tonumber(row[2] or now)
balance = math.min(capacity, balance + math.max(0, now - at) * refill)
balance = math.min(capacity, balance - ARGV[3])
local amount = 0
if balance > 0 then
    local part = math.max(balance / 4, tonumber(ARGV[5]))
    amount = math.min(balance, capacity / ARGV[4], part)
end
balance = balance - amount
redis.call('HSET', KEYS[1], 'balance', string.format('%.9g', balance),
           'at', string.format('%.6f', now))
redis.call('EXPIRE', KEYS[1], math.ceil((capacity - balance) / refill) + 1)
return {string.format('%.9g', amount), string.format('%.9g', balance)}
"""
)
_HOLD = (
    _NOW
    + """
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[2]) then return 0 end
redis.call('ZADD', KEYS[1], now + ARGV[3], ARGV[1])
redis.call('EXPIRE', KEYS[1], math.ceil(ARGV[3]) + 1)
return 1
"""
)
_RENEW = (
    _NOW
    + """
redis.call('ZADD', KEYS[1], 'XX', now + ARGV[2], ARGV[1])
redis.call('EXPIRE', KEYS[1], math.ceil(ARGV[2]) + 1)
"""
)
# A value is a size and the second in which it was kept.
_KEEP = (
    _NOW
    + """
local function total(key)
    local sum = 0
    for _, value in ipairs(redis.call('HVALS', key)) do
        sum = sum + tonumber(string.match(value, '^%d+'))
    end
    return sum
end
local owner, pool, owners = KEYS[1], KEYS[2], KEYS[3]
redis.call('HDEL', owner, ARGV[1])
redis.call('HDEL', pool, ARGV[1])
local of_owner, of_pool, size = total(owner), total(pool), tonumber(ARGV[2])
local fits = tonumber(ARGV[3]) < 0 or of_owner + size <= tonumber(ARGV[3])
if not fits or of_pool + size > tonumber(ARGV[4]) then
    return {0, of_owner, of_pool}
end
local value = ARGV[2] .. ' ' .. string.format('%.3f', now)
redis.call('HSET', owner, ARGV[1], value)
redis.call('HSET', pool, ARGV[1], value)
redis.call('HSET', owners, ARGV[1], owner .. '\\n' .. pool)
return {1, of_owner, of_pool}
"""
)


class RedisLedger:
    """A ledger in redis 5 or later; see app.access.ledger.Ledger."""

    def __init__(self, url: str) -> None:
        """Raise ValueError where the URL is none of redis."""
        self._redis: Any = redis.Redis.from_url(
            url,
            socket_timeout=_TIMEOUT_S,
            socket_connect_timeout=_TIMEOUT_S,
            health_check_interval=30,
            decode_responses=True,
        )
        register = self._redis.register_script
        self._take, self._hold = register(_TAKE), register(_HOLD)
        self._renew, self._keep = register(_RENEW), register(_KEEP)

    def take(self, account: str, rate: Rate, spent: float) -> Grant:
        """Debit and grant; see Ledger."""
        with _faults():
            amount, balance = self._take(
                keys=[f"{_PREFIX}rate:{account}"],
                args=[rate.amount, rate.seconds, spent, SHARE, LEAST],
            )
            return Grant(float(amount), float(balance))

    def hold(self, account: str, token: str, most: int, span_s: float) -> bool:
        """Count a stream; see Ledger."""
        with _faults():
            return bool(
                self._hold(keys=[_streams(account)], args=[token, most, span_s])
            )

    def renew(self, tokens: list[tuple[str, str]], span_s: float) -> None:
        """Count streams on; see Ledger."""
        with _faults():
            for account, token in tokens:
                self._renew(keys=[_streams(account)], args=[token, span_s])

    def release(self, account: str, token: str) -> None:
        """Count a stream no longer."""
        with _faults():
            self._redis.zrem(_streams(account), token)

    def keep(
        self, id: str, owner: str, pool: str, size: int, most: int | None, total: int
    ) -> Usage:
        """Write a collection down; see Ledger."""
        with _faults():
            taken, of_owner, of_pool = self._keep(
                keys=[_kept("owner", owner), _kept("pool", pool), f"{_PREFIX}owners"],
                args=[id, size, -1 if most is None else most, total],
            )
            return Usage(bool(taken), int(of_owner), int(of_pool))

    def kept(self, pool: str, owner: str | None, most: int) -> list[str]:
        """Return the ids of the oldest; see Ledger."""
        key = _kept("pool", pool) if owner is None else _kept("owner", owner)
        with _faults():
            rows: dict[str, str] = self._redis.hgetall(key)
            return sorted(rows, key=lambda id: float(rows[id].split()[1]))[:most]

    def forget(self, ids: list[str]) -> None:
        """Write down that collections are gone."""
        owners = f"{_PREFIX}owners"
        with _faults():
            for id in ids:
                for key in (self._redis.hget(owners, id) or "").splitlines():
                    self._redis.hdel(key, id)
                self._redis.hdel(owners, id)

    def close(self) -> None:
        """Close the connections."""
        self._redis.close()


def _streams(account: str) -> str:
    return f"{_PREFIX}streams:{account}"


def _kept(kind: str, name: str) -> str:
    return f"{_PREFIX}kept:{kind}:{name}"


@contextmanager
def _faults() -> Iterator[None]:
    try:
        yield
    except (redis.RedisError, OSError) as error:
        # Its words may name the host, and never the password.
        raise LedgerError(f"redis: {error}") from error
