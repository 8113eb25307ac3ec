"""The body that a collection is made of, counted as it is read."""

from typing import BinaryIO
from urllib.parse import urlencode

from flask import request
from werkzeug.exceptions import RequestEntityTooLarge

from app.collection.ingest.upload import read_upload
from app.collection.ingest.writer import Draft
from app.config import Settings
from app.image_request import unique
from app.parsing.image import BadBody, read_pairs
from app.renderer.catalogue import Catalogue
from app.views.images import raw_query, refuse_coding


class UploadTooLarge(RequestEntityTooLarge):
    """The upload is over the limit; `allowed` is in bytes."""

    limit = "MIMEO_MAX_COLLECTION_BYTES"

    def __init__(self, allowed: int) -> None:
        super().__init__()
        self.allowed = allowed


class _Upload:
    """Hands a body on; raises where it has too many bytes, or fewer than it said."""

    def __init__(self, stream: BinaryIO, expected: int | None, most: int) -> None:
        if expected is not None and expected > most:
            raise UploadTooLarge(most)
        self._stream = stream
        self._expected = expected
        self._most = most
        self._taken = 0

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes, none at the end."""
        block = self._stream.read(size)
        self._taken += len(block)
        if self._taken > self._most:
            raise UploadTooLarge(self._most)
        if size and not block and self._expected not in (None, self._taken):
            raise BadBody(f"The body ended after {self._taken:,} bytes.")
        return block


def receive(
    catalogue: Catalogue, settings: Settings, own: tuple[str, ...] = ()
) -> tuple[Draft, dict[str, str]]:
    """Read the collection that the current request sends; the caller closes it.

    `own` are names in the query that belong to the delivery: they are returned as
    the second value.
    """
    refuse_coding()
    pairs = read_pairs(raw_query())
    delivery = unique(pair for pair in pairs if pair[0] in own)
    query = urlencode([pair for pair in pairs if pair[0] not in own]).encode()
    most = settings.max_collection_bytes
    stream = _Upload(request.environ["wsgi.input"], request.content_length, most)
    kind = request.headers.get("Content-Type", "")
    return read_upload(stream, kind, query, catalogue, settings), delivery
