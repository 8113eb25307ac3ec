"""Requests that wait for a thread, and the answer to those that would wait too long.

All of it is called by the thread that polls, for requests that nobody has parsed: to
refuse a request costs a hundredth of drawing a picture, so that a server that is asked
for ten times as much as it can draw goes on drawing.
"""

import random
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from email.utils import formatdate
from json.encoder import encode_basestring
from math import ceil
from typing import Generic, TypeVar
from urllib.parse import unquote

from app.observability.request_id import REQUEST_ID

T = TypeVar("T")
# A figure goes so far towards what is seen last.
_EASE = 0.1
_MOST_KNOWN = 8192
# In the place of what differs from one refusal to the next.
_ID, _PATH = "0" * 32, "/instance-of-a-refusal"
_HIT = "; hit"


class Backlog(Generic[T]):
    """What waits for one of so many threads, and for how long that will be.

    The wait is expected by how often a thread became free lately. Whoever would wait
    for more than `most_s` is refused, and so is who has waited for as long.
    """

    def __init__(self, threads: int, most_s: float) -> None:
        self._free = threads
        self._most_s = most_s
        self._waiting: deque[tuple[T, float]] = deque()
        self._interval_s = 0.0
        self._last = 0.0

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def full(self) -> bool:
        """Whether no thread is free."""
        return self._free <= 0

    @property
    def expected_s(self) -> float:
        """How long whoever came now would wait, in seconds."""
        return len(self._waiting) * self._interval_s

    def enter(self) -> bool:
        """Take a thread; say whether there was one."""
        if self._free <= 0:
            return False
        self._free -= 1
        return True

    def join(self, one: T, now: float) -> bool:
        """Wait for a thread; say no where the wait would be too long."""
        if self.expected_s > self._most_s:
            return False
        self._waiting.append((one, now))
        return True

    def leave(self, now: float) -> T | None:
        """Give a thread back; return who gets it, if anybody waits."""
        if not self._waiting:
            self._free += 1
            self._last = 0.0
            return None
        # Who is passed over at one moment takes no time.
        if 0 < self._last < now:
            self._interval_s += (now - self._last - self._interval_s) * _EASE
        self._last = now
        return self._waiting.popleft()[0]

    def late(self, now: float) -> Iterator[T]:
        """Yield those who have waited for too long, and wait no more."""
        while self._waiting and now - self._waiting[0][1] > self._most_s:
            yield self._waiting.popleft()[0]


class KnownTargets:
    """Request lines that were answered without drawing; safe in threads.

    The next request with the same line will be, too, most of the time.
    """

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._known: OrderedDict[int, None] = OrderedDict()

    def __contains__(self, head: bytes) -> bool:
        return _line_of(head) in self._known

    def note(self, head: bytes, status: str, headers: list[tuple[str, str]]) -> None:
        """Take note of a request line, if the answer needed no drawing."""
        if not head.startswith((b"GET ", b"HEAD ")):
            return
        if not status.startswith("304") and not any(
            _HIT in value for name, value in headers if name == "Cache-Status"
        ):
            return
        line = _line_of(head)
        if line in self._known:
            return
        with self._guard:
            self._known[line] = None
            if len(self._known) > _MOST_KNOWN:
                self._known.popitem(last=False)


def _line_of(head: bytes) -> int:
    return hash(head[: head.find(b"\r\n")])


def is_vital(head: bytes) -> bool:
    """Tell whether whoever watches over the server asks."""
    target = head[:80].split(b" ", 2)[1:2]
    return bool(target) and target[0].startswith((b"/health", b"/metrics"))


Pairs = list[tuple[str, str]]


class Refusals:
    """Answers that say when to come again, as the app would write them.

    `write` lets the app write the error for a path, a request id and the seconds to
    wait, and returns status line, headers and body.
    """

    def __init__(
        self,
        write: Callable[[str, str, int], tuple[str, Pairs, bytes]],
    ) -> None:
        self._write = write
        self._made: dict[tuple[bool, int], tuple[str, str]] = {}
        self._random = random.Random()
        self._second, self._date = 0, ""

    def answer(
        self, told: tuple[str, str, str | None], retry_s: float, *, closes: bool
    ) -> bytes:
        """Return a whole answer to a request, of which method, path and id are told."""
        method, path, request_id = told
        again_s = max(1, ceil(retry_s))
        dialect = path == "/v1" or path.startswith("/v1/")
        head, body = self._template(dialect, again_s)
        if request_id is None or not REQUEST_ID.match(request_id):
            request_id = f"{self._random.getrandbits(128):032x}"
        body = body.replace(_ID, request_id).replace(_PATH, _in_json(path))
        data = body.encode()
        lines = (
            head.replace(_ID, request_id),
            f"Content-Length: {len(data)}\r\n",
            f"Date: {self._now()}\r\n",
            f"Connection: {'close' if closes else 'keep-alive'}\r\n\r\n",
        )
        return "".join(lines).encode() + (b"" if method == "HEAD" else data)

    def _now(self) -> str:
        second = int(time.time())
        if second != self._second:
            self._second, self._date = second, formatdate(second, usegmt=True)
        return self._date

    def _template(self, dialect: bool, again_s: int) -> tuple[str, str]:
        key = dialect, again_s
        if key not in self._made:
            path = "/v1" if dialect else _PATH
            status, headers, body = self._write(path, _ID, again_s)
            lines = [f"HTTP/1.1 {status}\r\n"]
            lines += [
                f"{name}: {value}\r\n"
                for name, value in headers
                if name.lower() != "content-length"
            ]
            self._made[key] = "".join(lines), body.decode()
        return self._made[key]


def _in_json(path: str) -> str:
    """Return a path as the app says it, within the quotation marks of JSON."""
    plain = unquote(path.encode("latin-1").decode(errors="replace"))
    return encode_basestring(plain)[1:-1]
