"""A PDF of many pages, written as they come, with what they share once.

Follows ISO 32000-1. A page is a few numbered objects that refer to one another. What is
equal in several pages is one object in the file, for as long as it is remembered.
"""

import hashlib
import math
import re
from array import array
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import NamedTuple

from app.renderer.errors import Undrawable
from app.renderer.paper import Sides

# The page tree has two levels: a node for so many pages, and the root.
_FANOUT = 100
_ENTRIES_AT_ONCE = 1000
# An entry of the cross-reference table has ten digits (section 7.5.4).
_MOST_OFFSET = 10**10 - 1
# Annex C: a page has at most so many units a side; larger ones get larger units.
_MOST_UNITS = 14_400
_CATALOG, _ROOT, _INFO = 1, 2, 3
# Objects that are remembered, 200 bytes each.
_MOST_KNOWN = 10_000
_DIGEST = 32
_REFERENCE = re.compile(rb"\b(\d+) 0 R\b")
_PARENT = re.compile(rb"/Parent \d+ 0 R")
_STREAM = b">>stream\n"
_PAGE = b"<</Type/Page"
_TEXT = rb"<feff([0-9a-f]*)>"
_TITLE = re.compile(rb"/Title %b" % _TEXT)
_SUBJECT = re.compile(rb"/Subject %b" % _TEXT)
_LANG = re.compile(rb"/Lang\(([^)]*)\)")


class Object(NamedTuple):
    """An object: a dictionary or another value, and the data of a stream or None.

    References in it are numbers of objects of its page, from 1. Objects of one digest
    are equal, with all that they refer to; the page itself has none.
    """

    value: bytes
    data: bytes | None = None
    digest: bytes = b""


class Objects:
    """What a page is made of, equal objects once."""

    def __init__(self) -> None:
        self.all: list[Object] = []
        self._known: dict[bytes, int] = {}

    def add(self, value: bytes, data: bytes | None = None) -> int:
        """Return the number of an object; what it refers to was added before."""
        digest = self._digest(value, data)
        known = self._known.get(digest)
        if known is None:
            self.all.append(Object(value, data, digest))
            known = self._known[digest] = len(self.all)
        return known

    def name(self, number: int) -> bytes:
        """Return a name for an object that it has on every page."""
        return b"N" + self.all[number - 1].digest[:12]

    def _digest(self, value: bytes, data: bytes | None) -> bytes:
        digest = hashlib.sha256(
            _referring(value, lambda number: self.all[number - 1].digest)
        )
        if data is not None:
            digest.update(b"\0")
            digest.update(data)
        return digest.hexdigest()[:_DIGEST].encode()


class PdfPage(NamedTuple):
    """A page as objects, of which the last is the page, and what is known of it.

    `attribution` says whose artwork it holds, `lang` is the language of its texts.
    """

    objects: tuple[Object, ...]
    attribution: tuple[str, ...] = ()
    title: str = ""
    lang: str = ""


def page_objects(
    objects: Objects,
    box: bytes,
    contents: list[int],
    resources: bytes,
    *,
    group: bool = False,
) -> tuple[Object, ...]:
    """Return the objects of a page with the page itself, which `box` begins.

    With a `group`, colours that are blended are those of the screen.
    """
    streams = b" ".join(b"%d 0 R" % number for number in contents)
    # Without a group, blending happens in the colours of the output device.
    blended = b"/Group<</S/Transparency/CS/DeviceRGB>>" if group else b""
    page = b"%b%b/Resources<<%b>>/Contents[%b]%b>>" % (
        _PAGE,
        box,
        resources,
        streams,
        blended,
    )
    return (*objects.all, Object(page))


def pages(drawn: Iterator[PdfPage | None]) -> Iterator[bytes]:
    """Yield a PDF page by page; equal pages give equal bytes.

    A page that is None is not made yet: `b""` is yielded for it. Nothing else is
    yielded before the first page is there. The document's subject is whose artwork is
    in it; it has a title and a language where all pages have the same. Memory grows by
    8 bytes an object. Raises ValueError where there is no page, Undrawable where the
    file grows over 10 GB. The caller closes `drawn`.
    """
    document = _PdfFile()
    for page in drawn:
        if page is None:
            yield b""
            continue
        if not document.written:
            yield document.begin()
        yield from document.add(page)
    if not document.written:
        raise ValueError("a PDF without pages is none")
    yield from document.end()


def read_pages(data: bytes) -> Iterator[PdfPage]:
    """Yield the pages of a PDF that `pages` wrote."""
    start = int(data[data.rindex(b"startxref\n") + 10 :].split(b"\n", 1)[0])
    table = data[start : data.index(b"trailer", start)]
    offsets = {int(row[:10]): at for at, row in enumerate(table.split(b"\n")[2:-1])}
    known = sorted((at, number) for at, number in offsets.items() if number)
    ends = [at for at, _ in known[1:]] + [start]
    facts = b""
    objects: dict[int, Object] = {}
    for (at, number), end in zip(known, ends, strict=True):
        body = data[data.index(b"\n", at) + 1 : end - len(b"\nendobj\n")]
        if number in (_CATALOG, _INFO):
            facts += body
        elif number > _INFO and not body.startswith(b"<</Type/Pages"):
            value, stream, rest = body.partition(_STREAM)
            if not stream:
                # The parent of a page belongs to the file.
                objects[number] = Object(_PARENT.sub(b"", value))
                continue
            value = value[: value.rindex(b"/Length ")]
            objects[number] = Object(value, rest[: -len(b"\nendstream")])
    subject, lang = _found(_SUBJECT, facts), _LANG.search(facts)
    owners = tuple(subject.split("\n")) if subject else ()
    spoken = lang[1].decode() if lang else ""
    for number, each in objects.items():
        if each.value.startswith(_PAGE):
            parts = _parts(objects, number)
            yield PdfPage(parts, owners, _found(_TITLE, facts), spoken)


def _parts(objects: Mapping[int, Object], page: int) -> tuple[Object, ...]:
    """Return an object and what it refers to, numbered from 1, itself the last."""
    wanted, found = [page], {page}
    while wanted:
        value = objects[wanted.pop()].value
        new = {int(number) for number in _REFERENCE.findall(value)} - found
        found |= new
        wanted += new
    # In a file nothing comes before what it refers to.
    parts = Objects()
    numbers: dict[int, int] = {}
    for number in sorted(found):
        value, data, _ = objects[number]
        numbers[number] = parts.add(renumbered(value, numbers), data)
    return tuple(parts.all)


class _PdfFile:
    """Numbers objects, remembers where they begin, and keeps the page tree.

    What its methods return must be written in this order.
    """

    def __init__(self) -> None:
        self.written = 0
        # At index 0 the head of the list of free objects.
        self._offsets = array("Q", [0])
        self._digest = hashlib.sha256()
        self._nodes = array("Q")
        self._children: list[int] = []
        self._count = 0
        self._attributions: dict[str, None] = {}
        # The one that was wanted last stands last.
        self._known: dict[bytes, int] = {}
        self._titles: set[str] = set()
        self._langs: set[str] = set()

    def begin(self) -> bytes:
        """Return the header, with bytes by which transports know it as binary."""
        for _ in (_CATALOG, _ROOT, _INFO):
            self._reserve()
        return self._written(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n")

    def add(self, page: PdfPage) -> Iterator[bytes]:
        """Yield the objects of a page that are not in the file already."""
        if not self._children:
            self._nodes.append(self._reserve())
        numbers: dict[int, int] = {}
        *parts, leaf = page.objects
        for at, part in enumerate(parts, 1):
            number = self._known.pop(part.digest, 0)
            if not number:
                number = self._reserve()
                value = renumbered(part.value, numbers)
                yield self._object(number, *_stream(value, part.data))
            numbers[at] = self._known[part.digest] = number
        for key in list(islice(self._known, max(0, len(self._known) - _MOST_KNOWN))):
            del self._known[key]
        number = self._reserve()
        parent = b"%b/Parent %d 0 R" % (_PAGE, self._nodes[-1])
        rest = renumbered(leaf.value, numbers).removeprefix(_PAGE)
        yield self._object(number, parent + rest)
        self._children.append(number)
        self._count += 1
        self._attributions.update(dict.fromkeys(page.attribution))
        # Two are enough to know that they differ.
        for found, told in ((self._titles, page.title), (self._langs, page.lang)):
            if len(found) < 2:
                found.add(told)
        if len(self._children) == _FANOUT:
            yield self._node()

    def end(self) -> Iterator[bytes]:
        """Yield the page tree's root, what is known, the references, the trailer."""
        if self._children:
            yield self._node()
        yield self._object(_ROOT, _tree(self._nodes, self._count))
        lang = self._langs.pop() if len(self._langs) == 1 else ""
        catalog = b"<</Type/Catalog/Pages %d 0 R%b>>"
        spoken = b"/Lang(%b)" % lang.encode() if lang else b""
        yield self._object(_CATALOG, catalog % (_ROOT, spoken))
        subject = _text("\n".join(self._attributions))
        subject = b"/Subject %b" % subject if self._attributions else b""
        title = self._titles.pop() if len(self._titles) == 1 else ""
        yield self._object(_INFO, b"<</Title %b%b>>" % (_text(title), subject))
        start, size = self.written, len(self._offsets)
        # Section 14.4: two equal identifiers are those of a file that nobody has
        # changed.
        name = self._digest.hexdigest()[:32].encode()
        yield b"xref\n0 %d\n" % size
        for first in range(0, size, _ENTRIES_AT_ONCE):
            some = self._offsets[first : first + _ENTRIES_AT_ONCE]
            # Twenty bytes each; object 0 heads the list of free ones, with the number
            # 65535.
            yield b"".join(
                b"%010d 00000 n \n" % at if at else b"0000000000 65535 f \n"
                for at in some
            )
        yield (
            b"trailer\n<</Size %d/Root %d 0 R/Info %d 0 R/ID[<%b><%b>]>>\n"
            b"startxref\n%d\n%%%%EOF\n" % (size, _CATALOG, _INFO, name, name, start)
        )

    def _node(self) -> bytes:
        children, self._children = self._children, []
        parent = b"/Parent %d 0 R" % _ROOT
        return self._object(
            self._nodes[-1], _tree(array("Q", children), len(children), parent)
        )

    def _reserve(self) -> int:
        self._offsets.append(0)
        return len(self._offsets) - 1

    def _object(self, number: int, *parts: bytes) -> bytes:
        if self.written > _MOST_OFFSET:
            raise Undrawable("The pages are over 10 GB, the most that a PDF holds.")
        self._offsets[number] = self.written
        return self._written(b"%d 0 obj\n" % number, *parts, b"\nendobj\n")

    def _written(self, *parts: bytes) -> bytes:
        data = b"".join(parts)
        self.written += len(data)
        self._digest.update(data)
        return data


def box(points: Sides, bleed: float = 0) -> tuple[bytes, Sides, float]:
    """Return what begins a page that is cut to a size; sides and bleed in its units.

    The sides are those of the page with its bleed, which section 14.11.2 says in boxes.
    A unit is a point, unless the page is very large.
    """
    whole = points[0] + 2 * bleed, points[1] + 2 * bleed
    unit = math.ceil(max(*whole, 1) / _MOST_UNITS)
    sides, bleed = (whole[0] / unit, whole[1] / unit), bleed / unit
    boxes = b"/MediaBox[0 0 %b %b]" % (*map(decimal, sides),)
    if bleed:
        cut = bleed, bleed, sides[0] - bleed, sides[1] - bleed
        boxes += b"/BleedBox" + boxes.removeprefix(b"/MediaBox")
        boxes += b"/TrimBox[%b]" % b" ".join(map(decimal, cut))
    units = b"/UserUnit %d" % unit if unit > 1 else b""
    return boxes + units, sides, bleed


def decimal(value: float) -> bytes:
    """PDF has no exponents; a hundred-thousandth of a point is seen by nobody."""
    return f"{value:.5f}".rstrip("0").rstrip(".").encode()


def renumbered(value: bytes, numbers: dict[int, int]) -> bytes:
    """Return an object's value with other numbers in its references."""
    return _referring(value, lambda number: b"%d 0 R" % numbers[number])


def _referring(value: bytes, write: Callable[[int], bytes]) -> bytes:
    # Most objects refer to none, and the pattern looks at each digit.
    if b" 0 R" not in value:
        return value
    return _REFERENCE.sub(lambda found: write(int(found[1])), value)


def _tree(kids: "array[int]", count: int, parent: bytes = b"") -> bytes:
    references = b" ".join(b"%d 0 R" % kid for kid in kids)
    return b"<</Type/Pages%b/Count %d/Kids[%b]>>" % (parent, count, references)


def _stream(value: bytes, data: bytes | None) -> tuple[bytes, ...]:
    """Return an object's parts; the dictionary of a stream is still open."""
    if data is None:
        return (value,)
    return value, b"/Length %d%b" % (len(data), _STREAM), data, b"\nendstream"


def _text(text: str) -> bytes:
    """Return a text string in UTF-16 (section 7.9.2.2)."""
    return b"<feff%b>" % text.encode("utf-16-be").hex().encode()


def _found(pattern: "re.Pattern[bytes]", facts: bytes) -> str:
    found = pattern.search(facts)
    return bytes.fromhex(found[1].decode()).decode("utf-16-be") if found else ""
