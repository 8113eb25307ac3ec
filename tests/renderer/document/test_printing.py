"""A document as pages: how many, how large, and what is on each."""

import base64
import io
import re
from functools import cache
from typing import Any

import pypdfium2
import pytest
from PIL import Image, ImageChops
from pypdf import PdfReader

from app.config import Settings
from app.renderer.base import Encoded, Output, Renderer
from app.renderer.builtin import html
from app.renderer.document import printing
from app.renderer.engine.engine import load_engine
from app.renderer.errors import BadParameter, LimitExceeded
from app.renderer.produce import produce

FONT = "body{font:16px/20px Inter}p{margin:0}"
MARGIN = f"@page{{size:300px 200px;margin:20px}}{FONT}"
A4 = (595.28, 841.89)


@cache
def renderer() -> Renderer:
    return html.build(load_engine(None, False), Settings(max_side=5_000))


def drawn(document: str, format: str = "pdf", **options: Any) -> Encoded:
    """Draw a document of 200 by 100 CSS pixels."""
    output = {name: options.pop(name) for name in ("dpi",) if name in options}
    parameters = renderer().parameters.model_validate(
        {"html": document, "width": 200, "height": 100, **options}
    )
    return produce(renderer(), parameters, Output(format=format, **output))


def texts(document: str, **options: Any) -> list[str]:
    """Return the text of each page."""
    made = drawn(document, **options)
    reader = PdfReader(io.BytesIO(made.data))
    assert made.facts.get("pages", 1) == len(reader.pages)
    return [" ".join(page.extract_text().split()) for page in reader.pages]


def sizes(document: str, **options: Any) -> list[tuple[float, float]]:
    """Return the sides of each page in points."""
    reader = PdfReader(io.BytesIO(drawn(document, **options).data))
    boxes = [page.mediabox for page in reader.pages]
    return [(round(float(b.width), 2), round(float(b.height), 2)) for b in boxes]


def pictures(document: str, **options: Any) -> list[Image.Image]:
    """Return the pages as PDFium shows them, in CSS pixels."""
    found = pypdfium2.PdfDocument(drawn(document, **options).data)
    try:
        return [page.render(scale=96 / 72).to_pil().convert("RGB") for page in found]
    finally:
        found.close()


def lines(count: int, tag: str = "p") -> str:
    return "".join(f"<{tag}>line{number}</{tag}>" for number in range(1, count + 1))


@pytest.mark.parametrize(
    "css",
    [
        *("break-before:page", "page-break-before:always", "break-before:always"),
        *("break-before:left", "page-break-before:right"),
    ],
)
def test_a_break_that_is_asked_for_begins_a_page(css: str) -> None:
    made = texts(f"<p>one<p style='{css}'>two")

    assert [text for text in made if text] == ["one", "two"]


def test_a_break_after_an_element_begins_a_page() -> None:
    assert texts("<div style='page-break-after:always'>one</div>two") == ["one", "two"]


def test_breaks_at_both_ends_of_a_document_make_no_empty_pages() -> None:
    css = "<style>section{break-before:page;break-after:page}</style>"

    assert texts(f"{css}<section>one</section><section>two</section>") == ["one", "two"]


def test_an_empty_element_between_two_breaks_is_an_empty_page() -> None:
    gap = "<div style='break-after:page'></div>"

    assert texts(f"one{gap}{gap}two") == ["one", "", "two"]


def test_a_page_of_a_side_is_preceded_by_a_blank_one_where_it_must() -> None:
    css = "<style>h1{break-before:right}</style>"

    assert texts(f"{css}<h1>one</h1><h1>two</h1>") == ["one", "", "two"]
    assert texts("a<p style='break-before:left'>b") == ["a", "b"]


def test_a_document_that_says_nothing_of_pages_is_one_picture() -> None:
    document = "<style>p{break-inside:avoid;word-break:break-word}</style>" + lines(40)

    assert "pages" not in drawn(document).facts
    assert sizes(document) == [(150, 75)]


def test_pages_without_a_size_are_as_large_as_the_picture() -> None:
    assert sizes("a<p style='break-before:page'>b") == [(150, 75)] * 2
    assert sizes("a<p style='break-before:page'>b", dpi=192) == [(75, 37.5)] * 2


@pytest.mark.parametrize(
    ("size", "points"),
    [
        ("A4", A4),
        ("a4 landscape", A4[::-1]),
        ("landscape A5", (595.28, 419.53)),
        ("letter", (612, 792)),
        ("B5", (498.9, 708.66)),
        ("100mm 50mm", (283.46, 141.73)),
        ("4in", (288, 288)),
        ("portrait", (75, 150)),
        ("auto", (150, 75)),
    ],
)
def test_a_page_is_as_large_as_its_rule_says(size: str, points: object) -> None:
    assert sizes(f"<style>@page{{size:{size}}}</style>x") == [points]


def test_a_size_on_paper_and_another_resolution_are_refused() -> None:
    with pytest.raises(BadParameter) as error:
        drawn("<style>@page{size:A4}</style>x", dpi=150)

    assert error.value.faults[0].field == "dpi"


def test_a_page_that_is_too_large_is_refused() -> None:
    with pytest.raises(LimitExceeded, match="MIMEO_MAX_SIDE"):
        drawn("<style>@page{size:6000px 10px}</style>x")


@pytest.mark.parametrize("side", ["1e999px", "1e20px", "5000000000px", "1e39px"])
def test_a_side_without_bounds_is_no_size(side: str) -> None:
    document = f"<style>@page{{size:{side}}}</style>x"

    assert sizes(document) == [(150, 75)]
    assert drawn(document).facts["ignored"] == [f"@page size: {side}"]


def test_a_page_that_is_too_large_is_refused_before_it_is_laid_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    laid: list[object] = []
    monkeypatch.setattr(
        type(load_engine(None, False)), "layout", lambda *given: laid.append(given)
    )

    with pytest.raises(LimitExceeded, match="MIMEO_MAX_SIDE"):
        drawn("<style>@page{size:900000px 10px}</style>x")

    assert not laid


@pytest.mark.parametrize("size", ["A4 portrait landscape", "landscape landscape"])
def test_a_page_that_is_turned_twice_is_named(size: str) -> None:
    document = f"<style>@page{{size:{size}}}</style>x"

    assert drawn(document).facts["ignored"] == [f"@page size: {size}"]


def test_more_pages_than_there_may_be_are_refused() -> None:
    document = f"<style>@page{{size:100px 40px}}</style>{lines(300)}"

    with pytest.raises(BadParameter, match="more than 100 pages"):
        drawn(document)


def test_content_goes_on_within_the_margins_of_the_next_page() -> None:
    first, second = texts(f"<style>{MARGIN}</style>{lines(12)}")

    assert first.split() == [f"line{n}" for n in range(1, 9)]
    assert second.split() == [f"line{n}" for n in range(9, 13)]


def test_margins_of_a_page_have_nothing_of_the_document() -> None:
    css = f"{MARGIN}p{{background:#f00;width:900px;margin-left:-99px}}"
    first, _ = pictures(f"<style>{css}</style>{lines(12)}")

    assert first.size == (300, 200)
    assert {
        first.getpixel(at) for at in ((5, 50), (150, 10), (150, 190), (295, 99))
    } == {(255, 255, 255)}
    assert first.getpixel((250, 50)) == (255, 0, 0)


def test_the_first_page_has_margins_of_its_own() -> None:
    css = f"{MARGIN}@page :first{{margin-top:120px}}"

    assert [
        len(text.split()) for text in texts(f"<style>{css}</style>{lines(12)}")
    ] == [*(3, 8, 1)]


def test_left_and_right_pages_have_margins_of_their_own() -> None:
    css = "@page{size:200px;margin:0 40px 0 0}@page:left{margin:0 0 0 40px}"
    one, two = pictures(
        f"<style>{css}p{{background:#00f;margin:0}}</style>"
        "<p>a<p style='break-before:page'>b"
    )

    assert one.getpixel((100, 5)) == two.getpixel((100, 5)) == (0, 0, 255)
    assert one.getpixel((199, 5)) == two.getpixel((5, 5)) == (255, 255, 255)


def test_rules_about_print_hold_where_there_are_pages() -> None:
    css = "@media print{.s{display:none}@page{size:A4}}@media screen{.p{display:none}}"
    document = f"<style>{css}</style><b class=s>screen</b> <b class=p>print</b>"

    assert texts(document) == ["print"]
    assert texts(document.replace("@page", "@font-face")) == ["screen"]


def test_what_is_not_known_of_pages_is_named() -> None:
    css = (
        "@page wide{size:A3}@page{marks:crop;size:huge;margin:1frob;@top{content:'x'}}"
    )

    assert drawn(f"<style>{css}</style>x").facts["ignored"] == [
        *("@page wide", "@page @top", "@page marks", "@page size: huge"),
        "@page margin: 1frob",
    ]
    with pytest.raises(BadParameter, match="@page marks"):
        drawn(f"<style>{css}</style>x", strict=True)


def test_a_named_page_is_named_in_print_alone() -> None:
    css = "@page{size:300px}h1{page:cover}p{page:auto}b{page:initial}"
    document = f"<style>{css}</style><h1>x</h1><p>y</p><b>z</b>"

    assert drawn(document).facts["ignored"] == ["page: cover"]
    assert not drawn(document, "png", strict=True).facts


def test_a_picture_of_a_document_with_pages_is_one_and_complete() -> None:
    document = f"<style>{MARGIN}</style>{lines(12)}"

    made = drawn(document, "png", strict=True)

    assert (made.width, made.height) == (200, 100)
    assert not made.facts


def test_lines_are_not_cut() -> None:
    css = f"@page{{size:300px 190px;margin:20px}}{FONT}p{{orphans:1;widows:1}}"
    document = f"<style>{css}</style><p>" + "word " * 90

    pages = pictures(document)

    assert len(pages) == 3
    for page in pages:
        # Seven lines of 20 px are whole, and the eighth would have half of its height.
        assert page.crop((0, 160, 300, 190)).getextrema() == ((255, 255),) * 3
    assert sum(len(text.split()) for text in texts(document)) == 90


@pytest.mark.parametrize(
    ("css", "first"),
    [
        ("", 6),
        ("orphans:3", 4),
        ("orphans:1;widows:4", 5),
        ("orphans:1;widows:1", 6),
        ("break-inside:avoid", 4),
    ],
)
def test_lines_of_a_paragraph_stay_together(css: str, first: int) -> None:
    # Four lines, then a paragraph of five of which two would fit.
    five = "<br>".join(["word"] * 5)
    page = "@page{size:200px 120px}"
    document = f"<style>{page}{FONT}i{{display:block;{css}}}</style>"

    made = texts(f"{document}{lines(4)}<i>{five}</i>")

    assert [len(text.split()) for text in made] == [first, 9 - first]


@pytest.mark.parametrize(
    ("orphans", "first"), [("9" * 5_000, 4), ("0" * 5_000 + "3", 4), ("0", 6)]
)
def test_orphans_are_a_number_however_long(orphans: str, first: int) -> None:
    five = "<br>".join(["word"] * 5)
    css = f"@page{{size:200px 120px}}{FONT}i{{display:block;orphans:{orphans}}}"

    made = texts(f"<style>{css}</style>{lines(4)}<i>{five}</i>")

    assert len(made[0].split()) == first


def test_a_heading_stays_with_what_follows() -> None:
    css = f"@page{{size:200px 100px}}{FONT}h2{{margin:0;font:16px/20px Inter}}"
    body = f"{lines(4)}<h2>head</h2><p>text"

    assert texts(f"<style>{css}</style>{body}")[1] == "text"
    kept = f"<style>{css}h2{{break-after:avoid}}</style>{body}"
    assert texts(kept)[1] == "head text"
    before = f"<style>{css}h2+p{{break-before:avoid-page}}</style>{body}"
    assert texts(before)[1] == "head text"


def test_a_box_that_is_to_be_whole_and_is_larger_than_a_page_is_cut() -> None:
    css = f"{MARGIN}div{{break-inside:avoid}}"

    made = texts(f"<style>{css}</style><p>first<div>{lines(12)}</div>")

    assert [len(text.split()) for text in made] == [1, 8, 4]


def test_an_image_at_the_edge_goes_to_the_next_page() -> None:
    svg = "<svg width=100 height=80><rect width=100 height=80 fill=red /></svg>"
    first, second = pictures(f"<style>{MARGIN}</style>{lines(6)}{svg}")

    assert (255, 0, 0) not in {color for _, color in first.getcolors(100_000) or ()}
    assert second.getpixel((30, 30)) == (255, 0, 0)
    assert second.getpixel((30, 98)) == (255, 0, 0)


def test_an_element_that_is_taller_than_a_page_goes_on() -> None:
    tall = "<div style='height:400px;background:#0f0'>x</div>"

    made = pictures(f"<style>{MARGIN}</style>{tall}<p>end")

    assert len(made) == 3
    assert all(page.getpixel((150, 170)) == (0, 255, 0) for page in made[:2])
    assert made[2].getpixel((150, 90)) == (0, 255, 0)


def test_margins_at_the_top_of_a_page_are_left_out_unless_the_break_was_asked_for() -> (
    None
):
    css = f"{MARGIN}p{{height:90px;margin:50px 0 0;background:#f00}}"
    _, second = pictures(f"<style>{css}</style><p>a<p>b")
    _, asked = pictures(f"<style>{css}p+p{{break-before:page}}</style><p>a<p>b")

    assert second.getpixel((250, 25)) == (255, 0, 0)
    assert asked.getpixel((250, 65)) == (255, 255, 255)
    assert asked.getpixel((250, 75)) == (255, 0, 0)


ROWS = "".join(f"<tr><td>row{number}<td>x" for number in range(1, 13))
TABLE = "table{border-collapse:collapse}td,th{height:18px;padding:0;border:1px solid}"


def test_heads_and_feet_of_tables_are_on_each_page() -> None:
    table = (
        f"<table><thead><tr><th>head</thead><tfoot><tr><td>foot</tfoot>{ROWS}</table>"
    )
    made = texts(f"<style>{MARGIN}{TABLE}</style><p>before</p>{table}<p>after")

    assert len(made) > 1
    assert all(text.split().count("head") == 1 for text in made)
    assert all(text.split().count("foot") == 1 for text in made)
    rows = [word for text in made for word in text.split() if word[:3] == "row"]
    assert rows == [f"row{number}" for number in range(1, 13)]


def test_a_head_that_fills_a_page_is_there_once() -> None:
    head = "<thead><tr><th>head<br>b<br>c<br>d</thead>"
    made = texts(f"<style>{MARGIN}{TABLE}</style><table>{head}{ROWS}</table>")

    assert " ".join(made).split().count("head") == 1


def headed(name: str, within: str = ROWS) -> str:
    return (
        f"<table><thead><tr><th>head{name}</thead><tfoot><tr><td>foot{name}</tfoot>"
        f"{within}</table>"
    )


@pytest.mark.parametrize("count", [1, 2, 5])
def test_heads_and_feet_of_tables_beside_each_other_share_their_room(
    count: int,
) -> None:
    css = f"{MARGIN}{TABLE}.beside{{display:flex}}table{{font:10px/18px Inter}}"
    tables = "".join(headed(str(n)) for n in range(count))

    made = texts(f"<style>{css}</style><div class=beside>{tables}</div>")

    assert len(made) == 2
    for text in made:
        words = text.split()
        for number in range(count):
            assert words.count(f"head{number}") == 1
            assert words.count(f"foot{number}") == 1
    rows = [word for text in made for word in text.split() if word[:3] == "row"]
    assert sorted(rows) == sorted(f"row{n}" for n in range(1, 13) for _ in range(count))


def test_heads_beside_each_other_stand_above_their_rows() -> None:
    css = f"{MARGIN}{TABLE}.beside{{display:flex;align-items:end}}"
    css += "table{font:10px/14px Inter}"
    css += "th{background:#f00;color:#f00}table{width:100px}"
    tables = headed("a") + headed("b").replace("headb", "head<br>b")

    made = pictures(f"<style>{css}</style><div class=beside>{tables}</div>")

    for page in made[1:]:
        red = ImageChops.subtract(*page.split()[:2])
        one, two = (red.crop((x, 0, x + 80, 200)).getbbox() for x in (30, 130))
        assert one and two and one[3] == two[3] and one[1] > two[1] + 5


def test_heads_of_tables_within_each_other_take_a_part_of_the_page() -> None:
    document = headed("0")
    for number in range(1, 8):
        document = headed(str(number), f"<tr><td>{document}")

    css = f"{MARGIN}{TABLE}table{{font:12px/18px Inter}}table *{{border:0}}"
    made = texts(f"<style>{css}</style>{document}")

    # Of 160 px a quarter is for heads, two of them, and another for feet.
    assert len(made) < 10
    middle = made[len(made) // 2].split()
    assert [word for word in middle if word[:4] == "head"] == ["head7", "head6"]
    assert any(word[:3] == "row" for word in middle)


def test_rows_are_whole_and_keep_their_lower_border() -> None:
    css = f"{MARGIN}{TABLE}tr{{break-inside:avoid}}"
    first, second = pictures(f"<style>{css}</style><table>{ROWS}</table>")

    shade = [min(first.getpixel((24, y))) for y in range(160, 180)]
    # The last dark pixel of the column is a border's, above the margin.
    lowest = max(y for y, each in enumerate(shade, 160) if each < 100)
    assert min(first.getpixel((40, lowest))) < 100
    assert min(second.getpixel((40, 20))) < 100


def test_a_row_of_a_table_begins_a_page() -> None:
    css = f"{MARGIN}.new{{break-before:page}}"
    table = "<table><tr><td>one<tr class=new><td>two</table>"

    assert texts(f"<style>{css}</style>{table}") == ["one", "two"]


def test_margin_boxes_have_texts_and_counters() -> None:
    css = (
        "@page{size:300px 200px;margin:30px;@bottom-center{content:'Page '"
        " counter(page) ' of ' counter(pages)}@top-right{content:'Acme';color:red}}"
        "@page:first{@top-right{content:none}}"
    )
    made = texts(f"<style>{css}</style>a<p style='break-before:page'>b")

    assert made[0] == "a Page 1 of 2"
    assert sorted(made[1].split()) == sorted(["b", "Acme", "Page", "2", "of", "2"])


@pytest.mark.parametrize(
    ("name", "left", "top"),
    [
        *(("top-left", 40, 20), ("top-center", 150, 20), ("top-right", 260, 20)),
        *(("bottom-left", 40, 180), ("bottom-center", 150, 180)),
        *(("bottom-right", 260, 180), ("left-middle", 20, 100)),
        *(("right-middle", 280, 100), ("left-top", 20, 50), ("right-bottom", 280, 150)),
        *(("top-left-corner", 30, 20), ("bottom-right-corner", 270, 180)),
    ],
)
def test_margin_boxes_stand_in_their_places(name: str, left: int, top: int) -> None:
    css = f"@page{{size:300px 200px;margin:40px;@{name}{{content:'X';font-size:12px}}}}"
    (page,) = pictures(f"<style>{css}</style>")

    box = Image.eval(page.convert("L"), lambda value: 255 - value).getbbox()

    assert box is not None
    assert abs((box[0] + box[2]) / 2 - left) < 12
    assert abs((box[1] + box[3]) / 2 - top) < 12


def test_what_is_fixed_is_on_each_page() -> None:
    fixed = "<i style='position:fixed;bottom:0;right:0'>draft</i>"

    assert texts(f"<style>{MARGIN}</style>{fixed}{lines(12)}")[1].endswith("draft")
    assert [
        text.count("draft") for text in texts(f"{fixed}a<p style='break-before:page'>b")
    ] == [1, 1]


def test_the_ground_of_the_body_fills_what_is_within_the_margins_of_each_page() -> None:
    made = pictures(f"<style>{MARGIN}body{{background:#0ff}}</style>{lines(9)}")

    assert [page.getpixel((250, 150)) for page in made] == [(0, 255, 255)] * 2
    assert [page.getpixel((5, 5)) for page in made] == [(255, 255, 255)] * 2


def test_the_ground_of_a_page_fills_its_margins() -> None:
    css = "@page{size:100px;margin:20px;background:#ff0}"
    (page,) = pictures(f"<style>{css}</style>x")

    assert page.getpixel((5, 5)) == page.getpixel((90, 90)) == (255, 255, 0)


def data_uri(image: Image.Image, format: str) -> str:
    data = io.BytesIO()
    image.save(data, format)
    encoded = base64.b64encode(data.getvalue()).decode()
    return f"data:image/{format.lower()};base64,{encoded}"


@pytest.mark.parametrize("rule", ["html", "body", "@page"])
@pytest.mark.parametrize("format", ["PNG", "TIFF", "BMP", "AVIF"])
def test_the_ground_of_a_page_is_in_any_format(rule: str, format: str) -> None:
    image = data_uri(Image.new("RGB", (300, 200), "#00f"), format)
    css = f"@page{{size:300px 200px}}{rule}{{background:url({image})}}"
    document = f"<style>{css}</style>x"

    red, green, blue = pictures(document)[0].getpixel((200, 100))

    assert red < 9 and green < 9 and blue > 246
    assert "ignored" not in drawn(document).facts


@pytest.mark.parametrize("rule", ["html", "body", "@page"])
def test_the_ground_of_a_page_has_no_more_pixels_than_other_images(rule: str) -> None:
    image = data_uri(Image.new("1", (12_000, 12_000)), "PNG")
    document = f"<style>@page{{size:300px}}{rule}{{background:url({image})}}</style>x"

    (told,) = drawn(document).facts["ignored"]

    assert "MIMEO_MAX_IMAGE_PIXELS" in told
    assert pictures(document)[0].getpixel((200, 100)) == (255, 255, 255)


@pytest.mark.parametrize("rule", ["html", "body", "@page"])
def test_the_ground_of_a_page_that_is_not_fetched_is_named(rule: str) -> None:
    css = f"@page{{size:300px}}{rule}{{background:url(http://x/y.png)}}"
    document = f"<style>{css}</style>x"

    (told,) = drawn(document).facts["ignored"]

    assert told.endswith("http://x/y.png is not fetched")
    with pytest.raises(BadParameter, match="is not fetched"):
        drawn(document, strict=True)


@pytest.mark.parametrize("ground", ["", "background:conic-gradient(#f00,#00f)"])
def test_a_page_whose_outlines_will_not_do_is_the_same_as_a_picture(
    ground: str,
) -> None:
    css = f"{MARGIN}.c{{width:40px;height:40px;{ground}}}"
    document = f"<style>{css}</style><div class=c></div>{lines(12)}"

    assert [text.split()[-1] for text in texts(document)] == ["line6", "line12"]
    _, second = pictures(document)
    box = Image.eval(second.convert("L"), lambda value: 255 - value).getbbox()
    assert box is not None and box[0] >= 20 and 20 <= box[1] < 30


def test_a_page_is_no_markup_where_outlines_will_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cut: list[object] = []
    whole = printing._cut_out

    def cut_out(*given: Any) -> str:
        cut.append(given)
        return whole(*given)

    monkeypatch.setattr(printing, "_cut_out", cut_out)
    document = f"<style>{MARGIN}div{{height:9px}}</style><div></div>{lines(12)}"

    drawn(document)
    assert not cut

    drawn(document.replace("height", "background-blend-mode:multiply;height"))
    assert len(cut) == 2


def test_rows_beside_each_other_are_cut_between_lines() -> None:
    css = f"{MARGIN}.row{{display:flex;gap:20px}}"
    column = "<br>".join(["word"] * 12)
    both = f"<div>{column}</div>" * 2
    document = f"<style>{css}</style><div class=row>{both}</div>"

    assert [len(text.split()) for text in texts(document)] == [16, 8]


@pytest.mark.parametrize(
    "text",
    [
        *("use position:fixed in CSS", 'use mark="3" style="color:red" here'),
        '<i lang="de">&lt;i mark="3" style="color:red"></i>',
    ],
)
def test_texts_about_styles_stay_as_they_are(text: str) -> None:
    fixed = f"<i style='position:fixed;bottom:0'>{text}</i>"
    document = f"<style>{MARGIN}</style><p style='margin:3px'>{text}{fixed}"
    seen = re.sub("<.*?>", "", text).replace("&lt;", "<")

    assert texts(document) == [f"{seen} {seen}"]


def test_a_drawing_that_is_fixed_is_on_each_page() -> None:
    svg = (
        "<svg width=40 height=40 style='position:fixed;right:0;bottom:0'>"
        "<rect width=40 height=40 fill=red /></svg>"
    )

    made = pictures(f"<style>{MARGIN}</style>{svg}{lines(12)}")

    assert [page.getpixel((260, 160)) for page in made] == [(255, 0, 0)] * 2


def test_equal_documents_give_equal_bytes() -> None:
    document = f"<style>{MARGIN}</style>{lines(12)}"

    assert drawn(document).data == drawn(document).data


def test_a_cover_that_is_as_wide_as_its_paper_is_laid_out_so() -> None:
    css = f"{MARGIN}@page:first{{margin:0}}.c{{height:100vh;background:#f0f}}"
    cover = "<div class=c style='break-after:page'>cover</div>"
    document = f"<style>{css}</style>{cover}{lines(12)}"

    first, second, _ = pictures(document)
    made = drawn(document)

    assert {first.getpixel(at) for at in ((1, 1), (298, 1), (1, 198), (298, 198))} == {
        (255, 0, 255)
    }
    assert second.crop((0, 0, 20, 200)).getextrema() == ((255, 255),) * 3
    assert made.facts == {"pages": 3}
    assert texts(document)[0] == "cover"
    assert texts(document)[1].split() == [f"line{n}" for n in range(1, 9)]


def test_a_first_page_of_another_width_whose_lines_go_on_is_named() -> None:
    css = f"{MARGIN}@page:first{{margin:0}}"

    made = drawn(f"<style>{css}</style>{lines(20)}")

    assert made.facts["ignored"] == ["@page margin: another width of lines"]


def test_what_is_placed_in_no_box_is_on_the_first_page() -> None:
    first = "<i style='position:absolute;bottom:0;right:0'>stamp</i>"
    inner = "<b style='position:relative'><i style='position:absolute;top:0'>in</i></b>"

    made = texts(f"one<div style='break-before:page'>two{first}{inner}</div>")

    assert [sorted(text.split()) for text in made] == [["one", "stamp"], ["in", "two"]]


def test_what_is_out_of_the_flow_keeps_no_break_away() -> None:
    placed = "<i style='position:absolute;top:0;right:0'>out</i>"
    css = "<style>section{break-after:page}</style>"

    made = texts(f"{css}<section>one</section>{placed}<section>two</section>")

    assert made == ["one out", "two"]


def test_a_body_that_scrolls_on_a_screen_is_cut_nowhere() -> None:
    css = f"{MARGIN}html,body{{height:100%;overflow:hidden}}"

    assert texts(f"<style>{css}</style>{lines(12)}")[1].split()[-1] == "line12"


@pytest.mark.parametrize("given", ["lang=de", "dir=ltr", "lang=de dir=ltr tw=p-0"])
def test_breaks_of_elements_with_a_language_count(given: str) -> None:
    second = f"<p {given} style='break-before:page'>two</p>"

    assert texts(f"<style>{MARGIN}</style><p>one</p>{second}") == ["one", "two"]
