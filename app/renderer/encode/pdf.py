"""A PDF of many lossless pages, a PNG file each, written as the pages come.

Follows ISO 32000-1. The data of an opaque PNG is valid in a PDF as it stands: deflate
and scanline filters are the same (section 7.4.4.4).
"""

import hashlib
from array import array
from collections.abc import Iterator
from io import BytesIO
from typing import NamedTuple

from PIL import Image
from PIL.PngImagePlugin import PngImageFile

from app.renderer.base import Picture
from app.renderer.encode.png import compress, read_chunks
from app.renderer.errors import Undrawable

# The page tree has two levels: a node for so many pages, and the root.
_FANOUT = 100
_ENTRIES_AT_ONCE = 1000
# An entry of the cross-reference table has ten digits (section 7.5.4).
_MOST_OFFSET = 10**10 - 1
# Annex C: a page has at most so many units a side; larger ones get larger units.
_MOST_UNITS = 14_400
_CATALOG, _ROOT, _INFO = 1, 2, 3
_COLORS = {0: 1, 2: 3, 3: 1}
_CHANNELS = {"L": 1, "RGB": 3}
_SPACES = {1: b"/DeviceGray", 3: b"/DeviceRGB"}


class PdfPage(NamedTuple):
    """A PNG file of ours, the page's sides in points, and whose artwork it holds."""

    png: bytes
    size: tuple[float, float]
    attribution: tuple[str, ...] = ()


def pages(images: Iterator[PdfPage | None], title: str = "") -> Iterator[bytes]:
    """Yield a PDF with a page an image; equal images give equal bytes.

    An image that is None is not made yet: `b""` is yielded for it. Nothing else is
    yielded before the first image is there. The document's subject is whose artwork
    is in it. Memory grows by 8 bytes an object, of which a page has three or four.
    Raises ValueError where there is no image, Undrawable where the file grows over
    10 GB. The caller closes `images`.
    """
    document = _PdfFile()
    for image in images:
        if image is None:
            yield b""
            continue
        if not document.written:
            yield document.begin()
        yield from document.add(image)
    if not document.written:
        raise ValueError("a PDF without pages is none")
    yield from document.end(title)


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

    def begin(self) -> bytes:
        """Return the header, with bytes by which transports know it as binary."""
        for _ in (_CATALOG, _ROOT, _INFO):
            self._reserve()
        header = self._written(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n")
        catalog = b"<</Type/Catalog/Pages %d 0 R>>" % _ROOT
        return header + self._object(_CATALOG, catalog)

    def add(self, page: PdfPage) -> Iterator[bytes]:
        """Yield the objects of a page."""
        if not self._children:
            self._nodes.append(self._reserve())
        image = _read(page.png)
        entries = image.entries
        if image.mask is not None:
            mask = self._reserve()
            yield self._object(mask, *_stream(image.mask.entries, image.mask.data))
            entries += b"/SMask %d 0 R" % mask
        picture, content, leaf = (self._reserve() for _ in range(3))
        yield self._object(picture, *_stream(entries, image.data))
        unit, box = _box(page.size)
        drawing = b"%b 0 0 %b 0 0 cm/I Do" % box
        yield self._object(content, *_stream(b"", drawing))
        # Without a group, blending happens in the colours of the output device.
        group = b"/Group<</S/Transparency/CS/DeviceRGB>>" if image.mask else b""
        yield self._object(
            leaf,
            b"<</Type/Page/Parent %d 0 R/MediaBox[0 0 %b %b]" % (self._nodes[-1], *box),
            b"/UserUnit %d" % unit if unit > 1 else b"",
            b"/Resources<</XObject<</I %d 0 R>>>>" % picture,
            b"/Contents %d 0 R%b>>" % (content, group),
        )
        self._children.append(leaf)
        self._count += 1
        self._attributions.update(dict.fromkeys(page.attribution))
        if len(self._children) == _FANOUT:
            yield self._node()

    def end(self, title: str) -> Iterator[bytes]:
        """Yield the page tree's root, the metadata, the references, the trailer."""
        if self._children:
            yield self._node()
        yield self._object(_ROOT, _tree(self._nodes, self._count))
        subject = _text("\n".join(self._attributions))
        subject = b"/Subject %b" % subject if self._attributions else b""
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


def _tree(kids: "array[int]", count: int, parent: bytes = b"") -> bytes:
    references = b" ".join(b"%d 0 R" % kid for kid in kids)
    return b"<</Type/Pages%b/Count %d/Kids[%b]>>" % (parent, count, references)


def _stream(entries: bytes, data: bytes) -> tuple[bytes, ...]:
    head = b"<<%b/Length %d>>stream\n" % (entries, len(data))
    return head, data, b"\nendstream"


def _text(title: str) -> bytes:
    """Return a text string in UTF-16 (section 7.9.2.2)."""
    return b"<feff%b>" % title.encode("utf-16-be").hex().encode()


def _box(size: tuple[float, float]) -> tuple[int, tuple[bytes, bytes]]:
    """Return points per unit, 1 unless the page is very large, and both sides."""
    unit = 1
    while max(size) / unit > _MOST_UNITS:
        unit += 1
    width, height = (_number(side / unit) for side in size)
    return unit, (width, height)


def _number(value: float) -> bytes:
    """PDF has no exponents; a hundred-thousandth of a point is seen by nobody."""
    return f"{value:.5f}".rstrip("0").rstrip(".").encode()


class _Image(NamedTuple):
    """An image XObject, with its alpha as another one where it has any."""

    size: tuple[int, int]
    entries: bytes
    data: bytes
    mask: "_Image | None" = None


def _read(png: bytes) -> _Image:
    chunks = dict(read_chunks(png))
    depth, color, _, _, interlaced = chunks[b"IHDR"][8:13]
    # PDF has no interlacing and keeps alpha in a picture of its own (section 11.6.5.3).
    if color not in _COLORS or interlaced or b"tRNS" in chunks:
        return _decoded(png)
    space = _SPACES[_COLORS[color]]
    if color == 3:
        colors = chunks[b"PLTE"]
        last = len(colors) // 3 - 1
        space = b"[/Indexed/DeviceRGB %d<%b>]" % (last, colors.hex().encode())
    # The chunks in a dictionary are the last of their kind.
    data = b"".join(part for kind, part in read_chunks(png) if kind == b"IDAT")
    width, height = (int.from_bytes(chunks[b"IHDR"][at : at + 4]) for at in (0, 4))
    return _image((width, height), space, _COLORS[color], depth, data)


def _decoded(png: bytes) -> _Image:
    """Split colour and alpha; what is opaque all over needs no mask."""
    image = PngImageFile(BytesIO(png)).convert("RGBA")
    alpha = image.getchannel("A")
    opaque = alpha.getextrema() == (255, 255)
    mask = None if opaque else _pixels(alpha)
    return _pixels(image.convert("RGB"))._replace(mask=mask)


def _pixels(image: Image.Image) -> _Image:
    channels = _CHANNELS[image.mode]
    data = compress(Picture(image))
    return _image(image.size, _SPACES[channels], channels, 8, data)


def _image(
    size: tuple[int, int], space: bytes, channels: int, depth: int, data: bytes
) -> _Image:
    form = (channels, depth, size[0])
    predictor = b"/Predictor 15/Colors %d/BitsPerComponent %d/Columns %d" % form
    entries = (
        b"/Type/XObject/Subtype/Image/Width %d/Height %d" % size,
        b"/ColorSpace%b/BitsPerComponent %d" % (space, depth),
        b"/Filter/FlateDecode/DecodeParms<<%b>>" % predictor,
    )
    return _Image(size, b"".join(entries), data)
