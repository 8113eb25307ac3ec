"""Lines of a log: whole, in order, none lost, whoever writes and however it ends."""

import os
import subprocess
import sys
import threading
from pathlib import Path

from app.observability.access_log import LineWriter
from tests.waiting import wait_until

# More than fits into one write of a pipe.
LINES = [b"%d %s\n" % (number, b"x" * (number % 300)) for number in range(2000)]


def test_lines_arrive_in_order_without_anybody_flushing(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as file:
        writer = LineWriter(file.fileno())
        for line in LINES:
            writer.write(line)
        wait_until(lambda: (tmp_path / "log").read_bytes() == b"".join(LINES))


def test_threads_lose_no_line_and_mix_none(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as file:
        writer = LineWriter(file.fileno())
        threads = [
            threading.Thread(target=lambda: [writer.write(line) for line in LINES])
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        writer.flush()

    written = (tmp_path / "log").read_bytes().splitlines(keepends=True)
    assert sorted(written) == sorted(LINES * 4)


def test_a_writer_that_is_far_ahead_waits_for_its_reader() -> None:
    reads, writes = os.pipe()
    writer = LineWriter(writes)
    many = [b"x" * 99 + b"\n"] * 30_000
    thread = threading.Thread(target=lambda: [writer.write(line) for line in many])
    thread.start()

    got = 0
    while got < 100 * len(many):
        got += len(os.read(reads, 1 << 20))
        assert len(writer._lines) <= 10_002

    thread.join()
    os.close(reads)
    os.close(writes)


def test_lines_that_wait_are_written_at_the_exit_and_after_a_fork() -> None:
    program = """
import os
from app.observability.access_log import LineWriter
writer = LineWriter(1)
writer.write(b"parent\\n")
if os.fork() == 0:
    writer.write(b"child\\n")
    raise SystemExit
os.wait()
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, timeout=60
    )

    assert sorted(done.stdout.split()) == [b"child", b"parent"]
