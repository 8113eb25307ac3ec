"""A worker that outgrows its share of memory is replaced, and no request is lost."""

import mmap
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.serving import memory_share
from app.serving.memory_share import MemoryShare, private_bytes
from tests.gunicorn_server import ROOT, Server, serve

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it reads /proc")
MIB = 1 << 20
CONFIGURATION = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
exec(compile(open({str(ROOT / "gunicorn.conf.py")!r}).read(), "conf", "exec"))

def pre_fork(server, worker):
    worker.share = MemoryShare({MIB}, allocator.trim, every_s=0.1, young_s=1.0)
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server each of whose workers has outgrown its share when it is a second old."""
    (tmp_path / "gunicorn.conf.py").write_text(CONFIGURATION)
    (tmp_path / "wsgi.py").symlink_to(ROOT / "wsgi.py")
    with serve(settings={"WEB_CONCURRENCY": "1"}, folder=tmp_path) as running:
        yield running


def share(most: int, monkeypatch: pytest.MonkeyPatch, *held: int) -> MemoryShare:
    """A share that is looked at each time, of a process that holds what is said."""
    left = iter(held)
    monkeypatch.setattr(memory_share, "private_bytes", lambda least=0: next(left))
    return MemoryShare(most, lambda: None, every_s=0.0, young_s=0.0)


def test_an_idle_worker_is_replaced_and_another_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = share(10, monkeypatch, 11, 11, 11, 11)

    assert not made.is_outgrown(idle=False)
    assert made.is_outgrown(idle=True)


def test_what_is_merely_free_is_given_back_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = share(10, monkeypatch, 11, 9)

    assert not made.is_outgrown(idle=True)


def test_a_worker_that_is_never_idle_is_replaced_when_it_is_far_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = share(10, monkeypatch, *[13] * 24)

    seen = [made.is_outgrown(idle=False) for _ in range(12)]

    assert seen == [False] * 11 + [True]


def test_what_this_process_takes_is_counted() -> None:
    before = private_bytes()

    # Not from the heap, where there may be as much that is free.
    with mmap.mmap(-1, 32 * MIB, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as held:
        held.write(b"x" * len(held))
        grown = private_bytes() - before

    assert 28 * MIB < grown < 40 * MIB
    assert private_bytes(1 << 40) == 0


def test_no_request_is_lost_where_workers_are_replaced(server: Server) -> None:
    statuses: list[int] = []
    first = server.workers()
    end = time.monotonic() + 30

    def ask() -> None:
        while time.monotonic() < end and "it is replaced" not in server.log.read_text():
            statuses.append(server.ask("/images/solid.png?width=9&height=9").status)
            time.sleep(0.05)
        for _ in range(20):
            statuses.append(server.ask("/images/solid.png?width=9&height=9").status)

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    told = server.ask("/metrics").body.decode()

    assert set(statuses) == {200}
    assert server.workers().isdisjoint(first)
    assert "MiB, its share is 1: it is replaced" in server.log.read_text()
    assert "mimeo_workers_recycled_total" in told
    assert "mimeo_workers_recycled_total 0.0" not in told
