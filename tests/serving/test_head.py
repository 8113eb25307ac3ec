"""Where a head ends, and what of it decides who reads on."""

import pytest

from app.serving.head import end_of, length_of_body, told_of

LONGEST = 100


@pytest.mark.parametrize(
    ("received", "end"),
    [
        (b"", None),
        (b"GET / HTTP/1.1", None),
        (b"GET / HTTP/1.1\r\n", None),
        (b"GET / HTTP/1.1\r\n\r", None),
        (b"GET / HTTP/1.1\r\n\r\n", 18),
        (b"GET / HTTP/1.1\r\nA: b\r\n\r\nbody\n\r\n\r\n", 24),
        # One empty line before the request line.
        (b"\r\n", None),
        (b"\r\nGET / HTTP/1.1\r\n\r\n", 20),
        # What is refused needs no more to come.
        (b"GET / HTTP/1.1\n", 15),
        (b"GET / HTTP/1.1\r\nA: b\nC: d", 25),
        (b"GET /" + b"x" * 95, None),
        (b"GET /" + b"x" * 100, 105),
        (b"GET /" + b"x" * 100 + b" HTTP/1.1\r\nA:", 118),
    ],
)
def test_a_head_ends_with_an_empty_line_or_where_it_is_refused(received, end):
    assert end_of(received, 0, LONGEST) == end


def test_an_end_that_arrives_in_parts_is_found():
    whole = b"GET / HTTP/1.1\r\nA: b\r\n\r\n"

    ends = [end_of(whole[:size], size - 1, LONGEST) for size in range(1, 25)]

    assert ends == [None] * 23 + [24]


@pytest.mark.parametrize(
    ("header", "length"),
    [
        (b"A: b", 0),
        (b"Content-Length: 12", 12),
        (b"content-LENGTH:\t12 ", 12),
        (b"X-Content-Length: 12", 0),
        (b"A: Content-Length: 12", 0),
        (b"Content-Length: 1x", 0),
        (b"Content-Length: " + b"9" * 5000, 0),
        (b"Transfer-Encoding: chunked", None),
        (b"Content-Length: 9\r\nExpect: 100-continue", None),
    ],
)
def test_the_length_of_a_body_is_known_or_not(header, length):
    head = b"POST / HTTP/1.1\r\n" + header + b"\r\n\r\n"

    assert length_of_body(head) == length


@pytest.mark.parametrize(
    ("head", "told"),
    [
        (b"", ("", "", None)),
        (b"nonsense", ("", "", None)),
        (b"GET /images/a.png?b=c HT", ("GET", "/images/a.png", None)),
        (b"GET /ima", ("GET", "", None)),
        (b"GET /" + b"x" * 1000 + b" ", ("GET", "", None)),
        (b"GET / HTTP/1.1\r\nx-request-ID: me \r\n", ("GET", "/", "me")),
    ],
)
def test_what_can_be_read_of_a_bad_head_is_told(head, told):
    assert told_of(head) == told
