"""Responses whose headers are final: bytes, parts of them, JSON documents."""

import hashlib
from collections.abc import Iterable, Mapping
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
from app.parsing.accept import JSON

Pair = tuple[str, str]


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


def send_page(
    environ: Mapping[str, Any], data: bytes, media_type: str, kept: str = "no-cache"
) -> Answer:
    """Return a page that may change; a cache that has it asks whether it still is.

    The entity tag is the digest of the bytes, `kept` the Cache-Control. Raises
    PreconditionFailed.
    """
    tag = f'"{hashlib.sha256(data).hexdigest()[:32]}"'
    validators = (("ETag", tag), ("Cache-Control", kept))
    decision = precondition(Conditions.from_environ(environ), Representation(tag))
    if decision is NOT_MODIFIED:
        return Answer("304 NOT MODIFIED", validators, ())
    if decision is not None:
        raise PreconditionFailed
    return send_whole(data, (("Content-Type", media_type), *validators))


def _body(data: bytes | memoryview) -> Iterable[bytes]:
    """Return the body; what is in a file is copied in pieces on its way."""
    return (data,) if isinstance(data, bytes) else pieces(data)


def _length(size: int) -> Pair:
    return "Content-Length", str(size)
