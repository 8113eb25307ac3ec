"""A worker's file is as old as the last sign that drawing goes on."""

import logging
from pathlib import Path
from threading import Event, Thread
from types import SimpleNamespace

import pytest

from app.jobs import celery_engine, life_sign
from app.jobs.celery_engine import JobWorker
from app.jobs.life_sign import LifeSign
from tests.jobs.apps import Open, hold, rows
from tests.waiting import wait_until


class Clock(SimpleNamespace):
    """Stands in for the module `time`."""

    def __init__(self) -> None:
        super().__init__(now=1000.0)

    def monotonic(self) -> float:
        now: float = self.now
        return now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(life_sign, "time", made)
    return made


@pytest.fixture
def sign(tmp_path: Path) -> LifeSign:
    return LifeSign(tmp_path / "sign")


def touched(sign: LifeSign) -> bool:
    """Tell whether the file was touched, and take it away."""
    there = sign.path.exists()
    sign.end()
    return there


def test_who_looks_between_images_shows_that_drawing_goes_on(
    sign: LifeSign, clock: Clock
) -> None:
    stopping = Event()
    with sign.drawing(stopping) as watched:
        for _ in range(3):
            clock.now += 500
            assert not watched.is_set()
            assert touched(sign)


def test_a_thread_that_is_stuck_ends_the_signs_of_all(
    sign: LifeSign, clock: Clock
) -> None:
    with sign.drawing(Event()), sign.drawing(Event()) as other:
        clock.now += 700
        other.is_set()
        sign.show()
        assert not touched(sign)

    sign.show()
    assert touched(sign)


def test_the_file_is_not_touched_for_each_image(sign: LifeSign, clock: Clock) -> None:
    with sign.drawing(Event()) as watched:
        watched.is_set()
        assert touched(sign)
        for _ in range(9):
            clock.now += 1
            watched.is_set()
        assert not touched(sign)


def test_it_stops_with_the_event_that_it_stands_for(sign: LifeSign) -> None:
    stopping = Event()
    with sign.drawing(stopping) as watched:
        assert not watched.is_set()
        stopping.set()
        assert watched.is_set()
        assert watched.wait(60)


def test_a_file_that_cannot_be_written_is_said_and_stops_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    logger = logging.getLogger("mimeo.jobs")
    logger.addHandler(caplog.handler)
    try:
        LifeSign(tmp_path / "nowhere" / "sign").show()
    finally:
        logger.removeHandler(caplog.handler)

    assert "sign of life" in caplog.text


class Deaf:
    """A broker that takes messages and hands none out."""

    def __init__(self) -> None:
        self.rung = 0
        self.ended = Event()

    def ring(self) -> None:
        self.rung += 1

    def listen(self, *_: object) -> None:
        self.ended.wait(120)


def test_a_worker_that_hears_nothing_draws_what_it_rang_for(
    open_app: Open, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(celery_engine, "_BEAT_S", 0.01)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    app, deaf = open_app(), Deaf()
    hold(app)
    place = app.test_client().post("/jobs", json=rows(60)).headers["Location"]
    engine = app.extensions["mimeo.jobs"]
    worker = JobWorker(engine._ledger, engine._turns, deaf)  # type: ignore[arg-type]
    running = Thread(target=worker.run)
    running.start()
    try:
        job = engine._ledger.job(place.rpartition("/")[2])
        wait_until(lambda: len(engine._ledger.done(job)) == job.chunks, 60)
        sign = tmp_path / life_sign.SIGN
        assert sign.exists()
        # For each chunk: whoever hears is to draw the next.
        assert deaf.rung >= job.chunks
    finally:
        deaf.ended.set()
        running.join()
    assert not sign.exists()


class Slow:
    """Turns of which one takes until it is told to end."""

    others = False

    def __init__(self) -> None:
        self.begun, self.ended = Event(), Event()

    def draw(self, *_: object) -> bool:
        self.begun.set()
        self.ended.wait(120)
        return False


def test_a_worker_says_that_it_is_there_while_it_draws_what_it_found(
    open_app: Open, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(celery_engine, "_BEAT_S", 0.01)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    ledger, slow, deaf = open_app().extensions["mimeo.jobs"]._ledger, Slow(), Deaf()
    worker = JobWorker(ledger, slow, deaf)  # type: ignore[arg-type]
    running = Thread(target=worker.run)
    running.start()
    try:
        assert slow.begun.wait(60)
        said = ledger.attended() or 0.0
        wait_until(lambda: (ledger.attended() or 0.0) > said, 60)
    finally:
        slow.ended.set()
        deaf.ended.set()
        running.join()
