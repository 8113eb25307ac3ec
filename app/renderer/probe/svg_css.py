"""CSS in SVG, in the words of the drawing engine, which are those of SVG 1.1.

Today's colours and custom properties are put in other words; of what has none, such as
`oklch()`, the picture is black, so it is named.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping

from app.renderer.color_functions import read_function

# Start tags and what stands in <style>: a function elsewhere is text to be read.
_PLACES = re.compile(
    rb"""<style(?=[\s>])(?:[^<]|<(?!/style))*+"""
    rb"""|<[A-Za-z](?:[^"'<>]|"[^"<]*+"|'[^'<]*+')*+>"""
)
_WORTH = re.compile(rb"\b(?:rgba?|hsla?|hwb|var)\(", re.IGNORECASE)
_COLOR = re.compile(rb"(?<![\w-])(?:rgba?|hsla?|hwb)\([^()<>]{0,200}\)", re.IGNORECASE)
_VARIABLE = re.compile(
    rb"(?<![\w-])var\(\s*(--[\w-]{1,100})\s*"
    rb"(?:,\s*([^()<>]{0,200}(?:\([^()<>]{0,200}\))?)\s*)?\)"
)
_PROPERTY = re.compile(rb"""(?<![\w-])(--[\w-]{1,100})\s*:\s*([^;{}<>"']{1,200})""")
# Variables may stand for functions, and for each other to this depth.
_MOST_LEVELS = 4
# So much longer may variables make a document.
_MOST_MORE = 1 << 20

PAINTS = frozenset(("fill", "stroke", "stop-color", "flood-color", "lighting-color"))
PAINTS |= {"color", "style"}
_UNKNOWN = re.compile(
    r"(?<![\w-])(var|oklch|oklab|lch|lab|color|color-mix|light-dark)\(", re.IGNORECASE
)
_SELECTOR = re.compile(
    r":(not|is|where|has|nth-[a-z-]+|last-[a-z-]+|only-[a-z-]+|first-of-type)\b"
    r"|@(supports|layer|container|media(?![^{@]*(?:prefers-|print|hover)))\b",
    re.IGNORECASE,
)


def in_known_words(document: bytes) -> bytes:
    """Return markup in UTF-8 with its variables put in and its colours in digits.

    A variable counts where it has one value in the whole document, or none and a
    fallback. One that has several, and a colour out of bounds, stays as it is.
    """
    if not _WORTH.search(document):
        return document
    properties = _properties(document)
    for _ in range(_MOST_LEVELS):
        replaced = _PLACES.sub(lambda place: _put_in(place[0], properties), document)
        if replaced == document or len(replaced) > len(document) + _MOST_MORE:
            break
        document = replaced
    return _PLACES.sub(lambda place: _COLOR.sub(_digits, place[0]), document)


def _properties(document: bytes) -> Mapping[bytes, set[bytes]]:
    found: dict[bytes, set[bytes]] = defaultdict(set)
    for place in _PLACES.finditer(document):
        for name, value in _PROPERTY.findall(place[0]):
            found[name].add(value.strip())
    return found


def _put_in(css: bytes, properties: Mapping[bytes, set[bytes]]) -> bytes:
    def value(call: re.Match[bytes]) -> bytes:
        values = properties.get(call[1], set())
        if len(values) == 1:
            return next(iter(values))
        return call[0] if values or call[2] is None else call[2]

    return _VARIABLE.sub(value, css)


def _digits(call: re.Match[bytes]) -> bytes:
    try:
        digits = read_function(call[0].decode().lower())
    except ValueError:
        # Cut by browsers and the engine alike, or none at all.
        return call[0]
    if digits is None:
        return call[0]
    return b"#" + (digits[:6] if digits.endswith("ff") else digits).encode()


def undrawn(css: str) -> Iterator[str]:
    """Yield what of a value, or a style sheet, has no effect, in words for people."""
    for found in _UNKNOWN.finditer(css):
        yield f"the colour {found[1].lower()}() is not drawn"
    for found in _SELECTOR.finditer(css):
        word = f":{found[1]}" if found[1] else f"@{found[2]}"
        yield f"style rules with {word.lower()} are not drawn"
