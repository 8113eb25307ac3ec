"""The faces over HTTP: which wrapping, which errors, which URLs."""

import io
import json
import time
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from PIL import Image

from app import create_app
from app.access.signed_url import UrlSigner
from app.config import Settings
from app.pipeline.media_store import MediaStore
from app.store import StoreError
from tests.test_services import serving
from tests.upstream.doubles import double
from tests.upstream.pictures import JPEG, PNG, b64, dump
from tests.upstream.wire_forms import Form

JSON = "application/json"


def settings(folder: Path, **changes: Any) -> Settings:
    plain = Settings(
        store=str(folder), system_fonts=False, access_log=False, local_callers=True
    )
    return replace(plain, **changes)


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    """An app whose AI service sends JPEG, and leaves one of several out."""
    form = Form(
        dump({"images": [b64(JPEG), b64(PNG)], "seeds": [4, 5]}), JSON, (), "base64"
    )
    with serving(form) as service:
        made = create_app(
            settings(tmp_path_factory.mktemp("faces")), {"AI_SERVICE_URL": service.url}
        )
        yield made
        made.extensions["mimeo"].close()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


def infer(client: FlaskClient, accept: str | None = None, **body: Any) -> Any:
    headers = {} if accept is None else {"Accept": accept}
    return client.post("/inference", json={"prompt": "a cat", **body}, headers=headers)


@pytest.mark.parametrize(
    ("accept", "body", "media_type"),
    [
        (None, {}, JSON),
        ("*/*", {}, JSON),
        (JSON, {}, JSON),
        ("image/*", {}, "image/jpeg"),
        ("image/png", {}, "image/png"),
        ("image/*, application/json;q=0.5", {}, "image/jpeg"),
        ("image/webp, image/*;q=0.9, application/json;q=0.5", {}, "image/webp"),
        ("image/*, application/json;q=0.5", {"n": 2}, JSON),
        ("image/*", {"format": "gif"}, "image/gif"),
        ("application/zip", {}, "application/zip"),
        ("application/zip", {"n": 2}, "application/zip"),
        (None, {"n": 2, "format": "webp"}, JSON),
        ("Image/PNG", {}, "image/png"),
        ("image/*, image/jpeg;q=0", {}, "image/png"),
        ("image/*;q=0.9, image/jpeg;q=0.1", {}, "image/png"),
        ("image/png, image/*", {}, "image/jpeg"),
        ("image/avif,image/webp,image/apng,image/*,*/*;q=0.8", {}, "image/jpeg"),
    ],
)
def test_accept_decides_the_wrapping(client, accept, body, media_type):
    answer = infer(client, accept, **body)

    assert (answer.status_code, answer.content_type) == (200, media_type)
    assert answer.headers["Cache-Control"] == "no-store"
    assert int(answer.headers["Content-Length"]) == len(answer.data)


def test_an_image_that_nobody_asked_to_be_other_is_untouched(client):
    answer = infer(client, "image/*")

    assert answer.data == JPEG
    assert answer.headers["X-Media-Seed"] == "4"
    assert 'filename="ai-service.jpg"' in answer.headers["Content-Disposition"]


def test_a_format_that_is_asked_for_is_made(client):
    answer = infer(client, "image/png")

    assert Image.open(io.BytesIO(answer.data)).format == "PNG"
    assert answer.headers["X-Media-Converted-From"] == "image/jpeg"


@pytest.mark.parametrize(
    ("accept", "body"),
    [
        ("text/html", {}),
        ("image/png", {"n": 2}),
        ("image/png", {"format": "webp"}),
        ("image/svg+xml", {}),
    ],
)
def test_what_cannot_be_had_is_a_406(client, accept, body):
    answer = infer(client, accept, **body)

    assert answer.status_code == 406
    assert answer.get_json()["type"] == "/problems/not-acceptable"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"prompt": ""}, "prompt"),
        ({"prompt": None}, "prompt"),
        ({"steps": 20}, "steps"),
        ({"n": 0}, "n"),
        ({"n": 99}, "n"),
        ({"n": "two"}, "n"),
        ({"seed": "x"}, "seed"),
        ({"renderer": "card"}, "renderer"),
        ({"renderer": 5}, "renderer"),
        ({"format": "docx"}, "format"),
        ({"format": 5}, "format"),
        ({"scale": 2.0}, "scale"),
    ],
)
def test_bad_input_is_named(client, body, field):
    answer = infer(client, **body)

    assert answer.status_code == 422
    assert answer.get_json()["field"] == field


@pytest.mark.parametrize(
    ("data", "media_type", "status"),
    [
        (b"{", JSON, 400),
        (b"[]", JSON, 400),
        (b'{"prompt": "a", "prompt": "b"}', JSON, 422),
        (b"prompt=a", "application/x-www-form-urlencoded", 415),
        (b"", "", 415),
    ],
)
@pytest.mark.parametrize("path", ["/inference", "/v1/images/generations"])
def test_a_body_that_is_no_json_object_is_refused(
    client, path, data, media_type, status
):
    answer = client.post(path, data=data, content_type=media_type)

    wanted = 400 if status == 422 and path.startswith("/v1") else status
    assert answer.status_code == wanted


def test_a_renderer_that_is_not_there_is_a_404(client):
    assert infer(client, renderer="nope").status_code == 404


def test_what_is_missing_is_told_in_every_wrapping(client):
    told = infer(client, n=3).get_json()
    zipped = infer(client, "application/zip", n=3)
    openai = client.post("/v1/images/generations", json={"prompt": "a cat", "n": 3})

    with zipfile.ZipFile(io.BytesIO(zipped.data)) as file:
        errors = json.loads(file.read("manifest.json"))["errors"]
    assert len(told["images"]) == 2
    assert told["missing"] == errors == openai.get_json()["missing"]
    assert told["missing"] == [{"reason": "only 2 of 3 images came", "filtered": False}]
    assert zipped.headers["X-Media-Missing"] == openai.headers["X-Media-Missing"] == "1"


def test_a_key_pays_once_and_is_of_one_request(client):
    key = {"Idempotency-Key": "key-1"}

    one = client.post("/inference", json={"prompt": "k"}, headers=key)
    two = client.post("/v1/images/generations", json={"prompt": "k"}, headers=key)
    other = client.post("/inference", json={"prompt": "l"}, headers=key)
    openai = client.post("/v1/images/generations", json={"prompt": "l"}, headers=key)

    assert "fwd" in one.headers["Cache-Status"]
    assert two.headers["Cache-Status"] == "mimeo; hit"
    assert other.get_json()["type"] == "/problems/key-reused"
    assert (other.status_code, openai.status_code) == (422, 422)
    assert openai.headers["x-should-retry"] == "false"
    assert openai.get_json()["error"]["code"] == "key_reused"


def generate(client: FlaskClient, **body: Any) -> Any:
    return client.post("/v1/images/generations", json={"prompt": "a cat", **body})


@pytest.mark.parametrize(
    ("body", "status", "code", "param"),
    [
        ({"prompt": ""}, 400, "invalid_value", "prompt"),
        ({"prompt": None}, 400, "invalid_value", "prompt"),
        ({"n": 99}, 400, "invalid_value", "n"),
        ({"size": "1x1000000"}, 400, "invalid_value", "size"),
        ({"size": "1x99999"}, 400, "invalid_value", "size"),
        ({"output_format": "gif"}, 400, "unsupported_value", "output_format"),
        ({"quality": 5.5}, 400, "invalid_value", "quality"),
        ({"qualty": "hd"}, 400, "unknown_parameter", "qualty"),
        ({"image": "x"}, 400, "unknown_parameter", "image"),
        ({"model": "gpt-7"}, 404, "model_not_found", "model"),
        ({"model": "card"}, 400, "invalid_value", "model"),
    ],
)
def test_openai_errors_have_openais_shape(client, body, status, code, param):
    answer = generate(client, **body)

    error = answer.get_json()["error"]
    assert answer.status_code == status
    assert error.keys() == {"message", "type", "param", "code"}
    assert (error["code"], error["param"]) == (code, param)
    assert error["type"] == "invalid_request_error"


EVERYTHING = {
    **{"quality": "hd", "style": "vivid", "background": "opaque"},
    **{"moderation": "low", "partial_images": 2, "output_compression": 50},
    **{"user": "u-1", "metadata": {"a": "b"}, "safety_identifier": "s-1"},
    **{"negative_prompt": "dogs", "steps": 20, "cfg_scale": 7, "aspect_ratio": "1:1"},
}


@pytest.mark.parametrize("model", ["ai-service", "dream"])
def test_what_has_no_effect_takes_nothing_down_and_is_said(client, model):
    answer = generate(client, model=model, seed=-1, **EVERYTHING)

    warnings = answer.get_json()["warnings"]
    assert answer.status_code == 200
    assert {warning.partition(":")[0] for warning in warnings} == {*EVERYTHING}
    assert answer.headers["X-Media-Warnings"].startswith(warnings[0])
    assert len(answer.headers["X-Media-Warnings"]) <= 400


def test_a_prompt_as_long_as_a_page_is_taken(client):
    for model in ("dream", "ai-service"):
        assert generate(client, model=model, prompt="a " * 4_999).status_code == 200


def test_a_stream_is_events_and_each_holds_an_image(client):
    answer = generate(client, stream=True, n=2)

    events = answer.text.split("\n\n")
    assert answer.content_type == "text/event-stream"
    assert int(answer.headers["Content-Length"]) == len(answer.data)
    assert [event.splitlines()[0] for event in events[:-1]] == [
        "event: image_generation.completed"
    ] * 2
    found = [json.loads(e.splitlines()[1].removeprefix("data: ")) for e in events[:-1]]
    assert [each["b64_json"] for each in found] == [b64(JPEG), b64(PNG)]
    assert events[-1] == ""


def test_where_no_form_is_asked_for_there_are_both(client):
    (found,) = generate(client).get_json()["data"]

    url = found["url"].removeprefix("http://localhost")
    assert found["b64_json"] == b64(JPEG)
    assert client.get(url).data == JPEG


@pytest.fixture
def counting(tmp_path: Path) -> Iterator[tuple[FlaskClient, Any]]:
    """A client of an app, and the service behind it, which counts."""
    form = Form(JPEG, "image/jpeg", (), "binary")
    with serving(form) as service:
        app = create_app(settings(tmp_path), {"AI_SERVICE_URL": service.url})
        yield app.test_client(), service
        app.extensions["mimeo"].close()


def attempt(client: FlaskClient, **headers: str) -> Any:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.post(
        "/v1/images/generations", json={"prompt": "a cat"}, headers=named
    )


@pytest.mark.parametrize("first", [{}, {"X_Stainless_Retry_Count": "0"}])
def test_a_first_attempt_after_a_full_answer_is_a_new_image(counting, first):
    client, service = counting

    for _ in range(3):
        attempt(client, **first).get_data()

    assert len(service.asked) == 3


def test_a_retry_is_the_image_of_the_attempt_before(counting):
    client, service = counting

    attempt(client, X_Stainless_Retry_Count="0").get_data()
    attempt(client, X_Stainless_Retry_Count="0").get_data()
    attempt(client, X_Stainless_Retry_Count="1").get_data()
    attempt(client, X_Stainless_Retry_Count="2").get_data()

    assert len(service.asked) == 2


def test_an_answer_that_nobody_took_is_sent_to_the_next(counting):
    client, service = counting

    attempt(client).close()
    attempt(client).get_data()

    assert len(service.asked) == 1


def test_a_key_says_more_than_the_count(counting):
    client, service = counting

    for key in ("k-1", "k-1", "k-2"):
        attempt(client, Idempotency_Key=key).get_data()

    assert len(service.asked) == 2


def test_a_seed_asks_for_the_same_image(counting):
    client, service = counting

    for _ in range(3):
        generate(client, seed=5).get_data()

    assert len(service.asked) == 1


AI_SDK = {"User_Agent": "ai/6.0.5 ai-sdk/openai/3.0.1 runtime/node.js/20"}


def test_calls_of_one_wish_are_images_of_their_own(counting):
    client, service = counting

    # Both are under way: no answer has been taken.
    one, two = attempt(client, **AI_SDK), attempt(client, **AI_SDK)

    assert len(service.asked) == 2
    two.close()
    attempt(client, **AI_SDK).get_data()
    assert len(service.asked) == 2
    one.get_data()


def test_what_is_painted_here_is_new_too_and_says_its_seed(client):
    one, two = (generate(client, model="dream").get_json() for _ in range(2))
    seed = one["data"][0]["seed"]
    same = generate(client, model="dream", seed=seed).get_json()

    assert one["data"][0]["b64_json"] != two["data"][0]["b64_json"]
    assert same["data"][0]["b64_json"] == one["data"][0]["b64_json"]


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("GET", "/v1", 404, None),
        ("GET", "/v1/", 404, None),
        ("GET", "/v1/nothing", 404, None),
        ("GET", "/v1/models/a/b", 404, None),
        ("DELETE", "/v1/models/ai-service", 405, "GET, HEAD, OPTIONS"),
        ("GET", "/v1/models/nope", 404, None),
        ("GET", "/v1/images/generations", 405, "OPTIONS, POST"),
        ("POST", "/v1/models", 405, "GET, HEAD, OPTIONS"),
    ],
)
def test_there_is_nothing_in_openais_shape_too(client, method, path, status, allow):
    answer = client.open(path, method=method)

    assert answer.status_code == status
    assert answer.get_json()["error"]["message"]
    assert answer.headers.get("Allow") == allow


def test_a_fault_of_ours_shows_a_request_id_alone(app, client, monkeypatch):
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("swordfish")

    monkeypatch.setattr(app.extensions["mimeo"], "buy", fail)

    answer = generate(client, n=4)

    assert answer.status_code == 500
    assert answer.headers["X-Request-ID"] in answer.get_json()["error"]["message"]
    assert "swordfish" not in answer.text


def test_a_body_over_the_limit_is_said_in_openais_shape(client):
    data = b"x" * ((8 << 20) + 1)

    answer = client.post("/v1/images/generations", data=data, content_type=JSON)

    error = answer.get_json()["error"]
    assert (answer.status_code, answer.content_type) == (413, JSON)
    assert error.keys() == {"message", "type", "param", "code"}
    assert error["code"] == "body_too_large"
    assert "MIMEO_MAX_BODY_BYTES" in error["message"]


def test_a_fault_of_the_store_shows_no_path(app, client, monkeypatch):
    def fail(*_: object, **__: object) -> None:
        raise StoreError("cannot read /srv/swordfish")

    monkeypatch.setattr(app.extensions["mimeo"], "buy", fail)

    answer = generate(client, n=4)

    assert answer.status_code == 503
    assert answer.get_json()["error"]["code"] == "store_unavailable"
    assert "swordfish" not in answer.text


def test_models_are_the_renderers_that_take_a_prompt(client):
    names = [row["id"] for row in client.get("/v1/models").get_json()["data"]]

    assert "ai-service" in names
    assert "card" not in names
    assert client.get("/v1/models/ai-service").get_json()["id"] == "ai-service"


@pytest.mark.parametrize(
    ("path", "status", "code", "retry"),
    [
        ("400", 400, "upstream_refused", None),
        ("403", 502, "upstream_denied", None),
        ("429", 429, "rate_limit_exceeded", "true"),
        ("500", 502, "upstream_broken", "false"),
        ("cut", 502, "upstream_broken", "false"),
        ("html", 502, "upstream_bad_media", "false"),
        ("wait-for-ever", 429, "rate_limit_exceeded", "true"),
    ],
)
def test_a_services_failure_has_openais_shape(tmp_path, path, status, code, retry):
    with double() as far:
        app = create_app(settings(tmp_path), {"AI_SERVICE_URL": f"{far.url}/{path}"})
        answer = generate(app.test_client())
        app.extensions["mimeo"].close()

    assert answer.status_code == status
    assert answer.get_json()["error"]["code"] == code
    assert answer.headers.get("x-should-retry") == retry
    assert int(answer.headers.get("Retry-After", 0)) <= 120


def test_an_operator_may_name_another_status_for_what_proxies_replace(tmp_path):
    with double() as far:
        app = create_app(
            settings(tmp_path, gateway_status=530),
            {"AI_SERVICE_URL": f"{far.url}/html"},
        )
        client = app.test_client()
        openai = generate(client)
        problem = client.get("/images/ai-service.png?prompt=a")
        app.extensions["mimeo"].close()

    assert (openai.status_code, problem.status_code) == (530, 530)
    assert problem.get_json()["status"] == 530
    assert problem.get_json()["type"] == "/problems/upstream-bad-media"


def linked(client: FlaskClient) -> str:
    (found,) = generate(client, response_format="url").get_json()["data"]
    assert 0 < found["expires_at"] - time.time() <= 3600
    return str(found["url"].removeprefix("http://localhost"))


def test_a_url_leads_to_the_image_for_a_while(client):
    url = linked(client)

    answer = client.get(url)
    part = client.get(url, headers={"Range": "bytes=0-3"})
    again = client.get(url, headers={"If-None-Match": answer.headers["ETag"]})

    assert (answer.status_code, answer.data) == (200, JPEG)
    assert answer.headers["Cache-Control"].startswith("private, max-age=")
    assert (part.status_code, part.data) == (206, JPEG[:4])
    assert again.status_code == 304


def test_a_url_works_at_another_worker_of_the_store(client, app, tmp_path):
    url = linked(client)
    folder = app.extensions["mimeo"]._settings.store
    other = create_app(settings(Path(folder)), {})

    answer = other.test_client().get(url)

    other.extensions["mimeo"].close()
    assert answer.data == JPEG


@pytest.mark.parametrize(
    ("change", "status"),
    [
        (lambda url: url + "x", 403),
        (lambda url: url.partition("?")[0], 403),
        (lambda url: url + "&a=b", 403),
        (lambda url: url + "&expires=1", 403),
        (lambda url: url.replace(".jpg", ".png"), 403),
        (lambda url: url.replace("expires=", "expires=9"), 403),
    ],
)
def test_a_changed_url_is_refused(client, change, status):
    answer = client.get(change(linked(client)))

    assert answer.status_code == status
    assert answer.get_json()["type"] == "/problems/bad-signature"


def test_a_url_past_its_time_is_gone(client, monkeypatch):
    url = linked(client)
    late = time.time() + 3601
    monkeypatch.setattr("app.views.media.time.time", lambda: late)

    answer = client.get(url)

    assert answer.status_code == 410
    assert answer.get_json()["type"] == "/problems/expired-url"


def test_the_operator_may_name_the_origin_and_the_key(tmp_path):
    form = Form(JPEG, "image/jpeg", (), "binary")
    own = {"public_url": "https://img.example", "url_key": "k" * 32}
    with serving(form) as service:
        app = create_app(settings(tmp_path, **own), {"AI_SERVICE_URL": service.url})
        answer = generate(app.test_client(), response_format="url").get_json()
        app.extensions["mimeo"].close()

    assert answer["data"][0]["url"].startswith("https://img.example/media/")


def test_where_nothing_is_kept_the_images_are_sent_and_it_is_said(tmp_path):
    form = Form(JPEG, "image/jpeg", (), "binary")
    with serving(form) as service:
        app = create_app(
            replace(settings(tmp_path), store="none"), {"AI_SERVICE_URL": service.url}
        )
        answer = generate(app.test_client(), response_format="url")
        app.extensions["mimeo"].close()

    assert answer.get_json()["data"][0]["b64_json"] == b64(JPEG)
    assert answer.get_json()["warnings"]
    assert answer.headers["X-Media-Warnings"].startswith("urls need a store")


def refuse(*_: object) -> str:
    raise StoreError("cannot lock /srv/swordfish")


@pytest.mark.parametrize(
    ("owner", "name", "fault"),
    [(MediaStore, "put", lambda *_: False), (UrlSigner, "sign", refuse)],
)
@pytest.mark.parametrize("model", ["ai-service", "dream"])
def test_an_image_that_no_url_can_lead_to_is_sent_itself(
    tmp_path, monkeypatch, owner, name, fault, model
):
    monkeypatch.setattr(owner, name, fault)
    with serving(Form(JPEG, "image/jpeg", (), "binary")) as service:
        app = create_app(settings(tmp_path), {"AI_SERVICE_URL": service.url})
        answer = generate(app.test_client(), model=model, response_format="url")
        app.extensions["mimeo"].close()

    (found,) = answer.get_json()["data"]
    assert answer.status_code == 200
    assert found["b64_json"]
    assert "url" not in found
    assert answer.get_json()["warnings"] == [answer.headers["X-Media-Warnings"]]
    assert "swordfish" not in answer.text


@pytest.fixture
def named(tmp_path: Path) -> Iterator[FlaskClient]:
    """A client of an app with services named like models, and aliases."""
    with serving(Form(JPEG, "image/jpeg", (), "binary")) as service:
        file = tmp_path / "services.toml"
        file.write_text(
            "".join(
                f'[upstreams."{name}"]\nkind = "binary"\nurl = "{service.url}"\n'
                for name in ("gpt-image-1.5", "black-forest-labs/FLUX.1-dev")
            )
        )
        aliases = (("dall-e-3", "dream"), ("org/other", "gpt-image-1.5"))
        app = create_app(settings(tmp_path, upstreams=file, model_aliases=aliases), {})
        yield app.test_client()
        app.extensions["mimeo"].close()


@pytest.mark.parametrize(
    "name", ["gpt-image-1.5", "black-forest-labs/FLUX.1-dev", "dall-e-3", "org/other"]
)
def test_a_model_has_the_name_that_clients_know(named, name):
    answer = generate(named, model=name)

    assert answer.status_code == 200
    assert named.get(f"/v1/models/{name}").get_json()["id"] == name
    assert name in {row["id"] for row in named.get("/v1/models").get_json()["data"]}


@pytest.mark.parametrize("name", ["gpt-image-1.5", "black-forest-labs/FLUX.1-dev"])
def test_a_service_named_like_a_model_has_urls(named, name):
    answers = [
        named.get(f"/images/{name}.jpg?prompt=a"),
        named.get(f"/images/{name}?prompt=a&format=jpg"),
        named.get(f"/images/{name.replace('/', '%2F')}.jpg?prompt=a"),
    ]

    assert [answer.data for answer in answers] == [JPEG] * 3
    assert named.get(f"/renderers/{name}").get_json()["name"] == name


def test_an_alias_of_nothing_is_not_found(client):
    assert generate(client, model="dall-e-3").status_code == 404


@pytest.fixture
def editing(tmp_path: Path) -> Iterator[FlaskClient]:
    """A client of an app whose template takes a prompt and an image."""
    folder = tmp_path / "templates" / "frame"
    folder.mkdir(parents=True)
    folder.joinpath("parameters.toml").write_text(
        """
title = "Frame"
width = 60
height = 40

[parameters.prompt]
type = "text"
max_length = 200
example = "a"

[parameters.photo]
type = "image"
"""
    )
    page = "<p>{{ prompt }}</p>{% if photo %}<img src='{{ photo }}'>{% endif %}"
    folder.joinpath("template.html").write_text(page)
    app = create_app(settings(tmp_path, templates=folder.parent), {})
    yield app.test_client()
    app.extensions["mimeo"].close()


@pytest.mark.parametrize("field", ["image", "image[]"])
@pytest.mark.parametrize("path", ["edits", "variations"])
def test_an_image_is_made_of_another(editing, field, path):
    form = {"prompt": "a frame", "model": "frame", "n": "1", field: file_of(PNG)}

    edited = editing.post(f"/v1/images/{path}", data=form)
    plain = generate(editing, model="frame", prompt="a frame")

    assert edited.status_code == 200
    assert edited.get_json()["data"][0]["b64_json"]
    assert edited.get_json()["data"] != plain.get_json()["data"]


def test_json_may_hold_the_image(editing):
    uri = f"data:image/png;base64,{b64(PNG)}"
    asked = {"prompt": "a", "model": "frame", "images": [{"image_url": uri}]}

    assert editing.post("/v1/images/edits", json=asked).status_code == 200


@pytest.mark.parametrize(
    ("form", "param", "said"),
    [
        ({"model": "dream"}, "image", "dream makes no image of another one"),
        ({"model": "frame", "image": None}, "image", "is required"),
        ({"model": "frame", "n": "two"}, "n", "must be a whole number"),
        ({"model": "frame", "mask": True}, "mask", "is not something"),
    ],
)
def test_an_edit_that_cannot_be_had_is_named(editing, form, param, said):
    whole = {"prompt": "a", "image": file_of(PNG), **form}
    whole |= {"mask": file_of(PNG)} if form.get("mask") else {}
    sent = {name: value for name, value in whole.items() if value is not None}

    kind = "multipart/form-data"
    answer = editing.post("/v1/images/edits", data=sent, content_type=kind)

    error = answer.get_json()["error"]
    assert (answer.status_code, error["param"]) == (400, param)
    assert said in error["message"]


def file_of(data: bytes) -> tuple[io.BytesIO, str]:
    return io.BytesIO(data), "image.png"
