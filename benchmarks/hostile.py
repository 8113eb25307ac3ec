"""Draw hostile documents in the sandbox: `python -m benchmarks.hostile --count 16000`.

Each of a seeded generator's must end in a picture, or in an error that is a 4xx, before
the deadline and within the memory of both processes. `--from N` goes on at a number, so
that slices make a whole: `--results FILE` gets a line of JSON from each, and `--sum`
prints the table of all lines in it. Ends with 1 where one ends otherwise.
"""

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from pydantic import ValidationError

from app.config import Settings
from app.renderer.base import Output
from app.renderer.builtin.html import Parameters
from app.renderer.catalogue import Catalogue
from app.renderer.errors import BadParameter, LimitExceeded, RenderTimeout, Undrawable
from app.renderer.produce import check
from app.renderer.sandbox.process import START_S
from app.renderer.sandbox.sandbox import Sandbox
from tests.hostile_documents import Hostile, hostile

# Of what a caller sends, all that ends in one of these is a 4xx.
REFUSALS = (BadParameter, LimitExceeded, RenderTimeout, Undrawable, ValidationError)
SETTINGS = replace(
    Settings(), system_fonts=False, render_timeout_s=10.0, html_memory_bytes=512 << 20
)
# What the process that draws maps when it is ready, on top of its memory.
READY_BYTES = 300 << 20
# By which the server's own process may grow, whatever it hands on.
GROWTH_BYTES = 64 << 20
_SLOWEST = 10
_MIB = 1 << 20


@dataclass
class Outcome:
    """How documents ended by kind, the wrong ones, seconds, and bytes of memory."""

    documents: int = 0
    first: int = 0
    seed: int = 0
    seconds: float = 0.0
    ends: dict[str, dict[str, int]] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    slow: list[tuple[float, str]] = field(default_factory=list)
    # Those that were stopped at the deadline.
    stopped: list[str] = field(default_factory=list)
    # Processes that drew, one after the other.
    processes: int = 0
    # The most that the server's process had before and in the run, and the others had.
    before_bytes: int = 0
    here_bytes: int = 0
    there_bytes: int = 0

    def add(self, other: "Outcome") -> None:
        """Add another slice to this one."""
        self.documents += other.documents
        self.seconds += other.seconds
        for kind, ends in other.ends.items():
            self.ends[kind] = dict(Counter(self.ends.get(kind, {})) + Counter(ends))
        self.wrong += other.wrong
        self.stopped += other.stopped
        self.slow = sorted(map(tuple, self.slow + other.slow), reverse=True)[:_SLOWEST]
        self.processes += other.processes
        self.before_bytes = max(self.before_bytes, other.before_bytes)
        self.here_bytes = max(self.here_bytes, other.here_bytes)
        self.there_bytes = max(self.there_bytes, other.there_bytes)

    def totals(self) -> Counter[str]:
        """Return how many documents ended in what, of all kinds."""
        return sum((Counter(ends) for ends in self.ends.values()), Counter())

    def line(self) -> str:
        """Return how far it is, on one line."""
        ended = ", ".join(
            f"{many} {end}" for end, many in sorted(self.totals().items())
        )
        slowest, name = self.slow[0]
        return (
            f"{self.documents} from {self.first} in {self.seconds:.0f} s: {ended};"
            f" slowest {slowest} s ({name}); {self.processes} processes of"
            f" {self.there_bytes // _MIB} MiB, server {self.here_bytes // _MIB} MiB"
        )

    def table(self) -> str:
        """Return how the documents of each kind ended, as a table of Markdown."""
        names = sorted(self.totals())
        rows = [f"| kind | {' | '.join(names)} |", "|---|" + "---|" * len(names)]
        for kind, ends in [*self.ends.items(), ("all", self.totals())]:
            cells = " | ".join(str(ends.get(name, 0)) for name in names)
            rows.append(f"| {kind} | {cells} |")
        slow = ", ".join(f"{seconds} s {name}" for seconds, name in self.slow)
        stopped = f"stopped at the deadline: {', '.join(self.stopped) or 'none'}"
        return "\n".join(
            [*rows, "", self.line(), "slowest: " + slow, stopped, *self.wrong]
        )


def draw_all(
    documents: Iterable[Hostile], catalogue: Catalogue, every: int = 0
) -> Outcome:
    """Draw documents one after the other, in a process that is killed at 10 s.

    Prints how far it is after each `every` documents, never at 0. What was done before
    Ctrl-C counts.
    """
    renderer = catalogue.get("html")
    sandbox = Sandbox(SETTINGS)
    outcome = Outcome(first=sys.maxsize, before_bytes=_most_resident("self"))
    started = time.perf_counter()
    pid = 0
    try:
        for kind, number, html, size in documents:
            name, fault = f"{kind} {number}", ""
            began = time.perf_counter()
            try:
                parameters = Parameters(html=html, width=size[0], height=size[1])
                check(renderer, parameters, Output(), SETTINGS)
                sandbox.produce(renderer, parameters, Output())
                end = "picture"
            except REFUSALS as error:
                end = type(error).__name__
            except Exception as error:
                end, fault = "wrong", f"{error!r}"[:400]
            took = round(time.perf_counter() - began, 2)
            there = _most_resident(sandbox.pid)
            if took > SETTINGS.render_timeout_s + START_S:
                fault = fault or f"ended after {took} s"
            if there > SETTINGS.html_memory_bytes + READY_BYTES:
                fault = fault or f"its process had {there // _MIB} MiB"
            if end == RenderTimeout.__name__:
                outcome.stopped.append(name)
            if fault:
                outcome.wrong.append(f"{name}: {fault}")
            ends = Counter({end: 1})
            more = Outcome(1, ends={kind: ends}, slow=[(took, name)], there_bytes=there)
            outcome.add(more)
            outcome.first = min(outcome.first, number)
            outcome.processes += sandbox.pid != pid
            pid = sandbox.pid
            outcome.here_bytes = _most_resident("self")
            outcome.seconds = round(time.perf_counter() - started, 1)
            if every and not outcome.documents % every:
                print(outcome.line(), flush=True)
    except KeyboardInterrupt:
        print(f"stopped after {outcome.documents} documents", flush=True)
    finally:
        sandbox.close()
    if (grown := outcome.here_bytes - outcome.before_bytes) > GROWTH_BYTES:
        outcome.wrong.append(f"the server's process grew by {grown // _MIB} MiB")
    return outcome


def _most_resident(pid: object) -> int:
    """Return the most that a process had in memory, zero where it is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    found = [line for line in status.splitlines() if line.startswith("VmHWM")]
    return int(found[0].split()[1]) << 10 if found else 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hostile")
    parser.add_argument("--count", type=int, default=1_000)
    parser.add_argument("--from", type=int, default=0, dest="first")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--every", type=int, default=100, help="documents a line")
    parser.add_argument("--results", type=Path, help="a file that gets a line of JSON")
    parser.add_argument("--sum", action="store_true", help="print what is in it alone")
    chosen = parser.parse_args()
    if chosen.sum:
        outcome = Outcome()
        for line in chosen.results.read_text().splitlines():
            outcome.add(Outcome(**json.loads(line)))
    else:
        documents = hostile(chosen.count, chosen.seed, chosen.first)
        outcome = draw_all(documents, Catalogue(SETTINGS), chosen.every)
        outcome.seed = chosen.seed
        if chosen.results is not None:
            with chosen.results.open("a") as file:
                file.write(json.dumps(asdict(outcome)) + "\n")
    print(outcome.table())
    return 1 if outcome.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
