"""gunicorn.conf.py: what it proves at the start, and what it leaves at the end."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.gunicorn_server import serve

ROOT = Path(__file__).parent.parent
METRICS = "PROMETHEUS_MULTIPROC_DIR"
APP = """
import os

def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [os.environ["PROMETHEUS_MULTIPROC_DIR"].encode()]
"""


def start(**environ: str) -> subprocess.CompletedProcess[str]:
    """Let gunicorn read its configuration and end."""
    foreign = ("MIMEO_", "AZURE_", METRICS)
    kept = {k: v for k, v in os.environ.items() if not k.startswith(foreign)}
    return subprocess.run(
        [sys.executable, "-m", "gunicorn", "--check-config", "wsgi:app"],
        capture_output=True,
        cwd=ROOT,
        env={**kept, "MIMEO_STORE": "none", **environ},
        text=True,
        timeout=60,
    )


def begin(*words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Do as the Procfile does, and let gunicorn end once it has read its settings."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("MIMEO_")}
    return subprocess.run(
        [sys.executable, "-m", "app.cli.start", *words, "--check-config"],
        capture_output=True,
        cwd=ROOT,
        env={**kept, "MIMEO_STORE": "none", **environ},
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize("empty", ["", "  "])
def test_an_empty_number_of_workers_counts_as_unset(empty: str) -> None:
    run = begin(WEB_CONCURRENCY=empty)

    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


@pytest.mark.parametrize("number", ["nonsense", "0", "-3", "1.5", "2 workers", "99999"])
def test_a_number_of_workers_that_is_none_stops_the_start_in_one_line(
    number: str,
) -> None:
    run = begin(WEB_CONCURRENCY=number)

    assert run.returncode == 2
    assert run.stderr == (
        f"mimeo: WEB_CONCURRENCY='{number}': must be a whole number from 1 to 1,024\n"
    )


@pytest.mark.parametrize("words", [("wroker",), ("worker", "--workers=2")])
def test_a_word_that_is_no_command_starts_no_server(words: tuple[str, ...]) -> None:
    run = begin(*words)

    assert run.returncode == 2
    assert run.stderr.startswith(f"mimeo: {words[0]}: only `worker`, alone, ")


@pytest.mark.parametrize(
    ("variable", "value"), [("MIMEO_THREADS", "many"), ("MIMEO_WORKERS", "2")]
)
def test_any_other_bad_setting_stops_the_start_in_one_line(
    variable: str, value: str
) -> None:
    run = begin(**{variable: value})

    assert run.returncode == 2
    assert run.stderr.startswith(f"mimeo: {variable}")
    assert run.stderr.count("\n") == 1


def test_a_file_that_is_no_font_stops_the_start_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "own.ttf").write_bytes(b"no font")

    run = start(MIMEO_FONTS=str(tmp_path))

    assert run.returncode != 0
    assert run.stderr.startswith("mimeo: MIMEO_FONTS: Font file ")
    assert run.stderr.count("\n") == 1


def test_a_bucket_that_cannot_be_used_stops_the_start_in_one_line() -> None:
    run = start(MIMEO_STORE="az://bucket/path")

    assert run.returncode != 0
    assert run.stderr.startswith("mimeo: MIMEO_STORE: cannot open az://bucket/path: ")
    assert run.stderr.count("\n") == 1


def test_a_metrics_folder_that_cannot_be_made_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    run = start(**{METRICS: str(tmp_path / "file" / "metrics")})

    assert run.returncode != 0
    assert run.stderr.startswith(f"mimeo: {METRICS}: ")


def test_the_metrics_folder_ends_with_the_server(tmp_path: Path) -> None:
    write_app(tmp_path)

    with serve("told:app", {METRICS: ""}, tmp_path) as server:
        folder = Path(server.ask("/").body.decode())
        existed = folder.is_dir()

    assert existed
    assert not folder.exists()


def test_the_next_server_removes_the_metrics_folder_of_a_killed_one(
    tmp_path: Path,
) -> None:
    write_app(tmp_path)

    with serve("told:app", {METRICS: ""}, tmp_path) as killed:
        folder = Path(killed.ask("/").body.decode())
        with serve("told:app", {METRICS: ""}, tmp_path):
            beside_a_living_one = folder.is_dir()
        for pid in (killed.pid, *killed.workers()):
            os.kill(pid, signal.SIGKILL)
        wait_until_gone(killed.url)
        with serve("told:app", {METRICS: ""}, tmp_path):
            after = folder.is_dir()

    assert (beside_a_living_one, after) == (True, False)


def wait_until_gone(url: str) -> None:
    """Wait until a server's last process holds its port no more."""
    address = urlsplit(url)
    while True:
        try:
            socket.create_connection((address.hostname, address.port), 5).close()
        except ConnectionRefusedError:
            return
        time.sleep(0.02)


def test_the_operators_metrics_folder_stays(tmp_path: Path) -> None:
    write_app(tmp_path)
    own = tmp_path / "own" / "metrics"

    with serve("told:app", {METRICS: str(own)}, tmp_path) as server:
        told = server.ask("/").body.decode()

    assert told == str(own)
    assert own.is_dir()


def children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in text.split()]


def rollup(pid: int) -> dict[str, int]:
    """Return what `/proc/PID/smaps_rollup` says, in KiB."""
    rows = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    return {
        name: int(rest.split()[0]) for name, _, rest in (r.partition(":") for r in rows)
    }


def test_the_process_for_html_shares_its_memory_with_the_worker() -> None:
    with serve(settings={"WEB_CONCURRENCY": "1"}) as server:
        drawn = server.ask("/images/html.png?html=hello&width=99&height=99").status
        [worker] = server.workers()
        # Of one copy comes the process for HTML, of the other those of collections.
        [process] = [each for copy in children(worker) for each in children(copy)]
        seen = rollup(process)
        limit = Path(f"/proc/{process}/limits").read_text()

    assert drawn == 200
    assert seen["Private_Clean"] + seen["Private_Dirty"] < seen["Rss"] / 3
    assert re.search(r"Max address space +[0-9]+ +[0-9]+ +bytes", limit)


def write_app(folder: Path) -> None:
    """Put an app that tells its metrics folder beside the real configuration."""
    (folder / "told.py").write_text(APP)
    (folder / "gunicorn.conf.py").symlink_to(ROOT / "gunicorn.conf.py")


def test_small_memory_starts_fewer_workers_and_says_so_in_one_line() -> None:
    small = {"MIMEO_MEMORY_BYTES": f"{512 << 20}", "WEB_CONCURRENCY": "8"}

    with serve(settings=small) as server:
        started = len(server.workers())
        log = server.log.read_text()

    assert 1 <= started < 8
    assert log.count(f"512 MiB of memory are enough for {started} of 8 workers") == 1


def test_large_memory_starts_what_is_set_and_says_nothing() -> None:
    large = {"MIMEO_MEMORY_BYTES": f"{64 << 30}", "WEB_CONCURRENCY": "2"}

    with serve(settings=large) as server:
        started = len(server.workers())
        log = server.log.read_text()

    assert started == 2
    assert "of memory" not in log
