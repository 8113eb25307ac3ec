"""What a setting's text may be; each parser raises ValueError that says it."""

import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

# Numbers in text as in JSON (RFC 8259, section 6), wherever text is read: `+1`, `1_0`,
# `01`, `1.0` for a whole number and ` 1` are what only some other program would take.
WHOLE = re.compile(r"0|-?[1-9][0-9]*")
NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")

# Schemes of the URLs of buckets.
_BUCKETS = ("s3", "gs", "az")
_LEAST_SECRET = 32
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
    choices = {"1": True, "true": True, "on": True, "yes": True}
    choices |= {"0": False, "false": False, "off": False, "no": False}
    if text.lower() not in choices:
        raise ValueError("must be one of 1, true, on, yes, 0, false, off, no")
    return choices[text.lower()]


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


def secret(text: str) -> str:
    """Read a secret that is too long to be guessed."""
    if len(text) < _LEAST_SECRET:
        raise ValueError(f"must have {_LEAST_SECRET} characters at least")
    return text


def origin(text: str) -> str:
    """Read an origin: scheme, host and port, such as https://img.example.org."""
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be an origin such as https://img.example.org")
    # Paths are appended to it, and a user's password would stand in every answer.
    if text.rstrip("/") != f"{parts.scheme}://{parts.netloc}" or parts.username:
        raise ValueError("must be an origin, without a path or a user")
    return text.rstrip("/")


def origins(text: str) -> tuple[str, ...]:
    """Read origins of https, with commas or blanks between them."""
    found = tuple(map(origin, text.replace(",", " ").split()))
    if any(not each.startswith("https://") for each in found):
        raise ValueError("must be origins of https, such as https://img.example.org")
    return found


def store(text: str) -> str:
    """Read where to keep things: a folder, a bucket, memory or nowhere."""
    scheme, mark, rest = text.partition("://")
    if text in ("none", "memory:") or (scheme in _BUCKETS and rest.partition("/")[0]):
        return text
    # `s4://bucket` is meant as no folder, though it could be the name of one.
    if mark or (text.endswith(":") and "/" not in text):
        raise ValueError(
            "must be a folder, 's3://BUCKET/PREFIX' (or gs, az), 'memory:' or 'none'"
        )
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
