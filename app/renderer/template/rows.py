"""Tables as a parameter: rows of named cells, and how they come to lie on pages."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson
from pydantic import BaseModel

from app.renderer.errors import BadParameter
from app.renderer.params import plain, validate

_SEPARATORS = "\t;,|"


def parse_rows(value: Any, row: type[BaseModel], most: int) -> str:
    """Return rows as JSON in its one spelling: a list of objects, without defaults.

    Takes a list of objects, JSON of one, JSON of an object in each line, or CSV whose
    first line names the columns; its separator is a comma, semicolon, tab or bar.
    Raises ValueError naming row and column.
    """
    found = list(_read(value, tuple(row.model_fields)))
    if len(found) > most:
        raise ValueError(f"has {len(found):,} rows, and takes {most:,}")
    checked = [_checked(each, number, row) for number, each in enumerate(found, 1)]
    return orjson.dumps(checked).decode()


def paginate(
    heights: Sequence[float], first: float, rest: float, tail: float = 0.0
) -> list[tuple[int, int]]:
    """Return the rows of each page, from one number up to another, counted from 0.

    Rows of these heights follow each other on a page that has room for `first`, and
    on others for `rest`; what is higher than a page has one of its own. The last
    page keeps `tail` free below its rows: one row goes there with it, if it has room.
    """
    pages: list[tuple[int, int]] = []
    begin, left = 0, first
    for number, height in enumerate(heights):
        if height > left and number > begin:
            pages.append((begin, number))
            begin, left = number, rest
        left -= height
    end = len(heights)
    if left >= tail:
        return [*pages, (begin, end)]
    split = end - 1 if end - begin > 1 and heights[-1] + tail <= rest else end
    return [*pages, (begin, split), (split, end)]


def _read(value: Any, columns: Sequence[str]) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, str):
        # Spreadsheets begin a file with a mark of its encoding.
        text = value.removeprefix("\ufeff").strip()
        if text[:1] not in ("[", "{"):
            yield from _csv(text, columns)
            return
        value = _json(text)
    if not isinstance(value, list):
        raise ValueError("must be a list of rows, as JSON or CSV")
    for number, each in enumerate(value, 1):
        if not isinstance(each, dict):
            known = ", ".join(columns)
            raise ValueError(f"row {number}: must be an object with {known}")
        yield {name: cell for name, cell in each.items() if cell is not None}


def _json(text: str) -> Any:
    try:
        if text.startswith("["):
            return orjson.loads(text)
        # Not `splitlines`: JSON may hold what else it takes for the end of a line.
        return [orjson.loads(line) for line in text.split("\n") if line.strip()]
    except orjson.JSONDecodeError as error:
        raise ValueError(f"is not JSON: {error}") from error


def _csv(text: str, columns: Sequence[str]) -> Iterator[Mapping[str, str]]:
    if not text:
        return
    head = text.splitlines()[0]
    named = {mark: _names(head, mark) for mark in _SEPARATORS}
    mark = max(_SEPARATORS, key=lambda mark: len(set(named[mark]) & set(columns)))
    names = named[mark]
    if not set(names) & set(columns):
        known = ", ".join(columns)
        raise ValueError(f"must be JSON, or CSV whose first line names {known}")
    if len(set(names)) < len(names):
        raise ValueError("names a column twice")
    try:
        _, *lines = csv.reader(io.StringIO(text), delimiter=mark, strict=True)
    except csv.Error as error:
        raise ValueError(f"is not CSV: {error}") from error
    for number, cells in enumerate(lines, 1):
        if len(cells) > len(names):
            reason = f"has {len(cells)} cells, and there are {len(names)} columns"
            raise ValueError(f"row {number}: {reason}")
        row = {
            name: cell.strip()
            for name, cell in zip(names, cells, strict=False)
            if cell.strip()
        }
        if row:
            yield row


def _names(head: str, mark: str) -> list[str]:
    return [
        name.strip().lower()
        for cells in csv.reader([head], delimiter=mark)
        for name in cells
    ]


def _checked(
    cells: Mapping[str, Any], number: int, row: type[BaseModel]
) -> Mapping[str, Any]:
    """Return the cells that were given, each of its column's type."""
    texts = {}
    for name, cell in cells.items():
        if isinstance(cell, dict | list):
            raise ValueError(f"row {number}, {name}: must be a text or a number")
        texts[name] = cell if isinstance(cell, str) else orjson.dumps(cell).decode()
    try:
        made = validate(row, texts, strict=False)
    except BadParameter as error:
        field, reason = error.faults[0]
        raise ValueError(f"row {number}, {field}: {reason}") from error
    return {name: plain(getattr(made, name)) for name in sorted(made.model_fields_set)}
