"""Many short texts take two buffers and come back as they were."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.archive.layout import Texts

texts = st.lists(
    st.text(st.characters(max_codepoint=127, exclude_characters="\n"), max_size=20)
)


@given(texts)
def test_texts_come_back_as_they_were(values):
    kept = Texts()
    for value in values:
        kept.append(value)

    assert [kept[index] for index in range(len(kept))] == values
    assert kept.lines() == "".join(f"{value}\n" for value in values).encode()


def test_a_text_that_no_encoding_can_write_is_refused_and_not_kept():
    kept = Texts()
    kept.append("ä")

    with pytest.raises(UnicodeEncodeError):
        kept.append("\ud800")

    assert (len(kept), kept.lines()) == (1, "ä\n".encode())


def test_there_is_no_text_behind_the_last():
    kept = Texts()
    kept.append("a")

    with pytest.raises(IndexError):
        kept[1]
