"""Every kind of body makes the same collection of the same rows."""

import tracemalloc
from dataclasses import replace

import pytest

from app.collection.errors import BadRows
from app.collection.ingest.upload import READERS, read_upload
from app.parsing.image import BadBody, BodyTooLarge, read_pairs
from app.renderer.catalogue import Catalogue
from app.renderer.errors import BadParameter, LimitExceeded
from tests.collection.uploads import (
    JSON,
    MULTIPART,
    NDJSON,
    Limits,
    form,
    json_of,
    upload,
)

QUERY = "renderer=badge&format=webp&scale=2&event=Summit&name={index}-{name}"
ROWS = [{"name": "Grace Hopper", "role": "Admiral"}, {"name": "Zoë"}]
TABLE = "name,role\nGrace Hopper,Admiral\nZoë,\n"
LINES = b'{"name":"Grace Hopper","role":"Admiral"}\n\n{"name":"Zo\xc3\xab"}'
WHOLE = {
    "renderer": "badge",
    "format": "webp",
    "scale": 2,
    "name": "{index}-{name}",
    "defaults": {"event": "Summit"},
}
FIELDS = [tuple(pair.split("=", 1)) for pair in QUERY.split("&")]
TEXTS = [(f'name="{name}"', value.encode()) for name, value in FIELDS]
BODIES = {
    "csv": ("text/csv", QUERY, TABLE.encode()),
    "csv with charset": ('text/csv; charset="UTF-8"', QUERY, TABLE.encode()),
    "tsv": ("text/tab-separated-values", QUERY, TABLE.replace(",", "\t").encode()),
    "spreadsheet": ("Text/CSV", QUERY, TABLE.replace(",", ";").encode("utf-8-sig")),
    "csv without a type": ("", QUERY, TABLE.encode()),
    "csv of an old browser": ("text/x-csv", QUERY, TABLE.encode()),
    "csv by another old name": ("text/comma-separated-values", QUERY, TABLE.encode()),
    "ndjson": (NDJSON, QUERY, LINES),
    "ndjson as json lines": ("application/x-jsonlines", QUERY, LINES),
    "json": (JSON, "", json_of(**WHOLE, items=ROWS)),
    "json, items first": (JSON, "", json_of(items=ROWS, **WHOLE)),
    "json with BOM": (JSON, "", b"\xef\xbb\xbf" + json_of(items=ROWS, **WHOLE)),
    "json, envelopes": (
        JSON,
        "",
        json_of(**WHOLE, items=[{"params": row} for row in ROWS]),
    ),
    "multipart": (
        MULTIPART,
        "",
        form(*TEXTS, ('name="x"; filename="people.csv"', TABLE.encode())),
    ),
    "multipart, query": (MULTIPART, QUERY, form(('name="rows"', TABLE.encode()))),
    "multipart, ndjson": (
        MULTIPART,
        QUERY,
        form(('name="file"; filename="people.ndjson"', LINES)),
    ),
}


@pytest.mark.parametrize("name", BODIES)
def test_equal_rows_have_one_id_and_the_same_bytes(
    name: str, catalogue: Catalogue
) -> None:
    kind, query, body = BODIES[name]
    plain = upload(catalogue, TABLE, "text/csv", QUERY)

    other = upload(catalogue, body, kind, query)

    assert other.id == plain.id
    assert b"".join(other.chunks()) == b"".join(plain.chunks())
    plain.close()
    other.close()


def test_every_kind_of_body_is_tried() -> None:
    tried = {kind.partition(";")[0].lower() for kind, _, _ in BODIES.values()} - {""}

    # What else they are called, or what only a workbook is.
    others = {kind for kind in READERS if "vnd." in kind or kind == "text/plain"}
    others |= {"application/csv", "application/octet-stream"}
    others |= {"application/ndjson", "application/jsonl", "application/jsonlines"}
    others |= {"application/x-csv"}
    assert tried | others == READERS.keys()


@pytest.mark.parametrize(
    "query",
    [
        QUERY.replace("webp", "png"),
        QUERY.replace("scale=2", "scale=1"),
        QUERY.replace("Summit", "Fair"),
        QUERY.replace("{index}-", ""),
    ],
)
def test_whatever_decides_the_bytes_is_in_the_id(
    query: str, catalogue: Catalogue
) -> None:
    plain = upload(catalogue, TABLE, "text/csv", QUERY)

    other = upload(catalogue, TABLE, "text/csv", query)

    assert other.id != plain.id
    plain.close()
    other.close()


def test_a_row_is_laid_over_what_is_shared(catalogue: Catalogue) -> None:
    draft = upload(catalogue, "event,name\nFair,A\n,B\n", query=QUERY)

    items = [*draft.collection(catalogue, Limits()).items()]

    draft.close()
    assert [vars(item.request.parameters)["event"] for item in items] == [
        "Fair",
        "Summit",
    ]


def test_defaults_are_for_their_renderer_alone(catalogue: Catalogue) -> None:
    body = json_of(
        renderer="solid",
        defaults={"width": 10, "height": 20},
        items=[
            {},
            {"renderer": "solid", "params": {"width": 11}},
            {"renderer": "placeholder", "params": {}, "name": "cover"},
        ],
    )

    draft = upload(catalogue, body, JSON, "")

    items = [*draft.collection(catalogue, Limits()).items()]
    draft.close()
    sizes = [item.request.renderer.size(item.request.parameters) for item in items]
    assert sizes == [(10, 20), (11, 20), (600, 400)]
    assert [item.name for item in items] == ["00001.png", "00002.png", "cover.png"]
    assert draft.header.renderers == ("solid", "placeholder")


def test_shared_text_of_a_query_has_types_in_ndjson(catalogue: Catalogue) -> None:
    draft = upload(catalogue, '{"width":5}\n', NDJSON, "renderer=solid&height=7")

    item = draft.collection(catalogue, Limits()).item(1)

    draft.close()
    assert item.request.renderer.size(item.request.parameters) == (5, 7)


def test_an_ignored_column_can_name_the_file(catalogue: Catalogue) -> None:
    query = "renderer=badge&ignore=id,note&name={id}"

    draft = upload(catalogue, "id,name,note\nX7,A,\nX8,B,x\n", query=query)

    collection = draft.collection(catalogue, Limits())
    names = [item.name for item in collection.items()]
    draft.close()
    assert names == ["X7.png", "X8.png"]


def test_an_own_parameter_goes_before_an_output_option(catalogue: Catalogue) -> None:
    query = "renderer=avatar&background=red"

    draft = upload(catalogue, "name\nA\n", query=query)

    item = draft.collection(catalogue, Limits()).item(1)
    draft.close()
    assert item.request.output.background is None
    assert vars(item.request.parameters)["background"] == "#ff0000"


def test_pixels_are_counted_at_scale(catalogue: Catalogue) -> None:
    query = "renderer=solid&width=10&height=10&scale=2"

    draft = upload(catalogue, "color\nred\nblue\n", query=query)
    draft.close()

    assert draft.header.pixels == 2 * 400


def test_pixels_of_all_images_are_bounded(catalogue: Catalogue) -> None:
    bounds = replace(Limits(), max_collection_pixels=600 * 900 * 2)

    with pytest.raises(LimitExceeded) as caught:
        upload(catalogue, "name\nA\nB\nC\n", bounds=bounds)

    assert caught.value.limit == "MIMEO_MAX_COLLECTION_PIXELS"
    assert caught.value.value == 600 * 900 * 3


def test_bytes_of_an_upload_are_bounded(catalogue: Catalogue) -> None:
    bounds = replace(Limits(), max_collection_bytes=1000)

    with pytest.raises(BodyTooLarge) as caught:
        upload(catalogue, "name\n" + "A" * 2000, bounds=bounds)

    assert caught.value.limit == "MIMEO_MAX_COLLECTION_BYTES"


def test_a_long_shared_text_counts_with_every_row(catalogue: Catalogue) -> None:
    bounds = replace(Limits(), max_collection_bytes=10_000)
    query = f"renderer=identicon&seed={'s' * 300}&ignore=note"

    with pytest.raises(LimitExceeded) as caught:
        upload(catalogue, "note\n" + "x\n" * 60, query=query, bounds=bounds)

    assert caught.value.limit == "MIMEO_MAX_COLLECTION_BYTES"


def test_an_option_that_fits_no_row_is_named_once(catalogue: Catalogue) -> None:
    with pytest.raises(BadParameter) as caught:
        upload(catalogue, "name\nA\nB\n", query="renderer=badge&format=ico")

    assert caught.value.faults[0].field == "format"


def test_a_format_is_judged_by_the_size_of_each_row(catalogue: Catalogue) -> None:
    query = "renderer=solid&format=ico"

    with pytest.raises(BadRows) as caught:
        upload(catalogue, "width,height\n32,32\n32,16\n", query=query)

    assert [fault.row for fault in caught.value.faults] == [2]


class Lost(Exception):
    """The client is gone."""


class Broken:
    """A stream that ends in an error."""

    def read(self, size: int) -> bytes:
        """Raise."""
        raise Lost


@pytest.mark.parametrize("name", BODIES)
def test_an_error_of_the_stream_comes_through(name: str, catalogue: Catalogue) -> None:
    kind, query, _ = BODIES[name]
    pairs = read_pairs(query.encode())

    with pytest.raises(Lost):
        read_upload(Broken(), kind, pairs, catalogue, Limits())


def test_a_member_over_the_limit_is_not_built(catalogue: Catalogue) -> None:
    bounds = replace(Limits(), max_body_bytes=1000)
    body = json_of(renderer="solid", items=[{}, {"color": "x" * 200_000}])

    with pytest.raises(BadRows) as caught:
        upload(catalogue, body, JSON, "", bounds)

    assert "item 2 is over the limit MIMEO_MAX_BODY_BYTES" in str(caught.value)


def test_a_part_with_an_endless_header_is_refused(catalogue: Catalogue) -> None:
    with pytest.raises(BadBody, match="header of over 1,048,576 bytes"):
        upload(catalogue, b"--B\r\nX: " + b"x" * 2_000_000, MULTIPART, "")


def peak(catalogue: Catalogue, count: int) -> int:
    body = b"name,role\n" + b"".join(b"Person %d,x\n" % row for row in range(count))
    tracemalloc.start()
    draft = upload(catalogue, body, query="renderer=badge&name={name}")
    for _ in draft.collection(catalogue, Limits()).items():
        pass
    draft.close()
    size = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return size


def test_memory_does_not_grow_with_the_rows(catalogue: Catalogue) -> None:
    few = peak(catalogue, 100)

    assert peak(catalogue, 10_000) - few < 4 << 20
