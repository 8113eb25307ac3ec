"""Chunks whose drawers die, stop, or fail; the ledger says what is left."""

import json
import os
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from app import create_app
from app.config import Settings
from app.jobs.chunk_drawing import ChunkDrawing
from app.jobs.delivery_log import DeliveryAttempt
from app.jobs.errors import UnknownJob
from app.jobs.job import Job
from app.jobs.job_ledger import _SUBMITTING, ChunkAttempt, JobLedger
from app.jobs.results import JobResults
from app.jobs.turns import JobTurns, _by_lot
from app.pipeline.media_store import MediaStore
from app.renderer.errors import RenderTimeout
from app.store import checked, unchecked


class Work:
    """A job that is submitted and that no thread draws."""

    def __init__(self, store: str, count: int) -> None:
        self.store = store
        settings = Settings(
            store=store,
            system_fonts=False,
            access_log=False,
            local_callers=True,
            workers=1,
        )
        self.app = create_app(settings, {})
        engine = self.app.extensions["mimeo.jobs"]
        engine.start = lambda: None
        self.engine = engine
        self.ledger: JobLedger = engine._ledger
        self.chunks: ChunkDrawing = engine._turns._drawing
        items = [{"seed": f"row {number}", "size": 32} for number in range(count)]
        body = {"renderer": "identicon", "items": items}
        answer = self.app.test_client().post("/jobs", json=body)
        self.job: Job = self.ledger.job(answer.get_json()["id"])

    def die(self, chunk: int, times: int) -> None:
        """Leave attempts behind as a killed process does."""
        for _ in range(times):
            with self.ledger.attempt(self.job, chunk) as attempt:
                assert attempt is not None

    def told(self) -> dict[str, Any]:
        """Return the manifest of the job's archive."""
        text = b"".join(JobResults(self.ledger).manifest(self.job))
        found: dict[str, Any] = json.loads(text)
        return found

    def finish(self) -> dict[str, Any]:
        for _ in range(100):
            for chunk in self.chunks.missing(self.job):
                self.chunks.draw(self.job, chunk, Event())
            document = self.ledger.document(self.job)
            if document["finished"]:
                return document
        raise AssertionError("it has no end")


@pytest.fixture(params=["folder", "memory:"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "store") if request.param == "folder" else request.param


@pytest.fixture
def work(store: str) -> Iterator[Work]:
    made = Work(store, 120)
    yield made
    made.engine.close()
    made.app.extensions["mimeo"].close()


@pytest.fixture
def in_folder(tmp_path: Path) -> Iterator[Work]:
    made = Work(str(tmp_path / "store"), 120)
    yield made
    made.engine.close()
    made.app.extensions["mimeo"].close()


def test_chunks_may_be_drawn_in_any_order(work: Work) -> None:
    for chunk in (2, 0, 4, 1, 3):
        assert work.chunks.draw(work.job, chunk, Event())

    document = work.finish()

    assert work.job.chunks == 5
    assert document["counts"] == {"total": 120, "done": 120, "failed": 0}
    images = work.told()["images"]
    assert [image["index"] for image in images] == list(range(1, 121))


def test_a_chunk_that_is_done_is_not_drawn_again(work: Work) -> None:
    first = work.chunks.draw(work.job, 0, Event())
    again = work.chunks.draw(work.job, 0, Event())

    assert (first, again) == (True, False)


def test_a_chunk_that_another_draws_is_left_to_it(work: Work) -> None:
    with work.ledger.attempt(work.job, 0) as held:
        drawn = work.chunks.draw(work.job, 0, Event())

    assert held is not None
    assert drawn is False


def test_of_two_results_one_is_kept(work: Work) -> None:
    with work.ledger.attempt(work.job, 0) as attempt:
        assert attempt is not None
        late = ChunkAttempt(attempt.key[:-1] + "1", 1)
        assert work.ledger.commit(work.job, 0, iter((b"first",)), attempt)

        assert not work.ledger.commit(work.job, 0, iter((b"second",)), late)
    assert work.ledger.read_chunk(work.job, 0)(0, 9) == b"first"


def test_what_was_drawn_in_vain_is_counted(in_folder: Work) -> None:
    """One is killed, one told to stop, and one comes late."""
    stopping = Event()
    stopping.set()
    in_folder.die(0, 1)
    in_folder.chunks.draw(in_folder.job, 1, stopping)
    with in_folder.ledger.attempt(in_folder.job, 2) as late:
        pass
    assert late is not None
    running = in_folder.ledger.document(in_folder.job)["attempts"]
    for chunk in range(4):
        in_folder.chunks.draw(in_folder.job, chunk, Event())
    in_folder.ledger.commit(in_folder.job, 2, iter((b"late",)), late)

    told = in_folder.finish()["attempts"]

    assert running is None
    assert told == {"chunks": 5, "begun": 8, "left": 1, "duplicates": 1}


def test_who_is_told_to_stop_leaves_the_chunk_to_others_at_once(work: Work) -> None:
    stopping = Event()
    stopping.set()

    begun = work.chunks.draw(work.job, 0, stopping)

    assert begun and work.ledger.done(work.job) == set()
    with work.ledger.attempt(work.job, 0) as attempt:
        assert attempt is not None
        assert attempt.unclean == 0


def test_a_dead_drawers_chunk_is_begun_anew_at_once(work: Work) -> None:
    work.die(0, 3)

    with work.ledger.attempt(work.job, 0) as attempt:
        assert attempt is not None
        assert attempt.unclean == 3


def test_a_row_that_ends_its_process_is_given_up_alone(
    in_folder: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_folder.die(2, 6)
    # Two processes ended with this row, drawn alone; one with that, by chance.
    for _ in range(2):
        assert in_folder.ledger.suspect(in_folder.job, 60)
    assert in_folder.ledger.suspect(in_folder.job, 61)

    document = in_folder.finish()

    assert document["counts"] == {"total": 120, "done": 119, "failed": 1}
    [failure] = in_folder.told()["errors"]
    assert (failure["index"], failure["type"]) == (60, "/problems/undrawable")
    below = in_folder.ledger._store.below(f"{in_folder.job.id}/suspects")
    assert below == []


def test_what_is_no_rows_fault_is_seen_and_tried_again(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = work.chunks._drawing.draw
    failures = iter([ZeroDivisionError("a mistake")])

    def fail_once(*given: Any, **named: Any) -> Any:
        for error in failures:
            raise error
        return real(*given, **named)

    monkeypatch.setattr(work.chunks._drawing, "draw", fail_once)
    with pytest.raises(ZeroDivisionError):
        work.chunks.draw(work.job, 0, Event())

    assert work.finish()["counts"]["done"] == 120


def test_what_may_not_fail_again_is_drawn_once_more(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = work.chunks._pipeline.submit
    slow = {7: 1, 30: 9}
    asked = 0

    def submit(request: Any, *given: Any, **named: Any) -> Any:
        nonlocal asked
        number = int(request.parameters.seed.split()[1])
        if slow.get(number, 0) > 0:
            slow[number] -= 1
            asked += 1
            raise_later = real(request, *given, **named)
            raise_later.result()
            failed: Any = type(raise_later)()
            failed.set_exception(RenderTimeout("MIMEO_RENDER_TIMEOUT_S", 1.0))
            return failed
        return real(request, *given, **named)

    monkeypatch.setattr("app.jobs.chunk_drawing._PAUSES_S", (0.0, 0.0))
    monkeypatch.setattr(work.chunks._pipeline, "submit", submit)

    document = work.finish()

    assert document["counts"] == {"total": 120, "done": 119, "failed": 1}
    assert asked == 1 + 3


def test_a_job_of_other_pixels_is_left_to_those_who_make_them(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    work.chunks.draw(work.job, 0, Event())
    # As another version does, for all that follows.
    monkeypatch.setattr("app.collection.collection.ENCODERS", ("other",))
    assert not work.chunks.is_ours(work.job)
    assert work.chunks.draw(work.job, 1, Event())
    assert work.ledger.end(work.job.id) is None

    monkeypatch.undo()

    assert work.chunks.is_ours(work.job)
    assert work.finish()["counts"] == {"total": 120, "done": 120, "failed": 0}


def test_a_job_that_no_version_draws_any_more_fails_and_says_why(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    work.chunks.draw(work.job, 0, Event())
    monkeypatch.setattr("app.collection.collection.ENCODERS", ("other",))
    monkeypatch.setattr("app.jobs.job_ledger._OTHERS_S", 0.0)
    assert not work.chunks.is_ours(work.job)
    # Somebody who can has begun meanwhile, and then is gone.
    work.die(1, 1)
    assert not work.chunks.is_ours(work.job)
    assert work.ledger.end(work.job.id) is None

    assert not work.chunks.is_ours(work.job)

    document = work.ledger.document(work.job)
    assert document["state"] == "failed"
    assert document["error"]["type"] == "/problems/expired-collection"
    assert document["counts"]["done"] == 25


def test_a_cancelled_job_ends_when_nobody_draws_it_any_more(work: Work) -> None:
    with work.ledger.attempt(work.job, 1) as attempt:
        assert attempt is not None
        assert work.ledger.cancel(work.job)
        between = work.chunks.missing(work.job), work.ledger.state(work.job)
        work.ledger.leave(attempt)
    after = work.chunks.missing(work.job), work.ledger.state(work.job)

    assert between == ([], "cancelling")
    assert after == ([], "cancelled")


def test_drawing_stops_within_a_chunk_that_is_cancelled(
    in_folder: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.jobs.chunk_drawing._LOOK_S", 0)
    in_folder.ledger.cancel(in_folder.job)

    assert in_folder.chunks.draw(in_folder.job, 0, Event())

    assert in_folder.ledger.done(in_folder.job) == set()


def test_the_end_is_written_once_by_whoever_comes_first(work: Work) -> None:
    won = []
    threads = [
        threading.Thread(
            target=lambda: won.append(work.ledger.finish(work.job, "failed"))
        )
        for _ in range(8)
    ]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert won.count(True) == 1


def test_who_gets_no_turn_to_submit_is_told_to_come_again(
    in_folder: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.jobs.job_ledger._SUBMIT_S", 0.1)
    body = {"renderer": "identicon", "items": [{"seed": "another"}]}
    client = in_folder.app.test_client()

    with in_folder.ledger._turn_to_reserve():
        here = client.post("/jobs", json=body)
    with in_folder.ledger._store.lock(_SUBMITTING, (0.0 for _ in range(100))):
        elsewhere = client.post("/jobs", json=body)
    later = client.post("/jobs", json=body)

    assert (here.status_code, elsewhere.status_code) == (503, 503)
    assert here.headers["Retry-After"] == elsewhere.headers["Retry-After"] == "5"
    assert "submitted" in here.get_json()["detail"]
    assert later.status_code == 202


def test_what_a_later_version_has_noted_more_is_read_without(work: Work) -> None:
    ended = work.finish()
    ledger, store, id = work.ledger, work.ledger._store, work.job.id
    attempt = DeliveryAttempt(number=1, started=1.0, due=None, result="delivered")
    assert ledger.deliveries(work.job).begin(attempt)
    for name in ("job.json", "finished"):
        entry = store.get(f"{id}/{name}")
        assert entry is not None
        store.put(
            f"{id}/{name}", json.dumps({**json.loads(bytes(entry)), "new": 1}).encode()
        )
    block = store.get(f"{id}/deliveries/1")
    assert block is not None
    noted = {**json.loads(bytes(unchecked(block))), "new": 1}
    store.put(f"{id}/deliveries/1", checked(json.dumps(noted).encode()))
    ledger._forget(id)

    assert ledger.document(ledger.job(id)) == ended
    assert ledger.deliveries(work.job).read() == [attempt]


def test_a_look_lists_the_jobs_once_and_again_only_where_that_is_old(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    work.finish()
    lists: list[None] = []
    ids = work.ledger.ids

    def count() -> list[str]:
        lists.append(None)
        return ids()

    monkeypatch.setattr(work.ledger, "ids", count)
    turns = JobTurns(work.ledger, work.chunks, fresh_s=60.0)

    turns.draw(Event())
    first = len(lists)
    turns.draw(Event())

    assert (first, len(lists)) == (1, 2)


def test_a_job_that_another_thread_forgets_meanwhile_is_found(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = work.ledger._store
    has = store.has

    def forget_and_look(key: str) -> bool:
        work.ledger._forget(work.job.id)
        return has(key)

    monkeypatch.setattr(store, "has", forget_and_look)

    assert work.ledger.job(work.job.id) == work.job


def test_what_comes_under_the_id_of_a_deleted_job_is_another(work: Work) -> None:
    store, later = work.ledger._store, replace(work.job, created=work.job.created + 1)
    store.delete(f"{work.job.id}/job.json")

    with pytest.raises(UnknownJob):
        work.ledger.job(work.job.id)
    store.create(f"{work.job.id}/job.json", later.encode())

    assert work.ledger.job(work.job.id) == later


def test_a_job_that_is_deleted_while_it_is_looked_at_does_not_fail(
    in_folder: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert in_folder.finish()["state"] == "succeeded"
    other = Work(in_folder.store, 120)
    monkeypatch.setattr("app.jobs.job_ledger._UPLOAD_S", 0)
    # It is kept no longer, so that both look for its end.
    monkeypatch.setattr(other.ledger, "_ttl_s", 0)
    told: list[Job] = []
    turns = JobTurns(other.ledger, other.chunks, told.append)
    listed = other.ledger.jobs

    def delete_after_the_list() -> Iterator[Job]:
        for job in listed():
            in_folder.ledger.delete(job.id)
            yield job

    monkeypatch.setattr(other.ledger, "jobs", delete_after_the_list)

    assert not turns.draw(Event())

    assert told == []
    assert in_folder.ledger.ids() == []
    other.engine.close()
    other.app.extensions["mimeo"].close()


def test_an_upload_that_was_cut_off_is_completed_by_the_next_like_it(
    in_folder: Work, tmp_path: Path
) -> None:
    rows = tmp_path / "store/jobs" / in_folder.job.id / "rows"
    os.unlink(rows)
    waiting = in_folder.chunks.missing(in_folder.job)
    items = [{"seed": f"row {number}", "size": 32} for number in range(120)]
    body = {"renderer": "identicon", "items": items}

    answer = in_folder.app.test_client().post("/jobs", json=body)

    assert waiting == []
    assert answer.get_json()["id"] == in_folder.job.id
    assert in_folder.finish()["counts"]["done"] == 120


def test_an_upload_that_nobody_completes_fails_after_an_hour(
    in_folder: Work, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.unlink(tmp_path / "store/jobs" / in_folder.job.id / "rows")
    monkeypatch.setattr("app.jobs.job_ledger._UPLOAD_S", 0)

    assert in_folder.finish()["state"] == "failed"


def counted(work: Work, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count what the ledger asks of its store from now on."""
    calls: Counter[str] = Counter()
    store = work.ledger._store
    names = (
        "get",
        "read",
        "has",
        "put",
        "create",
        "delete",
        "below",
        "folders",
        "lock",
        "hold",
        "is_held",
    )

    class Counting:
        def __getattr__(self, name: str) -> Any:
            if name in names:
                calls[name] += 1
            return getattr(store, name)

    monkeypatch.setattr(work.ledger, "_store", Counting())
    return calls


def test_a_chunk_takes_few_requests_to_a_bucket(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = counted(work, monkeypatch)
    turns = JobTurns(work.ledger, work.chunks, fresh_s=60.0, lots=True)
    assert turns.draw(Event())
    calls.clear()

    assert turns.draw(Event())

    # A list, an attempt, rows, the chunk, and a list whether it was the last.
    assert 0 < calls.total() <= 6, calls
    assert calls["hold"] == 1
    assert calls["below"] + calls["folders"] <= 2


@pytest.fixture
def many(store: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Work]:
    """Return a job of thirty chunks; a look at it lasts however slow the machine is."""
    monkeypatch.setattr("app.jobs.turns._LOOK_S", 60.0)
    made = Work(store, 30 * 25)
    with closing(made.engine), closing(made.app.extensions["mimeo"]):
        yield made


def test_what_a_job_lacks_is_listed_once_for_many_chunks_of_a_worker(
    many: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns = JobTurns(many.ledger, many.chunks, fresh_s=60.0, lots=True)
    assert turns.draw(Event())
    calls = counted(many, monkeypatch)

    drawn = sum(turns.draw(Event()) for _ in range(8))

    assert (drawn, calls["hold"], calls["below"]) == (8, 8, 0)
    assert len(many.ledger.done(many.job)) == 9
    assert many.finish()["counts"]["done"] == 750


def test_what_was_seen_of_a_job_some_time_ago_is_not_all_there_is(
    many: Work,
) -> None:
    """Others draw all that a worker knows of, but for what is left to it then."""
    turns = JobTurns(many.ledger, many.chunks, fresh_s=60.0, lots=True)
    assert turns.draw(Event())
    stopping = Event()
    stopping.set()
    for chunk in many.chunks.missing(many.job):
        many.chunks.draw(many.job, chunk, stopping if chunk == 29 else Event())

    drawn = [turns.draw(Event()), turns.draw(Event())]

    assert drawn == [True, False]
    assert many.ledger.document(many.job)["counts"]["done"] == 750


def test_a_process_goes_along_a_row_of_chunks_and_reads_its_rows_once() -> None:
    chunks = [0, 1, 2, *range(7, 60)]

    along, lost = _by_lot(chunks, 6), _by_lot(chunks, 59)

    assert along[:2] == [7, 8]
    # Those in front are not forgotten: a row of its own ends where they are too many.
    assert set(lost[:8]) <= set(chunks[:16])
    assert _by_lot(chunks, 40)[0] in chunks[:16]


def test_of_one_core_one_thread_draws_while_another_begins(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = work.app.extensions["mimeo"]
    pipeline.draws_in_place = True
    drawers: list[int] = []
    draw = pipeline._draw_one_of_many

    def watch(*given: Any) -> Any:
        drawers.append(threading.get_ident())
        # Others would come in between.
        time.sleep(0.001)
        return draw(*given)

    monkeypatch.setattr(pipeline, "_draw_one_of_many", watch)
    threads = [
        threading.Thread(target=work.chunks.draw, args=(work.job, chunk, Event()))
        for chunk in range(work.job.chunks)
    ]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    turns = [drawer for drawer, _ in groupby(drawers)]
    assert len(turns) == len(set(turns)) == work.job.chunks
    assert work.finish()["counts"]["done"] == len(drawers) == 120


def test_who_waits_for_the_core_leaves_its_chunk_where_it_is_told_to(
    work: Work,
) -> None:
    work.app.extensions["mimeo"].draws_in_place = True
    stopping = Event()
    with work.chunks._core:
        thread = threading.Thread(target=work.chunks.draw, args=(work.job, 0, stopping))
        thread.start()
        stopping.set()
        thread.join()

    assert work.ledger.done(work.job) == set()
    assert work.finish()["state"] == "succeeded"


def test_no_image_of_a_collection_is_looked_for_in_the_store(
    store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # In a bucket each look was a request: as many as images.
    looks: list[str] = []

    def get(_: MediaStore, fingerprint: str) -> None:
        looks.append(fingerprint)

    monkeypatch.setattr(MediaStore, "get", get)
    work = Work(store, 30)

    document = work.finish()

    assert document["counts"]["done"] == 30
    assert looks == []
