"""What a client sees over HTTP, through a real gunicorn, and curl where it matters.

Rows and wording follow RFC 9110; each test is one promise to a client.
"""

import base64
import hashlib
import http.client
import json
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.gunicorn_server import Reply, Server, serve

CARD = "/images/card.png?title=Hello"
SOLID = "/images/solid.png?color=ff6464&width=512&height=512"
# What tells one answer from the next, however alike they are.
VOLATILE = {"cache-status", "date", "server-timing", "x-request-id"}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """Two workers without a store: every image is drawn anew."""
    with serve() as running:
        yield running


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which `other` keeps what it has drawn."""
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="module")
def other(folder: Path) -> Iterator[Server]:
    """A second server, with a store and another order of hashes."""
    settings = {"MIMEO_STORE": str(folder), "PYTHONHASHSEED": "7"}
    with serve(settings={**settings, "WEB_CONCURRENCY": "1"}) as running:
        yield running


@pytest.fixture(scope="module")
def tag(server: Server) -> str:
    """The fingerprint of CARD: its entity tag without the quotes."""
    return fingerprint(server, CARD)


@pytest.fixture(scope="module")
def pinned(tag: str) -> str:
    """The URL that names the bytes of CARD."""
    return pin(CARD, tag)


@pytest.fixture(scope="module")
def whole(server: Server, pinned: str) -> bytes:
    """The bytes of CARD."""
    return server.ask(pinned).body


def fingerprint(server: Server, path: str) -> str:
    etag = server.ask(path, "HEAD").headers["ETag"]
    assert re.fullmatch(r'"[0-9a-f]{64}"', etag)
    return etag.strip('"')


def pin(path: str, tag: str) -> str:
    return f"{path}&v={tag}"


def problem(reply: Reply) -> dict[str, object]:
    """Return the problem in a reply, having checked its form (RFC 9457)."""
    assert reply.headers["Content-Type"] == "application/problem+json"
    body: dict[str, object] = json.loads(reply.body)
    assert body.keys() >= {"type", "title", "status", "detail", "instance"}
    assert body["status"] == reply.status
    return body


def stable(reply: Reply) -> list[tuple[str, str]]:
    return sorted(
        pair for pair in reply.headers.items() if pair[0].lower() not in VOLATILE
    )


# Behaviour 1: a pinned URL gives identical bytes on every process.


@pytest.mark.parametrize(
    "path",
    [
        CARD,
        SOLID,
        "/images/card.jpg?title=Hello",
        "/images/card.webp?title=Hello",
        "/images/card.pdf?title=Hello",
        "/images/qr.svg?data=https%3A%2F%2Fexample.com",
    ],
)
def test_a_pinned_url_gives_identical_bytes_on_all_processes(server, other, path):
    url = pin(path, fingerprint(server, path))

    replies = [server.ask(url) for _ in range(4)] + [other.ask(url) for _ in range(2)]

    assert {reply.status for reply in replies} == {200}
    assert len({hashlib.sha256(reply.body).digest() for reply in replies}) == 1
    assert len({reply.headers["ETag"] for reply in replies}) == 1


# Behaviour 2: the headers of a single image.


def test_an_image_has_validator_length_ranges_and_immutability(server, pinned, tag):
    reply = server.ask(pinned)

    assert reply.status == 200
    assert reply.headers["ETag"] == f'"{tag}"'
    assert reply.headers["Content-Length"] == str(len(reply.body))
    assert reply.headers["Content-Type"] == "image/png"
    assert reply.headers["Accept-Ranges"] == "bytes"
    assert reply.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert reply.headers["Vary"] == "Accept"
    assert reply.headers["X-Content-Type-Options"] == "nosniff"
    assert reply.headers["Access-Control-Allow-Origin"] == "*"
    assert reply.headers["X-Request-ID"]


def test_an_unpinned_image_is_revalidated(server):
    reply = server.ask(CARD)

    assert reply.headers["Cache-Control"] == "public, no-cache"


def test_the_digest_is_that_of_the_whole(server, pinned, whole):
    part = server.ask(pinned, headers={"Range": "bytes=0-3"})

    digest = base64.b64encode(hashlib.sha256(whole).digest()).decode()
    assert part.headers["Repr-Digest"] == f"sha-256=:{digest}:"


def test_no_header_comes_twice(server, pinned):
    names = [name.lower() for name in server.ask(pinned).headers]

    assert len(names) == len(set(names))


def test_curl_sees_the_headers_that_matter(server, pinned):
    shown = server.curl(pinned, "--dump-header", "-", "--output", "/dev/null")

    wanted = rb'(?im)^(etag: "|content-length|accept-ranges: bytes|cache-.*immutable)'
    assert len(re.findall(wanted, shown.stdout)) == 4


# Behaviour 3: If-None-Match.


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ('"{}"', 304),
        ('W/"{}"', 304),
        ('"x", W/"{}"', 304),
        ('"x","{}"', 304),
        ("*", 304),
        ('"x"', 200),
        ("{}", 200),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_if_none_match_takes_lists_weak_tags_and_a_star(
    server, pinned, tag, form, expected, method
):
    reply = server.ask(pinned, method, headers={"If-None-Match": form.format(tag)})

    assert reply.status == expected
    if expected == 304:
        assert reply.body == b""
        assert reply.headers["ETag"] == f'"{tag}"'
        assert reply.headers["Vary"] == "Accept"
        assert "immutable" in reply.headers["Cache-Control"]
        assert "Content-Type" not in reply.headers


def test_a_304_draws_nothing(server, other, folder):
    path = "/images/card.png?title=Never+drawn+before"
    held = {"If-None-Match": f'"{fingerprint(server, path)}"'}

    def kept() -> set[Path]:
        return set(folder.rglob("*"))

    before = kept()
    not_modified = other.ask(path, headers=held)
    after_304 = kept()
    drawn = other.ask(path)

    assert (not_modified.status, drawn.status) == (304, 200)
    assert after_304 == before
    assert kept() > before


# Behaviour 4: which condition outranks which.


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"If-None-Match": '"{}"', "Range": "bytes=0-3"}, 304),
        ({"If-None-Match": '"x"', "Range": "bytes=0-3"}, 206),
        ({"If-Match": '"zzz"', "Range": "bytes=0-3"}, 412),
        ({"If-Match": '"zzz"', "If-None-Match": '"{}"'}, 412),
        ({"If-Match": '"{}"', "If-None-Match": '"{}"'}, 304),
        ({"If-Match": '"{}"', "Range": "bytes=0-3"}, 206),
        ({"If-Match": 'W/"{}"'}, 412),
        ({"If-Match": "*"}, 200),
        # An image has no date: conditions on one are ignored.
        ({"If-Modified-Since": "Sun, 06 Nov 2094 08:49:37 GMT"}, 200),
        ({"If-Unmodified-Since": "Sun, 06 Nov 1994 08:49:37 GMT"}, 200),
    ],
)
def test_conditions_are_weighed_in_their_order(server, pinned, tag, headers, expected):
    filled = {name: value.format(tag) for name, value in headers.items()}

    reply = server.ask(pinned, headers=filled)

    assert reply.status == expected
    if expected == 412:
        problem(reply)


# Behaviour 5: HEAD.


@pytest.mark.parametrize("headers", [{}, {"Accept": "application/json"}])
def test_head_equals_get_without_a_body(server, pinned, headers):
    head = server.ask(pinned, "HEAD", headers=headers)
    get = server.ask(pinned, headers=headers)

    assert head.status == get.status == 200
    assert head.body == b""
    assert stable(head) == stable(get)


def test_head_ignores_range(server, pinned, whole):
    reply = server.ask(pinned, "HEAD", headers={"Range": "bytes=0-3"})

    assert reply.status == 200
    assert reply.headers["Content-Length"] == str(len(whole))


def test_answers_without_a_body_leave_the_connection_in_step(server, pinned, whole):
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=60)
    asked = [
        ("HEAD", {}, 200, b""),
        ("GET", {"If-None-Match": "*"}, 304, b""),
        ("GET", {"Range": "bytes=1-3"}, 206, whole[1:4]),
        ("HEAD", {"If-None-Match": "*"}, 304, b""),
        ("GET", {}, 200, whole),
    ]

    with closing(connection):
        for method, headers, status, body in asked:
            connection.request(method, pinned, headers=headers)
            response = connection.getresponse()
            assert (response.status, response.read()) == (status, body)


# Behaviour 6: legal single ranges.


@pytest.mark.parametrize(
    ("value", "start", "stop"),
    [
        ("0-0", 0, 1),
        ("5-5", 5, 6),
        ("-1", -1, None),
        ("10-", 10, None),
        ("-99999999", 0, None),
        ("0-99999999", 0, None),
    ],
)
def test_legal_single_ranges_work(server, pinned, whole, value, start, stop):
    reply = server.ask(pinned, headers={"Range": f"bytes={value}"})

    first, end, _ = slice(start, stop).indices(len(whole))
    assert reply.status == 206
    assert reply.body == whole[start:stop]
    assert reply.headers["Content-Length"] == str(end - first)
    assert reply.headers["Content-Range"] == f"bytes {first}-{end - 1}/{len(whole)}"


# Behaviour 7: what is no single byte range is ignored.


@pytest.mark.parametrize(
    "value", ["items=0-3", "bytes=abc", "bytes=0-1,5-6", "bytes=5-4", "0-3", "bytes="]
)
def test_unknown_units_malformed_and_multiple_ranges_are_ignored(
    server, pinned, whole, value
):
    reply = server.ask(pinned, headers={"Range": value})

    assert reply.status == 200
    assert reply.body == whole


# Behaviour 8: beyond the end.


@pytest.mark.parametrize("value", ["999999999-", "-0"])
def test_a_range_outside_is_a_416_that_tells_the_length(server, pinned, whole, value):
    reply = server.ask(pinned, headers={"Range": f"bytes={value}"})

    assert reply.status == 416
    assert reply.headers["Content-Range"] == f"bytes */{len(whole)}"
    problem(reply)


# Behaviour 9: If-Range.


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ('"{}"', 206),
        ('W/"{}"', 200),
        ('"x"', 200),
        ("{}", 200),
        ("Sun, 06 Nov 2094 08:49:37 GMT", 200),
    ],
)
@pytest.mark.parametrize("is_pinned", [True, False])
def test_if_range_takes_the_exact_strong_tag(
    server, pinned, tag, form, expected, is_pinned
):
    headers = {"Range": "bytes=0-3", "If-Range": form.format(tag)}

    reply = server.ask(pinned if is_pinned else CARD, headers=headers)

    assert reply.status == expected


# Behaviour 10: a URL that does not pin its bytes cannot be resumed blindly.


def test_a_bare_range_of_an_unpinned_url_is_ignored(server, whole):
    reply = server.ask(CARD, headers={"Range": "bytes=4-"})

    assert reply.status == 200
    assert reply.body == whole


def test_curl_resumes_a_pinned_image(server, pinned, whole, tmp_path):
    file = tmp_path / "card.png"
    file.write_bytes(whole[:1000])

    result = server.curl(pinned, "--continue-at", "-", "--output", str(file))

    assert result.returncode == 0
    assert file.read_bytes() == whole


def test_curl_never_splices_an_unpinned_image(server, tmp_path):
    file = tmp_path / "card.png"
    file.write_bytes(b"part of another picture")

    result = server.curl(CARD, "--continue-at", "-", "--output", str(file))

    # curl's 33: the server does not do ranges here.
    assert result.returncode == 33
    assert file.read_bytes() == b"part of another picture"


def test_curl_finds_a_whole_file_whole(server, pinned, whole, tmp_path):
    file = tmp_path / "card.png"
    file.write_bytes(whole)

    server.curl(pinned, "--continue-at", "-", "--output", str(file))

    assert file.read_bytes() == whole


# Pins.


def test_a_stale_pin_is_gone(server):
    reply = server.ask(pin(CARD, "0" * 64), headers={"Range": "bytes=9-"})

    assert reply.status == 410
    assert "immutable" not in reply.headers["Cache-Control"]
    problem(reply)


def test_a_stale_pin_is_todays_picture_for_whoever_wants_it_whole(server, tag, whole):
    reply = server.ask(pin(CARD, "0" * 64))

    assert (reply.status, reply.body) == (200, whole)
    assert reply.headers["Cache-Control"] == "public, no-cache"
    assert f'"{reply.headers["X-Stale-Pin"]}"' == reply.headers["ETag"]


@pytest.mark.parametrize("value", ["", "2", "abc", "0" * 63, "0" * 65, "A" * 64, "*"])
def test_a_v_that_is_no_fingerprint_pins_nothing(server, tag, value):
    reply = server.ask(pin(CARD, value))

    assert reply.status == 200
    assert reply.headers["ETag"] == f'"{tag}"'
    assert reply.headers["Cache-Control"] == "public, no-cache"
    assert reply.headers["X-Ignored-Parameters"] == "v"


# JSON.


def test_json_holds_the_same_bytes(server, pinned, whole):
    reply = server.ask(pinned, headers={"Accept": "application/json"})

    assert reply.status == 200
    assert reply.headers["Content-Type"] == "application/json"
    assert reply.headers["Vary"] == "Accept"
    described = json.loads(reply.body)
    assert base64.b64decode(described["data"], validate=True) == whole
    assert described["sha256"] == hashlib.sha256(whole).hexdigest()
    assert described["media_type"] == "image/png"
    assert (described["width"], described["height"]) == (1200, 630)


def test_json_leads_to_the_pinned_url(server, tag, whole):
    reply = server.ask(CARD, headers={"Accept": "application/json"})

    described = json.loads(reply.body)
    linked = server.ask(described["url"])
    assert described["fingerprint"] == tag
    assert linked.body == whole
    assert "immutable" in linked.headers["Cache-Control"]


def test_json_has_a_tag_of_its_own(server, pinned, tag):
    accept = {"Accept": "application/json"}

    etag = server.ask(pinned, headers=accept).headers["ETag"]
    same = server.ask(pinned, headers={**accept, "If-None-Match": etag})
    binary = server.ask(pinned, headers={**accept, "If-None-Match": f'"{tag}"'})

    assert etag != f'"{tag}"'
    assert same.status == 304
    assert binary.status == 200


@pytest.mark.parametrize(
    "accept", ["*/*", "image/*", "application/json, text/plain, */*", "text/html"]
)
def test_the_image_itself_is_the_default(server, pinned, accept):
    reply = server.ask(pinned, headers={"Accept": accept})

    assert reply.headers["Content-Type"] == "image/png"


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("*/*", "image/png"),
        ("image/jpeg", "image/jpeg"),
        ("image/webp;q=0.5, image/jpeg;q=0.4", "image/webp"),
        ("*/*;q=0.1, image/png;q=0, image/webp", "image/webp"),
        ("application/json", "application/json"),
    ],
)
def test_accept_chooses_where_the_url_has_no_extension(server, accept, expected):
    reply = server.ask("/images/card?title=Hello", headers={"Accept": accept})

    assert reply.status == 200
    assert reply.headers["Content-Type"] == expected
    assert reply.headers["Vary"] == "Accept"


# Behaviour 20: names, problems, and no compression of pictures.


@pytest.mark.parametrize(
    ("download", "expected"),
    [
        ("ticket", 'attachment; filename="ticket.png"'),
        ("", 'attachment; filename="card.png"'),
        ("%0d%0aX:1%C3%A9%22../a.png", 'attachment; filename="a.png"'),
        (
            "%C3%A9%0d%0aX:1%22%5C..%2Fd%22%C3%A9.png",
            "attachment; filename=\"d_e.png\"; filename*=UTF-8''d_%C3%A9.png",
        ),
    ],
)
def test_a_download_has_a_safe_name_on_one_line(server, download, expected):
    reply = server.ask(f"{CARD}&download={download}")

    assert reply.status == 200
    assert reply.headers.get_all("Content-Disposition") == [expected]
    assert "X" not in reply.headers


def test_an_image_is_shown_inline_by_default(server):
    reply = server.ask(CARD)

    assert reply.headers["Content-Disposition"] == 'inline; filename="card.png"'


JSON_TYPE = {"Content-Type": "application/json"}
PROBLEMS = {
    "no route": ("GET", "/nowhere", {}, 404),
    "no renderer": ("GET", "/images/nothing.png", {}, 404),
    "no method": ("DELETE", CARD, {}, 405),
    "no type": ("GET", "/images/card?title=Hello", {"Accept": "text/html"}, 406),
    "stale pin": ("GET", pin(CARD, "0" * 64), {"Range": "bytes=9-"}, 410),
    "failed condition": ("GET", CARD, {"If-Match": '"x"'}, 412),
    "huge body": ("POST", "/images/card.png", {"Content-Length": "9" * 10}, 413),
    "body that never comes": ("POST", CARD, {"Content-Length": "9000000"}, 413),
    "strange body": ("POST", "/images", {"Content-Type": "text/plain"}, 415),
    "bad color": ("GET", "/images/solid.png?color=zz", {}, 422),
    "bad number": ("GET", "/images/solid.png?width=abc", {}, 422),
    "unknown name": ("GET", "/images/solid.png?colour=red", {}, 422),
    "missing name": ("GET", "/images/card.png", {}, 422),
}


@pytest.mark.parametrize(
    ("method", "path", "headers", "expected"), PROBLEMS.values(), ids=PROBLEMS
)
def test_every_error_is_a_problem(server, method, path, headers, expected):
    reply = server.ask(path, method, headers=headers)

    assert reply.status == expected
    assert problem(reply)["instance"] == urlsplit(path).path
    assert reply.headers["X-Request-ID"]
    assert "immutable" not in reply.headers.get("Cache-Control", "")


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/images/solid.png?color=zz", "color"),
        ("/images/solid.png?width=abc", "width"),
        ("/images/solid.png?colour=red", "colour"),
        ("/images/card.png", "title"),
        ("/images/solid.png?quality=50", "quality"),
    ],
)
def test_a_bad_parameter_is_named_in_the_problem(server, path, field):
    reply = server.ask(path)

    assert reply.status == 422
    assert problem(reply)["field"] == field


def test_a_wrong_method_lists_the_right_ones(server):
    reply = server.ask(CARD, "DELETE")

    assert {"GET", "HEAD", "POST"} <= set(reply.headers["Allow"].split(", "))


def test_head_of_an_error_has_no_body(server):
    reply = server.ask("/images/nothing.png", "HEAD")

    assert reply.status == 404
    assert reply.body == b""


def test_a_problem_can_be_read_across_origins(server):
    for method, path, headers, _ in PROBLEMS.values():
        reply = server.ask(path, method, headers=headers)

        assert reply.headers["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize("accept", ["*/*", "application/json"])
def test_nothing_is_compressed_behind_the_tag(server, pinned, accept):
    headers = {"Accept": accept, "Accept-Encoding": "gzip, br"}

    reply = server.ask(pinned, headers=headers)

    assert "Content-Encoding" not in reply.headers


def test_a_form_gives_the_bytes_of_the_query(server, tag, whole):
    headers = {"Content-Type": "application/x-www-form-urlencoded"}

    reply = server.ask("/images/card.png", "POST", b"title=Hello", headers)

    assert reply.status == 200
    assert reply.body == whole
    assert reply.headers["ETag"] == f'"{tag}"'


def test_json_gives_the_bytes_of_the_query(server, whole):
    envelope = b'{"renderer": "card", "params": {"title": "Hello"}}'

    flat = server.ask("/images/card.png", "POST", b'{"title": "Hello"}', JSON_TYPE)
    named = server.ask("/images", "POST", envelope, JSON_TYPE)

    assert flat.body == named.body == whole
