"""Images by URL come from the listed origins, once, and as long as those allow."""

import io
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote

import pytest
from flask.testing import FlaskClient
from PIL import Image

from app import create_app
from app.config import Settings
from app.config.settings import BadSetting
from app.pipeline import image_origins
from app.pipeline.image_origins import freshness
from app.upstream.transport import http as connection
from app.upstream.transport.http import roots
from tests.certificate import certify
from tests.ugly_pictures import HALVES, RED, SVG, saved

PLAIN = HALVES["PNG"]
GREEN = saved(Image.new("RGB", (80, 40), (10, 160, 30)), "PNG")
HOST, OTHER = "pictures.example", "mirror.example"


@dataclass
class Origin:
    """An origin whose answers a test sets: status, headers and body by path."""

    url: str = ""
    port: int = 0
    answers: dict[str, tuple[int, dict[str, str], bytes]] = field(default_factory=dict)
    seen: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    hold: threading.Event | None = None

    def serve(self, path: str, body: bytes = PLAIN, status: int = 200, **headers: str):
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        self.answers[path] = (status, named, body)

    def count(self, path: str) -> int:
        return sum(each == path for each, _ in self.seen)


class _Handler(BaseHTTPRequestHandler):
    origin: Origin

    def do_GET(self) -> None:
        named = {name.lower(): text for name, text in self.headers.items()}
        self.origin.seen.append((self.path, named))
        if self.origin.hold is not None:
            self.origin.hold.wait(10)
        missing = (404, dict[str, str](), b"no")
        status, headers, body = self.origin.answers.get(self.path, missing)
        tag = headers.get("ETag")
        if tag and named.get("if-none-match") == tag:
            status, body = 304, b""
        self.send_response(status)
        for name, text in headers.items():
            self.send_header(name, text)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *values: object) -> None:
        """Say nothing: the output of tests is not for that."""


@contextmanager
def running(context) -> Iterator[Origin]:
    handler = type("Handler", (_Handler,), {})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.handle_error = lambda *_: None
    handler.origin = Origin(f"https://{HOST}:{server.server_port}", server.server_port)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield handler.origin
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """One origin, and an app that lists it."""
    monkeypatch = pytest.MonkeyPatch()
    file, context = certify(tmp_path_factory.mktemp("tls") / "all.pem", HOST, OTHER)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    roots.cache_clear()
    row = (socket.AF_INET, socket.SOCK_STREAM, 6, "")
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda _, port, **__: [(*row, ("127.0.0.1", port))]
    )
    monkeypatch.setattr(connection, "is_public", lambda address: True)
    with running(context) as origin:
        settings = Settings(
            store=str(tmp_path_factory.mktemp("store")),
            system_fonts=False,
            access_log=False,
            image_origins=(origin.url,),
            template_editing=True,
            local_callers=True,
        )
        app = create_app(settings, environ={})
        yield origin, app
        app.extensions["mimeo"].close()
    monkeypatch.undo()
    roots.cache_clear()


@pytest.fixture
def origin(world) -> Origin:
    found = world[0]
    found.seen.clear()
    found.hold = None
    return found


@pytest.fixture
def client(world) -> FlaskClient:
    return world[1].test_client()


@pytest.fixture
def path(request) -> str:
    """A path of the test's own, so that nothing is known of it."""
    return f"/{abs(hash(request.node.nodeid))}.png"


def card(url: str) -> str:
    return f"/images/card.png?title=x&image={quote(url, safe='')}"


def left(answer) -> object:
    assert answer.status_code == 200, answer.get_data(as_text=True)
    image = Image.open(io.BytesIO(answer.data)).convert("RGB")
    return image.getpixel((800, 315))


def test_an_image_is_named_by_url_in_each_kind_of_request(client, origin, path):
    origin.serve(path, Cache_Control="max-age=60")
    values = {"title": "x", "image": origin.url + path}

    answers = [
        client.get(card(origin.url + path)),
        client.post("/images/card.png", data=values),
        client.post("/images/card.png", json=values),
        client.post("/images", json={"renderer": "card", "params": values}),
    ]

    assert [left(answer) for answer in answers] == [RED] * 4
    assert len({answer.headers["ETag"] for answer in answers}) == 1
    assert origin.count(path) == 1


SAVED = {
    "template.html": '<div style="width:1200px;height:630px;display:flex">'
    '{% if image %}<img src="{{ image }}" style="width:1200px;height:630px">'
    "{% endif %}</div>",
    "parameters.toml": 'title = "Photo"\nwidth = 1200\nheight = 630\n'
    '[parameters.image]\ntype = "image"\n',
}


def test_a_saved_template_takes_an_image_by_url_as_any_other(client, origin, path):
    origin.serve(path, Cache_Control="max-age=60")
    new = {"If-None-Match": "*"}
    client.put("/templates/photo", json={"files": SAVED}, headers=new)
    url = f"/images/photo.png?image={quote(origin.url + path, safe='')}"

    alone, pinned = client.get(url), client.get(url.replace("photo.", "photo@1."))
    rows = {"renderer": "photo", "items": [{"image": origin.url + path}]}
    place = client.post("/collections", json=rows).headers["Location"]
    kept = client.get(f"{place}/1.png")

    for answer in (alone, pinned, kept):
        assert answer.status_code == 200, answer.text
        drawn = Image.open(io.BytesIO(answer.data)).convert("RGB")
        # The image has the whole of it: its left half is red.
        assert drawn.getpixel((100, 315)) == RED


def test_the_bytes_are_in_the_fingerprint_and_the_url_is_not(client, origin, path):
    origin.serve(path, Cache_Control="max-age=60")
    origin.serve(path + "2", Cache_Control="max-age=60")

    sent = client.post("/images/card.png", data={"title": "x", "image": SVG})
    one, two = (client.get(card(origin.url + each)) for each in (path, path + "2"))

    assert one.headers["ETag"] == two.headers["ETag"] != sent.headers["ETag"]


def test_an_image_that_is_stale_is_asked_for_by_its_tag(client, origin, path):
    origin.serve(path, ETag='"a"', Cache_Control="no-cache")
    first = client.get(card(origin.url + path))

    again = client.get(card(origin.url + path))

    assert left(first) == left(again) == RED
    assert [headers.get("if-none-match") for _, headers in origin.seen] == [None, '"a"']


def test_an_image_that_has_changed_is_another_picture(client, origin, path):
    origin.serve(path, ETag='"a"')
    first = client.get(card(origin.url + path))
    origin.serve(path, GREEN, ETag='"b"')

    again = client.get(card(origin.url + path))

    assert left(again) == (10, 160, 30)
    assert first.headers["ETag"] != again.headers["ETag"]


def test_a_pinned_url_whose_image_has_changed_is_gone(client, origin, path):
    origin.serve(path)
    tag = client.get(card(origin.url + path)).headers["ETag"].strip('"')
    assert client.get(f"{card(origin.url + path)}&v={tag}").status_code == 200
    origin.serve(path, GREEN)

    url = f"{card(origin.url + path)}&v={tag}"
    assert client.get(url, headers={"Range": "bytes=0-"}).status_code == 410
    assert client.get(url).headers["X-Stale-Pin"] != tag


def test_a_head_fetches_nothing(client, origin, path):
    origin.serve(path, Cache_Control="max-age=60")

    unknown = client.head(card(origin.url + path))
    assert (unknown.status_code, unknown.content_type) == (200, "image/png")
    assert "ETag" not in unknown.headers
    assert unknown.headers["Cache-Control"] == "no-store"
    assert origin.seen == []

    known = client.get(card(origin.url + path))
    assert client.head(card(origin.url + path)).headers["ETag"] == known.headers["ETag"]
    assert origin.count(path) == 1


def test_a_head_with_a_fault_says_so_and_fetches_nothing(client, origin, path):
    wrong = client.head(card(origin.url + path) + "&colour=red")

    assert (wrong.status_code, origin.seen) == (422, [])


def test_equal_urls_at_one_moment_are_fetched_once(client, origin, path, world):
    origin.serve(path, Cache_Control="no-store")
    origin.hold = threading.Event()

    with ThreadPoolExecutor(4) as threads:
        ask = world[1].test_client
        asked = [
            threads.submit(lambda: ask().get(card(origin.url + path))) for _ in range(4)
        ]
        end = time.monotonic() + 5
        while not origin.seen and time.monotonic() < end:
            time.sleep(0.01)
        time.sleep(0.3)
        origin.hold.set()
        answers = [each.result() for each in asked]

    assert [left(answer) for answer in answers] == [RED] * 4
    assert origin.count(path) == 1


def test_what_may_not_be_kept_is_fetched_again(client, origin, path):
    origin.serve(path, ETag='"a"', Cache_Control="no-store, max-age=60")

    for _ in range(2):
        client.get(card(origin.url + path))

    assert origin.count(path) == 2
    assert "if-none-match" not in origin.seen[1][1]


def test_a_collection_keeps_the_bytes(client, origin, path):
    origin.serve(path)
    url = origin.url + path
    items = [{"title": "a", "image": url}, {"title": "b", "image": url}]
    made = client.post("/collections", json={"renderer": "card", "items": items})
    assert made.status_code == 201, made.get_data(as_text=True)
    origin.answers.clear()
    seen = len(origin.seen)

    answer = client.get(f"{made.json['links']['self']}/2.png")

    assert left(answer) == RED
    assert len(origin.seen) == seen


def test_a_table_names_images_by_url(client, origin, path):
    origin.serve(path)
    table = f"title,image\nc,{origin.url}{path}\nd,{origin.url}{path}\n"

    made = client.post(
        "/collections?renderer=card", data=table, content_type="text/csv"
    )

    assert made.status_code == 201, made.get_data(as_text=True)
    assert left(client.get(f"{made.json['links']['self']}/1.png")) == RED
    assert origin.count(path) == 1


def test_rows_may_share_an_image_at_a_url(client, origin, path):
    origin.serve(path)
    url = origin.url + path
    body = {"renderer": "card", "items": [{"title": "e"}, {"title": "f"}]}
    query = f"renderer=card&image={quote(url, safe='')}"

    answers = [
        client.post("/collections", json={**body, "defaults": {"image": url}}),
        client.post(
            f"/collections?{query}", data="title\ne\nf\n", content_type="text/csv"
        ),
    ]

    assert [answer.status_code for answer in answers] == [201, 200]
    assert answers[0].json["id"] == answers[1].json["id"]
    assert left(client.get(f"{answers[0].json['links']['self']}/2.png")) == RED
    assert origin.count(path) == 2


def test_a_row_whose_image_cannot_be_had_is_named(client, origin, path):
    origin.serve(path)
    rows = [
        {"title": "a", "image": origin.url + path},
        {"title": "b", "image": f"{origin.url}/missing.png"},
        {"title": "c", "image": "https://elsewhere.example/a.png"},
    ]

    answer = client.post("/collections", json={"renderer": "card", "items": rows})

    assert answer.status_code == 422
    second, third = answer.json["rows"]
    assert (second["row"], second["field"]) == (2, "image")
    assert "it answers 404" in second["reason"]
    assert (third["row"], third["field"]) == (3, "image")
    assert "MIMEO_IMAGE_ORIGINS" in third["reason"]


def test_a_redirect_stays_inside_the_list(client, origin, path):
    origin.serve(path)
    origin.serve("/to" + path, b"", 302, Location=path)
    away = f"https://{OTHER}:{origin.port}{path}"
    origin.serve("/away" + path, b"", 302, Location=away)

    assert left(client.get(card(f"{origin.url}/to{path}"))) == RED
    answer = client.get(card(f"{origin.url}/away{path}"))

    assert answer.status_code == 502
    assert answer.json["type"] == "/problems/image-origin"
    assert "MIMEO_IMAGE_ORIGINS" in answer.json["detail"]


@pytest.mark.parametrize(
    ("status", "headers", "body", "why"),
    [
        (404, {}, b"no", "it answers 404"),
        (500, {}, b"no", "it answers 500"),
        (304, {}, b"", "it answers 304"),
        (302, {"Location": "file:///etc/passwd"}, b"", "no address"),
        (200, {}, bytes((8 << 20) + 1), "larger than 8 MiB"),
        (200, {"Content-Encoding": "gzip"}, b"x", "compressed"),
    ],
)
def test_an_origin_that_fails_is_a_502_that_says_why(
    status, headers, body, why, client, origin, path
):
    origin.serve(path, body, status, **headers)

    answer = client.get(card(origin.url + path))

    assert (answer.status_code, answer.json["field"]) == (502, "image")
    assert answer.json["type"] == "/problems/image-origin"
    assert why in answer.json["detail"]


def test_an_origin_that_is_slow_is_given_up(client, origin, path, monkeypatch):
    monkeypatch.setattr(image_origins, "MOST_S", 0.5)
    origin.hold = threading.Event()
    started = time.perf_counter()

    answer = client.get(card(origin.url + path))

    origin.hold.set()
    assert (answer.status_code, time.perf_counter() - started < 5) == (502, True)
    assert "seconds" in answer.json["detail"]


def test_a_host_with_a_private_address_is_not_asked(client, origin, path, monkeypatch):
    monkeypatch.setattr(connection, "is_public", lambda address: False)

    answer = client.get(card(origin.url + path))

    assert (answer.status_code, origin.seen) == (502, [])
    assert "not public" in answer.json["detail"]


@pytest.mark.parametrize(
    "url",
    [
        "https://elsewhere.example/a.png",
        "http://pictures.example/a.png",
        "https://pictures.example@elsewhere.example/a.png",
        "https://pictures.example\\@elsewhere.example/",
        "https://127.0.0.1/a.png",
    ],
)
def test_an_address_outside_of_the_list_is_refused_by_name(url, client, origin):
    for answer in (client.get(card(url)), client.head(card(url))):
        assert (answer.status_code, origin.seen) == (422, [])
    assert client.get(card(url)).json["field"] == "image"


def test_the_refusal_names_the_setting(client):
    answer = client.get(card("https://elsewhere.example/a.png"))

    assert "MIMEO_IMAGE_ORIGINS" in answer.json["errors"][0]["reason"]


def test_where_nothing_is_listed_the_setting_is_named(app):
    answer = app.test_client().get(card("https://elsewhere.example/a.png"))

    assert answer.status_code == 422
    assert "MIMEO_IMAGE_ORIGINS" in answer.json["errors"][0]["reason"]


def test_what_comes_and_is_no_image_is_refused_as_if_it_were_sent(client, origin, path):
    origin.serve(path, b"<!doctype html><p>Not here</p>")

    answer = client.get(card(origin.url + path))

    assert answer.status_code == 422
    assert "HTML page" in answer.json["errors"][0]["reason"]


@pytest.mark.parametrize(
    ("headers", "wanted"),
    [
        ({}, (True, 0)),
        ({"cache-control": "max-age=60"}, (True, 60)),
        ({"cache-control": "public, MAX-AGE=60", "age": "20"}, (True, 40)),
        ({"cache-control": "max-age=60, s-maxage=5"}, (True, 5)),
        ({"cache-control": 'max-age="60"'}, (True, 60)),
        ({"cache-control": "max-age=60", "age": "100"}, (True, 0)),
        ({"cache-control": "max-age=-1"}, (True, 0)),
        ({"cache-control": "max-age=99999999999999999999"}, (True, 0)),
        ({"cache-control": "no-cache, max-age=60"}, (True, 0)),
        ({"cache-control": "no-store"}, (False, 0)),
        ({"cache-control": "private, max-age=60"}, (False, 0)),
        ({"cache-control": "max-age=60", "vary": "*"}, (False, 0)),
        (
            {
                "date": "Thu, 26 Nov 2026 10:00:00 GMT",
                "expires": "Thu, 26 Nov 2026 10:01:00 GMT",
            },
            (True, 60),
        ),
        ({"date": "Thu, 26 Nov 2026 10:00:00 GMT", "expires": "0"}, (True, 0)),
    ],
)
def test_freshness_is_what_the_origin_says(headers, wanted):
    assert freshness(headers) == wanted


def test_the_setting_takes_origins_of_https_alone():
    read = Settings.from_env
    listed = read({"MIMEO_IMAGE_ORIGINS": "https://a.example, https://b.example:8443/"})

    assert listed.image_origins == ("https://a.example", "https://b.example:8443")
    for text in ("http://a.example", "https://a.example/path", "a.example"):
        with pytest.raises(BadSetting, match="MIMEO_IMAGE_ORIGINS"):
            read({"MIMEO_IMAGE_ORIGINS": text})
