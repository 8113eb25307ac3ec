"""Where lines may break (UAX #14), as far as the engine does not know it by itself.

It knows the rules, but no words of Thai, Lao, Khmer and Burmese, which are written
without spaces. Beside that pytakumi 0.1.5 breaks at no-break spaces, and loses a line
feed behind a letter of these scripts. What is put in here is in the page alone: not in
parameters, names or fingerprints.
"""

import html
import re
from collections.abc import Mapping
from importlib.metadata import version
from types import MappingProxyType

from app.renderer.engine.markup import map_text

VERSION = f"lines 1 icu4py {version('icu4py')}"

_BREAK = "\u200b"
# Scripts of line breaking class SA of which ICU has a dictionary, with their marks.
_LETTER = (
    "[\u0e01-\u0e3a\u0e40-\u0e5b\u0e81-\u0edf\u1000-\u109f\u1780-\u17dd"
    "\ua9e0-\ua9fe\uaa60-\uaa7f]"
)
_WORDS = re.compile(f"{_LETTER}+")
# A non-joiner, which is of another class, keeps the line feed, or the `<br>`.
_BEFORE_FEED = re.compile(rf"({_LETTER}[ \t]*)(?=\n)")
_BEFORE_TAG = re.compile(rf"({_LETTER}[ \t]*)\Z")
_KEPT = "\\1\u200c"
_BR = re.compile("<br", re.IGNORECASE)
# A word joiner as wide as the space, in ems: it holds its neighbours together.
_SPACES: Mapping[str, str] = MappingProxyType(
    {"\u00a0": "0.27", "\u202f": "0.18", "\u2007": "0.6"}
)
_NO_BREAK = re.compile("[\u00a0\u202f\u2007]")
_JOINER = '<x-space style="letter-spacing:{width}em">\u2060</x-space>'
_REFERENCE = re.compile(
    r"&(?:nbsp|numsp|#0*(?:160|8239|8199|x0*(?:a0|202f|2007))\b)", re.I
)


def mark(markup: str) -> str:
    """Return markup with a mark wherever a line may break between two words.

    No-break spaces become joiners of their width.
    """
    if markup.isascii() and not _REFERENCE.search(markup):
        return markup
    if not (_NO_BREAK.search(markup) or _WORDS.search(markup) or "&" in markup):
        return markup
    feeds = _BR.search(markup) is not None
    return map_text(markup, lambda text: _mark_text(text, feeds))


def preload() -> None:
    """Load the dictionaries, for a process that cannot open files later."""
    _parted("\u0e01\u0e32")


def _mark_text(text: str, before_tag: bool) -> str:
    if "&" in text and _REFERENCE.search(text):
        text = html.escape(html.unescape(text), quote=False)
    text = _WORDS.sub(lambda run: _parted(run[0]), text)
    text = _BEFORE_FEED.sub(_KEPT, text)
    if before_tag:
        text = _BEFORE_TAG.sub(_KEPT, text)
    joined = _NO_BREAK.sub(lambda at: _JOINER.format(width=_SPACES[at[0]]), text)
    # One box for the whole text: each part of it would be an item of a flex container.
    return joined if joined == text else f"<x-text>{joined}</x-text>"


def _parted(run: str) -> str:
    # Loaded when the first such text comes: it takes 20 ms and 8 MB.
    from icu4py.breakers import LineBreaker

    return _BREAK.join(map(str, LineBreaker(run, "th")))
