"""A real gunicorn of this project for tests: started, asked, stopped by its pid."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

ROOT = Path(__file__).parent.parent
# Tests neither read nor fill the user's cache, nor depend on the system's fonts.
DEFAULTS = {
    "MIMEO_STORE": "none",
    "MIMEO_SYSTEM_FONTS": "off",
    "MIMEO_ACCESS_LOG": "off",
    # As under `mimeo serve`: tests of access say otherwise.
    "MIMEO_LOCAL_CALLERS": "on",
    "WEB_CONCURRENCY": "2",
}
_FOREIGN = ("GUNICORN_CMD_ARGS", "HOST", "PORT")
_START_S = 60.0
_STOP_S = 30.0


@dataclass(frozen=True)
class Reply:
    """An answer as it came over the wire; names of headers fit in any case."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes


@dataclass(frozen=True)
class Server:
    """A running server: its base URL, the master's pid, and its log file."""

    url: str
    pid: int
    log: Path

    def ask(
        self,
        path: str,
        method: str = "GET",
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Send one request on a connection of its own, exactly as given."""
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=60)
        with closing(connection):
            connection.request(method, path, body, dict(headers or {}))
            response = connection.getresponse()
            return Reply(response.status, response.headers, response.read())

    @contextmanager
    def open(
        self, path: str, headers: Mapping[str, str] | None = None
    ) -> Iterator[http.client.HTTPResponse]:
        """Send a GET and hand over the answer as it comes."""
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=60)
        with closing(connection):
            connection.request("GET", path, None, dict(headers or {}))
            yield connection.getresponse()

    def workers(self) -> set[int]:
        """Return the ids of the worker processes."""
        path = Path(f"/proc/{self.pid}/task/{self.pid}/children")
        return set(map(int, path.read_text().split()))

    def curl(self, path: str, *options: str) -> subprocess.CompletedProcess[bytes]:
        """Run curl on a path of this server; the caller looks at its exit code."""
        command = ["curl", "--silent", "--max-time", "60", *options, self.url + path]
        return subprocess.run(command, capture_output=True, check=False)


@contextmanager
def serve(
    app: str = "wsgi:app",
    settings: Mapping[str, str] | None = None,
    folder: Path = ROOT,
) -> Iterator[Server]:
    """Start gunicorn in a folder and stop it at the end.

    `settings` are environment variables laid over `DEFAULTS`; those of whoever runs
    the tests do not count. Raises RuntimeError with the log if it does not start.
    """
    with (
        tempfile.TemporaryDirectory() as scratch,
        Path(scratch, "log").open("w+b") as log,
        listening() as listener,
    ):
        host, port = listener.getsockname()
        process = _start(app, listener, _environment(settings or {}), folder, log)
        # From here on only the server holds the port: without it, none answers.
        listener.close()
        server = Server(f"http://{host}:{port}", process.pid, Path(log.name))
        try:
            _wait_until_ready(server, process)
            yield server
        finally:
            _stop(process)


def listening() -> socket.socket:
    """Return a socket that listens on a free port of this machine."""
    # Handed over as a file descriptor: no other program can take the port meanwhile.
    return socket.create_server(("127.0.0.1", 0))


def _environment(settings: Mapping[str, str]) -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in _FOREIGN and not name.startswith("MIMEO_")
    }
    return {**kept, **DEFAULTS, **settings}


def _start(
    app: str,
    listener: socket.socket,
    environment: dict[str, str],
    folder: Path,
    log: IO[bytes],
) -> subprocess.Popen[bytes]:
    number = listener.fileno()
    return subprocess.Popen(
        [sys.executable, "-m", "gunicorn", "--bind", f"fd://{number}", app],
        env=environment,
        cwd=folder,
        pass_fds=[number],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
    )


def _wait_until_ready(server: Server, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_S
    while process.poll() is None and time.monotonic() < deadline:
        try:
            server.ask("/health/live")
        except (OSError, http.client.HTTPException):
            time.sleep(0.05)
        else:
            return
    raise RuntimeError(f"gunicorn did not start:\n{server.log.read_text()}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Stop the master, and with it its workers, by the pid that was started."""
    # SIGQUIT is gunicorn's quick stop: no test leaves a request unfinished.
    process.send_signal(signal.SIGQUIT)
    try:
        process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
