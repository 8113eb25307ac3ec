"""Processes draw what threads would have drawn, whatever happens to them."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from app.pipeline import process_pool
from tests.pipeline.process_work import ROWS, mixed

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it reads /proc")


def run(name: str, argument: str = "") -> tuple[Any, str]:
    """Return what a function of `process_work` found, and what was logged."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("PROMETHEUS")}
    done = subprocess.run(
        [sys.executable, "-m", "tests.pipeline.process_work", name, argument],
        capture_output=True,
        cwd=ROOT,
        env=kept,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), done.stderr


def test_bytes_facts_and_errors_are_those_of_threads_and_of_single_images() -> None:
    found, log = run("equal")

    assert found.pop("processes") >= 2
    assert found == {"alone": True, "off": True, "errors": 20, "left": []}
    assert log == ""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
def test_a_process_that_is_killed_is_replaced_and_its_rows_are_drawn(number) -> None:
    found, log = run("killed", str(number.value))

    assert found == {"equal": True, "ended": 2, "replaced": 2}
    assert log.count(f"a process that draws collections ended with -{number}") == 2


def test_threads_go_on_where_the_fork_server_is_gone() -> None:
    found, log = run("server_killed")

    assert found == {"drawn": ROWS}
    assert "threads draw collections" in log


@pytest.mark.parametrize("kind", ["abort", "exit"])
def test_a_row_that_ends_its_process_twice_fails_alone(kind: str) -> None:
    found, _ = run("faulty", kind)

    failed = {"49": "Undrawable", "99": "Undrawable"}
    assert found == {"failed": failed, "drawn": ROWS - 2}


def test_a_row_that_holds_its_process_up_is_stopped_and_fails_alone() -> None:
    found, log = run("faulty", "sleep")

    failed = {"49": "RenderTimeout", "99": "RenderTimeout"}
    assert found == {"failed": failed, "drawn": ROWS - 2}
    assert "was stopped, for it took too long" in log


def test_a_row_that_fails_is_told_in_words_of_callers() -> None:
    # Once the name of a class stood here, which a renaming had put in its place.
    assert str(process_pool._fault(False, 1.0)).startswith("Drawing was stopped: ")


def test_a_fault_of_ours_comes_with_its_traceback_in_the_log() -> None:
    found, log = run("faulty", "bug")

    assert "Unpicklable" in found
    assert "Traceback" in log
    assert "in badly" in log


def test_what_is_kept_is_not_drawn_again(tmp_path: Path) -> None:
    found, _ = run("kept", str(tmp_path))

    assert found == {"equal": True, "processes": 2}


def test_nothing_is_forked_from_a_process_with_threads() -> None:
    found, _ = run("with_threads")

    assert found == {"drawn": ROWS, "pids": [], "most": 0}


def test_two_workers_together_have_no_more_processes_than_are_set() -> None:
    found, _ = run("shared")

    assert found == {"most": 2}


def test_processes_without_work_end_and_come_again() -> None:
    found, _ = run("idle")

    assert found == {"during": 2, "after": 0, "again": 2}


def test_every_picture_is_counted_once_wherever_it_is_drawn() -> None:
    found, _ = run("counted")

    count = len(mixed())
    assert found["renders"] == found["seconds"] == count
    assert found["in flight"] == 0
    assert found["draw"] == count - 20


def test_messages_wait_while_single_images_do() -> None:
    found, _ = run("crowded")

    assert found["drawn"] == ROWS
    assert found["glances"] > 100
