"""What can go wrong while an answer is chosen; `app.problems` maps it to a status.

`headers` must go out with the problem.
"""

from app.errors import with_fields


class DeliveryError(Exception):
    """Base of all errors that the delivery package raises on purpose."""

    headers: tuple[tuple[str, str], ...] = ()


class PreconditionFailed(DeliveryError):
    """If-Match, If-Unmodified-Since or If-None-Match forbids the answer (412)."""

    def __str__(self) -> str:
        return "A condition in the request's headers does not hold for this image."


class PreconditionRequired(DeliveryError):
    """What would be written over has to be named by its entity tag (428)."""

    def __str__(self) -> str:
        return (
            "If-Match has to have the ETag of what is replaced, or If-None-Match has to"
            " be * where it is new."
        )


@with_fields
class RangeNotSatisfiable(DeliveryError):
    """The range begins beyond the last of `length` bytes (416)."""

    length: int

    def __post_init__(self) -> None:
        self.headers = (("Content-Range", f"bytes */{self.length}"),)

    def __str__(self) -> str:
        return f"The range lies outside the {self.length} bytes there are."
