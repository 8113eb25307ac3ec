"""Several pages on one: print sheets.

The streams of a page stand in the sheet's own list of streams, between two that put
them in their place (ISO 32000-1, 7.8.2): what pages have in common stays one object.
"""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from app.renderer.encode.pdf.content import entries_of, packed
from app.renderer.encode.pdf.document import (
    Objects,
    PdfPage,
    box,
    decimal,
    page_objects,
    renumbered,
)
from app.renderer.paper import Sides

_MEDIA = re.compile(rb"/MediaBox\[([0-9. ]+)\]")
_TRIM = re.compile(rb"/TrimBox\[([0-9. ]+)\]")
_UNIT = re.compile(rb"/UserUnit (\d+)")
_KIND = re.compile(rb"/(\w+)<<((?:/\w+ \d+ 0 R)*)>>")
_NAMED = re.compile(rb"/(\w+) (\d+) 0 R")
_CONTENTS = re.compile(rb"/Contents\[([^\]]*)\]")
_REFERRED = re.compile(rb"(\d+) 0 R")
_LINE = 0.25
# Grey: seen by who cuts, and hardly where a cut went beside it.
_MARKS = b"q\n0.35 G %b w\n" % decimal(_LINE)

Matrix = tuple[float, float, float, float, float, float]


class Cell(NamedTuple):
    """A rectangle: its lower left corner, and its sides."""

    x: float
    y: float
    width: float
    height: float


class Placed(NamedTuple):
    """A page in its place: the matrix of `cm` (section 8.3.4) of its points.

    They are counted from the corner where it is cut. `number` is its place among the
    pages, from 0; what of it is `seen` is a part of the sheet.
    """

    number: int
    matrix: Matrix
    seen: Cell


class Mark(NamedTuple):
    """A mark from one place to another; a fold is dashed."""

    start: Sides
    end: Sides
    dashed: bool = False


def size_of(page: PdfPage) -> Sides:
    """Return a page's sides in points, cut."""
    (_, _, width, height), unit = _box_of(page.objects[-1].value)
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
    sheet, sides, _ = box(size)
    # Of a sheet that is so large that its unit is.
    shrink = sides[0] / size[0]
    parts = [_Piece(objects, page) for page in pages]
    named: dict[bytes, dict[bytes, int]] = {}
    contents: list[int] = []
    for each in placed:
        part = parts[each.number]
        begin = _begin(each, part, shrink)
        contents += (
            objects.add(b"<<", begin),
            *part.contents,
            objects.add(b"<<", b"\nQ\n"),
        )
        for kind, names in part.named.items():
            named.setdefault(kind, {}).update(names)
    marks = b"".join(_drawn(line, shrink) for line in lines)
    if marks:
        contents.append(objects.add(*packed(b"<<", b"%b%bQ\n" % (_MARKS, marks))))
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
        (*corner, _, _), self.unit = _box_of(leaf.value)
        self.corner = corner[0] * self.unit, corner[1] * self.unit


def _box_of(leaf: bytes) -> tuple[Cell, int]:
    """Return where a page is cut, in its units, and a unit's points."""
    found, unit = _TRIM.search(leaf) or _MEDIA.search(leaf), _UNIT.search(leaf)
    assert found is not None
    left, bottom, right, top = map(float, found[1].split())
    return Cell(left, bottom, right - left, top - bottom), int(unit[1]) if unit else 1


def _begin(placed: Placed, part: _Piece, shrink: float) -> bytes:
    """Return what puts the streams of a page in their place, and cuts them off."""
    a, b, c, d, e, f = placed.matrix
    left, bottom = part.corner
    place = e - a * left - c * bottom, f - b * left - d * bottom
    put = [*(each * part.unit for each in (a, b, c, d)), *place]
    seen, matrix = (
        b" ".join(decimal(each * shrink) for each in each_of)
        for each_of in (placed.seen, put)
    )
    return b"q\n%b re W n\n%b cm\n" % (seen, matrix)


def _drawn(line: Mark, shrink: float) -> bytes:
    places = [decimal(each * shrink) for each in (*line.start, *line.end)]
    dashes = b"[2 2] 0 d\n" if line.dashed else b"[] 0 d\n"
    return dashes + b"%b %b m %b %b l S\n" % tuple(places)
