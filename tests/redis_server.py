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
def serving(
    folder: Path, *options: str, port: int = 0, certificate: Path | None = None
) -> Iterator[str]:
    """Yield the URL of a server that keeps nothing on disk.

    At that port, or a free one; with TLS where there is a certificate and its key.
    """
    assert PROGRAM is not None
    if not port:
        with create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
    command = [PROGRAM, "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    scheme, host = "redis", "127.0.0.1"
    if certificate is not None:
        scheme, host = "rediss", "localhost"
        command += ["--port", "0", "--tls-port", str(port), "--tls-auth-clients", "no"]
        for name in ("cert", "key", "ca-cert"):
            command += [f"--tls-{name}-file", str(certificate)]
    with open(folder / "redis.log", "wb") as log:
        server = subprocess.Popen([*command, *options], cwd=folder, stdout=log)
    try:
        secure = certificate is not None
        with redis.Redis(port=port, ssl=secure, ssl_cert_reqs="none") as client:
            end = monotonic() + _START_S
            while True:
                try:
                    client.ping()
                    break
                except redis.ConnectionError:
                    assert monotonic() < end and server.poll() is None
                    sleep(0.02)
        yield f"{scheme}://{host}:{port}/0"
    finally:
        server.terminate()
        server.wait()
