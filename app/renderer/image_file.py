"""The file of an image: opened at a bounded cost, or refused with the reason."""

import hashlib
import io
import struct
import warnings
import zlib
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version

from PIL import Image, UnidentifiedImageError

from app.renderer.color_management import Unshowable
from app.renderer.probe.byte_range import whole
from app.renderer.probe.raster import Damaged, has_one_scan
from app.renderer.probe.sniff import HEAD, measure, sniff

# What people have; Pillow's other readers stay out of reach of a caller.
FORMATS = ("PNG", "JPEG", "WEBP", "AVIF", "GIF", "BMP", "TIFF", "ICO")
# Whatever the parsing of strange bytes meets is an error of Pillow's readers. All of
# them mean that there is no image to show.
DAMAGE = (
    *(OSError, SyntaxError, ValueError, RuntimeError, LookupError, ArithmeticError),
    *(TypeError, AttributeError, EOFError, AssertionError, struct.error, zlib.error),
    Unshowable,
)
# Pillow reads parts one by one, fill bytes too, at 0.7 us each or more; a GIF of
# 32 MiB is read 263,000 times.
_MOST_READS = 500_000
# A file has one, a photograph in several pictures one in each. Pillow appends the
# further ones one by one to a copy of all.
_MOST_EXIFS = 64
# Strangers choose what Pillow warns of, mostly in metadata that nobody reads.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")

_KNOWN = f"{', '.join(FORMATS)}, SVG or HEIC"
# What else is sent, by its sniffed type or first bytes, and what to do about it.
_OTHER = {
    "text/html": "is an HTML page and no image, perhaps an error page that was saved",
    "application/json": "is JSON and no image",
    "application/xml": "is XML and no image",
    "application/pdf": "is a PDF and no image: save its page as PNG or JPEG",
    "application/zip": "is a ZIP archive or an office document and no image",
    "application/gzip": "is compressed by gzip and no SVG",
    "text/event-stream": "is text and no image",
    "text/plain": "is text and no image",
    "image/jxl": "is JPEG XL, which is not read here: send it as PNG or JPEG",
}
_OTHER_MAGIC = (
    (b"8BPS", "is a Photoshop document: save it as PNG"),
    (b"\0\0\0\x0cjP  ", "is JPEG 2000, which is not read here: send PNG or JPEG"),
    (b"\xff\x4f\xff\x51", "is JPEG 2000, which is not read here: send PNG or JPEG"),
    (b"%!PS", "is PostScript: save it as SVG or PNG"),
    (b"\xc5\xd0\xd3\xc6", "is PostScript: save it as SVG or PNG"),
    (b"\xd7\xcd\xc6\x9a", "is a Windows metafile: save it as SVG or PNG"),
    (b"II+\0", "is a BigTIFF, which is not read here: save it as TIFF or PNG"),
    (b"MM\0+", "is a BigTIFF, which is not read here: save it as TIFF or PNG"),
    (b"RIFF", "is a film or a sound and no image"),
    (b"\x1aE\xdf\xa3", "is a film and no image"),
)
_NO_HEIF = (
    "is HEIC, which this server does not read: send it as JPEG or PNG, or have"
    " `pip install 'mimeo[heif]'` run on the server"
)


def reader_version() -> str:
    """Name what decides the pixels of images beside Pillow, for fingerprints.

    Raise the number when this module makes other pixels of the same bytes.
    """
    try:
        return f"images 3 pillow-heif {version('pillow-heif')}"
    except PackageNotFoundError:
        return "images 3"


class _CountedFile(io.BytesIO):
    """Bytes that may be read in so many steps; OSError beyond."""

    _left = _MOST_READS

    def read(self, size: int | None = -1) -> bytes:
        self._left -= 1
        if self._left < 0:
            raise OSError("the image has too many parts")
        return super().read(size)


def open_image(data: bytes) -> Image.Image:
    """Open an image of any kind that is read; raise what Pillow raises.

    Raises Unshowable for HEIC where its reader is not installed.
    """
    if data.count(b"Exif\0\0") > _MOST_EXIFS:
        raise OSError("the image has too many parts")
    kind = sniff(data[:HEAD])
    if kind == "image/heic":
        if not _register_heif():
            raise Unshowable(_NO_HEIF)
        return Image.open(_CountedFile(data), formats=("HEIF",))
    if kind == "image/tiff":
        # Pillow takes gigabytes for a directory of nothing but long entries.
        measure(whole(data))
    if data.startswith(b"\0\0\1\0"):
        data = _largest_icon(data)
    formats = tuple(n for n in FORMATS if n != "TIFF" or kind == "image/tiff")
    return Image.open(_CountedFile(data), formats=formats)


def load_readers() -> None:
    """Load what Pillow loads late, where no file can be opened afterwards."""
    Image.init()
    _register_heif()


@lru_cache(1)
def _register_heif() -> bool:
    try:
        # An extra; its libraries cost memory where no HEIC is ever sent.
        from pillow_heif import register_heif_opener
    except ImportError:
        return False
    register_heif_opener(thumbnails=False)
    return True


def _largest_icon(data: bytes) -> bytes:
    """Return the largest image of an ICO where that is a PNG, else the ICO.

    Pillow would decode it whatever size it has.
    """
    count = int.from_bytes(data[4:6], "little")
    entries = struct.iter_unpack("<BBBBHHII", data[6 : 6 + 16 * min(count, 256)])
    places = [
        ((w or 256) * (h or 256), bits, size, at)
        for w, h, _, _, _, bits, size, at in entries
    ]
    _, _, size, at = max(places, default=(0, 0, 0, 0))
    inner = data[at : at + size]
    return inner if inner.startswith(b"\x89PNG") else data


def ended(data: bytes) -> bytes | None:
    """Return a JPEG with the end mark that it lacks, or None where it lacks more.

    Cut files of telephones and uploads end so. Whether all pixels are there is seen by
    what libjpeg makes of other bytes behind them: it passes over what it needs not.
    Of several scans, as of a progressive JPEG, nobody sees how many there were.
    """
    if sniff(data[:HEAD]) != "image/jpeg" or not _cut(data):
        return None
    try:
        if not has_one_scan(whole(data)):
            return None
    except Damaged:
        return None
    # The mark has two bytes, of which the first may be there.
    data = data.rstrip(_JPEG_END[:1])
    try:
        seen = {_pixels_of(data + more + _JPEG_END) for more in (b"", _FILL)}
    except DAMAGE:
        return None
    return data + _JPEG_END if len(seen) == 1 else None


def _pixels_of(data: bytes) -> bytes:
    with open_image(data) as image:
        return hashlib.sha256(image.tobytes()).digest()


_JPEG_END = b"\xff\xd9"
# libjpeg itself goes on with zeros.
_FILL = b"\xaa" * 64


def refusal(data: bytes, error: BaseException) -> str:
    """Say why bytes are no image, for the `error` that opening or loading them met."""
    if isinstance(error, Unshowable):
        return str(error)
    if isinstance(error, UnidentifiedImageError):
        return _unknown(data)
    why = _cut(data) or (str(error) if isinstance(error, Damaged) else "")
    return f"is a damaged image: {why}" if why else "is a damaged image"


def _unknown(data: bytes) -> str:
    """Say what bytes are that are no image, as well as can be told."""
    if not data:
        return "is empty: there are no bytes"
    kind = sniff(data[:HEAD])
    for magic, reason in _OTHER_MAGIC:
        if data.startswith(magic) and kind not in _READ:
            return reason
    if kind in _OTHER:
        return _OTHER[kind]
    if kind in _READ:
        return f"is a damaged image: {_cut(data) or 'its head makes no sense'}"
    # What is made of boxes and of no brand of images (ISO/IEC 14496-12).
    if data[4:8] == b"ftyp":
        return "is a film and no image"
    return f"is not an image in a known format: {_KNOWN}"


_READ = frozenset(
    f"image/{name}"
    for name in ("png", "jpeg", "webp", "avif", "gif", "bmp", "tiff", "heic")
)


def _cut(data: bytes) -> str:
    """Say where an image breaks off, by its structure; empty where it does not."""
    try:
        measure(whole(data))
    except Damaged as error:
        return str(error)
    except EOFError:
        return "it is cut off"
    return ""
