"""Collections drawn by processes, in a program of its own: pytest has threads.

`python -m tests.pipeline.process_work NAME [ARGUMENT]` prints what came of it as JSON.
"""

import json
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from app.collection.collection import Item
from app.collection.lookahead import bounds_of, look_ahead
from app.collection.outcome import Drawn, Outcome
from app.config import Settings
from app.image_request import from_json
from app.observability import metrics
from app.pipeline import pipeline as pipeline_module
from app.pipeline import process_pool
from app.pipeline.pipeline import Pipeline
from app.pipeline.process_pool import ProcessPool
from app.renderer.catalogue import Catalogue
from app.renderer.errors import Undrawable
from app.renderer.produce import produce
from app.renderer.sandbox.sandbox import Sandbox
from app.renderer.template.watchdog import WATCHDOG
from app.store import open_store

SETTINGS = Settings(
    store="none", system_fonts=False, bulk_processes=2, render_timeout_s=5
)
SVG = (
    "data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'>"
    "<circle cx='4' cy='4' r='4' fill='red'/></svg>"
)
ROWS = 120


class Line:
    """A pipeline with processes, and all that it is made of."""

    def __init__(self, settings: Settings = SETTINGS) -> None:
        self.settings = settings
        isolation = Sandbox(settings)
        self.catalogue = Catalogue(settings, draw_svg=isolation.draw_svg)
        self.pool = ProcessPool(settings.bulk_processes, settings.render_timeout_s)
        WATCHDOG.rest()
        self.pool.fork_early(self.catalogue, isolation, native=True)
        store = open_store(settings.store, 1 << 28)
        self.pipeline = Pipeline(
            settings, store, isolation=isolation, processes=self.pool
        )

    def items(self, rows: list[tuple[str, dict[str, object], str]]) -> Iterator[Item]:
        for number, (name, values, format_name) in enumerate(rows, 1):
            renderer = self.catalogue.get(name)
            request = from_json(renderer, values, format_name, self.settings)
            yield Item(number, f"{number}", request)

    def draw(
        self,
        rows: list[tuple[str, dict[str, object], str]],
        seen: Callable[[int], None] = lambda index: None,
        *,
        keep: bool = False,
    ) -> list[str]:
        """Return a digest, or the name of an error, for each row."""
        found: list[Outcome] = []
        bounds = bounds_of(self.pipeline, self.settings)

        def submit(request, cancelled):
            return self.pipeline.submit(request, cancelled, keep=keep)

        with closing(look_ahead(self.items(rows), submit, bounds)) as outcomes:
            for outcome in outcomes:
                if outcome is not None:
                    found.append(outcome)
                    seen(outcome.index)
        assert [each.index for each in found] == list(range(1, len(rows) + 1))
        return [
            f"{each.media.sha256} {json.dumps(dict(each.media.facts))}"
            if isinstance(each, Drawn)
            else type(each.error).__name__
            for each in found
        ]


def children(pid: int) -> list[int]:
    path = Path(f"/proc/{pid}/task/{pid}/children")
    return list(map(int, path.read_text().split()))


def drawing(pid: int | None = None) -> list[int]:
    """Return the processes that draw collections: children of a child of this one."""
    return [
        each for server in children(pid or os.getpid()) for each in children(server)
    ]


def badges(count: int = ROWS) -> list[tuple[str, dict[str, object], str]]:
    return [("badge", {"name": f"Ada {n}"}, "png") for n in range(count)]


def mixed() -> list[tuple[str, dict[str, object], str]]:
    """Rows of many kinds: formats, scripts, builtins, errors, an SVG as an image."""
    rows = badges(40)
    for number in range(20):
        rows += [
            ("card", {"title": f"Karte {number} \U00012000"}, "jpg"),
            ("badge", {"name": f"أحمد {number}"}, "webp"),
            ("certificate", {"name": f"名前 {number}"}, "pdf"),
            ("qr", {"data": f"https://example.com/{number}"}, "png"),
            ("solid", {"width": 10 + number, "height": 10}, "png"),
            ("qr", {"data": "x" * 1500, "level": "H"}, "png"),
            ("avatar", {"name": f"A {number}"}, "svg"),
            ("qr", {"data": f"https://example.com/{number}", "logo": SVG}, "png"),
            ("html", {"html": f"<b>{number}", "width": 40, "height": 40}, "png"),
        ]
    return rows


def equal(_: str) -> object:
    line = Line()
    pids: set[int] = set()
    with closing(line.pipeline):
        bulk = line.draw(mixed(), lambda index: pids.update(drawing()))
        alone = []
        for item in line.items(mixed()):
            try:
                media = line.pipeline.produce(item.request).media
                alone.append(f"{media.sha256} {json.dumps(dict(media.facts))}")
            except Exception as error:
                alone.append(type(error).__name__)
    off = Line(replace(SETTINGS, bulk_processes=0))
    with closing(off.pipeline):
        threads = off.draw(mixed())
    return {
        "alone": bulk == alone,
        "off": bulk == threads,
        "errors": bulk.count("BadParameter"),
        # Two that draw, and the process for callers' HTML.
        "processes": len(pids),
        "left": drawing(),
    }


def killed(number: str) -> object:
    line = Line()
    ended: list[int] = []

    def kill(index: int) -> None:
        if index in (50, 80):
            pids = drawing()
            os.kill(pids[0], int(number))
            ended.append(pids[0])

    with closing(line.pipeline):
        found = line.draw(badges(), kill)
        after = drawing()
        expected = line.draw(badges())
    return {
        "equal": found == expected,
        "ended": len(set(ended)),
        "replaced": len(set(after) - set(ended)),
    }


def server_killed(_: str) -> object:
    line = Line()

    def kill(index: int) -> None:
        if index == 50:
            for pid in children(os.getpid()):
                os.kill(pid, signal.SIGKILL)

    with closing(line.pipeline):
        found = line.draw(badges(), kill)
    return {"drawn": len(set(found))}


def faulty(kind: str) -> object:
    """Draw rows of which every fiftieth ends, or holds up, its process."""
    process_pool._GRACE_S = 0.5
    owner = os.getpid()

    def badly(renderer, parameters, output):
        if os.getpid() != owner and parameters.name.endswith(("0049", "0099")):
            if kind == "abort":
                os.abort()
            if kind == "exit":
                os._exit(3)
            if kind == "bug":
                raise Unpicklable(lambda: None)
            time.sleep(60)
        return produce(renderer, parameters, output)

    process_pool.produce = badly
    line = Line(replace(SETTINGS, render_timeout_s=0.2))
    rows = [("badge", {"name": f"N {n:04}"}, "png") for n in range(ROWS)]
    try:
        with closing(line.pipeline):
            found = line.draw(rows)
    except RuntimeError as error:
        return str(error)
    failed = {n: each for n, each in enumerate(found) if " " not in each}
    return {"failed": failed, "drawn": len(set(found) - set(failed.values()))}


class Unpicklable(Exception):
    """Holds what cannot go to another process."""


def kept(folder: str) -> object:
    line = Line(replace(SETTINGS, store=folder))

    def refuse(*given):
        raise Undrawable("drawn again")

    with closing(line.pipeline):
        first = line.draw(badges(), keep=True)
        pids = drawing()
        pipeline_module.produce = refuse
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        second = line.draw(badges())
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
    return {"equal": first == second, "processes": len(pids)}


def with_threads(_: str) -> object:
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    line = Line()
    with closing(line.pipeline):
        found = line.draw(badges(), lambda index: None)
        pids = drawing()
    stop.set()
    thread.join()
    return {"drawn": len(set(found)), "pids": pids, "most": line.pool.most}


def shared(_: str) -> object:
    """Two workers of two processes each, forked from one, as gunicorn does."""
    most = []
    pids = []
    for _ in range(2):
        pid = os.fork()
        if pid == 0:
            line = Line()
            with closing(line.pipeline):
                line.draw(badges(400))
            os._exit(0)
        pids.append(pid)
    end = time.monotonic() + 120
    left = set(pids)
    while left and time.monotonic() < end:
        most.append(sum(len(drawing(pid)) for pid in left))
        left = {pid for pid in left if os.waitpid(pid, os.WNOHANG)[0] == 0}
        time.sleep(0.002)
    return {"most": max(most)}


def idle(_: str) -> object:
    process_pool._IDLE_S = 0.2
    line = Line()
    with closing(line.pipeline):
        line.draw(badges())
        during = len(drawing())
        end = time.monotonic() + 30
        while drawing() and time.monotonic() < end:
            time.sleep(0.02)
        after = len(drawing())
        line.draw(badges())
        again = len(drawing())
    return {"during": during, "after": after, "again": again}


def counted(_: str) -> object:
    line = Line()
    with closing(line.pipeline):
        line.draw(mixed())
    text = metrics.exposition().decode().splitlines()
    values = dict(each.rsplit(" ", 1) for each in text if not each.startswith("#"))
    renders = (
        v for name, v in values.items() if name.startswith("mimeo_renders_total")
    )
    return {
        "renders": sum(map(float, renders)),
        "seconds": float(values["mimeo_render_seconds_count"]),
        "in flight": float(values["mimeo_renders_in_flight"]),
        "draw": float(values['mimeo_phase_seconds_count{phase="draw"}']),
    }


def crowded(_: str) -> object:
    """Count the glances at those who wait: each message stands aside for them."""
    line = Line()
    glances = []

    def is_crowded() -> bool:
        glances.append(1)
        return len(glances) % 4 != 0

    line.pool.attend(lambda order: order.draw_here(), is_crowded)
    with closing(line.pipeline):
        found = line.draw(badges())
    return {"glances": len(glances), "drawn": len(set(found))}


if __name__ == "__main__":
    logging.basicConfig(format="%(message)s", stream=sys.stderr)
    _, name, *rest = sys.argv
    print(json.dumps(globals()[name](rest[0] if rest else "")))
