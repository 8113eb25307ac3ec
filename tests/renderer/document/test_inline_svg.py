"""Drawings in a page: their variables, colours and letters are the page's."""

import pytest

from app.renderer.document.translation import translate
from app.renderer.embedded_images import EmbeddedImages
from app.renderer.engine.engine import Engine, Page
from app.renderer.errors import Undrawable
from tests.renderer.document.fonts import fonts

SIZE = (120, 80)
BLUE, BLACK, WHITE = (0, 102, 204), (0, 0, 0), (255, 255, 255)
ROOT = "<style>:root{--a:#06c;--b:var(--a);--o:1;--w:40px}</style>"
RECT = "<rect width=80 height=60 {} />"


def markup(document: str) -> str:
    return translate(document, SIZE, EmbeddedImages(100), 200, fonts()).body


def pixel(engine: Engine, document: str, at: tuple[int, int] = (20, 20)) -> object:
    drawn = engine.draw(Page(markup(document)), SIZE, 1).image
    return drawn.convert("RGB").getpixel(at)


def svg(inside: str, more: str = "") -> str:
    return f"<svg width=100 height=70 {more}>{inside}</svg>"


@pytest.mark.parametrize(
    "drawing",
    [
        svg(RECT.format("fill='var(--a)'")),
        svg(RECT.format("fill='var(--b)'")),
        svg(RECT.format("fill='var( --no , var(--a) )'")),
        svg(RECT.format("style='fill:var(--b)'")),
        svg("<style>rect{fill:var(--b)}</style>" + RECT.format("")),
        svg("<style>svg{--c:#06c}rect{fill:var(--c)}</style>" + RECT.format("")),
        svg(RECT.format(""), "fill='var(--b)'"),
        svg(RECT.format(""), "style='fill:var(--b)'"),
        svg(f"<g style='--c:var(--a)'><g>{RECT.format('fill=var(--c)')}</g></g>"),
        svg(RECT.format("fill=#06c opacity='var(--o)'")),
        svg("<path d='M0 20H80' stroke=#06c stroke-width='var(--w)'/>"),
        svg(
            "<linearGradient id=g><stop stop-color='var(--b)'/></linearGradient>"
            + RECT.format("fill='url(#g)'")
        ),
        svg(RECT.format("fill=currentColor"), "style='color:var(--b)'"),
        svg(RECT.format("fill=currentColor"), "color=#06c"),
        f"<div style='color:#06c'>{svg(RECT.format('fill=currentColor'))}</div>",
        svg(f"<g color=#06c>{RECT.format('style=fill:currentColor')}</g>"),
        svg("<text y=40 font-size=90 fill='var(--a)'>\u2588</text>"),
    ],
)
def test_variables_and_the_colour_around_reach_drawings(
    engine: Engine, drawing: str
) -> None:
    assert pixel(engine, ROOT + drawing) == BLUE
    assert "var(" not in markup(ROOT + drawing)


def test_a_variable_that_is_not_set_leaves_the_default(engine: Engine) -> None:
    assert pixel(engine, svg(RECT.format("fill='var(--no)'"))) == BLACK


def test_a_variable_of_a_group_is_not_its_neighbours(engine: Engine) -> None:
    rect = RECT.format("fill='var(--c, #fff)'")
    groups = f"<g style='--c:#06c'></g><g>{rect}</g>"

    assert pixel(engine, svg(groups)) == WHITE


@pytest.mark.parametrize(
    "used",
    [
        "<use href=#s />",
        "<use xlink:href='#s'/>",
        "<use href=#both />",
        RECT.format("fill='url(#g)'"),
        RECT.format("style=\"fill:url('#g')\""),
    ],
)
def test_drawings_use_what_others_of_the_page_define(engine: Engine, used: str) -> None:
    shape = "<rect width=80 height=60 class=s />"
    sprite = (
        "<style>.s{fill:currentColor}</style><svg style='display:none'>"
        f"<symbol id=s viewBox='0 0 80 60'>{shape}</symbol>"
        "<symbol id=both viewBox='0 0 80 60'>"
        "<use href=#s width=80 height=60 /></symbol>"
        "<linearGradient id=g><stop stop-color='var(--a)'/></linearGradient></svg>"
    )
    drawing = f"<svg width=80 height=60 style='color:#06c'>{used}</svg>"

    assert pixel(engine, ROOT + sprite + drawing) == BLUE
    assert pixel(engine, ROOT + drawing + sprite) == BLUE


USES = "".join(
    f"<div style='--c:{color};height:30px;line-height:0'>"
    "<svg width=40 height=30 style='display:block'><use href=#s /></svg></div>"
    for color in ("#06c", "#fff", "#06c")
)
SYMBOL = f"<symbol id=s>{RECT.format('fill=var(--c)')}</symbol>"


@pytest.mark.parametrize(
    "shown", ["display:none", "position:absolute;width:0;height:0"]
)
@pytest.mark.parametrize("place", ["before", "after"])
@pytest.mark.parametrize("inside", [SYMBOL, f"<defs>{SYMBOL}</defs>"])
def test_a_symbol_has_the_colour_of_each_place_that_uses_it(
    engine: Engine, shown: str, place: str, inside: str
) -> None:
    sprite = f"<svg style='{shown}'>{inside}</svg>"
    document = sprite + USES if place == "before" else USES + sprite

    colors = [pixel(engine, document, (10, at)) for at in (15, 45, 75)]

    assert colors == [BLUE, WHITE, BLUE]


@pytest.mark.parametrize(
    "use", ["<use href=#s style='--c:{}'/>", "<g style='--c:{}'><use href=#s /></g>"]
)
def test_a_symbol_has_the_variables_of_each_use(engine: Engine, use: str) -> None:
    document = f"<svg style='position:absolute;width:0'>{SYMBOL}</svg>" + "".join(
        "<svg width=40 height=30 style='display:block'>"
        f"{use.format('red')}{use.format(color)}</svg>"
        for color in ("#06c", "#fff")
    )

    assert [pixel(engine, document, (10, at)) for at in (15, 45)] == [BLUE, WHITE]


def test_a_symbol_in_a_style_has_the_colour_of_each_place(engine: Engine) -> None:
    sprite = SYMBOL.replace("fill=var(--c)", "style=fill:var(--c)")

    document = f"<svg style='position:absolute;width:0'>{sprite}</svg>{USES}"

    assert [pixel(engine, document, (10, at)) for at in (15, 45)] == [BLUE, WHITE]


def test_variables_of_a_symbol_are_counted_at_each_use() -> None:
    many = RECT.format("fill=var(--c)") * 1_000
    uses = svg("<use href=#s />") * 10_000

    with pytest.raises(Undrawable):
        markup(f"<svg style='display:none'><symbol id=s>{many}</symbol></svg>{uses}")


def test_drawings_that_use_each_other_end(engine: Engine) -> None:
    round_ = svg("<g id=a><use href=#b /></g>") + svg("<g id=b><use href=#a /></g>")

    assert markup(round_).count("id=") == 4
    assert markup(svg("<use href=#none />")).count("defs") == 0


def test_text_of_a_drawing_is_set_as_the_text_around_it(engine: Engine) -> None:
    around = "<div style='font:italic 700 30px/1 monospace'>"

    inherited = markup(f"{around}{svg('<text>m</text>')}")
    own = markup(f"{around}{svg('<text>m</text>', 'font-size=9 font-family=serif')}")

    for each in ("font-family:monospace", "font-size:30px", "font-weight:700"):
        assert each in inherited.partition("<svg")[2]
    drawing = own.partition("<svg")[2]
    assert "font-size:30px" not in drawing and "monospace" not in drawing
    assert "font-style:italic" in drawing


def test_a_page_with_text_in_a_drawing_is_a_picture_in_pdf(engine: Engine) -> None:
    def exact(drawing: str) -> bool:
        return engine.draw_svg(Page(markup(drawing)), SIZE).exact

    # As a part of the page it was painted without its letters.
    assert not exact(svg("<text y=20>m</text>"))
    assert exact(svg(RECT.format("")))
