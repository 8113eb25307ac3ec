"""Read images that others made: callers, to be drawn into a picture, and services."""

import hashlib
import io
import threading
from collections.abc import Callable, Sized
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Generic, TypeVar

from PIL import Image, ImageOps

from app.config import allocator
from app.renderer.base import Picture
from app.renderer.color_management import in_eight_bits, to_srgb
from app.renderer.errors import (
    BadParameter,
    Fault,
    LimitExceeded,
    RenderTimeout,
    Undrawable,
)
from app.renderer.image_file import DAMAGE, ended, open_image, refusal
from app.renderer.probe import svg
from app.renderer.probe.byte_range import whole
from app.renderer.probe.raster import Damaged
from app.renderer.probe.sniff import HEAD, measure, sniff

# A telephone's photograph may be an MPO: a JPEG with a preview as second frame.
_LOSSY = ("JPEG", "MPO", "HEIF")
# Pixels of the longest side that pytakumi 0.1.5 decodes.
_LONGEST = 8192
# Of an SVG, which has no pixels of its own.
_MOST_DRAWN = 1 << 24
# Pixels of an image after which the C library gives memory back.
_LARGE = 1 << 22
_T = TypeVar("_T", bound=Sized)
# Draws an SVG document at a size, in a process that can be killed.
DrawSvg = Callable[[bytes, tuple[int, int]], Picture]


@dataclass(frozen=True, slots=True)
class Prepared:
    """An image as the engine reads it, and what of the original is not in it."""

    data: bytes
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.data)


class PreparedImages(Generic[_T]):
    """What was made of images lately, up to a number of bytes; safe in threads.

    The first who asks makes it, those who ask meanwhile wait for that.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._guard = threading.Lock()
        # The one used last stands last.
        self._made: dict[object, Future[_T]] = {}

    def get(self, key: object, make: Callable[[], _T]) -> _T:
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

    def bound(self, most_bytes: int) -> None:
        """Remember no more than so many bytes from now on."""
        self._most_bytes = most_bytes

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
MOST_REMEMBERED = 32 << 20
PREPARED = PreparedImages[Prepared](MOST_REMEMBERED)


def prepare(
    data: bytes,
    field: str,
    cover: tuple[int, int],
    max_pixels: int,
    draw_svg: DrawSvg | None = None,
) -> Prepared:
    """Return the image upright, in sRGB and no larger than covers `cover`.

    The first frame of several. An SVG is drawn by `draw_svg` as large as covers.
    Equal arguments are worked on once while they are remembered.

    Raises BadParameter where the bytes are not an image in a known format or are too
    long and thin for the engine, LimitExceeded before decoding more than
    `max_pixels`.
    """
    key = (hashlib.sha256(data).digest(), field, cover, max_pixels)
    return PREPARED.get(key, lambda: _prepare(data, field, cover, max_pixels, draw_svg))


def _prepare(
    data: bytes,
    field: str,
    cover: tuple[int, int],
    max_pixels: int,
    draw_svg: DrawSvg | None,
) -> Prepared:
    document = _svg_in(data, field)
    if document is not None:
        return _draw(document, field, cover, draw_svg)
    try:
        image = open_image(data)
    except DAMAGE as error:
        raise BadParameter(Fault(field, refusal(data, error))) from error
    pixels = image.width * image.height
    if pixels > max_pixels:
        raise LimitExceeded(field, "MIMEO_MAX_IMAGE_PIXELS", max_pixels, pixels)
    _check_shape(image.size, field)
    try:
        notes = _frame_notes(image)
        prepared = Prepared(_save(_upright(image, cover)), notes)
    except DAMAGE as error:
        whole_again = ended(data)
        if whole_again is None:
            raise BadParameter(Fault(field, refusal(data, error))) from error
        image = open_image(whole_again)
        cut = "is cut off behind its last pixel: its end mark is missing"
        notes = (*_frame_notes(image), cut)
        prepared = Prepared(_save(_upright(image, cover)), notes)
    if pixels > _LARGE:
        image.close()
        del image
        allocator.trim()
    return prepared


def _check_shape(size: tuple[int, int], field: str) -> None:
    if max(size) > _LONGEST * max(1, min(size)):
        reason = f"is more than {_LONGEST:,} times as long as it is wide"
        raise BadParameter(Fault(field, reason))


def _frame_notes(image: Image.Image) -> tuple[str, ...]:
    """Say that there are more frames or pages; a telephone's preview is none."""
    if image.format in _LOSSY or not getattr(image, "is_animated", False):
        return ()
    part = "page" if image.format == "TIFF" else "frame"
    return (f"only the first {part} is drawn",)


def _svg_in(data: bytes, field: str) -> bytes | None:
    """Return the markup of an SVG in UTF-8; None where the bytes are no SVG."""
    is_plain = sniff(data[:HEAD]) == _SVG
    if not (is_plain or svg.is_packed(data) or svg.is_utf16(data)):
        return None
    try:
        document = svg.complete(svg.as_utf8(data))
    except Damaged as error:
        if not is_plain:
            return None
        raise BadParameter(Fault(field, f"is a damaged image: {error}")) from error
    return document if sniff(document[:HEAD]) == _SVG else None


_SVG = "image/svg+xml"


def _draw(
    document: bytes, field: str, cover: tuple[int, int], draw_svg: DrawSvg | None
) -> Prepared:
    try:
        _, *sides = measure(whole(document))
    except Damaged as error:
        raise BadParameter(Fault(field, f"is a damaged image: {error}")) from error
    size = (sides[0], sides[1])
    _check_shape(size, field)
    if draw_svg is None:
        raise BadParameter(Fault(field, "is SVG, for which nothing here has a process"))
    ratio = max(cover[0] / size[0], cover[1] / size[1])
    ratio = min(ratio, _LONGEST / max(size), (_MOST_DRAWN / (size[0] * size[1])) ** 0.5)
    drawn = max(1, round(size[0] * ratio)), max(1, round(size[1] * ratio))
    try:
        picture = draw_svg(document, drawn)
    except (Undrawable, RenderTimeout) as error:
        raise BadParameter(Fault(field, f"is an SVG that fails: {error}")) from error
    return Prepared(_save(picture.image), tuple(picture.facts.get("warnings", ())))


def read(data: bytes, max_pixels: int) -> Image.Image:
    """Return an image that a service sent, whole, upright and in sRGB.

    The first frame of several. Raises Undrawable where it cannot be read, or where
    Pillow finds more than `max_pixels`.
    """
    try:
        image = open_image(data)
        # In a damaged file it may be more than others found who measured it.
        if image.width * image.height > max_pixels:
            raise Undrawable("The image that the service sent is too large.")
        image.load()
        return to_srgb(ImageOps.exif_transpose(in_eight_bits(image)))
    # Pillow has no other error for a row of more bits than an int can count.
    except (*DAMAGE, MemoryError) as error:
        raise Undrawable("The image that the service sent cannot be read.") from error


def _upright(image: Image.Image, cover: tuple[int, int]) -> Image.Image:
    lossy = image.format in _LOSSY
    longest = max(cover)
    if image.format in ("JPEG", "MPO"):
        # The decoder itself halves large photographs, long before they cost time.
        image.draft(None, _reduced(image.size, (longest, longest)))
    deep = in_eight_bits(image)
    image = to_srgb(_shrunk(ImageOps.exif_transpose(deep), cover))
    image.format = "JPEG" if lossy and image.mode == "RGB" else None
    return image


def _shrunk(image: Image.Image, cover: tuple[int, int]) -> Image.Image:
    size = _reduced(image.size, cover)
    if size == image.size:
        return image
    return image.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)


def _reduced(size: tuple[int, int], cover: tuple[int, int]) -> tuple[int, int]:
    """Return the smallest size of the same shape that covers, never a larger one.

    What is longer than the engine can decode is smaller than that.
    """
    covering = max(cover[0] / size[0], cover[1] / size[1])
    ratio = min(1.0, covering, _LONGEST / max(size))
    return max(1, round(size[0] * ratio)), max(1, round(size[1] * ratio))


def _save(image: Image.Image) -> bytes:
    """Keep what came lossy small and quick to decode, all else exact."""
    buffer = io.BytesIO()
    image.info.clear()
    if image.format == "JPEG":
        image.save(buffer, "JPEG", quality=95, subsampling=0)
    else:
        image.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
