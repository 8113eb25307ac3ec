"""Compare servers over HTTP: `python -m benchmarks.http`.

The servers of a case run side by side and are loaded in turns, round by round,
so that noise of the machine hits all alike. Ratios are medians over the rounds.
"""

import argparse
import io
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from types import MappingProxyType

import requests
from PIL import Image

from benchmarks import card, inprocess, servers, table
from benchmarks.load import Load, Target, generator, press

# Request numbers of one round; no number comes twice while a server runs.
ROUND = 16_000_000
# node needs some 200 cards until its compiler has settled.
WARM_UP_S = 3


@dataclass(frozen=True, slots=True)
class Run:
    """How long and how hard every contender is loaded, and with how many workers."""

    seconds: float
    rounds: int
    connections: int
    workers: int
    samples: Path | None


@dataclass(frozen=True, slots=True)
class Contender:
    """One row of a case; `least` is the ratio Mimeo has to reach against it."""

    name: str
    measure: Callable[[int], Load]
    least: float | None = None


Case = Callable[[Run, ExitStack], Iterator[Contender]]


def card_case(run: Run, stack: ExitStack) -> Iterator[Contender]:
    """Draw a card with a new title in every request."""
    path = card.path("/images/card.png")
    mimeo = servers.mimeo("Mimeo", run.workers, MIMEO_STORE="none")
    yield _over_http(mimeo, path, card.SIZE, run, stack)
    if servers.has_node():
        yield from _node_cards("card", run, stack)
    for threads in sorted({1, run.workers}):
        processes = run.workers // threads
        name = f"in-process, {processes} x {threads} threads"
        yield Contender(name, _in_process(run, processes, threads), 0.75)


def poster_case(run: Run, stack: ExitStack) -> Iterator[Contender]:
    """Draw a card on a gradient, with a new title in every request."""
    folder = str(card.FOLDERS["poster"].parent)
    mimeo = servers.mimeo(
        "Mimeo", run.workers, MIMEO_STORE="none", MIMEO_TEMPLATES=folder
    )
    yield _over_http(mimeo, card.path("/images/poster.png"), card.SIZE, run, stack)
    if servers.has_node():
        yield from _node_cards("poster", run, stack)


def _node_cards(name: str, run: Run, stack: ExitStack) -> Iterator[Contender]:
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    card.export(folder, name)
    path = card.path("/card.png")
    satori = servers.node("satori + resvg-js", "satori.js", run.workers, folder)
    yield _over_http(satori, path, card.SIZE, run, stack, 8)
    takumi = servers.node("@takumi-rs/core", "takumi.js", run.workers, folder)
    yield _over_http(takumi, path, card.SIZE, run, stack, 2)


def _in_process(run: Run, processes: int, threads: int) -> Callable[[int], Load]:
    return lambda _: inprocess.measure(run.seconds, processes, threads)


def solid_case(run: Run, stack: ExitStack) -> Iterator[Contender]:
    """Draw one colour on 512 x 512 pixels, a new colour in every request."""
    query = "?color={color}&width=512&height=512"
    mimeo = servers.mimeo("Mimeo", run.workers, MIMEO_STORE="none")
    yield _over_http(mimeo, f"/images/solid.png{query}", (512, 512), run, stack)
    fastapi = servers.fastapi("FastAPI + Pillow", run.workers)
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
    server = servers.gunicorn("bare Flask", "benchmarks.flask_app:app", run.workers)
    running = stack.enter_context(servers.running(server))
    return _loaded(server.name, running, Target(running.base, "/", {}), run, least)


def _over_http(
    server: servers.Server,
    path: str,
    size: tuple[int, int],
    run: Run,
    stack: ExitStack,
    least: float | None = None,
) -> Contender:
    """Start a server, check that it draws what is asked, and return its row."""
    running = stack.enter_context(servers.running(server))
    target = Target(running.base, path, {})
    _check_picture(server.name, target, size, run.samples)
    return _loaded(server.name, running, target, run, least)


def _check_picture(
    name: str, target: Target, size: tuple[int, int], samples: Path | None
) -> None:
    """Raise RuntimeError unless two requests give two right pictures."""
    first, second = (
        requests.get(target.base + target.fill(number), timeout=30)
        for number in (12_345_678, 12_345_679)
    )
    first.raise_for_status()
    picture = Image.open(io.BytesIO(first.content))
    if (picture.format, picture.size) != ("PNG", size):
        raise RuntimeError(f"{name}: {picture.format} {picture.size}, not PNG {size}")
    picture.load()
    if "{" in target.path and first.content == second.content:
        raise RuntimeError(f"{name} answers different requests with one picture")
    if samples:
        samples.mkdir(parents=True, exist_ok=True)
        file = re.sub(r"\W+", "-", f"{name} {size[0]}").strip("-")
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
        load = press(target, run.seconds, run.connections, (turn + 1) * ROUND)
        used_ms = (server.cpu_s() - before) * 1000
        return replace(load, cpu_ms=used_ms / max(1, load.requests))

    # Warm-up: fonts, caches and just-in-time compilers, outside the rounds.
    press(target, WARM_UP_S, run.connections, (run.rounds + 1) * ROUND)
    return Contender(name, measure, least)


CASES: Mapping[str, tuple[str, Case]] = MappingProxyType(
    {
        "card": ("Card PNG 1200x630, unique titles", card_case),
        "poster": ("Card on a gradient, PNG 1200x630, unique titles", poster_case),
        "solid": ("Solid PNG 512x512, unique colours", solid_case),
        "304": ("Card the client has: 304", not_modified_case),
        "store": ("Card from the store", store_case),
    }
)
HEAD = ("", "req/s", "p50 ms", "p99 ms", "CPU ms", "Mimeo is", "target", "")


def compare(case: Case, run: Run) -> tuple[list[Sequence[str]], bool]:
    """Run one case; return the rows of its table and whether targets are met."""
    with ExitStack() as stack:
        contenders = list(case(run, stack))
        loads: list[list[Load]] = [[] for _ in contenders]
        for turn in range(run.rounds):
            for contender, results in zip(contenders, loads, strict=True):
                results.append(_clean(contender, contender.measure(turn)))
    rows = [
        _row(contender, results, loads[0])
        for contender, results in zip(contenders, loads, strict=True)
    ]
    return [cells for cells, _ in rows], all(met for _, met in rows)


def _clean(contender: Contender, load: Load) -> Load:
    if load.failures or not load.requests:
        raise RuntimeError(
            f"{contender.name}: {load.failures} of {load.requests} requests failed"
        )
    return load


def _row(
    contender: Contender, loads: Sequence[Load], ours: Sequence[Load]
) -> tuple[Sequence[str], bool]:
    rate = f"{median(load.rate for load in loads):,.0f}"
    cells = [contender.name, rate]
    cells += [_middle(loads, name) for name in ("p50_ms", "p99_ms", "cpu_ms")]
    if loads is ours:
        return [*cells, "", "", ""], True
    ratio = median(a.rate / b.rate for a, b in zip(ours, loads, strict=True))
    met = contender.least is None or ratio >= contender.least
    target = "" if contender.least is None else f">= {contender.least:g} x"
    verdict = "" if contender.least is None else "met" if met else "MISSED"
    return [*cells, f"{ratio:.2f} x", target, verdict], met


def _middle(loads: Sequence[Load], name: str) -> str:
    values = [value for load in loads if (value := getattr(load, name)) is not None]
    return f"{median(values):.2f}" if values else ""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the cases asked for; return 1 where a target is missed."""
    options = _options(arguments)
    run = Run(
        seconds=1 if options.quick else options.seconds,
        rounds=1 if options.quick else options.rounds,
        connections=options.connections,
        workers=options.workers,
        samples=options.samples,
    )
    print(table.show_machine(options.markdown))
    print(_method(run))
    all_met = True
    for name in options.cases or CASES:
        title, case = CASES[name]
        rows, met = compare(case, run)
        print(table.show(title, HEAD, rows, options.markdown), flush=True)
        all_met &= met
    return 0 if all_met else 1


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
    parser.add_argument("--quick", action="store_true", help="one round of 1 s")
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--samples", type=Path, help="folder for one picture each")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
