"""Uploads that are too large, too short or of the wrong kind, through a real server."""

import gzip
import http.client
import json
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.gunicorn_server import Server, serve

LIMIT = 200_000
CSV = {"Content-Type": "text/csv"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    settings = {
        "MIMEO_STORE": str(tmp_path_factory.mktemp("store")),
        "MIMEO_MAX_COLLECTION_BYTES": str(LIMIT),
        "MIMEO_MAX_ROWS": "50",
    }
    with serve(settings=settings) as running:
        yield running


def post(
    server: Server, body: bytes, path: str = "/collections?renderer=solid", **more
):
    reply = server.ask(path, "POST", body, {**CSV, **more})
    return reply, json.loads(reply.body)


def test_bad_rows_are_listed_with_row_line_field_and_reason(server):
    reply, problem = post(server, b'color,width\n"red\n",10\nred,0\nnone,x\n')

    assert reply.status == 422
    assert problem["type"] == "/problems/bad-rows"
    found = {(row["row"], row["line"], row["field"]) for row in problem["rows"]}
    assert found == {(2, 4, "width"), (3, 5, "color"), (3, 5, "width")}


def test_no_image_is_sent_where_a_late_row_is_bad(server):
    body = b"color\n" + b"red\n" * 40 + b"no-colour\n"

    reply, problem = post(server, body, "/collections.zip?renderer=solid")

    assert (reply.status, problem["rows"][0]["row"]) == (422, 41)


def test_too_many_rows_are_refused_and_the_limit_named(server):
    reply, problem = post(server, b"color\n" + b"red\n" * 51)

    assert reply.status == 422
    assert "MIMEO_MAX_ROWS" in json.dumps(problem)


def test_two_gigabytes_of_one_line_are_refused_before_they_are_sent(server):
    host = urlsplit(server.url)
    with closing(socket.create_connection((host.hostname, host.port), 30)) as raw:
        raw.sendall(
            b"POST /collections?renderer=solid HTTP/1.1\r\nHost: x\r\n"
            b"Content-Type: text/csv\r\nContent-Length: 2147483648\r\n\r\ncolor\nred"
        )
        answer = http.client.HTTPResponse(raw)
        answer.begin()
        problem = json.loads(answer.read())

    assert answer.status == 413
    assert problem["limit"] == "MIMEO_MAX_COLLECTION_BYTES"
    assert problem["allowed"] == LIMIT


def test_an_endless_chunked_line_is_cut_off(server):
    def pieces():
        yield b"color\n"
        for _ in range(100):
            yield b"x" * 65_536

    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=60)
    with closing(connection):
        connection.request("POST", "/collections?renderer=solid", pieces(), CSV)
        answer = connection.getresponse()

        assert answer.status in (413, 422)
        assert "application/problem+json" in answer.headers["Content-Type"]


def test_a_body_that_ends_early_is_not_a_shorter_table(server):
    host = urlsplit(server.url)
    with closing(socket.create_connection((host.hostname, host.port), 30)) as raw:
        raw.sendall(
            b"POST /collections?renderer=solid HTTP/1.1\r\nHost: x\r\n"
            b"Content-Type: text/csv\r\nContent-Length: 100\r\n\r\ncolor\nred\n"
        )
        raw.shutdown(socket.SHUT_WR)
        answer = http.client.HTTPResponse(raw)
        answer.begin()

        assert answer.status == 400


def test_what_curl_sends_by_default_is_refused_with_the_remedy(server):
    form = "application/x-www-form-urlencoded"

    reply, problem = post(server, b"color\nred\n", **{"Content-Type": form})

    assert reply.status == 415
    assert "text/csv" in problem["detail"]


def test_a_packed_upload_is_the_same_collection(server):
    _, plain = post(server, b"color\nred\n")

    _, packed = post(
        server, gzip.compress(b"color\nred\n"), **{"Content-Encoding": "gzip"}
    )

    assert packed["id"] == plain["id"]


def test_a_packed_upload_is_bounded_by_what_is_in_it(server):
    bomb = gzip.compress(b"color\n" + b" " * (LIMIT * 500))
    assert len(bomb) < LIMIT

    reply, problem = post(server, bomb, **{"Content-Encoding": "gzip"})

    assert reply.status == 413
    assert problem["limit"] == "MIMEO_MAX_COLLECTION_BYTES"


@pytest.mark.parametrize("charset", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_list_of_json_is_items_with_the_rest_in_the_query(server, charset):
    """As pandas, n8n and `jq -s` write rows."""
    whole = b'{"renderer": "solid", "items": [{"color": "red"}, {"color": "blue"}]}'
    items = ' [{"color": "red"}, {"color": "blue"}]'
    kind = {"Content-Type": "application/json"}
    _, plain = post(server, whole, "/collections", **kind)

    _, listed = post(server, items.encode(charset), **kind)

    assert listed["id"] == plain["id"]


@pytest.mark.parametrize(
    ("body", "status", "detail"),
    [
        (b'[{"color": "red"}], "renderer": "solid"', 400, "something follows the list"),
        (b'[{"color": "red"}]}', 400, "not JSON"),
        (b'[{"color": "red"}', 400, "not JSON"),
        (b"[1]", 422, "row 1: must be an object"),
        (b"[]", 422, "there are none"),
        (b'{"items": []}', 422, "renderer: belongs into the body"),
    ],
)
def test_a_list_of_json_is_no_more_than_that(server, body, status, detail):
    reply, problem = post(server, body, **{"Content-Type": "application/json"})

    assert reply.status == status
    assert detail in problem["detail"]


@pytest.mark.parametrize("form", ["gif", "webp", "apng"])
def test_frames_of_two_sizes_are_refused_before_any_is_drawn(server, form):
    body = b"width,height\n100,50\n100,51\n"

    reply, problem = post(server, body, f"/collections.{form}?renderer=solid")

    assert reply.status == 422
    assert "image 2 is 100x51" in problem["detail"]


@pytest.mark.parametrize("query", ["duration=0", "loop=-1", "duration=x", "speed=2"])
def test_options_of_an_animation_are_checked(server, query):
    path = f"/collections.gif?renderer=solid&{query}"

    reply, problem = post(server, b"color\nred\nblue\n", path)

    assert reply.status == 422
    assert query.partition("=")[0] in json.dumps(problem)


def test_an_unknown_form_is_404_and_names_the_forms(server):
    reply, problem = post(server, b"color\nred\n", "/collections.rar?renderer=solid")

    assert reply.status == 404
    assert "zip" in problem["detail"]


@pytest.mark.parametrize("key", ["x", "0" * 64, "../../etc/passwd", "%00"])
def test_an_unknown_collection_is_404(server, key):
    for path in (f"/collections/{key}", f"/collections/{key}.zip"):
        assert server.ask(path).status == 404


@pytest.mark.parametrize(
    "query",
    ["columns=0", "columns=101", "cell=5000", "first=3", "count=9", "x=1", "count=0"],
)
def test_a_sheet_of_what_cannot_be_is_refused(server, query):
    reply, _ = post(server, b"color\nred\nblue\n")

    sheet = server.ask(f"{reply.headers['Location']}/sheet.png?{query}")

    assert sheet.status == 422


def test_names_are_safe_whatever_the_cells_say(server, tmp_path: Path):
    names = [
        "../../etc/passwd",
        "CON",
        "😀",
        "é" * 300,
        "a",
        "A",
        "",
        ". .",
        "a/b\\c:d",
    ]
    items = [{"params": {"color": "red"}, "name": name} for name in names]
    body = json.dumps({"renderer": "solid", "items": items}).encode()

    reply, listed = post(
        server, body, "/collections.json", **{"Content-Type": "application/json"}
    )

    assert reply.status == 200, listed
    made = [image["name"] for image in listed["images"]]
    assert len({name.lower() for name in made}) == len(names)
    for name in made:
        assert name.isascii() and "/" not in name and "\\" not in name
        assert not name.startswith(".") and len(name) < 120
        (tmp_path / name).touch()
