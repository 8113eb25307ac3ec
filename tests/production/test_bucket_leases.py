"""Two machines at one bucket: who dies is followed soon, who is slow is never doubled.

The chunks are of a service that takes its time, so that one lasts several leases.
"""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

import pytest

from app.store import open_store
from tests.gunicorn_server import Server, serve
from tests.production.counting_service import CountingService, counting
from tests.production.test_killed_jobs import document, kill_all
from tests.s3_server import access, serving
from tests.waiting import wait_until

JSON = {"Content-Type": "application/json"}
LEASE_S = 4.0
# One chunk: what a service makes is drawn in small ones.
ROWS = 20
PAUSE_S = 1.0
Machine = Callable[[], AbstractContextManager[Server]]


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(tmp_path_factory.mktemp("seaweed")) as url:
        yield url


@pytest.fixture
def service() -> Iterator[CountingService]:
    with counting(PAUSE_S) as running:
        yield running


@pytest.fixture
def settings(
    s3: str, service: CountingService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, str]:
    for name, value in access(s3).items():
        monkeypatch.setenv(name, value)
    return {
        "MIMEO_STORE": f"s3://bucket/{tmp_path.name}",
        "AI_SERVICE_URL": service.url,
        "WEB_CONCURRENCY": "1",
        "LEASE_S": str(LEASE_S),
    }


@pytest.fixture
def machine(settings: dict[str, str], tmp_path: Path) -> Machine:
    """Starts servers that have no disk in common."""
    count = iter(range(9))

    def start() -> AbstractContextManager[Server]:
        home = tmp_path / f"home{next(count)}"
        home.mkdir()
        own = {"XDG_CACHE_HOME": str(home), "TMPDIR": str(home)}
        return serve("tests.production.leasing_app:app", settings | own)

    return start


def submit(server: Server) -> str:
    items = [{"prompt": f"picture {number}"} for number in range(ROWS)]
    body = json.dumps({"renderer": "ai-service", "items": items}).encode()
    place: str = server.ask("/jobs", "POST", body, JSON).headers["Location"]
    return place


def attempts(settings: dict[str, str], place: str) -> list[str]:
    room = open_store(settings["MIMEO_STORE"], None, "jobs", durable=True)
    folder = f"{place.removeprefix('/jobs/')}/attempts"
    return sorted(key.removeprefix(folder) for key, _ in room.below(folder))


def ended(server: Server, place: str) -> dict[str, Any]:
    wait_until(lambda: document(server, place)["state"] == "succeeded", 120)
    return document(server, place)


def test_a_killed_machines_chunk_is_anothers_soon(
    machine: Machine, service: CountingService, settings: dict[str, str]
) -> None:
    with ExitStack() as stack:
        first = stack.enter_context(machine())
        place = submit(first)
        wait_until(lambda: len(service.sold) >= 3, 60)
        kill_all(first)
        killed = time.monotonic()
        # It has seen nothing of what was before.
        second = stack.enter_context(machine())
        job = ended(second, place)
        took_s = time.monotonic() - killed

    assert job["counts"] == {"total": ROWS, "done": ROWS, "failed": 0}
    assert attempts(settings, place) == ["/0/0", "/0/1"]
    # Some had been paid for and not been kept when the machine died.
    assert len(set(service.sold)) == ROWS
    assert len(service.sold) - ROWS <= 4
    # Far less than the ten minutes that the age of an attempt would say.
    assert took_s < LEASE_S + 3 * ROWS * PAUSE_S


def test_a_slow_drawer_that_lives_is_never_doubled(
    machine: Machine, service: CountingService, settings: dict[str, str]
) -> None:
    service.pause_s = 4 * PAUSE_S
    with machine() as first, machine() as second:
        place = submit(first)
        began = time.monotonic()
        job = ended(second, place)
        took_s = time.monotonic() - began

    assert job["counts"]["done"] == ROWS
    assert took_s > 3 * LEASE_S, "too quick to prove anything"
    assert attempts(settings, place) == ["/0/0"]
    assert sorted(service.sold) == sorted(f"picture {n}" for n in range(ROWS))


def test_two_machines_that_want_the_same_at_once_buy_it_once(
    machine: Machine, service: CountingService
) -> None:
    path = "/images/ai-service.png?prompt=one+cat"
    with machine() as first, machine() as second, ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(each.ask, path) for each in (first, second) * 4]
        replies = [each.result() for each in asked]

    assert {reply.status for reply in replies} == {200}
    assert len({reply.body for reply in replies}) == 1
    assert service.sold == ["one cat"]


def test_a_machine_that_is_told_to_stop_leaves_its_chunk_to_others_at_once(
    machine: Machine, service: CountingService, settings: dict[str, str]
) -> None:
    with machine() as first, machine() as second:
        place = submit(first)
        wait_until(lambda: len(service.sold) >= 3, 60)
        begun = attempts(settings, place)
        os.kill(first.pid, signal.SIGTERM)
        wait_until(lambda: len(attempts(settings, place)) == 3, 60)
        job = ended(second, place)

    assert begun == ["/0/0"]
    assert job["counts"]["done"] == ROWS
    assert attempts(settings, place) == ["/0/0", "/0/0.clean", "/0/1"]
    # What was paid for is in the store, where the next one finds it.
    assert sorted(service.sold) == sorted(f"picture {n}" for n in range(ROWS))
