"""Routes of jobs and collections that read no query refuse one by name."""

import pytest

from tests.jobs.apps import Open, hold, rows

ROUTES = (
    ("GET", ""),
    ("GET", "/events"),
    ("GET", "/errors"),
    ("GET", "/manifest.json"),
    ("GET", "/deliveries"),
    ("GET", "/answer"),
    ("POST", "/cancel"),
    ("POST", "/retry"),
    ("POST", "/purge"),
    ("DELETE", ""),
)


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_a_route_of_jobs_names_what_it_does_not_know(
    open_app: Open, method: str, path: str
) -> None:
    app = open_app()
    hold(app)
    client = app.test_client()
    place = client.post("/jobs", json=rows(2)).get_json()["links"]["self"]

    answer = client.open(f"{place}{path}?limt=3&wait=9", method=method)

    assert answer.status_code == 422
    named = [fault["field"] for fault in answer.get_json()["errors"]]
    assert named == ["limt", "wait"]
    assert client.get(place).get_json()["state"] == "queued"


def test_the_document_says_that_a_query_may_be_refused(open_app: Open) -> None:
    paths = open_app().test_client().get("/openapi.json").get_json()["paths"]
    told = [paths[f"/jobs/{{key}}{path}"][method.lower()] for method, path in ROUTES]
    told += [paths["/collections/{key}"][method] for method in ("get", "delete")]

    assert all("422" in operation["responses"] for operation in told)


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_a_collection_names_what_it_does_not_know(open_app: Open, method: str) -> None:
    client = open_app().test_client()
    place = client.post("/collections", json=rows(2)).get_json()["links"]["self"]

    answer = client.open(f"{place}?limt=3", method=method)

    assert answer.status_code == 422
    assert [fault["field"] for fault in answer.get_json()["errors"]] == ["limt"]
    assert client.get(place).status_code == 200
