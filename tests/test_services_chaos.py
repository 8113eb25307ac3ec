"""Services that fail in every way: a clear answer, in time and in little memory."""

import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from app import create_app
from app.config import Settings
from tests.gunicorn_server import Reply, Server, serve
from tests.test_services import serving
from tests.upstream.doubles import Double, double, refusing, victim
from tests.upstream.pictures import PNG, dump
from tests.upstream.test_address import FORBIDDEN
from tests.upstream.wire_forms import Form

TOTAL_S = 2.0
# Beyond the deadline: a slow machine's share, not the service's.
SLACK_S = 8.0
# One worker, all of this file's answers: the largest held in memory is 64 KiB.
MOST_GROWTH = 32 << 20
CANARY = "sk-canary-5e1f0c77"
# Path of the double, status, type of the problem.
CHAOS = (
    ("drip", 504, "upstream-timeout"),
    ("drip-without-length", 504, "upstream-timeout"),
    ("drip-in-chunks", 504, "upstream-timeout"),
    ("drip-headers", 504, "upstream-timeout"),
    ("silent", 504, "upstream-timeout"),
    ("stalls", 504, "upstream-timeout"),
    ("cut", 502, "upstream-broken"),
    ("cut-in-a-chunk", 502, "upstream-broken"),
    ("short-of-the-last-chunk", 502, "upstream-broken"),
    ("too-short-a-length", 502, "upstream-bad-media"),
    ("resets", 502, "upstream-broken"),
    ("says-it-is-huge", 502, "upstream-too-large"),
    ("huge", 502, "upstream-too-large"),
    ("huge-in-chunks", 502, "upstream-too-large"),
    ("huge-chunk-line", 502, "upstream-broken"),
    ("gzip-bomb", 502, "upstream-bad-media"),
    ("html", 502, "upstream-bad-media"),
    ("nothing", 502, "upstream-bad-media"),
    ("garbage", 502, "upstream-broken"),
    ("wait-for-ever", 503, "upstream-busy"),
    ("to-metadata", 502, "upstream-denied"),
    ("to-image", 502, "upstream-denied"),
    ("400", 422, "upstream-refused"),
    ("403", 502, "upstream-denied"),
    ("404", 502, "upstream-denied"),
    ("429", 503, "upstream-busy"),
    ("500", 502, "upstream-broken"),
)


def table(name: str, url: str, **more: object) -> str:
    lines = {"kind": "json", "url": url, "key_env": "CHAOS_KEY"}
    lines |= {"total_s": TOTAL_S, "max_wire_bytes": 16 << 20} | more
    rows = (f"{key} = {spell(value)}\n" for key, value in lines.items())
    return f"[upstreams.{name}]\n{''.join(rows)}\n"


def spell(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)


@pytest.fixture(scope="module")
def far() -> Iterator[Double]:
    with double() as running:
        yield running


@pytest.fixture(scope="module")
def server(far: Double, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("chaos")
    tables = [table(f"x-{path}", f"{far.url}/{path}") for path, _, _ in CHAOS]
    tables.append(table("good", f"{far.url}/image"))
    tables.append(table("closed", refusing()))
    file = folder / "services.toml"
    file.write_text("".join(tables))
    settings = {
        "MIMEO_UPSTREAMS": str(file),
        "MIMEO_STORE": str(folder / "store"),
        "MIMEO_ACCESS_LOG": "on",
        "WEB_CONCURRENCY": "1",
        "CHAOS_KEY": CANARY,
    }
    with serve(settings=settings) as running:
        yield running


def ask(server: Server, name: str, prompt: str = "a+cat") -> Reply:
    return server.ask(f"/images/{name}.png?prompt={prompt}")


def kind(reply: Reply) -> str:
    found = re.search(rb'"/problems/([a-z-]+)"', reply.body)
    return found[1].decode() if found else ""


def anonymous(pid: int) -> int:
    """Return the bytes of memory of a process that are in no file."""
    text = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"RssAnon:\s+(\d+) kB", text)
    assert found
    return int(found[1]) << 10


def test_every_failure_has_its_status_in_time_and_in_little_memory(server, far):
    (pid,) = server.workers()
    ask(server, "good", "warm")
    before = anonymous(pid)
    peak = [before]
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.02):
            peak.append(anonymous(pid))

    watcher = threading.Thread(target=watch)
    watcher.start()
    seen = {}
    try:
        for path, _, _ in CHAOS:
            started = time.monotonic()
            reply = ask(server, f"x-{path}")
            took = time.monotonic() - started
            seen[path] = (reply.status, kind(reply))
            assert took < TOTAL_S + SLACK_S, path
            assert far.url.removeprefix("http://").encode() not in reply.body, path
    finally:
        over.set()
        watcher.join()

    assert seen == {path: (status, name) for path, status, name in CHAOS}
    assert max(peak) - before < MOST_GROWTH
    assert ask(server, "good", "after").status == 200


def test_a_wait_of_days_is_told_as_two_minutes(server):
    assert ask(server, "x-wait-for-ever").headers["Retry-After"] == "120"


def test_a_redirect_is_not_followed_with_the_key(server, far):
    reply = ask(server, "x-to-image", "elsewhere")

    assert reply.status == 502
    assert far.count("/image") == sum(
        "prompt" in seen.body.decode() for seen in far.seen if seen.path == "/image"
    )


def test_nobody_listens(server):
    reply = ask(server, "closed")

    assert (reply.status, kind(reply)) == (503, "upstream-unavailable")
    assert reply.headers["Retry-After"] == "10"


def test_a_service_that_is_killed_breaks_the_request_off(tmp_path):
    with victim() as (far, kill):
        file = tmp_path / "services.toml"
        file.write_text(table("killed", f"{far.url}/holds", total_s=30))
        app = create_app(
            Settings(
                store="none", system_fonts=False, upstreams=file, local_callers=True
            ),
            {"CHAOS_KEY": CANARY},
        )
        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(
                app.test_client().get, "/images/killed.png?prompt=a", buffered=True
            )
            time.sleep(0.5)
            kill()
            answer = asked.result(30)
        app.extensions["mimeo"].close()

    assert answer.status_code == 502
    assert answer.get_json()["type"] == "/problems/upstream-broken"
    assert answer.get_json()["outcome_unknown"] is True


def test_a_service_that_fails_again_and_again_is_left_alone(far, tmp_path):
    file = tmp_path / "services.toml"
    file.write_text(table("bad", f"{far.url}/500?again"))
    app = create_app(
        Settings(store="none", system_fonts=False, upstreams=file, local_callers=True),
        {"CHAOS_KEY": CANARY},
    )
    client = app.test_client()

    answers = [client.get(f"/images/bad.png?prompt={n}") for n in range(30)]

    app.extensions["mimeo"].close()
    last = answers[-1]
    assert (last.status_code, last.get_json()["type"]) == (
        503,
        "/problems/circuit-open",
    )
    assert 1 <= int(last.headers["Retry-After"]) <= 120
    assert far.count("/500?again") < 30


def test_no_key_and_no_address_is_in_any_log_or_answer(server, far):
    for path, _, _ in CHAOS[-7:]:
        reply = ask(server, f"x-{path}", "canary")
        assert CANARY.encode() not in reply.body
    assert any(CANARY in str(seen.headers) for seen in far.seen)

    log = server.log.read_text()

    assert "UpstreamBroken" in log
    assert CANARY not in log
    assert far.url.removeprefix("http://") not in log


@pytest.fixture(scope="module")
def linked(tmp_path_factory: pytest.TempPathFactory):
    """Return a client, and the service whose answer names an address."""
    folder = str(tmp_path_factory.mktemp("linked"))
    form = Form(b"", "application/json", (), "url")
    with serving(form) as service:
        app = create_app(
            Settings(
                store=folder, system_fonts=False, access_log=False, local_callers=True
            ),
            {"AI_SERVICE_URL": service.url, "AI_SERVICE_KEY": CANARY},
        )
        yield app.test_client(), service
        app.extensions["mimeo"].close()


@pytest.mark.parametrize("host", FORBIDDEN)
def test_an_address_from_outside_leads_nowhere_private(linked, host):
    client, service = linked
    address = f"http://{host}/x.png"
    service.form = Form(dump({"url": address}), "application/json", (), "url")

    number = FORBIDDEN.index(host)
    answer = client.get(f"/images/ai-service.png?prompt=number+{number}")

    assert answer.status_code == 502
    assert answer.get_json()["type"] in (
        "/problems/upstream-address",
        "/problems/upstream-bad-media",
    )
    assert len(host) < 4 or host not in answer.text


def test_at_least_forty_spellings_are_tried():
    assert len(set(FORBIDDEN)) >= 40


def test_a_resolver_that_changes_its_mind_is_asked_once(linked, monkeypatch):
    client, service = linked
    with double() as inside:
        port = inside.url.rpartition(":")[2]
        address = f"http://rebind.example:{port}/image"
        service.form = Form(dump({"url": address}), "application/json", (), "url")
        real, asked = socket.getaddrinfo, []

        def rebind(host, *rest, **named):
            if host != "rebind.example":
                return real(host, *rest, **named)
            asked.append(host)
            where = "127.0.0.1" if len(asked) > 1 else "192.0.2.1"
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (where, int(port)))]

        monkeypatch.setattr(socket, "getaddrinfo", rebind)
        answer = client.get("/images/ai-service.png?prompt=rebind")

    assert answer.status_code == 502
    assert not inside.seen


def test_the_service_itself_may_be_private_and_name_its_own_images(linked):
    client, service = linked
    address = f"{service.url}/a.png"
    service.form = Form(dump({"url": address}), "application/json", (), "url")

    answer = client.get("/images/ai-service.png?prompt=own")

    assert (answer.status_code, answer.data) == (200, PNG)


def test_what_services_do_is_counted(server):
    for number in range(8):
        ask(server, "x-resets", f"count+{number}")
    ask(server, "good", "counted")

    text = server.ask("/metrics").body.decode()

    def sample(name: str, labels: str) -> float:
        found = re.search(rf"^mimeo_upstream_{name}{{{labels}}} (\S+)$", text, re.M)
        return float(found[1]) if found else 0

    assert sample("open", 'upstream="x-resets"') == 1
    assert sample("open", 'upstream="good"') == 0
    # Five in a row open the breaker; then nothing is sent.
    assert sample("attempts_total", 'upstream="x-resets"') == 5
    broken = 'outcome="UpstreamBroken",upstream="x-resets"'
    assert sample("calls_total", broken) >= 5
    assert sample("calls_total", 'outcome="ok",upstream="good"') >= 1
    assert sample("images_total", 'form="binary",upstream="good"') >= 1


def test_the_same_purchase_has_the_same_key_after_a_failure(server, far):
    for _ in range(2):
        assert ask(server, "x-html", "the+same").status == 502
    assert ask(server, "x-html", "another").status == 502

    bodies = {"the same": [], "another": []}
    for seen in far.seen:
        prompt = seen.path == "/html" and json.loads(seen.body)["prompt"]
        if prompt in bodies:
            bodies[prompt].append(seen.headers["Idempotency-Key"])

    one, two = bodies["the same"]
    assert one == two
    assert bodies["another"] not in ([one], [])
