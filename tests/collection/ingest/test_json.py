"""A JSON upload is read twice, whatever the order of its members."""

import io
import json
import tempfile
from collections.abc import Iterator
from typing import IO, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.collection.ingest.json import JsonDocument, spool
from app.parsing.image import BadBody, read_json
from app.renderer.errors import BadParameter
from tests.collection.uploads import Drips, Limits

BOUNDS = Limits()


@pytest.fixture
def file() -> Iterator[IO[bytes]]:
    """A temporary file."""
    with tempfile.TemporaryFile() as made:
        yield made


def read(data: bytes) -> tuple[dict[str, Any], list[Any]]:
    with tempfile.TemporaryFile() as made:
        spool(io.BytesIO(data), made)
        document = JsonDocument(made, BOUNDS)
        return document.members, [row.values for row in document.rows()]


@pytest.mark.parametrize(
    "data",
    [
        b'{"a":{"b":[1,null]},"items":[{"x":1},{"y":"z"}],"c":true}',
        b'{"items":[{"x":1},{"y":"z"}],"a":{"b":[1,null]},"c":true}',
        b'{"a":{"b":[1,null]},"c":true,"items":[{"x":1},{"y":"z"}]} \n',
    ],
)
def test_members_may_come_in_any_order(data: bytes) -> None:
    assert read(data) == (
        {"a": {"b": [1, None]}, "c": True},
        [{"x": 1}, {"y": "z"}],
    )


def test_an_integer_is_no_float_and_a_float_no_decimal() -> None:
    values = read(b'{"items":[{"a":1,"b":1.0,"c":1e2,"d":-0.0}]}')[1][0]

    assert [type(value) for value in values.values()] == [int, float, float, float]


def test_members_called_items_further_in_are_no_rows() -> None:
    members, rows = read(b'{"defaults":{"items":[1]},"items":[{"items":2}]}')

    assert members == {"defaults": {"items": [1]}}
    assert rows == [{"items": 2}]


def test_the_first_place_at_fault_is_shown() -> None:
    with pytest.raises(BadBody) as caught:
        read(b'{"items":[{"a":1},{"a":1},{"a":}]}')

    assert "(item 3)" in str(caught.value)
    assert '{"a":}' in str(caught.value)


def test_a_name_twice_further_in_is_its_rows_fault() -> None:
    with tempfile.TemporaryFile() as made:
        spool(io.BytesIO(b'{"items":[{"a":{"b":1,"b":2}},{"a":1}]}'), made)
        rows = [*JsonDocument(made, BOUNDS).rows()]

    assert [fault.field for fault in rows[0].faults] == ["b"]
    assert rows[1].values == {"a": 1} and not rows[1].faults


@pytest.mark.parametrize(
    "text",
    [
        r'"\ud800"',
        r'"\udfff"',
        r'"\uD83D\uD83D\uDE00"',
        r'"\ud83d\n"',
        r'"\\\ud800"',
        r'"\ud83d\ude00\ude00"',
        r'"\ud83dx\ude00"',
    ],
)
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_half_of_a_pair_is_refused(text: str, size: int, file: IO[bytes]) -> None:
    body = b" " * 90 + text.encode()

    with pytest.raises(BadBody, match="half of a pair"):
        spool(Drips(body, size), file)


@pytest.mark.parametrize(
    "text",
    [
        r'"\ud83d\ude00"',
        r'"\\ud800"',
        r'"\\\\ud800"',
        r'"\ud83d\ude00\uD83D\uDE00"',
        "d800",
    ],
)
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_whole_pairs_and_escaped_backslashes_are_taken(
    text: str, size: int, file: IO[bytes]
) -> None:
    spool(Drips(text.encode(), size), file)

    file.seek(0)
    assert file.read() == text.encode()


JSON_TEXT = st.text(st.characters(exclude_categories=("Cs",)))
# The parser refuses, and does not round, integers of more than 64 bits.
INTEGERS = st.integers(-(2**63) + 1, 2**63 - 1)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | INTEGERS
    | st.floats(allow_nan=False, allow_infinity=False)
    | JSON_TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(JSON_TEXT, inner),
    max_leaves=10,
)
NAMES = JSON_TEXT.filter(lambda name: name != "params")


@given(
    items=st.lists(st.dictionaries(NAMES, VALUES), max_size=5), escaped=st.booleans()
)
def test_what_is_read_is_what_was_written(items: list[Any], escaped: bool) -> None:
    data = json.dumps({"items": items}, ensure_ascii=escaped).encode()

    assert read(data)[1] == items


@given(data=st.binary(max_size=100))
def test_what_the_parser_takes_is_json(data: bytes) -> None:
    body = b'{"items":[{"a":"' + data + b'"}]}'
    try:
        found = read(body)[1]
    except (BadBody, BadParameter):
        return

    assert found == read_json(body)["items"]
