"""Compare servers over HTTP: `python -m benchmarks.http`.

The servers of a case run side by side and are loaded in turns, round by round,
so that noise of the machine hits all alike. Ratios are medians over the rounds.
"""

import argparse
import io
import json
import os
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median
from types import MappingProxyType
from typing import Any

import requests
from PIL import Image

from benchmarks import (
    archives,
    card,
    inprocess,
    load,
    machine,
    pictures,
    products,
    servers,
    table,
    titles,
)
from benchmarks.load import Load, Target, generator, press
from benchmarks.pictures import PICTURES, TEMPLATES
from benchmarks.products import Product
from benchmarks.titles import Box

# node needs some 200 cards until its compiler has settled.
WARM_UP_S = 3
# A picture may take a second, and eight are asked for at once.
SLOW_S = 10


@dataclass(frozen=True, slots=True)
class Run:
    """How long and how hard every contender is loaded, and with how many workers."""

    seconds: float
    rounds: int
    connections: int
    workers: int
    samples: Path | None
    badges: int = 500


@dataclass(frozen=True, slots=True)
class Contender:
    """One row of a case; `least` is the ratio Mimeo has to reach against it."""

    name: str
    measure: Callable[[int], Load]
    least: float | None = None


@dataclass(frozen=True, slots=True)
class Absent:
    """A contender that cannot be measured here, and why."""

    name: str
    reason: str


Case = Callable[[Run, ExitStack], Iterator[Contender | Absent]]


def picture_case(name: str, run: Run, stack: ExitStack) -> Iterator[Contender | Absent]:
    """Draw a picture with a new title, or name, in every request."""
    picture = PICTURES[name]
    own = {"MIMEO_STORE": "none"}
    if picture.folder.parent == TEMPLATES:
        own["MIMEO_TEMPLATES"] = str(TEMPLATES)
    mimeo = servers.mimeo("Mimeo", run.workers, **own)
    yield _over_http(mimeo, picture.path, picture.size, run, stack, box=picture.box)
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    pictures.export(folder, name)
    for product, serve, least in _pictures_by(name, run.workers, folder):
        if reason := product.missing():
            yield Absent(product.name, reason)
            continue
        yield _over_http(
            serve(product.name),
            pictures.PATH,
            picture.size,
            run,
            stack,
            least,
            picture.box,
        )


Serve = Callable[[str], servers.Server]


def _pictures_by(
    name: str, workers: int, folder: Path
) -> Iterator[tuple[Product, Serve, float | None]]:
    """Yield who draws a picture, how it is started, and what Mimeo has to reach."""
    aims = {"poster": (8, 3, 30), "card": (6, 2, 30)}.get(name, (None, None, None))
    satori, takumi, browser = aims
    for product, script, least in (
        (products.SATORI, "satori.js", satori),
        (products.OG, "og.js", None),
        (products.TAKUMI, "takumi.js", takumi),
        (products.BROWSER, "browser.js", browser),
    ):
        serve = partial(servers.node, script=script, workers=workers, assets=folder)
        yield product, serve, least
    for product, module in (
        (products.PILLOW, "pillow_app"),
        (products.WEASYPRINT, "weasyprint_app"),
        *([(products.TYPST, "typst_app")] if name == "certificate" else []),
    ):
        app = f"benchmarks.contenders.{module}:app"
        own = servers.of_assets(folder)
        yield product, partial(servers.gunicorn, app=app, workers=workers, **own), None


def card_case(run: Run, stack: ExitStack) -> Iterator[Contender | Absent]:
    """Draw a card with a new title in every request, and the same in-process."""
    yield from picture_case("card", run, stack)
    for threads in sorted({1, run.workers}):
        processes = run.workers // threads
        name = f"in-process, {processes} x {threads} threads"
        yield Contender(name, _in_process(run, processes, threads), 0.75)


def qr_case(run: Run, stack: ExitStack) -> Iterator[Contender | Absent]:
    """Draw a QR code of a new URL in every request."""
    data = "data=https%3A%2F%2Fexample.org%2Fp%2F{n}"
    mimeo = servers.mimeo("Mimeo", run.workers, MIMEO_STORE="none")
    yield _over_http(mimeo, f"/images/qr.png?{data}", None, run, stack)
    for product in (products.QRCODE, products.SEGNO):
        if reason := product.missing():
            yield Absent(product.name, reason)
            continue
        app = "benchmarks.contenders.qr_app:app"
        server = servers.gunicorn(product.name, app, run.workers)
        path = f"/{product.parts[0][1]}.png?{data}"
        yield _over_http(server, path, None, run, stack)


def archive_case(run: Run, stack: ExitStack) -> Iterator[Contender | Absent]:
    """Fetch a ZIP of badges with new names; a rate is that of its badges."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    pictures.export(folder, "badge")
    own = servers.of_assets(folder)
    mimeo = servers.mimeo("Mimeo", run.workers, MIMEO_STORE="none")
    running = stack.enter_context(servers.running(mimeo))
    yield _archive(run, "Mimeo", partial(archives.by_mimeo, running), running.cpu_s)
    name = products.SCRIPT.name
    yield _archive(run, name, partial(archives.by_script, own), archives.ended_s)
    product = products.ZIPSTREAM
    if reason := product.missing():
        yield Absent(product.name, reason)
        return
    app = "benchmarks.contenders.archive_app:app"
    flask = servers.gunicorn(product.name, app, run.workers, **own)
    running = stack.enter_context(servers.running(flask))
    fetch = partial(archives.by_flask, running)
    yield _archive(run, product.name, fetch, running.cpu_s)


def _archive(
    run: Run,
    name: str,
    fetch: Callable[[int, int], int],
    cpu_s: Callable[[], float],
) -> Contender:
    def measure(turn: int) -> Load:
        before, started = cpu_s(), time.perf_counter()
        made = fetch((turn + 1) * titles.BLOCK, run.badges)
        seconds = time.perf_counter() - started
        return Load(made, seconds, cpu_ms=(cpu_s() - before) * 1000 / made)

    # Warm-up, as elsewhere.
    fetch((run.rounds + 1) * titles.BLOCK, min(run.badges, 50))
    return Contender(name, measure)


def _in_process(run: Run, processes: int, threads: int) -> Callable[[int], Load]:
    return lambda _: inprocess.measure(run.seconds, processes, threads, mixed=True)


def solid_case(run: Run, stack: ExitStack) -> Iterator[Contender | Absent]:
    """Draw one colour on 512 x 512 pixels, a new colour in every request."""
    query = "?color={color}&width=512&height=512"
    mimeo = servers.mimeo("Mimeo", run.workers, MIMEO_STORE="none")
    yield _over_http(mimeo, f"/images/solid.png{query}", (512, 512), run, stack)
    if reason := products.FASTAPI.missing():
        yield Absent(products.FASTAPI.name, reason)
        return
    fastapi = servers.fastapi(products.FASTAPI.name, run.workers)
    yield _over_http(fastapi, f"/solid.png{query}", (512, 512), run, stack, 8)


def not_modified_case(run: Run, stack: ExitStack) -> Iterator[Contender]:
    """Ask again for a card that the client has."""
    server = stack.enter_context(servers.running(_stored(run, stack)))
    path = card.path("/images/card.png").replace("{n}", "7")
    url = server.base + path
    headers = {"If-None-Match": requests.get(url, timeout=30).headers["ETag"]}
    if requests.get(url, headers=headers, timeout=30).status_code != 304:
        raise RuntimeError("Mimeo does not answer 304")
    yield _loaded("Mimeo", server, Target(server.base, path, headers), run)
    yield _flask(run, stack, 0.85)


def store_case(run: Run, stack: ExitStack) -> Iterator[Contender]:
    """Ask for a card that the store holds."""
    path = card.path("/images/card.png").replace("{n}", "7")
    yield _over_http(_stored(run, stack), path, card.SIZE, run, stack)
    yield _flask(run, stack, 0.6)


def _stored(run: Run, stack: ExitStack) -> servers.Server:
    folder = stack.enter_context(tempfile.TemporaryDirectory())
    return servers.mimeo("Mimeo", run.workers, MIMEO_STORE=folder)


def _flask(run: Run, stack: ExitStack, least: float) -> Contender:
    server = servers.gunicorn(
        "bare Flask", "benchmarks.contenders.flask_app:app", run.workers
    )
    running = stack.enter_context(servers.running(server))
    return _loaded(server.name, running, Target(running.base, "/", {}), run, least)


def _over_http(
    server: servers.Server,
    path: str,
    size: tuple[int, int] | None,
    run: Run,
    stack: ExitStack,
    least: float | None = None,
    box: Box = load.ANY,
) -> Contender:
    """Start a server, check that it draws what is asked, and return its row."""
    running = stack.enter_context(servers.running(server))
    target = Target(running.base, path, {}, box)
    _check_picture(server.name, target, size, run.samples)
    return _loaded(server.name, running, target, run, least)


def _check_picture(
    name: str, target: Target, size: tuple[int, int] | None, samples: Path | None
) -> None:
    """Raise RuntimeError unless two requests give two right pictures.

    Without a size any will do.
    """
    first, second = (
        requests.get(target.base + target.fill(number), timeout=30)
        for number in (12_345_678, 12_345_679)
    )
    first.raise_for_status()
    picture = Image.open(io.BytesIO(first.content))
    if (picture.format, picture.size) != ("PNG", size or picture.size):
        raise RuntimeError(f"{name}: {picture.format} {picture.size}, not PNG {size}")
    picture.load()
    if "{" in target.path and first.content == second.content:
        raise RuntimeError(f"{name} answers different requests with one picture")
    if samples:
        samples.mkdir(parents=True, exist_ok=True)
        file = re.sub(r"\W+", "-", f"{name} {picture.width}").strip("-")
        (samples / f"{file}.png").write_bytes(first.content)


def _loaded(
    name: str,
    server: servers.Running,
    target: Target,
    run: Run,
    least: float | None = None,
) -> Contender:
    def measure(turn: int) -> Load:
        before = server.cpu_s()
        first = (turn + 1) * titles.BLOCK
        found = press(target, run.seconds, run.connections, first)
        if not found.requests:
            # Slower than a round is long.
            found = press(target, SLOW_S, run.connections, first)
        used_ms = (server.cpu_s() - before) * 1000
        server.settle()
        return replace(found, cpu_ms=used_ms / max(1, found.requests))

    # Warm-up: fonts, caches and just-in-time compilers, outside the rounds.
    press(target, WARM_UP_S, run.connections, (run.rounds + 1) * titles.BLOCK)
    return Contender(name, measure, least)


CASES: Mapping[str, tuple[str, Case]] = MappingProxyType(
    {
        "card": ("Card PNG 1200x630, unique titles", card_case),
        "poster": (
            "Card on a gradient, PNG 1200x630, unique titles",
            partial(picture_case, "poster"),
        ),
        "badge": (
            "Badge with a QR code, PNG 600x900, unique names",
            partial(picture_case, "badge"),
        ),
        "certificate": (
            "Certificate, PNG 1123x794, unique names",
            partial(picture_case, "certificate"),
        ),
        "solid": ("Solid PNG 512x512, unique colours", solid_case),
        "qr": ("QR code, PNG, unique URLs", qr_case),
        "304": ("Card the client has: 304", not_modified_case),
        "store": ("Card from the store", store_case),
        "archive": ("Badges in one ZIP, images a second", archive_case),
    }
)
HEAD = ("", "req/s", "p50 ms", "p99 ms", "CPU ms", "Mimeo is", "target", "")


@dataclass(frozen=True, slots=True)
class Result:
    """What a contender reached round by round beside Mimeo, or why there is nothing."""

    name: str
    loads: Sequence[Load] = ()
    ratios: Sequence[float] = ()
    least: float | None = None
    missing: str | None = None

    @property
    def met(self) -> bool:
        """Say whether Mimeo reaches its aim against this one, if there is one."""
        if self.least is None or not self.ratios:
            return True
        return median(self.ratios) >= self.least

    def middle(self, name: str) -> float | None:
        """Return the median of a figure of its loads, where it is known."""
        found = [v for each in self.loads if (v := getattr(each, name)) is not None]
        return median(found) if found else None

    def cells(self) -> Sequence[str]:
        """Return its row of the table."""
        if self.missing:
            return (self.name, *[""] * 6, self.missing)
        rate = self.middle("rate") or 0
        rest = [self.middle(name) for name in ("p50_ms", "p99_ms", "cpu_ms")]
        cells = [self.name, f"{rate:,.0f}" if rate >= 10 else f"{rate:.1f}"]
        cells += ["" if value is None else f"{value:.2f}" for value in rest]
        if not self.ratios:
            return [*cells, "", "", ""]
        cells.append(f"{median(self.ratios):.2f} x")
        if self.least is None:
            return [*cells, "", ""]
        return [*cells, f">= {self.least:g} x", "met" if self.met else "MISSED"]

    def report(self) -> dict[str, Any]:
        """Return it for the JSON: medians, and every round's rate and ratio."""
        if self.missing:
            return {"name": self.name, "missing": self.missing}
        figures = ("rate", "p50_ms", "p99_ms", "cpu_ms")
        return {
            "name": self.name,
            **{name: self.middle(name) for name in figures},
            "ratio": median(self.ratios) if self.ratios else None,
            "least": self.least,
            "rates": [each.rate for each in self.loads],
            "ratios": list(self.ratios),
        }


def compare(case: Case, run: Run) -> list[Result]:
    """Run one case; Mimeo comes first."""
    with ExitStack() as stack:
        entries = list(case(run, stack))
        present = [entry for entry in entries if isinstance(entry, Contender)]
        loads: dict[str, list[Load]] = {entry.name: [] for entry in present}
        for turn in range(run.rounds):
            for entry in present:
                loads[entry.name].append(_clean(entry, entry.measure(turn)))
    ours = loads[present[0].name]
    return [
        Result(entry.name, missing=entry.reason)
        if isinstance(entry, Absent)
        else beside(entry, loads[entry.name], ours)
        for entry in entries
    ]


def beside(entry: Contender, loads: Sequence[Load], ours: Sequence[Load]) -> Result:
    """Compare a contender's rounds with Mimeo's."""
    pairs = () if loads is ours else zip(ours, loads, strict=True)
    ratios = [our.rate / their.rate for our, their in pairs]
    return Result(entry.name, loads, ratios, entry.least)


def _clean(contender: Contender, done: Load) -> Load:
    if done.failures or not done.requests:
        raise RuntimeError(
            f"{contender.name}: {done.failures} of {done.requests} requests failed"
        )
    return done


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the cases asked for; return 1 where a target is missed."""
    options = _options(arguments)
    run = Run(
        seconds=1 if options.quick else options.seconds,
        rounds=1 if options.quick else options.rounds,
        connections=options.connections,
        workers=options.workers,
        samples=options.samples,
        badges=50 if options.quick else options.badges,
    )
    print(table.show_machine(options.markdown))
    print(_method(run))
    parts = products.versions()
    shown = ", ".join(f"{part} {v or 'absent'}" for part, v in parts.items())
    print(f"Contenders: {shown}\n")
    all_met = True
    for name in options.cases or CASES:
        title, case = CASES[name]
        results = compare(case, run)
        rows = [result.cells() for result in results]
        print(table.show(title, HEAD, rows, options.markdown), flush=True)
        if options.json:
            _save(options.json, name, title, run, results)
        all_met &= all(result.met for result in results)
    return 0 if all_met else 1


def _save(
    file: Path, name: str, title: str, run: Run, results: Sequence[Result]
) -> None:
    """Put a case into a file of results in the place of the one that it held."""
    cases = json.loads(file.read_text())["cases"] if file.exists() else {}
    cases[name] = {
        "title": title,
        "method": _method(run).strip(),
        "machine": machine.describe(),
        "versions": products.versions(),
        "results": [result.report() for result in results],
    }
    ordered = {key: cases[key] for key in CASES if key in cases}
    file.write_text(json.dumps({"cases": ordered}, indent=1) + "\n")


def _method(run: Run) -> str:
    return (
        f"{run.rounds} rounds of {run.seconds:g} s in turns, {run.connections} kept"
        f" connections ({generator()}), {run.workers} workers each,"
        " load generator on the same cores; medians.\n"
    )


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m benchmarks.http", description=__doc__)
    parser.add_argument("cases", nargs="*", choices=[*CASES, []], metavar="case")
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--badges", type=int, default=500, help="of one archive")
    parser.add_argument("--quick", action="store_true", help="one round of 1 s")
    parser.add_argument("--json", type=Path, help="file whose cases are replaced")
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--samples", type=Path, help="folder for one picture each")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
