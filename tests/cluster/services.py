"""What stands beside Mimeo in a cluster: a bucket, a broker, a service that is paid."""

import hashlib
import io
import json
import os
import shutil
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from xml.etree import ElementTree

import requests
from PIL import Image

from tests.cluster.hosts import processor_s

_STARTS_S = 90.0


class Redis:
    """A redis that can be emptied, and killed and started anew."""

    def __init__(self, folder: Path, address: str, port: int = 6379) -> None:
        self._folder = folder
        self._address = address, port
        self.url = f"redis://{address}:{port}/0"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers; it remembers nothing."""
        address, port = self._address
        own = ["--bind", address, "--port", str(port), "--dir", str(self._folder)]
        with (self._folder / "redis.log").open("ab") as log:
            self._process = subprocess.Popen(
                ["redis-server", *own, "--protected-mode", "no", "--save", ""],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        _await(self._process, self._address, self._folder / "redis.log")

    def ask(self, *words: str) -> bytes:
        """Send one command; return the first line or block of the answer."""
        command = [f"*{len(words)}", *(f"${len(one)}\r\n{one}" for one in words), ""]
        with socket.create_connection(self._address, 10) as talk:
            talk.sendall("\r\n".join(command).encode())
            reply = talk.makefile("rb")
            line = reply.readline().strip()
            if line.startswith(b"$"):
                return reply.read(int(line[1:]))
            assert not line.startswith(b"-"), line
            return line[1:]

    def processor_s(self) -> float:
        """Return the seconds of a processor that it took."""
        return 0.0 if self._process is None else processor_s(self._process.pid)

    def kill(self) -> None:
        """End it with all that it holds."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()


class RabbitMQ:
    """A RabbitMQ with folders of its own; it is no service of the system."""

    def __init__(self, folder: Path, address: str, port: int = 5672) -> None:
        self._folder = folder
        self._address = address, port
        self.url = f"amqp://guest:guest@{address}:{port}//"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        address, port = self._address
        program = shutil.which("rabbitmq-server")
        assert program is not None
        # A guest may come from elsewhere: this network has no strangers.
        (self._folder / "rabbit.conf").write_text("loopback_users = none\n")
        environment = {
            **os.environ,
            "HOME": str(self._folder),
            "RABBITMQ_NODENAME": "mimeo@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": address,
            "RABBITMQ_NODE_PORT": str(port),
            "RABBITMQ_DIST_PORT": "25672",
            "RABBITMQ_CONFIG_FILE": str(self._folder / "rabbit.conf"),
            "RABBITMQ_MNESIA_BASE": str(self._folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self._folder / "logs"),
            "RABBITMQ_PID_FILE": str(self._folder / "pid"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self._folder / "plugins"),
            "ERL_EPMD_PORT": "4369",
        }
        with (self._folder / "rabbit.log").open("ab") as log:
            self._process = subprocess.Popen(
                # Not as the system's user, whose folders it would take.
                [_unwrapped(program)],
                env=environment,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        _await(self._process, self._address, self._folder / "rabbit.log")

    def processor_s(self) -> float:
        """Return the seconds of a processor that it took."""
        return 0.0 if self._process is None else processor_s(self._process.pid)

    def kill(self) -> None:
        """End it; what it started ends with its host."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(60)


def _unwrapped(program: str) -> str:
    own = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
    return str(own) if own.exists() else program


def _await(
    process: subprocess.Popen[bytes], address: tuple[str, int], log: Path
) -> None:
    end = time.monotonic() + _STARTS_S
    while True:
        try:
            socket.create_connection(address, 1).close()
            return
        except OSError:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.02)


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
