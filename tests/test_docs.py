"""Every command in the README and the documents does what it says."""

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from pypdf import PdfReader

ROOT = Path(__file__).parent.parent
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?:)([^)#]+)\)")
SERVE = "bin/serve"


def commands(document: Path) -> list[str]:
    joined = "\n".join(BLOCK.findall(document.read_text())).replace("\\\n", " ")
    return [line for line in joined.splitlines() if line.strip()]


CASES = [
    pytest.param(command, id=f"{document.name}: {command[:60]}")
    for document in DOCUMENTS
    for command in commands(document)
    if command.startswith(("curl ", ".venv/bin/mimeo "))
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """What `bin/serve` starts, on a port that is free."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environ = {**os.environ, "PORT": str(port), "HOST": "127.0.0.1"}
    environ["MIMEO_STORE"] = str(tmp_path_factory.mktemp("store"))
    process = subprocess.Popen(
        [SERVE],
        cwd=ROOT,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    seen = next((line for line in process.stdout if f":{port}/" in line), None)
    assert seen, "bin/serve ended without printing a URL"
    yield f"127.0.0.1:{port}"
    os.killpg(process.pid, signal.SIGTERM)
    process.wait(30)
    process.stdout.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that looks like the clone but catches what commands write."""
    for name in ("bin", "docs", ".venv"):
        (tmp_path / name).symlink_to(ROOT / name)
    return tmp_path


@pytest.mark.parametrize("command", CASES)
def test_command_works(command: str, server: str, folder: Path) -> None:
    local = command.replace("127.0.0.1:8000", server)

    done = subprocess.run(
        ["sh", "-c", local], cwd=folder, capture_output=True, text=True, timeout=60
    )

    assert done.returncode == 0, done.stderr
    words = shlex.split(local)
    if "-o" in words:
        check_file(folder / words[words.index("-o") + 1])
    elif words[0] == "curl" and "-I" not in words:
        assert json.loads(done.stdout)


def check_file(path: Path) -> None:
    """The file is what its ending says."""
    if path.suffix == ".pdf":
        assert PdfReader(path).pages
    elif path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            assert archive.testzip() is None
            # A URL whose braces curl took for its own would name all alike.
            assert not [name for name in archive.namelist() if "index" in name]
    elif path.suffix == ".svg":
        assert path.read_text().startswith("<svg")
    else:
        with Image.open(path) as image:
            kinds = {".jpg": "JPEG", ".tiff": "TIFF", ".png": "PNG"}
            kinds |= {".webp": "WEBP", ".ico": "ICO"}
            assert image.format == kinds[path.suffix]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_other_command_is_one_that_this_file_knows(document: Path) -> None:
    known = ("curl ", ".venv/bin/mimeo ", SERVE, "bin/test", "python -m benchmarks")
    for command in commands(document):
        assert command.startswith(known), command


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    for target in LINK.findall(document.read_text()):
        assert (document.parent / target).exists(), target
