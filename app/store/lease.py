"""Locks of a bucket, which has none: entries that the living write anew.

The clocks of two machines differ, so no time of one is compared with another's: who
wants a lease that another has watches, by a clock of its own, whether the entry still
changes. What decides is conditional (If-None-Match and If-Match, RFC 9110), so that of
all who take a lease at one moment one gets it. A lock's entry goes with its holder; one
that is to stay is made once, and nobody else ever has it.
"""

import logging
import math
import os
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar
from weakref import WeakSet

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
# After a write that failed; and as long whoever gives back waits for one that runs.
_AGAIN_S = 1.0
# Between two looks, each of which is a request.
_LOOK_S = 0.5
_WATCHED = 4096
_LOST = (AlreadyExistsError, PreconditionError, FileNotFoundError)
_T = TypeVar("_T")
_ALL: "WeakSet[Leases]" = WeakSet()


@dataclass(slots=True, eq=False)
class _Hold:
    """A lease as its holder knows it; `mark` is what the bucket calls its version."""

    path: str
    token: bytes = field(default_factory=lambda: secrets.token_hex(16).encode())
    count: int = 0
    mark: "UpdateVersion | None" = None
    written_s: float = 0.0
    # When it is to be renewed for the first time.
    due_s: float = 0.0
    ended: threading.Event = field(default_factory=threading.Event)
    renewing: threading.Lock = field(default_factory=threading.Lock)


class Leases:
    """The leases of one room of a bucket, for all threads of a process.

    `call` lets one call of the bucket run; what the bucket raises is raised. A lease
    that lasts gets a thread at its first renewal, so that none waits for another's, and
    there are as many as holders; a short one costs none.
    """

    def __init__(
        self,
        connect: Callable[[], Backend],
        call: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self._connect = connect
        self._call = call
        # What an entry held when it was seen to change, and when that was.
        self._watched: OrderedDict[str, tuple[bytes, float]] = OrderedDict()
        # Of entries that this process made and holds no more, whose they were: once
        # they are deleted, another may make them anew.
        self._left: OrderedDict[str, bytes] = OrderedDict()
        self._begin()
        _ALL.add(self)

    def _begin(self) -> None:
        # Those without a thread yet, and the thread that starts theirs, if there were
        # any of late.
        self._short: set[_Hold] = set()
        self._starter: threading.Thread | None = None
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

    def make(self, path: str) -> _Hold | None:
        """Create an entry that stays; return None where there is one."""
        lease = _Hold(path)
        if self._write(lease, "create"):
            return lease
        found = self._read(path)
        if found is None:
            return None
        if found[0].startswith(lease.token):
            # It is ours, though the bucket's answer to the write was lost.
            lease.mark = found[1]
            return lease
        if not self._is_left(path, found[0]):
            self._is_silent(path, found[0])
        return None

    def is_alive(self, path: str) -> bool:
        """Tell whether the maker of an entry may hold it: so at the first looks."""
        seen = self._watched.get(path)
        if seen is not None and time.monotonic() < seen[1] + _LOOK_S:
            return True
        found = self._read(path)
        if found is None or self._is_left(path, found[0]):
            return False
        return not self._is_silent(path, found[0])

    def _is_left(self, path: str, data: bytes) -> bool:
        token = self._left.get(path)
        return token is not None and data.startswith(token)

    @contextmanager
    def kept(self, lease: _Hold) -> Iterator[None]:
        """Renew a lease while the body runs, and give it back at the end."""
        try:
            with self._renewed(lease):
                yield
        finally:
            self._give_back(lease)

    @contextmanager
    def left(self, lease: _Hold) -> Iterator[None]:
        """Renew a lease while the body runs, and leave its entry where it is."""
        try:
            with self._renewed(lease):
                yield
        finally:
            _note(self._guard, self._left, lease.path, lease.token)

    @contextmanager
    def _renewed(self, lease: _Hold) -> Iterator[None]:
        lease.due_s = time.monotonic() + RENEW_S
        try:
            with self._guard:
                self._short.add(lease)
                # One for all: to begin a thread takes as long as to write two leases.
                if self._starter is None or not self._starter.is_alive():
                    self._starter = threading.Thread(
                        target=self._start, name="mimeo-leases", daemon=True
                    )
                    self._starter.start()
            yield
        finally:
            lease.ended.set()
            with self._guard:
                self._short.discard(lease)

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
            return True
        if not self._is_silent(lease.path, data) or not self._write(lease, mark):
            return False
        _LOG.warning("store: %s is taken over: its holder is silent", lease.path)
        return True

    def _is_silent(self, path: str, data: bytes) -> bool:
        """Tell whether an entry was seen to hold the same for as long as a lease."""
        now_s, seen = time.monotonic(), self._watched.get(path)
        if seen is None or seen[0] != data:
            _note(self._guard, self._watched, path, (data, now_s))
            return False
        return now_s >= seen[1] + LEASE_S

    def _start(self) -> None:
        """Start a thread for each that lasts; end where nothing is held for a while."""
        while True:
            with self._guard:
                due_s = min((lease.due_s for lease in self._short), default=math.inf)
            # A lease that is taken meanwhile is due later than this.
            time.sleep(max(0.0, min(RENEW_S, due_s - time.monotonic())))
            now_s = time.monotonic()
            with self._guard:
                if not self._short:
                    self._starter = None
                    return
                due = [lease for lease in self._short if lease.due_s <= now_s]
            for lease in due:
                renewer = threading.Thread(
                    target=self._keep, args=(lease,), name="mimeo-lease", daemon=True
                )
                try:
                    renewer.start()
                except RuntimeError as error:
                    _LOG.error("store: %s is not renewed yet: %s", lease.path, error)
                    lease.due_s = now_s + _AGAIN_S
                    continue
                with self._guard:
                    self._short.discard(lease)

    def _keep(self, lease: _Hold) -> None:
        """Renew a lease until it is given back or another's."""
        pause_s = 0.0
        while not lease.ended.wait(pause_s):
            try:
                with lease.renewing:
                    kept = lease.ended.is_set() or self._renew(lease)
            except (BaseError, OSError) as error:
                _LOG.info("store: %s is not renewed yet: %s", lease.path, reason(error))
                pause_s = _AGAIN_S
                continue
            except Exception:
                _LOG.exception("store: %s is not renewed yet", lease.path)
                pause_s = _AGAIN_S
                continue
            if not kept:
                # Given back, it is nobody's.
                if not lease.ended.is_set():
                    _LOG.warning("store: %s was taken over by another", lease.path)
                return
            pause_s = RENEW_S

    def _renew(self, lease: _Hold) -> bool:
        if lease.mark is not None and self._write(lease, lease.mark):
            return True
        found = self._read(lease.path)
        if found is None or not found[0].startswith(lease.token):
            return False
        # It is ours, though the bucket's answer to the last write was lost.
        return self._write(lease, found[1])

    def _give_back(self, lease: _Hold) -> None:
        # A renewal that has begun might write the entry after it is deleted: not every
        # server does a conditional write as one step.
        if lease.renewing.acquire(timeout=_AGAIN_S):
            lease.renewing.release()
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
        return True

    def _read(self, path: str) -> "tuple[bytes, UpdateVersion] | None":
        try:
            with self._call():
                found = obstore.get(self._connect(), path)
                data, meta = found.bytes().to_bytes(), found.meta
        except FileNotFoundError:
            return None
        return data, _mark(meta["e_tag"], meta["version"])


def _note(
    guard: threading.Lock, known: OrderedDict[str, _T], path: str, value: _T
) -> None:
    """Keep what was seen of an entry, in place of the oldest of many."""
    with guard:
        known[path] = value
        known.move_to_end(path)
        while len(known) > _WATCHED:
            known.popitem(last=False)


def _mark(e_tag: str | None, version: str | None) -> "UpdateVersion":
    # obstore takes no None there.
    mark: UpdateVersion = {}
    if e_tag is not None:
        mark["e_tag"] = e_tag
    if version is not None:
        mark["version"] = version
    return mark


def _begin_anew() -> None:
    # A fork has neither the threads nor a right to the leases of its parent.
    for leases in _ALL:
        leases._begin()


os.register_at_fork(after_in_child=_begin_anew)
