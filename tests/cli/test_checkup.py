"""`mimeo doctor URL` says of a running server what strangers can do to it."""

import gzip
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from app.access.keys import digest_of, new_key
from app.cli import checkup
from app.cli.main import main
from tests.gunicorn_server import Server, serve
from tests.nginx_server import in_front
from tests.test_services import Service, serving
from tests.upstream.pictures import PNG
from tests.upstream.wire_forms import Form

ID, KEY = new_key()
SETTINGS = {
    # A loopback address would be local, did the doctor not ask as a stranger.
    "MIMEO_LOCAL_CALLERS": "on",
    "MIMEO_KEYS": f'[keys.{ID}]\nsha256 = "{digest_of(KEY)}"\n'
    'scopes = ["admin", "draw:*"]\n',
}


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with serving(Form(PNG, "image/png", (), "binary")) as running:
        yield running


@pytest.fixture(scope="module")
def server(
    service: Service, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    store = str(tmp_path_factory.mktemp("store"))
    own = {"AI_SERVICE_URL": service.url, "MIMEO_STORE": store}
    with serve(settings=SETTINGS | own) as running:
        yield running


def states(url: str, key: str | None = None) -> dict[str, set[str]]:
    """Return the subjects, by state; each that is not fine says how to mend it."""
    found: dict[str, set[str]] = {"ok": set(), "warn": set(), "fail": set()}
    for row in checkup.examine(url, key):
        assert row.state == "ok" or row.mend
        found[row.state].add(row.subject)
    return found


def test_a_server_without_a_proxy_lacks_hosts_and_compression(
    server: Server, service: Service
) -> None:
    before = len(service.asked)

    found = states(server.url)

    assert (found["warn"], found["fail"]) == ({"hosts", "gzip"}, set())
    assert {"metrics", "purchases", "304", "range", "body", "clock"} <= found["ok"]
    assert len(service.asked) == before


def test_all_is_well_behind_the_shipped_nginx(service: Service, tmp_path: Path) -> None:
    own = {
        "MIMEO_STORE": str(tmp_path),
        "AI_SERVICE_URL": service.url,
        "MIMEO_PROXIES": "1",
        "MIMEO_PUBLIC_URL": "http://127.0.0.1",
    }
    with serve(settings=SETTINGS | own) as behind, in_front(behind) as front:
        through = states(front.url, KEY)
        past = states(behind.url, KEY)

    assert (through["warn"], through["fail"]) == (set(), set())
    # Who gets past the proxy is believed whatever they say of others.
    assert past["fail"] == {"address"}


def test_an_open_service_is_seen_and_nothing_is_bought(
    service: Service, tmp_path: Path
) -> None:
    own = {"AI_SERVICE_URL": service.url, "MIMEO_OPEN_SERVICES": "ai-service"}
    before = len(service.asked)

    with serve(settings=SETTINGS | own | {"MIMEO_STORE": str(tmp_path)}) as opened:
        found = states(opened.url)

    assert "purchases" in found["warn"]
    assert len(service.asked) == before


def test_what_needs_a_key_is_not_looked_at_without_one(tmp_path: Path) -> None:
    with serve(settings=SETTINGS | {"MIMEO_ACCESS": "signed"}) as signed:
        stranger, known = states(signed.url), states(signed.url, KEY)

    assert "caching" in stranger["warn"] and "range" not in stranger["ok"]
    assert {"caching", "304", "range", "version", "address"} <= known["ok"]


class _Rotten(BaseHTTPRequestHandler):
    """All that a proxy can do wrong, at once."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        said: dict[str, Any] = {
            "/health/live": {"status": "live"},
            "/health/ready": {
                **{"status": "unready", "version": "9", "broken": ["menu"]},
                "client": self.headers.get("X-Forwarded-For", "127.0.0.1"),
            },
            "/renderers": {"renderers": [{"name": "paid", "service": True}]},
        }
        status = {"/health/ready": 503, "/nowhere-at-all": 200}.get(path, 200)
        body = json.dumps(said[path]).encode() if path in said else b"an image"
        pairs = [("Via", self.headers.get("X-Forwarded-Host", "1.1 rotten"))]
        if path.startswith("/images") and "gzip" in self.headers["Accept-Encoding"]:
            body = gzip.compress(body)
            pairs.append(("Content-Encoding", "gzip"))
        self.reply(status, body, pairs)

    def do_POST(self) -> None:
        self.close_connection = True
        status = 413 if int(self.headers["Content-Length"]) < 1 << 30 else 502
        self.reply(status, b"<html>", [])

    def reply(self, status: int, body: bytes, pairs: list[tuple[str, str]]) -> None:
        self.send_response_only(status)
        for name, value in (
            ("Date", "Sun, 06 Nov 1994 08:49:37 GMT"),
            ("Content-Length", str(len(body))),
            *pairs,
        ):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def rotten() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Rotten) as server:
        Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_everything_that_can_be_wrong_is_found(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with rotten() as url:
        found = states(url, KEY)
        status = main(["doctor", url, "--json"])

    assert found["fail"] == {
        *("ready", "address", "metrics", "forwarding", "caching", "gzip", "clock"),
    }
    assert found["warn"] == {
        *("templates", "purchases", "hosts", "304", "range", "gzip", "errors", "body"),
    }
    rows = json.loads(capsys.readouterr().out)
    assert status == 1
    assert rows[0].keys() == {"state", "subject", "detail", "mend"}


def test_a_store_at_fault_is_a_warning(
    tmp_path: Path,
) -> None:
    with serve(settings=SETTINGS | {"MIMEO_STORE": str(tmp_path / "store")}) as faulty:
        shutil.rmtree(tmp_path / "store")
        (tmp_path / "store").write_text("in the way")
        found = states(faulty.url, KEY)

    assert "store" in found["warn"]
    assert "ready" in found["ok"]


def test_a_server_that_does_not_answer_is_one_fault(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with rotten() as url:
        pass

    status = main(["doctor", url.replace("//", "//user:swordfish@")])

    out = capsys.readouterr().out
    assert (status, out.count("fail")) == (1, 1)
    assert "ConnectionError" in out and "swordfish" not in out


@pytest.mark.parametrize(
    "url", ["example.com", "ftp://a", "http://", "http://a:x", "http://a?b"]
)
def test_what_is_no_url_is_said(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", url]) == 2
    assert "mimeo: doctor URL" in capsys.readouterr().err


def test_the_key_is_read_from_a_file(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "key").write_text(f"{KEY}\n")

    status = main(["doctor", server.url, "--key-file", str(tmp_path / "key")])
    missing = main(["doctor", server.url, "--key-file", str(tmp_path / "none")])

    told = capsys.readouterr()
    assert (status, missing) == (0, 2)
    assert "forged address is passed over" in told.out
    assert KEY not in told.out + told.err


def test_the_doctor_of_this_machine_writes_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MIMEO_STORE", str(tmp_path))

    status = main(["doctor", "--json"])

    rows = json.loads(capsys.readouterr().out)
    assert status == 0
    assert {row["subject"] for row in rows} >= {"settings", "fonts", "drawing"}
