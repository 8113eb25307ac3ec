"""The gate: who asks, and whether they may ask for this; before any view is called.

Views know no keys. What depends on a renderer is asked for where it is known, by
`app.access.policy`.
"""

import ipaddress
import logging
import time
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from flask import Flask, Response, request
from flask.globals import request_ctx

from app.access.caller import CALLER, Caller
from app.access.errors import BadSignature, ExpiredUrl, UnlistedHost
from app.access.keys import PREFIX, Key, KeyRing
from app.access.policy import Policy
from app.access.signed_url import UrlSigner, is_signed
from app.config import Settings
from app.parsing.image import BadBody
from app.parsing.tracking import counts_for_nothing
from app.pipeline.admission import ARRIVED

_CALLER = "mimeo.caller"
_LOG = logging.getLogger("mimeo.access")
# The action of each route, by its endpoint. A route without one is for operators.
ACTIONS: Mapping[str, str] = MappingProxyType(
    {
        "index.index": "look",
        "studio.page": "look",
        "studio.file": "look",
        "catalogue.index": "look",
        "catalogue.show": "look",
        "catalogue.fonts": "look",
        "catalogue.problems": "look",
        "catalogue.problem_type": "look",
        "reference.document": "look",
        "reference.page": "look",
        "reference.file": "look",
        "manual.page": "look",
        "manual.file": "look",
        "templates.index": "templates",
        "templates.show": "templates",
        "templates.save": "templates",
        "templates.delete": "templates",
        "templates.preview": "templates",
        "templates.export": "templates",
        "health.live": "look",
        "health.ready": "look",
        "health.show_metrics": "administer",
        "images.show": "draw",
        "images.draw": "draw",
        "images.envelope": "draw",
        "inference.infer": "draw",
        "openai.generate": "draw",
        "openai.edit": "draw",
        "openai.models": "look",
        "openai.model": "look",
        "webui.generate": "draw",
        "webui.models": "look",
        "webui.samplers": "look",
        "webui.options": "look",
        "collections.create": "keep",
        "collections.show": "read",
        "collections.image": "read",
        "collections.delete": "keep",
        "sheets.show": "read",
        "archives.create": "keep",
        "archives.send": "read",
        "jobs.create": "jobs",
        "jobs.index": "jobs",
        "jobs.show": "jobs",
        "jobs.cancel": "jobs",
        "jobs.delete": "jobs",
        "jobs.retry": "jobs",
        "jobs.purge": "jobs",
        "jobs.archive": "read",
        "jobs.answer": "read",
        "jobs.manifest": "read",
        "jobs.errors": "read",
        "jobs.deliveries": "read",
        "jobs.events": "jobs",
        "batches.upload": "jobs",
        "batches.files": "jobs",
        "batches.file": "jobs",
        "batches.content": "read",
        "batches.forget": "jobs",
        "batches.create": "jobs",
        "batches.index": "jobs",
        "batches.show": "jobs",
        "batches.cancel": "jobs",
        "media.show": "media",
    }
)
_FORWARDED = (
    *("HTTP_FORWARDED", "HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_PROTO"),
    *("HTTP_X_FORWARDED_HOST", "HTTP_X_FORWARDED_PORT", "HTTP_X_REAL_IP", "HTTP_VIA"),
)
_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
# What a browser says of a page of this server, or of no page.
_OWN_SITE = (None, "same-origin", "none")


class Gate:
    """Finds out who asks, and refuses what they may not ask for."""

    def __init__(
        self, settings: Settings, keys: KeyRing, signer: UrlSigner | None
    ) -> None:
        self._policy = Policy(settings.access, frozenset(settings.open_services))
        self._stranger = Caller("anonymous", policy=self._policy)
        self._keys = keys
        self._signer = signer
        self._local = settings.local_callers and settings.proxies == 0
        self._unproxied = settings.proxies == 0
        self._hosts = _hosts(settings)
        self._tracking = settings.tracking_names
        self._warned = False

    def install(self, app: Flask) -> None:
        """Stand before every view of an app, and behind it."""
        app.before_request(self.enter)
        app.after_request(self.leave)

    def enter(self) -> None:
        """Take note of the caller, or refuse them; raises an AccessError."""
        # Each look through Flask's proxy is five calls.
        asked = request_ctx.request
        environ, rule = asked.environ, asked.url_rule
        endpoint = None if rule is None else rule.endpoint
        # Set before anything can be raised: a thread serves one caller after another.
        CALLER.set(self._stranger)
        ARRIVED.set(environ.get("mimeo.arrived"))
        # Whoever asks for health calls a container by its address.
        if self._hosts and not (endpoint or "").startswith("health."):
            self._check_host(environ)
        if rule is not None:
            # For traces: paths are what people made up.
            environ["mimeo.route"] = rule.rule
        caller = self._caller(environ)
        CALLER.set(caller)
        environ[_CALLER] = caller
        # Without an endpoint the answer is 404 or 405, and OPTIONS is for anyone.
        if endpoint is None or environ["REQUEST_METHOD"] == "OPTIONS":
            return
        action = ACTIONS.get(endpoint, "administer")
        if action != "media":
            self._policy.check(caller, action)
        elif caller.kind != "signature":
            raise BadSignature

    def leave(self, answer: Response) -> Response:
        """Let no shared cache keep what needed a key or a signature."""
        # Not by CALLER: what is refused before the gate has none, and a thread has
        # served others before.
        caller = request.environ.get(_CALLER)
        if caller is not None and caller.kind not in ("anonymous", "local"):
            _make_private(answer, caller)
        return answer

    def _caller(self, environ: dict[str, Any]) -> Caller:
        token = _token(environ)
        # First: a wrong key is refused whatever comes beside it.
        key = None if token is None else self._keys.find(token)
        query: str = environ.get("QUERY_STRING", "")
        if is_signed(query):
            signed = self._signed(environ, query)
            if key is None:
                return signed
        about = (None, self._policy, *_logged(environ))
        if key is not None:
            return Caller("key", "", key, *about)
        if self._local and _is_local(environ):
            return Caller("local", "", None, *about)
        return Caller("anonymous", self._address(environ), None, *about)

    def _signed(self, environ: dict[str, Any], query: str) -> Caller:
        """Check a signature, and take it from the query: views see none of it."""
        if self._signer is None or environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            raise BadSignature
        raw = environ.get("RAW_URI") or environ.get("REQUEST_URI") or ""
        path = raw.partition("?")[0]
        if not path.startswith("/"):
            # The absolute form (RFC 9112, 3.2.2): signed is what follows the host.
            path = f"/{path.partition('://')[2].partition('/')[2]}"
        signed = self._signer.check(path, query, self._passes, time.time())
        environ["QUERY_STRING"] = signed.query
        # Flask has read it already.
        request.query_string = signed.query.encode("latin-1")
        key: Key | None = self._keys.get(signed.key)
        if key is not None and key.ended:
            raise ExpiredUrl(key.id)
        address = "" if key is not None else self._address(environ)
        about = (signed.expires, self._policy, *_logged(environ))
        return Caller("signature", address, key, *about)

    def _passes(self, name: str, value: str) -> bool:
        return counts_for_nothing(name, value, self._tracking)

    def _address(self, environ: Mapping[str, Any]) -> str:
        """Return the client's address, or nothing where a proxy hides it."""
        if self._unproxied and not environ.keys().isdisjoint(_FORWARDED):
            if not self._warned:
                self._warned = True
                _LOG.warning(
                    "a proxy stands in front and MIMEO_PROXIES is 0: callers are not"
                    " told apart by their addresses"
                )
            return ""
        return network_of(environ.get("REMOTE_ADDR", ""))

    def _check_host(self, environ: Mapping[str, Any]) -> None:
        host = bare_host(environ.get("HTTP_HOST", ""))
        if host not in self._hosts:
            raise UnlistedHost(host)


def vouches(settings: Settings, environ: Mapping[str, Any]) -> bool:
    """Tell whether whoever hands the request on is trusted with more than a request.

    Those are the proxies that the operator counts, and local callers.
    """
    return settings.proxies > 0 or (settings.local_callers and _is_local(environ))


def _hosts(settings: Settings) -> frozenset[str]:
    """Return the hosts that are answered; none where all are."""
    named = list(settings.allowed_hosts)
    if settings.public_url is not None:
        named.append(settings.public_url.partition("://")[2])
    if not named:
        return frozenset()
    bound = f"[{settings.host}]" if ":" in settings.host else settings.host
    return frozenset(map(bare_host, (*named, bound, *_LOOPBACK)))


@lru_cache(1024)
def bare_host(host: str) -> str:
    """Return a host without its port, in lower case and without a last dot."""
    name, _, port = host.rpartition(":")
    bare = name if (name and port.isdigit()) or host.endswith(":") else host
    return bare.lower().rstrip(".")


@lru_cache(4096)
def network_of(address: str) -> str:
    """Return an address; of IPv6 its /64, which is what one customer has."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        # A socket of this machine has none.
        return ""
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((int(found) >> 64 << 64, 64)))


def _logged(environ: Mapping[str, Any]) -> tuple[str, str, str | None]:
    """Return what the log says of whoever asks: request, address and route."""
    request_id: str = environ.get("mimeo.request_id", "")
    return request_id, environ.get("REMOTE_ADDR", ""), request.endpoint


def _token(environ: Mapping[str, Any]) -> str | None:
    """Return the key that was sent; raise BadBody for two that differ.

    Another server's Bearer, and Basic, are somebody else's business.
    """
    given: str = environ.get("HTTP_X_API_KEY", "").strip()
    scheme, _, value = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    value = value.strip()
    bearer = scheme.lower() == "bearer" and value.startswith(PREFIX)
    if not given.startswith(PREFIX):
        return value if bearer else None
    if bearer and value != given:
        raise BadBody("Authorization and X-API-Key hold different keys.")
    return given


def _is_local(environ: Mapping[str, Any]) -> bool:
    """Tell whether a program on this machine asks, and no page and no proxy."""
    if not _is_loopback(environ.get("REMOTE_ADDR", "")):
        return False
    if not environ.keys().isdisjoint(_FORWARDED):
        return False
    # A name that an attacker points at this machine is another one (DNS rebinding).
    if bare_host(environ.get("HTTP_HOST", "localhost")) not in _LOOPBACK:
        return False
    if environ.get("HTTP_SEC_FETCH_SITE") not in _OWN_SITE:
        return False
    origin = environ.get("HTTP_ORIGIN")
    scheme = environ["wsgi.url_scheme"]
    return origin is None or origin == f"{scheme}://{environ.get('HTTP_HOST')}"


@lru_cache(64)
def _is_loopback(address: str) -> bool:
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = getattr(found, "ipv4_mapped", None)
    return (mapped or found).is_loopback


def _make_private(answer: Response, caller: Caller) -> None:
    """Bind an answer to whoever asked, and to the life of a signature."""
    kept = answer.headers.get("Cache-Control")
    if kept is None or "no-store" in kept:
        return
    parts = [part.strip() for part in kept.split(",")]
    rest = [part for part in parts if part not in ("public", "private")]
    if caller.expires is not None:
        left = max(0, caller.expires - int(time.time()))
        rest = [
            f"max-age={min(left, int(part[8:]))}"
            if part.startswith("max-age=")
            else part
            for part in rest
            # It would outlive the signature.
            if part != "immutable"
        ]
    answer.headers["Cache-Control"] = ", ".join(("private", *rest))
