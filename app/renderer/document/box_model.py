"""Kinds of boxes, and how wide they are as far as style sheets alone tell.

CSS Display 3, 2; CSS 2.2, 10.3.
"""

import math
import operator
import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from app.renderer.document.values import ComputedFont, Units

_NO_GROUND = frozenset({"transparent", "none", "initial", "unset", ""})
_GROUNDS = ("background", "background-color", "background-image")
SIDES = ("top", "right", "bottom", "left")
SIDEWAYS = ("left", "right")
INSETS = (*SIDES, "inset")
# Values of properties that change nothing.
NOTHING = frozenset({"", "0", "0px", "none", "baseline", "visible", "normal", "auto"})
# By their `display`: text in its line, what stands in lines, what does so as one box.
INLINE = frozenset({"inline", "ruby", "ruby-text", "ruby-base"})
INLINE_LEVEL = INLINE | {"inline-block", "inline-flex", "inline-grid", "inline-table"}
ATOMIC_INLINES = INLINE_LEVEL - INLINE
OUT_OF_FLOW = frozenset({"absolute", "fixed"})
_PARTS = re.compile(r"(?:[^\s()]|\((?:[^()]|\([^()]*\))*\))+")
_NAMED = {"thin": 1.0, "medium": 3.0, "thick": 5.0}
_LENGTH = re.compile(r"(?:^|\s)(?:([\d.]+)px|(thin|medium|thick))(?=\s|$)")
_UNDRAWN_BORDER = re.compile(r"(?:^|\s)(?:none|hidden|0)(?:\s|$)")
# As deep as boxes are looked through.
_DEEPEST = 400
_NONE = 0.0, 0.0, 0.0, 0.0


def side(style: Mapping[str, str], name: str, which: str) -> str:
    """Return a `margin` or `padding` on one side; the later declaration counts."""
    own = f"{name}-{which}"
    if name not in style:
        return style.get(own, "0")
    found = "0"
    for key, value in style.items():
        if key == name:
            parts = _PARTS.findall(value)
            if parts:
                found = _of_four(parts)[SIDES.index(which)]
        elif key == own:
            found = value
    return found


def _of_four(parts: list[str]) -> tuple[str, str, str, str]:
    top = parts[0]
    right = parts[1] if len(parts) > 1 else top
    bottom = parts[2] if len(parts) > 2 else top
    return top, right, bottom, parts[3] if len(parts) > 3 else right


def borders(style: Mapping[str, str]) -> tuple[float, float, float, float]:
    """Return how thick the borders are in CSS pixels, from the top clockwise.

    As far as it is said in pixels.
    """
    if BORDERS.keys().isdisjoint(style):
        return _NONE
    widths, are_drawn = [3.0] * 4, [False] * 4
    for key, value in style.items():
        if key not in BORDERS:
            continue
        where, what = BORDERS[key]
        value = value.lower()
        if not what:
            width = _thickness(value, 3.0)
            is_drawn = _STYLED.search(value) and not _UNDRAWN_BORDER.search(value)
            for at in where:
                widths[at], are_drawn[at] = width, bool(is_drawn)
            continue
        parts = _of_four(value.split() or ["0"])
        for at in where:
            if what == "width":
                widths[at] = _thickness(parts[at], 0.0)
            else:
                are_drawn[at] = bool(_STYLED.search(parts[at]))
    top, right, bottom, left = map(operator.mul, widths, are_drawn)
    return top, right, bottom, left


def has_ground(style: Mapping[str, str]) -> bool:
    """Tell whether something is painted behind a box's content."""
    return any(
        value.strip().lower() not in _NO_GROUND
        for name, value in style.items()
        if name in _GROUNDS
    )


def on_side(style: Mapping[str, str], which: str) -> dict[str, str]:
    """Return what a style says of the border on one side, as said of that alone."""
    found: dict[str, str] = {}
    own = f"border-{which}"
    for name, value in style.items():
        key = name
        if name == "border":
            key = own
        elif name in ("border-width", "border-style", "border-color"):
            key = own + name.removeprefix("border")
            value = _of_four(_PARTS.findall(value) or ["0"])[SIDES.index(which)]
        elif name != own and not name.startswith(f"{own}-"):
            continue
        found.pop(key, None)
        found[key] = value
    return found


def _thickness(value: str, otherwise: float) -> float:
    found = _LENGTH.search(value)
    return float(found[1] or _NAMED[found[2]]) if found else otherwise


_STYLED = re.compile("solid|dotted|dashed|double|groove|ridge|inset|outset")
# Lengths in a border that are not of whole pixels.
UNEVEN = re.compile(
    r"(?<![\w.#%(-])(?!\d+px)(\d*\.?\d+(?:px|pt|pc|r?em|ex|ch|in|cm|mm|q))(?=\s|$)",
    re.IGNORECASE,
)
# Which sides a property of a border is about, and what of them if not all.
BORDERS: Mapping[str, tuple[tuple[int, ...], str]] = MappingProxyType(
    {
        f"border{side}{what}": (where, what[1:])
        for side, where in (
            ("", (0, 1, 2, 3)),
            *((f"-{side}", (at,)) for at, side in enumerate(SIDES)),
        )
        for what in ("", "-width", "-style")
    }
)


def is_row(style: Mapping[str, str]) -> bool:
    """Tell whether children are laid out beside each other by `flex`."""
    return style.get("display") in (
        "flex",
        "inline-flex",
    ) and "column" not in style.get("flex-direction", style.get("flex-flow", ""))


def is_in_flow(style: Mapping[str, str]) -> bool:
    """Tell whether a box has a place among those around it (CSS 2.2, 9.3.1)."""
    return style.get("position") not in OUT_OF_FLOW


def has_edges(style: Mapping[str, str], name: str, sides: Iterable[str]) -> bool:
    """Tell whether there is `margin` or `padding` on one of the sides."""
    return any(side(style, name, each) not in NOTHING for each in sides)


def has_size(style: Mapping[str, str]) -> bool:
    """Tell whether both sides are set."""
    return (
        style.get("width", "auto") != "auto" and style.get("height", "auto") != "auto"
    )


class LayoutBox:
    """A box in those around it; what its children have for room in it.

    `fills` tells whether it is as wide as what it is in where nothing else is said.
    """

    __slots__ = ("_units", "_width", "fills", "font", "parent", "style")

    def __init__(
        self,
        style: Mapping[str, str],
        font: ComputedFont,
        parent: "LayoutBox | float | None",
        units: Units,
        fills: bool = True,
    ) -> None:
        self.style = style
        self.font = font
        self.parent = parent
        self.fills = fills
        self._units = units
        self._width: float | None = None

    def fix(self, width: float) -> None:
        """Tell the width of the content."""
        self._width = width

    def room(self, depth: int = 0) -> float | None:
        """Return the width of its content in CSS pixels, None where it is not known."""
        if self._width is None and depth < _DEEPEST:
            self._width = self._room(depth)
        return self._width

    def outside(self, depth: int = 0) -> float | None:
        """Return how wide what it is in is."""
        if isinstance(self.parent, LayoutBox):
            return self.parent.room(depth + 1)
        return self.parent

    def _room(self, depth: int) -> float | None:
        outer = self.outside(depth)
        edges = self.edges("padding", outer)
        width = self.said("width", outer)
        if width is None:
            if not self.fills or outer is None:
                return None
            width = outer - edges - self.edges("margin", outer)
        elif self.style.get("box-sizing") == "border-box":
            width -= edges
        most = self.said("max-width", outer)
        if most is not None:
            inner = edges if self.style.get("box-sizing") == "border-box" else 0.0
            width = min(width, most - inner)
        return max(0.0, width)

    def said(self, name: str, outer: float | None) -> float | None:
        """Return a width that is set; None where it is not, or hangs on what is not."""
        value = self.style.get(name, "auto")
        if value in ("auto", "none", ""):
            return None
        return self._units.pixels(value, self.font, outer)

    def edges(
        self,
        name: str,
        outer: float | None,
        sides: tuple[str, str] = ("left", "right"),
    ) -> float:
        """Return margins, or padding and borders, on both sides together."""
        style = self.style
        if not style:
            return 0.0
        around = borders(style) if name == "padding" else _NONE
        total = 0.0
        for which in sides:
            said = side(style, name, which)
            if said != "0":
                total += self._units.pixels(said, self.font, outer) or 0.0
            total += around[SIDES.index(which)]
        return total


def bounded_size(
    natural: tuple[float, float], box: LayoutBox, room: float | None
) -> tuple[float, float] | None:
    """Return the size of an image in CSS pixels, in proportion (CSS 2.2, 10.4).

    `room` is how wide what it is in is, None where that is not known. None where both
    sides are said, or nothing bounds them.
    """
    wide = high = 0.0
    if box.style.get("box-sizing") == "border-box":
        wide = box.edges("padding", room)
        high = box.edges("padding", room, ("top", "bottom"))

    def said(name: str) -> float | None:
        is_width = name.endswith("width")
        found = box.said(name, room if is_width else None)
        return found and max(0.0, found - (wide if is_width else high))

    width, height = said("width"), said("height")
    least = said("min-width") or 0.0, said("min-height") or 0.0
    most = said("max-width"), said("max-height")
    if (width is not None and height is not None) or (least, most) == _NO_BOUNDS:
        return None
    across, down = natural
    top = tuple(math.inf if each is None else each for each in most)
    if width is None and height is None:
        scale = min(1.0, top[0] / across, top[1] / down)
        scale = max(scale, least[0] / across, least[1] / down)
        return across * scale + wide, down * scale + high
    if height is None:
        width = max(least[0], min(width or 0.0, top[0]))
        height = max(least[1], min(width * down / across, top[1]))
    else:
        height = max(least[1], min(height, top[1]))
        width = max(least[0], min(height * across / down, top[0]))
    return width + wide, height + high


_NO_BOUNDS = ((0.0, 0.0), (None, None))
