"""What a service is paid for is asked for on purpose: never by HEAD or a prefetch."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from app import create_app
from app.config import Settings
from tests.test_services import Service, serving
from tests.upstream.pictures import PNG, b64, dump
from tests.upstream.wire_forms import Form

FORM = Form(dump({"images": [b64(PNG)]}), "application/json", (), "base64")
PREFETCHES = [
    {"Sec-Purpose": "prefetch"},
    {"Sec-Purpose": "prefetch;prerender"},
    {"Purpose": "prefetch"},
    {"X-Purpose": "preview"},
    {"X-Moz": "prefetch"},
]


@pytest.fixture
def service() -> Iterator[Service]:
    with serving(FORM) as running:
        yield running


@pytest.fixture
def client(service: Service, tmp_path: Path) -> Iterator[FlaskClient]:
    settings = Settings(
        store=str(tmp_path), system_fonts=False, access_log=False, local_callers=True
    )
    app = create_app(settings, {"AI_SERVICE_URL": service.url})
    yield app.test_client()
    app.extensions["mimeo"].close()


@pytest.fixture(params=["single", "numbered"])
def path(request: pytest.FixtureRequest, client: FlaskClient) -> str:
    if request.param == "single":
        return "/images/ai-service.png?prompt=a+cat"
    return f"{keep(client)}/1.png"


def keep(client: FlaskClient) -> str:
    body = {"renderer": "ai-service", "items": [{"prompt": "a cat"}]}
    place: str = client.post("/collections", json=body).headers["Location"]
    return place


def test_head_of_an_image_not_bought_says_its_type_and_buys_nothing(
    client, service, path
):
    answer = client.head(path)

    assert (answer.status_code, service.asked) == (200, [])
    assert answer.headers["Content-Type"] == "image/png"
    assert answer.headers["Cache-Control"] == "no-store"
    assert not {"ETag", "Content-Length"} & set(answer.headers.keys())


@pytest.mark.parametrize("headers", PREFETCHES, ids=lambda one: next(iter(one.items())))
def test_a_prefetch_of_an_image_not_bought_is_refused(client, service, path, headers):
    answer = client.get(path, headers=headers)

    assert (answer.status_code, service.asked) == (403, [])
    assert answer.get_json()["type"] == "/problems/not-bought"


def test_what_is_bought_is_served_to_head_and_prefetch(client, service, path):
    bought = client.get(path)

    head = client.head(path)
    prefetched = client.get(path, headers={"Sec-Purpose": "prefetch"})

    assert len(service.asked) == 1
    assert head.headers["ETag"] == prefetched.headers["ETag"] == bought.headers["ETag"]
    assert prefetched.data == bought.data


def test_what_is_bought_in_one_format_is_served_to_a_prefetch_in_another(
    client, service
):
    client.get("/images/ai-service.png?prompt=a+cat")

    head = client.head("/images/ai-service.webp?prompt=a+cat")
    answer = client.get(
        "/images/ai-service.webp?prompt=a+cat", headers={"Sec-Purpose": "prefetch"}
    )

    assert (answer.status_code, answer.content_type) == (200, "image/webp")
    assert head.headers["ETag"] == answer.headers["ETag"]
    assert len(service.asked) == 1


WHOLE = [".zip", ".json", ".ndjson", ".pdf", "/sheet.png"]


@pytest.mark.parametrize("form", WHOLE)
def test_head_of_a_collection_not_bought_says_its_type_alone(client, service, form):
    place = keep(client)

    before = client.head(f"{place}{form}")
    bought = client.get(f"{place}{form}")

    assert (before.status_code, before.headers["Cache-Control"]) == (200, "no-store")
    assert before.content_type == bought.content_type
    assert not {"ETag", "Content-Length"} & set(before.headers.keys())
    assert len(bought.data) > 0 and len(service.asked) == 1


@pytest.mark.parametrize("form", WHOLE)
def test_a_collection_that_is_bought_is_served_to_head_and_prefetch(
    client, service, form
):
    place = keep(client)
    bought = client.get(f"{place}{form}").data

    head = client.head(f"{place}{form}")
    prefetched = client.get(f"{place}{form}", headers={"Sec-Purpose": "prefetch"})

    assert (prefetched.status_code, prefetched.data) == (200, bought)
    assert head.headers["ETag"] == prefetched.headers["ETag"]
    assert len(service.asked) == 1


def test_a_prefetch_does_not_buy_what_is_left_of_a_collection(client, service):
    items = [{"prompt": "a cat"}, {"prompt": "a dog"}]
    body = {"renderer": "ai-service", "items": items}
    place = client.post("/collections", json=body).headers["Location"]
    client.get(f"{place}/1.png")

    answer = client.get(f"{place}.zip", headers={"Sec-Purpose": "prefetch"})

    assert (answer.status_code, len(service.asked)) == (403, 1)


@pytest.mark.parametrize("form", [".zip", ".json", ".pdf", "/sheet.png"])
def test_a_prefetch_of_a_collection_buys_nothing(client, service, form):
    answer = client.get(f"{keep(client)}{form}", headers={"Sec-Purpose": "prefetch"})

    assert (answer.status_code, service.asked) == (403, [])
    assert answer.get_json()["type"] == "/problems/not-bought"


def test_what_is_drawn_here_may_be_fetched_ahead(client):
    answer = client.get("/images/solid.png", headers={"Sec-Purpose": "prefetch"})

    assert answer.status_code == 200


def test_everything_below_a_collection_is_private(client):
    body = {"renderer": "solid", "items": [{"color": "red"}]}
    place = client.post("/collections", json=body).headers["Location"]

    kept = {
        form: client.get(f"{place}{form}").headers["Cache-Control"].split(", ")[0]
        for form in ("", "/1.png", "/sheet.png", ".zip", ".json", ".pdf")
    }

    assert set(kept.values()) == {"private"}
