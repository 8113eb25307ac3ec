"""Ask for more than can be drawn: `python -m benchmarks.overload`.

New cards and small QR codes are asked for by a few clients, who bring the server to its
peak, and by multiples of them, beside four clients that have large AVIFs drawn. With
`--open` they come at multiples of the peak's rate, whatever the answers. Rounds of all
loads, one after the other; each is compared with the peak of its round. The clients are
another process group, on the same processors. Exits with 1 where a bound is missed.
"""

import argparse
import asyncio
import json
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

from benchmarks import servers, table

CARD = "/images/card.png?title=Overload+{n}"
QR = "/images/qr.png?data={n}&size=200"
LARGE = "/images/placeholder.avif?width=4000&height=4000&text={n}"
# One request in ten is a small QR code.
EVERY = 10
LARGE_CLIENTS = 4
PEAK_CLIENTS = 8
# Eight connections may all be one worker's: then more clients find the peak.
MORE_CLIENTS = 32
# More than this waits for an answer: as a client's own bound.
MOST_CONNECTIONS = 4000
DEADLINE_S = 10.0
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
CLOSES = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)
LEAST_SERVED = 0.9
MOST_HEALTH = 20.0


@dataclass
class Count:
    """What one phase saw: statuses, and seconds to the answers with 200."""

    seconds: float = 0.0
    # Processor time of the clients, of the server, and of its threads that poll.
    clients_s: float = 0.0
    server_s: float = 0.0
    polling_s: float = 0.0
    statuses: Counter[str] = field(default_factory=Counter)
    served: int = 0
    late: int = 0
    cards_s: list[float] = field(default_factory=list)
    qr_s: list[float] = field(default_factory=list)
    large_s: list[float] = field(default_factory=list)
    health_s: list[float] = field(default_factory=list)


class Client(asyncio.BufferedProtocol):
    """One kept connection: a request at a time."""

    # What has been read of an answer is looked at before another is.
    _buffer = bytearray(1 << 18)

    def __init__(self) -> None:
        self._done: Callable[[str], object] | None = None
        self._head = b""
        self._left: int | None = None
        self.closes = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take note of the connection."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def get(self, path: str, done: Callable[[str], object]) -> None:
        """Have `done` called with the status, or with what went wrong."""
        self._done = done
        self.transport.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())

    def get_buffer(self, _: int) -> bytearray:
        """Return where to put what has come."""
        return self._buffer

    def buffer_updated(self, size: int) -> None:
        """Count what has come, until the answer is whole."""
        if self._left is None:
            self._head += self._buffer[:size]
            end = self._head.find(b"\r\n\r\n")
            if end < 0:
                return
            length = LENGTH.search(self._head)
            assert length is not None, "an answer without Content-Length"
            self._left = int(length[1]) - (len(self._head) - end - 4)
        else:
            self._left -= size
        if self._left <= 0:
            head, self._head, self._left = self._head, b"", None
            self.closes = CLOSES.search(head) is not None
            self._finish(head[9:12].decode())

    def connection_lost(self, error: Exception | None) -> None:
        """Say that the answer will never come."""
        self._finish("lost")

    def _finish(self, status: str) -> None:
        done, self._done = self._done, None
        if done is not None:
            done(status)


def resolve(answer: asyncio.Future[Any], *given: Any) -> None:
    """Give an answer, unless nobody waits for it any more."""
    if not answer.done():
        answer.set_result(given)


class Crowd:
    """Clients of one server, who share kept connections."""

    def __init__(self, base: str, first: int) -> None:
        place = urlsplit(base)
        self._place = str(place.hostname), int(place.port or 80)
        self._idle: list[Client] = []
        self._connections = 0
        self._number = first
        self._tasks: set[asyncio.Task[None]] = set()
        self.count = Count()

    def ask(self, path: str, done: Callable[[str, float], object]) -> None:
        """Have `done` called with the status of one answer and the seconds it took."""
        self._number += 1
        path = path.replace("{n}", str(self._number))
        started = time.perf_counter()
        if self._idle:
            self._get(self._idle.pop(), path, started, done)
            return
        # Tasks are for connecting alone: the clients take the server's processors.
        task = asyncio.create_task(self._get_anew(path, started, done))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _get(
        self,
        client: Client,
        path: str,
        started: float,
        done: Callable[[str, float], object],
    ) -> None:
        def answered(status: str) -> None:
            if client.closes or client.transport.is_closing():
                self._connections -= 1
            else:
                self._idle.append(client)
            done(status, time.perf_counter() - started)

        client.get(path, answered)

    async def _get_anew(
        self, path: str, started: float, done: Callable[[str, float], object]
    ) -> None:
        try:
            client = await self._connect()
        except OSError:
            done("refused", 0.0)
        else:
            self._get(client, path, started, done)

    def small(self, done: Callable[[], object] = bool) -> None:
        """Ask for one card or QR code, and count what comes of it; call `done` then."""
        is_qr = self._number % EVERY == 0

        def answered(status: str, took_s: float) -> None:
            self.count.statuses[status] += 1
            if status == "200":
                self.count.served += took_s <= DEADLINE_S
                self.count.late += took_s > DEADLINE_S
                (self.count.qr_s if is_qr else self.count.cards_s).append(took_s)
            done()

        self.ask(QR if is_qr else CARD, answered)

    async def repeat_small(self) -> None:
        """Ask for one after the other."""
        while True:
            answered = asyncio.Event()
            self.small(answered.set)
            await answered.wait()

    async def repeat_large(self) -> None:
        """Have large pictures drawn, one after the other."""
        while True:
            answer = asyncio.get_running_loop().create_future()
            self.ask(LARGE, partial(resolve, answer))
            status, took_s = await answer
            # One that is closed to make room, while it asks, is lost.
            assert status in ("200", "503", "lost"), f"a large picture is {status}"
            if status == "200":
                self.count.large_s.append(took_s)
            else:
                await asyncio.sleep(1.0)

    async def watch(self) -> None:
        """Ask for health ten times a second, on a connection of its own."""
        client = await self._connect()
        while True:
            answer = asyncio.get_running_loop().create_future()
            started = time.perf_counter()
            client.get("/health/live", partial(resolve, answer))
            (status,) = await answer
            self.count.health_s.append(time.perf_counter() - started)
            assert status == "200", f"health is {status}"
            await asyncio.sleep(0.1)

    async def _connect(self) -> Client:
        if self._connections >= MOST_CONNECTIONS:
            raise ConnectionError
        self._connections += 1
        loop = asyncio.get_running_loop()
        _, client = await loop.create_connection(Client, *self._place)
        return client


async def phase(
    base: str, first: int, seconds: float, rate: float, clients: int
) -> Count:
    """Ask so many times a second for so long, and with so many clients in turns.

    Without either, for health alone.
    """
    crowd = Crowd(base, first)
    tasks = [asyncio.create_task(crowd.watch())]
    if rate or clients:
        tasks += [
            asyncio.create_task(crowd.repeat_large()) for _ in range(LARGE_CLIENTS)
        ]
    tasks += [asyncio.create_task(crowd.repeat_small()) for _ in range(clients)]
    started = time.perf_counter()
    began_s = time.process_time()
    asked = 0
    while (passed := time.perf_counter() - started) < seconds:
        while rate > 0 and asked < passed * rate:
            asked += 1
            crowd.small()
        await asyncio.sleep(0.005)
    crowd.count.seconds = time.perf_counter() - started
    crowd.count.clients_s = time.process_time() - began_s
    result = crowd.count
    # What is answered from here on is nobody's.
    crowd.count = Count()
    # What failed before its time says so.
    failed = [task for task in tasks if task.done()]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*failed)
    await asyncio.gather(*tasks, return_exceptions=True)
    return result


def ask(
    base: str, first: int, seconds: float, rate: float = 0.0, clients: int = 0
) -> Count:
    """Run a phase in a process group of its own."""
    command = [sys.executable, "-m", "benchmarks.overload", "--phase", base]
    command += [str(number) for number in (first, seconds, rate, clients)]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, check=True, start_new_session=True
    )
    found = json.loads(done.stdout)
    return Count(**{**found, "statuses": Counter(found["statuses"])})


def measure(
    server: servers.Running, first: int, seconds: float, rate: float, clients: int
) -> Count:
    """Run a phase, and wait until the server has done what is left of it."""
    before = server.cpu_s(), server.polling_s()
    count = ask(server.base, first, seconds, rate, clients)
    count.server_s = server.cpu_s() - before[0]
    count.polling_s = server.polling_s() - before[1]
    server.settle()
    return count


@dataclass(eq=False)
class Load:
    """So many clients, or so many times the rate of the peak; and what came of it.

    `shares` is what was served, of each round's peak.
    """

    name: str
    clients: int = 0
    times: float = 0.0
    counts: list[Count] = field(default_factory=list)
    shares: list[float] = field(default_factory=list)

    def total(self, of: Callable[[Count], float]) -> float:
        """Return the sum over the rounds."""
        return sum(map(of, self.counts))

    def a_second(self, of: Callable[[Count], float]) -> float:
        """Return the mean over the rounds."""
        return self.total(of) / self.total(lambda count: count.seconds)

    def all(self, of: Callable[[Count], list[float]]) -> list[float]:
        """Return the figures of all rounds in order."""
        return sorted(each for count in self.counts for each in of(count))

    @property
    def health_s(self) -> float:
        """How long health took, the median."""
        return median(self.all(lambda count: count.health_s))


def ms(ordered: Sequence[float], part: float = 0.5) -> str:
    """Return a quantile in milliseconds."""
    if not ordered:
        return "-"
    return f"{ordered[min(len(ordered) - 1, int(part * len(ordered)))] * 1000:.0f}"


def row(load: Load, idle_s: float) -> list[str]:
    """Return the cells of one load."""
    statuses = sum((count.statuses for count in load.counts), Counter[str]())
    cards = load.all(lambda count: count.cards_s)
    qr = load.all(lambda count: count.qr_s)
    health = load.all(lambda count: count.health_s)
    cores = (
        load.a_second(lambda count: count.server_s),
        load.a_second(lambda count: count.polling_s),
        load.a_second(lambda count: count.clients_s),
    )
    return [
        load.name,
        f"{load.a_second(lambda count: count.statuses.total()):.0f}",
        f"{load.a_second(lambda count: count.served):.0f}",
        f"{median(load.shares):.2f} ({min(load.shares):.2f} - {max(load.shares):.2f})",
        f"{load.total(lambda count: count.late):.0f}",
        " ".join(f"{k}:{v}" for k, v in sorted(statuses.items())),
        f"{ms(cards)} / {ms(cards, 0.99)}",
        f"{ms(qr)} / {ms(qr, 0.99)}",
        f"{load.total(lambda count: len(count.large_s)):.0f}",
        f"{load.health_s / idle_s:.1f} (max {ms(health, 1.0)} ms)",
        " / ".join(f"{each:.2f}" for each in cores),
    ]


def main() -> None:
    """Measure and print; exit with 1 where a bound is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--times", type=float, nargs="*", default=[2, 10])
    parser.add_argument("--open", action="store_true", help="a rate, not clients")
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--phase", nargs=5, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.phase:
        base, *numbers = given.phase
        first, seconds, rate, clients = map(float, numbers)
        found = asyncio.run(phase(base, int(first), seconds, rate, int(clients)))
        print(json.dumps(vars(found)))
        return
    few = [
        Load(f"{clients} clients", clients) for clients in (PEAK_CLIENTS, MORE_CLIENTS)
    ]
    if given.open:
        many = [Load(f"{times:g} x peak", times=times) for times in given.times]
    else:
        asking = [round(PEAK_CLIENTS * times) for times in given.times]
        many = [Load(f"{clients} clients", clients) for clients in asking]
    with ExitStack() as stack:
        # Numbers begin anew in each run: nothing may be known of them.
        folder = stack.enter_context(TemporaryDirectory())
        mimeo = servers.mimeo("Mimeo", given.workers, MIMEO_STORE=folder)
        server = stack.enter_context(servers.running(mimeo))
        measure(server, 0, 5.0, 0.0, PEAK_CLIENTS)
        idle_s = median(measure(server, 0, 5.0, 0.0, 0).health_s)
        for number in range(given.rounds):
            first = 1_000_000 * (1 + number * len((*few, *many)))
            peak = 0.0
            for load in (*few, *many):
                rate = load.times * peak
                count = measure(server, first, given.seconds, rate, load.clients)
                load.counts.append(count)
                first += 1_000_000
                if load not in many:
                    peak = max(peak, count.served / count.seconds)
            for load in (*few, *many):
                last = load.counts[-1]
                load.shares.append(last.served / last.seconds / peak)
    head = ["load", "asked/s", "served/s", "of peak", "late", "statuses"]
    head += ["card p50/p99 ms", "QR p50/p99 ms", "AVIFs", "health of idle"]
    head += ["cores: server / its pollers / clients"]
    rows = [row(load, idle_s) for load in (*few, *many)]
    print(table.show_machine(given.markdown))
    print(table.show("More than can be drawn", head, rows, given.markdown))
    sys.exit(
        any(
            median(load.shares) < LEAST_SERVED or load.health_s > MOST_HEALTH * idle_s
            for load in many
        )
    )


if __name__ == "__main__":
    main()
