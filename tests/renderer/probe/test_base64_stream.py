"""Base64 of parameters: every spelling with one meaning, and no other."""

import base64
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.renderer.probe.base64_stream import NotBase64, decode_text
from tests.upstream.pictures import JPEG, PNG, SVG

LONG = PNG + bytes(range(256)) * 16


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def wrapped(text: str, width: int, ending: str) -> str:
    return ending.join(text[at : at + width] for at in range(0, len(text), width))


SPELLINGS = {
    "bare": b64(LONG),
    "data URI": f"data:image/png;base64,{b64(LONG)}",
    "lines of 76": wrapped(b64(LONG), 76, "\r\n") + "\r\n",
    "lines of 64": wrapped(b64(LONG), 64, "\n"),
    "lines that a shell made blanks": wrapped(b64(LONG), 76, " "),
    "indented lines": wrapped(b64(LONG), 76, "\n        "),
    "URL-safe": base64.urlsafe_b64encode(LONG).decode(),
    "without padding": b64(LONG).rstrip("="),
    "URL-safe without padding": base64.urlsafe_b64encode(LONG).decode().rstrip("="),
    "a form's blanks for each +": b64(LONG).replace("+", " "),
    "a form's blanks in lines": wrapped(b64(LONG), 76, "\r\n").replace("+", " "),
    "percent-encoded": quote(b64(LONG), safe=""),
    "percent-encoded data URI": f"data:image/png;base64,{quote(b64(LONG), safe='')}",
    "wrong type": f"data:image/jpg;base64,{b64(LONG)}",
    "no type": f"data:;base64,{b64(LONG)}",
    "parameters": f"data:image/png;name=a.png;charset=utf-8;base64,{b64(LONG)}",
    "blanks in the head": f"data: image/png; base64, {b64(LONG)}",
    "capitals": f"DATA:IMAGE/PNG;BASE64,{b64(LONG)}",
    "no scheme": f"image/png;base64,{b64(LONG)}",
    "head twice": f"data:image/png;base64,data:image/png;base64,{b64(LONG)}",
    "base64 twice": b64(b64(LONG).encode()),
    "data URI in base64": b64(f"data:image/png;base64,{b64(LONG)}".encode()),
    "no word of base64": f"data:image/png,{b64(LONG)}",
    "blanks around": f"  {b64(LONG)}\n",
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_each_spelling_is_the_same_image(spelling):
    assert decode_text(SPELLINGS[spelling]) == LONG


_MARKUP = SVG.decode().strip()


@pytest.mark.parametrize(
    "text",
    [
        _MARKUP,
        f"data:image/svg+xml,{quote(_MARKUP)}",
        f"data:image/svg+xml;charset=utf-8,{quote(_MARKUP)}",
        f"data:image/svg+xml;utf8,{_MARKUP}",
        f"data:image/svg+xml;base64,{b64(_MARKUP.encode())}",
    ],
)
def test_markup_is_taken_encoded_or_as_it_is(text):
    assert decode_text(text) == _MARKUP.encode()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        ("  ", "empty"),
        ("logo.png", "characters"),
        (b64(PNG) + "%", "characters"),
        (b64(b"\0\0") + b64(PNG), "behind its padding"),
        (b64(PNG) + "+-", "two alphabets"),
        (b64(JPEG[:300])[:-3], "cut off"),
        (b64(PNG[:60]) + "===", "padding"),
        ("a b c d efgh", "send \\+ as %2B"),
    ],
)
def test_what_has_no_single_meaning_is_refused(text, reason):
    with pytest.raises(NotBase64, match=reason):
        decode_text(text)


@given(st.lists(st.sampled_from([b"\xfb\xef\xbe", b"ab", b"\xff"]), min_size=1))
def test_a_lost_plus_is_never_another_image(noise):
    # As a PNG ends: the last sign of no format with an end mark is a +.
    data = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + b"".join(noise) + b"IEND\xaeB`\x82"

    try:
        found = decode_text(b64(data).replace("+", " "))
    except NotBase64:
        return
    assert found == data


@given(st.binary(min_size=1, max_size=400), st.sampled_from([64, 76]))
def test_lines_are_never_taken_for_pluses(noise, width):
    data = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + noise
    text = wrapped(b64(data), width, " ")

    try:
        assert decode_text(text) == data
    except NotBase64:
        assert "=" not in text
