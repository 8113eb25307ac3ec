"""Locks in a bucket: one holder at a time, none that is dead for long."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
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


def token(entry: bytes | None) -> bytes:
    """Return what says whose an entry is; behind it renewals are counted."""
    assert entry is not None
    return entry.split()[0]


def wait_for_a_renewal(store: BucketStore) -> None:
    before = text(store)
    wait_until(lambda: text(store) != before)


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
            assert token(text(other)) == token(held)

    assert "its holder is silent" in caplog.text


def _never(*_: Any) -> bool:
    raise ConnectionError("no network")


def losing_answers(monkeypatch: pytest.MonkeyPatch) -> list[Exception]:
    """Raise what is in the returned list, one now, after a write that has worked."""
    put = obstore.put
    lost: list[Exception] = [AlreadyExistsError("a retry of what had worked")]

    def losing(*given: Any, **named: Any) -> Any:
        made = put(*given, **named)
        if lost:
            raise lost.pop()
        return made

    monkeypatch.setattr(obstore, "put", losing)
    return lost


def test_what_a_lost_answer_hid_is_found_again(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = machine(url)
    store.put(KEY, b"opened")
    lost = losing_answers(monkeypatch)
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


def test_an_entry_is_made_once_and_its_maker_seen_to_live(url: str) -> None:
    one, other, late = machine(url), machine(url), machine(url)
    end = time.monotonic() + 2.5 * LEASE_S

    with one.hold(KEY) as made, other.hold(KEY) as again:
        assert (made, again) == (True, False)
        while time.monotonic() < end:
            assert other.is_held(KEY)
            time.sleep(0.1)
    assert not one.is_held(KEY)
    # Nobody tells them: they see that it changes no more.
    left = time.monotonic()
    wait_until(lambda: not other.is_held(KEY))
    wait_until(lambda: not late.is_held(KEY))
    assert time.monotonic() - left >= LEASE_S
    with late.hold(KEY) as again:
        assert not again
    assert late.get(KEY) is not None


def test_of_many_that_make_an_entry_one_does(url: str) -> None:
    stores = [machine(url) for _ in range(8)]
    begun = threading.Barrier(8)

    def work(store: BucketStore) -> bool:
        begun.wait(30)
        with store.hold(KEY) as made:
            return made

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(work, stores)) == 1


def test_an_entry_whose_maker_did_not_hear_of_it_is_its_own(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = machine(url)
    losing_answers(monkeypatch)
    with store.hold(KEY) as made:
        before = store.get(KEY)
        wait_until(lambda: store.get(KEY) != before)

    assert made


def test_what_was_never_made_or_deleted_is_held_by_nobody(url: str) -> None:
    store, other = machine(url), machine(url)

    assert not store.is_held(KEY)
    with store.hold(KEY):
        assert other.is_held(KEY)
        store.delete(KEY)
        wait_until(lambda: not other.is_held(KEY))


def test_what_another_makes_anew_of_an_entry_that_was_left_is_held(url: str) -> None:
    """As of a job whose id comes again after its time."""
    one, other = machine(url), machine(url)
    with one.hold(KEY):
        pass
    assert not one.is_held(KEY)
    one.delete(KEY)

    with other.hold(KEY) as made:
        with one.hold(KEY) as again:
            assert (made, again) == (True, False)
        assert one.is_held(KEY)


def test_a_bucket_that_fails_says_whether_an_entry_was_made_or_held(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = machine(url)

    def fail(*_: Any, **__: Any) -> Any:
        raise GenericError("it is away")

    monkeypatch.setattr(obstore, "put", fail)
    monkeypatch.setattr(obstore, "get", fail)
    with pytest.raises(StoreError, match="cannot write"), store.hold(KEY):
        pass
    with pytest.raises(StoreError, match="cannot read"):
        store.is_held(KEY)


def test_pauses_are_closed_by_whoever_gains_a_key(url: str) -> None:
    waiting = pauses(1, 1)

    with closing(waiting), machine(url).lock(KEY, waiting):
        assert list(waiting) == []


def test_a_slow_renewal_costs_no_other_lease(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, renew = machine(url), lease.Leases._renew
    slow = [f"{number:064x}" for number in range(20)]
    begun: set[str] = set()
    free = threading.Event()

    def stall(leases: lease.Leases, held: Any) -> bool:
        if held.path != ENTRY:
            begun.add(held.path)
            free.wait(60)
        return renew(leases, held)

    monkeypatch.setattr(lease.Leases, "_renew", stall)
    with ExitStack() as stack:
        for key in slow:
            stack.enter_context(store.lock(key, pauses()))
        stack.callback(free.set)
        wait_until(lambda: bool(begun))
        with store.lock(KEY, pauses()):
            wait_for_a_renewal(store)
            wait_for_a_renewal(store)
        wait_until(lambda: len(begun) == len(slow))


def test_who_lost_its_key_leaves_it_to_the_next_of_its_own_process(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = machine(url)

    with ExitStack() as following, ExitStack() as losing:
        with monkeypatch.context() as cut_off:
            cut_off.setattr(lease.Leases, "_renew", _never)
            losing.enter_context(store.lock(KEY, pauses()))
            following.enter_context(store.lock(KEY, patient()))
        losing.close()
        wait_for_a_renewal(store)
        wait_for_a_renewal(store)

    assert text(store) is None


def test_a_renewal_that_fails_as_nobody_thought_of_is_tried_again(
    url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store, renew = machine(url), lease.Leases._renew
    faults = [ZeroDivisionError("nobody thought of it")]

    def fail_once(leases: lease.Leases, held: Any) -> bool:
        if faults:
            raise faults.pop()
        return renew(leases, held)

    monkeypatch.setattr(lease.Leases, "_renew", fail_once)
    with store.lock(KEY, pauses()):
        wait_for_a_renewal(store)

    assert f"{ENTRY} is not renewed yet" in caplog.text
    assert "nobody thought of it" in caplog.text


def test_a_thread_that_cannot_be_started_is_tried_again(
    url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store, start = machine(url), threading.Thread.start
    faults = [RuntimeError("can't start new thread")]

    def fail_once(thread: threading.Thread) -> None:
        if thread.name == "mimeo-lease" and faults:
            raise faults.pop()
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", fail_once)
    with store.lock(KEY, pauses()):
        wait_for_a_renewal(store)

    assert not faults
    assert "can't start new thread" in caplog.text


def test_who_gives_a_key_back_waits_for_its_renewal(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, renew = machine(url), lease.Leases._renew
    begun = threading.Event()

    def linger(leases: lease.Leases, held: Any) -> bool:
        begun.set()
        time.sleep(0.2)
        # As a server writes that has looked at the condition before the deletion.
        held.mark = None
        obstore.put(store._open(), held.path, held.token, use_multipart=False)
        return renew(leases, held)

    monkeypatch.setattr(lease.Leases, "_renew", linger)
    with store.lock(KEY, pauses()):
        begun.wait(10)

    time.sleep(0.5)
    assert text(store) is None


def test_a_fork_renews_its_own_leases_and_none_of_its_parent() -> None:
    program = """
import os
import signal
import time
from contextlib import nullcontext
from app.store import lease

class Told(lease.Leases):
    def _renew(self, held):
        renewed.append(held.path)
        return True

def wait(path):
    while renewed.count(path) < 3:
        time.sleep(0.001)

lease.RENEW_S = 0.05
renewed = []
leases = Told(lambda: None, nullcontext)
with leases.kept(lease._Hold("parent")), leases.kept(lease._Hold("other")):
    wait("parent")
    # As another thread may have it at that moment.
    with leases._guard:
        child = os.fork()
        if not child:
            signal.alarm(50)
            renewed.clear()
            with leases.kept(lease._Hold("child")):
                wait("child")
            os._exit(set(renewed) != {"child"})
    renewed.clear()
    wait("parent")
    raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    done = subprocess.run([sys.executable, "-c", program], timeout=60)

    assert done.returncode == 0
