"""Pictures in a PDF: pages that are one, and images within a drawing.

The data of an opaque PNG is valid in a PDF as it stands, for deflate and scanline
filters are the same (ISO 32000-1, section 7.4.4.4), and so is that of a JPEG (7.4.8).
"""

from io import BytesIO
from typing import NamedTuple

from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile

from app.renderer.base import Picture
from app.renderer.encode.pdf.document import (
    Objects,
    PdfPage,
    box,
    decimal,
    page_objects,
)
from app.renderer.encode.png import SIGNATURE, compress, read_chunks
from app.renderer.paper import Sides

_COLORS = {0: 1, 2: 3, 3: 1}
_CHANNELS = {"L": 1, "RGB": 3}
_SPACES = {1: b"/DeviceGray", 3: b"/DeviceRGB"}
_JPEG = b"\xff\xd8"


def picture_page(
    png: bytes, points: Sides, attribution: tuple[str, ...] = ()
) -> PdfPage:
    """Return a page of a size with a PNG file on all of it."""
    objects = Objects()
    image = _read(png)
    number = _add(objects, image)
    name = objects.name(number)
    page, sides, _ = box(points)
    drawing = b"%b 0 0 %b 0 0 cm/%b Do" % (*map(decimal, sides), name)
    content = objects.add(b"<<", drawing)
    resources = b"/XObject<</%b %d 0 R>>" % (name, number)
    group = image.mask is not None
    return PdfPage(
        page_objects(objects, page, [content], resources, group=group), attribution
    )


def add_image(objects: Objects, data: bytes) -> int:
    """Add the first frame of an image in a format that Pillow reads; return its number.

    Raises OSError or ValueError where Pillow cannot read it.
    """
    if data.startswith(SIGNATURE):
        return _add(objects, _read(data))
    if data.startswith(_JPEG):
        with JpegImageFile(BytesIO(data)) as jpeg:
            size, mode = jpeg.size, jpeg.mode
        if mode in _CHANNELS:
            space = _SPACES[_CHANNELS[mode]]
            entries = _entries(size, space, 8) + b"/Filter/DCTDecode"
            return _add(objects, _Image(size, entries, data))
    with Image.open(BytesIO(data)) as opened:
        return _add(objects, _split(opened.convert("RGBA")))


def add_pixels(objects: Objects, image: Image.Image) -> int:
    """Add an image of mode RGBA; return its number."""
    return _add(objects, _split(image))


class _Image(NamedTuple):
    """An image XObject, with its alpha as another one where it has any."""

    size: tuple[int, int]
    entries: bytes
    data: bytes
    mask: "_Image | None" = None


def _add(objects: Objects, image: _Image) -> int:
    entries = image.entries
    if image.mask is not None:
        mask = objects.add(b"<<" + image.mask.entries, image.mask.data)
        entries += b"/SMask %d 0 R" % mask
    return objects.add(b"<<" + entries, image.data)


def _read(png: bytes) -> _Image:
    chunks = dict(read_chunks(png))
    depth, color, _, _, interlaced = chunks[b"IHDR"][8:13]
    # PDF has no interlacing and keeps alpha in a picture of its own (section 11.6.5.3).
    if color not in _COLORS or interlaced or b"tRNS" in chunks:
        return _split(PngImageFile(BytesIO(png)).convert("RGBA"))
    space = _SPACES[_COLORS[color]]
    if color == 3:
        colors = chunks[b"PLTE"]
        last = len(colors) // 3 - 1
        space = b"[/Indexed/DeviceRGB %d<%b>]" % (last, colors.hex().encode())
    # The chunks in a dictionary are the last of their kind.
    data = b"".join(part for kind, part in read_chunks(png) if kind == b"IDAT")
    width, height = (int.from_bytes(chunks[b"IHDR"][at : at + 4]) for at in (0, 4))
    return _image((width, height), space, _COLORS[color], depth, data)


def _split(image: Image.Image) -> _Image:
    """Split colour and alpha; what is opaque all over needs no mask."""
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
    filters = b"/Filter/FlateDecode/DecodeParms<<%b>>" % predictor
    return _Image(size, _entries(size, space, depth) + filters, data)


def _entries(size: tuple[int, int], space: bytes, depth: int) -> bytes:
    return b"/Type/XObject/Subtype/Image/Width %d/Height %d%b" % (
        *size,
        b"/ColorSpace%b/BitsPerComponent %d" % (space, depth),
    )
