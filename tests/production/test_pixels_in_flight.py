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
# 50 million pixels, which is what an image may have: 200 MB of them decoded.
SIDE = 7071
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


def uri(format: str) -> str:
    """Return an image of few bytes and many pixels."""
    data = io.BytesIO()
    Image.new("RGB", (SIDE, SIDE), "teal").save(data, format)
    return f"data:image/{format.lower()};base64,{b64encode(data.getvalue()).decode()}"


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


@pytest.mark.parametrize("format", ["PNG", "JPEG", "GIF"])
def test_eight_at_a_time_take_no_more_than_one(server: Server, format: str) -> None:
    """Eight PNGs of 194 KB took 1.4 GB."""

    logo, kind = uri(format), {"Content-Type": "application/json"}

    def ask(number: int) -> int:
        body = json.dumps({"data": f"{format} {number}", "logo": logo}).encode()
        return server.ask("/images/qr.png", "POST", body, kind).status

    with Peak(server) as one:
        first = ask(8)
    with Peak(server) as eight, ThreadPoolExecutor(8) as pool:
        statuses = set(pool.map(ask, range(8)))

    assert first == 200
    assert statuses <= {200, 503}
    assert 200 in statuses
    assert eight.mib - one.mib < DECODED_MIB
