"""The worst rows of a table, to be looked at before ten thousand are drawn."""

import unicodedata
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import pybase64

from app.collection.errors import BadRows, RowFault
from app.collection.ingest.binding import as_text
from app.collection.ingest.table import TableRow
from app.collection.ingest.writer import Draft
from app.image_request import ImageRequest
from app.media import Media, document
from app.pipeline.admission import Busy
from app.renderer.errors import RendererError

# An answer repeats what was sent, so it must not grow with it.
_MOST_COLUMNS, _MOST_CELL = 200, 200


class PreviewRow(NamedTuple):
    """A row that is worth a look: its number from 1, its line, and why."""

    row: int
    line: int | None
    why: str
    request: ImageRequest


class SentRow(NamedTuple):
    """A row as it was sent: its number from 1, its line, and its cells, in short."""

    row: int
    line: int | None
    cells: Sequence[str]


class Preview:
    """Takes note of rows while they are validated: longest, emptiest, widest.

    `count` are all rows that are valid, `warnings` what was assumed in reading them.
    Of the first rows, and of those with faults, it keeps the cells, too.
    """

    def __init__(self, number: int) -> None:
        self._number = number
        self._worst: dict[str, list[tuple[float, int, PreviewRow]]] = {}
        self._columns: dict[str, int] = {}
        self._names: list[str] = []
        self._records: dict[int, SentRow] = {}
        self._latest = SentRow(0, None, ())
        self.count = 0
        self.warnings: tuple[str, ...] = ()
        self._left_out: dict[str, Any] = _left_out((), 0, 0)

    def add(self, index: int, line: int | None, request: ImageRequest) -> None:
        """Take note of a row, if it is one of the worst."""
        self.count += 1
        values = vars(request.parameters).values()
        texts = [value for value in values if isinstance(value, str)]
        weights = {
            "longest": sum(map(len, texts)),
            "emptiest": -sum(value not in (None, "") for value in values),
            "widest": max(map(_width, texts), default=0),
        }
        for why, weight in weights.items():
            kept = self._worst.setdefault(why, [])
            # A row that is no worse than those kept costs a comparison.
            if len(kept) == self._number and weight <= kept[-1][0]:
                continue
            # Of equals the first one stays: -index sorts it in front.
            kept.append((weight, -index, PreviewRow(index, line, why, request)))
            kept.sort(key=lambda each: each[:2], reverse=True)
            del kept[self._number :]

    def head(self, names: Sequence[str]) -> None:
        """Take note of the names of a table's columns."""
        self._names = [name[:_MOST_CELL] for name in names[:_MOST_COLUMNS]]

    def see(
        self, row: int, line: int | None, cells: Sequence[str], *, keep: bool = False
    ) -> None:
        """Take note of a row's cells before it is judged; `keep` them whatever it is.

        Those of the first rows are kept anyway.
        """
        self._latest = SentRow(row, line, cells)
        if keep or row <= self._number:
            self._keep()

    def see_items(self, items: Iterator[TableRow]) -> Iterator[TableRow]:
        """Hand JSON objects on; their members are the columns."""
        for number, item in enumerate(items, 1):
            for name in item.values:
                if len(self._columns) < _MOST_COLUMNS:
                    self._columns.setdefault(name, len(self._columns))
            self._names = [name[:_MOST_CELL] for name in self._columns]
            cells = [as_text(item.values.get(name)) for name in self._columns]
            self.see(number, item.line, cells)
            yield item

    def blame(self, row: int) -> None:
        """Keep the cells of a row that has a fault which is named."""
        if self._latest.row == row:
            self._keep()

    def leave_out(self, count: int, faults: Sequence[RowFault], more: int) -> None:
        """Take note of how many rows were left out, and of what is wrong with them."""
        self._left_out = _left_out(faults, more, count)

    def _keep(self) -> None:
        row, line, cells = self._latest
        short = [cell[:_MOST_CELL] for cell in cells[:_MOST_COLUMNS]]
        self._records[row] = SentRow(row, line, short)

    def rows(self) -> list[PreviewRow]:
        """Return so many rows, each once: the worst of each kind first."""
        chosen: dict[int, PreviewRow] = {}
        for rank in range(self._number):
            for kept in self._worst.values():
                if rank < len(kept):
                    row = kept[rank][2]
                    chosen.setdefault(row.row, row)
        return [*chosen.values()][: self._number]

    def report(
        self, read: Callable[[], Draft], draw: Callable[[ImageRequest], Media]
    ) -> dict[str, Any]:
        """Read a table and draw its worst rows; return what JSON says of them.

        What a service would be paid for is not made. Raises what reading raises, but
        for faults of rows, which are in the report.
        """
        faults: tuple[RowFault, ...] = ()
        more = 0
        try:
            read().close()
        except BadRows as error:
            faults, more = error.faults, error.more
        return {
            "count": self.count,
            "faults": [fault._asdict() for fault in faults],
            "more": more,
            "left_out": self._left_out,
            "warnings": self.warnings,
            "columns": self._names,
            "records": [self._told(record) for record in self._records.values()],
            "rows": [_drawn(row, draw) for row in self.rows()],
        }

    def _told(self, record: SentRow) -> dict[str, Any]:
        # A short row, or an item before another one that has more members.
        missing = [""] * (len(self._names) - len(record.cells))
        return {**record._asdict(), "cells": [*record.cells, *missing]}


def _left_out(faults: Sequence[RowFault], more: int, count: int) -> dict[str, Any]:
    told = [fault._asdict() for fault in faults]
    return {"count": count, "faults": told, "more": more}


def _drawn(row: PreviewRow, draw: Callable[[ImageRequest], Media]) -> dict[str, Any]:
    found = {"row": row.row, "line": row.line, "why": row.why}
    if row.request.renderer.remote is not None:
        return {**found, "error": "A service makes it: nothing is bought to look at."}
    try:
        media = draw(row.request)
    except (RendererError, Busy) as error:
        return {**found, "error": str(error)}
    data = pybase64.b64encode_as_string(media.data)
    return {**found, **document(media, {}), "data": data}


def _width(text: Any) -> float:
    """Estimate how wide a line a text is, in ems: its longest word counts, too."""
    # Wide and fullwidth characters (UAX #11) take an em, capitals two thirds.
    wide = sum(unicodedata.east_asian_width(each) in "WF" for each in text[:500])
    upper = sum(map(str.isupper, text[:500]))
    longest = max(map(len, text[:500].split()), default=0)
    return 0.5 * len(text[:500]) + 0.5 * wide + 0.17 * upper + longest
