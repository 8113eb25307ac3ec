"""SeaweedFS, an S3 server that people run, on this machine."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from socket import create_server
from time import monotonic, sleep

import requests

_SERVERS = ("s3", "filer", "volume", "master")
_START_S = 60


@contextmanager
def serving(folder: Path, address: str = "127.0.0.1") -> Iterator[str]:
    """Yield the base URL of a server that has one bucket, `bucket`."""
    options = [f"-dir={folder}", f"-ip={address}", f"-ip.bind={address}"]
    options += ["-s3", "-s3.port.iceberg=0", "-s3.port.lance=0"]
    # Small volumes, for it reserves some of them for each bucket.
    options += ["-volume.max=16", "-master.volumeSizeLimitMB=32"]
    options += ["-master.telemetry=false"]
    with started(folder, options, address) as url:
        _make_bucket(f"{url}/bucket", folder / "log")
        yield url


def access(url: str) -> dict[str, str]:
    """Return the environment in which a server's buckets are found, at that URL."""
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_ALLOW_HTTP": "true",
        "AWS_REGION": "us-east-1",
        # A server that shares the machine with other tests may be slow.
        "AWS_READ_TIMEOUT": "60s",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
    }


@contextmanager
def started(
    folder: Path,
    options: Sequence[str],
    address: str = "127.0.0.1",
    environ: Mapping[str, str] | None = None,
) -> Iterator[str]:
    """Yield the base URL of a server with these options, which may not be up yet."""
    ports = _free_ports(address, 2 * len(_SERVERS))
    places: list[str] = []
    for name, port, grpc in zip(_SERVERS, ports[::2], ports[1::2], strict=True):
        places += [f"-{name}.port={port}", f"-{name}.port.grpc={grpc}"]
    command = [Path(sys.executable).parent / "weed", "server", *options, *places]
    with open(folder / "log", "wb") as log:
        server = subprocess.Popen(
            command, stdout=log, stderr=log, env={**os.environ, **(environ or {})}
        )
    try:
        yield f"http://{address}:{ports[0]}"
    finally:
        # It takes ten seconds to end by itself, and leaves sockets behind either way.
        server.kill()
        server.wait()
        for port in ports:
            for left in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):
                left.unlink()


def _free_ports(address: str, count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [create_server((address, 0)) for _ in range(count)]
        return [stack.enter_context(each).getsockname()[1] for each in sockets]


def _make_bucket(url: str, log: Path) -> None:
    end = monotonic() + _START_S
    while True:
        try:
            requests.put(url, timeout=10).raise_for_status()
            # The first file may have to wait for its volume.
            requests.put(f"{url}/first", b"1", timeout=10).raise_for_status()
            return
        except requests.RequestException:
            assert monotonic() < end, log.read_text()
            sleep(0.1)
