"""Draw hostile documents in the sandbox: `python -m benchmarks.hostile --count 16000`.

Each of a seeded generator's must end in a picture, or in an error that is a 4xx, before
the deadline. Prints how they ended by kind, the slowest, and the most memory of both
processes, as JSON. Ends with 1 where one ends otherwise.
"""

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from app.config import Settings
from app.renderer.base import Output
from app.renderer.builtin.html import Parameters
from app.renderer.catalogue import Catalogue
from app.renderer.errors import BadParameter, LimitExceeded, RenderTimeout, Undrawable
from app.renderer.produce import check
from app.renderer.sandbox.sandbox import Sandbox
from tests.hostile_documents import Hostile, hostile

# Of what a caller sends, all that ends in one of these is a 4xx.
REFUSALS = (BadParameter, LimitExceeded, RenderTimeout, Undrawable, ValidationError)
SETTINGS = replace(
    Settings(), system_fonts=False, render_timeout_s=10.0, html_memory_bytes=512 << 20
)


class Outcome(NamedTuple):
    """How documents ended by kind, the wrong ones, seconds, and bytes of memory."""

    ends: dict[str, Counter[str]]
    wrong: list[str]
    slow: list[tuple[float, str]]
    here_bytes: int
    there_bytes: int


def draw_all(documents: Iterable[Hostile], catalogue: Catalogue) -> Outcome:
    """Draw documents one after the other, in a process that is killed at 10 s."""
    renderer = catalogue.get("html")
    sandbox = Sandbox(SETTINGS)
    ends: dict[str, Counter[str]] = {}
    wrong: list[str] = []
    slow: list[tuple[float, str]] = []
    here = there = 0
    try:
        for kind, number, html, size in documents:
            began = time.perf_counter()
            try:
                parameters = Parameters(html=html, width=size[0], height=size[1])
                check(renderer, parameters, Output(), SETTINGS)
                sandbox.produce(renderer, parameters, Output())
                end = "picture"
            except REFUSALS as error:
                end = type(error).__name__
            except Exception as error:
                end = "wrong"
                wrong.append(f"{kind} {number}: {error!r}"[:400])
            ends.setdefault(kind, Counter())[end] += 1
            slow.append((round(time.perf_counter() - began, 2), f"{kind} {number}"))
            slow = sorted(slow, reverse=True)[:10]
            here = max(here, _resident("self"))
            there = max(there, _resident(sandbox.pid))
    finally:
        sandbox.close()
    return Outcome(ends, wrong, slow, here, there)


def _resident(pid: object) -> int:
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
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    catalogue = Catalogue(SETTINGS)
    outcome = draw_all(hostile(chosen.count, chosen.seed), catalogue)
    print(json.dumps(outcome._asdict(), indent=1))
    return 1 if outcome.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
