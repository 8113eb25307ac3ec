"""3,000 different renders leave the memory of a worker flat after warm-up."""

from benchmarks.memory import BOUND_MIB, soak


def test_memory_threads_and_files_are_flat_after_warm_up() -> None:
    result = soak(3_000)

    first, last = result.settled[0], result.settled[-1]
    assert result.growth_mib < BOUND_MIB
    assert last.threads - first.threads <= 2
    assert last.files - first.files <= 2
