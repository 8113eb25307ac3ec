from xml.etree import ElementTree

import pytest
import segno
import zxingcpp
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pydantic import ValidationError

from app.renderer.builtin.qr import RENDERER, Parameters, encode
from app.renderer.errors import BadParameter


def read(picture) -> str:
    ground = Image.new("RGBA", picture.image.size, "white")
    ground.alpha_composite(picture.image.convert("RGBA"))
    found = zxingcpp.read_barcode(ground.convert("L"))
    assert found is not None
    return found.text


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=99))
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
    root = ElementTree.fromstring(RENDERER.vector(parameters).svg)
    pixels = RENDERER.draw(parameters, 1).image

    move, _, scale = root[1].get("transform").removeprefix("translate(").partition(") ")
    margin, module = int(move.split()[0]), int(scale[len("scale(") : -1])
    corners = [step.split("h")[0].split() for step in root[1].get("d").split("M")[1:]]

    assert (root.get("width"), root.get("height")) == ("100", "100")
    inked = {(margin + int(x) * module, margin + int(y) * module) for x, y in corners}
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
