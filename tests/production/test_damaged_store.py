"""One byte changed anywhere in the store costs drawing anew, or is said to be so."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from app import create_app
from app.config import Settings
from app.pipeline.image_origins import _Kept
from app.store import checked, unchecked

ROWS = b"width,height\n9,9\n30,9\n40,9\n"
CSV = "text/csv"
FORMS = (".zip", ".json", ".ndjson", ".pdf")
# What a server answered: statuses, bodies, and what a range of each form gave.
Answers = dict[str, tuple[int, bytes]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[], FlaskClient]]:
    """Starts a server that remembers nothing but what is in the store."""
    settings = Settings(
        store=str(tmp_path),
        workers=1,
        system_fonts=False,
        access_log=False,
        local_callers=True,
        rate_anonymous=None,
    )
    made = []

    def begin() -> FlaskClient:
        made.append(create_app(settings, environ={}))
        return made[-1].test_client()

    yield begin
    for app in made:
        app.extensions["mimeo"].close()


def answers(client: FlaskClient, path: str) -> Answers:
    """Return what a URL gives, whole and from the tenth byte on."""
    whole = client.get(path)
    part = client.get(path, headers={"Range": "bytes=10-"})
    return {
        "whole": (whole.status_code, whole.data),
        "part": (part.status_code, part.data),
    }


def changes(file: Path, most: int = 24) -> Iterator[int]:
    """Change one byte of a file after the other, and mend it each time."""
    data = file.read_bytes()
    for at in range(0, len(data), max(1, len(data) // most)):
        file.write_bytes(data[:at] + bytes([data[at] ^ 0x11]) + data[at + 1 :])
        yield at
        file.write_bytes(data)


def test_a_damaged_image_is_drawn_anew(start, tmp_path):
    path = "/images/solid.png?width=33"
    first = start().get(path)
    (file,) = tmp_path.glob("media/*/[!0]*")
    whole = file.read_bytes()
    client = start()

    for at in changes(file, most=1000):
        again = client.get(path)

        assert (again.status_code, again.data) == (200, first.data), at
        assert file.read_bytes() == whole, at


def cut_short(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-9])


def emptied(file: Path) -> None:
    file.write_bytes(b"")


def of_zeros(file: Path) -> None:
    """Leave a file as after a crash: its length is known, its bytes are not."""
    file.write_bytes(bytes(file.stat().st_size))


def grown(file: Path) -> None:
    file.write_bytes(file.read_bytes() + b"more")


def deleted_with_its_folder(file: Path) -> None:
    shutil.rmtree(file.parent.parent)


FAULTS = (cut_short, emptied, of_zeros, deleted_with_its_folder)


@pytest.mark.parametrize("fault", (*FAULTS, grown))
def test_an_image_is_drawn_anew_whatever_became_of_its_file(start, tmp_path, fault):
    path = "/images/solid.png?width=33"
    client = start()
    first = client.get(path)
    (file,) = tmp_path.glob("media/*/[!0]*")
    whole = file.read_bytes()
    fault(file)

    again = client.get(path)

    assert (again.status_code, again.data) == (200, first.data)
    assert file.read_bytes() == whole


@pytest.mark.parametrize("fault", FAULTS)
def test_a_collection_is_gone_whatever_became_of_its_file(start, tmp_path, fault):
    client = start()
    made = client.post("/collections?renderer=solid", data=ROWS, content_type=CSV)
    (file,) = tmp_path.glob(f"collections/*/{made.json['id']}")
    fault(file)

    gone = 404 if fault is deleted_with_its_folder else 410
    for form in FORMS:
        answer = client.get(f"/collections/{made.json['id']}{form}", buffered=True)
        assert answer.status_code == gone, form
    again = client.post("/collections?renderer=solid", data=ROWS, content_type=CSV)
    archive = client.get(f"/collections/{made.json['id']}.zip", buffered=True)
    assert (again.json["id"], archive.status_code) == (made.json["id"], 200)


def test_a_damaged_collection_is_gone_and_says_so(start, tmp_path):
    made = start().post("/collections?renderer=solid", data=ROWS, content_type=CSV)
    (file,) = tmp_path.glob(f"collections/*/{made.json['id']}")
    urls = [f"/collections/{made.json['id']}{form}" for form in ("", *FORMS)]
    damaged = 0

    for at in changes(file):
        client = start()
        for url in urls:
            answer = client.get(url, buffered=True)
            assert answer.status_code in (200, 410), (at, url)
            if answer.status_code == 410:
                damaged += 1
                assert answer.json["type"] == "/problems/damaged-collection"
                assert "damaged" in answer.json["detail"]

    # The description alone is the head's.
    assert damaged > 15 * len(FORMS)


@pytest.mark.parametrize(
    ("form", "suffix"),
    [
        (".zip", "archive"),
        (".json", "length"),
        (".ndjson", "length"),
        (".pdf", "length"),
    ],
)
def test_what_is_kept_for_resuming_is_made_again(start, tmp_path, form, suffix):
    made = start().post("/collections?renderer=solid", data=ROWS, content_type=CSV)
    url = f"/collections/{made.json['id']}{form}"
    start().get(url, buffered=True)
    (file,) = tmp_path.glob(f"collections/*/*.{suffix}")
    before = answers(start(), url)
    assert [status for status, _ in before.values()] == [200, 206]

    for at in changes(file):
        client = start()
        assert client.get(url, buffered=True).data == before["whole"][1], at
        # The URL still names one sequence of bytes: it may be resumed.
        assert answers(client, url) == before, at


def test_a_damaged_image_of_an_origin_is_fetched_again():
    kept = _Kept(b"an image", 1e12, '"tag"', "")
    block = kept.encode()

    assert _Kept.decode(block) == kept
    for at in range(len(block)):
        for turned in (0x01, 0x80, 0x0D):
            changed = block[:at] + bytes([block[at] ^ turned]) + block[at + 1 :]
            with pytest.raises(ValueError, match="damaged"):
                _Kept.decode(changed)


@pytest.mark.parametrize("record", [b"", b"x", b"a key's id"])
def test_a_record_is_read_as_it_was_or_not_at_all(record):
    block = checked(record)

    assert unchecked(block) == unchecked(memoryview(block)) == record
    for length in range(len(block)):
        with pytest.raises(ValueError, match="damaged"):
            unchecked(block[:length])


def test_the_owner_of_a_collection_is_nobody_where_the_record_is_damaged(
    start, tmp_path
):
    made = start().post("/collections?renderer=solid", data=ROWS, content_type=CSV)
    (rows,) = tmp_path.glob(f"collections/*/{made.json['id']}")
    owner = rows.with_suffix(".owner")
    owner.write_bytes(b"\xff" * 12)

    assert start().delete(f"/collections/{made.json['id']}").status_code == 204
    assert not owner.exists()
