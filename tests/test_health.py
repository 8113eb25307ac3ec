"""The server says that it is ready where it is, and why where it is not."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from app import create_app
from app.config import Settings
from app.observability import metrics
from tests.faulty_disk import full_disk


@pytest.fixture
def client(tmp_path: Path) -> Iterator[FlaskClient]:
    """A client of a server with a store of its own, in `tmp_path/swordfish`."""
    app = create_app(
        replace(Settings(), local_callers=True, store=str(tmp_path / "swordfish"))
    )
    yield app.test_client()
    app.extensions["mimeo"].close()


def test_a_server_that_can_keep_images_is_ready(client: FlaskClient) -> None:
    answer = client.get("/health/ready")

    assert answer.status_code == 200
    told = answer.get_json()
    assert told.pop("version") == metrics.release()
    assert told == {
        **{"status": "ready", "store": "ok", "broken": []},
        "client": "127.0.0.1",
    }
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("store", ["memory:", "none"])
def test_a_server_without_a_folder_is_ready(store: str) -> None:
    app = create_app(replace(Settings(), local_callers=True, store=store))
    answer = app.test_client().get("/health/ready")
    app.extensions["mimeo"].close()

    assert answer.get_json()["status"] == "ready"


def test_a_full_disk_is_not_ready_though_it_can_be_read(client: FlaskClient) -> None:
    client.get("/health/ready")

    with full_disk():
        during = client.get("/health/ready")
    after = client.get("/health/ready")

    assert (during.status_code, after.status_code) == (503, 200)
    assert during.get_json()["status"] == "unready"
    assert during.headers["Retry-After"]


def test_an_unready_server_tells_the_log_and_not_the_world_where_its_store_is(
    client: FlaskClient, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.rmtree(tmp_path / "swordfish")
    (tmp_path / "swordfish").write_text("in the way")

    answer = client.get("/health/ready")

    assert answer.status_code == 503
    assert "swordfish" in caplog.text
    assert "swordfish" not in answer.text


def test_asking_again_and_again_fills_no_store(
    client: FlaskClient, tmp_path: Path
) -> None:
    for _ in range(5):
        client.get("/health/ready")

    media = (tmp_path / "swordfish" / "media").rglob("*")
    assert sum(path.stat().st_size for path in media if path.is_file()) <= 4096


def test_a_full_disk_costs_no_image(client: FlaskClient, tmp_path: Path) -> None:
    with full_disk():
        answers = [client.get(f"/images/solid.png?width={8 + n}") for n in range(9)]

    assert [answer.status_code for answer in answers] == [200] * 9
    files = [path for path in (tmp_path / "swordfish").glob("*/**/*") if path.is_file()]
    assert {path.parent.name for path in files} <= {"locks"}
