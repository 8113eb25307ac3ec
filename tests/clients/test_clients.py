"""Programs that others wrote get their images of /v1; `bin/clients` installs them."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.gunicorn_server import ROOT, Server, serve

INSTALLED = ROOT / ".clients"
pytestmark = pytest.mark.skipif(
    not INSTALLED.is_dir(), reason="the clients are not here: bin/clients gets them"
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    settings = {"MIMEO_MODEL_ALIASES": "dall-e-3=dream"}
    settings["MIMEO_STORE"] = str(tmp_path_factory.mktemp("store"))
    with serve(settings=settings) as running:
        yield running


def answers(*command: str | Path) -> list[Any]:
    done = subprocess.run(command, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr[-2000:]
    return [json.loads(line) for line in done.stdout.splitlines() if line[:1] in '["']


def test_clients_of_node_get_their_images(server):
    images, url = answers("node", INSTALLED / "ask.mjs", server.url)

    assert len(images) == len({*images}) == 2
    assert requests.get(url, timeout=20).headers["Content-Type"] == "image/png"


def test_clients_of_python_get_their_images(server):
    python = INSTALLED / "venv" / "bin" / "python"

    urls = answers(python, ROOT / "tests" / "clients" / "ask.py", server.url)

    assert len(urls) == 2
    for url in urls:
        assert requests.get(url, timeout=20).headers["Content-Type"] == "image/png"
