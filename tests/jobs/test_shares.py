"""What one job leaves to others: turns, room, and peace once it is cancelled."""

import io
import random
import time
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from flask import Flask
from PIL import Image

from app.collection.collection import Header
from app.jobs.chunk_drawing import ChunkDrawing
from app.jobs.job import Job, chunk_size, expected_bytes
from app.jobs.job_ledger import JobLedger
from app.renderer.params import spell_bytes
from tests.jobs.apps import Open, ended, hold, rows
from tests.waiting import wait_until

ENDPOINT = {"purpose": "batch"}


@dataclass
class Turns:
    """The chunks that were drawn: whose, and when they began and ended."""

    chunks: list[tuple[str, float, float]] = field(default_factory=list)

    def begun_after(self, moment: float) -> list[str]:
        return [id for id, began, _ in self.chunks if began > moment]


@pytest.fixture
def turns(monkeypatch: pytest.MonkeyPatch) -> Turns:
    noted = Turns()
    draw = ChunkDrawing.draw

    def note(self: ChunkDrawing, job: Job, *given: Any, **named: Any) -> bool:
        began = time.monotonic()
        drawn = draw(self, job, *given, **named)
        if drawn:
            noted.chunks.append((job.id, began, time.monotonic()))
        return drawn

    monkeypatch.setattr(ChunkDrawing, "draw", note)
    return noted


def ledger_of(app: Flask) -> JobLedger:
    ledger: JobLedger = app.extensions["mimeo.jobs"]._ledger
    return ledger


def sent(app: Flask, body: dict[str, Any], **headers: str) -> Job:
    answer = app.test_client().post("/jobs", json=body, headers=headers)
    assert answer.status_code == 202, answer.text
    return ledger_of(app).job(answer.get_json()["id"])


def draw(app: Flask, job: Job, chunk: int) -> None:
    drawing: ChunkDrawing = app.extensions["mimeo.jobs"]._turns._drawing
    assert drawing.draw(job, chunk, Event())


def settle(app: Flask, job: Job) -> None:
    """Write the end of a job down."""
    assert app.extensions["mimeo.jobs"]._turns._drawing.missing(job) == []


def test_a_small_job_begins_within_two_chunks_of_a_large_one(
    open_app: Open, turns: Turns
) -> None:
    """The large one has chunks as long as one of a million rows would have."""
    app = open_app()
    client = app.test_client()
    table = "seed\n" + "".join(f"row {n}\n" for n in range(200_000))
    path = "/jobs?renderer=identicon&size=16"
    answer = client.post(path, data=table, headers={"Content-Type": "text/csv"})
    large = ledger_of(app).job(answer.get_json()["id"])
    wait_until(lambda: len(turns.chunks) >= 2, 180)

    submitted = time.monotonic()
    small = sent(app, rows(20))
    taken = time.monotonic()
    ended(client, f"/jobs/{small.id}")
    client.delete(f"/jobs/{large.id}")
    ended(client, f"/jobs/{large.id}")

    assert large.size == 250
    # What was in hand goes on; of the large one no other begins before.
    after = turns.begun_after(taken)
    assert after.index(small.id) <= 1
    [began] = [began for id, began, _ in turns.chunks if id == small.id]
    begins = [began for _, began, _ in turns.chunks]
    longest = max(later - sooner for sooner, later in pairwise(begins))
    assert began - submitted <= taken - submitted + 2 * longest


def test_after_a_cancel_less_than_a_chunk_is_drawn(
    open_app: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = open_app()
    client = app.test_client()
    asked: list[Any] = []
    pipeline = app.extensions["mimeo.jobs"]._turns._drawing._pipeline
    submit = pipeline.submit

    def note(request: Any, *given: Any, **named: Any) -> Any:
        asked.append(request)
        return submit(request, *given, **named)

    monkeypatch.setattr(pipeline, "submit", note)
    job = sent(app, rows(20_000))
    wait_until(lambda: len(asked) > 2 * job.size, 60)

    client.delete(f"/jobs/{job.id}")
    before = len(asked)
    ended(client, f"/jobs/{job.id}")

    assert len(asked) - before < job.size


def photograph(side: int, seed: int) -> str:
    """Return noise as a JPEG, which is larger than any photograph of its size."""
    chance = random.Random(seed)
    image = Image.frombytes("RGB", (side, side), chance.randbytes(3 * side * side))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=60)
    return spell_bytes(file.getvalue())


@pytest.mark.parametrize("format_name", ["png", "jpg", "webp"])
def test_photographs_are_expected_to_take_what_they_take(
    open_app: Open, format_name: str
) -> None:
    client = (app := open_app()).test_client()
    items = [{"title": f"{n}", "image": photograph(500, n)} for n in range(4)]

    job = sent(app, {"renderer": "card", "items": items, "format": format_name})

    took = ended(client, f"/jobs/{job.id}")["bytes"]
    assert took <= job.reserved
    # Not by so much that nobody could send any.
    assert job.reserved < 12 * took


def test_a_job_may_take_more_than_all_have_and_is_drawn_to_its_end(
    open_app: Open,
) -> None:
    """Others are refused, at once, by what it takes and not by what was expected."""
    app = open_app(jobs_bytes=600_000)
    hold(app)
    client = app.test_client()
    # Pictures of which a pixel takes more than is expected.
    items = [
        {"prompt": f"{n}", "width": 64, "height": 64, "seed": n} for n in range(200)
    ]
    job = sent(app, {"renderer": "dream", "items": items})
    other = rows(150)
    expected = client.post("/jobs", json=other)
    client.delete(expected.headers["Location"])
    settle(app, ledger_of(app).job(expected.get_json()["id"]))
    assert ended(client, expected.headers["Location"])["state"] == "cancelled"

    draw(app, job, 0)
    refused = client.post("/jobs", json=other)
    for chunk in range(1, job.chunks):
        draw(app, job, chunk)
    settle(app, job)
    told = client.get(f"/jobs/{job.id}").get_json()

    assert expected.status_code == 202
    assert (told["state"], told["counts"]["done"]) == ("succeeded", 200)
    assert told["bytes"] > 600_000 > job.reserved
    assert refused.status_code == 507
    assert client.post("/jobs", json=rows(1)).status_code == 507


def test_nothing_of_a_running_job_goes_while_all_other_rooms_are_filled(
    open_app: Open, tmp_path: Path
) -> None:
    bounds = {"store_bytes": 1 << 20, "collections_bytes": 1 << 20}
    app = open_app(jobs_bytes=8 << 20, **bounds)
    hold(app)
    client = app.test_client()
    job = sent(app, rows(100))
    alone = client.post("/collections.zip", json=rows(100)).data
    for chunk in (0, 2):
        draw(app, job, chunk)
    folder = tmp_path / "store/jobs" / job.id
    before = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}

    links = []
    for number in range(30):
        path = f"/images/dream.png?prompt={number}&width=320&height=320"
        assert client.get(path).status_code == 200
        made = client.post("/collections", json=rows(1500, name=f"{number}-{{index}}"))
        assert made.status_code == 201, made.text
        links.append(made.headers["Location"])
    statuses = []
    for number in range(12):
        file = io.BytesIO(bytes([number]) * (1 << 18))
        data = {**ENDPOINT, "file": (file, "in.jsonl")}
        statuses.append(client.post("/v1/files", data=data).status_code)

    # Each room was full: what came first has gone, or no more was let in.
    assert client.get(links[0]).status_code == 404
    media = sum(1 for p in (tmp_path / "store").rglob("*") if p.stat().st_size > 20_000)
    assert 0 < media < 30 + len(links)
    assert statuses[0] == 200 and statuses[-1] == 507
    assert {p: p.read_bytes() for p in before} == before
    for chunk in (1, 3):
        draw(app, job, chunk)
    settle(app, job)
    assert client.get(f"/jobs/{job.id}/archive.zip").data == alone


def test_what_is_expected_grows_with_what_is_known() -> None:
    header: Any = type("Header", (), {})()
    header.count, header.pixels, header.assets = 10, 10_000_000, {}
    flat = expected_bytes(header, 5, "png", bought=False)
    bought = expected_bytes(header, 5, "png", bought=True)
    lossy = expected_bytes(header, 5, "jpg", bought=True)
    header.assets = {"logo": (0, 10_000)}
    logo = expected_bytes(header, 5, "png", bought=False)

    assert flat < logo < lossy < bought
    assert bought > 3 * header.pixels


@pytest.mark.parametrize(
    ("rows", "folder", "bucket"),
    [(20, 25, 50), (20_000, 25, 50), (100_000, 125, 250), (1_000_000, 500, 500)],
)
def test_chunks_of_a_bucket_are_larger_as_each_costs_more(
    rows: int, folder: int, bucket: int
) -> None:
    header = Header(rows, ("badge",), {}, rows, "", "", 0, (), {})

    sizes = [
        chunk_size(header, bought=False, store=store)
        for store in ("/var/lib/mimeo", "s3://bucket/mimeo")
    ]

    assert sizes == [folder, bucket]
    assert chunk_size(header, bought=True, store="s3://bucket/mimeo") == 20
