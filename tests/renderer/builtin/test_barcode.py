import io
import shutil
import subprocess
from itertools import groupby

import pypdfium2
import pytest
import zxingcpp
from flask.testing import FlaskClient
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pydantic import ValidationError
from pypdf import PdfReader
from zxingcpp import BarcodeFormat

from app.renderer.base import Output, Renderer
from app.renderer.builtin.barcode import build
from app.renderer.builtin.barcode_parameters import Parameters
from app.renderer.builtin.symbologies import (
    SYMBOLOGIES,
    canonical,
    check_digit,
    encode,
    expanded,
)
from app.renderer.engine.engine import Page, load_engine
from app.renderer.errors import BadParameter
from app.renderer.produce import produce

ENGINE = load_engine(None, False)
RENDERER: Renderer = build(ENGINE)
# What is sent, and what a reader says; of UPC it says the whole number, as EAN-13.
SAMPLES = {
    "ean13": ("590123412345", "5901234123457"),
    "ean8": ("96385074", "96385074"),
    "upca": ("03600029145", "0036000291452"),
    "upce": ("0123456", "0012345000065"),
    "isbn": ("978-0-306-40615-7", "9780306406157"),
    "code128": ("Kiste 7/b", "Kiste 7/b"),
    "gs1-128": ("(01)09501101530003(10)AB-1(21)7",) * 2,
    "code39": ("KISTE 7-$/+%.", "KISTE 7-$/+%."),
    "itf": ("1234567", "01234567"),
    "itf14": ("1540014128887", "15400141288879"),
    "datamatrix": ("https://example.org/ä日本", "https://example.org/ä日本"),
    "gs1-datamatrix": ("(01)09501101530003(10)AB-1(21)7",) * 2,
    "aztec": ("Grüße, 世界", "Grüße, 世界"),
    "pdf417": ("M1LOVELACE/ADA, größer", "M1LOVELACE/ADA, größer"),
}
ZBAR = {
    "ean13": "EAN-13:5901234123457",
    "ean8": "EAN-8:96385074",
    "upca": "UPC-A:036000291452",
    "upce": "UPC-E:01234565",
    "isbn": "EAN-13:9780306406157",
    "code128": "CODE-128:Kiste 7/b",
    "gs1-128": "CODE-128:010950110153000310AB-1\x1d217",
    "code39": "CODE-39:KISTE 7-$/+%.",
    "itf": "I2/5:01234567",
    "itf14": "I2/5:15400141288879",
}
LINEAR = sorted(name for name, row in SYMBOLOGIES.items() if not row.matrix)


def flat(image: Image.Image) -> Image.Image:
    ground = Image.new("RGBA", image.size, "white")
    ground.alpha_composite(image.convert("RGBA"))
    return ground.convert("L")


def read(image: Image.Image) -> list[str]:
    return [found.text for found in zxingcpp.read_barcodes(flat(image))]


def rasterised(svg: str, size: tuple[int, int]) -> Image.Image:
    body = '<img src="code" style="width: 100%; height: 100%">'
    return ENGINE.draw(Page(body, images={"code": svg.encode()}), size, 1).image


def draw(scale: float = 1, **values: object) -> Image.Image:
    return RENDERER.draw(Parameters(**values), scale).image


def faults(**values: object) -> list[tuple[str, str]]:
    parameters = Parameters(**values)
    with pytest.raises(BadParameter) as caught:
        RENDERER.size(parameters)
        RENDERER.check(parameters)
        RENDERER.draw(parameters, 1)
    return [(fault.field, fault.reason) for fault in caught.value.faults]


@pytest.mark.parametrize("text", ["on", "off", "Größe 中 7"])
@pytest.mark.parametrize("scale", [1, 1.5, 3])
@pytest.mark.parametrize("name", SYMBOLOGIES)
def test_every_kind_reads_back(name: str, scale: float, text: str) -> None:
    data, expected = SAMPLES[name]
    parameters = Parameters(data=data, symbology=name, text=text)

    image = RENDERER.draw(parameters, scale).image

    assert image.size == tuple(
        round(side * scale) for side in RENDERER.size(parameters)
    )
    assert read(image) == [expected]


@pytest.mark.parametrize("scale", [1, 1.5, 3])
@pytest.mark.parametrize("name", SYMBOLOGIES)
def test_every_kind_reads_back_from_svg(name: str, scale: float) -> None:
    data, expected = SAMPLES[name]
    parameters = Parameters(data=data, symbology=name, text="on")
    width, height = (round(side * scale) for side in RENDERER.size(parameters))

    image = rasterised(RENDERER.vector(parameters, 1).svg, (width, height))

    assert read(image) == [expected]


@pytest.mark.parametrize("scale", [1, 1.5, 3])
@pytest.mark.parametrize("name", SYMBOLOGIES)
def test_every_kind_reads_back_from_pdf(name: str, scale: float) -> None:
    data, expected = SAMPLES[name]
    parameters = Parameters(data=data, symbology=name)

    made = produce(RENDERER, parameters, Output(format="pdf", scale=scale))

    # 72 points an inch are 96 pixels; a printer has three dots for each.
    shown = pypdfium2.PdfDocument(bytes(made.data))[0].render(scale=4).to_pil()
    assert read(shown) == [expected]


@pytest.mark.parametrize("name", SYMBOLOGIES)
def test_svg_has_the_pixels_of_the_picture(name: str) -> None:
    parameters = Parameters(data=SAMPLES[name][0], symbology=name, text="off")
    drawn = RENDERER.draw(parameters, 1).image

    traced = rasterised(RENDERER.vector(parameters, 1).svg, drawn.size)

    assert flat(traced).tobytes() == flat(drawn).tobytes()


@pytest.mark.skipif(not shutil.which("zbarimg"), reason="zbarimg is not installed")
@pytest.mark.parametrize("scale", [1, 1.5, 3])
@pytest.mark.parametrize("name", ZBAR)
def test_every_linear_kind_is_read_by_zbar(name: str, scale: float, tmp_path) -> None:
    path = tmp_path / "code.png"
    flat(draw(scale, data=SAMPLES[name][0], symbology=name)).save(path)
    options = ["-q", "-Sdisable", *(f"-S{each}.enable" for each in zbar_kinds(name))]

    found = subprocess.run(
        ["zbarimg", *options, path], capture_output=True, text=True, check=True
    )

    assert found.stdout == f"{ZBAR[name]}\n"


def zbar_kinds(name: str) -> list[str]:
    kind = ZBAR[name].partition(":")[0].replace("-", "").replace("/", "").lower()
    return [{"i25": "i25"}.get(kind, kind), *(["ean13"] if name[:3] == "upc" else [])]


def digits(least: int, most: int) -> st.SearchStrategy[str]:
    return st.text("0123456789", min_size=least, max_size=most)


PRINTABLE = st.characters(min_codepoint=32, max_codepoint=126)
ANY = st.characters(exclude_categories=["Cc", "Cs"])
DATA = {
    "ean13": digits(12, 12),
    "ean8": digits(7, 7),
    "upca": digits(11, 11),
    "upce": st.from_regex(r"[01][3-9]{5}[0-9]", fullmatch=True),
    "isbn": st.builds(str.__add__, st.sampled_from(["978", "979"]), digits(9, 9)),
    "code128": st.text(PRINTABLE, min_size=1, max_size=30),
    "gs1-128": st.builds("(01){}(10)A{}".format, digits(13, 13), digits(1, 18)),
    "code39": st.text("0123456789ABCXYZ-. $/+%", min_size=1, max_size=30),
    "itf": digits(6, 40),
    "itf14": digits(13, 13),
    "datamatrix": st.text(ANY, min_size=1, max_size=99),
    "gs1-datamatrix": st.builds("(01){}(21)A{}".format, digits(13, 13), digits(1, 18)),
    "aztec": st.text(ANY, min_size=1, max_size=99),
    "pdf417": st.text(ANY, min_size=1, max_size=99),
}


# A reader says the whole number of UPC, as EAN-13.
READ_AS = {
    "upca": "0{}".format,
    "upce": lambda said: "0" + expanded(said[:7]) + said[7:],
}


@pytest.mark.parametrize("name", SYMBOLOGIES)
def test_any_valid_data_reads_back(name: str) -> None:
    @given(DATA[name], st.sampled_from([1, 1.5, 2]))
    @settings(deadline=None, max_examples=25)
    def check(data: str, scale: float) -> None:
        parameters = Parameters(data=data, symbology=name, text="off", module=2)

        image = flat(RENDERER.draw(parameters, scale).image)

        # Some short code is another one in another kind.
        kind = SYMBOLOGIES[name].format
        # With small letters and others by two characters each, unless told otherwise.
        wanted = BarcodeFormat.Code39Std if kind == BarcodeFormat.Code39 else kind
        (found,) = zxingcpp.read_barcodes(image, formats=wanted)
        said = encode(data, name).content.data
        assert found.text == READ_AS.get(name, str)(said)

    check()


@pytest.mark.parametrize(
    ("values", "field", "reason"),
    [
        (
            {"data": "5901234123450", "symbology": "ean13"},
            "data",
            "check digit of EAN-13 is 7",
        ),
        ({"data": "59012341234", "symbology": "ean13"}, "data", "has 11 digits"),
        ({"data": "59012341234x7", "symbology": "ean13"}, "data", "holds 'x' at 12"),
        (
            {"data": "٥٩٠١٢٣٤١٢٣٤٥٧", "symbology": "ean13"},
            "data",
            "which EAN-13 has not",
        ),
        (
            {"data": "036000291453", "symbology": "upca"},
            "data",
            "check digit of UPC-A is 2",
        ),
        ({"data": "21234565", "symbology": "upce"}, "data", "number systems 0 and 1"),
        (
            {"data": "01234567", "symbology": "upce"},
            "data",
            "check digit of UPC-E is 5",
        ),
        ({"data": "0-306-40615-3", "symbology": "isbn"}, "data", "ISBN-10 is 2"),
        ({"data": "5901234123457", "symbology": "isbn"}, "data", "is no ISBN"),
        ({"data": "- -", "symbology": "itf"}, "data", "holds no digit"),
        ({"data": "12a", "symbology": "itf"}, "data", "holds 'a' at 3"),
        ({"data": "abc", "symbology": "code39"}, "data", "which Code 39 has not"),
        ({"data": "A日"}, "data", "holds '日' at 2, which Code 128 has not"),
        ({"data": "x" * 200}, "data", "too long"),
        ({"data": "x" * 87, "symbology": "pdf417", "width": 90}, "width", "at least"),
        ({"data": "x" * 3800, "symbology": "aztec"}, "data", "too long"),
        (
            {"data": "0950110153000", "symbology": "gs1-128"},
            "data",
            "application identifiers",
        ),
        (
            {"data": "(01)09501101530004", "symbology": "gs1-128"},
            "data",
            "of (01) is 3",
        ),
        ({"data": "(9999)1", "symbology": "gs1-datamatrix"}, "data", "Invalid AI"),
        ({"data": "(10)é", "symbology": "gs1-datamatrix"}, "data", "GS1"),
        ({"data": "A", "width": 10}, "width", "at least 66"),
        ({"data": "A", "width": 100, "module": 2}, "width", "at least 132"),
        ({"data": "A", "height": 19}, "height", "at least 20, or text=off"),
        ({"data": "A", "symbology": "aztec", "height": 14}, "height", "at least 15"),
        ({"data": "12", "symbology": "itf14"}, "data", "has 2 digits"),
        (
            {"data": "1540014128887", "symbology": "itf14", "height": 30},
            "height",
            "at least",
        ),
        (
            {"data": "590123412345", "symbology": "ean13", "margin": 3},
            "margin",
            "at least 9",
        ),
    ],
)
def test_what_cannot_be_drawn_is_named(values, field: str, reason: str) -> None:
    ((named, why),) = faults(**values)

    assert named == field
    assert reason in why


@pytest.mark.parametrize(
    ("field", "value"),
    [("width", 65), ("height", 5), ("height", 40)],
)
def test_the_least_side_that_is_told_works(field: str, value: int) -> None:
    values = {"data": "15400141288879", "symbology": "itf14", "text": "off"}
    if field == "height" and value == 40:
        values = {"data": "x" * 99, "symbology": "pdf417", "text": "on"}
    ((_, reason),) = faults(**values, **{field: value})
    least = int(reason.split("at least ")[1].split(",")[0])

    image = draw(**values, **{field: least})

    assert least in image.size
    assert faults(**values, **{field: least - 1})[0][0] == field


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"data": ""},
        {"data": "x" * 10_000},
        {"data": "x", "symbology": "ean-14-b"},
        {"data": "x", "module": "0"},
        {"data": "x", "module": "1.5"},
        {"data": "x", "margin": "-1"},
    ],
)
def test_bad_parameters_are_refused(values) -> None:
    with pytest.raises(ValidationError):
        Parameters.model_validate_strings(values)


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        *((name.upper(), name) for name in SYMBOLOGIES),
        *(("EAN-13", "ean13"), ("EAN_13", "ean13"), ("ean 13", "ean13")),
        *(("UPC-A", "upca"), ("upc", "upca"), ("CODE_128", "code128")),
        *(("DATA_MATRIX", "datamatrix"), ("PDF_417", "pdf417"), ("GTIN-14", "itf14")),
        *(("gs1_128", "gs1-128"), ("GS1 DataMatrix", "gs1-datamatrix")),
        ("Interleaved 2 of 5", "itf"),
    ],
)
def test_usual_spellings_are_one_symbology(spelling: str, name: str) -> None:
    assert canonical(spelling) == name
    assert Parameters(data="1", symbology=spelling).symbology == name


def test_a_qr_code_is_sent_to_its_renderer() -> None:
    with pytest.raises(ValidationError, match="drawn by the renderer qr"):
        Parameters(data="1", symbology="QR-Code")


@pytest.mark.parametrize(
    ("digits", "last"),
    # GS1's own example, a shipping container, a book, an eight.
    [("629104150021", "3"), ("37610425002123456", "9"), ("978030640615", "7")],
)
def test_check_digits_are_those_of_the_standard(digits: str, last: str) -> None:
    assert check_digit(digits) == last


@pytest.mark.parametrize(
    ("name", "data", "notes"),
    [
        ("ean13", "590123412345", ["data: check digit 7 was added"]),
        # Either 036000291452, whose zero a spreadsheet dropped, or a number of its own.
        ("upca", "36000291452", ["digit 2 was added; if a leading 0 was lost, send 0"]),
        ("ean13", "036000291452", ["if a leading 0 was lost, send 0036000291452"]),
        ("ean13", "5 901234-123457", []),
        ("upce", "123456", ["number system 0", "check digit 5"]),
        ("isbn", "0306406152", ["ISBN-10 is written as ISBN-13"]),
        ("itf", "123", ["0 was added before it"]),
        ("gs1-128", "(01)0950110153000(10)A", ["(01) check digit 3 was added"]),
    ],
)
def test_what_is_assumed_is_said(name: str, data: str, notes: list[str]) -> None:
    parameters = Parameters(data=data, symbology=name)

    facts = RENDERER.draw(parameters, 1).facts

    said = facts.get("warnings", [])
    assert len(said) == len(notes)
    assert all(note in line for note, line in zip(notes, said, strict=True))
    assert RENDERER.vector(parameters, 1).facts == facts
    assert RENDERER.preflight(parameters, True) == facts


@pytest.mark.parametrize("data", ["a\x00b", "\x1d\x1e\x04", "tab\tnewline\r\n", "\x7f"])
@pytest.mark.parametrize("name", ["code128", "datamatrix", "aztec", "pdf417"])
def test_control_characters_are_written_and_not_drawn(name: str, data: str) -> None:
    image = flat(draw(data=data, symbology=name, text="on"))

    (found,) = zxingcpp.read_barcodes(image)
    assert found.bytes == data.encode()


def test_gs1_codes_say_that_they_are() -> None:
    for name, identifier in (("gs1-128", "]C1"), ("gs1-datamatrix", "]d2")):
        image = flat(draw(data=SAMPLES[name][0], symbology=name))
        (found,) = zxingcpp.read_barcodes(image)
        assert found.symbology_identifier == identifier


@pytest.mark.parametrize("scale", [1, 1.5, 2.5])
@pytest.mark.parametrize("width", [None, 300, 411])
@pytest.mark.parametrize("name", SYMBOLOGIES)
def test_bars_are_whole_pixels_in_their_quiet_zone(
    name: str, width: int | None, scale: float
) -> None:
    kind = SYMBOLOGIES[name]
    values = {"data": SAMPLES[name][0], "symbology": name, "text": "off"}
    parameters = Parameters(**values, width=width)

    image = flat(RENDERER.draw(parameters, scale).image)

    columns = [
        image.crop((x, 0, x + 1, image.height)).tobytes() for x in range(image.width)
    ]
    runs = [len(list(cells)) for _, cells in groupby(columns)]
    module = min(runs[1:-1])
    assert all(run % module == 0 for run in runs[1:-1])
    assert {pixel for _, pixel in image.getcolors()} == {0, 255}
    if not kind.frame:
        assert runs[0] >= kind.margin[0] * module
        assert runs[-1] >= kind.margin[1] * module
    if width is None:
        assert module == int(scale * kind.module)


def test_the_quiet_zone_may_be_chosen() -> None:
    wide = draw(data="A", margin=20, text="off")
    bare = draw(data="A", margin=0, text="off")

    assert wide.width == bare.width + 2 * 2 * 20
    assert flat(bare).getpixel((0, 0)) == 0


def test_text_is_off_on_or_another() -> None:
    bars = draw(data="A", text="off")

    drawn = {text: draw(data="A", text=text) for text in ("on", "TRUE", "Zebra", "")}

    assert bars.mode == drawn[""].mode == "P"
    assert drawn[""].tobytes() == bars.tobytes()
    assert drawn["on"].tobytes() == drawn["TRUE"].tobytes() == draw(data="A").tobytes()
    assert drawn["on"].size == drawn["Zebra"].size > bars.size
    assert drawn["on"].tobytes() != drawn["Zebra"].tobytes()


def test_long_text_is_cut_and_said() -> None:
    picture = RENDERER.draw(Parameters(data="A", text="many words " * 20), 1)

    assert picture.facts["text_clipped"] == {"text": "cut"}
    assert read(picture.image) == ["A"]


def test_guard_bars_are_longer_than_others_above_digits() -> None:
    image = flat(draw(data="590123412345", symbology="ean13"))
    module, bars = 2, 69 * 2

    # Above the digits all bars, beside them the guards alone.
    row = image.crop((0, bars + 4, image.width, bars + 5)).tobytes()
    first = (11 * module, 12 * module, 13 * module, 14 * module)
    assert [row[x] for x in first] == [0, 255, 0, 255]
    assert row[(11 + 46) * module] == row[(11 + 48) * module] == 0
    assert row[(11 + 94) * module] == 0


@pytest.mark.parametrize("light", ["transparent", "#fde68a"])
def test_colours_are_those_asked_for(light: str) -> None:
    image = draw(data="A", light=light, dark="#7c2d12").convert("RGBA")

    ground = (0, 0, 0, 0) if light == "transparent" else (0xFD, 0xE6, 0x8A, 255)
    assert image.getpixel((0, 0)) == ground
    assert image.getpixel((20, 0)) == (0x7C, 0x2D, 0x12, 255)
    assert read(image) == ["A"]


def test_faults_and_assumptions_are_told_over_http(client: FlaskClient) -> None:
    good = client.get("/images/barcode.png?data=590123412345&symbology=EAN-13")
    bad = client.get("/images/barcode.png?data=5901234123450&symbology=ean13")
    unknown = client.get("/images/barcode.png?data=1&symbology=code12")
    typed = client.post("/images/barcode.png", json={"data": "1", "text": False})

    assert good.status_code == typed.status_code == 200
    assert "check digit 7 was added" in good.headers["X-Media-Warnings"]
    assert (bad.status_code, bad.get_json()["field"]) == (422, "data")
    assert "check digit of EAN-13 is 7" in bad.get_data(as_text=True)
    assert unknown.get_json()["field"] == "symbology"
    with Image.open(io.BytesIO(good.data)) as image:
        assert read(image) == ["5901234123457"]
    assert typed.data == client.get("/images/barcode.png?data=1&text=off").data


@pytest.mark.parametrize("module", ["4", "0.33mm"])
def test_a_module_has_its_width_on_paper(client: FlaskClient, module: str) -> None:
    query = f"data=5901234123457&symbology=ean13&module={module}&dpi=300"

    answer = client.get(f"/images/barcode.pdf?{query}")

    (page,) = PdfReader(io.BytesIO(answer.data)).pages
    assert float(page.mediabox.width) == pytest.approx(113 * 4 * 72 / 300, abs=1e-3)


def test_sides_may_be_lengths(client: FlaskClient) -> None:
    query = "data=5901234123457&symbology=ean13&width=85mm&height=1in&dpi=300"

    answer = client.get(f"/images/barcode.png?{query}")

    with Image.open(io.BytesIO(answer.data)) as image:
        assert image.size == (1004, 300)
        assert read(image) == ["5901234123457"]
