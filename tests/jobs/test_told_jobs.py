"""A job that names a webhook has its end told there, whatever it was sent as."""

import json
from urllib.parse import quote

import openai
import pytest
from standardwebhooks import Webhook

from app.access.signed_url import secret_of
from app.bootstrap import open_secrets
from app.config import Settings
from app.jobs.signature import receiver_secret
from app.jobs.webhooks import origin_of
from tests.jobs.apps import ASYNC, FAR, Open, close, ended, hold, rows
from tests.jobs.receiver import Receiver, receiving
from tests.waiting import wait_until

TABLE = "seed,size\none,32\ntwo,32\n"
CSV = {"Content-Type": "text/csv"}


def asked(url: str) -> str:
    return f"/jobs?renderer=identicon&webhook={quote(url, safe='')}"


def verified(receiver: Receiver, folder) -> dict:
    """The last message, as both libraries read it."""
    settings = Settings(store=str(folder))
    secret = receiver_secret(secret_of(open_secrets(settings)), origin_of(receiver.url))
    got = receiver.got[-1]
    message = Webhook(secret).verify(got.body, got.headers)
    client = openai.OpenAI(api_key="none", webhook_secret=secret)
    assert client.webhooks.unwrap(got.body, got.headers).type == message["type"]
    return message


def listed(client, place: str) -> list[dict]:
    return client.get(f"{place}/deliveries").get_json()["deliveries"]


@pytest.mark.parametrize("path", ["/jobs", "/collections.zip", "/collections"])
def test_the_end_of_a_job_is_told(open_app: Open, tmp_path, path: str):
    client = open_app().test_client()
    with receiving(204) as receiver:
        sent = rows(60, webhook=receiver.url)

        place = client.post(path, json=sent, headers=ASYNC).headers["Location"]
        job = ended(client, place)
        wait_until(lambda: len(receiver.got) == 1)
        wait_until(lambda: listed(client, place)[0]["result"] == "delivered")

    message = verified(receiver, tmp_path / "store")
    [made] = listed(client, place)
    assert message["type"] == "job.succeeded"
    assert message["data"] == job == client.get(place).get_json()
    assert (made["attempt"], made["status"], made["next_at"]) == (1, "2xx", None)


def test_whoever_sends_a_table_names_it_in_the_query(open_app: Open, tmp_path):
    client = open_app().test_client()
    with receiving(204) as receiver:
        answer = client.post(asked(receiver.url), data=TABLE, headers=CSV)

        place = answer.headers["Location"]
        wait_until(lambda: len(receiver.got) == 1)

    assert answer.status_code == 202
    assert verified(receiver, tmp_path / "store")["data"]["links"]["self"] == place


def test_a_job_that_was_cancelled_is_told_too(open_app: Open, tmp_path):
    app = open_app()
    hold(app)
    client = app.test_client()
    with receiving(204) as receiver:
        sent = rows(60, webhook=receiver.url)
        place = client.post("/jobs", json=sent).headers["Location"]
        client.delete(place)
        del app.extensions["mimeo.jobs"].start
        app.extensions["mimeo.jobs"].start()
        wait_until(lambda: len(receiver.got) == 1)

    assert verified(receiver, tmp_path / "store")["type"] == "job.cancelled"


def test_a_restart_tells_what_was_not_told(open_app: Open, tmp_path, monkeypatch):
    monkeypatch.setattr("app.jobs.webhooks._ATTEMPTS_AT_S", (0, 1, 2, 3))
    first = open_app()
    client = first.test_client()
    with receiving(503) as receiver:
        sent = rows(5, webhook=receiver.url)
        place = client.post("/jobs", json=sent).headers["Location"]
        wait_until(lambda: len(receiver.got) == 1)
        wait_until(lambda: listed(client, place)[0]["result"] == "failed")
        close(first)
        receiver.answers = [(204, {})]

        second = open_app()
        second.extensions["mimeo.jobs"].start()
        client = second.test_client()
        wait_until(lambda: listed(client, place)[-1]["result"] == "delivered", 30)

    assert verified(receiver, tmp_path / "store")["type"] == "job.succeeded"
    assert listed(client, place)[0]["status"] == "5xx"
    assert len({got.headers["webhook-id"] for got in receiver.got}) == 1


def test_another_receiver_is_another_job(open_app: Open):
    app = open_app()
    hold(app)
    client = app.test_client()
    urls = ["https://one.example/", "https://two.example/", "https://one.example/"]

    places = [
        client.post("/jobs", json=rows(5, webhook=url)).headers["Location"]
        for url in urls
    ]
    silent = client.post("/jobs", json=rows(5)).headers["Location"]

    assert places[0] == places[2]
    assert len({*places, silent}) == 3


def test_nobody_is_shown_where_it_is_told(open_app: Open):
    client = open_app().test_client()
    with receiving(500) as receiver:
        sent = rows(5, webhook=receiver.url)
        answer = client.post("/jobs", json=sent)
        place = answer.headers["Location"]
        wait_until(lambda: listed(client, place)[:1] != [])
        wait_until(lambda: listed(client, place)[0]["result"] == "failed")

    shown = [answer.data, *(client.get(path).data for path in (place, "/jobs"))]
    assert b"of-the-receiver" not in b"".join(shown)
    assert "of-the-receiver" not in json.dumps(listed(client, place))


@pytest.mark.parametrize(
    "url", ["http://shop.example/", "https://10.0.0.1/", "shop.example", ""]
)
def test_a_bad_webhook_is_named_and_nothing_is_submitted(open_app: Open, url: str):
    client = open_app().test_client()

    as_json = client.post("/jobs", json=rows(5, webhook=url))
    as_table = client.post(asked(url), data=TABLE, headers=CSV)

    for answer in (as_json, as_table):
        assert answer.status_code == 422
        assert answer.get_json()["errors"][0]["field"] == "webhook"
    assert client.get("/jobs").get_json()["jobs"] == []


def test_strangers_reach_no_program_of_this_machine(open_app: Open):
    client = open_app().test_client()
    with receiving(204) as receiver:
        sent = rows(5, webhook=receiver.url)

        answer = client.post("/jobs", json=sent, headers=FAR)

    assert answer.status_code == 422
    assert receiver.got == []


@pytest.mark.parametrize("wrong", [7, None, {"url": "https://shop.example/"}, ["x"]])
def test_a_webhook_is_a_text(open_app: Open, wrong):
    answer = open_app().test_client().post("/jobs", json=rows(5, webhook=wrong))

    assert answer.status_code == 422
    assert "webhook" in answer.get_data(as_text=True)


def test_what_is_no_job_takes_no_webhook(open_app: Open):
    client = open_app().test_client()
    sent = rows(5, webhook="https://shop.example/")

    answers = [client.post(p, json=sent) for p in ("/collections", "/collections.zip")]

    assert [answer.status_code for answer in answers] == [422, 422]
    assert "is for a job" in answers[0].get_data(as_text=True)


def test_twice_is_once_too_often(open_app: Open):
    url = "https://shop.example/"

    answer = (
        open_app()
        .test_client()
        .post(f"/jobs?webhook={quote(url)}", json=rows(5, webhook=url))
    )

    assert answer.status_code == 422
    assert "is given twice" in answer.get_data(as_text=True)


def test_what_no_worker_could_sign_is_refused(open_app: Open, monkeypatch):
    monkeypatch.setattr("app.factory.open_webhooks", lambda *_: None)
    sent = rows(5, webhook="https://shop.example/")

    answer = open_app().test_client().post("/jobs", json=sent)

    assert answer.status_code == 422
    assert "MIMEO_WEBHOOK_SECRETS" in answer.get_data(as_text=True)


def test_attempts_are_counted(open_app: Open):
    client = open_app().test_client()

    def count() -> float:
        lines = client.get("/metrics").get_data(as_text=True).splitlines()
        name = 'mimeo_webhook_attempts_total{result="gone"} '
        return sum(float(line[len(name) :]) for line in lines if line.startswith(name))

    before = count()
    with receiving(410) as receiver:
        client.post("/jobs", json=rows(5, webhook=receiver.url))
        wait_until(lambda: count() == before + 1)

    assert len(receiver.got) == 1
