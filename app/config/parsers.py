"""What a setting's text may be; each parser raises ValueError that says it."""

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

# Numbers in text as in JSON (RFC 8259, section 6), wherever text is read: `+1`, `1_0`,
# `01`, `1.0` for a whole number and ` 1` are what only some other program would take.
WHOLE = re.compile(r"0|-?[1-9][0-9]*")
NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")

SWITCHES = {
    **dict.fromkeys(("1", "true", "on", "yes"), True),
    **dict.fromkeys(("0", "false", "off", "no"), False),
}
# What Chromium is called by those who install it.
_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# Schemes of the URLs of buckets.
_BUCKETS = ("s3", "gs", "az")
_LEAST_SECRET = 32
# Fewer different characters are a word, a row of one letter or an example.
_LEAST_DIFFERENT = 10
_PLACEHOLDER = re.compile(
    r"change.?me|placeholder|your.?(own|secret|key)|example", re.I
)
_RATE = re.compile(r"([0-9]+(?:\.[0-9]+)?)/(second|minute|hour|day)")
_SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400}
_URL_KEY = re.compile(r"[a-z0-9_-]{1,32}")
# The name of a query's parameter, or its beginning and an asterisk.
_PATTERN = re.compile(r"[A-Za-z0-9_.~-]+\*?")


def whole(least: int, most: int) -> Callable[[str], int]:
    """Return a parser of whole numbers, both bounds included."""

    def parse(text: str) -> int:
        # int() itself refuses more than 4,300 digits, with a text of its own.
        value = int(text) if len(text) < 20 and WHOLE.fullmatch(text) else None
        if value is None or not least <= value <= most:
            raise ValueError(f"must be a whole number from {least:,} to {most:,}")
        return value

    return parse


def seconds(least: float, most: float) -> Callable[[str], float]:
    """Return a parser of seconds, both bounds included."""

    def parse(text: str) -> float:
        value = float(text) if NUMBER.fullmatch(text) else None
        if value is None or not least <= value <= most:
            raise ValueError(f"must be a number of seconds from {least:g} to {most:g}")
        return value

    return parse


def switch(text: str) -> bool:
    """Read on or off."""
    # A word that is neither is refused: taken for off, `yse` would drop a safeguard.
    if text.lower() not in SWITCHES:
        raise ValueError(f"must be one of {', '.join(SWITCHES)}")
    return SWITCHES[text.lower()]


def folder(text: str) -> Path:
    """Read a folder that exists."""
    path = Path(text).expanduser()
    if not path.is_dir():
        raise ValueError("is not a folder that exists")
    return path.resolve()


def file(text: str) -> Path:
    """Read a file that exists."""
    path = Path(text).expanduser()
    if not path.is_file():
        raise ValueError("is not a file that exists")
    return path.resolve()


def browser(text: str) -> Path | None:
    """Read the path of a browser, or whether the one that is installed is to be had."""
    if text.lower() not in SWITCHES:
        found = file(text)
        if not os.access(found, os.X_OK):
            raise ValueError("is not a program")
        return found
    if not switch(text):
        return None
    place = next(filter(None, map(shutil.which, _BROWSERS)), None)
    if place is None:
        raise ValueError(f"none of {', '.join(_BROWSERS)} is installed")
    return Path(place)


def secret(text: str) -> str:
    """Read a secret that is too long to be guessed."""
    if len(text) < _LEAST_SECRET:
        raise ValueError(f"must have {_LEAST_SECRET} characters at least")
    if len(set(text)) < _LEAST_DIFFERENT or _PLACEHOLDER.search(text):
        raise ValueError("is a placeholder: make one by `mimeo key secret`")
    return text


def secrets(text: str) -> tuple[tuple[str, str], ...]:
    """Read secrets with their ids, `2026:...,2025:...`: the first signs."""
    pairs = [each.strip().partition(":") for each in text.split(",")]
    if not all(_URL_KEY.fullmatch(name) for name, _, _ in pairs):
        raise ValueError("must be like id:secret,older:secret; ids are of a-z 0-9 _ -")
    found = {name: secret(value) for name, _, value in pairs}
    if len(found) != len(pairs):
        raise ValueError("has one id twice")
    return tuple(found.items())


def secret_pair(text: str) -> tuple[str, ...]:
    """Read a secret, or a new one and the one before it, between commas."""
    found = tuple(secret(each.strip()) for each in text.split(","))
    if len(found) > 2:
        raise ValueError("must be one secret, or a new and an old one")
    return found


class Rate(NamedTuple):
    """Megapixels that may be drawn at once, and in how many seconds they come back."""

    amount: float
    seconds: int


def rate(text: object) -> Rate | None:
    """Read a rate in megapixels, such as `600/minute`; None of `none`."""
    if text == "none":
        return None
    found = _RATE.fullmatch(text) if isinstance(text, str) else None
    if found is None or not float(found[1]):
        raise ValueError(
            "must be megapixels like 600/minute (second, hour, day) or none"
        )
    return Rate(float(found[1]), _SECONDS[found[2]])


def choice(*known: str) -> Callable[[str], str]:
    """Return a parser of one of some words."""

    def parse(text: str) -> str:
        if text not in known:
            raise ValueError(f"must be one of {', '.join(known)}")
        return text

    return parse


def names(text: str) -> tuple[str, ...]:
    """Read names between commas."""
    found = tuple(each.strip() for each in text.split(","))
    if not all(found):
        raise ValueError("must be names between commas")
    return found


def hosts(text: str) -> tuple[str, ...]:
    """Read hosts between commas."""
    found = names(text)
    if any(":" in each or "/" in each for each in found):
        raise ValueError("must be hosts between commas, without a scheme or a port")
    return found


def origin(text: str) -> str:
    """Read an origin: scheme, host and port, such as https://img.example.org."""
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be an origin such as https://img.example.org")
    # Paths are appended to it, and a user's password would stand in every answer.
    if text.rstrip("/") != f"{parts.scheme}://{parts.netloc}" or parts.username:
        raise ValueError("must be an origin, without a path or a user")
    return text.rstrip("/")


def server(*schemes: str) -> Callable[[str], str]:
    """Return a parser of URLs of servers, by one of the schemes."""
    spelt = [f"{scheme}://" for scheme in schemes]
    reason = f"must be {', '.join(spelt[:-1])} or {spelt[-1]}, and name a server"

    def parse(text: str) -> str:
        scheme, _, rest = text.partition("://")
        if scheme not in schemes or not rest.strip("/"):
            raise ValueError(reason)
        try:
            good = urlsplit(text).port != 0
        except ValueError:
            good = False
        if not good:
            signs = "in a password / is %2F, # is %23, ? is %3F, @ is %40, : is %3A"
            raise ValueError(f"names no port where one should be; {signs}")
        return text

    return parse


def origins(text: str) -> tuple[str, ...]:
    """Read origins of https, with commas or blanks between them."""
    found = tuple(map(origin, text.replace(",", " ").split()))
    if any(not each.startswith("https://") for each in found):
        raise ValueError("must be origins of https, such as https://img.example.org")
    return found


def store(text: str) -> str:
    """Read where to keep things: a folder, a bucket, memory or nowhere."""
    # `none` has no colon either; a folder of that name is `./memory`.
    text = "memory:" if text == "memory" else text
    scheme, mark, rest = text.partition("://")
    if text in ("none", "memory:") or (scheme in _BUCKETS and rest.partition("/")[0]):
        return text
    # `s4://bucket` is meant as no folder, though it could be the name of one.
    if mark or (text.endswith(":") and "/" not in text):
        raise ValueError(
            "must be a folder, 's3://BUCKET/PREFIX' (or gs, az), 'memory:' or 'none'"
        )
    return str(Path(text).expanduser().absolute())


def place(text: str) -> str:
    """Read a folder that need not exist."""
    if text.endswith(":") or "://" in text:
        raise ValueError("must be a folder of this machine")
    return str(Path(text).expanduser().absolute())


def host(text: str) -> str:
    """Read an address to listen on."""
    if not text.strip() or any(character.isspace() for character in text):
        raise ValueError("must be an address such as 127.0.0.1 or ::")
    return text


def patterns(default: tuple[str, ...]) -> Callable[[str], tuple[str, ...]]:
    """Return a parser of names between commas; `utm_*` are all that begin so.

    The word `default` stands for the usual ones, `none` alone for no name at all.
    """

    def parse(text: str) -> tuple[str, ...]:
        names = [name.strip() for name in text.split(",")]
        if names == ["none"]:
            return ()
        if not all(map(_PATTERN.fullmatch, names)):
            raise ValueError("must be names between commas, such as default,ref,my_*")
        kept = (default if name == "default" else (name,) for name in names)
        return tuple(dict.fromkeys(name for each in kept for name in each))

    return parse


def aliases(text: str) -> tuple[tuple[str, str], ...]:
    """Read names that stand for others: `dall-e-3=dream, gpt-image-1=openai`."""
    pairs = [each.partition("=") for each in text.split(",")]
    if not all(name.strip() and mark and other.strip() for name, mark, other in pairs):
        raise ValueError("must be like dall-e-3=dream,gpt-image-1=openai")
    found = {name.strip(): other.strip() for name, _, other in pairs}
    if len(found) != len(pairs):
        raise ValueError("names one twice")
    return tuple(found.items())
