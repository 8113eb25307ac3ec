"""The address that the server listens on."""

import errno
import socket
import sys
from contextlib import closing

# How many ports are tried upwards from the one asked for.
_TRIES = 100


class PortTaken(OSError):
    """Another program listens on this port."""


class CannotListen(Exception):
    """The address cannot be had; the text says why and what to do."""


def address(host: str, port: int) -> str:
    """Write host and port as a URL has them: an IPv6 address stands in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket, which the caller closes.

    Raises PortTaken, and OSError where the address cannot be used at all.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        # Or a server that was just stopped keeps its port for a minute (TIME_WAIT).
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen()
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise PortTaken(*error.args) from error
        raise
    return listener


def open_listener(host: str, port: int, *, fixed: bool) -> socket.socket:
    """Return the socket to serve from; say so where it is not on the port wanted.

    A port in use is an error if it is `fixed`; else the next free one is taken.
    Raises CannotListen.
    """
    last = port if fixed else min(port + _TRIES - 1, 65535)
    for found in range(port, last + 1):
        try:
            listener = listen(host, found)
        except PortTaken:
            continue
        except OSError as error:
            place = address(host, port)
            reason = f"cannot listen on {place}: {error.strerror}."
            raise CannotListen(reason) from error
        if found != port:
            print(f"Port {port} is taken; using {found}.", file=sys.stderr, flush=True)
        return listener
    raise CannotListen(
        f"port {port} is taken on {host}. Stop the program that listens there,"
        " or choose another: mimeo serve --port 8001, or PORT=8001."
    )


def is_free(host: str, port: int) -> bool:
    """Say whether a server could listen here now."""
    try:
        with closing(listen(host, port)):
            return True
    except PortTaken:
        return False
