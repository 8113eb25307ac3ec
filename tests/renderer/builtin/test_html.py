from types import SimpleNamespace
from xml.etree import ElementTree

import pytest

from app.renderer.builtin.html import Parameters, build, check
from app.renderer.errors import BadParameter, LimitExceeded

LIMITS = SimpleNamespace(
    max_html_bytes=262_144, max_html_depth=200, max_image_pixels=1_000_000
)
WHITE, RED, CLEAR = (255, 255, 255, 255), (255, 0, 0, 255), (0, 0, 0, 0)


@pytest.fixture(scope="module")
def html(engine, draw):
    """Draws HTML; returns the pixel in the lower right corner."""

    def corner(document: str):
        image = draw(
            build(engine, LIMITS), html=document, width="60", height="40"
        ).image
        return image.getpixel((59, 39))

    return corner


@pytest.mark.parametrize(
    ("document", "color"),
    [
        ("<p>Hello</p>", WHITE),
        ("<style>html{background:transparent}</style>", CLEAR),
        ("<style>body{background:red}</style>x", RED),
        ('<body style="background:red">x</body>', RED),
        ('<HTML STYLE="background:red"><p>x', RED),
        ("<!doctype html><head><style>body{background:red}</style></head>x", RED),
        ("<style media=print>body{background:red}</style>x", WHITE),
        ("<style media='screen'>body{background:red}</style>x", RED),
        (
            "<style>body{background:blue}</style ><style>body{background:red}</style>",
            RED,
        ),
        ("<!-- <style>body{background:red}</style> -->x", WHITE),
        ("<script>'<style>body{background:red}</style>'</script>x", WHITE),
        ('<div style="height:100%;background:red">x</div>', RED),
    ],
)
def test_pages_look_as_in_a_browser(html, document, color) -> None:
    assert html(document) == color


def test_a_title_is_not_drawn(engine, draw) -> None:
    renderer = build(engine, LIMITS)

    titled = draw(renderer, html="<head><title>No</title></head>x")

    assert titled.packed == draw(renderer, html="x").packed


def test_a_document_over_the_limit_of_bytes_is_refused() -> None:
    with pytest.raises(LimitExceeded) as caught:
        check("ä" * 131_073, LIMITS)

    assert caught.value.limit == "MIMEO_MAX_HTML_BYTES"
    assert (caught.value.allowed, caught.value.value) == (262_144, 262_146)


def test_a_document_over_the_limit_of_depth_is_refused(html) -> None:
    assert html("<div>" * 199) == WHITE
    with pytest.raises(LimitExceeded) as caught:
        html("<div>" * 201)

    assert caught.value.limit == "MIMEO_MAX_HTML_DEPTH"
    assert caught.value.value == 201


def test_a_strict_document_is_refused_for_each_thing_that_is_not_drawn(engine) -> None:
    renderer = build(engine, LIMITS)
    document = "<p style='float:left;columns:2'>x"
    plain, strict = (
        renderer.parameters(html=document, strict=strict) for strict in (False, True)
    )

    assert renderer.draw(plain, 1).facts["ignored"] == ["float", "columns"]
    with pytest.raises(BadParameter) as caught:
        renderer.draw(strict, 1)

    assert [fault.reason for fault in caught.value.faults] == [
        "is not drawn in full: float",
        "is not drawn in full: columns",
    ]


def test_preflight_finds_glyphs_that_are_missing_without_parsing(engine) -> None:
    renderer = build(engine, LIMITS)
    document = "<title>\U000f0000</title><p>\U000f0001<!-- \U000f0002 -->"

    facts = renderer.preflight(renderer.parameters(html=document), False)

    assert facts["missing_glyphs"] == ["U+F0001"]


def test_svg_has_the_size(engine) -> None:
    renderer = build(engine, LIMITS)
    parameters = renderer.parameters(html="<p>x</p>", width=50, height=20)

    root = ElementTree.fromstring(renderer.vector(parameters, 1).svg)

    assert (root.get("width"), root.get("height")) == ("50", "20")


def test_the_renderer_is_isolated(engine) -> None:
    assert build(engine, LIMITS).isolated


def test_canonically_equal_documents_are_one() -> None:
    composed, apart = (
        Parameters(html="<b>\u00e9</b>"),
        Parameters(html="<b>e\u0301</b>"),
    )

    assert composed == apart


def test_composing_leaves_tags_whole() -> None:
    """U+0338 and the end of a tag are another character when they are composed."""
    assert Parameters(html="<b>\u0338e\u0301</b>").html == "<b>\u0338\u00e9</b>"
