"""Several pages on one: print sheets.

The streams of a page stand in the sheet's own list of streams, between two that put
them in their place (ISO 32000-1, 7.8.2): what pages have in common stays one object.
"""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from app.renderer.encode.pdf.content import entries_of
from app.renderer.encode.pdf.document import (
    Objects,
    PdfPage,
    box,
    decimal,
    page_objects,
    renumbered,
)
from app.renderer.paper import Sides

_BOX = re.compile(rb"/MediaBox\[0 0 ([0-9.]+) ([0-9.]+)\]")
_UNIT = re.compile(rb"/UserUnit (\d+)")
_KIND = re.compile(rb"/(\w+)<<((?:/\w+ \d+ 0 R)*)>>")
_NAMED = re.compile(rb"/(\w+) (\d+) 0 R")
_CONTENTS = re.compile(rb"/Contents\[([^\]]*)\]")
_REFERRED = re.compile(rb"(\d+) 0 R")
_LINE = 0.25
# Grey: seen by who cuts, and hardly where a cut went beside it.
_MARKS = b"q\n0.35 G %b w\n" % decimal(_LINE)

Matrix = tuple[float, float, float, float, float, float]


class Placed(NamedTuple):
    """A page in its place: the matrix of `cm` (section 8.3.4) of its points.

    `number` is its place among the pages, from 0.
    """

    number: int
    matrix: Matrix


class Mark(NamedTuple):
    """A mark from one place to another; a fold is dashed."""

    start: Sides
    end: Sides
    dashed: bool = False


def size_of(page: PdfPage) -> Sides:
    """Return a page's sides in points."""
    (width, height), unit = _box_of(page.objects[-1].value)
    return width * unit, height * unit


def impose(
    pages: Sequence[PdfPage],
    placed: Iterable[Placed],
    lines: Iterable[Mark],
    size: Sides,
) -> PdfPage:
    """Return a sheet with pages in their places, and marks over them.

    It has the title and the language that all its pages have.
    """
    objects = Objects()
    sheet, sides = box(size)
    # Of a sheet that is so large that its unit is.
    shrink = sides[0] / size[0]
    parts = [_Piece(objects, page) for page in pages]
    named: dict[bytes, dict[bytes, int]] = {}
    contents: list[int] = []
    for number, matrix in placed:
        part = parts[number]
        begin = _begin(matrix, part, shrink)
        contents += (
            objects.add(b"<<", begin),
            *part.contents,
            objects.add(b"<<", b"\nQ\n"),
        )
        for kind, names in part.named.items():
            named.setdefault(kind, {}).update(names)
    marks = b"".join(_drawn(line, shrink) for line in lines)
    if marks:
        contents.append(objects.add(b"<<", b"%b%bQ\n" % (_MARKS, marks)))
    group = any(part.group for part in parts)
    entries = entries_of(named)
    built = page_objects(objects, sheet, contents, entries, group=group)
    attribution = dict.fromkeys(owner for page in pages for owner in page.attribution)
    titles = {page.title for page in pages}
    langs = {page.lang for page in pages}
    return PdfPage(
        built,
        tuple(attribution),
        titles.pop() if len(titles) == 1 else "",
        langs.pop() if len(langs) == 1 else "",
    )


class _Piece:
    """What a page is made of, as objects of the sheet."""

    def __init__(self, objects: Objects, page: PdfPage) -> None:
        *parts, leaf = page.objects
        numbers: dict[int, int] = {}
        for at, part in enumerate(parts, 1):
            numbers[at] = objects.add(renumbered(part.value, numbers), part.data)
        value = renumbered(leaf.value, numbers)
        found = _CONTENTS.search(value)
        assert found is not None
        self.contents = [int(each) for each in _REFERRED.findall(found[1])]
        before = value[: found.start()]
        self.named = {
            kind: {name: int(number) for name, number in _NAMED.findall(names)}
            for kind, names in _KIND.findall(before)
        }
        self.group = b"/Group" in value[found.end() :]
        self.sides, self.unit = _box_of(leaf.value)


def _box_of(leaf: bytes) -> tuple[Sides, int]:
    """Return a page's sides in its units, and a unit's points."""
    found, unit = _BOX.search(leaf), _UNIT.search(leaf)
    assert found is not None
    return (float(found[1]), float(found[2])), int(unit[1]) if unit else 1


def _begin(matrix: Matrix, part: _Piece, shrink: float) -> bytes:
    """Return what puts the streams of a page in their place, and cuts at its edge."""
    a, b, c, d, e, f = matrix
    unit = part.unit
    put = [each * shrink for each in (a * unit, b * unit, c * unit, d * unit, e, f)]
    edge = b" ".join(map(decimal, part.sides))
    return b"q\n%b cm\n0 0 %b re W n\n" % (b" ".join(map(decimal, put)), edge)


def _drawn(line: Mark, shrink: float) -> bytes:
    places = [decimal(each * shrink) for each in (*line.start, *line.end)]
    dashes = b"[2 2] 0 d\n" if line.dashed else b"[] 0 d\n"
    return dashes + b"%b %b m %b %b l S\n" % tuple(places)
