"""Text that a page does not hold: `content`, counters and quotation marks."""

import re
from collections.abc import Callable, Mapping
from typing import TypeVar

from turbohtml import Element

from app.renderer.document.counter_styles import number
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
_QUOTES = ("\u201c", "\u201d", "\u2018", "\u2019")


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
