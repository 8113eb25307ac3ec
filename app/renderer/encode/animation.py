"""Join images that are encoded one by one into an animation.

GIF and WebP frames keep the compressed data of their single images. So frames can be
encoded side by side, and no more than one is in memory here. Every frame fills the
canvas and replaces the one before it.
"""

import struct
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from types import MappingProxyType
from typing import NamedTuple

from PIL.PngImagePlugin import PngImageFile

from app.renderer.base import Picture
from app.renderer.encode.png import SIGNATURE, chunk, compress, read_chunks
from app.renderer.errors import BadParameter, Fault, Undrawable

Size = tuple[int, int]
Join = Callable[[Iterator[bytes | None], int, Size, int, int], Iterator[bytes]]

# Browsers show frames of less than 20 ms for 100; the longest is what 16 bits of
# milliseconds hold (APNG), in whole hundredths of a second (GIF).
_SHORTEST_MS, _LONGEST_MS = 20, 65_530
_IN_MEMORY = 1 << 20
_PIECE = 1 << 16
_MOST_RIFF = (1 << 32) - 10


@dataclass(frozen=True, slots=True)
class Animation:
    """An animated format.

    `frame_format` names the format of the single images that `join` takes. Durations
    are multiples of `step_ms`.

    `join(frames, count, size, duration_ms, loop)` yields the file. A frame that is
    None is not made yet: `b""` is yielded for it, and it is not one of the `count`.
    `size` is in device pixels. `loop` is how often all is played, 0 for ever, at most
    65,535. Nothing is yielded before the first frame is there. Raises BadParameter
    where a frame is not of this size, ValueError where there are not `count` frames.
    The caller closes `frames`.
    """

    name: str
    media_type: str
    frame_format: str
    join: Join
    step_ms: int = 1

    def check(self, duration_ms: int) -> None:
        """Raise BadParameter where the format cannot show frames for this long."""
        if not _SHORTEST_MS <= duration_ms <= _LONGEST_MS:
            reason = f"must be {_SHORTEST_MS} to {_LONGEST_MS:,} ms"
            raise BadParameter(Fault("duration", reason))
        if duration_ms % self.step_ms:
            reason = f"must be a multiple of {self.step_ms} ms in {self.name}"
            raise BadParameter(Fault("duration", reason))


def _join_gif(
    frames: Iterator[bytes | None], count: int, size: Size, duration_ms: int, loop: int
) -> Iterator[bytes]:
    """Join GIFs; a frame's colour table becomes its local one (GIF89a, section 20).

    No table is global. What a frame leaves is cleared, or it would show through the
    next where that is transparent.
    """
    # A canvas of 8 bits a channel and no colour table.
    before = b"GIF89a" + struct.pack("<HHBBB", *size, 0x70, 0, 0) + _netscape(loop)
    for data in _counted(frames, count):
        if data is None:
            yield b""
            continue
        frame = _read_gif(data)
        _require(frame.size, size)
        # Disposal 2 restores the background (GIF89a, section 23).
        flags = 2 << 2 | (frame.clear is not None)
        control = (4, flags, duration_ms // 10, frame.clear or 0, 0)
        yield before + b"!\xf9" + struct.pack("<BBHBB", *control)
        yield b"," + struct.pack("<HHHHB", 0, 0, *size, frame.flags) + frame.colors
        yield frame.data
        before = b""
    yield b";"


def _netscape(loop: int) -> bytes:
    """Return the application extension that says how often to play again."""
    if loop == 1:
        return b""
    # It counts how often to play after the first time; 0 is for ever.
    again = struct.pack("<BBHB", 3, 1, max(0, loop - 1), 0)
    return b"!\xff\x0bNETSCAPE2.0" + again


class _GifFrame(NamedTuple):
    """A GIF's only image; `flags` are those of its descriptor with a local table.

    `clear` is the index that is transparent; `data` has all sub-blocks.
    """

    size: Size
    flags: int
    colors: bytes
    clear: int | None
    data: bytes


def _read_gif(data: bytes) -> _GifFrame:
    """Find the image in a file that `encode` made."""
    packed = data[10]
    place = 13 + _table_bytes(packed)
    colors, clear = data[13:place], None
    while data[place] == 0x21:
        if data[place + 1] == 0xF9 and data[place + 3] & 1:
            clear = data[place + 6]
        place = _past_blocks(data, place + 2)
    left, top, width, height, own = struct.unpack_from("<HHHHB", data, place + 1)
    place += 10
    if own & 0x80:
        packed, colors = own, data[place : place + _table_bytes(own)]
        place += len(colors)
    # The interlace bit is the frame's; the size of the table that of its table.
    flags = own & 0x40 | 0x80 | packed & 7
    end = _past_blocks(data, place + 1)
    size = left + width, top + height
    return _GifFrame(size, flags, colors, clear, data[place:end])


def _table_bytes(packed: int) -> int:
    return 3 << (packed & 7) + 1 if packed & 0x80 else 0


def _past_blocks(data: bytes, place: int) -> int:
    """Return the place after sub-blocks and their terminator (section 15)."""
    while data[place]:
        place += data[place] + 1
    return place + 1


def _join_webp(
    frames: Iterator[bytes | None], count: int, size: Size, duration_ms: int, loop: int
) -> Iterator[bytes]:
    """Join WebPs (RFC 9649, section 2.7).

    The file begins with its length, so frames wait in a temporary file. Only `RIFF`
    is yielded before the last frame is there.
    """
    alpha, before = False, b"RIFF"
    with tempfile.SpooledTemporaryFile(_IN_MEMORY) as waiting:
        for data in _counted(frames, count):
            if data is None:
                yield b""
                continue
            frame = _read_webp(data)
            _require(frame.size, size)
            waiting.write(_anmf(frame, duration_ms))
            alpha |= frame.alpha
            if waiting.tell() > _MOST_RIFF - 64:
                raise Undrawable("The frames are over 4 GiB, the most of a WebP.")
            yield before
            before = b""
        head = _webp_head(size, alpha, loop)
        yield struct.pack("<I", len(head) + waiting.tell()) + head
        waiting.seek(0)
        while piece := waiting.read(_PIECE):
            yield piece


def _webp_head(size: Size, alpha: bool, loop: int) -> bytes:
    flags = 0x02 | 0x10 * alpha
    canvas = struct.pack("<I", flags) + _uint24(size[0] - 1) + _uint24(size[1] - 1)
    repeat = struct.pack("<IH", 0, loop)
    return b"WEBP" + _riff(b"VP8X", canvas) + _riff(b"ANIM", repeat)


def _anmf(frame: "_WebpFrame", duration_ms: int) -> bytes:
    """Return a frame that is not blended with the one before, and not cleared."""
    width, height = frame.size
    numbers = (0, 0, width - 1, height - 1, duration_ms)
    header = b"".join(map(_uint24, numbers)) + b"\x02"
    return _riff(b"ANMF", header + frame.chunks)


def _uint24(value: int) -> bytes:
    return value.to_bytes(3, "little")


def _riff(kind: bytes, content: bytes | memoryview) -> bytes:
    padding = b"\0" * (len(content) % 2)
    return b"".join((kind, struct.pack("<I", len(content)), content, padding))


class _WebpFrame(NamedTuple):
    """The chunks of one image, ALPH and VP8 or VP8L, as they stand in the file."""

    size: Size
    alpha: bool
    chunks: bytes


def _read_webp(data: bytes) -> _WebpFrame:
    """Find the image in a file that `encode` made."""
    view, place = memoryview(data), 12
    size, alpha, kept = (0, 0), False, []
    while place < len(data):
        kind = data[place : place + 4]
        (length,) = struct.unpack_from("<I", data, place + 4)
        content = view[place + 8 : place + 8 + length]
        if kind == b"ALPH":
            alpha = True
        elif kind == b"VP8L":
            # After the signature 0x2f: 14 bits a side, less one, and one for alpha.
            (bits,) = struct.unpack_from("<I", content, 1)
            size = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
            alpha = bool(bits >> 28 & 1)
        elif kind == b"VP8 ":
            # RFC 6386, section 9.1: two bits of scaling above each side.
            width, height = struct.unpack_from("<HH", content, 6)
            size = width & 0x3FFF, height & 0x3FFF
        if kind in (b"ALPH", b"VP8L", b"VP8 "):
            kept.append(_riff(kind, content))
        place += 8 + length + length % 2
    return _WebpFrame(size, alpha, b"".join(kept))


def _join_apng(
    frames: Iterator[bytes | None], count: int, size: Size, duration_ms: int, loop: int
) -> Iterator[bytes]:
    """Join PNGs (PNG specification, third edition, section 11.3.6).

    An APNG has one colour type, and frames come in any: all are written as RGBA.
    """
    header = struct.pack(">IIBBBBB", *size, 8, 6, 0, 0, 0)
    control = struct.pack(">II", count, loop)
    before = SIGNATURE + chunk(b"IHDR", header) + chunk(b"acTL", control)
    sequence = 0
    for data in _counted(frames, count):
        if data is None:
            yield b""
            continue
        stream = _rgba_stream(data, size)
        numbers = (sequence, *size, 0, 0, duration_ms, 1000, 0, 0)
        yield before + chunk(b"fcTL", struct.pack(">IIIIIHHBB", *numbers))
        if sequence == 0:
            yield chunk(b"IDAT", stream)
        else:
            sequence += 1
            # One numbering runs through fcTL and fdAT (section 11.3.6).
            yield chunk(b"fdAT", struct.pack(">I", sequence) + stream)
        sequence += 1
        before = b""
    yield chunk(b"IEND", b"")


def _rgba_stream(data: bytes, size: Size) -> bytes:
    """Return the zlib stream of a PNG's pixels as RGBA of 8 bits.

    As it stands in the file, where the file has this colour type and no interlacing.
    """
    image = PngImageFile(BytesIO(data))
    _require(image.size, size)
    if data[24:29] == b"\x08\x06\0\0\0":
        return b"".join(part for kind, part in read_chunks(data) if kind == b"IDAT")
    return compress(Picture(image.convert("RGBA")))


def _require(found: Size, size: Size) -> None:
    if found != size:
        reason = f"is {found[0]}x{found[1]} in one frame, not {size[0]}x{size[1]}"
        raise BadParameter(Fault("size", f"{reason}: frames must be of one size"))


def _counted(frames: Iterator[bytes | None], count: int) -> Iterator[bytes | None]:
    """Pass frames on; raise ValueError where they are not as many as announced."""
    passed = 0
    for frame in frames:
        passed += frame is not None
        if passed > count:
            raise ValueError(f"there are more than {count} frames")
        yield frame
    if passed < count:
        raise ValueError(f"there are {passed} frames instead of {count}")


_ROWS = (
    Animation("gif", "image/gif", "gif", _join_gif, step_ms=10),
    Animation("webp", "image/webp", "webp", _join_webp),
    Animation("apng", "image/apng", "png", _join_apng),
)
ANIMATIONS: Mapping[str, Animation] = MappingProxyType({row.name: row for row in _ROWS})
