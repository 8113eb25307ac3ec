"""Processor time of a request beside another checkout: `python -m benchmarks.against`.

Each round runs a process of the old `app/`, one of the new and one of the old again,
in an order that goes round. A process calls the WSGI application itself, without a
server, and reads its own clock of processor time: user and system time of all its
threads, and of children that ended. A case is done in blocks; its time is their
median. `gain` is old time / new time, the median over the rounds: above 1 the new one
is faster. `floor` is the 5th percentile of the same ratio of old against old, both
ways round, from the same rounds; a gain that is not below it is met.
"""

import argparse
import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import Any
from urllib.parse import urlencode

from werkzeug.test import EnvironBuilder

from benchmarks import table, tree
from benchmarks.servers import ROOT

BLOCKS = 5
ROWS = 1000
Environ = dict[str, Any]


# Not out of `benchmarks.card`, which imports more of `app/` than the factory.
_REST = {
    "subtitle": "A self-hosted server for generated images by URL or as JSON",
    "tag": "Release",
    "author": "Ada Lovelace",
}


@dataclass(frozen=True, slots=True)
class Case:
    """A request of which a number makes a new one, and how many make a block."""

    name: str
    status: str
    block: int
    request: Callable[[int], Mapping[str, Any]]


def _title(number: int) -> str:
    return f"Issue {number}: many pictures leave one stencil"


def card(number: int) -> Mapping[str, Any]:
    """Return the request of a card that this number makes a new one."""
    return get(f"/images/card.png?{urlencode({'title': _title(number), **_REST})}")


def badge(number: int) -> Mapping[str, Any]:
    """Return the request of a badge with a QR code of its own."""
    own = {"name": f"Ada {number} Lovelace", "company": "Analytical Engines"}
    own |= {"event": "PyCon", "qr": f"https://example.org/b/{number}"}
    return get(f"/images/badge.png?{urlencode(own)}")


def certificate(number: int) -> Mapping[str, Any]:
    """Return the request of a certificate for a new name."""
    own = {"name": f"Ada {number} Lovelace", "course": "Orbital Mechanics"}
    return get(f"/images/certificate.png?{urlencode(own)}")


def solid(number: int) -> Mapping[str, Any]:
    """Return the request of one colour on the size of a card."""
    colour = f"{number * 7919 % (1 << 24):06x}"
    return get(f"/images/solid.png?width=1200&height=630&color=%23{colour}")


def get(path: str, **headers: str) -> Mapping[str, Any]:
    """Return a request with GET, as werkzeug's builder takes it."""
    path, _, query = path.partition("?")
    return {"path": path, "query_string": query, "headers": headers}


def _zip(number: int, rows: int) -> Mapping[str, Any]:
    rest = ",".join(_REST.values())
    lines = (f"{_title(number * rows + row)},{rest}" for row in range(rows))
    return {
        "method": "POST",
        "path": "/collections.zip",
        "query_string": "renderer=card",
        "data": "\n".join(["title,subtitle,tag,author", *lines]).encode(),
        "headers": {"Content-Type": "text/csv"},
    }


def _cases(tag: str, quick: bool) -> Iterator[Case]:
    part = 10 if quick else 1
    yield Case("card", "200", 40 // part, card)
    yield Case("badge", "200", 40 // part, badge)
    yield Case("certificate", "200", 20 // part, certificate)
    yield Case("solid", "200", 120 // part, solid)
    unchanged = get(_STORED, **{"If-None-Match": tag})
    yield Case("304", "304", 600 // part, lambda _: unchanged)
    yield Case("stored image", "200", 400 // part, lambda _: get(_STORED))
    rows = ROWS // (part * part)
    yield Case(f"ZIP of {rows:,}", "200", 1, lambda number: _zip(number, rows))


_STORED = "/images/card.png?title=Stored"


def times(quick: bool) -> Iterator[tuple[str, float]]:
    """Yield each case and its processor time in ms, in this process."""
    from app import create_app

    try:
        from app.config import allocator
    except ImportError:
        # Where it stood before; trees of both kinds are compared.
        from app import allocator

    allocator.tune()
    with tempfile.TemporaryDirectory() as store:
        fixed = {"MIMEO_STORE": store, "MIMEO_ACCESS_LOG": "off"}
        app = create_app(environ=fixed)
        for number in range(3):
            call(app, environ(card(-number)))
            tag = call(app, environ(get(_STORED)))["ETag"]
        for case in _cases(tag, quick):
            yield case.name, median(_blocks(app, case, 2 if quick else BLOCKS)) * 1000
        app.extensions["mimeo"].close()


def _blocks(app: Any, case: Case, blocks: int) -> Iterator[float]:
    """Yield the seconds of a request, block by block; the first is to warm up."""
    # A ZIP is long enough to need neither.
    turns = range(blocks + 1) if case.block > 1 else range(1)
    for turn in turns:
        numbers = range(turn * case.block, (turn + 1) * case.block)
        requests = [environ(case.request(number + 1)) for number in numbers]
        before = _used_s()
        for request in requests:
            call(app, request, case.status)
        if turn or len(turns) == 1:
            yield (_used_s() - before) / case.block


def _used_s() -> float:
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + ended.ru_utime + ended.ru_stime


def environ(request: Mapping[str, Any]) -> Environ:
    """Return what a server would give the application."""
    return EnvironBuilder(**request).get_environ()


def call(app: Any, request: Environ, status: str = "200") -> dict[str, str]:
    """Call the application as a server does; return the headers of its answer."""
    told: list[Any] = []
    body = app(request, lambda *values: told.extend(values))
    size = 0
    for piece in body:
        size += len(piece)
    if hasattr(body, "close"):
        body.close()
    if not told[0].startswith(status) or (status == "200") != bool(size):
        raise RuntimeError(f"{told[0]} with {size} bytes instead of {status}")
    return dict(told[1])


@dataclass(frozen=True, slots=True)
class Beside:
    """Milliseconds of one case, round by round: old, new, and old again."""

    name: str
    old: Sequence[float]
    new: Sequence[float]
    again: Sequence[float]

    @property
    def gain(self) -> float:
        """Old time / new time, the median over the rounds."""
        rounds = zip(self.old, self.new, self.again, strict=True)
        return median((old + again) / 2 / new for old, new, again in rounds)

    @property
    def floor(self) -> float:
        """The 5th percentile of old against old."""
        pairs = list(zip(self.old, self.again, strict=True))
        ratios = [ratio for a, b in pairs for ratio in (a / b, b / a)]
        return quantiles(ratios, n=20, method="inclusive")[0]

    @property
    def met(self) -> bool:
        """Say whether the new one is no slower than chance makes the old one."""
        return self.gain >= self.floor


def compare(old: Path, new: Path, rounds: int, quick: bool = False) -> list[Beside]:
    """Measure two checkouts in turns."""
    lanes: list[list[Mapping[str, float]]] = [[], [], []]
    for turn in range(rounds):
        for step in range(3):
            lane = (turn + step) % 3
            arguments = ("--quick",) * quick
            place = new if lane == 1 else old
            lanes[lane].append(tree.child("benchmarks.against", place, *arguments))
    return [
        Beside(name, *([found[name] for found in lane] for lane in lanes))
        for name in lanes[0][0]
    ]


HEAD = ("", "old ms", "new ms", "gain", "floor", "")


def _cells(row: Beside) -> Sequence[str]:
    return (
        row.name,
        f"{median([*row.old, *row.again]):.3f}",
        f"{median(row.new):.3f}",
        f"{row.gain:.3f}",
        f"{row.floor:.3f}",
        "met" if row.met else "MISSED",
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; return 1 where a floor is missed. As a child, print JSON."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks.against", description=__doc__
    )
    parser.add_argument("--old", default="HEAD", help="a checkout or a commit")
    parser.add_argument("--tree", default=str(ROOT), help="the new one, this checkout")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--quick", action="store_true", help="one round, a tenth each")
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.child:
        tree.use(options.child)
        print(json.dumps(dict(times(options.quick))))
        return 0
    rounds = 1 if options.quick else options.rounds
    with tree.checked_out(options.old) as old, tree.checked_out(options.tree) as new:
        rows = compare(old, new, rounds, options.quick)
    print(table.show_machine(options.markdown))
    title = f"Processor time of a request, {rounds} rounds in turns"
    print(table.show(title, HEAD, [_cells(row) for row in rows], options.markdown))
    print("gain: old time / new time; floor: 5th percentile of old against old")
    return 0 if all(row.met for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
