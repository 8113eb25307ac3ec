"""Rows as they are sent, one at a time and with their place; NDJSON among them."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

from app.collection.errors import Unreadable
from app.parsing.image import BadBody, read_json
from app.renderer.errors import BadParameter, Fault

_BLOCK = 64 << 10
_NOTHING: Mapping[str, Any] = MappingProxyType({})
_ENVELOPE = ("renderer", "params", "name")
# A spreadsheet has no more rows; sixty million blank lines would take 12 seconds.
_MOST_BLANK = 1 << 20
_ADVICE = "save it as CSV UTF-8"


class Stream(Protocol):
    """What readers need of an upload."""

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes; none at the end."""


class TableRow(NamedTuple):
    """One row before it is validated.

    `line` is where it begins in the file, from 1. `text` says that values are
    strings, as a query has them. `renderer` is None where the upload's is meant,
    `name` where its pattern is. `extra` are the cells of ignored columns. A row
    that has `faults` is known to be wrong.
    """

    line: int | None
    values: Mapping[str, Any]
    text: bool = False
    renderer: str | None = None
    name: str | None = None
    extra: Mapping[str, str] = _NOTHING
    faults: tuple[Fault, ...] = ()


class Lines:
    """The lines of a stream, ends kept (CR, LF or both).

    `number` is that of the last line handed out. Raises Unreadable as soon as
    more than `most` bytes belong to one row; `hint` is a likely cause.
    """

    def __init__(self, stream: Stream, most: int, hint: str = "") -> None:
        self._stream = stream
        self._most = most
        self._hint = hint
        self._taken = 0
        self._start = 1
        self._blank = 0
        self.number = 0

    def begin(self) -> int:
        """Begin a row; return the number of its first line."""
        self._taken = 0
        self._start = self.number + 1
        return self._start

    def pass_over(self) -> None:
        """Take note of a blank line; raise Unreadable where there are too many."""
        self._blank += 1
        if self._blank > _MOST_BLANK:
            reason = f"there are more than {_MOST_BLANK:,} blank lines"
            raise Unreadable(self.number, reason)

    def texts(self) -> Iterator[str]:
        """Yield the lines as text; raise Unreadable where one is not UTF-8."""
        for line in self.raw():
            try:
                yield line.decode("utf-8-sig" if self.number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                raise Unreadable(self.number, _not_utf8(line, error)) from error

    def raw(self) -> Iterator[bytes]:
        """Yield the lines as bytes."""
        rest = b""
        while block := self._stream.read(_BLOCK):
            lines = (rest + block).splitlines(keepends=True)
            # A CR at the end may be half of a line's end.
            rest = b"" if lines[-1].endswith(b"\n") else lines.pop()
            yield from map(self._hand_out, lines)
            self._check(self._taken + len(rest))
        if rest:
            yield self._hand_out(rest)

    def _hand_out(self, line: bytes) -> bytes:
        self.number += 1
        self._taken += len(line)
        self._check(self._taken)
        return line

    def _check(self, size: int) -> None:
        if size > self._most:
            raise Unreadable(
                self._start,
                "the row is over the limit MIMEO_MAX_BODY_BYTES of"
                f" {self._most:,} bytes{self._hint}",
            )


def _not_utf8(line: bytes, error: UnicodeDecodeError) -> str:
    if line.startswith((b"\xff\xfe", b"\xfe\xff")):
        return f"the file is UTF-16: {_ADVICE}"
    return f"is not UTF-8 at byte {error.start + 1:,} of the line: {_ADVICE}"


def read_ndjson(stream: Stream, most: int) -> Iterator[TableRow]:
    """Yield a row for each line that is not blank; a broken line is its row's fault.

    Raises Unreadable for a line of more than `most` bytes.
    """
    lines = Lines(stream, most)
    for line in lines.raw():
        if line.strip():
            yield _row_of_line(line, lines.number)
        else:
            lines.pass_over()
        lines.begin()


def _row_of_line(line: bytes, number: int) -> TableRow:
    try:
        return row_of(read_json(line), number)
    except BadBody as error:
        reason = str(error).replace("The body", "the line")
        return TableRow(number, _NOTHING, faults=(Fault("", reason),))
    except BadParameter as error:
        return TableRow(number, _NOTHING, faults=error.faults)


def row_of(item: Any, line: int | None = None) -> TableRow:
    """Return the row that an item stands for: parameters, or an envelope of them."""
    if not isinstance(item, dict):
        return TableRow(line, _NOTHING, faults=(Fault("", "must be an object"),))
    if "params" not in item:
        return TableRow(line, item)
    faults = tuple(_envelope_faults(item))
    if faults:
        return TableRow(line, _NOTHING, faults=faults)
    return TableRow(
        line, item["params"], renderer=item.get("renderer"), name=item.get("name")
    )


def _envelope_faults(item: Mapping[str, Any]) -> Iterator[Fault]:
    if not isinstance(item["params"], dict):
        yield Fault("params", "must be an object")
    for name in ("renderer", "name"):
        if not isinstance(item.get(name, ""), str):
            yield Fault(name, "must be a string")
    known = ", ".join(_ENVELOPE)
    for name in sorted(item.keys() - set(_ENVELOPE)):
        yield Fault(name, f"is not known beside params; known are {known}")
