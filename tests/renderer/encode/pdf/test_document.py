"""The PDF of many pages, read back by pypdf and entry by entry."""

import io
import re
import struct
import tracemalloc
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from PIL import Image
from pypdf import PdfReader

from app.renderer.base import Compression, Picture
from app.renderer.encode import encode_png
from app.renderer.encode.pdf import document
from app.renderer.encode.pdf.document import PdfPage
from app.renderer.encode.pdf.picture import picture_page
from app.renderer.encode.png import SIGNATURE, chunk, read_chunks
from app.renderer.errors import Undrawable
from tests.renderer.encode.pictures import pictures


def bound(*sheets: PdfPage | None) -> bytes:
    return b"".join(document.pages(iter(sheets)))


def sized(data: bytes, scale: float = 1, credits: tuple[str, ...] = ()) -> PdfPage:
    """Return a page of a PNG, so many pixels a point."""
    width, height = struct.unpack_from(">II", data, 16)
    return picture_page(data, (width / scale, height / scale), credits)


def png(color: str = "#c04060", size: tuple[int, int] = (40, 30)) -> bytes:
    return encode_png(Picture(Image.new("RGB", size, color)))


def stored(image: Image.Image, **options) -> bytes:
    """Return a PNG as Pillow writes it."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG", **options)
    return buffer.getvalue()


def picture_of(page) -> Image.Image:
    (file,) = page.images
    return file.image.convert("RGBA")


def embedded(data: bytes, number: int = 0):
    """Return the image dictionary of a page."""
    page = PdfReader(io.BytesIO(data), strict=True).pages[number]
    (image,) = page["/Resources"]["/XObject"].values()
    return image.get_object()


def rebuilt(image) -> Image.Image:
    """Read an image as a PDF reader does, with the filters of Pillow.

    pypdf 6 undoes the filter Sub wrongly where a byte holds more than one pixel.
    """
    space, parameters = image["/ColorSpace"], image["/DecodeParms"]
    colors = b""
    if isinstance(space, list):
        name, base, last, table = (part.get_object() for part in space)
        entries = bytes(table.original_bytes)
        assert (name, base, len(entries)) == ("/Indexed", "/DeviceRGB", 3 * last + 3)
        colors = chunk(b"PLTE", entries)
    kind = 3 if colors else {"/DeviceGray": 0, "/DeviceRGB": 2}[space]
    assert image["/Filter"] == "/FlateDecode"
    assert parameters["/Predictor"] == 15
    assert parameters["/Colors"] == (3 if kind == 2 else 1)
    assert parameters["/BitsPerComponent"] == image["/BitsPerComponent"]
    assert parameters["/Columns"] == image["/Width"]
    size, depth = (image["/Width"], image["/Height"]), image["/BitsPerComponent"]
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", *size, depth, kind, 0, 0, 0))
    data = chunk(b"IDAT", image._data) + chunk(b"IEND", b"")
    shown = Image.open(io.BytesIO(SIGNATURE + header + colors + data)).convert("RGB")
    if "/SMask" in image:
        shown.putalpha(rebuilt(image["/SMask"]).convert("L"))
    return shown.convert("RGBA")


@pytest.mark.parametrize("compression", [None, "fast", "small"])
def test_any_picture_comes_back_exactly(compression: Compression | None) -> None:
    @given(pictures())
    @settings(max_examples=120, deadline=None)
    def check(picture: Picture) -> None:
        data = bound(sized(encode_png(picture, compression), 1))

        shown = rebuilt(embedded(data))
        assert shown.tobytes() == picture.image.convert("RGBA").tobytes()

    check()


@given(pictures(("L", "RGB", "RGBA")))
@settings(max_examples=60, deadline=None)
def test_another_reader_sees_the_same_pixels(picture: Picture) -> None:
    data = bound(sized(encode_png(picture), 1))

    (page,) = PdfReader(io.BytesIO(data), strict=True).pages
    assert picture_of(page).tobytes() == picture.image.convert("RGBA").tobytes()


@pytest.mark.parametrize(
    "image,options",
    [
        (Image.linear_gradient("L").convert("LA"), {}),
        (Image.linear_gradient("L").convert("RGB"), {"transparency": (9, 9, 9)}),
        (Image.linear_gradient("L"), {"transparency": 40}),
        (Image.linear_gradient("L").convert("RGBA"), {}),
    ],
)
def test_what_cannot_be_embedded_is_decoded(image, options) -> None:
    data = stored(image, **options)

    (page,) = PdfReader(io.BytesIO(bound(sized(data, 1))), strict=True).pages

    with Image.open(io.BytesIO(data)) as original:
        assert picture_of(page).tobytes() == original.convert("RGBA").tobytes()


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB"])
def test_opaque_data_is_embedded_as_it_stands(mode: str) -> None:
    file = stored(Image.effect_noise((90, 70), 80).convert(mode))

    image = embedded(bound(sized(file, 1)))

    parts = [bytes(part) for kind, part in read_chunks(file) if kind == b"IDAT"]
    assert image._data == b"".join(parts)
    assert "/SMask" not in image


def test_data_in_many_chunks_is_joined() -> None:
    noise = Image.effect_noise((600, 600), 90).convert("RGB")
    file = stored(noise)
    assert sum(kind == b"IDAT" for kind, _ in read_chunks(file)) > 1

    (page,) = PdfReader(io.BytesIO(bound(sized(file, 1))), strict=True).pages

    assert picture_of(page).tobytes() == noise.convert("RGBA").tobytes()


def test_a_mask_is_only_there_for_what_is_transparent() -> None:
    clear, opaque = (Image.new("RGBA", (9, 9), (1, 2, 3, alpha)) for alpha in (9, 255))

    data = bound(sized(stored(clear), 1), sized(stored(opaque), 1))

    assert embedded(data, 0)["/SMask"]["/ColorSpace"] == "/DeviceGray"
    assert "/SMask" not in embedded(data, 1)


@pytest.mark.parametrize(
    "size,scale,points",
    [
        ((1200, 630), 1, (1200, 630)),
        ((1200, 630), 2, (600, 315)),
        ((100, 50), 1.5, (66.66667, 33.33333)),
        ((1, 1), 3, (0.33333, 0.33333)),
    ],
)
def test_a_page_has_the_size_that_it_was_given(size, scale, points) -> None:
    reader = PdfReader(io.BytesIO(bound(sized(png(size=size), scale))))

    box = reader.pages[0].mediabox
    assert (float(box.width), float(box.height)) == points


def test_a_page_of_more_than_14400_points_has_larger_units() -> None:
    reader = PdfReader(io.BytesIO(bound(sized(png(size=(40_000, 3)), 1))))

    page = reader.pages[0]
    assert page["/UserUnit"] == 3
    assert float(page.mediabox.width) * 3 == pytest.approx(40_000, abs=0.001)


@pytest.mark.parametrize("count", [1, 99, 100, 101, 350])
def test_pages_come_in_order_whatever_their_number(count: int) -> None:
    sheets = [sized(png(size=(number + 1, 2)), 1) for number in range(count)]

    reader = PdfReader(io.BytesIO(bound(*sheets)), strict=True)

    assert len(reader.pages) == count
    widths = [int(page.mediabox.width) for page in reader.pages]
    assert widths == list(range(1, count + 1))


def test_the_table_points_at_every_object() -> None:
    clear = stored(Image.new("RGBA", (9, 9)))
    data = bound(*[sized(png(), 1), sized(clear, 2)] * 70)

    start = int(data.split(b"startxref\n")[1].split()[0])
    first, *entries = re.findall(rb"(\d{10}) \d{5} ([nf]) \n", data[start:])
    assert data[start:].startswith(b"xref\n0 %d\n" % (len(entries) + 1))
    assert first == (b"0000000000", b"f")
    for number, (offset, kind) in enumerate(entries, 1):
        assert kind == b"n"
        assert data[int(offset) :].startswith(b"%d 0 obj\n" % number)


def test_equal_pages_give_equal_bytes_and_others_another_id() -> None:
    one, other = sized(png("red"), 1), sized(png("blue"), 1)

    first, again, different = bound(one), bound(one), bound(other)

    assert first == again
    ids = [PdfReader(io.BytesIO(data)).trailer["/ID"][0] for data in (first, different)]
    assert ids[0] != ids[1]
    assert b"Date" not in first


@pytest.mark.parametrize("title", ["", "Badges", "Prüfung (2) \\ 中文 🎉"])
def test_the_title_may_be_any_text(title: str) -> None:
    reader = PdfReader(io.BytesIO(bound(sized(png(), 1)._replace(title=title))))

    assert (reader.metadata.title or "") == title


def test_the_subject_says_once_whose_artwork_is_in_the_pages() -> None:
    pages = [sized(png(), 1, ("Art: Ada, CC-BY",)), sized(png(), 1)] * 2

    reader = PdfReader(io.BytesIO(bound(*pages)))

    assert reader.metadata.subject == "Art: Ada, CC-BY"


def test_title_and_language_are_those_that_all_pages_have() -> None:
    page = sized(png(), 1)._replace(title="Cards", lang="ja")

    same = PdfReader(io.BytesIO(bound(page, page)))
    other = PdfReader(io.BytesIO(bound(page, page._replace(title="Cars", lang="de"))))

    assert (same.metadata.title, same.root_object["/Lang"]) == ("Cards", "ja")
    assert not other.metadata.title
    assert "/Lang" not in other.root_object


def test_what_pages_share_is_written_once() -> None:
    noise = sized(stored(Image.effect_noise((200, 200), 90)), 1)

    one, many = bound(noise), bound(*[noise] * 50)

    assert len(many) < len(one) + 50 * 400
    assert len(PdfReader(io.BytesIO(many), strict=True).pages) == 50


def test_what_was_forgotten_is_written_again(monkeypatch) -> None:
    monkeypatch.setattr(document, "_MOST_KNOWN", 4)
    sheets = [sized(png(size=(20 + number, 9)), 1) for number in range(9)]

    reader = PdfReader(io.BytesIO(bound(*sheets, *sheets)), strict=True)

    widths = [picture_of(page).width for page in reader.pages]
    assert widths == [20 + number for number in range(9)] * 2


def test_a_page_is_read_back_from_its_file() -> None:
    clear = stored(Image.new("RGBA", (9, 9), (1, 2, 3, 4)))
    page = sized(clear, 2, ("Art: Ada", "CC-BY"))
    page = page._replace(title="Prüfung (2)", lang="zh-Hant")

    data = bound(page)

    assert bound(next(document.read_pages(data))) == data
    assert bound(next(document.read_pages(data)), page) == bound(page, page)


def test_waiting_for_an_image_is_a_tick_and_changes_nothing() -> None:
    one, two = sized(png("red"), 1), sized(png("blue"), 1)

    parts = list(document.pages(iter([None, one, None, None, two, None])))

    assert parts[0] == b""
    assert parts.count(b"") == 4
    assert b"".join(parts) == bound(one, two)


def test_a_pdf_has_a_page() -> None:
    with pytest.raises(ValueError, match="without pages"):
        bound(None)


def test_a_file_too_long_for_its_table_is_an_error(monkeypatch) -> None:
    monkeypatch.setattr(document, "_MOST_OFFSET", 5000)

    with pytest.raises(Undrawable, match="10 GB"):
        bound(*[sized(png(), 1)] * 50)


def test_memory_does_not_grow_with_the_number_of_pages() -> None:
    sheet = sized(stored(Image.effect_noise((300, 300), 90)), 1)

    def most(count: int) -> int:
        sheets: Iterator[PdfPage] = (sheet for _ in range(count))
        tracemalloc.start()
        for _ in document.pages(sheets):
            pass
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    assert most(400) < most(40) + 100_000
    assert sum(len(part.data or b"") for part in sheet.objects) > 50_000
