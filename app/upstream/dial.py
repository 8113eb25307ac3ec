"""From a name to a connected socket, with every address looked at on the way."""

import queue
import socket
import threading
import time
from typing import Any, NamedTuple

from app.upstream.transport.addresses import is_public

# A name with more addresses than these is tried no further.
_MOST_TRIED = 4


class Forbidden(Exception):
    """One of the addresses of a name is not public."""


class Place(NamedTuple):
    """Where a socket connects to: family and the address as the kernel wants it."""

    family: socket.AddressFamily
    address: tuple[Any, ...]


def dial(host: str, port: int, timeout_s: float, *, public: bool) -> socket.socket:
    """Connect to the first address of a name that answers within `timeout_s`.

    The name is resolved once and the connection goes to what was resolved, so an
    answer that changes afterwards (DNS rebinding) changes nothing. With `public`,
    all addresses must be public, or Forbidden is raised and nothing is tried.
    Raises TimeoutError and OSError like a socket; whoever calls closes the socket.
    """
    end = time.monotonic() + timeout_s
    places = resolve(host, port, timeout_s)
    if public and not all(is_public(str(place.address[0])) for place in places):
        raise Forbidden
    return _connect(places[:_MOST_TRIED], end)


def resolve(host: str, port: int, timeout_s: float) -> tuple[Place, ...]:
    """Return every address of a host; raise TimeoutError or OSError (`gaierror`).

    `getaddrinfo` has no timeout, so a thread waits for it that may be left behind.
    """
    answer: queue.SimpleQueue[list[Place] | OSError] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answer.put(_look_up(host, port))
        except OSError as error:
            answer.put(error)
        except UnicodeError:
            answer.put(socket.gaierror(socket.EAI_NONAME, "not a name"))

    threading.Thread(target=ask, name="mimeo-resolver", daemon=True).start()
    try:
        found = answer.get(timeout=timeout_s)
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


def _connect(places: tuple[Place, ...], end: float) -> socket.socket:
    """Try one after the other; each may use its share of the time that is left."""
    failure: OSError | None = None
    for index, place in enumerate(places):
        left = end - time.monotonic()
        if left <= 0:
            break
        connected = socket.socket(place.family, socket.SOCK_STREAM)
        try:
            connected.settimeout(left / (len(places) - index))
            connected.connect(place.address)
        except OSError as error:
            connected.close()
            failure = error
        else:
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return connected
    raise failure or TimeoutError("no address was reached in time")
