"""One budget of memory: what the host allows, and who of Mimeo may have how much."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from app.config.settings import Settings

_MIB = 1 << 20
# Measured, see docs/explanation/performance.md: the master's own and what all
# processes have in common, fonts and code;
_SHARED = 128 * _MIB
# then what a worker, and the process that draws callers' HTML, have for themselves
# when they are warm and draw small pictures, two at a time.
_WORKER = 174 * _MIB
_HTML = 64 * _MIB
# What a browser has for itself with a small page, beside what it shares with others'.
BROWSER_BYTES = 256 * _MIB
# What a process that draws collections has for itself, and a worker the copy of itself
# that such processes are forked from.
_PROCESS = 64 * _MIB
_COPY = 8 * _MIB
# What nobody here counts: the kernel's part, files in memory, fragments.
_SPARE = 1 / 18
# Of what is left to a worker. The rest is for drawing, of which HTML in its process
# has a part: the two never draw large pictures at a time.
_HTML_SHARE = 2 / 5
_LOOKAHEAD_SHARE = 1 / 64
_CACHE_SHARE = 1 / 16
# The engine's pixels, a copy without alpha, filtered rows or the encoder's planes, and
# what is encoded: 15 for a gradient as PNG or WebP, 17 as JPEG; an image sent 11.
PIXEL_BYTES = 16
# libaom took 50 in all, PNG that tries every filter 35.
_WEIGHTS = {"avif": 3}
_WEIGHT_SMALL = 2
_LEAST_LOOKAHEAD = _MIB // 4
# A worker that holds no more is not replaced.
_LEAST_WORKER = 256 * _MIB
# Below it a caller's HTML could not even be laid out,
_LEAST_HTML = 64 * _MIB
# nor a card of double size be drawn.
_LEAST_DRAWING = 48 * _MIB
# A worker more is worth less than pictures of seven million pixels.
_LARGE = 7_000_000 * PIXEL_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryBudget:
    """The parts of `total_bytes`; all but the first three are of each worker.

    `processes` draw collections, those of all workers together.
    `drawing_bytes` is what one picture may take, or all that are drawn at a time;
    `worker_bytes` is what a worker may hold for itself before it is replaced;
    `html_bytes` what its process for callers' HTML may map on top of what that needs
    to begin, or its browser hold, as the two never draw at a time;
    `cache_bytes` what each room of a store in memory may hold, and what is
    remembered of images; `lookahead_bytes` what is drawn ahead of one client;
    `pixels_in_flight` how many device pixels may be decoded, drawn and encoded at a
    time, see `weight_of`.
    """

    total_bytes: int
    workers: int
    processes: int
    worker_bytes: int
    html_bytes: int
    cache_bytes: int
    lookahead_bytes: int
    drawing_bytes: int
    pixels_in_flight: int

    def applied_to(self, settings: Settings) -> Settings:
        """Return the settings with the bounds that memory sets, where they are lower.

        Applied twice it changes nothing more, if the budget is made of its result.
        """
        rooms = ("store_bytes", "collections_bytes", "purchases_bytes")
        kept = {name: getattr(settings, name) for name in rooms}
        if settings.store == "memory:":
            kept = {name: min(size, self.cache_bytes) for name, size in kept.items()}
        return replace(
            settings,
            workers=self.workers,
            bulk_processes=min(settings.bulk_processes, self.processes),
            **kept,
            drawing_bytes=min(settings.drawing_bytes, self.drawing_bytes),
            max_image_pixels=min(settings.max_image_pixels, self.pixels_in_flight),
            html_memory_bytes=min(settings.html_memory_bytes, self.html_bytes),
            lookahead_bytes=min(settings.lookahead_bytes, self.lookahead_bytes),
        )


def budget_of(settings: Settings) -> MemoryBudget:
    """Divide the memory that is set, or else the host's."""
    total = settings.memory_bytes or host_bytes()
    usable = int(total * (1 - _SPARE)) - _SHARED
    isolated = _HTML + (BROWSER_BYTES if settings.browser else 0)
    # Each worker can draw a large picture, if settings admit one, or else large HTML.
    largest = min(settings.max_pixels * PIXEL_BYTES, settings.drawing_bytes, _LARGE)
    least = largest / (1 - _LOOKAHEAD_SHARE - _CACHE_SHARE)
    fitting = int(usable / (_WORKER + isolated + least))
    workers = max(1, min(settings.workers, fitting))
    # Processes for collections have what all this leaves, as threads draw them, too.
    spare = usable - workers * int(_WORKER + isolated + _COPY + least)
    processes = max(0, min(settings.bulk_processes, spare // _PROCESS))
    if processes:
        usable -= processes * _PROCESS + workers * _COPY
    room = max(0, usable // workers - _WORKER - isolated)
    lookahead = int(room * _LOOKAHEAD_SHARE)
    cache = int(room * _CACHE_SHARE)
    drawing = max(_LEAST_DRAWING, room - lookahead - cache)
    html = max(_LEAST_HTML, int(drawing * _HTML_SHARE))
    # As many collections are drawn at a time, and each looks ahead.
    streams = max(1, settings.threads // 2)
    return MemoryBudget(
        total_bytes=total,
        workers=workers,
        processes=processes,
        worker_bytes=max(_LEAST_WORKER, _WORKER + room - html),
        html_bytes=html,
        cache_bytes=max(_MIB, cache),
        lookahead_bytes=max(_LEAST_LOOKAHEAD, lookahead // streams),
        drawing_bytes=drawing,
        pixels_in_flight=drawing // PIXEL_BYTES,
    )


# Each picture asks for it.
@lru_cache(64)
def weight_of(format: str, *, small: bool = False) -> int:
    """Return for how many pixels in flight one of a picture in this format counts.

    `small` is the compression of that name.
    """
    return _WEIGHT_SMALL if small else _WEIGHTS.get(format, 1)


def host_bytes(root: Path = Path("/")) -> int:
    """Return the memory of this host: of its cgroup where that is bounded.

    `root` is where `proc` and `sys` are. A bound of any group above holds as well.
    """
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min([pages, *_bounds(root)])


def _bounds(root: Path) -> Iterator[int]:
    """Yield what the groups of this process, and those above, may hold."""
    for folder, names in _groups(root):
        for name in names:
            try:
                text = (folder / name).read_text(encoding="ascii").strip()
            except (OSError, UnicodeDecodeError):
                continue
            # v2 says "max" where there is none, v1 a number beyond any memory.
            if text.isdigit():
                yield int(text)


def _groups(root: Path) -> Iterator[tuple[Path, tuple[str, ...]]]:
    """Yield folders of cgroups and the names of their bounds, see cgroups(7).

    In a container the path may be the host's, which is not there: then only the root
    of what is mounted is the container's own.
    """
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        lines = ["0::/"]
    mounted = root / "sys/fs/cgroup"
    for line in lines:
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        inner = Path(path.lstrip("/"))
        tops: tuple[Path, ...]
        names: tuple[str, ...]
        if number == "0" and not controllers:
            # From MemoryHigh on the kernel slows a group down to a crawl.
            tops, names = (mounted, mounted / "unified"), ("memory.max", "memory.high")
        elif "memory" in controllers.split(","):
            tops, names = (mounted / "memory",), ("memory.limit_in_bytes",)
        else:
            continue
        for top in tops:
            for folder in (inner, *inner.parents):
                if ".." not in folder.parts:
                    yield top / folder, names
