"""A table and the pictures it names, in one body."""

import base64
import io
from itertools import pairwise
from pathlib import Path

import pytest
from werkzeug.exceptions import RequestEntityTooLarge

from app.collection.errors import BadRows
from app.collection.ingest.upload import read_upload
from app.image_request import from_json
from app.parsing.image import BodyTooLarge, UnsupportedBody, read_pairs
from app.renderer.catalogue import Catalogue
from tests.collection.uploads import (
    JSON,
    MULTIPART,
    NDJSON,
    Drips,
    Endless,
    Limits,
    form,
    upload,
)

LIMITS = Limits()
QUERY = "renderer=card"
RED, BLUE = b"\x89PNG red\r\n", b"\x89PNG\r\n--B blue"
TABLE = b"title,image\nA,red.png\nB,blue.png\nC,red.png\nD,\n"
PICTURES = (
    ('name="photo"; filename="red.png"', RED),
    ('name="photo"; filename="C:\\\\x\\\\blue.png"', BLUE),
)
ROWS = ('name="rows"; filename="rows.csv"', TABLE)


def images(catalogue: Catalogue, body: bytes, query: str = QUERY) -> list[bytes | None]:
    draft = upload(catalogue, body, MULTIPART, query)
    items = draft.collection(catalogue, LIMITS).items()
    found = [vars(item.request.parameters)["image"] for item in items]
    draft.close()
    return found


@pytest.mark.parametrize("rows_first", [True, False])
def test_cells_stand_for_files_wherever_these_are(
    rows_first: bool, catalogue: Catalogue
) -> None:
    parts = (ROWS, *PICTURES) if rows_first else (*PICTURES, ROWS)

    assert images(catalogue, form(*parts)) == [RED, BLUE, RED, None]


def test_a_file_and_its_base64_are_one_request(catalogue: Catalogue) -> None:
    draft = upload(catalogue, form(ROWS, *PICTURES), MULTIPART, QUERY)
    values = {"title": "A", "image": base64.b64encode(RED).decode()}

    read = draft.collection(catalogue, LIMITS).item(1).request

    draft.close()
    wanted = from_json(catalogue.get("card"), values, "png", LIMITS)
    assert read.fingerprint == wanted.fingerprint


def test_files_and_base64_make_one_collection(catalogue: Catalogue) -> None:
    spelt = TABLE.replace(b"red.png", base64.b64encode(RED))
    spelt = spelt.replace(b"blue.png", base64.b64encode(BLUE))

    by_name = upload(catalogue, form(ROWS, *PICTURES), MULTIPART, QUERY)
    by_value = upload(catalogue, spelt, query=QUERY)

    assert by_name.id == by_value.id
    assert b"".join(by_name.chunks()) == b"".join(by_value.chunks())
    by_name.close()
    by_value.close()


def test_a_file_is_stored_once(catalogue: Catalogue) -> None:
    draft = upload(catalogue, form(ROWS, *PICTURES), MULTIPART, QUERY)

    whole = b"".join(draft.chunks())

    draft.close()
    assert whole.count(RED) == 1
    assert len(draft.header.assets) == 2


def test_lines_may_refer_to_files(catalogue: Catalogue) -> None:
    lines = b'{"title":"A","image":"red.png"}\n{"title":"B","image":"blue.png"}\n'
    rows = ('name="rows"; filename="rows.jsonl"', lines)

    assert images(catalogue, form(rows, *PICTURES)) == [RED, BLUE]


@pytest.mark.parametrize("ending", ["csv", "ndjson"])
def test_a_shared_image_may_be_a_file(ending: str, catalogue: Catalogue) -> None:
    text = {"csv": b"title\nA\nB\n", "ndjson": b'{"title":"A"}\n{"title":"B"}\n'}
    rows = (f'name="rows"; filename="rows.{ending}"', text[ending])
    shared = ('name="image"', b"red.png")

    assert images(catalogue, form(shared, rows, PICTURES[0])) == [RED, RED]


def test_base64_may_stand_beside_files(catalogue: Catalogue) -> None:
    table = b"title,image\nA,red.png\nB,%b\n" % base64.b64encode(b"other")
    rows = ('name="rows"; filename="rows.csv"', table)

    assert images(catalogue, form(rows, PICTURES[0])) == [RED, b"other"]


def test_a_file_that_nobody_chose_is_passed_by(catalogue: Catalogue) -> None:
    nothing = ('name="photo"; filename=""', b"")

    assert images(catalogue, form(ROWS, *PICTURES, nothing))[0] == RED


def test_a_name_beyond_ascii_is_found(catalogue: Catalogue) -> None:
    rows = ('name="rows"; filename="x.csv"', "title,image\nA,Zoë 1.png\n".encode())
    encoded = "name=\"p\"; filename*=UTF-8''Zo%C3%AB%201.png"

    assert images(catalogue, form(rows, (encoded, RED))) == [RED]
    assert images(catalogue, form(rows, ('name="p"; filename="Zoë 1.png"', RED))) == [
        RED
    ]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 64])
def test_a_boundary_may_arrive_in_pieces(size: int, catalogue: Catalogue) -> None:
    stream = Drips(form(*PICTURES, ROWS), size)

    draft = read_upload(
        stream, MULTIPART, read_pairs(QUERY.encode()), catalogue, LIMITS
    )

    item = draft.collection(catalogue, LIMITS).item(2)
    draft.close()
    assert vars(item.request.parameters)["image"] == BLUE


def test_every_file_without_use_is_named(catalogue: Catalogue) -> None:
    spare = [(f'name="p"; filename="{number}.png"', RED) for number in range(3)]

    with pytest.raises(BadRows) as caught:
        upload(catalogue, form(ROWS, *PICTURES, *spare), MULTIPART, QUERY)

    assert [fault.field for fault in caught.value.faults] == [
        "0.png",
        "1.png",
        "2.png",
    ]


def test_json_is_no_table(catalogue: Catalogue) -> None:
    head = 'name="rows"; filename="x"\r\nContent-Type: application/json'

    with pytest.raises(UnsupportedBody):
        upload(catalogue, form((head, b"[]")), MULTIPART, QUERY)


@pytest.mark.parametrize(
    ("kind", "head", "query"),
    [
        (JSON, b'{"renderer":"solid","items":["', ""),
        (JSON, b'{"renderer":"', ""),
        (MULTIPART, form(ROWS)[:-6], QUERY),
        (MULTIPART, form(('name="title"', b""))[:-7], QUERY),
        (NDJSON, b'"', QUERY),
    ],
)
def test_a_body_without_end_is_not_read_to_its_end(
    kind: str, head: bytes, query: str, catalogue: Catalogue
) -> None:
    bounds = Limits(max_collection_bytes=3 << 20, max_body_bytes=8 << 20)
    stream = Endless(head, b"x")

    with pytest.raises(BodyTooLarge) as caught:
        read_upload(stream, kind, read_pairs(query.encode()), catalogue, bounds)

    assert caught.value.limit == "MIMEO_MAX_COLLECTION_BYTES"
    assert stream.taken <= (3 << 20) + (64 << 10)


def test_a_stream_may_say_itself_that_it_is_too_long(catalogue: Catalogue) -> None:
    class TooLong(RequestEntityTooLarge):
        pass

    class Stream:
        def read(self, size: int) -> bytes:
            raise TooLong

    with pytest.raises(TooLong):
        read_upload(Stream(), MULTIPART, read_pairs(QUERY.encode()), catalogue, LIMITS)


def test_no_descriptor_is_left_open(catalogue: Catalogue) -> None:
    descriptors = Path("/dev/fd")
    before = len([*descriptors.iterdir()])

    for body in (form(ROWS, *PICTURES), form(ROWS), form()):
        for cut in (None, -3):
            stream = io.BytesIO(body[:cut])
            try:
                read_upload(
                    stream, MULTIPART, read_pairs(QUERY.encode()), catalogue, LIMITS
                ).close()
            except Exception as error:
                assert str(error)

    assert len([*descriptors.iterdir()]) == before


def test_blocks_follow_each_other(catalogue: Catalogue) -> None:
    table = b"title\n" + b"".join(b"%d\n" % row for row in range(1000))
    rows = ('name="rows"; filename="x.csv"', table)

    draft = upload(catalogue, form(rows), MULTIPART, QUERY)
    draft.close()

    blocks = draft.header.blocks
    assert [block[0] for block in blocks] == [*range(1, 1001, 128)]
    assert all(a[1] + a[2] == b[1] for a, b in pairwise(blocks))
    assert sum(blocks[-1][1:3]) == draft.header.size
