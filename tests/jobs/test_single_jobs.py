"""A request for one image, or for those of a prompt, as a job: it answers the same."""

import io
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient

from app.access.keys import digest_of, new_key
from tests.jobs.apps import ASYNC, FAR, Open, close, ended, hold, rows
from tests.test_services import Service, serving
from tests.upstream.pictures import PNG, b64, dump
from tests.upstream.wire_forms import Form
from tests.waiting import wait_until

WAIT = {"Prefer": "respond-async, wait=20"}
SEEDED = "/images/identicon.png?seed=a&size=64"
ONE = Form(dump({"images": [b64(PNG)]}), "application/json", (), "base64")
NONE = Form(b"<html>sorry</html>", "text/html", (), "binary")
PROMPT = {"renderer": "ai-service", "prompt": "a lighthouse"}


@pytest.fixture
def service() -> Iterator[Service]:
    with serving(ONE) as running:
        yield running


def place_of(client: FlaskClient, path: str = SEEDED, **given: Any) -> str:
    headers = {**ASYNC, **given.pop("headers", {})}
    answer = client.post(path, headers=headers, **given)
    assert answer.status_code in (200, 202), answer.text
    return str(answer.headers["Location"])


def answer_of(client: FlaskClient, place: str) -> Any:
    job = ended(client, place)
    assert job["state"] == "succeeded", job
    return client.get(job["links"]["answer"])


@pytest.mark.parametrize(
    ("path", "given"),
    [
        (SEEDED, {}),
        ("/images/identicon", {"data": {"seed": "a"}}),
        ("/images/identicon.webp", {"json": {"seed": "a", "quality": 40}}),
        ("/images", {"json": {"renderer": "solid", "params": {"width": 30}}}),
        ("/images/html.png", {"data": "<p>Hello", "content_type": "text/html"}),
        ("/images/card.png?title=B&download=mine", {}),
        ("/images/qr.svg?data=B", {}),
        ("/images/qr.pdf?data=B", {}),
        (SEEDED, {"headers": {"Accept": "application/json"}}),
        ("/inference", {"json": {"prompt": "a"}}),
        ("/inference", {"json": {"prompt": "a"}, "headers": {"Accept": "image/*"}}),
        ("/inference", {"json": {"prompt": "a", "n": 3, "format": "webp"}}),
        (
            "/inference",
            {
                "json": {"prompt": "a", "n": 2},
                "headers": {"Accept": "application/zip"},
            },
        ),
    ],
)
def test_a_job_answers_what_the_request_answers(
    open_app: Open, path: str, given: dict[str, Any]
) -> None:
    client = open_app().test_client()
    headers = given.pop("headers", {})
    here = client.post(path, headers=headers, **given)

    accepted = client.post(path, headers={**ASYNC, **headers}, **given)
    answer = answer_of(client, accepted.headers["Location"])
    waited = client.post(path, headers={**WAIT, **headers}, **given)

    assert accepted.status_code == 202
    assert accepted.headers["Preference-Applied"] == "respond-async"
    assert int(accepted.headers["Retry-After"]) > 0
    for each in (answer, waited):
        assert (each.status_code, each.data) == (200, here.data)
        for name in ("Content-Type", "Content-Disposition", "ETag", "Repr-Digest"):
            assert each.headers.get(name) == here.headers.get(name), name
    assert waited.headers["Preference-Applied"] == "respond-async, wait=20"
    found = client.get(waited.headers["Content-Location"])
    assert found.data == here.data


def test_a_file_that_is_sent_along_is_in_the_job(open_app: Open) -> None:
    client = open_app().test_client()

    def given() -> dict[str, Any]:
        return {"data": {"title": "A", "image": (io.BytesIO(PNG), "a.png")}}

    here = client.post("/images/card.png", **given())
    answer = answer_of(client, place_of(client, "/images/card.png", **given()))
    without = client.post("/images/card.png", data={"title": "A"})

    assert here.status_code == 200
    assert answer.data == here.data != without.data


def test_the_archive_has_the_image_too(open_app: Open) -> None:
    client = open_app().test_client()
    job = ended(client, place_of(client))

    image = client.get(job["links"]["answer"]).data
    archive = zipfile.ZipFile(io.BytesIO(client.get(job["links"]["archive"]).data))

    assert archive.namelist() == ["1.png", "manifest.json"]
    assert archive.read("1.png") == image
    assert job["counts"] == {"total": 1, "done": 1, "failed": 0}


def test_the_answer_has_conditions_ranges_and_a_head(open_app: Open) -> None:
    client = open_app().test_client()
    whole = answer_of(client, place := place_of(client))
    place, tag = f"{place}/answer", whole.headers["ETag"]

    head = client.head(place)
    fresh = client.get(place, headers={"If-None-Match": tag})
    part = client.get(place, headers={"Range": "bytes=8-15", "If-Range": tag})

    assert (head.status_code, head.data) == (200, b"")
    assert int(head.headers["Content-Length"]) == len(whole.data)
    assert (fresh.status_code, fresh.data) == (304, b"")
    assert (part.status_code, part.data) == (206, whole.data[8:16])
    assert "public" not in whole.headers["Cache-Control"]


@pytest.mark.parametrize(
    ("prefer", "status", "applied"),
    [
        ("respond-async", 202, "respond-async"),
        ('Respond-Async; a=b, foo="x, y"', 202, "respond-async"),
        ("respond-async, wait=0", 202, "respond-async"),
        ("respond-async, wait=abc", 202, "respond-async"),
        ("respond-async, wait=-1", 202, "respond-async"),
        ("respond-async, wait=1, wait=20", 202, "respond-async, wait=1"),
        ("wait=20", 200, None),
        ("respond-sync", 200, None),
        ("foo=respond-async", 200, None),
        ("", 200, None),
    ],
)
def test_a_preference_is_applied_or_passed_over(
    open_app: Open, prefer: str, status: int, applied: str | None
) -> None:
    app = open_app()
    hold(app)

    answer = app.test_client().post(SEEDED, headers={"Prefer": prefer})

    assert answer.status_code == status
    assert answer.headers.get("Preference-Applied") == applied


def test_nobody_waits_for_longer_than_the_server_says(open_app: Open) -> None:
    client = open_app().test_client()

    answer = client.post(SEEDED, headers={"Prefer": "respond-async, wait=999999"})

    assert answer.status_code == 200
    assert answer.headers["Preference-Applied"] == "respond-async, wait=20"


@pytest.mark.parametrize("method", ["get", "head"])
def test_what_is_asked_by_get_is_drawn_at_once(open_app: Open, method: str) -> None:
    client = open_app().test_client()

    answer = getattr(client, method)(SEEDED, headers=ASYNC)

    assert answer.status_code == 200
    assert "Preference-Applied" not in answer.headers
    assert client.get("/jobs").get_json()["jobs"] == []


def test_equal_requests_are_one_job(open_app: Open) -> None:
    app = open_app()
    hold(app)
    client = app.test_client()

    first = place_of(client)
    again = place_of(client, "/images/identicon.png", json={"size": 64, "seed": "a"})
    spelt = place_of(client, f"{SEEDED}&scale=1")
    others = [
        place_of(client, f"{SEEDED}&download=mine"),
        place_of(client, headers={"Accept": "application/json"}),
        place_of(client, f"{SEEDED}&scale=2"),
        place_of(client, headers={"Idempotency-Key": "a"}),
        place_of(client, f"{SEEDED}&webhook=https://example.com/a"),
        place_of(client, "/inference", json={"prompt": "a"}),
        place_of(client, "/inference", json={"prompt": "a", "n": 2}),
    ]
    row = {"renderer": "identicon", "items": [{"seed": "a", "size": 64}]}
    others.append(client.post("/jobs", json=row).headers["Location"])

    assert first == again == spelt
    assert len({first, *others}) == 1 + len(others)


def test_a_key_is_of_one_request(open_app: Open) -> None:
    app = open_app()
    hold(app)
    client = app.test_client()
    keyed = {"Idempotency-Key": "k"}
    first = place_of(client, headers=keyed)

    again = place_of(client, headers=keyed)
    other = client.post(f"{SEEDED}&scale=2", headers={**ASYNC, **keyed})
    prompt = {"prompt": "a"}
    place_of(client, "/inference", json=prompt, headers={"Idempotency-Key": "p"})
    misused = client.post(
        "/inference",
        json={"prompt": "b"},
        headers={**ASYNC, "Idempotency-Key": "p"},
    )

    assert first == again
    for each in (other, misused):
        assert each.status_code == 422
        assert each.get_json()["type"] == "/problems/key-reused"


def test_what_is_wrong_is_said_before_there_is_a_job(open_app: Open) -> None:
    app = open_app()
    hold(app)
    client = app.test_client()

    answers = [
        client.post("/images/identicon.png?sed=a", headers=ASYNC),
        client.post("/images/nothing.png", headers=ASYNC),
        client.post("/images/solid.png?width=99999", headers=ASYNC),
        client.post("/inference", json={"prompt": "a", "n": 99}, headers=ASYNC),
        client.post("/inference", json={}, headers=ASYNC),
        client.post("/images", data="{", headers=ASYNC),
        client.post("/images", data="a card", headers=ASYNC),
    ]

    statuses = [each.status_code for each in answers]
    assert statuses == [422, 404, 422, 422, 422, 400, 415]
    assert client.get("/jobs").get_json()["jobs"] == []


@pytest.mark.parametrize(
    ("path", "given", "reason"),
    [
        ("/images/solid.png?webhook=https://example.com", {}, "is for a job"),
        ("/images/solid.png", {"json": {"webhook": "https://a.com"}}, "is for a job"),
        ("/images/solid.png", {"data": {"webhook": "https://a.com"}}, "is for a job"),
        (
            "/images",
            {"json": {"renderer": "solid", "webhook": "https://a.com"}},
            "is for a job",
        ),
        (
            "/inference",
            {"json": {"prompt": "a", "webhook": "https://a.com"}},
            "is for a job",
        ),
        ("/images/solid.png", {"json": {"webhook": 7}, "headers": ASYNC}, "a text"),
        (
            "/inference",
            {"json": {"prompt": "a", "webhook": 7}, "headers": ASYNC},
            "a text",
        ),
        (
            "/images/solid.png?webhook=https://a.com",
            {"json": {"webhook": "https://b.com"}, "headers": ASYNC},
            "twice",
        ),
        (
            "/images/solid.png?webhook=https://a.com&webhook=https://b.com",
            {"headers": ASYNC},
            "more than once",
        ),
        (
            "/images/solid.png",
            {"json": {"webhook": "http://10.0.0.1/"}, "headers": {**ASYNC, **FAR}},
            "",
        ),
        (
            "/inference?webhook=http://10.0.0.1/",
            {"json": {"prompt": "a"}, "headers": {**ASYNC, **FAR}},
            "",
        ),
    ],
)
def test_a_webhook_is_checked(
    open_app: Open, path: str, given: dict[str, Any], reason: str
) -> None:
    app = open_app(proxies=1)
    hold(app)

    answer = app.test_client().post(path, **given)

    assert answer.status_code == 422, answer.text
    assert answer.get_json()["field"] == "webhook"
    assert reason in answer.get_json()["detail"]


def test_what_is_to_be_said_of_a_request_is_said_with_its_job(open_app: Open) -> None:
    client = open_app().test_client()
    path = f"{SEEDED}&v={'0' * 64}&utm_source=mail"

    answers = [client.post(path, headers=headers) for headers in ({}, ASYNC, WAIT)]

    told = [
        (each.headers["X-Stale-Pin"], each.headers["X-Ignored-Parameters"])
        for each in answers
    ]
    assert len(set(told)) == 1


def test_jobs_need_their_scope(open_app: Open) -> None:
    tokens, lines = [], ""
    for scopes in ('["draw:*"]', '["draw:*", "jobs", "read"]', '["jobs", "read"]'):
        id, token = new_key()
        lines += f'[keys.{id}]\nsha256 = "{digest_of(token)}"\nscopes = {scopes}\n'
        tokens.append({"X-API-Key": token, **ASYNC})
    app = open_app(access="keys", keys=lines)
    hold(app)
    client = app.test_client()

    for path, body in ((SEEDED, None), ("/inference", {"prompt": "a"})):
        answers = [client.post(path, json=body, headers=token) for token in tokens]
        assert [each.status_code for each in answers] == [403, 202, 403]
        assert answers[0].get_json()["scope"] == "jobs"
        assert answers[2].get_json()["scope"].startswith("draw:")


def test_where_no_jobs_are_kept_the_image_is_drawn_at_once(open_app: Open) -> None:
    client = open_app(store="none").test_client()

    for path, body in ((SEEDED, None), ("/inference", {"prompt": "a"})):
        answer = client.post(path, json=body, headers=WAIT)
        assert answer.status_code == 200
        assert "Preference-Applied" not in answer.headers


def test_a_single_image_goes_in_its_turn(open_app: Open) -> None:
    app = open_app()
    hold(app)
    client = app.test_client()
    large = client.post("/jobs", json=rows(3000)).headers["Location"]
    place = place_of(client)
    del app.extensions["mimeo.jobs"].start
    app.extensions["mimeo.jobs"].start()

    assert answer_of(client, place).status_code == 200
    assert client.get(large).get_json()["counts"]["done"] < 1500


def test_an_image_that_cannot_be_made_is_the_end_of_its_job(open_app: Open) -> None:
    first = open_app()
    hold(first)
    path = "/images/solid.png?width=60&height=40"
    place = place_of(first.test_client(), path)
    lower = open_app(max_side=50)
    lower.extensions["mimeo.jobs"].start()
    client = lower.test_client()

    job = ended(client, place)
    answer = client.get(f"{place}/answer")
    line = client.get(job["links"]["errors"]).get_json(force=True)
    again = place_of(first.test_client(), path)

    assert job["state"] == "failed"
    assert job["error"]["type"] == "/problems/limit-exceeded"
    assert job["counts"] == {"total": 1, "done": 0, "failed": 1}
    assert (answer.status_code, answer.get_json()["state"]) == (409, "failed")
    assert line["code"] == "limit-exceeded"
    assert again != place


def test_a_job_of_a_collection_has_no_answer(open_app: Open) -> None:
    app = open_app()
    client = app.test_client()
    place = client.post("/jobs", json=rows(3)).headers["Location"]
    job = ended(client, place)

    assert "answer" not in job["links"]
    assert client.get(f"{place}/answer").status_code == 404


def test_a_cancelled_job_has_no_answer(open_app: Open) -> None:
    app = open_app()
    hold(app)
    client = app.test_client()
    place = place_of(client)

    early = client.get(f"{place}/answer")
    cancelled = client.delete(place)
    late = client.get(f"{place}/answer")

    assert [each.status_code for each in (early, cancelled, late)] == [409, 202, 409]
    assert early.get_json()["type"] == "/problems/job-unfinished"


def test_an_image_of_a_service_is_bought_once(open_app: Open, service: Service) -> None:
    client = open_app({"AI_SERVICE_URL": service.url}).test_client()
    path = "/images/ai-service.png?prompt=a+cat"

    answer = answer_of(client, place_of(client, path))
    here = client.post(path)
    as_json = answer_of(client, place_of(client, path, headers={"Accept": "*/json"}))

    assert len(service.asked) == 1
    assert answer.data == here.data == as_json.data
    assert answer.headers["ETag"] == here.headers["ETag"]


@pytest.mark.parametrize("count", [1, 2])
def test_images_of_a_prompt_are_bought_once(
    open_app: Open, service: Service, count: int
) -> None:
    client = open_app({"AI_SERVICE_URL": service.url}).test_client()
    asked = {**PROMPT, "n": count}

    answer = answer_of(client, place_of(client, "/inference", json=asked))
    here = client.post("/inference", json=asked)
    again = client.post("/inference", json=asked, headers=WAIT)
    whole = client.get(answer.request.path.replace("answer", "manifest.json"))

    assert len(service.asked) == 1
    assert here.status_code == 200
    assert answer.data == here.data == again.data
    # One came of two that were asked for.
    assert len(answer.get_json().get("missing", ())) == count - 1
    assert len(whole.get_json()["images"]) == 1
    assert len(whole.get_json()["errors"]) == count - 1


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/images/ai-service.png?prompt=a+cat", None),
        ("/inference", PROMPT),
        ("/inference", {**PROMPT, "n": 2, "format": "webp"}),
    ],
)
def test_who_dies_after_the_purchase_does_not_buy_again(
    open_app: Open,
    service: Service,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    body: Any,
) -> None:
    environ = {"AI_SERVICE_URL": service.url}
    first = open_app(environ)
    engine = first.extensions["mimeo.jobs"]

    def die(*_: Any) -> bool:
        engine._stopping.set()
        raise ZeroDivisionError("the process is gone")

    monkeypatch.setattr(engine._ledger, "commit", die)
    place = place_of(first.test_client(), path, json=body)
    wait_until(lambda: service.asked and not engine.health()["alive"], 60)
    second = open_app(environ)
    second.extensions["mimeo.jobs"].start()

    answer = answer_of(second.test_client(), place)

    assert answer.status_code == 200
    assert len(service.asked) == 1


def test_what_a_service_may_have_made_is_not_asked_for_again(open_app: Open) -> None:
    with serving(NONE) as service:
        client = open_app({"AI_SERVICE_URL": service.url}).test_client()
        for path, body in (
            ("/images/ai-service.png?prompt=a+cat", None),
            ("/inference", PROMPT),
        ):
            service.asked.clear()
            refused = client.post(path, json=body, headers=WAIT)
            told = refused.get_json()
            assert refused.status_code == 502
            assert told["type"] == "/problems/upstream-bad-media"
            assert told["instance"] == path.partition("?")[0]
            job = client.get(refused.headers["Content-Location"]).get_json()
            assert (job["state"], job["error"]["type"]) == ("failed", told["type"])
            assert len(service.asked) == 1


def test_a_job_that_waits_for_a_service_can_be_cancelled(
    open_app: Open, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = service.answer
    held: list[Callable[[], bool]] = [lambda: False]

    def late() -> bytes:
        wait_until(lambda: held[0](), 60)
        return answer()

    monkeypatch.setattr(service, "answer", late)
    app = open_app({"AI_SERVICE_URL": service.url})
    client = app.test_client()
    place = place_of(client, "/inference", json=PROMPT)
    wait_until(lambda: bool(service.asked), 60)

    client.delete(place)
    job = ended(client, place)
    held[0] = lambda: True
    close(app)

    assert job["state"] == "cancelled"
    # What was paid for is there for whoever asks next.
    fresh = open_app({"AI_SERVICE_URL": service.url}).test_client()
    assert fresh.post("/inference", json=PROMPT).status_code == 200
    assert len(service.asked) == 1


def test_a_service_is_not_sent_what_it_cannot_be_told(
    open_app: Open, service: Service
) -> None:
    client = open_app({"AI_SERVICE_URL": service.url}).test_client()

    here = client.post("/inference", json={**PROMPT, "n": 99})
    refused = client.post("/inference", json={**PROMPT, "n": 99}, headers=ASYNC)

    assert here.status_code == refused.status_code == 422
    assert service.asked == []
