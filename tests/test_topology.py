"""The topology of deploy/compose.yaml, run as processes."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import urlencode

import pytest
import yaml

from tests.gunicorn_server import Server, listening, serve
from tests.nginx_server import in_front

ROOT = Path(__file__).parent.parent
PROMPT = {"prompt": "A red fox in the snow", "width": 256, "height": 192}
CONSOLE = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def ai_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    store = tmp_path_factory.mktemp("ai-store")
    with serve(settings={"MIMEO_STORE": str(store)}) as server:
        yield server


@pytest.fixture(scope="module")
def front(
    ai_service: Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """nginx, with a backend behind it that asks the AI service."""
    store = tmp_path_factory.mktemp("store")
    settings = {
        "MIMEO_STORE": str(store),
        "AI_SERVICE_URL": ai_service.url,
        "MIMEO_PROXIES": "1",
        "MIMEO_OPEN_SERVICES": "ai-service",
    }
    with serve(settings=settings) as backend, in_front(backend) as front:
        yield front


def check_health(port: int) -> int:
    """Run the health check of a container here; return its exit code."""
    services = yaml.safe_load((ROOT / "deploy/compose.yaml").read_text())["services"]
    [_, python, *arguments] = services["ai-service"]["healthcheck"]["test"]
    assert python == "python"
    environ = {**os.environ, "PORT": str(port)}
    command = [sys.executable, *arguments]
    return subprocess.run(command, env=environ, stderr=subprocess.PIPE).returncode


def test_the_health_check_passes_where_the_server_runs(ai_service):
    port = int(ai_service.url.rpartition(":")[2])

    assert check_health(port) == 0


def test_the_health_check_fails_where_none_runs():
    with closing(listening()) as probe:
        port = probe.getsockname()[1]

    assert check_health(port) == 1


def infer(server: Server) -> tuple[str | None, str]:
    """Have an image of the prompt made; return who made it, and its SHA-256."""
    headers = {"Content-Type": "application/json", "Accept": "image/png"}
    reply = server.ask("/inference", "POST", json.dumps(PROMPT).encode(), headers)
    assert (reply.status, reply.headers["Content-Type"]) == (200, "image/png")
    return reply.headers["X-Media-Upstream"], sha256(reply.body).hexdigest()


def test_the_same_topology_runs_as_processes(ai_service, front):
    query = urlencode(PROMPT)

    maker, digest = infer(ai_service)
    through = infer(front)
    by_url = front.ask(f"/images/ai-service.png?{query}")

    assert maker is None
    assert through == ("ai-service", digest)
    assert by_url.status == 200
    assert sha256(by_url.body).hexdigest() == digest


class Echo(BaseHTTPRequestHandler):
    """Answers with the Host that it was asked for."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.headers["Host"].encode())

    def log_message(self, format: str, *args: object) -> None:
        """Leave the output to the tests."""


def test_nginx_hands_the_host_on_with_its_port(tmp_path):
    with HTTPServer(("127.0.0.1", 0), Echo) as echo:
        Thread(target=echo.serve_forever, daemon=True).start()
        behind = Server(f"http://127.0.0.1:{echo.server_port}", os.getpid(), tmp_path)
        with in_front(behind) as front:
            reply = front.ask("/")
        echo.shutdown()

    assert f"http://{reply.body.decode()}" == front.url


def commands() -> list[str]:
    text = (ROOT / "docs/how-to/compose.md").read_text()
    return "\n".join(CONSOLE.findall(text)).splitlines()


@pytest.mark.parametrize("command", [c for c in commands() if c.startswith("curl ")])
def test_the_documented_requests_work(front, tmp_path, command):
    local = command.replace("http://127.0.0.1:8080", front.url)

    done = subprocess.run(["sh", "-c", local], cwd=tmp_path, capture_output=True)

    assert local != command
    assert done.returncode == 0, done.stderr
