"""Rows as they are sent, one at a time and with their place; NDJSON among them."""

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

from app.collection.errors import BadRows, RowFault, Unreadable
from app.parsing.image import BadBody, read_json
from app.renderer.errors import BadParameter, Fault, shorten

_BLOCK = 64 << 10
_NOTHING: Mapping[str, Any] = MappingProxyType({})
_ENVELOPE = ("renderer", "params", "name")
# A spreadsheet has no more rows; sixty million blank lines would take 12 seconds.
_MOST_BLANK = 1 << 20
# Excel's name of the choice in its dialogue; what it calls CSV alone is Windows-1252.
ADVICE = "save it as CSV UTF-8"
# An answer repeats what was sent, so it must not grow with it.
MOST_NAMED = 100
_MOST_CHARACTERS = 300
_MOST_WARNINGS = 20


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


class Warnings:
    """What was assumed or passed over, said once each: the first twenty."""

    def __init__(self) -> None:
        self._said: dict[str, None] = {}

    def add(self, text: str) -> None:
        """Say something, if it is new and there is room."""
        if len(self._said) < _MOST_WARNINGS:
            short = (
                text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]}…"
            )
            self._said.setdefault(short)

    def lead(self, text: str) -> None:
        """Say something before all else, whether there is room or not."""
        said, self._said = self._said, {}
        self.add(text)
        self._said.update([*said.items()][: _MOST_WARNINGS - 1])

    def __iter__(self) -> Iterator[str]:
        return iter(self._said)


class Faults:
    """Collects the faults of an upload: the first hundred are `named`."""

    def __init__(self) -> None:
        self.named: list[RowFault] = []
        self._more = 0

    def add(self, row: int | None, line: int | None, field: str, reason: str) -> None:
        """Take note of a fault; what was sent is repeated in short."""
        if len(self.named) == MOST_NAMED:
            self._more += 1
            return
        if len(reason) > _MOST_CHARACTERS:
            reason = f"{reason[:_MOST_CHARACTERS]}…"
        self.named.append(RowFault(row, line, shorten(field), reason))

    def end(self, row: int | None, line: int | None, reason: str) -> None:
        """Take note of what ended the reading: always named, and the last one."""
        if len(self.named) == MOST_NAMED:
            self.named.pop()
            self._more += 1
        self.add(row, line, "", reason)

    def pass_over(self, number: int) -> None:
        """Count faults that have no names."""
        self._more += number

    @property
    def more(self) -> int:
        """How many faults have no names."""
        return self._more

    def check(self) -> None:
        """Raise BadRows if there are any."""
        if self.named:
            raise BadRows(self.named, self._more)


class Lines:
    """The lines of a stream, ends kept (CR, LF or both).

    `number` is that of the last line handed out. Raises Unreadable as soon as
    more than `most` bytes belong to one row; `hint` is a likely cause.
    """

    def __init__(
        self,
        stream: Stream,
        most: int,
        hint: str = "",
        advice: Callable[[], str] = lambda: ADVICE,
    ) -> None:
        self._stream = stream
        self._most = most
        self._hint = hint
        self._advice = advice
        self._taken = 0
        self._start = 1
        self._blank = 0
        self.number = 0

    def begin(self, start: int | None = None) -> None:
        """Begin a row, on the next line unless lines were taken ahead of it."""
        self._taken = 0
        self._start = self.number + 1 if start is None else start

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
                reason = f"is not UTF-8 at byte {error.start + 1:,} of the line"
                # What Excel calls Unicode text is UTF-16 with a byte order mark.
                if line.startswith((b"\xff\xfe", b"\xfe\xff")):
                    reason = "the file is UTF-16"
                raise Unreadable(self.number, f"{reason}: {self._advice()}") from error

    def raw(self) -> Iterator[bytes]:
        """Yield the lines as bytes."""
        rest = b""
        while block := self._stream.read(_BLOCK):
            lines = (rest + block).splitlines(keepends=True)
            # A CR at the end may be half of a line's end.
            rest = b"" if lines[-1].endswith(b"\n") else lines.pop()
            yield from map(self._hand_out, lines)
            # Without an end of line nothing is handed out, and nothing would stop it.
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


def read_ndjson(stream: Stream, most: int) -> Iterator[TableRow]:
    """Yield a row for each line that is not blank; a broken line is its row's fault.

    Raises Unreadable for a line of more than `most` bytes.
    """
    lines = Lines(stream, most)
    for line in lines.raw():
        if not line.strip():
            lines.pass_over()
        else:
            try:
                yield row_of_item(read_json(line), lines.number)
            except BadBody as error:
                reason = str(error).replace("The body", "the line")
                faults: tuple[Fault, ...] = (Fault("", reason),)
                yield TableRow(lines.number, _NOTHING, faults=faults)
            except BadParameter as error:
                yield TableRow(lines.number, _NOTHING, faults=error.faults)
        lines.begin()


def row_of_item(item: Any, line: int | None = None) -> TableRow:
    """Return the row that an item stands for: parameters, or an envelope of them."""
    if not isinstance(item, dict):
        return TableRow(line, _NOTHING, faults=(Fault("", "must be an object"),))
    if "params" not in item:
        return TableRow(line, item)
    faults = []
    if not isinstance(item["params"], dict):
        faults.append(Fault("params", "must be an object"))
    for name in ("renderer", "name"):
        if not isinstance(item.get(name, ""), str):
            faults.append(Fault(name, "must be a string"))
    for name in sorted(item.keys() - {*_ENVELOPE}):
        known = ", ".join(_ENVELOPE)
        faults.append(Fault(name, f"is not known beside params; known are {known}"))
    if faults:
        return TableRow(line, _NOTHING, faults=tuple(faults))
    return TableRow(
        line, item["params"], renderer=item.get("renderer"), name=item.get("name")
    )
