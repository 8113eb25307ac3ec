"""Requests to upstreams, and to the addresses that their answers name.

Two zones: a configured service is trusted, gets its credentials, and redirects
nowhere; a URL found in an answer leads to public addresses only and gets none.
"""

import logging
import math
import re
import time
import uuid
from collections.abc import Callable
from urllib.parse import urljoin

import requests

from app.upstream.errors import (
    MOST_RETRY_S,
    BadMedia,
    ForbiddenAddress,
    UpstreamBroken,
    UpstreamBusy,
    UpstreamDenied,
    UpstreamError,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from app.upstream.request.adapters import WireRequest
from app.upstream.resilience.concurrency import ConcurrencyLimit
from app.upstream.resilience.retry import Deadline, backoff, retry_after
from app.upstream.service import Service
from app.upstream.transport.addresses import Target, origin, parse
from app.upstream.transport.http import Received, exchange

_LOG = logging.getLogger("mimeo.upstream")
MOST_ATTEMPTS = 3
MOST_REDIRECTS = 3
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)
REDIRECTS = (301, 302, 303, 307, 308)


def call(
    service: Service,
    request: WireRequest,
    *,
    deadline: Deadline,
    gate: ConcurrencyLimit,
    patient: bool = False,
) -> Received:
    """Send a paid request, and again only where nothing was bought for certain.

    Returns answers of 2xx and of 4xx, whose meaning is a matter of the body; every
    other outcome is an UpstreamError, and so is a 429 that says when to come back.
    All attempts carry the same `Idempotency-Key`, the request's own or a new one.
    The `patient` go on until their deadline: they wait while the service is left
    alone, which bounds their attempts, and while it says that it is full.
    """
    sent = _request(service, request)

    def attempt() -> Received:
        with gate.attempt(deadline.remaining() if patient else 0):
            received = exchange(sent, service, deadline, allowed=service.max_wire_bytes)
            return _judge(received, service.name)

    with gate.admit(deadline, patient=patient):
        if patient:
            return _persist(attempt, deadline, _unbought, most=math.inf)
        return _persist(attempt, deadline, _unbought, gate.budget.spend)


def fetch_url(url: str, *, service: Service, deadline: Deadline) -> Received:
    """Fetch an image from a URL that an answer of this service named; status 200.

    A relative one is resolved against the service's. The service's own origin is as
    trusted as it is; any other must be public, in every redirect (three at most).
    Fetching is free, so it is tried again whatever
    went wrong on the way. Raises ForbiddenAddress, BadMedia, TooLarge,
    UpstreamTimeout and UpstreamBroken, all with `outcome_unknown`: the image is paid.
    """
    first = _parse(url and absolute(service.url, url), service.name)
    try:
        return _persist(
            lambda: _follow(first, service, deadline), deadline, _on_the_way
        )
    except UpstreamError as error:
        raise _after_paying(error) from None


def _request(service: Service, request: WireRequest) -> requests.Request:
    headers = dict(request.headers)
    if not any(name.lower() == "idempotency-key" for name in headers):
        headers["Idempotency-Key"] = str(uuid.uuid4())
    base = service.url.rstrip("/") if request.path else service.url
    return requests.Request(
        request.method, f"{base}{request.path}", headers, data=request.body
    )


def _judge(received: Received, upstream: str) -> Received:
    """Raise what an answer's status says on its own."""
    status = received.status
    pause_s = retry_after(received.headers) if status in (429, 503) else None
    if pause_s is None and (status < 300 or 400 <= status < 500):
        return received
    received.body.close()
    if pause_s is not None:
        raise UpstreamBusy(upstream, math.ceil(pause_s))
    if status < 400:
        reason = "it redirects, which is not followed with credentials"
        raise UpstreamDenied(upstream, status, reason)
    raise UpstreamBroken(upstream, f"it answered {status}", status)


def _unbought(error: UpstreamError, attempt: int) -> float | None:
    """Return the pause before a paid request may be sent again, or None for never."""
    if isinstance(error, UpstreamBusy):
        # The longest may be one that was cut.
        return error.retry_s if error.retry_s < MOST_RETRY_S else None
    if isinstance(error, (UpstreamUnavailable, UpstreamTimeout)):
        return None if error.outcome_unknown else backoff(attempt)
    return None


def _on_the_way(error: UpstreamError, attempt: int) -> float | None:
    """Return the pause before a fetch may be tried again, or None for never."""
    if isinstance(error, (UpstreamUnavailable, UpstreamTimeout, UpstreamBroken)):
        return backoff(attempt)
    return _unbought(error, attempt)


def _after_paying(error: UpstreamError) -> UpstreamError:
    """Return an error that does not say that nothing was bought, because it was."""
    if error.outcome_unknown:
        return error
    if isinstance(error, UpstreamTimeout):
        return UpstreamTimeout(error.upstream, error.hop, error.allowed_s)
    return BadMedia(error.upstream, "the address of its image cannot be reached")


def _persist(
    attempt: Callable[[], Received],
    deadline: Deadline,
    pause_of: Callable[[UpstreamError, int], float | None],
    may_retry: Callable[[], bool] = lambda: True,
    most: float = MOST_ATTEMPTS,
) -> Received:
    """Try until it works, is hopeless, or would be too late or too often."""
    number = 1
    while True:
        started = time.monotonic()
        try:
            return attempt()
        except UpstreamError as error:
            _tell(error, number, time.monotonic() - started)
            pause_s = pause_of(error, number)
            if (
                pause_s is None
                or number >= most
                or pause_s >= deadline.remaining()
                or not may_retry()
            ):
                raise
        time.sleep(pause_s)
        number += 1


def _tell(error: UpstreamError, attempt: int, passed_s: float) -> None:
    """Log a failed attempt: never an address, a header or a body."""
    outcome = type(error).__name__
    _LOG.warning(
        "%s: attempt %d, %s, %.3f s", error.upstream, attempt, outcome, passed_s
    )


def _parse(url: str, upstream: str) -> Target:
    try:
        return parse(url)
    except ValueError:
        raise ForbiddenAddress(upstream) from None


def _follow(target: Target, service: Service, deadline: Deadline) -> Received:
    """Get a URL and what it redirects to, each looked at anew."""
    for _ in range(MOST_REDIRECTS + 1):
        received = _get(target, service, deadline)
        if received.status not in REDIRECTS:
            return _fetched(received, service.name)
        received.body.close()
        location = received.headers.get("location", "")
        target = _parse(absolute(target.url, location), service.name)
    raise BadMedia(service.name, "the address of its image redirects too often")


def _get(target: Target, service: Service, deadline: Deadline) -> Received:
    return exchange(
        requests.Request("GET", target.url, {"Accept": "image/*, */*;q=0.5"}),
        service,
        deadline,
        public=target.origin != origin(service.url),
        limit="max_image_bytes",
        allowed=service.max_image_bytes,
    )


def _fetched(received: Received, upstream: str) -> Received:
    """Return what was found; only 200 is an image, though a lost one (5xx) may be."""
    if received.status == 200:
        return received
    if received.status >= 500 or received.status == 429:
        _judge(received, upstream)
    received.body.close()
    raise BadMedia(upstream, f"the address of its image answers {received.status}")


def absolute(base: str, reference: str) -> str:
    """Resolve a reference, as in a Location, where it is relative (RFC 3986, 5.2).

    An absolute one stays as it is written: `urljoin` would leave out characters.
    """
    if _SCHEME.match(reference):
        return reference
    try:
        return urljoin(base, reference)
    except ValueError:
        return reference
