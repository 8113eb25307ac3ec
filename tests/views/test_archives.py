"""Whole collections: damaged, with rows no longer valid, over a store at fault."""

import io
import json
import threading
import time
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from PIL import Image

from app import create_app
from app.archive.manifest import Entry, Manifest
from app.collection.repository import CollectionRepository
from app.config import Settings
from app.renderer.catalogue import Catalogue
from app.store import FolderStore, StoreError
from app.views import sheets

CSV = "text/csv"
FORMS = ("zip", "json", "ndjson", "pdf", "gif", "webp", "apng")
STREAMS = FORMS[1:]


def build(store: Path, **others: int) -> Flask:
    """Return an app over a store, with some settings of its own."""
    settings = Settings(
        system_fonts=False, access_log=False, local_callers=True, store=str(store)
    )
    return create_app(replace(settings, **others))


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def client(store: Path) -> Iterator[FlaskClient]:
    made = build(store)
    yield made.test_client()
    made.extensions["mimeo"].close()


@pytest.fixture
def lower(store: Path) -> Iterator[FlaskClient]:
    """The same store, and a lower limit of a side."""
    made = build(store, max_side=50)
    yield made.test_client()
    made.extensions["mimeo"].close()


def create(client: FlaskClient, sides: tuple[int, ...] = (40, 40, 40)) -> str:
    """Keep squares of these sides and return the path of the collection."""
    rows = "".join(f"{side},{side}\n" for side in sides)
    answer = client.post(
        "/collections?renderer=solid",
        data=f"width,height\n{rows}",
        content_type=CSV,
    )
    assert answer.status_code in (200, 201), answer.text
    return answer.headers["Location"]


def kept(store: Path, path: str) -> Path:
    """The file of a collection."""
    (found,) = store.rglob(path.rpartition("/")[2])
    return found


def test_a_row_over_a_lower_limit_is_reported_in_the_zip(client, lower):
    path = create(client, (40, 60, 40))

    archive = zipfile.ZipFile(io.BytesIO(lower.get(f"{path}.zip").data))

    assert archive.namelist() == ["00001.png", "00003.png", "manifest.json"]
    (error,) = json.loads(archive.read("manifest.json"))["errors"]
    assert (error["index"], error["limit"]) == (2, "MIMEO_MAX_SIDE")


def test_a_row_over_a_lower_limit_is_reported_in_json_and_ndjson(client, lower):
    path = create(client, (40, 60, 40))

    whole = lower.get(f"{path}.json").get_json()
    lines = [json.loads(line) for line in lower.get(f"{path}.ndjson").text.splitlines()]

    assert ["error" in image for image in whole["images"]] == [False, True, False]
    assert ["error" in line for line in lines] == [False, True, False, False]
    assert whole["images"][1]["error"]["limit"] == "MIMEO_MAX_SIDE"
    assert whole["failed"] == lines[-1]["failed"] == 1


@pytest.mark.parametrize("form", ["pdf", "gif", "webp", "apng"])
def test_a_row_over_a_lower_limit_ends_the_answer_in_its_place(client, lower, form):
    path = create(client, (40, 40, 60))

    with pytest.raises(Exception, match=r"Image 3: .*MIMEO_MAX_SIDE"):
        lower.get(f"{path}.{form}").get_data()


def test_a_row_over_a_lower_limit_is_named_by_the_sheet(client, store):
    rows = "text\nA\nB B B B\nC\n"
    made = client.post("/collections?renderer=placeholder", data=rows, content_type=CSV)
    app = build(store, max_text_chars=3)

    answer = app.test_client().get(f"{made.headers['Location']}/sheet.png")

    app.extensions["mimeo"].close()
    assert (answer.status_code, answer.get_json()["index"]) == (422, 2)
    assert answer.get_json()["limit"] == "MIMEO_MAX_TEXT_CHARS"


def test_an_archive_is_laid_out_by_the_store_around_a_row_over_a_lower_limit(
    client, lower
):
    path = create(client, (40, 60, 40))
    for number in (1, 2, 3):
        assert client.get(f"{path}/{number}.png").status_code == 200

    length = lower.head(f"{path}.zip").headers["Content-Length"]

    assert int(length) == len(lower.get(f"{path}.zip").data)


@pytest.mark.parametrize("path", ["", "/1.png", ".zip", ".json", "/sheet.png"])
@pytest.mark.parametrize("wrong", ["cut", "flipped"])
def test_a_damaged_collection_is_a_410_that_says_so(client, store, path, wrong):
    whole = create(client)
    file = kept(store, whole)
    data = bytearray(file.read_bytes())
    data[20] ^= 1
    file.write_bytes(data if wrong == "flipped" else data[:20])

    answer = client.get(whole + path)

    assert answer.status_code == 410
    assert answer.get_json()["type"] == "/problems/damaged-collection"
    assert "damaged" in answer.get_json()["detail"]


def test_damaged_rows_are_a_410(client, store):
    path = create(client)
    file = kept(store, path)
    data = bytearray(file.read_bytes())
    data[-3] ^= 1
    file.write_bytes(data)

    assert client.get(f"{path}/1.png").status_code == 410
    assert client.get(f"{path}.zip").status_code == 410


def test_another_collection_under_an_id_is_damaged(client, store):
    one, other = create(client), create(client, (10,))
    kept(store, one).write_bytes(kept(store, other).read_bytes())

    assert client.get(one).status_code == 410


def failing(verb: str, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the store fail for keys of a kind."""
    real = getattr(FolderStore, verb)

    def fail(self, key, *more):
        if key.endswith(suffix):
            raise StoreError("no space left")
        return real(self, key, *more)

    monkeypatch.setattr(FolderStore, verb, fail)


def errors(client: FlaskClient) -> float:
    lines = client.get("/metrics").text.splitlines()
    return sum(
        float(line.split()[-1])
        for line in lines
        if line.startswith("mimeo_store_errors_total")
    )


@pytest.mark.parametrize(
    ("verb", "suffix"),
    [("put", ".archive"), ("get", ".archive"), ("has", ".flawed")],
)
def test_a_manifest_that_cannot_be_kept_costs_the_resuming_alone(
    client, monkeypatch, verb, suffix
):
    path = create(client)
    failing(verb, suffix, monkeypatch)
    before = errors(client)

    data = client.get(f"{path}.zip").data

    assert zipfile.ZipFile(io.BytesIO(data)).testzip() is None
    assert errors(client) > before


@pytest.mark.parametrize("form", STREAMS)
def test_a_length_that_cannot_be_kept_costs_the_resuming_alone(
    client, monkeypatch, form
):
    path = create(client)
    failing("put", ".length", monkeypatch)

    first = client.get(f"{path}.{form}")

    assert first.status_code == 200
    assert client.get(f"{path}.{form}").data == first.data


@pytest.mark.parametrize("form", FORMS)
def test_every_form_can_be_resumed_after_a_complete_run(client, form):
    path = create(client, (40, 40, 40, 40, 40))
    whole = client.get(f"{path}.{form}").data

    head = client.head(f"{path}.{form}").headers
    part = client.get(f"{path}.{form}", headers={"Range": "bytes=100-"})
    middle = client.get(f"{path}.{form}", headers={"Range": "bytes=7-90"})

    assert head["Content-Length"] == str(len(whole))
    assert part.status_code == middle.status_code == 206
    assert part.data == whole[100:]
    assert part.headers["Content-Range"] == f"bytes 100-{len(whole) - 1}/{len(whole)}"
    assert middle.data == whole[7:91]
    assert client.get(f"{path}.{form}").data == whole


@pytest.mark.parametrize("form", FORMS)
def test_every_form_can_be_resumed_after_a_run_that_broke_off(client, form):
    path = create(client)

    part = client.get(f"{path}.{form}", headers={"Range": "bytes=100-"})

    assert part.status_code == 206
    assert part.data == client.get(f"{path}.{form}").data[100:]


@pytest.mark.parametrize("form", FORMS)
def test_a_range_behind_the_end_says_the_length(client, form):
    path = create(client)
    length = len(client.get(f"{path}.{form}").data)

    answer = client.get(f"{path}.{form}", headers={"Range": f"bytes={length}-"})

    assert answer.status_code == 416
    assert answer.headers["Content-Range"] == f"bytes */{length}"


def test_options_that_decide_the_bytes_have_lengths_of_their_own(client):
    path = create(client)
    fast = client.get(f"{path}.gif?duration=20").data

    slow = client.head(f"{path}.gif?duration=40")

    assert "Content-Length" not in slow.headers
    assert client.head(f"{path}.gif?duration=20").headers["Content-Length"] == str(
        len(fast)
    )


def test_an_archive_is_laid_out_once_for_all_of_its_ranges(
    store: Path, catalogue: Catalogue, settings: Settings
) -> None:
    kept = FolderStore(store, "collections", 1 << 30)
    manifest = Manifest("0" * 64, 100_000)
    for index in range(1, 100_001):
        entry = Entry(index, f"{index:06}.png", "image/png", 1, 1, 9, 9, bytes(32))
        manifest.add(entry)
    repository = CollectionRepository(kept, catalogue, settings)
    repository.keep_manifest(manifest)

    def spent(start: int) -> float:
        begun = time.thread_time()
        archive = repository.archive("0" * 64)
        assert archive is not None
        stop = min(start + 64, archive.layout.length)
        assert [*archive.layout.pieces(start, stop)]
        return time.thread_time() - begun

    first = spent(0)
    places = (
        1 << 20,
        5 << 20,
        9 << 20,
        repository.archive("0" * 64).layout.length - 64,
    )
    others = [spent(place) for place in places]

    assert max(others) * 100 < first


def test_a_sheet_is_drawn_and_encoded_where_pictures_are(client, monkeypatch):
    path = create(client)
    threads: dict[str, str] = {}

    def noted(name, work):
        def call(*given):
            threads[name] = threading.current_thread().name
            lines = client.application.test_client().get("/metrics").text.splitlines()
            (seats,) = (n for n in lines if n.startswith("mimeo_streams_in_flight"))
            assert float(seats.split()[-1]) == 1
            return work(*given)

        return call

    monkeypatch.setattr(sheets, "encode", noted("encode", sheets.encode))
    for name in ("draw", "shrink"):
        work = getattr(sheets.contact_sheet, name)
        monkeypatch.setattr(sheets.contact_sheet, name, noted(name, work))

    answer = client.get(f"{path}/sheet.png?columns=3&cell=16")

    assert Image.open(io.BytesIO(answer.data)).format == "PNG"
    assert threads.keys() == {"encode", "draw", "shrink"}
    assert all(name.startswith("mimeo-draw") for name in threads.values())
