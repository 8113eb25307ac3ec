"""Mimeo over three hosts that share a bucket and a broker, and no disk."""

import hashlib
import json
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import Any

import requests

from tests import s3_server
from tests.cluster.hosts import DISK, Host, Unit, family, hosts, name_of, processor_s
from tests.cluster.services import (
    BROKERS,
    Broker,
    PaidService,
    entries,
    paid_service,
)
from tests.gunicorn_server import ROOT, Reply, Server
from tests.jobs.receiver import Got, receiving
from tests.unsteady_server import Unsteady, unsteady

SECRET = hashlib.sha256(b"cluster").hexdigest()
_HOOK = 9000
_PORT = 8000
_DRAWN = f"{DISK}/drawn"
_COUNTING = ROOT / "tests" / "cluster" / "site"
_RELEASED = ("app", "wsgi.py", "gunicorn.conf.py")
_SETTINGS = {
    "MIMEO_STORE": "s3://bucket/mimeo",
    "MIMEO_SYSTEM_FONTS": "off",
    "MIMEO_ACCESS_LOG": "off",
    "MIMEO_LOCAL_CALLERS": "on",
    "MIMEO_BULK_PROCESSES": "1",
    "MIMEO_WEBHOOK_SECRETS": SECRET,
    "WEB_CONCURRENCY": "1",
    "HOST": "127.0.0.1",
    "PORT": str(_PORT),
}
# The lines of the Procfile.
WEB = (sys.executable, "-m", "app.cli.start")
WORKER = (*WEB, "worker")
# What of a server's answers says that it is not there now.
_ABSENT = (OSError, HTTPException)
_COMES_S = 180.0


@dataclass
class Node:
    """One line of a Procfile on one host, in its present release."""

    host: Host
    command: tuple[str, ...]
    settings: Mapping[str, str]
    log: Path
    release: int = 0
    unit: Unit | None = None
    # Seconds of a processor of those that ended.
    spent_s: float = 0.0

    def start(self) -> None:
        """Start it, as a supervisor does whenever it has ended."""
        own = {
            "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
            "PYTHONPATH": str(_COUNTING),
            "CLUSTER_DRAWN": _DRAWN,
            "HOME": f"{DISK}/home",
            "TMPDIR": f"{DISK}/tmp",
        }
        self.unit = self.host.start(
            self.command, {**own, **self.settings}, self.folder, self.log
        )

    @property
    def folder(self) -> str:
        """Where its release is, on its host."""
        return f"{DISK}/release-{self.release}"

    def deploy(self) -> None:
        """Copy the code of the next release to the host's own disk."""
        self.release += 1
        folder = self.host.disk / f"release-{self.release}"
        folder.mkdir()
        for name in _RELEASED:
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
            copy(ROOT / name, folder / name)

    def kill(self) -> None:
        """End it with no warning."""
        if self.unit is not None and self.unit.runs:
            self.spent_s += self.unit.processor_s()
            self.unit.kill()

    def stop(self, seconds: float) -> None:
        """Ask it to stop, and wait until it has; raise TimeoutExpired."""
        assert self.unit is not None
        self.spent_s += self.unit.processor_s()
        self.unit.ask_to_stop()
        self.unit.wait(seconds)

    def processor_s(self) -> float:
        """Return the seconds of a processor that it took, in all its lives."""
        lives = self.unit is not None and self.unit.runs
        assert self.unit is not None
        return self.spent_s + (self.unit.processor_s() if lives else 0.0)

    def drawn(self) -> Counter[str]:
        """Return how often each drawing was begun on this host."""
        path = self.host.root / _DRAWN[1:]
        return Counter(path.read_text().split()) if path.exists() else Counter()


@dataclass
class Cluster:
    """Three hosts with Mimeo, and a fourth with what they share."""

    shared: Host
    web: Node
    workers: list[Node]
    broker: Broker
    gate: Unsteady
    service: PaidService
    bucket: str
    hook: str
    told: list[list[Got]] = field(default_factory=list)
    # Where the web is, on its own host.
    url: str = f"http://127.0.0.1:{_PORT}"

    @property
    def nodes(self) -> list[Node]:
        """All that runs Mimeo."""
        return [self.web, *self.workers]

    def ask(
        self,
        path: str,
        method: str = "GET",
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Ask the web host, once it is there; refusals and 503 are waited out."""
        end = time.monotonic() + _COMES_S
        while True:
            try:
                reply = self.ask_once(path, method, body, headers)
            except _ABSENT:
                reply = None
            if reply is not None and reply.status != 503:
                return reply
            assert time.monotonic() < end, reply
            time.sleep(0.1)

    def ask_once(
        self,
        path: str,
        method: str = "GET",
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Ask the web host, from the web host."""
        server = Server(self.url, 0, self.web.log)
        with self.web.host.inside():
            return server.ask(path, method, body, headers)

    def job(self, place: str) -> dict[str, Any]:
        """Return what the web says of a job."""
        reply = self.ask(place)
        assert reply.status == 200, reply.body
        found: dict[str, Any] = json.loads(reply.body)
        return found

    def wait_for(
        self, place: str, true: Callable[[dict[str, Any]], bool], seconds: float
    ) -> dict[str, Any]:
        """Return what is said of a job once that is so; fail after some seconds."""
        end = time.monotonic() + seconds
        while not true(job := self.job(place)):
            assert time.monotonic() < end, job
            time.sleep(0.1)
        return job

    def submit(self, body: bytes, query: str = "") -> str:
        """Send rows as a job; return its place."""
        headers = {"Content-Type": "application/json"}
        reply = self.ask(f"/jobs{query}", "POST", body, headers)
        assert reply.status == 202, reply.body
        return reply.headers["Location"]

    def drawn(self) -> Counter[str]:
        """Return how often each drawing was begun, on all hosts."""
        return sum((node.drawn() for node in self.nodes), Counter())

    def kept(self, place: str, folder: str) -> dict[str, int]:
        """Return what the bucket has in a folder of a job."""
        prefix = f"mimeo{place}/{folder}/"
        with self.shared.inside():
            found = entries(self.bucket, prefix)
        return {key.removeprefix(prefix): size for key, size in found.items()}

    def ended(self, place: str) -> float | None:
        """Return when a job ended, in seconds since the epoch; None before.

        The bucket is asked, and not by way of Mimeo.
        """
        with self.shared.inside():
            reply = requests.get(f"{self.bucket}/mimeo{place}/finished", timeout=60)
        return float(reply.json()["at"]) if reply.status_code == 200 else None

    def bucket_s(self) -> float:
        """Return the seconds of a processor that the bucket took."""
        own = family(os.getpid())
        return sum(processor_s(pid) for pid in own if name_of(pid) == "weed")

    def wait_until_up(self) -> None:
        """Wait for the web."""
        assert self.ask("/health/ready").status == 200


@contextmanager
def cluster(
    broker: str,
    logs: Path,
    settings: Mapping[str, str] = {},
    workers: int = 2,
    service_s: float = 0.05,
    *,
    gated: bool = True,
) -> Iterator[Cluster]:
    """Run a web host and some of workers; `broker` is redis or rabbitmq.

    A service beside it takes `service_s` seconds for each image. What goes to the
    bucket passes the gate, which takes as much time as the bucket, where it is `gated`.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        names = [f"worker-{number}" for number in range(1, workers + 1)]
        shared, *others = stack.enter_context(hosts("shared", "web", *names))
        told = []
        hook = ""
        for host in others:
            with host.inside():
                receiver = stack.enter_context(receiving(204, port=_HOOK))
            told.append(receiver.got)
            hook = receiver.url
        with shared.inside():
            bucket = stack.enter_context(s3_server.serving(folder, shared.address))
            there = shared.address, int(bucket.rpartition(":")[2])
            gate = stack.enter_context(unsteady(there, shared.address))
            service = stack.enter_context(paid_service(shared.address, service_s))
        carrier = BROKERS[broker](shared, logs / "broker.log")
        stack.callback(carrier.kill)
        carrier.start()
        own = {
            **_SETTINGS,
            **s3_server.access(gate.url if gated else bucket),
            # A machine that others use takes its time.
            "AWS_READ_TIMEOUT": "20s",
            "AI_SERVICE_URL": service.url,
            "MIMEO_BROKER_URL": carrier.url,
            **settings,
        }
        nodes = []
        for host in others:
            command = WORKER if nodes else WEB
            node = Node(host, command, own, logs / f"{host.name}.log")
            stack.callback(node.kill)
            node.deploy()
            node.start()
            nodes.append(node)
        made_of_all = Cluster(
            shared,
            nodes[0],
            nodes[1:],
            carrier,
            gate,
            service,
            f"{bucket}/bucket",
            hook,
            told,
        )
        made_of_all.wait_until_up()
        yield made_of_all
