"""A manifest tells all of an archive, comes back from its block, or is refused."""

import json
import sys
from array import array

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from zlib_ng import zlib_ng

from app.archive.errors import ArchiveError, DamagedManifest
from app.archive.layout import Layout, Member
from app.archive.manifest import MANIFEST, Entry, Failure, Manifest
from tests.archive.archives import FOUR_GIB, from_json, names

HEAD = len(b"mimeoa2\n") + 4
u32 = st.integers(0, (1 << 32) - 1)
json_values = st.one_of(st.text(max_size=20), st.integers(0, 1 << 53), st.none())
problems = st.dictionaries(
    st.text(max_size=9).filter(lambda key: key not in ("index", "name")),
    json_values,
    max_size=3,
)


def entry(index: int, **changes) -> Entry:
    fields = {
        "index": index,
        "name": f"{index}.png",
        "media_type": "image/png",
        "width": 640,
        "height": 480,
        "size": 1000 + index,
        "crc32": 0xDEADBEEF,
        "sha256": bytes([index % 256]) * 32,
    }
    return Entry(**{**fields, **changes})


def failure(index: int) -> Failure:
    problem = {"type": "bad-parameter", "detail": "Ä is no colour", "status": 422}
    return Failure(index, f"{index}.png", problem)


def filled(entries=(), failures=(), count=9) -> Manifest:
    manifest = Manifest("5f" * 16, count)
    for each in entries:
        manifest.add(each)
    for each in failures:
        manifest.fail(each)
    return manifest


entries_of_an_archive = st.lists(
    st.builds(
        Entry,
        index=u32,
        name=names,
        media_type=st.just("image/webp"),
        width=u32,
        height=u32,
        size=st.integers(0, (1 << 64) - 1),
        crc32=u32,
        sha256=st.binary(min_size=32, max_size=32),
        facts=st.just("") | st.dictionaries(st.text(), st.text()).map(json.dumps),
    ),
    max_size=6,
)
manifests = st.builds(
    filled,
    entries_of_an_archive,
    st.lists(st.builds(Failure, u32, names, problems), max_size=3),
    u32,
)


def same(first: Manifest, second: Manifest) -> bool:
    return all(
        getattr(first, name) == getattr(second, name)
        for name in ("collection_id", "count", "failures", "complete")
    ) and list(first.entries()) == list(second.entries())


def sealed(head: dict, data: bytes) -> bytes:
    """Return a block with a right checksum, whatever is in it."""
    packed = orjson.dumps(head)
    return checked(len(packed).to_bytes(4, "big") + packed + data)


def checked(body: bytes) -> bytes:
    return b"mimeoa2\n" + zlib_ng.crc32(body).to_bytes(4, "big") + body


def opened(block: bytes) -> tuple[dict, bytes]:
    body = block[HEAD:]
    stop = 4 + int.from_bytes(body[:4], "big")
    return orjson.loads(body[4:stop]), body[stop:]


def test_the_text_tells_all_of_an_image():
    manifest = filled([entry(1), entry(3, size=FOUR_GIB)], [failure(2)], count=3)

    found = from_json(manifest.text())

    image = {"media_type": "image/png", "width": 640, "height": 480}
    crc32 = 0xDEADBEEF
    assert found == {
        "collection": "5f" * 16,
        "count": 3,
        "images": [
            {"index": 1, "name": "1.png", **image, "size": 1001, "crc32": crc32}
            | {"sha256": "01" * 32},
            {"index": 3, "name": "3.png", **image, "size": FOUR_GIB, "crc32": crc32}
            | {"sha256": "03" * 32},
        ],
        "errors": [
            {"index": 2, "name": "2.png", "type": "bad-parameter", "status": 422}
            | {"detail": "Ä is no colour"}
        ],
    }


@given(manifests)
def test_the_text_is_json_of_every_entry_and_failure(manifest):
    found = from_json(manifest.text())

    assert found["count"] == manifest.count
    assert found["images"] == [
        {name: getattr(each, name) for name in Entry.__slots__ if name != "facts"}
        | {"sha256": each.sha256.hex()}
        | ({"facts": json.loads(each.facts)} if each.facts else {})
        for each in manifest.entries()
    ]
    assert found["errors"] == [
        {"index": each.index, "name": each.name, **each.problem}
        for each in manifest.failures
    ]


def test_the_text_has_an_image_or_an_error_a_line():
    manifest = filled([entry(1), entry(2)], [failure(3), failure(4)])

    lines = b"".join(manifest.text()).splitlines()

    starts = [line[:11] for line in lines if line.startswith(b'{"index":')]
    assert starts == [b'{"index":%d,' % index for index in (1, 2, 3, 4)]


def test_a_problem_cannot_rename_what_it_is_about():
    manifest = filled(failures=[Failure(7, "7.png", {"index": 1, "name": "x"})])

    found = from_json(manifest.text())

    assert found["errors"] == [{"index": 7, "name": "7.png"}]


def test_a_long_text_comes_in_pieces_of_about_64_kib():
    manifest = filled((entry(index) for index in range(1, 3000)), count=2999)

    pieces = list(manifest.text())

    assert len(pieces) > 3
    assert max(map(len, pieces)) < (64 << 10) + 500
    assert len(from_json(pieces)["images"]) == 2999


@given(manifests)
def test_the_member_is_that_of_the_text(manifest):
    text = b"".join(manifest.text())

    assert manifest.member() == Member(MANIFEST, len(text), zlib_ng.crc32(text))


def test_the_layout_is_the_one_built_while_adding():
    manifest, layout = Manifest("5f" * 16, 200), Layout()
    for each in map(entry, range(1, 201)):
        layout.add(Member(each.name, each.size, each.crc32))
        manifest.add(each)
    layout.add(manifest.member())
    layout.close()

    found = Manifest.unpack(manifest.pack()).layout()

    assert list(found.pieces(0, found.length)) == list(layout.pieces(0, layout.length))
    assert found.length == layout.length


@pytest.mark.parametrize(
    ("images", "failed", "complete"),
    [(0, 0, False), (1, 1, False), (2, 1, True), (3, 0, True), (0, 3, True)],
)
def test_it_is_complete_once_all_images_are_accounted_for(images, failed, complete):
    manifest = filled(map(entry, range(images)), map(failure, range(failed)), count=3)

    assert (manifest.complete, len(manifest)) == (complete, images)


def test_images_of_two_media_types_are_refused():
    manifest = filled([entry(1)])

    with pytest.raises(ValueError, match="image/webp beside image/png"):
        manifest.add(entry(2, media_type="image/webp"))

    assert list(manifest.entries()) == [entry(1)]


@pytest.mark.parametrize(
    "wrong",
    [
        *({"size": -1}, {"width": 1 << 32}, {"sha256": b"x"}, {"facts": "\u00e4"}),
        *({"name": "a\nb"}, {"crc32": -1}, {"index": "1"}),
    ],
    ids=repr,
)
def test_an_entry_that_does_not_fit_leaves_nothing_behind(wrong):
    manifest = filled([entry(1)])

    with pytest.raises((ValueError, OverflowError, TypeError)):
        manifest.add(entry(2, **wrong))

    manifest.add(entry(3))
    assert list(manifest.entries()) == [entry(1), entry(3)]
    assert same(Manifest.unpack(manifest.pack()), manifest)


@given(manifests)
def test_unpack_reverses_pack(manifest):
    found = Manifest.unpack(manifest.pack())

    assert same(found, manifest)
    assert list(found.text()) == list(manifest.text())
    assert found.pack() == manifest.pack()


def test_an_unpacked_manifest_takes_more_images_of_its_media_type():
    manifest = Manifest.unpack(filled([entry(1)]).pack())

    manifest.add(entry(2))

    assert list(manifest.entries()) == [entry(1), entry(2)]
    with pytest.raises(ValueError, match="beside"):
        manifest.add(entry(3, media_type="image/webp"))


def test_a_block_from_a_machine_of_the_other_byte_order_is_read():
    manifest = filled([entry(1), entry(2)])
    head, data = opened(manifest.pack())
    swapped, at = b"", 0
    for code in "IIIIQ":
        column = array(code)
        column.frombytes(data[at : at + 2 * column.itemsize])
        column.byteswap()
        swapped += column.tobytes()
        at += 2 * column.itemsize
    other = {"little": "big", "big": "little"}[sys.byteorder]

    found = Manifest.unpack(sealed({**head, "order": other}, swapped + data[at:]))

    assert same(found, manifest)


def test_a_block_cut_at_any_byte_is_refused():
    block = filled([entry(1), entry(2)], [failure(3)]).pack()

    for stop in range(len(block)):
        with pytest.raises(DamagedManifest):
            Manifest.unpack(block[:stop])


def test_a_block_with_any_bit_flipped_is_refused():
    block = filled([entry(1)], [failure(2)]).pack()

    for bit in range(8 * len(block)):
        damaged = bytearray(block)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(DamagedManifest):
            Manifest.unpack(bytes(damaged))


@given(st.binary(max_size=200))
def test_any_bytes_under_a_right_checksum_are_refused(body):
    with pytest.raises(DamagedManifest):
        Manifest.unpack(checked(body))


def test_a_right_checksum_over_a_cut_body_is_refused():
    body = filled([entry(1), entry(2)], [failure(3)]).pack()[HEAD:]

    for stop in range(len(body)):
        with pytest.raises(DamagedManifest):
            Manifest.unpack(checked(body[:stop]))


@settings(max_examples=500, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 255))
def test_a_right_checksum_over_a_changed_body_raises_nothing_else(place, change):
    body = bytearray(filled([entry(1), entry(2)], [failure(3)]).pack()[HEAD:])
    body[place % len(body)] ^= change

    try:
        found = Manifest.unpack(checked(bytes(body)))
    except DamagedManifest:
        return

    assert len(list(found.entries())) == 2


@pytest.mark.parametrize(
    "change",
    [
        {"collection": None},
        {"collection": 5},
        {"count": None},
        {"count": -1},
        {"count": "9"},
        {"count": 1.5},
        {"media_type": 5},
        {"entries": None},
        {"entries": -1},
        {"entries": 1},
        {"entries": 3},
        {"entries": 1 << 60},
        {"entries": 2.0},
        {"failures": None},
        {"failures": 5},
        {"failures": [5]},
        {"failures": [{}]},
        {"failures": [{"index": 1, "name": "x", "problem": 5}]},
        {"failures": [{"index": "x", "name": "x", "problem": {}}]},
        {"failures": [{"index": 1, "name": 5, "problem": {}}]},
        {"failures": [{"index": 1, "name": "x", "problem": {}, "more": 1}]},
        {"order": "middle"},
    ],
    ids=repr,
)
def test_a_head_with_a_wrong_value_is_refused(change):
    head, data = opened(filled([entry(1), entry(2)], [failure(3)]).pack())

    with pytest.raises(DamagedManifest):
        Manifest.unpack(sealed({**head, **change}, data))


@pytest.mark.parametrize(
    "name", ["collection", "count", "media_type", "entries", "failures", "order"]
)
def test_a_head_without_a_value_is_refused(name):
    head, data = opened(filled([entry(1)]).pack())
    del head[name]

    with pytest.raises(DamagedManifest):
        Manifest.unpack(sealed(head, data))


@pytest.mark.parametrize("head", [None, 5, "x", [], [1], {}])
def test_a_head_that_is_no_object_is_refused(head):
    with pytest.raises(DamagedManifest):
        Manifest.unpack(sealed(head, b""))


def test_a_damaged_manifest_is_an_archive_error():
    assert issubclass(DamagedManifest, ArchiveError)
