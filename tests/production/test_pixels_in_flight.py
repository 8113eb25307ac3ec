"""Pictures that are small to send and large in memory: what all processes take."""

import io
import json
import sys
import threading
import time
from base64 import b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from PIL import Image

from benchmarks.process_tree import sample_tree
from tests.gunicorn_server import Server, serve

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it reads /proc")
# 25 million pixels, half of what an image may have: 100 MB of them decoded.
SIDE = 5000
DECODED_MIB = SIDE * SIDE * 4 / (1 << 20)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One worker without a bound of memory that would refuse them."""
    settings = {
        "MIMEO_STORE": str(tmp_path_factory.mktemp("store")),
        "WEB_CONCURRENCY": "1",
        "MIMEO_QUEUE_TIMEOUT_S": "120",
    }
    with serve(settings=settings) as running:
        running.ask("/images/qr.png?data=warm")
        yield running


def encoded(format: str) -> bytes:
    """Return an image of few bytes and many pixels."""
    data = io.BytesIO()
    Image.new("RGB", (SIDE, SIDE), "teal").save(data, format)
    return data.getvalue()


class Peak:
    """The most that all processes of a server took together, in MiB."""

    def __init__(self, server: Server) -> None:
        self.mib = 0.0
        self._pid = server.pid
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> "Peak":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.is_set():
            self.mib = max(self.mib, sample_tree(self._pid, 0).pss_mib)
            time.sleep(0.02)


@pytest.mark.parametrize("format", ["PNG", "GIF"])
def test_eight_at_a_time_take_no_more_than_one(server: Server, format: str) -> None:
    """Eight PNGs of 194 KB took 1.4 GB."""

    image, kind = encoded(format), {"Content-Type": "application/json"}

    def ask(number: int) -> int:
        # Bytes behind the end make it another file: nothing is known of it.
        logo = b64encode(image + bytes([number])).decode()
        body = {"data": "a", "logo": f"data:image/{format.lower()};base64,{logo}"}
        sent = json.dumps(body).encode()
        return server.ask("/images/qr.png", "POST", sent, kind).status

    with Peak(server) as one:
        first = ask(8)
    with Peak(server) as eight, ThreadPoolExecutor(8) as pool:
        statuses = set(pool.map(ask, range(8)))

    assert first == 200
    assert statuses <= {200, 503}
    assert 200 in statuses
    assert eight.mib - one.mib < DECODED_MIB
