"""Rules about pages: size, margins, and what stands in those (CSS Paged Media 3)."""

import re
from collections.abc import Mapping, Sequence
from html import escape
from types import MappingProxyType
from typing import NamedTuple

import turbohtml
from turbohtml.cssom import StyleDeclaration

from app.renderer.document import box_model, generated
from app.renderer.document.generated import Counters
from app.renderer.document.properties import Ignored
from app.renderer.document.values import ComputedFont, Units
from app.renderer.paper import CSS_DPI, Sides, parse_page

_SIDES = ("top", "right", "bottom", "left")
_SELECTOR = re.compile(r"(?P<name>[\w-]*)(?P<pseudo>(?::[\w-]+)*)\s*\Z")
_PSEUDO = frozenset({"first", "left", "right", "blank"})
_MARGIN_BOX = re.compile(
    r"@([\w-]+)\s*+\{((?:[^{}\"']|\"(?:[^\"\\]|\\.)*+\"|'(?:[^'\\]|\\.)*+')*+)\}",
    re.DOTALL,
)
_COMMENT = re.compile(r"/\*.*?(?:\*/|\Z)", re.DOTALL)
# Pages that CSS knows (css-page-3, 7.1) beside those of paper, in millimetres.
_MILLIMETRES: Mapping[str, tuple[float, float]] = MappingProxyType(
    {"b5": (176, 250), "b4": (250, 353), "jis-b5": (182, 257), "jis-b4": (257, 364)}
    | {"ledger": (279.4, 431.8)}
)
_MARGINS = re.compile(r"margin(-(top|right|bottom|left))?")
_PAINTED = re.compile(r"background(-|$)|color$|font|line-height$")
# A page with less room than this has none, in CSS pixels.
_LEAST_AREA = 8.0
# No page is larger, whatever an operator allows: CSS pixels.
_MOST_SIDE = 1e6


class _MarginPlace(NamedTuple):
    """Where a margin box stands: its edge, and how its content is aligned."""

    edge: str
    order: int
    across: str
    down: str


# css-page-3, 5.
_PLACES: Mapping[str, _MarginPlace] = MappingProxyType(
    {
        "top-left-corner": _MarginPlace("top-left", 0, "right", "center"),
        "top-left": _MarginPlace("top", 0, "left", "center"),
        "top-center": _MarginPlace("top", 1, "center", "center"),
        "top-right": _MarginPlace("top", 2, "right", "center"),
        "top-right-corner": _MarginPlace("top-right", 0, "left", "center"),
        "right-top": _MarginPlace("right", 0, "center", "flex-start"),
        "right-middle": _MarginPlace("right", 1, "center", "center"),
        "right-bottom": _MarginPlace("right", 2, "center", "flex-end"),
        "bottom-right-corner": _MarginPlace("bottom-right", 0, "left", "center"),
        "bottom-right": _MarginPlace("bottom", 2, "right", "center"),
        "bottom-center": _MarginPlace("bottom", 1, "center", "center"),
        "bottom-left": _MarginPlace("bottom", 0, "left", "center"),
        "bottom-left-corner": _MarginPlace("bottom-left", 0, "right", "center"),
        "left-bottom": _MarginPlace("left", 2, "center", "flex-end"),
        "left-middle": _MarginPlace("left", 1, "center", "center"),
        "left-top": _MarginPlace("left", 0, "center", "flex-start"),
    }
)
_DOWN = {"top": "flex-start", "middle": "center", "bottom": "flex-end"}


class PageRule(NamedTuple):
    """What a rule says of pages that its pseudo-classes name, or of all."""

    pseudo: frozenset[str]
    declarations: Mapping[str, str]
    boxes: Mapping[str, Mapping[str, str]]

    @property
    def specificity(self) -> tuple[int, int]:
        """The rule's weight (css-page-3, 4.4)."""
        sides = len(self.pseudo & {"left", "right"})
        return len(self.pseudo) - sides, sides


class PageStyle(NamedTuple):
    """A page: sides on paper in inches, in CSS pixels, margins, and what is in them.

    `paper` is None where the rules leave the size open.
    """

    paper: Sides | None
    size: tuple[int, int]
    margins: tuple[float, float, float, float]
    style: Mapping[str, str]
    boxes: Mapping[str, Mapping[str, str]]

    @property
    def area(self) -> tuple[float, float]:
        """Width and height of what is within the margins, in CSS pixels."""
        top, right, bottom, left = self.margins
        width, height = self.size
        return max(_LEAST_AREA, width - left - right), max(
            _LEAST_AREA, height - top - bottom
        )


def read(rules: Sequence[tuple[str, str]], ignored: Ignored) -> list[PageRule]:
    """Return rules of a head and a body; what is not known of them is `ignored`."""
    found = []
    for head, body in rules:
        for selector in head.split(","):
            named = _SELECTOR.match(selector.strip())
            pseudo = (
                frozenset(named["pseudo"].lower().split(":")[1:]) if named else None
            )
            if named is None or pseudo is None or named["name"] or pseudo - _PSEUDO:
                ignored.add(f"@page {selector.strip()}")
                continue
            found.append(_rule(pseudo, body, ignored))
    return sorted(found, key=lambda each: each.specificity)


def _rule(pseudo: frozenset[str], body: str, ignored: Ignored) -> PageRule:
    body = _COMMENT.sub(" ", body)
    boxes: dict[str, Mapping[str, str]] = {}

    def margin_box(found: re.Match[str]) -> str:
        name = found[1].lower()
        if name in _PLACES:
            boxes[name] = {**boxes.get(name, {}), **_declared(found[2])}
        else:
            ignored.add(f"@page @{name}")
        return ""

    declarations = _declared(_MARGIN_BOX.sub(margin_box, body))
    for name in declarations:
        known = name == "size" or _MARGINS.fullmatch(name) or _PAINTED.match(name)
        if not known and not name.startswith("-"):
            ignored.add(f"@page {name}")
    return PageRule(pseudo, declarations, boxes)


def _declared(text: str) -> dict[str, str]:
    style = StyleDeclaration.parse(text)
    return {each.lower(): style[each] for each in style}


def page_style(
    rules: Sequence[PageRule],
    number: int,
    blank: bool,
    canvas: tuple[int, int],
    units: Units,
    ignored: Ignored,
) -> PageStyle:
    """Return how a page of a number looks; `canvas` is its size where none is said."""
    kinds = {"right" if number % 2 else "left"}
    kinds |= {"first"} if number == 1 else set()
    kinds |= {"blank"} if blank else set()
    style: dict[str, str] = {}
    boxes: dict[str, Mapping[str, str]] = {}
    for rule in rules:
        if rule.pseudo <= kinds:
            for name, value in rule.declarations.items():
                # The order counts: a shorthand sets what stood before it.
                style.pop(name, None)
                style[name] = value
            for name, own in rule.boxes.items():
                boxes[name] = {**boxes.get(name, {}), **own}
    paper, size = _size(style.pop("size", "auto"), canvas, units, ignored)
    margins = []
    for which in _SIDES:
        said = box_model.side(style, "margin", which)
        whole = size[which in ("top", "bottom")]
        margins.append(_length(said, whole, units, ignored))
    for name in [name for name in style if name.startswith("margin")]:
        del style[name]
    top, right, bottom, left = margins
    return PageStyle(paper, size, (top, right, bottom, left), style, boxes)


def _size(
    text: str, canvas: tuple[int, int], units: Units, ignored: Ignored
) -> tuple[Sides | None, tuple[int, int]]:
    words = text.lower().split()
    turned = [word for word in words if word in ("portrait", "landscape")]
    rest = [word for word in words if word not in turned]
    sides: Sides | None = None
    try:
        if len(turned) > 1:
            raise ValueError(text)
        if rest == ["auto"] or not rest:
            low, high = sorted(canvas)
            size = canvas
            if turned:
                size = (high, low) if turned == ["landscape"] else (low, high)
            return None, size
        if rest[0][0].isdigit() or rest[0][0] == ".":
            lengths = [units.length(each, ComputedFont()) for each in rest]
            if len(lengths) > 2 or any(
                each.share or each.is_number or not 1 <= each.pixels <= _MOST_SIDE
                for each in lengths
            ):
                raise ValueError(text)
            sides = lengths[0].pixels / CSS_DPI, lengths[-1].pixels / CSS_DPI
        elif len(rest) == 1:
            sides = _named(rest[0])
        else:
            raise ValueError(text)
    except ValueError:
        ignored.add(f"@page size: {text}")
        return None, canvas
    if turned == ["landscape"]:
        sides = max(sides), min(sides)
    elif turned:
        sides = min(sides), max(sides)
    width, height = (max(1, round(side * CSS_DPI)) for side in sides)
    return sides, (width, height)


def _named(name: str) -> Sides:
    if name in _MILLIMETRES:
        width, height = _MILLIMETRES[name]
        return width / 25.4, height / 25.4
    return parse_page(name)


def _length(text: str, whole: float, units: Units, ignored: Ignored) -> float:
    if text == "auto":
        return 0.0
    length = units.pixels(text, ComputedFont(), whole)
    if length is None:
        ignored.add(f"@page margin: {text}")
        return 0.0
    return max(0.0, min(whole, length))


def margin_boxes(page: PageStyle, number: int, count: int, ignored: Ignored) -> str:
    """Return the margin boxes of a page as HTML; none where none has content."""
    edges: dict[str, list[tuple[_MarginPlace, str]]] = {}
    for name, style in page.boxes.items():
        text = _content(style.get("content", "none"), number, count, ignored)
        if text is not None:
            place = _PLACES[name]
            edges.setdefault(place.edge, []).append((place, _boxed(place, style, text)))
    top, right, bottom, left = page.margins
    width, height = page.size
    inner = f"left:{left:g}px;width:{width - left - right:g}px"
    upright = f"top:{top:g}px;height:{height - top - bottom:g}px"
    at = {
        "top": f"top:0;height:{top:g}px;{inner}",
        "bottom": f"bottom:0;height:{bottom:g}px;{inner}",
        "left": f"left:0;width:{left:g}px;{upright}",
        "right": f"right:0;width:{right:g}px;{upright}",
        "top-left": f"top:0;left:0;height:{top:g}px;width:{left:g}px",
        "top-right": f"top:0;right:0;height:{top:g}px;width:{right:g}px",
        "bottom-left": f"bottom:0;left:0;height:{bottom:g}px;width:{left:g}px",
        "bottom-right": f"bottom:0;right:0;height:{bottom:g}px;width:{right:g}px",
    }
    found = []
    for edge, boxes in edges.items():
        boxes.sort()
        column = "flex-direction:column;" if edge in ("left", "right") else ""
        orders = [place.order for place, _ in boxes]
        if orders == [1]:
            column += "justify-content:center;"
        elif 1 in orders and len(orders) < 3:
            # What is in the middle stays there.
            missing = ({0, 2} - {*orders}).pop()
            boxes.insert(missing, (boxes[0][0], '<div style="flex:1 1 0"></div>'))
        inside = "".join(box for _, box in boxes)
        found.append(
            f'<div style="position:absolute;display:flex;{column}{at[edge]}">'
            f"{inside}</div>"
        )
    return "".join(found)


def _boxed(place: _MarginPlace, style: Mapping[str, str], text: str) -> str:
    down = _DOWN.get(style.get("vertical-align", ""), place.down)
    given = {
        "flex": "1 1 0" if place.order != 1 else "0 1 auto",
        "display": "flex",
        "flex-direction": "column",
        "justify-content": down,
        "text-align": place.across,
        "min-width": "0",
        "white-space": "pre-line",
    }
    if place.edge in ("left", "right") and place.order == 1:
        given["flex"] = "1 1 auto"
    for name in ("width", "height"):
        if style.get(name, "auto") != "auto":
            given["flex"] = "none"
    own = {n: v for n, v in style.items() if n not in ("content", "vertical-align")}
    css = ";".join(f"{name}:{value}" for name, value in {**given, **own}.items())
    return f'<div style="{escape(css)}"><div>{text}</div></div>'


def _content(value: str, number: int, count: int, ignored: Ignored) -> str | None:
    """Return what stands in a margin box as HTML; None for no box."""
    if value in ("none", "normal"):
        return None
    counters = Counters()
    counters.enter({"counter-reset": f"page {number} pages {count}"}, 0)
    # A page is no element, and has no attributes.
    nobody = turbohtml.parse("").select("html")[0]
    text = []
    for kind, piece in generated.content(value, nobody, counters, ()):
        if kind == "text":
            text.append(escape(piece))
        elif kind == "image":
            text.append(f'<img src="{escape(piece)}">')
        else:
            ignored.add(f"@page content: {piece}")
    return "".join(text)
