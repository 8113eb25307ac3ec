"""SVG as people have it: one spelling of it, its size, and what it wants from outside.

A picture is drawn as browsers draw one in `<img>`: scripts do not run and nothing is
fetched (SVG 2, 2.7.1, secure static mode).
"""

import codecs
import re
import zlib
from collections.abc import Mapping
from contextlib import suppress
from xml.parsers import expat

from app.renderer.probe.byte_range import Region
from app.renderer.probe.raster import Damaged, Size
from app.renderer.probe.svg_css import PAINTS, in_known_words, undrawn

# Bytes in which the root element is looked for.
_HEAD = 16_384
_MOST_UNPACKED = 32 << 20
_DECLARATION = re.compile(rb"\s*<\?xml\b([^>]*)\?>")
_ENCODING = re.compile(rb"""\bencoding\s*=\s*["']([\w.:-]{1,40})["']""")
# Attributes may hold a > in quotes, and nowhere a < (XML 1.0, 2.4).
_ROOT_TAG = re.compile(
    rb"""<svg(?=[\s/>])(?:[^"'<>]|"[^"<]*+"|'[^'<]*+')*+>""", re.IGNORECASE
)
_NAMESPACES = (
    (rb"\sxmlns\s*=", b"<svg", b' xmlns="http://www.w3.org/2000/svg"'),
    (rb"\sxmlns:xlink\s*=", b"xlink:", b' xmlns:xlink="http://www.w3.org/1999/xlink"'),
)
_SIZED = re.compile(rb"\s(?:width|height|viewBox)\s*=", re.IGNORECASE)


def is_packed(data: bytes) -> bool:
    """Tell whether bytes are gzip, as those of an .svgz are (RFC 1952)."""
    return data.startswith(b"\x1f\x8b")


def is_utf16(data: bytes) -> bool:
    """Tell whether bytes begin with the mark of UTF-16."""
    return data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))


def as_utf8(data: bytes) -> bytes:
    """Return text of XML in UTF-8, without mark, declaration and compression.

    Raises Damaged where it is not in the encoding that it declares (XML 1.0, 4.3.3).
    """
    if is_packed(data):
        data = _unpacked(data)
    if is_utf16(data):
        data = _recoded(data, "utf-16")
    data = data.removeprefix(codecs.BOM_UTF8)
    declaration = _DECLARATION.match(data)
    if declaration is None:
        return _recoded(data, "utf-8")
    found = _ENCODING.search(declaration[1])
    name = found[1].decode("ascii") if found else "utf-8"
    # What has been decoded above says of itself what it was.
    name = "utf-8" if name.lower().startswith("utf-16") else name
    return _recoded(data[declaration.end() :], name)


def _unpacked(data: bytes) -> bytes:
    try:
        unpacked = zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(
            data, _MOST_UNPACKED
        )
    except zlib.error as error:
        raise Damaged("its compression is broken") from error
    if len(unpacked) == _MOST_UNPACKED:
        raise Damaged(f"it unpacks to more than {_MOST_UNPACKED:,} bytes")
    return unpacked


def _recoded(data: bytes, encoding: str) -> bytes:
    try:
        return data.decode(encoding).encode()
    except (LookupError, ValueError) as error:
        raise Damaged(f"the text is not {encoding}") from error


def complete(document: bytes) -> bytes:
    """Return markup in UTF-8 with the names and the size that a file of its own needs.

    Its colours and variables are in words that the drawing engine knows. Markup taken
    out of a page has no namespaces, and one without any size is 300 to 150 pixels
    (CSS 2.2, 10.3.2).
    """
    document = in_known_words(document)
    root = _ROOT_TAG.search(document)
    if root is None:
        return document
    more = b"".join(
        text
        for pattern, used, text in _NAMESPACES
        if used in document and not re.search(pattern, root[0])
    )
    if not _SIZED.search(root[0]):
        more += b' width="300" height="150"'
    at = root.start() + len(b"<svg")
    return document[:at] + more + document[at:]


# Comments may follow the end.
_SVG_END = re.compile(rb"</(?:[\w.-]+:)?svg\s*>")
_LENGTH = re.compile(r"\s*\+?([\d.]+(?:e[+-]?\d+)?)(px|pt|pc|mm|cm|in|q)?\s*", re.I)
# CSS pixels (CSS Values 3, 5.2).
_UNITS = {"px": 1.0, "pt": 96 / 72, "pc": 16.0, "mm": 96 / 25.4, "cm": 96 / 2.54}
_UNITS |= {"in": 96.0, "q": 96 / 101.6}
_VIEW_BOX = re.compile(r"[\s,]*(?:[-+\d.e]+[\s,]+){2}([\d.]+)[\s,]+([\d.]+)")
_NO_SIZE = (300, 150)


def measure_svg(image: Region) -> Size:
    """Read the size in CSS pixels from the root of an SVG that has its end."""
    begun, ended = list[dict[str, str]](), list[str]()
    parser = expat.ParserCreate()
    parser.StartElementHandler = lambda name, attributes: begun.append(attributes)
    parser.EndElementHandler = ended.append
    # What is wrong behind the root is the drawing engine's to judge.
    with suppress(expat.ExpatError):
        parser.Parse(image.read(0, _HEAD), False)
    if not begun:
        raise Damaged("the SVG has no root")
    tail = image.read(max(0, image.length - _HEAD // 4), _HEAD // 4)
    closed = any(name.rpartition(":")[2] == "svg" for name in ended)
    if not closed and not _SVG_END.search(tail):
        raise Damaged("the SVG is cut off")
    return _size(begun[0])


def _size(root: Mapping[str, str]) -> Size:
    sides = [_LENGTH.fullmatch(root.get(name, "")) for name in ("width", "height")]
    box = _VIEW_BOX.match(root.get("viewBox", ""))
    try:
        if all(sides):
            lengths = [
                float(side[1]) * _UNITS[(side[2] or "px").lower()]
                for side in sides
                if side
            ]
        elif box:
            lengths = [float(box[1]), float(box[2])]
        else:
            return _NO_SIZE
        width, height = map(round, lengths)
    except (ValueError, OverflowError) as error:
        raise Damaged("the SVG has no size") from error
    return width, height


# Elements that draw what they refer to.
_DRAWN = frozenset(("image", "use", "feImage", "pattern", "linearGradient"))
_DRAWN |= {"radialGradient", "filter", "mask", "textPath", "tref", "mpath"}
_FONT_FACE = re.compile(r"@font-face\s*\{[^}]*\}", re.IGNORECASE)
_IMPORT = re.compile(r"@import\b[^;]*;?", re.IGNORECASE)
_URL = re.compile(r"""\burl\(\s*["']?\s*(?!["'#)\s]|data:)([^"')]{1,200})""", re.I)
_MOST_SHOWN = 80


class Outside(ValueError):
    """An SVG refers to what is not in it; the text is the first such reference."""


class _Reader:
    """What a document holds that a picture cannot have."""

    def __init__(self) -> None:
        self.notes: dict[str, None] = {}
        self._style: list[str] | None = None

    def begin(self, name: str, attributes: Mapping[str, str]) -> None:
        """Look at an element and its attributes."""
        local = name.rpartition(":")[2]
        if local == "style":
            self._style = []
        if local == "foreignObject":
            self.notes["foreignObject is not drawn"] = None
        for key, value in attributes.items():
            is_link = key.rpartition(":")[2] == "href"
            if is_link and local in _DRAWN:
                _refuse_outside(value.strip())
            elif not is_link:
                self._look_at(value)
            if key in PAINTS:
                self.notes.update(dict.fromkeys(undrawn(value)))

    def end(self, name: str) -> None:
        """Read a style sheet that is complete."""
        if name.rpartition(":")[2] == "style" and self._style is not None:
            sheet = "".join(self._style)
            self._look_at(sheet)
            self.notes.update(dict.fromkeys(undrawn(sheet)))
            self._style = None

    def text(self, data: str) -> None:
        """Keep the text of a style sheet."""
        if self._style is not None:
            self._style.append(data)

    def _look_at(self, css: str) -> None:
        if "@" in css:
            kept = _IMPORT.sub("", _FONT_FACE.sub("", css))
            if kept != css:
                self.notes["fonts of its own are not loaded"] = None
            css = kept
        found = _URL.search(css)
        if found:
            _refuse_outside(found[1])


def _refuse_outside(reference: str) -> None:
    if reference and not reference.startswith(("#", "data:")):
        raise Outside(reference[:_MOST_SHOWN])


def examine(document: bytes) -> tuple[str, ...]:
    """Return what of a document in UTF-8 will not be drawn, or only in part.

    Raises Outside where it refers to other files, Damaged where it is not XML.
    """
    reader = _Reader()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = reader.begin
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    try:
        parser.Parse(document, True)
    except expat.ExpatError as error:
        why = expat.errors.messages[error.code]
        raise Damaged(f"line {error.lineno} of the SVG: {why}") from error
    return tuple(reader.notes)
