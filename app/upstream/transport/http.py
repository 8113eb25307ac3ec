"""One request and its answer over one connection, within every limit.

Neither `requests.Session` nor a pool is used. A session adds what was never asked
for (cookies, `.netrc`, proxies, other codings), and reads the body of a redirect
whole even where redirects are not followed.
"""

import logging
import math
import queue
import socket
import ssl
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache, partial
from io import BytesIO
from types import MappingProxyType
from typing import Any, BinaryIO, NamedTuple

import requests
from requests.adapters import HTTPAdapter
from requests.utils import DEFAULT_CA_BUNDLE_PATH
from urllib3 import HTTPConnectionPool, HTTPResponse, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError
from urllib3.exceptions import TimeoutError as PoolTimeoutError

from app.upstream.errors import (
    BadMedia,
    ForbiddenAddress,
    TooLarge,
    UpstreamBroken,
    UpstreamError,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from app.upstream.resilience.retry import Deadline
from app.upstream.service import Service
from app.upstream.transport.addresses import is_public, origin

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


# An error's body is read for its message only.
MOST_OF_AN_ERROR = 64 * 1024
_BLOCK = 64 * 1024
# An answer in another coding would have to be inflated, within yet another limit.
_HEADERS = {
    "Accept-Encoding": "identity",
    "Connection": "close",
    "User-Agent": "mimeo",
}


@dataclass(frozen=True, slots=True)
class Received:
    """An answer; `body` is a file at its beginning.

    Names of `headers` are in lower case. The body of an answer of 400 and above
    ends after 64 KiB. Whoever receives it closes the file.
    """

    status: int
    content_type: str
    headers: Mapping[str, str]
    body: BinaryIO


class _Connection(HTTPConnection):
    """A connection whose socket comes from a connector.

    `_new_conn` is where urllib3's own SOCKS support puts its sockets, too. The name
    stays what it was for Host and for TLS; only the resolving is done elsewhere.
    """

    def __init__(self, *values: Any, connector: Connector, **named: Any) -> None:
        super().__init__(*values, **named)
        self._connector = connector

    def _new_conn(self) -> Any:
        return self._connector.connect(self.host, self.port)

    def connect(self) -> None:
        super().connect()
        self._connector.connected(self.sock)


class _SecureConnection(_Connection, HTTPSConnection):
    pass


class _Adapter(HTTPAdapter):
    """Sends over one connection."""

    def __init__(self, connector: Connector) -> None:
        super().__init__()
        self._connector = connector

    def get_connection_with_tls_context(
        self, request: requests.PreparedRequest, *_: Any, **__: Any
    ) -> HTTPConnectionPool:
        # Without a port, http.client looks for one in the host, and in ::1 finds 1.
        scheme, host, port = origin(str(request.url))
        pool, connection = HTTPConnectionPool(host, port), _Connection
        if scheme == "https":
            pool = HTTPSConnectionPool(host, port, ssl_context=roots())
            connection = _SecureConnection
        pool.ConnectionCls = partial(connection, connector=self._connector)  # type: ignore[assignment]
        return pool

    def cert_verify(self, *_: Any, **__: Any) -> None:
        """Leave the roots alone: the pool's context has them, read once."""


@cache
def roots() -> ssl.SSLContext:
    """Return the roots of the system (or `SSL_CERT_FILE`) and those of certifi."""
    context = ssl.create_default_context()
    context.load_verify_locations(DEFAULT_CA_BUNDLE_PATH)
    context.sslsocket_class = TimedTLSSocket
    return context


@cache
def _keep_addresses_out_of_logs() -> None:
    """Quieten urllib3, which logs whole URLs: the query of one may be a signature."""
    logging.getLogger("urllib3").setLevel(logging.ERROR)


def exchange(
    request: requests.Request,
    service: Service,
    deadline: Deadline,
    *,
    public: bool = False,
    limit: str = "max_wire_bytes",
    allowed: int | None,
) -> Received:
    """Send a request and return its answer, whatever its status; follow nothing.

    The body is at most `allowed` bytes long, or TooLarge names the `limit`; with None
    it is not read, and empty. Raises UpstreamError of every kind that a connection can
    cause.
    """
    _keep_addresses_out_of_logs()
    connector = Connector(service, deadline, public=public)
    try:
        prepared = request.prepare()
        prepared.headers.update(_HEADERS)
        with _Adapter(connector).send(prepared, stream=True) as answer:
            connector.answered()
            return _receive(answer, service.name, limit, allowed)
    except UpstreamError:
        raise
    except (requests.RequestException, HTTPError, OSError, UnicodeError) as error:
        # What these say holds hosts, URLs and headers, so they go no further.
        raise connector.explain(error) from None


def _receive(
    answer: requests.Response, upstream: str, limit: str, allowed: int | None
) -> Received:
    headers = MappingProxyType({k.lower(): v for k, v in answer.headers.items()})
    content_type = headers.get("content-type", "")
    if allowed is None:
        return Received(answer.status_code, content_type, headers, BytesIO())
    failed = answer.status_code >= 400
    if not failed:
        _check_coding(headers, upstream)
        if (answer.raw.length_remaining or 0) > allowed:
            raise TooLarge(upstream, limit, allowed)
    with ExitStack() as kept:
        body = kept.enter_context(tempfile.TemporaryFile())
        size = _copy(answer.raw, body, MOST_OF_AN_ERROR if failed else allowed + 1)
        if not failed and size > allowed:
            raise TooLarge(upstream, limit, allowed)
        body.seek(0)
        kept.pop_all()
    return Received(answer.status_code, content_type, headers, body)


def _check_coding(headers: Mapping[str, str], upstream: str) -> None:
    """Refuse what would have to be inflated: a few bytes may become gigabytes."""
    coding = headers.get("content-encoding", "").strip().lower()
    if coding not in ("", "identity"):
        raise BadMedia(upstream, "it is compressed, although that was not asked for")


def _copy(source: HTTPResponse, body: BinaryIO, most: int) -> int:
    """Write the first `most` bytes of a body to a file; return how many there were.

    By `read`, which leaves chunks to http.client: in older releases of urllib3,
    `stream` reads the line before a chunk whole, however long a stranger makes it.
    """
    size = 0
    while size < most and (block := source.read(_BLOCK, decode_content=False)):
        body.write(block[: most - size])
        size += len(block)
    return min(size, most)
