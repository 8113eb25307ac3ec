"""The archive of a million images over finished segments: memory, and the first byte.

`python -m benchmarks.segments` writes segments of identicons of 32 px to a folder, and
what lays their archive out. A process of its own sends it to a file, which two other
programs read. Memory is resident, so it has what the pages of code and libraries take.
"""

import argparse
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from statistics import median

from zlib_ng import zlib_ng

from app.archive.manifest import Entry, Manifest
from app.archive.segments import SEGMENT_HEAD, Segment, SegmentLayout, encode_segment
from app.config import Settings
from app.renderer.base import Output
from app.renderer.catalogue import Catalogue
from app.renderer.produce import produce
from benchmarks import table
from benchmarks.bulk import rss_mib

ROWS, SIZE, FEW = 1_000_000, 500, 100
SIDE = 32
MOST_MIB = 1.0
_TRIES = 50
_COLLECTION = sha256(b"").hexdigest()
_STEP = 100_000


def images() -> list[bytes]:
    """Return identicons, as many as a segment has."""
    renderer = Catalogue(Settings(store="none")).get("identicon")
    output = Output.model_validate({"format": "png"})
    given = ({"seed": str(number), "size": str(SIDE)} for number in range(SIZE))
    parameters = map(renderer.parameters.model_validate_strings, given)
    return [produce(renderer, each, output).data for each in parameters]


def write(folder: Path, rows: int, data: Sequence[bytes]) -> None:
    """Write the segments of so many images, and the layout of their archive."""
    folder.mkdir()
    facts = [(len(each), zlib_ng.crc32(each), sha256(each).digest()) for each in data]
    for number, first in enumerate(range(1, rows + 1, SIZE)):
        count = min(SIZE, rows + 1 - first)
        manifest = Manifest(_COLLECTION, count)
        for index in range(first, first + count):
            name, known = f"{index}.png", facts[index - first]
            manifest.add(Entry(index, name, "image/png", SIDE, SIDE, *known))
        joined = io.BytesIO(b"".join(data[:count]))
        with (folder / str(number)).open("wb") as file:
            file.writelines(encode_segment(manifest, joined))
    read = reader(folder)
    heads = (
        Segment.decode(read(number, 0, SEGMENT_HEAD)) for number in range(number + 1)
    )
    layout = SegmentLayout.of(_COLLECTION, rows, heads, read)
    (folder / "layout").write_bytes(layout.pack())


def reader(folder: Path) -> Callable[[int, int, int], bytes]:
    """Return what reads ranges of the segments in a folder."""

    def read(number: int, start: int, stop: int) -> bytes:
        with (folder / str(number)).open("rb", buffering=0) as file:
            return os.pread(file.fileno(), stop - start, start)

    return read


def opened(folder: Path) -> SegmentLayout:
    """Read the layout, as whoever is asked for a range does."""
    return SegmentLayout.unpack((folder / "layout").read_bytes(), reader(folder))


def send(folder: Path, rows: int) -> list[float]:
    """Write the archive; return MiB resident, and again after each 100,000 images."""
    layout = opened(folder)
    found, sent = [rss_mib(os.getpid())], 0
    step = layout.length * _STEP // rows
    with (folder / "archive.zip").open("wb") as file:
        for piece in layout.pieces(0, layout.length):
            file.write(piece)
            sent += len(piece)
            if sent >= step * len(found):
                found.append(rss_mib(os.getpid()))
    return found


def first_byte_s(folder: Path) -> float:
    """Return seconds from nothing to the first bytes of the second half."""
    started = time.perf_counter()
    layout = opened(folder)
    next(layout.pieces(layout.length // 2, layout.length))
    return time.perf_counter() - started


def listed(archive: Path) -> dict[str, int]:
    """Return how many members two programs find, one by directory, one by headers."""
    commands = {"unzip": ("unzip", "-Z1"), "bsdtar": ("bsdtar", "-tf")}
    return {
        name: len(subprocess.check_output([*command, archive]).splitlines())
        for name, command in commands.items()
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and report; return 1 where memory grows, or an image is missing."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks.segments", description=__doc__
    )
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--send", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    rows = options.rows
    if options.send is not None:
        print(json.dumps(send(options.send, rows)))
        return 0
    print(table.show_machine(options.markdown))
    with tempfile.TemporaryDirectory() as root:
        few, many = Path(root, "few"), Path(root, "many")
        data = images()
        write(few, FEW, data)
        write(many, rows, data)
        command = [sys.executable, "-m", "benchmarks.segments", "--send", str(many)]
        started = time.perf_counter()
        sent = json.loads(subprocess.check_output([*command, "--rows", str(rows)]))
        seconds = time.perf_counter() - started
        found = listed(many / "archive.zip")
        size = (many / "archive.zip").stat().st_size
        layout = (many / "layout").stat().st_size
        times = [(first_byte_s(few), first_byte_s(many)) for _ in range(_TRIES)]
    half = len(sent) // 2
    slope = (sent[-1] - sent[half]) / max(1, len(sent) - 1 - half)
    print(
        f"{rows:,} images: {size:,} bytes in {seconds:.1f} s; layout {layout:,} bytes."
    )
    shown = ", ".join(f"{mib:.1f}" for mib in sent)
    print(f"MiB resident at the start and after each {_STEP:,} images: {shown}.")
    print(
        f"Over the last half {slope:+.2f} MiB for {_STEP:,} images (budget {MOST_MIB})."
    )
    first = [1000 * median(column) for column in zip(*times, strict=True)]
    print(
        f"To the first byte of the second half, in-process: {first[1]:.2f} ms,"
        f" of {FEW} images {first[0]:.2f} ms."
    )
    shown = ", ".join(f"{count:,} by {name}" for name, count in found.items())
    print(f"Members found: {shown}.")
    fine = slope <= MOST_MIB and set(found.values()) == {rows + 1}
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
