"""Pages of PDF as outlines beside pictures of the same drawing: `-m benchmarks.pdf`.

Blocks of pages with new texts are made in turns, in one process, as outlines and as
pictures: what a renderer without SVG has, and all had before. Then a server of either
kind answers the same collection. Ratios are of processor time, medians over rounds.
"""

import argparse
import csv
import io
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import chain, count
from statistics import median

import requests

from app.config import Settings, allocator
from app.renderer.base import Output, Renderer
from app.renderer.catalogue import Catalogue
from app.renderer.encode.pdf.document import pages, read_pages
from app.renderer.produce import produce
from benchmarks import card, servers, table

TEMPLATES = ("badge", "card", "certificate")
_FIRST, _LAST = (
    names.split()
    for names in (
        "Ada Alan Anita Barbara Claude Donald Dorothy Edsger Edith Frances Grace Guido"
        " Hedy Jean John Karen Katherine Ken Leslie Linus Margaret Mary Radia Tim",
        "Allen Bartik Borg Clarke Conway Dijkstra Hamilton Hopper Kay Knuth Lamport"
        " Lamarr Liskov Lovelace Perlman Ritchie Shannon Thompson Torvalds Turing",
    )
)
_OUTPUT = Output.model_validate({"format": "pdf"})
_SERVERS = {"outlines": "wsgi:app", "pictures": "benchmarks.contenders.picture_pdf:app"}


def texts(renderer: Renderer, number: int) -> dict[str, str]:
    """Return the parameters of a page; each number has texts that no other has."""
    first, last = number % len(_FIRST), number // len(_FIRST) % len(_LAST)
    who = f"{_FIRST[first]} {_LAST[last]}"
    own = {
        "badge": {"name": who, "qr": f"https://example.org/p/{number}"},
        "card": {**card.PARAMETERS, "title": card.TITLE.format(n=number)},
        "certificate": {"name": who, "date": f"{number}"},
    }
    return {**renderer.example, **own[renderer.name]}


@dataclass(frozen=True, slots=True)
class Pages:
    """Milliseconds of a page and its bytes in each round, of both kinds."""

    name: str
    outlines: Sequence[tuple[float, float]]
    pictures: Sequence[tuple[float, float]]

    @property
    def time(self) -> float:
        """Time of outlines / time of pictures, the median over the rounds."""
        return self._ratio(0)

    @property
    def size(self) -> float:
        """Bytes of outlines / bytes of pictures, the median over the rounds."""
        return self._ratio(1)

    def _ratio(self, which: int) -> float:
        rounds = zip(self.outlines, self.pictures, strict=True)
        return median(one[which] / other[which] for one, other in rounds)


def single(outlines: Renderer, rounds: int, block: int) -> Iterator[Pages]:
    """Yield single pages of a template, and its pages bound as a collection is."""
    kinds = (outlines, replace(outlines, vector=None))
    numbers = count(1)
    alone: tuple[list[tuple[float, float]], ...] = ([], [])
    bound: tuple[list[tuple[float, float]], ...] = ([], [])
    for turn in range(rounds + 1):
        for kind in (0, 1) if turn % 2 else (1, 0):
            made, made_ms = _made(kinds[kind], [next(numbers) for _ in range(block)])
            began = time.thread_time()
            size = sum(map(len, pages(chain.from_iterable(map(read_pages, made)))))
            bound_ms = (time.thread_time() - began) * 1000 / block
            alone[kind].append((made_ms, sum(map(len, made)) / block))
            bound[kind].append((made_ms + bound_ms, size / block))
    # The first turn was to warm up.
    yield Pages(outlines.name, alone[0][1:], alone[1][1:])
    yield Pages(f"{outlines.name}, bound", bound[0][1:], bound[1][1:])


def _made(renderer: Renderer, numbers: Sequence[int]) -> tuple[list[bytes], float]:
    """Return single pages, and the milliseconds of one."""
    validate = renderer.parameters.model_validate_strings
    given = [validate(texts(renderer, number)) for number in numbers]
    began = time.thread_time()
    made = [bytes(produce(renderer, each, _OUTPUT).data) for each in given]
    return made, (time.thread_time() - began) * 1000 / len(numbers)


def over_http(renderer: Renderer, rounds: int, rows: int) -> Pages:
    """Return what collections of new pages take of all processes of a server."""
    found: dict[str, list[tuple[float, float]]] = {kind: [] for kind in _SERVERS}
    numbers = count(1_000_000)
    with ExitStack() as stack:
        running = {kind: _start(stack, kind) for kind in _SERVERS}
        for turn in range(rounds + 1):
            for kind in sorted(_SERVERS, reverse=bool(turn % 2)):
                body = _csv(renderer, [next(numbers) for _ in range(rows)])
                before = running[kind].cpu_s()
                size = _fetched(running[kind].base, renderer.name, body)
                running[kind].settle()
                used = running[kind].cpu_s() - before
                found[kind].append((used * 1000 / rows, size / rows))
    outlines, pictures = (found[kind][1:] for kind in _SERVERS)
    return Pages(f"{renderer.name}, {rows:,} over HTTP", outlines, pictures)


def _start(stack: ExitStack, kind: str) -> servers.Running:
    folder = stack.enter_context(tempfile.TemporaryDirectory())
    own = {"MIMEO_RATE_ANONYMOUS": "1000000/second", "MIMEO_ACCESS_LOG": "off"}
    server = servers.gunicorn(kind, _SERVERS[kind], 1, MIMEO_STORE=folder, **own)
    return stack.enter_context(servers.running(server))


def _csv(renderer: Renderer, numbers: Sequence[int]) -> bytes:
    text = io.StringIO()
    rows = [texts(renderer, number) for number in numbers]
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def _fetched(base: str, name: str, body: bytes) -> int:
    """Return how many bytes the PDF of a collection has."""
    answer = requests.post(
        f"{base}/collections.pdf?renderer={name}",
        data=body,
        headers={"Content-Type": "text/csv"},
        timeout=600,
    )
    answer.raise_for_status()
    return len(answer.content)


HEAD = ("", "outlines ms", "pictures ms", "time", "outlines bytes", "bytes")


def _cells(row: Pages) -> Sequence[str]:
    return (
        row.name,
        f"{median(ms for ms, _ in row.outlines):.2f}",
        f"{median(ms for ms, _ in row.pictures):.2f}",
        f"{row.time:.2f}",
        f"{median(size for _, size in row.outlines):,.0f}",
        f"{row.size:.2f}",
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; return 1 where outlines take longer than pictures."""
    parser = argparse.ArgumentParser("python -m benchmarks.pdf", description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--block", type=int, default=30, help="pages in a turn")
    parser.add_argument("--rows", type=int, default=1000, help="of a collection, or 0")
    parser.add_argument("--quick", action="store_true", help="two rounds of three")
    parser.add_argument("--markdown", action="store_true")
    options = parser.parse_args(arguments)
    rounds, block = (2, 3) if options.quick else (options.rounds, options.block)
    allocator.tune()
    catalogue = Catalogue(Settings(store="none", system_fonts=False))
    templates = [catalogue.get(name) for name in TEMPLATES]
    rows = [row for each in templates for row in single(each, rounds, block)]
    if options.rows:
        rows.append(over_http(templates[0], min(3, rounds), options.rows))
    print(table.show_machine(options.markdown))
    title = f"Pages of PDF, {rounds} rounds of {block} in turns"
    print(table.show(title, HEAD, list(map(_cells, rows)), options.markdown))
    print("time, bytes: outlines / pictures; time is that of a processor")
    return 0 if all(row.time <= 1 for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
