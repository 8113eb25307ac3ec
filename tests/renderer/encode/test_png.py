"""The PNG writer, read back by Pillow and chunk by chunk."""

import io
import struct
import sys
import zlib
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from PIL import Image

from app.renderer.base import Compression, Picture
from app.renderer.encode.png import encode_png
from tests.renderer.encode.clock import quickest
from tests.renderer.encode.pictures import MODES, pictures, wide

SETTINGS: tuple[Compression | None, ...] = (None, "fast", "small")


def chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield type and content of each chunk, with every CRC-32 checked by zlib."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    place = 8
    while place < len(data):
        (length,) = struct.unpack_from(">I", data, place)
        kind, content = data[place + 4 : place + 8], data[place + 8 :][:length]
        (crc,) = struct.unpack_from(">I", data, place + 8 + length)
        assert crc == zlib.crc32(kind + content)
        yield kind, content
        place += 12 + length


def header(data: bytes) -> tuple[int, ...]:
    """Return width, height, depth and colour type."""
    return struct.unpack_from(">IIBB", dict(chunks(data))[b"IHDR"])


def pixels(image: Image.Image) -> bytes:
    """Return what a viewer shows; colours under full transparency count too."""
    return image.convert("RGBA").tobytes()


@pytest.mark.parametrize("compression", SETTINGS)
@pytest.mark.parametrize("mode", MODES)
def test_any_picture_comes_back_exactly(
    mode: str, compression: Compression | None
) -> None:
    @given(pictures((mode,)))
    @settings(max_examples=60, deadline=None)
    def check(picture: Picture) -> None:
        data = encode_png(picture, compression)

        with Image.open(io.BytesIO(data)) as image:
            assert image.size == picture.image.size
            assert pixels(image) == pixels(picture.image)
        assert [kind for kind, _ in chunks(data)][-1] == b"IEND"

    check()


@pytest.mark.parametrize("compression", SETTINGS)
@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (7, 5), (9, 5)])
@pytest.mark.parametrize("mode", MODES)
def test_thin_and_odd_pictures_come_back_exactly(
    mode: str, size: tuple[int, int], compression: Compression | None
) -> None:
    picture = Picture(Image.radial_gradient("L").resize(size).convert(mode))

    data = encode_png(picture, compression)

    with Image.open(io.BytesIO(data)) as image:
        assert image.size == size
        assert pixels(image) == pixels(picture.image)


@pytest.mark.parametrize("compression", SETTINGS)
def test_a_sampled_picture_comes_back_exactly(compression: Compression | None) -> None:
    picture = wide()

    data = encode_png(picture, compression)

    with Image.open(io.BytesIO(data)) as image:
        assert pixels(image) == pixels(picture.image)


@pytest.mark.parametrize(
    ("colors", "depth"), [(1, 1), (2, 1), (3, 2), (4, 2), (5, 4), (16, 4), (17, 8)]
)
def test_a_palette_takes_as_few_bits_as_its_colours_need(
    colors: int, depth: int
) -> None:
    image = Image.frombytes("P", (23, 9), bytes(i % colors for i in range(23 * 9)))
    image.putpalette(bytes(range(3 * colors)))

    data = encode_png(Picture(image))

    assert header(data)[2:] == (depth, 3)
    assert len(dict(chunks(data))[b"PLTE"]) == 3 * colors


def test_an_opaque_palette_has_no_transparency_chunk() -> None:
    image = Image.new("P", (4, 4))
    image.putpalette(b"\xff\x00\x00\xff", "RGBA")

    data = encode_png(Picture(image))

    assert b"tRNS" not in dict(chunks(data))


def test_an_opaque_picture_loses_its_alpha_channel_where_that_pays() -> None:
    noise = wide().image.convert("RGBA")
    clear = noise.copy()
    clear.putpixel((3, 3), (1, 2, 3, 254))

    assert header(encode_png(Picture(noise)))[3] == 2
    assert header(encode_png(Picture(noise), "fast"))[3] == 2
    assert header(encode_png(Picture(clear)))[3] == 6


def test_encoding_does_not_slow_down_other_code() -> None:
    # A deflater left the vector registers in a state in which this took three times
    # as long, in the same thread, until something else cleared them.
    image = Image.new("RGBA", (1000, 600), "#123456")

    before = quickest(lambda: image.convert("L"), 20)
    for compression in SETTINGS:
        encode_png(wide(), compression)
    encode_png(Picture(Image.new("1", (90, 90))))
    after = quickest(lambda: image.convert("L"), 20)

    assert after < 1.8 * before


def test_small_writes_few_colours_as_a_palette() -> None:
    image = Image.new("RGBA", (64, 64), "#11223380")
    image.paste("#abcdef", (10, 10, 20, 20))

    data = encode_png(Picture(image), "small")

    assert header(data)[2:] == (1, 3)


def test_the_packed_buffer_is_what_is_written() -> None:
    image = Image.new("RGBA", (2, 1), "#00000000")
    packed = b"\x01\x02\x03\x04\x05\x06\x07\x08"

    data = encode_png(Picture(image, packed))

    with Image.open(io.BytesIO(data)) as written:
        assert written.tobytes() == packed


def test_equal_pictures_give_equal_bytes() -> None:
    first, second = (
        [encode_png(wide(), compression) for compression in SETTINGS] for _ in "ab"
    )

    assert first == second


@pytest.mark.parametrize("size", [(1, 1), (7, 3), (512, 512), (9, 1)])
@pytest.mark.parametrize("color", [(1, 2, 3), (1, 2, 3, 4)])
def test_one_color_is_exact_at_any_size(
    size: tuple[int, int], color: tuple[int, ...]
) -> None:
    image = Image.new("P", size, 0)
    image.putpalette(color, "RGB" if len(color) == 3 else "RGBA")

    with Image.open(io.BytesIO(encode_png(Picture(image)))) as read:
        pixels = read.convert("RGBA").getcolors()

    assert read.size == size
    assert pixels == [(size[0] * size[1], (*color, 255)[:4])]


def test_a_palette_takes_no_step_for_each_of_its_colours() -> None:
    image = Image.linear_gradient("L").convert("P")
    image.putpalette(bytes(range(256)) * 3)
    encode_png(Picture(image))
    steps = 0

    def count(frame: object, event: str, argument: object) -> None:
        nonlocal steps
        steps += event == "call"

    sys.setprofile(count)
    try:
        encode_png(Picture(image))
    finally:
        sys.setprofile(None)

    assert steps < 100
