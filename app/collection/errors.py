"""What can go wrong between an upload and the images of its collection.

The tree is free of HTTP; `app.problems` maps each class to a status.
"""

from collections.abc import Iterable
from typing import NamedTuple

from app.errors import with_fields
from app.renderer.errors import shorten


class RowFault(NamedTuple):
    """One thing wrong with one row.

    `row` counts from 1, as images do, and is None where the fault is no row's;
    `line` is the line of the file, from 1, where the file has lines. `field` is
    empty where the whole row is at fault.
    """

    row: int | None
    line: int | None
    field: str
    reason: str

    def __str__(self) -> str:
        row = [] if self.row is None else [f"row {self.row:,}"]
        line = [] if self.line is None else [f"line {self.line:,}"]
        place = ", ".join((*row, *line))
        return ": ".join(part for part in (place, self.field, self.reason) if part)


class CollectionError(Exception):
    """Base of all errors that this package raises on purpose."""


class BadRows(CollectionError):
    """Rows are not valid: `faults` are the first 100, `more` counts the others."""

    def __init__(self, faults: Iterable[RowFault], more: int = 0) -> None:
        self.faults = tuple(faults)
        self.more = more
        super().__init__(self.faults, more)

    def __str__(self) -> str:
        others = len(self.faults) - 1 + self.more
        said = str(self.faults[0])
        return f"{said}; and {others:,} more" if others else said


@with_fields
class Unreadable(CollectionError):
    """A file cannot be read beyond a line; `BadRows` reports it as last fault."""

    line: int | None
    reason: str


@with_fields
class UnknownCollection(CollectionError):
    """No collection is kept under this id."""

    id: str

    def __str__(self) -> str:
        return f"There is no collection {shorten(self.id)!r}, or not any more."


@with_fields
class NoSuchIndex(CollectionError):
    """A collection has no image of this number; they run from 1 to `count`."""

    index: int
    count: int

    def __str__(self) -> str:
        return f"There is no image {self.index:,}: they run from 1 to {self.count:,}."


@with_fields
class ExpiredCollection(CollectionError):
    """An id pins pixels that this installation no longer makes.

    `current` is the id of the same rows on this installation.
    """

    id: str
    current: str

    def __str__(self) -> str:
        return (
            f"The images of collection {shorten(self.id)!r} are made in another way"
            " now; `current` is the id under which the same rows can be had."
        )


class DamagedCollection(CollectionError):
    """What is kept under an id is not a collection, or not all of it."""
