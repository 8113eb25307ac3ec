"""One object knows the place of every byte of an archive."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.archive.errors import ArchiveError, BadName
from app.archive.layout import Layout, Member, Slice
from tests.archive.archives import FOUR_GIB, cut, files, laid_out, many, member, sent

END, LOCATOR, END64 = 22, 20, 56
FULL = 0xFFFFFFFF

sizes = st.one_of(
    st.integers(0, 1000),
    st.integers(FULL - 2, FULL + 2),
    st.integers(FOUR_GIB - 100, FOUR_GIB),
    st.integers(0, 1 << 40),
)
huge = st.lists(sizes, max_size=6).map(
    lambda found: [Member(f"{n}.png", size, n) for n, size in enumerate(found)]
)


def spans(layout: Layout, start: int, stop: int) -> list[tuple]:
    """Return what a range consists of, with headers and tail byte for byte."""
    found: list[tuple] = []
    for piece in layout.pieces(start, stop):
        if isinstance(piece, Slice):
            found.append((piece.index, piece.start, piece.stop))
        else:
            found.extend(("byte", byte) for byte in piece)
    return found


def length_of(span: tuple) -> int:
    return 1 if span[0] == "byte" else span[2] - span[1]


def clipped(whole: list[tuple], start: int, stop: int) -> list[tuple]:
    """Cut a range out of the spans of the whole, by counting along them."""
    found, at = [], 0
    for span in whole:
        first, last = max(start - at, 0), min(stop - at, length_of(span))
        if first < last:
            inside = (span[0], span[1] + first, span[1] + last)
            found.append(span if span[0] == "byte" else inside)
        at += length_of(span)
    return found


def ranges(data: st.DataObject, length: int) -> tuple[int, int]:
    # Half of them lie near the end, where the tail is.
    near = st.integers(max(length - 300, 0), length)
    point = st.one_of(st.integers(0, length), near)
    start, stop = sorted((data.draw(point), data.draw(point)))
    return start, stop


@settings(deadline=None)
@given(files, st.data())
def test_pieces_of_a_range_are_that_slice_of_the_whole(contents, data):
    whole = sent(contents)
    layout = laid_out(member(*file) for file in contents)
    start, stop = ranges(data, len(whole))

    found = cut(layout, contents, start, stop)

    assert found == whole[start:stop]


@settings(deadline=None)
@given(huge, st.data())
def test_pieces_are_right_beyond_4_gib(members, data):
    layout = laid_out(members)
    start, stop = ranges(data, layout.length)

    found = spans(layout, start, stop)

    assert found == clipped(spans(layout, 0, layout.length), start, stop)
    assert sum(map(length_of, found)) == stop - start


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_a_tail_of_many_blocks_is_cut_anywhere(data):
    contents, whole, layout = MANY
    start, stop = ranges(data, len(whole))

    found = cut(layout, contents, start, stop)

    assert found == whole[start:stop]


def test_a_range_may_end_behind_the_archive():
    contents = many(3)
    layout = laid_out(member(*file) for file in contents)

    found = cut(layout, contents, 0, layout.length + 100)

    assert found == sent(contents)


def test_the_tail_comes_in_pieces_of_about_64_kib():
    _, _, layout = MANY

    pieces = list(layout.tail())

    assert len(pieces) > 2
    assert all(pieces)
    assert max(map(len, pieces)) < (64 << 10) + 300


@settings(deadline=None)
@given(huge, st.data())
def test_touched_are_the_members_that_a_range_has_bytes_of(members, data):
    layout = laid_out(members)
    ends = [0]
    for each in members:
        extra = 20 if each.size >= FULL else 0
        ends.append(ends[-1] + 30 + len(each.name) + extra + each.size)
    start, stop = ranges(data, layout.length)

    found = list(layout.touched(start, stop))

    assert found == [
        index
        for index in range(len(members))
        if max(start, ends[index]) < min(stop, ends[index + 1])
    ]


@given(files)
def test_length_is_that_of_the_bytes(contents):
    layout = laid_out(member(*file) for file in contents)

    assert layout.length == len(sent(contents))


@given(huge)
def test_equal_members_give_equal_bytes(members):
    first, second = laid_out(members), laid_out(members)

    assert spans(first, 0, first.length) == spans(second, 0, second.length)


def test_members_are_kept_in_order():
    members = [member(*file) for file in many(20)]

    layout = laid_out(members)

    assert [layout.member(index) for index in range(len(layout))] == members


def test_a_closed_layout_takes_no_member():
    layout = laid_out([])

    with pytest.raises(ValueError, match="closed"):
        layout.add(member("a.png", b""))


@pytest.mark.parametrize(
    ("count", "extra"), [(0, 0), (1, 0), (65_534, 0), (65_535, END64 + LOCATOR)]
)
def test_zip64_records_stand_from_65_535_members_on(count, extra):
    contents = many(count)
    layout = laid_out(member(*file) for file in contents)
    entries = sum(46 + len(name) for name, _ in contents)

    tail = b"".join(layout.tail())

    assert len(tail) == entries + extra + END
    assert (b"PK\6\6" in tail, b"PK\6\7" in tail) == (extra > 0, extra > 0)


# A header takes 35 bytes beside the data, so the tail begins this far behind them.
HEADER = 30 + len("a.png")


@pytest.mark.parametrize(
    ("size", "records"),
    [
        (FULL - 1 - HEADER, False),
        (FULL - HEADER, True),
        (FULL - HEADER + 1, True),
    ],
)
def test_zip64_records_stand_where_the_tail_begins_at_4_gib(size, records):
    layout = laid_out([Member("a.png", size, 0)])

    tail = b"".join(layout.tail())

    assert len(tail) == 46 + 5 + records * (END64 + LOCATOR) + END


@pytest.mark.parametrize(
    ("size", "local", "central"),
    [
        (FULL - 1, (), ()),
        (FULL, (FULL, FULL), (FULL, FULL)),
        (FOUR_GIB, (FOUR_GIB, FOUR_GIB), (FOUR_GIB, FOUR_GIB)),
    ],
)
def test_sizes_stand_in_a_zip64_field_from_4_gib_less_one(size, local, central):
    layout = Layout()

    header = layout.add(Member("a.png", size, 0))

    layout.close()
    entry = next(iter(layout.tail()))
    assert header[35:] == field(*local)
    assert entry[51 : 51 + len(field(*central))] == field(*central)
    assert struct.unpack_from("<HH", entry, 28) == (5, len(field(*central)))


@pytest.mark.parametrize("offset", [FULL - 1, FULL, FULL + 1])
def test_an_offset_stands_in_a_zip64_field_from_4_gib_less_one(offset):
    layout = laid_out(
        [Member("a.png", offset - HEADER, 0), Member("b.png", 3, 0)],
    )

    # The first is too small for a field of its own.
    entry = b"".join(layout.tail())[46 + 5 :]

    expected = field(offset) if offset >= FULL else b""
    assert entry[51 : 51 + len(expected)] == expected
    assert struct.unpack_from("<HH", entry, 28) == (5, len(expected))
    assert struct.unpack_from("<II", entry, 20) == (3, 3)
    assert struct.unpack_from("<I", entry, 42) == (min(offset, FULL),)


def field(*numbers: int) -> bytes:
    if not numbers:
        return b""
    body = struct.pack(f"<{len(numbers)}Q", *numbers)
    return struct.pack("<HH", 1, len(body)) + body


@pytest.mark.parametrize(
    "name",
    [
        *("", ".", "..", "../x", "/x", "x/", "x//y", "x/../y", "x/.y", "a/b/c/d/e/f"),
        *("x\\y", "C:x", ".hidden", "-rf", " x"),
        *("x.", "x ", "x\n", "x\0", "x\r", "a" * 201, "\u00e4" * 101, "\u202ex"),
    ],
)
def test_a_name_that_is_not_safe_is_refused(name):
    layout = Layout()

    with pytest.raises(BadName) as caught:
        layout.add(member(name, b""))

    assert caught.value.name == name
    assert len(layout) == 0


@pytest.mark.parametrize(
    "name",
    [
        *("a", "_", "a b.png", "a" * 200, "1-2_3.tar.gz", "x/y", "a/b/c/d/e.png"),
        *("K\u00e4fer.png", "\u738b\u5c0f\u660e/\u0e2a\u0e21.png", "\u0661"),
    ],
)
def test_a_plain_name_is_taken(name):
    layout = laid_out([member(name, b"")])

    assert layout.member(0).name == name


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("a.png", "a.png"),
        ("a.png", "A.png"),
        ("a.png", "a.PNG"),
        ("Zo\u00eb", "Zoe\u0308"),
        ("x/a", "X/A"),
    ],
)
def test_a_name_that_differs_in_case_or_form_only_is_refused(first, second):
    layout = Layout()
    layout.add(member(first, b""))

    with pytest.raises(BadName, match="already"):
        layout.add(member(second, b""))

    assert len(layout) == 1


@pytest.mark.parametrize("wrong", [{"size": -1}, {"crc32": -1}, {"crc32": 1 << 32}])
def test_a_member_with_wrong_numbers_leaves_nothing_behind(wrong):
    layout = Layout()
    with pytest.raises(struct.error):
        layout.add(member("a.png", b"x")._replace(**wrong))

    layout.add(member("a.png", b"x"))

    layout.close()
    assert b"".join(layout.tail()) == sent([("a.png", b"x")])[36:]


def test_a_bad_name_is_cut_short_in_the_message():
    error = BadName("a" * 5000, "is long")

    assert isinstance(error, ArchiveError)
    assert len(str(error)) < 100


MANY = (many(5000), sent(many(5000)), laid_out(member(*file) for file in many(5000)))
