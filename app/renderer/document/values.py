"""Values as they compute: fonts, relative lengths and functions (CSS Values 4)."""

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple, Protocol


class FontMetrics(Protocol):
    """What of a font a page's layout depends on, in ems."""

    ascent: float
    descent: float
    zero: float
    x_height: float

    def width(self, text: str) -> float:
        """Return how far the letters of a text advance."""


# The font for a `font-family`, a weight, and whether it is italic.
Fonts = Callable[[str, float, bool], FontMetrics]
_KEYWORDS: Mapping[str, float] = MappingProxyType(
    {"xx-small": 9, "x-small": 10, "small": 13, "medium": 16, "large": 18}
    | {"x-large": 24, "xx-large": 32, "xxx-large": 48}
)
# What browsers take a font of fixed width for, where nobody says how large it is.
_FIXED_SHARE = 13 / 16
_RELATIVE = 1.2
_BOLD = 700.0
# CSS pixels of absolute lengths (CSS Values 4, 6.2).
ABSOLUTE: Mapping[str, float] = MappingProxyType(
    {"px": 1, "pt": 96 / 72, "pc": 16, "in": 96, "cm": 96 / 2.54, "mm": 96 / 25.4}
    | {"q": 96 / 101.6}
)
_NUMBER = re.compile(r"((?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)([a-z]+|%)?", re.IGNORECASE)
_OPENED = re.compile(r"\s*(calc|min|max|clamp|)\(\s*", re.IGNORECASE)
_SIGN = re.compile(r"\s+([+-])\s+")
_TIMES = re.compile(r"\s*([*/])\s*")
_FUNCTION = re.compile(r"(?<![\w-])(?:calc|min|max|clamp)\(", re.IGNORECASE)
_OWN_UNIT = re.compile(r"(?<![\w.#-])(-?(?:\d+\.?\d*|\.\d+))(ch|ex)(?![\w-])", re.I)
# What has to be looked at here, of all values.
_LOOKED_AT = re.compile(
    r"(?<![\w-])(?:min|max|clamp)\(|(?<![\w-])calc\([^()]*\(|\d(?:ch|ex)(?![\w-])", re.I
)
# Units of a size that hang on the font around.
_OF_PARENT = re.compile(r"(?<!r)em|%|ex|ch")
_DEEPEST = 32
_BOUND = re.compile(r"(width|height)$")


class Unresolved(ValueError):
    """A value that cannot be told before the page is laid out."""


class CssLength(NamedTuple):
    """So many pixels and per cent of what a property counts in, or a mere number."""

    pixels: float = 0.0
    share: float = 0.0
    is_number: bool = False

    def __str__(self) -> str:
        if not self.share:
            return f"{self.pixels:.6g}px"
        if not self.pixels:
            return f"{self.share:.6g}%"
        return f"calc({self.share:.6g}% + {self.pixels:.6g}px)"


class ComputedFont(NamedTuple):
    """A computed font: its size and lines in CSS pixels, and what it is chosen by.

    `line` is `normal`, a factor, or pixels with their unit; `is_fixed` tells whether
    all that is asked for is a font of fixed width, `is_absolute` whether somebody said
    how large it is in a unit that hangs on no other font.
    """

    size: float = 16.0
    families: str = ""
    weight: float = 400.0
    is_italic: bool = False
    line: str = "normal"
    is_fixed: bool = False
    is_absolute: bool = False


class Units:
    """What relative lengths are of: a canvas in CSS pixels, and a root's font."""

    def __init__(self, canvas: tuple[int, int], fonts: Fonts) -> None:
        self._fonts = fonts
        self.root = 16.0
        width, height = canvas[0] / 100, canvas[1] / 100
        self._views = {"vw": width, "vi": width, "vh": height, "vb": height}
        self._views |= {"vmin": min(width, height), "vmax": max(width, height)}
        for kind in ("s", "l", "d"):
            each = {f"{kind}{name}": size for name, size in self._views.items()}
            self._views |= {n: s for n, s in each.items() if len(n) in (3, 5)}

    def typeface(self, font: ComputedFont) -> FontMetrics:
        """Return the typeface that a font is set in."""
        return self._fonts(font.families, font.weight, font.is_italic)

    def unit(self, name: str, font: ComputedFont) -> float | None:
        """Return a unit in CSS pixels; None where it is not known."""
        if name in ABSOLUTE:
            return ABSOLUTE[name]
        if name == "em":
            return font.size
        if name == "rem":
            return self.root
        if name == "ch":
            return font.size * self.typeface(font).zero
        if name == "ex":
            return font.size * self.typeface(font).x_height
        if name == "lh":
            return self.line(font)
        return self._views.get(name)

    def view(self, name: str) -> float | None:
        """Return a unit that is a part of the canvas, in CSS pixels."""
        return self._views.get(name)

    def line(self, font: ComputedFont) -> float:
        """Return how high a line is, in CSS pixels."""
        if font.line == "normal":
            face = self.typeface(font)
            return round(face.ascent * font.size) + round(face.descent * font.size)
        if font.line.endswith("px"):
            return float(font.line[:-2])
        return float(font.line) * font.size

    def length(self, text: str, font: ComputedFont) -> CssLength:
        """Return what a length or a function comes to; raise Unresolved."""
        text = text.strip()
        if plain := _NUMBER.fullmatch(text):
            return self._dimension(float(plain[1]), plain[2], font)
        found, at = self._sum(text, 0, font, 0)
        if at != len(text):
            raise Unresolved(text)
        return found

    def pixels(
        self, text: str, font: ComputedFont, whole: float | None = None
    ) -> float | None:
        """Return a length in CSS pixels, its share of a whole among it.

        None for what is no length, numbers without a unit but nought, and a share of
        what is not known.
        """
        try:
            length = self.length(text, font)
        except Unresolved:
            return None
        if (length.share and whole is None) or (length.is_number and length.pixels):
            return None
        return length.pixels + length.share / 100 * (whole or 0.0)

    def _sum(
        self, text: str, at: int, font: ComputedFont, depth: int
    ) -> tuple[CssLength, int]:
        total, at = self._product(text, at, font, depth)
        while sign := _SIGN.match(text, at):
            other, at = self._product(text, sign.end(), font, depth)
            if other.is_number is not total.is_number:
                raise Unresolved(text)
            way = 1 if sign[1] == "+" else -1
            total = total._replace(
                pixels=total.pixels + way * other.pixels,
                share=total.share + way * other.share,
            )
        return total, at

    def _product(
        self, text: str, at: int, font: ComputedFont, depth: int
    ) -> tuple[CssLength, int]:
        total, at = self._factor(text, at, font, depth)
        while sign := _TIMES.match(text, at):
            other, at = self._factor(text, sign.end(), font, depth)
            if sign[1] == "/":
                if not other.is_number or not other.pixels:
                    raise Unresolved(text)
                other = other._replace(pixels=1 / other.pixels)
            elif total.is_number:
                total, other = other, total
            if not other.is_number:
                raise Unresolved(text)
            total = total._replace(
                pixels=total.pixels * other.pixels, share=total.share * other.pixels
            )
        return total, at

    def _factor(
        self, text: str, at: int, font: ComputedFont, depth: int
    ) -> tuple[CssLength, int]:
        if depth > _DEEPEST:
            raise Unresolved("too deep")
        way = 1
        if text[at : at + 1] in ("+", "-"):
            way, at = -1 if text[at] == "-" else 1, at + 1
        found = _NUMBER.match(text, at)
        if found:
            return self._dimension(way * float(found[1]), found[2], font), found.end()
        opened = _OPENED.match(text, at)
        if opened is None:
            raise Unresolved(text)
        several = []
        at = opened.end()
        while True:
            each, at = self._sum(text, at, font, depth + 1)
            several.append(each)
            closed = _CLOSED.match(text, at)
            if closed is None:
                raise Unresolved(text)
            at = closed.end()
            if not closed[1]:
                break
        found_one = _applied(opened[1].lower(), several)
        return found_one._replace(
            pixels=way * found_one.pixels, share=way * found_one.share
        ), at

    def _dimension(
        self, number: float, unit: str | None, font: ComputedFont
    ) -> CssLength:
        if unit is None:
            return CssLength(number, 0.0, True)
        if unit == "%":
            return CssLength(0.0, number)
        size = self.unit(unit.lower(), font)
        if size is None:
            raise Unresolved(unit)
        return CssLength(number * size)

    def computed(
        self, name: str, value: str, font: ComputedFont
    ) -> Mapping[str, str] | None:
        """Return a declaration without what the engine does not know of functions.

        A bound of a width or height becomes a property of its own. None where it
        depends on what only the layout tells.
        """
        if not _LOOKED_AT.search(value):
            return {name: value}
        if _BOUND.search(name) and (found := self._bounded(name, value, font)):
            return found
        try:
            return {name: self._without(name, value, font)}
        except Unresolved:
            return None

    def _without(self, name: str, value: str, font: ComputedFont) -> str:
        parts, at = [], 0
        for found in _FUNCTION.finditer(value):
            if found.start() < at:
                continue
            if "grid-template" in name and (
                track := _TRACK.match(value, found.start())
            ):
                # A column is as wide as that unless the grid is narrower.
                length, end = self.length(track[1], font), track.end()
            else:
                length, end = self._factor(value, found.start(), font, 0)
            written = f"{length.pixels:g}" if length.is_number else str(length)
            parts += [value[at : found.start()], written]
            at = end
        rest = "".join([*parts, value[at:]])

        def pixels(each: re.Match[str]) -> str:
            unit = self.unit(each[2].lower(), font) or 0.0
            return f"{float(each[1]) * unit:.6g}px"

        return _OWN_UNIT.sub(pixels, rest)

    def _bounded(
        self, name: str, value: str, font: ComputedFont
    ) -> Mapping[str, str] | None:
        """Return a function of a share as that share and its bounds."""
        opened = _OPENED.match(value)
        if opened is None or not value.rstrip().endswith(")"):
            return None
        kind = opened[1].lower()
        try:
            several = [
                self.length(each, font)
                for each in _arguments(value.strip()[opened.end() : -1])
            ]
        except Unresolved:
            return None
        if kind == "clamp" and len(several) == 3:
            low, middle, high = several
            if low.share or high.share:
                return None
            if not middle.share:
                return {name: str(_applied(kind, several))}
            if name not in ("width", "height"):
                return None
            return {
                name: str(middle),
                f"min-{name}": str(low),
                f"max-{name}": str(high),
            }
        fixed = [each for each in several if not each.share]
        shares = [each for each in several if each.share]
        if kind not in ("min", "max") or not fixed or len(shares) != 1:
            return None
        bound = _applied(kind, fixed)
        if name == f"{kind}-width" or name == f"{kind}-height":
            # No block is wider than what it is in.
            full = kind == "min" or shares[0] == CssLength(0.0, 100.0)
            return {name: str(bound)} if full and kind == "max" else None
        if name == "max-width" and kind == "min" and shares[0] == CssLength(0.0, 100.0):
            return {name: str(bound)}
        if name not in ("width", "height"):
            return None
        side = "max" if kind == "min" else "min"
        return {name: str(shares[0]), f"{side}-{name}": str(bound)}

    def font(self, style: Mapping[str, str], parent: ComputedFont) -> ComputedFont:
        """Return the font of an element with a style in one with a font."""
        families, is_fixed = parent.families, parent.is_fixed
        if (named := style.get("font-family", "inherit")) not in _INHERITING:
            families, is_fixed = named, named.strip().lower() == "monospace"
        weight, is_italic = parent.weight, parent.is_italic
        if thick := style.get("font-weight"):
            weight = _weight(thick, parent.weight)
        if (slant := style.get("font-style", "inherit")) not in _INHERITING:
            is_italic = slant.lower() != "normal"
        sized = self._size(style.get("font-size"), is_fixed, parent)
        found = parent
        if sized or thick or not {named, slant} <= _INHERITING:
            size, is_absolute = sized or (parent.size, parent.is_absolute)
            found = ComputedFont(
                *(size, families, weight, is_italic, parent.line, is_fixed, is_absolute)
            )
        if line := style.get("line-height"):
            found = found._replace(line=self._line(line, found, parent))
        return found

    def _size(
        self, size: str | None, is_fixed: bool, parent: ComputedFont
    ) -> tuple[float, bool] | None:
        """Return how large a font is, and whether somebody said so absolutely.

        None where it is as large as its parent's.
        """
        word = (size or "inherit").strip().lower()
        if word in _INHERITING:
            if is_fixed is parent.is_fixed or parent.is_absolute:
                return None
            word = "100%"
        if word in _KEYWORDS or word in ("initial", "unset"):
            share = _FIXED_SHARE if is_fixed else 1.0
            return _KEYWORDS.get(word, 16.0) * share, False
        if word in ("larger", "smaller"):
            word = f"{_RELATIVE if word == 'larger' else 1 / _RELATIVE}em"
        try:
            length = self.length(word, parent)
        except Unresolved:
            return None
        if length.is_number and length.pixels:
            return None
        pixels = max(0.0, length.pixels + length.share / 100 * parent.size)
        is_absolute = parent.is_absolute or not _OF_PARENT.search(word)
        if not is_absolute and is_fixed is not parent.is_fixed:
            pixels *= _FIXED_SHARE if is_fixed else 1 / _FIXED_SHARE
        return pixels, is_absolute

    def _line(self, text: str, font: ComputedFont, parent: ComputedFont) -> str:
        word = text.strip().lower()
        if word in ("inherit", "unset"):
            return parent.line
        if word in ("normal", "initial", "revert"):
            return "normal"
        try:
            length = self.length(word, font)
        except Unresolved:
            return parent.line
        if length.is_number:
            return f"{max(0.0, length.pixels):g}"
        return f"{length.pixels + length.share / 100 * font.size:g}px"


_CLOSED = re.compile(r"\s*(?:(,)\s*|\))")
_TRACK = re.compile(r"min\(\s*100%\s*,\s*([^(),]+)\)", re.IGNORECASE)
_INHERITING = frozenset({"inherit", "unset", "revert", "revert-layer"})


def _applied(kind: str, several: list[CssLength]) -> CssLength:
    if kind in ("", "calc"):
        if len(several) != 1:
            raise Unresolved("too many values")
        return several[0]
    if any(each.share for each in several) and any(each.pixels for each in several):
        raise Unresolved("per cent beside pixels")
    if len({each.is_number for each in several}) != 1:
        raise Unresolved("numbers beside lengths")
    if kind == "clamp":
        if len(several) != 3:
            raise Unresolved("clamp() has three values")
        low, middle, high = several
        return max(low, min(middle, high))
    return min(several) if kind == "min" else max(several)


def _arguments(text: str) -> list[str]:
    parts, depth, begun = [], 0, 0
    for at, mark in enumerate(text):
        depth += (mark == "(") - (mark == ")")
        if mark == "," and not depth:
            parts.append(text[begun:at])
            begun = at + 1
    return [*parts, text[begun:]]


def _weight(text: str, parent: float) -> float:
    word = text.strip().lower()
    if word == "bold":
        return _BOLD
    if word in ("normal", "initial"):
        return 400.0
    if word == "bolder":
        return 400.0 if parent < 350 else 700.0 if parent < 550 else 900.0
    if word == "lighter":
        return 100.0 if parent < 550 else 400.0 if parent < 750 else 700.0
    try:
        return min(1000.0, max(1.0, float(word)))
    except ValueError:
        return parent
