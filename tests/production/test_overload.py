"""More than can be drawn: a real gunicorn, and clients that go on asking."""

import http.client
import itertools
import json
import os
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from statistics import median
from typing import IO
from urllib.parse import urlsplit

import pytest

from benchmarks import overload
from tests.gunicorn_server import Reply, Server, serve
from tests.waiting import wait_until

ONE = {"WEB_CONCURRENCY": "1", "MIMEO_RATE_ANONYMOUS": "none"}
# Most of a second each, and large by their pixels.
SLOW = "/images/gradient.avif?width=2100&height=2100&angle={n}"


class Clients:
    """Clients who ask one thing after the other until they are told to stop."""

    def __init__(
        self, server: Server, path: str, count: int, pause_s: float = 0.0
    ) -> None:
        self.statuses: Counter[int] = Counter()
        self.times: list[float] = []
        # After a refusal.
        self._pause_s = pause_s
        self._server, self._path = server, path
        self._stopped = threading.Event()
        self._threads = [
            threading.Thread(target=self._ask, args=(number,))
            for number in range(count)
        ]

    def __enter__(self) -> "Clients":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join(60)

    def _ask(self, client: int) -> None:
        number = 0
        while not self._stopped.is_set():
            number += 1
            path = self._path.format(n=client * 1000 + number)
            started = time.perf_counter()
            status = self._server.ask(path).status
            self.times.append(time.perf_counter() - started)
            self.statuses[status] += 1
            if status == 503:
                time.sleep(self._pause_s)


def at_once(server: Server, count: int, ask: Callable[[int], Reply]) -> list[Reply]:
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(ask, range(count)))


@pytest.mark.parametrize(
    "path",
    [
        "/images/card.png?title={n}",
        "/images/qr.svg?data={n}",
        "/images/avatar.webp?name=N{n}",
    ],
)
def test_sixty_four_small_pictures_at_once_are_drawn(path):
    """Of 64 cards 80 of 100 were refused, though it was 0.4 s of work."""
    with serve(settings=ONE) as server:
        replies = at_once(server, 64, lambda n: server.ask(path.format(n=n)))

    assert Counter(reply.status for reply in replies) == {200: 64}


def test_sixty_four_small_pages_of_html_at_once_are_drawn():
    """Its sibling: one process draws them, one after the other."""

    def ask(number: int) -> Reply:
        page = f"<p>{number}</p>".encode()
        kind = {"Content-Type": "text/html"}
        return server.ask("/images/html.png?width=200&height=80", "POST", page, kind)

    with serve(settings=ONE) as server:
        ask(0)
        replies = at_once(server, 64, ask)

    assert Counter(reply.status for reply in replies) == {200: 64}


DREAM = "/images/dream.png?prompt=p{n}&width=800&height=800&compression=small"
SHADE = "<div style='height:100%;background:linear-gradient(40deg,red,%23{n:06})'>a"
PAGE = f"/images/html.png?html={SHADE.replace(' ', '%20')}&width=3000&height=3000"
LINE = "/images/html.png?html=<p>{n}</p>&width=200&height=80"


@pytest.mark.parametrize(
    ("large", "clients", "small", "least"),
    [
        pytest.param(SLOW, 4, "/images/qr.png?data={n}&size=200", 10, id="AVIF, QR"),
        pytest.param(DREAM, 8, "/images/card.png?title={n}", 10, id="PNG, cards"),
        # One process draws both: a line waits for the page that has begun.
        pytest.param(PAGE, 4, LINE, 1, id="HTML, HTML"),
    ],
)
def test_a_small_picture_does_not_wait_for_large_ones(large, clients, small, least):
    """QR codes came once a second beside four clients with large AVIFs."""
    with serve(settings={**ONE, "MIMEO_QUEUE_TIMEOUT_S": "60"}) as server:
        server.ask(small.format(n=0))
        with (
            Clients(server, large, clients, pause_s=1) as slow,
            Clients(server, small, 2) as fast,
        ):
            wait_until(lambda: slow.statuses[200] >= 3, 60)
            drawn = fast.statuses[200], slow.statuses[200]

    assert set(fast.statuses) == {200}
    # Each of the two has one under way when the last large one is counted.
    assert drawn[0] + 2 >= least * drawn[1]


@pytest.fixture(scope="module")
def two_workers() -> Iterator[Server]:
    with serve(settings={"MIMEO_RATE_ANONYMOUS": "none"}) as server:
        yield server


@pytest.mark.parametrize(
    "many",
    [{"clients": 64}, {"clients": 160}, {"rate": 10.0}],
    ids=["64 clients", "160 clients", "ten times the rate"],
)
def test_more_than_can_be_drawn_is_served_as_fast_as_what_can(two_workers, many):
    """With 64 clients three quarters of the peak were left, with 160 a half."""
    url, firsts = two_workers.url, itertools.count(1, 1_000_000)

    def holds() -> bool:
        """Tell whether most of the peak is kept; others use the machine, too."""
        peak = overload.ask(url, next(firsts), 2.0, clients=overload.PEAK_CLIENTS)
        rate = many.get("rate", 0.0) * peak.served / peak.seconds
        clients = many.get("clients", 0)
        full = overload.ask(url, next(firsts), 2.0, rate=rate, clients=clients)
        assert set(full.statuses) <= {"200", "503"}
        if not (full.health_s and full.cards_s):
            return False
        # Who asks for health does not stand in the queue of cards.
        healthy = median(full.health_s) < median(full.cards_s) / 2
        fast = full.served / full.seconds > 0.7 * peak.served / peak.seconds
        return healthy and fast

    wait_until(holds, 60)


@pytest.mark.parametrize("form", ["zip", "json", "pdf"])
def test_cards_are_drawn_beside_a_long_collection(two_workers, tmp_path, form):
    rows = tmp_path / "rows.csv"
    tries = itertools.count()
    path = "/images/card.png?title=Beside+{n}+%s+%d+%s"

    def times(name: str) -> list[float]:
        clients = Clients(two_workers, path % (form, next(tries), name), 2)
        with clients:
            time.sleep(1.5)
        assert set(clients.statuses) == {200}
        return clients.times

    def holds() -> bool:
        """Tell whether a card takes less than thrice its time: twice is the aim."""
        text = "".join(f"{form} {next(tries)} {n}\n" for n in range(6000))
        rows.write_text(f"name\n{text}")
        alone = times("alone")
        command = ["curl", "-sf", "-o", "/dev/null", "--data-binary", f"@{rows}"]
        command += ["-H", "Content-Type: text/csv", "-w", "%{http_code}"]
        command += [f"{two_workers.url}/collections.{form}?renderer=badge"]
        with subprocess.Popen(command) as download:
            time.sleep(0.5)
            beside = times("beside")
            assert download.poll() is None, "done too early to prove anything"
            download.terminate()
        return median(beside) < 3 * median(alone)

    wait_until(holds, 60)


def test_health_and_what_is_known_are_served_while_every_thread_waits():
    chosen = {**ONE, "MIMEO_THREADS": "4", "MIMEO_STORE": "memory:"}
    card = "/images/card.png?title=Known"
    with serve(settings=chosen) as server:
        for _ in range(2):
            tag = server.ask(card).headers["ETag"]
        server.ask(card, headers={"If-None-Match": tag})
        with Clients(server, SLOW, 12) as slow:
            wait_until(lambda: len(slow.times) >= 1)
            for path in ("/health/live", "/health/ready", "/metrics", card):
                drawn = slow.statuses[200]
                for _ in range(5):
                    assert server.ask(path).status == 200
                # Five answers one after the other, and not five drawings.
                assert slow.statuses[200] - drawn <= 3
            assert server.ask(card, headers={"If-None-Match": tag}).status == 304


@pytest.fixture(scope="module")
def full():
    """A server that holds a request for a tenth of a second at most."""
    chosen = {
        **ONE,
        "MIMEO_THREADS": "4",
        "MIMEO_QUEUE_TIMEOUT_S": "0.1",
        "MIMEO_STORE": "none",
    }
    crowd = "/images/card.png?title=Crowd{n}"
    with serve(settings=chosen) as server, Clients(server, crowd, 32) as clients:
        wait_until(lambda: clients.statuses[503] >= 10)
        yield server


def open_files(server: Server) -> int:
    return sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in server.workers())


def count_of(server: Server, status: int) -> float:
    rows = server.ask("/metrics").body.decode().splitlines()
    said = [row for row in rows if f'requests_total{{status="{status}"}}' in row]
    return float(said[0].rpartition(" ")[2]) if said else 0.0


def refused(server: Server, path: str, **given: object) -> Reply:
    """Ask until the answer is no."""
    for number in range(1, 400):
        reply = server.ask(f"{path}{number}", **given)
        if reply.status == 503:
            return reply
    raise AssertionError("it was never refused")


def test_who_is_refused_is_told_when_to_come_again(full):
    named = {"X-Request-ID": "asked-7"}
    reply = refused(full, "/images/solid.png?width=9&height=", headers=named)

    problem = json.loads(reply.body)
    assert reply.headers["Content-Type"] == "application/problem+json"
    assert problem["type"] == "/problems/busy"
    assert problem["instance"] == "/images/solid.png"
    assert problem["request_id"] == reply.headers["X-Request-ID"] == "asked-7"
    assert int(reply.headers["Retry-After"]) >= 1
    assert reply.headers["Cache-Control"] == "no-store"


def test_openais_clients_are_refused_in_their_own_words(full):
    reply = refused(full, "/v1/models?", headers={})

    assert set(json.loads(reply.body)) == {"error"}
    assert int(reply.headers["Retry-After"]) >= 1


def test_a_refusal_keeps_the_connection(full):
    place = urlsplit(full.url).netloc
    statuses, ports = [], set()
    with closing(http.client.HTTPConnection(place, timeout=60)) as wire:
        for number in range(40):
            wire.request("GET", f"/images/card.png?title={number}")
            ports.add(wire.sock.getsockname())
            answer = wire.getresponse()
            answer.read()
            statuses.append(answer.status)

    assert set(statuses) <= {200, 503}
    assert 503 in statuses
    assert len(ports) == 1


def next_answer(answered: IO[bytes]) -> tuple[int, bool]:
    """Read an answer; return its status, and whether it is the connection's last."""
    status = int(answered.readline().split()[1])
    headers = http.client.parse_headers(answered)
    answered.read(int(headers["Content-Length"]))
    return status, headers["Connection"] == "close"


def test_who_asks_again_before_the_refusal_is_answered_twice(full):
    """The poller has the connection meanwhile, and must not take it for another's."""
    place = urlsplit(full.url)
    ask = b"GET /images/card.png?title=Again%d HTTP/1.1\r\nHost: a\r\n\r\n"
    refusals = 0
    for number in range(0, 8000, 2):
        wire = socket.create_connection((place.hostname, place.port), 60)
        # One file for both answers, which may come at once.
        with wire, wire.makefile("rb") as answered:
            wire.sendall(ask % number)
            time.sleep(0.005)
            wire.sendall(ask % (number + 1))
            first, closes = next_answer(answered)
            # What came together is refused together, and the connection closed.
            if closes:
                continue
            second, _ = next_answer(answered)
        assert {first, second} <= {200, 503}
        refusals += first == 503
        if refusals >= 3:
            return
    raise AssertionError("it was never refused")


def test_who_leaves_before_the_refusal_is_forgotten(full):
    place = urlsplit(full.url)
    before = open_files(full)
    for number in range(200):
        with socket.create_connection((place.hostname, place.port), 60) as wire:
            wire.sendall(
                b"GET /images/card.png?title=Gone%d HTTP/1.1\r\nHost: a\r\n\r\n"
                % number
            )

    wait_until(lambda: open_files(full) <= before + 100)
    assert full.ask("/health/live").status == 200


def test_nothing_is_drawn_for_those_who_have_left():
    """After an overload five seconds of drawing were for clients who had gone."""
    chosen = {**ONE, "MIMEO_THREADS": "4"}
    crowd = "/images/card.png?title=Stays{n}"
    with serve(settings=chosen) as server, Clients(server, crowd, 12) as clients:
        wait_until(lambda: clients.statuses[200] >= 20)
        place = urlsplit(server.url)
        for number in range(40):
            with socket.create_connection((place.hostname, place.port), 60) as wire:
                wire.sendall(
                    b"GET /images/card.png?title=Left%d HTTP/1.1\r\nHost: a\r\n\r\n"
                    % number
                )
        # Those who stayed may be refused, too, where others use the machine.
        wait_until(lambda: count_of(server, 503) - clients.statuses[503] >= 20)

    assert clients.statuses[200] > clients.statuses[503]


def test_refusals_are_counted_and_said_in_the_log(full):
    def said() -> bool:
        return "requests refused" in full.log.read_text()

    wait_until(said)
    assert count_of(full, 503) >= 10
