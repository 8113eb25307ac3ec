"""The head of an answer stays below 4 KiB, whatever is asked for.

nginx reads one page of it by default (`proxy_buffer_size`) and makes a 502 of more.
"""

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, urlencode

import pytest

from tests.gunicorn_server import Reply, Server, serve

MOST = 4096
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
# What takes most room in a file name: three bytes that nothing in ASCII is like.
LONG_NAME = "\u4e2d" * 300
CJK = "".join(map(chr, range(0x4E00, 0x4E00 + 500)))
# One letter that compatibility makes eighteen of.
LIGATURES = "\ufdfa" * 200
CANADIAN = "".join(map(chr, range(0x1401, 0x1601)))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder: Path = tmp_path_factory.mktemp("store")
    with serve(settings={"MIMEO_STORE": str(folder)}) as running:
        yield running


def size(reply: Reply) -> int:
    """Count the bytes of a head, its status line and the empty line too."""
    lines = [f"{name}: {value}" for name, value in reply.headers.items()]
    return sum(
        len(line) + 2 for line in ["HTTP/1.1 422 UNPROCESSABLE ENTITY", *lines, ""]
    )


def form(**fields: str) -> bytes:
    return urlencode(fields).encode()


@pytest.mark.parametrize(
    ("path", "status", "fields"),
    [
        ("/images/quote.png", 200, {"text": CJK}),
        ("/images/quote.svg", 200, {"text": CJK}),
        (f"/images/quote.jpg?download={quote(LONG_NAME)}", 200, {"text": CJK}),
        ("/images/html.png", 200, {"html": "<p>" + "a &amp; b " * 300}),
        (f"/images/card.pdf?download={quote(LIGATURES)}", 200, {"title": CJK[:200]}),
        ("/images/placeholder.png", 200, {"text": CANADIAN}),
        ("/images/qr.svg?download=" + "%22" * 900, 200, {"data": "%" * 1200}),
        ("/images/card.png", 422, {"n" * 3000: "x"}),
        ("/images/card.png?v=" + "y" * 3000, 422, {"title": ""}),
        ("/images/card." + "z" * 3000, 422, {"title": "x"}),
        ("/images/" + "z" * 3000 + ".png", 404, {"title": "x"}),
    ],
)
def test_any_post_of_an_image_has_a_small_head(server, path, status, fields):
    headers = {**FORM, "X-Request-ID": "i" * 128, "Accept": "image/*" + " " * 4000}

    reply = server.ask(path, "POST", form(**fields), headers)

    assert reply.status == status
    assert size(reply) < MOST


def test_a_url_that_no_head_has_room_for_is_in_the_json(server):
    headers = {**FORM, "Accept": "application/json"}

    reply = server.ask("/images/quote.png", "POST", form(text=CJK), headers)

    url = json.loads(reply.body)["url"]
    assert "Link" not in reply.headers
    assert len(url) > 4096 and server.ask(url).status == 200


def test_a_short_url_is_in_the_head_too(server):
    reply = server.ask("/images/quote.png?text=Hello")

    link = reply.headers["Link"].partition(">")[0].removeprefix("<")
    assert server.ask(link).headers["Cache-Control"].endswith("immutable")


def test_a_preflight_of_any_length_has_a_small_head(server):
    names = [f"x-stainless-{number:03}{'n' * 200}" for number in range(8)]
    names += [f"openai-{number:03}{'n' * 30}" for number in range(60)]
    headers = {
        "Origin": "https://page.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": ", ".join(names),
    }

    reply = server.ask("/v1/images/generations", "OPTIONS", headers=headers)

    assert reply.status == 204
    assert size(reply) < MOST


def test_all_forms_of_a_collection_have_small_heads(server):
    table = io.StringIO()
    csv.writer(table).writerows([["title"], [CJK[:200]], [LIGATURES]])
    pattern = quote("{index}-" + LONG_NAME[:100])
    path = f"?renderer=card&name={pattern}&download={quote(LONG_NAME[:200])}"
    sent = (table.getvalue().encode(), {"Content-Type": "text/csv; charset=utf-8"})

    answers = [
        server.ask(f"/collections.{form}{path}", "POST", *sent)
        for form in ("zip", "json")
    ]
    place = answers[0].headers["Content-Location"].partition(".")[0]
    answers += [server.ask(f"{place}/{index}.png") for index in (1, 2)]
    answers += [server.ask(f"{place}/sheet.png?download={quote(LONG_NAME[:200])}")]

    assert {answer.status for answer in answers} == {200}
    assert max(map(size, answers)) < MOST
