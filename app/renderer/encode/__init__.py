"""Pictures to bytes: one table of formats, a check before and an encode after."""

from app.renderer.encode.formats import (
    EXTENSIONS,
    FORMATS,
    Format,
    check,
    encode,
    flatten,
    format_of,
)
from app.renderer.encode.png import encode_png

__all__ = [
    "EXTENSIONS",
    "FORMATS",
    "Format",
    "check",
    "encode",
    "encode_png",
    "flatten",
    "format_of",
]
