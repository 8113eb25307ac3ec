"""How much one answer of an upstream may be, checked before any work on it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Caps:
    """Bounds of one answer.

    `max_wire_bytes` counts the body as it is sent (base64 is a third larger than
    what it holds), `max_image_bytes` one image as it is delivered.
    """

    max_wire_bytes: int = 64 << 20
    max_image_bytes: int = 32 << 20
    max_images: int = 16
    max_pixels: int = 64_000_000
