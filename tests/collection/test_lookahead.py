"""Images come in order, drawn a bounded way ahead, and no further once unwanted."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing

import pytest

from app.collection.collection import Item
from app.collection.lookahead import Bounds, look_ahead
from app.collection.outcome import Drawn, Failed
from app.media import Media
from app.renderer.errors import Undrawable

SIZE = 100


class Easel:
    """Draws numbers; says what it was asked for and what runs."""

    def __init__(self, work: Callable[[int], None] = lambda number: None) -> None:
        self.asked: list[int] = []
        self.running = 0
        self.guard = threading.Lock()
        self.work = work
        self.pool = ThreadPoolExecutor(4, "test-easel")

    def __call__(self, number, cancelled) -> Future[Media]:
        return self.pool.submit(self.draw, number)

    def draw(self, number: int) -> Media:
        with self.guard:
            self.asked.append(number)
            self.running += 1
        try:
            self.work(number)
            return Media(b"x" * SIZE, "image/png", 1, 1, f"{number:064x}", "")
        finally:
            with self.guard:
                self.running -= 1


def items(count: int):
    # What stands for a request is its number: nothing here looks into it.
    return (Item(number, f"{number}.png", number) for number in range(1, count + 1))


def bounds(images: int = 4, held_bytes: int = 1 << 20, tick_s: float = 5) -> Bounds:
    return Bounds(images, held_bytes, tick_s)


def eventually(condition: Callable[[], bool]) -> bool:
    end = time.monotonic() + 10
    while not condition() and time.monotonic() < end:
        time.sleep(0.005)
    return condition()


def test_outcomes_come_in_order_though_drawings_end_in_another():
    def work(number: int) -> None:
        time.sleep(0.02 if number % 4 == 1 else 0)

    outcomes = list(look_ahead(items(20), Easel(work), bounds()))

    assert [outcome.index for outcome in outcomes] == list(range(1, 21))


def test_the_first_image_is_drawn_alone():
    easel = Easel()
    with closing(look_ahead(items(20), easel, bounds())) as outcomes:
        next(outcomes)

        assert easel.asked == [1]


def test_a_client_that_stalls_stalls_the_drawing():
    easel = Easel()
    with closing(look_ahead(items(100), easel, bounds(images=4))) as outcomes:
        taken = [next(outcomes) for _ in range(10)]
        time.sleep(0.1)

        assert len(taken) == 10
        assert len(easel.asked) <= 10 + 4


def test_what_is_drawn_and_not_taken_is_bounded_in_bytes():
    easel = Easel()
    few = bounds(images=50, held_bytes=3 * SIZE)
    with closing(look_ahead(items(1000), easel, few)) as outcomes:
        for _ in range(5):
            next(outcomes)
            assert eventually(lambda: easel.running == 0)
        ahead = len(easel.asked) - 5

    # The window opens once, by all that is drawn at a time, and then shuts.
    assert ahead <= 50
    assert len(easel.asked) < 60


def test_a_failed_image_is_an_outcome_in_its_place():
    def work(number: int) -> None:
        if number == 3:
            raise Undrawable("no")

    outcomes = list(look_ahead(items(5), Easel(work), bounds()))

    assert [type(outcome) for outcome in outcomes] == [
        Drawn,
        Drawn,
        Failed,
        Drawn,
        Drawn,
    ]
    assert (outcomes[2].index, outcomes[2].name) == (3, "3.png")


def test_what_has_failed_already_keeps_its_place_and_the_images_before_it():
    rows = [*items(5)]
    rows[3] = Failed(4, "4.png", Undrawable("no"))
    easel = Easel(lambda number: time.sleep(0.01))

    outcomes = list(look_ahead(rows, easel, bounds()))

    assert [outcome.index for outcome in outcomes] == [1, 2, 3, 4, 5]
    assert [isinstance(outcome, Failed) for outcome in outcomes] == [
        *(False, False, False),
        *(True, False),
    ]
    assert sorted(easel.asked) == [1, 2, 3, 5]


def test_a_fault_of_the_server_ends_the_sequence():
    def work(number: int) -> None:
        if number == 3:
            raise ZeroDivisionError

    outcomes = look_ahead(items(5), Easel(work), bounds())

    assert [next(outcomes).index, next(outcomes).index] == [1, 2]
    with pytest.raises(ZeroDivisionError):
        next(outcomes)


def test_waiting_shows_as_ticks():
    go = threading.Event()
    outcomes = look_ahead(items(1), Easel(lambda number: go.wait(10)), bounds(tick_s=0))

    assert [next(outcomes), next(outcomes)] == [None, None]
    go.set()
    drawn = [outcome for outcome in outcomes if outcome is not None]
    assert [outcome.index for outcome in drawn] == [1]


def test_closing_tells_those_who_draw_and_starts_nothing_more():
    seen: list[threading.Event] = []
    easel = Easel()

    def submit(number, cancelled):
        seen.append(cancelled)
        return easel(number, cancelled)

    outcomes = look_ahead(items(1000), submit, bounds())
    next(outcomes)
    next(outcomes)

    outcomes.close()

    assert eventually(lambda: easel.running == 0)
    assert all(cancelled.is_set() for cancelled in seen)
    asked = len(easel.asked)
    time.sleep(0.05)
    assert len(easel.asked) == asked < 20
