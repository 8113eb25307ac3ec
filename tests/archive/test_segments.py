"""The archive over segments is the one that a layout of all its images gives."""

import hashlib
import io
import zipfile
from functools import partial
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from zlib_ng import zlib_ng

from app.archive.errors import BadName, DamagedManifest
from app.archive.layout import Layout, Member, Slice
from app.archive.manifest import MANIFEST, Entry, Failure, Manifest
from app.archive.segments import (
    SEGMENT_HEAD,
    Segment,
    SegmentLayout,
    data_places,
    encode_segment,
    members_of,
)
from tests.archive.archives import FOUR_GIB, files
from tests.archive.readers import READERS

COLLECTION = "5f" * 32
FULL = 0xFFFFFFFF
PROBLEM = {"type": "/problems/bad-parameter", "status": 422, "detail": "Ä"}
# What came of each row: name and data, or no data where it failed.
Rows = list[tuple[str, bytes | None]]


def entry(index: int, name: str, data: bytes) -> Entry:
    digest = hashlib.sha256(data).digest()
    facts = '{"missing_glyphs":["x"]}' if index % 3 == 0 else ""
    check = zlib_ng.crc32(data)
    return Entry(index, name, "image/png", 4, 3, len(data), check, digest, facts)


def manifest_of(rows: Rows, first: int = 1, count: int | None = None) -> Manifest:
    manifest = Manifest(COLLECTION, len(rows) if count is None else count)
    for index, (name, data) in enumerate(rows, first):
        if data is None:
            manifest.fail(Failure(index, name, PROBLEM))
        else:
            manifest.add(entry(index, name, data))
    return manifest


def drawn_at_once(rows: Rows) -> bytes:
    """Return the archive as a request that draws all of it sends it."""
    manifest = manifest_of(rows)
    layout, out = Layout(), bytearray()
    for each, data in zip(manifest.entries(), stored(rows), strict=True):
        out += layout.add(Member(each.name, each.size, each.crc32)) + data
    out += layout.add(manifest.member()) + b"".join(manifest.text())
    layout.close()
    return bytes(out) + b"".join(layout.tail())


def stored(rows: Rows) -> list[bytes]:
    return [data for _, data in rows if data is not None]


def segment(manifest: Manifest, data: list[bytes]) -> bytes:
    return b"".join(encode_segment(manifest, io.BytesIO(b"".join(data))))


class Objects:
    """Segments of a collection in a store that says what was read of it."""

    def __init__(self, rows: Rows, bounds: list[int]) -> None:
        self.count = len(rows)
        self.data = []
        for start, stop in pairwise((0, *bounds, len(rows))):
            part = rows[start:stop]
            self.data.append(segment(manifest_of(part, start + 1), stored(part)))
        self.read_ranges: list[tuple[int, int, int]] = []

    def read(self, number: int, start: int, stop: int) -> bytes:
        self.read_ranges.append((number, start, stop))
        return self.data[number][start:stop]

    def head(self, number: int) -> Segment:
        return Segment.decode(self.data[number][:SEGMENT_HEAD])

    def members(self, number: int) -> bytes:
        return b"".join(members_of(self.head(number), partial(self.read, number)))

    def layout(self) -> SegmentLayout:
        heads = map(self.head, range(len(self.data)))
        return SegmentLayout.of(COLLECTION, self.count, heads, self.read)


def numbered(count: int) -> Rows:
    return [(f"{number}.png", b"%d" % number * 9) for number in range(1, count + 1)]


def tail_of(layout: Layout, start: int) -> bytes:
    """Return what a layout says is behind the images, data of the last member apart."""
    pieces = layout.pieces(start, layout.length)
    return b"".join(piece for piece in pieces if not isinstance(piece, Slice))


@st.composite
def collections(draw) -> tuple[Rows, list[int]]:
    """Rows, some of which failed, and where their segments end."""
    rows = [
        (name, None if draw(st.integers(0, 3)) == 0 else data)
        for name, data in draw(files)
    ]
    bounds = draw(st.lists(st.integers(0, len(rows)), max_size=4))
    return rows, sorted(bounds)


@settings(deadline=None)
@given(collections())
def test_the_archive_is_that_of_a_run_in_one_request(collection):
    rows, bounds = collection
    layout = Objects(rows, bounds).layout()

    found = b"".join(layout.pieces(0, layout.length))

    assert found == drawn_at_once(rows)
    assert layout.length == len(found)


@settings(deadline=None)
@given(collections(), st.data())
def test_pieces_of_a_range_are_that_slice_of_the_whole(collection, data):
    rows, bounds = collection
    objects = Objects(rows, bounds)
    layout = SegmentLayout.unpack(objects.layout().pack(), objects.read)
    whole = drawn_at_once(rows)
    point = st.integers(0, len(whole) + 9)
    start, stop = sorted((data.draw(point), data.draw(point)))

    found = b"".join(layout.pieces(start, stop))

    assert found == whole[start:stop]


sizes = st.one_of(
    st.integers(0, 1000),
    st.integers(FULL - 200, FULL + 2),
    st.integers(FOUR_GIB - 100, FOUR_GIB),
    st.integers(0, 1 << 40),
)


@settings(deadline=None)
@given(st.lists(st.lists(sizes, max_size=3), max_size=5))
def test_the_directory_is_right_beyond_4_gib(found):
    numbers = iter(range(1, 100))
    whole, manifests = Manifest(COLLECTION, 99), []
    for part in found:
        manifest = Manifest(COLLECTION, len(part))
        for size in part:
            name = f"{next(numbers)}.png"
            each = Entry(1, name, "image/png", 1, 1, size, 7, bytes(32))
            manifest.add(each)
            whole.add(each)
        manifests.append(manifest)
    indexes = [manifest.pack() for manifest in manifests]
    heads = list(map(Segment.of, manifests, indexes))

    def read(number: int, start: int, stop: int) -> bytes:
        # Nobody has so many bytes; of the index all are read.
        assert start == SEGMENT_HEAD + heads[number].members
        assert stop == start + len(indexes[number])
        return indexes[number]

    layout = SegmentLayout.of(COLLECTION, 99, heads, read)

    expected = whole.layout()
    images = sum(head.members for head in heads)
    text = b"".join(whole.text())
    tail = b"".join(layout.pieces(images, layout.length))
    assert layout.length == expected.length
    assert tail.replace(text, b"", 1) == tail_of(expected, images)


@pytest.fixture(scope="module", params=[(0, 1), (7, 3), (65_536, 500)])
def archive(request, tmp_path_factory):
    """An archive of so many images in segments of so many, on disk."""
    count, size = request.param
    layout = Objects(numbered(count), list(range(size, count, size))).layout()
    path = tmp_path_factory.mktemp("segments") / "a.zip"
    with path.open("wb") as file:
        file.writelines(layout.pieces(0, layout.length))
    return count, path


@pytest.mark.parametrize("reader", READERS)
def test_every_reader_finds_every_member(archive, reader):
    count, path = archive

    found = READERS[reader](path)

    assert found == count + 1


def test_members_are_read_back_and_the_manifest_is_the_last(archive):
    count, path = archive

    with zipfile.ZipFile(path) as found:
        names = found.namelist()
        data = [found.read(name) for name in names[:-1]]

    assert list(zip(names, data, strict=False)) == numbered(count)
    assert names[-1] == MANIFEST


def test_a_range_reads_what_it_touches_and_no_index():
    objects = Objects(numbered(3000), list(range(100, 3000, 100)))
    layout = objects.layout()
    assert objects.read_ranges == []

    found = b"".join(layout.pieces(100_000, 100_050))

    assert len(found) == 50
    assert sum(stop - start for _, start, stop in objects.read_ranges) == 50


def test_large_segments_are_read_in_pieces():
    objects = Objects([("a.png", bytes(3 << 20)), ("b.png", b"b")], [])
    layout = objects.layout()

    pieces = list(layout.pieces(0, layout.length))

    assert max(map(len, pieces)) == 1 << 20
    assert b"".join(pieces) == drawn_at_once(
        [("a.png", bytes(3 << 20)), ("b.png", b"b")]
    )


def test_the_text_is_the_manifest_of_all_segments():
    rows = [*numbered(5), ("6.png", None)]
    layout = Objects(rows, [2, 2, 4]).layout()

    text = b"".join(layout.text())

    assert text == b"".join(manifest_of(rows).text())


@settings(deadline=None)
@given(collections())
def test_members_are_the_bytes_that_the_archive_begins_with(collection):
    rows, bounds = collection
    objects = Objects(rows, bounds)

    found = b"".join(map(objects.members, range(len(objects.data))))

    assert drawn_at_once(rows).startswith(found)
    assert drawn_at_once(rows)[len(found) + 30 :].startswith(MANIFEST.encode())


def test_data_are_where_the_index_says():
    objects = Objects([*numbered(5), ("6.png", None)], [2])
    data = objects.data[1]

    manifest = objects.head(1).manifest(partial(objects.read, 1))

    found = [data[at : at + each.size] for each, at in data_places(manifest)]
    assert found == stored(numbered(5)[2:])


def test_a_segment_that_is_cut_off_is_an_error_and_no_end():
    objects = Objects(numbered(9), [3, 6])
    layout = objects.layout()
    objects.data[1] = objects.data[1][:-1]

    with pytest.raises(DamagedManifest, match="cut off"):
        list(layout.pieces(0, layout.length))


def test_members_with_a_bit_flipped_are_an_error_and_not_all_sent():
    objects = Objects(numbered(9), [3, 6])
    layout = objects.layout()
    damaged = bytearray(objects.data[1])
    damaged[SEGMENT_HEAD + 40] ^= 1
    objects.data[1] = bytes(damaged)
    sent = []

    with pytest.raises(DamagedManifest, match="damaged"):
        sent.extend(layout.pieces(0, layout.length))
    with pytest.raises(DamagedManifest, match="damaged"):
        objects.members(1)

    assert b"".join(sent) == objects.members(0)


def test_an_index_with_a_bit_flipped_is_refused():
    objects = Objects(numbered(9), [])
    layout = objects.layout()
    damaged = bytearray(objects.data[0])
    damaged[-30] ^= 1
    objects.data[0] = bytes(damaged)

    with pytest.raises(DamagedManifest):
        list(layout.pieces(0, layout.length))


def test_a_head_with_any_bit_flipped_or_cut_is_refused():
    [data] = Objects(numbered(2), []).data
    head = data[:SEGMENT_HEAD]

    for bit in range(8 * len(head)):
        damaged = bytearray(head)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(DamagedManifest):
            Segment.decode(bytes(damaged))
    for stop in range(len(head)):
        with pytest.raises(DamagedManifest):
            Segment.decode(head[:stop])


def test_a_packed_layout_with_any_bit_flipped_or_cut_is_refused():
    objects = Objects(numbered(4), [2])
    block = objects.layout().pack()

    for bit in range(8 * len(block)):
        damaged = bytearray(block)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(DamagedManifest):
            SegmentLayout.unpack(bytes(damaged), objects.read)
    for stop in range(len(block)):
        with pytest.raises(DamagedManifest):
            SegmentLayout.unpack(block[:stop], objects.read)


def test_unpack_reverses_pack():
    objects = Objects([*numbered(5), ("6.png", None)], [2, 2, 4])
    layout = objects.layout()

    found = SegmentLayout.unpack(layout.pack(), objects.read)

    assert found.length == layout.length
    assert found.pack() == layout.pack()


@pytest.mark.parametrize("data", [[], [b"1"], [b"1", b"2"]])
def test_too_few_data_make_no_segment(data):
    manifest = manifest_of([("1.png", b"1"), ("2.png", b"22")])

    with pytest.raises(ValueError, match=r"bytes of ..png are missing"):
        segment(manifest, data)


def test_a_name_that_is_not_safe_makes_no_segment():
    manifest = manifest_of([("../1.png", b"1")])

    with pytest.raises(BadName):
        segment(manifest, [b"1"])


def test_the_index_tells_what_is_known_of_the_images():
    objects = Objects([*numbered(3), ("4.png", None)], [1])
    head = objects.head(1)

    manifest = head.manifest(partial(objects.read, 1))

    assert (head.images, head.failures) == (2, 1)
    assert [each.index for each in manifest.entries()] == [2, 3]
    assert [each.index for each in manifest.failures] == [4]
