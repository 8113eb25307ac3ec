"""Measure the `app/` of another checkout with the benchmarks of this one.

A child process imports `app` out of the tree that it is given; everything else,
`benchmarks` and the installed packages, is this checkout's.
"""

import importlib
import io
import json
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.servers import ROOT


@contextmanager
def checked_out(place: str) -> Iterator[Path]:
    """Yield a checkout: a folder as it is, or a commit of this repository, unpacked."""
    if Path(place).is_dir():
        yield Path(place).resolve()
        return
    archive = subprocess.run(
        ["git", "archive", place], cwd=ROOT, stdout=subprocess.PIPE, check=True
    )
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as packed:
            packed.extractall(folder, filter="data")
        yield Path(folder)


def child(module: str, tree: Path, *arguments: str) -> Any:
    """Return the JSON that `python -m module --child tree` prints."""
    command = [sys.executable, "-m", module, "--child", str(tree), *arguments]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


def use(tree: Path) -> None:
    """Let `app` be that of a tree, in a process that has not imported it yet.

    Raises RuntimeError where another one was first.
    """
    sys.path.insert(0, str(tree))
    # The package's modules are found by its own path from here on.
    app = importlib.import_module("app")
    sys.path.remove(str(tree))
    if Path(str(app.__file__)).parent != tree / "app":
        raise RuntimeError(f"{app.__file__} was imported instead of {tree}/app")
