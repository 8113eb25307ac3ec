"""What a job is: written once when it is submitted, and never changed."""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from math import ceil
from typing import Any

import orjson

from app.access.caller import Caller, Kind
from app.collection.collection import Header
from app.jobs.errors import DamagedJob

# Rows of a chunk: some seconds of drawing. What a killed process had begun with is
# drawn again, so that a small job has small ones. In a bucket each costs half a dozen
# requests, which take as long as an image.
_MOST_ROWS = 500
_FEWEST_ROWS, _CHUNKS = 25, 800
_FEWEST_ROWS_IN_BUCKET, _CHUNKS_IN_BUCKET = 50, 400
# Of large pictures fewer: a bucket gets the bytes of a chunk with one request.
_MOST_PIXELS = 100_000_000
# A service may take a minute for each.
_BOUGHT_ROWS = 20
# What an image takes beside its pixels, and each pixel of it: a card 0.03 to 0.06.
_IMAGE_BYTES = 768
_PIXEL_BYTES = 0.1
# A pixel of a photograph, and how much more than the photograph that was sent, which
# was compressed with losses, it may take; the second where the format has losses too.
_PHOTO_BYTES, _LOSSY_PHOTO_BYTES = 3.0, 1.0
_GROWTH, _LOSSY_GROWTH = 12, 2
_LOSSY = ("jpg", "webp", "avif")

# States that stay as they are.
ENDED = ("succeeded", "failed", "cancelled")


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Rows to be drawn in chunks of `size`, the last one smaller.

    `collection` is the id of the rows, `content` a digest of all that decides the
    result; `form` and `query` say how the whole is delivered. `kind`, `key_id` and
    `address` are who asked, `account` whose it is. `created` is in seconds since the
    epoch; `reserved` the bytes that it is expected to take. The end is told to the
    `webhook`. `batch` is what OpenAI's clients have said of it, where one sent it;
    `answer` says how a request for one image, or for those of a prompt, is answered.
    What the job `retry_of` has drawn is not drawn again. `trace` is the `traceparent`
    of the request that submitted it, where requests are traced.
    """

    id: str
    content: str
    collection: str
    count: int
    size: int
    form: str
    query: str
    format: str
    kind: Kind
    account: str
    key_id: str
    address: str
    created: float
    reserved: int
    webhook: str | None
    batch: Mapping[str, Any] | None = None
    retry_of: str | None = None
    trace: str | None = None
    answer: Mapping[str, Any] | None = None

    @property
    def chunks(self) -> int:
        """How many chunks there are."""
        return ceil(self.count / self.size)

    def rows(self, chunk: int) -> tuple[int, int]:
        """Return the numbers of a chunk's first and last row, from 1."""
        return chunk * self.size + 1, min((chunk + 1) * self.size, self.count)

    def encode(self) -> bytes:
        """Return it as JSON."""
        return orjson.dumps(asdict(self))

    @classmethod
    def decode(cls, data: bytes | memoryview) -> "Job":
        """Reverse `encode`; raise DamagedJob."""
        try:
            return cls(**known_fields(cls, orjson.loads(data)))
        except (ValueError, TypeError) as error:
            raise DamagedJob("The head of a job is damaged.") from error


def asked_by(caller: Caller) -> dict[str, Any]:
    """Return those members of a job that say who asked, and whose it is."""
    return {
        "kind": caller.kind,
        "account": caller.id,
        "key_id": "" if caller.key is None else caller.key.id,
        "address": caller.address,
    }


def known_fields(kind: type, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return those values that a dataclass has: a later version may have noted more."""
    names = [field.name for field in fields(kind) if field.name in values]
    return {name: values[name] for name in names}


def chunk_size(header: Header, *, bought: bool, store: str) -> int:
    """Return how many rows a chunk has; `bought` says that a service makes some.

    `store` is the setting: chunks of a bucket are larger.
    """
    if bought:
        return _BOUGHT_ROWS
    fewest, chunks = _FEWEST_ROWS, _CHUNKS
    if "://" in store:
        fewest, chunks = _FEWEST_ROWS_IN_BUCKET, _CHUNKS_IN_BUCKET
    few = min(max(fewest, header.count // chunks), _MOST_ROWS)
    pixels = max(1, header.pixels // header.count)
    return max(1, min(few, _MOST_PIXELS // pixels))


def expected_bytes(
    header: Header, rows_bytes: int, format_name: str, *, bought: bool
) -> int:
    """Return what a job is expected to take in the store, rows and images.

    Rather too much: images of services, and those that rows bring along, count as
    photographs.
    """
    lossy = format_name in _LOSSY
    photo = header.pixels * (_LOSSY_PHOTO_BYTES if lossy else _PHOTO_BYTES)
    if not bought:
        largest = max((length for _, length in header.assets.values()), default=0)
        growth = _LOSSY_GROWTH if lossy else _GROWTH
        photo = min(photo, header.count * largest * growth)
    drawn = header.count * _IMAGE_BYTES + header.pixels * _PIXEL_BYTES
    return rows_bytes + int(drawn + photo)


def digest(*parts: str) -> str:
    """Return 64 hexadecimal digits that name the parts, in their order."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
