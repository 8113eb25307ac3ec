"""Jobs on many machines: a server rings, and workers draw.

A server draws chunks by itself only while no worker is there, so that no job waits
for somebody who never comes.
"""

import logging
import os
import time
from collections.abc import Callable
from importlib.util import find_spec
from threading import Event, Lock, Thread, Timer
from typing import TYPE_CHECKING

from app.config import BadSetting, Settings
from app.jobs.errors import JobError
from app.jobs.job_ledger import JobLedger
from app.jobs.life_sign import LifeSign
from app.jobs.local_engine import LocalEngine
from app.jobs.turns import JobTurns
from app.store import StoreError

if TYPE_CHECKING:
    from app.jobs.carrier import Carrier

_LOG = logging.getLogger("mimeo.jobs")
_REDIS = ("redis://", "rediss://")
_EXTRA = "pip install 'mimeo[jobs]'"
# So many workers begin with a job at one moment; each of them rings for the next.
_BELLS = 8
# A worker says so often that it is there, and when it has nothing to do looks for what
# nobody rang for.
_BEAT_S = 15.0
# So long a message stays with who can do nothing about it.
_PASS_S = 2.0
_ALONE = "It is looked for until it is there; meanwhile this worker draws what it finds"
# So long a message keeps a thread at work.
_SLICE_S = 2.0
# So long a list of jobs counts.
_FRESH_S = 5.0
# Platforms kill 30 s after they asked to stop: be gone before.
_STOP_S = 18.0


def broker_of(settings: Settings) -> str | None:
    """Return the URL of the broker by which jobs are told to workers, or None."""
    if settings.broker_url is not None:
        return settings.broker_url
    url = settings.redis_url
    return url if url is not None and url.startswith(_REDIS) else None


def lack_of(settings: Settings) -> str | None:
    """Say what is missing for workers elsewhere, or None."""
    if broker_of(settings) is None:
        return "neither MIMEO_BROKER_URL nor REDIS_URL names a broker"
    if settings.store in ("memory:", "none"):
        return "MIMEO_STORE is nothing that another process sees"
    if find_spec("celery") is None or find_spec("redis") is None:
        return f"it needs the extra: {_EXTRA}"
    return None


def open_engine(
    settings: Settings,
    ledger: JobLedger,
    turns: "Callable[..., JobTurns]",
) -> LocalEngine:
    """Return what has jobs drawn: workers elsewhere, if there is a broker.

    `turns` is called with options of JobTurns. Raises BadSetting.
    """
    url, in_bucket = broker_of(settings), "://" in settings.store
    if settings.broker_url is not None and find_spec("celery") is None:
        reason = f"needs the extra: {_EXTRA}"
        raise BadSetting("MIMEO_BROKER_URL", None, reason)
    if url is None or lack_of(settings) is not None:
        return LocalEngine(ledger, turns(lots=in_bucket), sparing=in_bucket)

    def open_carrier() -> "Carrier":
        from app.jobs.carrier import Carrier

        return Carrier(url)

    shared = turns(fresh_s=_FRESH_S, lots=True)
    return CeleryEngine(ledger, shared, open_carrier, sparing=in_bucket)


class CeleryEngine(LocalEngine):
    """Rings for jobs, and draws them only while no worker is there.

    `open_carrier` is called at the first job: what it imports takes time and memory.
    """

    def __init__(
        self,
        ledger: JobLedger,
        turns: JobTurns,
        open_carrier: "Callable[[], Carrier]",
        *,
        sparing: bool = False,
    ) -> None:
        super().__init__(ledger, turns, sparing=sparing)
        self._open_carrier = open_carrier
        self._carrier: Carrier | None = None
        self._asked = Lock()
        self._ids: list[str] = []

    def enqueue(self, id: str) -> None:
        """Say that a job was submitted or cancelled; nobody waits for the broker."""
        with self._asked:
            self._ids.append(id)
        super().enqueue(id)

    def _look(self) -> bool:
        asked = self._tell()
        if not self._turns.open_jobs(anew=asked) or self._ledger.is_attended():
            return False
        return super()._look()

    def worker(self) -> "JobWorker":
        """Return what draws the jobs of this ledger in a process of its own."""
        return JobWorker(self._ledger, self._turns, self._open_carrier())

    def _tell(self) -> bool:
        """Ring for what was asked for since; return whether anything was."""
        with self._asked:
            ids, self._ids = self._ids, []
        if not ids:
            return False
        from app.jobs.carrier import CarrierError

        try:
            for id in ids:
                if self._carrier is None:
                    self._carrier = self._open_carrier()
                self._carrier.ring(self._bells(id))
        except CarrierError as error:
            # Workers look by themselves, too.
            _LOG.warning("jobs: %s", error)
        return True

    def _bells(self, id: str) -> int:
        try:
            return min(self._ledger.job(id).chunks, _BELLS)
        except JobError:
            # It was deleted meanwhile.
            return 0
        except StoreError as error:
            # Whoever hears of it looks again.
            _LOG.warning("jobs: %s", error)
            return 1


class JobWorker:
    """A process that draws chunks, as messages or its own looks tell it to.

    Of each job `threads` chunks at a time; one alone would leave cores without work
    while it is begun and ended.
    """

    def __init__(
        self, ledger: JobLedger, turns: JobTurns, carrier: "Carrier", threads: int = 2
    ) -> None:
        self._ledger = ledger
        self._turns = turns
        self._carrier = carrier
        self._threads = threads
        self._stopping = Event()
        self._guard = Lock()
        self._sign = LifeSign()
        self._busy = 0
        self._begun = 0
        # Whether others heard of work when a chunk was last begun.
        self._rung = False
        self._calls = 0
        # Whether there was a broker when it was last needed.
        self._connected = True

    def warnings(self) -> list[str]:
        """Say what is wrong with the broker."""
        from app.jobs.carrier import CarrierError

        try:
            self._carrier.check()
        except CarrierError as error:
            self._connected = False
            return [f"{error}. {_ALONE}"]
        return self._carrier.warnings()

    def run(self) -> None:
        """Draw until SIGTERM or SIGINT; what is begun then is left for others."""
        keepers = [
            Thread(target=keep, name="mimeo-jobs", daemon=True)
            for keep in (self._show, self._keep)
        ]
        for keeper in keepers:
            keeper.start()
        self._carrier.listen(self._heard, self._stop, self._link, self._threads)
        self._stopping.set()
        for keeper in keepers:
            keeper.join(_STOP_S)
        self._sign.end()

    def _heard(self) -> None:
        """Draw chunks for some seconds, and ring for others before the first."""
        with self._guard:
            self._busy += 1
            self._calls += 1
        try:
            if not self._draw_some() and self._turns.others:
                # Not ours to draw: whoever can is to hear of it.
                self._stopping.wait(_PASS_S)
                self._ring()
            elif self._stopping.is_set():
                # Again, and then this message is acknowledged: whoever is killed in
                # between has sent one too many, which is harmless.
                self._ring()
        finally:
            with self._guard:
                self._busy -= 1

    def _draw_some(self) -> bool:
        """Draw until there is nothing to do or the time is up; tell if there was."""
        begun, drawn = self._begin, False
        end_s = time.monotonic() + _SLICE_S
        while not self._stopping.is_set() and self._draw(begun):
            drawn = True
            if time.monotonic() > end_s:
                break
            # A message costs as much as some requests to a bucket.
            begun = self._go_on if self._rung else self._begin
        return drawn

    def _draw(self, begun: Callable[[], None]) -> bool:
        try:
            with self._sign.drawing(self._stopping) as stopping:
                return self._turns.draw(stopping, begun)
        except StoreError as error:
            _LOG.warning("jobs: %s", error)
        except Exception:
            # Of one chunk: the attempt is not clean, and so counted.
            _LOG.exception("a chunk of a job could not be drawn")
        return False

    def _go_on(self) -> None:
        with self._guard:
            self._begun += 1

    def _begin(self) -> None:
        self._go_on()
        self._rung = self._ring()

    def _ring(self) -> bool:
        from app.jobs.carrier import CarrierError

        try:
            self._carrier.ring()
        except CarrierError as error:
            self._link(False, error)
            return False
        return True

    def _link(self, there: bool, error: Exception | None = None) -> None:
        """Log that the broker is gone or there again: once, however long that is."""
        with self._guard:
            before, self._connected = self._connected, there
        if there == before or self._stopping.is_set():
            return
        if there:
            _LOG.warning("jobs: the broker is there again")
        else:
            _LOG.error("jobs: %s. %s", error or "the broker is gone", _ALONE)

    def _show(self) -> None:
        """Say that this worker is there, however long an image takes."""
        while not self._stopping.is_set():
            self._sign.show()
            try:
                self._ledger.attend()
            except StoreError as error:
                _LOG.warning("jobs: %s", error)
            self._stopping.wait(_BEAT_S)

    def _keep(self) -> None:
        """Look for what no message tells of.

        Of what a killed worker held only this finds that it is free: who takes a lease
        over has seen it before.
        """
        seen = 0
        while not self._stopping.is_set():
            if self._busy == 0 and self._begun == seen:
                # Where the broker is gone, or Celery deaf as after a connection
                # that was made anew, this thread draws all there is.
                calls = self._calls
                while (
                    not self._stopping.is_set()
                    and self._draw(self._begin)
                    and (not self._rung or self._calls == calls)
                ):
                    pass
            seen = self._begun
            self._stopping.wait(_BEAT_S)

    def _stop(self) -> None:
        """Leave chunks between two images; be gone in time even where one hangs."""
        self._stopping.set()
        last = Timer(_STOP_S, self._leave)
        last.daemon = True
        last.start()

    def _leave(self) -> None:
        _LOG.warning("jobs: an image takes too long, its chunk is left as it is")
        self._ring()
        self._sign.end()
        os._exit(0)
