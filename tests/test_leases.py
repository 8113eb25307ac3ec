"""Locks in a bucket: one holder at a time, none that is dead for long."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import obstore
import pytest
from obstore.exceptions import AlreadyExistsError, GenericError

from app.store import BucketStore, Locked, Pauses, StoreError, lease, open_store
from tests.s3_server import access, serving
from tests.waiting import wait_until

KEY = "ab" * 32
ENTRY = f"locks/jobs-ab-{KEY}"
# Long beside a renewal, also on a busy machine.
RENEW_S, LEASE_S = 0.1, 3.0


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(tmp_path_factory.mktemp("seaweed")) as url:
        yield url


@pytest.fixture
def url(s3: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    for name, value in access(s3).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(lease, "RENEW_S", RENEW_S)
    monkeypatch.setattr(lease, "LEASE_S", LEASE_S)
    monkeypatch.setattr(lease, "_LOOK_S", 0.05)
    return f"s3://bucket/{tmp_path.name}"


def machine(url: str) -> BucketStore:
    """Open the room as a machine does that has seen nothing of it."""
    opened = open_store(url, None, "jobs", durable=True)
    assert isinstance(opened, BucketStore)
    return opened


def pauses(*seconds: float) -> Pauses:
    yield from seconds


def patient() -> Pauses:
    return pauses(*[0.0] * 100_000)


def die(store: BucketStore) -> None:
    """Take the lease as a process does that is killed at once."""
    assert store._leases is not None
    store._leases.gain(ENTRY, pauses())


def text(store: BucketStore) -> bytes | None:
    try:
        return obstore.get(store._open(), ENTRY).bytes().to_bytes()
    except FileNotFoundError:
        return None


def test_a_key_is_held_once_at_a_time_and_is_free_at_once(url: str) -> None:
    one, other = machine(url), machine(url)

    for holder, waiter in ((one, other), (other, one), (one, other)):
        with holder.lock(KEY, pauses()) as held:
            assert held is True
            with pytest.raises(Locked), waiter.lock(KEY, pauses(0, 0)):
                pass
    assert text(one) is None


def test_of_many_that_want_a_dead_holders_key_one_has_it_at_a_time(url: str) -> None:
    die(machine(url))
    died = time.monotonic()
    waiting = [machine(url) for _ in range(6)]
    holders, most = 0, 0
    guard = threading.Lock()

    def work(store: BucketStore) -> float:
        nonlocal holders, most
        with store.lock(KEY, patient()):
            gained = time.monotonic()
            with guard:
                holders += 1
                most = max(most, holders)
            time.sleep(0.1)
            with guard:
                holders -= 1
        return gained

    with ThreadPoolExecutor(6) as pool:
        gained = list(pool.map(work, waiting))

    assert most == 1
    assert min(gained) - died >= LEASE_S


def test_who_lives_keeps_its_key_however_long_it_takes(url: str) -> None:
    slow, other = machine(url), machine(url)
    end = time.monotonic() + 2.5 * LEASE_S

    with slow.lock(KEY, pauses()):
        while time.monotonic() < end:
            with pytest.raises(Locked), other.lock(KEY, pauses(0.1)):
                pass

    with other.lock(KEY, pauses()) as held:
        assert held


def test_who_was_taken_for_dead_leaves_the_key_to_whoever_has_it(
    url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    cut_off, other = machine(url), machine(url)

    with cut_off.lock(KEY, pauses()):
        # As a machine that is paused, or has lost its network.
        monkeypatch.setattr(lease.Leases, "_renew", _never)
        with other.lock(KEY, patient()):
            monkeypatch.undo()
            held = text(other)
            wait_until(lambda: "was taken over by another" in caplog.text)
            assert text(other) == held

    assert "its holder is silent" in caplog.text


def _never(*_: Any) -> bool:
    raise ConnectionError("no network")


def test_what_a_lost_answer_hid_is_found_again(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, put = machine(url), obstore.put
    lost: list[Exception] = [AlreadyExistsError("a retry of what had worked")]

    def losing(*given: Any, **named: Any) -> Any:
        made = put(*given, **named)
        if lost:
            raise lost.pop()
        return made

    store.put(KEY, b"opened")
    monkeypatch.setattr(obstore, "put", losing)
    with store.lock(KEY, pauses(0)) as held:
        before = text(store)
        lost.append(AlreadyExistsError("a retry of what had worked"))
        wait_until(lambda: not lost and text(store) != before)
        renewed = text(store)
        wait_until(lambda: text(store) != renewed)

    assert held
    assert before is not None
    assert text(store) is None


def test_a_bucket_that_fails_while_a_key_is_held_costs_no_answer(
    url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store = machine(url)

    def fail(*_: Any, **__: Any) -> Any:
        raise GenericError("it is away")

    with store.lock(KEY, pauses()) as held:
        monkeypatch.setattr(obstore, "delete", fail)

    assert held
    assert "ends by itself" in caplog.text
    with pytest.raises(StoreError, match="cannot lock"), store.lock(KEY, pauses()):
        pass


def test_pauses_are_closed_by_whoever_gains_a_key(url: str) -> None:
    waiting = pauses(1, 1)

    with closing(waiting), machine(url).lock(KEY, waiting):
        assert list(waiting) == []
