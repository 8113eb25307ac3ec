"""The largest answer of a service costs a worker little memory, in every wrapping."""

import base64
import hashlib
import io
import json
import re
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pybase64
import pytest

from tests.gunicorn_server import Server, serve
from tests.test_services_chaos import anonymous
from tests.upstream.pictures import PNG

# What the documentation promises of one answer, whatever its size.
BOUND = 16 << 20
IMAGE_BYTES = 32 << 20
REFUSED_BYTES = 200_000_000
# Behind the end of a PNG there may be anything; here it is no run of zeros.
_BLOCK = bytes(range(256)) * 768
_HEAD = b'{"data": [{"b64_json": "'


def image() -> Iterator[bytes]:
    """Yield the largest image that is allowed, in pieces that base64 can join."""
    first = PNG + bytes(-len(PNG) % 3)
    yield first
    left = IMAGE_BYTES - len(first)
    for at in range(0, left, len(_BLOCK)):
        yield _BLOCK[: min(len(_BLOCK), left - at)]


def as_base64() -> Iterator[bytes]:
    yield _HEAD
    yield from map(pybase64.b64encode, image())
    yield b'"}]}'


def too_large() -> Iterator[bytes]:
    yield _HEAD
    yield from [pybase64.b64encode(_BLOCK)] * (REFUSED_BYTES * 3 // 4 // len(_BLOCK))
    yield b'"}]}'


BODIES = {"/binary": image, "/base64": as_base64, "/too-large": too_large}


@contextmanager
def services() -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.end_headers()
            try:
                for piece in BODIES[self.path]():
                    self.wfile.write(piece)
            except ConnectionError:
                # Whoever has had enough hangs up: that is what is tested.
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("memory")
    file = folder / "services.toml"
    with services() as url:
        file.write_text(
            "".join(
                f'[upstreams.x-{path[1:]}]\nkind = "json"\nurl = "{url}{path}"\n'
                for path in BODIES
            )
        )
        settings = {
            "MIMEO_UPSTREAMS": str(file),
            "MIMEO_STORE": str(folder / "store"),
            "WEB_CONCURRENCY": "1",
        }
        with serve(settings=settings) as running:
            # The first image of all loads what is loaded once.
            running.ask("/images/x-binary.png?prompt=warm")
            yield running


@pytest.fixture(scope="module")
def wanted() -> str:
    digest = hashlib.sha256()
    for piece in image():
        digest.update(piece)
    return digest.hexdigest()


@contextmanager
def watched(server: Server) -> Iterator[list[int]]:
    """Measure what a worker's memory grows by while the body runs."""
    (pid,) = server.workers()
    over, seen = threading.Event(), [anonymous(pid)]

    def watch() -> None:
        while not over.wait(0.005):
            seen.append(anonymous(pid))

    watcher = threading.Thread(target=watch)
    watcher.start()
    growth: list[int] = []
    try:
        yield growth
    finally:
        over.set()
        watcher.join()
        growth.append(max(seen) - seen[0])


def post(server: Server, path: str, accept: str, body: dict[str, object]) -> bytes:
    headers = {"Content-Type": "application/json", "Accept": accept}
    reply = server.ask(path, "POST", json.dumps(body).encode(), headers)
    assert reply.status == 200, reply.body[:500]
    return reply.body


def deliver(server: Server, kind: str, name: str) -> bytes:
    """Return the image as one delivery gives it; the prompt is the delivery's own."""
    body: dict[str, object] = {"prompt": kind, "renderer": name}
    if kind == "image":
        return server.ask(f"/images/{name}.png?prompt={kind}").body
    if kind == "image as json":
        headers = {"Accept": "application/json"}
        path = f"/images/{name}.png?prompt=image+as+json"
        found = json.loads(server.ask(path, headers=headers).body)
        return base64.b64decode(found["data"])
    if kind == "inference":
        return post(server, "/inference", "image/*", body)
    if kind == "inference as json":
        found = json.loads(post(server, "/inference", "application/json", body))
        return base64.b64decode(found["image_base64"])
    if kind == "inference as zip":
        data = post(server, "/inference", "application/zip", body)
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return archive.read("1.png")
    asked = {"prompt": kind, "model": name}
    found = json.loads(post(server, "/v1/images/generations", "*/*", asked))
    return base64.b64decode(found["data"][0]["b64_json"])


KINDS = (
    *("image", "image as json", "inference", "inference as json"),
    *("inference as zip", "openai"),
)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["x-binary", "x-base64"])
@pytest.mark.parametrize("kept", [False, True], ids=["new", "kept"])
def test_the_largest_image_costs_little_memory(server, wanted, kind, name, kept):
    with watched(server) as growth:
        data = deliver(server, kind, name)

    assert hashlib.sha256(data).hexdigest() == wanted
    assert growth[0] < BOUND, f"{growth[0] >> 20} MiB, kept: {kept}"


def test_200_mb_of_base64_are_refused_within_the_cap(server):
    with watched(server) as growth:
        reply = server.ask("/images/x-too-large.png?prompt=a")

    assert reply.status == 502
    assert json.loads(reply.body)["limit"] == "max_wire_bytes"
    assert growth[0] < BOUND, f"{growth[0] >> 20} MiB"


def test_the_bound_is_documented(root: Path):
    text = (root / "docs" / "how-to" / "upstreams.md").read_text()

    found = re.search(r"(\d+) MiB of memory", text)
    assert found
    assert int(found[1]) << 20 == BOUND
