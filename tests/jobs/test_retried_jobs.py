"""What a job lacks is drawn again, and only that; what is purged is gone."""

import io
import json
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app.access.keys import digest_of, new_key
from app.observability import audit
from tests.jobs.apps import FAR, Open, close, ended, hold, rows
from tests.waiting import wait_until

SIDES = (60, 40, 60, 40, 45)


def squares(count: int = len(SIDES), **more: Any) -> dict[str, Any]:
    """Rows of which two are too large where a side may have 50 pixels."""
    items = [{"width": SIDES[n % 5], "height": 40} for n in range(count)]
    return {"renderer": "solid", "items": items, **more}


def submitted(client: FlaskClient, body: dict[str, Any], **headers: str) -> str:
    answer = client.post("/jobs", json=body, headers=headers)
    assert answer.status_code == 202, answer.text
    return str(answer.headers["Location"])


def resume(app: Flask) -> None:
    """Let an app draw that was held."""
    del app.extensions["mimeo.jobs"].start
    app.extensions["mimeo.jobs"].start()


def drawn(app: Flask, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return a list that grows by each request that an app draws for a job."""
    asked: list[Any] = []
    pipeline = app.extensions["mimeo.jobs"]._turns._drawing._pipeline
    submit = pipeline.submit

    def note(request: Any, *given: Any, **named: Any) -> Any:
        asked.append(request)
        return submit(request, *given, **named)

    monkeypatch.setattr(pipeline, "submit", note)
    return asked


@pytest.fixture
def failed(open_app: Open) -> Callable[..., str]:
    """Makes jobs of which two of five images failed by a limit, since raised."""

    def make(body: dict[str, Any], **headers: str) -> str:
        first = open_app()
        hold(first)
        place = submitted(first.test_client(), body, **headers)
        lower = open_app(max_side=50)
        lower.extensions["mimeo.jobs"].start()
        job = ended(lower.test_client(), place)
        assert (job["state"], job["counts"]["failed"]) == ("succeeded", 2)
        close(lower)
        return place

    return make


def test_rows_that_failed_are_drawn_again_and_only_these(
    open_app: Open, failed: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    place = failed(squares())
    app = open_app()
    client = app.test_client()
    old = client.get(f"{place}/archive.zip").data
    alone = client.post("/collections.zip", json=squares()).data
    asked = drawn(app, monkeypatch)

    answer = client.post(f"{place}/retry")
    job = ended(client, answer.headers["Location"])

    assert answer.status_code == 202
    assert answer.headers["Location"] == job["links"]["self"] != place
    assert int(answer.headers["Retry-After"]) > 0
    assert job["retry_of"] == place.rpartition("/")[2]
    assert job["counts"] == {"total": 5, "done": 5, "failed": 0}
    assert client.get(job["links"]["archive"]).data == alone
    assert [request.parameters.width for request in asked] == [60, 60]
    # What others hold of the old one stays as it was.
    assert client.get(f"{place}/archive.zip").data == old
    assert client.get(place).get_json()["counts"]["failed"] == 2
    assert client.get(place).get_json()["retry_of"] is None


def test_a_retry_that_is_asked_for_again_is_the_same(
    open_app: Open, failed: Callable[..., str]
) -> None:
    place = failed(squares())
    app = open_app()
    hold(app)
    client = app.test_client()

    first, again = client.post(f"{place}/retry"), client.post(f"{place}/retry")
    open_one = client.post(f"{first.headers['Location']}/retry")
    like_it = client.post("/jobs", json=squares())
    resume(app)
    ended(client, first.headers["Location"])
    after = client.post(f"{place}/retry")

    assert (first.status_code, again.status_code, after.status_code) == (202, 202, 200)
    places = {each.headers["Location"] for each in (first, again, like_it, after)}
    assert len(places) == 1
    assert open_one.status_code == 409
    assert open_one.get_json()["type"] == "/problems/job-open"
    assert open_one.get_json()["state"] == "queued"


def test_where_a_retry_fails_too_the_next_goes_on_from_it(
    open_app: Open, failed: Callable[..., str]
) -> None:
    place = failed(squares())
    lower = open_app(max_side=50)
    client = lower.test_client()
    first = client.post(f"{place}/retry").headers["Location"]
    assert ended(client, first)["counts"]["failed"] == 2
    close(lower)
    client = open_app().test_client()

    second = client.post(f"{place}/retry").headers["Location"]

    job = ended(client, second)
    assert job["retry_of"] == first.rpartition("/")[2]
    assert job["counts"]["failed"] == 0


def test_of_a_cancelled_job_what_is_missing_is_drawn(
    open_app: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = open_app()
    client = app.test_client()
    alone = client.post("/collections.zip", json=rows(3000)).data
    place = submitted(client, rows(3000))
    wait_until(lambda: client.get(place).get_json()["counts"]["done"] > 0, 60)
    client.delete(place)
    done = ended(client, place)["counts"]["done"]
    asked = drawn(app, monkeypatch)

    job = ended(client, client.post(f"{place}/retry").headers["Location"])

    assert 0 < done < 3000
    assert job["state"] == "succeeded"
    assert len(asked) == 3000 - done
    assert client.get(job["links"]["archive"]).data == alone


def test_a_retry_that_was_cancelled_hides_nothing_of_what_it_goes_on_from(
    open_app: Open, failed: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    place = failed(squares())
    app = open_app()
    hold(app)
    client = app.test_client()
    first = client.post(f"{place}/retry").headers["Location"]
    client.delete(first)
    asked = drawn(app, monkeypatch)
    resume(app)
    assert ended(client, first)["state"] == "cancelled"

    second = ended(client, client.post(f"{place}/retry").headers["Location"])

    assert second["retry_of"] == first.rpartition("/")[2]
    assert second["counts"] == {"total": 5, "done": 5, "failed": 0}
    assert len(asked) == 2


def test_what_the_retry_of_a_retry_takes_over_is_kept(
    open_app: Open, failed: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    place = failed(squares())
    app = open_app()
    client = app.test_client()
    hold(app)
    first = client.post(f"{place}/retry").headers["Location"]
    client.delete(first)
    engine = app.extensions["mimeo.jobs"]
    engine._look()
    second = client.post(f"{first}/retry").headers["Location"]

    refused = client.post(f"{place}/purge")
    monkeypatch.setattr(engine._ledger, "is_over", lambda id: place.endswith(id))
    engine._turns.open_jobs()

    assert client.get(first).get_json()["state"] == "cancelled"
    assert refused.status_code == 409
    assert second.endswith(refused.get_json()["needed_by"])
    assert client.get(place).status_code == 200


def test_what_cannot_be_read_of_the_old_one_is_drawn_again(
    open_app: Open, failed: Callable[..., str], tmp_path: Any
) -> None:
    place = failed(squares())
    client = open_app().test_client()
    alone = client.post("/collections.zip", json=squares()).data
    chunk = tmp_path / "store" / place[1:] / "chunks" / "0"
    data = bytearray(chunk.read_bytes())
    # Within the second of the images.
    data[-600] ^= 1
    chunk.write_bytes(data)

    job = ended(client, client.post(f"{place}/retry").headers["Location"])

    assert client.get(job["links"]["archive"]).data == alone


def test_where_nothing_is_lacking_nothing_is_retried(open_app: Open) -> None:
    client = open_app().test_client()
    place = submitted(client, rows(3))
    ended(client, place)

    answer = client.post(f"{place}/retry")

    assert answer.status_code == 409
    assert answer.get_json()["type"] == "/problems/nothing-to-retry"


def test_a_retry_that_would_fail_again_is_refused(
    open_app: Open, failed: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    place = failed(squares())
    app = open_app()
    client = app.test_client()
    chunks = app.extensions["mimeo.jobs"]._turns._drawing
    job = app.extensions["mimeo.jobs"]._ledger.job(place.rpartition("/")[2])
    opened = type(chunks.collection(job))
    monkeypatch.setattr(opened, "edition_is_current", False)

    answer = client.post(f"{place}/retry")

    assert answer.status_code == 410
    assert answer.get_json()["type"] == "/problems/expired-collection"
    assert len(client.get("/jobs").get_json()["jobs"]) == 1


def test_a_retry_needs_room_of_its_own(
    open_app: Open, failed: Callable[..., str]
) -> None:
    place = failed(squares())
    client = open_app(jobs_bytes=7000).test_client()

    answer = client.post(f"{place}/retry")

    assert answer.status_code == 507
    assert answer.get_json()["type"] == "/problems/jobs-full"


def entries(app: Flask, place: str) -> list[tuple[str, int]]:
    ledger = app.extensions["mimeo.jobs"]._ledger
    found: list[tuple[str, int]] = ledger._store.below(place.rpartition("/")[2])
    return found


def test_a_purged_job_is_gone_and_its_room_is_given_back(
    open_app: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    noted: list[dict[str, Any]] = []
    monkeypatch.setattr(audit, "deletion", lambda **about: noted.append(about))
    app, other = open_app(jobs_bytes=1 << 20), open_app(jobs_bytes=1 << 20)
    hold(other)
    client, beside = app.test_client(), other.test_client()
    place = submitted(client, rows(900))
    ended(client, place)
    assert beside.get(place).get_json()["state"] == "succeeded"
    refused = client.post("/jobs", json=rows(901))

    answer = client.post(f"{place}/purge")
    after = [each.get(place) for each in (client, beside)]
    listed = [each.get("/jobs").get_json()["jobs"] for each in (client, beside)]
    again = submitted(client, rows(900))

    assert refused.status_code == 507
    assert (answer.status_code, answer.data) == (204, b"")
    assert "Content-Type" not in answer.headers
    assert {each.status_code for each in after} == {410}
    assert {each.get_json()["type"] for each in after} == {"/problems/purged-job"}
    assert client.get(f"{place}/archive.zip").status_code == 410
    assert client.post(f"{place}/purge").status_code == 410
    assert listed == [[], []]
    assert entries(app, place) == []
    assert [(about["what"], f"/jobs/{about['id']}") for about in noted] == [
        ("job", place)
    ]
    # Another process, that knew the old one, sees the new one as it is.
    assert again != place
    assert ended(client, again)["counts"]["done"] == 900
    assert beside.get(again).get_json()["state"] == "succeeded"


def test_a_key_may_be_used_again_once_its_job_is_purged(open_app: Open) -> None:
    client = open_app().test_client()
    key = {"Idempotency-Key": "once"}
    place = submitted(client, rows(3), **key)
    ended(client, place)

    client.post(f"{place}/purge")
    other = submitted(client, rows(4), **key)

    assert other != place
    assert ended(client, other)["counts"]["done"] == 4


def test_a_purged_id_is_used_again_when_nobody_can_remember_it(
    open_app: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = open_app()
    client = app.test_client()
    ledger = app.extensions["mimeo.jobs"]._ledger
    places = []
    for count in (3, 4):
        places.append(submitted(client, rows(count)))
        ended(client, places[-1])
    client.post(f"{places[0]}/purge")
    ledger._swept_s = 0.0
    monkeypatch.setattr(ledger, "_ttl_s", -1)

    ledger._sweep()

    assert client.get(places[0]).status_code == 404
    assert submitted(client, rows(3)) == places[0]


def test_a_job_that_goes_on_is_not_purged(open_app: Open) -> None:
    app = open_app()
    hold(app)
    client = app.test_client()
    place = submitted(client, rows(3))

    queued = client.post(f"{place}/purge")
    client.delete(place)
    cancelling = client.post(f"{place}/purge")

    assert (queued.status_code, cancelling.status_code) == (409, 409)
    assert queued.get_json()["type"] == "/problems/job-open"
    assert cancelling.get_json()["state"] == "cancelling"
    assert client.get(place).status_code == 200


def test_what_a_retry_takes_over_is_kept_until_it_has_ended(
    open_app: Open, failed: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    place = failed(squares())
    app = open_app()
    hold(app)
    client = app.test_client()
    retry = client.post(f"{place}/retry").headers["Location"]
    ledger = app.extensions["mimeo.jobs"]._ledger

    refused = client.post(f"{place}/purge")
    monkeypatch.setattr(ledger, "is_over", lambda id: place.endswith(id))
    look = app.extensions["mimeo.jobs"]._look()
    kept = client.get(place).status_code
    resume(app)
    ended(client, retry)

    assert refused.status_code == 409
    assert refused.get_json()["type"] == "/problems/job-needed"
    assert retry.endswith(refused.get_json()["needed_by"])
    assert (look, kept) == (True, 200)
    app.extensions["mimeo.jobs"].enqueue("")
    wait_until(lambda: client.get(place).status_code == 404, 60)
    assert client.get(retry).get_json()["counts"]["done"] == 5


def test_a_result_that_comes_after_the_purge_is_forgotten(open_app: Open) -> None:
    app = open_app()
    client = app.test_client()
    place = submitted(client, rows(3))
    ended(client, place)
    client.post(f"{place}/purge")
    app.extensions["mimeo.jobs"]._ledger._store.create(f"{place[6:]}/chunks/0", b"x")

    assert client.get("/jobs").get_json()["jobs"] == []

    assert entries(app, place) == []


@pytest.fixture
def keys() -> Iterator[tuple[str, list[dict[str, str]]]]:
    """Two callers and an operator."""
    tokens, lines = [], ""
    for scopes in (("draw:*", "jobs", "read"),) * 2 + (("jobs", "admin"),):
        id, token = new_key()
        listed = json.dumps(scopes)
        lines += f'[keys.{id}]\nsha256 = "{digest_of(token)}"\nscopes = {listed}\n'
        tokens.append({"X-API-Key": token})
    yield lines, tokens


@pytest.mark.parametrize("verb", ["retry", "purge"])
def test_only_its_caller_or_an_operator_changes_a_job(
    open_app: Open, keys: tuple[str, list[dict[str, str]]], verb: str
) -> None:
    lines, (own, other, operator) = keys
    client = open_app(access="keys", keys=lines).test_client()
    place = submitted(client, rows(3), **own)
    wait_until(
        lambda: client.get(place, headers=own).get_json()["state"] == "succeeded", 60
    )

    refused = client.post(f"{place}/{verb}", headers=other)
    nobody = client.post(f"{place}/{verb}", headers=FAR)
    allowed = client.post(f"{place}/{verb}", headers=operator)

    assert (refused.status_code, nobody.status_code) == (403, 401)
    assert allowed.status_code == {"retry": 409, "purge": 204}[verb]


def test_an_archive_of_several_chunks_is_taken_over_whole(
    open_app: Open, failed: Callable[..., str]
) -> None:
    items = [{"seed": f"row {n}", "size": 40} for n in range(118)]
    items[7]["size"] = items[110]["size"] = 60
    body = {"renderer": "identicon", "items": items}
    place = failed(body)
    client = open_app().test_client()

    job = ended(client, client.post(f"{place}/retry").headers["Location"])

    data = client.get(job["links"]["archive"]).data
    assert data == client.post("/collections.zip", json=body).data
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
