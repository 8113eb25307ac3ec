"""Pictures as people have them are drawn, or refused with the reason."""

import base64
import io
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient
from PIL import Image
from werkzeug.test import TestResponse

from app import create_app
from app.config import Settings
from app.renderer import image_file
from tests.ugly_pictures import (
    BLUE,
    HALVES,
    NS,
    RED,
    SVG,
    alpha_bmp,
    cmyk_profile,
    deep_png,
    display_p3,
    exif,
    grey_profile,
    halves,
    heic,
    percent,
    png,
    rgb_profile,
    saved,
    tiff,
    turned,
    uri,
)

LEFT, RIGHT = (800, 315), (1180, 315)
# The ground of a card.
PAPER = (0xFB, 0xF7, 0xEF)
# The largest difference that a lossy format may make.
LOSS = 6

Ask = Callable[..., TestResponse]


@pytest.fixture(scope="module")
def server() -> Iterator[Flask]:
    made = create_app(
        Settings(store="none", system_fonts=False, access_log=False), environ={}
    )
    yield made
    made.extensions["mimeo"].close()


@pytest.fixture
def client(server: Flask) -> FlaskClient:
    return server.test_client()


@pytest.fixture
def send(client: FlaskClient) -> Callable[[bytes], TestResponse]:
    """Sends a file as the image of a card."""

    def post(data: bytes) -> TestResponse:
        parts = {"title": "x", "image": (io.BytesIO(data), "picture")}
        return client.post("/images/card.png", data=parts)

    return post


def seen(answer: TestResponse) -> tuple[Any, Any]:
    """Return the colours on the left and on the right of the card's image."""
    assert answer.status_code == 200, answer.get_data(as_text=True)
    image = Image.open(io.BytesIO(answer.data)).convert("RGB")
    return image.getpixel(LEFT), image.getpixel(RIGHT)


def is_near(found: Any, wanted: tuple[int, int, int], most: int = LOSS) -> bool:
    return max(abs(a - b) for a, b in zip(found, wanted, strict=True)) <= most


def reason(answer: TestResponse) -> str:
    assert answer.status_code == 422
    assert answer.json is not None
    assert answer.json["field"] == "image"
    return str(answer.json["errors"][0]["reason"])


@pytest.mark.parametrize("kind", HALVES)
def test_an_image_of_each_kind_is_drawn_upright_in_its_colours(kind, send):
    left, right = seen(send(HALVES[kind]))

    assert is_near(left, RED) and is_near(right, BLUE)


@pytest.mark.parametrize(
    ("data", "level"),
    [
        (deep_png(0x4567), 0x45),
        (deep_png(0xFFFF), 0xFF),
        (deep_png(0x00FF), 0),
        (tiff(np.full((40, 80), 0x4567, "<u2"), 16, 1), 0x45),
        (tiff(np.full((40, 80), 0x4567, "<u2"), 16, 0), 0xFF - 0x45),
        (png(4, 16, [struct.pack(">HH", 0x4567, 0xFFFF) * 40] * 20), 0x45),
        (png(0, 1, [b"\xff" * 10] * 40), 0xFF),
        (png(0, 4, [b"\x44" * 40] * 40), 0x44),
        (saved(Image.new("L", (40, 40), 0x45), "JPEG"), 0x45),
        (saved(Image.new("1", (40, 40), 1), "TIFF", compression="group4"), 0xFF),
    ],
    ids=[
        *("PNG of 16 bits", "white", "nearly black", "TIFF of 16 bits", "white is 0"),
        *("with alpha", "1 bit", "4 bits", "JPEG", "fax"),
    ],
)
def test_grey_keeps_its_level_whatever_its_depth(data, level, send):
    left, _ = seen(send(data))

    assert left == (level, level, level)


@pytest.mark.parametrize(
    "data",
    [
        deep_png(0x8000, tRNS=struct.pack(">H", 0x8000)),
        png(
            2,
            16,
            [struct.pack(">3H", 0x8001, 0x1234, 0) * 40] * 20,
            tRNS=struct.pack(">3H", 0x8001, 0x1234, 0),
        ),
        png(3, 8, [bytes(40)] * 20, PLTE=bytes(RED), tRNS=b"\0"),
        saved(Image.new("P", (40, 20)), "GIF", transparency=0),
        saved(Image.new("LA", (40, 20), (9, 0)), "PNG"),
        saved(Image.new("RGBA", (40, 20), (9, 9, 9, 0)), "WEBP", lossless=True),
        f'<svg {NS} viewBox="0 0 9 9"><path d="M0 0"/></svg>'.encode(),
    ],
    ids=["16 bits", "48 bits", "palette", "GIF", "grey", "WebP", "SVG"],
)
def test_what_is_transparent_shows_the_ground(data, send):
    assert seen(send(data)) == (PAPER, PAPER)


def test_a_bitmap_of_version_5_keeps_its_alpha(send):
    assert seen(send(alpha_bmp())) == (RED, PAPER)


CYAN = Image.new("CMYK", (80, 40), (255, 0, 0, 0))
GREEN = (0, 169, 68)


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        (saved(CYAN, "JPEG", icc_profile=cmyk_profile()), GREEN),
        (saved(CYAN, "TIFF", icc_profile=cmyk_profile()), GREEN),
        (saved(CYAN, "JPEG"), (0, 255, 255)),
        # Of no use for inks, so passed by.
        (saved(CYAN, "JPEG", icc_profile=display_p3()), (0, 255, 255)),
        (saved(halves(), "PNG", icc_profile=rgb_profile(1, 0, 2)), (24, 221, 24)),
        (saved(halves(), "PNG", icc_profile=display_p3()), (241, 0, 0)),
        (
            saved(halves().convert("RGBA"), "PNG", icc_profile=display_p3()),
            (241, 0, 0),
        ),
        (saved(halves().quantize(8), "PNG", icc_profile=display_p3()), (241, 0, 0)),
        (
            saved(turned(6), "JPEG", icc_profile=display_p3(), exif=exif(6)),
            (241, 0, 0),
        ),
        (
            saved(Image.new("L", (9, 9), 100), "PNG", icc_profile=grey_profile(1)),
            (168, 168, 168),
        ),
        (saved(halves(), "PNG", icc_profile=cmyk_profile()), RED),
        (saved(halves(), "PNG", icc_profile=b"nonsense" * 30), RED),
    ],
    ids=[
        *("CMYK", "CMYK, TIFF", "CMYK without a profile", "CMYK with another's"),
        *("primaries in another order", "Display P3", "P3 with alpha"),
        *("P3 with a palette", "a telephone's photograph", "grey"),
        *("a printer's profile", "a broken profile"),
    ],
)
def test_colours_are_those_of_the_embedded_profile(data, wanted, send):
    left, _ = seen(send(data))

    assert is_near(left, wanted)


def test_black_in_ink_is_black(send):
    black = Image.new("CMYK", (80, 40), (0, 0, 0, 255))

    left, _ = seen(send(saved(black, "JPEG", icc_profile=cmyk_profile())))

    assert is_near(left, (0, 0, 0))


@pytest.mark.parametrize("orientation", [1, 6])
def test_a_photograph_of_a_telephone_in_heic_is_upright(orientation, send):
    left, right = seen(send(heic(orientation)))

    assert is_near(left, RED) and is_near(right, BLUE)


@pytest.mark.parametrize(
    ("kind", "note"),
    [
        ("GIF that moves", "image: only the first frame is drawn"),
        ("WebP that moves", "image: only the first frame is drawn"),
        ("TIFF of two pages", "image: only the first page is drawn"),
        ("MPO", None),
        ("GIF", None),
    ],
)
def test_what_is_left_out_of_an_image_is_said(kind, note, send):
    assert send(HALVES[kind]).headers.get("X-Media-Warnings") == note


@pytest.mark.parametrize("lost", [1, 2])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_jpeg_that_lacks_its_end_mark_alone_is_drawn(lost, mode, send):
    whole = saved(halves().convert(mode), "JPEG", quality=95)
    assert whole.endswith(b"\xff\xd9")

    answer = send(whole[:-lost])

    assert answer.data == send(whole).data
    note = "image: is cut off behind its last pixel: its end mark is missing"
    assert answer.headers["X-Media-Warnings"] == note


@pytest.mark.parametrize("lost", [3, 10, 300])
@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_that_lacks_pixels_is_refused(lost, progressive, send):
    noise = np.random.default_rng(1).integers(0, 255, (64, 96, 3), np.uint8)
    whole = saved(Image.fromarray(noise), "JPEG", progressive=progressive)

    answer = send(whole[: -2 - lost])

    assert answer.status_code == 422
    assert "the JPEG is cut off" in answer.get_json()["detail"]


def test_a_progressive_jpeg_that_lacks_whole_scans_is_refused(send):
    whole = saved(halves(), "JPEG", quality=95, progressive=True)
    scans = [k for k in range(len(whole)) if whole[k : k + 2] in (b"\xff\xda", TABLE)]
    assert len(scans) > 6

    for cut in (*scans[2:], len(whole) - 2, len(whole) - 1):
        answer = send(whole[:cut])
        assert answer.status_code == 422
        assert "is cut off" in answer.get_json()["detail"]


TABLE = b"\xff\xc4"
JPEG = saved(halves(), "JPEG", quality=95)
TEXT = base64.b64encode(JPEG).decode()
SPELLINGS = {
    "lines of 76": base64.encodebytes(JPEG).decode(),
    "lines of a letter": base64.encodebytes(JPEG).decode().replace("\n", "\r\n"),
    "URL-safe": base64.urlsafe_b64encode(JPEG).decode(),
    "without padding": TEXT.rstrip("="),
    "image/jpg": uri(JPEG, "image/jpg"),
    "Python's repr()": repr(base64.b64encode(JPEG)),
    "JSON in JSON": f'"{TEXT}"',
    "CSS": f"url('{uri(JPEG, 'image/jpeg')}')",
    "head twice": f"data:image/jpeg;base64,{uri(JPEG, 'image/jpeg')}",
    "SVG, percent-encoded": percent(SVG.encode()),
    "SVG, as it is": SVG,
    "SVG in a data URI as it is": f"data:image/svg+xml;utf8,{SVG}",
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_an_image_in_text_is_read_in_each_spelling(spelling, client):
    values = {"title": "x", "image": SPELLINGS[spelling]}

    answers = [
        client.post("/images/card.png", json=values),
        client.post("/images/card.png", data=values),
    ]

    for answer in answers:
        left, right = seen(answer)
        assert is_near(left, RED) and is_near(right, BLUE)
    assert answers[0].headers["ETag"] == answers[1].headers["ETag"]


@pytest.mark.parametrize(
    ("sent", "why"),
    [
        ("blob:https://example.org/3f1", "is an address that its page alone can read"),
        ("undefined", "is what a program writes that has no image"),
        ("[object File]", "is what a program writes that has no image"),
        ("photos/ada lovelace.JPG", "is the name of a file"),
        ("C:\\photos\\ada.png", "is the name of a file"),
        ("file:///home/ada/a.png", "is the name of a file"),
    ],
)
def test_what_is_sent_in_place_of_an_image_is_told_what_it_is(sent, why, client):
    answer = client.post("/images/card.png", json={"title": "x", "image": sent})

    assert reason(answer).startswith(why)
    assert "send the image itself" in reason(answer)


def test_a_file_without_a_file_name_is_told_what_it_lacks(client):
    body = (
        b'--x\r\nContent-Disposition: form-data; name="image"\r\n'
        b"Content-Type: image/jpeg\r\n\r\n" + JPEG + b"\r\n--x--\r\n"
    )

    answer = client.post(
        "/images/card.png", data=body, content_type="multipart/form-data; boundary=x"
    )

    assert answer.status_code == 400
    assert "needs a filename in its Content-Disposition" in answer.json["detail"]


def test_a_plus_that_a_form_made_a_blank_is_a_plus_again(client):
    noise = np.random.default_rng(1).integers(0, 255, (60, 60, 3), "u1")
    data = saved(Image.fromarray(noise), "PNG")
    text = base64.b64encode(data).decode()
    assert text.count("+") > 20

    right = client.post("/images/card.png", data={"title": "x", "image": text})
    spoilt = client.post(
        "/images/card.png",
        data=f"title=x&image={text}",
        content_type="application/x-www-form-urlencoded",
    )

    assert (spoilt.status_code, spoilt.data) == (200, right.data)


def test_blanks_that_may_be_a_plus_are_refused_with_the_way_out(client):
    data = b"\x89PNG\r\n\x1a\n\0" + b"\xfb\xef\xbe" * 3 + b"x"
    text = base64.b64encode(data).decode()

    answer = client.post(
        "/images/card.png",
        data=f"title=x&image={text}",
        content_type="application/x-www-form-urlencoded",
    )

    assert "%2B" in reason(answer)


def bomb(side: int) -> bytes:
    """Return a PNG that claims to be larger than it is."""
    data = bytearray(HALVES["PNG"])
    data[16:24] = struct.pack(">II", side, side)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    return bytes(data)


def icon_of(data: bytes) -> bytes:
    entry = struct.pack("<BBBBHHII", 0, 0, 0, 0, 1, 32, len(data), 22)
    return b"\0\0\1\0\1\0" + entry + data


LAUGHS = (
    "<!DOCTYPE svg ["
    + "".join(
        f'<!ENTITY l{n} "{f"&l{n - 1};" * 10 if n else "ha"}">' for n in range(10)
    )
    + f"]><svg {NS} viewBox='0 0 9 9'><text>&l9;</text></svg>"
).encode()


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "is empty"),
        (b"<!doctype html><title>404</title>", "is an HTML page and no image"),
        (b'{"error": "not found"}', "is JSON and no image"),
        (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3", "is a PDF and no image"),
        (b"PK\3\4" + bytes(40), "is a ZIP archive"),
        (b"just words", "is text and no image"),
        (b"\0\0\0\x18ftypisom" + bytes(40), "is a film and no image"),
        (b"\0\0\0\x18ftypqt  " + bytes(40), "is a film and no image"),
        (b"8BPS\0\1" + bytes(40), "is a Photoshop document"),
        (b"\xff\x0a" + bytes(40), "is JPEG XL"),
        (b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(40), "is JPEG 2000"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "is PostScript"),
        (b"\1\2\3\4" * 9, "is not an image in a known format: PNG, JPEG"),
        (JPEG[:-100], "is a damaged image: the JPEG is cut off"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "is a damaged image: the image has"),
        (HALVES["PNG"][:60], "is a damaged image: the PNG is cut off"),
        (HALVES["TIFF"][:900], "is a damaged image: the TIFF is cut off"),
        (HALVES["BMP"][:900], "is a damaged image: the BMP is cut off"),
        (HALVES["WebP"][:36], "is a damaged image: the WebP is cut off"),
        (SVG[:-6].encode(), "is a damaged image: the SVG is cut off"),
        (
            SVG.replace("/>", ">", 1).encode(),
            "line 1 of the SVG: mismatched tag",
        ),
        (
            SVG.replace("<rect", "<image href='https://a.example/b.png'/><rect", 1),
            "it refers to https://a.example/b.png, which is not in it",
        ),
        (
            SVG.replace("<rect", "<use href='other.svg#a'/><rect", 1),
            "it refers to other.svg#a",
        ),
        (
            SVG.replace("#dc1e1e", "url(https://a.example/b.svg#c)"),
            "it refers to https://a.example/b.svg#c",
        ),
        (LAUGHS, "is an SVG that fails"),
        (tiff(np.full((9, 9), 0.5, "<f4"), 32, 1, 3), "samples of floating point"),
        (saved(Image.new("RGB", (9000, 1)), "PNG"), "times as long as it is wide"),
    ],
)
def test_what_is_no_image_is_refused_with_the_reason(data, why, send):
    data = data.encode() if isinstance(data, str) else data

    assert why in reason(send(data))


@pytest.mark.parametrize(
    "data",
    [bomb(20_000), icon_of(bomb(20_000))],
    ids=["PNG", "PNG in an ICO"],
)
def test_an_image_with_too_many_pixels_names_the_limit(data, send):
    answer = send(data)

    assert (answer.status_code, answer.json["field"]) == (422, "image")
    assert answer.json["detail"] == (
        "image: 400,000,000 is over the limit MIMEO_MAX_IMAGE_PIXELS of 50,000,000."
    )


def test_heic_without_its_reader_says_so_and_what_to_do(send, monkeypatch):
    monkeypatch.setattr(image_file, "_register_heif", lambda: False)
    data = heic() + b"another, so that nothing is remembered of it"

    said = reason(send(data))

    assert "HEIC" in said and "mimeo[heif]" in said and "JPEG" in said


def test_fonts_and_html_inside_of_an_svg_are_said_to_be_left_out(send):
    style = "<style>@import url(https://a.example/font.css);</style>"
    foreign = "<foreignObject width='9' height='9'/>"
    data = SVG.replace("<rect", f"{style}{foreign}<rect", 1).encode()

    answer = send(data)

    assert answer.status_code == 200
    assert answer.headers["X-Media-Warnings"] == (
        "image: fonts of its own are not loaded, image: foreignObject is not drawn"
    )


def test_an_svg_is_as_sharp_as_where_it_is_drawn(send):
    icon = f'<svg {NS} width="8" height="8" viewBox="0 0 8 8"><path fill="red"'
    icon += ' d="M0 0h4v8H0z"/><path fill="blue" d="M4 0h4v8H4z"/></svg>'

    answer = send(icon.encode())

    image = Image.open(io.BytesIO(answer.data)).convert("RGB")
    row = [image.getpixel((x, 315)) for x in range(780, 1200)]
    assert len([p for p in row if p not in ((255, 0, 0), (0, 0, 255))]) <= 3
