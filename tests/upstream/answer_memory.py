"""Prints how much memory an answer costs: a process of its own measures it.

`python -m tests.upstream.answer_memory KIND`: one line of JSON with `outcome`
and `growth`, the peak of resident memory above what was resident before, in bytes.
"""

import json
import struct
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import pybase64

from app.upstream.errors import UpstreamError
from app.upstream.response.reader import read_answer
from app.upstream.service import Service
from tests.upstream.pictures import PNG, b64, dump

_BIG = 200_000_000
_USUAL = Service(name="art", kind="auto", url="http://art.example")
_ALL = replace(
    _USUAL,
    max_wire_bytes=256 << 20,
    max_image_bytes=256 << 20,
    max_images=64,
    max_pixels=1_000_000,
)
_BLOCK = (b"\xfb\xff\x00" * 30_000, _BIG * 3 // 4 // 90_000)
_WHOLE = PNG + b"\0" * (-len(PNG) % 3)


def _base64() -> Iterator[bytes]:
    yield b'{"created": 1, "data": [{"b64_json": "'
    yield pybase64.b64encode(_WHOLE)
    yield from [pybase64.b64encode(_BLOCK[0])] * _BLOCK[1]
    yield b'"}]}'


def _binary() -> Iterator[bytes]:
    yield PNG
    yield from [_BLOCK[0]] * _BLOCK[1]


def _lists() -> Iterator[bytes]:
    yield b'{"x": [' + b"[]," * 84_000 + b'0], "image": "' + b64(PNG).encode() + b'"}'


def _objects() -> Iterator[bytes]:
    inner = b",".join(b'{"%d":{}}' % number for number in range(18_000))
    yield b'{"data": [' + inner + b'], "image": "' + b64(PNG).encode() + b'"}'


def _texts() -> Iterator[bytes]:
    yield b"[" + b",".join([b'"' + b"A" * 1_025 + b'"'] * 15_000) + b"]"


def _spaces() -> Iterator[bytes]:
    yield from [b" " * 1_000_000] * 200


def _escapes() -> Iterator[bytes]:
    yield b'{"image": "'
    yield from [b"\\u002f" * 100_000] * 300
    yield b'"}'


def _quotes() -> Iterator[bytes]:
    yield b'{"image": "'
    yield from [b'\\"' * 500_000] * 200
    yield b'"}'


def _directory() -> Iterator[bytes]:
    tags = range(1, 65_536)
    yield b"II*\0\x08\0\0\0" + b"\xff\xff"
    yield b"".join(struct.pack("<HHII", tag, 4, 65_536, 8) for tag in tags)


def _segment() -> Iterator[bytes]:
    yield b"\xff\xd8\xff\xe0\0\x01"
    yield from [_BLOCK[0]] * _BLOCK[1]


# What is sent, under which label, within which bounds.
CASES = {
    "over the wire": (_base64, _USUAL),
    "over the image": (_base64, replace(_USUAL, max_wire_bytes=256 << 20)),
    "largest": (_base64, _ALL),
    "binary": (_binary, _ALL),
    "lists": (_lists, _ALL),
    "objects": (_objects, _ALL),
    "texts": (_texts, _ALL),
    "spaces": (_spaces, _ALL),
    "escapes": (_escapes, _ALL),
    "quotes": (_quotes, _ALL),
    "directory": (_directory, _ALL),
    "segment": (_segment, _ALL),
}


def resident(name: str) -> int:
    """Return VmRSS, what is resident now, or VmHWM, the most ever, in bytes (Linux)."""
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith(name))
    return int(line.split()[1]) * 1024


def read(body: BinaryIO, service: Service) -> str:
    """Read an answer; return what became of it."""
    try:
        with tempfile.TemporaryFile() as decoded:
            read_answer(
                body,
                decoded,
                service,
                status=200,
                content_type="",
                headers={},
                asked=1,
            )
            return "read"
    except UpstreamError as error:
        return type(error).__name__


def main(kind: str) -> None:
    make, service = CASES[kind]
    with tempfile.TemporaryFile() as body, tempfile.TemporaryFile() as warm:
        warm.write(dump({"image": b64(PNG)}))
        read(warm, service)
        for block in make():
            body.write(block)
        body.flush()
        before = resident("VmRSS")
        outcome = read(body, service)
        growth = resident("VmHWM") - before
    print(json.dumps({"growth": growth, "outcome": outcome}))


if __name__ == "__main__":
    main(sys.argv[1])
