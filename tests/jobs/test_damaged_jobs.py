"""Entries of a job that a disk has spoilt: told, and made anew where they can be."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.jobs.apps import Open, ended, hold, rows

Spoil = Callable[[Path], object]
SPOILT: dict[str, Spoil] = {
    "emptied": lambda path: path.write_bytes(b""),
    "cut short": lambda path: path.write_bytes(path.read_bytes()[:20]),
    "of zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "of another": lambda path: path.write_bytes(b'{"a":[1,2]}'),
}
EACH_WAY = pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT)


def entry(store: Path, place: str, name: str) -> Path:
    return store / place.removeprefix("/") / name


def draw(app) -> None:
    del app.extensions["mimeo.jobs"].start
    app.extensions["mimeo.jobs"].start()


@EACH_WAY
def test_a_chunk_that_is_spoilt_before_the_end_is_drawn_again(
    open_app: Open, tmp_path: Path, spoil: Spoil
) -> None:
    app = open_app()
    hold(app)
    client = app.test_client()
    here = client.post("/collections.zip", json=rows(120)).data
    place = client.post("/jobs", json=rows(120)).headers["Location"]
    engine = app.extensions["mimeo.jobs"]
    ledger = engine._ledger
    job = ledger.job(place.rpartition("/")[2])
    assert engine._turns._drawing.draw(job, 1, engine._stopping)
    spoil(entry(tmp_path / "store", place, "chunks/1"))

    draw(app)
    found = ended(open_app().test_client(), place)

    assert found["counts"] == {"total": 120, "done": 120, "failed": 0}
    assert client.get(found["links"]["archive"]).data == here


@EACH_WAY
@pytest.mark.parametrize("name", ["finished", "layout"])
def test_what_follows_from_the_chunks_is_found_again(
    open_app: Open, tmp_path: Path, name: str, spoil: Spoil
) -> None:
    app = open_app()
    client = app.test_client()
    place = client.post("/jobs", json=rows(60)).headers["Location"]
    path = ended(client, place)["links"]["archive"]
    before = client.get(path).data
    spoil(entry(tmp_path / "store", place, name))

    again = open_app()
    again.extensions["mimeo.jobs"].start()
    found = ended(again.test_client(), place)

    assert found["state"] == "succeeded"
    assert again.test_client().get(path).data == before


@EACH_WAY
def test_a_job_whose_rows_are_spoilt_fails_and_others_go_on(
    open_app: Open, tmp_path: Path, spoil: Spoil
) -> None:
    app = open_app()
    hold(app)
    client = app.test_client()
    first = client.post("/jobs", json=rows(60)).headers["Location"]
    second = client.post("/jobs", json=rows(61)).headers["Location"]
    spoil(entry(tmp_path / "store", first, "rows"))

    draw(app)
    failed, whole = ended(client, first), ended(client, second)

    assert (failed["state"], whole["state"]) == ("failed", "succeeded")
    assert failed["error"]["type"] == "/problems/damaged-collection"


@EACH_WAY
def test_a_job_whose_head_is_spoilt_is_gone_and_others_go_on(
    open_app: Open, tmp_path: Path, spoil: Spoil
) -> None:
    app = open_app()
    hold(app)
    client = app.test_client()
    first = client.post("/jobs", json=rows(60)).headers["Location"]
    second = client.post("/jobs", json=rows(61)).headers["Location"]
    spoil(entry(tmp_path / "store", first, "job.json"))

    again = open_app()
    again.extensions["mimeo.jobs"].start()
    client = again.test_client()
    whole = ended(client, second)
    answer = client.get(first)

    assert whole["state"] == "succeeded"
    assert answer.status_code == 410
    assert answer.get_json()["type"] == "/problems/damaged-job"
    assert [job["links"]["self"] for job in client.get("/jobs").get_json()["jobs"]] == [
        second
    ]


@pytest.mark.parametrize("data", [b"", bytes(18), b"{}", b'"now"'])
def test_a_moment_that_is_spoilt_is_none(
    open_app: Open, tmp_path: Path, data: bytes
) -> None:
    client = open_app().test_client()
    place = client.post("/jobs", json=rows(60)).headers["Location"]
    ended(client, place)
    entry(tmp_path / "store", place, "started").write_bytes(data)

    found = client.get(place).get_json()

    assert (found["state"], found["started"]) == ("succeeded", None)


def test_an_image_that_is_spoilt_is_never_sent(open_app: Open, tmp_path: Path) -> None:
    client = open_app().test_client()
    place = client.post("/jobs", json=rows(60)).headers["Location"]
    path = ended(client, place)["links"]["archive"]
    chunk = entry(tmp_path / "store", place, "chunks/0")
    data = bytearray(chunk.read_bytes())
    data[len(data) // 4] ^= 1
    chunk.write_bytes(data)

    answer = client.get(path)

    assert answer.status_code == 410
    assert answer.get_json()["type"] == "/problems/damaged-job"
