"""Media survive the way into the store and out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.media import Media, pack, unpack


@given(st.binary(max_size=300), st.dictionaries(st.text(), st.text()))
def test_unpack_reverses_pack(data: bytes, facts: dict[str, str]) -> None:
    media = Media(data, "image/png", 3, 4, "0" * 64, "f" * 64, facts)

    assert unpack(pack(media), "f" * 64) == media


def test_cut_block_is_refused() -> None:
    block = pack(Media(b"picture", "image/png", 1, 1, "0" * 64, "f" * 64))

    for length in range(len(block)):
        with pytest.raises(ValueError, match=r"stored|JSON|size|empty|expected|column"):
            unpack(block[:length], "f" * 64)


def test_foreign_block_is_refused() -> None:
    with pytest.raises(ValueError, match="magic"):
        unpack(b"\x89PNG\r\n", "f" * 64)
