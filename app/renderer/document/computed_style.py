"""Styles as they compute in what is around an element (CSS Cascade 5, 4.4)."""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from app.renderer.document import defaults, stylesheet
from app.renderer.document.box_model import (
    ATOMIC_INLINES,
    BORDERS,
    INLINE,
    INLINE_LEVEL,
    INSETS,
    NOTHING,
    OUT_OF_FLOW,
    UNEVEN,
    has_ground,
    is_row,
)
from app.renderer.document.cascade import Style
from app.renderer.document.page_breaks import PageBreaks
from app.renderer.document.properties import UNDRAWN, Ignored
from app.renderer.document.table_grid import TABLES
from app.renderer.document.values import ComputedFont, Units
from app.renderer.embedded_fonts import EmbeddedFonts
from app.renderer.errors import Undrawable

_MOST_VARIABLE = 65_536
# Styles of which it is kept how they compute.
_MOST_KNOWN = 2_048
# CSS pixels: lower lines are meant to lie on each other.
_LOW = 8.0
_OF_FONTS = frozenset(
    {"font-family", "font-size", "font-style", "font-weight", "line-height"}
)
_FUNCTION = re.compile(r"\b(?:calc|min|max|clamp)\(", re.IGNORECASE)
_COMPUTED = re.compile(r"\(|\d(?:ch|ex)(?![\w-])", re.IGNORECASE)
# Variables that are put in, and 64 characters each that they were looked for in.
_MOST_PUT_IN = 1_000_000
_DECORATIONS = ("underline", "overline", "line-through")
_OF_DECORATION = frozenset(
    {"text-decoration", "text-decoration-line", "text-decoration-color"}
)
_INHERITED = frozenset(
    {"white-space", "list-style-type", "list-style-position", "quotes"}
    | {"list-style-image"}
    | {"text-align", "color", "border-collapse", "border-spacing", "caption-side"}
    | {"empty-cells", "visibility", "letter-spacing", "text-transform"}
    | {"orphans", "widows", "direction"}
)
# Parts of the letters around by which text is raised, and CSS pixels besides.
_RAISED = {"super": (1 / 3, 1.0), "sub": (-1 / 5, -1.0)}
_FLEXES = frozenset({"flex", "inline-flex", "grid", "inline-grid"})
_VARIABLE = re.compile(r"var\(\s*(--[^\s,)]+)\s*(?:,((?:[^()]|\([^()]*\))*))?\)")


@dataclass(slots=True, eq=False)
class Context:
    """What an element hands on to those within, wherever it stands; never changed.

    Two are one where they are the same object.
    """

    inherited: Mapping[str, str]
    variables: Mapping[str, str]
    depth: int
    font: ComputedFont
    # How high lines are at least, in CSS pixels, and what the engine takes them for.
    strut: float = 0.0
    line: str = "normal"
    # Whether children are laid out by `flex` or `grid`, each as a block.
    is_flex: bool = False
    is_row: bool = False
    # Whether classes say what is not known here.
    is_classed: bool = False
    # What is inherited of an element without a box.
    carried: Mapping[str, str] | None = None
    # Rows and columns of the areas of a grid, by their names.
    areas: Mapping[str, tuple[str, str]] | None = None
    # Lines under, over and through all text within, as a style of it.
    decoration: str = ""


class ComputedStyles:
    """Computes the styles of a document's elements.

    Raises Undrawable where variables make too much of them.
    """

    def __init__(
        self,
        fonts: EmbeddedFonts,
        ignored: Ignored,
        units: Units,
        printed: PageBreaks | None,
    ) -> None:
        self._fonts = fonts
        self._ignored = ignored
        self._units = units
        self._printed = printed
        self._left = _MOST_PUT_IN
        # Styles as they compute in a context, and the context within.
        self._known: dict[tuple[object, ...], tuple[Style, Context]] = {}

    def compute(self, style: Style, context: Context) -> tuple[Style, Context]:
        """Return a style as it computes in a context, and the context within it.

        The style is the caller's to change. Equal ones in one context are computed
        once: rows of a table, and items of a list, with all that is in them.
        """
        key = (context, *style.items())
        found = self._known.get(key)
        if found is None:
            if len(self._known) == _MOST_KNOWN:
                self._known.clear()
            found = self._known[key] = self._compute_anew(style, context)
        return found[0].copy(), found[1]

    def _compute_anew(self, style: Style, context: Context) -> tuple[Style, Context]:
        """Return a style with variables and what is inherited in it, and the context.

        Of `currentcolor` and lengths the engine knows itself.
        """
        variables = self.custom_properties(style, context.variables)
        kept: Style = {}
        for name, value in self.with_variables(style, variables):
            kept.pop(name, None)
            if value[:1] == UNDRAWN:
                self._ignored.add(value[1:])
            elif value:
                kept[name] = value
        if self._printed is not None:
            self._printed.resolve(kept, self._units)
        font = context.font
        if "font-family" in kept:
            kept["font-family"] = self._fonts.families(kept["font-family"])
        if not kept.keys().isdisjoint(_OF_FONTS):
            font = self._units.font(kept, font)
            if not context.depth:
                self._units.root = font.size
        if _COMPUTED.search(" ".join(kept.values())):
            for name, value in [*kept.items()]:
                if _COMPUTED.search(value):
                    self._resolve(kept, name, value, font)
        for name in BORDERS.keys() & kept.keys():
            if UNEVEN.search(kept[name]):
                kept[name] = UNEVEN.sub(partial(self._snapped, font), kept[name])
        if "," in kept.get("box-shadow", ""):
            # The engine paints the last one above the others.
            shadows = stylesheet.split(kept["box-shadow"])
            kept["box-shadow"] = ",".join(reversed(shadows))
        if raised := _RAISED.get(kept.get("vertical-align", "")):
            # As Chromium does; CSS 2.2, 10.8.1 leaves it open.
            part, more = raised
            kept["vertical-align"] = f"{context.font.size * part + more:.4g}px"
        if kept.get("position") == "sticky":
            # Where nothing scrolls, what sticks stands where it is.
            kept["position"] = "relative"
            for name in INSETS:
                if kept.pop(name, "") not in NOTHING:
                    self._ignored.add("position: sticky")
        inherited = context.inherited
        if kept.get("text-align") == defaults.HEADING_ALIGN:
            if inherited.get("text-align", "start") == "start":
                kept["text-align"] = "center"
            else:
                del kept["text-align"]
        if not _INHERITED.isdisjoint(kept):
            passed = {n: v for n, v in kept.items() if n in _INHERITED}
            inherited = {
                **inherited,
                **{name: value for name, value in passed.items() if value != "inherit"},
            }
        display = kept.get("display", "inline")
        if context.is_flex and display in INLINE_LEVEL:
            display = display.removeprefix("inline-").replace("inline", "block")
            kept["display"] = display
        self._align(kept, display, context)
        areas = _areas(kept.pop("grid-template-areas", ""))
        if context.areas and kept.get("grid-area", "").strip() in context.areas:
            area = kept.pop("grid-area").strip()
            kept["grid-row"], kept["grid-column"] = context.areas[area]
        strut, line = self._set_lines(kept, font, context, display in INLINE)
        is_apart = display in ATOMIC_INLINES or kept.get("position") in OUT_OF_FLOW
        around = "" if is_apart else context.decoration
        return kept, Context(
            *(inherited, variables, context.depth + 1, font, strut, line),
            display in _FLEXES,
            is_row(kept) or display == "grid",
            context.is_classed,
            areas=areas,
            decoration=_decoration(kept, inherited.get("color", "#000"), around),
        )

    def _snapped(self, font: ComputedFont, length: re.Match[str]) -> str:
        """Return how thick a border is drawn (CSS Values 4, 6.4)."""
        pixels = self._units.pixels(length[1], font)
        return f"{max(1, math.floor(pixels)) if pixels else 0}px"

    def custom_properties(
        self, style: Style, around: Mapping[str, str]
    ) -> Mapping[str, str]:
        """Return the variables within an element (CSS Variables 1, 2)."""
        own = {name: value for name, value in style.items() if name[:2] == "--"}
        if not own:
            return around
        found = {**around, **own}
        return found | {k: self.substitute(v, found) or "" for k, v in own.items()}

    def with_variables(
        self, style: Style, variables: Mapping[str, str]
    ) -> Iterator[tuple[str, str]]:
        """Yield declarations with their variables; none where one is not set."""
        for name, value in style.items():
            if name[:2] == "--":
                continue
            if "var(" not in value:
                yield name, value
            elif (found := self.substitute(value, variables)) is not None:
                for known, each, _ in stylesheet.inline(f"{name}:{found}"):
                    yield known, each

    def _resolve(self, kept: Style, name: str, value: str, font: ComputedFont) -> None:
        """Put what the engine knows in place of functions and units."""
        if name in ("content", "font-family", "font-size", "line-height"):
            return
        found = self._units.computed(name, value, font)
        if found is None:
            function = _FUNCTION.search(value)
            self._ignored.add(f"{name}: {function[0] if function else value})")
            del kept[name]
        elif name not in found or found[name] != value or len(found) > 1:
            for bound in found:
                if bound != name and bound in kept:
                    self._ignored.add(f"{name}: {value}")
            kept.update(found)

    def _set_lines(
        self, kept: Style, font: ComputedFont, context: Context, is_inline: bool
    ) -> tuple[float, str]:
        """Write a font's size and lines as they compute, lines in whole pixels.

        Returns how high lines within are at least, and what the engine takes them for.

        A line is at least as high as its block says, which the engine knows of the
        text in it alone; and of a block it rounds what all lines take together up.
        """
        strut, line = context.strut, context.line
        if context.is_classed:
            return strut, line
        if font.size != context.font.size:
            kept["font-size"] = f"{font.size:.6g}px"
        else:
            kept.pop("font-size", None)
        if is_inline and font is context.font:
            kept.pop("line-height", None)
            return strut, line
        high = self._units.line(font)
        line = line_of(high, font)
        if not is_inline:
            strut = high
        elif has_ground(kept):
            # The ground of text in a line is as high as its letters.
            normal = self._units.line(font._replace(line="normal"))
            line = line if high < normal else "normal"
        elif high < strut and kept.get("vertical-align", "baseline") == "baseline":
            line = f"{whole_line(strut):g}px"
        if line != context.line:
            kept["line-height"] = line
        else:
            kept.pop("line-height", None)
        return strut, line

    def _align(self, kept: Style, display: str, context: Context) -> None:
        """Place a block as `align` around it says (HTML, 15.3.3)."""
        align = context.inherited.get("text-align", "")
        if (
            not align.startswith("-webkit-")
            or display in INLINE_LEVEL
            or context.is_flex
        ):
            return
        is_table = display in TABLES
        if is_table:
            kept.setdefault("text-align", "start")
        if not is_table and kept.get("width", "auto") == "auto":
            return
        if align != "-webkit-left":
            kept["margin-left"] = "auto"
        if align == "-webkit-center":
            kept["margin-right"] = "auto"

    def substitute(self, value: str, variables: Mapping[str, str]) -> str | None:
        """Return a value with its variables; None where one is not set, or too long."""
        for _ in range(8):
            if "var(" not in value:
                return value
            missing = False
            self._left -= value.count("var(") + len(value) // 64
            if self._left < 0:
                raise Undrawable("The page's variables make too much of it.")

            def known(found: re.Match[str]) -> str:
                nonlocal missing
                given = variables.get(found[1], "initial")
                if given != "initial":
                    return given.strip()
                missing = missing or found[2] is None
                return (found[2] or "").strip()

            value = _VARIABLE.sub(known, value)
            if missing or len(value) > _MOST_VARIABLE:
                return None
        return None


def _areas(text: str) -> Mapping[str, tuple[str, str]] | None:
    """Return where the areas of a grid lie, None without (CSS Grid 1, 7.3)."""
    if not text:
        return None
    found: dict[str, list[int]] = {}
    for row, line in enumerate(re.findall(r"\"([^\"]*)\"|'([^']*)'", text), 1):
        for column, name in enumerate("".join(line).split(), 1):
            place = found.setdefault(name, [row, row, column, column])
            place[1], place[3] = max(row, place[1]), max(column, place[3])
    return {
        name: (f"{top} / {bottom + 1}", f"{left} / {right + 1}")
        for name, (top, bottom, left, right) in found.items()
        if name.strip(".")
    }


def line_of(high: float, font: ComputedFont) -> str:
    """Return the `line-height` of a font's lines for the engine."""
    return "normal" if font.line == "normal" else f"{whole_line(high):g}px"


def whole_line(high: float) -> float:
    """Return how high a line is in whole pixels, where it is not very low."""
    return float(math.ceil(high - 0.5)) if high >= _LOW else high


def _decoration(kept: Style, color: str, around: str) -> str:
    """Take the lines of text out of a style; return them as one of the text within.

    To them come those `around`, in one colour. The engine draws them where an element
    has a single text in it, and nowhere else.
    """
    if _OF_DECORATION.isdisjoint(kept):
        return around
    words: list[str] = []
    for name in [name for name in kept if name in _OF_DECORATION]:
        value = kept.pop(name)
        if name == "text-decoration-color":
            color = value
        else:
            words = value.split()
    lines = [word for word in words if word.lower() in _DECORATIONS]
    if not lines:
        return around
    lines += [word for word in _DECORATIONS if word in around and word not in lines]
    named = " ".join(word for word in words if word.lower() not in _DECORATIONS)
    if named and named.lower() not in ("none", "currentcolor"):
        color = named
    return f"text-decoration:{' '.join(lines)};text-decoration-color:{color}"
