"""Slow, broken and leaving clients, and a server that leaves: a real gunicorn."""

import http.client
import itertools
import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest

from tests.gunicorn_server import Server, serve
from tests.waiting import wait_until

SOLID = b"GET /images/solid.png?width=9&height=9 HTTP/1.1\r\nHost: a\r\n"
POST = (
    b"POST /images/solid.png HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
)
HALF_HEAD = b"GET /images/card.png?title=Slow HTTP/1.1\r\nHost: a\r\nX-Half: "
JSON = b'{"width": 9, "height": 9}'
THREADS = 4


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """One worker with few threads and little patience."""
    chosen = {
        "WEB_CONCURRENCY": "1",
        "MIMEO_THREADS": f"{THREADS}",
        "MIMEO_RECEIVE_TIMEOUT_S": "2",
        "MIMEO_ACCESS_LOG": "on",
    }
    with serve(settings=chosen) as running:
        yield running


def dial(server: Server, timeout: float = 30) -> socket.socket:
    place = urlsplit(server.url)
    return socket.create_connection((place.hostname, place.port), timeout)


def rest(wire: socket.socket) -> bytes:
    """Return all that comes until the server closes."""
    answer = b""
    while block := wire.recv(65536):
        answer += block
    return answer


def send(server: Server, *pieces: bytes, pause_s: float = 0.0) -> bytes:
    """Send pieces with pauses between them; return all that comes back."""
    with dial(server) as wire:
        for piece in pieces:
            wire.sendall(piece)
            time.sleep(pause_s)
        return rest(wire)


def next_answer(wire: socket.socket) -> tuple[int, bytes]:
    answer = http.client.HTTPResponse(wire)
    answer.begin()
    return answer.status, answer.read()


def closing_head(head: bytes, *lines: bytes) -> bytes:
    return b"".join([head, *(line + b"\r\n" for line in lines)]) + (
        b"Connection: close\r\n\r\n"
    )


def problem(answer: bytes) -> dict[str, object]:
    """Return the problem of an answer that is whole and ends its connection."""
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    names = dict(line.lower().split(": ", 1) for line in lines[1:])
    assert names["content-type"] == "application/problem+json"
    assert names["connection"] == "close"
    found: dict[str, object] = json.loads(body)
    assert names["x-request-id"] == found["request_id"]
    assert lines[0].split(" ")[1] == str(found["status"])
    return found


# Heads.


def test_a_head_that_does_not_come_to_its_end_is_a_408(server):
    answer = send(server, HALF_HEAD)

    assert problem(answer)["type"] == "/problems/slow-request"
    assert problem(answer)["instance"] == "/images/card.png"


def test_a_head_that_drips_is_a_408_all_the_same(server):
    with dial(server, timeout=0.2) as wire:
        wire.sendall(HALF_HEAD)
        answer = b""
        for _ in range(100):
            with suppress(TimeoutError):
                wire.sendall(b"x")
                answer = wire.recv(65536)
                break

    assert answer.startswith(b"HTTP/1.1 408 ")


def test_a_head_in_single_bytes_is_served(server):
    head = closing_head(SOLID)

    answer = send(server, *(bytes([byte]) for byte in head), pause_s=0.001)

    assert answer.startswith(b"HTTP/1.1 200 ")


def test_a_second_head_on_a_connection_has_as_long(server):
    with dial(server) as wire:
        wire.sendall(SOLID + b"\r\n")
        first, _ = next_answer(wire)
        wire.sendall(HALF_HEAD)

        answer = rest(wire)

    assert first == 200
    assert problem(answer)["status"] == 408


def test_a_connection_without_a_byte_is_closed_without_a_word(server):
    assert send(server) == b""


@pytest.mark.parametrize(("size", "status"), [(16384, b"200"), (16385, b"431")])
def test_a_head_may_have_16_kib(server, size, status):
    head = closing_head(SOLID, b"A: %s", b"B: %s", b"C: %s")
    left = size - len(head) + 6
    parts = (b"x" * 7000, b"y" * 7000, b"z" * (left - 14_000))

    answer = send(server, head % parts)

    assert answer.split(b" ", 2)[1] == status


def test_a_head_without_an_end_is_refused_at_16_kib(server):
    answer = send(server, SOLID + b"A: " + b"x" * 50_000)

    assert problem(answer)["type"] == "/problems/large-head"


@pytest.mark.parametrize(
    ("head", "status", "kind"),
    [
        (b"NONSENSE\r\n\r\n", 400, "bad-head"),
        (b"\r\n\r\n", 400, "bad-head"),
        (b"GET / HTTP/1.1\nHost: a\n\n", 400, "bad-head"),
        (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 400, "bad-head"),
        (b"GET / HTTP/one\r\nHost: a\r\n\r\n", 400, "bad-head"),
        (b"get / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "bad-head"),
        (SOLID + b"No colon\r\n\r\n", 400, "bad-head"),
        (SOLID + b"A b: c\r\n\r\n", 400, "bad-head"),
        (SOLID + b"Content-Length: two\r\n\r\n", 400, "bad-head"),
        (SOLID + b"Host: b\r\n\r\n", 400, "bad-head"),
        (b"GET /?" + b"x" * 8200, 414, "long-request-line"),
        (
            b"GET /?" + b"x" * 30_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
            414,
            "long-request-line",
        ),
        (
            b"GET /?" + b"x" * 8200 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
            414,
            "long-request-line",
        ),
        (SOLID + b"A: b\r\n" * 101 + b"\r\n", 431, "large-head"),
        (SOLID + b"A: " + b"b" * 8200 + b"\r\n\r\n", 431, "large-head"),
        (SOLID + b"Expect: a miracle\r\n\r\n", 417, "unknown-expectation"),
        (SOLID + b"Transfer-Encoding: brotli\r\n\r\n", 501, "unknown-coding"),
        (
            SOLID + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            501,
            "unknown-coding",
        ),
    ],
)
def test_what_the_parser_refuses_is_a_problem(server, head, status, kind):
    found = problem(send(server, head))

    assert (found["status"], found["type"]) == (status, f"/problems/{kind}")
    # The line is written a moment after the answer.
    wait_until(lambda: found["request_id"] in server.log.read_text())


@pytest.mark.parametrize("hosts", [b"", b"Host: a b\r\n", b"Host:\r\n"])
def test_a_host_that_is_none_is_a_problem(server, hosts):
    answer = send(server, b"GET / HTTP/1.1\r\n" + hosts + b"Connection: close\r\n\r\n")

    assert problem(answer)["status"] == 400


def test_a_refusal_has_the_callers_request_id_and_the_form_of_its_api(server):
    head = (
        b"GET /v1/models HTTP/1.1\r\nHost: a\r\nX-Request-ID: mine\r\nExpect: x\r\n\r\n"
    )

    answer = send(server, head)

    assert b"\r\nX-Request-ID: mine\r\n" in answer
    assert json.loads(answer.partition(b"\r\n\r\n")[2]).keys() == {"error"}


def test_head_of_a_refusal_has_no_body(server):
    answer = send(server, SOLID.replace(b"GET", b"HEAD") + b"Expect: x\r\n\r\n")

    assert answer.startswith(b"HTTP/1.1 417 ")
    assert answer.endswith(b"\r\n\r\n")


# Connections that are used again.


def test_a_connection_takes_a_hundred_requests(server):
    with dial(server) as wire:
        for _ in range(100):
            wire.sendall(SOLID + b"\r\n")
            assert next_answer(wire)[0] == 200


def test_requests_that_come_at_once_are_answered_in_order(server):
    widths = range(1, 6)
    wanted = b"".join(
        SOLID.replace(b"width=9", b"width=%d" % w) + b"\r\n" for w in widths
    )
    last = closing_head(SOLID)

    answer = send(server, wanted, last[:40], last[40:], pause_s=0.1)

    pictures = answer.split(b"\x89PNG\r\n\x1a\n")[1:]
    sizes = [int.from_bytes(picture[8:12]) for picture in pictures]
    assert sizes == [*widths, 9]


def test_a_request_behind_a_body_is_answered(server):
    body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(JSON), JSON)

    answer = send(
        server,
        POST + b"Transfer-Encoding: chunked\r\n\r\n" + body + closing_head(SOLID),
    )

    assert answer.count(b"HTTP/1.1 200 OK") == 2


def test_half_a_request_behind_another_holds_no_thread(server):
    with ExitStack() as stack:
        for _ in range(2 * THREADS):
            wire = stack.enter_context(dial(server))
            wire.sendall(SOLID + b"\r\n" + HALF_HEAD)
            assert next_answer(wire)[0] == 200

        started = time.monotonic()
        assert server.ask("/health/live").status == 200

        assert time.monotonic() - started < 1.5


def test_clients_that_do_not_close_hold_nobody_up(server):
    with ExitStack() as stack:
        for _ in range(20):
            wire = stack.enter_context(dial(server))
            wire.sendall(closing_head(SOLID))

        started = time.monotonic()
        assert server.ask("/health/live").status == 200

        # gunicorn itself waits up to two seconds for each, one after the other.
        assert time.monotonic() - started < 10


# Bodies.


@pytest.mark.parametrize("size", [len(JSON), 5000, 100_000])
def test_a_body_in_pieces_is_taken(server, size):
    body = JSON.ljust(size)
    head = closing_head(POST, b"Content-Length: %d" % size)
    cuts = [body[n * size // 7 : (n + 1) * size // 7] for n in range(7)]

    answer = send(server, head[:50], head[50:], *cuts, pause_s=0.02)

    assert answer.startswith(b"HTTP/1.1 200 ")


def test_chunks_in_pieces_are_taken(server):
    body = b"a\r\n%s\r\n%x\r\n%s\r\n0\r\n\r\n" % (JSON[:10], len(JSON) - 10, JSON[10:])
    head = closing_head(POST, b"Transfer-Encoding: chunked")

    answer = send(server, head, body[:3], body[3:20], body[20:], pause_s=0.05)

    assert answer.startswith(b"HTTP/1.1 200 ")


def test_curl_uploads_large_files_with_expect(server, tmp_path: Path):
    rows = tmp_path / "rows.csv"
    rows.write_bytes(b"color\n" + b"red\n" * 20_000)

    done = server.curl(
        "/collections?preview=1",
        *("-F", f"rows=@{rows};type=text/csv", "-F", "renderer=solid"),
        *("-H", "Expect: 100-continue", "-w", "%{http_code}", "-v"),
    )

    assert done.returncode == 0, done.stderr
    assert b"< HTTP/1.1 100 Continue" in done.stderr
    assert done.stdout.endswith(b"200")


@pytest.mark.parametrize("length", [b"Content-Length: 10", b"Content-Length: 100000"])
def test_a_body_that_stands_still_is_a_408(server, length):
    answer = send(server, POST + length + b"\r\n\r\n{")

    assert problem(answer)["type"] == "/problems/slow-request"
    assert problem(answer)["instance"] == "/images/solid.png"


def test_chunks_that_stand_still_are_a_408(server):
    answer = send(server, POST + b"Transfer-Encoding: chunked\r\n\r\nff\r\n{")

    assert problem(answer)["status"] == 408


@pytest.mark.parametrize("length", [b"10000", b"100000"])
def test_a_body_that_drips_is_a_408(server, length):
    with dial(server, timeout=0.2) as wire:
        wire.sendall(POST + b"Content-Length: " + length + b"\r\n\r\n")
        answer = b""
        for _ in range(100):
            with suppress(TimeoutError):
                wire.sendall(b" ")
                answer = wire.recv(65536)
                break

    assert answer.startswith(b"HTTP/1.1 408 ")


def test_half_of_the_threads_read_bodies_and_the_others_wait_for_a_turn(server):
    big = b"Content-Length: 100000"
    with ExitStack() as stack:
        slow = [stack.enter_context(dial(server)) for _ in range(THREADS)]
        for wire in slow:
            wire.sendall(POST + big + b"\r\n\r\n{")
        started = time.monotonic()
        assert server.ask("/health/live").status == 200
        small = closing_head(POST, b"Content-Length: %d" % len(JSON)) + JSON
        assert send(server, small).startswith(b"HTTP/1.1 200 ")
        assert time.monotonic() - started < 1.5

        answer = send(server, closing_head(POST, big) + JSON.ljust(100_000))

        # The first have to end before.
        assert time.monotonic() - started > 1.5
        answers = [rest(wire) for wire in slow]
    assert answer.startswith((b"HTTP/1.1 200 ", b"HTTP/1.1 503 "))
    assert {found.split(b" ", 2)[1] for found in answers} <= {b"408", b"503"}
    assert answers[0].startswith(b"HTTP/1.1 408 ")


def test_bodies_that_get_no_turn_are_told_when_to_come_again(server):
    with ExitStack() as stack:
        slow = [stack.enter_context(dial(server)) for _ in range(5 * THREADS)]
        for wire in slow:
            wire.sendall(POST + b"Content-Length: 100000\r\n\r\n{")

        answers = [rest(wire) for wire in slow]

    refused = [found for found in answers if found.startswith(b"HTTP/1.1 503 ")]
    assert refused and b"\r\nRetry-After: 10\r\n" in refused[0]
    assert problem(refused[0])["type"] == "/problems/bodies-wait"


# Many slow clients beside others.


def counted(server: Server, seconds: float, first: str) -> tuple[int, int]:
    """Count the cards that two clients get, all different, and a third one's health."""
    end = time.monotonic() + seconds

    def client(paths: Iterator[str]) -> int:
        count = 0
        connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=60)
        with closing(connection):
            while time.monotonic() < end:
                connection.request("GET", next(paths))
                answer = connection.getresponse()
                answer.read()
                count += answer.status == 200
        return count

    def cards(of: int) -> Iterator[str]:
        for number in itertools.count():
            yield f"/images/card.png?title={quote(first)}+{of}+{number}"

    asked = (cards(1), cards(2), itertools.repeat("/health/live"))
    with ThreadPoolExecutor(3) as pool:
        one, other, health = pool.map(client, asked)
    return one + other, health


def drip(wires: list[socket.socket], byte: bytes, stop: threading.Event) -> None:
    """Send a byte more on each connection, four times a second, while it is open."""
    while not stop.wait(0.25):
        for wire in wires:
            with suppress(OSError):
                wire.sendall(byte)


@pytest.fixture(scope="module")
def usual() -> Iterator[Server]:
    with serve() as running:
        yield running


HALF_BODY = POST + b"Content-Length: 1000\r\n\r\n" + b" " * 500
LARGE_BODY = POST + b"Content-Length: 100000\r\n\r\n" + b" " * 50_000
CHUNK = POST + b"Transfer-Encoding: chunked\r\n\r\nffff\r\n" + b" " * 500


@pytest.mark.parametrize(
    ("count", "half", "byte"),
    [
        pytest.param(300, HALF_HEAD, b"", id="heads"),
        pytest.param(300, HALF_HEAD, b"x", id="heads that drip"),
        pytest.param(300, b"", b"", id="nothing"),
        pytest.param(100, HALF_BODY, b"", id="bodies"),
        pytest.param(100, HALF_BODY, b" ", id="bodies that drip"),
        pytest.param(100, LARGE_BODY, b"", id="large bodies"),
        pytest.param(100, CHUNK, b"", id="chunks"),
    ],
)
def test_cards_are_drawn_beside_slow_clients(usual, count, half, byte):
    tries = itertools.count()

    def holds() -> bool:
        """Tell whether half of the rate is kept; others use the machine, too."""
        name = f"{count} {len(half)} {byte!r} {next(tries)}"
        counted(usual, 0.5, f"{name} warm")
        alone, _ = counted(usual, 1.5, f"{name} alone")
        stop = threading.Event()
        with ExitStack() as stack:
            pool = stack.enter_context(ThreadPoolExecutor(1))
            stack.callback(stop.set)
            wires = [stack.enter_context(dial(usual)) for _ in range(count)]
            for wire in wires:
                wire.sendall(half)
            pool.submit(drip, wires, byte, stop)
            beside, health = counted(usual, 1.5, f"{name} beside")
        # One client for health, two for cards: it waits for nobody's head or body.
        return beside >= 0.5 * alone and health >= 0.1 * beside

    wait_until(holds, 60)


# The end, and a new beginning.


def gone(server: Server) -> bool:
    try:
        dial(server).close()
    except ConnectionRefusedError:
        return True
    return False


def within(seconds: float, what, *given) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if what(*given):
            return True
        time.sleep(0.02)
    return False


def test_a_server_that_ends_refuses_the_new_and_serves_the_old(tmp_path: Path):
    rows = b"title\n" + b"".join(b"Card %d\n" % n for n in range(800))
    target = tmp_path / "all.zip"
    (tmp_path / "rows.csv").write_bytes(rows)
    with serve(settings={"WEB_CONCURRENCY": "1"}) as server, ExitStack() as stack:
        command = ["curl", "-sf", "-H", "Content-Type: text/csv", "--data-binary"]
        command += [f"@{tmp_path / 'rows.csv'}", "-o", str(target)]
        command += [f"{server.url}/collections.zip?renderer=card"]
        download = stack.enter_context(subprocess.Popen(command))
        idle, used, half = (stack.enter_context(dial(server)) for _ in range(3))
        half.sendall(SOLID)
        used.sendall(SOLID + b"\r\n")
        assert next_answer(used)[0] == 200
        assert within(20, lambda: target.is_file() and target.stat().st_size > 1000)

        os.kill(server.pid, signal.SIGTERM)

        assert within(10, gone, server)
        assert download.poll() is None, "done too early to prove anything"
        used.sendall(b"GET /health/ready HTTP/1.1\r\nHost: a\r\n\r\n")
        ready = rest(used)
        half.sendall(b"\r\n")
        finished = rest(half)
        assert rest(idle) == b""
        assert download.wait(30) == 0
    assert ready.startswith(b"HTTP/1.1 503 ") and b'"draining"' in ready
    assert b"\r\nConnection: close\r\n" in ready
    assert finished.startswith(b"HTTP/1.1 200 ")
    assert b"\r\nConnection: close\r\n" in finished
    check = subprocess.run(["unzip", "-tq", target], capture_output=True, check=False)
    assert check.returncode == 0, check.stdout


def test_a_reload_loses_no_request():
    lost: list[object] = []
    done = [0] * 4
    with serve() as server:
        place = urlsplit(server.url).netloc
        stop = threading.Event()

        def ask(number: int) -> None:
            connection = http.client.HTTPConnection(place, timeout=30)
            while not stop.is_set():
                # Half of the clients keep their connection.
                if number % 2:
                    connection.close()
                try:
                    connection.request("GET", "/images/solid.png?width=9&height=9")
                    answer = connection.getresponse()
                    answer.read()
                    done[number] += 1
                except (OSError, http.client.HTTPException) as error:
                    lost.append(error)
                    connection.close()
                else:
                    if answer.status != 200:
                        lost.append(answer.status)
            connection.close()

        clients = [threading.Thread(target=ask, args=(n,)) for n in range(4)]
        for client in clients:
            client.start()
        for _ in range(3):
            before = server.workers()
            os.kill(server.pid, signal.SIGHUP)
            assert within(30, lambda old=before: not old & server.workers())
        stop.set()
        for client in clients:
            client.join()

    assert lost == []
    assert min(done) > 0
