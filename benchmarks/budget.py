"""Where a card's processor time goes, step by step: `python -m benchmarks.budget`.

Each step is measured twice: alone, in a loop of its own, and in requests of the WSGI
application, by clocks around its function. A step that calls another is charged for its
own part only; `HTTP` is what no step takes: Flask, the URL, headers, fingerprint and
queue, without gunicorn; alone it is a view of Flask that answers one word. Titles are
those of `benchmarks.http`, new in each request. All figures are medians.
"""

import argparse
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import wraps
from statistics import median
from typing import Any
from unittest import mock
from urllib.parse import quote

from app import create_app
from app.config import Settings, allocator
from app.parsing import image as parsing
from app.renderer import encode
from app.renderer.catalogue import Catalogue
from app.renderer.engine.engine import Engine
from app.renderer.template import template
from benchmarks import against, card, table, titles
from benchmarks.contenders.flask_app import app as hello
from benchmarks.pictures import PICTURES

# `layers` is what a template's drawing takes beside its markup and the engine.
STEPS = ("validation", "Jinja", "fit", "layers", "engine", "PNG", "HTTP")
WARM_UP = 20

Times = dict[str, float]


class Clock:
    """Seconds of processor time by step; a step's own are without those inside it."""

    def __init__(self) -> None:
        self.used: Times = dict.fromkeys(STEPS, 0.0)
        self._inside = threading.local()

    def around(self, step: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function with the clock around it."""

        @wraps(call)
        def timed(*arguments: Any, **named: Any) -> Any:
            outer = getattr(self._inside, "seconds", 0.0)
            self._inside.seconds = 0.0
            started = time.thread_time()
            try:
                return call(*arguments, **named)
            finally:
                whole = time.thread_time() - started
                self.used[step] += whole - self._inside.seconds
                self._inside.seconds = outer + whole

        return timed

    def take(self) -> Times:
        """Return what was used since the last time."""
        used, self.used = self.used, dict.fromkeys(STEPS, 0.0)
        return used


@contextmanager
def clocks() -> Iterator[Clock]:
    """Put a clock around each step, of templates that are loaded inside."""
    clock = Clock()
    fitter = template.fitter
    drawings = [name for name in vars(Engine) if name.startswith("draw")]
    with ExitStack() as stack:
        for place, name, step in (
            (parsing, "from_strings", "validation"),
            (template.Template, "page", "Jinja"),
            (template.Template, "draw", "layers"),
            *((Engine, name, "engine") for name in drawings),
            (encode, "encode", "PNG"),
        ):
            timed = clock.around(step, getattr(place, name))
            stack.enter_context(mock.patch.object(place, name, timed))
        fit = mock.patch.object(
            template, "fitter", lambda ruler: clock.around("fit", fitter(ruler))
        )
        stack.enter_context(fit)
        yield clock


def measure(count: int) -> tuple[dict[str, float], dict[str, float], float]:
    """Return ms of each step alone and in a request, and of the whole request."""
    with clocks() as clock:
        alone = _alone(clock, count)
        inside, whole = _requests(clock, count)
    return alone, inside, whole


def _alone(clock: Clock, count: int) -> dict[str, float]:
    settings = Settings(store="none", system_fonts=False)
    renderer = Catalogue(settings).get("card")
    made: list[Any] = []

    def validate(number: int) -> None:
        pairs = {**card.PARAMETERS, "title": titles.title(number)}.items()
        made.append(parsing.from_strings(renderer, pairs, "png", settings).parameters)

    def fill(number: int) -> None:
        renderer.draw.__self__.page(made[number], 1)  # type: ignore[attr-defined]

    # The titles have been fitted by now, so the rest of a drawing is what takes time.
    pictures: list[Any] = []

    def draw(number: int) -> None:
        pictures[:] = [renderer.draw(made[number], 1)]

    found = {"validation": _loop(clock, count, validate)["validation"]}
    filled = _loop(clock, count, fill)
    found |= {step: filled[step] for step in ("Jinja", "fit")}
    drawn = _loop(clock, count, draw)
    found |= {step: drawn[step] for step in ("layers", "engine")}
    encoded = _loop(clock, count, lambda _: encode.encode(pictures[0], card.OUTPUT))
    found["PNG"] = encoded["PNG"]
    request = against.get("/")
    found["HTTP"] = _loop(
        clock, count, lambda _: against.call(hello, against.environ(request))
    )["whole"]
    return found


def _requests(clock: Clock, count: int) -> tuple[dict[str, float], float]:
    app = create_app(environ={"MIMEO_STORE": "none", "MIMEO_ACCESS_LOG": "off"})
    path = PICTURES["card"].path

    def ask(number: int) -> None:
        # Another block than that of the steps alone: what is fitted is remembered.
        title = titles.title(titles.BLOCK + number)
        request = against.get(path.replace("{title}", quote(title, safe="")))
        against.call(app, against.environ(request))

    found = _loop(clock, count, ask)
    app.extensions["mimeo"].close()
    whole = found.pop("whole")
    return {**found, "HTTP": whole - sum(found[step] for step in STEPS[:-1])}, whole


def _loop(clock: Clock, count: int, work: Callable[[int], object]) -> Times:
    """Return ms of each step and of the whole, the median of the runs."""
    runs: list[Times] = []
    for number in range(WARM_UP + count):
        clock.take()
        started = time.process_time()
        work(number)
        runs.append({**clock.take(), "whole": time.process_time() - started})
    kept = runs[WARM_UP:]
    return {step: median(run[step] for run in kept) * 1000 for step in kept[0]}


HEAD = ("", "alone ms", "in a request ms", "of the request")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print the table."""
    parser = argparse.ArgumentParser("python -m benchmarks.budget", description=__doc__)
    parser.add_argument("--count", type=int, default=600, help="runs of each step")
    parser.add_argument("--markdown", action="store_true")
    options = parser.parse_args(arguments)
    allocator.tune()
    alone, inside, whole = measure(options.count)
    rows = [
        (
            step,
            f"{alone[step]:.3f}",
            f"{inside[step]:.3f}",
            f"{inside[step] / whole:.0%}",
        )
        for step in STEPS
    ]
    together = f"{sum(alone.values()):.3f}"
    rows.append(("together", together, f"{whole:.3f}", "100%"))
    print(table.show_machine(options.markdown))
    title = f"A card's processor time by step, medians of {options.count}"
    print(table.show(title, HEAD, rows, options.markdown))
    return 0


if __name__ == "__main__":
    sys.exit(main())
