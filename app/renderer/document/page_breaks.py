"""What a document says about breaks between pages, gathered while it is written."""

import re
from collections.abc import Callable, Mapping
from html import escape

from app.renderer.document import box_model
from app.renderer.document.flow_boxes import FORCED, BreakMark
from app.renderer.document.media import PageArea
from app.renderer.document.table_grid import Grid
from app.renderer.document.values import ComputedFont, Units

_VIEWPORT = re.compile(
    r"(?<![\w.#-])(-?(?:\d+\.?\d*|\.\d+))([sld]?v(?:h|w|i|b|min|max))(?![\w-])", re.I
)
_AVOID = frozenset({"avoid", "avoid-page"})
# Lines that may be asked to stay together.
_MOST_LINES = 1_000
_NUMBER = re.compile(r"0*([1-9][0-9]*)")
# What an element that is taken out of those around it has of them.
_FONT = ("color", "text-align", "letter-spacing", "text-transform", "white-space")


class PageBreaks:
    """The marks of boxes by number, the page's ground, and what is on every page.

    `area` is that of a page: the document itself has no lower end.
    """

    def __init__(self, area: PageArea) -> None:
        self._area = area
        self.marks: list[BreakMark] = [BreakMark()]
        self._numbers: dict[BreakMark, int] = {self.marks[0]: 0}
        self.ground: dict[str, str] = {}
        self.root_has_ground = False
        # Elements that stand on every page, as markup.
        self.fixed: list[str] = []
        # Elements that are placed in the first page, as markup.
        self.first: list[str] = []
        # How many boxes around what is written are such as others are placed in.
        self._placing = 0
        self._taken: list[tuple[int, int, str, list[str]]] = []
        self._row: tuple[int, str, Mapping[str, str]] | None = None

    @property
    def defaults(self) -> str:
        """What roots have that nothing is said of: a page is white as paper is."""
        return (
            "html{background:transparent}"
            f"body{{height:auto;min-height:{self._area.height}px}}"
        )

    def resolve(self, style: dict[str, str], units: Units) -> None:
        """Put pixels in place of units that are of the page."""
        for name, value in style.items():
            if "v" in value and _VIEWPORT.search(value) and "url(" not in value:
                style[name] = _VIEWPORT.sub(
                    lambda found: (
                        f"{float(found[1]) * (units.view(found[2].lower()) or 0):.6g}px"
                    ),
                    value,
                )

    @property
    def is_forced(self) -> bool:
        """Tell whether a break is asked for anywhere."""
        return any(mark.before in FORCED or mark.after in FORCED for mark in self.marks)

    def enter_root(self, style: Mapping[str, str]) -> None:
        """Note whether the root has a background, which goes before the body's."""
        self.root_has_ground = bool(_ground(style))

    def enter_row(self, number: int, grid: Grid) -> None:
        """Note the row of the next cell."""
        part = "body"
        if number < grid.heads:
            part = "head"
        elif number >= len(grid.rows) - grid.feet:
            part = "foot"
        self._row = number, part, grid.rows[number].breaks

    def attribute(
        self,
        style: Mapping[str, str],
        inherited: Mapping[str, str],
        font: ComputedFont,
        units: Units,
    ) -> str:
        """Return the attribute of a box that tells its mark, if it has one."""
        said = style
        row = part = None
        if self._row is not None:
            row, part, said = self._row
            self._row = None
        mark = BreakMark(
            _break(said.get("break-before", "")),
            _break(said.get("break-after", "")),
            _break(said.get("break-inside", "")),
            _lines(inherited.get("orphans")),
            _lines(inherited.get("widows")),
            row=row,
            part=part or "",
            whole=style.get("display", "").startswith("inline-"),
            out=not box_model.is_in_flow(style),
        )
        margin = units.pixels(box_model.side(style, "margin", "top"), font, 0.0)
        inset = units.pixels(box_model.side(style, "padding", "top"), font, 0.0)
        if inset is not None:
            inset += box_model.borders(style)[0]
        mark = mark._replace(margin=margin or 0.0, inset=inset)
        number = self._numbers.get(mark)
        if number is None:
            number = self._numbers[mark] = len(self.marks)
            self.marks.append(mark)
        return f' mark="{number}"' if number else ""

    def take_ground(
        self, style: dict[str, str], is_root: bool, in_css: Callable[[str], str]
    ) -> None:
        """Take the background of the root, or else of the body: it is the page's.

        `in_css` takes the images out of a value.
        """
        # What scrolls on a screen is cut by nothing on paper (CSS Overflow 3, 3.3).
        for name in ("overflow", "overflow-x", "overflow-y"):
            style.pop(name, None)
        if is_root:
            # What is placed in no other box is placed in the first page.
            style["height"] = f"{self._area.height}px"
        if is_root or not self.root_has_ground:
            own = _ground(style)
            for name in own:
                self.ground[name] = in_css(style.pop(name))

    def enter(self, style: Mapping[str, str]) -> None:
        """Note a box before what is in it is written."""
        self._placing += _places(style)

    def leave(
        self,
        style: Mapping[str, str],
        begun: int,
        ended: int,
        inherited: Mapping[str, str],
        font: ComputedFont,
        units: Units,
    ) -> None:
        """Note a box that was written between two places: it may be taken out.

        What is fixed stands on every page, and what is placed in no other box, on the
        first.
        """
        self._placing -= _places(style)
        position = style.get("position", "static")
        if position not in ("fixed", "absolute"):
            return
        if position == "absolute" and (
            self._placing or not self._is_first(style, font, units)
        ):
            return
        own = {name: inherited[name] for name in _FONT if name in inherited}
        own |= {"font-size": f"{font.size:g}px", "font-weight": f"{font.weight:g}"}
        own["line-height"] = font.line
        if font.is_italic:
            own["font-style"] = "italic"
        if font.families:
            own["font-family"] = font.families
        css = escape(";".join(f"{name}:{value}" for name, value in own.items()))
        to = self.fixed if position == "fixed" else self.first
        self._taken.append((begun, ended, css, to))

    def _is_first(
        self, style: Mapping[str, str], font: ComputedFont, units: Units
    ) -> bool:
        """Tell whether what is placed in a page is on the first one, over its text."""
        if style.get("z-index", "0").startswith("-"):
            return False
        sides = style.get("inset", "auto").split()
        top = style.get("top", sides[0])
        bottom = style.get(
            "bottom", sides[2 % len(sides)] if len(sides) > 1 else sides[0]
        )
        if top == "auto":
            return bottom != "auto"
        high = self._area.height
        at = units.pixels(top, font, high)
        return at is not None and 0 <= at < high

    @staticmethod
    def on_page(style: dict[str, str]) -> dict[str, str]:
        """Return a style by which what is fixed is placed in the area of a page."""
        if style.get("position") == "fixed":
            return {**style, "position": "absolute"}
        return style

    def take_out(self, out: list[str]) -> None:
        """Take what stands on pages by itself out of what is written."""
        last = 0
        for begun, ended, css, to in sorted(self._taken, key=lambda each: each[:2]):
            if begun < last:
                # In another one, which is taken as a whole.
                continue
            last = ended
            markup = "".join(out[begun:ended])
            to.append(f'<div style="{css}">{markup}</div>')
            out[begun:ended] = [""] * (ended - begun)


def _places(style: Mapping[str, str]) -> bool:
    """Tell whether a box is one that others within are placed in."""
    return style.get("position", "static") != "static" or "transform" in style


def _ground(style: Mapping[str, str]) -> dict[str, str]:
    found = {name: style[name] for name in style if name.startswith("background")}
    return found if box_model.has_ground(style) else {}


def _break(value: str) -> str:
    word = value.strip().lower()
    return word if word in FORCED else "avoid" if word in _AVOID else ""


def _lines(value: str | None) -> int:
    found = _NUMBER.fullmatch((value or "").strip())
    # Python converts no number of more than 4300 digits.
    return min(int(found[1][:4]), _MOST_LINES) if found else 2
