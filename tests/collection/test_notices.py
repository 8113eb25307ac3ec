"""What is said of the texts of a whole collection, and where."""

import io
from dataclasses import replace
from pathlib import Path

import orjson
import pytest
from flask.testing import FlaskClient

from app import create_app
from app.collection.ingest import writer
from app.collection.notices import Notices, gathered
from app.config import Settings

# No font of ours has Linear A.
LINEAR_A = "\U00010600"
ROWS = f"name,role\nAda,Engineer\n{LINEAR_A},Guest\n{'W' * 80},x\n{LINEAR_A},x\n"
CLIPPED = {"name": "cut"}


@pytest.fixture
def client(tmp_path: Path) -> FlaskClient:
    """A server with a store of its own."""
    settings = replace(
        Settings(), store=str(tmp_path), system_fonts=False, access_log=False
    )
    app = create_app(settings)
    yield app.test_client()
    app.extensions["mimeo"].close()


def post(client: FlaskClient, path: str):
    query = {"renderer": "badge"}
    return client.post(path, query_string=query, data=ROWS, content_type="text/csv")


def test_notices_are_those_of_all_images_within_bounds() -> None:
    notices = Notices()
    for number in range(1, 1001):
        notices.add(number, {"missing_glyphs": [f"U+{number:04X}"]})
    notices.add(7, {"text_clipped": {"title": "cut"}, "attribution": ["x"]})
    notices.add(8, {"text_clipped": {"title": "shrunk", "tag": "shrunk"}})

    assert len(notices.facts["missing_glyphs"]) == 256
    assert notices.facts["text_clipped"] == {"title": "cut", "tag": "shrunk"}
    assert notices.count("missing_glyphs") == 1000
    assert notices.first("missing_glyphs") == tuple(range(1, 101))
    assert notices.first("text_clipped") == (7, 8)


def test_notices_survive_their_form_at_rest() -> None:
    notices = gathered([(1, ""), (3, '{"missing_glyphs":["U+4E2D"]}')])

    found = Notices.decode(orjson.loads(notices.encode()))

    assert found.document() == notices.document()
    assert found.document()["affected"]["missing_glyphs"] == {"count": 1, "first": [3]}
    assert Notices().document() == {}


@pytest.mark.parametrize("bad", [[], {"affected": 1}, {"affected": {"x": {}}}])
def test_notices_of_another_form_are_refused(bad: object) -> None:
    with pytest.raises(ValueError, match="another form"):
        Notices.decode(bad)


@pytest.mark.parametrize("form", ["zip", "pdf", "json", "ndjson", "gif"])
def test_every_form_of_a_collection_says_it_in_its_headers(client, form: str) -> None:
    with post(client, f"/collections.{form}") as answer:
        assert answer.data

        assert answer.headers["X-Missing-Glyphs"] == "U+10600"
        assert answer.headers["X-Text-Clipped"] == "name;cut"


def test_the_description_says_it_before_anything_is_drawn(client) -> None:
    made = post(client, "/collections").json
    shown = client.get(made["links"]["self"]).json

    for described in (made, shown):
        assert described["facts"] == {
            "missing_glyphs": ["U+10600"],
            "text_clipped": CLIPPED,
        }
        assert described["affected"] == {
            "missing_glyphs": {"count": 2, "first": [2, 4]},
            "text_clipped": {"count": 1, "first": [3]},
        }


@pytest.mark.parametrize("form", ["zip", "pdf"])
def test_what_only_the_drawing_shows_is_said_after_it(
    client, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    monkeypatch.setattr(writer, "_LAID_OUT", 0)
    place = post(client, "/collections").json["links"]

    before = client.get(place["self"]).json["facts"]
    with client.get(place[form]) as answer:
        assert "X-Text-Clipped" not in answer.headers
        assert answer.data
    after = client.get(place["self"]).json["facts"]
    again = client.get(place[form])

    assert "text_clipped" not in before
    assert after == {**before, "text_clipped": CLIPPED}
    assert again.headers["X-Text-Clipped"] == "name;cut"


def test_a_collection_without_notices_has_no_word_of_them(client) -> None:
    rows = io.BytesIO(b"name\nAda\n")
    query = {"renderer": "badge"}
    made = client.post(
        "/collections", query_string=query, data=rows, content_type="text/csv"
    ).json

    assert made.keys() & {"facts", "affected"} == set()
