"""Whether a worker may stop listening, by the ages of those that do."""

import struct

import pytest

from app.serving import succession


@pytest.fixture(autouse=True)
def page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(succession, "_SHARED", bytearray(struct.calcsize("qq")))


def test_without_a_reload_nobody_is_awaited():
    succession.listens(1)

    assert not succession.is_awaited(1)


def test_a_worker_of_before_a_reload_waits_for_one_of_after_it():
    succession.listens(2)
    succession.reloads(2)
    before = [succession.is_awaited(age) for age in (1, 2, 3)]
    succession.listens(3)

    assert before == [True, True, False]
    assert not any(succession.is_awaited(age) for age in (1, 2, 3))


def test_one_of_before_that_comes_late_is_no_successor():
    # A worker that replaced a killed one may get to its loop only after the reload.
    succession.reloads(3)
    succession.listens(3)

    assert succession.is_awaited(2)


def test_each_reload_begins_anew():
    succession.reloads(2)
    succession.listens(4)
    succession.reloads(4)

    assert succession.is_awaited(4)
