"""What HTTP/1.1 asks of any request: a host, and a body framed as the head says."""

import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from urllib.parse import urlsplit

import pytest
from flask.testing import FlaskClient

from tests.gunicorn_server import Server, serve

HOSTS = [
    *("localhost", "example.org:8000", "127.0.0.1", "[::1]", "[2001:db8::1]:80", "a_b"),
    *(
        "xn--bcher-kva.example",
        "b%C3%BCcher.example",
        "example.org:",
        "10.0.0.1:1",
        "a:65535",
    ),
]
NO_HOSTS = [
    *("a b", "<script>", "a/b", "a b/<script>", "[::1", "[::g]", "::1", "a:b", "a@b"),
    *(
        "",
        " ",
        "a,b",
        "a:1:2",
        "a:123456",
        "a:65536",
        "a:99999",
        "[::1]:70000",
        'a"',
        "a\\b",
        "a?b",
        "a#b",
        "a%2",
        "[fe80::]1",
    ),
    *("bücher.example", "a" * 300, "[]", "[1.2.3.4]", "[::1]x"),
]
POSTS = {
    "/images/solid": "application/x-www-form-urlencoded",
    "/images/card.png": "application/json",
    "/images/html.png": "text/html",
    "/images/card": "multipart/form-data; boundary=x",
    "/images": "application/json",
    "/inference": "application/json",
    "/v1/images/generations": "application/json",
    "/collections": "application/json",
    "/collections.zip?renderer=card": "text/csv",
    "/collections.json?renderer=card": "application/x-ndjson",
    "/collections.pdf": "multipart/form-data; boundary=x",
}
# Each begins as a body may, and is none.
CHUNKS = {
    "size": b"ZZ\r\nabc\r\n0\r\n\r\n",
    "empty size": b"\r\nabc\r\n0\r\n\r\n",
    "negative size": b"-3\r\nabc\r\n0\r\n\r\n",
    "huge size": b"f" * 5000 + b"\r\nabc",
    "no end of a chunk": b"3\r\nabcdef\r\n0\r\n\r\n",
    "no last chunk": b"3\r\n{} \r\n",
    "half a chunk": b"ff\r\nabc",
    "extension": b"3;\x00=\r\nabc\r\n0\r\n\r\n",
}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A real gunicorn: a test client frames no bodies."""
    chosen = {"WEB_CONCURRENCY": "1", "MIMEO_STORE": "memory:"}
    with serve(settings=chosen) as running:
        yield running


@pytest.fixture(scope="module")
def small() -> Iterator[Server]:
    """One that takes bodies of a kibibyte."""
    chosen = {"WEB_CONCURRENCY": "1", "MIMEO_MAX_BODY_BYTES": "1024"}
    with serve(settings=chosen) as running:
        yield running


def send(server: Server, head: str, body: bytes = b"") -> bytes:
    """Send bytes, and no more; return all that comes back."""
    place = urlsplit(server.url)
    with socket.create_connection((place.hostname, place.port), timeout=30) as wire:
        wire.sendall(head.replace("\n", "\r\n").encode("latin-1") + b"\r\n\r\n" + body)
        wire.shutdown(socket.SHUT_WR)
        answer = b""
        while block := wire.recv(65536):
            answer += block
    return answer


def is_problem(answer: bytes) -> bool:
    head, _, body = answer.partition(b"\r\n\r\n")
    status = head.startswith(b"HTTP/1.1 400 ")
    return status and b"json" in head and body.count(b"HTTP/1.1") == 0


@pytest.mark.parametrize("host", HOSTS)
def test_host_with_or_without_a_port_is_taken(client: FlaskClient, host: str) -> None:
    answer = client.get("/images/solid.png?width=1&height=1", headers={"Host": host})

    assert answer.status_code == 200


@pytest.mark.parametrize("host", NO_HOSTS)
def test_what_is_no_host_is_refused(client: FlaskClient, host: str) -> None:
    answer = client.get("/images/solid.png", environ_overrides={"HTTP_HOST": host})

    assert answer.status_code == 400
    assert answer.get_json()["detail"].startswith("The header Host is not a host")


@pytest.mark.parametrize("path", ["/", "/nothing", "/v1/models", "/health", "/images"])
def test_bad_host_is_refused_on_every_route(client: FlaskClient, path: str) -> None:
    answer = client.get(path, environ_overrides={"HTTP_HOST": "a b"})

    assert answer.status_code == 400
    assert b"a b" not in answer.data


@pytest.mark.parametrize(
    "head",
    [
        "GET /images/solid.png HTTP/1.1",
        "GET /images/solid.png HTTP/1.2\nHost: a",
        "GET /images/solid.png HTTP/1.1\nHost: a b/<script>",
        "GET /images/solid.png HTTP/1.1\nHost: a\nHost: b",
        "GET /images/solid.png HTTP/1.1\nHost:",
    ],
)
def test_head_without_one_plain_host_is_a_400(server: Server, head: str) -> None:
    answer = send(server, head)

    # gunicorn answers in the version that it was spoken to.
    assert answer.split(b" ", 2)[1] == b"400"
    assert b"script" not in answer


def test_options_of_the_server_as_a_whole_are_answered(server: Server) -> None:
    # RFC 9110, 9.3.7: the asterisk is no path.
    answer = send(server, "OPTIONS * HTTP/1.1\nHost: a\nConnection: close")

    assert answer.split(b" ", 2)[1] == b"204"
    assert b"Allow:" not in answer


def test_http_1_0_needs_no_host(server: Server) -> None:
    answer = send(server, "GET /images/solid.png?width=1&height=1 HTTP/1.0")

    assert b" 200 OK" in answer.split(b"\r\n")[0]


@pytest.mark.parametrize("chunks", CHUNKS.values(), ids=CHUNKS)
@pytest.mark.parametrize("path", POSTS)
def test_badly_framed_chunks_are_a_400(
    server: Server, path: str, chunks: bytes
) -> None:
    head = f"POST {path} HTTP/1.1\nHost: a\nContent-Type: {POSTS[path]}"

    answer = send(server, f"{head}\nTransfer-Encoding: chunked", chunks)

    assert is_problem(answer), answer
    assert answer.count(b"HTTP/1.1 ") == 1
    assert "Traceback" not in server.log.read_text()


@pytest.mark.parametrize("path", POSTS)
def test_body_shorter_than_its_length_is_a_400(server: Server, path: str) -> None:
    head = f"POST {path} HTTP/1.1\nHost: a\nContent-Type: {POSTS[path]}"

    answer = send(server, f"{head}\nContent-Length: 2000", b"width=40&height=30")

    assert is_problem(answer), answer


@pytest.mark.parametrize("path", POSTS)
def test_short_body_is_a_400_without_a_server(client: FlaskClient, path: str) -> None:
    answer = client.post(
        path,
        data=b"width=40&height=30",
        content_type=POSTS[path],
        environ_overrides={"CONTENT_LENGTH": "2000"},
    )

    assert answer.status_code == 400


def test_nothing_after_a_bad_chunk_is_taken_for_a_request(server: Server) -> None:
    head = "POST /images HTTP/1.1\nHost: a\nContent-Type: application/json"
    head += "\nTransfer-Encoding: chunked"
    place = urlsplit(server.url)
    with socket.create_connection((place.hostname, place.port), timeout=30) as wire:
        wire.sendall(
            f"{head}\nTransfer-Encoding: chunked\n\nZZ\n".replace("\n", "\r\n").encode()
        )
        first = wire.recv(65536)
        wire.sendall(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n")

        second = wire.recv(65536)

    assert first.startswith(b"HTTP/1.1 400 ")
    assert second == b"" or not second.startswith(b"HTTP/1.1")


@pytest.mark.parametrize(("more", "status"), [(0, b"200"), (1, b"413")])
def test_chunked_body_may_have_exactly_the_limit(
    small: Server, more: int, status: bytes
) -> None:
    head = "POST /images/solid.png HTTP/1.1\nHost: a\nContent-Type: application/json"
    body = b'{"width": 9, "height": 9}'.ljust(1024 + more)
    chunk = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)

    answer = send(small, f"{head}\nTransfer-Encoding: chunked", chunk)

    assert answer.split(b" ", 2)[1] == status


def test_body_that_drips_in_is_refused_within_ten_seconds(small: Server) -> None:
    head = "POST /images HTTP/1.1\nHost: a\nContent-Type: application/json"
    place = urlsplit(small.url)
    started = time.monotonic()
    with socket.create_connection((place.hostname, place.port), timeout=30) as wire:
        head += "\nContent-Length: 200000\n\n"
        wire.sendall(head.replace("\n", "\r\n").encode())
        wire.settimeout(0.5)
        answer = b""
        while not answer and time.monotonic() - started < 20:
            with suppress(TimeoutError):
                wire.sendall(b"x")
                answer = wire.recv(65536)

    assert answer.startswith(b"HTTP/1.1 413 ")
    assert time.monotonic() - started < 15
