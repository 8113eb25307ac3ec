"""A streamed body is whole, or visibly broken off, and never silent for long."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.datastructures import Headers

from app.delivery.answer import Answer, BrokenStream, steady, stream


def body(chunks, length=None, finish=lambda: None):
    return stream("200 OK", [], iter(chunks), length, finish)


@given(st.lists(st.binary(max_size=200)))
def test_steadying_changes_no_byte(chunks):
    assert b"".join(steady(chunks)) == b"".join(chunks)


@given(st.lists(st.binary(max_size=200)))
def test_no_empty_chunk_reaches_the_server(chunks):
    assert all(steady(chunks))


def test_a_byte_goes_out_for_each_tick_of_waiting():
    sent = list(steady([b"x" * 1000, b"", b"", b"y"]))

    assert [len(chunk) for chunk in sent] == [936, 1, 1, 63]


def test_ticks_before_the_first_byte_send_nothing():
    assert list(steady([b"", b"", b"abc"])) == [b"abc"]


def test_the_first_chunk_is_made_before_the_headers():
    def chunks():
        raise LookupError("early")
        yield b""

    ended = []
    with pytest.raises(LookupError):
        body(chunks(), finish=lambda: ended.append(True))

    assert ended == [True]


def test_an_end_before_the_promised_length_breaks_the_stream():
    answer = body([b"x" * 100], length=101)

    with pytest.raises(BrokenStream, match="1 bytes"):
        b"".join(answer.response)


def test_a_body_of_the_promised_length_ends_quietly():
    answer = body([b"x" * 100, b"y"], length=101)

    assert b"".join(answer.response) == b"x" * 100 + b"y"
    assert answer.headers["Content-Length"] == "101"


def test_an_empty_body_may_be_promised():
    assert b"".join(body([], length=0).response) == b""


def test_an_error_that_looks_like_the_sockets_own_is_wrapped():
    def chunks():
        yield b"x" * 100
        raise BrokenPipeError

    with pytest.raises(BrokenStream):
        list(body(chunks()).response)


def test_closing_ends_the_work_and_calls_finish_once():
    ended = []

    def chunks():
        try:
            yield b"x" * 100
            yield b"y" * 100
        finally:
            ended.append("work")

    answer = body(chunks(), finish=lambda: ended.append("finish"))
    answer.close()
    answer.close()

    assert ended == ["work", "finish"]


def test_proxies_are_told_not_to_run_ahead_of_the_client():
    assert body([b"x"]).headers["X-Accel-Buffering"] == "no"


def test_an_answer_hands_its_headers_on_as_werkzeug_would():
    """Answer fills a private list of Werkzeug's, which an upgrade may change."""
    pairs = [("ETag", '"a"'), ("Link", "<a>"), ("Link", "<b>")]

    headers = Answer("200 OK", pairs, ()).headers

    assert list(headers) == list(Headers(pairs))
    assert headers.getlist("Link") == ["<a>", "<b>"] and headers["etag"] == '"a"'
