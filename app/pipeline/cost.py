"""What a drawing is expected to take, from what others like it took."""

import threading
from collections import OrderedDict
from math import log2

from app.access.rates import cost_of
from app.config.memory import PIXEL_BYTES, weight_of
from app.image_request import ImageRequest
from app.renderer.probe.byte_range import whole
from app.renderer.probe.raster import Damaged
from app.renderer.probe.sniff import measure
from app.renderer.produce import device_size, image_fields

# Kinds of drawings that a worker remembers, about 200 bytes each.
_MOST = 1024
# Of a kind that was not seen yet: seconds for each megapixel of cost_of.
_UNKNOWN_S = 0.03
# A shorter time than expected is believed soon, a longer one slowly: it may be the
# load of the machine.
_DOWN, _UP = 0.5, 0.1
# A drawing with so many pixels, or so many in the images on it, is large however
# quick it is: its memory counts. Two that are not take a quarter at most of what may
# be drawn at a time, but cards are never large.
_LARGE_PIXELS = 1 << 22
_SMALL_SHARE = 1 / 8
_SMALL_PIXELS = 1 << 20
# What keeps others waiting for longer has a lane of its own.
_SLOW_S = 0.25

_Kind = tuple[str, str, int]


class Costs:
    """Expected seconds by renderer, format and size (to the power of four)."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._per_megapixel: OrderedDict[_Kind, float] = OrderedDict()

    def expect(self, request: ImageRequest) -> float:
        """Return the seconds of processor time that it is expected to take."""
        kind, megapixels = _kind(request)
        return self._per_megapixel.get(kind, _UNKNOWN_S) * megapixels

    def learn(self, request: ImageRequest, took_s: float) -> None:
        """Take note of how many seconds of processor time it took."""
        kind, megapixels = _kind(request)
        seen = took_s / megapixels
        with self._guard:
            known = self._per_megapixel.pop(kind, None)
            if known is not None:
                seen = known + (seen - known) * (_DOWN if seen < known else _UP)
            self._per_megapixel[kind] = seen
            if len(self._per_megapixel) > _MOST:
                self._per_megapixel.popitem(last=False)


def megapixels_of(request: ImageRequest) -> float:
    """Return what rates count a drawing as: megapixels, weighed by the format."""
    size = _size(request)
    isolated = request.renderer.isolated
    return cost_of(size, request.output.format, isolated=isolated)


def most_small(drawing_bytes: int) -> int:
    """Return the pixels from which drawings are large, where so many bytes may be."""
    share = int(drawing_bytes / PIXEL_BYTES * _SMALL_SHARE)
    return max(_SMALL_PIXELS, min(_LARGE_PIXELS, share))


def is_large(request: ImageRequest, cost_s: float, most: int = _LARGE_PIXELS) -> bool:
    """Tell whether a drawing of so many expected seconds keeps others from theirs.

    Or has more than `most` pixels, as its format weighs them.
    """
    if cost_s > _SLOW_S:
        return True
    width, height = _size(request)
    output = request.output
    weight = weight_of(output.format, small=output.compression == "small")
    return width * height * weight > most or _pixels_on_it(request) > most


def _kind(request: ImageRequest) -> tuple[_Kind, float]:
    megapixels = megapixels_of(request)
    size = round(log2(megapixels) / 2)
    return (request.renderer.name, request.output.format, size), megapixels


def _size(request: ImageRequest) -> tuple[int, int]:
    return device_size(request.renderer, request.parameters, request.output.scale)


def _pixels_on_it(request: ImageRequest) -> int:
    """Return how many pixels the largest image has that is drawn on it."""
    most = 0
    for name in image_fields(type(request.parameters)):
        data = getattr(request.parameters, name, None)
        if isinstance(data, bytes):
            most = max(most, _pixels(data))
    return most


def _pixels(data: bytes) -> int:
    try:
        _, width, height = measure(whole(data))
    except Damaged:
        # Refused when it is drawn, before any pixel is decoded.
        return 0
    return width * height
