"""A Mimeo server elsewhere, asked over HTTP, and its archives, in spite of breaks."""

import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any
from urllib.parse import SplitResult, quote, urlsplit

import ijson  # type: ignore[import-untyped]
import requests
from requests import RequestException, Response

from app.archive.manifest import MANIFEST
from app.cli.progress import say
from app.collection.errors import BadRows, RowFault
from app.collection.notices import Notices
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
# A proxy answers these while the server behind it starts anew.
_PASSING = (502, 503, 504)
# What stands before each file of an archive (APPNOTE 4.3.7).
_LOCAL_HEADER = b"PK\3\4"
# What `zipfile` and a manifest of another shape raise beside their own.
_MALFORMED = (AttributeError, EOFError, KeyError, RuntimeError, TypeError, ValueError)


class RemoteError(Exception):
    """The server cannot be used or cannot do it; the text says why."""


class DamagedArchive(RemoteError):
    """What came is no whole archive."""


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
    """A Mimeo server by its base URL; raises RemoteError where it is none."""

    def __init__(self, url: str) -> None:
        parts = base_of(url)
        if parts is None:
            raise RemoteError("--url: must be like http://127.0.0.1:8000")
        # Never `url` itself in a message: it may have a password.
        self._host = parts.netloc.rpartition("@")[2]
        self._base = url.rstrip("/")
        self._session = requests.Session()
        # Ranges count the bytes of the archive, not those of a compressed one.
        self._session.headers["Accept-Encoding"] = "identity"

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def create(self, stream: IO[bytes], media_type: str, query: str) -> Made:
        """Send a table; raise BadRows, BadParameter or RemoteError."""
        body = self._ask("POST", f"/collections?{query}", stream, media_type)
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

    def preview(self, stream: IO[bytes], media_type: str, query: str) -> dict[str, Any]:
        """Send a table to be looked at; raise BadParameter or RemoteError."""
        found = self._ask("POST", f"/collections?{query}", stream, media_type)
        if not {"count", "faults", "more", "warnings", "rows"} <= found.keys():
            raise RemoteError(f"{self._host} knows no preview of a table.")
        return found

    def parameters(self, renderer: str) -> dict[str, Any]:
        """Return the JSON Schema of each parameter of a renderer, by its name."""
        body = self._ask("GET", f"/renderers/{quote(renderer, safe='')}")
        schemas: dict[str, Any] = body.get("parameters", {}).get("properties", {})
        return schemas

    def download(self, path: str, part: "PartialFile") -> Iterator[int]:
        """Bring an archive into a part; yield how many images have come.

        Goes on after up to ten breaks between which nothing new came. Raises
        RemoteError and OSError.
        """
        tag, failed, furthest = "", 0, part.size
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
                told = isinstance(error, _Interrupted)
                args = error.args if told else (_reason_of(error), None, False)
                reason, wait_s, busy = args
                failed = (0 if part.size > furthest else failed) + (not busy)
                furthest = max(furthest, part.size)
                if failed > _MOST_ATTEMPTS:
                    raise RemoteError(f"The download broke off: {reason}") from error
                if wait_s is None:
                    wait_s = min(_LONGEST_PAUSE_S, 0.25 * 2**failed)
                say(f"{reason} Going on from byte {part.size:,} in {wait_s:g} s.")
                time.sleep(wait_s)

    def _admit(self, response: Response, span: str, part: "PartialFile") -> None:
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
            body = _read_object(response)
            # RFC 9110, 10.2.3; a date is not waited for.
            text = response.headers.get("Retry-After", "")
            raise _Interrupted(
                body.get("detail") or f"The server answered {status}.",
                min(int(text), _LONGEST_RETRY_S) if text.isdecimal() else None,
                body.get("type") == "/problems/unfinished",
            )
        else:
            raise self._refusal(response)

    def _ask(
        self,
        method: str,
        path: str,
        body: IO[bytes] | None = None,
        media_type: str = "",
    ) -> dict[str, Any]:
        """Return the JSON object that is answered."""
        try:
            with self._session.request(
                method,
                self._base + path,
                headers={"Content-Type": media_type} if media_type else {},
                data=body,
                timeout=_UPLOAD_TIMEOUT_S if body else _TIMEOUT_S,
                # A redirected POST would become a GET without a body.
                allow_redirects=False,
            ) as response:
                if response.status_code not in (200, 201):
                    raise self._refusal(response)
                return _read_object(response)
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


class PartialFile:
    """What there is of an archive, in a file that is appended to.

    `images` are those that are whole. Whoever opens it closes it.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("a+b")
        self._forget()
        self._file.seek(0)
        while block := self._file.read(_BLOCK):
            self._count(block)

    @property
    def images(self) -> int:
        """How many images are whole: behind the last one the manifest has begun."""
        return max(0, self._headers - 1)

    def append(self, data: bytes) -> None:
        """Write the next bytes."""
        self._file.write(data)
        self._count(data)

    def restart(self) -> None:
        """Forget what there is."""
        self._file.truncate(0)
        self._forget()

    def failures(self) -> list[tuple[int, str, str]]:
        """Return number, file and reason of each image that a whole archive lacks.

        Raises DamagedArchive where a checksum, or anything else, is not right.
        """
        self._file.flush()
        try:
            with zipfile.ZipFile(self._file) as archive:
                members = archive.infolist()
                # Stored only: what is packed might never end.
                odd = any(
                    each.compress_type or each.header_offset < 0 for each in members
                )
                # `testzip` opens by name, and so one of two twice.
                twice = len(set(archive.namelist())) < len(members)
                if odd or twice or archive.testzip() is not None:
                    raise zipfile.BadZipFile("a file is not as it was sent")
                with archive.open(MANIFEST) as manifest:
                    return [
                        (int(row["index"]), row["name"], row.get("detail", "failed"))
                        for row in ijson.items(manifest, "errors.item")
                    ]
        except (zipfile.BadZipFile, ijson.JSONError, *_MALFORMED) as error:
            raise DamagedArchive(f"The archive is damaged: {error}") from error

    def notices(self) -> Notices:
        """Return what the manifest of a whole archive says of the texts.

        Raises DamagedArchive where it says it in another form.
        """
        made = Notices()
        try:
            with (
                zipfile.ZipFile(self._file) as archive,
                archive.open(MANIFEST) as manifest,
            ):
                for row in ijson.items(manifest, "images.item"):
                    made.add(int(row["index"]), row.get("facts", {}))
        except (zipfile.BadZipFile, ijson.JSONError, *_MALFORMED) as error:
            raise DamagedArchive(f"The archive is damaged: {error}") from error
        return made

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _forget(self) -> None:
        self.size = 0
        self._headers = 0
        self._last = b""

    def _count(self, data: bytes) -> None:
        self.size += len(data)
        # Images are compressed: in one of 4 GiB the four bytes stand once by chance.
        self._headers += (self._last + data).count(_LOCAL_HEADER)
        self._last = (self._last + data)[-3:]


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
    return "There is no connection to the server."
