"""Which properties pytakumi 0.1.5 draws, and others said in terms of them.

What it does not draw stays among the declarations with a mark before what is told of
it, so that it is told only where nothing overrides it (`benchmarks/fidelity.py` looks
what the engine draws).
"""

import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from types import MappingProxyType

from app.renderer.document.css_tokens import QUOTED

# Name, value, and whether it is important.
Declaration = tuple[str, str, bool]
Declarations = tuple[Declaration, ...]

# How the value of a property begins that is told and not drawn.
UNDRAWN = "!"
_MOST_IGNORED = 20
_MOST_TOLD = 120
_MOST_VALUE = 65_536


class Ignored:
    """What of a document is not drawn, each thing once."""

    def __init__(self) -> None:
        self._found: dict[str, None] = {}

    def add(self, text: str) -> None:
        """Remember a thing, if there is room."""
        if len(self._found) < _MOST_IGNORED:
            self._found[text[:_MOST_TOLD]] = None

    @property
    def found(self) -> tuple[str, ...]:
        """All things, in the order in which they came."""
        return tuple(self._found)


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_SIDES = ("top", "right", "bottom", "left")
_DRAWN = _words(
    "align-content align-items align-self aspect-ratio backdrop-filter background"
    " background-blend-mode background-clip background-color background-image"
    " background-origin background-position background-repeat background-size border"
    " border-bottom border-color border-left border-radius border-right border-style"
    " border-top border-width bottom box-shadow box-sizing clip-path color column-gap"
    " content counter-increment counter-reset counter-set direction display filter flex"
    " flex-basis flex-direction flex-flow flex-grow flex-shrink flex-wrap font-family"
    " font-feature-settings font-kerning font-size font-style font-variant-numeric"
    " font-variation-settings font-weight gap grid-area grid-auto-columns"
    " grid-auto-flow grid-auto-rows grid-column grid-column-end grid-column-start"
    " grid-row grid-row-end grid-row-start grid-template-areas grid-template-columns"
    " grid-template-rows height image-rendering inset isolation justify-content"
    " justify-items justify-self left letter-spacing line-clamp line-height"
    " list-style-image list-style-position list-style-type margin margin-bottom"
    " margin-left margin-right margin-top mask mask-image mask-position mask-repeat"
    " mask-size max-height max-width min-height min-width mix-blend-mode object-fit"
    " object-position opacity order outline outline-color outline-offset outline-style"
    " outline-width overflow overflow-wrap overflow-x overflow-y padding"
    " padding-bottom padding-left padding-right padding-top place-content place-items"
    " place-self position quotes right rotate row-gap scale tab-size text-align"
    " text-decoration text-decoration-color text-decoration-line text-indent"
    " text-overflow text-shadow text-transform text-wrap text-wrap-mode text-wrap-style"
    " top transform transform-origin translate vertical-align visibility white-space"
    " white-space-collapse width word-break word-spacing z-index"
    " -webkit-line-clamp -webkit-text-fill-color -webkit-text-stroke"
    " -webkit-text-stroke-color -webkit-text-stroke-width"
    # These are read by what lays tables out, and by what draws SVG.
    " border-collapse border-spacing caption-side empty-cells table-layout fill"
    " fill-opacity fill-rule stroke stroke-dasharray stroke-dashoffset stroke-linecap"
    " stroke-linejoin stroke-miterlimit stroke-opacity stroke-width stop-color"
    " stop-opacity text-anchor dominant-baseline alignment-baseline baseline-shift"
    " clip-rule cx cy r rx ry x y d paint-order marker marker-start marker-mid"
    " marker-end color-interpolation color-interpolation-filters flood-color"
    " flood-opacity lighting-color vector-effect shape-rendering text-rendering"
    " break-before break-after break-inside orphans widows page"
) | {f"border-{side}-{what}" for side in _SIDES for what in ("color", "style", "width")}
_DRAWN |= {
    f"border-{y}-{x}-radius" for y in ("top", "bottom") for x in ("left", "right")
}

# What no still picture shows, or shows here as by default.
_UNSEEN = re.compile(
    r"animation|transition|cursor|pointer-events|user-select|scroll|overscroll|caret"
    r"|will-change|touch-action|resize|appearance|contain$|contain-|content-visibility"
    r"|clear$|speak|voice|nav-|ime-mode|-webkit-|-moz-|-ms-|-o-|zoom$"
    r"|print-color-adjust|color-adjust|color-scheme|forced-color-adjust|mso-"
    r"|font-display|font-smooth|font-synthesis|font-optical-sizing|font-language"
    r"|text-size-adjust|text-rendering|text-decoration-skip|hanging-punctuation"
    r"|image-orientation|interpolate-size|interactivity|view-transition|anchor-name"
    r"|accent-color|backface-visibility|\*|_|unicode-bidi|line-break|hyphens"
    r"|overflow-anchor|overflow-clip-margin|text-justify|perspective-origin|filter$"
)
# Where the first is set, the second is what the engine knows (for text that runs from
# left to right).
_SAME: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "word-wrap": ("overflow-wrap",),
        "page-break-before": ("break-before",),
        "page-break-after": ("break-after",),
        "page-break-inside": ("break-inside",),
        "grid-gap": ("gap",),
        "grid-row-gap": ("row-gap",),
        "grid-column-gap": ("column-gap",),
        "-moz-tab-size": ("tab-size",),
        "-webkit-background-clip": ("background-clip",),
        "-webkit-mask-image": ("mask-image",),
        "-webkit-mask": ("mask",),
        "-webkit-mask-size": ("mask-size",),
        "-webkit-mask-repeat": ("mask-repeat",),
        "-webkit-mask-position": ("mask-position",),
        "inline-size": ("width",),
        "block-size": ("height",),
        "min-inline-size": ("min-width",),
        "max-inline-size": ("max-width",),
        "min-block-size": ("min-height",),
        "max-block-size": ("max-height",),
        "border-start-start-radius": ("border-top-left-radius",),
        "border-start-end-radius": ("border-top-right-radius",),
        "border-end-start-radius": ("border-bottom-left-radius",),
        "border-end-end-radius": ("border-bottom-right-radius",),
    }
)
_FLOWS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "inline": ("left", "right"),
        "block": ("top", "bottom"),
        "inline-start": ("left",),
        "inline-end": ("right",),
        "block-start": ("top",),
        "block-end": ("bottom",),
    }
)
_LOGICAL = re.compile(
    r"(margin|padding|border|inset)-((?:inline|block)(?:-start|-end)?)"
    r"(-width|-color|-style)?"
)
# The value at which what is not drawn would change nothing.
_DEFAULTS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "float": _words("none"),
        "columns": _words("auto 1"),
        "column-count": _words("auto 1"),
        "column-width": _words("auto"),
        "writing-mode": _words("horizontal-tb"),
        "perspective": _words("none"),
        "shape-outside": _words("none"),
        "border-image": _words("none"),
        "border-image-source": _words("none"),
        "font-variant": _words("normal none"),
        "font-variant-caps": _words("normal"),
        "font-variant-ligatures": _words("normal common-ligatures"),
        "font-stretch": _words("normal 100%"),
        "font-width": _words("normal 100%"),
        "text-align-last": _words("auto"),
        "text-emphasis": _words("none"),
        "text-decoration-style": _words("solid"),
        "text-decoration-thickness": _words("auto from-font"),
        "text-underline-offset": _words("auto"),
        "text-underline-position": _words("auto"),
        "background-attachment": _words("scroll local"),
        "clip": _words("auto"),
        "initial-letter": _words("normal"),
        "text-combine-upright": _words("none"),
        "text-orientation": _words("mixed"),
        "box-decoration-break": _words("slice"),
        "mask-border": _words("none"),
        "transform-style": _words("flat"),
        "mask-composite": _words("add"),
        "mask-mode": _words("match-source"),
        "mask-origin": _words("border-box"),
        "mask-clip": _words("border-box"),
    }
)
_COMMON = _words("initial unset inherit revert revert-layer")
_FONT = re.compile(
    r"(?P<head>.*?)(?P<size>(?<![\w.])(?:[\d.]+(?:[a-z]+|%)|0|calc\([^)]*\)|xx-small|x-small|small|medium"
    r"|x-large|xx-large|xxx-large|larger|smaller|large)(?=[\s/]))"
    r"(?:\s*/\s*(?P<line>[\w.%]+))?\s+(?P<family>.+)",
    re.IGNORECASE | re.DOTALL,
)
_DECORATION_STYLES = _words("wavy dotted dashed double")
_LIGHT = re.compile(r"light-dark\(\s*((?:[^(),]|\([^()]*\))+),[^()]*(?:\([^()]*\))*\)")
_THEME = {
    "canvas": "#fff",
    "canvastext": "#000",
    "linktext": "#0000ee",
    "visitedtext": "#551a8b",
    "buttonface": "#efefef",
    "buttontext": "#000",
    "buttonborder": "#767676",
    "field": "#fff",
    "fieldtext": "#000",
    "graytext": "#808080",
    "highlight": "#3367d1",
    "highlighttext": "#fff",
    "mark": "#ff0",
    "marktext": "#000",
    "activetext": "#f00",
    "accentcolor": "#0075ff",
    "accentcolortext": "#fff",
    "selecteditem": "#3367d1",
    "selecteditemtext": "#fff",
}
# What the words of CSS 2 mean now (CSS Color 4, appendix A): Word and Excel write them.
_OLD = {
    "canvas": "activecaption appworkspace background inactivecaption infobackground"
    " menu scrollbar window",
    "canvastext": "captiontext infotext menutext windowtext",
    "buttonface": "buttonhighlight buttonshadow threedface",
    "buttonborder": "activeborder inactiveborder threeddarkshadow threedhighlight"
    " threedlightshadow threedshadow windowframe",
    "graytext": "inactivecaptiontext",
}
_SYSTEM_COLORS: Mapping[str, str] = MappingProxyType(
    _THEME | {old: _THEME[new] for new, words in _OLD.items() for old in words.split()}
)
# Elsewhere the same words are names, and texts.
_COLORED = re.compile(
    r".*(?:color|background|background-image|shadow|outline|filter)$"
    r"|border(?:-[a-z]+)*$|fill$|stroke$|(?:text-)?(?:decoration|emphasis|stroke)$"
    r"|column-rule$|-webkit-text-stroke$"
)
_SYSTEM = re.compile(rf"(?<![\w.#-])(?:{'|'.join(_SYSTEM_COLORS)})(?![\w(-])", re.I)
_UNKNOWN_FUNCTION = re.compile(
    r"(?<![\w-])(env|round|attr|cross-fade"
    r"|image-set|element|paint|anchor|sin|cos)\(",
    re.IGNORECASE,
)


def declared(items: Iterator[Declaration]) -> Declarations:
    """Return declarations in terms of what the engine draws."""
    found: list[Declaration] = []
    for name, value, important in items:
        known = _translated(name if name[:2] == "--" else name.lower(), value)
        found += [(each, said, important) for each, said in known]
    return tuple(found)


@lru_cache(4096)
def _short(name: str, value: str) -> tuple[tuple[str, str], ...]:
    return tuple(_translate(name, value))


def _translated(name: str, value: str) -> tuple[tuple[str, str], ...]:
    if len(value) > _MOST_VALUE and "url(" not in value[:_MOST_VALUE].lower():
        return ((name, f"{UNDRAWN}{name} that is too long"),)
    # Texts and images of callers are not kept.
    return _short(name, value) if len(value) < 64 else tuple(_translate(name, value))


def _translate(name: str, value: str) -> Iterator[tuple[str, str]]:
    if name.startswith("--"):
        yield name, value
        return
    for known in _SAME.get(name) or _physical(name) or (name,):
        yield from _one(known, value)


def _physical(name: str) -> tuple[str, ...]:
    found = _LOGICAL.fullmatch(name)
    if found is None or name in ("border-block", "inset"):
        if name != "border-block":
            return ()
        return ("border-top", "border-bottom")
    kind, flow, what = found[1], found[2], found[3] or ""
    sides = _FLOWS[flow]
    return sides if kind == "inset" else tuple(f"{kind}-{each}{what}" for each in sides)


def _one(name: str, value: str) -> Iterator[tuple[str, str]]:
    if _COLORED.match(name):
        value = _plain(value)
    word = value.strip().lower()
    if name in _SPECIAL:
        yield from _SPECIAL[name](name, value, word)
    elif name in _DRAWN:
        unknown = _UNKNOWN_FUNCTION.search(value) if "(" in value else None
        if unknown and name != "content":
            yield name, f"{UNDRAWN}{name}: {unknown[1]}()"
        else:
            yield name, value
    elif name in _DEFAULTS and (word in _DEFAULTS[name] or word in _COMMON):
        yield name, ""
    elif name in _DEFAULTS or not _UNSEEN.match(name):
        yield name, UNDRAWN + name


def _plain(value: str) -> str:
    """Return a value without the colours of a browser's theme."""
    if "light-dark(" in value:
        value = _LIGHT.sub(r"\1", value)
    if "url(" in value.lower() or not _SYSTEM.search(value):
        return value
    return _SYSTEM.sub(lambda found: _SYSTEM_COLORS[found[0].lower()], value)


def _font(name: str, value: str, word: str) -> Iterator[tuple[str, str]]:
    found = _FONT.fullmatch(value.strip())
    if found is None:
        if word not in _COMMON:
            yield name, f"{UNDRAWN}font: {value}"
        return
    style = weight = "normal"
    for part in found["head"].lower().split():
        if part in ("italic", "oblique"):
            style = part
        elif part in ("bold", "bolder", "lighter") or part.isdigit():
            weight = part
        elif part == "small-caps":
            yield "font-variant", UNDRAWN + "font-variant"
    yield "font-style", style
    yield "font-weight", weight
    yield "font-size", found["size"]
    yield "line-height", found["line"] or "normal"
    yield "font-family", found["family"]


# A bracket that nobody closes ends with the text, so that none is looked for twice.
_LIST_STYLE = re.compile(
    rf"""{QUOTED}|[\w-]+\((?:{QUOTED}|[^)"'])*+\)?|\S+""", re.DOTALL
)


def _list_style(name: str, value: str, word: str) -> Iterator[tuple[str, str]]:
    kind, position = "disc", "outside"
    if word in _COMMON:
        kind = position = word
    image = "none"
    for part in _LIST_STYLE.findall(value):
        if part.lower() in ("inside", "outside"):
            position = part.lower()
        elif "(" in part:
            image = part
        elif word not in _COMMON:
            kind = part
    yield "list-style-image", word if word in _COMMON else image
    yield "list-style-position", position
    yield "list-style-type", kind


_DECORATION = re.compile(r"[^\s(]+(?:\([^)]*+\)?)?")


def _text_decoration(name: str, value: str, word: str) -> Iterator[tuple[str, str]]:
    kept = []
    undrawn = ""
    for part in _DECORATION.findall(value):
        if part.lower() in _DECORATION_STYLES or re.match(r"[\d.]", part):
            undrawn = f"{UNDRAWN}text-decoration: {part}"
        elif part.lower() not in ("solid", "auto", "from-font", "blink"):
            kept.append(part)
    yield "text-decoration-style", undrawn
    yield name, " ".join(kept)


def _position(name: str, value: str, word: str) -> Iterator[tuple[str, str]]:
    yield name, word.removeprefix("-webkit-")


def _animation(name: str, value: str, word: str) -> Iterator[tuple[str, str]]:
    moves = word != "none" and word not in _COMMON
    yield "animation", UNDRAWN + "animation" if moves else ""


def _overflow(name: str, value: str, word: str) -> Iterator[tuple[str, str]]:
    yield name, re.sub("auto|scroll|overlay", "hidden", word)


def _display(name: str, value: str, word: str) -> Iterator[tuple[str, str]]:
    short = {"block flow": "block", "inline flow": "inline", "block flex": "flex"}
    short |= {"inline flex": "inline-flex", "block grid": "grid", "flow": "block"}
    short |= {"inline grid": "inline-grid", "inline flow-root": "inline-block"}
    short |= {"block flow-root": "flow-root", "-webkit-flex": "flex"}
    short |= {"-webkit-box": "-webkit-box", "-ms-flexbox": "flex"}
    yield name, short.get(word, word)


def _grid_template(name: str, value: str, word: str) -> Iterator[tuple[str, str]]:
    if "auto-flow" in word:
        yield name, f"{UNDRAWN}{name}: auto-flow"
        return
    rows, _, columns = value.partition("/")
    areas = re.findall(r"\"[^\"]*\"|'[^']*'", rows)
    if areas:
        yield "grid-template-areas", " ".join(areas)
        sizes = re.split(r"\"[^\"]*\"|'[^']*'", rows)[1:]
        rows = " ".join(size.strip() or "auto" for size in sizes)
    yield from _tracks("grid-template-rows", rows.strip(), "")
    yield from _tracks("grid-template-columns", columns.strip() or "none", "")


_Special = Callable[[str, str, str], Iterator[tuple[str, str]]]


def _tracks(name: str, value: str, word: str) -> Iterator[tuple[str, str]]:
    """Say tracks as wide as their content by what the engine knows.

    `auto` is that, too, where another track takes what is left over.
    """
    if not _BY_CONTENT.search(value):
        yield name, value
        return
    # What is within `minmax()` and `repeat()` stays where it is.
    filled = _AUTO.sub("minmax(auto,1fr)", value)
    yield name, _BY_CONTENT.sub(_track, filled)


def _track(found: re.Match[str]) -> str:
    return "auto" if found[1] is None else f"minmax(auto,{found[1]})"


_BY_CONTENT = re.compile(
    r"(?<![\w-])(?:(?:max|min)-content|fit-content\(([^()]*)\))(?![\w-])", re.IGNORECASE
)
_AUTO = re.compile(r"(?<![\w(,-])auto(?![\w),-])", re.IGNORECASE)
_SPECIAL: Mapping[str, _Special] = MappingProxyType(
    {
        "font": _font,
        "list-style": _list_style,
        "text-decoration": _text_decoration,
        "position": _position,
        "animation": _animation,
        "animation-name": _animation,
        "overflow": _overflow,
        "overflow-x": _overflow,
        "overflow-y": _overflow,
        "display": _display,
        "grid-template": _grid_template,
        "grid": _grid_template,
        **dict.fromkeys(("grid-template-columns", "grid-auto-columns"), _tracks),
        **dict.fromkeys(("grid-template-rows", "grid-auto-rows"), _tracks),
    }
)
