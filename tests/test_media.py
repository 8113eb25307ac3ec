"""Media survive the way into the store and out."""

import zlib
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.media import Media
from app.pipeline.media_store import Stored, pack, packed, peek, unpack


@given(st.binary(max_size=300), st.dictionaries(st.text(), st.text()))
def test_unpack_reverses_pack(data: bytes, facts: dict[str, str]) -> None:
    media = Media(data, "image/png", 3, 4, "0" * 64, "f" * 64, facts)

    assert unpack(pack(media), "f" * 64) == media


def test_cut_block_is_refused() -> None:
    block = pack(Media(b"picture", "image/png", 1, 1, "0" * 64, "f" * 64))

    for length in range(len(block)):
        with pytest.raises(ValueError, match=r"stored|JSON|empty|expected|column|end"):
            unpack(block[:length], "f" * 64)


@given(st.binary(min_size=1, max_size=99), st.integers(1, 255))
def test_a_flipped_byte_is_noticed_wherever_it_is(data: bytes, flip: int) -> None:
    media = Media(data, "image/png", 1, 1, "0" * 64, "f" * 64, {"missing": "a"})
    whole = pack(media)

    for at in range(len(whole)):
        block = bytearray(whole)
        block[at] ^= flip
        assert is_damaged(lambda block=block: unpack(bytes(block), "f" * 64))
        if at < len(whole) - len(data):
            assert is_damaged(lambda block=block: peek(reader(bytes(block))))


def is_damaged(read: Callable[[], object]) -> bool:
    """Say whether a block counts as absent: one that is old, or not whole."""
    try:
        return read() is None
    except ValueError:
        return True


def reader(block: bytes) -> Callable[[int, int], bytes]:
    return lambda start, stop: block[start:stop]


@pytest.mark.parametrize("header", [b"{}", b"[]", b'{"crc32":0,"more":1}', b"7"])
def test_header_of_another_kind_is_refused(header: bytes) -> None:
    lengths = len(header).to_bytes(4, "big") + b"\0\0\0\2"
    check = zlib.crc32(lengths + header + b"{}").to_bytes(4, "big")
    block = b"mimeo3\n" + lengths + check + header + b"{}"

    with pytest.raises(ValueError, match="not ours"):
        unpack(block, "f" * 64)
    with pytest.raises(ValueError, match="not ours"):
        peek(reader(block))


def test_foreign_block_is_refused() -> None:
    with pytest.raises(ValueError, match="magic"):
        unpack(b"\x89PNG\r\n", "f" * 64)


@pytest.mark.parametrize("glyphs", [0, 1, 300, 100_000])
def test_a_peek_tells_all_but_the_data(glyphs: int) -> None:
    data = bytes(range(256)) * 40
    facts = {"missing_glyphs": "\u0e01" * glyphs}

    block = pack(Media(data, "image/png", 3, 4, "0" * 64, "f" * 64, facts))

    crc32 = zlib.crc32(data)
    told = Stored("image/png", 3, 4, len(data), crc32, "0" * 64, facts)
    assert peek(reader(block)) == told


def test_a_peek_at_nothing_is_none() -> None:
    assert peek(lambda start, stop: None) is None


def test_the_largest_header_fits_into_a_peek() -> None:
    most = (1 << 32) - 1
    media_type = "image/" + "x" * 121

    block = pack(Media(b"", media_type, most, most, "0" * 64, "f" * 64, {"n": most}))

    assert peek(lambda start, stop: block[start:stop] if not start else b"")


@given(st.binary(min_size=1))
def test_a_view_is_packed_and_unpacked_like_bytes(data: bytes) -> None:
    media = Media(data, "image/png", 1, 1, "0" * 64, "f" * 64)
    viewed = replace(media, data=memoryview(data))

    block = b"".join(packed(viewed))

    found = unpack(memoryview(block), "f" * 64)
    assert block == pack(media)
    assert found is not None
    assert isinstance(found.data, memoryview)
    assert found.in_memory == data == b"".join(found.blocks())


@pytest.mark.parametrize("magic", [b"mimeo1\n", b"mimeo2\n"])
def test_a_block_of_an_earlier_version_counts_as_absent(magic: bytes) -> None:
    header = b'{"media_type":"image/png","width":1,"height":1,"crc32":0,"facts":{}}'
    block = magic + len(header).to_bytes(4, "big") + header

    assert unpack(block, "f" * 64) is None
    assert peek(reader(block)) is None
