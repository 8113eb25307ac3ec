"""The catalogue says what can be drawn, and which template cannot be used."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from app import create_app
from app.config import Settings
from app.renderer.builtin import html
from app.renderer.catalogue import Catalogue
from app.renderer.errors import BrokenTemplate
from app.renderer.produce import text_fields

TEMPLATES = (
    *("address-label", "badge", "card", "certificate", "invoice", "label"),
    *("place-card", "quote", "ticket"),
)
DECLARED = 'title = "Own"\nwidth = 40\nheight = 20\n[parameters.word]\ntype = "text"\n'
MARKUP = '<div style="width:40px;height:20px;background:{color}">{{{{ word }}}}</div>'


@pytest.fixture
def add(tmp_path: Path) -> Callable[[str, str], None]:
    """Adds a template to the folder of one's own, or changes it."""

    def write(name: str, color: str) -> None:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        declared = DECLARED + 'required = true\nmax_length = 9\nexample = "Hi"\n'
        (folder / "parameters.toml").write_text(declared)
        (folder / "template.html").write_text(MARKUP.format(color=color))

    return write


@pytest.fixture
def own(settings: Settings, tmp_path: Path) -> Settings:
    """Settings with a folder of one's own templates, in development."""
    return replace(settings, templates=tmp_path, development=True)


def test_every_renderer_is_listed_with_an_example_that_works(
    client: FlaskClient,
) -> None:
    listed = client.get("/renderers").get_json()

    assert listed["broken"] == []
    for row in listed["renderers"]:
        assert client.get(row["example"]).status_code == 200, row


def test_every_family_is_listed_with_a_specimen(client: FlaskClient) -> None:
    listed = client.get("/fonts").get_json()["fonts"]

    assert {"Inter", "Noto Sans CJK JP"} <= {row["name"] for row in listed}
    for row in listed:
        assert row.keys() >= {"scripts", "weights", "styles", "licence", "source"}
    thai = next(row for row in listed if row["name"] == "Noto Sans Thai")
    picture = client.get(thai["specimen"])
    assert picture.status_code == 200
    assert "X-Missing-Glyphs" not in picture.headers


def test_the_artwork_of_emoji_is_listed_beside_the_fonts(client: FlaskClient) -> None:
    (artwork,) = client.get("/fonts").get_json()["artwork"]

    assert (artwork["name"], artwork["licence"]) == ("Twemoji", "CC-BY-4.0")
    assert "Twitter" in artwork["attribution"]


def test_the_language_of_the_reader_changes_no_picture(client: FlaskClient) -> None:
    url = "/images/card.png?title=%E9%AA%A8%E8%BF%94"

    plain = client.get(url)
    asked = client.get(url, headers={"Accept-Language": "ja"})

    assert plain.headers["ETag"] == asked.headers["ETag"]
    assert plain.data == asked.data
    assert client.get(f"{url}&lang=ja").headers["ETag"] != plain.headers["ETag"]
    assert client.get(f"{url}&lang=Japanese,+please").status_code == 422


@pytest.mark.parametrize(
    "renderer",
    [
        "avatar",
        "barcode",
        "html",
        "markdown",
        "placeholder",
        "card",
        "badge",
        "label",
        "quote",
    ],
)
def test_every_renderer_that_sets_text_takes_a_language(
    client: FlaskClient, renderer: str
) -> None:
    schema = client.get(f"/renderers/{renderer}").get_json()["parameters"]

    assert "lang" in schema["properties"]


@pytest.mark.parametrize("name", TEMPLATES)
def test_every_template_takes_a_font(client: FlaskClient, name: str) -> None:
    example = client.get(f"/renderers/{name}").get_json()["example"]

    drawn = [
        client.get(f"{example}&font={font}") for font in ("heebo", "JetBrains+Mono")
    ]

    assert [answer.status_code for answer in drawn] == [200, 200]
    assert drawn[0].data != drawn[1].data
    refused = client.get(f"{example}&font=Hebo")
    assert refused.status_code == 422
    assert "did you mean 'Heebo'" in refused.get_data(as_text=True)


def test_every_renderer_describes_its_parameters(client: FlaskClient) -> None:
    for row in client.get("/renderers").get_json()["renderers"]:
        described = client.get(row["url"]).get_json()
        assert described["name"] == row["name"]
        assert described["parameters"]["type"] == "object"
        for name, schema in described["parameters"]["properties"].items():
            assert schema.get("description"), (row["name"], name)


def test_bounds_of_lengths_are_said_in_the_words_of_json_schema(
    client: FlaskClient,
) -> None:
    solid, qr = (client.get(f"/renderers/{name}").json for name in ("solid", "qr"))

    assert solid is not None and qr is not None
    width, size = (
        solid["parameters"]["properties"]["width"],
        qr["parameters"]["properties"]["size"],
    )
    assert (width["minimum"], width["maximum"]) == (1, 65_535)
    assert (size["minimum"], size["maximum"]) == (21, 65_535)


def test_first_parameter_alone_is_required_in_templates(
    client: FlaskClient, catalogue: Catalogue
) -> None:
    for name in TEMPLATES:
        fields = catalogue.get(name).parameters.model_fields
        assert [field.is_required() for field in fields.values()] == [
            position == 0 for position in range(len(fields))
        ]


def test_front_page_shows_every_renderer(
    client: FlaskClient, catalogue: Catalogue
) -> None:
    page = client.get("/").get_data(as_text=True)

    for name in catalogue.names():
        assert f'href="/renderers/{name}"' in page


def test_front_page_leads_to_each_place_once(client: FlaskClient) -> None:
    page = client.get("/").get_data(as_text=True)

    places = re.findall('href="([^"]+)"', page.partition("</header>")[0])

    assert {"/studio", "/docs/api", "/renderers"} <= set(places)
    # What a stranger did not find: a table's pictures, and templates.
    assert {"/studio#/many", "/studio#/own"} <= set(places)
    assert len(places) == len(set(places))


def test_own_template_is_drawn(own: Settings, add: Callable[[str, str], None]) -> None:
    add("own", "red")

    answer = create_app(own).test_client().get("/images/own.png?word=Hi")

    assert answer.status_code == 200


def test_edit_shows_at_the_next_request(
    own: Settings, add: Callable[[str, str], None]
) -> None:
    add("own", "red")
    client = create_app(own).test_client()
    before = client.get("/images/own.png?word=Hi")
    add("own", "green")

    after = client.get("/images/own.png?word=Hi")

    assert before.headers["ETag"] != after.headers["ETag"]
    assert before.data != after.data


def test_broken_template_is_reported_and_the_rest_works(
    own: Settings, add: Callable[[str, str], None], tmp_path: Path
) -> None:
    add("fine", "red")
    add("torn", "red")
    (tmp_path / "torn" / "template.html").write_text("<p>\n{{ nothing }}")
    client = create_app(own).test_client()

    torn = client.get("/images/torn.png?word=Hi")
    listed = client.get("/renderers").get_json()["broken"]

    assert client.get("/images/fine.png?word=Hi").status_code == 200
    assert torn.status_code == 503
    assert (torn.get_json()["file"], torn.get_json()["line"]) == (
        "torn/template.html",
        2,
    )
    assert [(row["name"], row["line"]) for row in listed] == [("torn", 2)]
    assert "torn/template.html, line 2" in client.get("/").get_data(as_text=True)


def test_mended_template_works_at_once(
    own: Settings, add: Callable[[str, str], None], tmp_path: Path
) -> None:
    add("torn", "red")
    (tmp_path / "torn" / "parameters.toml").write_text("title =")
    catalogue = Catalogue(own)
    with pytest.raises(BrokenTemplate):
        catalogue.get("torn")
    add("torn", "red")

    assert catalogue.get("torn").name == "torn"


def test_own_template_may_replace_a_packaged_one_but_not_a_drawn_one(
    own: Settings, add: Callable[[str, str], None]
) -> None:
    add("card", "red")
    add("qr", "red")

    catalogue = Catalogue(own)

    assert catalogue.get("card").title == "Own"
    assert catalogue.get("qr").title == "QR code"
    assert set(catalogue.broken()) == {"qr"}


def test_without_development_the_folder_is_read_once(
    own: Settings, add: Callable[[str, str], None]
) -> None:
    add("own", "red")
    catalogue = Catalogue(replace(own, development=False))
    version = catalogue.get("own").version
    add("own", "green")

    assert catalogue.get("own").version == version


def test_what_a_text_is_set_in_does_not_count_as_text(catalogue: Catalogue) -> None:
    counted = {
        name
        for each in catalogue.names()
        for name in text_fields(catalogue.get(each).parameters)
    }

    assert "title" in counted
    assert not counted & {"lang", "font", "emoji"}


@pytest.mark.parametrize(
    "path", ["renderers", "renderers/card", "fonts", "problems", "templates"]
)
def test_what_a_query_says_of_a_list_is_refused_or_named(
    client: FlaskClient, path: str
) -> None:
    told = client.get(f"/{path}?_=1&utm_source=mail")
    refused = client.get(f"/{path}?limit=3")

    assert told.status_code == 200
    assert told.headers["X-Ignored-Parameters"] == "_, utm_source"
    assert refused.status_code == 422
    assert refused.get_json()["field"] == "limit"


@pytest.mark.parametrize(
    "path",
    [
        *("health/live", "health/ready", "metrics", "v1/models", "v1/models/dream"),
        *("sdapi/v1/samplers", "sdapi/v1/options", "sdapi/v1/sd-models"),
    ],
)
def test_probes_and_clients_of_others_are_told_what_counts_for_nothing(
    client: FlaskClient, path: str
) -> None:
    answer = client.get(f"/{path}?_=123&verbose=1")

    assert answer.status_code == 200
    assert answer.headers["X-Ignored-Parameters"] == "_, verbose"


@pytest.mark.parametrize("name", ["html", "markdown"])
def test_documents_are_drawn_anew_where_their_translation_changes(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch, settings: Settings, name: str
) -> None:
    before = client.get(f"/images/{name}?{name}=a").headers["ETag"]
    monkeypatch.setattr(html, "TRANSLATION", "documents 0")

    app = create_app(settings, environ={})
    after = app.test_client().get(f"/images/{name}?{name}=a").headers["ETag"]
    app.extensions["mimeo.jobs"].close()
    app.extensions["mimeo"].close()

    assert before != after
