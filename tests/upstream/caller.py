"""How tests call a double: with small limits and secrets that are looked for."""

import time
from contextlib import contextmanager
from dataclasses import dataclass, field

from app.upstream.resilience.concurrency import ConcurrencyLimit
from app.upstream.resilience.retry import Deadline
from app.upstream.service import Service
from app.upstream.transport.call import call, fetch_url

KEY = "canary-Zx81-4711"
PROMPT = "canary-a-red-fox"
# Whatever should end after a fraction of a second is late by then, on any machine.
LATE_S = 20


@dataclass(frozen=True)
class Wanted:
    """A paid request, as `app.upstream.request.adapters` builds them."""

    path: str
    method: str = "POST"
    headers: dict[str, str] = field(
        default_factory=lambda: {"Authorization": f"Bearer {KEY}"}
    )
    body: bytes = f'{{"prompt": "{PROMPT}"}}'.encode()


def near(url: str, **limits: float) -> Service:
    bytes_ = {"max_wire_bytes": 100_000, "max_image_bytes": 100_000}
    seconds = {"connect_s": 3, "first_byte_s": 5, "idle_s": 5}
    return Service(name="far", kind="auto", url=url, **{**bytes_, **seconds, **limits})


def ask(url, path, *, total_s=10.0, gate=None, patient=False, **limits):
    """Make one call to the double's path; return status, headers and bytes."""
    received = call(
        near(url, **limits),
        Wanted(path),
        deadline=Deadline.after(total_s),
        gate=gate or ConcurrencyLimit("far"),
        patient=patient,
    )
    with received.body as body:
        data = body.read()
    return received, data


def fetch(url, origin, *, total_s=10.0, **limits):
    received = fetch_url(
        url,
        service=near(origin, **limits),
        deadline=Deadline.after(total_s),
    )
    with received.body as body:
        return body.read()


@contextmanager
def soon():
    """Fail if the body takes as long as the double is ready to go on for."""
    started = time.monotonic()
    yield
    assert time.monotonic() - started < LATE_S
