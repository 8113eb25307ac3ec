"""Messages about jobs arrive signed, are tried again, and go nowhere they must not."""

import json
import logging
import os
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import openai
import pytest
from standardwebhooks import Webhook

from app.bootstrap import open_secrets
from app.cli.main import main
from app.config import BadSetting, Settings
from app.jobs.delivery_log import DeliveryAttempt, DeliveryLog
from app.jobs.job import Job
from app.jobs.job_ledger import JobLedger
from app.jobs.signature import receiver_secret
from app.jobs.webhooks import (
    DeliveryThreads,
    JobEvent,
    Webhooks,
    open_webhooks,
    origin_of,
    secrets_of,
)
from app.renderer.errors import BadParameter
from app.store import StoreError, open_store
from app.upstream.transport import http as connection
from app.upstream.transport.http import roots
from tests.certificate import certify
from tests.jobs.receiver import receiving
from tests.waiting import wait_until

SECRET = b"0123456789abcdef0123456789abcdef"
JOB = "ab" * 32
HOST = "shop.example"
SPAN_S = 86_400


def event(type="job.succeeded", **changed) -> JobEvent:
    job = {"id": JOB, "state": "succeeded", "counts": {"total": 3, "done": 3}}
    job |= {"created": "2026-11-27T21:00:00Z", "links": {"self": f"/jobs/{JOB}"}}
    return JobEvent(type, time.time() - 1, job | changed)


@pytest.fixture
def store():
    return open_store("memory:", 1 << 20, "jobs")


@pytest.fixture
def log(store) -> DeliveryLog:
    return DeliveryLog(store, JOB)


@pytest.fixture
def webhooks() -> Webhooks:
    return Webhooks((), lambda: (SECRET,), local=True)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        (f"https://{'a' * 64}.example/", "a label of the name is over 63 characters"),
        ("https://a.example/hook#part", "has a fragment (#), which no server is ever"),
        ("https://a.example/#", "has a fragment (#)"),
        ("http://127.1/", "its host is a number, and no IPv4 address like 192.0.2.1"),
        ("https://0x7f.1/", "its host is a number, and no IPv4 address"),
        ("https://[1::2::3]/", "its host is no IPv6 address"),
        ("https://a..example/", "a label of the name is empty"),
    ],
)
def test_an_address_that_is_none_is_refused_in_plain_words(webhooks, url, reason):
    with pytest.raises(BadParameter) as refused:
        webhooks.check(url, local=True)

    [fault] = refused.value.faults
    assert fault.field == "webhook"
    assert fault.reason.startswith(reason)


def test_a_label_of_63_characters_is_one(webhooks):
    webhooks.check(f"https://{'a' * 63}.example/", local=True)


def overdue(log: DeliveryLog, count: int) -> None:
    """Note attempts that failed, the last of which wants the next one now."""
    for number in range(1, count + 1):
        then = time.time() - 1
        made = DeliveryAttempt(number=number, started=then, due=then, result="failed")
        assert log.begin(made)


def test_a_message_is_verified_by_both_libraries(webhooks, log):
    with receiving(204) as receiver:
        due = webhooks.deliver(receiver.url, event(), log)

    [got] = receiver.got
    secret = receiver_secret(SECRET, origin_of(receiver.url))
    message = Webhook(secret).verify(got.body, got.headers)
    client = openai.OpenAI(api_key="none", webhook_secret=secret)
    assert due is None
    assert got.path == "/hook?token=of-the-receiver"
    assert got.headers["content-type"] == "application/json"
    assert message.keys() == {"type", "timestamp", "data"}
    assert (message["type"], message["data"]["id"]) == ("job.succeeded", JOB)
    assert client.webhooks.unwrap(got.body, got.headers).data.id == JOB


def test_all_attempts_are_of_one_message_and_each_has_a_time_of_its_own(webhooks, log):
    happened = event()
    with receiving(500, 204) as receiver:
        webhooks.deliver(receiver.url, happened, log)
        first = log.read()[-1]
        log.end(DeliveryAttempt(number=1, started=first.started, due=time.time()))
        wait_until(lambda: int(time.time()) > int(first.started))
        webhooks.deliver(receiver.url, happened, log)

    one, other = receiver.got
    assert one.body == other.body
    assert one.headers["webhook-id"] == other.headers["webhook-id"]
    assert int(one.headers["webhook-timestamp"]) < int(
        other.headers["webhook-timestamp"]
    )


def test_no_two_events_share_an_id():
    failed, longer = event("job.failed"), event(id=JOB + "0")

    assert len({event().id, failed.id, longer.id}) == 3
    # A full stop would end it early in what is signed.
    assert "." not in event().id


def test_a_job_that_is_too_large_is_sent_thin(webhooks, log):
    metadata = {f"name{n}": "値" * 512 for n in range(16)}
    with receiving(204) as receiver:
        webhooks.deliver(receiver.url, event(metadata=metadata), log)

    [got] = receiver.got
    assert len(got.body) < 20_000
    assert json.loads(got.body)["data"].keys() == {"id", "state", "links"}


@pytest.mark.parametrize(
    ("status", "result"),
    [
        (200, "delivered"),
        (299, "delivered"),
        (301, "redirected"),
        (308, "redirected"),
        (400, "refused"),
        (404, "refused"),
        (410, "gone"),
        (429, "refused"),
        (500, "failed"),
        (502, "failed"),
    ],
)
def test_what_a_status_means(webhooks, log, status, result):
    with receiving(status) as receiver:
        due = webhooks.deliver(receiver.url, event(), log)

        [made] = log.read()
        assert (made.result, made.status) == (result, f"{status // 100}xx")
        assert (due is None) == (result in ("delivered", "gone"))
        # Whatever is over stays so.
        webhooks.deliver(receiver.url, event(), log)
        assert len(receiver.got) == 1


def test_a_redirect_is_not_followed(webhooks, log):
    with receiving(204) as other, receiving() as receiver:
        receiver.answers = [(307, {"Location": other.url})]

        webhooks.deliver(receiver.url, event(), log)

    assert (len(receiver.got), len(other.got)) == (1, 0)


def test_attempts_come_later_and_later_for_a_day(webhooks, log):
    pauses = []
    with receiving(500) as receiver:
        for number in range(10):
            due = webhooks.deliver(receiver.url, event(), log)
            last = log.read()[-1]
            assert last.number == number + 1
            if due is not None:
                pauses.append(due - last.started - last.seconds)
                log.end(DeliveryAttempt(number=last.number, started=0, due=0))

        assert due is None
        assert webhooks.deliver(receiver.url, event(), log) is None
    assert len(receiver.got) == 10
    assert 5 <= pauses[0] <= 5.6 and 290 < pauses[1] < 330
    assert SPAN_S - 1 < sum(pauses) < SPAN_S * 1.11


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_receiver_that_is_full_says_when_to_come_back(webhooks, log, status):
    with receiving() as receiver:
        receiver.answers = [(status, {"Retry-After": "700"})]

        due = webhooks.deliver(receiver.url, event(), log)

    assert due is not None
    assert 699 < due - time.time() <= 700


@pytest.mark.parametrize("asked", ["1", "0", "-5", "soon", "1e9"])
def test_retry_after_neither_hastens_nor_ends_the_attempts(webhooks, log, asked):
    with receiving() as receiver:
        receiver.answers = [(429, {"Retry-After": asked})]

        due = webhooks.deliver(receiver.url, event(), log)

    assert due is not None
    assert 4 < due - time.time() <= SPAN_S


def test_what_a_receiver_answers_is_neither_kept_nor_told(webhooks, log, caplog):
    with receiving(500) as receiver, caplog.at_level(logging.DEBUG):
        webhooks.deliver(receiver.url, event(), log)

    kept = json.dumps([each.to_json() for each in log.read()])
    for text in ("secret of the receiver", "token=of-the-receiver", "127.0.0.1"):
        assert text not in kept + caplog.text
    assert "attempt 1: failed" in caplog.text


def test_an_answer_that_never_ends_is_not_read(webhooks, log):
    endless = {"Content-Encoding": "br", "Content-Length": "1000000000000"}
    with receiving(200) as receiver:
        receiver.answers = [(200, endless)]

        assert webhooks.deliver(receiver.url, event(), log) is None

    assert log.read()[0].result == "delivered"


def test_nobody_there_is_tried_again(webhooks, log):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/"

    due = webhooks.deliver(url, event(), log)

    [made] = log.read()
    assert due is not None and due > made.started
    assert (made.result, made.status) == ("unreachable", None)


def test_a_receiver_that_hangs_is_given_up(webhooks, log, monkeypatch):
    monkeypatch.setattr("app.jobs.webhooks._TOTAL_S", 0.3)
    with receiving(204) as receiver:
        receiver.hold.clear()

        due = webhooks.deliver(receiver.url, event(), log)

    assert due is not None
    assert log.read()[0].result == "timeout"


def test_one_process_of_several_makes_an_attempt(webhooks, log):
    with receiving(204) as receiver, ThreadPoolExecutor(16) as threads:
        happened = event()

        def deliver(_: int) -> float | None:
            return webhooks.deliver(receiver.url, happened, log)

        list(threads.map(deliver, range(64)))

    assert len(receiver.got) == 1
    assert [each.result for each in log.read()] == ["delivered"]


def test_who_dies_in_an_attempt_is_followed_by_another(webhooks, log):
    happened = event()
    with receiving(204) as receiver:
        receiver.hold.clear()
        with ThreadPoolExecutor(1) as threads:
            hanging = threads.submit(webhooks.deliver, receiver.url, happened, log)
            wait_until(lambda: len(receiver.got) == 1)
            # What the store holds should this process end here.
            [begun] = log.read()
            due = webhooks.deliver(receiver.url, happened, log)
            receiver.hold.set()
            hanging.result()

        log.end(DeliveryAttempt(number=1, started=begun.started, due=time.time()))
        webhooks.deliver(receiver.url, happened, log)

    assert begun.result == "sending" and due == begun.due
    assert due is not None and 30 < due - begun.started < 40
    first, second = receiver.got
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert [each["result"] for each in log.listed()] == ["interrupted", "delivered"]


def test_a_damaged_record_costs_an_attempt_and_not_the_message(webhooks, store):
    store.put(f"{JOB}/deliveries/1", b"damaged")
    log = DeliveryLog(store, JOB)

    with receiving(204) as receiver:
        webhooks.deliver(receiver.url, event(), log)

    assert [each.result for each in log.read()] == ["damaged", "delivered"]


def test_nothing_is_sent_before_it_is_due(webhooks, log):
    later = time.time() + 60
    log.begin(DeliveryAttempt(number=1, started=0, due=later, result="failed"))

    with receiving(204) as receiver:
        assert webhooks.deliver(receiver.url, event(), log) == later

    assert receiver.got == []


@pytest.fixture
def ledger(store) -> JobLedger:
    return JobLedger(store, None, 3600, 1)


def succeeded(ledger: JobLedger, url: str, name: str = "cards") -> Job:
    """Submit a job without rows that has succeeded already."""
    job = Job(
        id="",
        content=name,
        collection=JOB,
        count=0,
        size=50,
        form="zip",
        query="",
        format="png",
        kind="local",
        account="local",
        key_id="",
        address="",
        created=time.time(),
        reserved=1,
        webhook=url,
    )
    kept = ledger.submit(job, None, lambda: iter([b"rows"]))
    ledger.finish(kept, "succeeded")
    return kept


def test_nobody_waits_for_slow_receivers(webhooks, ledger):
    told = DeliveryThreads(webhooks, ledger)
    with receiving(204) as slow, receiving(204) as quick:
        slow.hold.clear()
        # As many as there are threads, but one.
        for name in ("one", "two", "three"):
            told.tend(succeeded(ledger, slow.url, name))
        job = succeeded(ledger, quick.url)
        told.tend(job)

        wait_until(lambda: len(quick.got) == 1 and len(slow.got) == 3)
        for _ in range(100):
            told.tend(job)

    assert len(quick.got) == 1


def test_a_message_is_sent_again_when_it_is_due(webhooks, ledger, monkeypatch):
    monkeypatch.setattr("app.jobs.webhooks._ATTEMPTS_AT_S", (0, 0.05, 0.1, 60))
    told = DeliveryThreads(webhooks, ledger)
    with receiving(500, 503, 204) as receiver:
        job = succeeded(ledger, receiver.url)

        def ended() -> bool:
            told.tend(job)
            made = ledger.deliveries(job).read()
            return made[-1:] != [] and made[-1].result == "delivered"

        wait_until(ended)

    listed = ledger.deliveries(job).listed()
    assert [each["status"] for each in listed] == ["5xx", "5xx", "2xx"]
    assert len({got.headers["webhook-id"] for got in receiver.got}) == 1
    assert json.loads(receiver.got[0].body)["data"] == ledger.document(job)


def test_a_restart_goes_on_where_another_process_was(webhooks, ledger):
    with receiving(500) as receiver:
        job = succeeded(ledger, receiver.url)
        log = ledger.deliveries(job)
        overdue(log, 9)

        for _ in range(3):
            DeliveryThreads(webhooks, ledger).tend(job)
        wait_until(lambda: log.read()[9:] != [] and log.read()[9].result == "failed")

    assert len(receiver.got) == 1
    assert log.listed()[-1]["next_at"] is None


def test_the_same_rows_are_another_event_when_they_are_a_job_again(webhooks, ledger):
    told = DeliveryThreads(webhooks, ledger)
    with receiving(204) as receiver:
        for count in (1, 2):
            job = succeeded(ledger, receiver.url)
            told.tend(job)
            wait_until(lambda count=count: len(receiver.got) == count)
            wait_until(
                lambda job=job: ledger.deliveries(job).read()[0].result == "delivered"
            )
            ledger.delete(job.id)
            wait_until(lambda job=job: int(time.time()) > int(job.created))

    first, second = receiver.got
    assert first.headers["webhook-id"] != second.headers["webhook-id"]


def test_a_fault_of_the_store_costs_no_attempt(webhooks, ledger, monkeypatch):
    monkeypatch.setattr("app.jobs.webhooks._FAULT_S", 0.05)
    told, faults = DeliveryThreads(webhooks, ledger), [StoreError("no")] * 2
    end = ledger.end

    def asked(id: str) -> object:
        if faults:
            raise faults.pop()
        return end(id)

    with receiving(204) as receiver:
        job = succeeded(ledger, receiver.url)
        monkeypatch.setattr(ledger, "end", asked)

        def came() -> bool:
            told.tend(job)
            return len(receiver.got) == 1

        wait_until(came)

    assert faults == []


def test_the_operator_prints_what_a_receiver_verifies_with(
    monkeypatch, tmp_path, capsys, log
):
    monkeypatch.setenv("MIMEO_STORE", str(tmp_path))
    monkeypatch.setenv("MIMEO_LOCAL_CALLERS", "on")
    settings = Settings.from_env(os.environ)
    webhooks = open_webhooks(settings, open_secrets(settings))
    assert webhooks is not None

    with receiving(204) as receiver:
        assert main(["key", "webhook", receiver.url]) == 0
        webhooks.deliver(receiver.url, event(), log)

    [got] = receiver.got
    assert Webhook(capsys.readouterr().out.strip()).verify(got.body, got.headers)
    assert main(["key", "webhook", "shop.example"]) == 2


def test_secrets_of_the_operator_are_one_or_two():
    new, old = "correct-horse-battery-staple-2027", "correct-horse-battery-staple-2026"
    variable = "MIMEO_WEBHOOK_SECRETS"
    settings = Settings.from_env({"MIMEO_STORE": "none", variable: f"{new},{old}"})

    found = secrets_of(settings, open_secrets(settings))

    assert found is not None and list(found()) == [new.encode(), old.encode()]
    assert new not in repr(settings)
    for bad in (f"{new},{old},{new}", "short", f"{new},"):
        with pytest.raises(BadSetting, match=variable):
            Settings.from_env({variable: bad})


def test_without_a_secret_that_all_workers_know_nothing_is_signed():
    forgetful = Settings(store="none")

    assert open_webhooks(forgetful, open_secrets(forgetful)) is None


BAD = [
    "",
    "shop.example",
    "ftp://shop.example/",
    "http://shop.example/",
    "https://user:password@shop.example/",
    "https://10.0.0.1/",
    "https://169.254.169.254/latest/meta-data/",
    "https://[::ffff:8.8.8.8]/",
    "https://2130706433/",
    "https://shop.example\\@127.0.0.1/",
]
HERE = [
    "http://127.0.0.1:9000/",
    "http://localhost:9000/",
    "http://[::1]:9000/",
    "https://localhost/",
]


@pytest.mark.parametrize("url", BAD)
@pytest.mark.parametrize("local", [True, False])
def test_where_nobody_may_send_is_refused_at_once(webhooks, url, local):
    with pytest.raises(BadParameter, match="webhook: "):
        webhooks.check(url, local=local)


@pytest.mark.parametrize("url", HERE)
def test_this_machine_is_for_its_own_programs(webhooks, url):
    webhooks.check(url, local=True)

    with pytest.raises(BadParameter, match="which only its programs may name"):
        webhooks.check(url, local=False)
    with pytest.raises(BadParameter):
        Webhooks((), lambda: (SECRET,), local=False).check(url, local=True)


@pytest.mark.parametrize("url", [*BAD, *HERE])
def test_what_was_let_in_under_other_settings_is_not_sent(log, url):
    strict = Webhooks((), lambda: (SECRET,), local=False)

    due = strict.deliver(url, event(), log)

    assert due is not None
    assert log.read()[0].result == "forbidden"


def test_hosts_can_be_listed(webhooks):
    listed = Webhooks(("Shop.Example",), lambda: (SECRET,), local=True)

    listed.check("https://shop.example:8443/hook", local=False)
    for url in ("https://other.example/", "https://a.shop.example/", HERE[0]):
        webhooks.check(url, local=True)
        with pytest.raises(BadParameter, match="MIMEO_WEBHOOK_HOSTS does not list"):
            listed.check(url, local=True)


def resolving(monkeypatch, address: str) -> None:
    row = (socket.AF_INET, socket.SOCK_STREAM, 6, "")
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda _, port, **__: [(*row, (address, port))]
    )


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "169.254.169.254"])
def test_a_name_with_a_private_address_is_not_called(
    webhooks, log, monkeypatch, address
):
    resolving(monkeypatch, address)

    with receiving(204) as receiver:
        port = receiver.url.rpartition(":")[2].partition("/")[0]
        webhooks.deliver(f"https://{HOST}:{port}/", event(), log)

    assert receiver.got == []
    assert log.read()[0].result == "forbidden"


def test_over_tls_the_certificate_is_checked(log, monkeypatch, tmp_path):
    strict = Webhooks((), lambda: (SECRET,), local=False)
    file, context = certify(tmp_path / "all.pem", HOST)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    roots.cache_clear()
    resolving(monkeypatch, "127.0.0.1")
    # The address of a test's server is not public.
    monkeypatch.setattr(connection, "is_public", lambda address: True)

    with receiving(204, context=context, host=HOST) as receiver:
        other = receiver.url.replace(HOST, "other.example")
        assert strict.deliver(other, event(), log) is not None
        overdue_at = log.read()[0]
        log.end(DeliveryAttempt(number=1, started=overdue_at.started, due=0))
        assert strict.deliver(receiver.url, event(), log) is None

    roots.cache_clear()
    [got] = receiver.got
    secret = receiver_secret(SECRET, origin_of(receiver.url))
    assert overdue_at.result == "unreachable"
    assert Webhook(secret).verify(got.body, got.headers)
