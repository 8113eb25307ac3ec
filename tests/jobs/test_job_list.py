"""The list of jobs has pages, and none is missing or twice on them."""

from itertools import chain
from typing import Any

import pytest
from flask.testing import FlaskClient

from app.access.keys import digest_of, new_key
from tests.jobs.apps import Open, hold, rows


def submitted(client: FlaskClient, count: int, **headers: str) -> list[str]:
    """Submit jobs; return their ids, the newest first."""
    ids = []
    for number in range(1, count + 1):
        answer = client.post("/jobs", json=rows(number), headers=headers)
        ids.append(answer.get_json()["id"])
    return ids[::-1]


def ids_of(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [job["id"] for job in answer.get_json()["jobs"]]


def pages(client: FlaskClient, path: str, **headers: str) -> list[list[str]]:
    found = []
    while path:
        answer = client.get(path, headers=headers)
        found.append(ids_of(answer))
        path = answer.get_json()["next"]
        link = f'<{path}>; rel="next"' if path else None
        assert answer.headers.get("Link") == link
    return found


@pytest.mark.parametrize("limit", [1, 2, 3, 6, 7, 100])
def test_pages_have_every_job_once(open_app: Open, limit: int) -> None:
    app = open_app()
    hold(app)
    client = app.test_client()
    ids = submitted(client, 6)

    found = pages(client, f"/jobs?limit={limit}")

    assert list(chain(*found)) == ids
    assert [len(page) for page in found[:-1]] == [limit] * (len(found) - 1)
    assert ids_of(client.get("/jobs")) == ids


def test_a_page_is_a_hundred_unless_less_is_asked_for(open_app: Open) -> None:
    app = open_app()
    hold(app)
    client = app.test_client()
    ids = submitted(client, 103)

    assert pages(client, "/jobs") == [ids[:100], ids[100:]]


def test_what_comes_or_goes_meanwhile_moves_no_page(open_app: Open) -> None:
    app = open_app()
    hold(app)
    client = app.test_client()
    ids = submitted(client, 4)
    following = client.get("/jobs?limit=2").get_json()["next"]

    fresh = client.post("/jobs", json=rows(9)).get_json()["id"]
    app.extensions["mimeo.jobs"]._ledger.delete(ids[1])

    assert ids_of(client.get(following)) == ids[2:]
    assert ids_of(client.get("/jobs")) == [fresh, ids[0], *ids[2:]]


def test_jobs_of_one_moment_are_told_apart(open_app: Open, monkeypatch) -> None:
    app = open_app()
    hold(app)
    client = app.test_client()
    monkeypatch.setattr("app.views.jobs.time.time", lambda: 1_700_000_000.0)
    ids = submitted(client, 5)

    assert sorted(chain(*pages(client, "/jobs?limit=2"))) == sorted(ids)


def test_pages_are_of_the_callers_own(open_app: Open) -> None:
    tokens, lines = [], ""
    for _ in range(2):
        id, token = new_key()
        scopes = '["draw:*", "jobs"]'
        lines += f'[keys.{id}]\nsha256 = "{digest_of(token)}"\nscopes = {scopes}\n'
        tokens.append({"X-API-Key": token})
    app = open_app(access="keys", keys=lines)
    hold(app)
    client = app.test_client()
    mine = submitted(client, 3, **tokens[0])
    theirs = submitted(client, 3, **tokens[1])
    following = client.get("/jobs?limit=1", headers=tokens[0]).get_json()["next"]

    assert pages(client, "/jobs?limit=2", **tokens[0]) == [mine[:2], mine[2:]]
    # A cursor of another's says when, and shows nothing of theirs.
    assert set(ids_of(client.get(following, headers=tokens[1]))) <= set(theirs)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=-1", "limit"),
        ("limit=", "limit"),
        ("limit=1e2", "limit"),
        ("limit=%C2%B2", "limit"),
        ("limit=" + "9" * 400, "limit"),
        ("limit=1&limit=2", "limit"),
        ("after=", "after"),
        ("after=" + "0" * 64, "after"),
        ("after=nan-" + "0" * 64, "after"),
        ("after=" + "9" * 400 + "-" + "0" * 64, "after"),
        ("after=1.5-" + "0" * 63 + "%0A", "after"),
        ("before=1", "before"),
    ],
)
def test_what_is_wrong_with_a_page_is_said(
    open_app: Open, query: str, field: str
) -> None:
    answer = open_app().test_client().get(f"/jobs?{query}")

    assert (answer.status_code, answer.get_json()["field"]) == (422, field)


def test_no_page_is_behind_the_oldest(open_app: Open) -> None:
    app = open_app()
    hold(app)
    client = app.test_client()
    submitted(client, 2)

    answer = client.get(f"/jobs?after=0-{'0' * 64}")

    assert answer.get_json() == {"jobs": [], "next": None}
    assert "Link" not in answer.headers
