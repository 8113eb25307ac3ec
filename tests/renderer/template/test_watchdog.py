"""Loops of templates are stopped, and nothing else is."""

import gc
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest

from app.renderer.engine.engine import Engine
from app.renderer.engine.fonts import load_fonts
from app.renderer.errors import BrokenTemplate, RenderTimeout
from app.renderer.template.template import Template
from app.renderer.template.template_files import read_files
from app.renderer.template.watchdog import WATCHDOG, Overrun, Watchdog

LIMITS = SimpleNamespace(max_image_pixels=1_000_000, render_timeout_s=0.2)
DECLARATION = """\
title = "Loop"
width = 100
height = 100

[parameters.times]
type = "number"
default = 1
min = 1
max = 90000
"""
FOR = "{% for i in range(times) %}"
END = "{% endfor %}"
SILENT = f"{FOR}{FOR}{END}{END}"
LOUD = f"{FOR}{FOR}x{END}{END}"
CALLS = (
    "{% macro m() %}" + FOR + "{{ direction('a') }}" + END + "{% endmacro %}"
    f"{FOR}{{{{ m() }}}}{END}"
)
LOOPS = {"silent": SILENT, "loud": LOUD, "calls": CALLS}


def spin(seconds: float) -> str:
    """Use a processor for so long."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass
    return "done"


@pytest.fixture(autouse=True)
def no_collector() -> Iterator[None]:
    """Destructors of what other tests left would swallow a stop, and pytest says so."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine(load_fonts(None, system=False))


def template(engine: Engine, folder: Path, markup: str) -> Template:
    (folder / "parameters.toml").write_text(DECLARATION)
    (folder / "template.html").write_text(f"<p>a</p>{markup}")
    return Template(read_files(folder), engine, LIMITS)


@pytest.mark.parametrize(
    "markup", [SILENT, LOUD, CALLS], ids=["silent", "loud", "calls"]
)
def test_a_template_that_goes_on_and_on_is_stopped(engine, tmp_path, markup):
    """It held a thread that draws for ever."""
    made = template(engine, tmp_path, markup)
    made.draw(made.model(times=2), 1)

    with pytest.raises(RenderTimeout) as stopped:
        made.draw(made.model(times=90_000), 1)

    assert "MIMEO_RENDER_TIMEOUT_S" in str(stopped.value)
    # The thread goes on.
    assert made.draw(made.model(times=2), 1).image.size == (100, 100)


def test_a_template_whose_example_goes_on_and_on_is_broken(engine, tmp_path):
    made = template(engine, tmp_path, SILENT.replace("times", "90000"))

    with pytest.raises(BrokenTemplate):
        made.check(made.model())


def test_a_stop_that_a_destructor_swallows_is_repeated(monkeypatch):
    """What is raised in one goes to sys.unraisablehook and nowhere else."""
    swallowed: list[object] = []
    monkeypatch.setattr(
        sys, "unraisablehook", lambda told: swallowed.append(told.exc_type)
    )

    class Dropped:
        def __del__(self) -> None:
            spin(0.5)

    def work() -> None:
        Dropped()
        spin(60)

    with pytest.raises(Overrun):
        WATCHDOG.run(work, 0.1)
    assert Overrun in swallowed


def test_whoever_is_in_time_is_left_alone():
    for _ in range(5):
        assert WATCHDOG.run(lambda: spin(0.05), 0.5) == "done"
    spin(0.7)


def test_who_waits_uses_no_time():
    WATCHDOG.run(lambda: time.sleep(0.5), 0.1)


def test_only_the_thread_that_takes_too_long_is_stopped():
    ends: list[str] = []

    def quick() -> None:
        for _ in range(20):
            ends.append(WATCHDOG.run(lambda: spin(0.01), 5))

    other = threading.Thread(target=quick)
    other.start()
    with pytest.raises(Overrun):
        WATCHDOG.run(lambda: spin(60), 0.1)
    other.join(60)

    assert ends == ["done"] * 20


def test_what_ends_at_the_last_moment_is_not_struck_later():
    """The watchdog decides at some moment; the work is done at another."""
    for _ in range(20):
        with suppress(Overrun):
            WATCHDOG.run(lambda: spin(0.1), 0.05)
        spin(0.02)
    spin(0.3)


def test_what_the_work_raises_is_raised():
    def fail() -> None:
        raise LookupError("no")

    with pytest.raises(LookupError):
        WATCHDOG.run(fail, 1)


def test_the_thread_that_looks_ends_before_a_fork_and_begins_again() -> None:
    dog = Watchdog()
    dog.run(lambda: None, 9)
    before = threading.active_count()

    dog.rest()

    assert threading.active_count() == before - 1
    with pytest.raises(Overrun):
        dog.run(lambda: sum(1 for _ in iter(int, 1)), 0.1)
