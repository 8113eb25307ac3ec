"""From records of cells to rows of parameters: header, columns, what is bound to them.

Whatever reads a table (CSV, a workbook) yields records; what they mean is decided here.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from types import MappingProxyType
from typing import NamedTuple

from app.collection.errors import BadRows, RowFault, Unreadable
from app.collection.ingest.binding import (
    FILE_NAME,
    Binding,
    BoundTemplate,
    ColumnNames,
    as_text,
    column_of,
    count_named,
    loose,
)
from app.collection.ingest.preview import Preview
from app.collection.ingest.table import Faults, TableRow, Warnings
from app.renderer.errors import BadParameter, Fault, nearest, shorten

_NO_FAULTS: Mapping[int, str] = MappingProxyType({})
_NO_EDITS: Mapping[int, Mapping[str, str]] = MappingProxyType({})
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
# A title, the date of the export, a blank line; further down it is data.
_MOST_ABOVE = 20
_MOST_HEADER = 64 << 10


class Record(NamedTuple):
    """One line of a table: its number from 1, and texts.

    `faults` are what is wrong with cells, by place; `reason` is what is with all of it.
    """

    line: int
    cells: Sequence[str]
    faults: Mapping[int, str] = _NO_FAULTS
    reason: str = ""


class Columns(NamedTuple):
    """What a table's columns may be for.

    `known` are the parameters, `ignored` is passed over without a word, `bindings` are
    templates for parameters, `wanted` columns that file names are made of. `given` are
    parameters that need no column: they are shared by all rows. `required` are those
    that every row has to have, `options` those of the output, which are no columns.
    `edits` are what cells hold instead, by line and column.
    """

    known: frozenset[str]
    ignored: frozenset[str] = frozenset()
    bindings: tuple[Binding, ...] = ()
    wanted: tuple[str, ...] = ()
    given: frozenset[str] = frozenset()
    required: frozenset[str] = frozenset()
    options: frozenset[str] = frozenset()
    edits: Mapping[int, Mapping[str, str]] = _NO_EDITS

    @property
    def names(self) -> frozenset[str]:
        """What a header may be told by: all names that mean something, loosely."""
        bound = (name for each in self.bindings for name in each.columns)
        wanted = map(column_of, self.wanted)
        return frozenset(map(loose, (*self.known, *self.ignored, *wanted, *bound)))

    @property
    def bound(self) -> Mapping[str, Binding]:
        """The bindings by parameter."""
        return {each.parameter: each for each in self.bindings}


class _ColumnPlan(NamedTuple):
    """Where each parameter and each column of a file name comes from."""

    direct: tuple[tuple[str, int], ...]
    templates: tuple[tuple[str, BoundTemplate], ...]
    extra: tuple[tuple[str, int], ...]


def read_table(
    records: Iterable[Record],
    columns: Columns,
    warned: Warnings,
    preview: Preview | None = None,
) -> Iterator[TableRow]:
    """Yield the rows below the header; an empty cell is not given.

    A `preview` takes note of the columns, and of each row before it is judged.

    Rows without anything are passed over, short ones end in empty cells. Raises
    BadRows for a wrong header, before any row, and for edits of lines that are no
    rows, behind the last one, and what `records` raises.
    """
    iterator = iter(records)
    try:
        header, above, rest = _find_header(iterator, columns)
    except Unreadable as error:
        raise BadRows((RowFault(None, error.line, "", error.reason),)) from error
    names = [name.strip() for name in header.cells]
    if above:
        lines = f"line {above[0].line:,}" if len(above) == 1 else "lines"
        if len(above) > 1:
            lines = f"lines {above[0].line:,} to {above[-1].line:,}"
        warned.add(f"{lines} above the header passed over")
    if preview is not None:
        preview.head(names)
    own = ColumnNames(names)
    plan = _plan(header.line, own, columns, warned)
    edits = {**columns.edits}
    width = len(names)
    unnamed = [place for place, name in enumerate(names) if not name]
    number = 0
    for record in chain(rest, iterator):
        number += 1
        cells = [*record.cells]
        edit = edits.pop(record.line, None)
        if edit is not None:
            record, cells = _edited(record, own, edit)
        if preview is not None:
            preview.see(number, record.line, cells, keep=edit is not None)
        if len(cells) > width and any(map(str.strip, cells[width:])):
            reason = f"has {len(cells):,} cells; the header has {width:,}"
            yield TableRow(record.line, {}, text=True, faults=(Fault("", reason),))
            continue
        # Programs leave out what is empty at the end of a row, against RFC 4180, 2.4.
        cells.extend([""] * (width - len(cells)))
        for place in unnamed:
            if cells[place].strip():
                warned.add(f"column {place + 1:,} has no name: it was passed over")
        yield _row(record, cells, number, names, plan)
    if edits:
        line = min(edits)
        field = next(iter(_spelt(line, edits[line])))
        raise BadRows((RowFault(None, line, field, "there is no row in this line"),))


def _spelt(line: int, edit: Iterable[str]) -> list[str]:
    return [f"cell[{line}:{name}]" for name in edit]


def _edited(
    record: Record, header: ColumnNames, edit: Mapping[str, str]
) -> tuple[Record, list[str]]:
    """Return a record, and its cells, with what some of them hold instead."""
    cells = [*record.cells]
    cells.extend([""] * (len(header.names) - len(cells)))
    places = {header.find(name): text for name, text in edit.items()}
    for place, text in places.items():
        if place is not None:
            cells[place] = text
    faults = {each: why for each, why in record.faults.items() if each not in places}
    return record._replace(faults=faults), cells


def _find_header(
    records: Iterator[Record], columns: Columns
) -> tuple[Record, Sequence[Record], Iterable[Record]]:
    """Return the header, what is above it, and records below that were read already.

    It is the record that names most columns that are known, of the first ones. Where
    none does it is the first that has two cells: a title above it has one.
    """
    read: list[Record] = []
    short: list[Sequence[str]] = []
    failed: Unreadable | None = None
    while len(read) <= _MOST_ABOVE:
        try:
            record = next(records, None)
        except Unreadable as error:
            # What is wrong below the header is said with the rows above it.
            if not read:
                raise
            failed = error
            break
        if record is None:
            break
        read.append(record)
        # A title is short: what is longer is data, or no table at all.
        if sum(map(len, record.cells)) > _MOST_HEADER:
            break
        short.append(record.cells)
    # A file of nothing but blank lines has no record either.
    if not read:
        reason = "the file is empty: its first line names the columns"
        raise Unreadable(None, reason)
    ranks = [
        (named, 0 if named else min(2, sum(map(bool, map(str.strip, cells)))))
        for named, cells in zip(count_named(short, columns.names), short, strict=True)
    ]
    place = ranks.index(max(ranks)) if ranks else 0
    return read[place], read[:place], _rest(read[place + 1 :], failed)


def _rest(read: Iterable[Record], failed: Unreadable | None) -> Iterator[Record]:
    yield from read
    if failed is not None:
        raise failed


def _plan(
    line: int, header: ColumnNames, columns: Columns, warned: Warnings
) -> _ColumnPlan:
    """Decide what each column is for; raise BadRows with whatever is wrong."""
    faults = Faults()
    bound = columns.bound
    used: set[int] = set()
    direct: list[tuple[str, int]] = []
    templates: list[tuple[str, BoundTemplate]] = []
    extra: list[tuple[str, int]] = []
    for name in sorted(columns.known - bound.keys() - columns.ignored):
        place = _looked_up(header, name, line, faults)
        if place is not None:
            direct.append((name, place))
            used.add(place)
    for parameter, binding in bound.items():
        try:
            made = binding.bound_to(header)
        except BadParameter as error:
            for fault in error.faults:
                faults.add(None, line, *fault)
            continue
        templates.append((parameter, made))
        used.update(part.place for part in made.slots if part.place is not None)
    for name in columns.wanted:
        column = column_of(name)
        hint = header.suggest(column)
        reason = f"{{{shorten(name)}}} is neither a parameter nor a column{hint}"
        place = _looked_up(header, column, line, faults, Fault(FILE_NAME, reason))
        if place is not None:
            extra.append((name, place))
    for name in sorted(columns.ignored):
        fault = Fault(name, "is to be ignored and is no column")
        place = _looked_up(header, name, line, faults, fault)
        if place is not None:
            extra.append((name, place))
    for edited, edit in columns.edits.items():
        for name, field in zip(edit, _spelt(edited, edit), strict=True):
            fault = Fault(field, "is no column")
            _looked_up(header, name, line, faults, fault)
    used.update(place for _, place in extra)
    # What is bound wrongly is not missing, too: one fault says it.
    filled = {name for name, _ in direct} | bound.keys() | columns.given
    _judge_others(line, header, used, filled, columns, faults, warned)
    faults.check()
    return _ColumnPlan(tuple(direct), tuple(templates), tuple(extra))


def _looked_up(
    header: ColumnNames,
    name: str,
    line: int,
    faults: Faults,
    missing: Fault | None = None,
) -> int | None:
    """Return a column's place; its absence is the fault `missing`, if there is one."""
    try:
        place = header.find(name)
    except BadParameter as error:
        faults.add(None, line, *error.faults[0])
        return None
    if place is None and missing is not None:
        faults.add(None, line, *missing)
    return place


def _judge_others(
    line: int,
    header: ColumnNames,
    used: set[int],
    filled: frozenset[str] | set[str],
    columns: Columns,
    faults: Faults,
    warned: Warnings,
) -> None:
    """Say which columns are for nothing; refuse those that look misspelt."""
    others = [
        name for place, name in enumerate(header.names) if name and place not in used
    ]
    missing = {loose(name): name for name in columns.known - filled}
    if not used and faults.named:
        return
    if not used:
        hint = f"is not known; known are {', '.join(sorted(columns.known))}"
        for name in others:
            faults.add(
                None, line, name, f"{hint}; ignore={shorten(name)} passes it over"
            )
            hint = "is not known"
        if not others:
            faults.add(None, line, "", "the header names no column")
        return
    passed = []
    for name in others:
        # At 0.8 `compny` is company, and `Full Name` is not name.
        near = nearest(loose(name), missing, 0.8)
        if name in columns.options:
            reason = "is not known as a column: one for all rows is in the query"
            faults.add(None, line, name, reason)
        elif near:
            meant = missing[near]
            reason = f"is no parameter; did you mean {meant}?"
            hint = f"ignore={shorten(name)} passes it over"
            faults.add(None, line, name, f"{reason} If not, {hint}")
        else:
            passed.append(shorten(name))
    if passed:
        many = (
            "columns that nothing uses" if passed[1:] else "a column that nothing uses"
        )
        warned.add(f"{many} passed over: {', '.join(passed[:20])}")
    for name in sorted(columns.required - filled):
        reason = "is required, and no column is called so"
        if others:
            reason += f"; bind[{name}]={{{shorten(others[0])}}} binds one to it"
        faults.add(None, line, name, reason)


def _row(
    record: Record,
    cells: Sequence[str],
    number: int,
    names: Sequence[str],
    plan: _ColumnPlan,
) -> TableRow:
    faults: list[Fault] = []
    given = {}
    for name, place in plan.direct:
        if cells[place]:
            given[name] = cells[place]
    extra = {name: cells[place] for name, place in plan.extra}
    for parameter, template in plan.templates:
        try:
            text = template.fill(cells, number)
        except BadParameter as error:
            faults.extend(error.faults)
            continue
        # An empty text is as an empty cell: not given, so that a default may hold.
        if text:
            given[parameter] = text
    if record.reason:
        faults.append(Fault("", record.reason))
    elif record.faults or _CONTROL.search("".join(cells)):
        faults.extend(_broken(record, cells, names, plan))
    if faults:
        return TableRow(record.line, {}, text=True, faults=tuple(faults))
    return TableRow(record.line, given, text=True, extra=extra)


def _broken(
    record: Record, cells: Sequence[str], names: Sequence[str], plan: _ColumnPlan
) -> Iterator[Fault]:
    """Name the cells that cannot be used, of the columns that are used."""
    used = {place for _, place in (*plan.direct, *plan.extra)}
    used |= {
        slot.place
        for _, made in plan.templates
        for slot in made.slots
        if slot.place is not None
    }
    for place in sorted(used):
        if place in record.faults:
            yield Fault(names[place], record.faults[place])
        found = _CONTROL.search(cells[place])
        if found:
            code = f"U+{ord(found[0]):04X}"
            where = f"at character {found.start() + 1:,}"
            yield Fault(names[place], f"holds the control character {code} {where}")


def bind_items(
    rows: Iterable[TableRow], columns: Columns, warned: Warnings
) -> Iterator[TableRow]:
    """Bind the members of JSON objects as columns are bound.

    What is not a text becomes one, as a query spells it. Members that nothing uses are
    passed over, and said.
    """
    bound = columns.bound
    used = {loose(name) for each in columns.bindings for name in each.columns}
    used |= {loose(column_of(name)) for name in columns.wanted}
    optional = {
        loose(name): name for each in columns.bindings for name in each.optional
    }
    for number, row in enumerate(rows, 1):
        if row.faults or row.renderer is not None:
            yield row
            continue
        faults = [
            Fault(name, "is neither text nor number: a template cannot hold it")
            for name, value in row.values.items()
            if isinstance(value, dict | list)
            and (name in columns.known or loose(name) in used)
        ]
        cells = {name: as_text(value) for name, value in row.values.items()}
        # A member that another item has had, or that has a default, may be missing.
        optional |= {loose(name): name for name in cells if loose(name) in used}
        lacking = optional.keys() - {loose(name) for name in cells}
        cells |= {optional[each]: "" for each in sorted(lacking)}
        given = {
            name: text
            for name, text in cells.items()
            if name in columns.known and name not in bound and text
        }
        try:
            header = ColumnNames([*cells])
            for parameter, binding in bound.items():
                text = binding.bound_to(header).fill([*cells.values()], number)
                if text:
                    given[parameter] = text
            extra = {}
            for name in columns.wanted:
                place = header.find(column_of(name))
                if place is None:
                    reason = f"{{{shorten(name)}}} is neither a parameter nor a member"
                    faults.append(Fault(FILE_NAME, reason))
                else:
                    extra[name] = [*cells.values()][place]
        except BadParameter as error:
            faults.extend(error.faults)
        if faults:
            yield row._replace(faults=tuple(faults))
            continue
        for name in cells:
            if name not in columns.known and loose(name) not in used:
                warned.add(f"a member that nothing uses passed over: {shorten(name)}")
        yield row._replace(values=given, text=True, extra=extra)
