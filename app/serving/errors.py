"""What is wrong with a request before the app sees it; `app.problems` has the status.

`headers` must go out with the problem.
"""

from app.errors import with_fields


class FrameError(Exception):
    """Base of all errors that the server finds in how a request is sent."""

    headers: tuple[tuple[str, str], ...] = ()


@with_fields
class BadHead(FrameError):
    """The request line or a header is not as RFC 9112 has them (400)."""

    reason: str

    def __str__(self) -> str:
        return f"{self.reason}."


class ForbiddenSender(FrameError):
    """A connection speaks the PROXY protocol and may not (403)."""

    def __str__(self) -> str:
        return "This address may not speak for others."


# A TimeoutError, as which gunicorn takes it where it reads what is left of a body.
class SlowRequest(FrameError, TimeoutError):
    """The head was not complete in time, or the body stood still (408)."""

    def __str__(self) -> str:
        return "The request did not arrive in time."


@with_fields
class LongRequestLine(FrameError):
    """The request line has more than `allowed` bytes (414)."""

    allowed: int

    def __str__(self) -> str:
        return f"The request line is over {self.allowed:,} bytes; POST takes more."


class UnknownExpectation(FrameError):
    """`Expect` is not `100-continue` (417)."""

    def __str__(self) -> str:
        return "The header Expect may be 100-continue and nothing else."


@with_fields
class LargeHead(FrameError):
    """The head has more than `allowed` bytes, or too many or too long headers (431)."""

    allowed: int

    def __str__(self) -> str:
        return (
            f"The head of a request may have {self.allowed:,} bytes, 100 headers, and"
            " 8,190 bytes in each."
        )


class UnknownCoding(FrameError):
    """`Transfer-Encoding` is not `chunked` (501)."""

    def __str__(self) -> str:
        return "The header Transfer-Encoding may be chunked and nothing else."


class BodiesWait(FrameError):
    """As many bodies arrive as may at a time (503)."""

    headers = (("Retry-After", "10"),)

    def __str__(self) -> str:
        return "Too many request bodies arrive slowly at this moment."
