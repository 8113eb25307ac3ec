"""Answers reach the server as Werkzeug would have sent them, without its copying."""

import pytest
from flask import Response
from werkzeug.datastructures import Headers
from werkzeug.test import EnvironBuilder, run_wsgi_app

from app.delivery.answer import Answer

PAIRS = [
    ("Content-Type", "image/png"),
    ("ETag", '"abc"'),
    ("Link", '</a>; rel="canonical"'),
    ("Link", '</b>; rel="next"'),
    ("Content-Length", "3"),
]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_an_answer_is_sent_as_a_response_of_werkzeug_is(method):
    environ = EnvironBuilder(method=method).get_environ()
    usual = Response([b"abc"], "200 OK", Headers(PAIRS))

    body, status, headers = run_wsgi_app(Answer("200 OK", PAIRS, [b"abc"]), environ)
    usual_body, usual_status, usual_headers = run_wsgi_app(usual, environ)

    assert (status, b"".join(body)) == (usual_status, b"".join(usual_body))
    assert list(headers) == list(usual_headers) == PAIRS


def test_the_headers_of_an_answer_can_be_read_and_changed():
    answer = Answer("200 OK", PAIRS, [b"abc"])

    answer.headers["ETag"] = '"other"'

    assert answer.headers.getlist("link") == [value for _, value in PAIRS[2:4]]
    assert dict(answer.headers)["ETag"] == '"other"'
