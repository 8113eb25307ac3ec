"""The packaged templates stay in their boxes whatever they are given."""

import io
import random
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytakumi
import pytest
import zxingcpp
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image

from app.renderer.engine.engine import Engine, Page
from app.renderer.engine.fonts import load_fonts
from app.renderer.engine.text_fitting import direction
from app.renderer.errors import BadParameter
from app.renderer.params import is_visible
from app.renderer.template import template
from app.renderer.template.template import Template
from app.renderer.template.template_files import read_files

FOLDER = Path(template.__file__).parents[1] / "templates"
NAMES = (
    *("address-label", "badge", "card", "certificate", "invoice", "label"),
    *("place-card", "quote", "ticket"),
)
LIMITS = SimpleNamespace(max_image_pixels=50_000_000, render_timeout_s=10.0)
FONTS = load_fonts(None, system=False)
ENGINE = Engine(FONTS)
TEMPLATES = {
    name: Template(read_files(FOLDER / name), ENGINE, LIMITS) for name in NAMES
}
# Pixels by which rounding, or a space at the end of a line, may pass an edge.
SLACK = 3.0

TEXTS = {
    "one letter": "A",
    "short": "Hello you",
    "sentence": "How we cut rendering time by ninety percent on two small cores",
    "words": "lorem ipsum dolor sit amet consectetur adipiscing elit " * 12,
    "word": "Donaudampfschifffahrtselektrizitätenhauptbetriebswerk" * 12,
    "wide": "W" * 600,
    "narrow": "i" * 600,
    "lines": "one\ntwo\n" * 75,
    "spaces": "   a   b   ",
    "Greek": "Ευαγγελία Παπαδοπούλου-Κωνσταντινίδου " * 15,
    "Cyrillic": "Съешь же ещё этих мягких французских булок " * 14,
    "Arabic": "مرحبا بالعالم: كيف نصنع الصور بسرعة " * 16,
    "Hebrew": "שלום עולם: איך מציירים תמונות מהר " * 16,
    "Devanagari": "यह एक बहुत लंबा हिन्दी शीर्षक है जो कई पंक्तियों में लिपट जाता है " * 8,
    "mixed": "Hello مرحبا नमस्ते שלום Привет " * 18,
    "no glyphs": "这是一个非常长的中文标题需要换行" * 36,
    "emoji": "🚀🎉👩‍👩‍👧🇩🇪" * 80,
    "markup": "<b>&amp;</b> {{ title }} " * 24,
}


class Block(NamedTuple):
    """A text as it is laid out: its box, and that of what holds it."""

    text: str
    left: float
    top: float
    right: float
    bottom: float
    room: tuple[float, float]


def _ruler() -> tuple[pytakumi.Renderer, list[str]]:
    renderer = pytakumi.Renderer()
    names: dict[str, None] = {}
    for face in FONTS.faces:
        for family in renderer.register_font(face.read(), generic=face.generic):
            names[family["name"]] = None
    return renderer, list(names)


RULER, FAMILIES = _ruler()


def blocks(page: Page, size: tuple[int, int]) -> list[Block]:
    root = RULER.measure(
        pytakumi.from_html(page.body),
        width=size[0],
        height=size[1],
        stylesheets=page.styles,
        images=page.images,
        font_families=FAMILIES,
    )
    return list(_walk(root, (0.0, float(size[0]))))


def _walk(node: dict[str, Any], room: tuple[float, float]) -> Iterator[Block]:
    left, top = node["transform"][4:6]
    runs = node.get("runs", ())
    if runs:
        yield Block(
            "".join(run["text"] for run in runs),
            left + min(run["x"] + _hanging(run, "rtl") for run in runs),
            top,
            left + max(run["x"] + run["width"] - _hanging(run, "ltr") for run in runs),
            top + node["height"],
            room,
        )
    for child in node["children"]:
        yield from _walk(child, (left, left + node["width"]))


def _hanging(run: dict[str, Any], side: str) -> float:
    """Return the width of the space at the end of a line, which may hang out."""
    text = run["text"]
    hangs = text.endswith((" ", "\n")) and direction(text) == side
    return min(float(run["width"]), 0.35 * run["height"]) if hangs else 0.0


def check(made: Template, values: dict[str, Any]) -> None:
    """Assert that no text leaves its box or the canvas, or lies on another."""
    width, height = made.declaration.pixels
    # The ruler lays emoji out as letters.
    lettered = made.model(**{"emoji": "mono", **values})
    found = blocks(made.page(lettered, 1), (width, height))
    for block in found:
        assert block.left >= max(0, block.room[0]) - SLACK, block
        assert block.right <= min(width, block.room[1]) + SLACK, block
        assert 0 <= block.top <= block.bottom <= height, block
    for one, other in combinations(found, 2):
        across = min(one.right, other.right) - max(one.left, other.left)
        down = min(one.bottom, other.bottom) - max(one.top, other.top)
        assert min(across, down) <= SLACK, (one, other)


def texts(made: Template) -> dict[str, int]:
    """Return the text parameters with their longest lengths."""
    entries = made.declaration.parameters.items()
    return {name: entry.max_length for name, entry in entries if entry.type == "text"}


def filled(made: Template, text: str) -> dict[str, str]:
    """Return all text parameters at their longest; a label has room for 929 bytes."""
    values = {field: text[:most] for field, most in texts(made).items()}
    return {field: cut(field, value) for field, value in values.items()}


def cut(field: str, value: str) -> str:
    most = {"qr": 929, "code": 600}.get(field)
    return value.encode()[:most].decode(errors="ignore") if most else value


def photo() -> bytes:
    buffer = io.BytesIO()
    Image.linear_gradient("L").resize((400, 900)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
@pytest.mark.parametrize("name", NAMES)
def test_text_stays_in_its_box_everywhere(name: str, text: str) -> None:
    made = TEMPLATES[name]

    check(made, filled(made, text))


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
@pytest.mark.parametrize("name", NAMES)
def test_text_stays_in_its_box_alone(name: str, text: str) -> None:
    made = TEMPLATES[name]
    first, most = next(iter(texts(made).items()))

    check(made, {first: text[:most]})


@pytest.mark.parametrize("left_out", range(1, 6))
@pytest.mark.parametrize("name", NAMES)
def test_any_optional_parameter_may_be_left_out(name: str, left_out: int) -> None:
    made = TEMPLATES[name]
    values = made.model.model_validate_strings(made.declaration.example)
    optional = list(made.model.model_fields)[1:]
    dropped = optional[(left_out - 1) % len(optional)]

    check(made, {k: v for k, v in values if k != dropped})


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_any_text_stays_in_its_box(name: str, data: st.DataObject) -> None:
    made = TEMPLATES[name]
    letters = st.characters(categories=("L", "N", "P", "S", "Zs"))
    values = {}
    for field, most in texts(made).items():
        least = 0 if values else 1
        text = data.draw(st.text(letters, min_size=least, max_size=most))
        values[field] = cut(field, text)
    assume(is_visible(next(iter(values.values()))))

    check(made, values)


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
@pytest.mark.parametrize("name", NAMES)
def test_every_text_is_drawn(name: str, text: str) -> None:
    made = TEMPLATES[name]
    values = filled(made, text)

    picture = made.draw(made.model(**values), 1)

    assert picture.image.size == made.declaration.pixels
    assert len(picture.image.convert("RGB").getcolors(1 << 24) or ()) > 2


@pytest.mark.parametrize("name", NAMES)
def test_canvas_is_covered(name: str) -> None:
    made = TEMPLATES[name]
    values = made.model.model_validate_strings(made.declaration.example)

    image = made.draw(values, 1).image

    assert image.getchannel("A").getextrema() == (255, 255)


@pytest.mark.parametrize("name", NAMES)
def test_only_the_first_parameter_is_required(name: str) -> None:
    fields = TEMPLATES[name].model.model_fields

    required = [field for field, info in fields.items() if info.is_required()]

    assert required == [next(iter(fields))]


@pytest.mark.parametrize("name", NAMES)
def test_equal_parameters_give_equal_pixels(name: str) -> None:
    values = TEMPLATES[name].declaration.example
    again = Template(read_files(FOLDER / name), ENGINE, LIMITS)

    first, second = (
        made.draw(made.model.model_validate_strings(values), 1).packed
        for made in (TEMPLATES[name], again)
    )

    assert first == second


@pytest.mark.parametrize(
    "theme", TEMPLATES["card"].declaration.parameters["theme"].choices
)
def test_card_has_every_theme(theme: str) -> None:
    made = TEMPLATES["card"]

    check(made, {"title": "Hello", "subtitle": "You", "theme": theme})


def test_card_shows_its_image() -> None:
    made = TEMPLATES["card"]

    image = made.draw(made.model(title="Hello", image=photo()), 1).image

    red, green, blue, _ = image.getpixel((1100, 620))
    assert red == green == blue > 200


@pytest.mark.parametrize("name", ["badge", "label"])
@pytest.mark.parametrize("length", [1, 40, 70, 100, 119, 120, 150, 200, 250, 300])
def test_qr_code_can_be_read(name: str, length: int) -> None:
    made = TEMPLATES[name]
    first = next(iter(made.model.model_fields))
    data = "".join(random.Random(length).choices("abcdefghijkxyz0123/-", k=length))

    image = made.draw(made.model(**{first: "Hello", "qr": data}), 1).image

    assert [code.text for code in zxingcpp.read_barcodes(image)] == [data]


@pytest.mark.parametrize("name", ["badge", "label"])
@pytest.mark.parametrize("data", ["你好" * 150, "नमस्ते" * 50, "жук" * 100])
def test_qr_code_of_any_script_can_be_read(name: str, data: str) -> None:
    made = TEMPLATES[name]
    first = next(iter(made.model.model_fields))

    image = made.draw(made.model(**{first: "Hi", "qr": data}), 1).image

    assert [code.text for code in zxingcpp.read_barcodes(image)] == [data]


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("J26-0712", "code128"),
        ("1234567890123456", "code128"),
        ("A-ticket-number", "qr"),
        ("билет", "qr"),
        ("https://example.org/t/8f3a1c9e-22b1-4f6a-9d55-0a7c1e2f3b4d", "qr"),
    ],
)
@pytest.mark.parametrize("scale", [1, 2])
def test_code_on_a_stub_can_be_read(code: str, kind: str, scale: int) -> None:
    made = TEMPLATES["ticket"]

    image = made.draw(made.model(event="Jazz", seat="Row 7", code=code), scale).image

    [found] = zxingcpp.read_barcodes(image)
    assert found.text == code
    assert found.format.name.lower().startswith(kind)


def test_qr_code_without_room_names_its_parameter() -> None:
    made = TEMPLATES["label"]

    with pytest.raises(BadParameter, match="qr"):
        made.draw(made.model(product="Tea", qr="🚀" * 300), 1)


@pytest.mark.parametrize("price", ["$.99", "-.50", "€,05"])
def test_price_without_a_whole_part_stays_as_it_is(price: str) -> None:
    made = TEMPLATES["label"]

    page = made.page(made.model(product="Tea", price=price), 1)

    assert [block.text for block in blocks(page, (600, 300))] == ["Tea", price]


@pytest.mark.parametrize("name", NAMES)
def test_blank_texts_leave_nothing_behind(name: str) -> None:
    made = TEMPLATES[name]
    first, *others = texts(made)

    blank = made.page(made.model(**{first: "Hi"} | dict.fromkeys(others, " ")), 1)

    assert blank == made.page(
        made.model(**{first: "Hi"} | dict.fromkeys(others, "")), 1
    )


@pytest.mark.parametrize(
    "text",
    [*TEXTS.values(), "यह एक बहुत लंबा हिन्दी शीर्षक है जो कई पंक्तियों में लिपट जाता है और"],
)
def test_text_of_a_certificate_stays_above_its_seal(text: str) -> None:
    made = TEMPLATES["certificate"]
    values = filled(made, text)

    page = made.page(made.model(**values | {"date": "", "issuer": ""}), 1)

    assert max(block.bottom for block in blocks(page, made.declaration.pixels)) < 540


def test_author_of_a_card_is_shown_by_a_whole_grapheme() -> None:
    made = TEMPLATES["card"]

    page = made.page(made.model(title="Hi", author="👩‍👩‍👧"), 1)

    assert page.body.count("👩‍👩‍👧") == 2


def test_price_shows_its_decimals_raised() -> None:
    made = TEMPLATES["label"]

    page = made.page(made.model(product="Tea", price="$14.50"), 1)

    assert [block.text for block in blocks(page, (600, 300))] == ["Tea", "$14", "50"]
