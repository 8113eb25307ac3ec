"""Choose a font size at which a text fits its box, by measuring with the engine."""

import math
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache, partial
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, Protocol

from markupsafe import Markup, escape

from app.renderer.engine.emoji import ends_in_picture
from app.renderer.engine.shaping import Setting, Shaped, Unsure
from app.renderer.params import EmojiStyle

# Neighbouring sizes differ by 8 %: finer steps are not seen, coarser ones are.
_STEP = 0.92
# Texts remembered for each engine; the longest are a few kilobytes.
_REMEMBERED = 1024
# Characters of such a text.
_MOST_REMEMBERED = 400
# Half a pixel: the engine rounds the heights of lines.
_SLACK = 0.5
# CSS pixels by which a calculated line may differ from a measured one.
_SAME = 0.1
# Beyond Latin, Greek, Cyrillic and punctuation, letters join, stack or fill a square,
# and emoji are sequences: none of them may be moved apart.
_UNSPACED = re.compile(r"[^\u0000-\u052f\u1e00-\u1fff\u2010-\u205f\u20a0-\u20cf]")
# Vietnamese capitals bear two marks, one above the other.
_STACKED = re.compile(r"[\u1ea0-\u1ef9]")
_STACKED_LEADING = 1.3


class Script(NamedTuple):
    """The font that draws a script, and the least distance of its lines."""

    family: str
    leading: float


# A text whose spaces come from another font than its letters loses a word, or keeps
# a scrap of one, where pytakumi 0.1.5 breaks the line there (seen with Devanagari,
# Arabic, Burmese, Sinhala, Tibetan), so the font of the script goes first. Leading is
# what the highest and deepest letters of its languages need, by their outlines. Keys
# are how Unicode names of letters begin.
SCRIPTS: Mapping[str, Script] = MappingProxyType(
    {
        "ARABIC": Script("Noto Sans Arabic", 1.35),
        "BENGALI": Script("Hind Siliguri", 1.45),
        "DEVANAGARI": Script("Noto Sans Devanagari", 1.35),
        "ETHIOPIC": Script("Noto Sans Ethiopic", 1.25),
        "GUJARATI": Script("Noto Sans Gujarati", 1.35),
        "GURMUKHI": Script("Noto Sans Gurmukhi", 1.3),
        "HEBREW": Script("Heebo", 1.1),
        "KANNADA": Script("Noto Sans Kannada", 1.45),
        "KHMER": Script("Noto Sans Khmer", 1.65),
        "LAO": Script("Noto Sans Lao", 1.5),
        "MALAYALAM": Script("Noto Sans Malayalam", 1.35),
        "MYANMAR": Script("Noto Sans Myanmar", 1.75),
        "ORIYA": Script("Noto Sans Oriya", 1.45),
        "SINHALA": Script("Noto Sans Sinhala", 1.35),
        "TAMIL": Script("Noto Sans Tamil", 1.25),
        "TELUGU": Script("Noto Sans Telugu", 1.45),
        "THAANA": Script("Noto Sans Thaana", 1.4),
        "THAI": Script("Noto Sans Thai", 1.5),
        "TIBETAN": Script("Noto Serif Tibetan", 2.1),
    }
)


# Before Hebrew is none of them.
_FIRST_SCRIPT = "\u0590"

Clipped = Literal["", "shrunk", "cut"]


class Measurable(Protocol):
    """A text that the layout engine has taken in."""

    def measure(self, style: Mapping[str, Any], width: float) -> Mapping[str, Any]:
        """Lay the text out in a column; return its height and runs of text."""

    def shape(
        self, families: Sequence[str], weight: float, italic: bool, tracking: float
    ) -> Shaped | None:
        """Return where its lines may break at any size, if arithmetic can tell."""


class Ruler(Protocol):
    """What measures: the layout engine."""

    def paragraph(
        self, text: str, lang: str | None = None, style: EmojiStyle = "color"
    ) -> Measurable:
        """Take a text in."""

    def covers(self, family: str, text: str) -> bool:
        """Tell whether a family has all letters of a text outside of Latin."""


class Type(NamedTuple):
    """How a text is set; `tracking` is in ems, `leading` in font sizes."""

    families: tuple[str, ...]
    weight: float | str
    italic: bool
    leading: float
    tracking: float | str


class Box(NamedTuple):
    """Room for a text, in CSS pixels and lines."""

    width: float
    height: float
    lines: int


class _Fitted(NamedTuple):
    """The size that was chosen, and the text laid out in it."""

    size: int
    wrap: str
    setting: Setting


class Fit(NamedTuple):
    """How to set a text in its box.

    `css` holds all that was measured, so that the drawing cannot differ, and
    cuts with an ellipsis, after `lines` lines, what does not fit even at the
    smallest size. `size` and `height` are in CSS pixels; `height` is what the
    text then takes up; `direction` is `ltr` or `rtl`. `clipped` says whether the text
    is `cut`, or `shrunk` to the smallest size, at which it is whole.
    """

    size: int
    lines: int
    height: float
    direction: str
    css: Markup
    clipped: Clipped


# Lays a text out at a size, with words broken where `wrap` is `anywhere`.
_Set = Callable[[int, str], Setting]


def fitter(ruler: Ruler) -> Callable[..., Fit]:
    """Return the `fit` function that templates call."""

    def fit(
        text: str,
        width: float,
        height: float,
        largest: int,
        smallest: int,
        lines: int = 99,
        weight: float | str = 400,
        family: str = "Inter",
        italic: bool = False,
        leading: float = 1.2,
        tracking: float | str = 0.0,
        lang: str | None = None,
        emoji: EmojiStyle = "color",
    ) -> Fit:
        """Return the largest size at which `text` fits `width` by `height`.

        Words are kept whole where a smaller size allows it. Scripts whose letters
        join or stack get no tracking, and more leading where they need it.
        """
        script = _script(text)
        if script is not None:
            leading = max(leading, script.leading)
        if _STACKED.search(text):
            leading = max(leading, _STACKED_LEADING)
        if _UNSPACED.search(text):
            tracking = 0.0
        names = _names(text, family, ruler.covers)
        face = Type(names, weight, italic, leading, tracking)
        box = Box(width, height, lines)
        sizes = tuple(_sizes(largest, smallest))
        paragraph = ruler.paragraph(text, lang, emoji)
        measure = partial(_measure, paragraph, face, width)
        found = _calculate(paragraph, face, box, sizes, measure)
        if found is None:
            found = _choose(box, sizes, measure)
        size, setting = found.size, found.setting
        pitch = setting.height / setting.lines
        clamp = max(1, min(lines, int((height + _SLACK) / pitch)))
        used = pitch * min(clamp, setting.lines)
        shrunk: Clipped = "shrunk" if size == smallest < largest else ""
        clipped = shrunk if _fits(setting, box) else "cut"
        css = _css(face, box, size)
        # Lines that end in a picture are cut to nothing but the ellipsis by the engine.
        if emoji == "color" and setting.lines > 1 < clamp and ends_in_picture(text):
            css += Markup(f"max-height:{used:g}px;overflow:hidden")
        else:
            css += Markup(f"line-clamp:{clamp};text-overflow:ellipsis")
        return Fit(size, clamp, used, direction(text), css, clipped)

    remembered = lru_cache(_REMEMBERED)(fit)

    def choose(text: str, *given: Any, **named: Any) -> Fit:
        """Remember what short texts came to: a thousand long ones fill 20 MB."""
        known = remembered if len(text) <= _MOST_REMEMBERED else fit
        return known(text, *given, **named)

    return choose


def direction(text: str) -> str:
    """Return `rtl` or `ltr` by the first strong character (UAX #9, rule P2)."""
    for character in text:
        strength = unicodedata.bidirectional(character)
        if strength == "L":
            return "ltr"
        if strength in ("R", "AL"):
            return "rtl"
    return "ltr"


def families(
    text: str, family: str, covers: Callable[[str, str], bool] | None = None
) -> Markup:
    """Return a CSS list of fonts: that of the text's script, then `family`.

    A family that `covers` the text needs no other. The list is quoted singly, so it
    belongs into a style between double quotes.
    """
    return _listed(_names(text, family, covers))


def _names(
    text: str, family: str, covers: Callable[[str, str], bool] | None
) -> tuple[str, ...]:
    script = _script(text)
    alone = script is None or (covers is not None and covers(family, text))
    return (family,) if script is None or alone else (script.family, family)


def _listed(names: Iterable[str]) -> Markup:
    return Markup(", ".join(f"'{escape(name)}'" for name in names))


def _script(text: str) -> Script | None:
    if max(text, default="") < _FIRST_SCRIPT:
        return None
    return next(filter(None, map(_script_of, text)), None)


@lru_cache(8192)
def _script_of(character: str) -> Script | None:
    return SCRIPTS.get(unicodedata.name(character, "").split(" ")[0])


def _sizes(largest: int, smallest: int) -> Iterator[int]:
    size = largest
    while size > smallest:
        yield size
        size = min(size - 1, int(size * _STEP))
    yield smallest


def _calculate(
    text: Measurable, face: Type, box: Box, sizes: tuple[int, ...], measure: _Set
) -> _Fitted | None:
    """Choose by arithmetic, then measure; return None where the two differ.

    That is so for some texts whose letters come from several fonts or run both ways.
    Pictures of emoji, no-break spaces, and letters with marks that run from right to
    left are left to `_choose` and the engine.
    """
    # Templates may give what CSS alone can read.
    if isinstance(face.weight, str) or isinstance(face.tracking, str):
        return None
    shaped = text.shape(face.families, face.weight, face.italic, face.tracking)
    if shaped is None:
        return None
    column = max(1, int(box.width))
    try:
        found = _choose(
            box,
            sizes,
            lambda size, wrap: shaped.set(
                size, face.leading, column, anywhere=wrap == "anywhere"
            ),
        )
    except Unsure:
        return None
    measured = measure(found.size, found.wrap)
    if not _agree(found.setting, measured):
        return None
    if not shaped.plain and not _is_largest(box, sizes, found, measure):
        return None
    return found._replace(setting=measured)


def _is_largest(
    box: Box, sizes: tuple[int, ...], found: _Fitted, measure: _Set
) -> bool:
    """Measure whether the next size is too large.

    Of letters with marks the engine may break lines where arithmetic does not.
    """
    if found.wrap == "anywhere":
        return False
    at = sizes.index(found.size)
    return at == 0 or not _fits(measure(sizes[at - 1], found.wrap), box)


def _agree(one: Setting, other: Setting) -> bool:
    if one.height != other.height or len(one.rows) != len(other.rows):
        return False
    pairs = zip((one.word, *one.rows), (other.word, *other.rows), strict=True)
    return all(abs(mine - its) < _SAME for mine, its in pairs)


def _choose(box: Box, sizes: tuple[int, ...], set_: _Set) -> _Fitted:
    """Choose a size at which no word is broken; without one, whatever fits."""
    found = _search(box, sizes, "normal", set_)
    if _fits(found.setting, box):
        return found
    return _search(box, sizes, "anywhere", set_)


def _search(box: Box, sizes: tuple[int, ...], wrap: str, set_: _Set) -> _Fitted:
    """Try the largest, leap to where scaling points, step from there.

    Returns the last size where none fits.
    """
    setting = set_(sizes[0], wrap)
    if _fits(setting, box) or len(sizes) == 1:
        return _Fitted(sizes[0], wrap, setting)
    at = _leap(setting, box, sizes)
    setting = set_(sizes[at], wrap)
    if not _fits(setting, box):
        return _down(box, sizes[at + 1 :] or sizes[-1:], wrap, set_)
    while at > 1:
        larger = set_(sizes[at - 1], wrap)
        if not _fits(larger, box):
            break
        at, setting = at - 1, larger
    return _Fitted(sizes[at], wrap, setting)


def _down(box: Box, sizes: tuple[int, ...], wrap: str, set_: _Set) -> _Fitted:
    for size in sizes:
        setting = set_(size, wrap)
        if _fits(setting, box):
            break
    return _Fitted(size, wrap, setting)


def _leap(setting: Setting, box: Box, sizes: tuple[int, ...]) -> int:
    """Guess the place of the size that fits from a setting at the largest.

    Words grow with the size, lines about so, the height with its square.
    """
    ratio = min(
        box.width / max(setting.word, 1.0),
        box.lines / setting.lines,
        math.sqrt(box.height / setting.height),
    )
    guess = sizes[0] * ratio
    # The largest, at 0, was tried before.
    places = (at for at, size in enumerate(sizes) if at and size <= guess)
    return next(places, len(sizes) - 1)


def _fits(setting: Setting, box: Box) -> bool:
    return (
        setting.lines <= box.lines
        and setting.height <= box.height + _SLACK
        # Exact, in whole pixels as measured: what is wider breaks when drawn.
        and setting.word <= int(box.width)
    )


def _measure(
    text: Measurable, face: Type, width: float, size: int, wrap: str
) -> Setting:
    style = _style(face, size) | {"width": "100%", "overflowWrap": wrap}
    measured = text.measure(style, width)
    rows = _rows(measured["runs"], size * face.leading)
    widths = tuple(sum(run["width"] for run in row) for row in rows)
    # A leading of 0 leaves no height, by which the guess would divide.
    height = max(measured["height"], 1.0)
    return Setting(height, max(1, len(rows)), _widest_word(rows), widths)


def _rows(runs: list[Any], pitch: float) -> list[list[Any]]:
    """Part runs by line: in one they have nearly the same middle, whatever the font."""
    rows: list[list[Any]] = []
    last = -math.inf
    for run in runs:
        middle = run["y"] + run["height"] / 2
        if middle - last > pitch / 2:
            rows.append([])
        rows[-1].append(run)
        last = middle
    return rows


def _widest_word(rows: list[list[Any]]) -> float:
    """Return the width of the widest line that holds no space to break at."""
    return max(map(_extent, filter(_unbroken, rows)), default=0.0)


def _unbroken(row: list[Any]) -> bool:
    return " " not in "".join(run["text"] for run in row).strip()


def _extent(row: list[Any]) -> float:
    """Measure a line of several runs, as where letters come from several fonts."""
    # Spaces at the ends of a line hang out of it, and nobody sees them.
    seen = [run for run in row if run["text"].strip()]
    left = min((run["x"] for run in seen), default=0.0)
    return float(max((run["x"] + run["width"] for run in seen), default=0.0) - left)


def _style(face: Type, size: int) -> dict[str, Any]:
    return {
        "fontFamily": _listed(face.families),
        "fontSize": f"{size}px",
        "fontWeight": face.weight,
        "fontStyle": "italic" if face.italic else "normal",
        "lineHeight": face.leading,
        "letterSpacing": f"{face.tracking}em",
    }


def _css(face: Type, box: Box, size: int) -> Markup:
    return Markup(
        f"font-family:{_listed(face.families)};font-size:{size}px;font-weight:{face.weight};"
        f"font-style:{'italic' if face.italic else 'normal'};"
        f"line-height:{face.leading};letter-spacing:{face.tracking}em;"
        f"max-width:{box.width:g}px;overflow-wrap:anywhere;"
    )
