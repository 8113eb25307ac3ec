"""Markdown is set by the way of `html`, as large as its page allows."""

import pytest
from flask.testing import FlaskClient

from app.config import Settings
from app.renderer.builtin import markdown
from app.renderer.builtin.markdown_parser import read
from app.renderer.engine.engine import load_engine

CODE = "```python\ndef f():\n    return 1\n```"


def parameters(text: str, **values: int) -> markdown.Parameters:
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
