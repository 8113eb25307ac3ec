"""Locks of a bucket, which has none: entries that the living write anew.

The clocks of two machines differ, so no time of one is compared with another's: who
wants a lease that another has watches, by a clock of its own, whether the entry still
changes. What decides is conditional (If-None-Match and If-Match, RFC 9110), so that of
all who take a lease at one moment one gets it.
"""

import logging
import math
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError
from obstore.store import ObjectStore as Backend

from app.store.store import Locked, Pauses, reason

if TYPE_CHECKING:
    from obstore import PutMode, UpdateVersion

_LOG = logging.getLogger("mimeo.store")
# So often a holder writes, and after so long without that it is dead: one that is slow,
# or whose bucket is away for a while, has several tries.
RENEW_S, LEASE_S = 5.0, 30.0
# After a write that failed.
_AGAIN_S = 1.0
# Between two looks, each of which is a request.
_LOOK_S = 0.5
_WATCHED = 4096
_LOST = (AlreadyExistsError, PreconditionError, FileNotFoundError)


@dataclass(slots=True)
class _Hold:
    """A lease as its holder knows it; `mark` is what the bucket calls its version."""

    path: str
    token: bytes = field(default_factory=lambda: secrets.token_hex(16).encode())
    count: int = 0
    mark: "UpdateVersion | None" = None
    written_s: float = 0.0
    due_s: float = 0.0


class Leases:
    """The leases of one room of a bucket, for all threads of a process.

    `call` lets one call of the bucket run; what the bucket raises is raised.
    """

    def __init__(
        self,
        connect: Callable[[], Backend],
        call: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self._connect = connect
        self._call = call
        # By path, and the thread that renews them, if there were any of late.
        self._held: dict[str, _Hold] = {}
        self._renewer: threading.Thread | None = None
        # What an entry held when it was seen to change, and when that was.
        self._watched: OrderedDict[str, tuple[bytes, float]] = OrderedDict()
        self._guard = threading.Lock()

    def gain(self, path: str, pauses: Pauses) -> _Hold:
        """Take a lease, and wait for it as long as `pauses` says; raise Locked."""
        lease = _Hold(path)
        while not self._take(lease):
            pause_s = next(pauses, None)
            if pause_s is None:
                raise Locked
            time.sleep(max(pause_s, _LOOK_S))
        with self._guard:
            self._watched.pop(path, None)
        return lease

    @contextmanager
    def kept(self, lease: _Hold) -> Iterator[None]:
        """Renew a lease while the body runs, and give it back at the end."""
        with self._guard:
            self._held[lease.path] = lease
            # One for all: to begin a thread takes as long as to write two leases.
            if self._renewer is None or not self._renewer.is_alive():
                self._renewer = threading.Thread(
                    target=self._keep, name="mimeo-lease", daemon=True
                )
                self._renewer.start()
        try:
            yield
        finally:
            with self._guard:
                del self._held[lease.path]
            self._give_back(lease)

    def _take(self, lease: _Hold) -> bool:
        seen = self._watched.get(lease.path)
        if seen is None and self._write(lease, "create"):
            return True
        found = self._read(lease.path)
        if found is None:
            # It was given back.
            return seen is not None and self._write(lease, "create")
        data, mark = found
        if data.startswith(lease.token):
            # It is ours, though the bucket's answer to the write was lost.
            lease.mark = mark
            lease.due_s = time.monotonic() + RENEW_S
            return True
        now_s = time.monotonic()
        if seen is None or seen[0] != data:
            self._watch(lease.path, data, now_s)
            return False
        if now_s < seen[1] + LEASE_S or not self._write(lease, mark):
            return False
        _LOG.warning("store: %s is taken over: its holder is silent", lease.path)
        return True

    def _watch(self, path: str, data: bytes, now_s: float) -> None:
        with self._guard:
            self._watched[path] = data, now_s
            while len(self._watched) > _WATCHED:
                self._watched.popitem(last=False)

    def _keep(self) -> None:
        """Renew what is held; end where nothing is for a while."""
        while True:
            with self._guard:
                held = list(self._held.values())
            # A lease that is taken meanwhile is due later than this.
            time.sleep(_until_due(held))
            with self._guard:
                if not self._held:
                    self._renewer = None
                    return
                held = list(self._held.values())
            for lease in held:
                if lease.due_s <= time.monotonic():
                    self._see_to(lease)

    def _see_to(self, lease: _Hold) -> None:
        try:
            kept = self._renew(lease)
        except (BaseError, OSError) as error:
            _LOG.info("store: %s is not renewed yet: %s", lease.path, reason(error))
            lease.due_s = time.monotonic() + _AGAIN_S
            return
        if not kept:
            # Given back, it is nobody's.
            if self._held.get(lease.path) is lease:
                _LOG.warning("store: %s was taken over by another", lease.path)
            lease.due_s = math.inf

    def _renew(self, lease: _Hold) -> bool:
        if lease.mark is not None and self._write(lease, lease.mark):
            return True
        found = self._read(lease.path)
        if found is None or not found[0].startswith(lease.token):
            return False
        # It is ours, though the bucket's answer to the last write was lost.
        return self._write(lease, found[1])

    def _give_back(self, lease: _Hold) -> None:
        # Later than that another may have it, and a deletion cannot be conditional.
        if time.monotonic() > lease.written_s + LEASE_S / 2:
            return
        try:
            with self._call():
                obstore.delete(self._connect(), lease.path)
        except (BaseError, OSError) as error:
            _LOG.warning("store: %s ends by itself: %s", lease.path, reason(error))

    def _write(self, lease: _Hold, mode: "PutMode") -> bool:
        """Write an entry; return False where it is another's by now."""
        begun_s = time.monotonic()
        lease.count += 1
        text = b"%b %d" % (lease.token, lease.count)
        try:
            with self._call():
                made = obstore.put(
                    self._connect(), lease.path, text, mode=mode, use_multipart=False
                )
        except _LOST:
            return False
        lease.mark = _mark(made["e_tag"], made["version"])
        lease.written_s = begun_s
        lease.due_s = time.monotonic() + RENEW_S
        return True

    def _read(self, path: str) -> "tuple[bytes, UpdateVersion] | None":
        try:
            with self._call():
                found = obstore.get(self._connect(), path)
                data, meta = found.bytes().to_bytes(), found.meta
        except FileNotFoundError:
            return None
        return data, _mark(meta["e_tag"], meta["version"])


def _until_due(held: list[_Hold]) -> float:
    """Return how many seconds to sleep before one of some leases is to be renewed."""
    due_s = min((lease.due_s for lease in held), default=math.inf)
    return max(0.0, min(RENEW_S, due_s - time.monotonic()))


def _mark(e_tag: str | None, version: str | None) -> "UpdateVersion":
    # obstore takes no None there.
    mark: UpdateVersion = {}
    if e_tag is not None:
        mark["e_tag"] = e_tag
    if version is not None:
        mark["version"] = version
    return mark
