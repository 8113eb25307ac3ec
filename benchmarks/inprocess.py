"""Draw and encode cards without HTTP, in processes that start at one word.

`python -m benchmarks.inprocess` is one such process; `measure` drives several.
"""

import argparse
import json
import subprocess
import sys
import threading
import time
from contextlib import ExitStack

from app.config import allocator
from benchmarks import card, titles
from benchmarks.load import Load
from benchmarks.servers import ROOT

WARM_UP = 30


def measure(seconds: float, processes: int, threads: int, mixed: bool = False) -> Load:
    """Return the cards that all processes and threads make together.

    `mixed` takes the titles of `benchmarks.http`, in three scripts.
    """
    command = [sys.executable, "-m", "benchmarks.inprocess", f"{seconds}", f"{threads}"]
    command += ["--mixed"] * mixed
    with ExitStack() as stack:
        children = [
            stack.enter_context(
                subprocess.Popen(
                    command,
                    cwd=ROOT,
                    text=True,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                )
            )
            for _ in range(processes)
        ]
        for child in children:
            _read(child)
        for child in children:
            _say_go(child)
        made = [json.loads(_read(child)) for child in children]
    cards = sum(count for count, _ in made)
    used_ms = sum(cpu_s for _, cpu_s in made) * 1000
    return Load(cards, seconds, cpu_ms=used_ms / max(1, cards))


def _read(child: subprocess.Popen[str]) -> str:
    line = child.stdout.readline() if child.stdout else ""
    if not line:
        raise RuntimeError("A process that draws cards ended early.")
    return line


def _say_go(child: subprocess.Popen[str]) -> None:
    if child.stdin:
        child.stdin.write("go\n")
        child.stdin.flush()


def _draw_until(end: float, first: int, mixed: bool, counts: list[int]) -> None:
    number = first
    while time.perf_counter() < end:
        number += 1
        card.produce(number, titles.title(number) if mixed else card.TITLE)
    counts.append(number - first)


def main() -> None:
    """Warm up, say so, wait for the word, draw, print how many and their CPU time."""
    parser = argparse.ArgumentParser("python -m benchmarks.inprocess")
    parser.add_argument("seconds", type=float)
    parser.add_argument("threads", type=int)
    parser.add_argument("--mixed", action="store_true")
    options = parser.parse_args()
    allocator.tune()
    # Made before they are wanted: each thread has a block of titles.
    for lane in range(1, options.threads + 1):
        titles.block(lane)
    for number in range(WARM_UP):
        card.produce(number)
    print("ready", flush=True)
    sys.stdin.readline()
    counts: list[int] = []
    before = time.process_time()
    end = time.perf_counter() + options.seconds
    lanes = [
        threading.Thread(
            target=_draw_until, args=(end, i * titles.BLOCK, options.mixed, counts)
        )
        for i in range(1, options.threads + 1)
    ]
    for lane in lanes:
        lane.start()
    for lane in lanes:
        lane.join()
    print(json.dumps([sum(counts), time.process_time() - before]), flush=True)


if __name__ == "__main__":
    main()
