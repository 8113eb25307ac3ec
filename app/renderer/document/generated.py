"""Text that a page does not hold: counters, markers and quotation marks."""

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TypeVar

import regex  # type: ignore[import-untyped]
from turbohtml import Element

from app.renderer.document.css_tokens import QUOTED, unescaped, url_of
from app.renderer.errors import Undrawable

_T = TypeVar("_T")

# Values of counters stay within these (CSS Lists 3, 4).
_MOST = 2**31 - 1
# Counters that are set and pieces of content that are made on one page.
_MOST_WORK = 300_000
_COUNTING = frozenset({"counter-reset", "counter-increment", "counter-set"})
_RESET = re.compile(r"(?:reversed\()?([\w-]+)\)?(?:\s+([+-]?\d{1,12}))?")
_STRING = re.compile(QUOTED, re.DOTALL)
_CONTENT = re.compile(
    rf"(?P<text>{QUOTED})|(?P<name>[\w-]+)"
    rf"""(?P<call>\((?P<inner>(?:[^()"']|{QUOTED})*+)(?:\)|\Z))?"""
    r"|(?P<rest>/)|(?P<other>\S)",
    re.DOTALL,
)
# A first letter with its marks and the punctuation around it, spaces within it counted
# before the letter (CSS Pseudo-Elements 4, 2.2); or punctuation alone, up to the end.
FIRST_LETTER = regex.compile(
    r"[ \t\n\r\f]*(?:((?:\p{P}[\p{Zs}--\u3000]*)*+(?!\s)\X[\p{P}--[\p{Ps}\p{Pd}]]*+)"
    r"|((?:\p{P}[\p{Zs}--\u3000]*)++)\Z)",
    regex.V1,
)
_QUOTES = ("\u201c", "\u201d", "\u2018", "\u2019")
_SYMBOLS: Mapping[str, str] = MappingProxyType(
    {"disc": "\u2022", "circle": "\u25e6", "square": "\u25aa", "none": ""}
    | {"disclosure-open": "\u25be", "disclosure-closed": "\u25b8"}
)
_GREEK = "αβγδεζηθικλμνξοπρστυφχψω"
_LATIN = "abcdefghijklmnopqrstuvwxyz"
_HIRAGANA = (
    "あいうえおかきくけこさしすせそたちつてとなにぬねの"
    "はひふへほまみむめもやゆよらりるれろわゐゑをん"
)
_IROHA = (
    "いろはにほへとちりぬるをわかよたれそつねならむ"
    "うゐのおくやまけふこえてあさきゆめみしゑひもせす"
)
# From hiragana to katakana.
_KATAKANA = 0x60
_ALPHABETS: Mapping[str, str] = MappingProxyType(
    {
        "hiragana": _HIRAGANA,
        "hiragana-iroha": _IROHA,
        "katakana": "".join(chr(ord(each) + _KATAKANA) for each in _HIRAGANA),
        "katakana-iroha": "".join(chr(ord(each) + _KATAKANA) for each in _IROHA),
    }
)
# Digits by their zero (CSS Counter Styles 3, 6.1).
_ZEROS: Mapping[str, int] = MappingProxyType(
    {"arabic-indic": 0x660, "persian": 0x6F0, "devanagari": 0x966, "bengali": 0x9E6}
    | {"gujarati": 0xAE6, "gurmukhi": 0xA66, "kannada": 0xCE6, "khmer": 0x17E0}
    | {"cambodian": 0x17E0, "lao": 0xED0, "malayalam": 0xD66, "mongolian": 0x1810}
    | {"myanmar": 0x1040, "oriya": 0xB66, "tamil": 0xBE6, "telugu": 0xC66}
    | {"thai": 0xE50, "tibetan": 0xF20}
)
_CJK = "〇一二三四五六七八九"
# Letters for 1 to 9, 10 to 90, 100 to 900 and thousands, as far as there are.
_ADDED: Mapping[str, str] = MappingProxyType(
    {
        "hebrew": "אבגדהוזחטיכלמנסעפצקרשת",
        "armenian": "".join(map(chr, range(0x531, 0x555))),
        "upper-armenian": "".join(map(chr, range(0x531, 0x555))),
        "lower-armenian": "".join(map(chr, range(0x561, 0x585))),
        "georgian": "აბგდევზჱთიკლმნჲოპჟრსტჳფქღყშჩცძწჭხჴჯჰ",
    }
)
_INFORMAL = frozenset(
    {"cjk-ideographic", "trad-chinese-informal", "simp-chinese-informal"}
    | {"japanese-informal"}
)
_ROMAN = (
    *((1000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc")),
    *((50, "l"), (40, "xl"), (10, "x"), (9, "ix"), (5, "v"), (4, "iv"), (1, "i")),
)


class Counters:
    """The counters of a document, while it is walked (CSS Lists 3, 4.4).

    What style sheets say of them is read once, however many elements it is said of.
    Raises Undrawable where that makes too much work.
    """

    def __init__(self) -> None:
        # The instances of a name with the depth of the element that made each.
        self._stacks: dict[str, list[list[int]]] = {}
        # The depths of all instances, the deepest last, each with its name.
        self._made: list[tuple[int, str]] = []
        self._read: dict[tuple[object, str], object] = {}
        self._left = _MOST_WORK
        self.quotes = 0

    def read(self, how: Callable[[str], _T], text: str) -> _T:
        """Return what `how` makes of a text, as it was made of it before."""
        key = (how, text)
        if key not in self._read:
            self._read[key] = how(text)
        found: _T = self._read[key]  # type: ignore[assignment]
        return found

    def work(self, times: int) -> None:
        """Count what is done; raise Undrawable beyond all that a page needs."""
        self._left -= times
        if self._left < 0:
            raise Undrawable("The page counts and makes up too much.")

    def enter(self, style: Mapping[str, str], depth: int) -> None:
        """Do what an element at a depth says, before its content."""
        if style.get("display") != "list-item" and _COUNTING.isdisjoint(style):
            return
        for name, value in self._pairs(style.get("counter-reset")):
            self._make(name, value or 0, depth)
        given = self._pairs(style.get("counter-increment"))
        counted = any(name == "list-item" for name, _ in given)
        if style.get("display") == "list-item" and not counted:
            self._add("list-item", 1, depth)
        for name, value in given:
            self._add(name, 1 if value is None else value, depth)
        for name, value in self._pairs(style.get("counter-set")):
            if not self._stacks.get(name):
                self._make(name, 0, depth)
            self._stacks[name][-1][0] = value or 0

    def leave(self, depth: int) -> None:
        """Forget what was made deeper than a depth."""
        while self._made and self._made[-1][0] > depth:
            _, name = self._made.pop()
            stack = self._stacks[name]
            while stack and stack[-1][1] > depth:
                stack.pop()

    def _pairs(self, text: str | None) -> list[tuple[str, int | None]]:
        if not text or text == "none":
            return []
        found = self.read(_pairs, text)
        self.work(len(found))
        return found

    def _make(self, name: str, value: int, depth: int) -> None:
        stack = self._stacks.setdefault(name, [])
        while stack and stack[-1][1] >= depth:
            stack.pop()
        stack.append([value, depth])
        self._made.append((depth, name))

    def _add(self, name: str, value: int, depth: int) -> None:
        if not self._stacks.get(name):
            self._make(name, 0, depth)
        top = self._stacks[name][-1]
        top[0] = max(-_MOST, min(_MOST, top[0] + value))

    def values(self, name: str) -> list[int]:
        """Return the instances of a counter, the outermost first."""
        found = [value for value, _ in self._stacks.get(name, ())] or [0]
        self.work(len(found))
        return found


def _pairs(text: str) -> list[tuple[str, int | None]]:
    """Return the counters that a value names, each with its number if it has one."""
    return [
        (found[1], max(-_MOST, min(_MOST, int(found[2]))) if found[2] else None)
        for found in _RESET.finditer(text)
    ]


def _parts(value: str) -> list[re.Match[str]]:
    return list(_CONTENT.finditer(value))


def content(
    value: str, element: Element, counters: Counters, quotes: tuple[str, ...]
) -> list[tuple[str, str]]:
    """Return the pieces of a `content`: texts, images, and what is not known."""
    pieces: list[tuple[str, str]] = []
    parts = counters.read(_parts, value)
    counters.work(len(parts))
    for part in parts:
        name = (part["name"] or "").lower()
        if part["rest"]:
            # What is spoken instead.
            break
        if part["text"]:
            pieces.append(("text", unescaped(part["text"])))
        elif name.endswith("-quote"):
            pieces.append(("text", _quote(name, counters, quotes)))
        elif part["call"] and name in ("counter", "counters"):
            pieces.append(("text", _counter(name, part["inner"], counters)))
        elif part["call"] and name == "attr":
            words = part["inner"].strip().split(",")[0].split()
            pieces.append(("text", element.attr(words[0]) or "" if words else ""))
        elif (address := url_of(part[0])) is not None:
            pieces.append(("image", address))
        elif name not in ("none", "normal", "inherit", "initial", "unset"):
            pieces.append(("unknown", part[0]))
    return pieces


def _quote(name: str, counters: Counters, quotes: tuple[str, ...]) -> str:
    opens = name in ("open-quote", "no-open-quote")
    if not opens:
        counters.quotes = max(0, counters.quotes - 1)
    pairs = quotes or _QUOTES
    level = min(counters.quotes, len(pairs) // 2 - 1)
    if opens:
        counters.quotes += 1
    shown = not name.startswith("no-") and level >= 0
    return pairs[2 * level + (not opens)] if shown else ""


def quotes_of(value: str) -> tuple[str, ...] | None:
    """Return the marks that a `quotes` names, none for `none`; None for `auto`."""
    marks = _STRING.findall(value)
    if len(marks) >= 2:
        return tuple(map(unescaped, marks[: len(marks) // 2 * 2]))
    return ("", "") if value == "none" else None


def _arguments(inner: str) -> tuple[list[str], list[str]]:
    """Return the strings among the arguments of a function, and the other ones."""
    bare = _STRING.sub("", inner)
    return _STRING.findall(inner), [each.strip() for each in bare.split(",")]


def _counter(kind: str, inner: str, counters: Counters) -> str:
    strings, names = counters.read(_arguments, inner)
    style = names[-1] if len(names) > (2 if kind == "counters" else 1) else "decimal"
    values = counters.values(names[0])
    if kind == "counter":
        return number(values[-1], style)
    separator = unescaped(strings[0]) if strings else ""
    return separator.join(number(value, style) for value in values)


def number(value: int, style: str) -> str:
    """Return a counter's value in a style; in decimal where that is not known."""
    style = style.lower().strip() or "decimal"
    if style in _SYMBOLS:
        return _SYMBOLS[style]
    if style in ("lower-alpha", "lower-latin"):
        return _letters(value, _LATIN)
    if style in ("upper-alpha", "upper-latin"):
        return _letters(value, _LATIN).upper()
    if style == "lower-greek":
        return _letters(value, _GREEK)
    if style in ("lower-roman", "upper-roman") and 0 < value < 4000:
        found = _roman(value)
        return found if style == "lower-roman" else found.upper()
    if style == "decimal-leading-zero" and abs(value) < 10:
        return f"-0{-value}" if value < 0 else f"0{value}"
    if style in _ALPHABETS:
        return _letters(value, _ALPHABETS[style])
    if style in _ZEROS:
        return _digits(value, "".join(chr(_ZEROS[style] + n) for n in range(10)))
    if style == "cjk-decimal" and value >= 0:
        return _digits(value, _CJK)
    if style in _ADDED:
        return _added(value, _ADDED[style])
    if style in _INFORMAL and 0 < value < 10_000:
        return _informal(value, is_japanese=style.startswith("japanese"))
    return str(value)


def suffix(style: str) -> str:
    """Return what stands after a number in a list."""
    wide = style in _ALPHABETS or style in _INFORMAL or style == "cjk-decimal"
    return "\u3001" if wide else ". "


NUMBERED = frozenset(
    {"decimal", "decimal-leading-zero", "lower-alpha", "lower-latin", "upper-alpha"}
    | {"upper-latin", "lower-greek", "lower-roman", "upper-roman", "cjk-decimal"}
    | {*_ALPHABETS, *_ZEROS, *_ADDED, *_INFORMAL}
)
SYMBOLS = frozenset(_SYMBOLS)


def _letters(value: int, alphabet: str) -> str:
    if value <= 0:
        return str(value)
    found = ""
    while value:
        value, place = divmod(value - 1, len(alphabet))
        found = alphabet[place] + found
    return found


def _digits(value: int, digits: str) -> str:
    return str(value).translate({ord("0") + n: digits[n] for n in range(10)})


def _added(value: int, letters: str) -> str:
    """Return a number as letters that add up, in decimal where they do not reach."""
    found, rest = "", value
    for place in range((len(letters) - 1) // 9, -1, -1):
        several = letters[9 * place : 9 * place + 9]
        # The highest are put beside each other where there are no nine of them.
        while (many := min(rest // 10**place, len(several))) > 0:
            found += several[many - 1]
            rest -= many * 10**place
            if value >= 1_000 and len(several) < 9:
                return str(value)
    # Fifteen and sixteen would be a name of God's.
    found = found.replace("\u05d9\u05d4", "\u05d8\u05d5")
    found = found.replace("\u05d9\u05d5", "\u05d8\u05d6")
    return found if value > 0 and not rest and value < 10_000 else str(value)


def _informal(value: int, *, is_japanese: bool) -> str:
    found, empty = "", False
    for place, unit in ((1_000, "千"), (100, "百"), (10, "十"), (1, "")):
        many = value // place % 10
        if not many:
            empty = bool(found)
            continue
        found += "零" if empty and not is_japanese else ""
        alone = many == 1 and unit and (is_japanese or (unit == "十" and not found))
        found += ("" if alone else _CJK[many]) + unit
        empty = False
    return found


def _roman(value: int) -> str:
    found = ""
    for amount, letters in _ROMAN:
        times, value = divmod(value, amount)
        found += letters * times
    return found
