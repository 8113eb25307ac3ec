"""From an image request to media: store, one flight, admission, draw, encode."""

import hashlib
import logging
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from app.admission import Gate
from app.config import Settings
from app.imagerequest import ImageRequest
from app.media import Media, pack, unpack
from app.renderer.base import Encoded
from app.renderer.isolation import Isolation
from app.renderer.produce import produce
from app.store import Store, StoreError

_LOG = logging.getLogger("mimeo.pipeline")


@dataclass(frozen=True, slots=True)
class Production:
    """Media, and how it came about.

    `source` is `hit` (from the store), `miss` (drawn now) or `collapsed` (drawn
    by another request at the same moment); times are in seconds.
    """

    media: Media
    source: str
    queue_s: float = 0.0
    draw_s: float = 0.0
    encode_s: float = 0.0


class Pipeline:
    """The one way from requests to media; shared by all threads of a worker.

    `slots` drawings run at a time: the engine and the deflaters release the GIL, so
    two keep a core busy while one of them is in Python. They have threads of their
    own, because each thread that draws keeps scratch memory: with eight, a worker
    went on growing for 2,000 renders, with two for 1,000 (benchmarks/memory.py).
    """

    def __init__(self, settings: Settings, store: Store, slots: int = 2) -> None:
        self._settings = settings
        self._store = store
        # Half of the server's threads may wait for a drawing and a quarter for the
        # process that draws callers' HTML: the rest serve what is known already.
        wait_s, threads = settings.queue_timeout_s, settings.threads
        self._gate = Gate(slots, threads // 2, wait_s)
        self._isolated_gate = Gate(1, threads // 4, wait_s)
        self._threads = ThreadPoolExecutor(slots, "mimeo-draw")
        self._isolation = Isolation(settings)
        self._flights: dict[str, Future[Production]] = {}
        self._guard = threading.Lock()

    def produce(self, request: ImageRequest) -> Production:
        """Return the media of a request, drawn at most once at a time.

        Raises what the renderer raises, and Busy.
        """
        stored = self._recall(request.fingerprint)
        if stored is not None:
            return Production(stored, "hit")
        flight, leads = self._join(request.fingerprint)
        if not leads:
            with self._gate_of(request).wait():
                return _collapsed(flight.result())
        try:
            production = self._make(request)
        except BaseException as error:
            self._leave(request.fingerprint)
            flight.set_exception(error)
            raise
        self._leave(request.fingerprint)
        flight.set_result(production)
        return production

    def close(self) -> None:
        """End the threads that draw, and the process for untrusted input."""
        self._threads.shutdown()
        self._isolation.close()

    def _join(self, fingerprint: str) -> tuple[Future[Production], bool]:
        with self._guard:
            flight = self._flights.get(fingerprint)
            if flight is not None:
                return flight, False
            flight = self._flights[fingerprint] = Future()
            return flight, True

    def _leave(self, fingerprint: str) -> None:
        with self._guard:
            del self._flights[fingerprint]

    def _make(self, request: ImageRequest) -> Production:
        started = time.perf_counter()
        with self._gate_of(request).admit():
            queue_s = time.perf_counter() - started
            encoded = self._draw(request)
        media = _media(encoded, request.fingerprint)
        self._keep(media)
        return Production(media, "miss", queue_s, encoded.draw_s, encoded.encode_s)

    def _gate_of(self, request: ImageRequest) -> Gate:
        return self._isolated_gate if request.renderer.isolated else self._gate

    def _draw(self, request: ImageRequest) -> Encoded:
        wanted = (request.renderer, request.parameters, request.output)
        if request.renderer.isolated:
            return self._isolation.produce(*wanted)
        if request.renderer.cheap:
            return produce(*wanted)
        return self._threads.submit(produce, *wanted).result()

    def _recall(self, fingerprint: str) -> Media | None:
        """Read the store; a store at fault costs time, not the answer."""
        try:
            block = self._store.get(fingerprint)
            return None if block is None else unpack(block, fingerprint)
        except (StoreError, ValueError) as error:
            _LOG.warning("store: %s", error)
            return None

    def _keep(self, media: Media) -> None:
        try:
            self._store.put(media.fingerprint, pack(media))
        except StoreError as error:
            _LOG.warning("store: %s", error)


def _media(encoded: Encoded, fingerprint: str) -> Media:
    return Media(
        data=encoded.data,
        media_type=encoded.media_type,
        width=encoded.width,
        height=encoded.height,
        sha256=hashlib.sha256(encoded.data).hexdigest(),
        fingerprint=fingerprint,
        facts=encoded.facts,
    )


def _collapsed(production: Production) -> Production:
    return Production(production.media, "collapsed")
