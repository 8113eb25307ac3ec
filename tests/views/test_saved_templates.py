"""Templates that are saved over HTTP: versions that stay, and are nobody's danger."""

import io
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app import create_app
from app.config import BadSetting, Settings
from tests.views.test_template_preview import BOMBS, DECLARED, MARKUP, files

NEW = {"If-None-Match": "*"}
RED = MARKUP.replace("#333", "red")


@pytest.fixture(scope="module")
def editing(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Of a server that stops a drawing after two seconds."""
    own = replace(settings, render_timeout_s=2, html_memory_bytes=1 << 28)
    store = str(tmp_path_factory.mktemp("saved"))
    return replace(own, template_editing=True, store=store)


def opened(settings: Settings) -> Iterator[Flask]:
    app = create_app(settings)
    yield app
    app.extensions["mimeo.jobs"].close()
    app.extensions["mimeo"].close()


@pytest.fixture(scope="module")
def editor_app(editing: Settings) -> Iterator[Flask]:
    yield from opened(editing)


@pytest.fixture
def editor(editor_app: Flask) -> FlaskClient:
    return editor_app.test_client()


@pytest.fixture(scope="module")
def other(editing: Settings) -> Iterator[FlaskClient]:
    """Another worker at the same store."""
    for app in opened(editing):
        yield app.test_client()


def save(client: FlaskClient, name: str, markup: str = MARKUP, **headers: str) -> Any:
    given = {key.replace("_", "-"): value for key, value in headers.items()} or NEW
    return client.put(
        f"/templates/{name}", json={"files": files(markup)}, headers=given
    )


def draw(client: FlaskClient, name: str, title: str = "Ada") -> Any:
    return client.get(f"/images/{name}.png", query_string={"title": title})


def test_a_saved_template_is_drawn_by_its_name(editor: FlaskClient) -> None:
    answer = save(editor, "first")

    made = answer.get_json()
    assert (answer.status_code, made["renderer"]) == (201, "first@1")
    assert answer.headers["Location"] == "/templates/first"
    drawn, by_version = draw(editor, "first"), draw(editor, "first@1")
    assert drawn.headers["Content-Type"] == "image/png"
    assert drawn.data == by_version.data
    for ending in ("svg", "pdf", "webp"):
        found = editor.get(f"/images/first.{ending}?title=Ada")
        assert found.status_code == 200, found.text


def test_an_edit_leaves_the_version_before_as_it_is(
    editor: FlaskClient, other: FlaskClient
) -> None:
    tag = save(editor, "kept").headers["ETag"]
    before = draw(editor, "kept").data

    answer = save(editor, "kept", RED, If_Match=tag)

    assert (answer.status_code, answer.get_json()["version"]) == (200, 2)
    assert draw(other, "kept@1").data == before
    assert draw(other, "kept@2").data == draw(editor, "kept").data != before
    assert draw(editor, "kept@3").status_code == 404
    assert editor.get("/templates/kept@1").get_json()["files"] == files()
    assert editor.get("/templates/kept").get_json()["files"] == files(RED)


def test_a_collection_keeps_the_version_that_it_was_made_with(
    editor: FlaskClient,
) -> None:
    tag = save(editor, "certified").headers["ETag"]
    rows = {"renderer": "certified", "items": [{"title": "Ada"}, {"title": "Bo"}]}
    made = editor.post("/collections", json=rows)
    place = made.headers["Location"]
    before = editor.get(f"{place}/1.png").data

    save(editor, "certified", RED, If_Match=tag)
    again = editor.post("/collections", json=rows)
    with editor.get(f"{place}.zip") as sent:
        names = zipfile.ZipFile(io.BytesIO(sent.data)).namelist()

    assert made.get_json()["renderers"] == ["certified@1"]
    assert editor.get(f"{place}/1.png").data == before
    assert len(names) == 3
    assert again.get_json()["renderers"] == ["certified@2"]
    assert again.headers["Location"] != place


def test_nobody_writes_over_what_they_have_not_seen(editor: FlaskClient) -> None:
    tag = save(editor, "shared").headers["ETag"]
    bare = editor.put("/templates/shared", json={"files": files()})
    save(editor, "shared", RED, If_Match=tag)

    answers = [
        save(editor, "shared"),
        save(editor, "shared", If_Match=tag),
        save(editor, "unknown", If_Match=tag),
        save(editor, "unknown", If_Match="*"),
    ]

    assert bare.status_code == 428
    assert [each.status_code for each in answers] == [412] * 4
    current = editor.get("/templates/shared")
    assert current.get_json()["version"] == 2
    unchanged = {"If-None-Match": current.headers["ETag"]}
    assert editor.get("/templates/shared", headers=unchanged).status_code == 304


@pytest.mark.parametrize("name", ["card", "badge", "solid", "html", "dream"])
def test_no_name_of_another_renderer_is_taken(editor: FlaskClient, name: str) -> None:
    before = draw(editor, name).status_code

    answer = save(editor, name)

    assert (answer.status_code, answer.get_json()["type"]) == (
        409,
        "/problems/taken-template",
    )
    assert draw(editor, name).status_code == before


@pytest.mark.parametrize(
    "name", ["..", "%2e%2e", "a%2fb", "mine@1", "Mine", "x" * 41, "mine.png", "-x", "1"]
)
def test_no_path_is_a_name(editor: FlaskClient, editing: Settings, name: str) -> None:
    before = sorted(Path(editing.store).parent.rglob("*"))

    answer = save(editor, name)

    assert answer.status_code in (404, 405, 422)
    assert sorted(Path(editing.store).parent.rglob("*")) == before


@pytest.mark.parametrize("file", ["../x.png", "/etc/x.png", "a/b.png", "x.html"])
def test_no_path_is_a_file_of_it(editor: FlaskClient, file: str) -> None:
    sent = {"files": {**files(), file: "AAAA"}}

    answer = editor.put("/templates/paths", json=sent, headers=NEW)

    assert answer.status_code == 422
    assert editor.get("/templates/paths").status_code == 404


@pytest.mark.parametrize("markup", BOMBS.values(), ids=BOMBS)
def test_a_bomb_is_not_saved(editor: FlaskClient, markup: str) -> None:
    answer = save(editor, "bomb", markup)

    assert answer.status_code == 422, answer.text
    assert editor.get("/templates/bomb").status_code == 404


# What no compiler folds goes off with a title, and not with the example.
LATE = {
    name: "{% if title == 'boom boom boom' %}" + markup + "{% endif %}ok"
    for name, markup in BOMBS.items()
    if name not in ("power, folded by the compiler", "a long text", "brackets")
    and not name.startswith(("a wide", "a centred"))
}


@pytest.mark.parametrize("name", LATE)
def test_a_bomb_that_goes_off_later_is_a_4xx_in_a_collection_too(
    editor: FlaskClient, name: str
) -> None:
    saved = save(editor, "late-" + "".join(filter(str.islower, name)), LATE[name])
    assert saved.status_code == 201, saved.text
    renderer = saved.get_json()["renderer"]
    items = [{"title": "boom boom boom"}, {"title": "Hello world"}]
    rows = {"renderer": renderer, "items": items}

    alone = draw(editor, renderer, "boom boom boom")
    place = editor.post("/collections", json=rows).headers["Location"]

    assert alone.status_code == 422, alone.text
    assert editor.get(f"{place}/1.png").status_code == 422
    assert editor.get(f"{place}/2.png").status_code == 200


def test_a_text_is_bounded_as_in_any_template(editing: Settings) -> None:
    declared = DECLARED.replace("max_length = 40", "max_length = 90000")
    for app in opened(replace(editing, max_text_chars=100)):
        client = app.test_client()
        sent = {"files": files(declared=declared)}
        client.put("/templates/long", json=sent, headers=NEW)

        answer = draw(client, "long", "x" * 101)

        assert answer.get_json()["limit"] == "MIMEO_MAX_TEXT_CHARS"


def test_saved_templates_are_listed(editor: FlaskClient) -> None:
    save(editor, "listed")

    found = editor.get("/templates").get_json()

    assert found["editing"] is True
    rows = {row["name"]: row for row in found["templates"]}
    assert (rows["listed"]["version"], rows["card"]["version"]) == (1, None)


def test_where_nobody_may_edit_nothing_is_saved_or_drawn(
    client: FlaskClient, editing: Settings, editor: FlaskClient
) -> None:
    save(editor, "hidden")
    for app in opened(replace(editing, template_editing=False)):
        assert draw(app.test_client(), "hidden").status_code == 404

    answer = save(client, "mine")

    assert (answer.status_code, answer.get_json()["type"]) == (
        501,
        "/problems/no-templates",
    )
    assert client.get("/templates").get_json()["editing"] is False


@pytest.mark.parametrize("store", ["none", "memory:"])
def test_a_store_that_keeps_nothing_stops_the_start(
    editing: Settings, store: str
) -> None:
    with pytest.raises(BadSetting, match="MIMEO_TEMPLATE_EDITING"):
        create_app(replace(editing, store=store, workers=2))


def test_a_version_that_is_asked_for_too_early_is_drawn_once_it_is_saved(
    editor: FlaskClient,
) -> None:
    early = draw(editor, "soon@1")
    tag = save(editor, "soon").headers["ETag"]
    later = draw(editor, "soon@2")
    save(editor, "soon", RED, If_Match=tag)

    assert (early.status_code, later.status_code) == (404, 404)
    found = [draw(editor, name).status_code for name in ("soon@1", "soon@2", "soon")]
    assert found == [200, 200, 200]


def test_a_tag_that_nothing_has_does_not_say_what_is_replaced(
    editor: FlaskClient,
) -> None:
    save(editor, "unseen")

    answer = save(editor, "unseen", RED, If_None_Match='"nonsense"')

    assert answer.status_code == 428
    assert editor.get("/templates/unseen").get_json()["version"] == 1


def test_a_damaged_template_leaves_the_others_in_the_list(
    editing: Settings, editor: FlaskClient, tmp_path: Path
) -> None:
    own = replace(editing, store=str(tmp_path))
    for app in opened(own):
        client = app.test_client()
        save(client, "whole")
        known = set(tmp_path.rglob("*"))
        save(client, "broken")
        for path in set(tmp_path.rglob("*")) - known:
            if path.is_file():
                path.write_bytes(path.read_bytes()[:-40])

        listed = client.get("/templates")

    assert listed.status_code == 200
    names = {each["name"] for each in listed.get_json()["templates"]}
    assert "whole" in names and "broken" not in names


@pytest.mark.parametrize("title", ["東京", "王小明", "佐藤花子", "กรุงเทพ", "نص", "🎫"])
def test_texts_of_any_script_are_drawn(editor: FlaskClient, title: str) -> None:
    save(editor, "scripts")

    assert draw(editor, "scripts", title).status_code == 200
