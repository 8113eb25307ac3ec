import io
import re
from xml.etree import ElementTree

import pytest
import segno
import zxingcpp
from flask.testing import FlaskClient
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw
from pydantic import ValidationError

from app.renderer.builtin.qr import Parameters, build, encode
from app.renderer.errors import BadParameter

RENDERER = build(50_000_000)


def read(picture) -> str:
    ground = Image.new("RGBA", picture.image.size, "white")
    ground.alpha_composite(picture.image.convert("RGBA"))
    found = zxingcpp.read_barcode(ground.convert("L"))
    assert found is not None
    return found.text


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=99))
@example("ᄁ၀" * 3)  # Its UTF-8 is Shift JIS as well, and was written as kanji.
@settings(deadline=None, max_examples=50)
def test_any_text_reads_back(data) -> None:
    assert read(RENDERER.draw(Parameters(data=data, size=400), 1)) == data


@pytest.mark.parametrize("level", ["L", "M", "Q", "H"])
@pytest.mark.parametrize("margin", [1, 4])
@pytest.mark.parametrize("scale", [1, 1.5, 3])
def test_codes_have_the_size_whole_modules_and_read_back(level, margin, scale) -> None:
    data = "https://example.org/?q=größe"
    parameters = Parameters(data=data, size=223, level=level, margin=margin)

    picture = RENDERER.draw(parameters, scale)

    assert picture.image.size == (round(223 * scale),) * 2
    assert read(picture) == data


def test_light_may_be_transparent() -> None:
    picture = RENDERER.draw(Parameters(data="x", light="transparent"), 1)

    assert picture.image.convert("RGBA").getpixel((0, 0))[3] == 0
    assert read(picture) == "x"


def test_the_smallest_size_is_told_and_works() -> None:
    data = "x" * 200
    with pytest.raises(BadParameter) as caught:
        RENDERER.draw(Parameters(data=data, size=21), 1)
    (fault,) = caught.value.faults

    least = int(fault.reason.rpartition(" ")[2])

    assert fault.field == "size"
    assert read(RENDERER.draw(Parameters(data=data, size=least), 3)) == data
    RENDERER.draw(Parameters(data=data, size=least), 1)
    with pytest.raises(BadParameter):
        RENDERER.draw(Parameters(data=data, size=least - 1), 1)


def test_data_too_long_is_named() -> None:
    with pytest.raises(BadParameter) as caught:
        RENDERER.draw(Parameters(data="ä" * 1500, level="H", size=1000), 1)

    assert caught.value.faults[0].field == "data"


@pytest.mark.parametrize(
    "values",
    [{}, {"data": ""}, {"data": "x", "level": "Z"}, {"data": "x", "margin": "-1"}],
)
def test_bad_parameters_are_refused(values) -> None:
    with pytest.raises(ValidationError):
        Parameters.model_validate_strings(values)


def test_svg_draws_the_same_modules() -> None:
    parameters = Parameters(data="https://example.org/", size=100)
    root = ElementTree.fromstring(RENDERER.vector(parameters, 1).svg)
    pixels = RENDERER.draw(parameters, 1).image

    move, _, scale = root[1].get("transform").removeprefix("translate(").partition(") ")
    margin, module = int(move.split()[0]), int(scale[len("scale(") : -1])
    rows = re.findall(r"M(\d+) (\d+)h(\d+)v1h-\3z", root[1].get("d"))
    corners = [
        (int(x) + at, int(y)) for x, y, length in rows for at in range(int(length))
    ]

    assert (root.get("width"), root.get("height")) == ("100", "100")
    inked = {(margin + x * module, margin + y * module) for x, y in corners}
    assert all(pixels.getpixel(place) == 1 for place in inked)
    assert len(inked) * module**2 == sum(pixels.tobytes())


@pytest.mark.parametrize(
    "data",
    [
        "BEGIN:VCARD\r\nFN:Ada\r\nEND:VCARD\r\n",
        "\x1d01095060001343522110ABC\x1d17261126",
        "[)>\x1e06\x1dP1\x1e\x04",
        "one\ntwo\rthree\ttab\x00nul",
        "日本語 русский عربي",
        "Caf\u00e9 na\u00efve \u20ac 5",
        " leading and trailing ",
        "\ufeffmark",
    ],
)
def test_a_code_holds_the_bytes_that_were_sent(data):
    found = zxingcpp.read_barcode(draw_code(data))

    assert found.bytes == data.encode()


@pytest.mark.parametrize("data", ["日本語 русский", "Café"])
def test_text_beyond_ascii_says_its_character_set(data):
    silent = segno.make_qr(data, error="M", encoding="utf-8", boost_error=False)

    told = zxingcpp.read_barcode(draw_code(data))

    assert told.text == data
    assert tuple(map(bytes, silent.matrix)) != encode(data, "M")


def draw_code(data):
    return RENDERER.draw(Parameters(data=data, size=600), 1).image.convert("L")


def test_a_form_and_json_keep_line_breaks(client):
    sent = {"data": "one\r\ntwo\x1d", "size": "200"}

    form = client.post("/images/qr.png", data=sent)
    typed = client.post("/images/qr.png", json={**sent, "size": 200})
    query = client.get("/images/qr.png?data=one%0D%0Atwo%1D&size=200")

    assert form.status_code == 200
    assert form.data == typed.data == query.data
    assert form.data != client.get("/images/qr.png?data=one%0Atwo%1D&size=200").data


def logo(width: int, height: int, shape: str = "rectangle") -> bytes:
    image = Image.new("RGBA", (width, height))
    draw = getattr(ImageDraw.Draw(image), shape)
    draw((0, 0, width - 1, height - 1), fill="#00aa77")
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize("size", [(64, 64), (200, 60), (40, 160)], ids=str)
@pytest.mark.parametrize("share", [0.05, 0.2, 0.3])
@pytest.mark.parametrize("length", [1, 20, 90, 400, 1000])
def test_codes_under_a_logo_read_back(length, share, size) -> None:
    data = "https://example.org/" + "x" * length
    parameters = Parameters(data=data, size=700, logo=logo(*size), logo_size=share)

    picture = RENDERER.draw(parameters, 1)

    assert read(picture) == data
    middle = picture.image.convert("RGB").getpixel((350, 350))
    assert max(abs(a - b) for a, b in zip(middle, (0, 0xAA, 0x77), strict=True)) < 4


@pytest.mark.parametrize("level", ["L", "M", "Q", "H"])
def test_a_level_that_a_logo_would_break_is_refused_and_another_read(level) -> None:
    given = {"data": "x" * 60, "size": 600, "level": level, "logo": logo(64, 64)}

    assert read(RENDERER.draw(Parameters(**given, logo_size=0.1), 1)) == "x" * 60
    if level in "QH":
        assert read(RENDERER.draw(Parameters(**given, logo_size=0.3), 1)) == "x" * 60
        return
    with pytest.raises(BadParameter) as caught:
        RENDERER.draw(Parameters(**given, logo_size=0.3), 1)
    assert [fault.field for fault in caught.value.faults] == ["level"]


def test_a_round_logo_stands_on_light_modules() -> None:
    parameters = Parameters(data="x" * 30, size=400, logo=logo(64, 64, "ellipse"))

    image = RENDERER.draw(parameters, 1).image.convert("RGB")

    # Beside the disc, in the corner of its square.
    assert image.getpixel((200 - 32, 200 - 32)) == (255, 255, 255)


def test_a_code_with_a_logo_is_a_drawing_too() -> None:
    parameters = Parameters(data="hello", size=300, logo=logo(40, 20))

    svg = RENDERER.vector(parameters, 1).svg

    root = ElementTree.fromstring(svg)
    image = root.find("{http://www.w3.org/2000/svg}image")
    assert image is not None
    assert image.get("href", "").startswith("data:image/png;base64,")
    left, width = float(image.get("x", 0)), float(image.get("width", 0))
    assert left + width / 2 == pytest.approx(150, abs=3)
    assert width == pytest.approx(2 * float(image.get("height", 0)), rel=0.01)


def test_a_transparent_ground_stays_transparent_under_a_logo() -> None:
    parameters = Parameters(data="x", light="#ffffff00", logo=logo(9, 9))

    assert RENDERER.draw(parameters, 1).image.getpixel((0, 0))[3] == 0


def test_the_size_of_no_logo_is_refused(client: FlaskClient) -> None:
    answer = client.get("/images/qr.png?data=x&logo_size=0.1")

    assert answer.status_code == 422
    assert answer.get_json()["field"] == "logo_size"


def test_a_logo_comes_in_every_form(client: FlaskClient) -> None:
    svg = (
        b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9">'
        b'<circle r="9"/></svg>'
    )
    sent = {"data": "https://example.org/", "size": "400"}
    found = set()
    for image, name in ((logo(64, 64), "a.png"), (svg, "a.svg")):
        form = {**sent, "logo": (io.BytesIO(image), name)}
        answer = client.post("/images/qr.png", data=form)
        assert answer.status_code == 200
        with Image.open(io.BytesIO(answer.data)) as opened:
            assert zxingcpp.read_barcode(opened.convert("L")).text == sent["data"]
        found.add(answer.headers["ETag"])
    broken = client.post("/images/qr.png", json={**sent, "size": 400, "logo": "AAAA"})

    # Another image is another code.
    assert len(found) == 2
    assert broken.status_code == 422
    assert broken.get_json()["field"] == "logo"
