"""HEAD of a URL that nginx may keep: it draws nothing and buys nothing."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.gunicorn_server import Server, serve
from tests.nginx_server import in_front
from tests.test_services import serving
from tests.upstream.pictures import PNG
from tests.upstream.wire_forms import Form

ANY = "0" * 64


@pytest.fixture(scope="module")
def service() -> Iterator[Any]:
    with serving(Form(PNG, "image/png", (), "binary")) as made:
        yield made


@pytest.fixture(scope="module")
def server(service: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    settings = {
        "MIMEO_STORE": str(tmp_path_factory.mktemp("store")),
        "AI_SERVICE_URL": service.url,
        "MIMEO_OPEN_SERVICES": "ai-service",
        "MIMEO_LOCAL_CALLERS": "off",
        "MIMEO_PROXIES": "1",
        "MIMEO_ACCESS_LOG": "on",
    }
    with serve(settings=settings) as running:
        yield running


@pytest.fixture(scope="module")
def front(server: Server) -> Iterator[Server]:
    with in_front(server) as running:
        yield running


def methods(server: Server, path: str) -> list[str]:
    """Return the methods with which nginx asked for a path, of the access log."""
    # A line is written when the answer is out already.
    end = time.monotonic() + 30
    found: list[str] = []
    while not found and time.monotonic() < end:
        lines = server.log.read_text().splitlines()
        told = [json.loads(line) for line in lines if line.endswith("}")]
        found = [each["method"] for each in told if each.get("path") == path]
        time.sleep(0.02)
    return found


def test_head_of_a_pinned_url_stays_head(server: Server, front: Server) -> None:
    reply = front.ask(f"/images/identicon.png?seed=a&v={ANY}", "HEAD")

    assert reply.status == 200
    assert methods(server, "/images/identicon.png") == ["HEAD"]


def test_head_of_a_pinned_url_buys_nothing(service: Any, front: Server) -> None:
    # nginx made a GET of it, to fill its cache, and the service was asked.
    reply = front.ask(f"/images/ai-service.png?prompt=fox&v={ANY}", "HEAD")

    assert reply.status == 200
    assert reply.headers["Content-Type"] == "image/png"
    assert service.asked == []


def test_head_and_get_of_a_kept_image_say_the_same(front: Server) -> None:
    first = front.ask("/images/card.png?title=Head")
    url = first.headers["Link"].partition("<")[2].partition(">")[0]
    got = [front.ask(url), front.ask(url)][-1]

    head = front.ask(url, "HEAD")

    assert got.headers.get_all("Cache-Status", [])[-1] == "nginx; hit"
    for name in ("ETag", "Content-Type", "Content-Length", "Cache-Control"):
        assert head.headers[name] == got.headers[name]
    assert head.body == b""
