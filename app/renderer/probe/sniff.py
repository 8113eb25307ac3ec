"""What bytes are, decided by the bytes alone, and how large the image in them is."""

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType

from app.renderer.probe.byte_range import Region
from app.renderer.probe.isobmff import measure_heif, measure_jxl
from app.renderer.probe.raster import (
    Damaged,
    Size,
    measure_bmp,
    measure_gif,
    measure_jpeg,
    measure_png,
    measure_tiff,
    measure_webp,
)
from app.renderer.probe.svg import measure_svg

# So many bytes decide what all of them are.
HEAD = 4096

_BOM = b"\xef\xbb\xbf"
# What begins with one of these is a file of that kind and can be no text, so these
# are asked before anything that has to be searched for.
_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"II*\0", "image/tiff"),
    (b"MM\0*", "image/tiff"),
    (b"\xff\x0a", "image/jxl"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "image/jxl"),
    (b"PK\x03\x04", "application/zip"),
    (b"PK\x05\x06", "application/zip"),
    (b"\x1f\x8b", "application/gzip"),
    (b"%PDF-", "application/pdf"),
)
_BRANDS = (
    (frozenset((b"avif", b"avis")), "image/avif"),
    (frozenset((b"heic", b"heix", b"heim", b"heis", b"mif1", b"msf1")), "image/heic"),
)
# In this order, on what follows a byte order mark and white space.
_TEXT = (
    (re.compile(rb'[{\["]'), "application/json"),
    (re.compile(rb"<!doctype\s+html|<(html|head|body|title)\b", re.I), "text/html"),
    (re.compile(rb"(<[?!][^<]*)*<([\w.-]+:)?svg[\s>/]", re.I), "image/svg+xml"),
    (re.compile(rb"<\?xml", re.I), "application/xml"),
    (re.compile(rb"(event|data|id|retry):(?![\w.+-]+/|[;,])|:"), "text/event-stream"),
)
_BINARY = re.compile(rb"[\x00-\x08\x0e-\x1f]")


def sniff(head: bytes) -> str | None:
    """Return the media type of content by its first bytes (4,096 are enough).

    Text that is nothing better is `text/plain`, so base64 is too; bytes of no
    known kind, or none at all, are None.
    """
    for magic, media_type in _MAGIC:
        if head.startswith(magic):
            return media_type
    return _sniff_container(head) or _sniff_text(head)


def _sniff_container(head: bytes) -> str | None:
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    # Two letters are too few: a text may begin so. The zeros are reserved.
    if head[:2] == b"BM" and head[6:10] == b"\0\0\0\0":
        return "image/bmp"
    # The major brand may be a general one (mif1), so the compatible ones count as well
    # (ISO/IEC 14496-12, 4.3).
    if head[4:8] == b"ftyp":
        brands = {head[at : at + 4] for at in range(8, min(64, len(head)), 4)}
        return next((kind for own, kind in _BRANDS if own & brands), None)
    return None


def _sniff_text(head: bytes) -> str | None:
    text = head.removeprefix(_BOM).lstrip()
    if not text or _BINARY.search(head):
        return None
    for pattern, media_type in _TEXT:
        if pattern.match(text):
            return media_type
    return "text/plain"


def measure(image: Region) -> tuple[str, int, int]:
    """Return media type, width and height of a whole image.

    Sizes are in pixels, as stored; no pixel is decoded. Raises Damaged where the bytes
    are no image, or begin one and break off.
    """
    media_type = sniff(image.read(0, HEAD))
    if media_type is None or media_type not in _READERS:
        raise Damaged(f"the bytes are {media_type or 'nothing known'}, not an image")
    width, height = _READERS[media_type](image)
    if width <= 0 or height <= 0:
        raise Damaged("the image has no area")
    return media_type, width, height


_READERS: Mapping[str, Callable[[Region], Size]] = MappingProxyType(
    {
        "image/png": measure_png,
        "image/jpeg": measure_jpeg,
        "image/gif": measure_gif,
        "image/webp": measure_webp,
        "image/avif": measure_heif,
        "image/heic": measure_heif,
        "image/jxl": measure_jxl,
        "image/bmp": measure_bmp,
        "image/tiff": measure_tiff,
        "image/svg+xml": measure_svg,
    }
)
IMAGES = frozenset(_READERS)
