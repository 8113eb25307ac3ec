"""Small images of every type, and answers as the services write them."""

import base64
import io
import json
import struct
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, BinaryIO

from PIL import Image

from app.renderer.probe.byte_range import Region, whole
from app.upstream.response.reader import Found, Linked, ServiceAnswer, read_answer
from app.upstream.service import Service

SIZE = (40, 24)
ART = Service(
    name="art",
    kind="auto",
    url="http://art.example",
    max_wire_bytes=1 << 20,
    max_image_bytes=1 << 19,
    max_images=4,
    max_pixels=1_000_000,
)
_PILLOW = {
    "image/png": "PNG",
    "image/jpeg": "JPEG",
    "image/gif": "GIF",
    "image/webp": "WEBP",
    "image/avif": "AVIF",
    "image/bmp": "BMP",
    "image/tiff": "TIFF",
}


def picture(size: tuple[int, int] = SIZE) -> Image.Image:
    """Return colours that no encoder makes into nothing."""
    return Image.radial_gradient("L").resize(size).convert("RGB")


def encode(media_type: str, size: tuple[int, int] = SIZE, **options: Any) -> bytes:
    """Return an image of a type that Pillow writes."""
    buffer = io.BytesIO()
    picture(size).save(buffer, _PILLOW[media_type], **options)
    return buffer.getvalue()


SVG = b'<?xml version="1.0"?>\n<svg xmlns="x" width="40px" height="24"><g/></svg>\n'
# FF 0A, then from the lowest bit: not small, 9 bits of 23, no ratio, 9 bits of 39.
_BITS = 0 | 0b00 << 1 | 23 << 3 | 0 << 12 | 0b00 << 15 | 39 << 17
JXL = b"\xff\x0a" + _BITS.to_bytes(4, "little") + bytes(12)
JXL_BOXES = (
    b"\0\0\0\x0cJXL \r\n\x87\n"
    + b"\0\0\0\x14ftypjxl \0\0\0\0jxl "
    + struct.pack(">I", 8 + len(JXL))
    + b"jxlc"
    + JXL
)
HEIC = encode("image/avif").replace(b"ftypavif", b"ftypheic").replace(b"avif", b"heic")
HEIC = HEIC.replace(b"avis", b"heic")
PNG = encode("image/png")
JPEG = encode("image/jpeg")
WEBP = encode("image/webp")
SAMPLES = {
    **{media_type: encode(media_type) for media_type in _PILLOW},
    "image/svg+xml": SVG,
    "image/jxl": JXL,
    "image/heic": HEIC,
}


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def dump(document: Any) -> bytes:
    return json.dumps(document).encode()


@contextmanager
def held(data: bytes) -> Iterator[Region]:
    """Yield bytes as a region of a real file."""
    with tempfile.TemporaryFile() as file:
        file.write(data)
        yield whole(file)


@contextmanager
def answered(
    body: bytes | BinaryIO,
    content_type: str = "application/json",
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    pointer: str | None = None,
    asked: int = 1,
    service: Service = ART,
) -> Iterator[ServiceAnswer]:
    """Read an answer, and close its files afterwards."""
    with tempfile.TemporaryFile() as file, tempfile.TemporaryFile() as decoded:
        if isinstance(body, bytes):
            file.write(body)
        yield read_answer(
            file if isinstance(body, bytes) else body,
            decoded,
            replace(service, pointer=pointer),
            status=status,
            content_type=content_type,
            headers=headers or {},
            asked=asked,
        )


def content(image: Found | Linked) -> bytes | str:
    """Return the bytes of an image, or the address of one."""
    if isinstance(image, Linked):
        return image.url
    return image.region.read(0, image.region.length)
