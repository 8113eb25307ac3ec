"""A typed client that is made of the document draws pictures, and is told of faults."""

import io
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from tests.gunicorn_server import Server, serve

CONFIG = Path(__file__).with_name("client.yaml")
DRAW = """
import sys
from client.client import AuthenticatedClient
from client.api.images import draw_card
from client.models.draw_card_format import DrawCardFormat
from client.models.draw_card_theme import DrawCardTheme

client = AuthenticatedClient(base_url=sys.argv[1], token="of nobody")
drawn = draw_card.sync(
    DrawCardFormat.PNG, client=client, title=sys.argv[2], theme=DrawCardTheme.DARK
)
sys.stdout.buffer.write(drawn.payload.read())
"""
SUBMIT = """
import sys
from client.client import AuthenticatedClient
from client.api.jobs import create_job, get_job
from client.models.collection_request import CollectionRequest

client = AuthenticatedClient(base_url=sys.argv[1], token="of nobody")
rows = {"renderer": "solid", "items": [{"width": 8, "height": 8}]}
made = create_job.sync(
    client=client, body=CollectionRequest.from_dict(rows), prefer="wait=20"
)
print(get_job.sync(key=made.id, client=client).counts.done)
"""
REFUSED = """
import sys
from client.client import AuthenticatedClient
from client.api.images import draw_qr
from client.models.draw_qr_format import DrawQrFormat

client = AuthenticatedClient(base_url=sys.argv[1], token="of nobody")
problem = draw_qr.sync(DrawQrFormat.PNG, client=client, data="hello", size=3)
print(problem.status, problem.errors[0].field)
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One worker: its memory keeps jobs."""
    store = str(tmp_path_factory.mktemp("store"))
    with serve(settings={"MIMEO_STORE": store, "WEB_CONCURRENCY": "1"}) as running:
        yield running


@pytest.fixture(scope="module")
def client(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the package `client`."""
    folder = tmp_path_factory.mktemp("generated")
    document = folder / "openapi.json"
    document.write_bytes(server.ask("/openapi.json").body)
    command = (
        *(sys.executable, "-m", "openapi_python_client", "generate"),
        *("--path", str(document), "--config", str(CONFIG), "--meta", "none"),
        *("--output-path", str(folder / "client")),
    )
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    return folder


def run(client: Path, program: str, *arguments: str) -> bytes:
    command = (sys.executable, "-c", program, *arguments)
    done = subprocess.run(command, cwd=client, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def test_it_draws_a_picture(server: Server, client: Path) -> None:
    drawn = run(client, DRAW, server.url, "Hello")

    with Image.open(io.BytesIO(drawn)) as image:
        assert (image.format, image.size) == ("PNG", (1200, 630))
    assert drawn == server.ask("/images/card.png?title=Hello&theme=dark").body


def test_it_submits_a_job_and_sees_its_end(server: Server, client: Path) -> None:
    assert run(client, SUBMIT, server.url).split() == [b"1"]


def test_it_is_told_what_is_wrong(server: Server, client: Path) -> None:
    assert run(client, REFUSED, server.url).split() == [b"422", b"size"]
