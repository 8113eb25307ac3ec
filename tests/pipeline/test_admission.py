"""Turns to draw: in fair shares, for no longer than is worth waiting."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from app.pipeline.admission import ARRIVED, AdmissionQueue, Busy, Cancelled, Turn
from app.pipeline.admission import WaitPolicy as Patience
from tests.waiting import wait_until

DEAR, CHEAP = 2.0, 0.005
SMALL = Turn()


class Line:
    """Threads that want a turn each, while all slots are held."""

    def __init__(self, gate: AdmissionQueue) -> None:
        self.gate = gate
        self.order: list[str] = []
        self._threads: list[threading.Thread] = []

    def stand(self, name: str, turn: Turn, patience: Patience | None = None) -> None:
        def run() -> None:
            own = patience or self.gate.patience()
            with self.gate.admit(own, threading.Event(), turn):
                self.order.append(name)

        waiting = len(self.gate._queue)
        thread = threading.Thread(target=run)
        thread.start()
        self._threads.append(thread)
        wait_until(lambda: len(self.gate._queue) == waiting + 1)

    def join(self) -> list[str]:
        for thread in self._threads:
            thread.join(10)
        return self.order


@contextmanager
def held(gate: AdmissionQueue, turn: Turn = SMALL) -> Iterator[Line]:
    with gate.admit(gate.patience(), threading.Event(), turn):
        yield Line(gate)


def test_a_cheap_picture_is_not_behind_dear_ones_that_came_before():
    gate = AdmissionQueue(1, 16, 60)

    with held(gate) as line:
        for number in range(4):
            line.stand(f"dear {number}", Turn(DEAR, "a"))
        line.stand("cheap", Turn(CHEAP, "a"))

    # One of the dear may have been first in line; none of the others is.
    assert line.join().index("cheap") <= 1


def test_many_cheap_pictures_do_not_starve_a_dear_one():
    gate = AdmissionQueue(1, 64, 60)

    with held(gate) as line:
        for number in range(20):
            line.stand(f"cheap {number}", Turn(0.1, "a"))
        line.stand("dear", Turn(DEAR, "a"))

    assert line.join().index("dear") <= 2


def test_callers_have_equal_shares_however_much_one_asks_for():
    gate = AdmissionQueue(1, 64, 60)

    with held(gate) as line:
        for number in range(12):
            line.stand(f"greedy {number}", Turn(0.1, "greedy"))
        for number in range(3):
            line.stand(f"modest {number}", Turn(0.1, "modest"))

    order = line.join()
    assert max(order.index(f"modest {number}") for number in range(3)) <= 6


def test_those_of_one_flow_come_in_the_order_in_which_they_asked():
    gate = AdmissionQueue(1, 64, 60)

    with held(gate) as line:
        for number in range(6):
            line.stand(f"{number}", Turn(0.1, "a"))

    assert line.join() == ["0", "1", "2", "3", "4", "5"]


def test_who_would_wait_too_long_is_refused_at_once_and_told_how_long():
    gate = AdmissionQueue(1, 64, 7)
    started = time.monotonic()

    with held(gate, Turn(4.0)) as line:
        line.stand("one", Turn(5.0), Patience(time.monotonic() + 60))
        with pytest.raises(Busy) as refused, held(gate):
            pass

        # Half of what runs, which may have begun long ago, and all that waits.
        assert refused.value.retry_s == 7
        assert gate.expected_s() == 7.0
        assert time.monotonic() - started < 5
    line.join()


def test_sixty_four_small_pictures_at_once_are_not_too_many():
    """Four tenths of a second of work: 80 of 100 were refused."""
    gate = AdmissionQueue(2, 64, 10)

    with held(gate), held(gate) as line:
        for number in range(62):
            line.stand(f"{number}", Turn(0.006))

    assert len(line.join()) == 62


def test_the_time_before_a_thread_took_the_request_counts():
    gate = AdmissionQueue(1, 4, 10)
    kept = ARRIVED.set(time.monotonic() - 9.95)
    try:
        with held(gate), pytest.raises(Busy), held(gate):
            pass
    finally:
        ARRIVED.reset(kept)


def test_who_gives_up_leaves_no_trace():
    gate = AdmissionQueue(1, 4, 0.05)
    cancelled = threading.Event()
    cancelled.set()
    promoted = threading.Event()
    promoted.set()

    with held(gate, Turn(0.001)):
        with pytest.raises(Busy), held(gate):
            pass
        with (
            pytest.raises(Cancelled),
            gate.admit(Patience(cancelled=cancelled), promoted),
        ):
            pass
    assert (gate._free, gate._slots, gate._waiting) == (1, 1, 0)
    assert gate.expected_s() == 0.0


def test_few_of_those_who_wait_are_dear_and_the_others_are_not_refused_for_them():
    """Of 64 small pages of HTML at once 46 were refused, for the sake of large ones."""
    gate = AdmissionQueue(1, 16, 60, most_dear=2)

    with held(gate) as line:
        for number in range(2):
            line.stand(f"dear {number}", Turn(DEAR))
        with (
            pytest.raises(Busy),
            gate.admit(gate.patience(), threading.Event(), Turn(DEAR)),
        ):
            pass
        for number in range(10):
            line.stand(f"cheap {number}", Turn(CHEAP))

    assert len(line.join()) == 12
