"""A job outlives its request, and makes what the request would have made."""

import io
import json
import zipfile
from dataclasses import replace
from typing import Any

import pytest

from app.access.keys import digest_of, new_key
from app.jobs.errors import UnknownJob
from tests.jobs.apps import ASYNC, FAR, Open, close, ended, hold, rows
from tests.waiting import wait_until


def test_a_job_is_accepted_at_once_and_succeeds(open_app: Open) -> None:
    client = open_app().test_client()

    answer = client.post("/collections.zip", json=rows(120), headers=ASYNC)
    job = ended(client, answer.headers["Location"])

    assert answer.status_code == 202
    assert answer.headers["Preference-Applied"] == "respond-async"
    assert int(answer.headers["Retry-After"]) > 0
    assert answer.headers["Location"] == job["links"]["self"]
    assert job["state"] == "succeeded"
    assert job["counts"] == {"total": 120, "done": 120, "failed": 0}
    assert job["created"] <= job["started"] <= job["finished"] < job["expires"]


@pytest.mark.parametrize("form", ["zip", "json", "ndjson", "pdf", "gif"])
def test_a_job_makes_what_the_request_makes(open_app: Open, form: str) -> None:
    client = open_app().test_client()
    here = client.post(f"/collections.{form}", json=rows(60)).data

    answer = client.post(f"/collections.{form}", json=rows(60), headers=ASYNC)
    job = ended(client, answer.headers["Location"])

    assert client.get(job["links"]["archive"]).data == here


def test_options_of_a_form_go_along(open_app: Open) -> None:
    client = open_app().test_client()
    path = "/collections.pdf?sheet[page]=A4&sheet[grid]=2x4"
    here = client.post(path, json=rows(9)).data

    answer = client.post(path, json=rows(9), headers=ASYNC)
    job = ended(client, answer.headers["Location"])

    assert client.get(job["links"]["archive"]).data == here


def test_a_row_that_fails_is_told_apart(open_app: Open) -> None:
    first = open_app()
    hold(first)
    sizes = [{"width": side, "height": 40} for side in (60, 40, 60, 40)]
    sent = {"renderer": "solid", "items": sizes}
    # Of the collection's own archive the first image would have to be there.
    place = first.test_client().post("/jobs", json=sent).headers["Location"]
    lower = open_app(max_side=50)
    lower.extensions["mimeo.jobs"].start()
    client = lower.test_client()

    job = ended(client, place)
    archive = zipfile.ZipFile(io.BytesIO(client.get(job["links"]["archive"]).data))
    told = [
        json.loads(line) for line in client.get(f"{place}/errors").data.splitlines()
    ]
    whole = client.get(f"{place}/archive.json").get_json()

    assert job["state"] == "succeeded"
    assert job["counts"] == {"total": 4, "done": 2, "failed": 2}
    assert archive.namelist() == ["00002.png", "00004.png", "manifest.json"]
    assert [(line["row"], line["code"]) for line in told] == [
        (1, "limit-exceeded"),
        (3, "limit-exceeded"),
    ]
    assert ["error" in image for image in whole["images"]] == [True, False, True, False]
    assert whole["images"][0]["error"]["limit"] == "MIMEO_MAX_SIDE"


def test_the_archive_is_sent_by_ranges_and_by_head(open_app: Open) -> None:
    client = open_app().test_client()
    answer = client.post("/jobs", json=rows(130))
    place = ended(client, answer.headers["Location"])["links"]["archive"]
    whole = client.get(place)

    head = client.head(place)
    etag = whole.headers["ETag"]
    parts = [
        client.get(place, headers={"Range": f"bytes={a}-{b}", "If-Range": etag})
        for a, b in ((0, 999), (1000, 20_000), (20_001, len(whole.data) - 1))
    ]
    plain = client.get(place, headers={"Range": "bytes=20001-"})
    beyond = client.get(place, headers={"Range": "bytes=100000000-100001000"})
    fresh = client.get(place, headers={"If-None-Match": etag})

    assert {part.status_code for part in parts} == {206}
    assert b"".join(part.data for part in parts) == whole.data
    # What curl and download managers send: without If-Range.
    assert (plain.status_code, plain.data) == (206, whole.data[20_001:])
    assert beyond.status_code == 416
    assert int(head.headers["Content-Length"]) == len(whole.data)
    assert (fresh.status_code, fresh.data) == (304, b"")
    with zipfile.ZipFile(io.BytesIO(whole.data)) as archive:
        assert archive.testzip() is None
        assert len(archive.namelist()) == 131
        manifest = client.get(place.replace("archive.zip", "manifest.json"))
        assert manifest.data == archive.read("manifest.json")


def test_whoever_waits_long_enough_gets_the_archive(open_app: Open) -> None:
    client = open_app().test_client()
    here = client.post("/collections.zip", json=rows(10)).data
    headers = {"Prefer": "respond-async, wait=20"}

    answer = client.post("/collections.zip", json=rows(10), headers=headers)

    assert (answer.status_code, answer.data) == (200, here)
    assert answer.headers["Preference-Applied"] == "respond-async, wait=20"
    assert client.get(answer.headers["Content-Location"]).data == here


def test_equal_content_is_one_job_and_a_key_makes_another(open_app: Open) -> None:
    app = open_app()
    hold(app)
    client = app.test_client()

    def submit(count: int, **headers: str) -> tuple[int, str]:
        answer = client.post("/jobs", json=rows(count), headers=headers)
        return answer.status_code, answer.headers.get("Location", "")

    first, again, other = submit(5), submit(5), submit(6)
    keyed = submit(5, **{"Idempotency-Key": "a"})
    repeated = submit(5, **{"Idempotency-Key": "a"})
    misused = submit(6, **{"Idempotency-Key": "a"})

    assert first == again != other
    assert keyed == repeated and keyed[1] not in (first[1], other[1])
    assert misused == (422, "")
    listed = client.get("/jobs").get_json()["jobs"]
    assert {job["links"]["self"] for job in listed} == {first[1], other[1], keyed[1]}


def test_the_form_is_part_of_what_is_equal(open_app: Open) -> None:
    app = open_app()
    hold(app)
    client = app.test_client()

    places = {
        client.post(path, json=rows(5), headers=ASYNC).headers["Location"]
        for path in (
            "/jobs?form=zip",
            "/collections.zip",
            "/collections",
            "/jobs?form=pdf",
        )
    }

    assert len(places) == 2


def test_a_cancelled_job_ends_and_its_like_is_a_new_one(open_app: Open) -> None:
    app = open_app()
    hold(app)
    client = app.test_client()
    place = client.post("/jobs", json=rows(100)).headers["Location"]

    first, again = client.delete(place), client.post(f"{place}/cancel")
    between = client.get(place).get_json()["state"]
    del app.extensions["mimeo.jobs"].start
    app.extensions["mimeo.jobs"].start()
    job = ended(client, place)
    after = client.delete(place)
    fresh = client.post("/jobs", json=rows(100)).headers["Location"]

    assert [first.status_code, again.status_code, after.status_code] == [202, 200, 200]
    assert between == "cancelling"
    assert (job["state"], job["counts"]["done"]) == ("cancelled", 0)
    assert job["cancelled"] <= job["finished"]
    assert client.get(job["links"]["archive"]).status_code == 409
    assert fresh != place and ended(client, fresh)["state"] == "succeeded"
    assert client.delete(fresh).status_code == 409


def test_what_is_not_done_has_no_archive_yet(open_app: Open) -> None:
    app = open_app()
    hold(app)
    client = app.test_client()
    place = client.post("/jobs", json=rows(5)).headers["Location"]

    answer = client.get(f"{place}/archive.zip")

    assert answer.status_code == 409
    assert answer.get_json()["type"] == "/problems/job-unfinished"
    assert answer.get_json()["state"] == "queued"
    assert int(answer.headers["Retry-After"]) > 0


def test_a_long_poll_ends_with_the_job(open_app: Open) -> None:
    client = open_app().test_client()
    place = client.post("/jobs", json=rows(200)).headers["Location"]

    answer = client.get(place, headers={"Prefer": "wait=20"})
    tag = answer.headers["ETag"]
    same = client.get(place, headers={"If-None-Match": tag, "Prefer": "wait=20"})

    assert answer.get_json()["state"] == "succeeded"
    assert answer.headers["Preference-Applied"] == "wait=20"
    assert "Retry-After" not in answer.headers
    assert same.status_code == 304


def test_a_restart_goes_on_where_the_last_one_stopped(open_app: Open) -> None:
    first = open_app()
    client = first.test_client()
    here = client.post("/collections.zip", json=rows(2000)).data
    place = client.post("/jobs", json=rows(2000)).headers["Location"]
    wait_until(lambda: client.get(place).get_json()["counts"]["done"] > 0, 60)

    close(first)
    left = client.get(place).get_json()
    second = open_app()
    second.extensions["mimeo.jobs"].start()
    again = second.test_client()
    job = ended(again, place)

    assert left["state"] == "running"
    assert 0 < left["counts"]["done"] < 2000
    assert job["counts"]["done"] == 2000
    assert again.get(job["links"]["archive"]).data == here


def test_a_full_room_refuses_at_submit(open_app: Open) -> None:
    app = open_app(jobs_bytes=1 << 20)
    hold(app)
    client = app.test_client()

    answers = [client.post("/jobs", json=rows(count)) for count in (500, 501, 502)]

    assert [answer.status_code for answer in answers] == [202, 202, 507]
    assert answers[2].get_json()["type"] == "/problems/jobs-full"
    assert answers[2].get_json()["limit"] == "MIMEO_JOBS_BYTES"
    assert len(client.get("/jobs").get_json()["jobs"]) == 2


def test_one_address_gets_a_part_of_the_room(open_app: Open) -> None:
    app = open_app(jobs_bytes=1 << 21, proxies=1)
    hold(app)
    client = app.test_client()

    answers = [
        client.post("/jobs", json=rows(count), headers=FAR) for count in (500, 501)
    ]

    assert [answer.status_code for answer in answers] == [202, 429]
    assert answers[1].get_json()["type"] == "/problems/quota-exceeded"


def test_what_is_past_its_time_is_gone(open_app: Open, monkeypatch) -> None:
    app = open_app(jobs_ttl_s=60)
    client = app.test_client()
    place = client.post("/jobs", json=rows(5)).headers["Location"]
    ended(client, place)
    ledger = app.extensions["mimeo.jobs"]._ledger

    monkeypatch.setattr(ledger, "_ttl_s", -1)
    app.extensions["mimeo.jobs"].enqueue("")

    wait_until(lambda: client.get(place).status_code == 404, 60)
    wait_until(lambda: ledger.ids() == [], 60)


def test_limits_of_jobs_have_their_own_names(open_app: Open) -> None:
    app = open_app(max_rows=3, max_job_rows=5, max_job_bytes=2048)
    hold(app)
    client = app.test_client()

    allowed = client.post("/jobs", json=rows(5))
    many = client.post("/jobs", json=rows(6))
    large = client.post("/jobs", json=rows(100))

    assert allowed.status_code == 202
    assert (many.status_code, many.get_json()["limit"]) == (422, "MIMEO_MAX_JOB_ROWS")
    assert large.status_code == 413
    assert large.get_json()["limit"] == "MIMEO_MAX_JOB_BYTES"


@pytest.mark.parametrize(
    "settings", [{"store": "none"}, {"store": "memory:", "workers": 2}]
)
def test_where_nothing_is_kept_there_are_no_jobs(open_app: Open, settings) -> None:
    client = open_app(**settings).test_client()

    refused = client.post("/jobs", json=rows(3))
    at_once = client.post("/collections.zip", json=rows(3), headers=ASYNC)

    assert refused.status_code == 501
    assert refused.get_json()["type"] == "/problems/no-jobs"
    # A preference may be passed over.
    assert at_once.status_code == 200
    assert "Preference-Applied" not in at_once.headers


def test_memory_of_one_worker_keeps_jobs(open_app: Open) -> None:
    client = open_app(store="memory:").test_client()

    place = client.post("/jobs", json=rows(60)).headers["Location"]

    assert ended(client, place)["state"] == "succeeded"


@pytest.mark.parametrize(
    "path",
    [
        "/jobs/" + "0" * 64,
        "/jobs/" + "g" * 64,
        f"/jobs/{'0' * 64}/archive.zip",
        f"/jobs/{'0' * 64}/errors",
    ],
)
def test_an_id_that_nobody_has_is_unknown(open_app: Open, path: str) -> None:
    answer = open_app().test_client().get(path)

    assert answer.status_code == 404
    assert answer.get_json()["type"] == "/problems/unknown-job"


def test_a_form_that_needs_other_images_is_not_there(open_app: Open) -> None:
    client = open_app().test_client()
    place = client.post("/jobs", json=rows(5)).headers["Location"]
    ended(client, place)

    assert client.get(f"{place}/archive.pdf").status_code == 404
    assert client.get(f"{place}/archive.json").status_code == 200


def test_jobs_are_their_callers_own(open_app: Open) -> None:
    tokens, lines = [], ""
    for _ in range(2):
        id, token = new_key()
        scopes = '["draw:*", "jobs", "read"]'
        lines += f'[keys.{id}]\nsha256 = "{digest_of(token)}"\nscopes = {scopes}\n'
        tokens.append({"X-API-Key": token})
    app = open_app(access="keys", keys=lines)
    hold(app)
    client = app.test_client()

    first, second = (
        client.post("/jobs", json=rows(5), headers=token).headers["Location"]
        for token in tokens
    )
    listed = client.get("/jobs", headers=tokens[0]).get_json()["jobs"]
    refused = client.delete(first, headers=tokens[1])
    cancelled = client.delete(first, headers=tokens[0])

    assert first != second
    assert [job["links"]["self"] for job in listed] == [first]
    assert (refused.status_code, cancelled.status_code) == (403, 202)


def test_open_jobs_take_turns(open_app: Open) -> None:
    app = open_app()
    hold(app)
    client = app.test_client()
    large = client.post("/jobs", json=rows(3000)).headers["Location"]
    small = client.post("/jobs", json=rows(40)).headers["Location"]
    del app.extensions["mimeo.jobs"].start
    app.extensions["mimeo.jobs"].start()

    done = ended(client, small)
    behind = client.get(large).get_json()

    assert done["state"] == "succeeded"
    assert behind["counts"]["done"] < 1500


def test_a_single_image_does_not_wait_for_a_job(open_app: Open) -> None:
    client = open_app().test_client()
    place = client.post("/jobs", json=rows(3000)).headers["Location"]

    answer = client.get("/images/identicon.png?seed=alone")

    assert answer.status_code == 200
    assert client.get(place).get_json()["state"] in ("queued", "running")


def test_jobs_that_have_ended_cost_a_look_nothing(
    open_app: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = open_app()
    client = app.test_client()
    for count in (3, 4, 5):
        ended(client, client.post("/jobs", json=rows(count)).headers["Location"])
    engine = app.extensions["mimeo.jobs"]
    engine.close()
    engine._look()
    asked: list[str] = []

    for name in ("get", "has", "read", "below"):
        monkeypatch.setattr(engine._ledger._store, name, asked.append)
    drawn = engine._look()

    assert (drawn, asked) == (False, [])


def test_more_jobs_than_are_remembered_are_not_all_read_again(
    open_app: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.jobs.job_ledger._REMEMBERED", 4)
    app = open_app()
    hold(app)
    client = app.test_client()
    for count in range(1, 7):
        client.post("/jobs", json=rows(count))
    ledger, read = app.extensions["mimeo.jobs"]._ledger, []
    get = ledger._store.get

    def note(key: str) -> Any:
        read.append(key)
        return get(key)

    list(ledger.jobs())
    monkeypatch.setattr(ledger._store, "get", note)
    found = list(ledger.jobs())

    assert len(found) == 6
    # Of six, three are always at hand, whatever the order that they are listed in.
    assert len([key for key in read if key.endswith("/job.json")]) <= 3


def test_a_job_that_fails_again_and_again_keeps_no_other_waiting(
    open_app: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = open_app()
    hold(app)
    client = app.test_client()
    bad = client.post("/jobs", json=rows(60)).headers["Location"]
    good = client.post("/jobs", json=rows(61)).headers["Location"]
    engine = app.extensions["mimeo.jobs"]
    draw = engine._turns._drawing.draw

    def fail(job: Any, *given: Any) -> bool:
        if job.id == bad.rpartition("/")[2]:
            raise ZeroDivisionError("a mistake")
        return bool(draw(job, *given))

    monkeypatch.setattr(engine._turns._drawing, "draw", fail)
    monkeypatch.setattr("app.jobs.local_engine._LOOK_S", 0.01)
    del engine.start
    engine.start()

    assert ended(client, good)["state"] == "succeeded"
    assert client.get(bad).get_json()["state"] == "queued"


def test_rows_of_before_are_not_taken_for_those_of_a_job_with_its_id(
    open_app: Open,
) -> None:
    app, other = open_app(), open_app()
    hold(app)
    hold(other)
    client = app.test_client()
    ledger = app.extensions["mimeo.jobs"]._ledger
    id = client.post("/jobs", json=rows(5)).headers["Location"].rpartition("/")[2]
    job = ledger.job(id)
    assert ledger.rows(job) is not None

    other.extensions["mimeo.jobs"]._ledger.delete(id)

    assert ledger.rows(replace(job, created=job.created + 1)) is None
    assert ledger.rows(job) is not None  # Known, and gone: whoever reads is told.
    with pytest.raises(UnknownJob):
        ledger.rows(job)(0, 1)
