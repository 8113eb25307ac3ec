"""Every route, asked by every kind of caller, in every mode: a service counts."""

import io
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app import create_app
from app.access.keys import digest_of, new_key
from app.bootstrap import open_secrets, open_signer
from app.config import Settings
from app.views.gate import ACTIONS
from tests.test_services import serving
from tests.upstream.pictures import PNG, b64
from tests.upstream.wire_forms import Form
from tests.waiting import wait_until

MODES = ("open", "signed", "keys")
CALLERS = (
    *("anonymous", "local", "wrong key", "key without scope", "right key"),
    *("bad signature", "expired", "right"),
)
RIGHT = ("draw:*", "read", "jobs", "admin", "templates")
SECRET = "0123456789abcdefghijklmnopqrstuv"
PROMPT = {"prompt": "a lighthouse"}
DOT = {"image_url": f"data:image/png;base64,{b64(PNG)}"}


class Route(NamedTuple):
    """One request to a rule, and what it does where the caller may."""

    method: str
    path: str
    body: Any = None
    status: int = 200


# A rule of the app without a row here fails the test below.
ROWS = {
    "index.index": Route("GET", "/"),
    "studio.page": Route("GET", "/studio"),
    "studio.file": Route("GET", "/studio/main.js"),
    "catalogue.index": Route("GET", "/renderers"),
    "catalogue.show": Route("GET", "/renderers/card"),
    "catalogue.fonts": Route("GET", "/fonts"),
    "catalogue.problems": Route("GET", "/problems"),
    "catalogue.problem_type": Route("GET", "/problems/bad-parameter"),
    "reference.document": Route("GET", "/openapi.json"),
    "reference.page": Route("GET", "/docs/api"),
    "reference.file": Route("GET", "/docs/api/start.js"),
    "manual.page": Route("GET", "/docs", status=308),
    # Whether they are built or not.
    "manual.file": Route("GET", "/docs/no-such-page", status=404),
    "templates.index": Route("GET", "/templates"),
    "templates.show": Route("GET", "/templates/card"),
    "templates.save": Route("PUT", "/templates/mine", {"files": {}}, 501),
    "templates.delete": Route("DELETE", "/templates/mine", None, 501),
    "templates.export": Route("POST", "/templates/export", {"files": {}}, 422),
    "templates.preview": Route("POST", "/templates/preview", {"files": {}}, 422),
    "health.live": Route("GET", "/health/live"),
    "health.ready": Route("GET", "/health/ready"),
    "health.show_metrics": Route("GET", "/metrics"),
    "images.show": Route("GET", "/images/solid.png"),
    "images.draw": Route("POST", "/images/solid.png"),
    "images.envelope": Route("POST", "/images", {"renderer": "solid"}),
    "inference.infer": Route("POST", "/inference", {**PROMPT, "renderer": "dream"}),
    "openai.generate": Route(
        "POST", "/v1/images/generations", {**PROMPT, "model": "dream"}
    ),
    "openai.edit": Route(
        "POST", "/v1/images/edits", {**PROMPT, "model": "dream", "images": [DOT]}, 400
    ),
    "openai.models": Route("GET", "/v1/models"),
    "openai.model": Route("GET", "/v1/models/dream"),
    "webui.generate": Route(
        "POST",
        "/sdapi/v1/txt2img",
        {**PROMPT, "override_settings": {"sd_model_checkpoint": "dream"}},
    ),
    "webui.models": Route("GET", "/sdapi/v1/sd-models"),
    "webui.samplers": Route("GET", "/sdapi/v1/samplers"),
    "webui.options": Route("GET", "/sdapi/v1/options"),
    "collections.create": Route(
        "POST", "/collections", {"renderer": "solid", "items": [{"width": 7}]}
    ),
    "collections.show": Route("GET", "{kept}"),
    "collections.image": Route("GET", "{kept}/1.png"),
    "collections.delete": Route("DELETE", "{kept}", None, 204),
    "sheets.show": Route("GET", "{kept}/sheet.png"),
    "archives.send": Route("GET", "{kept}.zip"),
    "archives.create": Route(
        "POST", "/collections.zip", {"renderer": "solid", "items": [{"width": 7}]}
    ),
    "jobs.create": Route(
        "POST", "/jobs", {"renderer": "solid", "items": [{"width": 7}]}
    ),
    "jobs.index": Route("GET", "/jobs"),
    "jobs.show": Route("GET", "{job}"),
    "jobs.cancel": Route("POST", "{job}/cancel", None, 409),
    "jobs.delete": Route("DELETE", "{job}", None, 409),
    "jobs.retry": Route("POST", "{job}/retry", None, 409),
    "jobs.purge": Route("POST", f"/jobs/{'0' * 64}/purge", None, 404),
    "jobs.archive": Route("GET", "{job}/archive.zip"),
    "jobs.answer": Route("GET", "{job}/answer", None, 404),
    "jobs.manifest": Route("GET", "{job}/manifest.json"),
    "jobs.errors": Route("GET", "{job}/errors"),
    "jobs.deliveries": Route("GET", "{job}/deliveries"),
    "jobs.events": Route("GET", "{job}/events"),
    "batches.upload": Route("POST", "/v1/files", {}, 415),
    "batches.files": Route("GET", "/v1/files"),
    "batches.file": Route("GET", "/v1/files/{file}"),
    "batches.content": Route("GET", "/v1/files/{file}/content"),
    "batches.forget": Route("DELETE", f"/v1/files/file-{'0' * 64}", None, 404),
    "batches.create": Route("POST", "/v1/batches", {}, 400),
    "batches.index": Route("GET", "/v1/batches"),
    "batches.show": Route("GET", "/v1/batches/{batch}"),
    "batches.cancel": Route("POST", "/v1/batches/{batch}/cancel", None, 409),
    "media.show": Route("GET", "{media}"),
}
OWN = ("jobs.cancel", "jobs.delete", "jobs.retry", "batches.cancel")
# By action and mode, what each caller gets; None is what the route says.
OPEN = dict.fromkeys(CALLERS) | {
    "wrong key": 401,
    "bad signature": 403,
    "expired": 410,
}
NEEDS_KEY = {**OPEN, "anonymous": 401, "key without scope": 403, "right": 401}
NEEDS_EITHER = {**NEEDS_KEY, "right": None}
WANTED = {("look", mode): OPEN for mode in MODES} | {
    ("draw", "open"): OPEN,
    ("draw", "signed"): NEEDS_EITHER,
    ("draw", "keys"): NEEDS_EITHER,
    ("keep", "open"): OPEN,
    ("keep", "signed"): NEEDS_KEY,
    ("keep", "keys"): NEEDS_KEY,
    ("jobs", "open"): OPEN,
    ("jobs", "signed"): NEEDS_KEY,
    ("jobs", "keys"): NEEDS_KEY,
    ("read", "open"): OPEN,
    ("read", "signed"): NEEDS_EITHER,
    ("read", "keys"): NEEDS_EITHER,
    ("administer", "open"): NEEDS_KEY,
    ("administer", "signed"): NEEDS_KEY,
    ("administer", "keys"): NEEDS_KEY,
    ("templates", "open"): NEEDS_KEY,
    ("templates", "signed"): NEEDS_KEY,
    ("templates", "keys"): NEEDS_KEY,
}


class World(NamedTuple):
    """An app in one mode, keys, and how often its service was asked."""

    app: Flask
    signer: Any
    right: str
    poor: str
    kept: str
    media: str
    job: str
    file: str
    batch: str
    service: Any

    def client(self) -> FlaskClient:
        return self.app.test_client()


def key(scopes: tuple[str, ...]) -> tuple[str, str]:
    id, token = new_key()
    listed = ", ".join(f'"{scope}"' for scope in scopes)
    return token, f'[keys.{id}]\nsha256 = "{digest_of(token)}"\nscopes = [{listed}]\n'


@pytest.fixture(scope="module", params=MODES)
def world(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    (right, first), (poor, second) = key(RIGHT), key(("draw:nothing",))
    settings = Settings(
        store=str(tmp_path_factory.mktemp("store")),
        system_fonts=False,
        access_log=False,
        access=request.param,
        keys=first + second,
        url_keys=(("urls", SECRET),),
        public_url="http://localhost",
        local_callers=True,
    )
    with serving(Form(PNG, "image/png", (), "binary")) as service:
        app = create_app(settings, {"AI_SERVICE_URL": service.url})
        signer = open_signer(settings, open_secrets(settings))
        local = app.test_client()
        made = ROWS["collections.create"].body
        kept = local.post("/collections", json=made).headers["Location"]
        asked = {**PROMPT, "model": "dream", "response_format": "url"}
        answer = local.post("/v1/images/generations", json=asked).get_json()
        media = answer["data"][0]["url"].removeprefix("http://localhost")
        job = local.post("/jobs", json=made).headers["Location"]
        wait_until(lambda: local.get(job).get_json()["finished"] is not None)
        sent = {"purpose": "batch", "file": (io.BytesIO(b"{}"), "in.jsonl")}
        file = local.post("/v1/files", data=sent).get_json()["id"]
        terms = {"endpoint": "/v1/images/generations", "completion_window": "24h"}
        of_file = {"input_file_id": file, **terms}
        batch = local.post("/v1/batches", json=of_file).get_json()["id"]
        yield World(app, signer, right, poor, kept, media, job, file, batch, service)
        app.extensions["mimeo.jobs"].close()
        app.extensions["mimeo"].close()


def ask(world: World, caller: str, route: Route) -> Any:
    """Ask as a caller of a kind; whoever is not local comes through a proxy."""
    made = {name: getattr(world, name) for name in ("kept", "job", "file", "batch")}
    path = route.path.format(media=world.media.partition("?")[0], **made)
    headers = {} if caller == "local" else {"X-Forwarded-For": "203.0.113.7"}
    if caller == "wrong key":
        headers["Authorization"] = f"Bearer {world.right[:-1]}x"
    elif caller == "key without scope":
        headers["X-API-Key"] = world.poor
    elif caller == "right key":
        headers["Authorization"] = f"Bearer {world.right}"
    elif caller in ("bad signature", "expired", "right"):
        late = int(time.time()) + (-5 if caller == "expired" else 60)
        path = world.signer.sign(path, late) + (
            "x" if caller == "bad signature" else ""
        )
    body = {} if route.body is None else {"json": route.body}
    answer = world.client().open(path, method=route.method, headers=headers, **body)
    # Read and closed: what is streamed holds a file.
    assert answer.data is not None
    answer.close()
    return answer


def test_every_rule_has_a_row_and_an_action(world: World) -> None:
    rules = {rule.endpoint for rule in world.app.url_map.iter_rules()}

    assert rules == ROWS.keys() == ACTIONS.keys()


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("endpoint", [e for e in ROWS if e != "collections.delete"])
def test_every_rule_for_every_caller(world: World, endpoint: str, caller: str) -> None:
    mode = world.app.extensions["mimeo"]._settings.access
    action, route = ACTIONS[endpoint], ROWS[endpoint]
    if action == "media":
        wanted = dict.fromkeys(CALLERS, 403) | {"right": None, "expired": 410}
        wanted["wrong key"] = 401
    else:
        wanted = dict(WANTED[action, mode])
    if route.method in ("POST", "PUT", "DELETE") and caller in (
        "bad signature",
        "expired",
        "right",
    ):
        # A signature is for GET and HEAD.
        wanted[caller] = 403

    if endpoint in OWN:
        # It is the local caller's: of the others an operator may do this.
        wanted["anonymous"] = 401
        wanted["key without scope"] = 403

    answer = ask(world, caller, route)

    # A job is accepted, or done by the time of its answer.
    status = 200 if answer.status_code == 202 else answer.status_code
    assert status == (wanted[caller] or route.status), answer.text
    if answer.status_code == 401:
        assert answer.headers["WWW-Authenticate"].startswith('Bearer realm="mimeo"')
    if caller in ("right key", "right") and answer.status_code == 200:
        assert "public" not in answer.headers.get("Cache-Control", "")


@pytest.mark.parametrize("caller", [c for c in CALLERS if c != "local"])
@pytest.mark.parametrize(
    "route",
    [
        Route("GET", "/images/ai-service.png?prompt=a"),
        Route("HEAD", "/images/ai-service.png?prompt=b"),
        Route("POST", "/images/ai-service.png", {"prompt": "c"}),
        Route("POST", "/images", {"renderer": "ai-service", "params": {"prompt": "d"}}),
        Route("POST", "/inference", {"prompt": "e", "renderer": "ai-service"}),
        Route("POST", "/v1/images/generations", {"prompt": "f", "model": "ai-service"}),
        Route(
            "POST",
            "/collections",
            {"renderer": "ai-service", "items": [{"prompt": "g"}]},
        ),
        Route(
            "POST",
            "/collections.zip",
            {"renderer": "ai-service", "items": [{"prompt": "h"}]},
        ),
    ],
    ids=lambda route: f"{route.method} {route.path}",
)
def test_nobody_buys_without_the_scope(world: World, route: Route, caller: str) -> None:
    before = len(world.service.asked)

    answer = ask(world, caller, route)

    assert len(world.service.asked) == before
    if route.method != "HEAD":
        assert answer.status_code in (401, 403, 410)


def test_what_is_not_bought_of_a_collection_is_not_bought_by_a_reader(world: World):
    rows = {"renderer": "ai-service", "items": [{"prompt": "x"}, {"prompt": "y"}]}
    place = world.client().post("/collections", json=rows).headers["Location"]
    before = len(world.service.asked)

    for path in (
        f"{place}.zip",
        f"{place}.json",
        f"{place}/1.png",
        f"{place}/sheet.png",
    ):
        for caller in ("anonymous", "key without scope", "right key", "right"):
            answer = ask(world, caller, Route("GET", path))
            assert answer.status_code in (401, 403)

    assert len(world.service.asked) == before


def test_a_key_with_services_buys_and_the_image_is_private(world: World) -> None:
    id, token = new_key()
    line = f'[keys.{id}]\nsha256 = "{digest_of(token)}"\nscopes = ["services"]\n'
    old = world.app.extensions["mimeo"]._settings
    app = create_app(replace(old, keys=line), {"AI_SERVICE_URL": world.service.url})
    headers = {"Authorization": f"Bearer {token}", "X-Forwarded-For": "203.0.113.7"}

    answer = app.test_client().get(
        f"/images/ai-service.png?prompt={id}", headers=headers
    )

    app.extensions["mimeo"].close()
    assert (answer.status_code, answer.data) == (200, PNG)
    assert answer.headers["Cache-Control"].startswith("private")


def test_an_open_service_is_open(world: World) -> None:
    old = world.app.extensions["mimeo"]._settings
    own = replace(old, access="open", open_services=("ai-service",))
    app = create_app(own, {"AI_SERVICE_URL": world.service.url})
    headers = {"X-Forwarded-For": "203.0.113.7"}

    answer = app.test_client().get(
        f"/images/ai-service.png?prompt=open{old.access}", headers=headers
    )

    app.extensions["mimeo"].close()
    assert answer.status_code == 200


def test_what_a_key_made_it_may_delete_and_no_other(world: World) -> None:
    rows = {"renderer": "solid", "items": [{"width": 8}, {"width": 9}]}
    path = "/collections"
    made = ask(world, "right key", Route("POST", path, rows))
    place = made.headers["Location"]
    image = world.client().get(f"{place}/1.png")
    assert image.status_code == 200

    for caller in ("anonymous", "key without scope"):
        refused = ask(world, caller, Route("DELETE", place))
        assert refused.status_code in (401, 403)
    gone = ask(world, "right key", Route("DELETE", place))

    assert (gone.status_code, gone.data) == (204, b"")
    assert world.client().get(place).status_code == 404
    assert world.client().get(f"{place}.zip").status_code == 404
    assert world.client().delete(place).status_code == 404


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Forwarded-For": "127.0.0.1"},
        {"Forwarded": "for=127.0.0.1"},
        {"X-Real-IP": "127.0.0.1"},
        {"Via": "1.1 proxy"},
        {"Host": "evil.example"},
        {"Host": "localhost.evil.example"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:3000"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
    ids=str,
)
def test_who_only_looks_local_is_not(world: World, headers: dict[str, str]) -> None:
    answer = world.client().get("/metrics", headers=headers)

    assert answer.status_code == 401


@pytest.mark.parametrize(
    "headers",
    [{}, {"Origin": "http://localhost"}, {"Sec-Fetch-Site": "none"}],
    ids=str,
)
def test_who_is_local_needs_no_key(world: World, headers: dict[str, str]) -> None:
    assert world.client().get("/metrics", headers=headers).status_code == 200


@pytest.mark.parametrize("peer", ["10.0.0.1", "2001:db8::1", "", "127.0.0.1.evil"])
def test_another_peer_is_not_local(world: World, peer: str) -> None:
    answer = world.client().get("/metrics", environ_base={"REMOTE_ADDR": peer})

    assert answer.status_code == 401


def test_a_host_that_is_not_listed_is_refused(world: World) -> None:
    answer = world.client().get("/renderers", headers={"Host": "other.example"})

    assert answer.status_code == 421
    assert answer.get_json()["type"] == "/problems/unlisted-host"
    assert (
        world.client().get("/health/live", headers={"Host": "10.0.0.9"}).status_code
        == 200
    )


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer sk-proj-1234"},
        {"Authorization": "Basic dXNlcjpwYXNz"},
        {"X-API-Key": "another-servers"},
    ],
    ids=str,
)
def test_the_key_of_another_server_is_passed_over(
    world: World, headers: dict[str, str]
) -> None:
    assert world.client().get("/images/solid.png", headers=headers).status_code == 200


def test_two_keys_that_differ_are_one_too_many(world: World) -> None:
    headers = {"Authorization": f"Bearer {world.right}", "X-API-Key": world.poor}

    assert world.client().get("/renderers", headers=headers).status_code == 400


def test_a_signed_image_ends_with_its_signature(world: World) -> None:
    late = int(time.time()) + 60
    pinned = world.client().get("/images/solid.png").headers["Link"]
    path = pinned.partition("<")[2].partition(">")[0]

    answer = world.client().get(world.signer.sign(path, late))

    kept = dict(
        part.strip().partition("=")[::2]
        for part in answer.headers["Cache-Control"].split(",")
    )
    assert kept.keys() == {"private", "max-age"}
    assert 50 <= int(kept["max-age"]) <= 60


def test_the_names_of_a_problem_help(world: World) -> None:
    problem = ask(world, "anonymous", Route("GET", "/metrics")).get_json()

    assert problem["type"] == "/problems/key-required"
    assert problem["scope"] == "admin"
    assert "loopback" in problem["help"]


@pytest.mark.parametrize(
    ("caller", "status", "code"),
    [
        ("anonymous", 401, "invalid_api_key"),
        ("wrong key", 401, "invalid_api_key"),
        ("key without scope", 403, "insufficient_permissions"),
    ],
)
def test_openais_clients_read_their_own_words(world, caller, status, code) -> None:
    body = {"prompt": "z", "model": "ai-service"}
    answer = ask(world, caller, Route("POST", "/v1/images/generations", body))

    assert answer.status_code == status
    assert answer.get_json()["error"]["code"] == code


def test_a_wrong_key_is_refused_beside_a_right_signature(world: World) -> None:
    url = world.signer.sign("/images/solid.png", int(time.time()) + 60)
    wrong, right = f"{world.right[:-1]}x", world.right

    refused = world.client().get(url, headers={"X-API-Key": wrong})
    served = world.client().get(url, headers={"X-API-Key": right})

    assert refused.status_code == 401
    assert refused.get_json()["type"] == "/problems/key-invalid"
    assert served.status_code == 200


def test_no_signature_is_an_operators(world: World) -> None:
    id, token = new_key()
    scopes = '["admin", "draw:*", "read"]'
    line = f'[keys.{id}]\nsha256 = "{digest_of(token)}"\nscopes = {scopes}\n'
    old = world.app.extensions["mimeo"]._settings
    own = replace(old, keys=line, url_keys=((id, SECRET),))
    app = create_app(own, {})
    signer = open_signer(own, open_secrets(own))
    far = {"X-Forwarded-For": "203.0.113.7"}

    def ask(path: str) -> int:
        url = signer.sign(path, int(time.time()) + 60)
        return app.test_client().get(url, headers=far).status_code

    answers = [ask("/metrics"), ask("/images/solid.png")]

    app.extensions["mimeo"].close()
    assert answers == [401, 200]
