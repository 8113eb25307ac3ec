"""A Mimeo server elsewhere, asked over HTTP, in spite of breaks."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import IO, Any
from urllib.parse import SplitResult, quote, urlsplit, urlunsplit

import requests
from requests import PreparedRequest, RequestException, Response
from urllib3.exceptions import NameResolutionError

from app.cli.partial_file import PartialFile
from app.cli.progress import busy, say
from app.collection.errors import BadRows, RowFault
from app.renderer.errors import BadParameter, Fault

# Seconds to connect, and between two bytes. The server is silent while it lays an
# archive out, 20 seconds by default, and then never for longer than 6.
_TIMEOUT_S = (10.0, 120.0)
# Checking the rows of an upload may take this long after its last byte.
_UPLOAD_TIMEOUT_S = (10.0, 600.0)
# Small, because what a broken connection has brought of a block is lost.
_BLOCK = 16 << 10
_MOST_ATTEMPTS = 10
_LONGEST_PAUSE_S = 10.0
_LONGEST_RETRY_S = 300
# How long a server is asked to hold its answer until a job has changed, and the least
# time between two questions: it may answer at once.
_WAIT_S = 20
_LEAST_PAUSE_S = 1.0
# SOCKS is a scheme that `requests` does not know by itself.
_OF_PROXIES = (
    requests.exceptions.ProxyError,
    requests.exceptions.InvalidProxyURL,
    requests.exceptions.InvalidSchema,
)
# A proxy answers these while the server behind it starts anew.
_PASSING = (502, 503, 504)


class RemoteError(Exception):
    """The server cannot be used or cannot do it; the text says why."""


class _Interrupted(Exception):
    """An attempt came to nothing: its reason, seconds to wait if told, and `busy`.

    A busy server works on the very archive, so waiting for it has an end.
    """


@dataclass(frozen=True, slots=True)
class Made:
    """A collection on a server: its id, the number of images, the path of its ZIP.

    `warnings` are what the server assumed in reading the table.
    """

    id: str
    count: int
    path: str
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RemoteJob:
    """A job on a server; `document` is all that the server says of it.

    `path` is where it is, `archive` where what it made will be, in the form `form`;
    `done` and `failed` of `total` images are behind it. It takes over what the job of
    the id `retry_of` made.
    """

    id: str
    state: str
    total: int
    done: int
    failed: int
    form: str
    path: str
    archive: str
    retry_of: str | None
    document: dict[str, Any]

    @classmethod
    def read(cls, document: dict[str, Any]) -> "RemoteJob":
        """Read what a server says; raise KeyError, TypeError, ValueError."""
        counts, links = document["counts"], document["links"]
        job = cls(
            id=str(document["id"]),
            state=str(document["state"]),
            total=int(counts["total"]),
            done=int(counts["done"]),
            failed=int(counts["failed"]),
            form=str(document["form"]),
            path=str(links["self"]),
            archive=str(links["archive"]),
            retry_of=document.get("retry_of"),
            document=document,
        )
        # The id becomes a file name, and the links are asked for with credentials.
        if not job.id.isalnum() or not job.path[:1] == job.archive[:1] == "/":
            raise ValueError(job.id)
        return job

    @property
    def ended(self) -> bool:
        """Whether it stays as it is."""
        return self.state in ("succeeded", "failed", "cancelled")


def base_of(url: str) -> SplitResult | None:
    """Return the parts of a server's base URL; None where it is none."""
    try:
        parts = urlsplit(url)
        # A bad port shows only when it is asked for.
        good = parts.scheme in ("http", "https") and parts.port != 0
    except ValueError:
        return None
    if not good or not parts.hostname or parts.query or parts.fragment:
        return None
    return parts


class RemoteServer:
    """A Mimeo server by its base URL, asked with a key where one is given.

    Raises RemoteError where it is none.
    """

    def __init__(self, url: str, key: str | None = None) -> None:
        parts = base_of(url)
        if parts is None:
            raise RemoteError("--url: must be like http://127.0.0.1:8000")
        # Never `url` itself in a message: it may have a password.
        self._host = parts.netloc.rpartition("@")[2]
        self._base = url.rstrip("/")
        self._session = requests.Session()
        # Ranges count the bytes of the archive, not those of a compressed one.
        self._session.headers["Accept-Encoding"] = "identity"
        self._shown = urlunsplit((parts.scheme, self._host, "", "", ""))
        self._shown += parts.path.rstrip("/")
        if key is not None:
            # As a header of the session, a ~/.netrc would take its place.
            self._session.auth = partial(_show_key, key)

    def url(self, path: str) -> str:
        """Return the URL of a path, without a password."""
        return self._shown + path

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def create(self, stream: IO[bytes], media_type: str, query: str) -> Made:
        """Send a table; raise BadRows, BadParameter or RemoteError."""
        answer = self._send("POST", f"/collections?{query}", stream, media_type)
        body = _read_object(answer)
        try:
            warnings = tuple(map(str, body.get("warnings", ())))
            path = str(body["links"]["zip"])
            made = Made(str(body["id"]), int(body["count"]), path, warnings)
            # The id becomes a file name, and the link is asked for with credentials.
            if not made.id.isalnum() or not made.path.startswith("/"):
                raise ValueError(made)
        except (KeyError, TypeError, ValueError) as error:
            raise RemoteError(f"{self._host} is not a Mimeo server.") from error
        return made

    def submit(
        self, stream: IO[bytes], media_type: str, query: str
    ) -> tuple[RemoteJob, str]:
        """Send a table as a job; return it, and what was assumed in reading the table.

        Sent again, it is the same job. Raises BadRows, BadParameter or RemoteError.
        """
        answer = self._send("POST", f"/jobs?{query}", stream, media_type)
        assumed = answer.headers.get("X-Media-Warnings", "")
        return self._job(_read_object(answer)), assumed

    def jobs(self) -> Iterator[RemoteJob]:
        """Yield the jobs that the server lists, page by page; raise RemoteError."""
        path, seen = "/jobs", {""}
        while path not in seen:
            seen.add(path)
            page = self._ask("GET", path)
            listed = page.get("jobs")
            if not isinstance(listed, list):
                raise RemoteError(f"{self._host} lists no jobs.")
            yield from map(self._job, listed)
            # An older server has one page.
            path = page.get("next") or ""
            if not isinstance(path, str) or path[:6] not in ("", "/jobs?"):
                raise RemoteError(f"{self._host} has no next page of jobs there.")

    def job(self, id: str) -> RemoteJob:
        """Return a job."""
        return self._job(self._ask("GET", f"/jobs/{id}"))

    def deliveries(self, id: str) -> list[dict[str, Any]]:
        """Return the attempts to tell a receiver of a job's end."""
        return list(self._ask("GET", f"/jobs/{id}/deliveries").get("deliveries", ()))

    def cancel(self, id: str) -> RemoteJob:
        """Want no more of a job; return it."""
        return self._job(self._ask("POST", f"/jobs/{id}/cancel"))

    def retry(self, id: str) -> RemoteJob:
        """Have drawn what a job lacks; return the job that does."""
        return self._job(self._ask("POST", f"/jobs/{id}/retry"))

    def purge(self, id: str) -> None:
        """Forget a job that has ended, and what it made."""
        self._send("POST", f"/jobs/{id}/purge")

    def watch(self, id: str) -> Iterator[RemoteJob]:
        """Yield a job as it is, whenever it has changed, and at last once it has ended.

        Goes on after up to ten breaks in a row. Raises RemoteError.
        """
        tag, breaks = "", _Breaks("The job goes on without being watched")
        while True:
            began = time.monotonic()
            waiting = {"Prefer": f"wait={_WAIT_S}", "If-None-Match": tag}
            try:
                with self._session.get(
                    f"{self._base}/jobs/{id}",
                    headers=waiting if tag else {},
                    timeout=_TIMEOUT_S,
                ) as answer:
                    if answer.status_code in _PASSING:
                        raise _passing(answer)
                    if answer.status_code not in (200, 304):
                        raise self._refusal(answer)
                    if answer.status_code == 200:
                        tag = answer.headers.get("ETag", "")
                        job = self._job(_read_object(answer))
                        yield job
                        if job.ended:
                            return
                    breaks.forget()
            except (RequestException, _Interrupted) as error:
                breaks.pause(error, "Asking again")
            else:
                time.sleep(max(0.0, began + _LEAST_PAUSE_S - time.monotonic()))

    def _job(self, document: Any) -> RemoteJob:
        try:
            return RemoteJob.read(document)
        except (KeyError, TypeError, ValueError) as error:
            raise RemoteError(f"{self._host} describes no job.") from error

    def preview(self, stream: IO[bytes], media_type: str, query: str) -> dict[str, Any]:
        """Send a table to be looked at; raise BadParameter or RemoteError."""
        answer = self._send("POST", f"/collections?{query}", stream, media_type)
        found = _read_object(answer)
        if not {"count", "faults", "more", "warnings", "rows"} <= found.keys():
            raise RemoteError(f"{self._host} knows no preview of a table.")
        return found

    def parameters(self, renderer: str) -> dict[str, Any]:
        """Return the JSON Schema of each parameter of a renderer, by its name."""
        body = self._ask("GET", f"/renderers/{quote(renderer, safe='')}")
        schemas: dict[str, Any] = body.get("parameters", {}).get("properties", {})
        return schemas

    def download(self, path: str, part: PartialFile) -> Iterator[int]:
        """Bring an archive into a part; yield how many images have come.

        Goes on after up to ten breaks between which nothing new came. Raises
        RemoteError and OSError.
        """
        tag, furthest = "", part.size
        breaks = _Breaks("The download broke off")
        ask = partial(self._session.request, url=self._base + path, timeout=_TIMEOUT_S)
        while True:
            try:
                # RFC 9110, 13.1.5: the rest is asked for by a strong validator.
                if part.size and not tag:
                    with ask("HEAD") as response:
                        tag = _strong_tag(response)
                rest = {"Range": f"bytes={part.size}-", "If-Range": tag}
                headers = rest if part.size and tag else {}
                with ask("GET", headers=headers, stream=True) as got:
                    # RFC 9110, 14.4: the length stands behind the slash.
                    span = got.headers.get("Content-Range", "")
                    if got.status_code == 416 and span.endswith(f"/{part.size}"):
                        return
                    self._admit(got, span, part)
                    tag = _strong_tag(got)
                    for block in got.iter_content(_BLOCK):
                        part.append(block)
                        yield part.images
                return
            except (RequestException, _Interrupted) as error:
                if part.size > furthest:
                    breaks.forget()
                furthest = max(furthest, part.size)
                breaks.pause(error, f"Going on from byte {part.size:,}")

    def _admit(self, response: Response, span: str, part: PartialFile) -> None:
        """Make the part ready for an answer's bytes, or raise what it stands for."""
        status = response.status_code
        if status == 206:
            if not span.startswith(f"bytes {part.size}-"):
                said = "The server sent another range than it was asked for."
                raise RemoteError(said)
        elif status == 200:
            part.restart()
        elif status == 416:
            part.restart()
            reason = "The archive is shorter than what has come of it."
            raise _Interrupted(reason, None, False)
        elif status in _PASSING:
            raise _passing(response)
        else:
            raise self._refusal(response)

    def _ask(self, method: str, path: str) -> dict[str, Any]:
        """Return the JSON object that is answered."""
        return _read_object(self._send(method, path))

    def _send(
        self,
        method: str,
        path: str,
        body: IO[bytes] | None = None,
        media_type: str = "",
    ) -> Response:
        """Return an answer of success, whose body has come."""
        waiting = busy(f"{self._host} is asked")
        try:
            with (
                waiting,
                self._session.request(
                    method,
                    self._base + path,
                    headers={"Content-Type": media_type} if media_type else {},
                    data=body,
                    timeout=_UPLOAD_TIMEOUT_S if body else _TIMEOUT_S,
                    # A redirected POST would become a GET without a body.
                    allow_redirects=False,
                ) as response,
            ):
                if response.status_code not in (200, 201, 202, 204):
                    raise self._refusal(response)
                return response
        except RequestException as error:
            reason = _reason_of(error)
            raise RemoteError(f"{self._host} cannot be asked: {reason}") from error

    def _refusal(self, response: Response) -> Exception:
        """Return the error that an answer stands for (RFC 9457)."""
        body = _read_object(response)
        said = f"{self._host} answered {response.status_code} {response.reason}"
        try:
            if body.get("rows"):
                names = ("row", "line", "field", "reason")
                rows = (
                    RowFault(*(row[name] for name in names)) for row in body["rows"]
                )
                return BadRows(rows, int(body.get("more", 0)))
            if body.get("errors"):
                return BadParameter(
                    *(Fault(row["field"], row["reason"]) for row in body["errors"])
                )
        except (KeyError, TypeError, ValueError):
            return RemoteError(f"{said}.")
        return RemoteError(f"{said}: {body.get('detail') or 'it does not say why.'}")


class _Breaks:
    """Waits after each break, and gives up after ten in a row: `lost` says of what."""

    def __init__(self, lost: str) -> None:
        self._lost = lost
        self._count = 0

    def forget(self) -> None:
        """Begin to count anew: something has come."""
        self._count = 0

    def pause(self, error: Exception, then: str) -> None:
        """Wait, and say what comes `then`; raise RemoteError instead of an eleventh."""
        told = isinstance(error, _Interrupted)
        reason, wait_s, busy = error.args if told else (_reason_of(error), None, False)
        self._count += not busy
        if self._count > _MOST_ATTEMPTS:
            raise RemoteError(f"{self._lost}: {reason}") from error
        if wait_s is None:
            wait_s = min(_LONGEST_PAUSE_S, 0.25 * 2**self._count)
        say(f"{reason} {then} in {wait_s:g} s.")
        time.sleep(wait_s)


def _passing(response: Response) -> _Interrupted:
    """Return what a refusal for the time being stands for."""
    body = _read_object(response)
    # RFC 9110, 10.2.3; a date is not waited for.
    text = response.headers.get("Retry-After", "")
    return _Interrupted(
        body.get("detail") or f"The server answered {response.status_code}.",
        min(int(text), _LONGEST_RETRY_S) if text.isdecimal() else None,
        body.get("type") == "/problems/unfinished",
    )


def _show_key(key: str, request: PreparedRequest) -> PreparedRequest:
    request.headers["Authorization"] = f"Bearer {key}"
    return request


def _read_object(response: Response) -> dict[str, Any]:
    """Return the body if it is a JSON object, an empty one otherwise."""
    try:
        body = response.json()
    except (ValueError, RequestException):
        # A proxy answers in HTML; the status says enough.
        return {}
    return body if isinstance(body, dict) else {}


def _strong_tag(response: Response) -> str:
    tag = response.headers.get("ETag", "")
    return tag if tag.startswith('"') else ""


def _reason_of(error: Exception) -> str:
    """Say in a sentence what broke; the libraries' own texts are chains of causes."""
    if isinstance(error, requests.Timeout):
        return "The server is silent."
    if isinstance(error, requests.exceptions.SSLError):
        return "Its certificate cannot be trusted."
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "The connection broke off."
    if isinstance(error, _OF_PROXIES):
        said = "HTTP_PROXY, HTTPS_PROXY or ALL_PROXY cannot be used"
        return f"The proxy of {said}; NO_PROXY names hosts without one."
    reason = getattr(error.args[0] if error.args else None, "reason", None)
    if isinstance(reason, NameResolutionError):
        return "There is no host of that name."
    return "There is no connection to the server."
