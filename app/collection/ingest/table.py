"""Rows as they are sent, one at a time and with their place: CSV and NDJSON.

A reader of tables finds a header and numbered rows of cells; `row_of_cells` alone
makes parameters of them. CSV is read as spreadsheets write it (RFC 4180 and its
relatives).
"""

import csv
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

from app.collection.errors import BadRows, RowFault, Unreadable
from app.parsing.image import BadBody, read_json
from app.renderer.errors import BadParameter, Fault, shorten

# The field size limit is the process's own; rows are bounded before they get here.
csv.field_size_limit(2**31 - 1)

_BLOCK = 64 << 10
_NOTHING: Mapping[str, Any] = MappingProxyType({})
_ENVELOPE = ("renderer", "params", "name")
# A spreadsheet has no more rows; sixty million blank lines would take 12 seconds.
_MOST_BLANK = 1 << 20
# Excel's name of it; what it calls CSV alone is in the code page of the machine.
_ADVICE = "save it as CSV UTF-8"
# Excel writes a semicolon wherever the decimal separator of the country is a comma.
_DELIMITERS = (",", ";", "\t")
# Excel obeys a first line `sep=;`; who takes it for cells writes it quoted and padded.
_SEPARATOR = re.compile(r'"?sep=(.)"?[,;\t]*\s*\Z')
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_MOST_HEADER = 64 << 10
# Eight bytes and more each, as long as the row is in memory.
_MOST_CELLS = 100_000
# An answer repeats what was sent, so it must not grow with it.
_MOST_NAMED = 100
_MOST_CHARACTERS = 300


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


class Columns(NamedTuple):
    """The columns that a table may have: parameters, and what is to be passed over."""

    known: frozenset[str]
    ignored: frozenset[str] = frozenset()


class Faults:
    """Collects the faults of an upload: the first hundred are `named`."""

    def __init__(self) -> None:
        self.named: list[RowFault] = []
        self._more = 0

    def add(self, row: int | None, line: int | None, field: str, reason: str) -> None:
        """Take note of a fault; what was sent is repeated in short."""
        if len(self.named) == _MOST_NAMED:
            self._more += 1
            return
        if len(reason) > _MOST_CHARACTERS:
            reason = f"{reason[:_MOST_CHARACTERS]}…"
        self.named.append(RowFault(row, line, shorten(field), reason))

    def end(self, row: int | None, line: int | None, reason: str) -> None:
        """Take note of what ended the reading: always named, and the last one."""
        if len(self.named) == _MOST_NAMED:
            self.named.pop()
            self._more += 1
        self.add(row, line, "", reason)

    def pass_over(self, number: int) -> None:
        """Count faults that have no names."""
        self._more += number

    def check(self) -> None:
        """Raise BadRows if there are any."""
        if self.named:
            raise BadRows(self.named, self._more)


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
                reason = f"is not UTF-8 at byte {error.start + 1:,} of the line"
                # What Excel calls Unicode text is UTF-16 with a byte order mark.
                if line.startswith((b"\xff\xfe", b"\xfe\xff")):
                    reason = "the file is UTF-16"
                raise Unreadable(self.number, f"{reason}: {_ADVICE}") from error

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


def read_csv(stream: Stream, columns: Columns, most: int) -> Iterator[TableRow]:
    """Yield the rows below the header; an empty cell is not given.

    Comma, semicolon or tab, whichever makes most sense of the header, or what a
    first line `sep=;` says. Blank lines are passed over. Raises BadRows for a
    wrong header, before any row, and Unreadable where quoting or UTF-8 is broken or
    a row has more than `most` bytes.
    """
    lines = Lines(stream, most, "; is a quote left open?")
    texts = lines.texts()
    try:
        names, delimiter = _header(lines, texts, columns)
    except Unreadable as error:
        raise BadRows((RowFault(None, error.line, "", error.reason),)) from error
    _check_header(names, columns)
    for line, cells in _rows(lines, texts, delimiter):
        yield row_of_cells(line, names, cells, columns)


def _header(
    lines: Lines, texts: Iterator[str], columns: Columns
) -> tuple[list[str], str]:
    """Return the names of the columns, and what stands between them."""
    text = _record(texts)
    delimiters: tuple[str, ...] = _DELIMITERS
    forced = _SEPARATOR.match(text)
    if forced:
        if forced[1] not in _DELIMITERS:
            reason = f"sep={forced[1]!r} is not a comma, a semicolon or a tab"
            raise Unreadable(1, reason)
        text, delimiters = _record(texts), (forced[1],)
    if not text:
        raise Unreadable(None, "the file is empty: its first line names the columns")
    known = columns.known | columns.ignored
    found = []
    for delimiter in delimiters:
        try:
            cells = next(
                csv.reader(text.splitlines(True), delimiter=delimiter, strict=True)
            )
        except csv.Error:
            continue
        names = [name.strip() for name in cells]
        found.append((len(known & {*names}), len(names), names, delimiter))
    if not found:
        raise Unreadable(lines.number, "the quotes of the header are broken")
    # Known names count first: a column that is called `a,b,c` is not three.
    _, _, names, delimiter = max(found, key=lambda row: row[:2])
    return names, delimiter


def _record(texts: Iterator[str]) -> str:
    """Return the first record that is not blank, a quoted line break included."""
    text = ""
    for line in texts:
        text = text + line if text.strip() else line
        if len(text) > _MOST_HEADER:
            raise Unreadable(1, f"the header has more than {_MOST_HEADER:,} characters")
        # RFC 4180, 2.7: quotes within quotes are doubled, so an odd one is open.
        if text.strip() and text.count('"') % 2 == 0:
            break
    return text if text.strip() else ""


def _check_header(names: Sequence[str], columns: Columns) -> None:
    """Raise BadRows with whatever is wrong with the header."""
    faults = Faults()
    hint = f"is not known; known are {', '.join(sorted(columns.known))}"
    for place, name in enumerate(names, 1):
        if not name:
            faults.add(None, 1, f"column {place:,}", "has no name")
        elif name not in columns.known | columns.ignored:
            faults.add(None, 1, name, f"{hint}; ignore={shorten(name)} passes it over")
            hint = "is not known"
    for name, times in Counter(names).items():
        if name and times > 1:
            faults.add(None, 1, name, f"names {times:,} columns")
    for name in sorted(columns.ignored - {*names}):
        faults.add(None, 1, name, "is to be ignored and is no column")
    faults.check()


def _rows(
    lines: Lines, texts: Iterator[str], delimiter: str
) -> Iterator[tuple[int, list[str]]]:
    """Yield the number of the line that a row begins on, and its cells."""

    def narrow() -> Iterator[str]:
        # A row of 8 MiB of commas would be 8 million cells before any is counted.
        for text in texts:
            if len(text) > _MOST_CELLS and text.count(delimiter) > _MOST_CELLS:
                reason = f"has more than {_MOST_CELLS:,} delimiters"
                raise Unreadable(lines.number, reason)
            yield text

    rows = csv.reader(narrow(), delimiter=delimiter, strict=True)
    while True:
        start = lines.begin()
        try:
            cells = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            # The module has one class for all; its text is the only way to tell.
            if "end of data" in str(error):
                reason = "a quote that opens in this row is never closed"
                raise Unreadable(start, reason) from error
            reason = f"the quoting is broken: {error}"
            raise Unreadable(lines.number, reason) from error
        # A line without anything is no row; a quoted nothing is a cell.
        if not cells or (len(cells) == 1 and cells[0].isspace()):
            lines.pass_over()
        else:
            yield start, cells


def row_of_cells(
    line: int | None, names: Sequence[str], cells: Sequence[str], columns: Columns
) -> TableRow:
    """Return the row that cells stand for, one below each of the names."""
    if len(cells) != len(names):
        reason = f"has {len(cells):,} cells; the header has {len(names):,}"
        return TableRow(line, _NOTHING, text=True, faults=(Fault("", reason),))
    # One look at all of them together: next to no row has a control character.
    if _CONTROL.search("".join(cells)):
        faults = tuple(_controls(names, cells))
        return TableRow(line, _NOTHING, text=True, faults=faults)
    given = {name: cell for name, cell in zip(names, cells, strict=True) if cell}
    extra = {name: given.pop(name) for name in columns.ignored & given.keys()}
    return TableRow(line, given, text=True, extra=extra)


def _controls(names: Sequence[str], cells: Sequence[str]) -> Iterator[Fault]:
    for name, cell in zip(names, cells, strict=True):
        found = _CONTROL.search(cell)
        if found:
            code = f"U+{ord(found[0]):04X}"
            place = f"at character {found.start() + 1:,}"
            yield Fault(name, f"holds the control character {code} {place}")


def read_ndjson(stream: Stream, columns: Columns, most: int) -> Iterator[TableRow]:
    """Yield a row for each line that is not blank; a broken line is its row's fault.

    Raises Unreadable for a line of more than `most` bytes, and BadParameter where
    columns are to be ignored, of which there are none.
    """
    if columns.ignored:
        raise BadParameter(Fault("ignore", "is for tables, which have columns"))
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
