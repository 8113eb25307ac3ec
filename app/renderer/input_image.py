"""Read images that others made: callers, to be drawn into a picture, and services."""

import hashlib
import io
import struct
import threading
import warnings
import zlib
from collections.abc import Callable
from concurrent.futures import Future

from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from app.renderer.errors import BadParameter, Fault, LimitExceeded, Undrawable

# Formats that browsers show; Pillow's other readers stay out of reach of a caller.
FORMATS = ("PNG", "JPEG", "WEBP", "AVIF", "GIF")
# A telephone's photograph may be an MPO: a JPEG with a preview as second frame.
_LOSSY = ("JPEG", "MPO")
# Pixels of the longest side that pytakumi 0.1.5 decodes.
_LONGEST = 8192
# What services send beside them.
_SENT = (*FORMATS, "BMP", "TIFF")
# Whatever the parsing of strange bytes meets is an error of Pillow's readers.
_DAMAGE = (
    *(OSError, SyntaxError, ValueError, RuntimeError, LookupError, ArithmeticError),
    *(TypeError, AttributeError, EOFError, struct.error, zlib.error),
)
# Pillow reads parts one by one, fill bytes too, at 0.7 us each or more; a GIF of
# 32 MiB is read 263,000 times.
_MOST_READS = 500_000
# A file has one, a photograph in several pictures one in each. Pillow appends the
# further ones one by one to a copy of all.
_MOST_EXIFS = 64
_SRGB = ImageCms.createProfile("sRGB")
# Strangers choose what Pillow warns of, mostly in metadata that nobody reads.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")


class Prepared:
    """What was made of images lately, up to a number of bytes; safe in threads.

    The first who asks makes it, those who ask meanwhile wait for that.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._guard = threading.Lock()
        # The one used last stands last.
        self._made: dict[object, Future[bytes]] = {}

    def get(self, key: object, make: Callable[[], bytes]) -> bytes:
        """Return what was made for this key; raise what making it raises."""
        with self._guard:
            known = self._made.pop(key, None)
            made = self._made[key] = known or Future()
        if known is not None:
            return made.result()
        try:
            made.set_result(make())
        except BaseException as error:
            with self._guard:
                self._made.pop(key, None)
            made.set_exception(error)
            raise
        self._forget()
        return made.result()

    def _forget(self) -> None:
        with self._guard:
            done = {k: len(m.result()) for k, m in self._made.items() if m.done()}
            total = sum(done.values())
            for key, size in done.items():
                if total > self._most_bytes:
                    total -= size
                    del self._made[key]


# To decode and reduce a photograph of 1600x1200 takes 91 ms, the card it stands on
# 4 ms; a collection has one logo for ten thousand badges.
_PREPARED = Prepared(32 << 20)


def prepare(data: bytes, field: str, cover: tuple[int, int], max_pixels: int) -> bytes:
    """Return the image upright, in sRGB and no larger than covers `cover`.

    Equal arguments are worked on once while they are remembered.

    Raises BadParameter where the bytes are not one still image in a known
    format or are too long and thin for the engine, LimitExceeded before decoding
    more than `max_pixels`.
    """
    key = (hashlib.sha256(data).digest(), field, cover, max_pixels)
    return _PREPARED.get(key, lambda: _prepare(data, field, cover, max_pixels))


def _prepare(data: bytes, field: str, cover: tuple[int, int], max_pixels: int) -> bytes:
    image = _open_sent(data, field)
    pixels = image.width * image.height
    if pixels > max_pixels:
        raise LimitExceeded(field, "MIMEO_MAX_IMAGE_PIXELS", max_pixels, pixels)
    if max(image.size) > _LONGEST * min(image.size):
        reason = f"is more than {_LONGEST:,} times as long as it is wide"
        raise BadParameter(Fault(field, reason))
    try:
        if image.format not in _LOSSY and getattr(image, "is_animated", False):
            raise BadParameter(Fault(field, "is animated: send one still image"))
        return _save(_upright(image, cover))
    except _DAMAGE as error:
        raise BadParameter(Fault(field, "is a damaged image")) from error


def read(data: bytes) -> Image.Image:
    """Return an image that a service sent, whole, upright and in sRGB.

    The first frame of several. Raises Undrawable where it cannot be read; its number
    of pixels is the caller's to check.
    """
    try:
        image = _open(data, _SENT)
        image.load()
        profile = image.info.get("icc_profile")
        return _to_srgb(ImageOps.exif_transpose(image), profile)
    except _DAMAGE as error:
        raise Undrawable("The image that the service sent cannot be read.") from error


class _CountedFile(io.BytesIO):
    """Bytes that may be read in so many steps; OSError beyond."""

    _left = _MOST_READS

    def read(self, size: int | None = -1) -> bytes:
        self._left -= 1
        if self._left < 0:
            raise OSError("the image has too many parts")
        return super().read(size)


def _open(data: bytes, formats: tuple[str, ...]) -> Image.Image:
    if data.count(b"Exif\0\0") > _MOST_EXIFS:
        raise OSError("the image has too many parts")
    return Image.open(_CountedFile(data), formats=formats)


def _open_sent(data: bytes, field: str) -> Image.Image:
    try:
        return _open(data, FORMATS)
    except UnidentifiedImageError as error:
        known = ", ".join(FORMATS)
        reason = f"is not an image in a known format: {known}"
        raise BadParameter(Fault(field, reason)) from error
    except _DAMAGE as error:
        raise BadParameter(Fault(field, "is a damaged image")) from error


def _upright(image: Image.Image, cover: tuple[int, int]) -> Image.Image:
    lossy = image.format in _LOSSY
    longest = max(cover)
    if lossy:
        # The decoder itself halves large photographs, long before they cost time.
        image.draft(None, _reduced(image.size, (longest, longest)))
    image.load()
    profile = image.info.get("icc_profile")
    image = ImageOps.exif_transpose(image)
    image = _to_srgb(image, profile)
    size = _reduced(image.size, cover)
    if size != image.size:
        image = image.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
    image.format = "JPEG" if lossy else None
    return image


def _reduced(size: tuple[int, int], cover: tuple[int, int]) -> tuple[int, int]:
    """Return the smallest size of the same shape that covers, never a larger one.

    What is longer than the engine can decode is smaller than that.
    """
    covering = max(cover[0] / size[0], cover[1] / size[1])
    ratio = min(1.0, covering, _LONGEST / max(size))
    return max(1, round(size[0] * ratio)), max(1, round(size[1] * ratio))


def _to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    mode = "RGBA" if image.has_transparency_data else "RGB"
    if profile and image.mode in ("RGB", "RGBA", "CMYK", "L"):
        target = mode if image.mode != "L" else "RGB"
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            converted = ImageCms.profileToProfile(
                image, source, _SRGB, outputMode=target
            )
        except (ImageCms.PyCMSError, OSError):
            # A broken or foreign profile is what every browser ignores too.
            converted = None
        if converted is not None:
            return converted
    return image.convert(mode)


def _save(image: Image.Image) -> bytes:
    """Keep what came lossy small and quick to decode, all else exact."""
    buffer = io.BytesIO()
    image.info.clear()
    if image.format == "JPEG":
        image.save(buffer, "JPEG", quality=95, subsampling=0)
    else:
        image.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
