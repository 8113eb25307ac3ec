from types import SimpleNamespace
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.renderer.builtin.html import BASE, Parameters, build, check, depth, parse
from app.renderer.errors import LimitExceeded, Undrawable
from tests.growth import assert_linear

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


def test_parse_makes_one_body_and_keeps_its_attributes() -> None:
    page = parse(
        '<html lang="hi"><head><style>b{}</style></head><body class=a>x</body>'
    )

    assert page.body == '<html lang="hi"><body class=a>x</body></html>'
    assert page.styles == (BASE, "b{}")


@pytest.mark.parametrize(
    ("document", "levels"),
    [
        ("text", 0),
        ("<div><p>a</p></div>", 2),
        ("<p>a<p>b<p>c", 1),
        ("<ul><li>a<li>b<li><p>c<li>d</ul>", 3),
        ("<table><tr><td>a<td>b<tr><td>c</table>", 3),
        ("<br><hr><img src=x><input>" * 9, 0),
        ("<b></i><b></i><b></i>", 3),
        ("<div/><div/><div/>", 3),
        ("<svg><path/><path/><path/></svg>", 1),
        ('<a title="<b><b><b>">x</a>', 1),
        ("<!-- <b><b><b> --><i>", 1),
        ("<style><b><b></style><textarea><b><b></textarea>", 0),
        ("</div></div></p>", 0),
        ("<P>a<p>b</P>", 1),
    ],
)
def test_depth_counts_as_a_parser_nests(document, levels) -> None:
    assert depth(document, 100) == levels


@given(st.text("<>/!-'\"= abdivstyle\n"))
def test_any_text_can_be_parsed(document) -> None:
    assert parse(document).body.startswith("<html")
    assert depth(document, 200) <= document.count("<")


@pytest.mark.parametrize(
    "piece",
    (
        *("<", "<!--", "<style", "<style>", "</style ", "<style></style ", "<a b='"),
        *('<a "', "<b>", "</b>", "<p>a<li>", "<script>", "&#", "<svg/>", "<!", "< "),
    ),
)
def test_parsing_takes_linear_time_whatever_is_left_open(piece) -> None:
    assert_linear(parse, piece, 262_144)
    assert_linear(lambda document: depth(document, 200), piece, 262_144)


def test_a_document_over_the_limit_of_bytes_is_refused() -> None:
    with pytest.raises(LimitExceeded) as caught:
        check("ä" * 131_073, LIMITS)

    assert caught.value.limit == "MIMEO_MAX_HTML_BYTES"
    assert (caught.value.allowed, caught.value.value) == (262_144, 262_146)


def test_a_document_over_the_limit_of_depth_is_refused(html) -> None:
    assert html("<div>" * 200) == WHITE
    check("<div>" * 200, LIMITS)
    with pytest.raises(LimitExceeded) as caught:
        check("<div>" * 201, LIMITS)

    assert caught.value.limit == "MIMEO_MAX_HTML_DEPTH"
    assert caught.value.value == 201


def test_nesting_that_the_scan_cannot_see_is_refused_by_the_engine(html) -> None:
    with pytest.raises(Undrawable):
        html("<span><div></span>" * 600)


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
