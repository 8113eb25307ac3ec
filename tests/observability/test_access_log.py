"""One JSON line a request, without what people had drawn."""

import json
import socket
from dataclasses import replace
from urllib.parse import urlsplit

import pytest

from app import create_app
from app.config import Settings
from app.observability.access_log import LINES
from tests.gunicorn_server import Server, serve
from tests.nginx_server import in_front
from tests.waiting import wait_until


def test_request_is_one_line_without_its_query(
    settings: Settings, capfd: pytest.CaptureFixture[str]
) -> None:
    app = create_app(replace(settings, access_log=True))
    client = app.test_client()
    capfd.readouterr()

    client.get("/images/solid.png?color=red", headers={"X-Request-ID": "abc"}).close()
    LINES.flush()

    (line,) = capfd.readouterr().err.splitlines()
    entry = json.loads(line)
    assert entry["request_id"] == "abc"
    assert (entry["method"], entry["path"]) == ("GET", "/images/solid.png")
    assert entry["status"] == 200
    assert entry["duration_ms"] > 0
    assert "red" not in line


def test_log_can_be_turned_off(
    settings: Settings, capfd: pytest.CaptureFixture[str]
) -> None:
    client = create_app(replace(settings, access_log=False)).test_client()
    capfd.readouterr()

    client.get("/health/live").close()
    LINES.flush()

    assert capfd.readouterr().err == ""


CLIENT = "127.0.0.2"


def logged(server: Server, head: str, path: str) -> str:
    """Ask from an address of its own; return whom the server's log names for it."""
    place = urlsplit(server.url)
    where = place.hostname, place.port
    with socket.create_connection(where, 30, source_address=(CLIENT, 0)) as wire:
        wire.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\n{head}\r\n".encode())
        while wire.recv(65536):
            pass
    wait_until(lambda: path in server.log.read_text())
    lines = server.log.read_text().splitlines()
    return str(json.loads(next(line for line in lines if path in line))["remote"])


@pytest.mark.parametrize(
    ("proxies", "forged", "named"),
    [
        ("1", "", CLIENT),
        # What a client says of itself counts for nothing.
        ("1", "X-Forwarded-For: 203.0.113.7\r\n", CLIENT),
        ("0", "X-Forwarded-For: 203.0.113.7\r\n", "127.0.0.1"),
    ],
    ids=["one proxy", "one proxy, forged", "no proxy, forged"],
)
def test_behind_nginx_the_log_names_the_client(proxies, forged, named):
    """Everybody was 127.0.0.1."""
    settings = {"MIMEO_ACCESS_LOG": "on", "MIMEO_PROXIES": proxies}
    head = f"{forged}Connection: close\r\n"
    with serve(settings=settings) as server, in_front(server) as front:
        assert logged(front, head, "/images/solid.png") == named
