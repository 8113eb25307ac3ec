"""Types are told by bytes, sizes by structure, and cuts are found."""

import io
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from app.renderer.probe.raster import Damaged
from app.renderer.probe.sniff import IMAGES, measure, sniff
from tests.upstream.pictures import (
    JPEG,
    JXL_BOXES,
    PNG,
    SAMPLES,
    SIZE,
    SVG,
    encode,
    held,
    picture,
)


def read(data: bytes) -> tuple[str, int, int]:
    with held(data) as image:
        return measure(image)


def assert_read_or_damaged(data: bytes) -> None:
    """Fail where reading ends in any other error."""
    try:
        _, width, height = read(data)
    except Damaged as error:
        assert str(error)
    else:
        assert width > 0 < height


def test_every_type_of_image_has_a_sample():
    assert set(SAMPLES) == IMAGES


@pytest.mark.parametrize("media_type", SAMPLES)
def test_type_and_size_are_read(media_type):
    assert read(SAMPLES[media_type]) == (media_type, *SIZE)


@pytest.mark.parametrize(
    ("media_type", "options"),
    [
        ("image/jpeg", {"progressive": True}),
        ("image/jpeg", {"exif": b"Exif\0\0" + JPEG}),
        ("image/webp", {"lossless": True}),
        ("image/webp", {"exif": b"Exif\0\0"}),
        (
            "image/webp",
            {"save_all": True, "append_images": [picture((61, 33)).rotate(180)]},
        ),
        (
            "image/gif",
            {"save_all": True, "append_images": [picture((61, 33)).rotate(180)]},
        ),
        (
            "image/png",
            {"save_all": True, "append_images": [picture((61, 33)).rotate(180)]},
        ),
        ("image/tiff", {"compression": "tiff_lzw"}),
        ("image/tiff", {"big_tiff": False, "compression": "jpeg"}),
    ],
)
def test_variants_have_the_size_that_pillow_reads(media_type, options):
    data = encode(media_type, (61, 33), **options)

    assert Image.open(io.BytesIO(data)).size == (61, 33)
    assert read(data) == (media_type, 61, 33)


def test_jpeg_xl_in_boxes_has_the_size_of_its_stream():
    assert read(JXL_BOXES) == ("image/jxl", *SIZE)


@pytest.mark.parametrize(
    ("bits", "size"),
    [
        # Small: a bit, five of height / 8 - 1, three of ratio, five of width / 8 - 1.
        (1 | 2 << 1 | 0 << 6 | 4 << 9, (40, 24)),
        # Ratio 5 is 16:9.
        (1 | 8 << 1 | 5 << 6, (128, 72)),
        # 13 bits of height, and ratio 1, square.
        (0b01 << 1 | 1_023 << 3 | 1 << 16, (1_024, 1_024)),
    ],
)
def test_jpeg_xl_has_sizes_of_several_kinds(bits, size):
    data = b"\xff\x0a" + bits.to_bytes(4, "little") + bytes(12)

    assert read(data) == ("image/jxl", *size)


@pytest.mark.parametrize(
    ("root", "size"),
    [
        (b'<svg viewBox="0 0 12.4 7">', (12, 7)),
        (b'<svg width="100%" height="100%" viewBox="-1,-1,30,20">', (30, 20)),
        (b"<svg>", (300, 150)),
        (b'<svg stroke-width="2" width="100" height="50">', (100, 50)),
        (b"<svg aria-label='width=\"2\"' width='100' height='50'>", (100, 50)),
        (b'<!-- <svg width="1" height="1"> --><svg viewBox="0 0 12 7">', (12, 7)),
    ],
)
def test_svg_has_the_size_of_its_root_or_that_of_its_view(root, size):
    assert read(root + b"</svg>") == ("image/svg+xml", *size)


# A bare JPEG XL has no length: only a decoder can tell that it was cut.
@pytest.mark.parametrize("media_type", sorted(set(SAMPLES) - {"image/jxl"}))
def test_every_cut_is_found(media_type):
    data = SAMPLES[media_type].rstrip()
    step = max(1, len(data) // 97)

    for length in [*range(0, len(data) - 1, step), len(data) - 1]:
        with pytest.raises(Damaged):
            read(data[:length])


@pytest.mark.parametrize("length", range(40, len(JXL_BOXES)))
def test_a_cut_in_the_boxes_of_jpeg_xl_is_found(length):
    with pytest.raises(Damaged):
        read(JXL_BOXES[:length])


@given(st.integers(8, len(PNG) - 1), st.integers(1, 255))
def test_a_flipped_byte_in_a_png_is_found(at, change):
    data = bytearray(PNG)
    data[at] ^= change

    with pytest.raises(Damaged):
        read(bytes(data))


@given(st.sampled_from(sorted(SAMPLES)), st.data())
def test_damage_is_never_another_error(media_type, drawn):
    data = bytearray(SAMPLES[media_type])
    for _ in range(drawn.draw(st.integers(1, 6))):
        data[drawn.draw(st.integers(0, len(data) - 1))] = drawn.draw(
            st.integers(0, 255)
        )

    assert_read_or_damaged(bytes(data))


@given(st.sampled_from(sorted(SAMPLES)), st.integers(2, 40), st.binary(max_size=80))
def test_noise_behind_a_beginning_is_never_another_error(media_type, kept, noise):
    assert_read_or_damaged(SAMPLES[media_type][:kept] + noise)


def test_bytes_behind_the_end_are_no_damage():
    assert read(PNG + b"\0" * 9) == ("image/png", *SIZE)


def test_a_jpeg_has_fill_bytes_before_its_markers():
    data = JPEG[:2] + b"\xff" * 9 + JPEG[2:]

    assert read(data) == ("image/jpeg", *SIZE)


def test_a_jpeg_of_fill_bytes_does_not_cost_seconds():
    with pytest.raises(Damaged, match="too many parts"):
        read(JPEG[:2] + b"\xff" * (8 << 20) + JPEG[2:])


@pytest.mark.parametrize("length", [0, 1])
def test_a_segment_that_is_shorter_than_its_length_is_no_other_error(length):
    segment = b"\xff\xe1" + length.to_bytes(2, "big")

    assert_read_or_damaged(JPEG[:2] + segment + JPEG[2:])


def test_an_svg_of_endless_size_is_damaged():
    with pytest.raises(Damaged, match="no size"):
        read(SVG.replace(b"40px", b"9" * 400))


def test_a_tiff_that_repeats_a_tag_does_not_cost_seconds():
    entry = struct.pack("<HHII", 273, 4, 65_536, 8)
    data = b"II*\0\x08\0\0\0" + b"\xff\xff" + entry * 65_535

    with pytest.raises(Damaged, match="no size"):
        read(data)


def test_a_png_of_empty_chunks_does_not_cost_seconds():
    empty = b"\0\0\0\0tEXt" + zlib.crc32(b"tEXt").to_bytes(4, "big")

    with pytest.raises(Damaged, match="too many parts"):
        read(PNG[:33] + empty * 70_000 + PNG[33:])


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b'{"a": 1}', "application/json"),
        (b"\xef\xbb\xbf\n [1]", "application/json"),
        (b'"text"', "application/json"),
        (b"<!DOCTYPE html><svg>", "text/html"),
        (b" <html lang=en>", "text/html"),
        (b"<!-- a --><svg viewBox='0 0 1 1'>", "image/svg+xml"),
        (b"<?xml version='1.0'?><Error/>", "application/xml"),
        (b"data: {}\n\n", "text/event-stream"),
        (b"event: done\ndata: {}\n\n", "text/event-stream"),
        (b": ping\n\n", "text/event-stream"),
        (b"data:image/png;base64,iVBO", "text/plain"),
        (b"data:;base64,iVBO", "text/plain"),
        (b"iVBORw0KGgo=", "text/plain"),
        (b"/9j/4AAQSkZJRg==", "text/plain"),
        (b"BMW is a car", "text/plain"),
        (b"PK\x03\x04", "application/zip"),
        (b"\x1f\x8b\x08", "application/gzip"),
        (b"%PDF-1.7", "application/pdf"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0mp42", None),
        (b"RIFF\0\0\0\0WAVE", None),
        (b"\x01\x02\x03", None),
        (b"", None),
        (b" \n", None),
    ],
)
def test_other_content_is_told_apart(head, kind):
    assert sniff(head) == kind


def test_what_is_no_image_is_named():
    with pytest.raises(Damaged, match="text/html"):
        read(b"<html></html>")


def test_an_image_without_area_is_refused():
    with pytest.raises(Damaged, match="no area"):
        read(SVG.replace(b"40px", b"0"))
