"""deploy/nginx.conf: what its cache keeps, what it refuses, whom it lets wait."""

import gzip
import http.server
import json
import os
import re
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from threading import Event, Thread
from urllib.parse import urlsplit

import pytest

from app.config import Settings
from app.renderer.encode import EXTENSIONS
from tests.gunicorn_server import ROOT, Reply, Server, serve
from tests.nginx_server import in_front

PIN = "0" * 64
PINNED = f"/images/card.png?v={PIN}"
PINNED_CARD = "/images/card.png?title=Compressed"
JSON = "application/json"
# Of Chromium, Firefox and Safari, for <img> and for a page.
BROWSERS = (
    "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8",
    "image/avif,image/webp,image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5",
    "image/webp,image/avif,image/jxl,image/heic,video/*;q=0.8,image/png,image/*;q=0.8,"
    "video/mp4,*/*;q=0.5",
    "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,"
    "*/*;q=0.8",
    "*/*",
)
OTHERS = (
    "image/*",
    "text/html",
    JSON,
    "application/*",
    "application/*;q=0.5, image/png",
    "image/png, application/json",
    "image/png;q=0.5, application/json",
    "image/png;q=0.1, */*",
    "IMAGE/*;Q=0.1, */*",
    "image/*;q=0.8, */*;q=0.9",
    "image/*;q=0.8, */*;q=0.5",
    "image/png;q=0, */*;q=0.5",
    "*/*;q=0.5, image/*;q=0.4",
    "image/jpeg;q=0.2, */*",
)


class Generous(http.server.BaseHTTPRequestHandler):
    """Lets everybody keep every answer for a minute, and counts them."""

    protocol_version = "HTTP/1.1"
    count = 0
    vary = "Accept"
    held: Event | None = None
    reached = Event()

    def do_GET(self) -> None:
        """Answer with the number of requests so far."""
        if self.held is not None and self.path != "/health/live":
            self.reached.set()
            self.held.wait(30)
        self.server.count += 1  # type: ignore[attr-defined]
        body = str(self.server.count).encode()  # type: ignore[attr-defined]
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "public, max-age=60")
        self.send_header("Vary", self.vary)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Leave the output to the tests."""


@contextmanager
def generous(
    folder: Path, changes: dict[str, str] | None = None, **members: object
) -> Iterator[Server]:
    """Run nginx in front of a server that lets everything be kept."""
    kind = type("Handler", (Generous,), members)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), kind) as server:
        server.count = 0  # type: ignore[attr-defined]
        Thread(target=server.serve_forever, daemon=True).start()
        behind = Server(f"http://127.0.0.1:{server.server_port}", os.getpid(), folder)
        with in_front(behind, changes) as front:
            yield front
        server.shutdown()


@pytest.fixture(scope="module")
def keeping(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with generous(tmp_path_factory.mktemp("generous")) as front:
        yield front


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    store = tmp_path_factory.mktemp("store")
    settings = {"MIMEO_STORE": str(store), "MIMEO_ACCESS_LOG": "on"}
    with serve(settings=settings) as server:
        yield server


@pytest.fixture(scope="module")
def front(backend: Server) -> Iterator[Server]:
    with in_front(backend) as server:
        yield server


def cache_status(reply: Reply) -> str:
    """Return what nginx says of its cache."""
    said = reply.headers.get_all("Cache-Status", [])
    return next((each for each in said if each.startswith("nginx")), "")


def pinned(server: Server, path: str) -> str:
    link = re.match("<(.*)>", server.ask(path).headers["Link"])
    assert link is not None
    return link[1]


def logged(server: Server) -> list[str]:
    return server.log.read_text().splitlines()


def test_a_pinned_image_is_kept_with_its_headers(front):
    url = pinned(front, "/images/card.png?title=Kept")

    first, second = front.ask(url), front.ask(url)

    assert cache_status(first) == "nginx; fwd=uri-miss"
    assert cache_status(second) == "nginx; hit"
    assert second.body == first.body
    for name in ("Content-Type", "ETag", "Repr-Digest", "Vary", "Cache-Control"):
        assert second.headers[name] == first.headers[name]
    assert second.headers["X-Request-ID"] != first.headers["X-Request-ID"]


def test_an_image_that_is_not_pinned_is_asked_for_and_costs_a_304(front):
    first = front.ask("/images/card.png?title=Loose")
    again = front.ask(
        "/images/card.png?title=Loose", headers={"If-None-Match": first.headers["ETag"]}
    )

    assert cache_status(first) == cache_status(again) == ""
    assert again.status == 304


def test_conditions_ranges_and_head_are_answered_from_the_cache(front):
    url = pinned(front, "/images/card.png?title=Parts")
    whole = front.ask(url)
    tag, size = whole.headers["ETag"], len(whole.body)
    cases = [
        ({"Range": "bytes=5-9"}, 206, whole.body[5:10]),
        ({"Range": "bytes=-4"}, 206, whole.body[-4:]),
        ({"Range": "bytes=0-1,5-6"}, 200, whole.body),
        ({"Range": "bytes=0-1", "If-Range": '"other"'}, 200, whole.body),
        ({"Range": "bytes=0-1", "If-Range": tag}, 206, whole.body[:2]),
        ({"If-None-Match": f'"x", {tag}'}, 304, b""),
    ]

    for headers, status, body in cases:
        reply = front.ask(url, headers=headers)
        assert (reply.status, reply.body) == (status, body), headers
        assert cache_status(reply) == "nginx; hit"
    head = front.ask(url, "HEAD")
    assert (head.status, head.headers["Content-Length"]) == (200, str(size))
    outside = front.ask(url, headers={"Range": f"bytes={size}-"})
    assert (outside.status, outside.headers["Content-Range"]) == (
        416,
        f"bytes */{size}",
    )
    assert "no-store" in outside.headers.get_all("Cache-Control", [])
    problem_of(outside)
    other = front.ask(url, headers={"If-Match": '"other"'})
    assert other.status == 412
    problem_of(other)


def test_a_range_fetches_the_whole_once(front):
    url = pinned(front, "/images/card.png?title=Range")

    part = front.ask(url, headers={"Range": "bytes=1-3"})

    assert (part.status, part.body) == (206, b"PNG")
    assert cache_status(front.ask(url)) == "nginx; hit"


@pytest.mark.parametrize("name", ["png", "pdf"])
def test_every_accept_gets_what_mimeo_would_send(backend, front, name):
    url = pinned(backend, f"/images/card.{name}?title=Accept")
    values = (*BROWSERS, *OTHERS, "application/pdf;q=0.1, */*", "")

    for value in (*values, *values):
        headers = {"Accept": value} if value else {}
        through = front.ask(url, headers=headers)
        direct = backend.ask(url, headers=headers)
        assert through.headers["Content-Type"] == direct.headers["Content-Type"], value
        assert through.headers["ETag"] == direct.headers["ETag"], value


def test_browsers_share_one_entry(keeping):
    path = f"{PINNED}&n=browsers"

    bodies = [keeping.ask(path, headers={"Accept": value}).body for value in BROWSERS]

    assert len(set(bodies)) == 1
    assert keeping.ask(path, headers={"Accept": JSON}).body != bodies[0]


def test_what_a_second_accept_line_says_poisons_nothing(front):
    url = pinned(front, "/images/card.png?title=Poison")
    place = urlsplit(front.url)
    lines = (
        f"GET {url} HTTP/1.1",
        "Host: x",
        "Accept: */*",
        "Accept: application/json, image/png;q=0.1",
        "Connection: close",
    )
    with socket.create_connection((place.hostname, place.port), timeout=30) as raw:
        raw.sendall("\r\n".join((*lines, "", "")).encode())
        while raw.recv(65536):
            pass

    assert front.ask(url).headers["Content-Type"] == "image/png"


def test_where_accept_chooses_the_format_nothing_is_kept(keeping):
    path = f"/images/card?v={PIN}"

    assert keeping.ask(path).body != keeping.ask(path).body


@pytest.mark.parametrize("extension", sorted(EXTENSIONS))
def test_every_format_is_kept(keeping, extension):
    path = f"/images/card.{extension}?v={PIN}"

    assert keeping.ask(path).body == keeping.ask(path).body


@pytest.mark.parametrize(
    "headers", [{"Authorization": "Bearer x"}, {"X-API-Key": "mim_x"}]
)
def test_whoever_has_a_key_is_never_answered_from_the_cache(keeping, headers):
    path = f"{PINNED}&n={next(iter(headers))}"

    keyed = keeping.ask(path, headers=headers)
    kept = keeping.ask(path)

    assert kept.body != keyed.body
    assert keeping.ask(path).body == kept.body
    assert keeping.ask(path, headers=headers).body not in (keyed.body, kept.body)


@pytest.mark.parametrize(
    "path",
    [
        f"{PINNED}&expires=1&signature=v1.x",
        f"/images/card.png?signature=v1.x&v={PIN}",
        "/images/card.png?title=x",
        "/images/card.png?v=2",
        *(
            f"/{place}/card.png?v={PIN}"
            for place in ("collections", "media", "jobs", "v1", "inference")
        ),
        f"/images/../media/card.png?v={PIN}",
    ],
)
def test_what_others_may_not_have_is_never_kept(keeping, path):
    first = keeping.ask(path)

    assert keeping.ask(path).body != first.body
    assert cache_status(first) == ""


def test_an_answer_that_varies_by_more_is_not_kept(tmp_path):
    with generous(tmp_path, vary="Accept, Origin") as front:
        assert front.ask(PINNED).body != front.ask(PINNED).body


def test_equal_requests_at_one_moment_reach_mimeo_once(tmp_path):
    gate = Event()
    with (
        generous(tmp_path, held=gate) as front,
        ThreadPoolExecutor(20) as pool,
    ):
        asked = [pool.submit(front.ask, PINNED) for _ in range(20)]
        # All are there before the first is answered.
        time.sleep(0.5)
        gate.set()
        bodies = {each.result().body for each in asked}

    assert len(bodies) == 1


OLD_ONES = {'    "~^GET \\|[0-9a-f]{64}$" mimeo;': '    "~^GET \\|" mimeo;'}


def test_what_is_too_old_is_asked_for_by_its_tag_and_served_while_mimeo_is_down():
    settings = {"MIMEO_MAX_AGE_S": "1", "MIMEO_ACCESS_LOG": "on"}
    path = "/images/solid.png?color=red"
    with ExitStack() as outer, ExitStack() as inner:
        backend = inner.enter_context(serve(settings=settings))
        front = outer.enter_context(in_front(backend, OLD_ONES))
        fresh = front.ask(path)

        until(lambda: "detail=stale" in cache_status(front.ask(path)))
        until(lambda: any('"status":304' in line for line in compact(backend)))
        inner.close()
        until(lambda: "detail" in cache_status(front.ask(path)))
        down = front.ask(path)
        gone = front.ask("/renderers")

    assert (down.status, down.body) == (200, fresh.body)
    assert gone.status == 502
    assert gone.headers["Retry-After"] == "5"
    problem_of(gone)


def compact(server: Server) -> list[str]:
    return [line.replace(" ", "") for line in logged(server)]


def until(holds) -> None:
    """Wait for something that has to come; fail after a minute."""
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.1)


def problem_of(reply: Reply) -> None:
    """Check that an error is a whole problem with the id of its request."""
    assert reply.headers["Content-Type"] == "application/problem+json"
    problem = json.loads(reply.body)
    assert problem["status"] == reply.status
    assert problem["type"] == "about:blank"
    assert problem["title"]
    assert reply.headers.get_all("X-Request-ID") == [problem["request_id"]]
    assert reply.headers["Access-Control-Allow-Origin"] == "*"
    assert reply.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    ("status", "method", "path", "headers"),
    [
        (400, "GET", "/", {"Host": "a b"}),
        (405, "TRACE", "/", {}),
        (413, "POST", "/collections", {"Content-Length": "99999999"}),
        (414, "GET", f"/{'x' * 17_000}", {}),
        (431, "GET", "/", {"Cookie": "x" * 17_000}),
        (501, "POST", "/", {"Transfer-Encoding": "other"}),
    ],
)
def test_what_nginx_refuses_is_a_problem(front, status, method, path, headers):
    reply = front.ask(path, method, headers=headers)

    assert reply.status == status
    problem_of(reply)
    assert reply.headers.get_all("Cache-Control") == ["no-store"]


def test_a_silent_backend_is_a_problem(tmp_path):
    gate = Event()
    quick = {"proxy_read_timeout 200s": "proxy_read_timeout 1s"}
    with generous(tmp_path, quick, held=gate) as front:
        reply = front.ask("/renderers")
        gate.set()

    assert reply.status == 504
    problem_of(reply)


def test_problems_of_mimeo_pass_unchanged(backend, front):
    path = "/images/card.png?titel=x"

    direct, through = backend.ask(path), front.ask(path)

    ours, theirs = (json.loads(reply.body) for reply in (direct, through))
    assert through.status == 422
    assert through.headers.get_all("X-Request-ID") == [theirs.pop("request_id")]
    ours.pop("request_id")
    assert theirs == ours


@pytest.mark.parametrize(
    "path", ["/images", "/inference", "/collections?renderer=badge"]
)
def test_a_post_is_handed_on_and_not_redirected(front, path):
    # nginx answers 301 where a location is the path and a slash: /images was one.
    body = b'{"renderer": "solid", "items": [{}], "prompt": "x"}'
    headers = {"Content-Type": "application/json"}

    reply = front.ask(path, "POST", body, headers)

    assert reply.status in (200, 201, 422)
    assert "Location" not in reply.headers or reply.status == 201


def test_a_url_of_8_kib_passes(front):
    reply = front.ask(f"/images/card.png?title={'x' * 8_000}")

    assert reply.status == 422


@pytest.mark.parametrize(
    ("path", "accept"),
    [
        (PINNED_CARD, JSON),
        ("/renderers", JSON),
        ("/problems", JSON),
        ("/v1/models/none", JSON),
    ],
    ids=["pinned", "catalogue", "problems", "problem"],
)
def test_what_is_compressed_says_that_it_varies(front, path, accept):
    url = pinned(front, path) if path == PINNED_CARD else path

    reply = front.ask(url, headers={"Accept-Encoding": "gzip", "Accept": accept})
    plain = front.ask(url, headers={"Accept": accept})

    assert reply.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(reply.body)[:1] == plain.body[:1]
    for each in (reply, plain):
        assert "Accept-Encoding" in ", ".join(each.headers.get_all("Vary", []))


def admitted(front: Server, path: str) -> Reply:
    """Ask until nginx has forgotten the request before, which is a moment later."""
    while (reply := front.ask(path)).status == 429:
        time.sleep(0.05)
    return reply


def test_one_address_has_so_many_requests_at_a_time(tmp_path):
    gate, reached = Event(), Event()
    members = {"held": gate, "reached": reached}
    few = {"limit_conn mimeo_addresses 100": "limit_conn mimeo_addresses 1"}
    with ThreadPoolExecutor(1) as pool, generous(tmp_path, few, **members) as front:
        first = pool.submit(admitted, front, "/renderers")
        assert reached.wait(30)
        reply = front.ask("/fonts")
        gate.set()
        assert first.result().status == 200

    assert reply.status == 429
    problem_of(reply)


def test_half_a_head_is_not_waited_for(backend):
    quick = {"client_header_timeout 15s": "client_header_timeout 1s"}
    with in_front(backend, quick) as front:
        place = urlsplit(front.url)
        with socket.create_connection((place.hostname, place.port), timeout=30) as raw:
            raw.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n")
            # An end or a reset, and not a timeout of ours.
            with suppress(ConnectionResetError):
                assert raw.recv(100) == b""


def test_nginx_takes_the_largest_upload_that_mimeo_takes():
    text = (ROOT / "deploy/nginx.conf").read_text()

    [size] = re.findall(r"client_max_body_size (\d+)m;", text)

    largest = max(Settings().max_body_bytes, Settings().max_collection_bytes)
    assert int(size) << 20 > largest


def test_the_log_names_neither_people_nor_signatures(tmp_path):
    log = tmp_path / "own.log"
    line = "access_log /var/log/nginx/mimeo.log mimeo buffer=64k flush=5s"
    with generous(tmp_path, {line: f"access_log {log} mimeo"}) as front:
        front.ask("/images/card.png?title=Ada&signature=v1.secret")

        until(lambda: "/images/card.png" in log.read_text())

    assert "Ada" not in log.read_text()
    assert "secret" not in log.read_text()
