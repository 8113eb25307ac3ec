"""Programs and libraries that read an archive whole; each says what it found."""

import shutil
import subprocess
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

import pytest
from stream_unzip import stream_unzip

_JAVA = Path(__file__).with_name("ReadStream.java")
_PIECE = 1 << 20


def run(*command: str | Path, stdin: int | None = subprocess.DEVNULL) -> str:
    """Return what a program prints; its failure is the test's."""
    done = subprocess.run(command, stdin=stdin, capture_output=True, text=True)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return f"{done.returncode}\n{done.stdout}{done.stderr}"


def run_from_pipe(path: Path, *command: str | Path) -> list[str]:
    """Return the lines that a program prints which cannot seek in its input."""
    source = subprocess.Popen(["cat", path], stdout=subprocess.PIPE)
    with source, source.stdout:
        done = subprocess.run(command, stdin=source.stdout, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout.decode().splitlines()


def _zipfile(path: Path) -> int:
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        return len(archive.namelist())


def _unzip(path: Path) -> int:
    report = run("unzip", "-t", path)
    empty = "zipfile is empty" in report
    # Its status for an archive without members is 1, a warning.
    assert report.startswith("1" if empty else "0"), report
    assert empty or "No errors detected" in report
    return sum(line.endswith(" OK") for line in report.splitlines())


def _7z(path: Path) -> int:
    report = run("7z", "t", path)
    assert report.startswith("0"), report
    assert "Everything is Ok" in report
    assert "Warning" not in report
    values = dict(line.split(": ", 1) for line in report.splitlines() if ": " in line)
    return 0 if "No files to process" in report else int(values.get("Files", 1))


def _bsdtar(path: Path) -> int:
    return len(run_from_pipe(path, "bsdtar", "-tf", "-"))


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            yield piece


def _stream_unzip(path: Path) -> int:
    count = 0
    for _, size, data in stream_unzip(_pieces(path), chunk_size=_PIECE):
        assert sum(map(len, data)) == size
        count += 1
    return count


def _java(path: Path) -> int:
    if shutil.which("java") is None:
        pytest.skip("there is no java here to try ZipInputStream with")
    (line,) = run_from_pipe(path, "java", _JAVA)
    return int(line.split()[0])


READERS: Mapping[str, Callable[[Path], int]] = MappingProxyType(
    {
        "zipfile": _zipfile,
        "unzip": _unzip,
        "7z": _7z,
        "bsdtar": _bsdtar,
        "stream_unzip": _stream_unzip,
        "java": _java,
    }
)
