"""What HTTP/1.1 asks of a request whatever it is for: its host, its body's frame."""

import io
import re
from contextlib import suppress
from ipaddress import AddressValueError, IPv6Address
from typing import Any

from app.parsing.image import BadBody

# RFC 9110, section 7.2, with the host of RFC 3986, section 3.2.2: a literal in
# brackets, or a name. Without the comma, by which gunicorn joins two Host lines.
_HOST = re.compile(
    r"(?:\[(?P<literal>[0-9A-Fa-f:.]{2,45})\]"
    r"|(?:[A-Za-z0-9._~!$&'()*+;=-]|%[0-9A-Fa-f]{2}){1,255})(?::[0-9]{0,5})?"
)
_LENGTH = re.compile(r"[0-9]{1,18}")
_VERSIONS = ("HTTP/1.0", "HTTP/1.1")


def check(request: Any) -> None:
    """Raise BadBody for a bad head; put a stream that checks before the body.

    `request` has an `environ` of WSGI.
    """
    environ: dict[str, Any] = request.environ
    version = environ.get("SERVER_PROTOCOL", "HTTP/1.1")
    if version not in _VERSIONS:
        raise BadBody("The version is neither HTTP/1.1 nor HTTP/1.0.")
    host = environ.get("HTTP_HOST")
    # RFC 9112, section 3.2: whoever speaks 1.1 has to send it.
    if host is None and version == "HTTP/1.1":
        raise BadBody("The header Host is missing.")
    if host is not None and not _is_host(host):
        raise BadBody("The header Host is not a host with or without a port.")
    length = environ.get("CONTENT_LENGTH") or None
    if length is not None and not _LENGTH.fullmatch(length):
        raise BadBody("The header Content-Length is not a length.")
    expected = None if length is None else int(length)
    body = _FramedBody(environ["wsgi.input"], expected)
    environ["wsgi.input"] = io.BufferedReader(body)


def _is_host(text: str) -> bool:
    found = _HOST.fullmatch(text)
    if found is None or found["literal"] is None:
        return found is not None
    try:
        IPv6Address(found["literal"])
    except AddressValueError:
        return False
    return True


def _be_silent(size: int = -1) -> bytes:
    raise TimeoutError


class _FramedBody(io.RawIOBase):
    """Raises BadBody where a body is not framed as its head says (RFC 9112, 6 to 8)."""

    def __init__(self, stream: Any, expected: int | None) -> None:
        self._stream = stream
        self._left = expected

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        size = len(buffer) if self._left is None else min(len(buffer), self._left)
        try:
            block: bytes = self._stream.read(size)
        except Exception as error:
            # gunicorn's own classes, for a bad chunk, a reset, a client gone silent.
            # It would take what follows for the next request: silence makes it close.
            with suppress(AttributeError):
                self._stream.read = _be_silent
            raise BadBody(f"The body is broken off or badly framed: {error}") from error
        buffer[: len(block)] = block
        if self._left is not None:
            self._left -= len(block)
            if size and not block:
                reason = f"{self._left:,} bytes before its Content-Length"
                raise BadBody(f"The body ended {reason}.")
        return len(block)
