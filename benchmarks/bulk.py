"""Thousands of images in one answer: rate, first byte, memory, and that they are right.

`python -m benchmarks.bulk` makes a CSV of cards, gets it as ZIP and as base64 JSON
from one server and compares with drawing the same cards in-process.
"""

import argparse
import base64
import csv
import io
import json
import random
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import requests

from benchmarks import archives, card, inprocess, servers, table

ROWS = 10_000
FEW = 100
BOUND_MIB = 16.0
# What runs on two cores without HTTP: processes and threads in each. An answer comes
# out of one process; two have no interpreter in common to wait for.
SHAPES = {"one process, two threads": (1, 2), "two processes": (2, 1)}


def rows(count: int, mark: str) -> bytes:
    """Return a CSV of cards; `mark` makes them different from all others."""
    text = io.StringIO()
    writer = csv.writer(text)
    head = [name for name in card.PARAMETERS if name != "title"]
    writer.writerow(["title", *head])
    rest = [card.PARAMETERS[name] for name in head]
    for number in range(count):
        writer.writerow([card.TITLE.format(n=f"{mark}{number}"), *rest])
    return text.getvalue().encode()


def create(base: str, data: bytes) -> str:
    """Keep a collection of cards; return its URL."""
    answer = requests.post(
        f"{base}/collections?renderer=card",
        data=data,
        headers={"Content-Type": "text/csv"},
        timeout=300,
    )
    answer.raise_for_status()
    return f"{base}/collections/{answer.json()['id']}"


@dataclass(frozen=True, slots=True)
class Fetched:
    """How long an answer took to begin and to end, and its size."""

    first_byte_s: float
    total_s: float
    size: int


def fetch(url: str, target: str = "/dev/null") -> Fetched:
    """Get a URL with curl; raise RuntimeError where it is not whole."""
    wanted = "%{time_starttransfer} %{time_total} %{size_download}"
    done = subprocess.run(
        ["curl", "-sf", "-o", target, "-w", wanted, url],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"curl ended with {done.returncode} on {url}")
    first, total, size = done.stdout.split()
    return Fetched(float(first), float(total), int(size))


@contextmanager
def peak_of(pids: Sequence[int]) -> Iterator[list[float]]:
    """Watch the resident memory of processes; the peak in MiB is the list's item."""
    found = [0.0]
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.05):
            found[0] = max(found[0], *(rss_mib(pid) for pid in pids))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield found
    finally:
        done.set()
        watcher.join()
        found[0] = max(found[0], *(rss_mib(pid) for pid in pids))


def rss_mib(pid: int) -> float:
    """Return the resident memory of a process in MiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


@contextmanager
def serving(workers: int) -> Iterator[servers.Running]:
    """Start Mimeo with a store of its own."""
    with tempfile.TemporaryDirectory() as store:
        server = servers.mimeo(
            "Mimeo", workers, MIMEO_STORE=store, MIMEO_ACCESS_LOG="off"
        )
        with servers.running(server) as running:
            yield running


def rates(count: int, rounds: int, seconds: float) -> dict[str, list[float]]:
    """Return images a second, round by round, in-process and in each form."""
    found: dict[str, list[float]] = {name: [] for name in (*SHAPES, "zip", "json")}
    with serving(2) as running:
        fetch(f"{create(running.base, rows(300, 'warm'))}.zip")
        for number in range(rounds):
            for name, shape in SHAPES.items():
                found[name].append(inprocess.measure(seconds, *shape).rate)
            for form in ("zip", "json"):
                url = create(running.base, rows(count, f"{form}-{number}-"))
                found[form].append(count / fetch(f"{url}.{form}").total_s)
    return found


def first_bytes(tries: int) -> tuple[list[float], list[float]]:
    """Return seconds to the first byte, of archives and of single cards, in turns."""
    archive, single = [], []
    with serving(1) as running:
        fetch(f"{create(running.base, rows(300, 'warm'))}.zip")
        for number in range(tries):
            url = create(running.base, rows(1000, f"first-{number}-"))
            archive.append(_first_byte(f"{url}.zip"))
            path = card.path("/images/card.png").replace("{n}", f"s{number}")
            single.append(fetch(running.base + path).first_byte_s)
    return archive, single


def _first_byte(url: str) -> float:
    """Time the first byte of the body, and leave."""
    with requests.Session() as session:
        started = time.perf_counter()
        with session.get(url, stream=True, timeout=60) as answer:
            next(answer.iter_content(1))
            return time.perf_counter() - started


def peaks(count: int, form: str) -> tuple[float, float]:
    """Return a worker's peak memory in MiB after few rows, and after many.

    Few rows come again and again, as many images as the many have: a worker that
    draws its first pictures grows whatever it draws them for.
    """
    found = []
    for size in (FEW, count):
        with serving(1) as running:
            for number in range(max(1, min(count, 2000) // FEW)):
                url = create(running.base, rows(FEW, f"warm-{number}-"))
                fetch(f"{url}.{form}")
            [worker] = running.children
            url = create(running.base, rows(size, "measured-"))
            with peak_of([worker]) as peak:
                fetch(f"{url}.{form}")
            found.append(peak[0])
    return found[0], found[1]


def check(count: int, samples: int) -> int:
    """Compare members of ZIP and JSON with single images; return how many."""
    with serving(2) as running, tempfile.TemporaryDirectory() as folder:
        url = create(running.base, rows(count, "checked-"))
        fetch(f"{url}.zip", f"{folder}/cards.zip")
        fetch(f"{url}.json", f"{folder}/cards.json")
        images = json.loads(Path(folder, "cards.json").read_bytes())["images"]
        with zipfile.ZipFile(f"{folder}/cards.zip") as archive:
            names = archive.namelist()
            if len(names) != count + 1 or len(images) != count:
                raise RuntimeError(f"{len(names)} members, {len(images)} in JSON")
            for number in random.Random(1).sample(range(count), samples):
                alone = requests.get(f"{url}/{number + 1}.png", timeout=60).content
                entry = base64.b64decode(images[number]["data"])
                if not alone == entry == archive.read(names[number]):
                    raise RuntimeError(f"image {number + 1} differs")
    return samples


def growth(sizes: Sequence[int]) -> Iterator[tuple[int, float, float]]:
    """Yield sizes of archives, and of a badge the processor time in ms and the rate.

    Small ones are made again and again, until they are a tenth of the largest or 3,000.
    """
    first = 0
    with serving(2) as running:
        archives.by_mimeo(running, first, 300)
        for size in sizes:
            turns = max(1, min(max(sizes) // 10, 3000) // size)
            running.settle()
            before, started = running.cpu_s(), time.perf_counter()
            for _ in range(turns):
                first += max(sizes)
                archives.by_mimeo(running, first, size)
            taken = time.perf_counter() - started
            running.settle()
            count = turns * size
            yield size, (running.cpu_s() - before) / count * 1000, count / taken


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and report; return 1 where a budget is missed."""
    parser = argparse.ArgumentParser("python -m benchmarks.bulk", description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--growth", action="store_true", help="badges in archives of 100 rows and more"
    )
    parser.add_argument("--markdown", action="store_true")
    options = parser.parse_args(arguments)
    print(table.show_machine(options.markdown))
    if options.growth:
        sizes = [10**power for power in range(2, len(str(options.rows)))]
        grown = [
            (f"{size:,}", f"{each:.2f}", f"{rate:.0f}")
            for size, each, rate in growth(sizes)
        ]
        head = ("rows", "CPU ms a badge", "badges/s")
        print(table.show("Badges in archives", head, grown, options.markdown))
        return 0
    seconds = max(2.0, min(options.rows / 500, 10.0))
    found = rates(options.rows, options.rounds, seconds)
    lines = [_rate_line(name, values, found) for name, values in found.items()]
    title = f"{options.rows:,} cards, images a second"
    head = ("", "rate", *(f"of {name}" for name in SHAPES))
    print(table.show(title, head, lines, options.markdown))
    archive, single = first_bytes(15)
    ratio = median(archive) / median(single)
    print(f"First byte of a new archive: {ratio:.2f} single cards (budget 3).")
    growths = {form: peaks(options.rows, form) for form in ("zip", "json")}
    for form, (few, many) in growths.items():
        print(
            f"Peak memory, {form}: {few:.1f} MiB for {FEW} rows, {many:.1f} MiB for"
            f" {options.rows:,}: {many - few:+.1f} MiB (budget {BOUND_MIB:g})."
        )
    print(f"{check(options.rows, 50)} sampled images are the same in every form.")
    fine = ratio <= 3 and all(b - a <= BOUND_MIB for a, b in growths.values())
    return 0 if fine else 1


def _rate_line(
    name: str, values: Sequence[float], found: dict[str, list[float]]
) -> tuple[str, ...]:
    shares = (
        median(a / b for a, b in zip(values, found[shape], strict=True))
        for shape in SHAPES
    )
    return name, f"{median(values):.0f}", *(f"{share:.2f}" for share in shares)


if __name__ == "__main__":
    sys.exit(main())
