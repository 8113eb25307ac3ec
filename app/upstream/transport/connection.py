"""One connection for one request: where it may lead and how long it may take."""

import socket

import requests
from urllib3.exceptions import TimeoutError as PoolTimeoutError

from app.upstream.dial import Forbidden, dial
from app.upstream.endpoint import Endpoint
from app.upstream.errors import (
    ForbiddenAddress,
    UpstreamBroken,
    UpstreamError,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from app.upstream.resilience.retry import Deadline
from app.upstream.watchdog import Watchdog


class Line:
    """A connection that is opened once and never used again.

    A connection kept from an earlier call may be closed at the moment a request is
    written to it, and then nobody knows whether a paid request arrived. With
    `public`, it leads to public addresses only.
    """

    def __init__(
        self, endpoint: Endpoint, deadline: Deadline, watchdog: Watchdog, public: bool
    ) -> None:
        self._endpoint = endpoint
        self._deadline = deadline
        self._watchdog = watchdog
        self._public = public
        self._socket: socket.socket | None = None
        self._hop = "connect"

    def open(self, host: str, port: int) -> socket.socket:
        """Connect; raise UpstreamUnavailable, UpstreamTimeout or ForbiddenAddress."""
        limit = Deadline.after(self._deadline.within(self._endpoint.connect_s))
        name = self._endpoint.name
        try:
            connected = dial(host, port, limit.remaining(), public=self._public)
        except Forbidden:
            raise ForbiddenAddress(name) from None
        except TimeoutError:
            raise self._too_slow() from None
        except OSError:
            raise UpstreamUnavailable(name) from None
        self._watchdog.watch(connected)
        self._watchdog.allow(limit.remaining())
        return connected

    def opened(self, connected: socket.socket) -> None:
        """Note that TLS stands, too: from here on, the request is on its way."""
        self._hop = "first byte"
        self._socket = connected
        self._watchdog.allow(self._deadline.within(self._endpoint.first_byte_s))

    def answered(self) -> None:
        """Note that the headers are there and the body follows."""
        self._hop = "idle"
        self._watchdog.allow(self._deadline.remaining())
        # An answer without a body has closed the socket already.
        if self._socket is not None and self._socket.fileno() >= 0:
            self._socket.settimeout(self.bounded(self._endpoint.idle_s))

    def bounded(self, limit_s: float) -> float:
        """Return a timeout for a socket; 0 would mean one that does not block."""
        return max(0.001, self._deadline.within(limit_s))

    def cut(self) -> UpstreamTimeout | None:
        """Return the error of a connection that the watchdog has shut, or None."""
        if not self._watchdog.barked:
            return None
        # Between two bytes the watchdog does not look; while a body arrives, it
        # barks for the deadline only.
        return self._too_slow(total=self._hop == "idle")

    def explain(self, error: Exception) -> UpstreamError:
        """Return what an error of requests, urllib3 or a socket means for the caller.

        How far the connection came decides, not the error's kind: before `opened`,
        nothing was sent.
        """
        if (cut := self.cut()) is not None:
            return cut
        if isinstance(error, (TimeoutError, PoolTimeoutError, requests.Timeout)):
            return self._too_slow()
        if self._hop == "connect":
            return UpstreamUnavailable(self._endpoint.name)
        return UpstreamBroken(self._endpoint.name, "the connection broke off")

    def _too_slow(self, *, total: bool = False) -> UpstreamTimeout:
        """Name the limit that ran out."""
        limits = {
            "connect": self._endpoint.connect_s,
            "first byte": self._endpoint.first_byte_s,
            "idle": self._endpoint.idle_s,
        }
        hop, allowed_s = self._hop, limits[self._hop]
        if total or self._deadline.passed():
            hop, allowed_s = "total", self._deadline.total_s
        sent = self._hop != "connect"
        return UpstreamTimeout(self._endpoint.name, hop, allowed_s, sent)
