"""A caller's HTML looks as browsers show it; what does not is named."""

import base64
import re

import pytest

from app.renderer.builtin.html import Parameters, page
from app.renderer.document import media, stylesheet
from app.renderer.document.computed_style import ComputedStyles
from app.renderer.document.counter_styles import number
from app.renderer.document.properties import Ignored
from app.renderer.document.translation import translate
from app.renderer.embedded_images import EmbeddedImages
from app.renderer.errors import Undrawable
from tests.growth import assert_linear
from tests.renderer.document.fonts import fonts

SIZE = (200, 100)
WHITE, RED, BLUE = (255, 255, 255), (255, 0, 0), (0, 0, 255)


@pytest.fixture
def shown(engine):
    """Draws a document; returns its pixels without alpha."""

    def show(document: str, size: tuple[int, int] = SIZE):
        parameters = Parameters(html=document, width=size[0], height=size[1])
        found = page(parameters, EmbeddedImages(1_000_000), engine)
        return engine.draw(found, size, 1).image.convert("RGB")

    return show


def ignored(document: str) -> tuple[str, ...]:
    return translate(document, SIZE, EmbeddedImages(1_000_000), 200, fonts()).ignored


def colors(image, box=None) -> set[tuple[int, int, int]]:
    part = image.crop(box) if box else image
    return {color for _, color in part.getcolors(1 << 16)}


def ink(image, box=None) -> int:
    """Count the pixels that are not white."""
    part = image.crop(box) if box else image
    return sum(count for count, color in part.getcolors(1 << 16) if color != WHITE)


BAR = "display:block;height:9px;background:red}"
FAR = "https://a.example/b.png"
BOX = "<style>i{{display:block;width:20px;height:20px}}{}</style>{}"


@pytest.mark.parametrize(
    ("css", "body", "place", "color"),
    [
        ("i:nth-child(even){background:red}", "<i></i><i></i>", (5, 25), RED),
        ("i:nth-child(even){background:red}", "<i></i><i></i>", (5, 5), WHITE),
        ("i:first-child{background:red}", "<i></i><i></i>", (5, 5), RED),
        ("i:last-child{background:red}", "<i></i><i></i>", (5, 5), WHITE),
        ("i:not(.a){background:red}", "<i class=a></i><i></i>", (5, 25), RED),
        ("i:not(.a){background:red}", "<i class=a></i><i></i>", (5, 5), WHITE),
        ("i:is(.a,.b){background:red}", "<i class=b></i>", (5, 5), RED),
        ("i:has(b){background:red}", "<i><b></b></i><i></i>", (5, 5), RED),
        ("i:has(b){background:red}", "<i><b></b></i><i></i>", (5, 25), WHITE),
        ("i+i{background:red}", "<i></i><i></i>", (5, 25), RED),
        ("[data-x^=a]{background:red}", "<i data-x=ab></i>", (5, 5), RED),
        ("i:nth-of-type(2){background:red}", "<b></b><i></i><i></i>", (5, 25), RED),
        ("i:empty{background:red}", "<i></i>", (5, 5), RED),
        ("#a{background:red}.b{background:blue}", "<i id=a class=b></i>", (5, 5), RED),
        (".b{background:red}i{background:blue}", "<i class=b></i>", (5, 5), RED),
        ("i{background:red!important}", "<i style=background:blue></i>", (5, 5), RED),
        (":root{--c:red}i{background:var(--c)}", "<i></i>", (5, 5), RED),
        ("i{background:var(--no,red)}", "<i></i>", (5, 5), RED),
        ("div{--c:red}i{background:var(--c)}", "<div><i></i></div>", (5, 5), RED),
        ("@media(min-width:150px){i{background:red}}", "<i></i>", (5, 5), RED),
        ("@media(min-width:250px){i{background:red}}", "<i></i>", (5, 5), WHITE),
        ("@media print{i{background:red}}", "<i></i>", (5, 5), WHITE),
        ("i:hover{background:red}", "<i></i>", (5, 5), WHITE),
        ("i::before{content:'';" + BAR, "<i></i>", (5, 5), RED),
        ("i::after{content:'';" + BAR, "<i></i>", (5, 5), RED),
    ],
)
def test_selectors_and_the_cascade_are_those_of_browsers(
    shown, css, body, place, color
) -> None:
    assert shown(BOX.format(css, body)).getpixel(place) == color


def test_a_rule_line_is_drawn_across(shown) -> None:
    image = shown("<hr>")

    assert ink(image, (0, 0, 5, 20)) and ink(image, (195, 0, 200, 20))


def test_a_link_is_blue_and_underlined(shown) -> None:
    link, text = shown("<a href=x>nnnn</a>"), shown("<a>nnnn</a>")

    assert any(blue > 200 > red + 50 for red, _, blue in colors(link))
    assert ink(link) > ink(text)


@pytest.mark.parametrize(("tag", "moves"), [("sub", 1), ("sup", -1)])
def test_sub_and_sup_leave_the_line(shown, tag, moves) -> None:
    image = shown(f"<div style='padding:20px 5px'>M<{tag}>x</{tag}></div>", (60, 60))

    def foot(left: int, right: int) -> int:
        return max(y for y in range(60) if ink(image, (left, y, right, y + 1)))

    assert (foot(21, 60) - foot(0, 18)) * moves >= 2


@pytest.mark.parametrize(
    ("document", "text"),
    [
        ("<q>a <q>b</q></q>", "\u201ca \u2018b\u2019\u201d"),
        ("<style>b::before{content:'> '}</style><b>x</b>", "&gt; x"),
        ("<style>b::after{content:attr(title)}</style><b title=t>x</b>", "xt"),
        (
            "<style>b{counter-increment:n}b::before{content:counter(n) '. '}</style>"
            "<b>x</b><b>y</b>",
            "1. x2. y",
        ),
        (
            "<style>b{counter-increment:n}b::before{content:counter(n,upper-roman)}"
            "</style><b>x</b><b>y</b>",
            "IxIIy",
        ),
        (
            "<style>div{counter-reset:n}p{counter-increment:n}"
            "p::before{content:counters(n,'.')}</style>"
            "<div><p>a</p><div><p>b</p></div><p>c</p></div>",
            "1a1.1b1.2c",
        ),
        ("<b>a</b>\n<i>b</i>", "a b"),
        ("<p> a  b <p> c", "a bc"),
        ("<select><option>a<option selected>b</select>", "b"),
        ("<input value=v>", "v"),
        ("<noscript>x</noscript>", "x"),
        ("<details><summary>s</summary>no</details>", "s"),
        ("<p hidden>no</p>x", "x"),
        (
            "a<!-- no --><script>no</script><title>no</title><template>no</template>",
            "a",
        ),
        ("<img src=x.png alt=words>", "words"),
        ("<p>&lt;b&gt; &amp;", "&lt;b&gt; &amp;"),
    ],
)
def test_text_is_what_browsers_show(document, text) -> None:
    body = translate(document, SIZE, EmbeddedImages(100), 200, fonts()).body

    assert "".join(stripped(body)).replace("\u200b", "") == text


def stripped(markup: str) -> list[str]:
    return [part.partition(">")[2] for part in markup.split("<")]


@pytest.mark.parametrize(
    ("document", "markers"),
    [
        ("<ol><li>a<li>b</ol>", ["1. ", "2. "]),
        ("<ol start=5><li>a<li>b</ol>", ["5. ", "6. "]),
        ("<ol reversed><li>a<li>b<li>c</ol>", ["3. ", "2. ", "1. "]),
        ("<ol><li value=9>a<li>b</ol>", ["9. ", "10. "]),
        ("<ol type=a><li>a<li>b</ol>", ["a. ", "b. "]),
        ("<ol><li>a<ol><li>b</ol><li>c</ol>", ["1. ", "1. ", "2. "]),
        ("<ol style='counter-reset:x'><li>a<li>b</ol>", ["1. ", "2. "]),
        ("<ol style='list-style:upper-roman'><li>a<li>b</ol>", ["I. ", "II. "]),
        ("<ol><li style='list-style-type:\"- \"'>a</ol>", ["- "]),
    ],
)
def test_items_of_lists_are_numbered(document, markers) -> None:
    body = translate(document, SIZE, EmbeddedImages(100), 200, fonts()).body

    found = re.findall(r'<div style="[^"]*position:absolute[^"]*">([^<]*)</div>', body)
    assert found == markers


def test_a_marker_has_the_style_of_its_own(shown) -> None:
    image = shown("<style>li::marker{color:red}</style><ul><li>x</ul>")

    assert RED in colors(image, (0, 0, 40, 50))
    assert RED not in colors(image, (40, 0, 200, 50))


def test_a_drawing_keeps_its_style_sheet_to_itself(shown) -> None:
    svg = (
        "<svg width=20 height=20><style>.c,p{fill:red;color:red;background:red}</style>"
        "<rect class=c width=20 height=20 /></svg>"
    )
    image = shown(f"<div>{svg}</div><p style='margin:0' class=c>x</p>")

    assert image.getpixel((10, 10)) == RED
    assert RED not in colors(image, (0, 30, 200, 100))


@pytest.mark.parametrize(
    ("document", "place", "color"),
    [
        ("<body bgcolor=red>", (100, 50), RED),
        ("<body bgcolor=ff0000>", (100, 50), RED),
        ("<font color=red size=7 face=serif>████", (10, 20), RED),
        ("<div style='width:50px;padding:25px;background:red'></div>", (95, 10), RED),
        ("<hr color=red size=20>", (100, 18), RED),
        ("<a href=x><div style='height:9px;background:red'></div></a>", (150, 5), RED),
        ("<p style='margin-inline-start:9px;background:red'>x", (12, 18), RED),
    ],
)
def test_old_attributes_and_boxes_are_drawn(shown, document, place, color) -> None:
    assert shown(document).getpixel(place) == color


@pytest.mark.parametrize(
    ("document", "names"),
    [
        ("<p style='float:left'>x", ("float",)),
        ("<p style='float:none;columns:auto'>x", ()),
        ("<style>p{float:left}p{float:none}</style><p>x", ()),
        ("<style>p{float:left}</style><b>x", ()),
        ("<p style='float:left;display:none'>x", ()),
        ("<p style='column-count:2'>x<p style='column-count:3'>y", ("column-count",)),
        ("<p style='writing-mode:vertical-rl'>x", ("writing-mode",)),
        ("<p style='frobnicate:1'>x", ("frobnicate",)),
        ("<p style='cursor:pointer;transition:all 1s;-webkit-x:y'>x", ()),
        ("<p style='width:min(1px,2px)'>x", ()),
        ("<p style='padding:min(1px,2%)'>x", ("padding: min()",)),
        ("<p style='text-decoration:underline wavy'>x", ("text-decoration: wavy",)),
        ("<style>p::first-line{color:red}</style><p>x", ("::first-line",)),
        ("<style>p::selection{color:red}</style><p>x", ()),
        ("<style>p:frob{color:red}</style><p>x", ("p:frob",)),
        ("<style>@import url(a.css);</style>x", ("@import",)),
        # Of paper, which a picture is not.
        ("<style>@page{margin:1cm}p{break-before:page}</style><p>x", ()),
        ("<style>@font-face{src:url(data:,)}</style>x", ()),
        (
            "<style>@font-face{font-family:a;src:url(a.ttf)}p{font-family:a}</style><p>x",
            ("@font-face a: a.ttf is not fetched",),
        ),
        ("<style>@keyframes a{from{top:0}}</style>x", ()),
        ("<iframe src=x></iframe>", ("<iframe>",)),
        ("<canvas></canvas>", ("<canvas>",)),
        ("<script>x()</script>", ("script",)),
        ("<script type=application/ld+json>{}</script>", ()),
        ("<link rel=stylesheet href=a.css>x", ("style sheet a.css",)),
        (
            "<img src=https://a.example/b.png>",
            ("https://a.example/b.png is not fetched",),
        ),
        ("<p style='background:url(a.png)'>x", ("a.png is not fetched",)),
        ("<style>p{background:url(a.png)}</style>x", ()),
        (f"<svg><image href='{FAR}'/></svg>", (f"{FAR} is not fetched",)),
        ("<svg><foreignObject><p>x</foreignObject></svg>", ("<foreignObject>",)),
        (
            "<ol style='list-style-type:ethiopic'><li>x</ol>",
            ("list-style-type: ethiopic",),
        ),
        ("<style>p::before{content:element(x)}</style><p>x", ("content: element(x)",)),
        ("<table align=left><tr><td>x</table>", ("float",)),
        ("<b style='border:1px solid'>" + "word " * 40, ("border of text in a line",)),
    ],
)
def test_what_is_not_drawn_is_named_once(document, names) -> None:
    assert ignored(document) == names


def test_no_more_than_twenty_things_are_named() -> None:
    style = ";".join(f"frob{number}:1" for number in range(99))

    assert len(ignored(f"<p style='{style}'>x")) == 20


@pytest.mark.parametrize(
    ("query", "true"),
    [
        ("", True),
        ("screen", True),
        ("print", False),
        ("not print", True),
        ("only screen and (max-width: 200px)", True),
        ("(width > 200px)", False),
        ("(100px <= width <= 200px)", True),
        ("(orientation: landscape)", True),
        ("(orientation: portrait) or (min-height: 5em)", True),
        ("not all and (width: 200px)", False),
        ("print, (max-height: 100px)", True),
        ("(prefers-color-scheme: dark)", False),
        ("(frobnicate)", False),
        ("and and", False),
    ],
)
def test_media_queries_are_about_the_canvas(query, true) -> None:
    assert media.matches(query, SIZE) is true


@pytest.mark.parametrize(
    ("selector", "weight"),
    [
        ("*", (0, 0, 0)),
        ("li", (0, 0, 1)),
        ("ul li", (0, 0, 2)),
        ("ul ol+li", (0, 0, 3)),
        ("h1 + *[rel=up]", (0, 1, 1)),
        ("ul ol li.red", (0, 1, 3)),
        ("li.red.level", (0, 2, 1)),
        ("#x34y", (1, 0, 0)),
        ("#s12:not(foo)", (1, 0, 1)),
        (".foo :is(.bar, #baz)", (1, 1, 0)),
        (":where(#a) b", (0, 0, 1)),
        ("a:nth-child(2n+1 of #b)", (1, 1, 1)),
    ],
)
def test_weights_of_selectors_are_those_of_the_standard(selector, weight) -> None:
    """The examples of Selectors 4, 17, and two more."""
    assert stylesheet.specificity(selector) == weight


@pytest.mark.parametrize(
    ("value", "style", "text"),
    [
        (1, "lower-alpha", "a"),
        (27, "upper-alpha", "AA"),
        (2**31 - 1, "lower-alpha", "fxshrxw"),
        (0, "lower-alpha", "0"),
        (1994, "upper-roman", "MCMXCIV"),
        (4000, "upper-roman", "4000"),
        (-3, "decimal-leading-zero", "-03"),
        (24, "lower-greek", "ω"),
        (16, "hebrew", "\u05d8\u05d6"),
        (1000, "hebrew", "1000"),
        (444, "armenian", "\u0546\u053d\u0534"),
        (2026, "georgian", "\u10ea\u10d9\u10d5"),
        (10, "arabic-indic", "\u0661\u0660"),
        (3, "thai", "\u0e53"),
        (47, "hiragana", "を"),
        (10, "cjk-decimal", "一〇"),
        (2010, "cjk-ideographic", "二千零一十"),
        (15, "cjk-ideographic", "十五"),
        (1110, "japanese-informal", "千百十"),
        (10_000, "japanese-informal", "10000"),
        (7, "frob", "7"),
    ],
)
def test_counters_have_the_styles_of_css(value, style, text) -> None:
    assert number(value, style) == text


@pytest.mark.parametrize(
    "document",
    [
        "<style>*{background:"
        + "linear-gradient(red,blue)," * 2_000
        + "red}</style>"
        + "<b>" * 150
        + "<i></i>" * 20_000,
        "<style>*::before{content:'" + "x" * 60_000 + "'}</style>" + "<i></i>" * 9_000,
        "<style>" + "*{color:red}" * 9_000 + "</style>" + "<i></i>" * 9_000,
    ],
    ids=["style", "content", "rules"],
)
def test_a_page_that_grows_without_end_is_refused(document) -> None:
    with pytest.raises(Undrawable):
        translate(document, SIZE, EmbeddedImages(100), 200, fonts())


def test_variables_that_double_each_other_end() -> None:
    doubled = "".join(f"--v{n}:var(--v{n - 1}) var(--v{n - 1});" for n in range(1, 60))
    found = translate(
        f"<p style='--v0:red;{doubled}color:var(--v59)'>x",
        SIZE,
        EmbeddedImages(100),
        200,
        fonts(),
    )

    assert len(found.body) < 500_000


def test_a_sheet_of_at_rules_is_read_to_its_end() -> None:
    css = "/* @media{ */ a{b:c} @media all{@media all{d{e:f}}} @page{margin:1cm} g{h:i"

    sheet = stylesheet.read(css, SIZE, Ignored())

    assert [rule.selector for rule in sheet.rules] == ["a", "d", "g"]
    assert sheet.pages == [("", "margin:1cm")]


def test_nesting_that_was_allowed_and_is_too_deep_is_refused() -> None:
    with pytest.raises(Undrawable, match="too deep"):
        translate("<div>" * 5_000, SIZE, EmbeddedImages(100), 10_000, fonts())


def test_inline_blocks_that_nest_deep_are_refused_before_they_are_laid_out() -> None:
    """Nine of them took the engine over a minute: it lays each out seven times."""
    box = "<span style='display:inline-block'>x"

    assert ignored(box * 5) == ()
    with pytest.raises(Undrawable, match="inline blocks nest too deep"):
        ignored(box * 9)


def test_markers_that_take_the_engine_long_are_refused_in_thousands_of_boxes() -> None:
    """Nine thousand of them took it over a minute."""
    item = "<li style='list-style:square'><p>x</p></li>"
    box = f"<span style='display:inline-block'>{item}</span>"

    assert ignored(box * 9) == ()
    with pytest.raises(Undrawable, match="inline blocks nest too deep"):
        ignored(box * 9_000)


def test_text_in_a_line_has_no_boxes_where_they_would_nest_deep(shown) -> None:
    """Forty `<b>` in each other with a shadow were stopped after ten seconds."""
    document = "<style>b{box-shadow:0 0 1px red}</style>" + "<b>x" * 40

    assert ink(shown(document)) > 0
    assert ignored(document) == ("box-shadow of text in a line",)


@pytest.mark.parametrize(
    "markup",
    [
        '<img style="visibility:hidden" width=40 height=40 src="data:image/svg+xml,'
        "%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 4 4'%3E"
        "%3Crect width='4' height='4'/%3E%3C/svg%3E\">",
        f'<span style="visibility:hidden">{"secret " * 20}</span>',
        '<div style="visibility:hidden">secret</div>',
    ],
    ids=["image", "long text", "block"],
)
def test_what_is_hidden_is_not_drawn(shown, markup: str) -> None:
    assert shown(markup).getextrema() == ((255, 255),) * 3


def test_classes_in_tw_are_painted_and_styles_win_over_them(shown) -> None:
    image = shown(
        "<div tw='flex'><div tw='w-10 h-10 bg-black'></div>"
        "<div tw='w-10 h-10 bg-black' style='background:#f00'></div></div>"
    )

    assert [image.getpixel((x, 20)) for x in (20, 60, 120)] == [
        (0, 0, 0),
        (255, 0, 0),
        (255, 255, 255),
    ]


@pytest.mark.parametrize(
    ("before", "piece", "after", "most"),
    [
        ("<style>*{counter-reset:", "a ", "}</style>" + "<i></i>" * 5, 60_000),
        ("<p style='counter-reset:", "c{} ", "'>" + "<i></i>" * 3_000, 30_000),
        ("", "<i style='counter-increment:c{}'></i>", "", 200_000),
        ("<style>b{content:", '"a', "}</style><b>x", 60_000),
        ("<style>q{quotes:", "'a' 'b' ", "}</style>" + "<q></q>" * 300, 60_000),
        ("<style>q::before{content:", "''", "}</style>" + "<q></q>" * 9, 40_000),
        ("<style>q::before{content:'", r"\"", "}</style><q></q>", 60_000),
        ("<style>q::before{content:", 'a("\\"', "}</style><q></q>", 60_000),
    ],
)
def test_counters_and_content_take_linear_time(before, piece, after, most) -> None:
    """29 KB of counters, set by every element, took eight seconds."""

    def work(text: str) -> None:
        numbered = (str(number) for number in range(len(text)))
        named = re.sub(r"\{\}", lambda _: next(numbered), text)
        translate(f"{before}{named}{after}", SIZE, EmbeddedImages(100), 200, fonts())

    assert_linear(work, piece, most)


@pytest.mark.parametrize(
    "document",
    [
        "<style>*{counter-reset:" + "a " * 900 + "}</style>" + "<i></i>" * 1_500,
        "<style>i::before{content:" + "counter(a)" * 900 + "}</style>" + "<i>" * 900,
        "<style>b{counter-reset:a}i::before{content:counters(a,'')}</style>"
        + "<b>" * 150
        + "<i></i>" * 9_000,
    ],
    ids=["reset", "content", "counters"],
)
def test_a_page_that_counts_without_end_is_refused(document) -> None:
    with pytest.raises(Undrawable, match="counts"):
        translate(document, SIZE, EmbeddedImages(100), 1_000, fonts())


@pytest.mark.parametrize(
    ("lines", "high"), [("1.45", 81), ("20.3px", 81), ("1.5", 84), ("normal", 68)]
)
def test_rows_of_fractions_of_a_pixel_do_not_add_up(shown, lines, high) -> None:
    rows = "<p style='margin:0'>a" * 4
    image = shown(f"<div style='font:14px/{lines} Inter;background:red'>{rows}</div>")

    column = [image.getpixel((150, y)) for y in range(SIZE[1])]

    assert column.count(RED) == pytest.approx(high, abs=1)


def test_small_text_alone_keeps_the_lines_of_its_block(shown) -> None:
    text = "<small>a<br>b</small>"
    image = shown(f"<p style='margin:0;font-size:20px;line-height:2'>{text}")

    rows = [y for y in range(SIZE[1]) if ink(image, (0, y, 60, y + 1))]

    assert rows[-1] > 40


def test_align_of_a_cell_ends_at_the_table_in_it(shown) -> None:
    inner = "<table width=150 bgcolor=red><tr><td height=40>a</table>"
    image = shown(
        f"<table width=200 cellpadding=0><tr><td align=center>{inner}</table>"
    )

    assert image.getpixel((100, 20)) == RED
    assert any(image.getpixel((x, y)) != RED for x in range(28, 40) for y in range(50))


@pytest.mark.parametrize(
    ("document", "place", "color"),
    [
        ("<style>.a{& i{background:red}}</style><div class=a><i></i></div>", 5, RED),
        ("<style>.a{i{background:red}}</style><div class=a><i></i></div>", 5, RED),
        ("<style>div{>i{background:red}}</style><div><i></i></div>", 5, RED),
        (
            "<style>i{@media (max-width:9px){background:red}}</style><i></i>",
            *(5, WHITE),
        ),
        (
            "<style>i{background:red !IMPORTANT}i{background:blue}</style><i></i>",
            5,
            RED,
        ),
        ("<style>i{--a:1foo;background:red;width:var(--a)}</style><i></i>", 5, RED),
    ],
)
def test_rules_in_rules_are_read(shown, document, place, color) -> None:
    image = shown(BOX.format("", document))

    assert image.getpixel((place, 5)) == color


def test_a_listing_is_as_high_as_its_lines(shown) -> None:
    lines = "a\n" * 5
    image = shown(
        f"<pre style='margin:0;font:13px/15.4px Inter;background:red'>{lines}"
    )

    column = [image.getpixel((150, y)) for y in range(SIZE[1])]

    assert column.count(RED) == pytest.approx(77, abs=1)


def test_an_element_without_a_box_hands_its_colour_on(shown) -> None:
    inner = (
        "<div style='display:contents;color:red;border:9px solid blue'>a<i>b</i></div>"
    )
    image = shown(f"<div style='display:flex;font-size:40px'>{inner}</div>")

    assert RED in colors(image)
    assert BLUE not in colors(image)


def test_areas_of_a_grid_are_where_their_names_stand(shown) -> None:
    cells = "<p style='grid-area:a;background:red'></p><p style='grid-area:b'></p>"
    grid = 'display:grid;grid-template-areas:"b a";grid-template-columns:1fr 1fr'
    image = shown(
        f"<style>p{{margin:0;height:20px}}</style><div style='{grid}'>{cells}"
    )

    assert image.getpixel((150, 10)) == RED
    assert image.getpixel((50, 10)) == WHITE


def test_cells_without_a_row_stand_in_one(shown) -> None:
    cell = "<p style='display:table-cell;width:40px;height:20px;background:{}'></p>"
    cells = cell.format("red") + cell.format("blue")
    image = shown(f"<div style='display:table'>{cells}</div>")

    assert (image.getpixel((10, 10)), image.getpixel((60, 10))) == (RED, BLUE)


@pytest.mark.parametrize(
    ("document", "names"),
    [
        ("<p style='position:sticky;top:9px'>x", ("position: sticky",)),
        ("<p style='position:sticky;top:0'>x", ()),
        ("<p style='animation:a 1s'>x", ("animation",)),
        ("<p style='animation:none'>x", ()),
        ("<ruby>x<rt>y</rt></ruby>", ("<ruby>",)),
        ("<p style='--a:left;float:var(--a)'>x", ("float",)),
    ],
)
def test_what_moves_and_what_stands_above_is_named(document, names) -> None:
    assert ignored(document) == names


def test_variables_that_double_in_every_element_are_refused() -> None:
    """9 KB of them took fifteen seconds: one of the hostile documents."""
    doubled = "".join(f"--v{n}:var(--v{n - 1})var(--v{n - 1});" for n in range(1, 300))
    document = f"<style>*{{--v0:1px;{doubled}}}</style>" + "<b>x" * 150

    with pytest.raises(Undrawable, match="variables"):
        translate(document, SIZE, EmbeddedImages(100), 200, fonts())


def test_a_short_text_in_a_box_keeps_its_line(shown) -> None:
    time = "<b style='margin-left:8px;padding:4px;background:red'>2 Feb</b>"
    image = shown(f"<p style='margin:0;font-size:16px;line-height:24px'>a{time}")

    red = [y for y in range(SIZE[1]) if RED in colors(image, (0, y, 90, y + 1))]

    assert max(red) < 30


HALF = "display:inline-block;width:50%;height:20px;background:red"
BARE = f"{HALF};border:0"
PIXEL = (
    "data:image/svg+xml;base64,PHN2ZyB4bWxucz0iaHR0cDovL3d3dy53My5vcmcvMjAwMC9zdmciIHd"
    "pZHRoPSI0IiBoZWlnaHQ9IjQiPjxyZWN0IHdpZHRoPSI0IiBoZWlnaHQ9IjQiIGZpbGw9InJlZCIvPjwvc3ZnPg=="
)


# The engine takes them for shares of the content, so that a column of MJML was narrow.
@pytest.mark.parametrize(
    ("markup", "left", "width"),
    [
        (f"<div style='{HALF}'></div>", 0, 100),
        (f"<div style='width:160px'><div style='{HALF}'>x</div></div>", 0, 80),
        (f"<div style='padding:0 20px'><span style='{HALF}'>x</span></div>", 20, 80),
        (f"<p>x<span style='{HALF};margin-left:10%'></span>", None, 100),
        (f"<div style='{HALF};width:calc(50% - 10px)'></div>", 0, 90),
        (f"<div style='{HALF};width:auto;min-width:30%'>x</div>", 0, 60),
        (
            f"<table width=200 cellspacing=0 cellpadding=0><td><div style='{HALF}'>",
            0,
            100,
        ),
        (f"<div style='text-align:center'><div style='{HALF}'></div></div>", 50, 100),
        (f"<div style='{HALF};background:none'><p style='{HALF};margin:0'>", 0, 50),
        # How wide an item gets the engine alone knows, so one that is alone is a block.
        (f"<div style='display:flex'><div style='flex:1'><b style='{HALF}'>", 0, 100),
        (
            f"<div style='display:grid'><p style='text-align:right'><b style='{HALF}'>",
            100,
            100,
        ),
        (f"<style>p::before{{content:'';{HALF}}}</style><p>", 0, 100),
        (f"<img style='{HALF}' src='{PIXEL}'>", 0, 100),
        (f"<img width=50% height=20 src='{PIXEL}'>", 0, 100),
        (
            f"<div style='display:flex'><p style='width:5em'><img style='{BARE}'>",
            0,
            40,
        ),
        (f"<img style='{BARE}'>", 0, 100),
        (
            f"<textarea style='{HALF};box-sizing:border-box;border:0'></textarea>",
            0,
            100,
        ),
    ],
)
def test_shares_of_a_box_in_a_line_are_of_what_is_around_it(
    shown, markup: str, left: int | None, width: int
) -> None:
    image = shown(markup, (200, 60))

    red = [
        x for x in range(200) if any(image.getpixel((x, y)) == RED for y in range(60))
    ]

    assert (red[0] if left is not None else None, len(red)) == (left, width)
    assert ignored(markup) == ()


def test_a_share_of_what_nobody_knows_is_named() -> None:
    document = f"<div style='display:flex'><div>x <b style='{HALF}'>y</b></div></div>"

    assert ignored(document) == ("width in per cent in a line",)


@pytest.mark.parametrize(
    ("css", "color"),
    [
        # What Word and Excel write of every border.
        ("border:solid windowtext 1.0pt", (0, 0, 0)),
        ("border-top:.5pt solid WindowText", (0, 0, 0)),
        ("border-top:4px solid ButtonBorder", (118, 118, 118)),
        ("outline:4px solid ActiveText;outline-offset:-4px", RED),
        ("background:linear-gradient(LinkText, linktext)", (0, 0, 238)),
        ("box-shadow:inset 0 0 0 9px graytext", (128, 128, 128)),
    ],
)
def test_colors_of_a_theme_are_drawn(shown, css: str, color) -> None:
    image = shown(f"<div style='height:40px;{css}'></div>")

    assert image.getpixel((100, 0)) == color


def test_words_that_are_no_colors_stay_what_they_are() -> None:
    style = "<style>p::before{{content:{} counter(a)}}</style><p>"

    said = translate(
        style.format("'Menu, window, mark'"), SIZE, EmbeddedImages(100), 200, fonts()
    )

    assert "Menu, window, mark0" in said.body


def body(document: str) -> str:
    return translate(document, SIZE, EmbeddedImages(1_000_000), 200, fonts()).body


DOT = "data:image/svg+xml,<svg xmlns=%27http://www.w3.org/2000/svg%27 width=%279%27/>"


def test_equal_styles_compute_by_what_is_around_them() -> None:
    inner = "<p style='font-size:2em'>x</p>"

    found = body(f"<div style='font-size:9px'>{inner}</div>{inner}")

    assert "font-size:18px" in found and "font-size:32px" in found


def test_equal_rows_of_a_table_are_computed_once(monkeypatch) -> None:
    computed = []
    compute = ComputedStyles._compute_anew

    def counting(self, style, context):
        computed.append(style)
        return compute(self, style, context)

    monkeypatch.setattr(ComputedStyles, "_compute_anew", counting)

    found = body(f"<table>{'<tr><td>a<td><b>b</b>' * 200}</table>")

    assert found.count(">b<") == 200
    assert len(computed) < 20


def test_more_styles_than_are_kept_are_all_computed() -> None:
    rows = "".join(f"<p style='width:{each}px'>x</p>" for each in range(3_000))

    found = body(rows * 2)

    assert all(found.count(f"width:{each}px;") == 2 for each in range(3_000))


def test_the_time_of_a_table_grows_as_its_rows_do() -> None:
    piece = "<tr><td style='padding:1px 2px;border:1px solid red'>a word<td>b</td></tr>"

    assert_linear(lambda rows: body(f"<table>{rows}</table>"), piece, 120_000)


def test_what_the_engine_does_by_itself_is_not_said() -> None:
    found = body(f"<div>a</div><div style='height:9px'>b</div><img src='{DOT}'>")

    assert "<div>a</div>" in found
    assert '<div style="height:9px;box-sizing:content-box">b</div>' in found
    assert re.search("<img [^>]*display:inline-block;[^>]*box-sizing", found)


# The engine makes a box that fits its content as wide as all of it in one line.
@pytest.mark.parametrize(
    "around", ["{}", "<center>{}</center>", "<div style='padding:0 10px'>{}</div>"]
)
@pytest.mark.parametrize(
    "table",
    [
        "<table border=1><tr><td>{}</td></tr></table>",
        "<table border=1 style='border-collapse:collapse'><tr><td>{}<td>b</table>",
        "<table border=1><tr><td><table border=1><tr><td>{}</table><td>b</table>",
        "<table border=1 style='box-sizing:border-box;padding:9px'><tr><td>{}</table>",
    ],
)
def test_a_long_cell_of_a_table_without_a_width_wraps(
    shown, around: str, table: str
) -> None:
    image = shown(around.format(table.format("some words " * 9)), (200, 200))

    # The right border is in the picture: nothing reaches out of it.
    assert ink(image, (0, 60, 200, 61)) >= 2
    assert ink(image, (100, 60, 200, 80)) > 0
    edge = max(x for x in range(200) if image.getpixel((x, 30)) != WHITE)
    assert edge > 150
    assert {image.getpixel((edge, y)) for y in range(20, 40)} != {WHITE}
    assert ink(image, (0, 40, 200, 120)) > 100


FLAG = (
    "<svg xmlns='http://www.w3.org/2000/svg' width='400' height='200'>"
    "<rect width='400' height='200' fill='red'/></svg>"
)


# `img{max-width:100%}` is in most style sheets; the engine kept the height.
@pytest.mark.parametrize(
    ("css", "around", "size"),
    [
        ("max-width:100%", "{}", (200, 100)),
        ("max-width:100%;height:auto;display:block", "{}", (200, 100)),
        ("max-width:50%", "{}", (100, 50)),
        ("max-width:80px", "{}", (80, 40)),
        ("max-height:40px", "{}", (80, 40)),
        ("max-width:100px;max-height:20px", "{}", (40, 20)),
        (
            "max-width:100%;padding:10px;box-sizing:border-box;border:10px solid",
            "<div style='width:160px'>{}</div>",
            (160, 100),
        ),
        ("max-width:100px;min-height:60px", "{}", (100, 60)),
        ("width:100px;max-height:20px", "{}", (100, 20)),
        ("height:80px;max-width:100%", "<div style='width:90px'>{}</div>", (90, 80)),
        ("max-width:100%", "<div style='display:flex;width:60px'>{}</div>", (60, 30)),
        (
            "max-width:100%",
            "<table width=80 cellpadding=0 cellspacing=0><td>{}",
            (80, 40),
        ),
        ("max-width:100%", "<a style='display:block;padding:0 20px'>{}</a>", (160, 80)),
    ],
)
def test_an_image_keeps_its_proportions_within_bounds(
    shown, css: str, around: str, size: tuple[int, int]
) -> None:
    source = f"data:image/svg+xml;base64,{base64.b64encode(FLAG.encode()).decode()}"

    image = shown(around.format(f"<img style='{css}' src='{source}'>"), (200, 120))

    left, top, right, bottom = image.point(lambda value: 255 - value).getbbox()
    assert (right - left, bottom - top) == size


def test_an_image_of_no_width_beside_a_bound_has_none(shown) -> None:
    source = f"data:image/svg+xml;base64,{base64.b64encode(FLAG.encode()).decode()}"

    image = shown(f"<img style='width:0;max-width:100%' src='{source}'>", (200, 120))

    assert image.point(lambda value: 255 - value).getbbox() is None


@pytest.mark.parametrize(
    ("row", "item", "size"),
    [
        ("width:120px", "flex:1", (120, 60)),
        ("width:120px", "", (120, 60)),
        ("width:180px", "flex:none;width:50%", (90, 45)),
        ("display:grid;grid-template-columns:1fr 1fr;width:120px", "", (60, 30)),
    ],
)
def test_an_image_in_a_room_that_the_engine_knows_keeps_its_proportions(
    shown, row: str, item: str, size: tuple[int, int]
) -> None:
    source = f"data:image/svg+xml;base64,{base64.b64encode(FLAG.encode()).decode()}"
    image = f"<div style='{item}'><img style='max-width:100%' src='{source}'></div>"

    found = shown(f"<div style='display:flex;{row}'>{image}</div>", (200, 250))

    assert found.point(lambda value: 255 - value).getbbox() == (0, 0, *size)


PRESS = "<span style='display:inline-block;background:red'>press</span>"


# The engine put a box behind padded text at the left of the line below.
@pytest.mark.parametrize(
    "text",
    [
        "<a style='padding:6px 12px'>go</a>",
        "<b><code style='padding:0 4px'>go</code></b>",
        "<i>so</i> <a style='padding-left:9px;background:#ddf'>go</a>",
    ],
)
@pytest.mark.parametrize("box", [PRESS, "<kbd style='border:2px solid red'>k</kbd>"])
def test_a_box_behind_padded_text_stands_in_its_line(
    shown, text: str, box: str
) -> None:
    document = f"<p style='margin:10px 0;line-height:20px'>{text} or {box}</p>"

    image = shown(document, (200, 60))

    red = [
        (x, y) for x in range(200) for y in range(60) if image.getpixel((x, y)) == RED
    ]
    assert min(x for x, _ in red) > 30
    assert max(y for _, y in red) < 40


@pytest.mark.parametrize(
    ("tracks", "left"),
    [
        ("max-content auto", 60),
        ("max-content 1fr", 60),
        ("auto min-content", 180),
        ("minmax(max-content,1fr) 20px", 180),
        ("fit-content(90px) 1fr", 90),
        ("20px max-content auto", 20),
    ],
)
def test_tracks_as_wide_as_their_content_are_beside_each_other(
    shown, tracks: str, left: int
) -> None:
    cells = "<b style='width:60px'></b><u style='width:20px;background:red'></u>"
    style = f"display:grid;grid-template-columns:{tracks};grid-auto-rows:20px"

    image = shown(f"<div style='{style}'>{cells}</div>", (200, 60))

    assert image.point(lambda value: 255 - value).getbbox() == (left, 0, left + 20, 20)


# `vertical-align: middle` is what HTML says of `<td>`, not CSS of cells.
def test_a_box_that_is_called_a_cell_begins_at_the_top(shown) -> None:
    cell = "<b style='display:table-cell{}'>{}</b>"
    ink_of = "<i style='display:block;width:20px;height:10px;background:red'></i>"
    tall = "<i style='display:block;height:50px'></i>"

    image = shown(cell.format("", ink_of) + cell.format("", tall), (200, 60))

    assert image.point(lambda value: 255 - value).getbbox() == (0, 0, 20, 10)
