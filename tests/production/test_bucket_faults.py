"""A bucket that does not answer costs seconds once, and no answer of the server's."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
from moto.server import ThreadedMotoServer

import app.store
from app.store import Store, StoreError, bucket, open_store
from tests.gunicorn_server import Server, serve
from tests.s3_server import access
from tests.unsteady_server import Unsteady, unsteady

KEY, OTHER = "ab" * 32, "cd" * 32
LIMIT = 1 << 20
# What the server waits for a bucket, before it leaves it alone.
SILENCE_S = 1.0
SILENCE = {"AWS_READ_TIMEOUT": f"{SILENCE_S}s"}


@pytest.fixture(scope="module")
def s3() -> Iterator[tuple[str, int]]:
    """An S3 server in this process with one bucket; where it listens."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    requests.put(f"http://{host}:{port}/bucket", timeout=10).raise_for_status()
    yield host, port
    server.stop()


@pytest.fixture
def far(s3: tuple[str, int], monkeypatch: pytest.MonkeyPatch) -> Iterator[Unsteady]:
    """The way to that server, which this process takes as well."""
    # A call that timed out is not made again.
    monkeypatch.setattr(app.store, "_RETRY_S", SILENCE_S / 2)
    with unsteady(s3) as between:
        for name, value in {**access(between.url), **SILENCE}.items():
            monkeypatch.setenv(name, value)
        yield between


def calls_of(room: Store) -> list[Callable[[], object]]:
    """Return a call of each kind."""
    return [
        lambda: room.get(KEY),
        lambda: room.has(KEY),
        lambda: room.read(KEY, 0, 9),
        lambda: room.put(OTHER, b"two"),
        lambda: room.put(OTHER, iter([b"two"])),
        lambda: room.create(OTHER, b"two"),
        lambda: room.delete(KEY),
    ]


def fault_of(call: Callable[[], object]) -> StoreError:
    """Make a call that fails; return the error."""
    with pytest.raises(StoreError) as caught:
        call()
    return caught.value


@pytest.mark.parametrize("mode", ["silent", "closing", "stalling"])
def test_one_call_fails_and_the_next_ones_do_not_ask(
    far: Unsteady, tmp_path: Path, mode: str
) -> None:
    media = open_store(f"s3://bucket/{tmp_path.name}", LIMIT)
    bought = open_store(f"s3://bucket/{tmp_path.name}", LIMIT, "purchases")
    media.put(KEY, b"one")
    assert (media.get(KEY), bought.get(KEY)) == (b"one", None)

    far.turn(mode)
    with pytest.raises(StoreError, match=f"cannot read {KEY}") as first:
        media.get(KEY)
    asked = far.accepted[mode]
    later = [fault_of(call) for room in (media, bought) for call in calls_of(room)]

    assert all("left alone" in str(each) for each in later)
    # The log has said it once.
    assert not first.value.known
    assert all(each.known for each in later)
    assert asked >= 1
    assert far.accepted[mode] == asked


@pytest.mark.parametrize("mode", ["silent", "closing"])
def test_one_probe_at_a_time_asks_whether_it_answers_again(
    far: Unsteady, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    monkeypatch.setattr(bucket, "_COOLDOWN_S", 0.3)
    store = open_store(f"s3://bucket/{tmp_path.name}", LIMIT)
    store.put(KEY, b"one")
    far.turn(mode)
    with pytest.raises(StoreError):
        store.get(KEY)
    far.accepted.clear()
    time.sleep(0.5)

    def ask(_: int) -> str:
        try:
            store.get(KEY)
        except StoreError as error:
            return str(error)
        return ""

    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(ask, range(40)))
    by_probes = far.accepted[mode]
    far.turn("passing")

    assert all("left alone" in each or "calls" in each for each in told), told
    # obstore's own retries of one probe, where the connection is closed at once.
    assert by_probes <= (1 if mode == "silent" else 3 * 2)
    end = time.monotonic() + 30
    while ask(0):
        assert time.monotonic() < end
        time.sleep(0.05)
    assert store.get(KEY) == b"one"


def test_what_a_bucket_refuses_by_itself_leaves_it_in_use(
    far: Unsteady, tmp_path: Path
) -> None:
    store = open_store(f"s3://bucket/{tmp_path.name}", LIMIT)
    lost = open_store(f"s3://nobody/{tmp_path.name}", LIMIT)

    for _ in range(3):
        assert store.get(KEY) is None
        assert not store.has(KEY)
        assert lost.get(KEY) is None
    store.put(KEY, b"one")
    assert store.read(KEY, 50, 60) == b""
    assert store.create(KEY, b"two") is False

    assert store.get(KEY) == b"one"


def test_a_fault_of_whoever_writes_is_none_of_the_bucket(
    far: Unsteady, tmp_path: Path
) -> None:
    store = open_store(f"s3://bucket/{tmp_path.name}", LIMIT)

    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            store.put(KEY, (1 // left * b"x" for left in range(3, -1, -1)))

    store.put(KEY, b"one")
    assert store.get(KEY) == b"one"


def test_no_more_than_its_places_wait_for_a_bucket(
    far: Unsteady, tmp_path: Path
) -> None:
    store = open_store(f"s3://bucket/{tmp_path.name}", LIMIT, places=2)
    store.put(KEY, b"one")
    far.turn("silent")
    told: list[str] = []

    def ask() -> None:
        try:
            store.get(KEY)
        except StoreError as error:
            told.append(str(error))

    threads = [threading.Thread(target=ask) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(told) == 20
    assert sum("too many calls" in each for each in told) >= 16
    assert far.accepted["silent"] <= 2


@pytest.fixture(params=["silent", "closing", "refusing"])
def without_bucket(
    request: pytest.FixtureRequest, s3: tuple[str, int], tmp_path: Path
) -> Iterator[Server]:
    """A worker with few threads whose bucket is gone from the beginning."""
    with unsteady(s3) as between, socket.create_server(("127.0.0.1", 0)) as closed:
        nobody = f"http://127.0.0.1:{closed.getsockname()[1]}"
        between.turn(request.param)
        refusing = request.param == "refusing"
        if refusing:
            closed.close()
        settings = {
            **access(nobody if refusing else between.url),
            **SILENCE,
            "MIMEO_STORE": f"s3://bucket/{tmp_path.name}",
            "WEB_CONCURRENCY": "1",
            "MIMEO_THREADS": "8",
            "MIMEO_QUEUE_TIMEOUT_S": "60",
        }
        with serve(settings=settings) as server:
            yield server


def test_a_server_whose_bucket_is_gone_answers_without_it(
    without_bucket: Server,
) -> None:
    server = without_bucket
    spans: list[float] = []
    done = threading.Event()

    def watch() -> None:
        while not done.is_set():
            asked = time.perf_counter()
            assert server.ask("/health/live").status == 200
            spans.append(time.perf_counter() - asked)

    with ThreadPoolExecutor(9) as pool:
        watching = pool.submit(watch)
        begun = time.perf_counter()
        cards = list(pool.map(lambda n: timed(server, f"card{n}"), range(8)))
        first_s = time.perf_counter() - begun
        done.set()
        watching.result()
    begun = time.perf_counter()
    later = [timed(server, f"later{n}") for n in range(8)]
    later_s = time.perf_counter() - begun

    assert [status for status, _ in cards + later] == [200] * 16
    # Eight one after the other take less than eight at once that had to wait.
    assert later_s < 3 * first_s
    # Whoever asks whether it lives does not wait for a bucket.
    assert min(spans) < SILENCE_S / 4
    assert sorted(spans)[len(spans) // 2] < SILENCE_S
    ready = server.ask("/health/ready")
    # All instances share the bucket: a 503 would leave nobody to serve.
    assert (ready.status, json.loads(ready.body)["status"]) == (200, "degraded")
    assert "cannot be used" in json.loads(ready.body)["store"]
    log = server.log.read_text()
    assert log.count("the bucket is left alone") < 8
    assert "Traceback" not in log


def timed(server: Server, title: str) -> tuple[int, float]:
    begun = time.perf_counter()
    status = server.ask(f"/images/card.png?title={title}").status
    return status, time.perf_counter() - begun


def test_what_the_environment_says_of_the_client_counts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen = []
    monkeypatch.setenv("AWS_READ_TIMEOUT", "7s")
    monkeypatch.setenv("AWS_PROXY_URL", "http://127.0.0.1:9")
    monkeypatch.setattr(
        app.store, "from_url", lambda url, **given: seen.append(given["client_options"])
    )

    open_store("s3://bucket/x", LIMIT)

    (options,) = seen
    assert options["read_timeout"] == "7s"
    assert options["proxy_url"] == "http://127.0.0.1:9"
    assert options["connect_timeout"].total_seconds() > 0
