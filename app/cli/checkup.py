"""`mimeo doctor URL`: a running server seen from outside, through its proxies.

Nothing is bought, and nothing is kept. Each request says that it comes from a page of
another site: for those nobody is local, so what it sees is what strangers see.
"""

import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from email.utils import parsedate_to_datetime
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any

import requests
from requests import RequestException, Response

from app.cli.client import base_of
from app.cli.doctor import Finding, judge
from app.cli.options import Misuse

_TIMEOUT_S = (5.0, 30.0)
_IMAGE = "/images/solid.png?width=16&height=16"
# A name that nobody has (RFC 2606), and an address that nobody has (RFC 5737).
_HOST, _ADDRESS = "stranger.invalid", "192.0.2.123"
# nginx takes 1 MiB unless it is told otherwise.
_LARGE_BYTES, _VAST_BYTES = 2 << 20, 10 << 30
_SKEW_S, _MOST_SKEW_S = 5.0, 60.0
# Each costs a request.
_MOST_SERVICES = 5
_LOCAL = ("localhost", "127.0.0.1", "::1")
_NGINX = "see deploy/nginx.conf and docs/how-to/nginx.md"


class _RunningServer:
    """A server by its base URL, asked as a stranger, or with a key."""

    def __init__(self, url: str, key: str | None) -> None:
        parts = base_of(url)
        if parts is None:
            raise Misuse("doctor URL: must be like https://images.example.com")
        self.parts = parts
        self.key = key
        self._base = url.rstrip("/")
        self.session = requests.Session()
        self.session.headers["Sec-Fetch-Site"] = "cross-site"
        self.session.headers["Accept-Encoding"] = "identity"

    def ask(
        self, path: str, method: str = "GET", *, known: bool = False, **more: Any
    ) -> Response:
        """Ask for a path; with the key, where `known`. Redirects are answers."""
        headers = dict(more.pop("headers", {}))
        if known and self.key is not None:
            headers["Authorization"] = f"Bearer {self.key}"
        return self.session.request(
            method,
            self._base + path,
            headers=headers,
            timeout=_TIMEOUT_S,
            allow_redirects=False,
            **more,
        )


Check = Callable[[_RunningServer], Iterable[Finding]]


def examine(url: str, key: str | None = None) -> Iterator[Finding]:
    """Yield what is found; the rest is not looked at where the server does not answer.

    `key` is one with `admin`, for what strangers are not told. Raises Misuse for a
    URL that is none.
    """
    server = _RunningServer(url, key)
    with server.session:
        live = [*_attempt("live", server, _live)]
        yield from live
        if live[0].state == "fail":
            return
        for subject, check in _CHECKS.items():
            yield from _attempt(subject, server, check)


def _attempt(subject: str, server: _RunningServer, check: Check) -> Iterator[Finding]:
    try:
        yield from check(server)
    except (RequestException, HTTPException, OSError, ValueError, KeyError) as error:
        # Never the text of it, which may have the URL, and in that a password.
        detail = f"no answer that can be read ({type(error).__name__})"
        yield Finding("fail", subject, detail, "look whether a Mimeo answers there")


def _live(server: _RunningServer) -> Iterator[Finding]:
    started = time.monotonic()
    answer = server.ask("/health/live")
    took_ms = (time.monotonic() - started) * 1000
    fine = answer.status_code == 200 and answer.json() == {"status": "live"}
    detail = f"{answer.status_code} in {took_ms:.0f} ms"
    mend = "look at the server's log, and whether the proxy finds it"
    yield judge("live", fine, detail, mend, "fail")
    scheme, host = server.parts.scheme, server.parts.hostname
    safe = scheme == "https" or host in _LOCAL
    mend = "keys and signed URLs can be read on the way: put TLS in front"
    yield judge("transport", safe, f"{scheme} to {host}", mend)


def _ready(server: _RunningServer) -> Iterator[Finding]:
    answer = server.ask("/health/ready", known=True)
    told = answer.json()
    detail = f"{answer.status_code}, {told.get('status')}"
    mend = "look at the server's log: it ends, or its store is of another version"
    yield judge("ready", answer.status_code == 200, detail, mend, "fail")
    mend = "look at the server's log: the store cannot be written"
    yield judge("store", told.get("status") != "degraded", detail, mend)
    if broken := told.get("broken"):
        yield Finding("warn", "templates", f"broken: {', '.join(broken)}", "edit them")
    if "version" not in told:
        detail = "not told to strangers, but to a key with `admin` (--key-file)"
        mend = "give --key-file with a key that has `admin`"
        yield judge("version", server.key is None, detail, mend)
        return
    yield Finding("ok", "version", told["version"])
    yield from _client(server, told["client"])


def _client(server: _RunningServer, seen: str) -> Iterator[Finding]:
    """Look whom the server takes us for, and whether it believes what we make up."""
    forged = {"X-Forwarded-For": _ADDRESS, "Forwarded": f"for={_ADDRESS}"}
    answer = server.ask("/health/ready", known=True, headers=forged)
    fine = answer.json()["client"] != _ADDRESS
    mend = "MIMEO_PROXIES is larger than the number of proxies in front"
    detail = "a forged address is " + ("passed over" if fine else "believed")
    yield judge("address", fine, detail, mend, "fail")
    inside = seen in _LOCAL and server.parts.hostname not in _LOCAL
    mend = "callers share an address: set MIMEO_PROXIES to the number of proxies"
    yield judge("proxies", not inside, f"this client is {seen or 'not known'}", mend)


def _guarded(server: _RunningServer) -> Iterator[Finding]:
    status = server.ask("/metrics").status_code
    mend = "let no stranger reach /metrics: is this server older, or a cache in front?"
    detail = f"/metrics is {status} to strangers"
    yield judge("metrics", status in (401, 403, 404), detail, mend, "fail")
    status = server.ask(_IMAGE).status_code
    told = {200: "anyone draws", 401: "drawing needs a key or a signed URL"}
    mend = "look at the answer to /images/solid.png"
    yield judge("access", status in told, told.get(status, f"{status}"), mend, "fail")


def _purchases(server: _RunningServer) -> Iterator[Finding]:
    """Ask for what nobody bought yet, as a prefetch, which buys nothing."""
    rows = server.ask("/renderers").json()["renderers"]
    services = [row["name"] for row in rows if row["service"]]
    for name in services[:_MOST_SERVICES]:
        prompt = {"prompt": f"mimeo doctor {secrets.token_hex(8)}"}
        prefetch = {"Sec-Purpose": "prefetch"}
        path = f"/images/{name}.png"
        answer = server.ask(path, params=prompt, headers=prefetch)
        if answer.status_code == 403 and answer.json()["type"].endswith("/not-bought"):
            mend = "remove it from MIMEO_OPEN_SERVICES, unless it is free"
            detail = f"anyone may buy of {name}, within the budget"
            yield Finding("warn", "purchases", detail, mend)
        else:
            fine = answer.status_code in (401, 403)
            detail = f"{name} is {answer.status_code} to strangers"
            yield judge("purchases", fine, detail, "look at the answer to it", "warn")
    if not services:
        yield Finding("ok", "purchases", "there is no service to buy of")


def _hosts(server: _RunningServer) -> Iterator[Finding]:
    answer = server.ask("/renderers", headers={"Host": _HOST})
    mend = "set MIMEO_PUBLIC_URL or MIMEO_ALLOWED_HOSTS"
    detail = f"the Host of a stranger's name is answered with {answer.status_code}"
    yield judge("hosts", answer.status_code >= 300, detail, mend)
    # The client's word must be in nothing that somebody else may get from a cache.
    forged = {"X-Forwarded-Host": _HOST, "X-Forwarded-Server": _HOST}
    answers = [server.ask(path, headers=forged) for path in ("/", _IMAGE)]
    echoed = any(_HOST in f"{each.headers}{each.text}" for each in answers)
    detail = "an X-Forwarded-Host is " + ("repeated" if echoed else "passed over")
    mend = "have the proxy remove X-Forwarded-Host"
    yield judge("forwarding", not echoed, detail, mend, "fail")


def _http(server: _RunningServer) -> Iterator[Finding]:
    """Look whether a proxy leaves caching, 304 and ranges as they are."""
    first = server.ask(_IMAGE, known=True)
    if first.status_code != 200:
        mend = "give --key-file with a key that has `draw:*`"
        yield Finding("warn", "caching", "not looked at, without a key", mend)
        return
    tag, kept = first.headers.get("ETag", ""), first.headers.get("Cache-Control")
    fine = tag.startswith('"') and kept is not None
    detail = f"ETag {tag[:13] or 'is missing'}, Cache-Control {kept or 'is missing'}"
    yield judge("caching", fine, detail, f"a proxy changes headers: {_NGINX}", "fail")
    same = server.ask(_IMAGE, known=True, headers={"If-None-Match": tag})
    detail = f"If-None-Match is answered with {same.status_code}"
    mend = f"a proxy drops it, or changes the ETag: {_NGINX}"
    yield judge("304", same.status_code == 304 and not same.content, detail, mend)
    wanted = {"Range": "bytes=0-3", "If-Range": tag}
    part = server.ask(_IMAGE, known=True, headers=wanted)
    fine = (part.status_code, part.content) == (206, first.content[:4])
    detail = f"a range is answered with {part.status_code}"
    mend = f"a proxy drops Range, so downloads are not resumed: {_NGINX}"
    yield judge("range", fine, detail, mend)


def _compression(server: _RunningServer) -> Iterator[Finding]:
    accepting = {"Accept-Encoding": "gzip"}
    page = server.ask("/renderers", headers=accepting)
    coding = page.headers.get("Content-Encoding", "none")
    mend = f"have a proxy compress JSON: {_NGINX}"
    yield judge("gzip", coding == "gzip", f"of JSON: {coding}", mend)
    image = server.ask(_IMAGE, known=True, headers=accepting)
    coding = image.headers.get("Content-Encoding", "none")
    mend = "have the proxy leave images alone: ranges and ETags are of their bytes"
    yield judge("gzip", coding == "none", f"of images: {coding}", mend, "fail")


def _clock(server: _RunningServer) -> Iterator[Finding]:
    date = server.ask("/health/live").headers["Date"]
    skew_s = abs(parsedate_to_datetime(date).timestamp() - time.time())
    detail = f"{skew_s:.0f} s between both machines"
    mend = "signed URLs end by the server's clock: run NTP on both"
    state: Any = "fail" if skew_s > _MOST_SKEW_S else "warn"
    yield judge("clock", skew_s <= _SKEW_S, detail, mend, state)


def _errors(server: _RunningServer) -> Iterator[Finding]:
    answer = server.ask("/nowhere-at-all")
    kind = answer.headers.get("Content-Type", "").partition(";")[0]
    fine = answer.status_code == 404 and kind == "application/problem+json"
    mend = f"a proxy writes pages of its own over problems: {_NGINX}"
    yield judge("errors", fine, f"{answer.status_code} {kind}", mend)


def _bodies(server: _RunningServer) -> Iterator[Finding]:
    text = b'{"width": 16}'.ljust(_LARGE_BYTES)
    headers = {"Content-Type": "application/json"}
    path = "/images/solid.png"
    status = server.ask(
        path, "POST", known=True, data=text, headers=headers
    ).status_code
    detail = f"2 MiB are answered with {status}"
    mend = "raise the proxy's limit (nginx: client_max_body_size 65m)"
    yield judge("body", status in (200, 401), detail, mend)
    status = _announce(server, f"{server.parts.path.rstrip('/')}{path}")
    mend = "limit bodies in the proxy, and MIMEO_MAX_BODY_BYTES"
    detail = f"10 GiB are answered with {status}"
    yield judge("body", status in (401, 413), detail, mend)


def _announce(server: _RunningServer, path: str) -> int:
    """Return the status of a body that is announced and not sent."""
    parts = server.parts
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=_TIMEOUT_S[1])
    try:
        connection.putrequest("POST", path)
        for name, value in (
            ("Content-Type", "application/json"),
            ("Content-Length", str(_VAST_BYTES)),
            ("Sec-Fetch-Site", "cross-site"),
        ):
            connection.putheader(name, value)
        connection.endheaders()
        return connection.getresponse().status
    finally:
        connection.close()


_CHECKS: dict[str, Check] = {
    "ready": _ready,
    "access": _guarded,
    "purchases": _purchases,
    "hosts": _hosts,
    "caching": _http,
    "gzip": _compression,
    "clock": _clock,
    "errors": _errors,
    "body": _bodies,
}
