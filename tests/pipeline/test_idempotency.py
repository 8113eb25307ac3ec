"""A retry is one purchase with what it repeats; another request is another."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest

from app.pipeline import idempotency
from app.pipeline.idempotency import IdempotencyKeys, KeyReused
from app.store import NoStore, Store, StoreError, key_for, open_store


@pytest.fixture(params=["folder", "memory:"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    url = str(tmp_path) if request.param == "folder" else request.param
    return open_store(url, 1 << 20)


def test_a_key_has_one_occasion_however_late(store, monkeypatch):
    occasions = IdempotencyKeys(store, window_s=1)
    first = occasions.of_key("k-1", "a ship")
    monkeypatch.setattr(idempotency, "time", SimpleNamespace(time=lambda: 1e12))

    assert occasions.of_key("k-1", "a ship") == first


def test_another_key_is_another_occasion(store):
    occasions = IdempotencyKeys(store, window_s=600)

    assert occasions.of_key("k-1", "a ship") != occasions.of_key("k-2", "a ship")


def test_a_key_of_another_request_is_refused(store):
    occasions = IdempotencyKeys(store, window_s=600)
    occasions.of_key("k-1", "a ship")

    with pytest.raises(KeyReused):
        occasions.of_key("k-1", "a boat")


def test_without_a_key_the_window_decides(store, monkeypatch):
    occasions = IdempotencyKeys(store, window_s=600)
    times = iter((1000.0, 1599.0, 1601.0, 1601.0))
    monkeypatch.setattr(idempotency, "time", SimpleNamespace(time=lambda: next(times)))

    first, second, third = (occasions.of_request("a ship") for _ in range(3))

    assert first == second != third


def test_a_clock_that_was_set_back_begins_a_new_window(store, monkeypatch):
    occasions = IdempotencyKeys(store, window_s=600)
    times = iter((1000.0, 500.0, 500.0))
    monkeypatch.setattr(idempotency, "time", SimpleNamespace(time=lambda: next(times)))

    assert occasions.of_request("a ship") != occasions.of_request("a ship")


def test_a_window_of_nothing_makes_every_request_its_own(store):
    occasions = IdempotencyKeys(store, window_s=0)

    assert occasions.of_request("a ship") != occasions.of_request("a ship")


def test_many_at_once_in_two_processes_agree(tmp_path):
    two = [IdempotencyKeys(open_store(str(tmp_path), 1 << 20), 600) for _ in range(2)]

    with ThreadPoolExecutor(16) as pool:
        found = set(pool.map(lambda n: two[n % 2].of_request("a ship"), range(64)))

    assert len(found) == 1


def test_many_at_once_agree_where_a_window_has_ended(store, monkeypatch):
    before = IdempotencyKeys(store, 600).of_request("a ship")
    later = time.time() + 700
    monkeypatch.setattr(idempotency, "time", SimpleNamespace(time=lambda: later))

    with ThreadPoolExecutor(16) as pool:
        found = set(pool.map(IdempotencyKeys(store, 600).of_request, ["a ship"] * 64))

    assert len(found) == 1
    assert before not in found


def test_clocks_of_two_machines_need_not_agree(store, monkeypatch):
    times = iter((1000.0, 995.0, 995.0))
    monkeypatch.setattr(idempotency, "time", SimpleNamespace(time=lambda: next(times)))
    one, other = IdempotencyKeys(store, 600), IdempotencyKeys(store, 600)

    assert one.of_request("a ship") == other.of_request("a ship")


@pytest.mark.parametrize("damaged", [b"", b"7", b"[1]", b'["a", "b"]', b"\xff{"])
def test_a_damaged_record_begins_a_new_window(store, damaged):
    store.put(key_for("window a ship"), damaged)

    first, second = (IdempotencyKeys(store, 600).of_request("a ship") for _ in range(2))

    assert first == second != ""


class Swallowing(NoStore):
    """Creates, and loses at once; refuses to put."""

    keeps = True

    def create(self, key, data):
        return False

    def put(self, key, data):
        raise StoreError("no disk")


def test_a_record_that_comes_and_goes_is_a_fault_of_the_store():
    with pytest.raises(StoreError, match="deleted"):
        IdempotencyKeys(Swallowing(), 600).of_request("a ship")


def test_where_nothing_is_kept_a_key_still_names_its_occasion():
    occasions = IdempotencyKeys(NoStore(), 600)

    assert occasions.of_key("k", "a ship") == occasions.of_key("k", "a ship")
    assert occasions.of_request("a ship") == occasions.of_request("a ship")


def test_what_has_arrived_is_new_for_a_first_attempt_and_old_for_a_retry(store):
    keys = IdempotencyKeys(store, 600)
    old = keys.of_request("a ship", "first")
    under_way = keys.of_request("a ship", "first")
    keys.arrive(old)
    retry = keys.of_request("a ship", "retry")
    new = keys.of_request("a ship", "first")

    assert old == under_way == retry != new
    assert keys.of_request("a ship", "retry") == new
    assert keys.of_request("a ship") == new
    keys.arrive(new)
    assert keys.of_request("a ship", "retry") == new


def test_parts_of_one_wish_are_each_their_own(store):
    keys = IdempotencyKeys(store, 600)

    parts = [keys.of_request("a ship", "part") for _ in range(4)]
    keys.leave(parts[1])

    assert len({*parts}) == 4
    assert keys.of_request("a ship", "part") == parts[1]
    assert keys.of_request("a ship", "part") not in parts


def test_parts_in_two_processes_are_each_their_own(tmp_path):
    two = [IdempotencyKeys(open_store(str(tmp_path), 1 << 20), 600) for _ in range(2)]

    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda n: two[n % 2].of_request("s", "part"), range(16)))

    assert len(found) == 16


def test_where_nothing_is_kept_nothing_arrives():
    keys = IdempotencyKeys(NoStore(), 600)
    keys.arrive("one")
    keys.leave("one")

    assert keys.of_request("a ship", "first") == keys.of_request("a ship", "part") == ""
