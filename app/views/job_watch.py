"""A job as server-sent events (HTML, 9.2): one for each change, until it has ended."""

import hashlib
import time
from collections.abc import Iterator
from threading import BoundedSemaphore

import orjson
from flask import Response, request

from app.delivery.answer import Answer
from app.jobs.errors import PurgedJob, TooManyWatch, UnknownJob
from app.jobs.job import ENDED, Job
from app.jobs.job_ledger import JobLedger
from app.jobs.local_engine import LocalEngine

_LOOK_S = 1.0
# Platforms and proxies cut off what is silent for some tens of seconds.
_SILENCE_S = 15.0
_RETRY_S = 10
_PAIRS = (
    ("Content-Type", "text/event-stream"),
    ("Cache-Control", "no-store"),
    # nginx would hold events back until it has some kilobytes of them.
    ("X-Accel-Buffering", "no"),
)


class JobWatch:
    """Sends the changes of jobs; each that watches holds a thread, so few may."""

    def __init__(self, ledger: JobLedger, engine: LocalEngine, threads: int) -> None:
        self._ledger = ledger
        self._engine = engine
        self._seats = BoundedSemaphore(max(1, threads // 4))

    def send(self, job: Job) -> Response:
        """Answer with a job, and with each change of it; raise TooManyWatch.

        A client that has had the last event, and says so, gets a 204: it comes no more.
        """
        last = request.headers.get("Last-Event-ID", "")
        document, name = self._look(job)
        if name == last and document["state"] in ENDED:
            return Answer("204 NO CONTENT", _PAIRS[1:], ())
        if request.method == "HEAD":
            return Answer("200 OK", _PAIRS, ())
        if not self._seats.acquire(blocking=False):
            raise TooManyWatch(_RETRY_S)
        answer = Answer("200 OK", _PAIRS, self._events(job, last))
        answer.call_on_close(self._seats.release)
        return answer

    def _events(self, job: Job, last: str) -> Iterator[bytes]:
        spoke_s = time.monotonic()
        while True:
            try:
                document, name = self._look(job)
            except (PurgedJob, UnknownJob):
                # It comes again, and is told why there is no more.
                return
            if name != last:
                data = orjson.dumps(document)
                yield b"id: %b\ndata: %b\n\n" % (name.encode(), data)
                last, spoke_s = name, time.monotonic()
            if document["state"] in ENDED or self._engine.stopping():
                return
            if time.monotonic() > spoke_s + _SILENCE_S:
                yield b":\n\n"
                spoke_s = time.monotonic()
            time.sleep(_LOOK_S)

    def _look(self, job: Job) -> tuple[dict[str, object], str]:
        """Return a job as it is said, and a name of that; raise PurgedJob, UnknownJob.

        What was deleted since would be said as queued for ever.
        """
        document = self._ledger.document(self._ledger.job(job.id))
        return document, hashlib.sha256(orjson.dumps(document)).hexdigest()[:16]
