"""A program that waits for jobs: a real server, whose answers a test sets."""

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Got:
    """One message as it arrived; names of headers are in lower case."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """What came; `answers` are statuses with headers, the last of which stays."""

    url: str
    answers: list[tuple[int, dict[str, str]]]
    got: list[Got] = field(default_factory=list)
    hold: threading.Event = field(default_factory=threading.Event)


class _Handler(BaseHTTPRequestHandler):
    receiver: Receiver

    def do_POST(self) -> None:
        receiver = self.receiver
        headers = {name.lower(): text for name, text in self.headers.items()}
        body = self.rfile.read(int(headers["content-length"]))
        receiver.got.append(Got(self.path, headers, body))
        receiver.hold.wait(30)
        answers = receiver.answers
        status, named = answers.pop(0) if len(answers) > 1 else answers[0]
        self.send_response(status)
        for name, text in named.items():
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(b"secret of the receiver" * 10_000)

    def log_message(self, format: str, *values: object) -> None:
        """Say nothing: the output of tests is not for that."""


@contextmanager
def receiving(
    *statuses: int,
    context: ssl.SSLContext | None = None,
    host: str = "127.0.0.1",
    port: int = 0,
) -> Iterator[Receiver]:
    """Run a receiver that answers with these statuses, one after the other."""
    handler = type("Handler", (_Handler,), {})
    server = ThreadingHTTPServer(("127.0.0.1", port), handler)
    scheme = "http"
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        scheme = "https"
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    url = f"{scheme}://{host}:{server.server_port}/hook?token=of-the-receiver"
    receiver = Receiver(url, [(each, {}) for each in statuses or (204,)])
    receiver.hold.set()
    handler.receiver = receiver  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.hold.set()
        server.shutdown()
        server.server_close()
        thread.join()
