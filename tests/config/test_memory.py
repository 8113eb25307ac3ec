"""The budget of memory: what the host says, and what comes of it."""

import os
from pathlib import Path

import pytest

from app.config import (
    PIXEL_BYTES,
    MemoryBudget,
    Settings,
    budget_of,
    host_bytes,
    weight_of,
)

MIB = 1 << 20
UNBOUNDED_V1 = "9223372036854771712"


def lay_out(root: Path, files: dict[str, str]) -> Path:
    """Write files as `/proc` and `/sys` have them; return the root of both."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    return root


def machine_bytes() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


HOSTS = {
    "v2": {
        "proc/self/cgroup": "0::/box",
        "sys/fs/cgroup/box/memory.max": f"{100 * MIB}",
    },
    "v2, the group above is smaller": {
        "proc/self/cgroup": "0::/pod/box",
        "sys/fs/cgroup/pod/memory.max": f"{100 * MIB}",
        "sys/fs/cgroup/pod/box/memory.max": f"{200 * MIB}",
    },
    "v2, the group above is larger": {
        "proc/self/cgroup": "0::/pod/box",
        "sys/fs/cgroup/pod/memory.max": f"{200 * MIB}",
        "sys/fs/cgroup/pod/box/memory.max": f"{100 * MIB}",
    },
    "v2, slowed down before it is killed": {
        "proc/self/cgroup": "0::/box",
        "sys/fs/cgroup/box/memory.max": f"{200 * MIB}",
        "sys/fs/cgroup/box/memory.high": f"{100 * MIB}",
    },
    "v2, a namespace of its own": {
        "proc/self/cgroup": "0::/",
        "sys/fs/cgroup/memory.max": f"{100 * MIB}",
    },
    "v2, a path of the host's": {
        "proc/self/cgroup": "0::/../../docker/4711",
        "sys/fs/cgroup/memory.max": f"{100 * MIB}",
    },
    "v1": {
        "proc/self/cgroup": "9:cpu,cpuacct:/\n4:memory:/box\n0::/",
        "sys/fs/cgroup/memory/box/memory.limit_in_bytes": f"{100 * MIB}",
        "sys/fs/cgroup/memory/memory.limit_in_bytes": UNBOUNDED_V1,
    },
    "v1, a path of the host's": {
        "proc/self/cgroup": "4:memory:/docker/4711",
        "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{100 * MIB}",
    },
    "v1 and v2 beside each other": {
        "proc/self/cgroup": "4:memory:/box\n0::/box",
        "sys/fs/cgroup/memory/box/memory.limit_in_bytes": UNBOUNDED_V1,
        "sys/fs/cgroup/unified/box/memory.max": f"{100 * MIB}",
    },
    "no proc": {"sys/fs/cgroup/memory.max": f"{100 * MIB}"},
}
UNBOUNDED = {
    "no cgroups": {},
    "v2": {"proc/self/cgroup": "0::/box", "sys/fs/cgroup/box/memory.max": "max"},
    "v1": {
        "proc/self/cgroup": "4:memory:/box",
        "sys/fs/cgroup/memory/box/memory.limit_in_bytes": UNBOUNDED_V1,
    },
    "another controller": {
        "proc/self/cgroup": "4:cpu:/box",
        "sys/fs/cgroup/memory/box/memory.limit_in_bytes": f"{100 * MIB}",
    },
}


@pytest.mark.parametrize("files", HOSTS.values(), ids=HOSTS)
def test_the_smallest_bound_of_the_cgroups_holds(
    tmp_path: Path, files: dict[str, str]
) -> None:
    assert host_bytes(lay_out(tmp_path, files)) == 100 * MIB


@pytest.mark.parametrize("files", UNBOUNDED.values(), ids=UNBOUNDED)
def test_without_a_bound_it_is_the_memory_of_the_machine(
    tmp_path: Path, files: dict[str, str]
) -> None:
    assert host_bytes(lay_out(tmp_path, files)) == machine_bytes()


def budget(mib: int, **given: int) -> MemoryBudget:
    return budget_of(Settings(memory_bytes=mib * MIB, **given))


@pytest.mark.parametrize("mib", [512, 768, 1024, 2048, 4096, 65_536])
@pytest.mark.parametrize("workers", [1, 2, 8, 64])
def test_the_parts_together_are_less_than_the_whole(mib: int, workers: int) -> None:
    made = budget(mib, workers=workers)

    each = made.worker_bytes + made.html_bytes
    assert made.workers * each + 128 * MIB < mib * MIB
    assert made.pixels_in_flight * 4 < made.worker_bytes


def test_memory_never_adds_workers() -> None:
    assert budget(65_536, workers=3).workers == 3


def test_small_memory_has_fewer_workers_but_one_at_least() -> None:
    assert 1 < budget(1024, workers=8).workers < 8
    assert budget(256, workers=8).workers == 1


def test_more_memory_yields_no_less() -> None:
    made = [budget(mib, workers=4) for mib in range(256, 8192, 64)]

    assert [each.workers for each in made] == sorted(each.workers for each in made)
    assert all(each.pixels_in_flight >= MIB for each in made)


def test_what_is_set_is_lowered_where_memory_is_small() -> None:
    settings = Settings(memory_bytes=512 * MIB, workers=8, store="memory:")

    fitted = budget_of(settings).applied_to(settings)

    assert fitted.workers == budget_of(settings).workers
    assert fitted.html_memory_bytes == budget_of(settings).html_bytes < 256 * MIB
    assert fitted.lookahead_bytes < settings.lookahead_bytes
    rooms = (fitted.store_bytes, fitted.collections_bytes, fitted.purchases_bytes)
    assert max(rooms) < 64 * MIB
    assert budget_of(fitted).applied_to(fitted) == fitted


def test_what_is_set_is_not_raised_where_memory_is_large() -> None:
    settings = Settings(
        memory_bytes=64 << 30, html_memory_bytes=1 << 28, lookahead_bytes=1
    )

    assert budget_of(settings).applied_to(settings) == settings


def test_a_store_on_disk_keeps_its_size_in_small_memory() -> None:
    settings = Settings(memory_bytes=512 * MIB, store="none")

    assert budget_of(settings).applied_to(settings).store_bytes == settings.store_bytes


def test_a_host_of_512_mib_draws_seven_million_pixels_but_not_as_avif() -> None:
    settings = Settings(memory_bytes=512 * MIB)

    fitted = budget_of(settings).applied_to(settings)

    need = 7_000_000 * PIXEL_BYTES
    assert need <= fitted.drawing_bytes < need * weight_of("avif")
    assert fitted.max_image_pixels < settings.max_image_pixels


def test_smaller_pictures_leave_room_for_more_workers() -> None:
    assert (
        budget(768, workers=8, max_pixels=1 << 20).workers
        > budget(768, workers=8).workers
    )


def test_an_expensive_format_weighs_more() -> None:
    assert weight_of("png") == weight_of("jpg") == 1
    assert weight_of("avif") > 1
    assert weight_of("png", small=True) > 1
