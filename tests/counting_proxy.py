"""A proxy in front of an HTTP server that notes each request that passes."""

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

_BLOCK = 1 << 16
_HEAD = re.compile(rb"(GET|HEAD|PUT|POST|DELETE) (\S+) HTTP/1\.1\r\n")


class CountingProxy:
    """Hands connections on; `seen` are the requests, such as `GET /bucket/key`."""

    def __init__(self, target: str) -> None:
        place = urlsplit(target)
        assert place.hostname is not None and place.port is not None
        self.seen: list[str] = []
        self._target = place.hostname, place.port
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def run(self) -> None:
        """Accept until the listener is closed."""
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._target)
                self._open += [client, server]
                for work in ((self._ask, client, server), (_copy, server, client)):
                    threading.Thread(target=work[0], args=work[1:], daemon=True).start()

    def close(self) -> None:
        """Accept no more, and close all connections."""
        for each in (self._listener, *self._open):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _ask(self, client: socket.socket, server: socket.socket) -> None:
        rest = b""
        with suppress(OSError):
            while block := client.recv(_BLOCK):
                rest += block
                last = 0
                for found in _HEAD.finditer(rest):
                    self.seen.append(b" ".join(found.groups()).decode())
                    last = found.end()
                # A request line may be cut in two.
                rest = rest[last:][-4096:]
                server.sendall(block)
        with suppress(OSError):
            server.shutdown(socket.SHUT_WR)


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while block := source.recv(_BLOCK):
            sink.sendall(block)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


@contextmanager
def counting_requests(target: str) -> Iterator[CountingProxy]:
    """Run such a proxy in front of a URL."""
    proxy = CountingProxy(target)
    thread = threading.Thread(target=proxy.run)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.close()
        thread.join()
