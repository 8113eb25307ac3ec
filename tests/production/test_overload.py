"""More than can be drawn: a real gunicorn, and clients that go on asking."""

import http.client
import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from urllib.parse import urlsplit

import pytest

from tests.gunicorn_server import Reply, Server, serve
from tests.waiting import wait_until

ONE = {"WEB_CONCURRENCY": "1", "MIMEO_RATE_ANONYMOUS": "none"}
# Most of a second each, and large by their pixels.
SLOW = "/images/gradient.avif?width=2100&height=2100&angle={n}"


class Clients:
    """Clients who ask one thing after the other until they are told to stop."""

    def __init__(self, server: Server, path: str, count: int) -> None:
        self.statuses: Counter[int] = Counter()
        self.times: list[float] = []
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


def test_a_small_picture_does_not_wait_for_large_ones():
    """QR codes came once a second beside four clients with large AVIFs."""
    with serve(settings=ONE) as server:
        server.ask("/images/qr.png?data=warm")
        with (
            Clients(server, SLOW, 4) as large,
            Clients(server, "/images/qr.png?data={n}&size=200", 2) as small,
        ):
            wait_until(lambda: large.statuses[200] >= 3)

    assert set(small.statuses) == {200}
    assert small.statuses[200] >= 10 * large.statuses[200]


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


def test_refusals_are_counted_and_said_in_the_log(full):
    def said() -> bool:
        return "requests refused" in full.log.read_text()

    wait_until(said)
    figures = full.ask("/metrics").body.decode()
    line = next(
        row for row in figures.splitlines() if 'requests_total{status="503"}' in row
    )
    assert float(line.rpartition(" ")[2]) >= 10
