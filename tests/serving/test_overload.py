"""Who waits for a thread, who is refused, and what they are told."""

import json
from collections.abc import Iterator

import pytest

from app.serving.head import keeps_open
from app.serving.overload import Backlog, KnownTargets, Refusals, is_vital


def filled(most_s: float = 5.0, interval_s: float = 1.0) -> Iterator[Backlog[int]]:
    """One thread, which becomes free once a second while others wait."""
    backlog = Backlog[int](1, most_s)
    assert backlog.enter()
    for number in range(4):
        assert backlog.join(number, 0.0)
    for number in range(4):
        assert backlog.leave(number * interval_s) == number
    yield backlog


def test_a_free_thread_is_taken_and_given_back():
    backlog = Backlog[int](2, 5.0)

    assert [backlog.enter() for _ in range(3)] == [True, True, False]
    assert backlog.leave(0.0) is None
    assert backlog.enter()


def test_who_waits_gets_the_next_thread_in_the_order_of_coming():
    backlog = Backlog[str](1, 5.0)
    backlog.enter()
    assert backlog.join("a", 0.0) and backlog.join("b", 0.0)

    assert [backlog.leave(1.0), backlog.leave(2.0), backlog.leave(3.0)] == [
        "a",
        "b",
        None,
    ]


def test_the_wait_is_expected_by_how_often_threads_became_free():
    (backlog,) = filled()
    for number in range(200):
        backlog.join(number, 0.0)
        backlog.leave(4.0 + number)
    for number in range(3):
        assert backlog.join(number, 0.0)

    assert backlog.expected_s == pytest.approx(3.0, rel=0.01)


def test_who_is_passed_over_takes_no_time():
    (backlog,) = filled()
    expected_s = []
    for number in range(50):
        for _ in range(3):
            backlog.join(number, 4.0)
        for _ in range(3):
            backlog.leave(4.0 + number)
        backlog.join(number, 4.0)
        expected_s.append(backlog.expected_s)
        backlog.leave(4.0 + number)

    assert expected_s[-1] == pytest.approx(1.0, rel=0.05)


def test_who_would_wait_too_long_is_refused():
    (backlog,) = filled()
    joined = [backlog.join(number, 0.0) for number in range(100)]

    refused = joined.index(False)
    assert refused > 1
    assert not any(joined[refused:])


def test_nobody_is_refused_before_anything_was_seen():
    backlog = Backlog[int](1, 5.0)
    backlog.enter()

    assert all(backlog.join(number, 0.0) for number in range(500))


def test_who_has_waited_too_long_is_late():
    backlog = Backlog[str](1, 5.0)
    backlog.enter()
    backlog.join("early", 0.0)
    backlog.join("later", 4.0)

    assert list(backlog.late(6.0)) == ["early"]
    assert len(backlog) == 1


HEAD = b"GET /images/a.png?x=1 HTTP/1.1\r\nHost: a\r\n\r\n"
HIT = [("Cache-Status", "mimeo; hit")]


@pytest.mark.parametrize(
    ("head", "status", "headers", "known"),
    [
        (HEAD, "200 OK", HIT, True),
        (HEAD, "304 NOT MODIFIED", [], True),
        (HEAD, "206 PARTIAL CONTENT", HIT, True),
        (HEAD, "200 OK", [("Cache-Status", "mimeo; fwd=uri-miss")], False),
        (HEAD, "200 OK", [], False),
        (HEAD.replace(b"GET", b"POST"), "200 OK", HIT, False),
    ],
)
def test_a_line_is_known_that_was_answered_without_drawing(
    head, status, headers, known
):
    targets = KnownTargets()
    targets.note(head, status, headers)

    assert (head in targets) is known
    other = head.replace(b"x=1", b"x=2")
    assert other not in targets
    assert (head.replace(b"Host: a", b"Host: b") in targets) is known


@pytest.mark.parametrize(
    ("head", "vital"),
    [
        (b"GET /health/live HTTP/1.1\r\n\r\n", True),
        (b"HEAD /health/ready HTTP/1.0\r\n\r\n", True),
        (b"GET /metrics HTTP/1.1\r\n\r\n", True),
        (HEAD, False),
        (b"GET /images/health.png HTTP/1.1\r\n\r\n", False),
        (b"", False),
    ],
)
def test_whoever_watches_over_the_server_has_threads_of_their_own(head, vital):
    assert is_vital(head) is vital


@pytest.mark.parametrize(
    ("head", "kept"),
    [
        (HEAD, True),
        (HEAD.replace(b"1.1", b"1.0"), False),
        (HEAD.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"), False),
        (HEAD.replace(b"\r\n\r\n", b"\r\nCONNECTION: Close, TE\r\n\r\n"), False),
        (HEAD.replace(b"x=1", b"connection:close"), True),
        (b"", False),
    ],
)
def test_a_connection_is_kept_for_those_who_expect_it(head, kept):
    assert keeps_open(head) is kept


def refusals() -> Refusals:
    def write(path: str, request_id: str, retry_s: int):
        body = {"instance": path, "request_id": request_id, "retry": retry_s}
        headers = [("X-Request-ID", request_id), ("Content-Length", "1")]
        return "503 SERVICE UNAVAILABLE", headers, json.dumps(body).encode()

    return Refusals(write)


def read(answer: bytes) -> tuple[list[str], bytes]:
    head, _, body = answer.partition(b"\r\n\r\n")
    return head.decode().split("\r\n"), body


def test_a_refusal_names_the_request_that_it_answers():
    told = ("GET", '/images/a%22b%C3%A9.png"', "id-7")
    lines, body = read(refusals().answer(told, 2.1, closes=False))

    assert lines[0] == "HTTP/1.1 503 SERVICE UNAVAILABLE"
    assert "X-Request-ID: id-7" in lines
    assert "Connection: keep-alive" in lines
    assert lines.count(f"Content-Length: {len(body)}") == 1
    assert sum(line.lower().startswith("content-length") for line in lines) == 1
    assert json.loads(body) == {
        "instance": '/images/a"bé.png"',
        "request_id": "id-7",
        "retry": 3,
    }


@pytest.mark.parametrize("given", [None, 'a"b', "a b", "x" * 200, ""])
def test_a_refusal_has_an_id_of_its_own_where_the_one_given_is_none(given):
    told = ("GET", "/images/a.png", given)
    seen = {
        json.loads(read(refusals().answer(told, 1, closes=True))[1])["request_id"]
        for _ in range(3)
    }

    assert len(seen) == 3
    assert all(len(one) == 32 for one in seen)


def test_a_refusal_of_a_head_has_no_body():
    lines, body = read(refusals().answer(("HEAD", "/a", None), 0, closes=True))

    assert body == b""
    assert "Connection: close" in lines
    assert any(line.startswith("Content-Length: ") for line in lines)
