"""Ask for more than can be drawn: `python -m benchmarks.overload`.

New cards and small QR codes are asked for by a few clients, who bring the server to its
peak, and by multiples of them, beside four clients that have large AVIFs drawn. With
`--open` they come at multiples of the peak's rate, whatever the answers. The clients
are another process group. Exits with 1 where a bound is missed.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from statistics import median
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

from benchmarks import servers, table

CARD = "/images/card.png?title=Overload+{n}"
QR = "/images/qr.png?data={n}&size=200"
LARGE = "/images/placeholder.avif?width=4000&height=4000&text={n}"
# One request in ten is a small QR code.
EVERY = 10
LARGE_CLIENTS = 4
PEAK_CLIENTS = 8
# More than this waits for an answer: as a client's own bound.
MOST_CONNECTIONS = 4000
DEADLINE_S = 10.0
LEAST_SERVED = 0.9
MOST_HEALTH = 20.0


@dataclass
class Count:
    """What one phase saw: statuses, and seconds to the answers with 200."""

    seconds: float = 0.0
    statuses: Counter[str] = field(default_factory=Counter)
    served: int = 0
    late: int = 0
    cards_s: list[float] = field(default_factory=list)
    qr_s: list[float] = field(default_factory=list)
    large_s: list[float] = field(default_factory=list)
    health_s: list[float] = field(default_factory=list)


class Client(asyncio.Protocol):
    """One kept connection: a request at a time."""

    def __init__(self) -> None:
        self._answer: asyncio.Future[str] | None = None
        self._received = b""
        self._left: int | None = None
        self._status = ""
        self.closes = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take note of the connection."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    async def get(self, path: str) -> str:
        """Return the status, or what went wrong."""
        self._answer = asyncio.get_running_loop().create_future()
        head = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
        self.transport.write(head.encode())
        return await self._answer

    def data_received(self, data: bytes) -> None:
        """Count what has come, until the answer is whole."""
        if self._left is None:
            self._received += data
            head, ends, body = self._received.partition(b"\r\n\r\n")
            if not ends:
                return
            self._status = head[9:12].decode()
            self.closes = b"\r\nconnection: close" in head.lower()
            length = head.lower().partition(b"content-length:")[2]
            self._left = int(length.partition(b"\r")[0]) - len(body)
        else:
            self._left -= len(data)
        if self._left <= 0:
            self._received, self._left = b"", None
            self._finish(self._status)

    def connection_lost(self, error: Exception | None) -> None:
        """Say that the answer will never come."""
        self._finish("lost")

    def _finish(self, status: str) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(status)


class Crowd:
    """Clients of one server, who share kept connections."""

    def __init__(self, base: str, first: int) -> None:
        place = urlsplit(base)
        self._place = str(place.hostname), int(place.port or 80)
        self._idle: list[Client] = []
        self._connections = 0
        self._number = first
        self.count = Count()

    async def ask(self, path: str) -> tuple[str, float]:
        """Return the status of one answer and the seconds it took."""
        self._number += 1
        path = path.replace("{n}", str(self._number))
        started = time.perf_counter()
        try:
            client = self._idle.pop() if self._idle else await self._connect()
        except OSError:
            return "refused", 0.0
        status = await client.get(path)
        if client.closes or client.transport.is_closing():
            self._connections -= 1
        else:
            self._idle.append(client)
        return status, time.perf_counter() - started

    async def small(self) -> None:
        """Ask for one card or QR code, and count what comes of it."""
        is_qr = self._number % EVERY == 0
        status, took_s = await self.ask(QR if is_qr else CARD)
        self.count.statuses[status] += 1
        if status == "200":
            self.count.served += took_s <= DEADLINE_S
            self.count.late += took_s > DEADLINE_S
            (self.count.qr_s if is_qr else self.count.cards_s).append(took_s)

    async def repeat_small(self) -> None:
        """Ask for one after the other."""
        while True:
            await self.small()

    async def repeat_large(self) -> None:
        """Have large pictures drawn, one after the other."""
        while True:
            status, took_s = await self.ask(LARGE)
            assert status in ("200", "503"), f"a large picture is {status}"
            if status == "200":
                self.count.large_s.append(took_s)
            else:
                await asyncio.sleep(1.0)

    async def watch(self) -> None:
        """Ask for health ten times a second, on a connection of its own."""
        client = await self._connect()
        while True:
            started = time.perf_counter()
            status = await client.get("/health/live")
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
    asked = 0
    sent: set[asyncio.Task[None]] = set()
    while (passed := time.perf_counter() - started) < seconds:
        while rate > 0 and asked < passed * rate:
            asked += 1
            task = asyncio.create_task(crowd.small())
            sent.add(task)
            task.add_done_callback(sent.discard)
        await asyncio.sleep(0.005)
    crowd.count.seconds = time.perf_counter() - started
    result = crowd.count
    # What is answered from here on is nobody's.
    crowd.count = Count()
    # What failed before its time says so.
    failed = [task for task in tasks if task.done()]
    for task in (*tasks, *sent):
        task.cancel()
    await asyncio.gather(*failed)
    await asyncio.gather(*tasks, *sent, return_exceptions=True)
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


def ms(times: Sequence[float], part: float = 0.5) -> str:
    """Return a quantile in milliseconds."""
    ordered = sorted(times)
    if not ordered:
        return "-"
    return f"{ordered[min(len(ordered) - 1, int(part * len(ordered)))] * 1000:.0f}"


def row(name: str, count: Count, peak: float, idle_s: float) -> list[str]:
    """Return the cells of one phase."""
    served = count.served / count.seconds
    health = median(count.health_s) / idle_s
    return [
        name,
        f"{sum(count.statuses.values()) / count.seconds:.0f}",
        f"{served:.0f}",
        f"{served / peak:.2f}" if peak else "-",
        f"{count.late}",
        " ".join(f"{k}:{v}" for k, v in sorted(count.statuses.items())),
        f"{ms(count.cards_s)} / {ms(count.cards_s, 0.99)}",
        f"{ms(count.qr_s)} / {ms(count.qr_s, 0.99)}",
        f"{len(count.large_s)}",
        f"{health:.1f} (max {max(count.health_s) * 1000:.0f} ms)",
    ]


def main() -> None:
    """Measure and print; exit with 1 where a bound is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--times", type=float, nargs="*", default=[2, 10, 20])
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
    missed = False
    rows = []
    with ExitStack() as stack:
        # Numbers begin anew in each run: nothing may be known of them.
        folder = stack.enter_context(TemporaryDirectory())
        mimeo = servers.mimeo("Mimeo", given.workers, MIMEO_STORE=folder)
        server = stack.enter_context(servers.running(mimeo))
        base, first = server.base, 1_000_000
        ask(base, 0, 5.0, clients=PEAK_CLIENTS)
        idle_s = median(ask(base, 0, 5.0).health_s)
        few = ask(base, first, given.seconds, clients=PEAK_CLIENTS)
        peak = few.served / few.seconds
        rows.append(row(f"{PEAK_CLIENTS} clients", few, peak, idle_s))
        for times in given.times:
            first += 1_000_000
            if given.open:
                count = ask(base, first, given.seconds, peak * times)
                name = f"{times:g} x peak"
            else:
                clients = round(PEAK_CLIENTS * times)
                count = ask(base, first, given.seconds, clients=clients)
                name = f"{clients} clients"
            rows.append(row(name, count, peak, idle_s))
            missed |= count.served / count.seconds < LEAST_SERVED * peak
            missed |= median(count.health_s) > MOST_HEALTH * idle_s
    head = ["load", "asked/s", "served/s", "of peak", "late", "statuses"]
    head += ["card p50/p99 ms", "QR p50/p99 ms", "AVIFs", "health of idle"]
    print(table.show_machine(given.markdown))
    print(table.show("More than can be drawn", head, rows, given.markdown))
    sys.exit(missed)


if __name__ == "__main__":
    main()
