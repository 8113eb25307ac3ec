"""How wide boxes are, as far as style sheets alone tell (CSS 2.2, 10.3)."""

import re
from collections.abc import Mapping

from app.renderer.document.values import ComputedFont, Units, Unresolved

_SIDES = ("top", "right", "bottom", "left")
_PARTS = re.compile(r"(?:[^\s()]|\((?:[^()]|\([^()]*\))*\))+")
_NAMED = {"thin": 1.0, "medium": 3.0, "thick": 5.0}
_LENGTH = re.compile(r"(?:^|\s)(?:([\d.]+)px|(thin|medium|thick))(?=\s|$)")
_UNDRAWN_BORDER = re.compile(r"(?:^|\s)(?:none|hidden|0)(?:\s|$)")
# As deep as boxes are looked through.
_DEEPEST = 400


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
                found = _of_four(parts)[_SIDES.index(which)]
        elif key == own:
            found = value
    return found


def _of_four(parts: list[str]) -> tuple[str, str, str, str]:
    top = parts[0]
    right = parts[1] if len(parts) > 1 else top
    bottom = parts[2] if len(parts) > 2 else top
    return top, right, bottom, parts[3] if len(parts) > 3 else right


def border_width(style: Mapping[str, str], which: str) -> float:
    """Return the width of a border in CSS pixels, as far as it is said in them."""
    width, is_drawn = 3.0, False
    for key, value in style.items():
        if key[:6] != "border":
            continue
        value = value.lower()
        if key in ("border", f"border-{which}"):
            width = _thickness(value, 3.0)
            is_drawn = _STYLED.search(value) is not None
            if _UNDRAWN_BORDER.search(value):
                is_drawn = False
        elif key in ("border-width", f"border-{which}-width"):
            parts = value.split()
            one = _of_four(parts)[_SIDES.index(which)] if parts else "0"
            width = _thickness(one, 0.0)
        elif key in ("border-style", f"border-{which}-style"):
            parts = value.split()
            one = _of_four(parts)[_SIDES.index(which)] if parts else "none"
            is_drawn = _STYLED.search(one) is not None
    return width if is_drawn else 0.0


def _thickness(value: str, otherwise: float) -> float:
    found = _LENGTH.search(value)
    return float(found[1] or _NAMED[found[2]]) if found else otherwise


_STYLED = re.compile("solid|dotted|dashed|double|groove|ridge|inset|outset")


class LayoutBox:
    """A box in those around it; what its children have for room in it.

    `fills` tells whether it is as wide as what it is in where nothing else is said.
    """

    __slots__ = ("_units", "_width", "fills", "font", "parent", "style")

    def __init__(
        self,
        style: Mapping[str, str],
        font: ComputedFont,
        parent: "LayoutBox | float",
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
        return self._pixels(value, outer)

    def edges(self, name: str, outer: float | None) -> float:
        """Return margins, or padding and borders, on the left and right together."""
        total = 0.0
        for which in ("left", "right"):
            said = side(self.style, name, which)
            if said != "0":
                total += self._pixels(said, outer) or 0.0
            if name == "padding":
                total += border_width(self.style, which)
        return total

    def _pixels(self, value: str, outer: float | None) -> float | None:
        try:
            length = self._units.length(value, self.font)
        except Unresolved:
            return None
        if length.share and outer is None:
            return None
        return length.pixels + length.share / 100 * (outer or 0.0)
