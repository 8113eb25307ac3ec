"""Badges in one ZIP, by Mimeo, by a script and by Flask, for `benchmarks.http`."""

import csv
import io
import os
import resource
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from typing import IO

import requests

from benchmarks import titles
from benchmarks.pictures import PICTURES
from benchmarks.servers import ROOT, Running


def by_mimeo(server: Running, first: int, count: int) -> int:
    """Post a table of names, read the archive; return how many badges it holds."""
    badge = dict(PICTURES["badge"].parameters)
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(badge)
    for number in range(first, first + count):
        writer.writerow((badge | {"name": titles.title(number)}).values())
    answer = requests.post(
        f"{server.base}/collections.zip?renderer=badge",
        data=text.getvalue().encode(),
        headers={"Content-Type": "text/csv"},
        stream=True,
        timeout=300,
    )
    return _badges(answer, count)


def by_flask(server: Running, first: int, count: int) -> int:
    """Read the archive of the Flask app; return how many badges it holds."""
    url = f"{server.base}/badges.zip?first={first}&count={count}"
    return _badges(requests.get(url, stream=True, timeout=300), count)


def by_script(assets: Mapping[str, str], first: int, count: int) -> int:
    """Run the script; return how many badges its archive holds."""
    module = "benchmarks.contenders.archive_app"
    command = [sys.executable, "-m", module, str(count), str(first)]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, **assets},
        stdout=subprocess.PIPE,
        check=True,
    )
    return int(done.stdout)


def ended_s() -> float:
    """Return the processor time of all child processes that have ended."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return ended.ru_utime + ended.ru_stime


def _badges(answer: requests.Response, count: int) -> int:
    """Read an archive to its end; raise RuntimeError unless it holds `count` PNGs."""
    answer.raise_for_status()
    with tempfile.TemporaryFile() as file:
        for part in answer.iter_content(1 << 16):
            file.write(part)
        found = _pngs(file)
    if found != count:
        raise RuntimeError(f"{found} badges instead of {count}")
    return found


def _pngs(file: IO[bytes]) -> int:
    with zipfile.ZipFile(file) as archive:
        return sum(name.endswith(".png") for name in archive.namelist())
