"""A collection as one JSON object, read twice: first its members, then its items."""

import re
from collections.abc import Callable, Iterator
from itertools import chain
from typing import IO, Any

import ijson  # type: ignore[import-untyped]
from ijson.common import ObjectBuilder  # type: ignore[import-untyped]

from app.collection.errors import Unreadable
from app.collection.ingest.table import Stream, TableRow, row_of_item
from app.config import Settings
from app.parsing.image import BadBody
from app.renderer.errors import BadParameter, Fault, LimitExceeded, shorten

_BLOCK = 64 << 10
_DEEPEST = 32
# So much of a run of backslashes is held back; a longer one is a text of nothing else.
_CARRY = 4096
# A pair is two escapes of six bytes, and may be cut anywhere by the end of a block.
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
        self._bounds = bounds
        self._taken = 0
        self._count = 0
        # Names that come twice in an item, by its number: the parser keeps the last.
        self._twice: dict[int, list[str]] = {}
        file.seek(0)
        self.members = dict(self._survey())

    def rows(self) -> Iterator[TableRow]:
        """Yield a row for each item."""
        self._file.seek(0)
        # All that can be wrong with the text was found when it was surveyed.
        # Numbers as floats: a Decimal, the parser's own choice, is no parameter's type.
        items = ijson.items(self._file, "items.item", use_float=True, buf_size=_BLOCK)
        for number, item in enumerate(items, 1):
            twice = self._twice.get(number, ())
            faults = tuple(Fault(name, "is given more than once") for name in twice)
            yield TableRow(None, {}, faults=faults) if faults else row_of_item(item)

    def read(self, size: int) -> bytes:
        """Feed the parser; raise Unreadable where one value gets too large."""
        data = self._file.read(size)
        self._taken += len(data)
        most = self._bounds.max_body_bytes
        # The first block of a value mostly began before it.
        if self._taken > most + _BLOCK:
            reason = f"item {self._count + 1:,} is over the limit MIMEO_MAX_BODY_BYTES"
            raise Unreadable(None, f"{reason} of {most:,} bytes")
        return data

    def _survey(self) -> Iterator[tuple[str, Any]]:
        """Yield the members; look at all items, and hold none of them."""
        events = self._parse()
        if next(events)[0] != "start_map":
            raise BadBody("The body must be a JSON object.")
        seen: set[str] = set()
        for event, name in events:
            # What follows the end is read, too: the parser says what it is.
            if event == "end_map":
                continue
            if name in seen:
                raise BadParameter(Fault(name, "is given more than once"))
            seen.add(name)
            if name == "items":
                self._survey_items(events)
                continue
            self._taken = 0
            builder = ObjectBuilder()
            for twice in self._names_twice(events, builder.event):
                raise BadParameter(Fault(f"{name}.{twice}", "is given more than once"))
            yield name, builder.value
        if "items" not in seen:
            raise BadParameter(Fault("items", "is required"))

    def _survey_items(self, events: _Events) -> None:
        if next(events)[0] != "start_array":
            raise BadParameter(Fault("items", "must be an array"))
        most = self._bounds.max_rows
        for first in events:
            if first[0] == "end_array":
                self._count = 0
                return
            self._taken = 0
            if self._count == most:
                raise LimitExceeded("rows", "MIMEO_MAX_ROWS", most, most + 1)
            twice = [*self._names_twice(chain((first,), events))]
            self._count += 1
            if twice:
                self._twice[self._count] = twice

    def _names_twice(
        self, events: _Events, take: Callable[[str, Any], None] = lambda *_: None
    ) -> Iterator[str]:
        """Pass one value over to `take`; yield the names that an object has again."""
        inside: list[set[str]] = []
        for event, value in events:
            take(event, value)
            if event in ("start_map", "start_array"):
                inside.append(set())
                if len(inside) > _DEEPEST:
                    deep = f"nested more than {_DEEPEST} deep"
                    raise BadBody(f"The JSON is {deep} in item {self._count + 1:,}.")
            elif event in ("end_map", "end_array"):
                inside.pop()
            elif event == "map_key":
                if value in inside[-1]:
                    yield value
                inside[-1].add(value)
            if not inside:
                return

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
    # yajl's message is bytes of three lines: the reason, the text, and an arrow.
    message = error.args[0] if error.args else ""
    text = message.decode("utf-8", "replace") if isinstance(message, bytes) else message
    reason, _, around = str(text).partition("\n")
    reason = reason.strip(" .")
    near = around.partition("(right here)")[0].strip()
    return f"{reason}, near {shorten(near)!r}" if near else reason


def spool(stream: Stream, file: IO[bytes]) -> None:
    """Write an upload down; raise BadBody for what the parser would not tell."""
    rest, offset = b"", 0
    block = b""
    # At least the three bytes of a byte order mark, if there are as many.
    while len(block) < 3 and (more := stream.read(_BLOCK)):
        block += more
    # RFC 8259, 8.1: nobody may write a byte order mark, and a reader may ignore it.
    block = block.removeprefix(b"\xef\xbb\xbf")
    while block:
        file.write(block)
        text = rest + block
        end = _check(text, offset, len(text) - _ESCAPE)
        rest, offset = text[end:], offset + end
        block = stream.read(_BLOCK)
    _check(rest, offset, len(rest))
    file.flush()


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
