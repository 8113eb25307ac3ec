"""The requests that a client sends, and what it makes of the answers."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any
from urllib.parse import SplitResult, quote, urlsplit

import requests
from requests import RequestException, Response

from app.cli.client.errors import RemoteError, reason_of
from app.collection.errors import BadRows, RowFault
from app.renderer.errors import BadParameter, Fault

# Seconds to connect, and between two bytes. The server is silent while it lays an
# archive out, 20 seconds by default, and then never for longer than 6.
_TIMEOUT_S = (10.0, 120.0)
# Checking the rows of an upload may take this long after its last byte.
_UPLOAD_TIMEOUT_S = (10.0, 600.0)


@dataclass(frozen=True, slots=True)
class Made:
    """A collection on a server: its id, the number of images, the path of its ZIP."""

    id: str
    count: int
    path: str


class Server:
    """A Mimeo server by its base URL; raises RemoteError where it is none."""

    def __init__(self, url: str) -> None:
        parts = _split(url)
        if parts is None or parts.query or parts.fragment:
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
        path = f"/collections?{query}"
        headers = {"Content-Type": media_type}
        with self._ask("POST", path, headers, stream, _UPLOAD_TIMEOUT_S) as response:
            if response.status_code not in (200, 201):
                raise self.refusal(response)
            body = read_object(response)
        try:
            made = Made(str(body["id"]), int(body["count"]), str(body["links"]["zip"]))
        except (KeyError, TypeError, ValueError) as error:
            raise RemoteError(f"{self._host} is not a Mimeo server.") from error
        # The id becomes a file name, and the link is asked for with credentials.
        if not made.id.isalnum() or not made.path.startswith("/"):
            raise RemoteError(f"{self._host} is not a Mimeo server.")
        return made

    def parameters(self, renderer: str) -> Mapping[str, Any]:
        """Return the JSON Schema of each parameter of a renderer, by its name."""
        with self._ask("GET", f"/renderers/{quote(renderer, safe='')}", {}) as response:
            if response.status_code != 200:
                raise self.refusal(response)
            found = read_object(response).get("parameters", {})
        schemas: Mapping[str, Any] = found.get("properties", {})
        return schemas

    @contextmanager
    def open(
        self, path: str, headers: Mapping[str, str], method: str = "GET"
    ) -> Iterator[Response]:
        """Ask for a path; raises RequestException where the connection breaks."""
        url = self._base + path
        with self._session.request(
            method, url, headers=dict(headers), timeout=_TIMEOUT_S, stream=True
        ) as response:
            yield response

    def refusal(self, response: Response) -> Exception:
        """Return the error that an answer stands for (RFC 9457)."""
        body = read_object(response)
        status = f"{response.status_code} {response.reason}"
        try:
            if body.get("rows"):
                faults = (_row_fault(row) for row in body["rows"])
                return BadRows(faults, int(body.get("more", 0)))
            if body.get("errors"):
                return BadParameter(
                    *(Fault(row["field"], row["reason"]) for row in body["errors"])
                )
        except (KeyError, TypeError, ValueError):
            return RemoteError(f"{self._host} answered {status}.")
        detail = body.get("detail") or "it does not say why."
        return RemoteError(f"{self._host} answered {status}: {detail}")

    @contextmanager
    def _ask(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: IO[bytes] | None = None,
        timeout_s: tuple[float, float] = _TIMEOUT_S,
    ) -> Iterator[Response]:
        url = self._base + path
        try:
            # A redirected POST would become a GET without a body.
            with self._session.request(
                method,
                url,
                headers=dict(headers),
                data=body,
                timeout=timeout_s,
                allow_redirects=False,
            ) as response:
                yield response
        except RequestException as error:
            reason = reason_of(error)
            raise RemoteError(f"{self._host} cannot be asked: {reason}") from error


def read_object(response: Response) -> dict[str, Any]:
    """Return the body if it is a JSON object, an empty one otherwise."""
    try:
        body = response.json()
    except (ValueError, RequestException):
        # A proxy answers in HTML; the status says enough.
        return {}
    return body if isinstance(body, dict) else {}


def _split(url: str) -> SplitResult | None:
    """Return the parts of an HTTP URL, or None."""
    try:
        parts = urlsplit(url)
        # A bad port shows only when it is asked for.
        whole = parts.hostname and (parts.port is None or parts.port)
    except ValueError:
        return None
    return parts if whole and parts.scheme in ("http", "https") else None


def _row_fault(row: Mapping[str, Any]) -> RowFault:
    return RowFault(row["row"], row["line"], row["field"], row["reason"])
