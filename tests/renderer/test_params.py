"""What a text may hold, whatever takes it."""

import sys
import unicodedata

import pytest
from pydantic import BaseModel

from app.renderer.errors import BadParameter
from app.renderer.params import Text, validate


class Words(BaseModel):
    """One text."""

    text: Text


def test_no_control_character_is_taken_but_line_feed_and_tab() -> None:
    refused = set()
    for code in range(sys.maxunicode + 1):
        if unicodedata.category(chr(code)) not in ("Cc", "Zs", "Cf"):
            continue
        try:
            validate(Words, {"text": f"a{chr(code)}b"}, strict=True)
        except BadParameter:
            refused.add(chr(code))

    controls = {chr(c) for c in range(256) if unicodedata.category(chr(c)) == "Cc"}
    assert refused == controls - {"\n", "\t"}


def test_the_first_control_character_is_named() -> None:
    with pytest.raises(BadParameter, match=r"control character U\+0007"):
        validate(Words, {"text": "a\tb\x07c\x00"}, strict=True)
