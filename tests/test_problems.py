"""Every error is a problem (RFC 9457), and every kind of error has a row."""

import inspect
from collections.abc import Iterator
from types import ModuleType
from urllib.parse import unquote

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app.collection.repository import CollectionRepository
from app.delivery import errors as delivery_errors
from app.parsing import image
from app.pipeline import admission
from app.problems import PROBLEMS
from app.renderer import errors as renderer_errors
from app.serving import errors as serving_errors
from app.store import StoreError
from app.upstream import errors as upstream_errors

BASES = {
    *(
        "RendererError",
        "UnknownName",
        "DeliveryError",
        "FrameError",
        "UpstreamError",
        "_Explained",
        "_Refusal",
        "_Waiting",
    ),
}
# Ends the work for a client that left: nobody is there to read of it.
UNSEEN = {"Cancelled"}
MEMBERS = {"type", "title", "status", "detail", "instance", "request_id"}


def exceptions(module: ModuleType) -> Iterator[type[Exception]]:
    for _, member in inspect.getmembers(module, inspect.isclass):
        if issubclass(member, Exception) and member.__module__ == module.__name__:
            yield member


@pytest.mark.parametrize(
    "module",
    [
        *(renderer_errors, delivery_errors, image, admission, upstream_errors),
        serving_errors,
    ],
)
def test_every_error_class_has_a_row(module: ModuleType) -> None:
    for kind in exceptions(module):
        assert kind in PROBLEMS or kind.__name__ in BASES | UNSEEN, kind


def test_every_type_of_problem_can_be_looked_up(client: FlaskClient) -> None:
    listed = client.get("/problems").get_json()["problems"]

    assert len(listed) == len(PROBLEMS)
    for row in listed:
        assert client.get(row["type"]).get_json() == row


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("GET", "/problems/nothing", 404),
        ("DELETE", "/images/card.png", 405),
        ("GET", "/images/nothing.png", 404),
        ("GET", "/images/card.png", 422),
    ],
)
def test_error_is_a_problem(
    client: FlaskClient, method: str, path: str, status: int
) -> None:
    answer = client.open(path, method=method)

    assert answer.status_code == status
    assert answer.content_type == "application/problem+json"
    assert set(answer.get_json()) >= MEMBERS
    assert answer.get_json()["instance"] == path
    assert answer.headers["X-Request-ID"] == answer.get_json()["request_id"]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("", 200),
        ("//images//solid.png", 404),
        ("/images//solid.png", 404),
        ("/renderers//card", 404),
        ("/renderers/", 404),
        ("//stranger.example", 404),
    ],
)
def test_no_path_is_a_redirect_to_a_host_that_the_client_names(
    client: FlaskClient, path: str, status: int
) -> None:
    environ = {"PATH_INFO": path, "HTTP_HOST": "stranger.example"}

    answer = client.get("/", environ_overrides=environ)

    assert answer.status_code == status
    assert "Location" not in answer.headers
    assert "http://stranger.example" not in answer.text


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("/studio/", "../studio"),
        ("/docs/api/", "../api"),
        ("/renderers/", "../renderers"),
    ],
)
def test_a_slash_too_many_leads_a_browser_on_and_is_named_to_others(
    client: FlaskClient, path: str, place: str
) -> None:
    browser = client.get(path, headers={"Accept": "text/html,*/*;q=0.8"})
    program = client.get(path)

    assert (browser.status_code, browser.headers["Location"]) == (308, place)
    assert browser.headers["Vary"] == "Accept"
    assert program.status_code == 404
    assert f"{unquote(path).removesuffix('/')} is without" in program.json["detail"]
    assert client.post(path, headers={"Accept": "text/html"}).status_code in (404, 405)


def test_an_id_that_is_none_is_told_apart_from_a_job_that_is_gone(
    client: FlaskClient,
) -> None:
    answer = client.get("/jobs/nobody")

    assert answer.status_code == 404
    assert "id of a job has 64 digits" in answer.json["detail"]


def test_405_says_what_is_allowed(client: FlaskClient) -> None:
    allowed = client.delete("/images/card.png").headers["Allow"]

    assert set(allowed.split(", ")) == {"GET", "HEAD", "OPTIONS", "POST"}


def test_unexpected_error_shows_a_request_id_and_nothing_else(
    app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(request: object) -> None:
        raise RuntimeError("the secret is swordfish")

    monkeypatch.setattr(app.extensions["mimeo"], "produce", fail)

    answer = client.get("/images/solid.png", headers={"X-Request-ID": "my-id-1"})

    assert answer.status_code == 500
    assert answer.get_json()["request_id"] == "my-id-1"
    assert "swordfish" not in answer.get_data(as_text=True)


@pytest.mark.parametrize("given", ["", "a b", "x" * 129, "a\tb"])
def test_unfit_request_id_is_replaced(client: FlaskClient, given: str) -> None:
    answer = client.get("/health/live", headers={"X-Request-ID": given})

    assert answer.headers["X-Request-ID"] != given
    assert len(answer.headers["X-Request-ID"]) == 32


def test_a_store_at_fault_is_a_503_that_names_no_path(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise StoreError("cannot write /srv/cache: no space left")

    monkeypatch.setattr(CollectionRepository, "add", fail)

    rows = b"color\nred\n"
    answer = client.post(
        "/collections?renderer=solid", data=rows, content_type="text/csv"
    )

    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert answer.get_json()["type"] == "/problems/store-unavailable"
    assert "/srv" not in answer.text


def test_a_page_that_is_without_the_slash_keeps_its_query(client: FlaskClient) -> None:
    answer = client.get("/studio/?title=A+b&theme=%20", headers={"Accept": "text/html"})

    assert answer.status_code == 308
    assert answer.headers["Location"] == "../studio?title=A+b&theme=%20"
