"""A template that somebody edits is drawn in a process that can be killed."""

import base64
import io
import threading
import time
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from PIL import Image

from app import create_app
from app.config import Settings
from app.renderer.catalogue import PACKAGED, Catalogue
from app.renderer.template.template_files import read_files

URL = "/templates/preview"
DECLARED = """title = "Greeting"
width = 300
height = 100

[parameters.title]
type = "text"
required = true
max_length = 40
example = "Hello world"

[parameters.line]
type = "text"
max_length = 20
"""
MARKUP = """{% set head = fit(title, 280, 60, 48, 12) %}
<style>div { color: #333 }</style>
<div style="{{ head.css }}">{{ title }}</div>
<p>{{ line }}</p>
"""
# Each of them takes a thread for hours, or all of the memory, where nothing ends it.
BOMBS = {
    "loops": "{% for i in range(99999) %}{% for j in range(99999) %}x{% endfor %}"
    "{% endfor %}",
    "power, folded by the compiler": "{{ 9 ** (9 ** 9) }}",
    "power": "{% set n = title | length %}{{ n ** (n ** n) }}",
    "a long text": "{{ 'x' * 10 ** 10 }}",
    "a wide number": "{{ '%2000000000d' % 1 }}",
    "a centred text": "{{ 'x' | center(10 ** 10) }}",
    "a long list": "{{ ([title] * 10 ** 8) | join }}",
    "a list of lists": "{% set n = namespace(x=[1]) %}{% for i in range(60) %}"
    "{% set n.x = n.x + n.x %}{% endfor %}",
    "a macro of itself": "{% macro a() %}{{ a() }}{{ a() }}{% endmacro %}{{ a() }}",
    "a text of many ems": "{{ fit('i ' * 10 ** 6, 9999, 9999, 900, 1).css }}",
    "brackets": "{{ " + "(" * 50_000 + "1" + ")" * 50_000 + " }}",
    "boxes": "<div>" * 40_000,
}


@pytest.fixture(scope="module")
def quick(settings: Settings) -> Iterator[FlaskClient]:
    """A server that stops a drawing after two seconds."""
    app = create_app(replace(settings, render_timeout_s=2, html_memory_bytes=1 << 28))
    yield app.test_client()
    app.extensions["mimeo.jobs"].close()
    app.extensions["mimeo"].close()


def files(markup: str = MARKUP, declared: str = DECLARED) -> dict[str, str]:
    return {"template.html": markup, "parameters.toml": declared}


def ask(client: FlaskClient, **body: Any) -> Any:
    return client.post(URL, json=body)


def picture(drawn: dict[str, Any]) -> Image.Image:
    return (
        Image.open(io.BytesIO(base64.b64decode(drawn["data"])))
        .convert("RGBA")
        .convert("RGB")
    )


def test_texts_of_each_length_are_drawn(quick: FlaskClient) -> None:
    answer = ask(quick, files=files())

    made = answer.get_json()
    assert answer.status_code == 200, made
    assert (made["title"], made["width"], made["height"]) == ("Greeting", 300, 100)
    drawn = {each["length"]: each for each in made["previews"]}
    assert list(drawn) == ["short", "example", "longest", "arabic", "japanese"]
    assert {picture(each).size for each in drawn.values()} == {(300, 100)}
    assert drawn["short"]["values"] == {"title": "Hello"}
    assert drawn["example"]["values"]["title"] == "Hello world"
    assert len(drawn["longest"]["values"]["title"]) >= 39
    assert drawn["arabic"]["values"]["lang"] == "ar"
    assert len({each["data"] for each in drawn.values()}) == 5


def test_what_fit_found_is_said(quick: FlaskClient) -> None:
    made = ask(quick, files=files(), lengths=["example", "longest"]).get_json()

    (short,), (long,) = (each["fits"] for each in made["previews"])
    assert short["text"] == "Hello world"
    assert short["size"] > long["size"] >= 12
    assert long["lines"] >= 1


def test_boxes_are_outlined_where_that_is_wanted(quick: FlaskClient) -> None:
    plain, outlined = (
        ask(quick, files=files(), lengths=["example"], outlines=on).get_json()
        for on in (False, True)
    )

    magenta = (255, 0, 255)
    colors = [
        {color for _, color in picture(made["previews"][0]).getcolors(1 << 16)}
        for made in (plain, outlined)
    ]
    assert magenta not in colors[0]
    assert magenta in colors[1]


@pytest.mark.parametrize("name", sorted(path.name for path in PACKAGED.iterdir()))
def test_packaged_templates_are_drawn(client: FlaskClient, name: str) -> None:
    sent = {
        path.name: path.read_text()
        if path.suffix in (".html", ".toml")
        else base64.b64encode(path.read_bytes()).decode()
        for path in (PACKAGED / name).iterdir()
    }

    made = ask(client, name=name, files=sent).get_json()

    assert [each.get("problem") for each in made["previews"]] == [None] * 5


@pytest.mark.parametrize(
    ("markup", "declared", "file", "line"),
    [
        (MARKUP + "{% if %}", DECLARED, "template.html", 5),
        (MARKUP.replace("{{ line }}", "{{ lnie }}"), DECLARED, "template.html", 4),
        (MARKUP, DECLARED.replace("40", "forty"), "parameters.toml", 8),
        (MARKUP, DECLARED + 'colour = "red"\n', "parameters.toml", 14),
        ("<img src='gone.png'>", DECLARED, "template.html", 1),
    ],
)
def test_a_mistake_is_named_with_file_and_line(
    quick: FlaskClient, markup: str, declared: str, file: str, line: int
) -> None:
    answer = ask(quick, name="greeting", files=files(markup, declared))

    problem = answer.get_json()
    assert (answer.status_code, problem["type"]) == (422, "/problems/refused-template")
    assert (problem["file"], problem["line"]) == (f"greeting/{file}", line)


def test_a_mistake_of_one_length_leaves_the_others(quick: FlaskClient) -> None:
    markup = "{{ title }}{% if lang == 'ar' %}{{ title.nothing.more }}{% endif %}"

    made = ask(quick, files=files(markup)).get_json()

    faults = {each["length"]: each.get("problem") for each in made["previews"]}
    assert [length for length, problem in faults.items() if problem] == ["arabic"]
    assert faults["arabic"]["status"] == 422
    assert faults["arabic"]["line"] == 1


@pytest.mark.parametrize("markup", BOMBS.values(), ids=BOMBS)
def test_a_bomb_ends_in_a_4xx_and_others_are_served(
    quick: FlaskClient, markup: str
) -> None:
    answers: list[Any] = []
    bomb = threading.Thread(
        target=lambda: answers.append(ask(quick, files=files(markup)))
    )
    bomb.start()
    # A thread that is in the middle of it would hold the interpreter's lock.
    served = 0
    while bomb.is_alive() and served < 5:
        assert quick.get("/images/solid.png").status_code == 200
        served += 1
        time.sleep(0.05)
    bomb.join()

    problem = answers[0].get_json()
    assert answers[0].status_code == 422, problem
    assert problem["type"].removeprefix("/problems/") in (
        *("refused-template", "render-timeout", "undrawable", "limit-exceeded"),
    )
    assert ask(quick, files=files(), lengths=["short"]).status_code == 200


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"files": {}}, "files"),
        ({"files": {"../x.png": ""}}, "files[../x.png]"),
        ({"files": {".hidden.png": ""}}, "files[.hidden.png]"),
        ({"files": {"a/b.png": ""}}, "files[a/b.png]"),
        ({"files": {"script.js": ""}}, "files[script.js]"),
        ({"files": {"logo.png": "no picture!"}}, "files[logo.png]"),
        ({"files": files("x" * 300_000)}, "files"),
        ({"files": {f"{n}.png": "AAAA" for n in range(51)}}, "files"),
        ({"files": files(), "name": "../evil"}, "name"),
        ({"files": files(), "name": "evil\n"}, "name"),
        ({"files": files(), "lengths": ["endless"]}, "lengths"),
        ({"files": files(), "shape": "round"}, "shape"),
    ],
)
def test_what_is_no_template_is_refused_by_its_field(
    quick: FlaskClient, body: dict[str, Any], field: str
) -> None:
    answer = ask(quick, **body)

    problem = answer.get_json()
    assert (answer.status_code, problem["type"]) == (422, "/problems/bad-parameter")
    assert problem["field"].startswith(field)


@pytest.mark.parametrize("side", ["width", "height"])
def test_a_canvas_over_the_limit_is_refused_before_it_is_drawn(
    quick: FlaskClient, side: str
) -> None:
    number = {"width": "300", "height": "100"}[side]
    declared = DECLARED.replace(f"{side} = {number}", f"{side} = 65535")

    answer = ask(quick, files=files(declared=declared))

    problem = answer.get_json()
    assert (answer.status_code, problem["field"]) == (422, side)
    assert problem["limit"] == "MIMEO_MAX_SIDE"


def test_nothing_of_it_is_kept(quick: FlaskClient, settings: Settings) -> None:
    folder = Path(settings.store)
    before = sorted(folder.rglob("*greeting*"))

    answer = ask(quick, name="greeting", files=files())

    assert answer.headers["Cache-Control"] == "no-store"
    assert sorted(folder.rglob("*greeting*")) == before
    assert quick.get("/images/greeting.png?title=x").status_code == 404


@pytest.mark.parametrize("name", ["card", "certificate"])
def test_what_is_exported_is_a_folder_that_is_loaded(
    client: FlaskClient, settings: Settings, tmp_path: Path, name: str
) -> None:
    sent = client.get(f"/templates/{name}").get_json()
    mine = {**sent, "name": "mine"}

    answer = client.post("/templates/export", json=mine)
    with zipfile.ZipFile(io.BytesIO(answer.data)) as archive:
        archive.extractall(tmp_path)
    catalogue = Catalogue(replace(settings, templates=tmp_path))

    assert answer.headers["Content-Disposition"] == 'attachment; filename="mine.zip"'
    assert catalogue.broken() == {}
    assert (
        read_files(tmp_path / "mine").digest() == read_files(PACKAGED / name).digest()
    )
    assert client.post("/templates/export", json=mine).data == answer.data


def test_files_of_the_operators_own_are_sent_broken_ones_too(
    settings: Settings, tmp_path: Path
) -> None:
    (tmp_path / "oops").mkdir()
    (tmp_path / "oops" / "template.html").write_text("{% if %}")
    (tmp_path / "oops" / "notes.txt").write_text("no part of it")
    app = create_app(replace(settings, templates=tmp_path))

    answer = app.test_client().get("/templates/oops")
    app.extensions["mimeo"].close()

    assert answer.get_json() == {"name": "oops", "files": {"template.html": "{% if %}"}}


@pytest.mark.parametrize("name", ["nothing", "solid", "html", "..", "%2e%2e%2fcard"])
def test_what_is_no_template_has_no_files(client: FlaskClient, name: str) -> None:
    assert client.get(f"/templates/{name}").status_code == 404


@pytest.mark.parametrize(
    "declared",
    [
        DECLARED + "\nx = " + "9" * 5000,
        DECLARED + "\nx = " + "[" * 3000 + "]" * 3000,
        DECLARED + "\n[parameters.rows]\ntype = 'table'\nrequired = true\n"
        "columns = { a = { type = 'integer' } }\nexample = [{ a = " + "9" * 30 + " }]",
    ],
    ids=["digits", "deep", "large number"],
)
def test_toml_that_no_program_can_hold_is_refused(
    quick: FlaskClient, declared: str
) -> None:
    answer = ask(quick, files=files(declared=declared))

    assert answer.status_code == 422
    assert "parameters.toml" in answer.get_json()["detail"]


def test_what_is_told_of_a_loop_of_fits_is_bounded(quick: FlaskClient) -> None:
    loop = (
        "{% set t = 'W' * 390 %}{% for i in range(9999) %}"
        "{% set q = fit(t, 100, 50, 12, 11) %}{% endfor %}<p>{{ title }}</p>"
    )

    answer = ask(quick, files=files(loop), lengths=["example"])

    assert answer.status_code == 200
    assert len(answer.data) < 200_000


def test_files_of_a_template_are_bounded(quick: FlaskClient) -> None:
    large = base64.b64encode(bytes(3 << 20)).decode()
    body = {**files(), "logo.png": large}

    pictures = ask(quick, files=body)
    declared = ask(quick, files=files(declared=DECLARED + "#" * 40_000))

    assert (pictures.status_code, declared.status_code) == (422, 422)
    assert "bytes of pictures, over" in pictures.get_json()["detail"]
    assert "parameters.toml" in declared.get_json()["detail"]


# What a stranger stumbled over: the file, the line, and what the answer says to do.
MISTAKES = {
    "no markup": (None, DECLARED, "template.html", None, "has a template.html"),
    "no declaration": (MARKUP, None, "parameters.toml", None, "is missing"),
    "no TOML": (MARKUP, 'title = "x\n', "parameters.toml", 1, "is not TOML"),
    "a key": (
        *(MARKUP, DECLARED.replace("width", "wdth")),
        *("parameters.toml", 2, "is 'width' meant?"),
    ),
    "no width": (
        *(MARKUP, DECLARED.replace("width = 300\n", "")),
        *("parameters.toml", None, "neither page nor size"),
    ),
    "a name": ("<p>\n{{ titel }}", DECLARED, "template.html", 2, "is 'title' meant?"),
    "another name": (
        *("<p>\n{{ zzz }}", DECLARED),
        *("template.html", 2, "declare [parameters.zzz] in parameters.toml"),
    ),
    "a function": (
        *("\n{{ fit(title).css }}", DECLARED),
        *("template.html", 2, "write fit(text, width, height, largest, smallest, ...)"),
    ),
    "a sum": ("\n\n{{ title + 1 }}", DECLARED, "template.html", 3, "~ joins texts"),
    "an attribute": ("{{ title.x }}", DECLARED, "template.html", 1, "{% if %} first"),
    "no number": (
        *("{{ format_currency(title, 'EUR') }}", DECLARED),
        *("template.html", 1, 'type = "number"'),
    ),
    "an open tag": (
        *("{% set a = 1\n{% if title %}x{% endif %}", DECLARED),
        *("template.html", 2, "a tag here or above may lack its %} or }}"),
    ),
    "a second file": ("{% include 'a' %}", DECLARED, "template.html", 1, "into this"),
    "an image": ("\n<img src='x.png'>", DECLARED, "template.html", 2, "lay it there"),
    "a long code": (
        *("\n<img src='{{ qr_code(title * 999) }}'>", DECLARED),
        *("template.html", 2, "title: is too long for a QR code"),
    ),
    "memory": (
        *("{{ 'x' * 10 ** 10 }}", DECLARED),
        *("template.html", 1, "make its texts and lists shorter"),
    ),
    "time": (
        *(BOMBS["loops"].replace("x", ""), DECLARED),
        *("template.html", None, "make its loops and texts shorter"),
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_an_error_says_the_file_the_line_and_what_to_do(
    quick: FlaskClient, name: str
) -> None:
    markup, declared, file, line, advice = MISTAKES[name]
    texts = {"template.html": markup, "parameters.toml": declared}
    sent = {each: text for each, text in texts.items() if text is not None}

    told = ask(quick, name="mine", files=sent, lengths=["example"]).get_json()

    assert told["status"] == 422
    assert (told["file"], told["line"]) == (f"mine/{file}", line)
    assert advice in told["detail"]
    assert "<locals>" not in told["detail"] and "<class" not in told["detail"]


def test_a_picture_that_nothing_reads_is_named(quick: FlaskClient) -> None:
    sent = {**files("<img src='a.png'>"), "a.png": "AAAA"}

    told = ask(quick, name="mine", files=sent).get_json()

    assert (told["status"], told["file"]) == (422, "mine/a.png")
    assert "as PNG" in told["detail"]


def test_text_that_reaches_out_of_the_picture_is_told(quick: FlaskClient) -> None:
    pushed = '<p style="margin-top: 96px; font-size: 20px">{{ title }}</p>'
    wide = '<p style="position: absolute; left: 250px; top: 0">far away</p>'

    found, right = (
        ask(quick, files=files(each), lengths=["example"]).get_json()["previews"][0]
        for each in (pushed + wide, MARKUP)
    )

    assert found["outside"] == ["Hello world", "far away"]
    assert right["outside"] == []
