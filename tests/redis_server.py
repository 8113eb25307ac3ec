"""A redis-server of this machine for tests, on a free port, stopped at the end."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import create_server
from time import monotonic, sleep

import redis

_START_S = 20
PROGRAM = shutil.which("redis-server")


@contextmanager
def serving(folder: Path, *options: str) -> Iterator[str]:
    """Yield the URL of a server that keeps nothing on disk."""
    assert PROGRAM is not None
    with create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [PROGRAM, "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    with open(folder / "redis.log", "wb") as log:
        server = subprocess.Popen([*command, *options], cwd=folder, stdout=log)
    try:
        with redis.Redis(port=port) as client:
            end = monotonic() + _START_S
            while True:
                try:
                    client.ping()
                    break
                except redis.ConnectionError:
                    assert monotonic() < end and server.poll() is None
                    sleep(0.02)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        server.terminate()
        server.wait()
