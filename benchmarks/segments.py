"""The archive of a job of a million images: memory, and time to the first byte.

`python -m benchmarks.segments` writes results of two finished jobs, of identicons of
32 px, and gets their archives from one server: whole, resumed, and the head alone. The
large one is read by two other programs.
"""

import argparse
import io
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from statistics import median

import requests
from zlib_ng import zlib_ng

from app.archive.manifest import Entry, Manifest
from app.archive.segments import encode_segment
from app.bootstrap import open_room
from app.config import Settings
from app.jobs.job import Job, digest
from app.jobs.job_ledger import JobLedger
from app.renderer.base import Output
from app.renderer.catalogue import Catalogue
from app.renderer.produce import produce
from benchmarks import servers, table
from benchmarks.bulk import rss_mib

ROWS, SIZE, FEW = 1_000_000, 500, 100
SIDE = 32
MOST_MIB, MOST_TIMES = 1.0, 3.0
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


def write(ledger: JobLedger, rows: int, data: Sequence[bytes]) -> str:
    """Write the result of a job of so many images; return the path of its archive."""
    content = digest(_COLLECTION, str(rows))
    job = Job(
        id="",
        content=content,
        collection=_COLLECTION,
        count=rows,
        size=SIZE,
        form="zip",
        query="",
        format="png",
        kind="local",
        account="",
        key_id="",
        address="",
        created=time.time(),
        reserved=0,
        webhook=None,
    )
    job = ledger.submit(job, None, lambda: iter((b"",)))
    facts = [(len(each), zlib_ng.crc32(each), sha256(each).digest()) for each in data]
    for chunk in range(job.chunks):
        first, last = job.rows(chunk)
        manifest = Manifest(_COLLECTION, last - first + 1)
        for index in range(first, last + 1):
            known = facts[index - first]
            name = f"{index}.png"
            manifest.add(Entry(index, name, "image/png", SIDE, SIDE, *known))
        joined = io.BytesIO(b"".join(data[: len(manifest)]))
        with ledger.attempt(job, chunk) as attempt:
            if attempt is None:
                raise RuntimeError(f"chunk {chunk} is another's")
            ledger.commit(job, chunk, encode_segment(manifest, joined), attempt)
    ledger.finish(job, "succeeded")
    return f"/jobs/{job.id}/archive.zip"


def fetch(url: str, rows: int, target: Path, pid: int) -> list[float]:
    """Save an archive; return a process's MiB before, and after each 100,000 images."""
    with (
        requests.get(url, stream=True, timeout=60) as answer,
        target.open("wb") as file,
    ):
        answer.raise_for_status()
        step = int(answer.headers["Content-Length"]) * _STEP // rows
        found = [rss_mib(pid)]
        for piece in answer.iter_content(1 << 16):
            file.write(piece)
            if file.tell() >= step * len(found):
                found.append(rss_mib(pid))
    return found


def resumed_s(session: requests.Session, url: str, share: float) -> float:
    """Return the seconds to the first byte behind a share of an archive."""
    head = session.head(url, timeout=60).headers
    start = int(int(head["Content-Length"]) * share)
    headers = {"Range": f"bytes={start}-", "If-Range": head["ETag"]}
    started = time.perf_counter()
    with session.get(url, headers=headers, stream=True, timeout=60) as answer:
        next(answer.iter_content(1))
        seconds = time.perf_counter() - started
        if answer.status_code != 206:
            raise RuntimeError(f"{answer.status_code} instead of a part of {url}")
    return seconds


def head_s(session: requests.Session, url: str) -> float:
    """Return the seconds of a HEAD."""
    started = time.perf_counter()
    session.head(url, timeout=60).raise_for_status()
    return time.perf_counter() - started


def times(few: str, many: str) -> dict[str, tuple[float, float]]:
    """Return milliseconds of the small archive and of the large, asked in turns."""
    kinds = {
        "HEAD": head_s,
        "resumed among the images": lambda s, url: resumed_s(s, url, 0.25),
        "resumed in the manifest": lambda s, url: resumed_s(s, url, 0.75),
        "resumed in the directory": lambda s, url: resumed_s(s, url, 0.95),
    }
    found: dict[str, tuple[float, float]] = {}
    with requests.Session() as session:
        for name, ask in kinds.items():
            tries = [(ask(session, few), ask(session, many)) for _ in range(_TRIES)]
            small, large = (
                1000 * median(column) for column in zip(*tries, strict=True)
            )
            found[name] = small, large
    return found


def listed(archive: Path) -> dict[str, int]:
    """Return how many members two programs find, one by directory, one by headers."""
    commands = {"unzip": ("unzip", "-Z1"), "bsdtar": ("bsdtar", "-tf")}
    return {
        name: len(subprocess.check_output([*command, archive]).splitlines())
        for name, command in commands.items()
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and report; return 1 where a budget is missed, or an image is missing."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks.segments", description=__doc__
    )
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--markdown", action="store_true")
    options = parser.parse_args(arguments)
    rows = options.rows
    print(table.show_machine(options.markdown))
    with tempfile.TemporaryDirectory() as root:
        store = str(Path(root, "store"))
        settings = replace(Settings(), store=store, workers=1)
        room = open_room(settings, None, "jobs")
        ledger = JobLedger(room, None, settings.jobs_ttl_s, 1)
        data = images()
        small, large = write(ledger, FEW, data), write(ledger, rows, data)
        server = servers.mimeo("Mimeo", 1, MIMEO_STORE=store, MIMEO_ACCESS_LOG="off")
        archive = Path(root, "archive.zip")
        with servers.running(server) as running:
            few, many = running.base + small, running.base + large
            asked = times(few, many)
            [worker] = running.children
            started = time.perf_counter()
            sent = fetch(many, rows, archive, worker)
            seconds = time.perf_counter() - started
        found, size = listed(archive), archive.stat().st_size
    half = len(sent) // 2
    slope = (sent[-1] - sent[half]) / max(1, len(sent) - 1 - half)
    lines = [
        (name, f"{a:.2f}", f"{b:.2f}", f"{b / a:.2f}") for name, (a, b) in asked.items()
    ]
    head = (
        "first byte, ms",
        f"{FEW} images",
        f"{rows:,}",
        f"ratio (budget {MOST_TIMES:g})",
    )
    print(table.show("The archive of a finished job", head, lines, options.markdown))
    shown = ", ".join(f"{mib:.1f}" for mib in sent)
    print(f"{size:,} bytes in {seconds:.1f} s.")
    print(f"MiB of the worker before and after each {_STEP:,} images: {shown}.")
    print(
        f"Over the last half {slope:+.2f} MiB for {_STEP:,} images (budget {MOST_MIB})."
    )
    shown = ", ".join(f"{count:,} by {name}" for name, count in found.items())
    print(f"Members found: {shown}.")
    fine = (
        slope <= MOST_MIB
        and set(found.values()) == {rows + 1}
        and all(b <= MOST_TIMES * a for a, b in asked.values())
    )
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
