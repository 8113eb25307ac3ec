"""Upstreams that misbehave: a real server on 127.0.0.1, one behaviour a path.

`GET /drip` and `POST /drip` do the same. What a double saw is in `seen`.
"""

import http.client
import signal
import socket
import ssl
import subprocess
import sys
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


def _chunk(kind: bytes, data: bytes) -> bytes:
    checked = kind + data
    length, crc = len(data).to_bytes(4, "big"), zlib.crc32(checked).to_bytes(4, "big")
    return length + checked + crc


# One grey dot, whole and valid.
PNG = (
    b"\x89PNG\r\n\x1a\n"
    + _chunk(b"IHDR", b"\0\0\0\1\0\0\0\1\x08\0\0\0\0")
    + _chunk(b"IDAT", zlib.compress(b"\0\x80"))
    + _chunk(b"IEND", b"")
)
METADATA = "http://169.254.169.254/latest/meta-data/"


@dataclass(frozen=True)
class Seen:
    """One request as it arrived."""

    method: str
    path: str
    headers: http.client.HTTPMessage
    body: bytes


@dataclass
class Double:
    """A running double; `url` has no slash at its end."""

    url: str
    seen: list[Seen] = field(default_factory=list)
    stopping: threading.Event = field(default_factory=threading.Event)
    release: threading.Event = field(default_factory=threading.Event)

    def count(self, path: str) -> int:
        return sum(one.path == path for one in self.seen)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    double: Double

    def do_GET(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length)
        self.double.seen.append(Seen(self.command, self.path, self.headers, body))
        path = urlsplit(self.path).path
        # Most clients here leave in the middle of an answer.
        with suppress(ConnectionError, ssl.SSLError):
            BEHAVIOURS[path.removesuffix("/")](self)

    do_POST = do_GET

    def log_message(self, format: str, *values: object) -> None:
        """Say nothing: the output of tests is not for that."""

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        """Send a whole answer; `_` in the name of a header stands for `-`."""
        named = {"Content-Length": str(len(body))}
        named |= {name.replace("_", "-"): text for name, text in headers.items()}
        self.begin(status, **named)
        self.wfile.write(body)

    def begin(self, status: int, **headers: str) -> None:
        self.send_response(status)
        for name, text in headers.items():
            self.send_header(name, text)
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True

    def drip(self, data: bytes, pause_s: float = 0.05) -> None:
        """Send byte by byte until the client leaves or the double stops.

        A byte in 50 ms stands for one a second: no pause is ever long enough for
        a timeout between two bytes.
        """
        for byte in data:
            if self.double.stopping.wait(pause_s):
                return
            self.wfile.write(bytes([byte]))

    def reset(self) -> None:
        """End the connection with RST instead of FIN."""
        linger = b"\1\0\0\0\0\0\0\0"
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.connection.close()


def _image(handler: _Handler) -> None:
    handler.answer(200, PNG, Content_Type="image/png", Finish_Reason="SUCCESS")


def _chunked(handler: _Handler) -> None:
    handler.begin(200, **{"Transfer-Encoding": "chunked"})
    handler.wfile.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(PNG), PNG))


def _drip(handler: _Handler) -> None:
    handler.begin(200, **{"Content-Length": "100000"})
    handler.drip(bytes(100_000))


def _drip_without_length(handler: _Handler) -> None:
    handler.begin(200)
    handler.drip(bytes(100_000))


def _drip_in_chunks(handler: _Handler) -> None:
    handler.begin(200, **{"Transfer-Encoding": "chunked"})
    handler.drip(b"1\r\nx\r\n" * 20_000)


def _drip_headers(handler: _Handler) -> None:
    handler.drip(b"HTTP/1.1 200 OK\r\nX-Slow: " + b"a" * 60_000)


def _silent(handler: _Handler) -> None:
    handler.double.stopping.wait(60)


def _stalls(handler: _Handler) -> None:
    handler.begin(200, **{"Content-Length": "1000"})
    handler.wfile.write(b"half")
    handler.double.stopping.wait(60)


def _cut(handler: _Handler) -> None:
    body = b'{"data":[{"b64_json":"iVBORw0KGgoAAAANSUhEUgAAAAEA'
    handler.begin(200, **{"Content-Length": "5000"})
    handler.wfile.write(body)


def _cut_in_a_chunk(handler: _Handler) -> None:
    handler.begin(200, **{"Transfer-Encoding": "chunked"})
    handler.wfile.write(b"1000\r\nonly this")


def _short_of_the_last_chunk(handler: _Handler) -> None:
    handler.begin(200, **{"Transfer-Encoding": "chunked"})
    handler.wfile.write(b"%x\r\n%s\r\n" % (len(PNG), PNG))


def _too_short_a_length(handler: _Handler) -> None:
    handler.begin(200, **{"Content-Length": "10"})
    handler.wfile.write(PNG)


def _resets(handler: _Handler) -> None:
    handler.reset()


def _says_it_is_huge(handler: _Handler) -> None:
    handler.begin(200, **{"Content-Length": str(1 << 40)})
    handler.wfile.write(PNG)


def _huge(handler: _Handler) -> None:
    handler.begin(200)
    while not handler.double.stopping.is_set():
        handler.wfile.write(bytes(1 << 16))


def _huge_in_chunks(handler: _Handler) -> None:
    handler.begin(200, **{"Transfer-Encoding": "chunked"})
    while not handler.double.stopping.is_set():
        handler.wfile.write(b"10000\r\n" + bytes(1 << 16) + b"\r\n")


def _huge_chunk_line(handler: _Handler) -> None:
    handler.begin(200, **{"Transfer-Encoding": "chunked"})
    handler.wfile.write(b"1;")
    while not handler.double.stopping.is_set():
        handler.wfile.write(b"a" * (1 << 16))


def _huge_error(handler: _Handler) -> None:
    handler.answer(400, b"e" * (1 << 20))


def _gzip_bomb(handler: _Handler) -> None:
    # Level 1 and a mebibyte at a time: to make the bomb is to take neither the time
    # that the answer has nor memory that a test would count as the caller's.
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    zeros = bytes(1 << 20)
    bomb = b"".join(packer.compress(zeros) for _ in range(200)) + packer.flush()
    handler.answer(200, bomb, Content_Encoding="gzip")


def _html(handler: _Handler) -> None:
    page = b"<!doctype html><title>Sign in</title>"
    handler.answer(200, page, Content_Type="text/html")


def _nothing(handler: _Handler) -> None:
    handler.begin(204)


def _garbage(handler: _Handler) -> None:
    handler.wfile.write(b"SSH-2.0-OpenSSH_9.6\r\n")
    handler.close_connection = True


def _bad_header(handler: _Handler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nno colon here\r\n\r\n")
    handler.close_connection = True


def _wait_for_ever(handler: _Handler) -> None:
    handler.answer(429, b"slow down", Retry_After="99999")


def _full_once(handler: _Handler) -> None:
    if handler.double.count(handler.path) > 1:
        _image(handler)
    else:
        handler.answer(503, b"loading", Retry_After="1")


def _fails_once(handler: _Handler) -> None:
    if handler.double.count(handler.path) > 1:
        _image(handler)
    else:
        handler.answer(500, b"Traceback (most recent call last): ...")


def _holds(handler: _Handler) -> None:
    handler.double.release.wait(60)
    _image(handler)


def _echoes_cookies(handler: _Handler) -> None:
    handler.answer(302, Location="/image", Set_Cookie="session=abc")


def _redirects(location: str) -> Callable[[_Handler], None]:
    def redirect(handler: _Handler) -> None:
        handler.answer(302, b"moved", Location=location)

    return redirect


def _status(status: int, **headers: str) -> Callable[[_Handler], None]:
    def answer(handler: _Handler) -> None:
        handler.answer(status, b'{"error":{"message":"no"}}', **headers)

    return answer


BEHAVIOURS: dict[str, Callable[[_Handler], None]] = {
    "/image": _image,
    "/chunked": _chunked,
    "/drip": _drip,
    "/drip-without-length": _drip_without_length,
    "/drip-in-chunks": _drip_in_chunks,
    "/drip-headers": _drip_headers,
    "/silent": _silent,
    "/stalls": _stalls,
    "/cut": _cut,
    "/cut-in-a-chunk": _cut_in_a_chunk,
    "/short-of-the-last-chunk": _short_of_the_last_chunk,
    "/too-short-a-length": _too_short_a_length,
    "/resets": _resets,
    "/says-it-is-huge": _says_it_is_huge,
    "/huge": _huge,
    "/huge-in-chunks": _huge_in_chunks,
    "/huge-chunk-line": _huge_chunk_line,
    "/huge-error": _huge_error,
    "/gzip-bomb": _gzip_bomb,
    "/html": _html,
    "/nothing": _nothing,
    "/garbage": _garbage,
    "/bad-header": _bad_header,
    "/wait-for-ever": _wait_for_ever,
    "/full-once": _full_once,
    "/fails-once": _fails_once,
    "/holds": _holds,
    "/cookie": _echoes_cookies,
    "/to-metadata": _redirects(METADATA),
    "/to-image": _redirects("/image"),
    "/round": _redirects("/round"),
    "/to-a-file": _redirects("file:///etc/passwd"),
    "/to-nowhere": _redirects(""),
    "/400": _status(400),
    "/403": _status(403),
    "/404": _status(404),
    "/429": _status(429),
    "/500": _status(500),
    "/503": _status(503),
}


@contextmanager
def double(context: ssl.SSLContext | None = None, port: int = 0) -> Iterator[Double]:
    """Run a double while the body runs, over TLS where a context is given."""
    handler = type("Handler", (_Handler,), {})
    server = ThreadingHTTPServer(("127.0.0.1", port), handler)
    server.daemon_threads = True
    # What a client does to a connection is no news here.
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    scheme = "http"
    if context is not None:
        scheme = "https"
        server.socket = context.wrap_socket(server.socket, server_side=True)
    handler.double = Double(f"{scheme}://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield handler.double
    finally:
        handler.double.stopping.set()
        handler.double.release.set()
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def victim() -> Iterator[tuple[Double, Callable[[], None]]]:
    """Run a double as a process of its own, with a way to kill it (SIGKILL)."""
    command = [sys.executable, "-m", "tests.upstream.doubles"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()

        def kill() -> None:
            process.send_signal(signal.SIGKILL)
            process.wait()

        try:
            yield Double(url), kill
        finally:
            kill()


def refusing() -> str:
    """Return a URL on 127.0.0.1 where nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


if __name__ == "__main__":
    with double() as running:
        print(running.url, flush=True)
        running.stopping.wait()
