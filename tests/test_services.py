"""Services behind Mimeo: any form in, any delivery out, the same bytes."""

import base64
import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, NamedTuple

import pytest
from flask.testing import FlaskClient

from app import create_app
from app.config import Settings
from tests.upstream.pictures import JPEG, PNG, WEBP, b64, dump
from tests.upstream.wire_forms import FORMS, MENDED, URL, Form

ALL = {**FORMS, **MENDED}


class Service:
    """A service that answers every request with one form, and serves its images."""

    def __init__(self, form: Form) -> None:
        self.form = form
        self.asked: list[dict[str, Any]] = []
        self.url = ""

    def answer(self) -> bytes:
        """Return the body, with addresses that lead here."""
        body = self.form.body.replace(URL.encode(), f"{self.url}/a.png?sig=1".encode())
        there = b"http://localai:8080/generated-images/b.png"
        return body.replace(there, f"{self.url}/a.png".encode())


@contextmanager
def serving(form: Form) -> Iterator[Service]:
    service = Service(form)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            service.asked.append(json.loads(body))
            headers = {**form.headers, "Content-Type": form.content_type}
            self.reply(service.answer(), headers)

        def do_GET(self) -> None:
            assert "Authorization" not in self.headers or self.path.startswith("/a.png")
            self.reply(PNG, {"Content-Type": "image/png"})

        def reply(self, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(200)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        service.url = f"http://127.0.0.1:{server.server_port}"
        thread = Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield service
        server.shutdown()
        thread.join()


class Got(NamedTuple):
    """An image as a delivery gave it, with what was told of it."""

    data: bytes
    facts: dict[str, Any]


def headers_told(answer: Any) -> dict[str, Any]:
    found = {
        "seed": answer.headers.get("X-Media-Seed"),
        "finish_reason": answer.headers.get("X-Media-Finish-Reason"),
        "repairs": answer.headers.get("X-Media-Repairs"),
    }
    told = {name: value for name, value in found.items() if value is not None}
    if "seed" in told:
        told["seed"] = int(told["seed"])
    if "repairs" in told:
        told["repairs"] = told["repairs"].split(", ")
    return told


def plain(facts: dict[str, Any]) -> dict[str, Any]:
    names = ("seed", "finish_reason", "repairs")
    return {name: facts[name] for name in names if name in facts}


def binary(client: FlaskClient, ending: str) -> Got:
    answer = client.get(f"/images/ai-service.{ending}?prompt=a+cat")
    assert answer.status_code == 200, answer.text
    return Got(answer.data, headers_told(answer))


def posted(client: FlaskClient, ending: str) -> Got:
    body = {"renderer": "ai-service", "params": {"prompt": "a cat"}, "format": ending}
    answer = client.post("/images", json=body)
    assert answer.status_code == 200, answer.text
    return Got(answer.data, headers_told(answer))


def base64_json(client: FlaskClient, ending: str) -> Got:
    accept = {"Accept": "application/json"}
    url = f"/images/ai-service.{ending}?prompt=a+cat"
    found = client.get(url, headers=accept).get_json()
    return Got(base64.b64decode(found["data"]), plain(found["facts"]))


def collection(client: FlaskClient, ending: str) -> str:
    body = {"renderer": "ai-service", "format": ending, "items": [{"prompt": "a cat"}]}
    answer = client.post("/collections", json=body)
    assert answer.status_code in (200, 201), answer.text
    return answer.headers["Location"]


def numbered(client: FlaskClient, ending: str) -> Got:
    answer = client.get(f"{collection(client, ending)}/1.{ending}")
    return Got(answer.data, headers_told(answer))


def in_json(client: FlaskClient, ending: str) -> Got:
    found = client.get(f"{collection(client, ending)}.json").get_json()["images"][0]
    return Got(base64.b64decode(found["data"]), plain(found["facts"]))


def in_ndjson(client: FlaskClient, ending: str) -> Got:
    text = client.get(f"{collection(client, ending)}.ndjson").text
    found = json.loads(text.splitlines()[0])
    return Got(base64.b64decode(found["data"]), plain(found["facts"]))


def in_zip(client: FlaskClient, ending: str) -> Got:
    data = client.get(f"{collection(client, ending)}.zip").data
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        manifest = json.loads(archive.read("manifest.json"))["images"][0]
        return Got(archive.read(manifest["name"]), plain(manifest.get("facts", {})))


DELIVERIES: tuple[Callable[[FlaskClient, str], Got], ...] = (
    *(binary, posted, base64_json, numbered, in_json, in_ndjson, in_zip),
)


def inference(client: FlaskClient, accept: str) -> Any:
    answer = client.post(
        "/inference", json={"prompt": "a cat"}, headers={"Accept": accept}
    )
    assert answer.status_code == 200, answer.text
    return answer


def face_binary(client: FlaskClient) -> Got:
    answer = inference(client, "image/*")
    return Got(answer.data, headers_told(answer))


def face_json(client: FlaskClient) -> Got:
    found = inference(client, "*/*").get_json()
    return Got(base64.b64decode(found["image_base64"]), plain(found["metadata"]))


def face_zip(client: FlaskClient) -> Got:
    with zipfile.ZipFile(io.BytesIO(inference(client, "application/zip").data)) as file:
        row = json.loads(file.read("manifest.json"))["images"][0]
        return Got(file.read(row["name"]), plain(row["facts"]))


def generated(client: FlaskClient, form: str) -> Any:
    body = {"prompt": "a cat", "response_format": form}
    # As a repetition: what was paid for is given again, and not another picture.
    again = {"X-Stainless-Retry-Count": "1"}
    answer = client.post("/v1/images/generations", json=body, headers=again)
    assert answer.status_code == 200, answer.text
    return answer.get_json()["data"][0]


def openai_base64(client: FlaskClient) -> Got:
    found = generated(client, "b64_json")
    return Got(base64.b64decode(found["b64_json"]), plain(found))


def openai_url(client: FlaskClient) -> Got:
    found = generated(client, "url")
    answer = client.get(found["url"].removeprefix("http://localhost"))
    assert plain(found) == headers_told(answer)
    return Got(answer.data, headers_told(answer))


FACES: tuple[Callable[[FlaskClient], Got], ...] = (
    *(face_binary, face_json, face_zip, openai_base64, openai_url),
)


@pytest.fixture(scope="module")
def clients(tmp_path_factory: pytest.TempPathFactory):
    """Make clients of servers whose AI service answers with a form."""

    @contextmanager
    def build(form: Form) -> Iterator[tuple[FlaskClient, Service]]:
        folder = str(tmp_path_factory.mktemp("store"))
        settings = Settings(
            store=folder, system_fonts=False, access_log=False, local_callers=True
        )
        with serving(form) as service:
            app = create_app(settings, {"AI_SERVICE_URL": service.url})
            yield app.test_client(), service
            app.extensions["mimeo"].close()

    return build


def first_of(form: Form) -> bytes:
    """Return the first image of a form; behind an address there is a PNG."""
    image = form.images[0]
    return PNG if isinstance(image, str) else image


@pytest.mark.parametrize("name", ALL)
def test_every_form_comes_out_of_every_delivery_as_it_went_in(clients, name):
    form = ALL[name]
    data = first_of(form)
    ending = {PNG: "png", JPEG: "jpg", WEBP: "webp"}.get(data, "png")
    with clients(form) as (client, service):
        found = [deliver(client, ending) for deliver in DELIVERIES]

    digests = {hashlib.sha256(got.data).hexdigest() for got in found}
    assert digests == {hashlib.sha256(data).hexdigest()}
    assert all(got.facts == found[0].facts for got in found)
    assert found[0].facts.get("seed") == (form.seeds[0] if form.seeds else None)
    assert tuple(found[0].facts.get("repairs", ())) == form.repairs
    assert len(service.asked) == 1


@pytest.mark.parametrize("name", ALL)
def test_every_form_comes_out_of_every_face_as_it_went_in(clients, name):
    form = ALL[name]
    data = first_of(form)
    with clients(form) as (client, service):
        found = [face(client) for face in FACES]

    assert {got.data for got in found} == {data}
    assert all(got.facts == found[0].facts for got in found)
    assert found[0].facts.get("seed") == (form.seeds[0] if form.seeds else None)
    assert tuple(found[0].facts.get("repairs", ())) == form.repairs
    assert len(service.asked) == 1


@pytest.mark.parametrize("name", [n for n, form in ALL.items() if len(form.images) > 1])
def test_all_images_of_a_form_come_out_of_every_face(clients, name):
    form = ALL[name]
    wanted = [PNG if isinstance(image, str) else image for image in form.images]
    body = {"prompt": "a cat", "n": len(wanted)}
    with clients(form) as (client, service):
        listed = client.post("/inference", json=body).get_json()["images"]
        zipped = client.post(
            "/inference", json=body, headers={"Accept": "application/zip"}
        ).data
        openai = client.post("/v1/images/generations", json=body).get_json()["data"]

    with zipfile.ZipFile(io.BytesIO(zipped)) as file:
        members = [file.read(name) for name in file.namelist()[:-1]]
    assert [base64.b64decode(item["image_base64"]) for item in listed] == wanted
    assert members == wanted
    assert [base64.b64decode(item["b64_json"]) for item in openai] == wanted
    assert len(service.asked) == 1


def test_more_than_was_asked_for_is_told(clients):
    with clients(FORMS["4 stability v1"]) as (client, _):
        answer = client.get("/images/ai-service.png?prompt=a+cat")

    told = "1 more came than were asked for and were left out"
    assert answer.headers["X-Media-Warnings"] == told


def test_a_revised_prompt_is_told(clients):
    form = FORMS["2 openai dall-e url"]
    with clients(form) as (client, _):
        accept = {"Accept": "application/json"}
        found = client.get("/images/ai-service.png?prompt=a+cat", headers=accept)

    assert found.get_json()["facts"]["revised_prompt"] == form.prompt


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("", "prompt"),
        ("prompt=", "prompt"),
        ("prompt=++", "prompt"),
        ("prompt=a&n=2", "n"),
        ("prompt=a&steps=20", "steps"),
        ("prompt=a&negative_prompt=b", "negative_prompt"),
        ("prompt=a&seed=-1", "seed"),
        ("prompt=a&width=0", "width"),
        ("prompt=a&scale=2", "scale"),
    ],
)
def test_what_the_service_does_not_know_is_a_422_and_is_not_sent(clients, query, field):
    with clients(FORMS["15 hugging face"]) as (client, service):
        answer = client.get(f"/images/ai-service.png?{query}")

    assert (answer.status_code, answer.get_json()["field"]) == (422, field)
    assert not service.asked


def test_parameters_reach_the_service(clients):
    with clients(FORMS["15 hugging face"]) as (client, service):
        client.get("/images/ai-service.jpg?prompt=a+cat&seed=7&width=64&height=32")

    asked = {"prompt": "a cat", "seed": 7, "width": 64, "height": 32}
    assert service.asked == [asked]


def test_a_filtered_image_is_no_success(clients):
    form = Form(
        dump({"artifacts": [{"base64": b64(PNG), "finishReason": "CONTENT_FILTERED"}]}),
        "application/json",
        (),
        "base64",
    )
    with clients(form) as (client, _):
        answer = client.get("/images/ai-service.png?prompt=a")

    assert answer.status_code == 422
    assert answer.get_json()["type"] == "/problems/upstream-filtered"


def test_the_tag_of_a_services_image_is_that_of_its_bytes(clients):
    with clients(FORMS["15 hugging face"]) as (client, service):
        first = client.get("/images/ai-service.jpg?prompt=a")
        tag = {"If-None-Match": first.headers["ETag"]}
        again = client.get("/images/ai-service.jpg?prompt=a", headers=tag)

    assert first.headers["ETag"] == f'"{hashlib.sha256(JPEG).hexdigest()}"'
    assert again.status_code == 304
    assert "immutable" not in first.headers["Cache-Control"]
    assert len(service.asked) == 1


def test_the_front_page_asks_no_service_for_an_example(clients):
    with clients(FORMS["15 hugging face"]) as (client, service):
        page = client.get("/").text

    assert "ai-service" in page
    assert 'src="/images/ai-service' not in page
    assert not service.asked


def test_a_server_without_services_has_none(tmp_path: Path, client: FlaskClient):
    answer = client.get("/images/ai-service.png?prompt=a")

    assert answer.status_code == 404
