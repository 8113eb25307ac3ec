"""Send what is made while it is sent: whole, or visibly broken off.

Only two signs of a broken answer reach every client: fewer bytes than
Content-Length, and a chunked body without its end. gunicorn gives the second when
the body raises; the first needs the count kept here, because a body that merely
ends early leaves a kept connection hanging.
"""

from collections.abc import Callable, Iterable, Iterator

from app.delivery.answer import Answer, Pair

# A byte of these goes out for every tick of waiting: 64 ticks of 6 s are more than
# any drawing may take.
_RESERVE = 64


class BrokenStream(Exception):
    """A body could not be finished; the connection is broken off."""


def stream(
    status: str,
    pairs: Iterable[Pair],
    chunks: Iterator[bytes],
    length: int | None,
    finish: Callable[[], None],
) -> Answer:
    """Return the chunks as an answer; the first is made before the headers leave.

    An empty chunk says that the next is not made yet. `length` is the number of
    bytes where it is known; `finish` is called once, when the server is done with the
    answer or it could not begin. Raises what making the first chunk raises.
    """
    body = _StreamBody(steady(chunks), length, finish)
    try:
        body.begin()
    except BaseException:
        body.close()
        raise
    known = [] if length is None else [("Content-Length", str(length))]
    # nginx would fill its disk ahead of a slow client, and the server draw on.
    passing = ("X-Accel-Buffering", "no")
    return Answer(status, (*pairs, *known, passing), body)


def steady(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Hold the last bytes back and send one of them at each empty chunk.

    The bytes are the same in the end, no connection is silent for long, and a
    client that left is noticed while an image is drawn.
    """
    held = b""
    for chunk in chunks:
        if not chunk:
            if held:
                yield held[:1]
                held = held[1:]
            continue
        ready = held + chunk
        cut = max(len(ready) - _RESERVE, 0)
        if cut:
            yield ready[:cut]
        held = ready[cut:]
    if held:
        yield held


class _StreamBody:
    """An iterator of bytes that keeps count and lets nothing pass for an end."""

    def __init__(
        self, chunks: Iterator[bytes], length: int | None, finish: Callable[[], None]
    ) -> None:
        self._chunks = chunks
        self._first: bytes | None = None
        self._left = length
        self._finish = finish
        self._closed = False

    def begin(self) -> None:
        """Make the first chunk."""
        self._first = next(self._chunks, b"")

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        chunk, self._first = self._first, None
        if not chunk:
            chunk = self._next()
        if self._left is not None:
            self._left -= len(chunk)
        return chunk

    def _next(self) -> bytes:
        try:
            return next(self._chunks)
        except StopIteration:
            if self._left:
                raise BrokenStream(f"{self._left} bytes are missing") from None
            raise
        except OSError as error:
            # gunicorn takes an OSError for one of its own socket, and keeps silent.
            raise BrokenStream(str(error)) from error

    def close(self) -> None:
        """End the work, wherever it stands."""
        if self._closed:
            return
        self._closed = True
        try:
            close = getattr(self._chunks, "close", None)
            if close is not None:
                close()
        finally:
            self._finish()
