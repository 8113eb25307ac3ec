"""Whoever watches a job sees each change of it, and its end."""

import json
from typing import Any

from app.views import job_watch
from tests.gunicorn_server import serve
from tests.jobs.apps import FAR, Open, ended, hold, rows


def told(data: bytes) -> list[tuple[str, dict[str, Any]]]:
    """Return the id and the job of each event."""
    found = []
    for block in data.decode().split("\n\n"):
        if block and not block.startswith(":"):
            name, text = block.split("\n")
            found.append((name[4:], json.loads(text[6:])))
    return found


def test_events_end_with_the_job(tmp_path) -> None:
    sent = json.dumps(rows(2000)).encode()
    with serve(settings={"MIMEO_STORE": str(tmp_path)}) as server:
        kind = {"Content-Type": "application/json"}
        place = server.ask("/jobs", "POST", sent, kind).headers["Location"]

        answer = server.ask(f"{place}/events")
        events = told(answer.body)
        last = {"Last-Event-ID": events[-1][0]}
        first = {"Last-Event-ID": events[0][0]}
        over = server.ask(f"{place}/events", headers=last)
        missed = server.ask(f"{place}/events", headers=first)
        job = json.loads(server.ask(place).body)

    assert answer.headers["Content-Type"] == "text/event-stream"
    done = [each["counts"]["done"] for _, each in events]
    assert done == sorted(done)
    assert len({name for name, _ in events}) == len(events) >= 2
    assert events[-1][1] == job
    assert job["state"] == "succeeded"
    assert (over.status, over.body) == (204, b"")
    assert told(missed.body) == events[-1:]


def test_silence_is_broken_by_comments(open_app: Open, monkeypatch) -> None:
    app = open_app()
    hold(app)
    client = app.test_client()
    monkeypatch.setattr(job_watch, "_SILENCE_S", 0.0)
    monkeypatch.setattr(job_watch, "_LOOK_S", 0.01)
    place = client.post("/jobs", json=rows(5)).headers["Location"]

    with client.get(f"{place}/events", buffered=False) as answer:
        pieces = answer.iter_encoded()
        first, second = next(pieces), next(pieces)

    assert told(first)[0][1]["state"] == "queued"
    assert second == b":\n\n"


def test_more_than_may_watch_are_told_to_come_again(open_app: Open) -> None:
    app = open_app(threads=4)
    hold(app)
    client = app.test_client()
    place = client.post("/jobs", json=rows(5)).headers["Location"]

    with client.get(f"{place}/events", buffered=False) as answer:
        assert next(answer.iter_encoded())
        refused = client.get(f"{place}/events", headers=FAR)
        head = client.head(f"{place}/events")
    del app.extensions["mimeo.jobs"].start
    app.extensions["mimeo.jobs"].start()
    ended(client, place)
    after = client.get(f"{place}/events")

    assert refused.status_code == 503
    assert refused.get_json()["type"] == "/problems/busy"
    assert int(refused.headers["Retry-After"]) > 0
    assert (head.status_code, head.headers["Content-Type"]) == (
        200,
        "text/event-stream",
    )
    assert [job["state"] for _, job in told(after.data)] == ["succeeded"]


def test_what_is_no_job_has_no_events(open_app: Open) -> None:
    client = open_app().test_client()

    assert client.get(f"/jobs/{'0' * 64}/events").status_code == 404


def test_job_that_was_deleted_is_watched_no_longer(open_app: Open, monkeypatch) -> None:
    app = open_app()
    hold(app)
    client = app.test_client()
    monkeypatch.setattr(job_watch, "_LOOK_S", 0.01)
    place = client.post("/jobs", json=rows(5)).headers["Location"]

    with client.get(f"{place}/events", buffered=False) as answer:
        pieces = answer.iter_encoded()
        next(pieces)
        app.extensions["mimeo.jobs"]._ledger.delete(place.rpartition("/")[2])
        rest = list(pieces)

    assert rest == []
