"""Jobs on many hosts: workers beside bare processes, and what each chunk costs.

`python -m benchmarks.cluster` makes hosts of namespaces, so it must be root. Two
workers draw badges beside two processes that do nothing else, in turns; then 1, 2, 4
and 8 workers draw badges, which fill the processors, and rows of a service, which
waits. A job of a million rows shows what the broker holds while nobody draws.

Bucket, broker and web share the processors with the workers. Three ratios are told: of
images a second, all included; of the processor time of those who draw, in which that
of the others is not, though they take turns on the same processors; and of images a
second where the seconds of the others are taken off, as if they had had processors of
their own. Two processors are assumed to be full meanwhile.

The two bare processes draw once more while a thread asks of the bucket what the workers
had asked of it in as many seconds: how much a bucket on the same processors slows down
who draws, whoever that is.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import requests

from app.config import Settings
from app.renderer.base import Output
from app.renderer.catalogue import Catalogue
from app.renderer.produce import produce
from benchmarks import table
from tests.cluster.deployment import Cluster, cluster
from tests.cluster.hosts import why_not
from tests.cluster.services import Redis

_CORES = 2
IMAGES, ROUNDS, MANY = 2_000, 5, 1_000_000
WORKERS = (1, 2, 4, 8)
# Of a service that takes its time, so many a worker.
BOUGHT, TAKES_S = 80, 0.4
LEAST, MOST_BYTES = 0.9, 200 << 20
IDLE_S = 30.0
_CSV = {"Content-Type": "text/csv"}
_KINDS = ("PUT", "LIST", "GET", "HEAD", "DELETE")
_METHODS = (b"GET /", b"PUT /", b"HEAD ", b"DELET", b"POST ")
# Hosts without the tests' own count of drawings.
_SETTINGS = {"PYTHONPATH": ""}
_LONG_S, _LOOK_S = 3600.0, 0.25


def draw_badges(mark: str, count: int) -> None:
    """Draw and encode badges in this process, and say which processor time it took."""
    renderer = Catalogue(Settings(store="none", system_fonts=False)).get("badge")
    output = Output.model_validate({"format": "png"})
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    started, begun = time.perf_counter(), time.process_time()
    for number in range(count):
        told = badge(mark, number)
        parameters = renderer.parameters.model_validate_strings(told)
        produce(renderer, parameters, output)
    print(time.perf_counter() - started, time.process_time() - begun)


def badge(mark: str, number: int) -> dict[str, str]:
    """Return the parameters of one badge; `mark` makes it differ from others."""
    return {"name": f"{mark} {number}", "event": "Cluster"}


@dataclass(frozen=True, slots=True)
class Drawn:
    """What some images took: seconds, and seconds of processors, by whom."""

    images: int
    chunks: int
    seconds: float
    workers_s: float
    shared_s: float = 0.0
    web_s: float = 0.0
    bucket: Mapping[str, int] = field(default_factory=dict)
    carrier: int = 0
    chunk_bytes: int = 0

    @property
    def rate(self) -> float:
        """Images a second."""
        return self.images / self.seconds

    @property
    def own_rate(self) -> float:
        """Images a second, had bucket, broker and web not had the same processors."""
        return self.images / (self.seconds - (self.shared_s + self.web_s) / _CORES)

    @property
    def cpu_ms(self) -> float:
        """Milliseconds of a processor that an image takes of those who draw."""
        return 1000 * self.workers_s / self.images


def bare(mark: str, images: int) -> Drawn:
    """Let two processes draw, each a half."""
    command = [sys.executable, "-m", "benchmarks.cluster", "--bare"]
    processes = [
        subprocess.Popen(
            [*command, f"{mark} {half}", str(images // 2)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for half in range(2)
    ]
    for each in processes:
        assert each.stdout is not None
        each.stdout.readline()
    found = [each.communicate("\n")[0].split() for each in processes]
    seconds = max(float(one[0]) for one in found)
    return Drawn(images, 0, seconds, sum(float(one[1]) for one in found))


@contextmanager
def asking(running: Cluster, job: Drawn) -> Iterator[None]:
    """Send the bucket what a job had sent, at the same pace, while the body runs.

    A chunk is its attempt, its bytes, two reads and a list.
    """
    ended = threading.Event()
    pause_s, data = job.seconds / job.chunks, bytes(job.chunk_bytes // job.chunks)
    place, once = f"{running.bucket}/beside/{time.time()}", {"If-None-Match": "*"}

    def send() -> None:
        with running.shared.inside(), requests.Session() as session:
            number, due_s = 0, time.monotonic()
            while not ended.wait(max(0.0, due_s - time.monotonic())):
                attempt, chunk = f"{place}/attempts/{number}", f"{place}/{number}"
                session.put(attempt, b"attempt", headers=once, timeout=60)
                session.get(attempt, timeout=60)
                session.put(chunk, data, headers=once, timeout=60).raise_for_status()
                session.head(chunk, timeout=60)
                listed = {"list-type": "2", "prefix": f"beside/{number}"}
                session.get(running.bucket, params=listed, timeout=60)
                number, due_s = number + 1, due_s + pause_s

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@contextmanager
def counted(running: Cluster) -> Iterator[Counter[str]]:
    """Count the requests that reach the bucket while the body runs."""
    found: Counter[str] = Counter()
    guard = threading.Lock()

    def hear(block: bytes) -> None:
        # A body begins with a block of its own.
        if block.startswith(_METHODS):
            line = block.partition(b"\r\n")[0]
            listing = b"list-type=" in line
            method = "LIST" if listing else line.partition(b" ")[0].decode()
            # The one way in which obstore deletes.
            kind = "DELETE" if b"?delete" in line else method
            with guard:
                found[kind] += 1

    running.gate.heard = hear
    try:
        yield found
    finally:
        running.gate.heard = len


def commands(running: Cluster) -> int:
    """Return how many commands redis has had."""
    return int(info(running, "stats")["total_commands_processed"])


def info(running: Cluster, section: str) -> dict[str, str]:
    """Return what redis says of itself."""
    assert isinstance(running.broker, Redis)
    lines = running.broker.ask("INFO", section).decode().splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line)


def shared_s(running: Cluster) -> float:
    """Return the processor time of the bucket and the broker."""
    return running.bucket_s() + running.broker.processor_s()


def draw(running: Cluster, body: bytes) -> Drawn:
    """Draw rows as a job; raise RuntimeError where one is lacking."""
    workers_s = sum(node.processor_s() for node in running.workers)
    others_s, web_s, asked = (
        shared_s(running),
        running.web.processor_s(),
        commands(running),
    )
    with counted(running) as requests:
        began = time.time()
        place = running.submit(body)
        # Past the web, whose looks would be counted, and rarely, as they take time.
        while (ended := running.ended(place)) is None:
            if time.time() > began + _LONG_S:
                raise RuntimeError(f"{place} does not end")
            time.sleep(_LOOK_S)
        seconds = ended - began
    job = running.job(place)
    images = job["counts"]["done"]
    if images != job["counts"]["total"]:
        raise RuntimeError(f"not all was drawn: {job}")
    chunks = running.kept(place, "chunks")
    return Drawn(
        images,
        len(chunks),
        seconds,
        sum(node.processor_s() for node in running.workers) - workers_s,
        shared_s(running) - others_s,
        running.web.processor_s() - web_s,
        requests,
        commands(running) - asked,
        sum(chunks.values()),
    )


def badges(mark: str, count: int) -> bytes:
    """Return the body of a job of badges."""
    items = [badge(mark, number) for number in range(count)]
    return json.dumps({"renderer": "badge", "items": items}).encode()


def prompts(mark: str, count: int) -> bytes:
    """Return the body of a job whose images a service makes."""
    items = [{"prompt": f"{mark} {number}"} for number in range(count)]
    return json.dumps({"renderer": "ai-service", "items": items}).encode()


def compare(images: int, rounds: int, markdown: bool) -> float:
    """Compare two workers with two bare processes, in turns.

    Return the ratio of the processor time of those who draw.
    """
    runs = []
    with started(2, gated=False) as running:
        draw(running, badges("warm", 200))
        for number in range(rounds):
            alone = bare(f"bare {number}", images)
            job = draw(running, badges(f"job {number}", images))
            with asking(running, job):
                beside = bare(f"side {number}", images)
            runs.append((alone, job, beside))
    with started(2) as running:
        idle = idle_rates(running)
    rate = median(job.rate / alone.rate for alone, job, _ in runs)
    cpu = median(alone.cpu_ms / job.cpu_ms for alone, job, _ in runs)
    apart = median(job.own_rate / alone.rate for alone, job, _ in runs)
    equal = median(beside.cpu_ms / job.cpu_ms for _, job, beside in runs)
    rows = [
        [
            str(number),
            f"{alone.rate:.1f}",
            f"{job.rate:.1f}",
            f"{job.rate / alone.rate:.2f}",
            f"{alone.cpu_ms:.2f}",
            f"{job.cpu_ms:.2f}",
            f"{alone.cpu_ms / job.cpu_ms:.2f}",
            f"{1000 * job.shared_s / job.images:.2f}",
            f"{1000 * job.web_s / job.images:.2f}",
            f"{beside.cpu_ms:.2f}",
            f"{beside.cpu_ms / job.cpu_ms:.2f}",
            str(job.chunks),
        ]
        for number, (alone, job, beside) in enumerate(runs, 1)
    ]
    head = ["round", "bare/s", "workers/s", "ratio", "bare ms", "workers ms", "ratio"]
    head += ["shared ms", "web ms", "beside ms", "ratio", "chunks"]
    title = f"{images:,} badges by two workers, beside two bare processes"
    print(table.show(title, head, rows, markdown))
    print(f"images a second: {rate:.2f} x, less the others' time: {apart:.2f} x")
    print(f"by processor time of those who draw: {cpu:.2f} x")
    print(f"the same, of bare processes beside as busy a bucket: {equal:.2f} x")
    print(f"two idle workers and a web, requests a second: {idle}\n")
    return cpu


def idle_rates(running: Cluster) -> str:
    """Say what is asked of bucket and redis while there is nothing to do."""
    before = commands(running)
    with counted(running) as requests:
        time.sleep(IDLE_S)
    asked = (commands(running) - before) / IDLE_S
    return f"bucket {requests.total() / IDLE_S:.2f}, redis {asked:.1f}"


def scale(workers: Sequence[int], images: int, markdown: bool) -> None:
    """Draw with more and more workers; print what each image and chunk took."""
    rows = []
    for count in workers:
        with started(count) as running:
            draw(running, badges("warm", 100 * count))
            busy = draw(running, badges("busy", images))
            waiting = draw(running, prompts("wait", BOUGHT * count))
        for name, made in (("badges", busy), ("service", waiting)):
            rows.append(
                [
                    f"{count} {name}",
                    f"{made.rate:.1f}",
                    f"{made.rate / count:.1f}",
                    f"{made.cpu_ms:.2f}",
                    f"{1000 * made.shared_s / made.images:.2f}",
                    f"{1000 * made.web_s / made.images:.2f}",
                    str(made.chunks),
                    *(f"{made.bucket[k] / made.chunks:.1f}" for k in _KINDS),
                    f"{made.carrier / made.chunks:.1f}",
                ]
            )
    head = ["workers", "images/s", "each", "worker ms", "shared ms", "web ms"]
    head += ["chunks", *_KINDS, "redis"]
    title = "By the number of workers: milliseconds an image, requests a chunk"
    print(table.show(title, head, rows, markdown))


def hold(rows: int) -> int:
    """Submit a job while no worker is there; return the bytes that redis took."""
    text = "seed,size\n" + "".join(f"row {number},32\n" for number in range(rows))
    with started(0) as running:
        before = int(info(running, "memory")["used_memory"])
        # Not by `ask`, which sends again what takes longer than a minute.
        with running.web.host.inside():
            url = f"{running.url}/jobs?renderer=identicon"
            reply = requests.post(url, text.encode(), headers=_CSV, timeout=_LONG_S)
        reply.raise_for_status()
        time.sleep(5)
        after = info(running, "memory")
        assert isinstance(running.broker, Redis)
        keys = running.broker.ask("DBSIZE").decode()
    taken = int(after["used_memory"]) - before
    print(
        f"{rows:,} rows submitted, no worker: redis holds {taken:,} bytes more in"
        f" {keys.lstrip(':')} keys; {after['used_memory_human']} in all\n"
    )
    return taken


@contextmanager
def started(workers: int, *, gated: bool = True) -> Iterator[Cluster]:
    """Run a cluster until the body ends; requests are counted where it is gated."""
    with (
        tempfile.TemporaryDirectory() as logs,
        cluster(
            "redis", Path(logs), _SETTINGS, workers, TAKES_S, gated=gated
        ) as running,
    ):
        yield running


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is asked for; return 1 where a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=int, default=IMAGES)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--rows", type=int, default=MANY)
    parser.add_argument("--workers", type=int, nargs="*", default=WORKERS)
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--bare", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.bare:
        draw_badges(given.bare[0], int(given.bare[1]))
        return 0
    if reason := why_not():
        print(f"no hosts here: {reason}", file=sys.stderr)
        return 2
    print(table.show_machine(given.markdown))
    ratio = compare(given.images, given.rounds, given.markdown) if given.rounds else 1.0
    scale(given.workers, given.images, given.markdown)
    held = hold(given.rows) if given.rows else 0
    print(f"ratio {ratio:.2f} (at least {LEAST}), redis {held} bytes (< {MOST_BYTES})")
    return int(ratio < LEAST or held >= MOST_BYTES)


if __name__ == "__main__":
    sys.exit(main())
