"""One connection for one request: where it may lead and how long it may take."""

import math
import queue
import socket
import ssl
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import requests
from urllib3.exceptions import TimeoutError as PoolTimeoutError

from app.upstream.errors import (
    ForbiddenAddress,
    UpstreamBroken,
    UpstreamError,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from app.upstream.resilience.retry import Deadline
from app.upstream.service import Service
from app.upstream.transport.addresses import is_public

# A name with more addresses than these is tried no further.
_MOST_TRIED = 4
# Look-ups at a time. Names from answers have their own, by `public`: whoever names ones
# that nobody resolves holds up no service.
_LOOKUPS = {True: threading.BoundedSemaphore(8), False: threading.BoundedSemaphore(8)}


class Forbidden(Exception):
    """One of the addresses of a name is not public."""


class Place(NamedTuple):
    """Where a socket connects to: family and the address as the kernel wants it."""

    family: socket.AddressFamily
    address: tuple[Any, ...]


class _Timed:
    """A socket that asks `allowed`, before it waits, how many seconds it may.

    The timeout of a socket starts anew with every byte: a server that sends one a
    second never meets it.
    """

    allowed: Callable[[], float] = staticmethod(lambda: math.inf)

    def recv_into(self: Any, *values: Any) -> int:
        self.settimeout(self.allowed())
        received: int = super().recv_into(*values)  # type: ignore[misc]
        return received

    def send(self: Any, *values: Any) -> int:
        self.settimeout(self.allowed())
        sent: int = super().send(*values)  # type: ignore[misc]
        return sent

    def sendall(self: Any, *values: Any) -> None:
        self.settimeout(self.allowed())
        super().sendall(*values)  # type: ignore[misc]


class TimedSocket(_Timed, socket.socket):
    """A TCP socket within the limits of its connection."""


class TimedTLSSocket(_Timed, ssl.SSLSocket):
    """The same below TLS; the limit of the handshake is the plain socket's timeout."""


class Connector:
    """Connects once, and says how long each step of the request may wait.

    A connection kept from an earlier call may be closed at the moment a request is
    written to it, and then nobody knows whether a paid request arrived. With
    `public`, it leads to public addresses only.
    """

    def __init__(self, service: Service, deadline: Deadline, *, public: bool) -> None:
        self._service = service
        self._deadline = deadline
        self._public = public
        self._hop = "connect"
        self._until = deadline
        self._pause_s = math.inf

    def connect(self, host: str, port: int) -> socket.socket:
        """Connect; raise UpstreamUnavailable, UpstreamTimeout or ForbiddenAddress."""
        limit = Deadline.after(self._deadline.within(self._service.connect_s))
        name = self._service.name
        try:
            connected = dial(host, port, limit.remaining(), public=self._public)
        except Forbidden:
            raise ForbiddenAddress(name) from None
        except TimeoutError:
            raise self._too_slow() from None
        except OSError:
            raise UpstreamUnavailable(name) from None
        connected.settimeout(max(0.001, limit.remaining()))
        return connected

    def connected(self, connection: object) -> None:
        """Note that TLS stands, too: from here on, the request is on its way."""
        # Connecting is a private method of urllib3's: were it renamed, any address
        # could be reached.
        if not isinstance(connection, _Timed):
            raise RuntimeError("urllib3 has made a connection that was not checked")
        self._hop = "first byte"
        self._until = Deadline.after(self._deadline.within(self._service.first_byte_s))
        connection.allowed = self._allowed

    def answered(self) -> None:
        """Note that the headers are there and the body follows."""
        self._hop = "idle"
        self._until = self._deadline
        self._pause_s = self._service.idle_s

    def _allowed(self) -> float:
        """Return the seconds that the next byte may take; raise TimeoutError."""
        left_s = self._until.within(self._pause_s)
        if left_s <= 0:
            raise TimeoutError
        return left_s

    def explain(self, error: Exception) -> UpstreamError:
        """Return what an error of requests, urllib3 or a socket means for the caller.

        How far the connection came decides, not the error's kind: before `connected`,
        nothing was sent.
        """
        if isinstance(error, (TimeoutError, PoolTimeoutError, requests.Timeout)):
            return self._too_slow()
        if self._hop == "connect":
            return UpstreamUnavailable(self._service.name)
        return UpstreamBroken(self._service.name, "the connection broke off")

    def _too_slow(self) -> UpstreamTimeout:
        """Name the limit that ran out."""
        limits = {
            "connect": self._service.connect_s,
            "first byte": self._service.first_byte_s,
            "idle": self._service.idle_s,
        }
        hop, allowed_s = self._hop, limits[self._hop]
        if self._deadline.passed():
            hop, allowed_s = "total", self._deadline.total_s
        sent = self._hop != "connect"
        return UpstreamTimeout(self._service.name, hop, allowed_s, sent)


def dial(host: str, port: int, timeout_s: float, *, public: bool) -> TimedSocket:
    """Connect to the first address of a name that answers within `timeout_s`.

    The name is resolved once and the connection goes to what was resolved, so an
    answer that changes afterwards (DNS rebinding) changes nothing. With `public`,
    all addresses must be public, or Forbidden is raised and nothing is tried.
    Raises TimeoutError and OSError like a socket; whoever calls closes the socket.
    """
    end = time.monotonic() + timeout_s
    places = resolve(host, port, timeout_s, public=public)
    if public and not all(is_public(str(place.address[0])) for place in places):
        raise Forbidden
    return _connect(places[:_MOST_TRIED], end)


def resolve(
    host: str, port: int, timeout_s: float, *, public: bool = False
) -> tuple[Place, ...]:
    """Return every address of a host; raise TimeoutError or OSError (`gaierror`).

    `getaddrinfo` has no timeout, so a thread waits for it that may be left behind, and
    there are only so many such threads.
    """
    end = time.monotonic() + timeout_s
    lookups = _LOOKUPS[public]
    if not lookups.acquire(timeout=timeout_s):
        raise TimeoutError("too many names are being resolved")
    answer: queue.SimpleQueue[list[Place] | OSError] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answer.put(_look_up(host, port))
        except OSError as error:
            answer.put(error)
        except UnicodeError:
            answer.put(socket.gaierror(socket.EAI_NONAME, "not a name"))
        finally:
            lookups.release()

    try:
        threading.Thread(target=ask, name="mimeo-resolver", daemon=True).start()
    except RuntimeError:
        lookups.release()
        raise
    try:
        found = answer.get(timeout=max(0.0, end - time.monotonic()))
    except queue.Empty:
        raise TimeoutError("the name was not resolved in time") from None
    if isinstance(found, OSError):
        raise found
    return tuple(found)


def _look_up(host: str, port: int) -> list[Place]:
    rows = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    if not rows:
        raise socket.gaierror(socket.EAI_NONAME, "the name has no address")
    return [Place(family, address) for family, _, _, _, address in rows]


def _connect(places: tuple[Place, ...], end: float) -> TimedSocket:
    """Try one after the other; each may use its share of the time that is left."""
    failure: OSError | None = None
    for index, place in enumerate(places):
        left = end - time.monotonic()
        if left <= 0:
            break
        connected = TimedSocket(place.family, socket.SOCK_STREAM)
        try:
            connected.settimeout(left / (len(places) - index))
            connected.connect(place.address)
        except OSError as error:
            connected.close()
            failure = error
        else:
            # Headers and body are two writes: Nagle's algorithm would hold the second
            # back until the first is acknowledged (RFC 9293, section 3.7.4).
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return connected
    raise failure or TimeoutError("no address was reached in time")
