"""What the current request carries: a frame that is checked, its body, an upload."""

import io
import os
import re
import tempfile
from collections.abc import Container, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from functools import lru_cache
from ipaddress import AddressValueError, IPv6Address
from typing import IO, Any, NamedTuple

from flask import request
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.formparser import FormDataParser

from app.collection.ingest.preview import Preview
from app.collection.ingest.upload import read_upload
from app.collection.ingest.writer import Draft
from app.config import Settings
from app.delivery.answer import Pair
from app.delivery.terms import say_ignored
from app.image_request import unique
from app.parsing.accept import JSON
from app.parsing.content_coding import (
    UnpackedBody,
    UnsupportedCoding,
    is_packed,
    is_readable,
)
from app.parsing.image import (
    MAX_FIELDS,
    BadBody,
    BodyTooLarge,
    RequestBody,
    UnsupportedBody,
    read_json,
    read_pairs,
    told_type,
)
from app.parsing.prefer import FOR_A_JOB
from app.parsing.tracking import part
from app.renderer.catalogue import Catalogue
from app.renderer.errors import BadParameter, Fault, shorten
from app.serving.errors import SlowRequest, UnknownCoding

# RFC 9110, section 7.2, with the host of RFC 3986, section 3.2.2: a literal in
# brackets, or a name. Without the comma, by which gunicorn joins two Host lines.
_HOST = re.compile(
    r"(?:\[(?P<literal>[0-9A-Fa-f:.]{2,45})\]"
    r"|(?:[A-Za-z0-9._~!$&'()*+;=-]|%[0-9A-Fa-f]{2}){1,255})(?::(?P<port>[0-9]{0,5}))?"
)
_MOST_PORT = 65_535
_LENGTH = re.compile(r"[0-9]{1,18}")
# Of fields beside a file; the parser counts what it reads at a time, too.
_MOST_FIELD = 1 << 20
# What JSON may say of a delivery, where it is for another.
_MEANT_FOR = {"sheet": "is for a collection as PDF", "webhook": FOR_A_JOB}
_VERSIONS = ("HTTP/1.0", "HTTP/1.1")


def check_frame() -> None:
    """Raise BadBody where the request is not framed as HTTP/1.1 asks (RFC 9112).

    Its host and length are looked at now, its body as it is read. What the server has
    found before, it is raised here.
    """
    environ = request.environ
    if "mimeo.error" in environ:
        raise environ["mimeo.error"]
    version = environ["SERVER_PROTOCOL"]
    if version not in _VERSIONS:
        raise BadBody("The version is neither HTTP/1.1 nor HTTP/1.0.")
    host = environ.get("HTTP_HOST")
    # RFC 9112, section 3.2: whoever speaks 1.1 has to send it.
    if host is None and version == "HTTP/1.1":
        raise BadBody("The header Host is missing.")
    if host is not None and not _is_host(host):
        raise BadBody("The header Host is not a host with or without a port.")
    # gunicorn passes gzip by, and hands on what is packed still (RFC 9112, 6.1).
    coding = environ.get("HTTP_TRANSFER_ENCODING", "chunked")
    if coding.strip().lower() != "chunked":
        raise UnknownCoding
    length = environ.get("CONTENT_LENGTH") or None
    if length is None and "HTTP_TRANSFER_ENCODING" not in environ:
        return
    if length is not None and not _LENGTH.fullmatch(length):
        raise BadBody("The header Content-Length is not a length.")
    expected = None if length is None else int(length)
    body: io.RawIOBase = _FramedBody(environ["wsgi.input"], expected)
    packed = environ.get("HTTP_CONTENT_ENCODING", "")
    if is_packed(packed):
        # What is in it has a length that nobody knows, and no coding.
        body = UnpackedBody(io.BufferedReader(body), packed)
        environ["wsgi.input_terminated"] = True
        for name in ("HTTP_CONTENT_ENCODING", "CONTENT_LENGTH"):
            environ.pop(name, None)
    environ["wsgi.input"] = io.BufferedReader(body)


@lru_cache(256)
def _is_host(text: str) -> bool:
    found = _HOST.fullmatch(text)
    if found is None or int(found["port"] or 0) > _MOST_PORT:
        return False
    if found["literal"] is None:
        return True
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
        except SlowRequest:
            raise
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


def read_body() -> RequestBody:
    """Return the body of whatever type, or its parts."""
    _refuse_coding()
    if request.mimetype == "multipart/form-data":
        return _multipart()
    charset = request.mimetype_params.get("charset") or None
    data = read_data()
    return RequestBody(told_type(request.mimetype, data), data, charset=charset)


def _refuse_coding() -> None:
    """Refuse a body in a coding that `check_frame` does not unpack (RFC 9110, 8.4)."""
    if not is_readable(request.headers.get("Content-Encoding", "")):
        raise UnsupportedCoding


def read_data() -> bytes:
    """Return the body whole; not by Werkzeug, which cuts a chunked one at the limit."""
    most = request.max_content_length or 0
    data: bytes = b""
    if (request.content_length or 0) <= most:
        data = request.environ["wsgi.input"].read(most + 1)
    if (request.content_length or len(data)) > most:
        raise RequestEntityTooLarge
    return data


def _multipart() -> RequestBody:
    """Read the parts; Werkzeug's own way takes a broken body for an empty one."""
    parser = FormDataParser(
        # The body is bounded: a file of its own would only have to be closed.
        stream_factory=lambda *_, **__: io.BytesIO(),
        max_form_memory_size=request.max_content_length,
        max_content_length=request.max_content_length,
        max_form_parts=MAX_FIELDS,
        silent=False,
    )
    most = request.max_content_length or 0
    stream: Any = _Counted(request.environ["wsgi.input"], most, RequestEntityTooLarge())
    try:
        _, form, files = parser.parse(
            stream,
            request.mimetype,
            request.content_length,
            request.mimetype_params,
        )
    except ValueError as error:
        raise BadBody(f"The body is not multipart/form-data: {error}") from error
    except RequestEntityTooLarge as error:
        if stream.left < 0 or (request.content_length or 0) > most:
            raise
        raise BadBody(f"There are more than {MAX_FIELDS} fields.") from error
    if None in form or None in files:
        raise BadBody("A part of the body has no name.")
    texts = tuple(_utf8(*pair) for pair in form.items(multi=True))
    # A form in a browser sends a file that nobody chose as an empty one.
    chosen = tuple(
        (name, data)
        for name, file in files.items(multi=True)
        if (data := file.read()) or file.filename
    )
    return RequestBody(request.mimetype, b"", texts, chosen)


def _utf8(name: str, text: str) -> tuple[str, str]:
    """Refuse U+FFFD, as which Werkzeug shows what was not UTF-8."""
    if "\ufffd" in name + text:
        raise BadBody(
            f"The field {shorten(name)!r} is not UTF-8; a part that is a file needs a"
            " filename in its Content-Disposition."
        )
    return name, text


class SentFile(NamedTuple):
    """A file beside the fields of a form; `data` is open while the body runs."""

    name: str
    data: IO[bytes]
    size: int
    fields: dict[str, str]


@contextmanager
def receive_file(field: str, most: int) -> Iterator[SentFile]:
    """Read a form with one file, that is not held in memory, of `most` bytes.

    Raises UnsupportedBody, BadBody, BodyTooLarge, and BadParameter where the form has
    no such file, or others.
    """
    if request.mimetype != "multipart/form-data":
        raise UnsupportedBody(f"{request.path} takes multipart/form-data.")
    _refuse_coding()
    # Fields and boundaries take some more.
    bound = most + (request.max_content_length or 0)
    if (request.content_length or 0) > bound:
        raise BodyTooLarge("of a file", most)
    too_large = BodyTooLarge("of a file", most)
    stream: Any = _Counted(request.environ["wsgi.input"], bound, too_large)
    with ExitStack() as stack:

        def place(*_: Any, **__: Any) -> IO[bytes]:
            return stack.enter_context(tempfile.TemporaryFile("w+b"))

        parser = FormDataParser(
            stream_factory=place,
            max_form_memory_size=_MOST_FIELD,
            max_form_parts=MAX_FIELDS,
            silent=False,
        )
        try:
            _, form, files = parser.parse(
                stream, request.mimetype, None, request.mimetype_params
            )
        except ValueError as error:
            reason = f"The body is not multipart/form-data: {error}"
            raise BadBody(reason) from error
        except RequestEntityTooLarge as error:
            raise BadBody("A field is too long, or there are too many.") from error
        fields = unique(_utf8(*pair) for pair in form.items(multi=True))
        sent = list(files.items(multi=True))
        if [name for name, _ in sent] != [field]:
            raise BadParameter(Fault(field, "has to be one file"))
        file = sent[0][1]
        size = file.stream.seek(0, os.SEEK_END)
        if size > most:
            raise BodyTooLarge("of a file", most)
        yield SentFile(file.filename or field, file.stream, size, fields)


class _Counted:
    """Hands a body on; raises an error beyond its bound, whatever its length says."""

    def __init__(self, stream: Any, bound: int, error: Exception) -> None:
        self._stream = stream
        self._error = error
        self.left = bound

    def read(self, size: int = -1) -> bytes:
        data: bytes = self._stream.read(size)
        self.left -= len(data)
        if self.left < 0:
            raise self._error
        return data


def read_query() -> dict[str, str]:
    """Return the query of the request; raise BadBody, or BadParameter for a twin."""
    return unique(read_pairs(request.query_string))


def refuse_query() -> None:
    """Raise BadParameter for whatever the query says, where it can say nothing."""
    reason = "is not known: nothing can be said in the query here"
    faults = [Fault(name, reason) for name in read_query()]
    if faults:
        raise BadParameter(*faults)


def refuse_words(tracking: tuple[str, ...]) -> tuple[Pair, ...]:
    """Return the header that names what a query has that counts for nothing.

    Raises BadParameter for whatever else it says, where it can say nothing.
    """
    kept, ignored = read_link((), tracking)
    if kept:
        refuse_query()
    return say_ignored(ignored)


def pass_over_query() -> tuple[Pair, ...]:
    """Return the header that names all of a query: none of it counts.

    For whoever watches over a server, or speaks another's dialect: they add names of
    their own, and would take a refusal for a fault.
    """
    return say_ignored(tuple(dict(read_pairs(request.query_string))))


def read_link(
    own: Container[str], tracking: tuple[str, ...]
) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return the query of a link, and the names in it that count for nothing.

    Those are what others append, apart from the `own`. Raises as `read_query`.
    """
    kept, ignored = part(read_pairs(request.query_string), own, tracking)
    return unique(kept), ignored


def read_document() -> dict[str, object]:
    """Return the JSON object of a request's body."""
    body = read_body()
    if body.mimetype != JSON:
        raise UnsupportedBody(f"{request.path} takes {JSON}.")
    return read_json(body.data, body.charset)


def receive(
    catalogue: Catalogue,
    settings: Settings,
    own: tuple[str, ...] = (),
    preview: Preview | None = None,
) -> tuple[Draft, dict[str, Any]]:
    """Read the collection that the current request sends; the caller closes it.

    `own` are names in the query that belong to the delivery: they are returned as
    the second value, with what JSON says of it. A `preview` takes note of the worst
    rows. Raises what `read_upload` raises.
    """
    _refuse_coding()
    pairs = read_pairs(request.query_string)
    delivery: dict[str, Any] = unique(pair for pair in pairs if pair[0] in own)
    draft = read_upload(
        request.environ["wsgi.input"],
        request.headers.get("Content-Type", ""),
        [pair for pair in pairs if pair[0] not in own],
        catalogue,
        settings,
        request.content_length,
        preview,
    )
    for name, value in draft.delivery.items():
        reason = _misplaced(name, value, own, delivery)
        if reason is not None:
            draft.close()
            raise BadParameter(Fault(name, reason))
        delivery[name] = value
    return draft, delivery


def _misplaced(
    name: str, value: object, own: tuple[str, ...], given: Mapping[str, Any]
) -> str | None:
    """Return what is wrong with what JSON says of the delivery, or None."""
    if name in given:
        return "is given twice"
    if name in own:
        return None if isinstance(value, str) else "must be a text"
    if not any(each.startswith(f"{name}[") for each in own):
        return _MEANT_FOR[name]
    return None if isinstance(value, dict) else "must be an object"
