"""A rate holds whoever draws it and wherever, and nothing but drawing is charged."""

import json
import random
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from app import create_app
from app.access import rates
from app.access.caller import CALLER, Caller
from app.access.errors import RateExceeded
from app.access.keys import Key
from app.access.ledger import LedgerError, SqliteLedger, open_ledger
from app.access.rates import Charge, Rates, cost_of
from app.config import BadSetting, Settings
from app.config.parsers import Rate
from tests.access.ledgers import Clock, CountingLedger, in_file, redis_server, tolerant
from tests.gunicorn_server import ROOT, serve

STRANGER = Caller("anonymous", "203.0.113.7")
PROXIED = {"X-Forwarded-For": "203.0.113.7"}


HUNDRED = Rate(100.0, 3600)


def limited(ledger: Any, rate: Rate = HUNDRED, **more: Any) -> Rates:
    return Rates(Settings(rate_anonymous=rate, **more), tolerant(ledger))


@pytest.mark.parametrize(
    ("size", "format", "isolated", "cost"),
    [
        ((1000, 1000), "png", False, 1),
        ((1, 1), "png", False, 0.05),
        ((1000, 500), "jpg", False, 0.5),
        ((1000, 1000), "avif", False, 8),
        ((1000, 1000), "webp", False, 3),
        ((1000, 1000), "png", True, 2),
        ((1000, 1000), "avif", True, 16),
        ((10, 10), "webp", False, pytest.approx(0.15)),
    ],
)
def test_what_an_image_costs(size, format, isolated, cost):
    assert cost_of(size, format, isolated=isolated) == cost


def test_whoever_has_some_left_is_admitted_and_debited_whole(ledger):
    own = limited(ledger)

    own.check(STRANGER)
    own.debit(STRANGER, 250)

    with pytest.raises(RateExceeded) as caught:
        own.check(STRANGER)
    error = caught.value
    assert (error.limit, error.remaining, error.unit) == (100, 0, "megapixels")
    # 150 of 100 an hour.
    assert 5390 <= error.retry_s <= 5400
    assert dict(error.headers) == {
        "Retry-After": str(error.retry_s),
        "RateLimit-Policy": '"default";q=100;w=3600',
        "RateLimit": f'"default";r=0;t={error.retry_s}',
    }


def test_all_of_a_bucket_can_be_had_by_several_workers(ledger):
    workers = [limited(ledger) for _ in range(4)]
    drawn = 0.0

    for turn in random.Random(7).choices(workers, k=400):
        try:
            turn.check(STRANGER)
        except RateExceeded:
            continue
        turn.debit(STRANGER, 1)
        drawn += 1

    # The last grants are of under a megapixel, and an image may cost more than that.
    assert 98 <= drawn <= 100 + len(workers)


def test_one_caller_takes_nothing_from_another(ledger):
    own = limited(ledger)
    own.debit(STRANGER, 101)

    own.check(Caller("anonymous", "203.0.113.8"))
    own.check(Caller("key", key=Key("aaaaaaaa", "0" * 64)))

    with pytest.raises(RateExceeded):
        own.check(STRANGER)


def test_a_new_process_finds_what_is_used_up(ledger):
    limited(ledger).debit(STRANGER, 101)

    with pytest.raises(RateExceeded):
        limited(ledger).check(STRANGER)


def test_a_key_has_its_own_rate_or_that_of_keys(ledger):
    own = limited(ledger, rate_key=Rate(10, 3600))
    slow = Caller("key", key=Key("aaaaaaaa", "0" * 64, rate=Rate(1, 3600)))
    usual = Caller("signature", key=Key("bbbbbbbb", "0" * 64))

    for caller in (slow, usual):
        own.check(caller)
        own.debit(caller, 5)

    own.check(usual)
    with pytest.raises(RateExceeded) as caught:
        own.check(slow)
    assert caught.value.limit == 1


def test_a_rate_of_none_of_its_own_is_not_that_of_keys(ledger):
    # It fell back to MIMEO_RATE_KEY, as a key that says nothing of a rate does.
    own = limited(ledger, rate_key=Rate(10, 3600))
    free = Caller("key", key=Key("aaaaaaaa", "0" * 64, rate="none"))
    usual = Caller("key", key=Key("bbbbbbbb", "0" * 64))

    for caller in (free, usual):
        own.check(caller)
        own.debit(caller, 1000)

    own.check(free)
    with pytest.raises(RateExceeded):
        own.check(usual)


@pytest.mark.parametrize(
    "caller",
    [
        Caller("local"),
        # Behind a proxy that the server was not told of.
        Caller("anonymous"),
        Caller("key", key=Key("aaaaaaaa", "0" * 64)),
        Caller("key", key=Key("aaaaaaaa", "0" * 64, rate="none")),
    ],
    ids=str,
)
def test_who_has_no_rate_asks_nobody(tmp_path, caller):
    counting = CountingLedger(in_file(tmp_path))
    own = limited(counting)

    for _ in range(3):
        own.check(caller)
        own.debit(caller, 1000)

    assert not counting.asked
    assert not list(tmp_path.iterdir())


def test_a_bucket_fills_by_the_second(tmp_path, monkeypatch):
    clock = Clock()
    own = limited(in_file(tmp_path, clock))
    monkeypatch.setattr(rates.time, "monotonic", clock)
    own.debit(STRANGER, 150)
    with pytest.raises(RateExceeded) as caught:
        own.check(STRANGER)

    clock.now += caught.value.retry_s - 2
    with pytest.raises(RateExceeded):
        own.check(STRANGER)
    clock.now += 3
    own.check(STRANGER)

    own._ledger.close()


def test_what_was_granted_and_not_spent_comes_back(tmp_path, monkeypatch):
    clock = Clock()
    file = in_file(tmp_path, clock)
    own = limited(file)
    monkeypatch.setattr(rates.time, "monotonic", clock)
    own.check(STRANGER)
    clock.now += 600
    own.check(STRANGER)

    (balance,) = balances(tmp_path)
    file.close()

    assert balance == 95


def balances(folder: Path) -> list[float]:
    base = sqlite3.connect(folder / "ledger.sqlite")
    rows = [balance for (balance,) in base.execute("SELECT balance FROM rates")]
    base.close()
    return rows


def test_most_drawings_ask_no_ledger(tmp_path):
    counting = CountingLedger(in_file(tmp_path))
    own = limited(counting, Rate(600, 60))

    for _ in range(500):
        own.check(STRANGER)
        own.debit(STRANGER, 0.2)

    assert counting.asked["take"] <= 12
    own.close()


def test_a_refused_flood_asks_about_once_a_second(tmp_path):
    counting = CountingLedger(in_file(tmp_path))
    own = limited(counting)
    own.debit(STRANGER, 200)
    started = time.monotonic()

    for _ in range(1000):
        with pytest.raises(RateExceeded):
            own.check(STRANGER)

    assert counting.asked["take"] <= 2 + (time.monotonic() - started)
    own.close()


def test_callers_idle_for_long_are_removed(tmp_path):
    clock = Clock()
    file = in_file(tmp_path, clock)
    for number in range(50):
        file.take(f"address:192.0.2.{number}", Rate(100, 60), 1)

    clock.now += 3600
    file.take("address:203.0.113.7", Rate(100, 60), 1)

    assert len(balances(tmp_path)) == 1
    file.close()


def test_a_clock_that_is_set_back_gives_nothing(tmp_path):
    clock = Clock()
    file = in_file(tmp_path, clock)
    file.take("a", Rate(100, 60), 150)

    clock.now -= 10_000
    grant = file.take("a", Rate(100, 60), 0)

    assert grant.amount == 0 and grant.balance == -50
    file.close()


def test_threads_of_two_ledgers_lose_nothing(tmp_path):
    files = [in_file(tmp_path) for _ in range(2)]

    def spend(number: int) -> None:
        files[number % 2].take("a", Rate(1000, 86_400), 1)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(spend, range(200)))
    last = files[0].take("a", Rate(1000, 86_400), 0)
    for file in files:
        file.close()

    # What was granted and never spent is out, too.
    assert last.amount + last.balance <= 801


def test_ledgers_opened_at_the_same_moment_wait_for_each_other(tmp_path):
    """As workers do at the start; SQLite says at once that the file is locked."""
    for number in range(120):
        files = [in_file(tmp_path / str(number)) for _ in range(4)]
        together = threading.Barrier(4)

        def spend(file: SqliteLedger, together: threading.Barrier = together) -> None:
            together.wait()
            file.take("a", Rate(1000, 86_400), 1)

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(spend, files))
        for file in files:
            file.close()


class BrokenLedger:
    """Fails at everything."""

    def take(self, *_: Any) -> Any:
        raise LedgerError("the disk is full")


def test_a_ledger_at_fault_is_logged_counted_and_admits(caplog):
    counted: list[int] = []
    own = Rates(Settings(), tolerant(BrokenLedger(), lambda: counted.append(1)))

    for _ in range(100):
        own.check(STRANGER)
        own.debit(STRANGER, 1000)

    # Asked again only after a while: each try may wait for its timeout.
    assert len(counted) == 1
    assert caplog.text.count("the disk is full") == 1


@pytest.mark.parametrize("fault", ["folder", "damaged", "gone"])
def test_a_file_at_fault_is_a_ledger_at_fault(tmp_path, fault):
    file = in_file(tmp_path)
    if fault == "folder":
        (tmp_path / "ledger.sqlite").mkdir()
    elif fault == "damaged":
        (tmp_path / "ledger.sqlite").write_bytes(b"no database" * 1000)
    else:
        file = SqliteLedger(Path("/proc/none/ledger.sqlite"))

    with pytest.raises(LedgerError):
        file.take("a", Rate(1, 60), 0)

    file.close()


def test_an_emptied_folder_is_begun_anew(tmp_path):
    file = in_file(tmp_path)
    file.take("a", Rate(100, 60), 150)
    for path in tmp_path.iterdir():
        path.unlink()

    grant = file.take("a", Rate(100, 60), 150)
    file.close()

    assert round(grant.balance) == -50
    assert (tmp_path / "ledger.sqlite").exists()


def test_redis_that_is_gone_takes_nothing_down():
    counted: list[int] = []
    gone = open_ledger(Settings(redis_url="redis://127.0.0.1:9/0"))
    own = Rates(Settings(), tolerant(gone, lambda: counted.append(1)))

    own.check(STRANGER)
    own.debit(STRANGER, 1000)
    own.check(STRANGER)

    assert counted == [1]
    own.close()


@pytest.mark.parametrize("url", ["http://127.0.0.1/0", "nonsense"])
def test_a_url_that_is_none_of_redis_stops_the_start(url):
    with pytest.raises(BadSetting, match=r"REDIS_URL: must be redis://"):
        open_ledger(Settings(redis_url=url))


def test_redis_without_its_extra_stops_the_start_in_one_line():
    program = (
        "import sys; sys.modules['redis'] = None\n"
        "from app.access.ledger import open_ledger\n"
        "from app.config import Settings\n"
        "try: open_ledger(Settings(redis_url='redis://:secret@localhost'))\n"
        "except Exception as error: print(error)"
    )
    command = [sys.executable, "-c", program]

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)

    wanted = "REDIS_URL: needs the extra: pip install 'mimeo[redis]'\n"
    assert (done.stdout, done.stderr) == (wanted, "")


class Counted:
    """An app whose ledger is counted."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, **more: Any):
        self.ledger = CountingLedger(in_file(folder))
        monkeypatch.setattr("app.access.ledger.open_ledger", lambda _: self.ledger)
        settings = Settings(
            store=str(folder), system_fonts=False, access_log=False, **more
        )
        self.app = create_app(settings)
        self.client = self.app.test_client()

    @property
    def asked(self) -> int:
        return self.ledger.asked["take"]


@pytest.fixture
def counted(tmp_path, monkeypatch) -> Iterator[Counted]:
    made = Counted(tmp_path, monkeypatch)
    yield made
    made.app.extensions["mimeo"].close()


def test_a_hit_a_304_and_what_draws_nothing_ask_nobody(counted):
    url = "/images/solid.png?width=40"
    tag = counted.client.get(url).headers["ETag"]
    first = counted.asked
    rows = {"renderer": "solid", "items": [{"width": 40}, {"width": 40}]}

    for _ in range(5):
        assert counted.client.get(url).headers["Cache-Status"] == "mimeo; hit"
        again = counted.client.get(url, headers={"If-None-Match": tag})
        assert again.status_code == 304
        assert counted.client.head("/images/solid.png?width=40").status_code == 200
        for path in ("/", "/renderers", "/fonts", "/problems", "/health/ready"):
            assert counted.client.get(path).status_code == 200
        assert counted.client.get("/images/solid.png?width=x").status_code == 422
        # A collection of what is kept is made of hits.
        with counted.client.post("/collections.zip", json=rows) as whole:
            assert whole.data

    assert first == 1
    assert counted.asked == first


def test_a_collapsed_follower_is_not_charged(counted, monkeypatch):
    debited: list[float] = []
    debit = Charge.debit
    monkeypatch.setattr(
        Charge, "debit", lambda self, cost: debited.append(cost) or debit(self, cost)
    )

    def ask(_: int) -> str:
        url = "/images/card.png?title=Once&scale=3"
        return counted.app.test_client().get(url).headers["Cache-Status"]

    with ThreadPoolExecutor(12) as pool:
        told = list(pool.map(ask, range(12)))

    assert told.count("mimeo; fwd=uri-miss") == 1
    assert len(debited) == 1


def test_who_follows_a_caller_without_means_draws_it_themselves(counted):
    """The leader's account is the leader's."""
    pipeline = counted.app.extensions["mimeo"]
    pipeline._rates.debit(STRANGER, 10_000)
    held, go = threading.Event(), threading.Event()
    check = pipeline._rates.check

    def slow(caller: Caller) -> None:
        if caller.address == STRANGER.address:
            held.set()
            go.wait(20)
        check(caller)

    pipeline._rates.check = slow

    def ask(address: str) -> int:
        environ = {"REMOTE_ADDR": address}
        client = counted.app.test_client()
        url = "/images/card.png?title=Mine"
        return client.get(url, environ_base=environ).status_code

    with ThreadPoolExecutor(2) as pool:
        poor = pool.submit(ask, STRANGER.address)
        assert held.wait(20)
        rich = pool.submit(ask, "203.0.113.8")
        time.sleep(0.2)
        go.set()

        assert (poor.result(), rich.result()) == (429, 200)


def test_a_refusal_is_a_problem_that_says_when_to_come_back(counted):
    counted.app.extensions["mimeo"]._rates.debit(
        Caller("anonymous", "127.0.0.1"), 10_000
    )

    answer = counted.client.get("/images/solid.png?width=41")

    told = answer.get_json()
    assert answer.status_code == 429
    assert told["type"] == "/problems/rate-exceeded"
    assert (told["limit"], told["remaining"]) == (600, 0)
    assert told["unit"] == "megapixels"
    assert int(answer.headers["Retry-After"]) > 900
    assert answer.headers["RateLimit-Policy"] == '"default";q=600;w=60'
    assert answer.headers["RateLimit"].startswith('"default";r=0;t=')


def rows(count: int, scale: int = 1) -> dict[str, Any]:
    items = [{"title": f"Row {n}"} for n in range(count)]
    return {"renderer": "card", "scale": scale, "items": items}


def test_a_collection_is_let_in_once_and_debited_by_the_image(tmp_path, monkeypatch):
    world = Counted(tmp_path, monkeypatch, rate_anonymous=Rate(1, 3600))

    with world.client.post("/collections.ndjson", json=rows(6)) as whole:
        lines = [json.loads(line) for line in whole.text.splitlines()]
    # What it drew is not kept: the next one is drawn anew.
    refused = world.client.post("/collections.ndjson", json=rows(6))

    (balance,) = balances(tmp_path)
    world.app.extensions["mimeo"].close()
    assert sum("data" in line for line in lines) == 6
    assert refused.status_code == 429
    # Six cards of 1200x630.
    assert balance == pytest.approx(1 - 6 * 0.756, abs=0.01)


def test_an_isolated_drawing_costs_twice(counted, monkeypatch):
    debited: list[float] = []
    monkeypatch.setattr(Charge, "debit", lambda self, cost: debited.append(cost))

    for path in ("html.png?html=x&", "html.webp?html=x&", "solid.avif?"):
        answer = counted.client.get(f"/images/{path}width=500&height=1000")
        assert answer.status_code == 200, answer.text

    assert debited == [1, 3, 4]


def test_a_contact_sheet_is_drawn_anew_and_so_charged(counted, monkeypatch):
    made = {"renderer": "solid", "items": [{"width": 40}, {"width": 41}]}
    place = counted.client.post("/collections", json=made).headers["Location"]
    for number in (1, 2):
        assert counted.client.get(f"{place}/{number}.png").status_code == 200
    debited: list[float] = []
    monkeypatch.setattr(Charge, "debit", lambda self, cost: debited.append(cost))

    answer = counted.client.get(f"{place}/sheet.png")

    assert answer.status_code == 200
    assert len(debited) == 1


def drain(server: Any, start: int, most: int = 400) -> int:
    """Draw until it is refused; return how many were drawn."""
    for number in range(most):
        path = f"/images/solid.png?width=1000&height={start + number}"
        reply = server.ask(path)
        if reply.status == 429:
            assert int(reply.headers["Retry-After"]) >= 1
            return number
        assert reply.status == 200
    raise AssertionError("it was never refused")


SETTINGS = {"MIMEO_LOCAL_CALLERS": "off", "MIMEO_RATE_ANONYMOUS": "20/day"}


def test_a_rate_holds_over_workers_and_a_restart(tmp_path: Path) -> None:
    settings = {**SETTINGS, "MIMEO_STORE": str(tmp_path)}

    with serve(settings=settings) as server:
        drawn = drain(server, 1000)
        # The other worker may have something left of what it was granted.
        drawn += sum(
            server.ask(f"/images/solid.png?width=1000&height={n}").status == 200
            for n in range(2000, 2040)
        )
        refused = {
            server.ask(f"/images/solid.png?width=9&height={n}").status
            for n in range(1, 20)
        }
        hit = server.ask("/images/solid.png?width=1000&height=1000").status
    with serve(settings=settings) as server:
        after = server.ask("/images/solid.png?width=10").status

    # A megapixel each; either worker may go once below zero.
    assert 18 <= drawn <= 22
    assert (refused, hit, after) == ({429}, 200, 429)


def test_a_rate_holds_over_machines_with_redis(tmp_path: Path) -> None:
    """Two servers with stores of their own."""
    (tmp_path / "redis").mkdir()
    with redis_server(tmp_path / "redis") as url:
        settings = {**SETTINGS, "REDIS_URL": url}
        one = {**settings, "MIMEO_STORE": str(tmp_path / "one")}
        two = {**settings, "MIMEO_STORE": str(tmp_path / "two")}
        with serve(settings=one) as first, serve(settings=two) as second:
            for number in range(10):
                path = f"/images/solid.png?width=1000&height={1000 + number}"
                assert first.ask(path).status == 200
            drawn = drain(second, 1000)
            there = drain(first, 3000)

    assert 6 <= drawn <= 13
    # No more than its workers have been granted already.
    assert there <= 4


def test_a_miss_costs_some_microseconds_more_and_a_hit_nothing(tmp_path) -> None:
    """Measured in pairs, as processor time of this thread."""
    own = limited(in_file(tmp_path), Rate(600.0, 60))
    free = Rates(Settings(), None)

    def spent(measured: Rates) -> float:
        started = time.thread_time()
        for _ in range(200):
            charge = measured.charge()
            charge.check()
            charge.debit(cost_of((1200, 630), "png") / 1000)
        return (time.thread_time() - started) / 200

    def pair() -> float:
        without = spent(free)
        token = CALLER.set(STRANGER)
        try:
            return spent(own) - without
        finally:
            CALLER.reset(token)

    pairs = sorted(pair() for _ in range(15))
    own.close()

    print(f"a miss: {pairs[7] * 1e6:.1f} us more")
    # A drawing takes 3,000.
    assert pairs[7] < 100e-6
