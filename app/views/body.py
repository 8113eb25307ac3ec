"""What the current request carries: its query, its body, an upload."""

from io import BytesIO

from flask import request
from werkzeug.datastructures import FileStorage
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.formparser import FormDataParser

from app.collection.ingest.upload import read_upload
from app.collection.ingest.writer import Draft
from app.config import Settings
from app.image_request import unique
from app.parsing.accept import JSON
from app.parsing.image import (
    MAX_FIELDS,
    BadBody,
    RequestBody,
    UnsupportedBody,
    read_json,
    read_pairs,
)
from app.renderer.catalogue import Catalogue
from app.renderer.errors import shorten


def read_body() -> RequestBody:
    _refuse_coding()
    if request.mimetype == "multipart/form-data":
        return _multipart()
    return RequestBody(request.mimetype, read_data())


def _refuse_coding() -> None:
    """Refuse a compressed body (RFC 9110, 8.4): it would be read as it stands."""
    coding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if coding != "identity":
        raise UnsupportedBody("The body must have no Content-Encoding.")


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
        stream_factory=lambda *_, **__: BytesIO(),
        max_form_memory_size=request.max_content_length,
        max_content_length=request.max_content_length,
        max_form_parts=MAX_FIELDS,
        silent=False,
    )
    try:
        _, form, files = parser.parse(
            request.stream,
            request.mimetype,
            request.content_length,
            request.mimetype_params,
        )
    except ValueError as error:
        raise BadBody(f"The body is not multipart/form-data: {error}") from error
    except RequestEntityTooLarge as error:
        if (request.content_length or 0) > (request.max_content_length or 0):
            raise
        raise BadBody(f"There are more than {MAX_FIELDS} fields.") from error
    if None in form or None in files:
        raise BadBody("A part of the body has no name.")
    texts = tuple(_utf8(*pair) for pair in form.items(multi=True))
    contents = [_content(*pair) for pair in files.items(multi=True)]
    # A form in a browser sends a file that nobody chose as an empty one.
    chosen = tuple((name, data) for name, data, file in contents if data or file)
    return RequestBody(request.mimetype, b"", texts, chosen)


def _content(name: str, file: FileStorage) -> tuple[str, bytes, str]:
    return name, file.read(), file.filename or ""


def _utf8(name: str, text: str) -> tuple[str, str]:
    """Refuse U+FFFD, as which Werkzeug shows what was not UTF-8."""
    if "\ufffd" in name + text:
        raise BadBody(f"The field {shorten(name)!r} is not UTF-8.")
    return name, text


def read_document() -> dict[str, object]:
    """Return the JSON object of a request's body."""
    if request.mimetype != JSON:
        raise UnsupportedBody(f"{request.path} takes {JSON}.")
    _refuse_coding()
    return read_json(read_data())


def receive(
    catalogue: Catalogue, settings: Settings, own: tuple[str, ...] = ()
) -> tuple[Draft, dict[str, str]]:
    """Read the collection that the current request sends; the caller closes it.

    `own` are names in the query that belong to the delivery: they are returned as
    the second value.
    """
    _refuse_coding()
    pairs = read_pairs(request.query_string)
    delivery = unique(pair for pair in pairs if pair[0] in own)
    draft = read_upload(
        request.environ["wsgi.input"],
        request.headers.get("Content-Type", ""),
        [pair for pair in pairs if pair[0] not in own],
        catalogue,
        settings,
        request.content_length,
    )
    return draft, delivery
