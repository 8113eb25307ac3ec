"""Copies of what a bucket has: whole or not used, bounded, and never needed."""

import json
import os
import statistics
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app import create_app
from app.config import Settings
from app.store import Copies, StoreError, copies_in
from tests.counting_proxy import CountingProxy, counting_requests
from tests.jobs.apps import WholeClient, close, ended, rows
from tests.production.counting_service import counting
from tests.s3_server import access, serving
from tests.waiting import wait_until

KEY = "ab" * 32
IMAGE = "/images/card.png?title=Copies"
MEBI = 1 << 20


def spoil(folder: Path) -> int:
    """Change a byte in the middle of each copy; return how many there are."""
    files = [f for room in ("copies", "parts") for f in folder.glob(f"{room}/*/*")]
    for file in files:
        data = bytearray(file.read_bytes())
        data[len(data) // 2] ^= 1
        file.write_bytes(data)
    return len(files)


def age(folder: Path, seconds: float) -> None:
    """Let all copies be older than they are."""
    then = time.time() - seconds
    for file in folder.glob("*/*/*"):
        os.utime(file, (then, then))


def opened(folder: Path, limit: int = 64 * MEBI) -> Copies:
    return copies_in(folder, limit, lambda _: None, lambda *_: None)


class Original:
    """An entry of which each read is noted."""

    def __init__(self, size: int) -> None:
        self.data = os.urandom(size)
        self.asked: list[tuple[int, int]] = []

    def read(self, start: int, stop: int) -> bytes:
        self.asked.append((start, stop))
        return self.data[start:stop]


@pytest.mark.parametrize("size", [0, 5, MEBI - 1, MEBI, MEBI + 1, 3 * MEBI + 17])
def test_what_is_read_by_parts_is_what_is_there(size: int, tmp_path: Path) -> None:
    original, copies = Original(size), opened(tmp_path)
    spans = [(0, 1), (0, size), (size // 2, size + 9), (MEBI - 2, MEBI + 2)]

    for _ in range(2):
        read = copies.reading("one", original.read)
        for start, stop in spans:
            assert read(start, stop) == original.data[start:stop]
        assert read(size // 2, size // 2) == b""

    assert len(original.asked) == len(set(original.asked)) <= size // MEBI + 1


def test_a_damaged_copy_is_read_again_and_never_used(tmp_path: Path) -> None:
    original = Original(2 * MEBI)
    read = opened(tmp_path).reading("one", original.read, large=True)
    read(0, 2 * MEBI)

    spoilt = spoil(tmp_path)
    again = read(0, 2 * MEBI)

    assert spoilt == 2
    assert again == original.data
    assert len(original.asked) == 4


def test_a_copy_is_used_for_an_hour(tmp_path: Path) -> None:
    original = Original(100)
    read = opened(tmp_path).reading("one", original.read)
    read(0, 100)

    age(tmp_path, 3000)
    read(0, 100)
    soon = len(original.asked)
    age(tmp_path, 3700)
    read(0, 100)

    assert (soon, len(original.asked)) == (1, 2)


def test_copies_stay_within_their_bound_and_the_old_go_first(tmp_path: Path) -> None:
    swept: list[int] = []
    copies = copies_in(
        tmp_path, 8 * MEBI, lambda _: None, lambda count, size: swept.append(size)
    )
    copies.keep("cd" * 32, bytes(1000))
    age(tmp_path, 4000)

    for number in range(300):
        copies.keep(f"{number:064x}", os.urandom(100_000))
    wait_until(lambda: bool(swept) and size_of(tmp_path) <= 4 * MEBI)

    assert copies.find("cd" * 32, bytes) is None
    assert copies.find(f"{299:064x}", bytes) is not None
    assert not list(tmp_path.glob("copies/*/" + "cd" * 32))


def size_of(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.glob("*/*/*"))


def test_several_workers_may_read_and_copy_at_once(tmp_path: Path) -> None:
    originals = [Original(MEBI + number) for number in range(4)]
    workers = [opened(tmp_path, 32 * MEBI) for _ in range(4)]

    def work(turn: int) -> bool:
        original = originals[turn % 4]
        read = workers[turn // 4 % 4].reading(f"{turn % 4}", original.read, large=True)
        return read(0, 2 * MEBI) == original.data

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(200)))
    assert sum(len(one.asked) for one in originals) < 200


def test_without_a_folder_everything_is_read(tmp_path: Path) -> None:
    original, copies = Original(100), Copies()

    assert copies.reading("one", original.read) == original.read
    copies.keep(KEY, b"one")
    assert copies.find(KEY, bytes) is None
    with pytest.raises(StoreError):
        (tmp_path / "file").touch()
        opened(tmp_path / "file" / "folder")


# At a bucket.


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CountingProxy]:
    with (
        serving(tmp_path_factory.mktemp("seaweed")) as url,
        counting_requests(url) as proxy,
    ):
        yield proxy


class Machines:
    """Apps at one bucket, each with a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._store = f"s3://bucket/{folder.name}"
        self.apps: list[Flask] = []

    def add(self, **more: Any) -> FlaskClient:
        own = self.folder / f"machine{len(self.apps)}"
        settings = Settings(
            store=self._store,
            copies=str(own),
            system_fonts=False,
            access_log=False,
            local_callers=True,
            workers=1,
            **more,
        )
        self.apps.append(create_app(settings, {}))
        self.apps[-1].test_client_class = WholeClient
        return self.apps[-1].test_client()


@pytest.fixture
def machines(
    s3: CountingProxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Machines]:
    for name, value in access(s3.url).items():
        monkeypatch.setenv(name, value)
    made = Machines(tmp_path)
    yield made
    for app in made.apps:
        close(app)


def asked(s3: CountingProxy, room: str) -> list[str]:
    """Return the requests of a room since the last call."""
    found = [request for request in s3.seen if f"/{room}/" in request]
    s3.seen.clear()
    return found


def test_an_image_is_read_of_the_bucket_once(
    machines: Machines, s3: CountingProxy
) -> None:
    first, second = machines.add(), machines.add()
    drawn = first.get(IMAGE).data
    asked(s3, "media")

    by_first = first.get(IMAGE).data, asked(s3, "media")
    fetched = second.get(IMAGE).data, len(asked(s3, "media"))
    again = second.get(IMAGE).data, asked(s3, "media")
    figures = second.get("/metrics").text

    # It was copied when it was drawn.
    assert by_first == (drawn, [])
    assert fetched == (drawn, 1)
    assert again == (drawn, [])
    assert 'mimeo_store_lookups_total{result="hit",room="copies"}' in figures


def test_a_spoilt_copy_of_an_image_is_never_served(
    machines: Machines, s3: CountingProxy
) -> None:
    client = machines.add()
    drawn = client.get(IMAGE).data

    assert spoil(machines.folder / "machine0") > 0
    asked(s3, "media")
    again = client.get(IMAGE).data

    assert again == drawn
    assert len(asked(s3, "media")) == 1


def test_a_copy_is_faster_than_the_bucket(machines: Machines) -> None:
    with_copies, without = machines.add(), machines.add(copies_bytes=0)
    expected = with_copies.get(IMAGE).data

    def median_s(client: FlaskClient) -> float:
        spans = []
        for _ in range(60):
            begun = time.perf_counter()
            assert client.get(IMAGE).data == expected
            spans.append(time.perf_counter() - begun)
        return statistics.median(spans)

    # The bucket is on this machine: one that is far takes longer still.
    assert median_s(with_copies) < median_s(without)


def test_rows_are_read_once_and_a_deleted_collection_is_gone_everywhere(
    machines: Machines, s3: CountingProxy
) -> None:
    first, second = machines.add(), machines.add()
    place = first.post("/collections", json=rows(30)).headers["Location"]
    assert second.get(f"{place}/1.png").status_code == 200
    asked(s3, "collections")

    other = second.get(f"{place}/2.png")
    of_other = asked(s3, "collections")
    deleted = first.delete(place)
    gone = second.get(f"{place}/1.png")

    assert other.status_code == 200
    # Whether it is still there, and who owns it, is asked of the bucket alone.
    assert {request.partition(" ")[0] for request in of_other} == {"HEAD"}
    assert (deleted.status_code, gone.status_code) == (204, 404)


def test_an_archive_of_a_job_is_read_once_and_not_pushed_by_it(
    machines: Machines, s3: CountingProxy
) -> None:
    first, second = machines.add(), machines.add()
    place = first.post("/jobs", json=rows(120)).headers["Location"]
    job = ended(first, place)
    path = job["links"]["archive"]
    whole = second.get(path).data
    asked(s3, "jobs")

    again = second.get(path).data
    of_chunks = [request for request in asked(s3, "jobs") if "/chunks/" in request]
    part = second.get(path, headers={"Range": "bytes=100-20000"})

    assert again == whole == first.get(path).data
    assert [request for request in of_chunks if request.startswith("GET")] == []
    assert part.data == whole[100:20001]


def test_a_job_that_comes_again_under_its_id_is_not_an_old_copy(
    machines: Machines,
) -> None:
    client = machines.add(jobs_ttl_s=60)
    key = {"Idempotency-Key": "one"}
    made = []
    for seeds in ("a", "b"):
        items = [{"seed": f"{seeds}{number}", "size": 32} for number in range(60)]
        body = {"renderer": "identicon", "items": items}
        place = client.post("/jobs", json=body, headers=key).headers["Location"]
        job = ended(client, place)
        made.append((place, client.get(job["links"]["archive"]).data))
        engine = machines.apps[0].extensions["mimeo.jobs"]
        engine._ledger.delete(place.removeprefix("/jobs/"))

    (first, one), (second, other) = made
    assert first == second
    assert one != other


def test_what_a_service_made_is_not_copied_as_if_it_were_drawn(
    machines: Machines,
) -> None:
    with counting() as service:
        own = {"AI_SERVICE_URL": service.url}
        folder = machines.folder / "buyer"
        settings = Settings(
            store=f"s3://bucket/{machines.folder.name}",
            copies=str(folder),
            system_fonts=False,
            access_log=False,
            local_callers=True,
            workers=1,
        )
        app = create_app(settings, own)
        machines.apps.append(app)
        client = app.test_client()
        for ending in ("png", "webp"):
            path = f"/images/ai-service.{ending}?prompt=a+cat"
            assert client.get(path).status_code == 200

    assert list(folder.glob("copies/*/*")) == []


def test_a_folder_that_cannot_be_written_costs_copies_alone(
    machines: Machines, caplog: pytest.LogCaptureFixture
) -> None:
    (machines.folder / "machine0").write_text("not a folder")

    answer = machines.add().get(IMAGE)

    assert answer.status_code == 200
    assert "no copies" in caplog.text


def test_an_idle_worker_asks_for_a_list_now_and_then_and_wakes_at_a_submit(
    machines: Machines, s3: CountingProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = machines.add()
    ended(client, client.post("/jobs", json=rows(60)).headers["Location"])
    engine = machines.apps[0].extensions["mimeo.jobs"]
    # Looks that are as far apart as they are, but for a factor.
    monkeypatch.setattr("app.jobs.local_engine._IDLE_S", 0.3)
    monkeypatch.setattr("app.jobs.local_engine._LOOK_S", 0.05)
    engine.enqueue("")
    time.sleep(1)
    s3.seen.clear()
    time.sleep(3)
    idle = list(s3.seen)
    monkeypatch.setattr("app.jobs.local_engine._IDLE_S", 1000)
    time.sleep(1)
    woken = ended(client, client.post("/jobs", json=rows(61)).headers["Location"])

    # One request a look, and no more looks than every 30 s: 120 an hour.
    assert idle
    assert all("list-type=2" in each for each in idle), idle
    assert len(idle) <= 3 / 0.3 + 1
    assert woken["counts"]["done"] == 61


def test_nothing_that_may_change_is_copied(machines: Machines) -> None:
    client = machines.add()
    place = client.post("/jobs", json=rows(60)).headers["Location"]
    job = ended(client, place)
    for link in job["links"].values():
        client.get(link)
    folder = machines.folder / "machine0"
    before = sorted(folder.glob("*/*/*"))

    for _ in range(3):
        client.get(place)
        client.get("/jobs")
        client.get(f"{place}/deliveries")

    assert sorted(folder.glob("*/*/*")) == before
    # Chunks alone, and no images: those of jobs are not kept apart.
    assert {file.parent.parent.name for file in before} == {"parts"}
    assert json.loads(client.get(place).data)["state"] == "succeeded"
