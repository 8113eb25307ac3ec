"""Parts of a drawing as drawings of their own: what of a tall one is on a page."""

import re
from collections.abc import Sequence
from typing import NamedTuple
from xml.etree.ElementTree import Element, SubElement, fromstring, tostring

from app.renderer.encode.pdf.lines import is_line
from app.renderer.encode.pdf.matrix import IDENTITY, concatenate, spread, transform
from app.renderer.encode.pdf.outline import Bounds, Unsupported, glyph, outline
from app.renderer.encode.pdf.style import LINK, SVG, lengths

_REFERENCES = re.compile(r'(?<=[ "])(id=")|(href="#)|(url\(#)')
_LINKS = ("href", LINK)
_NOTHING: Bounds = (0.0, 0.0, -1.0, -1.0)
_EVERYWHERE: Bounds = (-1e9, -1e9, 1e9, 1e9)
# User units by which a shadow is larger than what throws it, at most.
_BLUR = 400.0
# The part of a line's height that makes it one of a page.
_MUCH = 0.25
_HAIR = 0.5


class PlacedStrip(NamedTuple):
    """A part of a drawing between two corners, moved by so much.

    What begins in it may reach `over` its lower edge by so much.
    """

    bounds: Bounds
    dx: float
    dy: float
    over: float = 0.0


class TallDrawing:
    """A document of SVG as the engine writes it, whose parts are cut out of it."""

    def __init__(self, svg: str) -> None:
        self._root = fromstring(svg)
        self._shapes = {each.get("id", ""): each for each in self._root.iter()}
        self._bounds: dict[Element, Bounds] = {}
        self._drawn = [
            (*self._bounds_of(each)[1::2], each)
            for each in self._root
            if each.tag != f"{SVG}defs"
        ]

    def parts(
        self, strips: Sequence[PlacedStrip]
    ) -> tuple[list[Element], list[Element]]:
        """Return elements with what is in the strips, and what they refer to."""
        found = []
        known = []
        used: set[str] = set()
        for number, strip in enumerate(strips):
            (left, top, right, bottom), dx, dy, over = strip
            clip = Element(f"{SVG}clipPath", {"id": f"strip{number}"})
            area = {"x": left + dx, "y": top + dy}
            area |= {"width": right - left, "height": bottom + over - top}
            SubElement(
                clip, f"{SVG}rect", {name: f"{size:g}" for name, size in area.items()}
            )
            known.append(clip)
            seen = Element(f"{SVG}g", {"clip-path": f"url(#strip{number})"})
            moved = SubElement(
                seen, f"{SVG}g", {"transform": f"translate({dx:.6g} {dy:.6g})"}
            )
            near = [
                each for high, low, each in self._drawn if high < bottom and low > top
            ]
            for each in near:
                part = self._within(each, strip.bounds)
                if part is not None:
                    moved.append(part)
            if len(moved):
                found.append(seen)
                _references(moved, used)
        return found, [*known, *self._needed(used)]

    def _needed(self, used: set[str]) -> list[Element]:
        """Return what is referred to, and what that refers to."""
        found = []
        waiting = [*used]
        while waiting:
            element = self._shapes.get(waiting.pop())
            if element is None:
                continue
            found.append(element)
            more: set[str] = set()
            _references(element, more)
            waiting += more - used
            used |= more
        return found

    def _within(self, element: Element, bounds: Bounds) -> Element | None:
        """Return what of an element may be seen within bounds."""
        own = self._bounds_of(element)
        if not _meet(own, bounds):
            return None
        if is_line(element):
            # What of a line reaches over an edge is on the page of the rest of it.
            high = min(own[3], bounds[3]) - max(own[1], bounds[1])
            return element if high >= _MUCH * (own[3] - own[1]) else None
        plain = element.tag == f"{SVG}g" and "transform" not in element.attrib
        if not plain or "filter" in element.attrib or len(element) < 2:
            return element
        kept = Element(element.tag, element.attrib)
        for child in element:
            part = self._within(child, bounds)
            if part is not None:
                kept.append(part)
        return kept

    def _bounds_of(self, element: Element) -> Bounds:
        found = self._bounds.get(element)
        if found is None:
            try:
                found = self._measured(element)
                if "transform" in element.attrib:
                    matrix = concatenate(
                        transform(element.attrib["transform"]), IDENTITY
                    )
                    found = spread(matrix, found)
            except (Unsupported, ValueError, KeyError):
                # What is not understood here is on every page, cut by its edges.
                found = _EVERYWHERE
            self._bounds[element] = found
        return found

    def _measured(self, element: Element) -> Bounds:
        tag = str(element.tag).removeprefix(SVG)
        if tag == "g":
            parts = [each for each in map(self._bounds_of, element) if each != _NOTHING]
            if not parts:
                return _NOTHING
            lefts, tops, rights, bottoms = zip(*parts, strict=True)
            found = min(lefts), min(tops), max(rights), max(bottoms)
            return _larger(found, _BLUR) if "filter" in element.attrib else found
        if "filter" in element.attrib:
            return _EVERYWHERE
        if tag == "use":
            name = next(
                element.attrib[each] for each in _LINKS if each in element.attrib
            )
            left, top, right, bottom = glyph(self._shapes[name[1:]].attrib["d"]).bounds
            x, y = float(element.get("x", "0")), float(element.get("y", "0"))
            return left + x, top + y, right + x, bottom + y
        get = lengths(element)
        if tag in ("rect", "image"):
            found = (
                get("x"),
                get("y"),
                get("x") + get("width"),
                get("y") + get("height"),
            )
        elif tag == "path":
            found = outline(element.get("d", "")).bounds
        else:
            return _EVERYWHERE
        return (
            _larger(found, get("stroke-width")) if "stroke" in element.attrib else found
        )


def composed(
    size: tuple[int, int],
    under: str | None,
    middle: tuple[list[Element], list[Element]],
    over: str | None,
) -> str:
    """Return a drawing of parts, with drawings of the same size under and over them."""
    width, height = (str(side) for side in size)
    root = Element(f"{SVG}svg", {"width": width, "height": height})
    root.set("viewBox", f"0 0 {width} {height}")
    known = Element(f"{SVG}defs")
    _lay(root, known, under, "u-")
    elements, needed = middle
    root.extend(elements)
    known.extend(needed)
    _lay(root, known, over, "o-")
    root.append(known)
    return tostring(root, "unicode")


def _lay(root: Element, known: Element, svg: str | None, prefix: str) -> None:
    if svg is None:
        return
    own = _REFERENCES.sub(lambda found: found[0] + prefix, svg)
    for each in fromstring(own):
        if each.tag == f"{SVG}defs":
            known.extend(each)
        else:
            root.append(each)


def _references(element: Element, found: set[str]) -> None:
    for each in element.iter():
        for name, value in each.attrib.items():
            if name in _LINKS and value[:1] == "#":
                found.add(value[1:])
            elif "url(#" in value:
                found.update(re.findall(r"url\(#([^)'\"]+)\)", value))


def _meet(one: Bounds, other: Bounds) -> bool:
    """Tell whether one reaches into another by more than a reader's smoothing."""
    return (
        one[0] <= other[2]
        and one[2] >= other[0]
        and one[1] < other[3] - _HAIR
        and one[3] > other[1] + _HAIR
    )


def _larger(bounds: Bounds, by: float) -> Bounds:
    left, top, right, bottom = bounds
    return left - by, top - by, right + by, bottom + by
