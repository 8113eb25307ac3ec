"""Calls of one service, counted over processes by a ledger that they share."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from threading import Lock

import pytest

from app.access.ledger import TolerantLedger
from app.access.redis_ledger import RedisLedger
from app.upstream.errors import UpstreamBusy
from app.upstream.resilience.concurrency import ConcurrencyLimit
from app.upstream.resilience.retry import Deadline
from tests import redis_server

pytestmark = pytest.mark.skipif(
    redis_server.PROGRAM is None, reason="redis-server is not installed"
)


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    with redis_server.serving(tmp_path) as found:
        yield found


def limit(url: str, concurrency: int = 2, queue_s: float = 0.2) -> ConcurrencyLimit:
    """Return what another process would have of the same service."""
    ledger = TolerantLedger(RedisLedger(url), lambda: None)
    return ConcurrencyLimit("far", concurrency, queue_s, ledger=ledger)


def test_machines_together_have_as_many_calls_as_one(url: str) -> None:
    guard, now, most = Lock(), 0, 0

    def work(gate: ConcurrencyLimit) -> None:
        nonlocal now, most
        with gate.admit(Deadline.after(60), patient=True):
            with guard:
                now += 1
                most = max(most, now)
            time.sleep(0.02)
            with guard:
                now -= 1

    gates = [limit(url) for _ in range(4)]
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(work, gates * 5))

    assert (now, most) == (0, 2)


def test_whoever_finds_no_place_is_told_to_come_again(url: str) -> None:
    first, second = limit(url, 1), limit(url, 1)

    with (
        first.admit(Deadline.after(60)),
        pytest.raises(UpstreamBusy),
        second.admit(Deadline.after(60)),
    ):
        pytest.fail("there were two")

    with second.admit(Deadline.after(60)):
        pass


def test_a_call_of_a_killed_process_counts_no_more_after_its_deadline(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.upstream.resilience.concurrency._LOST_S", 0.1)
    killed = limit(url, 1)
    monkeypatch.setattr(killed._ledger, "ask", _never_released(killed._ledger.ask))
    with killed.admit(Deadline.after(0.1)):
        pass

    with limit(url, 1).admit(Deadline.after(60), patient=True):
        pass


def _never_released(ask: Callable[..., object]) -> Callable[..., object]:
    answers = [True]

    def once(question: Callable[..., object]) -> object:
        return ask(question) if answers and answers.pop() else None

    return once


def test_without_the_ledger_each_process_counts_alone(tmp_path: Path) -> None:
    with redis_server.serving(tmp_path) as url:
        first, second = limit(url, 1), limit(url, 1)

    with ExitStack() as held:
        held.enter_context(first.admit(Deadline.after(60)))
        held.enter_context(second.admit(Deadline.after(60)))
        with pytest.raises(UpstreamBusy), first.admit(Deadline.after(60)):
            pytest.fail("there were two")
