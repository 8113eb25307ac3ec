"""Messages to a program that waits for a job, by Standard Webhooks 1.0.0.

An attempt is one HTTP exchange under the rules for addresses that strangers name.
Before it is made it is noted, with the time of the next: a process that dies
meanwhile has made an attempt, and another goes on.
"""

import hashlib
import logging
import math
import random
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import Any

import orjson
import requests

from app.access.signed_url import secret_of
from app.config import Settings
from app.jobs.delivery_log import DeliveryAttempt, DeliveryLog, moment
from app.jobs.errors import JobError
from app.jobs.job import Job
from app.jobs.job_ledger import JobLedger
from app.jobs.signature import signed_headers
from app.observability import metrics
from app.observability.spans import TraceWork, untraced
from app.renderer.errors import BadParameter, Fault
from app.store import Store, StoreError, sees_all
from app.upstream.errors import (
    ForbiddenAddress,
    UpstreamError,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from app.upstream.resilience.retry import Deadline, retry_after
from app.upstream.service import Service
from app.upstream.transport.addresses import Target, is_public, parse
from app.upstream.transport.http import exchange

_LOG = logging.getLogger("mimeo.webhooks")
SETTING = "MIMEO_WEBHOOK_HOSTS"
# When attempts are made, in seconds after the first.
_ATTEMPTS_AT_S = (0, 5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
_TOTAL_S = 20.0
# No attempt takes as long: whoever began it is dead.
_LOST_S = 30.0
_MOST_RETRY_S = 86_400.0
_MOST_BYTES = 20_000
# Statuses whose Retry-After counts: the receiver, or what stands before it, is full.
_BUSY = (429, 502, 503, 504)
# Receivers that are slow hold up so many, at most.
_THREADS = 4
# Seconds until the store is asked again after a fault.
_FAULT_S = 10.0
_REMEMBERED = 4096
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_SERVICE = Service(
    name="webhook",
    kind="auto",
    url="",
    first_byte_s=_TOTAL_S,
    idle_s=_TOTAL_S,
    total_s=_TOTAL_S,
)


@dataclass(frozen=True, slots=True)
class JobEvent:
    """What happened to a job: `type` is like `job.succeeded`.

    `ended` is in seconds since the epoch, `job` the job as `GET /jobs/<id>` shows it,
    `trace` the `traceparent` of the request that submitted it.
    """

    type: str
    ended: float
    job: Mapping[str, Any]
    trace: str | None = None

    @property
    def id(self) -> str:
        """Return what is equal in all attempts, and in those of no other event."""
        # The same rows may become a job again, when the first is kept no longer.
        parts = (self.job["id"], self.job["created"], self.type)
        name = "\n".join(parts).encode()
        return f"msg_{hashlib.sha256(name).hexdigest()[:32]}"

    def body(self) -> bytes:
        """Return the message, under 20 kB: a large job is id, state and links alone."""
        whole = self._body(self.job)
        if len(whole) < _MOST_BYTES:
            return whole
        return self._body({name: self.job[name] for name in ("id", "state", "links")})

    def _body(self, data: Mapping[str, Any]) -> bytes:
        about = {"type": self.type, "timestamp": moment(self.ended), "data": data}
        return orjson.dumps(about)


class Webhooks:
    """Checks where messages may go, and sends them; may be shared by threads.

    `hosts` are the only ones where there are any; `secrets` are the server's, of which
    all sign. `local` is whether a caller of this machine may name a loopback address,
    by http too.
    """

    def __init__(
        self,
        hosts: Iterable[str],
        secrets: Callable[[], Sequence[bytes]],
        *,
        local: bool,
        trace: TraceWork = untraced,
    ) -> None:
        self._hosts = frozenset(each.lower() for each in hosts)
        self._secrets = secrets
        self._local = local
        self._trace = trace

    def check(self, url: str, *, local: bool) -> None:
        """Raise BadParameter where a caller, `local` or not, may not name a URL."""
        if "#" in url:
            reason = "has a fragment (#), which no server is ever sent"
            raise BadParameter(Fault("webhook", reason))
        try:
            self._target(url, local=local and self._local)
        except ValueError as error:
            raise BadParameter(Fault("webhook", str(error))) from error

    def deliver(self, url: str, event: JobEvent, log: DeliveryLog) -> float | None:
        """Make an attempt if one is due; return when the next is, or None for never.

        Raises StoreError.
        """
        made = log.read()
        due = made[-1].due if made else event.ended
        now = time.time()
        if due is None or due > now:
            return due
        number = len(made) + 1
        begun = DeliveryAttempt(
            number=number, started=now, due=_next(number, now + _LOST_S)
        )
        secrets = self._secrets()
        if not log.begin(begun):
            return begun.due
        ended = self._attempt(url, event, begun, secrets)
        log.end(ended)
        metrics.count_webhook(ended.result)
        if ended.result != "delivered":
            _LOG.warning("%s: attempt %d: %s", event.id, number, ended.result)
        return ended.due

    def _attempt(
        self,
        url: str,
        event: JobEvent,
        begun: DeliveryAttempt,
        secrets: Sequence[bytes],
    ) -> DeliveryAttempt:
        result, status, pause_s = self._send(url, event, int(begun.started), secrets)
        ended = time.time()
        due = _next(begun.number, ended)
        if result in ("delivered", "gone"):
            due = None
        elif due is not None and pause_s is not None:
            due = max(due, ended + min(pause_s, _MOST_RETRY_S))
        return replace(
            begun,
            result=result,
            status=None if status is None else f"{status // 100}xx",
            seconds=max(0.0, ended - begun.started),
            due=due,
        )

    def _send(
        self, url: str, event: JobEvent, timestamp: int, secrets: Sequence[bytes]
    ) -> tuple[str, int | None, float | None]:
        """Return the result, the status, and for how long the receiver wants peace."""
        try:
            target = self._target(url, local=self._local)
        except ValueError:
            # It was another setting when the job came.
            return "forbidden", None, None
        body = event.body()
        headers = signed_headers(event.id, timestamp, body, secrets, _origin(target))
        headers["Content-Type"] = "application/json"
        about = {"mimeo.job": event.job["id"][:12], "mimeo.event": event.type}
        try:
            with self._trace("tell receiver", event.trace, about) as traceparent:
                if traceparent is not None:
                    headers["traceparent"] = traceparent
                received = exchange(
                    requests.Request("POST", target.url, headers, data=body),
                    _SERVICE,
                    Deadline.after(_TOTAL_S),
                    public=target.host not in _LOOPBACK,
                    allowed=None,
                )
        except UpstreamError as error:
            return _RESULTS.get(type(error), "broken"), None, None
        status = received.status
        pause_s = retry_after(received.headers) if status in _BUSY else None
        return _result(status), status, pause_s

    def _target(self, url: str, *, local: bool) -> Target:
        """Take a URL apart; raise ValueError where it may not be called.

        A loopback address passes by its spelling alone, and only for the `local`.
        """
        target = parse(url)
        if self._hosts and target.host not in self._hosts:
            raise ValueError(f"is of a host that {SETTING} does not list")
        if target.host in _LOOPBACK:
            if not local:
                raise ValueError("is of this machine, which only its programs may name")
        elif target.scheme != "https":
            raise ValueError("must be an address of https")
        elif _is_closed(target.host):
            raise ValueError("is an address that is not public")
        return target


class DeliveryThreads:
    """Tells receivers in threads of its own, so that nobody waits for them."""

    def __init__(self, webhooks: Webhooks, ledger: JobLedger) -> None:
        self._webhooks = webhooks
        self._ledger = ledger
        self._guard = threading.Lock()
        self._places = threading.Semaphore(_THREADS)
        # When the next attempt is; never for what is over, or in hand.
        self._due: dict[tuple[str, float], float] = {}

    def tend(self, job: Job) -> None:
        """Begin with an attempt if one is due; to be called again and again.

        The job has ended.
        """
        name = job.id, job.created
        with self._guard:
            if job.webhook is None or self._due.get(name, 0) > time.time():
                return
            if not self._places.acquire(blocking=False):
                return
            self._due[name] = math.inf
            while len(self._due) > _REMEMBERED:
                # What is still to be done is in the store.
                del self._due[next(iter(self._due))]
        threading.Thread(
            target=self._deliver,
            args=(job, job.webhook),
            name="mimeo-webhook",
            daemon=True,
        ).start()

    def _deliver(self, job: Job, url: str) -> None:
        due: float | None = time.time() + _FAULT_S
        try:
            end = self._ledger.end(job.id)
            if end is not None:
                document = self._ledger.document(job)
                event = JobEvent(f"job.{end.state}", end.at, document, job.trace)
                log = self._ledger.deliveries(job)
                due = self._webhooks.deliver(url, event, log)
        except (StoreError, JobError) as error:
            _LOG.warning("a receiver is not told yet: %s", error)
        finally:
            with self._guard:
                self._due[job.id, job.created] = math.inf if due is None else due
            self._places.release()


def secrets_of(
    settings: Settings, store: Store
) -> Callable[[], Sequence[bytes]] | None:
    """Return what gives the secrets of messages, the first of them the newest.

    `store` is the room of secrets. None where workers would not find each other's.
    """
    if settings.webhook_secrets:
        named = [each.encode() for each in settings.webhook_secrets]
        return lambda: named
    if not sees_all(store, settings.workers):
        return None
    return lambda: [secret_of(store)]


def open_webhooks(
    settings: Settings, store: Store, trace: TraceWork = untraced
) -> Webhooks | None:
    """Return who tells receivers of jobs, or None as `secrets_of` does."""
    found = secrets_of(settings, store)
    if found is None:
        return None
    return Webhooks(
        settings.webhook_hosts, found, local=settings.local_callers, trace=trace
    )


_RESULTS: Mapping[type[UpstreamError], str] = {
    ForbiddenAddress: "forbidden",
    UpstreamTimeout: "timeout",
    UpstreamUnavailable: "unreachable",
}


def _result(status: int) -> str:
    if status == 410:
        return "gone"
    classes = {2: "delivered", 3: "redirected", 4: "refused"}
    return classes.get(status // 100, "failed")


def _next(number: int, after: float) -> float | None:
    """Return when the attempt after this one is made, or None after the last."""
    if number == len(_ATTEMPTS_AT_S):
        return None
    pause_s = _ATTEMPTS_AT_S[number] - _ATTEMPTS_AT_S[number - 1]
    # By lot, because messages that failed together would come back together.
    return after + pause_s * random.uniform(1, 1.1)


def origin_of(url: str) -> str:
    """Return the origin of a receiver as its secret is made of; raise ValueError."""
    return _origin(parse(url))


def _origin(target: Target) -> str:
    return target.url.removesuffix(target.path)


def _is_closed(host: str) -> bool:
    """Tell whether a host is written as an address that is not public."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return not is_public(host)
