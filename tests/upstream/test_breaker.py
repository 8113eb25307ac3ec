"""What calls of one upstream share: breaker, retry budget, places."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.store.circuit_breaker import Breaker
from app.upstream.errors import (
    BadMedia,
    CircuitOpen,
    TooLarge,
    UpstreamBroken,
    UpstreamBusy,
    UpstreamFiltered,
    UpstreamRefused,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from app.upstream.resilience.concurrency import ConcurrencyLimit, breaker_of
from app.upstream.resilience.retry import Budget, Deadline

ALIVE = (
    UpstreamRefused("far", 400, "no"),
    UpstreamFiltered("far", "no"),
    UpstreamBusy("far", 1),
    BadMedia("far", "a page"),
    TooLarge("far", "max_wire_bytes", 1),
)
FAILURES = (
    UpstreamUnavailable("far"),
    UpstreamTimeout("far", "idle", 1),
    UpstreamBroken("far", "reset"),
)


class Clock:
    """A clock that is put forward by hand."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def breaker(clock):
    return breaker_of("far", failures=3, cooldown_s=30, clock=clock)


def go(breaker: Breaker, error: BaseException | None = None) -> None:
    """Make one call through a breaker; it raises the error, which is caught here."""
    try:
        with breaker.guard():
            if error is not None:
                raise error
    except CircuitOpen:
        raise
    except BaseException as caught:
        if caught is not error:
            raise


def enter(gate: ConcurrencyLimit, within_s: float = 9) -> None:
    """Take a place at a gate, and leave at once."""
    with gate.admit(Deadline.after(within_s)):
        return


def open_up(breaker: Breaker) -> None:
    for _ in range(3):
        go(breaker, FAILURES[0])


@pytest.mark.parametrize("failure", FAILURES, ids=lambda e: type(e).__name__)
def test_failures_in_a_row_open_it(breaker, failure):
    for _ in range(2):
        go(breaker, failure)
    assert breaker.state == "closed"

    go(breaker, failure)

    assert breaker.state == "open"
    with pytest.raises(CircuitOpen):
        go(breaker)


@pytest.mark.parametrize("error", ALIVE, ids=lambda e: type(e).__name__)
def test_what_only_a_live_upstream_says_never_opens_it(breaker, error):
    for _ in range(20):
        go(breaker, error)

    assert breaker.state == "closed"


@pytest.mark.parametrize("error", [None, *ALIVE], ids=lambda e: type(e).__name__)
def test_a_sign_of_life_ends_the_row(breaker, error):
    for _ in range(5):
        go(breaker, FAILURES[2])
        go(breaker, FAILURES[2])
        go(breaker, error)

    assert breaker.state == "closed"


def test_an_open_breaker_says_when_to_come_back(breaker, clock):
    open_up(breaker)
    clock.now_s = 10

    with pytest.raises(CircuitOpen) as caught:
        breaker.check()

    assert caught.value.retry_s == 20


def test_a_probe_that_works_closes_it(breaker, clock):
    open_up(breaker)
    clock.now_s = 30
    assert breaker.state == "half-open"

    go(breaker)

    assert breaker.state == "closed"
    go(breaker, FAILURES[0])
    assert breaker.state == "closed"


def test_a_probe_that_fails_opens_it_for_as_long_again(breaker, clock):
    open_up(breaker)
    clock.now_s = 30

    go(breaker, FAILURES[1])

    clock.now_s = 59
    with pytest.raises(CircuitOpen):
        go(breaker)
    clock.now_s = 60
    go(breaker)


def test_one_probe_goes_at_a_time(breaker, clock):
    open_up(breaker)
    clock.now_s = 30

    with breaker.guard(), pytest.raises(CircuitOpen):
        go(breaker)

    assert breaker.state == "closed"


def test_an_interrupted_probe_makes_room_for_another(breaker, clock):
    open_up(breaker)
    clock.now_s = 30

    go(breaker, KeyboardInterrupt())

    assert breaker.state == "half-open"
    go(breaker)
    assert breaker.state == "closed"


@pytest.mark.parametrize("late", [None, FAILURES[1]], ids=["success", "failure"])
def test_a_call_from_before_the_opening_changes_nothing(breaker, clock, late):
    held = breaker.guard()
    held.__enter__()
    open_up(breaker)
    clock.now_s = 29

    if late is None:
        held.__exit__(None, None, None)
    else:
        held.__exit__(type(late), late, None)

    assert breaker.state == "open"
    clock.now_s = 30
    assert breaker.state == "half-open"


def test_an_open_breaker_is_waited_out():
    breaker = breaker_of("far", failures=1, cooldown_s=0.1)
    go(breaker, FAILURES[0])
    started = time.monotonic()

    with breaker.guard(wait_s=20):
        waited_s = time.monotonic() - started

    assert 0.1 <= waited_s < 10
    assert breaker.state == "closed"


def test_nobody_waits_for_an_open_breaker_beyond_their_time():
    breaker = breaker_of("far", failures=1, cooldown_s=60)
    go(breaker, FAILURES[0])
    started = time.monotonic()

    with pytest.raises(CircuitOpen), breaker.guard(wait_s=0.05):
        pass

    assert 0.05 <= time.monotonic() - started < 30


@pytest.mark.parametrize("failure", [None, FAILURES[2]], ids=["success", "failure"])
def test_of_many_that_wait_one_goes_first_and_the_others_after_it_worked(failure):
    breaker = breaker_of("far", failures=1, cooldown_s=0.1)
    go(breaker, FAILURES[0])
    running: list[int] = []
    beside: list[int] = []
    failures = [failure]

    def call(number: int) -> None:
        with breaker.guard(wait_s=20):
            running.append(number)
            beside.append(len(running) if breaker.state == "half-open" else 0)
            time.sleep(0.03)
            running.remove(number)
            error = failures.pop() if failures else None
            if error is not None:
                raise error

    with ThreadPoolExecutor(12) as threads:
        done = [threads.submit(call, number) for number in range(12)]

    errors = [one.exception() for one in done]
    assert [e for e in errors if e is not None] == [failure] * (failure is not None)
    assert max(beside) == 1
    assert breaker.state == "closed"


def test_an_interrupted_probe_lets_the_next_of_those_who_wait_go():
    breaker = breaker_of("far", failures=1, cooldown_s=0.05)
    go(breaker, FAILURES[0])
    time.sleep(0.05)
    held = breaker.guard()
    held.__enter__()

    def call() -> None:
        with breaker.guard(wait_s=20):
            return

    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(call)
        time.sleep(0.05)
        held.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
        waiting.result(10)

    assert breaker.state == "closed"


def test_calls_run_side_by_side_through_one_breaker():
    breaker = breaker_of("far")
    meeting = threading.Barrier(8, timeout=10)

    def call() -> None:
        with breaker.guard():
            # Nobody passes before all eight are in.
            meeting.wait()

    with ThreadPoolExecutor(8) as threads:
        done = [threads.submit(call) for _ in range(8)]

    assert [one.exception() for one in done] == [None] * 8


@given(st.lists(st.booleans(), max_size=300))
def test_retries_stay_under_a_tenth_of_the_calls_and_the_reserve(wishes):
    budget = Budget(share=0.1, reserve=2)
    calls = retries = 0

    for wants_retry in wishes:
        if wants_retry:
            retries += budget.spend()
        else:
            calls += 1
            budget.earn()

        assert retries <= 2 + calls / 10 + 1e-6


def test_ten_calls_earn_one_retry():
    budget = Budget(share=0.1, reserve=1)
    assert budget.spend()
    assert not budget.spend()

    for _ in range(10):
        budget.earn()

    assert budget.spend()
    assert not budget.spend()


def test_a_gate_admits_as_many_as_it_has_places():
    gate = ConcurrencyLimit("far", concurrency=2, queue_s=0.01)

    with (
        gate.admit(Deadline.after(9)),
        gate.admit(Deadline.after(9)),
        pytest.raises(UpstreamBusy),
    ):
        enter(gate)

    enter(gate)


def test_nobody_waits_for_a_place_beyond_the_deadline():
    gate = ConcurrencyLimit("far", concurrency=1, queue_s=60)
    started = time.monotonic()

    with gate.admit(Deadline.after(9)), pytest.raises(UpstreamBusy):
        enter(gate, 0.05)

    assert time.monotonic() - started < 30


def test_an_open_breaker_is_found_without_waiting_for_a_place():
    gate = ConcurrencyLimit(
        "far", concurrency=1, queue_s=60, breaker=breaker_of("far", failures=1)
    )
    with gate.admit(Deadline.after(9)):
        go(gate.breaker, FAILURES[0])

        with pytest.raises(CircuitOpen):
            enter(gate)


def test_an_open_breaker_keeps_no_patient_caller_out():
    gate = ConcurrencyLimit(
        "far", breaker=breaker_of("far", failures=1, cooldown_s=0.05)
    )
    go(gate.breaker, FAILURES[0])

    with gate.admit(Deadline.after(9), patient=True), gate.attempt(wait_s=9):
        state = gate.breaker.state

    assert state == "half-open"
    assert gate.breaker.state == "closed"


def test_a_deadline_runs_from_its_start_to_zero():
    deadline = Deadline.after(60)
    over = Deadline.after(-1)

    assert 0 < deadline.remaining() <= 60
    assert deadline.within(5) == 5
    assert (over.remaining(), over.within(5), over.passed()) == (0, 0, True)
