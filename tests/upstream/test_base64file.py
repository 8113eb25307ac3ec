"""Base64 is read strictly, and only what has one meaning is mended."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.upstream.errors import BadMedia
from app.upstream.service import Service
from tests.upstream.pictures import PNG, SAMPLES, answered, b64, content, dump


@pytest.mark.parametrize("before", range(7))
@pytest.mark.parametrize("spelt", [b"\\/", b"\\u002f", b"\\u002F"])
def test_an_escape_across_two_blocks_is_undone(before, spelt):
    image = PNG + b"\0" * (-len(PNG) % 3) + b"\xfb\xff\xff" * 120_000
    text = base64.b64encode(image).replace(b"/", spelt)

    service = Service(name="art", kind="auto", url="http://art.example")
    body = b" " * before + b'{"image": "' + text + b'"}'
    with answered(body, service=service) as answer:
        assert content(answer.images[0]) == image
        assert answer.images[0].repairs == ()


@pytest.mark.parametrize(
    "text",
    [
        b64(PNG)[:-1] + "%",
        b64(PNG)[:101],
        "AA==" + b64(PNG),
        b64(PNG) + "+-/_",
        b64(PNG) + "===",
        b64(PNG + b"\0" * ((1 - len(PNG)) % 3))[:-1],
        b64(PNG).replace("+", "-", 1),
        "data:image/svg+xml,%3Csvg%3E" + "a" * 30,
        "'" + b64(PNG) + "'",
        b64(SAMPLES["image/bmp"] * 3).replace("+", " ").replace("/", "A") + "\\u00e9",
    ],
)
def test_base64_with_more_than_one_meaning_is_refused(text):
    with pytest.raises(BadMedia), answered(dump({"image": text})):
        pass


def test_a_plus_that_became_a_blank_is_a_plus_again():
    image = PNG + b"\xfb\xef\x10" * 900
    spoilt = b64(image).replace("+", " ")

    with answered(dump({"image": spoilt})) as answer:
        assert content(answer.images[0]) == image
        assert answer.images[0].repairs == ("plus",)


def test_blanks_that_may_be_either_are_refused():
    spoilt = b64(PNG + b"\xfb\xef\xbe" + b"\0" * (-len(PNG) % 3)).replace("+", " ")

    with pytest.raises(BadMedia, match="blanks"), answered(dump({"image": spoilt})):
        pass


@given(st.binary(min_size=1, max_size=300), st.data())
def test_base64_is_decoded_as_the_standard_library_does(noise, drawn):
    image = PNG + noise
    text = b64(image).rstrip("=") if drawn.draw(st.booleans()) else b64(image)
    at = drawn.draw(st.integers(0, len(text)))
    text = f"{text[:at]}\n{text[at:]}" if drawn.draw(st.booleans()) else text

    with answered(dump({"image": text})) as answer:
        assert content(answer.images[0]) == image
