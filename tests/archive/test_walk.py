"""The walker yields members that are whole, and stops where an archive is not ours."""

import struct
import tracemalloc

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from app.archive.errors import ArchiveError, DamagedArchive
from app.archive.layout import Layout, Member, Slice
from app.archive.walk import Walker
from tests.archive.archives import (
    FOUR_GIB,
    files,
    laid_out,
    many,
    member,
    random_cuts,
    sent,
    zeros,
)

CONTENTS = [("a.png", b"first" * 9), ("b.png", b""), ("c.png", b"third")]
WHOLE = sent(CONTENTS)
# Where each of the three begins, and the tail.
STARTS = (0, 35 + 45, 35 + 45 + 35, 35 + 45 + 35 + 35 + 5)


def walked(data: bytes, walker: Walker | None = None) -> list[Member]:
    return list((walker or Walker()).feed(data))


def damaged_at(data: bytes, pieces: int = 1 << 20) -> tuple[int, list[str]]:
    """Return where the walker stops, and the names it yields before."""
    walker, found = Walker(), []
    with pytest.raises(DamagedArchive) as caught:
        for at in range(0, len(data), pieces):
            for each in walker.feed(data[at : at + pieces]):
                found.append(each.name)
    assert caught.value.offset == walker.whole
    return caught.value.offset, found


def changed(place: int, new: bytes) -> bytes:
    return WHOLE[:place] + new + WHOLE[place + len(new) :]


@settings(deadline=None)
@given(files, st.integers(0, 1 << 30), st.integers(1, 200))
def test_members_come_whole_from_pieces_of_any_size(contents, seed, longest):
    data = sent(contents)
    walker, found = Walker(), []

    for piece in random_cuts(data, seed, longest):
        found.extend(walker.feed(piece))

    assert found == [member(*file) for file in contents]
    assert walker.at_tail
    assert walker.whole == len(data) - len(tail_of(contents))


def tail_of(contents) -> bytes:
    return b"".join(laid_out(member(*file) for file in contents).tail())


@settings(deadline=None)
@given(st.integers(0, len(WHOLE)))
def test_a_cut_file_is_resumed_at_the_last_whole_member(stop):
    before = Walker()
    first = walked(WHOLE[:stop], before)
    kept = WHOLE[: before.whole]

    walker = Walker()
    again = walked(kept, walker)
    rest = walked(WHOLE[before.whole :], walker)

    assert again == first
    assert again + rest == [member(*file) for file in CONTENTS]


def test_a_truncated_archive_never_yields_half_a_member():
    for stop in range(len(WHOLE)):
        walker = Walker()

        found = walked(WHOLE[:stop], walker)

        ends = [end for end in STARTS[1:] if end <= stop]
        assert found == [member(*file) for file in CONTENTS][: len(ends)]
        assert walker.whole == max(ends, default=0)
        assert walker.at_tail == (stop >= STARTS[-1] + 4)


def test_an_archive_without_members_is_at_its_tail_at_once():
    walker = Walker()

    assert walked(sent([]), walker) == []
    assert (walker.at_tail, walker.whole) == (True, 0)


@pytest.mark.parametrize("pieces", [1, 7, 1 << 20])
@pytest.mark.parametrize("number", [0, 2])
def test_changed_data_are_damage_where_their_member_begins(number, pieces):
    _, data = CONTENTS[number]
    place = STARTS[number] + 35 + len(data) - 1

    found = damaged_at(changed(place, b"!"), pieces)

    assert found == (STARTS[number], [name for name, _ in CONTENTS[:number]])


FIELDS = {
    "signature": (0, b"PK\3\5"),
    "descriptor": (0, b"PK\7\10"),
    "version": (4, b"\x2d"),
    "flags": (6, b"\x08"),
    "names in UTF-8": (7, b"\x08"),
    "method": (8, b"\x08"),
    "time": (10, b"\x01"),
    "date": (12, b"\x22"),
    "checksum": (14, b"\x00\x00\x00\x00"),
    "packed size": (18, b"\x07"),
    "size": (22, b"\x07"),
    "no name": (26, b"\x00"),
    "long name": (26, b"\xc9"),
    "longest name": (26, b"\xff\xff"),
    "extra": (28, b"\x01"),
    "longest extra": (28, b"\xff\xff"),
    "path": (30, b"/"),
    "control character": (31, b"\x1b"),
    "not ASCII": (30, b"\xe4"),
}


@pytest.mark.parametrize("pieces", [1, 1 << 20])
@pytest.mark.parametrize("field", FIELDS)
def test_a_header_unlike_ours_is_damage_where_it_stands(field, pieces):
    place, new = FIELDS[field]

    found = damaged_at(changed(STARTS[2] + place, new), pieces)

    assert found == (STARTS[2], ["a.png", "b.png"])


@pytest.mark.parametrize(
    "extra",
    [
        b"",
        struct.pack("<HHQQ", 2, 16, FOUR_GIB, FOUR_GIB),
        struct.pack("<HHQQ", 1, 15, FOUR_GIB, FOUR_GIB),
        struct.pack("<HHQQ", 1, 16, FOUR_GIB, FOUR_GIB + 1),
        struct.pack("<HHQQ", 1, 16, 5, 5),
        struct.pack("<HHQ", 1, 8, FOUR_GIB),
    ],
)
def test_a_zip64_field_unlike_ours_is_damage(extra):
    header = Layout().add(Member("a.png", FOUR_GIB, 0))
    size = len(extra).to_bytes(2, "little")

    found = damaged_at(header[:28] + size + header[30:35] + extra)

    assert found == (0, [])


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 8 * STARTS[-1] - 1))
@example(848)
def test_any_flipped_bit_is_damage_or_a_member_that_never_ends(bit):
    data = bytearray(WHOLE)
    data[bit // 8] ^= 1 << bit % 8
    walker, found = Walker(), []

    try:
        for piece in random_cuts(bytes(data), bit, 50):
            found.extend(walker.feed(piece))
    except DamagedArchive as damage:
        begun = max(start for start in STARTS if start <= bit // 8)
        # A shorter name of an empty file is a file: the rest of the name is none.
        shorter = bit // 8 == begun + 26 and damage.offset < begun + 35
        assert damage.offset == begun or shorter
    else:
        assert not walker.at_tail or WHOLE[bit // 8 : bit // 8 + 1] in b"abcpng."
    expected = [member(*file) for file in CONTENTS]
    # A name is under no checksum; all else that is yielded is as it was sent.
    assert [each[1:] for each in found] == [each[1:] for each in expected[: len(found)]]


def test_damage_is_told_again():
    data = changed(40, b"!")
    walker = Walker()

    for _ in range(2):
        with pytest.raises(
            DamagedArchive, match=r"byte 0: a\.png has another checksum"
        ):
            walked(data, walker)
            data = b""


def test_a_member_of_4_gib_is_walked():
    layout = laid_out([zeros("large.png", FOUR_GIB), zeros("last.png", 9)])
    walker, found = Walker(), []

    for piece in layout.pieces(0, layout.length):
        for block in blocks(piece):
            found.extend(walker.feed(block))

    assert found == [layout.member(0), layout.member(1)]
    assert walker.at_tail


def blocks(piece: bytes | Slice):
    if not isinstance(piece, Slice):
        yield piece
        return
    block = bytes(1 << 20)
    for at in range(piece.start, piece.stop, len(block)):
        yield block[: piece.stop - at]


def test_nothing_is_kept_of_a_member_that_claims_to_be_endless():
    walker = Walker()
    walked(Layout().add(Member("a.png", (1 << 64) - 1, 0)), walker)

    growth = grown(lambda: walked(bytes(1 << 16), walker))

    assert growth < 1 << 18


def test_nothing_is_kept_of_an_endless_tail():
    walker = Walker()
    walked(sent([]), walker)

    growth = grown(lambda: walked(bytes(1 << 16), walker))

    assert growth < 1 << 18


def grown(feed) -> int:
    """Return by how many bytes memory grows while 16 MiB are fed."""
    feed()
    tracemalloc.start()
    try:
        for _ in range(256):
            feed()
        return tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()


def test_many_members_come_from_one_piece():
    contents = many(5000)

    found = walked(sent(contents))

    assert found == [member(*file) for file in contents]


def test_a_damaged_archive_names_the_byte():
    error = DamagedArchive(1234567, "no file begins here")

    assert isinstance(error, ArchiveError)
    assert str(error) == "The archive is damaged at byte 1,234,567: no file begins here"
