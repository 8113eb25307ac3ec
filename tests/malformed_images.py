"""A generator of malformed images: every format that is read, broken in many ways."""

import random
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from tests.ugly_pictures import (
    HALVES,
    SVGS,
    alpha_bmp,
    deep_png,
    exif,
    heic,
    rgb_profile,
    saved,
    tiff,
)

_PICTURE = Image.radial_gradient("L").resize((40, 24)).convert("RGB")
_MORE = {"save_all": True, "append_images": [_PICTURE.rotate(180)]}


def encode(format: str, **options: Any) -> bytes:
    """Return a small image, turned by its metadata."""
    # Pillow 13 breaks down where an AVIF that moves is to have EXIF.
    turned = {} if "save_all" in options else {"exif": exif(6)}
    return saved(_PICTURE, format, **turned, **options)


# Small, so that most changes meet the structure and not the pixels.
SAMPLES = {
    "png": encode("PNG"),
    "apng": encode("PNG", **_MORE),
    "jpeg": encode("JPEG"),
    "mpo": encode("MPO", **_MORE),
    "webp": encode("WEBP"),
    "animated webp": encode("WEBP", **_MORE),
    "avif": encode("AVIF"),
    "animated avif": encode("AVIF", **_MORE),
    "gif": encode("GIF"),
    "animated gif": encode("GIF", **_MORE),
    "bmp": encode("BMP"),
    "tiff": encode("TIFF"),
    "deep tiff": tiff(np.full((9, 9), 0x4567, "<u2"), 16, 0),
    "deep png": deep_png(0x4567, tRNS=b"\x45\x67"),
    "ico": HALVES["ICO"],
    "old ico": HALVES["ICO of bitmaps"],
    "bmp with alpha": alpha_bmp(),
    "heic": heic(6),
    "profile": saved(_PICTURE, "PNG", icc_profile=rgb_profile(1, 0, 2)),
    "svg": SVGS["SVG"],
    "packed svg": SVGS["SVG packed"],
}


class Malformed(NamedTuple):
    """A malformed image: the sample it was, the number of its mutation, its bytes."""

    kind: str
    number: int
    data: bytes


def malformed(count: int) -> Iterator[Malformed]:
    """Yield so many malformed images, the kinds by turns; the same every time."""
    each = {kind: mutants(data) for kind, data in SAMPLES.items()}
    for number in range(count):
        kind = list(each)[number % len(each)]
        yield Malformed(kind, number // len(each), next(each[kind]))


def mutants(data: bytes) -> Iterator[bytes]:
    """Yield an image broken in one way or another, without end."""
    chance = random.Random(data)
    while True:
        broken = chance.choice(_WAYS)(data, chance)
        # A change may put in what was there before.
        if broken != data:
            yield broken


def _scattered(data: bytes, chance: random.Random) -> bytes:
    """Change, leave out or put in a few bytes, most of them near the beginning."""
    changed = bytearray(data)
    for _ in range(chance.randint(1, 6)):
        at = chance.randrange(chance.choice((len(data), 200)))
        changed[at : at + chance.randint(0, 2)] = chance.choice(
            (b"", b"\0", b"\xff", chance.randbytes(1), chance.randbytes(4))
        )
    return bytes(changed)


def _turned_bit(data: bytes, chance: random.Random) -> bytes:
    changed = bytearray(data)
    changed[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def _cut(data: bytes, chance: random.Random) -> bytes:
    return data[: chance.randrange(len(data))]


def _large_number(data: bytes, chance: random.Random) -> bytes:
    """Put a number that is too large where perhaps one stands: a length, a size."""
    changed = bytearray(data)
    at = chance.randrange(len(data))
    number = chance.choice((b"\xff\xff", b"\xff" * 4, b"\x7f\xff\xff\xff", b"\0" * 4))
    changed[at : at + len(number)] = number
    return bytes(changed)


def _doubled(data: bytes, chance: random.Random) -> bytes:
    start, stop = sorted(chance.randrange(len(data)) for _ in range(2))
    return data[:stop] + data[start:]


def _without(data: bytes, chance: random.Random) -> bytes:
    start, stop = sorted(chance.randrange(len(data)) for _ in range(2))
    return data[:start] + data[stop:]


def _another_behind(data: bytes, chance: random.Random) -> bytes:
    """Go on as an image of another kind does."""
    other = chance.choice(list(SAMPLES.values()))
    at = chance.randrange(min(len(data), len(other)))
    return data[:at] + other[at:]


_WAYS: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    *(_scattered, _scattered, _scattered, _turned_bit, _cut),
    *(_large_number, _doubled, _without, _another_behind),
)
