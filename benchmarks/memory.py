"""Soak one worker with different renders and watch its memory.

`python -m benchmarks.memory` prints resident memory, threads and open files
along the way and fails where memory grows after warm-up. With `--tree 60` it is a
minute of mixed load on what the Procfile starts, and the memory of all its processes.
"""

import argparse
import http.client
import os
import sys
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import linear_regression, median
from urllib.parse import urlsplit

from benchmarks import process_tree, servers, table

# One of each kind of work: engine and Pillow, every format, small and large.
PLAN = (
    "/images/card.png?title=Card+number+{n}&subtitle=One+stencil,+many+copies",
    "/images/solid.png?color={color}&width=512&height=512",
    "/images/card.jpg?title=Card+number+{n}&tag=Soak&author=Ada",
    "/images/gradient.webp?start={color}&end=ffffff&width=640&height=360",
    "/images/qr.png?data=https://example.org/{n}",
    "/images/badge.pdf?name=Guest+{n}",
    "/images/avatar.ico?name=Guest+{n}&size=128",
    "/images/certificate.png?name=Guest+{n}&compression=small",
    "/images/placeholder.gif?text={n}&width=320&height=200",
    "/images/identicon.tiff?seed={n}&size=256",
    "/images/quote.avif?text=Quote+number+{n}",
    "/images/card.png?title=Card+number+{n}&scale=2",
    "/images/qr.svg?data={n}",
    "/images/label.png?product=Article+{n}&compression=fast",
)
WARM_UP = 1 / 3
SAMPLES = 30
# Of a worker's 290 MiB; one leaked card would cost 3.
BOUND_MIB = 12.0


@dataclass(frozen=True, slots=True)
class Sample:
    """The state of the worker after so many renders."""

    renders: int
    rss_mib: float
    threads: int
    files: int


@dataclass(frozen=True, slots=True)
class Soak:
    """What a soak saw; `samples` are in order, the first before any render."""

    samples: tuple[Sample, ...]

    @property
    def settled(self) -> Sequence[Sample]:
        """The samples after warm-up."""
        return self.samples[max(1, round(len(self.samples) * WARM_UP)) :]

    @property
    def growth_mib(self) -> float:
        """Growth of resident memory between the first and the last settled samples."""
        few = max(1, len(self.settled) // 4)
        first = median(sample.rss_mib for sample in self.settled[:few])
        return median(sample.rss_mib for sample in self.settled[-few:]) - first

    @property
    def slope_mib(self) -> float:
        """MiB per 1,000 renders after warm-up, by least squares."""
        points = [(sample.renders / 1000, sample.rss_mib) for sample in self.settled]
        return linear_regression(*zip(*points, strict=True)).slope


def soak(renders: int, connections: int = 4, plan: Sequence[str] = PLAN) -> Soak:
    """Send `renders` different requests to one worker behind a real gunicorn.

    Raises RuntimeError where an answer is not 200.
    """
    server = servers.mimeo("Mimeo", 1, MIMEO_STORE="none", MIMEO_ACCESS_LOG="off")
    with servers.running(server) as running:
        [worker] = running.children
        samples = [_sample(worker, 0)]
        step = max(1, renders // SAMPLES)
        for first in range(0, renders, step):
            count = min(step, renders - first)
            _ask(running.base, first, count, connections, plan)
            samples.append(_sample(worker, first + count))
    return Soak(tuple(samples))


def _ask(
    base: str, first: int, count: int, connections: int, plan: Sequence[str]
) -> None:
    faults: list[str] = []
    lanes = [
        threading.Thread(
            target=_lane,
            args=(base, range(first + i, first + count, connections), plan, faults),
        )
        for i in range(connections)
    ]
    for lane in lanes:
        lane.start()
    for lane in lanes:
        lane.join()
    if faults:
        raise RuntimeError("; ".join(faults[:3]))


def _lane(
    base: str, numbers: Sequence[int], plan: Sequence[str], faults: list[str]
) -> None:
    connection = http.client.HTTPConnection(urlsplit(base).netloc, timeout=60)
    for number in numbers:
        color = f"{number * 7919 % 16_777_216:06x}"
        path = plan[number % len(plan)].replace("{n}", f"{number}")
        connection.request("GET", path.replace("{color}", color))
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            faults.append(f"{path}: {answer.status} {body[:200]!r}")
            break
    connection.close()


def _sample(worker: int, renders: int) -> Sample:
    status = Path(f"/proc/{worker}/status").read_text()
    fields = dict(line.split(":", 1) for line in status.splitlines())
    rss_kib = int(fields["VmRSS"].removesuffix("kB"))
    files = len(os.listdir(f"/proc/{worker}/fd"))
    return Sample(renders, rss_kib / 1024, int(fields["Threads"]), files)


HEAD = ("", "RSS MiB", "threads", "open files")


def _rows(result: Soak) -> list[Sequence[str]]:
    return [
        (
            f"{sample.renders:,} renders",
            f"{sample.rss_mib:.1f}",
            str(sample.threads),
            str(sample.files),
        )
        for sample in result.samples
    ]


def _verdict(result: Soak, bound_mib: float) -> str:
    within = "within" if result.growth_mib <= bound_mib else "OVER"
    return (
        f"Warm: {result.settled[0].rss_mib:.1f} MiB;"
        f" end: {result.settled[-1].rss_mib:.1f} MiB;"
        f" slope {result.slope_mib:+.2f} MiB per 1,000 renders;"
        f" growth {result.growth_mib:+.1f} MiB, {within} the bound of {bound_mib:g}."
    )


def _tree(seconds: float, memory_mib: int, markdown: bool) -> int:
    """Soak what the Procfile starts; return 1 where all together took more."""
    with tempfile.TemporaryDirectory() as store:
        budget = {"MIMEO_MEMORY_BYTES": str(memory_mib << 20), "MIMEO_STORE": store}
        result = process_tree.soak_tree(seconds, process_tree.procfile_server(**budget))
    title = f"What the Procfile starts, {seconds:g} s of mixed load"
    rows = process_tree.rows_of(result)
    print(table.show(title, process_tree.HEAD, rows, markdown))
    print(f"Answers by status: {dict(result.statuses)}")
    return 0 if result.peak.pss_mib <= memory_mib else 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Soak and report; return 1 where memory grew beyond the bound."""
    parser = argparse.ArgumentParser("python -m benchmarks.memory", description=__doc__)
    parser.add_argument("--renders", type=int, default=3000)
    parser.add_argument("--connections", type=int, default=4)
    parser.add_argument("--bound-mib", type=float, default=BOUND_MIB)
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--tree", type=float, metavar="SECONDS")
    parser.add_argument("--memory-mib", type=int, default=512)
    options = parser.parse_args(arguments)
    print(table.show_machine(options.markdown))
    if options.tree:
        return _tree(options.tree, options.memory_mib, options.markdown)
    result = soak(options.renders, options.connections)
    title = f"One worker over {options.renders:,} different renders"
    print(table.show(title, HEAD, _rows(result), options.markdown))
    print(_verdict(result, options.bound_mib))
    return 0 if result.growth_mib <= options.bound_mib else 1


if __name__ == "__main__":
    sys.exit(main())
