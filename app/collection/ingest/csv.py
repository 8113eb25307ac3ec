"""CSV as spreadsheets write it (RFC 4180 and its relatives): rows out of cells."""

import csv
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from app.collection.errors import BadRows, Faults, RowFault, Unreadable
from app.collection.ingest.ndjson import Lines, Stream, TableRow
from app.renderer.errors import Fault, shorten

# The field size limit is the process's own; rows are bounded before they get here.
csv.field_size_limit(2**31 - 1)

_DELIMITERS = (",", ";", "\t")
_SEPARATOR = re.compile(r'"?sep=(.)"?[,;\t]*\s*\Z')
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_MOST_HEADER = 64 << 10
# Eight bytes and more each, as long as the row is in memory.
_MOST_CELLS = 100_000


class Columns(NamedTuple):
    """The columns that a table may have: parameters, and what is to be passed over."""

    known: frozenset[str]
    ignored: frozenset[str] = frozenset()


class _CsvHeader(NamedTuple):
    names: tuple[str, ...]
    delimiter: str


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
        header = _header(lines, texts, columns)
    except Unreadable as error:
        raise BadRows((RowFault(None, error.line, "", error.reason),)) from error
    _check(header, columns)
    narrow = _narrow(lines, texts, header.delimiter)
    cells = csv.reader(narrow, delimiter=header.delimiter, strict=True)
    while True:
        start = lines.begin()
        try:
            row = next(cells)
        except StopIteration:
            return
        except csv.Error as error:
            raise _broken(error, start, lines.number) from error
        if _is_blank(row):
            lines.pass_over()
        else:
            yield _row(start, header.names, row, columns)


def _header(lines: Lines, texts: Iterator[str], columns: Columns) -> _CsvHeader:
    text = _record(texts)
    forced: tuple[str, ...] = _DELIMITERS
    found = _SEPARATOR.match(text)
    if found:
        if found[1] not in _DELIMITERS:
            reason = f"sep={found[1]!r} is not a comma, a semicolon or a tab"
            raise Unreadable(1, reason)
        text, forced = _record(texts), (found[1],)
    if not text:
        raise Unreadable(None, "the file is empty: its first line names the columns")
    rows = [row for row in (_split(text, each) for each in forced) if row]
    if not rows:
        raise Unreadable(lines.number, "the quotes of the header are broken")
    known = columns.known | columns.ignored
    return max(rows, key=lambda row: (len(known & {*row.names}), len(row.names)))


def _record(texts: Iterator[str]) -> str:
    """Return the first record that is not blank, a quoted line break included."""
    text = ""
    for line in texts:
        text = text + line if text.strip() else line
        if len(text) > _MOST_HEADER:
            raise Unreadable(1, f"the header has more than {_MOST_HEADER:,} characters")
        if text.strip() and text.count('"') % 2 == 0:
            break
    return text if text.strip() else ""


def _split(text: str, delimiter: str) -> _CsvHeader | None:
    lines = text.splitlines(keepends=True)
    try:
        row = next(csv.reader(lines, delimiter=delimiter, strict=True))
    except csv.Error:
        return None
    return _CsvHeader(tuple(name.strip() for name in row), delimiter)


def _check(header: _CsvHeader, columns: Columns) -> None:
    """Raise BadRows with whatever is wrong with the header."""
    faults = Faults()
    hint = f"is not known; known are {', '.join(sorted(columns.known))}"
    for place, name in enumerate(header.names, 1):
        if not name:
            faults.add(None, 1, f"column {place:,}", "has no name")
        elif name not in columns.known | columns.ignored:
            faults.add(None, 1, name, f"{hint}; ignore={shorten(name)} passes it over")
            hint = "is not known"
    for name, times in Counter(header.names).items():
        if name and times > 1:
            faults.add(None, 1, name, f"names {times:,} columns")
    for name in sorted(columns.ignored - {*header.names}):
        faults.add(None, 1, name, "is to be ignored and is no column")
    faults.check()


def _narrow(lines: Lines, texts: Iterator[str], delimiter: str) -> Iterator[str]:
    """Hand lines on; raise Unreadable before one becomes millions of cells."""
    for text in texts:
        if len(text) > _MOST_CELLS and text.count(delimiter) > _MOST_CELLS:
            raise Unreadable(lines.number, f"has more than {_MOST_CELLS:,} delimiters")
        yield text


def _broken(error: csv.Error, start: int, line: int) -> Unreadable:
    if "end of data" in str(error):
        return Unreadable(start, "a quote that opens in this row is never closed")
    return Unreadable(line, f"the quoting is broken: {error}")


def _is_blank(row: Sequence[str]) -> bool:
    """Tell a line without anything; a quoted nothing is a cell."""
    return not row or (len(row) == 1 and row[0].isspace())


def _row(
    line: int, names: Sequence[str], cells: list[str], columns: Columns
) -> TableRow:
    if len(cells) != len(names):
        reason = f"has {len(cells):,} cells; the header has {len(names):,}"
        return TableRow(line, {}, text=True, faults=(Fault("", reason),))
    if _CONTROL.search("".join(cells)):
        faults = tuple(_controls(names, cells))
        return TableRow(line, {}, text=True, faults=faults)
    given = {name: cell for name, cell in zip(names, cells, strict=True) if cell}
    if not columns.ignored:
        return TableRow(line, given, text=True)
    extra = {name: given.pop(name) for name in columns.ignored & given.keys()}
    return TableRow(line, given, text=True, extra=extra)


def _controls(names: Sequence[str], cells: Sequence[str]) -> Iterator[Fault]:
    for name, cell in zip(names, cells, strict=True):
        found = _CONTROL.search(cell)
        if found:
            code = f"U+{ord(found[0]):04X}"
            place = f"at character {found.start() + 1:,}"
            yield Fault(name, f"holds the control character {code} {place}")
