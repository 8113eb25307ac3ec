"""What a store at fault, an old id, or a second range costs: never the answer."""

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask

from app import create_app
from app.archive.manifest import Manifest
from app.bootstrap import open_room
from app.collection.repository import CollectionRepository
from app.config import Settings
from app.renderer.catalogue import Catalogue
from app.store import BoundedStore, StoreError

ROWS = {"renderer": "solid", "items": [{"color": "red"}, {"color": "blue"}]}


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Flask]:
    made = create_app(
        Settings(
            store=str(tmp_path),
            system_fonts=False,
            access_log=False,
            local_callers=True,
        )
    )
    yield made
    made.extensions["mimeo"].close()


def puts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Take down the keys of whatever is put into any room from now on."""
    written: list[str] = []
    put = BoundedStore.put

    def count(self, key, data):
        written.append(key)
        return put(self, key, data)

    monkeypatch.setattr(BoundedStore, "put", count)
    return written


def test_an_archive_is_whole_though_its_manifest_cannot_be_kept(app, monkeypatch):
    put = BoundedStore.put

    def fail(self, key, data):
        if key.endswith(".archive"):
            raise StoreError("the disk is full")
        return put(self, key, data)

    monkeypatch.setattr(BoundedStore, "put", fail)

    answer = app.test_client().post("/collections.zip", json=ROWS, buffered=True)

    with zipfile.ZipFile(io.BytesIO(answer.data)) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["00001.png", "00002.png", "manifest.json"]


def test_asking_for_an_old_id_writes_the_collection_once(app, monkeypatch):
    client = app.test_client()
    place = client.post("/collections", json=ROWS).headers["Location"]
    monkeypatch.setattr("app.collection.collection.ENCODERS", ("another",))
    written = puts(monkeypatch)

    answers = [client.get(f"{place}/1.png") for _ in range(3)]

    assert [answer.status_code for answer in answers] == [410, 410, 410]
    assert written == [answers[0].get_json()["current"]]


def test_an_archive_is_laid_out_once_for_many_ranges(app, monkeypatch):
    client = app.test_client()
    place = client.post("/collections", json=ROWS).headers["Location"]
    whole = client.get(f"{place}.zip", buffered=True).data
    laid: list[str] = []
    layout = Manifest.layout

    def count(self):
        laid.append(self.collection_id)
        return layout(self)

    monkeypatch.setattr(Manifest, "layout", count)

    parts = [
        client.get(
            f"{place}.zip", headers={"Range": f"bytes={at}-{at + 49}"}, buffered=True
        )
        for at in range(0, 500, 50)
    ]

    assert {part.status_code for part in parts} == {206}
    assert b"".join(part.data for part in parts) == whole[:500]
    assert len(laid) <= 1


def test_a_mark_of_doubt_is_not_older_than_its_collection(app, tmp_path, monkeypatch):
    client = app.test_client()
    key = client.post("/collections", json=ROWS).headers["Location"].rpartition("/")[2]
    settings = Settings(store=str(tmp_path))
    store = open_room(settings, settings.collections_bytes, "collections")
    CollectionRepository(store, Catalogue(settings), settings).flaw(key)
    written = puts(monkeypatch)

    client.post("/collections", json=ROWS)

    assert written == [key, f"{key}.flawed"]


def test_a_damaged_collection_is_gone_and_says_so(app, tmp_path):
    client = app.test_client()
    place = client.post("/collections", json=ROWS).headers["Location"]
    (file,) = (tmp_path / "collections").rglob(place.rpartition("/")[2])
    data = bytearray(file.read_bytes())
    data[-3] ^= 1
    file.write_bytes(data)

    answer = client.get(f"{place}/1.png")

    assert answer.status_code == 410
    assert answer.get_json()["type"] == "/problems/damaged-collection"
