"""RFC 9110, sections 13 and 14, as tables."""

import string

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.delivery.conditional import (
    Conditions,
    Representation,
    Span,
    precondition,
    select_range,
)
from tests.growth import assert_linear

TAG = '"abc"'
PINNED = Representation(TAG, pinned=True)
UNPINNED = Representation(TAG, pinned=False)


def decide(asked, current, length):
    """Ask in the order of RFC 9110, 13.2.2, as the delivery does."""
    return precondition(asked, current) or select_range(asked, current, length)


def status(current=PINNED, length=100, method="GET", **headers):
    return decide(Conditions(method, **headers), current, length).status


def span(header, length=100):
    return select_range(Conditions("GET", range=header), PINNED, length).span


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (TAG, 304),
        ('W/"abc"', 304),
        ("*", 304),
        (" * ", 304),
        ('"x", "abc"', 304),
        ('"x", W/"abc"', 304),
        ('"x","abc" ,"y"', 304),
        (',,"abc",', 304),
        ('"a,b", "abc"', 304),
        ('W/"abc" ', 304),
        ("", 200),
        ('"ABC"', 200),
        ('"x"', 200),
        ("abc", 200),
        ('w/"abc"', 200),
        ('"x""abc"', 200),
        ('"abc"x', 200),
        ('*, "x"', 200),
        ('"abc', 200),
    ],
)
def test_if_none_match_takes_lists_weak_tags_and_a_star(header, expected):
    assert status(if_none_match=header) == expected


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (TAG, 200),
        ("*", 200),
        ('"x", "abc"', 200),
        ('W/"abc"', 412),
        ('"x", W/"abc"', 412),
        ('W/"abc", "abc"', 200),
        ('"x"', 412),
        ("abc", 412),
        ("", 412),
    ],
)
def test_if_match_takes_strong_tags_only(header, expected):
    assert status(if_match=header) == expected


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"if_match": '"x"', "if_none_match": TAG, "range": "bytes=0-3"}, 412),
        ({"if_match": TAG, "if_none_match": TAG, "range": "bytes=0-3"}, 304),
        ({"if_none_match": TAG, "range": "bytes=0-3"}, 304),
        ({"if_none_match": '"x"', "range": "bytes=0-3"}, 206),
        ({"if_none_match": TAG, "range": "bytes=999-"}, 304),
        ({"if_match": '"x"', "range": "bytes=999-"}, 412),
        ({"if_range": TAG, "range": "bytes=999-"}, 416),
        ({"if_range": '"x"', "range": "bytes=999-"}, 200),
    ],
)
def test_conditions_are_weighed_in_the_order_of_13_2_2(headers, expected):
    assert status(PINNED, **headers) == expected


@pytest.mark.parametrize(
    ("method", "headers", "expected"),
    [
        ("HEAD", {"if_none_match": TAG}, 304),
        ("HEAD", {"if_match": '"x"'}, 412),
        ("HEAD", {"range": "bytes=0-3"}, 200),
        ("HEAD", {"range": "bytes=999-"}, 200),
        ("POST", {"if_none_match": TAG}, 412),
        ("POST", {"if_none_match": '"x"'}, 200),
        ("POST", {"range": "bytes=0-3"}, 200),
        ("OPTIONS", {"if_match": '"x"', "if_none_match": TAG}, 200),
    ],
)
def test_the_method_decides_what_counts(method, headers, expected):
    assert status(PINNED, method=method, **headers) == expected


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes=0-0", (0, 1)),
        ("bytes=5-5", (5, 6)),
        ("bytes=-1", (99, 100)),
        ("bytes=10-", (10, 100)),
        ("bytes=0-", (0, 100)),
        ("bytes=0-99", (0, 100)),
        ("bytes=90-1000", (90, 100)),
        ("bytes=-100", (0, 100)),
        ("bytes=-99999999", (0, 100)),
        ("bytes=000000000000000000000000000005-05", (5, 6)),
        ("bytes=0-" + "9" * 5000, (0, 100)),
        ("bytes=-" + "9" * 5000, (0, 100)),
        ("BYTES=0-3", (0, 4)),
        ("bytes= 0-3", (0, 4)),
        ("bytes=,0-3, ,", (0, 4)),
    ],
)
def test_legal_single_ranges_give_206(header, expected):
    assert span(header) == Span(*expected)
    assert status(range=header) == 206


@pytest.mark.parametrize(
    "header",
    [
        "",
        "bytes",
        "bytes=",
        "bytes=-",
        "bytes=abc",
        "bytes=0-1,5-6",
        "bytes=0-1,bytes=5-6",
        "bytes=5-4",
        "bytes=0x1-2",
        "bytes=1-2-3",
        "bytes=+1-2",
        "bytes=1 -2",
        "bytes=\u0661-\u0662",
        "bytes=0-3\n",
        "bytes:0-3",
        "items=0-3",
        "byte\u017f=0-3",
        "0-3",
    ],
)
def test_unknown_units_malformed_and_multiple_ranges_are_ignored(header):
    assert status(range=header) == 200


@pytest.mark.parametrize(
    ("header", "length", "expected"),
    [
        ("bytes=100-", 100, 416),
        ("bytes=100-100", 100, 416),
        ("bytes=999999999-", 100, 416),
        ("bytes=" + "9" * 5000 + "-", 100, 416),
        ("bytes=-0", 100, 416),
        ("bytes=0-", 0, 416),
        ("bytes=0-0", 0, 416),
        ("bytes=-1", 0, 200),
    ],
)
def test_a_range_outside_the_whole_gives_416(header, length, expected):
    assert status(range=header, length=length) == expected


@pytest.mark.parametrize(
    ("header", "current", "expected"),
    [
        (TAG, PINNED, 206),
        (TAG, UNPINNED, 206),
        ('W/"abc"', PINNED, 200),
        ('"x"', PINNED, 200),
        ('"abc", "x"', PINNED, 200),
        ("*", PINNED, 200),
        ("", PINNED, 200),
        ("Sun, 06 Nov 1994 08:49:37 GMT", PINNED, 200),
    ],
)
def test_if_range_takes_the_exact_strong_tag_and_no_date(header, current, expected):
    assert status(current, range="bytes=0-3", if_range=header) == expected


def test_a_bare_range_of_an_unpinned_url_is_ignored():
    assert status(UNPINNED, range="bytes=4-") == 200
    assert status(UNPINNED, range="bytes=999-") == 200


def test_a_precondition_needs_no_length():
    assert precondition(Conditions("GET"), PINNED) is None
    assert precondition(Conditions("GET", if_none_match=TAG), PINNED).status == 304


def test_conditions_are_read_from_a_wsgi_environment():
    environ = {
        "REQUEST_METHOD": "GET",
        "HTTP_IF_MATCH": "1",
        "HTTP_IF_NONE_MATCH": "2",
        "HTTP_IF_RANGE": "3",
        "HTTP_RANGE": "4",
    }

    assert Conditions.from_environ(environ) == ("GET", *"1234")


texts = st.none() | st.text() | st.text(alphabet='bytes=W/"abc,-*0123456789 GMT:')


@given(
    method=st.sampled_from(["GET", "HEAD", "POST", "OPTIONS"]),
    headers=st.lists(texts, min_size=4, max_size=4),
    pinned=st.booleans(),
    length=st.integers(0, 10**6),
)
def test_any_text_is_a_legal_header(method, headers, pinned, length):
    current = Representation(TAG, pinned)

    decision = decide(Conditions(method, *headers), current, length)

    assert decision.status in (200, 206, 304, 412, 416)
    assert (decision.status == 206) == (decision.span is not None)


numbers = st.integers(0, 2**80).map(str) | st.text(string.digits)


@given(first=numbers, last=numbers, length=st.integers(0, 2**40))
@example(first="", last="9" * 5000, length=1)
@example(first="9" * 5000, last="9" * 4999, length=1)
def test_a_slice_lies_inside(first, last, length):
    decision = select_range(
        Conditions("GET", range=f"bytes={first}-{last}"), PINNED, length
    )

    if decision.span is not None:
        assert 0 <= decision.span.start < decision.span.stop <= length


@given(data=st.binary(min_size=1), first=st.integers(0, 50), last=st.integers(0, 50))
def test_a_slice_holds_the_bytes_that_the_range_names(data, first, last):
    found = span(f"bytes={first}-{last}", len(data))

    expected = bytes(b for i, b in enumerate(data) if first <= i <= last)
    assert (data[found.start : found.stop] if found else b"") == expected


tags = st.text(alphabet="abc,W/*", max_size=4).map('"{}"'.format)


@given(st.lists(st.tuples(st.sampled_from(["", "W/"]), tags)), tags)
def test_a_list_matches_if_a_member_does(members, tag):
    header = ", ".join(prefix + member for prefix, member in members)
    current = Representation(tag)

    not_matched = status(current, if_none_match=header) == 200
    matched_strongly = status(current, if_match=header) == 200

    assert not_matched == (tag not in {member for _, member in members})
    assert matched_strongly == (("", tag) in members)


HOSTILE = {
    "spaces": " " * 10 + "\t ",
    "commas": ",",
    "tags": '"a",',
    "open tags": '"a,',
    "letters": "x",
    "quotes": '"',
    "weak": 'W/"',
    "spaced commas": " ,",
    "digits": "7",
    "ranges": "1-2,",
}


@pytest.mark.parametrize("name", ["if_none_match", "if_match", "if_range", "range"])
@pytest.mark.parametrize("unit", HOSTILE.values(), ids=HOSTILE)
def test_time_is_linear_in_a_hostile_header(name, unit):
    def judge(body: str) -> None:
        for value in (body, f"{body}{TAG}", f"{TAG}{body}x", f"bytes={body}"):
            status(UNPINNED, **{"range": "bytes=0-", name: value})

    assert_linear(judge, unit, 2**19)
