"""The allocator setting saves page faults, on the C library it is made for."""

import platform
import subprocess
import sys

import pytest

GLIBC = platform.libc_ver()[0] == "glibc"
# Prints the page faults of 50 buffers of 3 MB, the size of a card's pixels.
COUNT_FAULTS = """
import resource
from app.config.allocator import tune
{setup}
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def churn():
    for _ in range(50):
        bytes(bytearray(b"x") * 3_000_000)
churn()
before = faults()
churn()
print(faults() - before)
"""


def count_faults(setup: str) -> int:
    program = COUNT_FAULTS.format(setup=setup)
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, text=True
    )
    return int(run.stdout)


@pytest.mark.skipif(not GLIBC, reason="mallopt belongs to glibc")
def test_repeated_buffers_cost_a_hundredth_of_the_page_faults():
    plain = count_faults("")
    tuned = count_faults("assert tune()")

    assert plain > 10_000
    assert tuned < plain / 100


@pytest.mark.skipif(not GLIBC, reason="mallopt belongs to glibc")
def test_child_processes_inherit_the_setting():
    forked = "import os\ntune()\nif os.fork(): os.wait(); os._exit(0)"

    assert count_faults(forked) < 1_000


def test_other_platforms_are_left_alone():
    program = (
        "import sys; sys.platform = 'darwin'\nfrom app.config.allocator import tune"
    )
    run = subprocess.run(
        [sys.executable, "-c", f"{program}\nprint(tune())"],
        capture_output=True,
        check=True,
        text=True,
    )

    assert run.stdout == "False\n"


TRIM = """
import gc
from app.config.allocator import settle, trim, tune
def rss():
    text = open("/proc/self/status").read()
    return int(text.partition("VmRSS:")[2].split()[0])
tune()
held = [bytearray(b"x") * 100_000 for _ in range(1000)]
last = bytearray(100_000)
del held
kept = rss()
{act}
print(kept - rss(), gc.get_freeze_count())
"""


@pytest.mark.skipif(not GLIBC, reason="malloc_trim belongs to glibc")
def test_what_is_free_goes_back_to_the_system():
    run = subprocess.run(
        [sys.executable, "-c", TRIM.format(act="assert trim()")],
        capture_output=True,
        check=True,
        text=True,
    )

    assert int(run.stdout.split()[0]) > 80_000


@pytest.mark.skipif(not GLIBC, reason="malloc_trim belongs to glibc")
def test_before_a_fork_objects_are_frozen():
    run = subprocess.run(
        [sys.executable, "-c", TRIM.format(act="settle()")],
        capture_output=True,
        check=True,
        text=True,
    )

    given, frozen = map(int, run.stdout.split())
    assert given > 80_000
    assert frozen > 1000


DRAW = """
from app.config import Settings
from app.config.allocator import tune
from app.renderer.base import Output
from app.renderer.catalogue import Catalogue
from app.renderer.produce import produce
def rss():
    text = open("/proc/self/status").read()
    return int(text.partition("VmRSS:")[2].split()[0])
tune()
row = Catalogue(Settings(system_fonts=False)).get("gradient")
def draw(side):
    given = {"width": str(side), "height": str(side)}
    parameters = row.parameters.model_validate_strings(given)
    produce(row, parameters, Output.model_validate({"format": "webp"}))
draw(64)
before = rss()
draw(3000)
print(rss() - before)
"""


@pytest.mark.skipif(not GLIBC, reason="malloc_trim belongs to glibc")
def test_a_large_picture_leaves_no_memory_behind():
    # 36 MB of pixels and as much again stayed with each thread that had drawn.
    run = subprocess.run(
        [sys.executable, "-c", DRAW], capture_output=True, check=True, text=True
    )

    assert int(run.stdout) < 16_000
