"""What a drawing is expected to take, from what others like it took."""

import threading
from collections import OrderedDict
from dataclasses import dataclass
from math import log2

from app.access.rates import cost_of
from app.config import PIXEL_BYTES
from app.image_request import ImageRequest
from app.pipeline.admission import DEAR_S
from app.renderer.probe.byte_range import whole
from app.renderer.probe.raster import Damaged
from app.renderer.probe.sniff import measure
from app.renderer.produce import device_size, image_fields, memory_of

# Kinds of drawings that a worker remembers, about 200 bytes each.
_MOST = 1024
# Of a kind that was not seen yet: seconds for each megapixel of cost_of. A PNG that is
# to be small takes 12 to 60 times as long as others.
_UNKNOWN_S = 0.03
_UNKNOWN_SMALL_S = 0.5
# A shorter time than expected is believed soon, a longer one slowly: it may be the
# load of the machine.
_DOWN, _UP = 0.5, 0.1
# A drawing with so many pixels, or so many in the images on it, is large however
# quick it is: its memory counts. Two that are not take a quarter at most of what may
# be drawn at a time, but cards are never large.
_LARGE_PIXELS = 1 << 22
_SMALL_SHARE = 1 / 8
_SMALL_PIXELS = 1 << 20

_Kind = tuple[str, str, str | None, int]


@dataclass(frozen=True, slots=True)
class Estimate:
    """What one drawing is expected to take.

    `megapixels` is what rates count, weighed by the format, and `seconds` are of a
    processor. One that is `large` keeps others from theirs, one that is `heavy` does by
    the memory it takes.
    """

    kind: _Kind
    megapixels: float
    seconds: float
    large: bool
    heavy: bool


class Costs:
    """Expected seconds by renderer, format, compression and size (a power of four).

    `drawing_bytes` is what may be drawn at a time.
    """

    def __init__(self, drawing_bytes: int) -> None:
        self._most_bytes = most_small(drawing_bytes) * PIXEL_BYTES
        self._guard = threading.Lock()
        self._per_megapixel: OrderedDict[_Kind, float] = OrderedDict()

    def estimate(self, request: ImageRequest) -> Estimate:
        """Return what is expected of a drawing, by what others like it took."""
        renderer, output = request.renderer, request.output
        size = device_size(renderer, request.parameters, output.scale)
        megapixels = cost_of(size, output.format, isolated=renderer.isolated)
        coded = output.format, output.compression
        kind = renderer.name, *coded, round(log2(megapixels) / 2)
        unknown_s = _UNKNOWN_SMALL_S if output.compression == "small" else _UNKNOWN_S
        seconds = self._per_megapixel.get(kind, unknown_s) * megapixels
        heavy = (
            memory_of(size[0] * size[1], output) > self._most_bytes
            or _pixels_on_it(request) * PIXEL_BYTES > self._most_bytes
        )
        return Estimate(kind, megapixels, seconds, heavy or seconds > DEAR_S, heavy)

    def learn(self, estimate: Estimate, took_s: float) -> None:
        """Take note of how many seconds of a processor it took."""
        seen = took_s / estimate.megapixels
        with self._guard:
            known = self._per_megapixel.pop(estimate.kind, None)
            if known is not None:
                seen = known + (seen - known) * (_DOWN if seen < known else _UP)
            self._per_megapixel[estimate.kind] = seen
            if len(self._per_megapixel) > _MOST:
                self._per_megapixel.popitem(last=False)


def most_small(drawing_bytes: int) -> int:
    """Return the pixels from which drawings are large, where so many bytes may be."""
    share = int(drawing_bytes / PIXEL_BYTES * _SMALL_SHARE)
    return max(_SMALL_PIXELS, min(_LARGE_PIXELS, share))


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
