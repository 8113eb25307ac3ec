"""Markdown is set by the way of `html`, as large as its page allows."""

import io
import re

import pytest
from flask.testing import FlaskClient
from PIL import Image
from pydantic import ValidationError
from pypdf import PdfReader

from app.config import Settings
from app.renderer.base import Encoded, Output
from app.renderer.builtin import markdown
from app.renderer.builtin.markdown_parser import read
from app.renderer.engine.engine import load_engine
from app.renderer.errors import BadParameter
from app.renderer.produce import produce

CODE = "```python\ndef f():\n    return 1\n```"


def parameters(text: str, **values: object) -> markdown.Parameters:
    return markdown.Parameters.model_validate({"markdown": text, **values})


def test_html_in_it_is_text():
    assert read("<b>x</b> & y") == "<p>&lt;b&gt;x&lt;/b&gt; &amp; y</p>\n"


def test_tables_and_code_are_read():
    assert '<td style="text-align:right">1</td>' in read("|a|\n|-:|\n|1|")
    assert '<span class="k">def</span>' in read(CODE)
    assert "<s>gone</s>" in read("~~gone~~")


@pytest.mark.parametrize("language", ["js", "PHP", "yml", "sh", "html"])
def test_code_is_coloured(language: str):
    assert "<span" in read(f"```{language}\n<?php if (a): b = 1 #\n```")


@pytest.mark.parametrize("language", ["", "no-such-language", '"><script>'])
def test_code_of_no_known_language_stays_as_it_is(language: str):
    made = read(f"```{language}\na < b\n```")

    assert "a &lt; b" in made
    assert "<script" not in made


def test_letters_are_as_large_as_the_page_allows():
    draw = markdown.build(load_engine(None, False), Settings()).draw
    words = "word " * 400

    assert "text_clipped" not in draw(parameters("# Few words"), 1).facts
    assert "text_clipped" not in draw(parameters(words), 1).facts
    cut = draw(parameters(words, width=200, height=100), 1).facts["text_clipped"]
    assert cut == {"markdown": "cut"}


def test_a_theme_and_a_list_change_the_picture(client: FlaskClient):
    url = "/images/markdown.png"
    query = {"markdown": f"# Title\n\n- one\n- two\n\n{CODE}", "width": "600"}

    light, dark, accent = (
        client.get(url, query_string={**query, **more})
        for more in ({}, {"theme": "dark"}, {"accent": "red"})
    )

    assert [each.status_code for each in (light, dark, accent)] == [200] * 3
    assert light.data != dark.data


def test_what_is_too_long_is_named(client: FlaskClient):
    answer = client.post("/images/markdown.png", data={"markdown": "x" * 300_000})

    assert answer.status_code in (413, 422)
    assert "markdown" in answer.get_json()["detail"]


REPORT = "# Report\n\n" + "".join(
    f"## Part {number}\n\n{'word ' * 200}\n\n" for number in range(6)
)


@pytest.mark.parametrize(
    ("paper", "sides"),
    [
        ("a4", (595, 842)),
        (" A5  Landscape", (595, 420)),
        ("letter portrait", (612, 792)),
    ],
)
def test_a_text_on_paper_has_pages(paper: str, sides: tuple[int, int]):
    made = produced(REPORT, "pdf", paper=paper)

    pages = PdfReader(io.BytesIO(made.data)).pages
    texts = [page.extract_text() for page in pages]
    boxes = [page.mediabox for page in pages]
    assert made.facts == {"pages": len(pages)}
    assert len(pages) > 2
    assert {(round(box.width), round(box.height)) for box in boxes} == {sides}
    assert sum(text.count("word") for text in texts) == 1_200
    for number, text in enumerate(texts, 1):
        assert f"{number} / {len(pages)}" in " ".join(text.split())
    # No heading stands at the end of a page.
    assert not any(re.search(r"Part \d\s+\d+ / \d+\s*$", text) for text in texts)


def test_a_picture_of_a_text_on_paper_is_its_first_page():
    made = produced(REPORT, "png", paper="A6")

    assert (made.width, made.height) == (397, 559)
    assert "this is the first of" in made.facts["warnings"][0]
    assert "<svg" in produced(REPORT, "svg", paper="A6").data.decode()


def test_a_text_of_too_many_pages_is_refused():
    with pytest.raises(BadParameter, match="more than 100 pages") as error:
        produced("word " * 30_000, "pdf", paper="A6")

    assert error.value.faults[0].field == "markdown"


def test_a_page_that_is_not_known_is_refused():
    with pytest.raises(ValidationError, match="paper"):
        parameters("x", paper="A9")


def test_a_dark_page_is_dark_to_its_edges():
    made = produced("# x", "png", paper="A6", theme="dark")

    with Image.open(io.BytesIO(made.data)) as image:
        assert image.convert("RGB").getpixel((2, 2)) == (15, 23, 42)


def produced(text: str, format: str, **values: object) -> Encoded:
    renderer = markdown.build(load_engine(None, False), Settings())
    output = Output(format=format)
    return produce(renderer, parameters(text, **values), output)
