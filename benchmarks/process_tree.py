"""Memory of a server's processes together, under a mixed load.

`python -m benchmarks.memory --tree 60 --memory-mib 512` starts what the Procfile
starts, and prints what all processes take, pages that several share counted once.
"""

import base64
import http.client
import io
import itertools
import json
import os
import re
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from PIL import Image

from benchmarks import servers

_KIB = 1024
# What a caller may well be told when memory is small, apart from 200.
_REFUSED = (413, 422, 429, 503)
_HTML = (
    "<div style='width:100%;height:100%;background:linear-gradient(%23123,%23{color})'>"
    "<p style='font-size:40px'>Guest {n}</p></div>"
)
# One of each kind of work, small and large; each with a method.
LIGHT = (
    "/images/card.png?title=Card+number+{n}&subtitle=One+stencil,+many+copies",
    "/images/solid.png?color={color}&width=512&height=512",
    "/images/card.jpg?title=Card+number+{n}&tag=Soak&author=Ada",
    "/images/qr.png?data=https://example.org/{n}",
    f"/images/html.png?html={_HTML}&width=800&height=418",
    "/images/badge.pdf?name=Guest+{n}",
    "/images/quote.avif?text=Quote+number+{n}",
    "/images/certificate.png?name=Guest+{n}&compression=small",
    "/images/gradient.webp?start={color}&end=ffffff&width=640&height=360",
    "/images/avatar.ico?name=Guest+{n}&size=128",
)
HEAVY = (
    "/images/card.png?title=Card+{n}&scale=3",
    "/images/gradient.png?start={color}&end=ffffff&width=4000&height=4000",
    "/images/gradient.avif?start={color}&end=ffffff&width=2000&height=2000",
    "/images/dream.png?prompt=forest+{n}&width=2048&height=2048&compression=small",
    "/images/gradient.gif?start={color}&end=ffffff&width=3000&height=3000",
    f"/images/html.jpg?html={_HTML}&width=2000&height=2000",
    "POST /images/card.png",
    "POST /collections.zip?renderer=card",
    "/images/gradient.webp?start={color}&end=ffffff&width=4000&height=4000",
)


@dataclass(frozen=True, slots=True)
class ProcessMemory:
    """What a process takes, in MiB: its part of shared pages, and what it alone has."""

    kind: str
    pss_mib: float
    private_mib: float


@dataclass(frozen=True, slots=True)
class TreeSample:
    """All processes of a server at a moment, `at_s` seconds after the start."""

    at_s: float
    processes: tuple[ProcessMemory, ...]

    @property
    def pss_mib(self) -> float:
        """What all take together."""
        return sum(each.pss_mib for each in self.processes)


@dataclass(frozen=True, slots=True)
class TreeSoak:
    """What a soak saw: samples in order, and how often each status was answered."""

    samples: tuple[TreeSample, ...]
    statuses: Mapping[int, int]

    @property
    def peak(self) -> TreeSample:
        """The sample in which all together took most."""
        return max(self.samples, key=lambda sample: sample.pss_mib)


def procfile_server(**environment: str) -> servers.Server:
    """Return the process `web` of the Procfile, as a hosting platform starts it."""
    lines = (servers.ROOT / "Procfile").read_text().splitlines()
    command = next(line for line in lines if line.startswith("web:"))[4:].strip()
    # The programs of this environment, and no shell between them and their signals.
    command = command.replace("python", "exec python", 1)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    usual = {
        "PATH": path,
        "MIMEO_RATE_ANONYMOUS": "none",
        "MIMEO_ACCESS_LOG": "off",
    }
    return servers.Server("web", ["sh", "-c", command], {**usual, **environment})


def soak_tree(
    seconds: float, server: servers.Server, connections: int = 6, pause_s: float = 0.5
) -> TreeSoak:
    """Ask for pictures of all kinds, and look at the processes every `pause_s`.

    Raises RuntimeError where an answer is neither a picture nor a refusal.
    """
    with servers.running(server) as running:
        started = time.monotonic()
        samples = [sample_tree(running.pid, 0)]
        statuses: Counter[int] = Counter()
        faults: list[str] = []
        end = started + seconds
        lanes = [
            threading.Thread(
                target=_ask, args=(running.base, lane, end, statuses, faults)
            )
            for lane in range(connections)
        ]
        for thread in lanes:
            thread.start()
        while any(thread.is_alive() for thread in lanes):
            samples.append(sample_tree(running.pid, time.monotonic() - started))
            time.sleep(pause_s)
        samples.append(sample_tree(running.pid, time.monotonic() - started))
    if faults:
        raise RuntimeError("; ".join(faults[:3]))
    return TreeSoak(tuple(samples), statuses)


def sample_tree(pid: int, at_s: float) -> TreeSample:
    """Return what a process and all below it take."""
    found = []
    for depth, each in _below(pid):
        try:
            found.append(_measure(each, depth))
        except (FileNotFoundError, ProcessLookupError):
            # It has ended since it was listed.
            continue
    return TreeSample(at_s, tuple(found))


def _below(pid: int, depth: int = 0) -> Iterator[tuple[int, int]]:
    yield depth, pid
    try:
        tasks = os.listdir(f"/proc/{pid}/task")
        lists = [Path(f"/proc/{pid}/task/{t}/children").read_text() for t in tasks]
    except (FileNotFoundError, ProcessLookupError):
        return
    for child in " ".join(lists).split():
        yield from _below(int(child), depth + 1)


_KINDS = ("master", "worker", "copy of a worker", "process for HTML")


def _measure(pid: int, depth: int) -> ProcessMemory:
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    sizes = {name: int(kib) for name, kib in re.findall(r"(\w+): +(\d+) kB", text)}
    own = sizes["Private_Clean"] + sizes["Private_Dirty"]
    kind = _KINDS[min(depth, len(_KINDS) - 1)]
    return ProcessMemory(kind, sizes["Pss"] / _KIB, own / _KIB)


def _ask(
    base: str, lane: int, end: float, statuses: Counter[int], faults: list[str]
) -> None:
    """Ask in turn for light pictures and, in two lanes, for heavy ones."""
    plan = HEAVY if lane < 2 else LIGHT
    connection = http.client.HTTPConnection(urlsplit(base).netloc, timeout=120)
    for turn in itertools.count(lane):
        if time.monotonic() > end or faults:
            break
        asked = plan[turn % len(plan)]
        try:
            status, told = _send(connection, asked, turn * 6 + lane)
        except (OSError, http.client.HTTPException) as error:
            status, told = 0, f"{error!r}"
        statuses[status] += 1
        if status not in (200, *_REFUSED):
            faults.append(f"{asked[:60]}: {status} {told}")
    connection.close()


def _send(
    connection: http.client.HTTPConnection, asked: str, number: int
) -> tuple[int, str]:
    method = "POST" if asked.startswith("POST ") else "GET"
    path = asked.removeprefix("POST ")
    color = f"{number * 7919 % 16_777_216:06x}"
    path = path.replace("{n}", str(number)).replace("{color}", color)
    body = _body(path, number) if method == "POST" else None
    kind = "text/csv" if path.startswith("/collections") else "application/json"
    headers = {"Content-Type": kind} if body else {}
    path = path.replace(" ", "%20")
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    data = answer.read(500)
    while answer.read(1 << 16):
        pass
    return answer.status, f"{data[:200]!r}"


def _body(path: str, number: int) -> bytes:
    if path.startswith("/collections"):
        return "".join(
            ["title\n", *(f"Guest {number} {n}\n" for n in range(40))]
        ).encode()
    sides = 2000 + number % 50, 2000
    image = io.BytesIO()
    Image.new("RGB", sides, (number % 256, 99, 99)).save(image, "PNG")
    picture = base64.b64encode(image.getvalue()).decode()
    uri = f"data:image/png;base64,{picture}"
    return json.dumps({"title": f"Guest {number}", "image": uri}).encode()


HEAD = ("", "PSS MiB", "of master", "of workers", "of copies", "of HTML")


def rows_of(result: TreeSoak, shown: int = 12) -> list[Sequence[str]]:
    """Return rows for `table.show`: some samples, and the one that took most."""
    step = max(1, len(result.samples) // shown)
    chosen = [*result.samples[::step], result.samples[-1]]
    named = [(f"{sample.at_s:.0f} s", sample) for sample in chosen]
    named.append((f"most, {result.peak.at_s:.0f} s", result.peak))
    return [(name, f"{each.pss_mib:.0f}", *_by_kind(each)) for name, each in named]


def _by_kind(sample: TreeSample) -> list[str]:
    return [
        " + ".join(f"{p.pss_mib:.0f}" for p in sample.processes if p.kind == kind)
        for kind in _KINDS
    ]
