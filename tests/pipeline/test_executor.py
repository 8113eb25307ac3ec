"""Threads draw what is urgent first, and what nobody wants any more never."""

import threading

import pytest

from app.pipeline.executor import PriorityExecutor


@pytest.fixture
def easel():
    made = PriorityExecutor(1, "test-easel")
    yield made
    made.shutdown()


def test_work_gives_its_result(easel):
    assert easel.submit(lambda: 42).result(10) == 42


def test_work_gives_its_error(easel):
    def fail():
        raise LookupError("no")

    with pytest.raises(LookupError):
        easel.submit(fail).result(10)


def test_what_can_wait_goes_last_and_the_rest_in_order(easel):
    go, done = threading.Event(), []
    easel.submit(lambda: go.wait(10))
    futures = [
        easel.submit(lambda: done.append("late"), later=True),
        easel.submit(lambda: done.append("first")),
        easel.submit(lambda: done.append("second")),
    ]

    go.set()
    for future in futures:
        future.result(10)

    assert done == ["first", "second", "late"]


def test_cancelled_work_is_not_done(easel):
    go, done = threading.Event(), []
    easel.submit(lambda: go.wait(10))
    unwanted = easel.submit(lambda: done.append("unwanted"))

    assert unwanted.cancel()
    go.set()
    easel.submit(lambda: None).result(10)

    assert done == []


def test_threads_end_when_all_is_done():
    made = PriorityExecutor(3, "test-ending")
    futures = [made.submit(lambda: 1, later=True) for _ in range(20)]

    made.shutdown()

    assert sum(future.result(0) for future in futures) == 20
    names = [thread.name for thread in threading.enumerate()]
    assert not [name for name in names if name.startswith("test-ending")]


def test_threads_end_also_where_not_all_could_start(monkeypatch):
    made = PriorityExecutor(2, "test-interrupted")
    start = threading.Thread.start

    def interrupted(thread):
        if thread.name == "test-interrupted-1":
            raise KeyboardInterrupt
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        made.submit(lambda: 1)

    made.shutdown()

    names = {thread.name for thread in threading.enumerate()}
    assert not {name for name in names if name.startswith("test-interrupted")}
