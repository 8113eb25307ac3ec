"""Figures of jobs are found in the store: alike by all servers, and not too often."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any

import pytest

from app.jobs import job_figures
from app.jobs.job_figures import JobSurvey
from app.observability import metrics
from app.store import Store, StoreError
from tests.jobs.apps import Open, hold, rows
from tests.jobs.test_chunk_drawing import Work
from tests.observability.test_metrics import read
from tests.waiting import wait_until


class Watched:
    """A store that counts what it is asked for, and can be slow or at fault."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.asked: Counter[str] = Counter()
        self.before: Callable[[], None] = lambda: None

    def __getattr__(self, name: str) -> Any:
        def ask(*given: Any) -> Any:
            self.before()
            self.asked[name] += 1
            return getattr(self._store, name)(*given)

        return ask


class Clock(SimpleNamespace):
    """Stands in for the module `time`."""

    def __init__(self, now: float) -> None:
        super().__init__(now=now)

    def time(self) -> float:
        now: float = self.now
        return now


@pytest.fixture
def work(tmp_path: Path) -> Iterator[Work]:
    made = Work(str(tmp_path / "store"), 120)
    yield made
    made.engine.close()
    made.app.extensions["mimeo"].close()


@pytest.fixture
def clock(work: Work, monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock(work.job.created + 100)
    monkeypatch.setattr(job_figures, "time", made)
    return made


@pytest.fixture
def store(work: Work) -> Watched:
    return Watched(work.ledger._store)


@pytest.fixture
def survey(work: Work, store: Watched) -> JobSurvey:
    return JobSurvey(work.ledger, store)  # type: ignore[arg-type]


def test_a_job_that_nobody_has_begun_with_is_queued_since_it_came(
    work: Work, survey: JobSurvey, clock: Clock
) -> None:
    found = survey.gauges()

    assert found["jobs"] == {"queued": 1, "running": 0, "cancelling": 0}
    waiting = {"done": 0, "begun": 0, "waiting": work.job.chunks}
    assert found["jobs_chunks"] == waiting
    assert found["jobs_rows_left"] == {"": 120}
    assert found["jobs_oldest_queued_seconds"] == {"": pytest.approx(100)}
    assert found["jobs_stalled_seconds"] == {"": 0}


def test_a_job_without_its_rows_waits_for_its_sender_and_for_no_worker(
    work: Work, survey: JobSurvey, clock: Clock
) -> None:
    work.ledger._store.delete(f"{work.job.id}/rows")

    found = survey.gauges()

    assert found["jobs"]["queued"] == 1
    assert found["jobs_oldest_queued_seconds"] == {"": 0}


def test_rows_are_left_and_drawn_by_chunks(
    work: Work, survey: JobSurvey, clock: Clock
) -> None:
    survey.gauges()
    assert work.chunks.draw(work.job, 0, Event())
    clock.now += 100

    found = survey.gauges()

    first, last = work.job.rows(0)
    drawn = last - first + 1
    assert found["jobs"]["running"] == found["jobs_chunks"]["done"] == 1
    assert found["jobs_rows_left"] == {"": 120 - drawn}
    assert found["jobs_rows_per_second"] == {"": pytest.approx(drawn / 100)}
    assert found["jobs_oldest_queued_seconds"] == {"": 0}


def test_rows_of_a_job_that_has_ended_since_count_as_drawn(
    work: Work, survey: JobSurvey, clock: Clock
) -> None:
    # The end is written by the true clock.
    clock.now = work.job.created
    survey.gauges()
    work.finish()
    clock.now += 100

    found = survey.gauges()

    assert sum(found["jobs"].values()) == found["jobs_rows_left"][""] == 0
    assert found["jobs_rows_per_second"] == {"": pytest.approx(120 / 100)}


def test_a_chunk_is_begun_again_after_a_death_and_not_after_a_stop(
    work: Work, survey: JobSurvey, clock: Clock
) -> None:
    stopping = Event()
    stopping.set()
    work.die(0, 3)
    work.chunks.draw(work.job, 1, stopping)
    work.chunks.draw(work.job, 1, Event())

    found = survey.gauges()

    assert found["jobs_begun_again"] == {"": 2}
    assert (found["jobs_chunks"]["done"], found["jobs_chunks"]["begun"]) == (1, 1)


def test_a_job_stalls_from_its_last_change_on_whoever_looks(
    work: Work, survey: JobSurvey, clock: Clock
) -> None:
    work.die(0, 1)
    survey.gauges()
    clock.now += 700
    other = JobSurvey(work.ledger, work.ledger._store)

    assert other.gauges()["jobs_stalled_seconds"] == {"": pytest.approx(700)}

    work.die(0, 1)
    clock.now += 100
    assert other.gauges()["jobs_stalled_seconds"] == {"": 0}


def test_workers_are_seen_by_what_they_say_until_they_are_forgotten(
    work: Work, survey: JobSurvey, clock: Clock
) -> None:
    assert survey.gauges()["jobs_worker_seen_seconds"] == {}

    work.ledger.attend()
    said = work.ledger.attended()
    assert said is not None
    clock.now = said + 300
    assert survey.gauges()["jobs_worker_seen_seconds"] == {"": pytest.approx(300)}

    clock.now = said + 90_000
    assert survey.gauges()["jobs_worker_seen_seconds"] == {}


def test_a_cancelled_job_is_no_longer_queued(
    work: Work, survey: JobSurvey, clock: Clock
) -> None:
    work.ledger.cancel(work.job)

    found = survey.gauges()

    assert found["jobs"] == {"queued": 0, "running": 0, "cancelling": 1}
    assert found["jobs_oldest_queued_seconds"] == {"": 0}


def test_all_servers_of_a_store_look_once_in_some_seconds(
    work: Work, survey: JobSurvey, store: Watched, clock: Clock
) -> None:
    first = survey.gauges()
    looked = store.asked["below"]
    other = JobSurvey(work.ledger, store)  # type: ignore[arg-type]

    for each in (survey, other, survey, other):
        assert each.gauges() == first

    assert store.asked["below"] == looked == 1
    # What another has written is one read; what oneself knows is none.
    assert store.asked["get"] == 2

    clock.now += 60
    survey.gauges()
    assert store.asked["below"] == 2


def test_a_look_that_takes_long_is_made_less_often(
    work: Work, survey: JobSurvey, store: Watched, clock: Clock
) -> None:
    def take_long() -> None:
        clock.now += 10

    store.before = take_long
    survey.gauges()
    store.before = lambda: None

    clock.now += 18
    survey.gauges()

    assert store.asked["below"] == 1


def test_who_asks_does_not_wait_for_a_slow_store(
    survey: JobSurvey,
    store: Watched,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(job_figures, "_PATIENCE_S", 0.05)
    survey.gauges()
    goes_on = threading.Event()
    store.before = lambda: bool(goes_on.wait(60)) and None
    clock.now += 60

    assert survey.gauges()["jobs_seen_seconds"] == {"": pytest.approx(60)}

    goes_on.set()
    wait_until(lambda: survey.gauges()["jobs_seen_seconds"] == {"": 0})


def test_a_store_at_fault_leaves_old_figures_and_says_how_old(
    survey: JobSurvey, store: Watched, clock: Clock
) -> None:
    def fail() -> None:
        raise StoreError("the disk is gone")

    store.before = fail
    assert survey.gauges() == {}

    store.before = lambda: None
    survey.gauges()
    store.before = fail
    clock.now += 300

    assert survey.gauges()["jobs_seen_seconds"] == {"": pytest.approx(300)}


@pytest.mark.parametrize("spoilt", [b"", b"\0" * 40])
def test_figures_that_are_damaged_are_found_anew(
    work: Work, survey: JobSurvey, clock: Clock, spoilt: bytes
) -> None:
    work.ledger._store.put(job_figures._KEY, spoilt)

    assert survey.gauges()["jobs"]["queued"] == 1


def test_the_record_is_no_job(work: Work, survey: JobSurvey, clock: Clock) -> None:
    survey.gauges()

    assert work.ledger.ids() == [work.job.id]


def test_metrics_have_the_jobs_of_the_store(open_app: Open) -> None:
    app = open_app()
    hold(app)
    client = app.test_client()
    client.post("/jobs", json=rows(30))

    text = client.get("/metrics").get_data(as_text=True)

    assert 'mimeo_jobs{state="queued"} 1.0' in text
    assert read(text, "mimeo_jobs_rows_left") == 30
    assert "# TYPE mimeo_jobs_oldest_queued_seconds gauge" in text


def test_where_no_jobs_are_kept_there_are_no_figures_of_any(open_app: Open) -> None:
    text = open_app(store="none").test_client().get("/metrics").get_data(as_text=True)

    assert "mimeo_workers" in text
    assert "mimeo_jobs" not in text


def test_every_gauge_has_a_name(survey: JobSurvey, clock: Clock, work: Work) -> None:
    assert survey.gauges().keys() == metrics._OF_JOBS.keys()
