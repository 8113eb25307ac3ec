"""No malformed image is a fault of the server's, whichever way it comes in."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.gunicorn_server import Reply, Server, serve
from tests.malformed_images import SAMPLES, malformed
from tests.ugly_pictures import uri

_BOUNDARY = "0123456789abcdef"
# More than any sample has; a broken head may say anything.
_MOST_PIXELS = "1000000"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    settings = {"WEB_CONCURRENCY": "1", "MIMEO_MAX_IMAGE_PIXELS": _MOST_PIXELS}
    with serve(settings={**settings, "MIMEO_RATE_ANONYMOUS": "none"}) as running:
        yield running


def _file(server: Server, data: bytes) -> Reply:
    head = (
        f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="image"; filename="a"'
    )
    end = f"\r\n--{_BOUNDARY}--\r\n"
    body = f"{head}\r\n\r\n".encode() + data + end.encode()
    kind = f"multipart/form-data; boundary={_BOUNDARY}"
    path = "/images/card.png?title=x"
    return server.ask(path, "POST", body, {"Content-Type": kind})


def _logo(server: Server, data: bytes) -> Reply:
    body = json.dumps({"data": "x", "logo": uri(data)}).encode()
    return server.ask("/images/qr.png", "POST", body, _JSON)


def _page(server: Server, data: bytes) -> Reply:
    body = f'<img src="{uri(data)}">'.encode()
    path = "/images/html.png?width=40&height=40"
    return server.ask(path, "POST", body, {"Content-Type": "text/html"})


_JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    ("send", "field"), [(_file, "image"), (_logo, "logo"), (_page, None)]
)
def test_a_malformed_image_is_never_a_500(
    server: Server, send: Callable[[Server, bytes], Reply], field: str | None
) -> None:
    seen: Counter[int] = Counter()

    for kind, number, data in malformed(8 * len(SAMPLES)):
        reply = send(server, data)

        told: Any = {} if reply.status == 200 else json.loads(reply.body)
        assert reply.status in (200, 422), (kind, number, told)
        assert told.get("field") in (None, field), (kind, number, told)
        seen[reply.status] += 1

    # Some are drawn in spite of it, and of a page nothing but the image is missing.
    assert seen[200] > 10
    assert seen[422] > 80 if field else seen[422] == 0
    assert "Traceback" not in server.log.read_text()
