"""API keys: `mim_<id>_<secret>`, of which a server keeps the SHA-256 alone."""

import hashlib
import hmac
import re
import secrets
import time
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Literal

from app.access.errors import KeyExpired, KeyInvalid
from app.config import parsers

PREFIX = "mim_"
_ID = re.compile(r"[a-z0-9]{8}")
_TOKEN = re.compile(r"mim_([a-z0-9]{8})_[A-Za-z0-9_-]{43}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
_ID_LETTERS, _SECRET_BYTES = 8, 32
SCOPES = ("read", "services", "jobs", "admin", "templates")
_SCOPE = re.compile(r"draw:(\*|[a-z0-9][a-z0-9._/-]*)|" + "|".join(SCOPES))


class BadKeys(ValueError):
    """A key of the operator's cannot be used; the text says which, and why."""


@dataclass(frozen=True, slots=True)
class Key:
    """What a key may do: its scopes, until when, and how much.

    `expires` is in seconds since the epoch. `rate` is in megapixels a second with the
    size of the bucket, `stored_bytes` and `streams` are at a time, `budget` is in
    images a day for each service, or in money where the service has a price. None
    leaves a bound to the server's default; a rate of `none` is no bound.
    """

    id: str
    sha256: str
    name: str = ""
    scopes: frozenset[str] = frozenset()
    expires: float | None = None
    rate: parsers.Rate | Literal["none"] | None = None
    stored_bytes: int | None = None
    streams: int | None = None
    budget: float | None = None

    def has(self, scope: str) -> bool:
        """Tell whether the key has a scope; `draw:*` is every `draw:` one."""
        return scope in self.scopes or (
            scope.startswith("draw:") and "draw:*" in self.scopes
        )

    @property
    def draws(self) -> bool:
        """Whether it may draw anything."""
        return any(scope.startswith("draw:") for scope in self.scopes)

    @property
    def ended(self) -> bool:
        """Whether its time is over."""
        return self.expires is not None and time.time() >= self.expires


class KeyRing:
    """The keys of a server, by id."""

    def __init__(self, keys: Mapping[str, Key]) -> None:
        self._keys = dict(keys)

    def __bool__(self) -> bool:
        return bool(self._keys)

    def get(self, id: str) -> Key | None:
        """Return the key of an id, whose secret nobody has shown."""
        return self._keys.get(id)

    def find(self, token: str) -> Key:
        """Return the key of a secret; raise KeyInvalid, or KeyExpired."""
        found = _TOKEN.fullmatch(token)
        key = self._keys.get(found[1]) if found else None
        # An unknown id takes as long as a wrong secret.
        wanted = key.sha256 if key else "0" * 64
        if not hmac.compare_digest(digest_of(token), wanted) or key is None:
            raise KeyInvalid("" if key is None else key.id)
        if key.ended:
            raise KeyExpired(key.id)
        return key


def digest_of(token: str) -> str:
    """Return what is kept of a key: its SHA-256, 64 hexadecimal digits."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def new_key() -> tuple[str, str]:
    """Return the id of a new key, and the key, which is shown once."""
    id = "".join(secrets.choice(_LETTERS) for _ in range(_ID_LETTERS))
    return id, f"{PREFIX}{id}_{secrets.token_urlsafe(_SECRET_BYTES)}"


def read_keys(path: Path | None, inline: str | None) -> KeyRing:
    """Read a file of keys, and those of a variable, both TOML with `[keys.<id>]`.

    Raises BadKeys that names the key and never shows a secret.
    """
    texts = [] if path is None else [_text(path)]
    texts += [] if inline is None else [inline]
    keys: dict[str, Key] = {}
    for text in texts:
        try:
            document = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise BadKeys(f"is not TOML: {error}") from error
        tables = document.pop("keys", {})
        if document or not isinstance(tables, dict):
            raise BadKeys("must have tables [keys.<id>] and nothing else")
        for id, table in tables.items():
            if id in keys:
                raise BadKeys(f"keys.{id}: is there twice")
            keys[id] = _key(id, table)
    return KeyRing(keys)


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeError) as error:
        raise BadKeys(f"cannot be read: {error}") from error


def _key(id: str, table: Any) -> Key:
    if not _ID.fullmatch(id):
        raise BadKeys(f"keys.{id}: an id is 8 of a-z and 0-9")
    if not isinstance(table, dict):
        raise BadKeys(f"keys.{id}: must be a table")
    readers: dict[str, Callable[[Any], Any]] = {
        "name": str,
        "sha256": _digest,
        "scopes": _scopes,
        "expires": _moment,
        "rate": _rate,
        "stored_bytes": _count,
        "streams": _count,
        "budget": _amount,
    }
    unknown = sorted(table.keys() - readers.keys())
    if unknown:
        raise BadKeys(f"keys.{id}.{unknown[0]}: is not known")
    if "sha256" not in table:
        raise BadKeys(f"keys.{id}.sha256: is missing")
    values: dict[str, Any] = {}
    for name, value in table.items():
        try:
            values[name] = readers[name](value)
        except (ValueError, TypeError) as error:
            raise BadKeys(f"keys.{id}.{name}: {error}") from error
    return Key(id, **values)


def _digest(value: Any) -> str:
    if not isinstance(value, str) or not _DIGEST.fullmatch(value):
        raise ValueError("must be a SHA-256, 64 hexadecimal digits")
    return value


def _scopes(value: Any) -> frozenset[str]:
    listed = isinstance(value, list) and all(isinstance(each, str) for each in value)
    if not listed:
        raise ValueError("must be a list of scopes")
    for each in value:
        if not _SCOPE.fullmatch(each):
            known = ", ".join(("draw:<renderer>", "draw:*", *SCOPES))
            raise ValueError(f"{each!r} is no scope; there are {known}")
    return frozenset(value)


def _moment(value: Any) -> float:
    if isinstance(value, datetime):
        # Without an offset it is UTC, on whatever machine it is read.
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=UTC).timestamp()
    raise ValueError("must be a date, such as 2027-01-31")


def _rate(value: Any) -> parsers.Rate | Literal["none"]:
    return parsers.rate(value) or "none"


def _count(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError("must be a whole number from 0")
    return value


def _amount(value: Any) -> float:
    if type(value) not in (int, float) or not 0 <= value < 1e12:
        raise ValueError("must be a number from 0")
    return float(value)
