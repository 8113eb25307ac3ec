"""What may be bought in a day is bought, and not one image more, whoever counts."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from app.access.budgets import Budgets
from app.access.caller import CALLER, Caller
from app.access.errors import BudgetExhausted
from app.access.keys import Key, digest_of, new_key
from app.bootstrap import open_budgets
from app.config import Settings
from app.image_request import from_strings
from app.pipeline.pipeline import Pipeline
from app.pipeline.purchases import Purchases
from app.renderer.base import Wanted
from app.store import Store, StoreError, open_store
from app.upstream.errors import (
    BadMedia,
    CircuitOpen,
    UpstreamBroken,
    UpstreamBusy,
    UpstreamDenied,
    UpstreamFiltered,
    UpstreamRefused,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from tests.access.ledgers import Clock
from tests.far import Far
from tests.gunicorn_server import Reply, Server, serve
from tests.s3_server import serving as bucket_server
from tests.test_services import serving
from tests.test_store import connect
from tests.upstream.pictures import PNG
from tests.upstream.wire_forms import Form

LOCAL = Caller("local")
BINARY = Form(PNG, "image/png", (), "binary")


class Looked:
    """A store that counts what it is asked."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.looks = 0

    def has(self, key: str) -> bool:
        self.looks += 1
        return self.store.has(key)

    def create(self, key: str, data: bytes) -> bool:
        self.looks += 1
        return self.store.create(key, data)

    def delete(self, key: str) -> None:
        self.store.delete(key)


def counts(folder: Path) -> Store:
    return open_store(str(folder), 1 << 26, "budgets")


def budgets(folder: Path, images: int, **more: Any) -> Budgets:
    return Budgets(lambda: counts(folder), images, **more)


def buy(own: Budgets, caller: Caller = LOCAL, count: int = 1, price: Any = None) -> Any:
    return own.reserve(caller, "far", price, count)


def bought(own: Budgets, most: int = 50, **more: Any) -> int:
    """Reserve until it is refused; return how often it was not."""
    for number in range(most):
        try:
            buy(own, **more)
        except BudgetExhausted:
            return number
    raise AssertionError("it was never refused")


def test_a_budget_is_bought_and_no_more(tmp_path):
    clock = Clock()
    clock.now = datetime(2026, 11, 27, 22, 0, 0, tzinfo=UTC).timestamp()
    own = budgets(tmp_path, 10, clock=clock)

    assert bought(own) == 10
    with pytest.raises(BudgetExhausted) as caught:
        buy(own)

    error = caught.value
    assert (error.limit, error.remaining, error.unit) == (10, 0, "images a day")
    # To midnight by UTC.
    assert 7200 <= error.retry_s <= 7201
    assert dict(error.headers)["RateLimit-Policy"] == '"default";q=10;w=86400'


def test_the_next_day_has_a_budget_of_its_own_and_the_last_is_forgotten(tmp_path):
    clock = Clock()
    own = budgets(tmp_path, 10, clock=clock)
    bought(own)

    clock.now += 86_400
    assert bought(own) == 10

    for _ in range(500):
        if len(list((tmp_path / "budgets").rglob("*/*"))) == 10:
            break
        time.sleep(0.01)
    assert len([p for p in (tmp_path / "budgets").rglob("*") if p.is_file()]) == 10


def test_a_new_process_goes_on_where_the_last_one_was(tmp_path):
    one, two = budgets(tmp_path, 10), budgets(tmp_path, 10)

    assert [bought(one, 50) for one in (one, two)] == [10, 0]
    assert bought(budgets(tmp_path, 25)) == 15


def test_several_images_are_reserved_together_or_not(tmp_path):
    own = budgets(tmp_path, 10)
    buy(own, count=8)

    with pytest.raises(BudgetExhausted) as caught:
        buy(own, count=3)

    assert caught.value.remaining == 2
    buy(own, count=2)
    assert bought(own) == 0


def test_a_thousand_places_take_some_looks(tmp_path):
    first = budgets(tmp_path, 1000)
    for _ in range(100):
        buy(first, count=10)
    looked = Looked(counts(tmp_path))

    with pytest.raises(BudgetExhausted):
        buy(Budgets(lambda: looked, 1000))  # type: ignore[arg-type,return-value]

    # Besides, the day before is looked at.
    assert looked.looks < 30


def test_what_was_released_may_be_bought_by_anyone(tmp_path):
    one, two = budgets(tmp_path, 5), budgets(tmp_path, 5)
    held = [buy(one) for _ in range(5)]
    assert bought(two) == 0

    for reservation in held[:3]:
        reservation.release()

    assert bought(two) == 3
    assert bought(one) == 0


def test_a_key_has_a_budget_within_that_of_all(tmp_path):
    own = budgets(tmp_path, 10)
    key = Caller("key", key=Key("aaaaaaaa", "0" * 64, budget=3))
    other = Caller("key", key=Key("bbbbbbbb", "0" * 64))

    assert bought(own, caller=key) == 3
    # What the key was refused is not taken from the others.
    assert bought(own, caller=other) == 7
    rich = Caller("key", key=Key("cccccccc", "0" * 64, budget=100))
    assert bought(own, caller=rich) == 0
    # Nor the other way round.
    assert bought(budgets(tmp_path, 12), caller=rich) == 2


def test_a_budget_in_money_is_of_what_images_cost(tmp_path):
    own = budgets(tmp_path, 100)
    key = Caller("key", key=Key("aaaaaaaa", "0" * 64, budget=0.3))

    assert bought(own, caller=key, price=0.1) == 3
    with pytest.raises(BudgetExhausted) as caught:
        buy(own, key, price=0.1)

    assert (caught.value.limit, caught.value.unit) == (0.3, "money a day")


def test_one_service_takes_nothing_from_another(tmp_path):
    own = budgets(tmp_path, 2)
    bought(own)

    own.reserve(LOCAL, "near", None, 2)


@pytest.mark.parametrize("images", [0, 1])
def test_the_smallest_budgets(tmp_path, images):
    assert bought(budgets(tmp_path, images)) == images


def test_thirty_at_once_over_three_processes_stores(tmp_path):
    several = [budgets(tmp_path, 10) for _ in range(3)]

    def one(number: int) -> bool:
        try:
            buy(several[number % 3])
        except BudgetExhausted:
            return False
        return True

    with ThreadPoolExecutor(30) as pool:
        assert sum(pool.map(one, range(30))) == 10


def test_a_bucket_counts_for_all_machines(tmp_path, monkeypatch):
    with bucket_server(tmp_path) as url:
        store = connect(url, monkeypatch, tmp_path)
        settings = Settings(store=store, budget_images=7)
        machines = [open_budgets(settings) for _ in range(3)]

        def one(number: int) -> bool:
            try:
                buy(machines[number % 3])
            except BudgetExhausted:
                return False
            return True

        with ThreadPoolExecutor(15) as pool:
            assert sum(pool.map(one, range(15))) == 7


UNMADE = (
    UpstreamUnavailable("far"),
    UpstreamRefused("far", 400, "no"),
    UpstreamDenied("far", 401, "no"),
    UpstreamBusy("far", 5),
    CircuitOpen("far", 5),
    UpstreamTimeout("far", "connect", 5, False),
)
UNKNOWN = (
    UpstreamTimeout("far", "total", 5),
    UpstreamBroken("far", "it answered 500", 500),
    BadMedia("far", "no image"),
    UpstreamFiltered("far", "a filter"),
)


@pytest.mark.parametrize("error", [*UNMADE, *UNKNOWN], ids=lambda e: type(e).__name__)
def test_a_failed_purchase_costs_only_where_it_may_have_been_made(tmp_path, error):
    far = Far(errors=[error])
    own = budgets(tmp_path, 2)
    purchases = Purchases(open_store("memory:", 1 << 20), 8, own)
    ask = asker(far, purchases)

    with pytest.raises(type(error)):
        ask("first")
    ask("second")

    assert bought(own) == (1 if error in UNMADE else 0)


def asker(far: Far, purchases: Purchases) -> Callable[[str], Any]:
    def ask(prompt: str) -> Any:
        made = from_strings(far.renderer(), [("prompt", prompt)], "png", Settings())
        return purchases.buy(made, Wanted(1, "png", time.monotonic() + 20))

    return ask


def test_a_service_is_not_asked_beyond_the_budget_and_what_is_kept_is_free(tmp_path):
    far = Far()
    own = budgets(tmp_path, 1)
    ask = asker(far, Purchases(open_store("memory:", 1 << 20), 8, own))

    ask("a ship")
    with pytest.raises(BudgetExhausted):
        ask("a boat")

    assert ask("a ship").source == "hit"
    assert far.made == 1


def test_what_cannot_be_counted_is_not_bought(tmp_path):
    far = Far()

    class Full:
        def has(self, _: str) -> bool:
            return False

        def create(self, *_: Any) -> bool:
            raise StoreError("the disk is full")

    own = Budgets(Full, 5)  # type: ignore[arg-type]
    ask = asker(far, Purchases(open_store("memory:", 1 << 20), 8, own))

    with pytest.raises(StoreError):
        ask("a ship")

    assert far.made == 0


def test_a_collection_is_bought_for_whoever_asked(tmp_path):
    """The threads that wait for services know the caller."""
    key = Caller("key", key=Key("aaaaaaaa", "0" * 64, budget=0))
    far = Far()
    own = budgets(tmp_path, 5)
    kept = open_store("memory:", 1 << 20)
    line = Pipeline(Settings(), kept, purchases=Purchases(kept, 8, own))
    made = from_strings(far.renderer(), [("prompt", "a ship")], "png", Settings())
    token = CALLER.set(key)
    try:
        future = line.submit(made, Event(), keep=True)
        with pytest.raises(BudgetExhausted):
            future.result(20)
    finally:
        CALLER.reset(token)
        line.close()

    assert far.made == 0


@pytest.mark.parametrize("store", ["none", "memory:"])
def test_without_a_shared_store_it_is_counted_in_the_cache_folder(
    tmp_path, monkeypatch, store
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    settings = Settings(store=store, budget_images=3)

    assert bought(open_budgets(settings)) == 3
    assert bought(open_budgets(settings)) == 0


def test_where_no_folder_can_be_had_each_worker_counts_alone(monkeypatch, caplog):
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/none")
    settings = Settings(store="none", budget_images=3)

    assert bought(open_budgets(settings)) == 3
    assert "counted by each worker alone" in caplog.text


def buyers(server: Server, number: int, headers: dict[str, str]) -> list[Reply]:
    def one(n: int) -> Reply:
        path = f"/images/ai-service.png?prompt={server.pid}-{n}"
        return server.ask(path, headers=headers)

    with ThreadPoolExecutor(number) as pool:
        return list(pool.map(one, range(number)))


def test_a_budget_holds_over_workers_and_a_restart(tmp_path: Path) -> None:
    """Strangers, too, who may buy of an open service, buy within its budget."""
    stranger = {"X-Forwarded-For": "203.0.113.7"}
    with serving(BINARY) as service:
        settings = {
            "MIMEO_STORE": str(tmp_path),
            "AI_SERVICE_URL": service.url,
            "MIMEO_BUDGET_IMAGES": "10",
            "MIMEO_OPEN_SERVICES": "ai-service",
            "MIMEO_THREADS": "64",
        }
        with serve(settings=settings) as server:
            replies = buyers(server, 30, stranger)
        with serve(settings=settings) as server:
            again = buyers(server, 3, stranger)

    statuses = [reply.status for reply in replies]
    assert (statuses.count(200), statuses.count(429)) == (10, 20)
    assert [reply.status for reply in again] == [429] * 3
    assert len(service.asked) == 10
    assert int(again[0].headers["Retry-After"]) <= 86_401
    assert again[0].headers["RateLimit-Policy"] == '"default";q=10;w=86400'
    assert b'"/problems/budget-exhausted"' in again[0].body


def test_the_budget_of_a_key_holds_over_workers(tmp_path: Path) -> None:
    id, token = new_key()
    line = f'[keys.{id}]\nsha256 = "{digest_of(token)}"\n'
    line += 'scopes = ["services"]\nbudget = 4\n'
    with serving(BINARY) as service:
        settings = {
            "MIMEO_STORE": str(tmp_path),
            "AI_SERVICE_URL": service.url,
            "MIMEO_KEYS": line,
            "MIMEO_THREADS": "64",
        }
        with serve(settings=settings) as server:
            replies = buyers(server, 12, {"Authorization": f"Bearer {token}"})

    assert [reply.status for reply in replies].count(200) == 4
    assert len(service.asked) == 4
