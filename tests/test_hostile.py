"""Hostile HTML over HTTP: a picture or a 4xx, in time, at bounded memory."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.gunicorn_server import Server, serve
from tests.renderer.sandbox.test_sandbox import SLOW, bomb

LIMIT_S = 3.0
MEMORY = 512 << 20
# One worker with its fonts, the fork server, and the bounded process while it draws.
MOST_BYTES = MEMORY + (700 << 20)
URL = "/images/html.png?width=800&height=600"

PAGES = {
    "deep": "<div>" * 40_000,
    "deep without end tags": "<b><i>" * 20_000,
    "deep style": "<style>" + "a{" * 50_000 + "</style>x",
    "huge font": '<p style="font-size:1000000px">Huge',
    "infinite font": '<p style="font-size:1e30px;letter-spacing:1e30px">Huge',
    "file image": '<img src="file:///etc/passwd"><img src="/etc/passwd">',
    "web image": '<img src="http://127.0.0.1:1/x.png"><img src="//127.0.0.1:1/x">',
    "bomb": f'<img src="{bomb(30_000)}">',
    "negative": '<p style="width:-5px;min-width:9px;max-width:-9px;padding:-3px">',
    "gradients": '<p style="background:'
    + "linear-gradient(red,blue)," * 5_000
    + 'red">',
    "long word": "<p>" + "é" * 120_000,
    "slow": SLOW,
    "long text": "word " * 50_000,
}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """One worker with a short deadline and little memory for a caller's HTML."""
    chosen = {
        "WEB_CONCURRENCY": "1",
        "MIMEO_RENDER_TIMEOUT_S": str(LIMIT_S),
        "MIMEO_HTML_MEMORY_BYTES": str(MEMORY),
    }
    with serve(settings=chosen) as running:
        # The first page also starts the process that draws it.
        assert running.ask(URL, "POST", b"<p>x", HTML).status == 200
        yield running


HTML = {"Content-Type": "text/html"}


@pytest.mark.parametrize("page", PAGES.values(), ids=PAGES)
def test_page_ends_in_a_picture_or_a_4xx(server: Server, page: str) -> None:
    started = time.perf_counter()

    with watched(server.pid) as peak:
        reply = server.ask(URL, "POST", page.encode(), HTML)

    assert reply.status == 200 or 400 <= reply.status < 500, reply.body[:500]
    # The deadline, and what a replacement of the process takes on a busy machine.
    assert time.perf_counter() - started < LIMIT_S + 10
    assert max(peak) < MOST_BYTES


@pytest.mark.parametrize(
    ("size", "status"), [(262_144, 200), (262_145, 422), (9 << 20, 413)]
)
def test_megabytes_of_text_are_refused(server: Server, size: int, status: int) -> None:
    reply = server.ask(URL, "POST", b"<p>" + b" " * (size - 3), HTML)

    assert reply.status == status


def test_chunked_body_over_the_limit_is_not_cut(server: Server) -> None:
    piece = b"10000\r\n" + b" " * 65_536 + b"\r\n"
    body = piece * 160 + b"0\r\n\r\n"
    headers = {**HTML, "Transfer-Encoding": "chunked"}

    reply = server.ask(URL, "POST", body, headers)

    assert reply.status == 413


def test_server_draws_on_after_all_that(server: Server) -> None:
    pages = [server.ask(URL, "POST", b"<p>%d" % number, HTML) for number in range(3)]

    assert [page.status for page in pages] == [200] * 3
    assert server.ask("/images/card.png?title=Hello").status == 200


@contextmanager
def watched(pid: int) -> Iterator[list[int]]:
    """Collect the resident bytes of a process and all below it, 50 times a second."""
    seen = [0]
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.02):
            seen.append(sum(resident(each) for each in family(pid)))

    watcher = threading.Thread(target=watch)
    watcher.start()
    yield seen
    done.set()
    watcher.join()


def family(pid: int) -> Iterator[int]:
    yield pid
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found = children.read_text().split()
        except OSError:  # The thread ended between the listing and the look.
            continue
        for child in found:
            yield from family(int(child))


def resident(pid: int) -> int:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:  # So did the process.
        return 0
    return pages * 4096
