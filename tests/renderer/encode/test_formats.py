"""Every format, opened by an independent reader."""

import io
import time
from concurrent.futures import ThreadPoolExecutor

import pypdf
import pytest
from PIL import Image
from pydantic import ValidationError

from app.renderer.base import Output, Picture
from app.renderer.encode import EXTENSIONS, FORMATS, check, encode, encode_png
from app.renderer.encode.pdf.document import pages
from app.renderer.encode.pdf.picture import picture_page
from app.renderer.errors import BadParameter, UnknownFormat
from tests.renderer.encode.pictures import MODES

RASTER = tuple(name for name in FORMATS if name not in ("pdf", "svg"))
ENCODED = (*RASTER, "pdf")
OPTIONS = {
    "quality": 50,
    "scale": 2,
    "compression": "fast",
    "dpi": 300,
    "background": "#ffffff",
}


def drawn(mode: str = "RGBA", size: tuple[int, int] = (48, 48)) -> Picture:
    """A gradient whose left half is transparent, where the mode can be."""
    image = Image.merge("RGB", [Image.linear_gradient("L").resize(size)] * 3)
    image.putalpha(Image.new("L", size, 255))
    image.paste((0, 0, 0, 0), (0, 0, size[0] // 2, size[1]))
    return Picture(image.convert(mode) if mode != "P" else image.quantize(64))


def opened(data: bytes) -> Image.Image:
    """Open with Pillow and read every pixel."""
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def faults(output: Output, width: int = 64, height: int = 64) -> list[str]:
    """Return the fields that the check names."""
    with pytest.raises(BadParameter) as raised:
        check(output, width, height)
    return [fault.field for fault in raised.value.faults]


@pytest.mark.parametrize("size", [(48, 48), (1, 1)])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", RASTER)
def test_every_mode_opens_at_its_size(
    name: str, mode: str, size: tuple[int, int]
) -> None:
    data = encode(drawn(mode, size), Output(format=name))

    assert opened(data).size == size
    assert opened(data).get_format_mimetype() in (FORMATS[name].media_type, None, ICON)


ICON = "image/x-icon"


@pytest.mark.parametrize("mode", MODES)
def test_a_pdf_has_one_page_of_the_picture(mode: str) -> None:
    data = encode(drawn(mode), Output(format="pdf"))

    (page,) = pypdf.PdfReader(io.BytesIO(data)).pages
    assert (page.mediabox.width, page.mediabox.height) == (36, 36)
    assert page.images[0].image is not None
    assert page.images[0].image.size == (48, 48)


@pytest.mark.parametrize("mode", MODES)
def test_a_pdf_of_one_picture_is_that_of_a_collection_of_it(mode: str) -> None:
    picture = drawn(mode)

    data = encode(picture, Output(format="pdf"))

    assert data == b"".join(pages(iter([picture_page(encode_png(picture), (36, 36))])))


def test_scale_sharpens_a_pdf_and_keeps_its_page() -> None:
    data = encode(drawn(size=(96, 96)), Output(format="pdf", scale=2))

    (page,) = pypdf.PdfReader(io.BytesIO(data)).pages
    assert (page.mediabox.width, page.mediabox.height) == (36, 36)


@pytest.mark.parametrize("name", ENCODED)
def test_equal_pictures_give_equal_bytes_at_any_time(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = encode(drawn(), Output(format=name))
    later = time.gmtime(time.time() + 100_000)
    monkeypatch.setattr(time, "gmtime", lambda *_: later)

    assert encode(drawn(), Output(format=name)) == first


@pytest.mark.parametrize("name", ENCODED)
def test_threads_do_not_disturb_each_other(name: str) -> None:
    alone = encode(drawn(), Output(format=name))

    with ThreadPoolExecutor(4) as pool:
        together = pool.map(lambda _: encode(drawn(), Output(format=name)), range(8))

    assert set(together) == {alone}


@pytest.mark.parametrize("mode", ["RGBA", "P"])
@pytest.mark.parametrize("name", [n for n in RASTER if FORMATS[n].alpha])
def test_transparent_pixels_stay_transparent(name: str, mode: str) -> None:
    image = opened(encode(drawn(mode), Output(format=name))).convert("RGBA")

    assert image.getpixel((2, 24)) == (*image.getpixel((2, 24))[:3], 0)
    assert image.getpixel((40, 24))[3] == 255


@pytest.mark.parametrize("name", [n for n in RASTER if not FORMATS[n].alpha])
def test_formats_without_alpha_are_laid_on_white(name: str) -> None:
    image = opened(encode(drawn(), Output(format=name))).convert("RGB")

    assert min(image.getpixel((2, 24))) >= 250


@pytest.mark.parametrize("mode", ["RGBA", "P"])
@pytest.mark.parametrize("name", RASTER)
def test_a_background_is_laid_under_every_format(name: str, mode: str) -> None:
    output = Output(format=name, background="#ff0000")

    image = opened(encode(drawn(mode), output)).convert("RGBA")

    red, green, blue, alpha = image.getpixel((2, 24))
    assert red >= 240
    assert max(green, blue) <= 15
    assert alpha == 255


def test_a_translucent_background_stays_so_where_the_format_can() -> None:
    output = Output(format="png", background="#ff000080")

    image = opened(encode(drawn(), output)).convert("RGBA")

    assert image.getpixel((2, 24)) == (255, 0, 0, 128)


@pytest.mark.parametrize("name", ["png", "tiff", "ico"])
def test_lossless_formats_keep_every_pixel(name: str) -> None:
    picture = drawn()

    image = opened(encode(picture, Output(format=name)))

    assert image.convert("RGBA").tobytes() == picture.image.tobytes()


def test_a_gif_keeps_few_colours_exactly() -> None:
    image = Image.new("RGBA", (30, 30), "#12345600")
    image.paste("#fe8019", (0, 0, 10, 30))
    image.paste("#076678", (10, 0, 20, 30))

    again = opened(encode(Picture(image), Output(format="gif"))).convert("RGBA")

    assert again.getpixel((5, 5)) == (0xFE, 0x80, 0x19, 255)
    assert again.getpixel((15, 5)) == (0x07, 0x66, 0x78, 255)
    assert again.getpixel((25, 5))[3] == 0


def test_a_wholly_transparent_gif_is_transparent() -> None:
    picture = Picture(Image.new("RGBA", (5, 5), "#00000000"))

    image = opened(encode(picture, Output(format="gif"))).convert("RGBA")

    assert image.getextrema()[3] == (0, 0)


def test_many_colours_in_a_gif_stay_near() -> None:
    ramp = Image.linear_gradient("L")
    bands = (ramp, ramp.rotate(90), Image.new("L", ramp.size, 99))
    picture = Picture(Image.merge("RGB", bands))

    again = opened(encode(picture, Output(format="gif"))).convert("RGB")

    pairs = zip(picture.image.tobytes(), again.tobytes(), strict=True)
    assert sum(abs(a - b) for a, b in pairs) / (3 * 256 * 256) < 8


def test_quality_decides_the_size_of_lossy_formats() -> None:
    for name in ("jpg", "webp", "avif"):
        low, high = (
            len(encode(drawn(size=(200, 200)), Output(format=name, quality=quality)))
            for quality in (10, 95)
        )

        assert low < high


def test_colour_keeps_its_resolution_from_quality_90() -> None:
    sampling = [
        opened(encode(drawn(), Output(format="jpg", quality=quality))).layer[0][1:3]
        for quality in (89, 90)
    ]

    assert sampling == [(2, 2), (1, 1)]


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("name", FORMATS)
def test_an_option_is_honoured_or_named(name: str, option: str) -> None:
    output = Output.model_validate({"format": name, option: OPTIONS[option]})

    if option in FORMATS[name].options:
        check(output, 64, 64)
    else:
        assert faults(output) == [option]


def test_all_faults_are_named_at_once() -> None:
    output = Output(format="svg", quality=3, scale=2, background="#000000")

    assert faults(output) == ["quality", "scale", "background"]


@pytest.mark.parametrize(
    ("name", "longest"),
    [("webp", 16383), ("jpg", 65500), ("gif", 65535), ("avif", 32768)],
)
def test_the_longest_side_of_a_format_is_named(name: str, longest: int) -> None:
    check(Output(format=name), longest, 1)

    assert faults(Output(format=name), longest + 1, 1) == ["width"]
    assert faults(Output(format=name), 1, longest + 1) == ["height"]


@pytest.mark.parametrize("name", ["webp", "jpg", "gif"])
def test_the_longest_side_can_be_written(name: str) -> None:
    longest = FORMATS[name].side
    assert longest is not None

    data = encode(Picture(Image.new("L", (longest, 1))), Output(format=name))

    assert opened(data).size == (longest, 1)


def test_an_icon_is_square_and_at_most_256() -> None:
    check(Output(format="ico"), 256, 256)

    assert faults(Output(format="ico"), 64, 32) == ["width"]
    assert faults(Output(format="ico"), 257, 257) == ["width", "height"]


def test_an_icon_of_256_is_one_of_256() -> None:
    data = encode(drawn(size=(256, 256)), Output(format="ico"))

    assert opened(data).size == (256, 256)


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(UnknownFormat):
        check(Output(format="bmp"), 1, 1)


def test_pixels_do_not_become_svg() -> None:
    with pytest.raises(UnknownFormat):
        encode(drawn(), Output(format="svg"))


def test_extensions_name_their_format() -> None:
    assert EXTENSIONS["jpeg"] == "jpg"
    assert EXTENSIONS["tif"] == "tiff"
    assert all(EXTENSIONS[name] == name for name in FORMATS)


@pytest.mark.parametrize(
    ("given", "sides"),
    [
        ("16", [16]),
        ("16,32,48", [16, 32, 48]),
        (" 48, 16,16 ", [16, 48]),
        ("256", [256]),
    ],
)
def test_an_icon_has_the_sizes_that_were_asked_for(
    given: str, sides: list[int]
) -> None:
    picture = drawn(size=(300, 300))

    data = encode(picture, Output(format="ico", sizes=given))

    with Image.open(io.BytesIO(data)) as opened:
        icon = opened.ico
        assert sorted(icon.sizes()) == [(side, side) for side in sides]
        for side in sides:
            wanted = picture.image.convert("RGBA").resize(
                (side, side), Image.Resampling.LANCZOS
            )
            assert icon.getimage((side, side)).convert("RGBA") == wanted


@pytest.mark.parametrize("sizes", ["", "0", "257", "16,", "16;32", "016", "-16", "x"])
def test_sizes_of_an_icon_are_numbers_in_bounds(sizes: str) -> None:
    with pytest.raises(ValidationError, match="sizes"):
        Output(format="ico", sizes=sizes)


def test_sizes_are_of_a_square_that_is_large_enough_and_of_icons_alone() -> None:
    many = Output(format="ico", sizes="16,48")
    check(many, 512, 512)

    assert faults(many, 32, 32) == ["sizes"]
    assert faults(many, 64, 48) == ["width"]
    assert faults(Output(format="png", sizes="16"), 64, 64) == ["sizes"]


def test_sizes_have_one_spelling() -> None:
    assert Output(format="ico", sizes="32, 16,32").sizes == "16,32"
