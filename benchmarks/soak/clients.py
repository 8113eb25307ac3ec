"""Clients that ask, compare what comes with what came first, and ask again."""

import hashlib
import http.client
import re
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from random import Random
from typing import Literal, NamedTuple
from urllib.parse import urlsplit

from benchmarks.soak.kinds import KINDS, Request

# `refused`: a 429, 503 or 507 that says so as documented. `away`: nobody listened, or
# nginx said that. `broken`: the connection ended in the middle. `lost`: asked again for
# as long as a client has patience, and never served.
Outcome = Literal["served", "refused", "away", "broken", "wrong", "lost"]
FAILURES: Sequence[Outcome] = ("away", "broken", "wrong", "lost")
_REFUSALS = (429, 503, 507)
_PATIENCE_S = 90.0


class Record(NamedTuple):
    """One attempt: when it began and ended, of what kind, what became of it."""

    began: float
    ended: float
    kind: str
    status: int
    outcome: Outcome
    detail: str = ""


@dataclass(frozen=True, slots=True)
class First:
    """The first answer of its name; its bytes where parts of them are asked for."""

    digest: bytes
    tag: str
    pinned: str
    data: bytes


class Load:
    """Client threads over one or more addresses; `records` is what they saw."""

    def __init__(self, pause_s: float = 0.0, seed: int = 0) -> None:
        self.records: list[Record] = []
        self._firsts: dict[str, First] = {}
        self._pause_s = pause_s
        self._seed = seed
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self, url: str, kinds: Sequence[str], keep: bool = True) -> None:
        """Start a client that asks for these kinds in turn; `keep` its connection."""
        number = len(self._threads) + 1
        client = Client(url, f"127.0.0.{number + 1}", keep)
        thread = threading.Thread(
            target=self._run, args=(client, kinds, Random(self._seed * 1000 + number))
        )
        self._threads.append(thread)
        thread.start()

    def stop(self) -> None:
        """Let each client finish what it asked for."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def counts(self) -> Counter[str]:
        """Return how many attempts had which outcome."""
        return Counter(record.outcome for record in list(self.records))

    def _run(self, client: "Client", kinds: Sequence[str], random: Random) -> None:
        number = 0
        while not self._stop.is_set():
            request = KINDS[kinds[number % len(kinds)]](random)
            number += 1
            if self._ready(client, request):
                self._insist(client, request)
            self._stop.wait(self._pause_s)
        client.close()

    def _ready(self, client: "Client", request: Request) -> bool:
        """Ask for the whole before a part of it, or for what is not new."""
        if request.part is None and not request.conditional:
            return True
        if request.same in self._firsts:
            return True
        kind = "card" if request.conditional else "whole"
        whole = Request(kind, request.path, same=request.same)
        self._insist(client, whole, keep_data=request.part is not None)
        return request.same in self._firsts

    def _insist(self, client: "Client", request: Request, keep_data: bool = False):
        """Ask until it is served or plainly wrong, for as long as there is patience."""
        end = time.monotonic() + _PATIENCE_S
        while True:
            record = self._attempt(client, request, keep_data)
            self.records.append(record)
            if record.outcome in ("served", "wrong"):
                return
            if self._stop.is_set() and record.outcome == "refused":
                return
            if time.monotonic() > end:
                self.records.append(record._replace(outcome="lost"))
                return
            time.sleep(0.5)

    def _attempt(self, client: "Client", request: Request, keep: bool) -> Record:
        sent = _with_first(request, self._firsts.get(request.same))
        began = time.time()
        try:
            answer, body = client.ask(sent)
        except (OSError, http.client.HTTPException) as error:
            client.close()
            gone = isinstance(error, ConnectionRefusedError)
            outcome: Outcome = "away" if gone else "broken"
            said = f"{request.path[:60]}: {error!r}"
            return Record(began, time.time(), request.kind, 0, outcome, said)
        outcome, detail = self._judge(request, answer, body, keep)
        return Record(
            began, time.time(), request.kind, answer.status, outcome, detail[:200]
        )

    def _judge(
        self,
        request: Request,
        answer: http.client.HTTPResponse,
        body: bytes,
        keep: bool,
    ) -> tuple[Outcome, str]:
        status = answer.status
        again = answer.headers["Retry-After"]
        if status in _REFUSALS and again and body.startswith(b"{"):
            return "refused", ""
        said = f"{request.method} {request.path[:60]}: {status} "
        # An answer to HEAD has no body that could say so.
        proxy = b"The proxy before Mimeo" in body or request.method == "HEAD"
        if status in (502, 504) and again and proxy:
            return "away", said
        if status not in request.right:
            return "wrong", said + repr(body[:120])
        if not request.same or status == 304:
            return "served", ""
        if request.part is not None:
            first = self._firsts[request.same]
            begin, end = request.part
            right = body == first.data[begin:end]
            return ("served", "") if right else ("wrong", said + "another part")
        digest = hashlib.sha256(body).digest()
        link = re.match("<([^>]*)>", answer.headers["Link"] or "")
        made = First(
            digest,
            answer.headers["ETag"] or "",
            link[1] if link else "",
            body if keep else b"",
        )
        first = self._firsts.setdefault(request.same, made)
        if keep and not first.data:
            self._firsts[request.same] = replace(first, data=body)
        if first.digest != digest:
            return "wrong", said + "other bytes than at first"
        return "served", ""


def _with_first(request: Request, first: First | None) -> Request:
    if first is None:
        return request
    if request.conditional:
        return replace(request, headers={"If-None-Match": first.tag})
    return replace(request, path=first.pinned) if request.pinned else request


class Client:
    """One connection at a time from an address of its own."""

    def __init__(self, url: str, source: str, keep: bool) -> None:
        self._place = urlsplit(url)
        self._source = source
        self._keep = keep
        self._connection: http.client.HTTPConnection | None = None

    def ask(self, request: Request) -> tuple[http.client.HTTPResponse, bytes]:
        """Send a request; raise OSError or HTTPException where no answer comes."""
        if self._connection is None:
            self._connection = http.client.HTTPConnection(
                str(self._place.hostname),
                self._place.port,
                timeout=60,
                source_address=(self._source, 0),
            )
        headers: Mapping[str, str] = request.headers
        self._connection.request(
            request.method, request.path, request.body, dict(headers)
        )
        answer = self._connection.getresponse()
        body = answer.read()
        if not self._keep:
            self.close()
        return answer, body

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def mixed(front: str, direct: str, pause_s: float) -> Load:
    """Start eight clients: six through nginx, two without it, one makes new ones."""
    load = Load(pause_s)
    load.start(front, ("card", "avatar", "qr"))
    load.start(front, ("card", "304", "head"))
    load.start(front, ("html", "card"))
    load.start(front, ("zip", "card"))
    load.start(front, ("json", "qr"))
    load.start(front, ("range", "upload", "range"))
    load.start(direct, ("card", "qr"))
    load.start(direct, ("card", "upload"), keep=False)
    return load


def failures(records: Sequence[Record]) -> list[Record]:
    """Return what was neither served nor refused as documented."""
    return [record for record in records if record.outcome in FAILURES]


@contextmanager
def asking(load: Load):
    """Stop a load at the end, whatever happens."""
    try:
        yield load
    finally:
        load.stop()
