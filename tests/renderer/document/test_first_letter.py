"""`::first-letter`: initials, as what is before and in them says."""

import re

import pytest

from app.renderer.document.translation import translate
from app.renderer.embedded_images import EmbeddedImages
from app.renderer.engine.engine import Engine, Page
from tests.renderer.document.fonts import fonts

SIZE = (300, 120)
RED = "<style>p,div,li,td,b{margin:0}p::first-letter{color:#f00}</style>"
DOT = "<img width=9 height=9 src='data:image/svg+xml,%3Csvg xmlns=%22http://www.w3.org/2000/svg%22/%3E'>"


def body(document: str) -> str:
    return translate(document, SIZE, EmbeddedImages(100), 200, fonts()).body


def red(document: str) -> list[str]:
    """Return the texts of a page that are red."""
    return re.findall("[^-]color:#f00[^>]*>(?:<span[^>]*>)*([^<]*)<", body(document))


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("Once", "O"),
        ("  \n Once", "O"),
        ("«Une» fois", "«U"),
        ("\u201c\u2018A\u2019, b", "\u201c\u2018A\u2019,"),
        ("“ A” b", "“ A”"),
        ("—So", "—S"),
        ("A(b", "A"),
        ("A—b", "A"),
        ("10", "1"),
        ("$5", "$"),
        ("A\u0301\u0323bc", "A\u0301\u0323"),
        ("क्षत्रिय", "क्ष"),
        ("「漢字」", "「漢"),
        ("x", "x"),
    ],
)
def test_punctuation_and_marks_belong_to_the_letter(text: str, letter: str) -> None:
    assert red(f"{RED}<p>{text}</p>") == [letter]
    assert re.sub("<[^>]*>", "", body(f"{RED}<p>{text}</p>")) == text.strip()


@pytest.mark.parametrize(
    ("markup", "letters"),
    [
        ("<p><b>He</b>llo", ["H"]),
        ("<p><a href=x><i>H</i>ello</a>", ["H"]),
        ("<p><i hidden>no</i>Hello", ["H"]),
        ("<p><i style='position:absolute'>no</i>Hello", ["H"]),
        ("<p><i style='display:contents'>Hello</i>", ["H"]),
        ("<p>“<b>Hello</b>", ["“", "H"]),
        ("<p><q>Hello</q>", ["“", "H"]),
        (f"<p>{DOT}Hello", []),
        ("<p><br>Hello", []),
        ("<p><svg width=9 height=9></svg>Hello", []),
        ("<p><button>no</button>Hello", []),
        ("<p><i style='display:inline-block'>He</i>llo", []),
        ("<p style='display:flex'>Hello", []),
        ("<p style='display:inline'>Hello", []),
        ("<p style='display:inline-block'>Hello", ["H"]),
        ("<p></p><p>Hello</p>there", ["H"]),
        ("<p>   </p>Hello", []),
    ],
)
def test_the_first_letter_is_the_first_of_its_block(markup: str, letters) -> None:
    assert red(RED + markup) == letters


def test_a_block_hands_its_first_letter_on_to_the_blocks_in_it() -> None:
    css = (
        RED + "<style>div::first-letter{color:#f00}h1::first-letter{color:#00f}</style>"
    )

    assert red(f"{css}<div><section>Hello</section><section>there") == ["H"]
    assert red(f"{css}<div><section> </section>Hello") == ["H"]
    # As in Chromium, whose own letters a block in it has.
    assert red(f"{css}<div><h1>Hello</h1>there") == []
    assert red(f"{css}<div><table><td>Hello</table>there") == []
    assert red(f"{css}<div style='display:flex'><section>Hello") == []


def test_items_and_cells_have_first_letters() -> None:
    css = "<style>li::first-letter,td::first-letter{color:#f00}</style>"

    assert red(f"{css}<ol><li>Hello<li>you</ol>") == ["H", "y"]
    assert red(f"{css}<table><tr><td>Hello<td><b>you</b></table>") == ["H", "y"]


def test_generated_content_has_the_first_letter() -> None:
    css = f"{RED}<style>p::before{{content:'No. '}}</style>"

    assert red(f"{css}<p>Hello") == ["N"]


def test_a_first_letter_is_as_large_and_as_wide_as_it_is_told(engine: Engine) -> None:
    css = (
        "<style>p{margin:0;font:20px/1 monospace}p::first-letter{font-size:50px;"
        "background:#f00;padding:0 10px;margin-right:20px;color:#f00}</style>"
    )

    image = engine.draw(Page(body(f"{css}<p>Hello")), SIZE, 1).image.convert("RGB")

    # A letter of 30 CSS pixels between ten and ten; then nothing.
    row = [image.getpixel((x, 30)) for x in range(0, 70)]
    assert row[:50] == [(255, 0, 0)] * 50
    assert row[51:70] == [(255, 255, 255)] * 19


def test_what_a_first_letter_cannot_do_is_named() -> None:
    def ignored(css: str) -> tuple[str, ...]:
        document = f"<style>p::first-letter{{{css}}}</style><p>Hello"
        return translate(document, SIZE, EmbeddedImages(9), 200, fonts()).ignored

    assert ignored("color:red;font-size:3em") == ()
    assert ignored("float:left;font-size:3em") == ("float",)
    assert ignored("initial-letter:3") == ("initial-letter",)


def test_lines_of_a_first_letter_are_those_of_its_page(engine: Engine) -> None:
    css = "<style>pre::first-letter{color:#f00}</style>"
    lined = "<pre>  Hello\n  there</pre>"

    def runs(document: str) -> set[int]:
        page = Page(body(document))
        return {round(run.y) for run in engine.text_runs(page, SIZE)}

    assert len(runs(css + lined)) == 2
    assert red(css + lined) == ["H"]
