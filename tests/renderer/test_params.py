"""What a text may hold, whatever takes it."""

import contextlib
import sys
import unicodedata
from typing import Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from app.renderer.errors import BadParameter
from app.renderer.params import Color, ImageBytes, Text, parse_color, validate
from tests.growth import assert_linear

# As Chromium 156 computes them; without `#` they are ours.
CSS_COLORS = (
    ("rgb(180,20,60)", "#b4143c"),
    (" RGBA( 180, 20 ,60 ) ", "#b4143c"),
    ("rgb(180 20 60 / 50%)", "#b4143c80"),
    ("rgba(180,20,60,.5)", "#b4143c80"),
    ("rgb(180 20 60/1)", "#b4143c"),
    ("rgb(70% 8% 24%)", "#b3143d"),
    ("rgb(50% 20 none / none)", "#80140000"),
    ("hsl(345,80%,39%)", "#b3143c"),
    ("hsl(345deg 80 39 / 0.2)", "#b3143c33"),
    ("hsla(-15, 80%, 39%, 100%)", "#b3143c"),
    ("hsl(0.5turn 100% 50%)", "#00ffff"),
    ("hsl(200grad 100% 50%)", "#00ffff"),
    ("hwb(345 8% 29%)", "#b5143d"),
    ("hwb(0 60% 60%)", "#808080"),
    ("rebeccapurple", "#663399"),
    ("transparent", "#00000000"),
    ("#abc", "#aabbcc"),
    ("ABCD", "#aabbccdd"),
    ("b4143c80", "#b4143c80"),
)


class Ink(BaseModel):
    """One colour."""

    color: Color


class Words(BaseModel):
    """One text."""

    text: Text


def test_no_control_character_is_taken_but_line_feed_and_tab() -> None:
    refused = set()
    for code in range(sys.maxunicode + 1):
        if unicodedata.category(chr(code)) not in ("Cc", "Zs", "Cf"):
            continue
        try:
            validate(Words, {"text": f"a{chr(code)}b"}, strict=True)
        except BadParameter:
            refused.add(chr(code))

    controls = {chr(c) for c in range(256) if unicodedata.category(chr(c)) == "Cc"}
    assert refused == controls - {"\n", "\t"}


def test_the_first_control_character_is_named() -> None:
    with pytest.raises(BadParameter, match=r"control character U\+0007"):
        validate(Words, {"text": "a\tb\x07c\x00"}, strict=True)


@pytest.mark.parametrize(("written", "color"), CSS_COLORS)
def test_a_colour_is_one_however_css_writes_it(written: str, color: str) -> None:
    assert parse_color(written) == color
    assert validate(Ink, {"color": written}, strict=True).color == color


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ("rgb(300, 0, 0)", r"write rgb\(\) as rgb\(180, 20, 60\)"),
        ("rgb(1 2,3)", r"write rgb\(\)"),
        ("rgb(1%,2,3)", r"write rgb\(\)"),
        ("rgba(1, 2, 3, 2)", r"write rgba\(\)"),
        ("hsl(345, 80, 39)", r"write hsl\(\)"),
        ("hwb(345, 8%, 29%)", r"write hwb\(\)"),
        ("rgb(\u0661 2 3)", r"write rgb\(\)"),
        ("rgb(1 2 3", r"write rgb\(\)"),
        ("oklch(0.7 0.1 20)", r"use RRGGBB, .* rgb\(\), hsl\(\) or hwb\(\)"),
        ("currentcolor", "is not a colour"),
    ],
)
def test_what_is_no_colour_is_refused_with_how_to_write_it(written, why) -> None:
    with pytest.raises(BadParameter, match=why):
        validate(Ink, {"color": written}, strict=True)


class Choice(BaseModel):
    """Words, of which some differ in their case alone."""

    model_config = ConfigDict(extra="forbid")

    theme: Literal["light", "Dark"] = "light"
    size: Literal["m", "M"] = "m"
    width: int = 1


@pytest.mark.parametrize(("written", "theme"), [("LIGHT", "light"), ("dark", "Dark")])
@pytest.mark.parametrize("strict", [True, False])
def test_a_word_of_a_choice_is_one_in_any_case(
    written: str, theme: str, strict: bool
) -> None:
    assert validate(Choice, {"theme": written}, strict=strict).theme == theme


def test_words_that_differ_in_their_case_alone_are_two() -> None:
    assert validate(Choice, {"size": "M"}, strict=False).size == "M"


@pytest.mark.parametrize(
    "values", [{"theme": "lihgt"}, {"theme": 1}, {"theme": "DARK", "width": 2.5}]
)
def test_what_is_no_word_of_a_choice_is_refused(values: dict[str, object]) -> None:
    with pytest.raises(BadParameter):
        validate(Choice, values, strict=True)


def test_null_is_a_parameter_that_was_left_out() -> None:
    assert validate(Choice, {"theme": None}, strict=True) == Choice()


def test_null_of_an_unknown_name_is_refused() -> None:
    with pytest.raises(BadParameter, match="thema"):
        validate(Choice, {"thema": None}, strict=True)


# Three neighbours of a pattern could each have all of the blanks.
@pytest.mark.parametrize("piece", [" ", "url(", "url(' ", "b'", '\t"'])
@pytest.mark.parametrize("head", ["url(", "url('", "b'", ""])
def test_an_image_in_wrappers_is_read_in_time_by_its_length(
    head: str, piece: str
) -> None:
    field = TypeAdapter(ImageBytes)

    def read(text: str) -> None:
        with contextlib.suppress(ValidationError):
            field.validate_python(head + text)

    assert_linear(read, piece, 40_000)


class Mixed(BaseModel):
    """One of each type."""

    count: int = 0
    share: float | None = None
    on: bool = False
    text: Text = ""


@pytest.mark.parametrize(
    ("name", "sent", "meant"),
    [
        *(("count", "300", 300), ("count", 300.0, 300), ("count", "-1", -1)),
        *(("share", "1.5", 1.5), ("share", "2", 2.0), ("share", "1e2", 100.0)),
        *(("on", "true", True), ("on", "False", False), ("on", "on", True)),
        *(("text", 2026, "2026"), ("text", -1, "-1")),
    ],
)
def test_json_of_another_type_is_what_it_can_only_mean(
    name: str, sent: object, meant: object
) -> None:
    assert getattr(validate(Mixed, {name: sent}, strict=True), name) == meant


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        *(("count", 1.5), ("count", "1.0"), ("count", "1_0"), ("count", " 1")),
        *(("count", True), ("count", "9" * 50)),
        *(("share", "1,5"), ("share", "nan"), ("share", True)),
        *(("on", "maybe"), ("on", 1)),
        # 1.10 would be 1.1, and JavaScript has made another of 2^53 + 1.
        *(("text", 1.1), ("text", True), ("text", 2**53), ("text", [])),
    ],
)
def test_json_of_another_type_that_may_mean_more_is_refused(
    name: str, sent: object
) -> None:
    with pytest.raises(BadParameter) as caught:
        validate(Mixed, {name: sent, "extra": 1}, strict=True)

    assert caught.value.args[0].field == name


class Filled(BaseModel):
    """What a form may leave blank, and what it may not."""

    text: Text = Field(min_length=1)
    theme: Literal["light", "dark"] = "light"
    count: int = 3
    color: Color | None = None
    note: Text = "none"


@pytest.mark.parametrize("strict", [True, False])
def test_an_empty_value_is_what_was_left_out_where_it_is_no_value(strict: bool) -> None:
    blank = dict.fromkeys(("theme", "count", "color", "note"), "")

    made = validate(Filled, {"text": "a", **blank}, strict=strict)

    # An empty text is one.
    assert made == Filled(text="a", note="")


@pytest.mark.parametrize("strict", [True, False])
def test_an_empty_value_of_what_is_required_is_named(strict: bool) -> None:
    with pytest.raises(BadParameter) as caught:
        validate(Filled, {"text": "", "theme": "", "count": "x"}, strict=strict)

    assert [fault.field for fault in caught.value.args] == ["text", "count"]
