"""Responses whose headers are final: bytes, parts of them, JSON, and streams.

A stream is made while it is sent, and so is whole or visibly broken off. Only two
signs of a broken answer reach every client: fewer bytes than Content-Length, and a
chunked body without its end. gunicorn gives the second when the body raises; the
first needs the count kept here, because a body that merely ends early leaves a kept
connection hanging.
"""

import gzip
import hashlib
import select
import socket
from collections.abc import (
    Callable,
    Generator,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from typing import Any

import orjson
from flask import Response
from werkzeug.datastructures import Headers

from app.delivery.conditional import (
    NOT_MODIFIED,
    Conditions,
    Representation,
    precondition,
    select_range,
)
from app.delivery.errors import PreconditionFailed, RangeNotSatisfiable
from app.media import pieces
from app.parsing.accept import JSON, accepts_gzip

Pair = tuple[str, str]
# No word or list takes the room of other headers: all of them stay below 4 KiB.
_MOST_TOKEN, _MOST_LIST = 200, 400
# What is said of those left out takes so many bytes.
_MORE = len(", more;count=9999999")
# A byte of these goes out for every tick of waiting: 64 ticks of 6 s are more than
# any drawing may take.
_RESERVE = 64


class BrokenStream(Exception):
    """A body could not be finished; the connection is broken off."""


class Answer(Response):
    """A response whose headers are complete and known to be valid.

    Werkzeug copies and checks every header twice on the way out: making and sending
    a 304 takes 11.6 us its way and 3.5 us this way. The body's `close` is called
    when the server is done with it.
    """

    default_mimetype = None
    automatically_set_content_length = False

    def __init__(
        self, status: str, pairs: Iterable[Pair], body: Iterable[bytes]
    ) -> None:
        headers = Headers()
        headers._list.extend(pairs)
        super().__init__(body, status, headers)

    def get_wsgi_headers(self, environ: Mapping[str, Any]) -> Headers:
        """Return the headers as they are."""
        return self.headers


def send_bytes(
    environ: Mapping[str, Any],
    current: Representation,
    data: bytes | memoryview,
    pairs: Iterable[Pair],
) -> Answer:
    """Return bytes, or the range of them that was asked for.

    Raises RangeNotSatisfiable.
    """
    status, place, start, stop = choose_part(environ, current, len(data))
    # All of bytes is the very same object: nothing is copied.
    part = data[start:stop]
    return Answer(status, (*pairs, *place, _length(stop - start)), _body(part))


def choose_part(
    environ: Mapping[str, Any], current: Representation, length: int
) -> tuple[str, tuple[Pair, ...], int, int]:
    """Return the status, the header and the bounds of the bytes asked for.

    Everything where no range counts (RFC 9110, 14.2). Raises RangeNotSatisfiable.
    """
    decision = select_range(Conditions.from_environ(environ), current, length)
    if decision.status == 416:
        raise RangeNotSatisfiable(length)
    if decision.span is None:
        return "200 OK", (), 0, length
    start, stop = decision.span
    place = ("Content-Range", f"bytes {start}-{stop - 1}/{length}")
    return "206 PARTIAL CONTENT", (place,), start, stop


def send_whole(data: bytes | memoryview, pairs: Iterable[Pair]) -> Answer:
    """Return all of the bytes."""
    return Answer("200 OK", (*pairs, _length(len(data))), _body(data))


def send_json(
    value: object, status: str = "200 OK", pairs: Iterable[Pair] = ()
) -> Answer:
    """Return a JSON document that no cache keeps unless `pairs` say otherwise."""
    given = tuple(pairs)
    kept = any(name == "Cache-Control" for name, _ in given)
    fixed = () if kept else (("Cache-Control", "no-store"),)
    data = orjson.dumps(value)
    whole = (("Content-Type", JSON), *fixed, *given, _length(len(data)))
    return Answer(status, whole, (data,))


def send_redirect(location: str, pairs: Iterable[Pair] = ()) -> Answer:
    """Return a redirect to a place that is said from here, and so names no host."""
    fixed = (("Location", location), ("Cache-Control", "no-cache"), _length(0))
    return Answer("308 PERMANENT REDIRECT", (*fixed, *pairs), ())


def compress(data: bytes) -> bytes:
    """Return bytes in gzip (RFC 1952); equal ones of equal bytes."""
    return gzip.compress(data, compresslevel=6, mtime=0)


def send_page(
    environ: Mapping[str, Any],
    data: bytes,
    media_type: str,
    kept: str = "no-cache",
    packed: Callable[[], bytes] | None = None,
) -> Answer:
    """Return a page that may change; a cache that has it asks whether it still is.

    The entity tag is the digest of the bytes, `kept` the Cache-Control. `packed`
    returns the bytes in gzip, for those who accept it. Raises PreconditionFailed.
    """
    coding: tuple[Pair, ...] = ()
    if packed is not None:
        coding = (("Vary", "Accept-Encoding"),)
        if accepts_gzip(environ.get("HTTP_ACCEPT_ENCODING")):
            # RFC 9110, 8.8.3: another coding is another representation, with its tag.
            data, coding = packed(), (*coding, ("Content-Encoding", "gzip"))
    tag = f'"{hashlib.sha256(data).hexdigest()[:32]}"'
    validators = (("ETag", tag), ("Cache-Control", kept))
    decision = precondition(Conditions.from_environ(environ), Representation(tag))
    if decision is NOT_MODIFIED:
        return Answer("304 NOT MODIFIED", (*validators, *coding[:1]), ())
    if decision is not None:
        raise PreconditionFailed
    return send_whole(data, (("Content-Type", media_type), *validators, *coding))


def stream(
    status: str,
    pairs: Iterable[Pair],
    chunks: Iterator[bytes],
    length: int | None,
    finish: Callable[[], None],
) -> Answer:
    """Return the chunks as an answer; the first is made before the headers leave.

    An empty chunk says that the next is not made yet. `length` is the number of
    bytes where it is known; `finish` is called once, when the server is done with the
    answer or it could not begin. Raises what making the first chunk raises.
    """
    body = _StreamBody(chunks, length, finish)
    try:
        body.first = next(body.chunks, b"")
    except BaseException:
        body.close()
        raise
    known = () if length is None else (_length(length),)
    # nginx would fill its disk ahead of a slow client, and the server draw on.
    passing = ("X-Accel-Buffering", "no")
    return Answer(status, (*pairs, *known, passing), body)


def delivered(
    body: Iterable[bytes], connection: socket.socket | None, finish: Callable[..., None]
) -> Iterator[bytes]:
    """Yield a body, and tell `finish` whether it `arrived`.

    It has where the client was there before it and took the last of its bytes.
    Afterwards it may have closed the connection because it has all.
    """
    arrived = False
    try:
        there = connection is None or not _is_closed(connection)
        yield from body
        arrived = there
    finally:
        finish(arrived=arrived)


def _is_closed(connection: socket.socket) -> bool:
    """Tell whether the other side has ended the connection, without waiting."""
    look = select.poll()
    try:
        look.register(connection, select.POLLIN)
        return bool(look.poll(0)) and not connection.recv(1, socket.MSG_PEEK)
    except ConnectionError:
        return True
    except (OSError, ValueError):
        # A connection under TLS cannot be peeked at.
        return False


def steady(chunks: Iterable[bytes]) -> Generator[bytes]:
    """Hold the last bytes back and send one of them at each empty chunk.

    The bytes are the same in the end, no connection is silent for long, and a
    client that left is noticed while an image is drawn.
    """
    held = b""
    for chunk in chunks:
        if chunk:
            ready = held + chunk
            cut = max(len(ready) - _RESERVE, 0)
            held = ready[cut:]
        else:
            ready, cut = held, min(len(held), 1)
            held = held[1:]
        if cut:
            yield ready[:cut]
    if held:
        yield held


class _StreamBody:
    """An iterator of bytes that keeps count and lets nothing pass for an end."""

    def __init__(
        self, chunks: Iterator[bytes], length: int | None, finish: Callable[[], None]
    ) -> None:
        self.chunks = steady(chunks)
        self.first = b""
        self._left = length
        self._finish: Callable[[], None] | None = finish

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            chunk = self.first or next(self.chunks)
        except StopIteration:
            if self._left:
                raise BrokenStream(f"{self._left} bytes are missing") from None
            raise
        except OSError as error:
            # gunicorn takes an OSError for one of its own socket, and keeps silent.
            raise BrokenStream(str(error)) from error
        self.first = b""
        if self._left is not None:
            self._left -= len(chunk)
        return chunk

    def close(self) -> None:
        """End the work, wherever it stands."""
        finish, self._finish = self._finish, None
        if finish is None:
            return
        try:
            self.chunks.close()
        finally:
            finish()


def token(value: object, most: int = _MOST_TOKEN) -> str:
    """Spell a word of others as a header can hold it (RFC 9110, 5.5)."""
    text = str(value)[: min(most, _MOST_TOKEN)]
    return "".join(c if c.isascii() and c.isprintable() else "?" for c in text)


def list_of(values: Sequence[object], most: int = _MOST_LIST) -> str:
    """List tokens (RFC 9651, 3.1) in so many bytes, 400 by default.

    What does not fit is counted.
    """
    shown: list[str] = []
    left = most - _MORE
    for value in values:
        word = token(value)
        left -= len(word) + len(", ")
        if left < 0:
            shown.append(f"more;count={len(values) - len(shown)}")
            break
        shown.append(word)
    return ", ".join(shown)


def _body(data: bytes | memoryview) -> Iterable[bytes]:
    """Return the body; what is in a file is copied in pieces on its way."""
    return (data,) if isinstance(data, bytes) else pieces(data)


def _length(size: int) -> Pair:
    return "Content-Length", str(size)
