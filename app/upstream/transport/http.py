"""One request and its answer over one connection, within every limit.

Neither `requests.Session` nor a pool is used. A session adds what was never asked
for (cookies, `.netrc`, proxies, other codings), and reads the body of a redirect
whole even where redirects are not followed.
"""

import logging
import ssl
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache, partial
from types import MappingProxyType
from typing import Any, BinaryIO

import requests
from requests.adapters import HTTPAdapter
from requests.utils import DEFAULT_CA_BUNDLE_PATH
from urllib3 import HTTPConnectionPool, HTTPResponse, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError

from app.upstream.errors import BadMedia, TooLarge, UpstreamError
from app.upstream.resilience.retry import Deadline
from app.upstream.service import Service
from app.upstream.transport.addresses import origin
from app.upstream.transport.connection import Connector, TimedTLSSocket

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
    """An answer, whole and unread; `body` is a temporary file at its beginning.

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
    allowed: int,
) -> Received:
    """Send a request and return its answer, whatever its status; follow nothing.

    The body is at most `allowed` bytes long, or TooLarge names the `limit`. Raises
    UpstreamError of every kind that a connection can cause.
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
    answer: requests.Response, upstream: str, limit: str, allowed: int
) -> Received:
    headers = MappingProxyType({k.lower(): v for k, v in answer.headers.items()})
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
    content_type = headers.get("content-type", "")
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
