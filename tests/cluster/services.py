"""What stands beside Mimeo in a cluster: a bucket, a broker, a service that is paid."""

import hashlib
import io
import json
import os
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from xml.etree import ElementTree

import requests
from PIL import Image

from tests.cluster.hosts import DISK, Host, Unit

_STARTS_S = 90.0
_BROKER = f"{DISK}/broker"


class Broker:
    """A program on a host that carries messages; it ends with its host."""

    port: int
    scheme: str

    def __init__(self, host: Host, log: Path) -> None:
        self._host = host
        self._log = log
        self._folder = host.disk / "broker"
        self._folder.mkdir(exist_ok=True)
        self._unit: Unit | None = None
        self.url = f"{self.scheme}{host.address}:{self.port}/"

    def command(self) -> list[str]:
        """Return what starts it."""
        raise NotImplementedError

    def environment(self) -> Mapping[str, str]:
        """Return what it is told by variables."""
        return {}

    def start(self) -> None:
        """Start it, and wait until it answers."""
        own = {"PATH": os.environ["PATH"], "HOME": f"{DISK}/home"}
        self._unit = self._host.start(
            self.command(), {**own, **self.environment()}, _BROKER, self._log
        )
        end = time.monotonic() + _STARTS_S
        while True:
            try:
                self.connect().close()
                return
            except OSError:
                assert self._unit.runs, self._log.read_text()
                assert time.monotonic() < end, self._log.read_text()
                time.sleep(0.02)

    def connect(self) -> socket.socket:
        """Open a connection from its own host."""
        with self._host.inside():
            return socket.create_connection((self._host.address, self.port), 10)

    def processor_s(self) -> float:
        """Return the seconds of a processor that it took since it started."""
        return 0.0 if self._unit is None else self._unit.processor_s()

    def kill(self) -> None:
        """End it with no warning."""
        if self._unit is not None:
            self._unit.kill()


class Redis(Broker):
    """A redis, which remembers nothing of before its start."""

    port = 6379
    scheme = "redis://"

    def command(self) -> list[str]:
        """Return what starts it."""
        own = ["--bind", self._host.address, "--port", str(self.port)]
        return ["redis-server", *own, "--protected-mode", "no", "--save", ""]

    def ask(self, *words: str) -> bytes:
        """Send one command; return the first line or block of the answer."""
        parts = (f"${len(word)}\r\n{word}\r\n" for word in words)
        with self.connect() as talk:
            talk.sendall(f"*{len(words)}\r\n{''.join(parts)}".encode())
            reply = talk.makefile("rb")
            line = reply.readline().strip()
            assert not line.startswith(b"-"), line
            return reply.read(int(line[1:])) if line.startswith(b"$") else line[1:]


class RabbitMQ(Broker):
    """A RabbitMQ with folders of its own; it is no service of the system."""

    port = 5672
    scheme = "amqp://guest:guest@"
    # What the system's `rabbitmq-server` calls as another user, who has other folders.
    program = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")

    def command(self) -> list[str]:
        """Return what starts it."""
        return [str(self.program)]

    def environment(self) -> Mapping[str, str]:
        """Return what it is told by variables."""
        # A guest may come from elsewhere: this network has no strangers.
        (self._folder / "rabbit.conf").write_text("loopback_users = none\n")
        return {
            "HOME": _BROKER,
            "RABBITMQ_NODENAME": "mimeo@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": self._host.address,
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_CONFIG_FILE": f"{_BROKER}/rabbit.conf",
            "RABBITMQ_MNESIA_BASE": f"{_BROKER}/mnesia",
            "RABBITMQ_LOG_BASE": f"{_BROKER}/logs",
            "RABBITMQ_PID_FILE": f"{_BROKER}/pid",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{_BROKER}/plugins",
        }


BROKERS: Mapping[str, type[Broker]] = {"redis": Redis, "rabbitmq": RabbitMQ}


class PaidService:
    """Makes images of prompts for money, as services do that know their clients.

    Who sends the same `Idempotency-Key` again gets the same image, which stands on the
    bill once: `bill` has how often each prompt was paid, `asked` how often it came.
    """

    def __init__(self) -> None:
        self.bill: Counter[str] = Counter()
        self.asked: Counter[str] = Counter()
        self.url = ""
        self._made: dict[str, bytes] = {}
        self._guard = threading.Lock()

    def make(self, key: str, prompt: str) -> bytes:
        """Return the image of a request, paid for where its key is new."""
        with self._guard:
            self.asked[prompt] += 1
            if key not in self._made:
                self.bill[prompt] += 1
                self._made[key] = _painted(prompt)
            return self._made[key]


def _painted(prompt: str) -> bytes:
    colour = tuple(hashlib.sha256(prompt.encode()).digest()[:3])
    file = io.BytesIO()
    Image.new("RGB", (32, 32), colour).save(file, "PNG")
    return file.getvalue()


@contextmanager
def paid_service(address: str, takes_s: float = 0.05) -> Iterator[PaidService]:
    """Run such a service, which takes its time for each image."""
    service = PaidService()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            time.sleep(takes_s)
            made = service.make(self.headers["Idempotency-Key"], asked["prompt"])
            self.send_response(200)
            self.send_header("Content-Type", "image/png")
            self.send_header("Content-Length", str(len(made)))
            self.end_headers()
            self.wfile.write(made)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        request_queue_size = 64

        def handle_error(self, *_: object) -> None:
            """Who is killed while it waits for an answer breaks a pipe."""

    with Server((address, 0), Handler) as server:
        service.url = f"http://{address}:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield service
        server.shutdown()
        thread.join()


def entries(bucket: str, prefix: str) -> dict[str, int]:
    """Return the keys and sizes below a prefix of a bucket, given by its URL."""
    found: dict[str, int] = {}
    asked = {"list-type": "2", "prefix": prefix}
    while True:
        reply = requests.get(bucket, asked, timeout=60)
        reply.raise_for_status()
        tree = ElementTree.fromstring(reply.content)
        name = tree.tag.removesuffix("ListBucketResult")
        for one in tree.iter(f"{name}Contents"):
            key, size = one.find(f"{name}Key"), one.find(f"{name}Size")
            assert key is not None and key.text and size is not None and size.text
            found[key.text] = int(size.text)
        more = tree.find(f"{name}NextContinuationToken")
        if more is None or not more.text:
            return found
        asked["continuation-token"] = more.text
