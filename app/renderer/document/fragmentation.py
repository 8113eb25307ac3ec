"""Where a document breaks between pages (CSS Fragmentation 3, 3 and 4).

It is laid out once, on a canvas without a lower end, and cut at heights that cross no
line, image or box that is to be kept whole, if there are such.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from app.renderer.document.flow_boxes import (
    FORCED,
    BreakMark,
    FlowBox,
    FlowRow,
    break_after,
    break_before,
    measured,
    rows_of,
)
from app.renderer.errors import BadParameter, Fault

MOST_PAGES = 100
# CSS pixels by which boxes are set to whole ones; less than that is in no one's way.
_NEAR = 0.75
# Heads of tables that are together higher than this part of a page are not repeated,
# and no more are feet.
_MOST_REPEATED = 0.25
# Space below the last line of a box that is its padding, and not room for more.
_PADDING = 64.0
# Which parts of a line are surely not ink, above and below.
_LEAD = 0.2
# What must not be crossed, by how bad it is: a line, what is by its edge, a box that
# is to be whole, and lines that belong together.
_LINE, _EDGE, _WHOLE, _TOGETHER = range(4)


class Strip(NamedTuple):
    """A part of the document, and how far down a page's area it stands.

    What begins in it may reach `over` its lower edge by so much.
    """

    left: float
    top: float
    right: float
    bottom: float
    at: float
    over: float = 0.0


class Fragment(NamedTuple):
    """What is on one page; a `blank` one is there so that the next is on its side.

    `section` is how many breaks that were asked for are before it.
    """

    strips: tuple[Strip, ...]
    section: int
    blank: bool = False


class _Atom(NamedTuple):
    top: float
    bottom: float
    level: int


class _Forced(NamedTuple):
    """A break: where what is before it ends, and what is after it begins.

    That keeps its margin (CSS Fragmentation 3, 5.2).
    """

    end: float
    start: float
    margin: float
    kind: str


class _FlowTable(NamedTuple):
    left: float
    right: float
    head: tuple[float, float] | None
    foot: tuple[float, float] | None
    top: float
    bottom: float


class _Repeated(NamedTuple):
    """A head or a foot of a table, between two corners."""

    left: float
    top: float
    right: float
    bottom: float


def fragments(
    layout: Mapping[str, Any],
    marked: Mapping[str, Any],
    marks: Sequence[BreakMark],
    width: float,
    height_of: Callable[[int], float],
    skip: int,
) -> list[Fragment]:
    """Return what is on each page, for an area of so many CSS pixels.

    `layout` is the measured document, and `marked` the same where boxes have the style
    that `placed` tells; `height_of` a page by its number, from 1. Sections to `skip`
    are a page each, which others have. Raises BadParameter for more than 100 pages.
    """
    root = measured(layout, marked, marks, 0.0)
    flow = _Flow(root, width)
    return [*flow.fragments(height_of, skip)]


class _Flow:
    """A document as heights that may and may not be crossed."""

    def __init__(self, root: FlowBox, width: float) -> None:
        self._width = width
        self._atoms: list[_Atom] = []
        self._forced: list[_Forced] = []
        self._tables: list[_FlowTable] = []
        self._leaves: list[tuple[float, float]] = []
        self._tops: list[float] = []
        self._bottoms: list[tuple[float, float]] = []
        # By which height rows of collapsed borders lie on each other, by where.
        self._seams: dict[int, float] = {}
        self._end = 0.0
        self._visit(root, 2, float("inf"))
        # A table before those within it.
        self._tables.reverse()
        self._atoms.sort()
        self._forced.sort(key=lambda each: each.end)
        self._tops.sort()
        self._bottoms.sort()
        self._leaves.sort()
        self._starts = [top for top, _ in self._leaves]
        # How far down all leaves reach that begin above a place.
        self._reach: list[float] = []
        for _, bottom in self._leaves:
            self._reach.append(max(bottom, self._reach[-1] if self._reach else 0.0))

    def fragments(
        self, height_of: Callable[[int], float], skip: int
    ) -> Iterator[Fragment]:
        """Yield page after page."""
        number, start, margin = 1, 0.0, 0.0
        for section, forced in enumerate((*self._forced, None)):
            end = forced.end if forced else max(self._end, start)
            if forced is None and number > 1 and not self._has_leaf(start, end):
                return
            while section >= skip:
                if number > MOST_PAGES:
                    reason = f"takes more than {MOST_PAGES} pages, the most there are"
                    raise BadParameter(Fault("html", reason))
                strips, start = self._page(start, end, height_of(number), margin)
                yield Fragment(strips, section)
                margin = 0.0
                if start >= end - _NEAR or not self._has_leaf(start, end):
                    break
                number += 1
            number += 1
            if forced is not None:
                start, margin = forced.start, forced.margin
                side = forced.kind
                if (side in ("right", "recto") and number % 2 == 0) or (
                    side in ("left", "verso") and number % 2
                ):
                    yield Fragment((), section + 1, blank=True)
                    number += 1

    def _page(
        self, start: float, end: float, height: float, at: float
    ) -> tuple[tuple[Strip, ...], float]:
        """Return a page that begins at a height, and where the next one does.

        `at` is how far down it the first thing stands.
        """
        most = _MOST_REPEATED * height
        heads = [
            _Repeated(each.left, each.head[0], each.right, each.head[1])
            for each in self._tables
            if each.head and each.top + _NEAR < start < each.bottom - _NEAR
        ]
        above = _stacked(heads, most)
        at += max((far for _, far in above), default=0.0)
        strips = _in_order(Strip(*head, at - far) for head, far in above)
        # A margin after a break may be more than a page.
        limit = max(start, start + height - at)
        if end <= limit + 1:
            strips.append(Strip(0.0, start, self._width, end, at))
            return tuple(strips), end
        feet = [
            (each.top, _Repeated(each.left, each.foot[0], each.right, each.foot[1]))
            for each in self._tables
            if each.foot and each.top < limit < each.bottom
        ]
        below = _stacked([foot for _, foot in feet], most)
        limit -= max((far for _, far in below), default=0.0)
        cut = self._cut(start, limit)
        over = self._seams.get(round(cut), 0.0)
        strips.append(Strip(0.0, start, self._width, cut, at, over))
        # A table that ends above the cut, or begins below it, needs no foot there.
        low = at + cut - start
        kept = [foot for top, foot in feet if top < cut < foot.top - _NEAR]
        strips += _in_order(
            Strip(*foot, low + far - (foot.bottom - foot.top))
            for foot, far in _stacked(kept, most)
        )
        return tuple(strips), self._after(cut)

    def _cut(self, start: float, limit: float) -> float:
        """Return the last height down to a limit that crosses least."""
        first = bisect_right(self._atoms, start + _NEAR, key=lambda each: each.top)
        last = bisect_left(self._atoms, limit, key=lambda each: each.top)
        within = self._atoms[first:last]
        for level in (_TOGETHER, _WHOLE, _EDGE, _LINE, -1):
            height = limit
            for atom in reversed(within):
                top, bottom = atom.top, atom.bottom
                if level < 0 and atom.level == _LINE:
                    lead = _LEAD * (bottom - top)
                    top, bottom = top + lead, bottom - lead
                elif atom.level > level:
                    continue
                if top < height - _NEAR and bottom > height + _NEAR:
                    height = top
            if height > start + 1 and self._has_leaf(start, height):
                return height
        return limit

    def _has_leaf(self, top: float, bottom: float) -> bool:
        """Tell whether there is anything between two heights."""
        at = bisect_left(self._starts, bottom - _NEAR)
        return at > 0 and self._reach[at - 1] > top + _NEAR

    def _after(self, cut: float) -> float:
        """Return where the page after a cut begins: margins there are left out."""
        at = bisect_left(self._tops, cut - _NEAR)
        if at == len(self._tops):
            return cut
        top = self._tops[at]
        low = bisect_right(self._bottoms, (cut + _NEAR, float("inf")))
        for bottom, begun in self._bottoms[low:]:
            if bottom > top + _NEAR:
                break
            if begun < cut - _NEAR:
                return cut
        return max(cut, top)

    def _visit(self, box: FlowBox, around: int, until: float) -> tuple[float, float]:
        """Note a box; return where its first line ends and its last one begins."""
        top, bottom = box.top, min(box.bottom, until)
        mark = box.mark
        if not around:
            self._end = max(self._end, bottom)
            self._tops.append(top)
            self._bottoms.append((bottom, top))
            if mark.inside:
                self._keep(top, bottom, _WHOLE)
            if mark.whole or box.turned:
                self._keep(top, bottom, _LINE)
        if box.lines:
            return self._text(box, top, bottom)
        if not box.children:
            if bottom > top + _NEAR and not around:
                self._leaves.append((top, bottom))
                self._keep(top, bottom, _EDGE)
            return bottom, top
        rows = rows_of(box)
        heads: list[float] = []
        tails: list[float] = []
        above: FlowRow | None = None
        for number, row in enumerate(rows):
            lower = until
            if row.part and number + 1 < len(rows):
                lower = rows[number + 1].top
                if row.bottom > lower + 0.1:
                    self._seams[round(lower)] = row.bottom - lower
            if row.inside:
                self._keep(row.top, min(row.bottom, lower), _WHOLE)
            ends = [
                self._visit(each, max(0, around - 1), max(each.top, lower))
                if row.part
                else self._visit(each, max(0, around - 1), until)
                for each in row.boxes
            ]
            if not all(each.mark.out for each in row.boxes):
                heads.append(max(head for head, _ in ends))
                tails.append(min(tail for _, tail in ends))
                if above is not None:
                    self._between(above, row, tails[-2], heads[-1])
                above = row
        self._note_table(box, rows)
        if not heads:
            return bottom, top
        if not around:
            self._keep(top, heads[0], _EDGE)
            self._keep_end(tails[-1], above.bottom if above else bottom, bottom)
        return heads[0], tails[-1]

    def _text(self, box: FlowBox, top: float, bottom: float) -> tuple[float, float]:
        lines = box.lines
        for line in lines:
            self._leaves.append(line)
            self._keep(*line, _LINE)
            self._tops.append(line[0])
        self._end = max(self._end, lines[-1][1])
        for child in box.children:
            self._keep(child.top, child.bottom, _LINE)
            self._leaves.append((child.top, child.bottom))
        self._keep(top, lines[0][1], _EDGE)
        self._keep_end(lines[-1][0], lines[-1][1], bottom)
        first = lines[min(box.mark.orphans, len(lines)) - 1]
        last = lines[-min(box.mark.widows, len(lines))]
        self._keep(top, first[1], _TOGETHER)
        self._keep(last[0], lines[-1][1], _TOGETHER)
        return lines[0][1], lines[-1][0]

    def _keep_end(self, start: float, last: float, bottom: float) -> None:
        """Keep the last line of a box by its lower edge, if that is near."""
        self._keep(start, bottom if bottom - last < _PADDING else last, _EDGE)

    def _keep(self, top: float, bottom: float, level: int) -> None:
        if bottom > top + _NEAR:
            self._atoms.append(_Atom(top, bottom, level))

    def _between(
        self, above: FlowRow, below: FlowRow, tail: float, head: float
    ) -> None:
        """Note what is said about a break between two boxes."""
        if below.top < above.bottom - 1 and not (above.part and below.part):
            return
        for kind in (break_after(above), break_before(below)[0]):
            if kind in FORCED:
                end = min(above.bottom, below.top)
                margin = max(0.0, break_before(below)[1])
                self._forced.append(_Forced(end, below.top, margin, kind))
                return
        if "avoid" in (above.after, below.before):
            self._keep(tail, head, _TOGETHER)

    def _note_table(self, box: FlowBox, rows: list[FlowRow]) -> None:
        body = [row for row in rows if row.part == "body"]
        heads = [row for row in rows if row.part == "head"]
        feet = [row for row in rows if row.part == "foot"]
        if not body or not (heads or feet):
            return
        head = (heads[0].top, body[0].top) if heads else None
        foot = (feet[0].top, feet[-1].bottom) if feet else None
        end = feet[0].top if feet else body[-1].bottom
        self._tables.append(
            _FlowTable(box.left, box.right, head, foot, body[0].top, end)
        )


def _stacked(parts: Sequence[_Repeated], room: float) -> list[tuple[_Repeated, float]]:
    """Return which of the heads or feet have room, and how far out they reach.

    `parts` are outer ones first. Such that stand beside each other share the room;
    those of a table within another are nearer to its rows.
    """
    kept = [part for part, _ in _piled(parts, room)]
    return _piled(kept[::-1], float("inf"))


def _in_order(strips: Iterable[Strip]) -> list[Strip]:
    """Return strips as they are read."""
    return sorted(strips, key=lambda each: (each.at, each.left))


def _piled(parts: Sequence[_Repeated], room: float) -> list[tuple[_Repeated, float]]:
    """Put each on those before that it would lie on, as long as there is room."""
    found: list[tuple[_Repeated, float]] = []
    for part in parts:
        under = [
            far
            for each, far in found
            if part.left < each.right - _NEAR and part.right > each.left + _NEAR
        ]
        far = max(under, default=0.0) + part.bottom - part.top
        if far <= room:
            found.append((part, far))
    return found
