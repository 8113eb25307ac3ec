"""JSON that holds images as base64, in memory no larger than a block of one.

Base64 of an image is a third larger than it, and a JSON library would hold image,
base64 and document at once. Here small documents are bytes, and large ones are
written piece by piece to a file that is then mapped.
"""

import secrets
import tempfile
from collections.abc import Iterator
from itertools import zip_longest

import orjson
import pybase64

from app.store import mapped

Data = bytes | memoryview
# A multiple of three: pieces of base64 join without padding between them.
_STEP = 3 << 16


def embed(document: object) -> Data:
    """Return a document as JSON; bytes and views in it become base64.

    From 1 MiB of them on, the JSON is a view of a file that is gone when nobody looks.
    """
    token = secrets.token_hex(16)
    found: list[Data] = []

    def slot(value: object) -> str:
        if not isinstance(value, (bytes, memoryview)):
            raise TypeError(f"{type(value).__name__} is no JSON")
        found.append(value)
        return token

    frame = orjson.dumps(document, default=slot).split(token.encode())
    pieces = _interleave(frame, found)
    if sum(map(len, found)) < mapped.LARGE:
        return b"".join(pieces)
    # Without a name: the system takes it back when the view goes.
    with tempfile.TemporaryFile() as file:
        file.writelines(pieces)
        file.flush()
        return mapped.view(file.fileno())


def _interleave(frame: list[bytes], found: list[Data]) -> Iterator[bytes]:
    for text, data in zip_longest(frame, found, fillvalue=b""):
        yield bytes(text)
        for at in range(0, len(data), _STEP):
            yield pybase64.b64encode(data[at : at + _STEP])
