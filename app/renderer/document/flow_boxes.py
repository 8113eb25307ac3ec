"""The boxes of a document as they were laid out, and what is said of breaks at them."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

FORCED = frozenset({"always", "page", "all", "left", "right", "recto", "verso"})
# How far apart marks are, in CSS pixels: no page is as wide.
_STEP = 131_072


class BreakMark(NamedTuple):
    """What style sheets say about breaks in and beside a box.

    `margin` and `inset` are CSS pixels above it, and within it above its first line,
    which is not always known;
    `row` is the row of a table that a cell begins in. A box that is `out` of the flow
    is beside no other.
    """

    before: str = ""
    after: str = ""
    inside: str = ""
    orphans: int = 2
    widows: int = 2
    margin: float = 0.0
    inset: float | None = 0.0
    row: int | None = None
    part: str = ""
    whole: bool = False
    out: bool = False


class FlowBox(NamedTuple):
    """A box between its edges in CSS pixels, its lines from above, and those in it."""

    top: float
    bottom: float
    left: float
    right: float
    mark: BreakMark
    lines: list[tuple[float, float]]
    children: list["FlowBox"]
    turned: bool


class FlowRow(NamedTuple):
    """Boxes beside each other, and what is said about breaks around them."""

    top: float
    bottom: float
    before: str
    after: str
    inside: str
    margin: float
    boxes: list[FlowBox]
    part: str = ""


def placed(number: int) -> str:
    """Return the style by which a measured box tells its mark's number."""
    return f"transform:translateX({number * _STEP}px)"


def measured(
    plain: Mapping[str, Any],
    marked: Mapping[str, Any] | None,
    marks: Sequence[BreakMark],
    over: float,
) -> FlowBox:
    """Return a box as it was measured, with all in it.

    `marked` is the same where boxes have the style that `placed` tells, None where it
    is not known; `over` is how far right that moves those around it.
    """
    a, b, c, d, x, y = plain["transform"]
    width, height = plain["width"], plain["height"]
    number = 0
    moved = over
    if marked is not None:
        moved = marked["transform"][4] - x
        number = round((moved - over) / _STEP)
    mark = marks[number] if 0 < number < len(marks) else BreakMark()
    turned = abs(a - 1) + abs(b) + abs(c) + abs(d - 1) > 1e-3
    if turned:
        corners = [
            (a * u + c * v + x, b * u + d * v + y)
            for u, v in ((0, 0), (width, 0), (0, height), (width, height))
        ]
        xs, ys = zip(*corners, strict=True)
        return FlowBox(min(ys), max(ys), min(xs), max(xs), mark, [], [], True)
    children = plain["children"]
    others = marked["children"] if marked is not None else []
    if len(others) != len(children):
        others = [None] * len(children)
    inner = [
        measured(child, other, marks, moved)
        for child, other in zip(children, others, strict=True)
    ]
    lines = _lines(plain["runs"])
    if lines:
        inset = mark.inset
        if inset is None or lines[-1][1] + inset > height + 1:
            inset = max(0.0, (height - lines[-1][1] - max(0.0, lines[0][0])) / 2)
        lines = [(top + y + inset, bottom + y + inset) for top, bottom in lines]
    return FlowBox(y, y + height, x, x + width, mark, lines, inner, False)


def _lines(runs: Sequence[Mapping[str, Any]]) -> list[tuple[float, float]]:
    """Return where lines of text are, from above."""
    lines: list[tuple[float, float]] = []
    spans = sorted(
        (run["y"], run["y"] + run["height"]) for run in runs if run["text"].strip()
    )
    for top, bottom in spans:
        if lines and (top + bottom) / 2 < lines[-1][1]:
            lines[-1] = lines[-1][0], max(bottom, lines[-1][1])
        else:
            lines.append((top, bottom))
    return lines


def rows_of(box: FlowBox) -> list[FlowRow]:
    """Return the children of a box, those beside each other together."""
    rows: list[FlowRow] = []
    number = None
    for child in box.children:
        mark = child.mark
        if mark.row is not None:
            # Rows of a table are boxes nowhere: their first cell speaks for them.
            if mark.row == number:
                last = rows[-1]
                last.boxes.append(child)
                top, bottom = min(last.top, child.top), max(last.bottom, child.bottom)
                rows[-1] = last._replace(top=top, bottom=bottom)
                continue
            number = mark.row
        one = (mark.before, mark.after, mark.inside if mark.row is not None else "")
        rows.append(
            FlowRow(child.top, child.bottom, *one, mark.margin, [child], mark.part)
        )
    return rows


def break_before(row: FlowRow, depth: int = 0) -> tuple[str, float]:
    """Return what is said of a break before a box, or the first in it, and a margin."""
    if row.before in FORCED or row.part:
        return row.before, row.margin
    box = row.boxes[0]
    inner = [each for each in box.children if not each.mark.out]
    if inner and not box.lines and depth < 50:
        kind, margin = break_before(
            rows_of(box._replace(children=inner[:1]))[0], depth + 1
        )
        if kind in FORCED:
            return kind, max(margin, row.margin)
    return row.before, row.margin


def break_after(row: FlowRow, depth: int = 0) -> str:
    """Return what is said of a break after a box, or the last in it."""
    if row.after in FORCED or row.part:
        return row.after
    box = row.boxes[-1]
    inner = [each for each in box.children if not each.mark.out]
    if inner and not box.lines and depth < 50:
        kind = break_after(rows_of(box._replace(children=inner[-1:]))[0], depth + 1)
        if kind in FORCED:
            return kind
    return row.after
