"""Animations, played back by Pillow and read block by block."""

import io
import struct
import tracemalloc
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from app.renderer.base import Output, Picture
from app.renderer.encode import encode
from app.renderer.encode.animation import ANIMATIONS
from app.renderer.encode.png import read_chunks
from app.renderer.errors import BadParameter
from tests.renderer.encode.pictures import pictures

NAMES = tuple(ANIMATIONS)
SIZE = (60, 40)


def clear_dot(center: tuple[int, int]) -> Picture:
    """A dot on nothing, so that what is below would be seen."""
    image = Image.new("RGBA", SIZE, (0, 0, 0, 0))
    x, y = center
    ImageDraw.Draw(image).ellipse((x - 9, y - 9, x + 9, y + 9), (200, 30, 60, 255))
    return Picture(image)


def colourful() -> Picture:
    """More colours than a palette holds."""
    return Picture(Image.radial_gradient("L").convert("RGB").resize(SIZE))


def story() -> list[Picture]:
    """Frames of five modes; some transparent, some not."""
    flat = Image.new("P", SIZE)
    flat.putpalette([10, 20, 30])
    return [
        clear_dot((15, 20)),
        clear_dot((40, 20)),
        colourful(),
        Picture(Image.new("L", SIZE, 77)),
        Picture(flat),
        Picture(Image.new("1", SIZE, 1)),
    ]


def encoded(name: str, shown: list[Picture]) -> list[bytes]:
    output = Output(format=ANIMATIONS[name].frame_format)
    return [encode(picture, output) for picture in shown]


def joined(
    name: str, frames: list[bytes], size=SIZE, duration_ms: int = 120, loop: int = 0
) -> bytes:
    parts = ANIMATIONS[name].join(iter(frames), len(frames), size, duration_ms, loop)
    return b"".join(parts)


def seen(image: Image.Image) -> Image.Image:
    """Return what a viewer shows: nothing of colours under full transparency."""
    image = image.convert("RGBA")
    return Image.composite(
        image, Image.new("RGBA", image.size), image.getchannel("A").point(bool, "1")
    )


def blocks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield name and content of each chunk of a RIFF file, its padding checked."""
    place = 12
    while place < len(data):
        kind, length = struct.unpack_from("<4sI", data, place)
        yield kind, data[place + 8 : place + 8 + length]
        place += 8 + length
        if length % 2:
            assert data[place] == 0
            place += 1
    assert place == len(data)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("turned", [False, True])
def test_each_frame_looks_like_its_single_image(name: str, turned: bool) -> None:
    if turned and name == "gif":
        pytest.skip("Pillow lays black, not nothing, where an opaque frame was cleared")
    frames = encoded(name, story()[::-1] if turned else story())

    with Image.open(io.BytesIO(joined(name, frames))) as film:
        assert film.n_frames == len(frames)
        assert film.size == SIZE
        for number, frame in enumerate(frames):
            film.seek(number)
            with Image.open(io.BytesIO(frame)) as single:
                assert seen(film).tobytes() == seen(single).tobytes(), number


@pytest.mark.parametrize("name", NAMES)
def test_any_pictures_come_back_exactly(name: str) -> None:
    @given(st.lists(pictures(), min_size=1, max_size=3), st.booleans())
    @settings(max_examples=40, deadline=None)
    def check(shown: list[Picture], doubled: bool) -> None:
        for picture in shown:
            frames = encoded(name, [picture] * (1 + doubled))
            data = joined(name, frames, picture.image.size)

            with Image.open(io.BytesIO(data)) as film:
                film.seek(len(frames) - 1)
                with Image.open(io.BytesIO(frames[0])) as single:
                    assert seen(film).tobytes() == seen(single).tobytes()

    check()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("duration_ms", [20, 120, 65_530])
def test_every_frame_is_shown_for_the_duration(name: str, duration_ms: int) -> None:
    data = joined(name, encoded(name, story()), duration_ms=duration_ms)

    with Image.open(io.BytesIO(data)) as film:
        for number in range(film.n_frames):
            film.seek(number)
            film.load()
            assert film.info["duration"] == duration_ms


@pytest.mark.parametrize("name", ["webp", "apng"])
@pytest.mark.parametrize("loop", [0, 1, 3, 65_535])
def test_loop_counts_how_often_all_is_played(name: str, loop: int) -> None:
    data = joined(name, encoded(name, story()), loop=loop)

    with Image.open(io.BytesIO(data)) as film:
        assert film.info["loop"] == loop


@pytest.mark.parametrize("loop,again", [(0, 0), (1, None), (3, 2), (65_535, 65_534)])
def test_a_gif_says_how_often_it_is_played_again(loop: int, again: int | None) -> None:
    data = joined("gif", encoded("gif", story()), loop=loop)

    with Image.open(io.BytesIO(data)) as film:
        assert film.info.get("loop") == again


def test_a_gif_clears_every_frame_and_has_no_global_table() -> None:
    frames = encoded("gif", story())

    data = joined("gif", frames)

    assert data[10] & 0x80 == 0
    disposals = []
    with Image.open(io.BytesIO(data)) as film:
        for number in range(film.n_frames):
            film.seek(number)
            disposals.append(film.disposal_method)
    assert disposals == [2] * len(frames)


def test_webp_frames_replace_each_other_and_keep_their_data() -> None:
    frames = encoded("webp", story())

    data = joined("webp", frames)

    assert struct.unpack_from("<4sI4s", data) == (b"RIFF", len(data) - 8, b"WEBP")
    kinds = [kind for kind, _ in blocks(data)]
    assert kinds == [b"VP8X", b"ANIM"] + [b"ANMF"] * len(frames)
    bodies = [content for kind, content in blocks(data) if kind == b"ANMF"]
    assert all(body[15] == 2 for body in bodies)
    for body, frame in zip(bodies, frames, strict=True):
        # `blocks` begins after twelve bytes of header.
        inside = dict(blocks(bytes(12) + body[16:]))
        single = dict(blocks(frame))
        assert inside == {kind: single[kind] for kind in inside}
        assert inside


@pytest.mark.parametrize("first,flag", [(clear_dot((9, 9)), 0x10), (colourful(), 0)])
def test_a_webp_says_whether_anything_is_transparent(first, flag) -> None:
    data = joined("webp", encoded("webp", [first, colourful()]))

    assert dict(blocks(data))[b"VP8X"][0] == 0x02 | flag


def test_apng_chunks_are_numbered_without_a_gap() -> None:
    frames = encoded("apng", story())

    chunks = list(read_chunks(joined("apng", frames)))

    kinds = [kind for kind, _ in chunks]
    assert kinds[:4] == [b"IHDR", b"acTL", b"fcTL", b"IDAT"]
    assert kinds[4:] == [b"fcTL", b"fdAT"] * (len(frames) - 1) + [b"IEND"]
    numbers = [bytes(data[:4]) for kind, data in chunks if kind in (b"fcTL", b"fdAT")]
    assert numbers == [number.to_bytes(4) for number in range(len(numbers))]


def test_an_apng_keeps_the_data_of_rgba_frames() -> None:
    noise = Picture(Image.effect_noise(SIZE, 90).convert("RGB"))
    noise.image.putalpha(Image.linear_gradient("L").resize(SIZE))
    frames = encoded("apng", [noise, noise])

    data = joined("apng", frames)

    stream = dict(read_chunks(frames[0]))[b"IDAT"]
    assert dict(read_chunks(data))[b"IDAT"] == stream
    assert dict(read_chunks(data))[b"fdAT"][4:] == stream


@pytest.mark.parametrize("name", NAMES)
def test_waiting_for_a_frame_is_a_tick_and_changes_nothing(name: str) -> None:
    one, two = encoded(name, story()[:2])
    frames = iter([None, one, None, None, two, None])

    parts = list(ANIMATIONS[name].join(frames, 2, SIZE, 120, 0))

    assert parts[0] == b""
    assert parts.count(b"") >= 4
    assert b"".join(parts) == joined(name, [one, two])


@pytest.mark.parametrize("name", NAMES)
def test_bytes_begin_with_the_first_frame(name: str) -> None:
    frames = iter([None, *encoded(name, story()[:2])])
    parts = ANIMATIONS[name].join(frames, 2, SIZE, 120, 0)

    assert next(parts) == b""
    assert next(parts) != b""


@pytest.mark.parametrize("name", NAMES)
def test_a_frame_of_another_size_is_an_error(name: str) -> None:
    frames = encoded(name, [clear_dot((9, 9)), Picture(Image.new("RGB", (60, 41)))])

    with pytest.raises(BadParameter, match="size: is 60x41 in one frame, not 60x40"):
        joined(name, frames)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("count", [1, 3])
def test_another_number_of_frames_than_announced_is_an_error(
    name: str, count: int
) -> None:
    frames = encoded(name, story()[:2])

    with pytest.raises(ValueError, match="frames"):
        list(ANIMATIONS[name].join(iter(frames), count, SIZE, 120, 0))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("duration_ms", [19, 65_531, 0, -20])
def test_a_duration_out_of_bounds_is_refused(name: str, duration_ms: int) -> None:
    with pytest.raises(BadParameter, match="duration: must be 20 to 65,530 ms"):
        ANIMATIONS[name].check(duration_ms)


def test_only_a_gif_counts_in_hundredths_of_a_second() -> None:
    ANIMATIONS["gif"].check(120)
    ANIMATIONS["webp"].check(125)
    ANIMATIONS["apng"].check(125)

    with pytest.raises(BadParameter, match="duration: must be a multiple of 10 ms"):
        ANIMATIONS["gif"].check(125)


@pytest.mark.parametrize("name", NAMES)
def test_memory_does_not_grow_with_the_number_of_frames(name: str) -> None:
    noise = Image.effect_noise((300, 300), 90)
    (frame,) = encoded(name, [Picture(noise)])

    def most(count: int) -> int:
        frames = (frame for _ in range(count))
        tracemalloc.start()
        for _ in ANIMATIONS[name].join(frames, count, noise.size, 120, 0):
            pass
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    assert most(120) < most(40) + 200_000
    assert len(frame) > 20_000
