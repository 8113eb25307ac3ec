"""Nobody who only looks local makes a real server spend money or show its figures.

A real gunicorn as `mimeo serve` starts it, asked directly, through nginx, by a page in
a browser and under a name that somebody else points at this machine.
"""

import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from app.access.keys import digest_of, new_key
from app.access.signed_url import UrlSigner
from tests.gunicorn_server import Server, listening, serve
from tests.nginx_server import in_front
from tests.test_services import serving
from tests.upstream.pictures import PNG
from tests.upstream.wire_forms import Form

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
BUY = "/images/ai-service.png?prompt=fox"
BARE = """
daemon off; pid {folder}/pid; error_log stderr;
events {{}}
http {{
  access_log off;
  client_body_temp_path {folder}/b; proxy_temp_path {folder}/p;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{
    listen 127.0.0.1:{port};
    location / {{ proxy_pass {url}; {extra} }}
  }}
}}
"""
PAGE = """<!doctype html><title>waiting</title><body><script>
const base = "BASE", seen = [];
const ask = (path, options) => fetch(base + path, options)
  .then(r => seen.push(path + " " + r.status), e => seen.push(path + " error"));
const image = new Image();
image.src = base + "/images/ai-service.png?prompt=image";
const form = {method: "POST", mode: "no-cors",
  headers: {"Content-Type": "application/x-www-form-urlencoded"}, body: "prompt=form"};
const json = {method: "POST", headers: {"Content-Type": "application/json"},
  body: JSON.stringify({prompt: "json", renderer: "ai-service"})};
Promise.all([
  ask("/images/ai-service.png?prompt=fetch"), ask("/images/ai-service.png", form),
  ask("/inference", json), ask("/metrics", {mode: "no-cors"}), ask("/metrics"),
]).then(() => setTimeout(() => document.title = "done " + seen.join("; "), 300));
</script>"""


@pytest.fixture(scope="module")
def service() -> Iterator[Any]:
    with serving(Form(PNG, "image/png", (), "binary")) as made:
        yield made


@pytest.fixture(scope="module")
def key() -> tuple[str, str]:
    """A key, and the table of it."""
    id, token = new_key()
    scopes = '["draw:*", "read", "services", "admin"]'
    return token, f'[keys.{id}]\nsha256 = "{digest_of(token)}"\nscopes = {scopes}\n'


@pytest.fixture(scope="module")
def server(
    service: Any, key: tuple[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    settings = {
        "MIMEO_STORE": str(tmp_path_factory.mktemp("store")),
        "AI_SERVICE_URL": service.url,
        "MIMEO_LOCAL_CALLERS": "on",
        "MIMEO_KEYS": key[1],
    }
    with serve(settings=settings) as running:
        yield running


@contextmanager
def bare_nginx(server: Server, extra: str = "") -> Iterator[str]:
    """Run nginx with one `proxy_pass` and nothing else; yield its URL."""
    with closing(listening()) as probe:
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        # Started by root, nginx has workers that are not.
        Path(folder).chmod(0o711)
        file = Path(folder, "nginx.conf")
        file.write_text(
            BARE.format(folder=folder, port=port, url=server.url, extra=extra)
        )
        process = subprocess.Popen(["nginx", "-p", folder, "-c", str(file)])
        try:
            _wait_for(port)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(10)


def _wait_for(port: int) -> None:
    import socket

    for _ in range(100):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError("nginx did not start")


def status(url: str, *options: str) -> int:
    command = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", *options, url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    return int(done.stdout)


def test_the_operator_beside_the_server_needs_no_key(server: Server) -> None:
    assert status(f"{server.url}/metrics") == 200


def test_behind_the_shipped_nginx_everybody_needs_a_key(server, service, key) -> None:
    before = len(service.asked)
    with in_front(server) as front:
        refused = [status(front.url + path) for path in (BUY, "/metrics")]
        shown = status(f"{front.url}/metrics", "-H", f"X-API-Key: {key[0]}")

    assert refused == [401, 401]
    assert shown == 200
    assert len(service.asked) == before


@pytest.mark.parametrize(
    "extra",
    [
        "proxy_set_header X-Forwarded-For $remote_addr;",
        "proxy_set_header X-Real-IP $remote_addr;",
        "proxy_set_header Host mimeo.example;",
    ],
)
def test_behind_a_bare_proxy_that_says_what_it_is(server, service, extra) -> None:
    before = len(service.asked)
    with bare_nginx(server, extra) as url:
        assert [status(url + path) for path in (BUY, "/metrics")] == [401, 401]

    assert len(service.asked) == before


def test_behind_a_bare_proxy_plain_gunicorn_needs_a_key(service, tmp_path) -> None:
    # A bare `proxy_pass` sends what a program beside it would: so only `mimeo serve`
    # on a loopback address has local callers, never gunicorn as it is deployed.
    settings = {
        "MIMEO_STORE": str(tmp_path),
        "AI_SERVICE_URL": service.url,
        "MIMEO_LOCAL_CALLERS": "",
    }
    before = len(service.asked)
    with serve(settings=settings) as deployed, bare_nginx(deployed) as url:
        assert [status(url + path) for path in (BUY, "/metrics")] == [401, 401]
        assert status(f"{url}/images/solid.png") == 200

    assert len(service.asked) == before


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.nip.example", "0.0.0.0"])
def test_a_name_that_is_pointed_here_is_not_local(server, service, host) -> None:
    before = len(service.asked)
    for path in (BUY, "/metrics"):
        assert status(server.url + path, "-H", f"Host: {host}") == 401

    assert len(service.asked) == before


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_a_page_of_another_origin_buys_and_reads_nothing(server, service) -> None:
    page = PAGE.replace("BASE", server.url).encode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    before = len(service.asked)
    with (
        ThreadingHTTPServer(("127.0.0.1", 0), Handler) as other,
        tempfile.TemporaryDirectory() as profile,
    ):
        Thread(target=other.serve_forever, daemon=True).start()
        command = [
            *(str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu"),
            *("--virtual-time-budget=5000", "--dump-dom"),
            f"--user-data-dir={profile}",
            f"http://127.0.0.1:{other.server_port}/",
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=90)
        other.shutdown()

    title = done.stdout.partition("<title>")[2].partition("</title>")[0]
    assert title.startswith("done"), done.stderr
    assert "/images/ai-service.png?prompt=fetch 401" in title
    assert "/inference 401" in title
    assert "/metrics 200" not in title
    assert len(service.asked) == before


def test_no_cache_of_nginx_shows_what_needs_a_key(service, key, tmp_path) -> None:
    secret = "0123456789-abcdefghijklmnopqrstuv"
    settings = {
        "MIMEO_STORE": str(tmp_path),
        "MIMEO_ACCESS": "keys",
        "MIMEO_KEYS": key[1],
        "MIMEO_URL_KEYS": f"urls:{secret}",
        "MIMEO_LOCAL_CALLERS": "off",
        "MIMEO_PROXIES": "1",
    }
    signer = UrlSigner(lambda: {"urls": secret.encode()})
    known = {"X-API-Key": key[0]}
    with serve(settings=settings) as kept, in_front(kept) as front:
        first = front.ask("/images/solid.png?width=40", headers=known)
        pinned = first.headers["Link"].partition("<")[2].partition(">")[0]
        signed = signer.sign(pinned, int(time.time()) + 3)
        shown = [front.ask(pinned, headers=known).status for _ in range(3)]
        shown += [front.ask(signed).status for _ in range(3)]
        refused = [front.ask(pinned).status, front.ask(pinned).status]
        time.sleep(4)
        late = [front.ask(signed).status, front.ask(pinned).status]

    assert shown == [200] * 6
    assert refused == [401, 401]
    assert late == [410, 401]
