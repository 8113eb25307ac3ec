"""What a process that may be hostile answers: JSON with bytes behind it, checked.

Nothing of it is code or names code, as a pickle does: an answer is numbers, texts,
bytes, lists, and records of kinds that are agreed on, each field of a type that is.
"""

import json
import struct
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, NamedTuple

from PIL import Image

_LENGTH = struct.Struct(">Q")
_MODES = frozenset(("L", "RGB", "RGBA"))


class BadAnswer(Exception):
    """An answer is none: whoever sent it is not what it was."""


class Kind(NamedTuple):
    """A class of records or of exceptions, and the types that its fields may have.

    With one type alone and `repeated`, there may be any number of such fields.
    """

    make: Callable[..., Any]
    types: tuple[Any, ...]
    repeated: bool = False


Kinds = Mapping[str, Kind]
# What any process may raise. What is of no kind is told as a RuntimeError.
_OWN: Kinds = {
    "MemoryError": Kind(MemoryError, (str,), repeated=True),
    "RuntimeError": Kind(RuntimeError, (str,), repeated=True),
}


def kinds_of(kinds: Iterable[Kind]) -> dict[str, Kind]:
    """Return kinds by the names of their classes, which have to differ."""
    return {kind.make.__name__: kind for kind in kinds}


def packed(value: Any, kinds: Kinds) -> bytes:
    """Return a value as an answer; raise TypeError for what an answer cannot have.

    It may be of None, numbers, texts, bytes, lists, tuples, mappings by text, images
    and records of these kinds.
    """
    blobs: list[bytes] = []
    document = json.dumps(_plain(value, {**_OWN, **kinds}, blobs)).encode()
    return b"".join((_LENGTH.pack(len(document)), document, *blobs))


def unpacked(answer: bytes | bytearray, kinds: Kinds) -> Any:
    """Reverse `packed`; raise BadAnswer for anything else."""
    try:
        (length,) = _LENGTH.unpack_from(answer)
        start = _LENGTH.size + length
        document = json.loads(answer[_LENGTH.size : start])
        return _AnswerReader({**_OWN, **kinds}, memoryview(answer), start).read(
            document
        )
    except BadAnswer:
        raise
    except (ValueError, TypeError, LookupError, struct.error, RecursionError) as error:
        raise BadAnswer(f"{type(error).__name__}: {error}") from error


def _plain(value: Any, kinds: Kinds, blobs: list[bytes]) -> Any:
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (bytes, bytearray, memoryview)):
        blobs.append(bytes(value))
        return {"bytes": len(value)}
    name = type(value).__name__
    if name in kinds and type(value) is kinds[name].make:
        return {"kind": name, "of": _each(_fields(value), kinds, blobs)}
    if isinstance(value, (list, tuple)):
        each = _each(value, kinds, blobs)
        return each if isinstance(value, list) else {"tuple": each}
    if isinstance(value, Mapping):
        keys = list(map(str, value))
        return {"map": keys, "of": _each(value.values(), kinds, blobs)}
    if isinstance(value, Image.Image) and value.mode in _MODES:
        blobs.append(value.tobytes())
        return {"image": value.mode, "size": value.size, "bytes": len(blobs[-1])}
    raise TypeError(f"an answer cannot have {name}")


def _each(values: Iterable[Any], kinds: Kinds, blobs: list[bytes]) -> list[Any]:
    return [_plain(each, kinds, blobs) for each in values]


def _fields(value: Any) -> Iterable[Any]:
    if isinstance(value, BaseException):
        return value.args
    if is_dataclass(value):
        return (getattr(value, each.name) for each in fields(value))
    found: Iterable[Any] = value
    return found


class _AnswerReader:
    """Reads a document whose bytes stand behind it, in order."""

    def __init__(self, kinds: Kinds, answer: memoryview, start: int) -> None:
        self._kinds = kinds
        self._answer = answer
        self._at = start

    def read(self, plain: Any) -> Any:
        if isinstance(plain, list):
            return list(map(self.read, plain))
        if not isinstance(plain, dict):
            return plain
        if "kind" in plain:
            return self._record(self._kinds[plain["kind"]], plain["of"])
        if "tuple" in plain:
            return tuple(map(self.read, plain["tuple"]))
        if "map" in plain:
            values = map(self.read, plain["of"])
            return dict(zip(map(str, plain["map"]), values, strict=True))
        data = self._bytes(plain["bytes"])
        if "image" not in plain:
            return data
        mode, (width, height) = plain["image"], plain["size"]
        # Of a byte a channel; asked before there is room for it.
        if mode not in _MODES or min(width, height) < 0:
            raise BadAnswer(f"an image of mode {mode!r}, {width} by {height}")
        if width * height * len(mode) != len(data):
            raise BadAnswer(f"{len(data)} bytes are no image, {width} by {height}")
        return Image.frombytes(mode, (width, height), data)

    def _bytes(self, count: Any) -> bytes:
        end = self._at + count
        if not self._at <= end <= len(self._answer):
            raise BadAnswer(f"{count} bytes are not there")
        data = bytes(self._answer[self._at : end])
        self._at = end
        return data

    def _record(self, kind: Kind, plain: Any) -> Any:
        values = list(map(self.read, plain))
        types = kind.types * len(values) if kind.repeated else kind.types
        for value, allowed in zip(values, types, strict=True):
            if not isinstance(value, allowed):
                name = kind.make.__name__
                raise BadAnswer(f"{type(value).__name__} in a {name}")
        return kind.make(*values)
