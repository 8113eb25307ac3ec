"""Calls to upstreams that misbehave: what comes of it, and how soon."""

import logging
import pickle
import socket
import subprocess
import sys
import threading
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.upstream.errors import (
    BadMedia,
    CircuitOpen,
    TooLarge,
    UpstreamBroken,
    UpstreamBusy,
    UpstreamDenied,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from app.upstream.resilience.concurrency import ConcurrencyLimit, breaker_of
from app.upstream.resilience.retry import Budget, Deadline, retry_after
from app.upstream.transport import http
from app.upstream.transport.call import call
from tests.upstream.caller import (
    KEY,
    LATE_S,
    PROMPT,
    Wanted,
    ask,
    fetch,
    near,
    soon,
)
from tests.upstream.doubles import PNG, double, refusing, victim


@pytest.fixture(scope="module")
def server():
    with double() as running:
        yield running


@pytest.fixture
def upstream(server):
    """The double, with nothing seen so far."""
    server.seen.clear()
    server.release.clear()
    return server


@pytest.mark.parametrize("path", ["/image", "/chunked"])
def test_an_answer_comes_back_byte_for_byte(upstream, path):
    received, data = ask(upstream.url, path)

    assert (received.status, data) == (200, PNG)


def test_headers_of_an_answer_have_lower_case_names(upstream):
    received, _ = ask(upstream.url, "/image")

    assert received.headers["finish-reason"] == "SUCCESS"
    assert received.content_type == "image/png"


def test_a_request_goes_out_as_it_was_built(upstream):
    ask(upstream.url, "/image?x=1")

    (seen,) = upstream.seen
    assert (seen.method, seen.path, seen.body) == (
        "POST",
        "/image?x=1",
        Wanted("").body,
    )
    assert seen.headers["Host"] == upstream.url.removeprefix("http://")
    assert seen.headers["Authorization"] == f"Bearer {KEY}"
    assert seen.headers["Accept-Encoding"] == "identity"


def test_the_environment_adds_no_proxy_and_no_credentials(
    upstream, monkeypatch, tmp_path
):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login user password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HTTP_PROXY", refusing())
    monkeypatch.setenv("http_proxy", refusing())

    assert fetch(f"{upstream.url}/image", upstream.url) == PNG

    assert "Authorization" not in upstream.seen[0].headers


def test_an_answer_without_a_body_is_an_answer(upstream):
    received, data = ask(upstream.url, "/nothing")

    assert (received.status, data) == (204, b"")


def test_a_page_at_200_is_handed_on_for_the_bytes_to_be_judged(upstream):
    received, data = ask(upstream.url, "/html")

    assert received.status == 200
    assert data.startswith(b"<!doctype html>")


@pytest.mark.parametrize(
    "path", ["/drip", "/drip-without-length", "/drip-in-chunks", "/drip-headers"]
)
def test_one_byte_at_a_time_ends_with_the_deadline(upstream, path):
    with soon(), pytest.raises(UpstreamTimeout) as caught:
        ask(upstream.url, path, total_s=0.5)

    assert (caught.value.hop, caught.value.allowed_s) == ("total", 0.5)
    assert caught.value.outcome_unknown
    assert len(upstream.seen) == 1


def test_headers_that_drip_end_with_the_first_byte_limit(upstream):
    with soon(), pytest.raises(UpstreamTimeout) as caught:
        ask(upstream.url, "/drip-headers", total_s=60, first_byte_s=0.3)

    assert (caught.value.hop, caught.value.allowed_s) == ("first byte", 0.3)


def test_silence_before_the_answer_is_named(upstream):
    with soon(), pytest.raises(UpstreamTimeout) as caught:
        ask(upstream.url, "/silent", total_s=60, first_byte_s=0.3)

    assert caught.value.hop == "first byte"
    assert len(upstream.seen) == 1


def test_silence_within_the_answer_is_named(upstream):
    with soon(), pytest.raises(UpstreamTimeout) as caught:
        ask(upstream.url, "/stalls", total_s=60, idle_s=0.3)

    assert (caught.value.hop, caught.value.allowed_s) == ("idle", 0.3)


def test_a_connection_that_nobody_accepts_is_named_and_bought_nothing():
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        # Linux lets a few more than zero wait; then it answers no one.
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(address)

        with soon(), pytest.raises(UpstreamTimeout) as caught:
            ask(f"http://127.0.0.1:{address[1]}", "/image", connect_s=0.2)

        for one in waiting:
            one.close()

    assert (caught.value.hop, caught.value.outcome_unknown) == ("connect", False)


@pytest.mark.parametrize(
    "path",
    [
        "/cut",
        "/cut-in-a-chunk",
        "/short-of-the-last-chunk",
        "/resets",
        "/garbage",
        "/500",
        "/503",
    ],
)
def test_a_paid_request_whose_outcome_is_unknown_is_sent_once(upstream, path):
    with pytest.raises(UpstreamBroken) as caught:
        ask(upstream.url, path)

    assert caught.value.outcome_unknown
    assert len(upstream.seen) == 1


def test_a_length_that_is_too_short_ends_the_body(upstream):
    _, data = ask(upstream.url, "/too-short-a-length")

    assert data == PNG[:10]


@pytest.mark.parametrize(
    "path", ["/says-it-is-huge", "/huge", "/huge-in-chunks", "/gzip-bomb"]
)
def test_no_more_than_the_cap_is_taken_in(upstream, path):
    tracemalloc.start()
    try:
        with soon(), pytest.raises((TooLarge, BadMedia)) as caught:
            ask(upstream.url, path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    # The double in this process builds the bomb, 200 KB of it.
    assert peak < 4 << 20
    if path != "/gzip-bomb":
        assert (caught.value.limit, caught.value.allowed) == ("max_wire_bytes", 100_000)
    assert len(upstream.seen) == 1


def test_a_chunk_line_without_end_is_not_taken_in(upstream):
    tracemalloc.start()
    try:
        with soon(), pytest.raises(UpstreamBroken):
            ask(upstream.url, "/huge-chunk-line")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 4 << 20


def test_an_answer_of_just_the_cap_is_taken(upstream):
    assert ask(upstream.url, "/chunked", max_wire_bytes=len(PNG))[1] == PNG

    with pytest.raises(TooLarge):
        ask(upstream.url, "/chunked", max_wire_bytes=len(PNG) - 1)


def test_a_compressed_answer_is_refused_unread(upstream):
    with pytest.raises(BadMedia, match="compressed"):
        ask(upstream.url, "/gzip-bomb")


def test_only_the_beginning_of_an_error_is_read(upstream):
    received, data = ask(upstream.url, "/huge-error", max_wire_bytes=100)

    assert (received.status, data) == (400, b"e" * 65_536)


@pytest.mark.parametrize("status", [400, 403, 404, 429])
def test_a_refusal_is_handed_on_with_its_message(upstream, status):
    received, data = ask(upstream.url, f"/{status}")

    assert (received.status, data) == (status, b'{"error":{"message":"no"}}')
    assert len(upstream.seen) == 1


def test_credentials_follow_no_redirect(upstream):
    with pytest.raises(UpstreamDenied) as caught:
        ask(upstream.url, "/to-image")

    assert caught.value.upstream_status == 302
    assert [one.path for one in upstream.seen] == ["/to-image"]


def test_a_pause_that_never_ends_is_not_waited_for(upstream):
    with soon(), pytest.raises(UpstreamBusy) as caught:
        ask(upstream.url, "/wait-for-ever", total_s=1000)

    assert caught.value.retry_s == 120
    assert len(upstream.seen) == 1


def test_a_pause_beyond_the_deadline_is_not_waited_for(upstream):
    with pytest.raises(UpstreamBusy):
        ask(upstream.url, "/full-once", total_s=0.9)

    assert len(upstream.seen) == 1


def test_a_full_upstream_is_asked_again_when_it_said_so(upstream):
    started = time.monotonic()

    _, data = ask(upstream.url, "/full-once")

    assert data == PNG
    assert time.monotonic() - started >= 1
    keys = [one.headers["Idempotency-Key"] for one in upstream.seen]
    assert len(keys) == 2
    assert keys[0] == keys[1] != ""


def test_two_calls_have_two_idempotency_keys(upstream):
    ask(upstream.url, "/image")
    ask(upstream.url, "/image")

    keys = {one.headers["Idempotency-Key"] for one in upstream.seen}
    assert len(keys) == 2


def test_an_idempotency_key_of_the_request_is_kept(upstream):
    wanted = Wanted("/image", headers={"idempotency-key": "mine"})

    call(
        near(upstream.url),
        wanted,
        deadline=Deadline.after(9),
        gate=ConcurrencyLimit("far"),
    ).body.close()

    assert upstream.seen[0].headers.get_all("Idempotency-Key") == ["mine"]


def test_a_refused_connection_is_tried_three_times(monkeypatch):
    tried = []
    connect = socket.socket.connect

    def count(self, address):
        tried.append(address)
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", count)

    with soon(), pytest.raises(UpstreamUnavailable) as caught:
        ask(refusing(), "/image")

    assert len(tried) == 3
    assert not caught.value.outcome_unknown


def test_a_name_that_nobody_knows_is_unavailable(monkeypatch):
    def unknown(*_, **__):
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)

    with pytest.raises(UpstreamUnavailable):
        ask("http://nowhere.example", "/image")


def test_without_a_budget_nothing_is_tried_again(upstream):
    gate = ConcurrencyLimit("far", budget=Budget(share=0, reserve=0))

    with pytest.raises(UpstreamBusy):
        ask(upstream.url, "/full-once", gate=gate)

    assert len(upstream.seen) == 1


def test_an_upstream_that_keeps_failing_is_left_alone(upstream):
    gate = ConcurrencyLimit("far", breaker=breaker_of("far", failures=2))
    for _ in range(2):
        with pytest.raises(UpstreamBroken):
            ask(upstream.url, "/500", gate=gate)

    with pytest.raises(CircuitOpen):
        ask(upstream.url, "/image", gate=gate)

    assert len(upstream.seen) == 2


def test_patient_calls_outlive_a_service_that_restarts():
    url = refusing()
    gate = ConcurrencyLimit(
        "far", breaker=breaker_of("far", failures=3, cooldown_s=0.2)
    )
    with ThreadPoolExecutor(8) as threads:
        waiting = [
            threads.submit(ask, url, "/image", gate=gate, patient=True, total_s=30)
            for _ in range(40)
        ]
        while gate.breaker.state == "closed":
            time.sleep(0.01)
        with pytest.raises(CircuitOpen), soon():
            ask(url, "/image", gate=gate)

        with double(port=int(url.rpartition(":")[2])) as back:
            images = [one.result(LATE_S)[1] for one in waiting]

    assert images == [PNG] * 40
    assert len(back.seen) == 40


def test_a_patient_call_is_sent_once_where_its_outcome_is_unknown(upstream):
    with pytest.raises(UpstreamBroken):
        ask(upstream.url, "/500", patient=True)

    assert len(upstream.seen) == 1


def test_refusals_do_not_open_the_breaker(upstream):
    gate = ConcurrencyLimit("far", breaker=breaker_of("far", failures=2))
    for _ in range(4):
        ask(upstream.url, "/400", gate=gate)

    assert ask(upstream.url, "/image", gate=gate)[1] == PNG


def test_calls_of_one_upstream_run_side_by_side(upstream):
    gate = ConcurrencyLimit("far", concurrency=4)

    with ThreadPoolExecutor(4) as threads:
        calls = [
            threads.submit(ask, upstream.url, "/holds", gate=gate) for _ in range(4)
        ]
        give_up = time.monotonic() + LATE_S
        while len(upstream.seen) < 4 and time.monotonic() < give_up:
            time.sleep(0.01)
        upstream.release.set()

    assert [data for _, data in (one.result() for one in calls)] == [PNG] * 4


def test_an_upstream_that_is_killed_ends_the_call_and_is_then_unavailable():
    with victim() as (running, kill):
        with ThreadPoolExecutor(1) as threads:
            waiting = threads.submit(ask, running.url, "/stalls", total_s=60, idle_s=60)
            time.sleep(0.3)
            kill()
            with soon():
                error = waiting.exception(LATE_S)

        with pytest.raises(UpstreamUnavailable):
            ask(running.url, "/image")

    assert isinstance(error, UpstreamBroken)


def test_a_call_starts_one_thread_for_the_name_and_leaves_none(upstream, monkeypatch):
    started: list[threading.Thread] = []
    start = threading.Thread.start

    def note(thread: threading.Thread) -> None:
        started.append(thread)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", note)
    for path in ("/image", "/400"):
        ask(upstream.url, path)
    for path, error in (("/cut", UpstreamBroken), ("/to-image", UpstreamDenied)):
        with pytest.raises(error):
            ask(upstream.url, path)

    ours = [thread for thread in started if thread.name.startswith("mimeo")]
    for thread in ours:
        thread.join(LATE_S)
    assert [thread.name for thread in ours] == ["mimeo-resolver"] * 4
    assert not any(thread.is_alive() for thread in ours)


def test_a_socket_that_was_not_checked_is_never_written_to(upstream, monkeypatch):
    """As would happen if urllib3 gave its private `_new_conn` another name."""
    monkeypatch.delattr(http._Connection, "_new_conn")

    with pytest.raises(RuntimeError, match="not checked"):
        ask(upstream.url, "/image")

    assert upstream.seen == []


def test_importing_the_transport_changes_no_logger():
    program = """
import app.upstream.transport.call, logging
print(logging.getLogger("urllib3").level)
"""

    level = subprocess.run([sys.executable, "-c", program], capture_output=True)

    assert level.stdout.split() == [b"0"]


@pytest.mark.parametrize(
    "path", ["/resets", "/bad-header", "/wait-for-ever", "/500", "/to-image", "/silent"]
)
def test_no_key_prompt_or_address_reaches_the_log_or_the_error(upstream, path, caplog):
    caplog.set_level(logging.DEBUG)
    said = ""

    try:
        ask(upstream.url, f"{path}?sig={KEY}", total_s=0.5)
    except Exception as error:
        # What a handler of errors would write, chained causes and all.
        logging.getLogger("test").exception("failed")
        said = f"{error} {error!r} {pickle.loads(pickle.dumps(error))}"

    text = f"{caplog.text} {said}".replace(__file__, "")
    for secret in (KEY, PROMPT, "127.0.0.1", upstream.url.rpartition(":")[2]):
        assert secret not in text


@pytest.mark.parametrize("key", [f"{KEY}\n", f"{KEY}\u2028", f" {KEY}"])
def test_a_key_that_no_header_can_hold_is_not_repeated(upstream, key, caplog):
    wanted = Wanted("/image", headers={"Authorization": key})
    gate = ConcurrencyLimit("far")

    with pytest.raises(UpstreamUnavailable):
        try:
            call(
                near(upstream.url),
                wanted,
                deadline=Deadline.after(9),
                gate=gate,
            )
        except UpstreamUnavailable:
            logging.getLogger("test").exception("failed")
            raise

    assert "failed" in caplog.text
    assert KEY not in caplog.text
    assert upstream.seen == []


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "0"}, 0),
        ({"retry-after": " 7 "}, 7),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": "99999"}, 99_999),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "1e999"}, None),
        ({"retry-after": "soon"}, None),
        (
            {
                "retry-after": "Wed, 21 Oct 2015 07:28:30 GMT",
                "date": "Wed, 21 Oct 2015 07:28:00 GMT",
            },
            30,
        ),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0),
        ({"retry-after": "Wed, 99 Oct 2015 07:28:00 GMT"}, None),
    ],
)
def test_a_pause_is_read_from_seconds_or_a_date(headers, seconds):
    assert retry_after(headers) == seconds
