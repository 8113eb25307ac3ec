import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.renderer.sandbox.answers import Kind, kinds_of, packed
from app.renderer.sandbox.process import Died, Expired, NotReady, SandboxProcess
from tests.renderer import cell_work as work

ROOT = Path(__file__).parents[3]
MEMORY = 256 * 1024 * 1024
SCRIPT = """
import sys, time
from app.renderer.sandbox.process import SandboxProcess
from tests.renderer import cell_work as work

if __name__ == "__main__":
    cell = SandboxProcess(work.prepare, memory_bytes=1 << 28)
    if sys.argv[2:]:
        cell.fork_early()
    print(cell.run(work.pid, timeout_s=30), flush=True)
    time.sleep(float(sys.argv[1]))
"""


@pytest.fixture(scope="module")
def cell() -> Iterator[SandboxProcess]:
    kinds = kinds_of([Kind(work.Refused, (str, int))])
    made = SandboxProcess(work.prepare, memory_bytes=MEMORY, kinds=kinds)
    yield made
    made.close()


def lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def ends(pid: int) -> bool:
    for _ in range(100):
        if not lives(pid):
            return True
        time.sleep(0.05)
    return False


def test_work_is_done_in_one_other_process(cell: SandboxProcess) -> None:
    first, second = (cell.run(work.pid, timeout_s=9) for _ in range(2))

    assert first == second != os.getpid()


def test_nothing_can_be_opened(cell: SandboxProcess) -> None:
    assert cell.run(work.doors, timeout_s=9) == []


def test_no_core_is_dumped(cell: SandboxProcess) -> None:
    assert cell.run(work.core_limit, timeout_s=9) == (0, 0)


@pytest.mark.parametrize("function", [work.spin, work.sleep])
def test_work_is_stopped_at_its_deadline(cell: SandboxProcess, function) -> None:
    arguments = (60,) if function is work.sleep else ()
    before = cell.run(work.pid, timeout_s=9)
    started = time.perf_counter()

    with pytest.raises(Expired):
        cell.run(function, *arguments, timeout_s=0.5)

    assert 0.5 <= time.perf_counter() - started < 3
    assert ends(before)


def test_memory_is_bounded(cell: SandboxProcess) -> None:
    assert cell.run(work.take, MEMORY // 2, timeout_s=9) == MEMORY // 2
    with pytest.raises(MemoryError):
        cell.run(work.take, MEMORY * 2, timeout_s=9)


def test_a_death_is_told_and_the_process_replaced(cell: SandboxProcess) -> None:
    with pytest.raises(Died) as caught:
        cell.run(work.abort, timeout_s=9)

    assert caught.value.code == -signal.SIGABRT
    assert cell.run(work.pid, timeout_s=9)


def test_a_process_killed_in_its_sleep_is_replaced(cell: SandboxProcess) -> None:
    os.kill(cell.run(work.pid, timeout_s=9), signal.SIGKILL)
    time.sleep(0.4)

    assert cell.run(work.pid, timeout_s=9)


def test_errors_come_back_as_themselves(cell: SandboxProcess) -> None:
    with pytest.raises(work.Refused) as caught:
        cell.run(work.refuse, timeout_s=9)

    assert (caught.value.one, caught.value.two) == ("a", 1)


def framed(answer: bytes, length: int | None = None) -> bytes:
    return (len(answer) if length is None else length).to_bytes(8) + answer


class Trap:
    """What runs where it is unpickled."""

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(TRAP),)


TRAP = Path(tempfile.gettempdir()) / f"mimeo-trap-{os.getpid()}"
LIES = {
    "a pickle": framed(pickle.dumps((True, Trap()))),
    "a pickle that raises": framed(pickle.dumps((False, Trap()))),
    "no JSON": framed(b"{" * 99),
    "nothing": framed(b""),
    "an endless one": framed(b"x" * 99, 1 << 62),
    "a kind that is none": framed(packed((True, 1), {}).replace(b"true", b"null")),
    "an error that is none": framed(packed((False, "x"), {})),
}


@pytest.mark.parametrize("name", LIES)
def test_a_hostile_answer_is_the_end_of_its_process_and_runs_nothing(
    cell: SandboxProcess, name: str
) -> None:
    before = cell.run(work.pid, timeout_s=9)

    with pytest.raises(Died):
        cell.run(work.lie, LIES[name], timeout_s=9)

    assert not TRAP.exists()
    assert ends(before)
    assert cell.run(work.pid, timeout_s=9) != before


def test_what_no_answer_can_have_is_an_error_that_says_so(cell: SandboxProcess) -> None:
    with pytest.raises(RuntimeError, match="an answer cannot have object"):
        cell.run(work.odd, timeout_s=9)


def test_threads_take_turns(cell: SandboxProcess) -> None:
    found: list[int] = []

    def ask() -> None:
        found.append(cell.run(work.pid, timeout_s=9))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(found) == 8
    assert len(set(found)) == 1


def test_a_closed_cell_leaves_no_process_and_opens_again() -> None:
    cell = SandboxProcess(work.prepare, memory_bytes=MEMORY)
    pid = cell.run(work.pid, timeout_s=9)

    cell.close()

    assert ends(pid)
    assert cell.run(work.pid, timeout_s=9) != pid
    cell.close()
    cell.close()


def test_a_process_that_cannot_get_ready_is_an_error_soon() -> None:
    cell = SandboxProcess(work.fail, memory_bytes=MEMORY)

    with pytest.raises(NotReady):
        cell.run(work.pid, timeout_s=9)
    cell.close()


@pytest.mark.parametrize("early", [[], ["early"]])
@pytest.mark.parametrize("death", [None, signal.SIGTERM, signal.SIGKILL])
def test_no_process_outlives_its_parent(death, early, tmp_path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    command = [sys.executable, str(script), "0" if death is None else "60", *early]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        if death is not None:
            parent.send_signal(death)
        parent.wait(20)

    assert ends(child)


EARLY = """
import signal, threading
from app.renderer.sandbox.process import Died, Expired, SandboxProcess
from tests.renderer import cell_work as work

if __name__ == "__main__":
    held = bytearray(64 << 20)
    cell = SandboxProcess(work.prepare, memory_bytes=1 << 28)
    cell.fork_early()
    threading.Thread(target=threading.Event().wait, daemon=True).start()
    print(cell.run(work.doors, timeout_s=9))
    first = cell.run(work.private_bytes, timeout_s=9)
    print(first < len(held) // 2)
    for function in (work.abort, work.spin):
        try:
            cell.run(function, timeout_s=0.5)
        except (Died, Expired) as error:
            print(type(error).__name__)
    print(cell.run(work.private_bytes, timeout_s=9) < len(held) // 2)
    cell.close()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="it reads /proc")
def test_a_process_forked_early_shares_memory_and_is_replaced(tmp_path) -> None:
    script = tmp_path / "script.py"
    script.write_text(EARLY)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}

    run = subprocess.run(
        [sys.executable, str(script)],
        capture_output=True,
        env=environment,
        text=True,
        timeout=60,
    )

    told = ["[]", "True", "Died", "Expired", "True"]
    assert run.stdout.splitlines() == told, run.stderr
    assert run.stderr == ""


def test_a_fork_server_that_was_killed_is_replaced() -> None:
    cell = SandboxProcess(work.prepare, memory_bytes=MEMORY)
    first = cell.run(work.pid, timeout_s=9)
    os.kill(cell.run(os.getppid, timeout_s=9), signal.SIGKILL)
    assert ends(first)

    assert cell.run(work.pid, timeout_s=9) != first
    cell.close()


@pytest.mark.parametrize("late", [(), ("imaplib",)])
def test_modules_are_imported_once_for_all_processes(late) -> None:
    cell = SandboxProcess(work.look, memory_bytes=MEMORY, late=late)

    try:
        first = cell.run(work.pid, timeout_s=9)
        assert cell.run(work.found, timeout_s=9) == [bool(late)]
        os.kill(first, signal.SIGKILL)
        assert ends(first)
        assert cell.run(work.found, timeout_s=9) == [bool(late)]
    finally:
        cell.close()
