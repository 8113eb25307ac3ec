"""Requests are read strictly: what is wrong is named, nothing is dropped."""

import encodings
import io
import tracemalloc
from typing import Any

import pytest
from flask.testing import FlaskClient

from app.config import Settings
from app.parsing.image import (
    BadBody,
    Parser,
    RequestLine,
    UnsupportedBody,
    read_pairs,
)
from app.renderer.catalogue import Catalogue

GOOD = {"color": "ff0000", "width": "20", "height": "10"}
URL = "/images/solid.png"


def get(client: FlaskClient, query: str, **headers: str) -> Any:
    return client.get(f"/images/{query}", headers=headers)


def test_all_ways_to_send_parameters_give_the_same_bytes(client: FlaskClient) -> None:
    typed = {"color": "red", "width": 20, "height": 10}
    answers = [
        client.get(URL, query_string=GOOD),
        client.post(URL, data=GOOD),
        client.post(URL, json=typed),
        client.post(URL, data=GOOD, content_type="multipart/form-data"),
        client.post("/images", json={"renderer": "solid", "params": typed}),
        client.post(
            URL, query_string={"width": "20"}, data={"color": "red", "height": 10}
        ),
    ]

    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.data for answer in answers}) == 1
    assert len({answer.headers["ETag"] for answer in answers}) == 1


def test_image_is_the_same_from_a_file_and_from_base64(
    client: FlaskClient, png: Any
) -> None:
    uri = png(9, 9)
    data = __import__("base64").b64decode(uri.partition(",")[2])
    url = "/images/card.png"

    filed = client.post(url, data={"title": "A", "image": (io.BytesIO(data), "a.png")})
    coded = client.post(url, json={"title": "A", "image": uri})

    assert filed.status_code == 200
    assert filed.data == coded.data


@pytest.mark.parametrize(
    ("query", "status", "field"),
    [
        ("card.png", 422, "title"),
        ("solid.png?widht=3", 422, "widht"),
        ("solid.png?width=3&width=4", 422, "width"),
        ("solid.bmp", 422, "format"),
        ("solid.png?format=jpg", 422, "format"),
        (f"solid.png?v={'0' * 64}&v={'1' * 64}", 422, "v"),
        ("solid.png?quality=90", 422, "quality"),
        ("solid.jpg?compression=small", 422, "compression"),
        ("solid.svg?scale=2", 422, "scale"),
        ("solid.ico?width=300&height=300", 422, "width"),
        ("solid.png?color=%00", 422, "color"),
        ("card.png?title=%1b", 422, "title"),
    ],
)
def test_fault_names_its_field(
    client: FlaskClient, query: str, status: int, field: str
) -> None:
    answer = get(client, query)

    assert answer.status_code == status
    assert answer.get_json()["field"] == field


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("nothing.png", 404),
        ("solid.png?color=%ff%fe", 400),
        ("solid.png?" + "&".join(f"a{i}=1" for i in range(300)), 400),
    ],
)
def test_request_that_cannot_be_served(
    client: FlaskClient, query: str, status: int
) -> None:
    answer = get(client, query)

    assert answer.status_code == status
    assert answer.content_type == "application/problem+json"


def test_pinned_url_is_served_and_never_resumed_with_other_bytes(
    client: FlaskClient,
) -> None:
    etag = get(client, "solid.png").headers["ETag"].strip('"')

    pinned = get(client, f"solid.png?v={etag}")
    path = f"solid.png?color=blue&v={etag}"
    stale = get(client, path)
    part = client.get(f"/images/{path}", headers={"Range": "bytes=0-9"})

    assert "immutable" in pinned.headers["Cache-Control"]
    # Whoever resumes gets nothing of another picture; the others today's.
    assert part.status_code == 410
    assert part.headers["Cache-Control"] == "no-store"
    assert part.get_json()["current"] == stale.headers["X-Stale-Pin"]
    assert stale.data == get(client, "solid.png?color=blue").data
    assert stale.headers["Cache-Control"] == "public, no-cache"
    assert stale.headers["ETag"] == f'"{stale.headers["X-Stale-Pin"]}"'


def test_link_header_is_the_pinned_url(client: FlaskClient) -> None:
    first = get(client, "card.png?title=Hello+World")
    url = first.headers["Link"].partition(">")[0].removeprefix("<")

    again = client.get(url)

    assert again.data == first.data
    assert "immutable" in again.headers["Cache-Control"]


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        (None, "image/png"),
        ("*/*", "image/png"),
        ("image/webp", "image/webp"),
        ("image/avif,image/webp,image/*,*/*;q=0.8", "image/png"),
        ("image/png;q=0.5,image/webp", "image/webp"),
        ("application/json", "application/json"),
    ],
)
def test_accept_decides_where_the_url_does_not(
    client: FlaskClient, accept: str | None, media_type: str
) -> None:
    answer = client.get("/images/solid", headers={"Accept": accept} if accept else {})

    assert answer.content_type == media_type
    assert "Accept" in answer.headers["Vary"]


def test_accept_that_nothing_meets_is_406(client: FlaskClient) -> None:
    assert get(client, "solid", Accept="text/plain").status_code == 406


def test_answer_does_not_grow_with_what_was_sent(client: FlaskClient) -> None:
    long = client.post(URL, data={"x" * 1_000_000: "1"})
    many = get(client, "solid.png?" + "&".join(f"a{i}=1" for i in range(199)))

    assert (long.status_code, many.status_code) == (422, 422)
    assert max(len(long.data), len(many.data)) < 5_000
    assert many.get_json()["more"] == 179


def test_file_for_a_text_is_read_as_text(client: FlaskClient) -> None:
    filed = client.post(
        "/images/html.png?width=60&height=20",
        data={"html": (io.BytesIO(b"<p>Hello"), "page.html")},
    )
    sent = client.post("/images/html.png?width=60&height=20", data={"html": "<p>Hello"})

    assert filed.status_code == 200
    assert filed.data == sent.data


@pytest.mark.parametrize(
    "body",
    [
        b"color=red&width=5",
        b'--x\r\nContent-Disposition: form-data; name="color"\r\n\r\nred',
        b'--x\r\nContent-Disposition: form-data; name="color"\r\n\r\n\xff\r\n--x--\r\n',
    ],
)
def test_broken_multipart_is_not_taken_for_an_empty_one(
    client: FlaskClient, body: bytes
) -> None:
    kind = "multipart/form-data; boundary=x"

    assert client.post(URL, data=body, content_type=kind).status_code == 400


def test_file_that_nobody_chose_is_none(client: FlaskClient) -> None:
    body = (
        b'--x\r\nContent-Disposition: form-data; name="title"\r\n\r\nA\r\n'
        b'--x\r\nContent-Disposition: form-data; name="image"; filename=""\r\n'
        b"Content-Type: application/octet-stream\r\n\r\n\r\n--x--\r\n"
    )
    kind = "multipart/form-data; boundary=x"

    answer = client.post("/images/card.png", data=body, content_type=kind)

    assert answer.data == get(client, "card.png?title=A").data


@pytest.mark.parametrize(
    "kind",
    [
        *("text/json", "application/x-json", "application/vnd.api+json"),
        *("text/plain", "application/octet-stream", ""),
        "application/x-www-form-urlencoded",
    ],
)
def test_json_is_json_under_any_name(client: FlaskClient, kind: str) -> None:
    answer = client.post(URL, data=b' {"color": "red"}', content_type=kind)

    assert answer.data == get(client, "solid.png?color=red").data


def test_json_without_a_type_is_read_wherever_json_is(client: FlaskClient) -> None:
    sent = {"content_type": "application/x-www-form-urlencoded"}
    prompt = b'{"prompt": "a", "width": 64, "height": 64}'

    assert client.post("/inference", data=prompt, **sent).status_code == 200
    whole = client.post("/images", data=b'{"renderer": "solid"}', **sent)
    assert whole.data == get(client, "solid.png").data


def test_json_in_another_charset_is_told_where_and_what_to_do(
    client: FlaskClient,
) -> None:
    """PowerShell 5.1 sends Latin-1 where nothing else is said."""
    sent = '{"color": "réd"}'.encode("latin-1")

    answer = client.post(URL, data=sent, content_type="application/json")

    assert answer.status_code == 400
    assert "byte 13 is 0xe9" in answer.get_json()["detail"]


def test_form_of_bytes_that_are_not_escaped_is_utf_8(client: FlaskClient) -> None:
    form = {"content_type": "application/x-www-form-urlencoded"}

    raw = client.post("/images/qr.png", data="data=Zoë".encode(), **form)

    assert raw.data == get(client, "qr.png?data=Zo%C3%AB").data


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/x-www-form-urlencoded", b"data=Zo%EB"),
        ("application/x-www-form-urlencoded", b"data=Zo\xeb"),
        ("application/json", b'{"data": "Zo\xeb"}'),
    ],
)
def test_charset_that_a_body_declares_is_honoured(
    client: FlaskClient, kind: str, body: bytes
) -> None:
    url = "/images/qr.png"

    told = client.post(url, data=body, content_type=f"{kind}; charset=ISO-8859-1")
    untold = client.post(url, data=body, content_type=kind)
    unknown = client.post(url, data=body, content_type=f"{kind}; charset=klingon")

    assert told.data == get(client, "qr.png?data=Zo%C3%AB").data
    assert (untold.status_code, unknown.status_code) == (400, 415)


def test_too_many_parts_are_not_called_too_many_bytes(client: FlaskClient) -> None:
    parts = {f"a{number}": "1" for number in range(201)}

    answer = client.post(URL, data=parts, content_type="multipart/form-data")

    assert answer.status_code == 400
    assert "200 fields" in answer.get_json()["detail"]


def test_page_of_another_origin_may_ask(client: FlaskClient) -> None:
    for path in ("/images", "/images/card.png"):
        answer = client.options(path, headers={"Access-Control-Request-Method": "POST"})
        assert answer.status_code == 204
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert "Content-Type" in answer.headers["Access-Control-Allow-Headers"]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("avatar.ico?name=a&size=300", "size"),
        ("card.ico?title=a", "format"),
        ("solid.ico?width=300&height=300", "width"),
    ],
)
def test_size_that_a_format_refuses_names_what_can_be_changed(
    client: FlaskClient, query: str, field: str
) -> None:
    assert get(client, query).get_json()["field"] == field


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"{", "application/json", 400),
        (b"[]", "application/json", 400),
        (b'{"width": NaN}', "application/json", 400),
        (b'{"width": 1, "width": 2}', "application/json", 422),
        (b'{"width": "twenty"}', "application/json", 422),
        (b"[" * 100_000, "application/json", 400),
        (b"color=%ff", "application/x-www-form-urlencoded", 400),
        (b"<p>", "text/html", 415),
        (b"x", "application/octet-stream", 415),
    ],
)
def test_body_that_cannot_be_read(
    client: FlaskClient, body: bytes, kind: str, status: int
) -> None:
    assert client.post(URL, data=body, content_type=kind).status_code == status


def test_envelope_keeps_output_and_parameters_apart(client: FlaskClient) -> None:
    params = {"name": "Ada", "background": "transparent", "size": 20}
    asked = {"renderer": "avatar", "params": params, "format": "jpg"}

    white = client.post("/images", json=asked)
    red = client.post("/images", json={**asked, "background": "red"})

    assert white.status_code == red.status_code == 200
    assert white.data != red.data


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"renderer": 3}, "renderer"),
        ({"params": []}, "params"),
        ({"with": 1}, "with"),
        ({"params": {"colour": "red"}}, "colour"),
    ],
)
def test_fault_of_an_envelope_is_named(
    client: FlaskClient, change: dict[str, Any], field: str
) -> None:
    answer = client.post("/images", json={"renderer": "solid", "params": {}, **change})

    assert answer.status_code == 422
    assert answer.get_json()["field"] == field


def test_body_over_the_limit_is_413(client: FlaskClient) -> None:
    answer = client.post(URL, data=bytes(9 << 20), content_type="application/json")

    assert answer.status_code == 413
    assert answer.content_type == "application/problem+json"


def test_a_long_query_is_not_kept_in_memory(catalogue: Catalogue) -> None:
    parser = Parser(catalogue, Settings())
    tracemalloc.start()

    for number in range(300):
        query = b"data=" + b"x" * 2000 + b"%d" % number
        parser.query(RequestLine("qr", "png", query, None))
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert kept < 1 << 20


# What Notepad saves as Unicode, what PowerShell's `>` writes, and neither with a mark.
@pytest.mark.parametrize("charset", ["utf-8-sig", "utf-16", "utf-16-be", "utf-32"])
def test_json_in_another_unicode_encoding_is_read(
    client: FlaskClient, charset: str
) -> None:
    body = '{"color": "red", "width": 20, "height": 10}'.encode(charset)

    answer = client.post(URL, data=body, content_type="application/json")

    assert (answer.status_code, answer.data) == (200, client.post(URL, data=GOOD).data)


PAGE = '<p style="font-size: 30px">Grüße, “Zoë”</p>'
LATIN = "text/html; charset=iso-8859-1"


@pytest.mark.parametrize(
    ("head", "charset", "kind"),
    [
        ("", "utf-8-sig", "text/html"),
        ("", "utf-16", "text/html"),
        # The mark goes before what is declared (WHATWG Encoding, section 6).
        ("", "utf-16", LATIN),
        ("", "cp1252", LATIN),
        ("", "iso-8859-2", "text/html; charset=ISO-8859-2"),
        ('<meta charset="windows-1252">', "cp1252", "text/html"),
        (
            "<META HTTP-EQUIV=x CONTENT='text/html; charset=latin1'>",
            "cp1252",
            "text/html",
        ),
        ("<!-- <meta charset=koi8-r> --><meta charset=latin1>", "cp1252", "text/html"),
        # Sent by a program that writes UTF-8 whatever the page says of itself.
        ("<meta charset=iso-8859-1>", "utf-8", "text/html"),
    ],
)
def test_html_is_read_in_the_charset_that_it_was_written_in(
    client: FlaskClient, head: str, charset: str, kind: str
) -> None:
    text = PAGE if charset != "iso-8859-2" else "<p>Łódź</p>"
    url = "/images/html.png?width=400&height=80"

    answer = client.post(url, data=(head + text).encode(charset), content_type=kind)
    form = client.post(url, data={"html": head + text})

    assert answer.status_code == 200, answer.text
    assert answer.data == form.data


@pytest.mark.parametrize(
    ("page", "kind", "status", "says"),
    [
        (PAGE.encode("cp1252"), "text/html", 400, "The body is not UTF-8"),
        (b"<meta charset=nonesuch>\xff", "text/html", 415, "'nonesuch' is not known"),
        (b"<p>", "text/html; charset=nonesuch", 415, "'nonesuch' is not known"),
        (b"<p>", "text/html; charset=utf-7", 415, "'utf-7' is no charset"),
        (b"<p>", "text/html; charset=charmap", 415, "'charmap' is no charset"),
        (b"\x81", "text/html; charset=cp1252", 400, "The body is not cp1252"),
    ],
)
def test_html_that_cannot_be_decoded_is_a_4xx(
    client: FlaskClient, page: bytes, kind: str, status: int, says: str
) -> None:
    answer = client.post("/images/html.png", data=page, content_type=kind)

    assert (answer.status_code, says in answer.json["detail"]) == (status, True)


def test_charsets_that_are_not_known_are_not_remembered(client: FlaskClient) -> None:
    kinds = [f"text/html; charset=made-up-{number}" for number in range(9)]

    for kind in kinds:
        assert client.post("/images/html.png", data=b"<p>", content_type=kind)

    # What Python looks up it keeps for ever, found or not.
    assert not [name for name in encodings._cache if name.startswith("made")]


def test_a_page_may_be_a_file_of_notepad(client: FlaskClient) -> None:
    page = io.BytesIO(PAGE.encode("utf-16")), "page.html"
    url = "/images/html.png?width=400&height=80"

    answer = client.post(url, data={"html": page})

    assert answer.status_code == 200, answer.text
    assert answer.data == client.post(url, data={"html": PAGE}).data


def test_a_renderer_that_is_off_names_its_setting(client: FlaskClient) -> None:
    answer = client.get("/images/browser.png?html=x")

    assert answer.status_code == 404
    assert "'browser' is off: MIMEO_BROWSER is not set" in answer.json["detail"]


def test_a_form_is_read_in_its_charset_where_that_has_the_signs_of_forms() -> None:
    assert read_pairs("a=b&c=é".encode("cp1252"), "cp1252") == [("a", "b"), ("c", "é")]
    with pytest.raises(BadBody, match="percent-encoded shift_jis"):
        read_pairs(b"a=\xff", "shift_jis")
    for charset in ("cp037", "utf-16"):
        with pytest.raises(UnsupportedBody, match="no signs between fields"):
            read_pairs(b"a=b", charset)
