"""The archive of a job over HTTP: by ranges, resumed, and while it is being drawn."""

import http.client
import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.gunicorn_server import Server, serve
from tests.waiting import wait_until

ROWS = 250
JSON = {"Content-Type": "application/json"}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    settings = {"MIMEO_STORE": str(tmp_path / "store"), "WEB_CONCURRENCY": "1"}
    with serve(settings=settings) as running:
        yield running


def submit(server: Server, body: dict[str, Any]) -> str:
    reply = server.ask("/jobs", "POST", json.dumps(body).encode(), JSON)
    assert reply.status == 202, reply.body
    return str(reply.headers["Location"])


def cards(mark: str) -> dict[str, Any]:
    """Rows that take seconds to draw, in chunks of 25."""
    items = [{"title": f"{mark} {number}"} for number in range(ROWS)]
    return {"renderer": "card", "items": items}


def identicons(count: int) -> dict[str, Any]:
    items = [{"seed": f"row {number}", "size": 32} for number in range(count)]
    return {"renderer": "identicon", "items": items}


def document(server: Server, place: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(server.ask(place).body)
    return found


def has_begun(server: Server, place: str) -> bool:
    return bool(document(server, place)["counts"]["done"])


def has_succeeded(server: Server, place: str) -> bool:
    return bool(document(server, place)["state"] == "succeeded")


def drawings(server: Server) -> list[str]:
    lines = server.ask("/metrics").body.decode().splitlines()
    return [line for line in lines if line.startswith("mimeo_renders_total")]


def test_an_archive_is_sent_while_it_is_drawn(server: Server) -> None:
    place = submit(server, cards("Sent"))
    wait_until(lambda: has_begun(server, place), 60)

    with server.open(f"{place}/archive.zip") as answer:
        first = answer.read(1000)
        state = document(server, place)["state"]
        followed = first + answer.read()
    whole = server.ask(f"{place}/archive.zip")

    assert (answer.status, state) == (200, "running")
    assert answer.headers["Content-Length"] is None
    assert answer.headers["ETag"] == whole.headers["ETag"]
    assert followed == whole.body
    assert len(zipfile.ZipFile(io.BytesIO(followed)).namelist()) == ROWS + 1


def test_an_archive_that_will_not_be_whole_is_broken_off(server: Server) -> None:
    place = submit(server, cards("Broken off"))
    wait_until(lambda: has_begun(server, place), 60)

    with server.open(f"{place}/archive.zip") as answer:
        begun = answer.read(1000)
        server.ask(place, "DELETE")
        with pytest.raises(http.client.IncompleteRead):
            answer.read()

    assert begun.startswith(b"PK\3\4")


def test_a_resumed_archive_draws_nothing(server: Server) -> None:
    place = submit(server, identicons(260))
    wait_until(lambda: has_succeeded(server, place), 60)
    path = f"{place}/archive.zip"
    whole = server.ask(path)
    before = drawings(server)

    middle = len(whole.body) // 3
    resumed = {"Range": f"bytes={middle}-", "If-Range": whole.headers["ETag"]}
    rest = server.ask(path, headers=resumed)
    end = server.ask(path, headers=resumed | {"Range": "bytes=-22"})
    other = server.ask(path, headers=resumed | {"If-Range": '"another"'})
    head = server.ask(path, "HEAD")

    assert (rest.status, rest.body) == (206, whole.body[middle:])
    assert (end.status, end.body) == (206, whole.body[-22:])
    assert (other.status, other.body) == (200, whole.body)
    assert int(head.headers["Content-Length"]) == len(whole.body)
    assert before and drawings(server) == before


def test_a_damaged_image_is_never_the_end_of_an_archive(
    server: Server, tmp_path: Path
) -> None:
    place = submit(server, identicons(260))
    wait_until(lambda: has_succeeded(server, place), 60)
    chunk = tmp_path / "store" / place[1:] / "chunks" / "3"
    data = bytearray(chunk.read_bytes())
    data[200] ^= 1
    chunk.write_bytes(data)

    with pytest.raises(http.client.IncompleteRead):
        server.ask(f"{place}/archive.zip")
