"""What dead workers counted stays, in one file and not in two for each of them."""

import os
import re
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

from prometheus_client.mmap_dict import MmapedDict, mmap_key
from prometheus_client.parser import text_string_to_metric_families

from app.observability.multiprocess import bury, exposition
from tests.gunicorn_server import serve
from tests.observability.test_metrics import METRICS, read, scraped, wait_until


def leave(folder: Path, pid: int, count: float) -> None:
    """Leave the files of a worker that counted so much, and has as much in hand."""
    counted = mmap_key("mimeo_x", "mimeo_x_total", ["of"], ["a"], "Help.")
    held = mmap_key("mimeo_y", "mimeo_y", [], [], "Help.")
    sums = [
        mmap_key("mimeo_z", "mimeo_z_sum", [], [], "Help."),
        mmap_key("mimeo_z", "mimeo_z_bucket", ["le"], ["1.0"], "Help."),
        mmap_key("mimeo_z", "mimeo_z_bucket", ["le"], ["+Inf"], "Help."),
    ]
    kinds = {"counter": [counted], "gauge_livesum": [held], "histogram": sums}
    for kind, keys in kinds.items():
        file = MmapedDict(str(folder / f"{kind}_{pid}.db"))
        for key in keys:
            file.write_value(key, count, 0.0)
        file.close()


def figures(folder: Path) -> dict[str, float]:
    text = exposition(folder).decode()
    families = text_string_to_metric_families(text)
    return {
        f"{each.name}{each.labels or ''}": each.value
        for family in families
        for each in family.samples
    }


def test_what_a_dead_worker_counted_stays_and_what_it_held_goes(tmp_path: Path) -> None:
    for pid in (1, 2, 3):
        leave(tmp_path, pid, pid)
    before = figures(tmp_path)

    for pid in (1, 2):
        bury(tmp_path, pid)

    assert before["mimeo_y"] == 6
    ended = {"mimeo_workers_ended_total": 2}
    assert figures(tmp_path) == {**before, **ended, "mimeo_y": 3}
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *("counter_3.db", "counter_dead.db", "gauge_livesum_3.db"),
        *("histogram_3.db", "histogram_dead.db"),
    ]


def test_a_scrape_during_a_burial_counts_nothing_twice(tmp_path: Path) -> None:
    for pid in range(1, 61):
        leave(tmp_path, pid, 1)
    over = Event()

    def scrape() -> set[float]:
        seen = set()
        while not over.is_set():
            seen.add(figures(tmp_path)["mimeo_x_total{'of': 'a'}"])
            # Or the two would leave the folder to nobody else.
            over.wait(0.005)
        return seen

    with ThreadPoolExecutor() as pool:
        scrapes = [pool.submit(scrape) for _ in range(2)]
        for pid in range(1, 61):
            bury(tmp_path, pid)
        over.set()

    assert not list(tmp_path.glob("counter_[0-9]*.db"))
    assert [scrape.result() for scrape in scrapes] == [{60}, {60}]


def test_a_pid_that_left_nothing_is_no_fault(tmp_path: Path) -> None:
    bury(tmp_path, 1)

    assert figures(tmp_path) == {"mimeo_workers_ended_total": 1}


def test_counters_survive_killed_and_reloaded_workers(tmp_path: Path) -> None:
    folder = tmp_path / "figures"
    settings = {METRICS: str(folder), "MIMEO_STORE": str(tmp_path / "store")}
    solid = 'mimeo_renders_total{renderer="solid"}'

    def settled() -> bool:
        files = len(list(folder.iterdir()))
        # Of each worker three, and two of all that are dead.
        return files == 8 and read(scraped(server), "mimeo_workers") == 2

    with serve(settings=settings) as server:
        assert read(scraped(server), "mimeo_workers_ended_total") == 0
        for number in range(1, 13):
            server.ask(f"/images/solid.png?width={number}")
            if number % 4 == 0:
                old = server.workers()
                os.kill(min(old), signal.SIGKILL)
                os.kill(server.pid, signal.SIGHUP)
                wait_until(lambda old=old: not old & server.workers() and settled(), 60)
        text = scraped(server)

    assert read(text, solid) == 12
    assert read(text, "mimeo_render_seconds_count") == 12
    assert read(text, "mimeo_renders_in_flight") == 0
    # In each of three rounds one was killed, and the other was replaced.
    assert read(text, "mimeo_workers_ended_total") >= 6
    # Two small ones, a large and an isolated one in each of two workers.
    assert read(text, "mimeo_slots") == 8
    assert len(re.findall(r"^mimeo_workers\{", text, re.MULTILINE)) == 1


def test_an_emptied_folder_ends_no_server(tmp_path: Path) -> None:
    folder = tmp_path / "figures"

    with serve(settings={METRICS: str(folder)}) as server:
        old = server.workers()
        folder.rename(tmp_path / "gone")
        os.kill(min(old), signal.SIGKILL)
        wait_until(lambda: "figures of worker" in server.log.read_text())
        # Whoever counts needs the folder, those that were there before do not.
        folder.mkdir()
        wait_until(lambda: len(server.workers()) == 2)

        assert server.ask("/images/solid.png").status == 200
