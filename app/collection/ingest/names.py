"""File names: safe on every system, unique, ASCII, made from a pattern."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from anyascii import anyascii

from app.renderer.errors import BadParameter, Fault, shorten

LONGEST = 100
DEFAULT = "{index}"
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
# What a system takes for a device, whatever follows its first dot.
_DEVICE = re.compile(
    r"(?:CON|PRN|AUX|NUL|(?:COM|LPT)[0-9]|CONIN|CONOUT)(?:\.|\Z)", re.I
)
# Room for a number of six digits below the longest name.
_SHARED = LONGEST - 8
# Enough for a name; a text of a megabyte need not be transliterated.
_MOST_VALUE = 2 * LONGEST
_MOST_PATTERN = 500
_CONSTANT = (
    "has no placeholder such as {index}; curl takes braces in a URL for its own"
    " unless it is called with -g"
)
_MOST_TEXT = 10 * LONGEST


class NamePattern:
    """What names are made of: text and placeholders such as `{index}`.

    Raises BadParameter on `name` for a placeholder that is not known.
    """

    def __init__(self, text: str, known: Iterable[str]) -> None:
        if len(text) > _MOST_PATTERN:
            reason = f"has more than {_MOST_PATTERN} characters"
            raise BadParameter(Fault("name", reason))
        self.text = text
        parts = _PLACEHOLDER.split(text)
        self._texts, self._names = parts[::2], parts[1::2]
        choices = dict.fromkeys(("index", "renderer", *known))
        for name in self._names:
            if name not in choices:
                raise _unknown(f"{{{name}}}", choices)
        if any(brace in part for part in self._texts for brace in "{}"):
            raise BadParameter(Fault("name", "has a brace without its other half"))
        if not self._names:
            raise BadParameter(Fault("name", _CONSTANT))

    def fill(self, index: int, renderer: str, values: Mapping[str, Any]) -> str:
        """Return the name of an image before it is made safe."""
        spelt = [_spell(name, index, renderer, values) for name in self._names]
        pieces = zip(self._texts, [*spelt, ""], strict=True)
        return "".join(part for piece in pieces for part in piece)


def _unknown(placeholder: str, choices: Iterable[str]) -> BadParameter:
    known = ", ".join(f"{{{choice}}}" for choice in choices)
    reason = f"{shorten(placeholder)} is not known; known are {known}"
    return BadParameter(Fault("name", reason))


def _spell(name: str, index: int, renderer: str, values: Mapping[str, Any]) -> str:
    if name == "index":
        return f"{index:05}"
    if name == "renderer":
        return renderer
    value = values.get(name)
    if value is None or isinstance(value, bytes):
        return ""
    return value[:_MOST_VALUE] if isinstance(value, str) else str(value).lower()


class Names:
    """Makes names safe and unique within one collection, whatever their case.

    Names are given without extension: one of the `endings` of the collection's format
    is taken off what is wanted. A name that is already `taken` is not given.
    """

    def __init__(self, taken: Iterable[str] = (), endings: Iterable[str] = ()) -> None:
        self._next = {name.lower(): 2 for name in taken}
        self._suffixes = tuple(f".{ending}" for ending in endings)

    def give(self, wanted: str, index: int) -> str:
        """Return a stem of 1 to 100 of A-Z, a-z, 0-9, dot, hyphen and underscore."""
        for suffix in self._suffixes:
            if wanted.lower().endswith(suffix):
                wanted = wanted[: -len(suffix)]
                break
        stem = safe(wanted) or f"{index:05}"
        if stem.lower() not in self._next:
            self._next[stem.lower()] = 2
            return stem
        # One counter for all that are equal so far: trying stays linear.
        shared = stem[:_SHARED]
        number = self._next.setdefault(shared.lower(), 2)
        while f"{shared}-{number}".lower() in self._next:
            number += 1
        self._next[shared.lower()] = number + 1
        self._next[f"{shared}-{number}".lower()] = 2
        return f"{shared}-{number}"


def safe(text: str) -> str:
    """Return text as a stem that no system takes for a path or a device; maybe none."""
    text = text[:_MOST_TEXT]
    ascii_only = text if text.isascii() else anyascii(text)
    stem = _UNSAFE.sub("-", ascii_only).strip("._-")[:LONGEST].rstrip("._-")
    return f"image-{stem}"[:LONGEST] if _DEVICE.match(stem) else stem
