"""One archive from a server, in spite of breaks."""

from collections.abc import Callable, Iterator

from requests import RequestException, Response

from app.archive.errors import ArchiveError
from app.cli.client.api import Server, read_object
from app.cli.client.errors import BrokenOff, RemoteError, reason_of
from app.cli.client.part import Part

# Small, because what a broken connection has brought of a block is lost.
_BLOCK = 16 << 10
_MOST_ATTEMPTS = 10
_LONGEST_PAUSE_S = 10.0
_LONGEST_RETRY_S = 300
# A proxy answers these while the server behind it starts anew.
_PASSING = (502, 503, 504)

Tell = Callable[[str], None]
Sleep = Callable[[float], None]


class _Interrupted(Exception):
    """An attempt came to nothing: go on after `wait_s`, or a pause that grows.

    A `busy` server works on the very archive, so waiting for it has an end.
    """

    def __init__(
        self, reason: str, wait_s: float | None = None, *, busy: bool = False
    ) -> None:
        super().__init__(reason)
        self.wait_s = wait_s
        self.busy = busy


class Download:
    """One archive from a server into its part."""

    def __init__(
        self, server: Server, path: str, part: Part, tell: Tell, sleep: Sleep
    ) -> None:
        self._server = server
        self._path = path
        self._part = part
        self._tell = tell
        self._sleep = sleep
        self._tag: str | None = None
        self._furthest = part.size

    def run(self) -> Iterator[int]:
        """Yield how many images have come, at first those of an earlier run.

        Ends when the archive is whole. Goes on after up to ten breaks between which
        nothing new came. Raises BrokenOff, RemoteError, DamagedArchive, OSError.
        """
        yield self._part.images
        failed = 0
        while True:
            try:
                yield from self._attempt()
                self._part.check_end()
                return
            except ArchiveError:
                # What was sent is wrong: nothing may be built on it.
                self._part.restart()
                raise
            except (RequestException, _Interrupted) as error:
                failed = 0 if self._gained() else failed
                failed += not (isinstance(error, _Interrupted) and error.busy)
                self._pause(error, failed)

    def _attempt(self) -> Iterator[int]:
        with self._server.open(self._path, self._headers()) as response:
            if response.status_code == 416 and _length(response) == self._part.size:
                return
            self._admit(response)
            tag = response.headers.get("ETag")
            self._tag = tag if tag and tag.startswith('"') else None
            for block in response.iter_content(_BLOCK):
                self._part.append(block)
                yield self._part.images

    def _headers(self) -> dict[str, str]:
        """Ask for the rest, if there is a validator (RFC 9110, section 13.1.5)."""
        if self._part.size and self._tag is None:
            with self._server.open(self._path, {}, "HEAD") as response:
                tag = response.headers.get("ETag", "")
                self._tag = tag if tag.startswith('"') else None
        if not self._part.size or self._tag is None:
            return {}
        return {"Range": f"bytes={self._part.size}-", "If-Range": self._tag}

    def _admit(self, response: Response) -> None:
        """Make the part ready for an answer's bytes, or raise what it stands for."""
        status = response.status_code
        if status == 206:
            if not _begins_at(response, self._part.size):
                raise RemoteError(
                    "The server sent another range than it was asked for."
                )
        elif status in (200, 416):
            self._part.restart()
            if status == 416:
                raise _Interrupted("The archive is shorter than what has come of it.")
        elif status in _PASSING:
            raise _passing(response)
        else:
            raise self._server.refusal(response)

    def _gained(self) -> bool:
        """Tell whether the part is longer than it ever was."""
        before = self._furthest
        self._furthest = max(before, self._part.size)
        return self._furthest > before

    def _pause(self, error: Exception, failed: int) -> None:
        reason = str(error) if isinstance(error, _Interrupted) else reason_of(error)
        if failed > _MOST_ATTEMPTS:
            raise BrokenOff(f"The download broke off: {reason}") from error
        wait_s = min(_LONGEST_PAUSE_S, 0.25 * 2**failed)
        if isinstance(error, _Interrupted) and error.wait_s is not None:
            wait_s = error.wait_s
        size = self._part.size
        self._tell(f"{reason} Going on from byte {size:,} in {wait_s:g} s.")
        self._sleep(wait_s)


def _passing(response: Response) -> _Interrupted:
    """Return what a server stands for that is to be asked again (RFC 9110, 10.2.3)."""
    body = read_object(response)
    text = response.headers.get("Retry-After", "")
    wait_s = min(int(text), _LONGEST_RETRY_S) if text.isdecimal() else None
    busy = body.get("type") == "/problems/unfinished"
    said = body.get("detail") or f"The server answered {response.status_code}."
    return _Interrupted(said, wait_s, busy=busy)


def _length(response: Response) -> int | None:
    """Return the whole length that a Content-Range tells (RFC 9110, 14.4)."""
    text = response.headers.get("Content-Range", "").rpartition("/")[2]
    return int(text) if text.isdecimal() else None


def _begins_at(response: Response, start: int) -> bool:
    return response.headers.get("Content-Range", "").startswith(f"bytes {start}-")
