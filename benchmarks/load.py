"""One bounded load for every server: a fixed time over a few kept connections."""

import http.client
import json
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles
from urllib.parse import quote, urlsplit

from benchmarks import titles
from benchmarks.titles import Box

ANY = Box(1, 1, 1)
LUA = Path(__file__).with_name("load.lua")


@dataclass(frozen=True, slots=True)
class Load:
    """What one server answered in one round; what is None is unknown.

    `cpu_ms` is the processor time of the server for one request.
    """

    requests: int
    seconds: float
    failures: int = 0
    p50_ms: float | None = None
    p99_ms: float | None = None
    cpu_ms: float | None = None

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.requests / self.seconds


@dataclass(frozen=True, slots=True)
class Target:
    """An address whose path may hold `{n}`, `{color}`, `{title}` and `{size}`.

    They are new in every request; the size is that of the title in the box.
    """

    base: str
    path: str
    headers: Mapping[str, str]
    box: Box = ANY

    def fill(self, number: int) -> str:
        """Return the path of request `number`."""
        color = f"{number * 7919 % 16_777_216:06x}"
        path = self.path.replace("{n}", str(number)).replace("{color}", color)
        if "{title}" not in path:
            return path
        text = titles.title(number)
        path = path.replace("{size}", str(titles.font_size(text, self.box)))
        return path.replace("{title}", quote(text, safe=""))


def generator() -> str:
    """Name the load generator of this machine: `wrk` where installed."""
    return "wrk" if shutil.which("wrk") else "python"


def press(target: Target, seconds: float, connections: int, first: int) -> Load:
    """Load a server; requests are numbered from `first` on."""
    run = _wrk if generator() == "wrk" else _python
    return run(target, seconds, connections, first)


def _wrk(target: Target, seconds: float, connections: int, first: int) -> Load:
    headers = [f"-H{name}: {value}" for name, value in target.headers.items()]
    options = [f"-d{max(1, round(seconds))}s", f"-c{connections}", "-t1", f"-s{LUA}"]
    # Some contenders take more than its 2 s for a picture when eight are asked for.
    options.append("--timeout=60s")
    command = ["wrk", *options, *headers, target.base, "--", target.path, str(first)]
    with tempfile.NamedTemporaryFile("w") as file:
        if "{title}" in target.path:
            for text, size in titles.lines(first // titles.BLOCK, target.box):
                file.write(f"{quote(text, safe='')} {size}\n")
            file.flush()
            command.append(file.name)
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    report = json.loads(done.stdout.splitlines()[-1])
    del report["bytes"]
    return Load(**report)


def _python(target: Target, seconds: float, connections: int, first: int) -> Load:
    """Stand in for wrk: one thread a connection, at several times its price."""
    lanes = [_Lane(target, seconds, first + i * 1_001_000) for i in range(connections)]
    for lane in lanes:
        lane.start()
    for lane in lanes:
        lane.join()
    times = sorted(time for lane in lanes for time in lane.times_ms)
    failures = sum(lane.failures for lane in lanes)
    cuts = quantiles(times, n=100) if len(times) > 1 else times * 99
    return Load(len(times), seconds, failures, cuts[49], cuts[98])


class _Lane(threading.Thread):
    """One kept connection that asks until its time is up."""

    def __init__(self, target: Target, seconds: float, first: int) -> None:
        super().__init__()
        self.target, self.seconds, self.number = target, seconds, first
        self.times_ms: list[float] = []
        self.failures = 0

    def run(self) -> None:
        host = urlsplit(self.target.base).netloc
        connection = http.client.HTTPConnection(host, timeout=30)
        end = time.perf_counter() + self.seconds
        while (start := time.perf_counter()) < end:
            self.number += 1
            path = self.target.fill(self.number)
            connection.request("GET", path, headers=dict(self.target.headers))
            answer = connection.getresponse()
            answer.read()
            self.failures += answer.status >= 400
            self.times_ms.append((time.perf_counter() - start) * 1000)
        connection.close()
