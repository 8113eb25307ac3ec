"""Bounds on a collection, checked while it is read."""

from typing import Protocol

from app.renderer.limits import Limits


class Bounds(Limits, Protocol):
    """The part of the settings that bounds a collection and each of its images."""

    @property
    def max_body_bytes(self) -> int:
        """Bytes of one row, as of one request."""

    @property
    def max_rows(self) -> int:
        """Rows of a collection."""

    @property
    def max_collection_bytes(self) -> int:
        """Bytes of an upload."""

    @property
    def max_collection_pixels(self) -> int:
        """Device pixels of all images together."""
