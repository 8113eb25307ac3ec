"""An answer of 400 or above as the error that it means."""

import re
from collections.abc import Mapping
from typing import Any

from app.renderer.probe.byte_range import Region
from app.renderer.probe.sniff import HEAD, sniff
from app.upstream.errors import (
    UpstreamBroken,
    UpstreamBusy,
    UpstreamDenied,
    UpstreamError,
    UpstreamFiltered,
    UpstreamRefused,
)
from app.upstream.resilience.retry import retry_after
from app.upstream.response.finish_reason import explain, is_filter
from app.upstream.response.json_images import NotJson, OverOutline, scan

_MOST_READ = 64 << 10
# What a 429 without Retry-After asks for, in seconds.
_PAUSE_S = 10
# What other parameters may mend.
_MENDABLE = (400, 413, 422)
_TITLE = re.compile(r"<title[^>]*>([^<]{1,200})", re.IGNORECASE)
# A 429 that waiting does not mend.
_SPENT = re.compile(r"quota|billing|credit|balance", re.IGNORECASE)


def refuse(
    upstream: str, status: int, headers: Mapping[str, str], body: Region
) -> UpstreamError:
    """Return the error of a failed answer; its message is read from 64 KiB of it.

    Names of `headers` are in lower case.
    """
    reason = message(body)
    if status in (400, 403, 422) and is_filter(reason):
        return UpstreamFiltered(upstream, reason)
    pause_s = retry_after(headers)
    if status == 429 and not _SPENT.search(reason):
        return UpstreamBusy(upstream, _PAUSE_S if pause_s is None else pause_s)
    if status == 503 and pause_s is not None:
        return UpstreamBusy(upstream, pause_s)
    if status >= 500:
        return UpstreamBroken(upstream, f"it answered {status}: {reason}", status)
    kind = UpstreamRefused if status in _MENDABLE else UpstreamDenied
    return kind(upstream, status, reason)


def message(body: Region) -> str:
    """Return what a body says in words, whatever it is written in."""
    part = body.part(0, min(body.length, _MOST_READ))
    kind = sniff(part.read(0, HEAD))
    if kind == "application/json":
        return _read_json(part) or "no reason given"
    text = part.read(0, HEAD).decode("utf-8", "replace")
    if kind == "text/html":
        title = _TITLE.search(text)
        return f"an HTML page, {title[1].strip()!r}" if title else "an HTML page"
    return text.strip() if kind == "text/plain" else "no reason given"


def _read_json(part: Region) -> str:
    try:
        document: Any = scan(part)
    except (NotJson, OverOutline):
        return ""
    return explain(document)
