"""Send malformed images to a server: `python -m benchmarks.malformed 1000`.

Each is sent as a file, as a data URI and inside of a page. Prints how many of each kind
were drawn and refused, as JSON, and how long the slowest took. Ends with 1 where an
answer is neither a picture nor a 422 that names the field.
"""

import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from tests.gunicorn_server import Reply, Server, serve
from tests.malformed_images import Malformed, malformed
from tests.ugly_pictures import uri

_BOUNDARY = "0123456789abcdef"
# More pixels than any sample has; a broken head may say anything.
SETTINGS = MappingProxyType(
    {
        "WEB_CONCURRENCY": "1",
        "MIMEO_MAX_IMAGE_PIXELS": "1000000",
        "MIMEO_RATE_ANONYMOUS": "none",
    }
)


class Way(NamedTuple):
    """A way to send an image, and the field that a refusal names; None: it draws."""

    send: Callable[[Server, bytes], Reply]
    field: str | None


class Outcome(NamedTuple):
    """Statuses by kind of image, the answers that are wrong, the slowest in seconds."""

    statuses: Mapping[str, Counter[int]]
    wrong: list[str]
    slowest_s: float


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
    kind = {"Content-Type": "application/json"}
    return server.ask("/images/qr.png", "POST", body, kind)


def _page(server: Server, data: bytes) -> Reply:
    body = f'<img src="{uri(data)}">'.encode()
    path = "/images/html.png?width=40&height=40"
    return server.ask(path, "POST", body, {"Content-Type": "text/html"})


WAYS: Mapping[str, Way] = MappingProxyType(
    {"file": Way(_file, "image"), "URI": Way(_logo, "logo"), "page": Way(_page, None)}
)


def send_all(server: Server, way: Way, images: Iterable[Malformed]) -> Outcome:
    """Send images one after the other."""
    statuses: dict[str, Counter[int]] = {}
    wrong: list[str] = []
    slowest_s = 0.0
    for kind, number, data in images:
        began = time.perf_counter()
        reply = way.send(server, data)
        slowest_s = max(slowest_s, time.perf_counter() - began)
        statuses.setdefault(kind, Counter())[reply.status] += 1
        told: dict[str, Any] = {} if reply.status == 200 else json.loads(reply.body)
        refused = reply.status == 422 and way.field and told.get("field") == way.field
        if not (reply.status == 200 or refused):
            wrong.append(f"{kind} {number}: {reply.status} {told}")
    return Outcome(statuses, wrong, slowest_s)


def main(arguments: list[str]) -> int:
    """Send so many images in each way, and say what came of it."""
    count = int(arguments[0]) if arguments else 1000
    found = {}
    with serve(settings=SETTINGS) as server:
        for name, way in WAYS.items():
            outcome = send_all(server, way, malformed(count))
            total = sum(outcome.statuses.values(), Counter())
            by_kind = {kind: dict(each) for kind, each in outcome.statuses.items()}
            found[name] = {
                "total": dict(total),
                "by_kind": by_kind,
                "slowest_ms": round(outcome.slowest_s * 1000),
                "wrong": outcome.wrong,
            }
    print(json.dumps(found, indent=2))
    return 1 if any(each["wrong"] for each in found.values()) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
