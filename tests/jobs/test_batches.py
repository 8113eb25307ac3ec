"""OpenAI's own client uploads a file, makes a batch of it, and reads what came."""

import base64
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event
from typing import Any

import openai
import pytest
from flask import Flask
from flask.testing import FlaskClient

from app import create_app
from app.config import Settings
from app.jobs import openai_batch, uploaded_files
from app.views import batches
from tests.gunicorn_server import Server, serve
from tests.test_services import serving
from tests.upstream.pictures import PNG
from tests.upstream.wire_forms import Form
from tests.waiting import wait_until

URL = "/v1/images/generations"
TERMS: Any = {"endpoint": URL, "completion_window": "24h"}
ENDED = ("completed", "failed", "cancelled")
Open = Callable[..., Flask]


def line(id: object, **body: Any) -> dict[str, Any]:
    asked = {"model": "dream", "prompt": "a quiet sea", "size": "64x64", **body}
    return {"custom_id": id, "method": "POST", "url": URL, "body": asked}


def text(*lines: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(each).encode() + b"\n" for each in lines)


def told(data: bytes) -> list[dict[str, Any]]:
    return [json.loads(each) for each in data.splitlines()]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Two workers over one folder."""
    settings = {"MIMEO_STORE": str(tmp_path_factory.mktemp("store"))}
    with serve(settings=settings) as running:
        yield running


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(
        base_url=f"{server.url}/v1", api_key="sk-of-nobody", max_retries=0
    ) as made:
        yield made


def done(client: openai.OpenAI, id: str) -> Any:
    wait_until(lambda: client.batches.retrieve(id).status in ENDED, 180)
    return client.batches.retrieve(id)


def test_the_client_uploads_creates_polls_and_reads(client: openai.OpenAI) -> None:
    sent = text(
        line("first", seed=7),
        line("../of two", n=2),
        line("third", size="banana"),
        line("fourth", model="nobody"),
        line("fifth", seed=8, quality="hd", response_format="url"),
    )
    file = client.files.create(file=("in.jsonl", sent), purpose="batch")

    made = client.batches.create(
        input_file_id=file.id, metadata={"order": "17"}, **TERMS
    )
    batch = done(client, made.id)
    output = client.files.content(batch.output_file_id).content
    errors = client.files.content(batch.error_file_id).content

    assert (file.bytes, file.filename, file.purpose) == (len(sent), "in.jsonl", "batch")
    assert client.files.content(file.id).content == sent
    assert batch.status == "completed"
    assert (batch.input_file_id, batch.endpoint) == (file.id, URL)
    assert batch.metadata == {"order": "17"}
    assert batch.errors is None
    counts = batch.request_counts
    assert (counts.total, counts.completed, counts.failed) == (5, 2, 3)
    assert batch.created_at <= batch.in_progress_at <= batch.completed_at
    assert (batch.failed_at, batch.cancelled_at, batch.cancelling_at) == (None,) * 3
    answers = told(output)
    assert [each["custom_id"] for each in answers] == ["first", "fifth"]
    assert {each["response"]["status_code"] for each in answers} == {200}
    assert [each["error"] for each in answers] == [None, None]
    warned = answers[1]["response"]["body"]["warnings"]
    assert [each.partition(":")[0] for each in warned] == ["quality", "response_format"]
    for seed, answer in zip((7, 8), answers, strict=True):
        here = client.images.generate(
            model="dream",
            prompt="a quiet sea",
            size="64x64",  # type: ignore[arg-type]
            response_format="b64_json",
            extra_body={"seed": seed},
        )
        body = answer["response"]["body"]
        assert body["data"][0]["b64_json"] == here.data[0].b64_json
        assert (body["output_format"], body["size"]) == (here.output_format, here.size)
    failed = [
        (
            each["custom_id"],
            each["response"]["status_code"],
            error["code"],
            error["param"],
        )
        for each in told(errors)
        for error in [each["response"]["body"]["error"]]
    ]
    assert failed == [
        ("../of two", 400, "invalid_value", "n"),
        ("third", 400, "invalid_value", "size"),
        ("fourth", 404, "model_not_found", "model"),
    ]
    for id, data in ((batch.output_file_id, output), (batch.error_file_id, errors)):
        described = client.files.retrieve(id)
        assert (described.bytes, described.purpose) == (len(data), "batch_output")


def test_a_file_that_is_none_fails_with_its_lines(client: openai.OpenAI) -> None:
    sent = (
        text(line("a"), line("a"))
        + b"{broken\n\n"
        + text(
            {"method": "GET", "url": "/v1/embeddings", "body": []},
            line(7),
        )
    )
    file = client.files.create(file=("in.jsonl", sent), purpose="batch")

    batch = client.batches.create(input_file_id=file.id, **TERMS)

    found = [(each.line, each.code, each.param) for each in batch.errors.data]
    assert batch.status == "failed"
    assert batch.failed_at >= batch.created_at
    assert (batch.output_file_id, batch.error_file_id) == (None, None)
    assert found == [
        (2, "duplicate_custom_id", "custom_id"),
        (3, "invalid_json_line", None),
        (5, "missing_required_parameter", "custom_id"),
        (5, "invalid_method", "method"),
        (5, "url_mismatch", "url"),
        (5, "invalid_value", "body"),
        (6, "invalid_value", "custom_id"),
    ]
    assert client.batches.retrieve(batch.id).errors == batch.errors


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (b"", "empty_file"),
        (b"\n \n", "empty_file"),
        (text(line("a", n=2)), "invalid_value"),
    ],
)
def test_a_file_without_an_image_fails(
    client: openai.OpenAI, sent: bytes, code: str
) -> None:
    file = client.files.create(file=("in.jsonl", sent), purpose="batch")

    batch = client.batches.create(input_file_id=file.id, **TERMS)

    assert batch.status == "failed"
    assert [each.code for each in batch.errors.data] == [code]


def test_lists_have_pages(client: openai.OpenAI) -> None:
    files = [
        client.files.create(file=("in.jsonl", text(line(n))), purpose="batch").id
        for n in "abc"
    ]
    ids = [client.batches.create(input_file_id=f, **TERMS).id for f in files]
    for each in ids:
        done(client, each)

    found = [each.id for each in client.batches.list(limit=2)]
    sent = [
        each.id for each in client.files.list(purpose="batch", limit=1, order="asc")
    ]
    made = {each.purpose for each in client.files.list(purpose="batch_output")}

    assert found[:3] == ids[::-1]
    assert len(found) == len(set(found)) >= 3
    assert sent[-3:] == files
    assert made == {"batch_output"}


def test_a_page_behind_what_is_gone_is_refused(client: openai.OpenAI) -> None:
    files = [
        client.files.create(file=("in.jsonl", text(line(n))), purpose="batch").id
        for n in "abc"
    ]

    # As whoever deletes while reading does; the end of the list would be a lie.
    with pytest.raises(openai.BadRequestError) as caught:
        for each in client.files.list(purpose="batch", limit=1):
            client.files.delete(each.id)
    with pytest.raises(openai.BadRequestError) as unknown:
        client.batches.list(after="batch_" + "0" * 64)

    assert (caught.value.param, unknown.value.param) == ("after", "after")
    assert client.files.retrieve(files[0]).id == files[0]


@pytest.mark.parametrize("limit", ["0", "x", "0" * 8 + "19999", "0" * 8 + "1" * 4400])
@pytest.mark.parametrize("path", ["/v1/files", "/v1/batches"])
def test_how_long_a_page_is_has_bounds(
    open_batches: Open, path: str, limit: str
) -> None:
    answer = open_batches().test_client().get(f"{path}?limit={limit}")

    assert answer.status_code == 400
    assert answer.get_json()["error"]["param"] == "limit"


def test_files_of_some_size_come_back_whole(client: openai.OpenAI) -> None:
    sent = text(*(line(f"{number}", user="u" * 100) for number in range(20_000)))

    file = client.files.create(file=("in.jsonl", sent), purpose="batch")

    assert len(sent) > 3 << 20
    assert file.bytes == len(sent)
    assert client.files.content(file.id).content == sent


def test_what_a_batch_has_read_may_go(client: openai.OpenAI) -> None:
    sent = text(*(line(f"{number}") for number in range(60)))
    file = client.files.create(file=("in.jsonl", sent), purpose="batch")
    batch = client.batches.create(input_file_id=file.id, **TERMS)

    gone = client.files.delete(file.id)

    assert (gone.id, gone.deleted) == (file.id, True)
    with pytest.raises(openai.NotFoundError):
        client.files.retrieve(file.id)
    output = done(client, batch.id).output_file_id
    assert len(told(client.files.content(output).content)) == 60
    with pytest.raises(openai.BadRequestError, match="goes with it"):
        client.files.delete(output)


def test_lines_without_a_seed_are_images_of_their_own(client: openai.OpenAI) -> None:
    sent = text(line("a"), line("b"), line("c", seed=1), line("d", seed=1))
    file = client.files.create(file=("in.jsonl", sent), purpose="batch")
    batch = done(client, client.batches.create(input_file_id=file.id, **TERMS).id)

    images = [
        each["response"]["body"]["data"][0]["b64_json"]
        for each in told(client.files.content(batch.output_file_id).content)
    ]

    assert images[0] != images[1]
    assert images[2] == images[3]


def test_images_of_a_batch_share_their_format(client: openai.OpenAI) -> None:
    webp = {"output_format": "webp", "output_compression": 40}
    sent = text(line("a", **webp), line("b"), line("c", **webp))
    file = client.files.create(file=("in.jsonl", sent), purpose="batch")
    batch = done(client, client.batches.create(input_file_id=file.id, **TERMS).id)

    answers = told(client.files.content(batch.output_file_id).content)
    errors = told(client.files.content(batch.error_file_id).content)

    assert [each["custom_id"] for each in answers] == ["a", "c"]
    data = answers[0]["response"]["body"]["data"][0]["b64_json"]
    assert base64.b64decode(data)[8:12] == b"WEBP"
    assert errors[0]["response"]["body"]["error"]["param"] == "output_format"
    assert "line 1" in errors[0]["response"]["body"]["error"]["message"]


@pytest.mark.parametrize(
    ("terms", "param"),
    [
        ({"endpoint": "/v1/responses"}, "endpoint"),
        ({"completion_window": "1h"}, "completion_window"),
        ({"metadata": {"a": 1}}, "metadata"),
        ({"metadata": {f"{n}": "" for n in range(17)}}, "metadata"),
        (
            {"output_expires_after": {"anchor": "created_at", "seconds": 3600}},
            "output_expires_after",
        ),
    ],
)
def test_other_terms_are_refused(
    client: openai.OpenAI, terms: dict[str, Any], param: str
) -> None:
    file = client.files.create(file=("in.jsonl", text(line("a"))), purpose="batch")

    with pytest.raises(openai.BadRequestError) as caught:
        client.batches.create(**{"input_file_id": file.id, **TERMS, **terms})

    assert caught.value.param == param


def test_ids_that_are_none_are_not_found(client: openai.OpenAI) -> None:
    zeros = "0" * 64

    for id in ("nothing", f"file-{zeros}", f"file-{zeros}-output", "file-../x"):
        with pytest.raises(openai.NotFoundError):
            client.files.retrieve(id)
        with pytest.raises(openai.NotFoundError):
            client.files.content(id)
    for id in ("nothing", f"batch_{zeros}"):
        with pytest.raises(openai.NotFoundError):
            client.batches.retrieve(id)
    with pytest.raises(openai.NotFoundError):
        client.batches.create(input_file_id=f"file-{zeros}", **TERMS)


def test_other_purposes_and_forms_are_refused(
    client: openai.OpenAI, server: Server
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.files.create(file=("in.jsonl", b"{}"), purpose="vision")
    with pytest.raises(openai.BadRequestError) as bounded:
        client.files.create(
            file=("in.jsonl", b"{}"),
            purpose="batch",
            expires_after={"anchor": "created_at", "seconds": 3600},
        )
    headers = {"Content-Type": "multipart/form-data; boundary=a"}
    torn = server.ask("/v1/files", "POST", b"--a\r\nnothing", headers)
    plain = server.ask("/v1/files", "POST", b"{}", {"Content-Type": "application/json"})

    assert caught.value.param == "purpose"
    assert bounded.value.code == "unknown_parameter"
    assert (torn.status, plain.status) == (400, 415)


@pytest.fixture
def open_batches(tmp_path: Path) -> Iterator[Open]:
    """Builds apps over one store, that draw no chunk until they are told to."""
    made: list[Flask] = []

    def build(environ: dict[str, str] | None = None, **settings: Any) -> Flask:
        fixed = {"system_fonts": False, "access_log": False, "local_callers": True}
        given = fixed | {"store": str(tmp_path / "store"), "workers": 1} | settings
        made.append(create_app(Settings(**given), environ or {}))
        made[-1].extensions["mimeo.jobs"].start = lambda: None
        return made[-1]

    yield build
    for app in made:
        app.extensions["mimeo.jobs"].close()
        app.extensions["mimeo"].close()


def begin(app: Flask) -> None:
    del app.extensions["mimeo.jobs"].start
    app.extensions["mimeo.jobs"].start()


def upload(client: FlaskClient, sent: bytes, **headers: str) -> Any:
    data = {"purpose": "batch", "file": (io.BytesIO(sent), "in.jsonl")}
    return client.post("/v1/files", data=data, headers=headers)


def submit(client: FlaskClient, sent: bytes, **more: Any) -> dict[str, Any]:
    id = upload(client, sent).get_json()["id"]
    found: dict[str, Any] = client.post(
        "/v1/batches", json={"input_file_id": id, **TERMS, **more}
    ).get_json()
    return found


def ended(client: FlaskClient, id: str) -> dict[str, Any]:
    place = f"/v1/batches/{id}"
    wait_until(lambda: client.get(place).get_json()["status"] in ENDED, 180)
    found: dict[str, Any] = client.get(place).get_json()
    return found


def content(client: FlaskClient, id: str) -> list[dict[str, Any]]:
    with client.get(f"/v1/files/{id}/content") as answer:
        return told(answer.data)


def test_of_a_cancelled_batch_there_is_what_was_drawn(open_batches: Open) -> None:
    app = open_batches()
    client = app.test_client()
    sent = text(line("none", n=0), *(line(f"{n}") for n in range(60)))
    made = submit(client, sent)
    engine = app.extensions["mimeo.jobs"]
    job = engine._ledger.job(made["id"].removeprefix("batch_"))
    engine._turns._drawing.draw(job, 0, Event())

    first = client.post(f"/v1/batches/{made['id']}/cancel")
    begin(app)
    batch = ended(client, made["id"])
    again = client.post(f"/v1/batches/{made['id']}/cancel")
    output = content(client, batch["output_file_id"])
    errors = content(client, batch["error_file_id"])

    assert made["status"] == "validating"
    assert (first.status_code, first.get_json()["status"]) == (200, "cancelling")
    assert (batch["status"], again.status_code) == ("cancelled", 200)
    assert batch["cancelling_at"] <= batch["cancelled_at"]
    assert batch["completed_at"] is None
    assert batch["request_counts"] == {"total": 61, "completed": 25, "failed": 1}
    assert [each["custom_id"] for each in output] == [f"{n}" for n in range(25)]
    assert [each["custom_id"] for each in errors] == [
        "none",
        *(f"{n}" for n in range(25, 60)),
    ]
    assert errors[0]["response"]["status_code"] == 400
    assert {each["response"] for each in errors[1:]} == {None}
    assert {each["error"]["code"] for each in errors[1:]} == {"batch_cancelled"}


def test_a_line_that_fails_when_it_is_drawn_is_an_error(open_batches: Open) -> None:
    sides = ("128x128", "64x64", "128x64", "64x70")
    sent = text(*(line(f"{n}", size=side) for n, side in enumerate(sides)))
    made = submit(open_batches().test_client(), sent)
    lower = open_batches(max_side=100)
    client = lower.test_client()
    begin(lower)

    batch = ended(client, made["id"])

    assert batch["request_counts"] == {"total": 4, "completed": 2, "failed": 2}
    output = content(client, batch["output_file_id"])
    assert [each["custom_id"] for each in output] == ["1", "3"]
    for id, each in zip("02", content(client, batch["error_file_id"]), strict=True):
        error = each["response"]["body"]["error"]
        assert (each["custom_id"], each["response"]["status_code"]) == (id, 400)
        assert (error["code"], error["param"]) == ("limit_exceeded", "size")
    with client.get(f"/v1/files/{batch['error_file_id']}/content") as answer:
        described = client.get(f"/v1/files/{batch['error_file_id']}").get_json()
        assert described["bytes"] == len(answer.data)


def test_one_file_with_one_metadata_is_one_batch(open_batches: Open) -> None:
    client = open_batches().test_client()
    sent = text(line("a"))
    ids = [upload(client, sent).get_json()["id"] for _ in range(2)]

    def create(place: int, **more: Any) -> str:
        asked = {"input_file_id": ids[place], **TERMS, **more}
        made: str = client.post("/v1/batches", json=asked).get_json()["id"]
        return made

    first, again = create(0), create(0)
    others = {create(1), create(0, metadata={"a": "b"})}

    assert first == again
    assert len(others - {first}) == 2


def test_a_batch_is_a_job_too(open_batches: Open) -> None:
    app = open_batches()
    client = app.test_client()
    begin(app)
    made = submit(client, text(line("../über a"), line("b/c")))
    ended(client, made["id"])

    job = client.get(f"/jobs/{made['id'].removeprefix('batch_')}").get_json()
    with client.get(job["links"]["manifest"]) as answer:
        names = [image["name"] for image in answer.get_json()["images"]]
    failed = submit(client, b"{}\n")["id"].removeprefix("batch_")
    error = client.get(f"/jobs/{failed}").get_json()["error"]

    assert job["state"] == "succeeded"
    assert names == ["uber-a.png", "b-c.png"]
    assert error["type"] == "/problems/bad-rows"
    assert {row["line"] for row in error["rows"]} == {1}
    rows = {"renderer": "solid", "items": [{"width": 3}]}
    plain = client.post("/jobs", json=rows).headers["Location"].rpartition("/")[2]
    assert client.get(f"/v1/batches/batch_{plain}").status_code == 404
    assert client.get(f"/v1/files/file-{plain}-output").status_code == 404


def test_a_service_makes_the_images_of_a_batch(open_batches: Open) -> None:
    with serving(Form(PNG, "image/png", (), "binary")) as service:
        app = open_batches({"AI_SERVICE_URL": service.url})
        client = app.test_client()
        begin(app)
        sent = text(*(line(each, model="ai-service", prompt=each) for each in "ab"))
        batch = ended(client, submit(client, sent)["id"])
        output = content(client, batch["output_file_id"])

    assert batch["request_counts"] == {"total": 2, "completed": 2, "failed": 0}
    data = output[0]["response"]["body"]["data"][0]["b64_json"]
    assert base64.b64decode(data).startswith(PNG[:8])


def test_strangers_see_their_own_and_delete_it(open_batches: Open) -> None:
    client = open_batches(proxies=1).test_client()
    near, far = {"X-Forwarded-For": "203.0.113.7"}, {"X-Forwarded-For": "203.0.113.8"}
    id = upload(client, text(line("a")), **near).get_json()["id"]
    asked = {"input_file_id": id, **TERMS}
    made = client.post("/v1/batches", json=asked, headers=near).get_json()["id"]

    def listed(path: str, headers: dict[str, str]) -> list[str]:
        answer = client.get(path, headers=headers).get_json()
        return [each["id"] for each in answer["data"]]

    assert (listed("/v1/files", near), listed("/v1/files", far)) == ([id], [])
    assert (listed("/v1/batches", near), listed("/v1/batches", far)) == ([made], [])
    place, cancel = f"/v1/files/{id}", f"/v1/batches/{made}/cancel"
    assert client.delete(place, headers=far).status_code == 401
    assert client.post(cancel, headers=far).status_code == 401
    assert client.post(cancel, headers=near).status_code == 200
    assert client.delete(place, headers=near).status_code == 200


def test_files_have_a_part_of_the_room(open_batches: Open) -> None:
    client = open_batches(jobs_bytes=64 << 10, proxies=1).test_client()
    far = {"X-Forwarded-For": "203.0.113.7"}

    answers = [upload(client, b"a" * 3000, **far).status_code for _ in range(2)]
    others = [
        upload(client, b"a" * 4000, **{"X-Forwarded-For": f"203.0.113.{n}"}).status_code
        for n in (8, 9, 10, 11)
    ]
    large = upload(client, b"a" * (17 << 10))

    assert answers == [200, 429]
    assert others == [200, 200, 200, 507]
    assert large.status_code == 507


def test_files_end_after_their_time(
    open_batches: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = open_batches(jobs_ttl_s=1000).test_client()
    file = upload(client, text(line("a"))).get_json()
    now = uploaded_files.time.time()

    monkeypatch.setattr(uploaded_files.time, "time", lambda: now + 1001)
    later = client.get(f"/v1/files/{file['id']}")
    listed = client.get("/v1/files").get_json()["data"]
    upload(client, text(line("b")))
    monkeypatch.undo()

    assert file["expires_at"] - file["created_at"] == 1000
    assert (later.status_code, listed) == (404, [])
    # The next upload has made room.
    assert client.get(f"/v1/files/{file['id']}").status_code == 404


def test_large_files_and_many_lines_are_refused(
    open_batches: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = open_batches(max_body_bytes=4096).test_client()
    monkeypatch.setattr(batches, "_MOST_FILE", 2000)
    monkeypatch.setattr(openai_batch, "MOST_LINES", 3)

    large, larger = upload(client, b"a" * 2001), upload(client, b"a" * 9000)
    many = submit(client, text(*(line(n) for n in "abcd")))
    long = submit(client, text(line("a", prompt="a" * 1800)))
    monkeypatch.setattr(batches, "_MOST_FILE", 20_000)
    longer = submit(client, text(line("a", prompt="a" * 5000)))

    assert (large.status_code, larger.status_code) == (413, 413)
    assert [each["code"] for each in many["errors"]["data"]] == ["too_many_tasks"]
    assert long["errors"] is None
    found = longer["errors"]["data"][0]
    assert (found["code"], found["line"]) == ("invalid_json_line", 1)
    assert "MIMEO_MAX_BODY_BYTES" in found["message"]


def test_where_jobs_are_not_kept_there_are_no_batches(open_batches: Open) -> None:
    client = open_batches(store="none").test_client()

    assert upload(client, b"{}").status_code == 501
    assert client.get("/v1/files").status_code == 501
    assert client.get("/v1/batches").status_code == 501
