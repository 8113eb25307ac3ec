"""The end of a connection whose time is up, whatever its thread waits for."""

import socket
import threading
from contextlib import suppress
from types import TracebackType


class Watchdog:
    """Shuts one socket when its time is up, so that whoever reads from it wakes.

    The timeout of a socket starts anew with every byte: a server that sends one a
    second never meets it. `barked` tells afterwards that an end of file was ours,
    and not the end of the answer. Use it as a context; leaving it stops the clock.
    """

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._socket: socket.socket | None = None
        self._timer: threading.Timer | None = None
        self._closed = False
        self.barked = False

    def __enter__(self) -> "Watchdog":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._guard:
            self._closed = True
            self._stop()
            if self._socket is not None:
                self._socket.close()

    def watch(self, connected: socket.socket) -> None:
        """Guard this socket from now on; TLS may be wrapped around it later."""
        with self._guard:
            # Its own descriptor: TLS detaches the socket from the first, and the
            # kernel may give a closed number to another connection.
            self._socket = connected.dup()
            if self.barked:
                self._shut()

    def allow(self, seconds: float) -> None:
        """Bark that many seconds from now, instead of when it was said before."""
        with self._guard:
            self._stop()
            self._timer = threading.Timer(seconds, self._bark)
            self._timer.name = "mimeo-watchdog"
            self._timer.daemon = True
            self._timer.start()

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _bark(self) -> None:
        with self._guard:
            # Another limit may have replaced this timer while it waited to enter.
            if self._closed or threading.current_thread() is not self._timer:
                return
            self.barked = True
            self._shut()

    def _shut(self) -> None:
        # The other side may have gone already, which is as good.
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
