"""Style sheets: rules with their weight in the cascade (CSS Cascade 4, Selectors 4)."""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from turbohtml.cssom import StyleDeclaration, StyleSheet

from app.renderer.document import media
from app.renderer.document.properties import (
    Declaration,
    Declarations,
    Ignored,
    declared,
)

# Pseudo-elements that older pages write with one colon (CSS 2.2, 5.12.3).
_PSEUDO = re.compile(r"::?(before|after|first-line|first-letter)$|::([\w-]+)(\(.*\))?$")
_DRAWN_PSEUDO = frozenset({"before", "after", "marker", "first-letter"})
# Those that no still picture shows: no mouse, no form that somebody fills in.
_UNSEEN_PSEUDO = re.compile(
    r"(-webkit-|-moz-|-ms-)|selection|backdrop|placeholder|file-selector-button|cue"
    r"|view-transition|target-text|highlight|spelling-error|grammar-error|details"
)
_PIECE = re.compile(
    r"""/\*.*?(?:\*/|\Z)|"(?:[^"\\\n]|\\.)*+"?|'(?:[^'\\\n]|\\.)*+'?"""
    r"|\burl\(\s*+[^\"'\s)][^)]*+\)?|\\.|[{};@]",
    re.DOTALL | re.IGNORECASE,
)
# As a sheet was hidden from browsers that knew none (CSS Syntax 3, 5.4.1).
_HIDING = re.compile(r"\A\s*<!--|-->\s*\Z")
_COMMENT = re.compile(r"/\*.*?(?:\*/|\Z)", re.DOTALL)
# What keeps a separator from being one.
_MARKS = re.compile(r"""[()\["'\\{}\]]""")
_HOLDS = re.compile(r"""[(\["'\\{]""")
_ARGUMENT = re.compile(
    r"""[()\[\]{},;]|"(?:[^"\\]|\\.)*+"?|'(?:[^'\\]|\\.)*+'?|\\.""", re.DOTALL
)
_SIMPLE = re.compile(
    r"(?P<id>\#(?:[\w-]|[^\x00-\x7f]|\\.)+)|(?P<pseudo>:[\w-]+)(?P<open>\()?"
    r"|(?P<class>\.(?:[\w-]|[^\x00-\x7f]|\\.)+|\[[^\]]*+\]?)"
    r"|(?P<type>(?:[\w-]|[^\x00-\x7f]|\\.)+)|."
)
_NESTED = re.compile(r"\{[^{}]*\{")
_IMPORTANT = re.compile(r"\s*!\s*important\s*\Z", re.IGNORECASE)
_MOST_SELECTOR = 2_000
_DEEPEST = 8

Specificity = tuple[int, int, int]


class Rule(NamedTuple):
    """Declarations for what a selector names, or for a pseudo-element of it."""

    selector: str
    pseudo: str
    specificity: Specificity
    declarations: Declarations


class StyleRules(NamedTuple):
    """What style sheets hold, in their order; of pages head and body of each rule."""

    rules: list[Rule]
    fonts: list[dict[str, str]]
    pages: list[tuple[str, str]]


def read(css: str, canvas: tuple[int, int], ignored: Ignored) -> StyleRules:
    """Return what a style sheet says about a canvas of so many CSS pixels.

    Takes linear time. What it says in vain is added to `ignored`.
    """
    sheet = StyleRules([], [], [])
    _read(_HIDING.sub("", css), canvas, ignored, sheet, 0)
    return sheet


def _read(
    css: str, canvas: tuple[int, int], ignored: Ignored, sheet: StyleRules, depth: int
) -> None:
    if "@" not in css:
        sheet.rules.extend(_rules(css, canvas, ignored))
        return
    for name, head, body in _parts(css):
        if not name:
            sheet.rules.extend(_rules(body, canvas, ignored))
        elif name in ("media", "supports", "layer", "container", "scope"):
            # Layers and what is supported are taken as they stand.
            if name == "media" and not media.matches(head, canvas):
                continue
            if name in ("layer", "container", "scope"):
                ignored.add(f"@{name}")
            if depth < _DEEPEST and name not in ("container", "scope"):
                _read(body, canvas, ignored, sheet, depth + 1)
        elif name == "page":
            sheet.pages.append((head, body))
        elif name == "font-face":
            style = StyleDeclaration.parse(body)
            sheet.fonts.append({each.lower(): style[each] for each in style})
        elif name not in _UNSEEN_RULES:
            ignored.add(f"@{name}")


_UNSEEN_RULES = frozenset(
    {"charset", "namespace", "keyframes", "-webkit-keyframes", "-moz-keyframes"}
    | {"view-transition", "position-try", "starting-style", "-ms-viewport", "viewport"}
)


def _parts(css: str) -> Iterator[tuple[str, str, str]]:
    """Yield the at-rules of a sheet by name, head and body, and rules between them."""
    begun = at = level = 0
    opened = -1
    inside = False
    for piece in _PIECE.finditer(css):
        mark = piece[0]
        if mark == "{":
            if level == 0:
                opened = piece.end()
            level += 1
        elif mark == "}":
            level = max(0, level - 1)
            if inside and level == 0:
                yield _at_rule(css[at : opened - 1], css[opened : piece.start()])
                inside, begun = False, piece.end()
        elif mark == ";" and inside and level == 0:
            yield _at_rule(css[at : piece.start()], "")
            inside, begun = False, piece.end()
        elif mark == "@" and level == 0 and not inside:
            yield "", "", css[begun : piece.start()]
            inside, at, opened = True, piece.end(), -1
    if not inside:
        yield "", "", css[begun:]
    elif level:
        yield _at_rule(css[at : opened - 1], css[opened:])


def _at_rule(head: str, body: str) -> tuple[str, str, str]:
    name = re.match(r"[\w-]*", head)
    found = name[0] if name else ""
    rest = _COMMENT.sub(" ", head[len(found) :])
    return found.lower() or "?", rest.strip(), body


def _unnested(
    css: str, around: str, canvas: tuple[int, int], ignored: Ignored, depth: int
) -> Iterator[str]:
    """Yield rules that stand in rules as rules of their own (CSS Nesting 1)."""
    if depth > _DEEPEST or len(around) > _MOST_SELECTOR:
        ignored.add("rules that are nested too deep")
        return
    own: list[str] = []
    within: list[tuple[str, str]] = []
    begun = opened = level = 0
    head = ""
    for piece in _PIECE.finditer(css):
        mark = piece[0]
        if mark == "{":
            if level == 0:
                head, opened = css[begun : piece.start()].strip(), piece.end()
            level += 1
        elif mark == "}" and level:
            level -= 1
            if level == 0:
                within.append(
                    (_COMMENT.sub(" ", head).strip(), css[opened : piece.start()])
                )
                begun = piece.end()
        elif mark == ";" and level == 0:
            own.append(css[begun : piece.end()])
            begun = piece.end()
    if around:
        yield f"{around}{{{''.join(own)}{css[begun:] if not level else ''}}}"
    for head, body in within:
        if head.startswith("@media"):
            if media.matches(head[6:].strip(), canvas):
                yield from _unnested(body, around, canvas, ignored, depth + 1)
        elif head.startswith("@"):
            ignored.add(head.split()[0])
        else:
            yield from _unnested(
                body, _within(head, around), canvas, ignored, depth + 1
            )


def _within(head: str, around: str) -> str:
    """Return a selector that stands in a rule, by itself."""
    if not around:
        return head
    found = []
    for each in split(head):
        if "&" in each:
            found.append(each.replace("&", f":is({around})"))
        else:
            found.append(f":is({around}) {each}")
    return ",".join(found)


def _rules(css: str, canvas: tuple[int, int], ignored: Ignored) -> Iterator[Rule]:
    if "{" not in css:
        return
    if _NESTED.search(css):
        css = "".join(_unnested(css, "", canvas, ignored, 0))
    for rule in StyleSheet(css).rules:
        declarations = declarations_of(rule.style)
        selectors = rule.selector_text
        if "/*" in selectors:
            selectors = _COMMENT.sub(" ", selectors)
        for selector in split(selectors):
            found = _rule(selector, declarations, ignored)
            if found is not None:
                yield found


def declarations_of(style: StyleDeclaration) -> Declarations:
    """Return the declarations of a rule, or of an attribute, in their order."""
    return declared(_items(style.text))


def _items(text: str) -> Iterator[Declaration]:
    parts = split(text, ";") if _HOLDS.search(text) else text.split(";")
    for part in parts:
        name, _, value = part.partition(":")
        value = value.strip()
        found = _IMPORTANT.search(value) if "!" in value else None
        if value:
            yield name.strip(), value[: found.start()] if found else value, bool(found)


def _rule(selector: str, declarations: Declarations, ignored: Ignored) -> Rule | None:
    pseudo = _PSEUDO.search(selector) if ":" in selector else None
    name = ""
    if pseudo:
        name = (pseudo[1] or pseudo[2]).lower()
        if name not in _DRAWN_PSEUDO:
            if not _UNSEEN_PSEUDO.match(name):
                ignored.add(f"::{name}")
            return None
        selector = selector[: pseudo.start()]
        if not selector or selector[-1] in " >+~":
            selector += "*"
    if len(selector) > _MOST_SELECTOR:
        ignored.add("a selector that is too long")
        return None
    a, b, c = specificity(selector)
    return Rule(selector, name, (a, b, c + bool(name)), declarations)


def split(text: str, separator: str = ",") -> list[str]:
    """Return the parts of a list, without blanks; brackets and quotes hold together."""
    if separator not in text:
        return [text.strip()]
    if not _MARKS.search(text):
        return [part.strip() for part in text.split(separator)]
    parts, depth, begun = [], 0, 0
    for mark in _ARGUMENT.finditer(text):
        if mark[0] in "([{":
            depth += 1
        elif mark[0] in ")]}":
            depth -= 1
        elif mark[0] == separator and depth == 0:
            parts.append(text[begun : mark.start()].strip())
            begun = mark.end()
    return [*parts, text[begun:].strip()]


def specificity(selector: str, depth: int = 0) -> Specificity:
    """Return the weight of one selector (Selectors 4, 17)."""
    total = [0, 0, 0]
    at = 0
    while at < len(selector):
        part = _SIMPLE.match(selector, at)
        if part is None:
            break
        at = part.end()
        kind = part.lastgroup
        if kind == "id":
            total[0] += 1
        elif kind == "class":
            total[1] += 1
        elif kind == "type":
            total[2] += 1
        elif kind:
            inner = ""
            if kind == "open":
                inner, at = _inside(selector, at)
            for place, weight in enumerate(_pseudo(part["pseudo"], inner, depth)):
                total[place] += weight
    return total[0], total[1], total[2]


def _pseudo(name: str, inner: str, depth: int) -> Specificity:
    name = name.lower()
    if name == ":where":
        return 0, 0, 0
    if depth < _DEEPEST:
        if name in (":is", ":not", ":has", ":matches"):
            return max(specificity(each, depth + 1) for each in split(inner))
        of = re.search(r"\sof\s(.*)", inner, re.DOTALL)
        if name in (":nth-child", ":nth-last-child") and of:
            a, b, c = max(specificity(each, depth + 1) for each in split(of[1]))
            return a, b + 1, c
    return 0, 1, 0


def _inside(text: str, at: int) -> tuple[str, int]:
    """Return what stands up to the bracket that closes, and the place behind it."""
    depth = 1
    for mark in _ARGUMENT.finditer(text, at):
        depth += (mark[0] == "(") - (mark[0] == ")")
        if depth == 0:
            return text[at : mark.start()], mark.end()
    return text[at:], len(text)


@lru_cache(1024)
def _kept(text: str) -> Declarations:
    return declared(_items(_COMMENT.sub(" ", text)))


def inline(text: str) -> Declarations:
    """Return the declarations of a `style` attribute."""
    # Rows of a table say the same; images of callers are not kept.
    return _kept(text) if len(text) < 256 else _kept.__wrapped__(text)
