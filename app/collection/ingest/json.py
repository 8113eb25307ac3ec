"""A collection as one JSON object, read twice: first its members, then its items."""

import re
from collections.abc import Iterator
from typing import IO, Any

import ijson  # type: ignore[import-untyped]

from app.collection.errors import Unreadable
from app.collection.ingest.ndjson import Stream, TableRow, row_of
from app.config import Settings
from app.parsing.image import BadBody
from app.renderer.errors import BadParameter, Fault, LimitExceeded, shorten

_BLOCK = 64 << 10
_DEEPEST = 32
_CARRY = 4096
_ESCAPE = 12
# The parser reads half of a pair as a question mark and says nothing.
_SURROGATES = re.compile(
    rb"(?<!\\)(?:\\\\)*+\\u(?:[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|(?P<half>[dD][89a-fA-F][0-9a-fA-F]{2}))"
)
_Events = Iterator[tuple[str, Any]]


class JsonDocument:
    """A JSON upload in a temporary file, which stays the caller's to close.

    `members` is all of the object but its items. Raises BadBody where it is not
    JSON, BadParameter where items are missing or a member comes twice, Unreadable
    where one item is too large, by a block or two, and LimitExceeded where there are
    too many.
    """

    def __init__(self, file: IO[bytes], bounds: Settings) -> None:
        self._file = file
        self._most = bounds.max_body_bytes
        self._most_rows = bounds.max_rows
        self.members = dict(self._read_members())
        if not self._has_items:
            raise BadParameter(Fault("items", "is required"))

    def rows(self) -> Iterator[TableRow]:
        """Yield a row for each item."""
        reader = _SpoolReader(self._file, self._most)
        for name in reader.names():
            if name == "items":
                yield from reader.rows()
            else:
                reader.value()

    def _read_members(self) -> Iterator[tuple[str, Any]]:
        reader = _SpoolReader(self._file, self._most)
        seen: set[str] = set()
        for name in reader.names():
            if name in seen:
                raise BadParameter(Fault(name, "is given more than once"))
            seen.add(name)
            if name == "items":
                reader.skip_array(name, self._most_rows)
                continue
            value = reader.value()
            if reader.twice:
                fault = Fault(f"{name}.{reader.twice[0]}", "is given more than once")
                raise BadParameter(fault)
            yield name, value
        self._has_items = "items" in seen


class _SpoolReader:
    """Builds values out of a parser's events; `twice` are names that came twice."""

    def __init__(self, file: IO[bytes], most: int) -> None:
        file.seek(0)
        self._file = file
        self._most = most
        self._taken = 0
        self._count = 0
        self._events = self._parse()
        self.twice: list[str] = []

    def read(self, size: int) -> bytes:
        """Feed the parser; raise Unreadable where one value gets too large."""
        data = self._file.read(size)
        self._taken += len(data)
        # The first block of a value mostly began before it.
        if self._taken > self._most + _BLOCK:
            reason = f"item {self._count + 1:,} is over the limit MIMEO_MAX_BODY_BYTES"
            raise Unreadable(None, f"{reason} of {self._most:,} bytes")
        return data

    def names(self) -> Iterator[str]:
        """Yield the names of the outermost object; take each one's value meanwhile."""
        event, _ = next(self._events)
        if event != "start_map":
            raise BadBody("The body must be a JSON object.")
        for event, name in self._events:
            if event == "map_key":
                yield name

    def value(self) -> Any:
        """Return the next value whole."""
        self._taken = 0
        self.twice = []
        return self._build(*next(self._events), 0)

    def rows(self) -> Iterator[TableRow]:
        """Yield the rows of the array that comes next."""
        self._enter("items")
        for event, value in self._events:
            if event == "end_array":
                return
            self._taken = 0
            self.twice = []
            row = row_of(self._build(event, value, 0))
            faults = tuple(Fault(n, "is given more than once") for n in self.twice)
            self._count += 1
            yield TableRow(None, {}, faults=faults) if faults else row

    def skip_array(self, name: str, most: int) -> None:
        """Pass over the array that comes next; raise where it has over `most` items."""
        self._enter(name)
        depth = 1
        for event, _ in self._events:
            if event in ("start_map", "start_array"):
                depth += 1
            elif event in ("end_map", "end_array"):
                depth -= 1
            if depth == 1:
                self._taken = 0
                self._count += 1
                if self._count > most:
                    raise LimitExceeded("rows", "MIMEO_MAX_ROWS", most, self._count)
            if depth == 0:
                self._count = 0
                return

    def _enter(self, name: str) -> None:
        event, _ = next(self._events)
        if event != "start_array":
            raise BadParameter(Fault(name, "must be an array"))

    def _build(self, event: str, value: Any, depth: int) -> Any:
        if depth > _DEEPEST:
            place = f"item {self._count + 1:,}"
            raise BadBody(f"The JSON is nested more than {_DEEPEST} deep in {place}.")
        if event == "start_map":
            return self._object(depth)
        if event == "start_array":
            return self._array(depth)
        return value

    def _object(self, depth: int) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for event, name in self._events:
            if event == "end_map":
                break
            if name in made:
                self.twice.append(name)
            made[name] = self._build(*next(self._events), depth + 1)
        return made

    def _array(self, depth: int) -> list[Any]:
        made: list[Any] = []
        for event, value in self._events:
            if event == "end_array":
                break
            made.append(self._build(event, value, depth + 1))
        return made

    def _parse(self) -> _Events:
        try:
            yield from ijson.basic_parse(self, use_float=True, buf_size=_BLOCK)
        except ijson.JSONError as error:
            place = f"item {self._count + 1:,}"
            raise BadBody(f"The body is not JSON: {_said(error)} ({place}).") from error
        except UnicodeError as error:
            raise BadBody("The body is not JSON: a text is not UTF-8.") from error


def _said(error: ijson.JSONError) -> str:
    """Return what the parser says, and the text around the place in short."""
    message = error.args[0] if error.args else ""
    text = message.decode("utf-8", "replace") if isinstance(message, bytes) else message
    reason, _, around = str(text).partition("\n")
    reason = reason.strip(" .")
    near = around.partition("(right here)")[0].strip()
    return f"{reason}, near {shorten(near)!r}" if near else reason


def spool(stream: Stream, file: IO[bytes]) -> None:
    """Write an upload down; raise BadBody for what the parser would not tell."""
    rest, offset = b"", 0
    block = _first_block(stream)
    if block.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise BadBody("The body is UTF-16; JSON is UTF-8 (RFC 8259, section 8.1).")
    block = block.removeprefix(b"\xef\xbb\xbf")
    while block:
        file.write(block)
        text = rest + block
        end = _check(text, offset, len(text) - _ESCAPE)
        rest, offset = text[end:], offset + end
        block = stream.read(_BLOCK)
    _check(rest, offset, len(rest))
    file.flush()


def _first_block(stream: Stream) -> bytes:
    """Return at least the three bytes of a byte order mark, if there are as many."""
    block = b""
    while len(block) < 3 and (more := stream.read(_BLOCK)):
        block += more
    return block


def _check(text: bytes, offset: int, stop: int) -> int:
    """Look for half a surrogate pair that begins before `stop`; say where to go on."""
    done = 0
    for found in _SURROGATES.finditer(text):
        if found.start() > stop:
            break
        if found["half"]:
            half, place = found["half"].decode(), offset + found.start("half") - 1
            raise BadBody(
                f"The JSON holds half of a pair, \\u{half}, at byte {place:,}."
            )
        done = found.end()
    # A run of backslashes tells by its length what its last one means.
    cut = max(done, len(text[: max(stop, 0)].rstrip(b"\\")))
    return cut if stop - cut < _CARRY else max(stop, 0)
