"""Templates that are saved over HTTP: versions that stay, and are nobody's danger."""

import base64
import io
import threading
import time
import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from flask import Flask
from flask.testing import FlaskClient
from PIL import Image

from app import create_app
from app.bootstrap import open_room
from app.cli.main import main
from app.config import BadSetting, Settings
from app.renderer.catalogue import Catalogue
from app.renderer.errors import UnknownRenderer
from app.renderer.template import saved_templates
from app.renderer.template.template_files import TemplateFiles
from app.store import Store, StoreError
from tests.views.test_template_preview import (
    BOMBS,
    DECLARED,
    MARKUP,
    MISTAKES,
    files,
)
from tests.waiting import wait_until

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


def test_a_damaged_template_is_named_and_leaves_the_others_in_the_list(
    editing: Settings, tmp_path: Path
) -> None:
    own = replace(editing, store=str(tmp_path))
    for app in opened(own):
        client = app.test_client()
        save(client, "whole")
        known = set(tmp_path.rglob("*"))
        save(client, "broken")
        for path in set(tmp_path.rglob("*")) - known:
            if path.is_file():
                path.write_bytes(b"{" * 400)

        listed = client.get("/renderers").get_json()
        drawn = draw(client, "broken")
        shown = client.get("/templates/broken")

    assert "whole" in {each["name"] for each in listed["renderers"]}
    (row,) = listed["broken"]
    assert (row["name"], row["file"]) == ("broken", "broken@1")
    assert "damaged in the store" in row["reason"]
    assert (drawn.status_code, shown.status_code) == (503, 503)
    assert drawn.get_json()["type"] == "/problems/broken-template"


@pytest.mark.parametrize("title", ["東京", "王小明", "佐藤花子", "กรุงเทพ", "نص", "🎫"])
def test_texts_of_any_script_are_drawn(editor: FlaskClient, title: str) -> None:
    save(editor, "scripts")

    assert draw(editor, "scripts", title).status_code == 200


def row_of(client: FlaskClient, name: str) -> dict[str, Any] | None:
    """Return what the catalogue's list says of a name."""
    rows = client.get("/renderers").get_json()["renderers"]
    found = [row for row in rows if row["name"] == name]
    assert len(found) < 2
    return found[0] if found else None


def shared_tag(client: FlaskClient, name: str) -> str:
    return cast("str", client.get(f"/templates/{name}").headers["ETag"])


def test_a_saved_template_is_found_where_a_packaged_one_is(editor: FlaskClient) -> None:
    save(editor, "found_here")

    row = row_of(editor, "found_here")
    described = editor.get("/renderers/found_here").get_json()
    front = editor.get("/").text

    assert row is not None
    assert (row["title"], row["saved"], row["service"]) == ("Greeting", True, False)
    packaged = row_of(editor, "card")
    assert packaged is not None and packaged["saved"] is False
    assert row["formats"] == packaged["formats"]
    assert editor.get(row["example"]).status_code == 200
    assert described["name"] == "found_here"
    assert set(described["parameters"]["properties"]) >= {"title", "line", "lang"}
    assert editor.get("/renderers/found_here@1").get_json()["name"] == "found_here@1"
    assert "/images/found_here.png" in front


def test_another_worker_lists_an_edit_within_seconds(
    editor: FlaskClient, other: FlaskClient
) -> None:
    tag = save(editor, "followed").headers["ETag"]
    wait_until(lambda: row_of(other, "followed") is not None)
    declared = DECLARED.replace("Greeting", "Farewell")
    sent = {"files": files(declared=declared)}

    editor.put("/templates/followed", json=sent, headers={"If-Match": tag})

    def title() -> str:
        row = row_of(other, "followed")
        return str(row and row["title"])

    wait_until(lambda: title() == "Farewell")
    before = other.get("/renderers").headers["ETag"]
    assert other.get("/renderers", headers={"If-None-Match": before}).status_code == 304


def test_what_another_worker_has_just_saved_is_drawn_at_once(
    editor: FlaskClient, other: FlaskClient
) -> None:
    for number in range(5):
        assert draw(other, f"instant-{number}").status_code == 404
        save(editor, f"instant-{number}")

        assert draw(other, f"instant-{number}").status_code == 200
        assert draw(other, f"instant-{number}@1").status_code == 200


def test_a_folder_that_gets_the_name_is_listed_alone(
    editing: Settings, tmp_path: Path
) -> None:
    own = replace(editing, store=str(tmp_path / "store"), templates=tmp_path / "own")
    (tmp_path / "own").mkdir()
    for app in opened(own):
        save(app.test_client(), "shadowed")
    (tmp_path / "own" / "shadowed").mkdir()
    for name, text in files(declared=DECLARED.replace("Greeting", "Mine")).items():
        (tmp_path / "own" / "shadowed" / name).write_text(text)
    for app in opened(own):
        client = app.test_client()
        rows = client.get("/templates").get_json()["templates"]
        row = row_of(client, "shadowed")
        shown = client.get("/templates/shadowed").get_json()
        pinned = draw(client, "shadowed@1").status_code

    assert [row["version"] for row in rows if row["name"] == "shadowed"] == [None]
    assert row is not None and (row["title"], row["saved"]) == ("Mine", False)
    assert 'title = "Mine"' in shown["files"]["parameters.toml"]
    assert pinned == 200


def test_what_is_deleted_is_in_no_list_and_not_drawn(
    editor: FlaskClient, other: FlaskClient
) -> None:
    first = save(editor, "leaving").headers["ETag"]
    save(editor, "leaving", RED, If_Match=first)
    tag = shared_tag(editor, "leaving")
    place = "/templates/leaving"

    refused = [
        editor.delete(place).status_code,
        editor.delete(place, headers={"If-Match": first}).status_code,
        editor.delete(f"{place}@1", headers={"If-Match": "*"}).status_code,
    ]
    answer = other.delete(place, headers={"If-Match": tag})

    assert refused == [428, 412, 422]
    assert (answer.status_code, answer.data) == (204, b"")
    wait_until(lambda: draw(editor, "leaving").status_code == 404)
    assert row_of(editor, "leaving") is None
    assert editor.get(place).status_code == 404
    for name in ("leaving@1", "leaving@2"):
        assert draw(editor, name).status_code == 404
        assert draw(other, name).status_code == 404
    gone = editor.delete(place, headers={"If-Match": tag})
    assert (gone.status_code, gone.get_json()["type"]) == (
        404,
        "/problems/unknown-renderer",
    )
    packaged = editor.delete("/templates/card", headers={"If-Match": "*"})
    assert packaged.status_code == 409


def test_no_number_is_given_twice_though_a_template_was_deleted(
    editor: FlaskClient,
) -> None:
    tag = save(editor, "again").headers["ETag"]
    editor.delete("/templates/again", headers={"If-Match": tag})

    answer = save(editor, "again", RED)

    assert (answer.status_code, answer.get_json()["version"]) == (201, 3)
    assert draw(editor, "again").data == draw(editor, "again@3").data
    assert draw(editor, "again@2").status_code == 404


@pytest.mark.parametrize("route", ["/collections", "/jobs?form=zip"])
def test_a_version_in_use_is_drawn_though_its_template_was_deleted(
    editor: FlaskClient, other: FlaskClient, route: str
) -> None:
    name = f"used-{route[1:4]}"
    first = save(editor, name).headers["ETag"]
    save(editor, name, RED, If_Match=first)
    rows = {"renderer": f"{name}@1", "items": [{"title": "Ada"}, {"title": "Bo"}]}
    made = editor.post(route, json=rows)
    assert made.status_code in (201, 202), made.text
    before = draw(editor, f"{name}@1").data

    gone = other.delete(f"/templates/{name}", headers={"If-Match": "*"})

    assert gone.status_code == 204
    wait_until(lambda: draw(editor, name).status_code == 404)
    assert draw(editor, f"{name}@1", "Eve").status_code == 200
    assert draw(editor, f"{name}@2").status_code == 404
    again = editor.post(route, json=rows)
    assert again.status_code in (200, 201, 202), again.text
    if route == "/collections":
        assert editor.get(f"{made.headers['Location']}/1.png").data == before
    assert save(editor, name).get_json()["version"] == 4


def test_of_a_save_and_a_deletion_at_one_moment_one_succeeds(
    editor_app: Flask, other: FlaskClient
) -> None:
    editor = editor_app.test_client()
    for number in range(6):
        name = f"raced-{number}"
        tag = save(editor, name).headers["ETag"]
        found: list[int] = []
        start = threading.Barrier(2)

        def keep(name: str, tag: str, found: list[int], go: threading.Barrier) -> None:
            go.wait()
            found.append(save(other, name, RED, If_Match=tag).status_code)

        thread = threading.Thread(target=keep, args=(name, tag, found, start))
        thread.start()
        start.wait()
        found.append(
            editor.delete(f"/templates/{name}", headers={"If-Match": tag}).status_code
        )
        thread.join()

        assert sorted(found) in ([200, 412], [204, 412]), found


def test_more_templates_than_are_allowed_are_refused(
    editing: Settings, tmp_path: Path
) -> None:
    own = replace(editing, store=str(tmp_path), max_templates=2)
    for app in opened(own):
        client = app.test_client()
        tags = [save(client, name).headers["ETag"] for name in ("one", "two")]

        refused = save(client, "three")
        edited = save(client, "two", RED, If_Match=tags[1])
        client.delete("/templates/one", headers={"If-Match": tags[0]})
        accepted = save(client, "three")

    told = refused.get_json()
    assert (refused.status_code, told["type"]) == (507, "/problems/templates-full")
    assert (told["limit"], told["allowed"], told["value"]) == (
        "MIMEO_MAX_TEMPLATES",
        2,
        3,
    )
    assert "DELETE /templates/<name>" in told["detail"]
    assert (edited.status_code, accepted.status_code) == (200, 201)


def test_versions_are_bounded_in_all(editing: Settings, tmp_path: Path) -> None:
    own = replace(editing, store=str(tmp_path), max_templates=1)
    for app in opened(own):
        catalogue = Catalogue(own, store=open_room(own, None, "templates"))
        assert catalogue.saved is not None
        for number in range(20):
            texts = {name: text.encode() for name, text in files().items()}
            assert catalogue.saved.add(TemplateFiles("busy", texts), number + 1)
        client = app.test_client()

        answer = save(client, "busy", RED, If_Match=shared_tag(client, "busy"))

    assert (answer.status_code, answer.get_json()["limit"]) == (
        507,
        "MIMEO_MAX_TEMPLATES",
    )


def test_more_bytes_than_are_allowed_are_refused(
    editing: Settings, tmp_path: Path
) -> None:
    own = replace(editing, store=str(tmp_path), templates_bytes=1 << 20)
    noise = io.BytesIO()
    Image.effect_noise((800, 800), 90).save(noise, "png")
    picture = base64.b64encode(noise.getvalue()).decode()
    body = {"files": {**files(), "noise.png": picture}}
    for app in opened(own):
        client = app.test_client()
        first = client.put("/templates/large", json=body, headers=NEW)

        refused = client.put("/templates/larger", json=body, headers=NEW)

    assert first.status_code == 201, first.text
    told = refused.get_json()
    assert (refused.status_code, told["limit"]) == (507, "MIMEO_TEMPLATES_BYTES")
    assert told["value"] > told["allowed"] == 1 << 20


class CountingStore:
    """A store that counts the calls that a bucket would charge for."""

    def __init__(self, inner: Store) -> None:
        self._inner = inner
        self.calls: Counter[str] = Counter()

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: Any) -> Any:
            self.calls[name] += 1
            return getattr(self._inner, name)(*arguments)

        return call


@pytest.fixture
def counting(editing: Settings, tmp_path: Path) -> Iterator[CountingStore]:
    """A store with three templates of two versions each."""
    room = open_room(replace(editing, store=str(tmp_path)), None, "templates")
    saved = Catalogue(editing, store=room).saved
    assert saved is not None
    for name in ("ada", "bo", "cy"):
        for number in (1, 2):
            texts = {each: text.encode() for each, text in files().items()}
            assert saved.add(TemplateFiles(name, texts), number)
    yield CountingStore(room)


def test_names_that_are_made_up_list_the_store_in_vain_a_few_times_only(
    editing: Settings, counting: CountingStore
) -> None:
    catalogue = Catalogue(editing, store=cast("Store", counting))

    begun = time.monotonic()
    for number in range(400):
        for name in (f"no-{number}", f"ada@{number + 3}", "ada@99999", "No Name"):
            with pytest.raises(UnknownRenderer):
                catalogue.get(name)
    lasted = time.monotonic() - begun

    # One look at first, sixteen in vain, and one a second of each kind from then on.
    assert set(counting.calls) == {"below"}
    assert counting.calls["below"] <= 1 + 16 + 2 * (lasted + 1)


def test_a_list_of_templates_reads_heads_alone_and_once(
    editing: Settings, counting: CountingStore
) -> None:
    catalogue = Catalogue(editing, store=cast("Store", counting))

    for _ in range(10):
        ready, broken = catalogue.listed()

    assert not broken
    assert {row.name for row in ready if row.files} == {"ada", "bo", "cy"}
    assert counting.calls["read"] == 3
    assert "get" not in counting.calls


def test_what_is_known_is_drawn_while_the_store_cannot_be_listed(
    editing: Settings, counting: CountingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalogue = Catalogue(editing, store=cast("Store", counting))
    assert catalogue.get("ada").name == "ada@2"

    def fail(folder: str) -> None:
        raise StoreError("the bucket is away")

    monkeypatch.setattr(counting, "below", fail, raising=False)
    monkeypatch.setattr(saved_templates, "_FRESH_S", 1e-6)

    assert catalogue.get("ada").name == "ada@2"
    assert "bo" in {row.name for row in catalogue.listed()[0]}
    with pytest.raises(StoreError):
        catalogue.get("unknown")


def test_a_template_that_is_deleted_at_this_moment_is_not_taken_into_use(
    editing: Settings, counting: CountingStore
) -> None:
    here, there = (Catalogue(editing, store=cast("Store", counting)) for _ in range(2))
    assert here.get("ada").name == "ada@2"
    here.use(["bo@1"])
    assert there.saved is not None and there.saved.delete("ada", 2)
    assert there.saved.delete("bo", 2)

    with pytest.raises(UnknownRenderer):
        here.use(["ada@2"])

    here.use(["bo@1", "card"])


@pytest.mark.parametrize("name", ["con", "nul", "com1", "lpt9", "aux"])
def test_a_device_of_windows_is_no_name_of_a_template(
    editor: FlaskClient, name: str
) -> None:
    saved = save(editor, name)
    exported = editor.post("/templates/export", json={"name": name, "files": files()})

    for answer in (saved, exported):
        assert answer.status_code == 422
        assert answer.get_json()["field"] == "name"
        assert "choose another name" in answer.get_json()["detail"]


@pytest.mark.parametrize(
    ("names", "field"),
    [
        (("Logo.png", "logo.PNG"), "files[logo.PNG]"),
        (("CON.png",), "files[CON.png]"),
        (("nul.tar.svg",), "files[nul.tar.svg]"),
        (("TEMPLATE.HTML",), "files[TEMPLATE.HTML]"),
    ],
)
def test_files_that_one_folder_cannot_hold_are_refused(
    editor: FlaskClient, names: tuple[str, ...], field: str
) -> None:
    pictures = dict.fromkeys(names, "AAAA")

    answer = editor.post("/templates/export", json={"files": {**files(), **pictures}})

    assert (answer.status_code, answer.get_json()["field"]) == (422, field)


@pytest.mark.parametrize("name", ["a key", "a name", "a function", "time"])
def test_an_error_of_a_save_says_the_file_the_line_and_what_to_do(
    editor: FlaskClient, name: str
) -> None:
    markup, declared, file, line, advice = MISTAKES[name]
    sent = {"files": {"template.html": markup, "parameters.toml": declared}}

    told = editor.put("/templates/wrong", json=sent, headers=NEW).get_json()

    assert (told["status"], told["file"], told["line"]) == (422, f"wrong/{file}", line)
    assert advice in told["detail"]


def test_the_command_line_lists_and_draws_what_was_saved(
    editor: FlaskClient,
    editing: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    save(editor, "in_shell")
    monkeypatch.setenv("MIMEO_TEMPLATE_EDITING", "on")
    monkeypatch.setenv("MIMEO_STORE", editing.store)
    monkeypatch.setenv("MIMEO_SYSTEM_FONTS", "off")

    listed = main(["renderers"])
    shown = capsys.readouterr().out
    drawn = main(
        ["render", "in_shell", "--title", "Ada", "-o", str(tmp_path / "a.png")]
    )

    assert (listed, drawn) == (0, 0)
    assert "in_shell: Greeting" in shown
    with Image.open(tmp_path / "a.png") as image:
        assert image.size == (300, 100)
