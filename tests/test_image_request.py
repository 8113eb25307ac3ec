"""All spellings of a request end in one object with one fingerprint."""

import hashlib
from collections.abc import Callable
from dataclasses import replace

import orjson
import pytest

from app.config import Settings
from app.image_request import ImageRequest, from_json, from_parts, from_strings
from app.renderer.base import Renderer
from app.renderer.builtin.solid import RENDERER as SOLID
from app.renderer.catalogue import Catalogue
from app.renderer.errors import BadParameter, LimitExceeded
from app.renderer.produce import ENCODERS

BOUNDS = Settings()


def of(**values: str) -> ImageRequest:
    return from_strings(SOLID, values.items(), "png", BOUNDS)


def test_strings_json_and_parts_are_one_request() -> None:
    spelt = of(color="f00", width="20", scale="2")
    flat = from_json(
        SOLID, {"color": "#FF0000", "width": 20, "scale": 2}, "png", BOUNDS
    )
    apart = from_parts(SOLID, {"color": "red", "width": 20}, {"scale": 2.0}, BOUNDS)

    assert spelt.fingerprint == flat.fingerprint == apart.fingerprint


def test_a_format_is_one_in_any_case() -> None:
    upper = from_strings(SOLID, [("format", "JPEG")], None, BOUNDS)

    assert upper.fingerprint == from_strings(SOLID, [], "jpg", BOUNDS).fingerprint


def test_default_and_spelt_out_default_are_one_request() -> None:
    assert of().fingerprint == of(width="600", height="400", scale="1").fingerprint


@pytest.mark.parametrize(
    "other",
    [{"width": "21"}, {"color": "f01"}, {"scale": "1.5"}, {"compression": "fast"}],
)
def test_whatever_decides_the_bytes_is_in_the_fingerprint(
    other: dict[str, str],
) -> None:
    assert of(**{"width": "20", "color": "f00"} | other) != of(width="20", color="f00")
    assert of(**other).fingerprint != of().fingerprint


def test_version_of_the_renderer_is_in_the_fingerprint() -> None:
    newer = replace(SOLID, version="next")

    request = from_strings(newer, [], "png", BOUNDS)

    assert request.fingerprint != of().fingerprint


def test_every_fault_is_found_at_once() -> None:
    with pytest.raises(BadParameter) as caught:
        of(width="wide", color="nocolour", scale="9")

    assert {fault.field for fault in caught.value.faults} == {"width", "color", "scale"}


@pytest.mark.parametrize(
    ("call", "field"),
    [
        (lambda: of(colour="red"), "colour"),
        (lambda: from_strings(SOLID, [("width", "1")] * 2, "png", BOUNDS), "width"),
        (lambda: from_strings(SOLID, [], "bmp", BOUNDS), "format"),
        (lambda: of(format="png"), "format"),
        (lambda: of(quality="80"), "quality"),
        (lambda: from_json(SOLID, {"width": "2O"}, "png", BOUNDS), "width"),
        (lambda: from_json(SOLID, {"width": True}, "png", BOUNDS), "width"),
        (lambda: from_parts(SOLID, {"widht": 20}, {}, BOUNDS), "widht"),
        (lambda: of(scale="nan"), "scale"),
        (lambda: of(width="9" * 400), "width"),
    ],
)
def test_fault_is_named(call: Callable[[], ImageRequest], field: str) -> None:
    with pytest.raises(BadParameter) as caught:
        call()

    assert caught.value.faults[0].field == field


@pytest.mark.parametrize(
    ("values", "limit", "value"),
    [
        ({"width": "9000"}, "MIMEO_MAX_SIDE", 9000),
        ({"width": "3000", "scale": "3"}, "MIMEO_MAX_SIDE", 9000),
        ({"width": "5000", "height": "5000"}, "MIMEO_MAX_PIXELS", 25_000_000),
    ],
)
def test_limit_is_named_with_its_value(
    values: dict[str, str], limit: str, value: int
) -> None:
    with pytest.raises(LimitExceeded) as caught:
        of(**values)

    assert (caught.value.limit, caught.value.value) == (limit, value)


def test_a_format_that_takes_more_memory_is_refused_earlier(
    catalogue: Catalogue,
) -> None:
    bounds = replace(BOUNDS, drawing_bytes=64 << 20)
    sides = [("width", "2000"), ("height", "2000")]
    solid = catalogue.get("solid")

    assert from_strings(solid, sides, "png", bounds)
    with pytest.raises(LimitExceeded) as caught:
        from_strings(solid, sides, "avif", bounds)

    assert (caught.value.field, caught.value.limit) == ("format", "MIMEO_DRAWING_BYTES")


def test_html_has_the_memory_of_its_process(catalogue: Catalogue) -> None:
    bounds = replace(BOUNDS, html_memory_bytes=64 << 20)
    html = catalogue.get("html")
    given = [("html", "x"), ("width", "2000")]

    assert from_strings(html, [*given, ("height", "2000")], "png", bounds)
    with pytest.raises(LimitExceeded, match="MIMEO_HTML_MEMORY_BYTES"):
        from_strings(html, [*given, ("height", "3000")], "png", bounds)


def test_text_over_the_limit_is_refused(catalogue: Catalogue) -> None:
    bounds = replace(BOUNDS, max_text_chars=10)

    with pytest.raises(LimitExceeded) as caught:
        from_strings(catalogue.get("quote"), [("text", "x" * 11)], "png", bounds)

    assert caught.value.field == "text"


def test_colors_and_choices_are_no_text(catalogue: Catalogue) -> None:
    bounds = replace(BOUNDS, max_text_chars=10)
    pairs = [("text", "x" * 10), ("color", "red"), ("background", "white")]

    assert from_strings(catalogue.get("placeholder"), pairs, "png", bounds)


def test_url_makes_the_same_request_again(catalogue: Catalogue) -> None:
    card = catalogue.get("card")
    request = from_json(card, {"title": "Käse & Brot", "scale": 2}, "webp", BOUNDS)

    assert request.url == (
        f"/images/card.webp?scale=2.0&title=K%C3%A4se+%26+Brot&v={request.fingerprint}"
    )


def test_request_with_an_image_has_no_url(
    catalogue: Catalogue, png: Callable[[int, int], str]
) -> None:
    card = catalogue.get("card")

    request = from_json(card, {"title": "A", "image": png(4, 4)}, "png", BOUNDS)

    assert request.url is None


def test_every_example_is_a_request(catalogue: Catalogue) -> None:
    for name in catalogue.names():
        renderer: Renderer = catalogue.get(name)
        assert from_strings(renderer, renderer.example.items(), "png", BOUNDS)


def test_sizes_of_an_icon_are_in_its_fingerprint_and_in_no_other(
    catalogue: Catalogue, settings: Settings
) -> None:
    solid = catalogue.get("solid")
    side = {"width": 64, "height": 64}

    def fingerprint(**output: str) -> str:
        return from_parts(
            solid, side, {"format": "ico", **output}, settings
        ).fingerprint

    assert fingerprint(sizes="32,16") == fingerprint(sizes="16, 32") != fingerprint()
    output = {"background": None, "compression": None, "format": "ico", "quality": None}
    parameters = solid.parameters.model_validate(side).model_dump(mode="json")
    parts = (solid.name, solid.version, parameters, {**output, "scale": 1.0}, ENCODERS)
    canonical = orjson.dumps(parts, option=orjson.OPT_SORT_KEYS)
    assert fingerprint() == hashlib.sha256(canonical).hexdigest()
