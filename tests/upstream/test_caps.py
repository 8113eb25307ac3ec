"""Hostile answers end in errors of ours, within the caps and in bounded memory."""

import json
import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.renderer.probe.byte_range import BLOCK, whole
from app.upstream.errors import BadMedia, TooLarge, UpstreamFiltered
from app.upstream.response.decode import OverBytes
from app.upstream.response.json_images import scan
from app.upstream.response.reader import extract
from app.upstream.service import Service
from tests.upstream.pictures import ART, PNG, SIZE, WEBP, answered, b64, dump, held
from tests.upstream.wire_forms import URL, zipped

_KEYS = (
    *("data", "images", "b64_json", "url", "seed", "info", "finish_reason"),
    *("error", "status", "artifacts", "seeds", "metadata", "content"),
)

WIDE = Service(name="art", kind="auto", url="http://art.example")


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.text()
        | st.sampled_from([b64(PNG), URL]),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(_KEYS),
                inner,
                max_size=4,
            )
        ),
        max_leaves=8,
    )
)
def test_no_json_makes_another_error_than_ours(document):
    try:
        with answered(dump(document), service=replace(ART, max_images=9)) as answer:
            assert answer.images
    except (BadMedia, UpstreamFiltered) as error:
        assert str(error)


@given(st.binary(max_size=400))
def test_no_bytes_make_another_error_than_ours(body):
    try:
        with answered(body, "image/png") as answer:
            assert answer.images
    except (BadMedia, UpstreamFiltered) as error:
        assert str(error)


@pytest.mark.parametrize(
    ("changed", "limit"),
    [
        ({"max_wire_bytes": 1_000}, "max_wire_bytes"),
        ({"max_image_bytes": 300}, "max_image_bytes"),
        ({"max_images": 1}, "max_images"),
        ({"max_pixels": SIZE[0] * SIZE[1] - 1}, "max_pixels"),
    ],
)
@pytest.mark.parametrize(
    "body",
    [
        dump({"images": [b64(PNG)] * 2, "padding": "x" * 1_000}),
        zipped(PNG, PNG + b"\0" * 900, WEBP),
    ],
)
def test_each_cap_is_named_with_its_bound(body, changed, limit):
    service = replace(ART, **changed)

    with pytest.raises(TooLarge) as raised, answered(body, service=service):
        pass

    assert (raised.value.limit, raised.value.allowed) == (limit, changed[limit])


def test_a_binary_over_the_cap_is_refused():
    service = replace(ART, max_image_bytes=len(PNG) - 1)

    with pytest.raises(TooLarge), answered(PNG, "image/png", service=service):
        pass


def test_a_zip_that_grows_is_stopped_at_the_cap():
    bomb = zipped(b"\0" * (32 << 20))

    with pytest.raises(TooLarge, match="max_image_bytes"), answered(bomb):
        pass


def test_a_zip_that_grows_is_not_written_beyond_the_cap():
    with held(zipped(b"\0" * (8 << 20))) as archive, held(b"") as target:
        with pytest.raises(OverBytes):
            list(extract(archive, target.file, 1 << 20))

        assert whole(target.file).length <= 1 << 20


@pytest.mark.parametrize("before", range(3))
def test_a_quote_escaped_across_two_blocks_ends_no_string(before):
    text = "x" * (BLOCK - 12 - before) + '"' * 6

    with held(dump({"text": text, "seed": 7})) as body:
        value = scan(body)

        assert value["seed"] == 7
        assert value["text"].head(len(text)) == text.encode()


@pytest.mark.parametrize("beside", [b"1," * 200_000, b'"a",' * 100_000, b" " * 400_000])
def test_much_beside_the_images_is_refused(beside):
    body = b'{"x": [' + beside + b'0], "image": "' + b64(PNG).encode() + b'"}'

    with pytest.raises(BadMedia, match="too m"), answered(body, service=WIDE):
        pass


# The bounds that the docstring of app.upstream.response.reader states.
_REFUSED = 2 << 20
_ORDINARY = 8 << 20
_HOSTILE = 32 << 20


@pytest.mark.skipif(sys.platform != "linux", reason="peaks are read from /proc")
@pytest.mark.parametrize(
    ("kind", "outcome", "bound"),
    [
        ("over the wire", "TooLarge", _REFUSED),
        ("over the image", "TooLarge", _REFUSED),
        ("largest", "read", _ORDINARY),
        ("binary", "read", _ORDINARY),
        ("lists", "read", _HOSTILE),
        ("objects", "read", _HOSTILE),
        ("texts", "TooLarge", _HOSTILE),
        ("spaces", "BadMedia", _ORDINARY),
        ("escapes", "BadMedia", _ORDINARY),
        ("quotes", "BadMedia", _ORDINARY),
        ("directory", "BadMedia", _HOSTILE),
        ("segment", "BadMedia", _ORDINARY),
    ],
)
def test_memory_is_bounded_however_large_the_answer(kind, outcome, bound):
    command = [sys.executable, "-m", "tests.upstream.answer_memory", kind]

    run = subprocess.run(command, capture_output=True, check=True, timeout=120)

    cost = json.loads(run.stdout)
    assert cost["outcome"] == outcome
    assert cost["growth"] < bound
