"""Images by URL, from the origins that an operator lists.

What comes is kept as long as the origin allows (RFC 9111), and asked for again by its
entity tag. The bytes are in the fingerprint, so nothing else depends on the URL.
"""

import logging
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

import orjson
import requests

from app.config import Settings
from app.errors import with_fields
from app.observability import spans
from app.pipeline.media_store import MediaStore
from app.pipeline.singleflight import Singleflight
from app.renderer.errors import BadParameter, Fault, RendererError, shorten
from app.store import (
    Locked,
    Pauses,
    Store,
    StoreError,
    checked,
    key_for,
    unchecked,
)
from app.upstream.errors import TooLarge, UpstreamError, UpstreamTimeout, scrub
from app.upstream.resilience.retry import Deadline
from app.upstream.service import Service
from app.upstream.transport.addresses import Target, parse
from app.upstream.transport.call import MOST_REDIRECTS, REDIRECTS, absolute
from app.upstream.transport.http import Received, exchange

_LOG = logging.getLogger("mimeo.images")
SETTING = "MIMEO_IMAGE_ORIGINS"
MOST_BYTES = 8 << 20
MOST_S = 10.0
# What origins let be kept comes again where it is swept.
_ROOM_BYTES = 1 << 28
_ACCEPT = "image/*, */*;q=0.5"
_DIRECTIVE = re.compile(r'([\w-]+)(?:\s*=\s*(?:"([^"]*)"|([^\s,;]+)))?')
# Seconds between looks at what another process is fetching.
_PAUSE_S = 0.05


@with_fields
class ImageOriginError(RendererError):
    """An image could not be had from where a listed URL leads."""

    transient = True

    field: str
    url: str
    reason: str

    @property
    def told(self) -> str:
        """What is wrong with the field."""
        return f"{shorten(self.url)} cannot be had: {self.reason}"

    def __str__(self) -> str:
        return f"{self.field}: {self.told}"


@dataclass(frozen=True, slots=True)
class _Kept:
    """An image as it came, and until when it may be shown without asking.

    `until` counts on the clock of the wall, as other processes read it.
    """

    data: bytes
    until: float = 0.0
    etag: str = ""
    modified: str = ""

    def encode(self) -> bytes:
        about = orjson.dumps((self.until, self.etag, self.modified))
        return checked(len(about).to_bytes(4, "big") + about + self.data)

    @classmethod
    def decode(cls, block: bytes | memoryview) -> "_Kept":
        block = unchecked(block)
        end = 4 + int.from_bytes(block[:4], "big")
        until, etag, modified = orjson.loads(block[4:end])
        return cls(block[end:], until, etag, modified)

    @property
    def is_fresh(self) -> bool:
        return time.time() < self.until


class ImageOrigins:
    """Reads images by URL; may be shared by threads.

    `listed` are origins such as `https://img.example.org`, all of https.
    """

    def __init__(self, listed: tuple[str, ...], store: Store) -> None:
        self._listed = frozenset(parse(each).origin for each in listed)
        self._store = store
        self._singleflight: Singleflight[_Kept] = Singleflight(MediaStore(store).lock)
        self._service = Service(
            name="image-origin",
            kind="auto",
            url="",
            first_byte_s=MOST_S,
            idle_s=MOST_S,
            total_s=MOST_S,
        )

    def read(self, url: str, field: str) -> bytes:
        """Return the bytes at a URL; of all who ask at one moment, one fetches.

        Raises BadParameter where the URL may not be fetched, ImageOriginError where
        fetching fails.
        """
        target = self._target(url, field)
        key = key_for(f"image {target.url}")
        kept = self._find(key)
        if kept is not None and kept.is_fresh:
            return kept.data
        try:
            with spans.span("fetch"):
                return self._once(key, target, kept).data
        except UpstreamError as error:
            raise ImageOriginError(field, url, _why(error)) from error
        except (_NoImage, Locked) as error:
            raise ImageOriginError(field, url, str(error) or "it is slow") from error

    def knows(self, url: str, field: str) -> bool:
        """Tell whether `read` would fetch nothing; raise BadParameter as that does."""
        kept = self._find(key_for(f"image {self._target(url, field).url}"))
        return kept is not None and kept.is_fresh

    def _target(self, url: str, field: str) -> Target:
        try:
            target = parse(url.strip())
        except ValueError as error:
            reason = f"is an address that cannot be fetched: {error}"
            raise BadParameter(Fault(field, reason)) from error
        if target.origin not in self._listed:
            origin = target.url.removesuffix(target.path)
            reason = (
                f"is an address of {shorten(origin)}, which {SETTING} does not list"
            )
            raise BadParameter(Fault(field, reason))
        return target

    def _once(self, key: str, target: Target, kept: _Kept | None) -> _Kept:
        def find() -> _Kept | None:
            found = self._find(key)
            return found if found is not None and found.is_fresh else None

        return self._singleflight.do(
            key,
            _pauses(),
            find,
            lambda _: self._fetch(key, target, kept),
            lambda flight: flight.result.result(2 * MOST_S),
        )

    def _fetch(self, key: str, target: Target, kept: _Kept | None) -> _Kept:
        headers = {"Accept": _ACCEPT}
        if kept is not None and kept.etag:
            headers["If-None-Match"] = kept.etag
        elif kept is not None and kept.modified:
            headers["If-Modified-Since"] = kept.modified
        received = self._follow_redirects(target, headers)
        with received.body as body:
            data = body.read()
        if received.status == 304 and kept is not None:
            return self._keep(key, kept.data, received.headers, kept)
        if received.status != 200:
            raise _NoImage(f"it answers {received.status}")
        return self._keep(key, data, received.headers, None)

    def _follow_redirects(self, target: Target, headers: dict[str, str]) -> Received:
        deadline = Deadline.after(MOST_S)
        for _ in range(MOST_REDIRECTS + 1):
            received = exchange(
                requests.Request("GET", target.url, headers),
                self._service,
                deadline,
                public=True,
                limit="8 MiB",
                allowed=MOST_BYTES,
            )
            if received.status not in REDIRECTS:
                return received
            received.body.close()
            location = absolute(target.url, received.headers.get("location", ""))
            try:
                target = parse(location)
            except ValueError as error:
                raise _NoImage("it redirects to what is no address") from error
            if target.origin not in self._listed:
                raise _NoImage(f"it redirects to where {SETTING} does not list")
        raise _NoImage("it redirects too often")

    def _keep(
        self, key: str, data: bytes, headers: Mapping[str, str], old: _Kept | None
    ) -> _Kept:
        may_keep, fresh_s = freshness(headers)
        # A 304 need not repeat what it confirms.
        etag = headers.get("etag", old.etag if old else "")
        modified = headers.get("last-modified", old.modified if old else "")
        kept = _Kept(data, time.time() + fresh_s, etag, modified)
        if may_keep and (fresh_s > 0 or etag or modified):
            try:
                self._store.put(key, kept.encode())
            except StoreError as error:
                _LOG.warning("an image is not kept: %s", error)
        return kept

    def _find(self, key: str) -> _Kept | None:
        try:
            block = self._store.get(key)
            return None if block is None else _Kept.decode(block)
        except (StoreError, ValueError) as error:
            _LOG.warning("an image cannot be read from the store: %s", error)
            return None


def open_images(
    settings: Settings, open_room: Callable[[Settings, int, str], Store]
) -> ImageOrigins | None:
    """Return what reads images by URL, where origins are listed.

    Raises what opening a room of the store raises.
    """
    if not settings.image_origins:
        return None
    return ImageOrigins(
        settings.image_origins, open_room(settings, _ROOM_BYTES, "images")
    )


class _NoImage(Exception):
    """An answer of an origin that is no image; the text says why."""


def _pauses() -> Pauses:
    for _ in range(int(MOST_S / _PAUSE_S)):
        yield _PAUSE_S


def _why(error: UpstreamError) -> str:
    if isinstance(error, TooLarge):
        return f"it is larger than {MOST_BYTES >> 20} MiB"
    if isinstance(error, UpstreamTimeout):
        return f"it took more than {error.allowed_s:g} seconds ({error.hop})"
    return _WHY.get(type(error).__name__) or scrub(getattr(error, "reason", ""))


_WHY = {
    "UpstreamUnavailable": "no connection comes about",
    "ForbiddenAddress": "its host has an address that is not public",
}


def freshness(headers: Mapping[str, str]) -> tuple[bool, float]:
    """Return whether an answer may be kept, and for how many seconds it is fresh.

    RFC 9111, sections 3, 4.2 and 5.2.2, for a cache that many share. Without a word of
    the origin it is stale at once: it has to be asked.
    """
    said = _directives(headers.get("cache-control", ""))
    if "no-store" in said or "private" in said or headers.get("vary", "") == "*":
        return False, 0.0
    if "no-cache" in said:
        return True, 0.0
    for name in ("s-maxage", "max-age"):
        if name in said:
            age = _seconds(headers.get("age", ""))
            return True, max(0.0, _seconds(said[name]) - age)
    try:
        expires, date = (parsedate_to_datetime(headers[n]) for n in ("expires", "date"))
        return True, max(0.0, (expires - date).total_seconds())
    except (KeyError, ValueError, TypeError):
        # Nothing said, or nothing that can be read, is what has passed (5.3).
        return True, 0.0


def _directives(text: str) -> dict[str, str]:
    found: Iterator[Any] = _DIRECTIVE.finditer(text)
    return {each[1].lower(): each[2] or each[3] or "" for each in found}


# RFC 9111, 1.2.2: a recipient takes more than it can hold for this.
_MOST_DELTA = 1 << 31


def _seconds(text: str) -> float:
    is_number = text.isascii() and text.isdigit() and len(text) < 20
    return float(min(int(text), _MOST_DELTA)) if is_number else 0.0
