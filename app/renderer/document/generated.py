"""Text that a page does not hold: counters, markers and quotation marks."""

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from turbohtml import Element

# Values of counters stay within these (CSS Lists 3, 4).
_MOST = 2**31 - 1
_RESET = re.compile(r"(?:reversed\()?([\w-]+)\)?(?:\s+([+-]?\d{1,12}))?")
_CONTENT = re.compile(
    r"""(?P<text>"(?:[^"\\]|\\.)*+"|'(?:[^'\\]|\\.)*+')|(?P<name>[\w-]+)"""
    r"""(?P<call>\((?P<inner>(?:[^()"']|"(?:[^"\\]|\\.)*+"|'(?:[^'\\]|\\.)*+')*+)\))?"""
    r"|(?P<rest>/)|(?P<other>\S)",
    re.DOTALL,
)
_ESCAPE = re.compile(r"\\(?:([0-9a-f]{1,6})\s?|(\n)|(.))", re.IGNORECASE | re.DOTALL)
_QUOTES = ("\u201c", "\u201d", "\u2018", "\u2019")
_SYMBOLS: Mapping[str, str] = MappingProxyType(
    {"disc": "\u2022", "circle": "\u25e6", "square": "\u25aa", "none": ""}
    | {"disclosure-open": "\u25be", "disclosure-closed": "\u25b8"}
)
_GREEK = "αβγδεζηθικλμνξοπρστυφχψω"
_LATIN = "abcdefghijklmnopqrstuvwxyz"
_ROMAN = (
    *((1000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc")),
    *((50, "l"), (40, "xl"), (10, "x"), (9, "ix"), (5, "v"), (4, "iv"), (1, "i")),
)


class Counters:
    """The counters of a document, while it is walked (CSS Lists 3, 4.4)."""

    def __init__(self) -> None:
        # The instances of a name with the depth of the element that made each.
        self._stacks: dict[str, list[list[int]]] = {}
        self.quotes = 0

    def enter(self, style: Mapping[str, str], depth: int) -> None:
        """Do what an element at a depth says, before its content."""
        for name, value in _pairs(style.get("counter-reset"), 0):
            self._make(name, value, depth)
        if style.get("display") == "list-item":
            given = [name for name, _ in _pairs(style.get("counter-increment"), 1)]
            if "list-item" not in given:
                self._add("list-item", 1, depth)
        for name, value in _pairs(style.get("counter-increment"), 1):
            self._add(name, value, depth)
        for name, value in _pairs(style.get("counter-set"), 0):
            if not self._stacks.get(name):
                self._make(name, 0, depth)
            self._stacks[name][-1][0] = value

    def leave(self, depth: int) -> None:
        """Forget what was made deeper than a depth."""
        for stack in self._stacks.values():
            while stack and stack[-1][1] > depth:
                stack.pop()

    def _make(self, name: str, value: int, depth: int) -> None:
        stack = self._stacks.setdefault(name, [])
        while stack and stack[-1][1] >= depth:
            stack.pop()
        stack.append([value, depth])

    def _add(self, name: str, value: int, depth: int) -> None:
        if not self._stacks.get(name):
            self._make(name, 0, depth)
        top = self._stacks[name][-1]
        top[0] = max(-_MOST, min(_MOST, top[0] + value))

    def values(self, name: str) -> list[int]:
        """Return the instances of a counter, the outermost first."""
        return [value for value, _ in self._stacks.get(name, ())] or [0]


def _pairs(text: str | None, value: int) -> Iterator[tuple[str, int]]:
    if not text or text == "none":
        return
    for found in _RESET.finditer(text):
        number = int(found[2]) if found[2] else value
        yield found[1], max(-_MOST, min(_MOST, number))


def unescaped(text: str) -> str:
    """Return a string of CSS without its quotes and escapes."""

    def plain(found: re.Match[str]) -> str:
        if found[1]:
            point = int(found[1], 16)
            valid = 0 < point < 0x110000 and not 0xD800 <= point < 0xE000
            return chr(point) if valid else "\ufffd"
        return "" if found[2] else found[3]

    return _ESCAPE.sub(plain, text[1:-1]) if "\\" in text else text[1:-1]


def quoted(text: str) -> str:
    """Return a text as a string of CSS."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\a ")
    return f"'{escaped}'"


def content(
    value: str, element: Element, counters: Counters, quotes: tuple[str, ...]
) -> list[tuple[str, str]]:
    """Return the pieces of a `content`: texts, images, and what is not known."""
    pieces: list[tuple[str, str]] = []
    for part in _CONTENT.finditer(value):
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
        elif part["call"] and name == "url":
            pieces.append(("image", part["inner"].strip(" \"'")))
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


def quotes_of(value: str | None) -> tuple[str, ...] | None:
    """Return the marks that a `quotes` names, none for `none`; None for `auto`."""
    marks = re.findall(r'"(?:[^"\\]|\\.)*"|' + r"'(?:[^'\\]|\\.)*'", value or "")
    if len(marks) >= 2:
        return tuple(map(unescaped, marks[: len(marks) // 2 * 2]))
    return ("", "") if value == "none" else None


def _counter(kind: str, inner: str, counters: Counters) -> str:
    strings = re.findall(r'"(?:[^"\\]|\\.)*"|' + r"'(?:[^'\\]|\\.)*'", inner)
    bare = re.sub(r'"(?:[^"\\]|\\.)*"|' + r"'(?:[^'\\]|\\.)*'", "", inner)
    names = [each.strip() for each in bare.split(",")]
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
    return str(value)


NUMBERED = frozenset(
    {"decimal", "decimal-leading-zero", "lower-alpha", "lower-latin", "upper-alpha"}
    | {"upper-latin", "lower-greek", "lower-roman", "upper-roman"}
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


def _roman(value: int) -> str:
    found = ""
    for amount, letters in _ROMAN:
        times, value = divmod(value, amount)
        found += letters * times
    return found
