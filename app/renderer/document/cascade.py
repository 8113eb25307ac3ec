"""The cascade: which declarations hold for which element (CSS Cascade 4, 6)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from turbohtml import Document, Element, SelectorSyntaxError

from app.renderer.document import defaults
from app.renderer.document.properties import Declarations, Ignored
from app.renderer.document.stylesheet import Rule, inline
from app.renderer.errors import Undrawable

Style = dict[str, str]
# A rule that names everything, on a page of elements alone, meets no more than these.
_MOST_MATCHES = 1_000_000


@dataclass(slots=True)
class Styles:
    """The declarations of elements, and of their pseudo-elements by name."""

    elements: dict[Element, Style] = field(default_factory=dict)
    pseudo: dict[str, dict[Element, Style]] = field(default_factory=dict)
    _left: int = _MOST_MATCHES

    def apply(
        self,
        elements: Iterable[Element],
        pseudo: str,
        declarations: Declarations,
        important: bool = False,
    ) -> None:
        """Let declarations win over those before them; raise Undrawable beyond all."""
        styles = self.pseudo.setdefault(pseudo, {}) if pseudo else self.elements
        kept = [
            (name, value) for name, value, each in declarations if each is important
        ]
        for element in elements if kept else ():
            self._left -= len(kept)
            style = styles.get(element)
            if style is None:
                if not pseudo:
                    continue
                style = styles[element] = {}
            for name, value in kept:
                # The order counts: a shorthand sets what stood before it.
                if name in style:
                    del style[name]
                style[name] = value
        if self._left < 0:
            raise Undrawable("The page's style sheets set too much.")


def cascade(
    document: Document,
    elements: list[Element],
    sheets: Mapping[Element | None, list[Rule]],
    ignored: Ignored,
) -> Styles:
    """Return what holds, from the standard's defaults to `!important`.

    Rules reach what is in the element that they stand by, or the whole document. Raises
    Undrawable where they meet too many elements.
    """
    styles = Styles()
    tags = set()
    for element in elements:
        tags.add(element.tag)
        styles.elements[element] = defaults.style_of(element)
    for rule, wanted in defaults.rules():
        if not tags.isdisjoint(wanted):
            found = document.select(rule.selector)
            styles.apply(found, rule.pseudo, rule.declarations)
    for element in elements:
        if hints := defaults.hints(element):
            styles.elements[element].update(hints)
    matched = _matched(document, sheets, ignored)
    attributes = [
        ([each], "", inline(text)) for each in elements if (text := each.attr("style"))
    ]
    for important in (False, True):
        for found, pseudo, declarations in (*matched, *attributes):
            styles.apply(found, pseudo, declarations, important)
    return styles


_Matched = tuple[list[Element], str, Declarations]


def _matched(
    document: Document, sheets: Mapping[Element | None, list[Rule]], ignored: Ignored
) -> list[_Matched]:
    """Return the elements of each rule, the weightiest last."""
    matched = []
    for scope, rules in sheets.items():
        root = document if scope is None else scope
        for rule in rules:
            try:
                found = root.select(rule.selector)
            except SelectorSyntaxError:
                # A host is of a shadow tree, and none is here.
                if not rule.selector.startswith(":host"):
                    ignored.add(rule.selector)
                continue
            if scope is not None:
                found = [scope] * scope.matches(rule.selector) + found
            if found:
                matched.append((rule.specificity, found, rule))
    matched.sort(key=lambda each: each[0])
    return [(found, rule.pseudo, rule.declarations) for _, found, rule in matched]
