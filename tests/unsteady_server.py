"""A server in front of another one, which can be told to fall silent and the like."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

_BLOCK = 1 << 16
_REFUSAL = b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Unsteady:
    """Hands connections on to `target`, or does as `mode` says.

    `silent` accepts and never answers; `closing` hangs up; `stalling` answers half of
    what it should; `refusing` answers 503. `accepted` counts the connections of each
    mode. It listens at `address`.
    """

    def __init__(self, target: tuple[str, int], address: str = "127.0.0.1") -> None:
        self.mode = "passing"
        # Called with all that clients send, block by block.
        self.heard: Callable[[bytes], object] = len
        self.accepted: dict[str, int] = {}
        self._target = target
        self._open: list[socket.socket] = []
        self._listener = socket.create_server((address, 0), backlog=512)
        self.url = f"http://{address}:{self._listener.getsockname()[1]}"

    def turn(self, mode: str) -> None:
        """Change what is done, with connections that are open as well."""
        self.mode = mode
        if mode != "passing":
            return
        # Whoever waits here in vain would wait on.
        self.hang_up()

    def hang_up(self) -> None:
        """Close all connections."""
        for each in self._open:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        self._open.clear()

    def run(self) -> None:
        """Accept until the listener is closed."""
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,)).start()

    def close(self) -> None:
        """Accept no more, and close all connections."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.hang_up()

    def _serve(self, client: socket.socket) -> None:
        self._open.append(client)
        server: socket.socket | None = None
        # A kept connection may be asked on after the mode has changed.
        with suppress(OSError):
            while asked := client.recv(_BLOCK):
                mode = self.mode
                self.heard(asked)
                self.accepted[mode] = self.accepted.get(mode, 0) + 1
                if mode == "closing":
                    break
                if mode == "refusing":
                    self._refuse(client)
                    break
                if mode == "stalling":
                    client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nhalf")
                if mode != "passing":
                    continue
                if server is None:
                    server = socket.create_connection(self._target)
                    self._open.append(server)
                    back = (server, client)
                    threading.Thread(target=self._copy, args=back).start()
                server.sendall(asked)
        client.close()
        if server is not None:
            with suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)

    def _refuse(self, client: socket.socket) -> None:
        client.sendall(_REFUSAL)
        client.shutdown(socket.SHUT_WR)
        # Closed with bytes unread, it would be reset, answer and all.
        while client.recv(_BLOCK):
            pass

    def _copy(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while block := source.recv(_BLOCK):
                sink.sendall(block)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_RDWR)
        source.close()


@contextmanager
def unsteady(target: tuple[str, int], address: str = "127.0.0.1") -> Iterator[Unsteady]:
    """Run such a server in front of another."""
    server = Unsteady(target, address)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield server
    finally:
        server.close()
        thread.join()
