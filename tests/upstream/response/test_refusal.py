"""A failed status becomes the error that it means."""

import pickle

import pytest

from app.upstream.errors import (
    UpstreamBroken,
    UpstreamBusy,
    UpstreamDenied,
    UpstreamFiltered,
    UpstreamRefused,
)
from tests.upstream.pictures import answered, dump


@pytest.mark.parametrize(
    ("status", "headers", "body", "kind", "said"),
    [
        (
            400,
            {},
            {"error": {"message": "Bad size", "type": "x"}},
            UpstreamRefused,
            "Bad size",
        ),
        (
            400,
            {},
            {"error": {"code": "moderation_blocked"}},
            UpstreamFiltered,
            "moderation",
        ),
        (
            400,
            {},
            {"error": "as a result of our safety system"},
            UpstreamFiltered,
            "safety",
        ),
        (
            403,
            {},
            {"name": "content_moderation", "errors": ["no"]},
            UpstreamFiltered,
            "no",
        ),
        (
            403,
            {},
            {"name": "permission_denied", "message": "no"},
            UpstreamDenied,
            "no",
        ),
        (404, {}, {"detail": "Not Found"}, UpstreamDenied, "Not Found"),
        (
            422,
            {},
            {"detail": [{"loc": ["n"], "msg": "too big"}]},
            UpstreamRefused,
            "too big",
        ),
        (
            401,
            {},
            {"error": {"message": "key sk-abcdef123456"}},
            UpstreamDenied,
            "[key]",
        ),
        (429, {"Retry-After": "7"}, {}, UpstreamBusy, "7 s"),
        (429, {"Retry-After": "99999"}, {}, UpstreamBusy, "120 s"),
        (429, {}, {}, UpstreamBusy, "10 s"),
        (429, {}, {"error": {"code": "insufficient_quota"}}, UpstreamDenied, "quota"),
        (503, {"Retry-After": "30"}, {}, UpstreamBusy, "30 s"),
        (503, {}, {}, UpstreamBroken, "503"),
        (500, {}, {"error": "CUDA out of memory"}, UpstreamBroken, "CUDA"),
    ],
)
def test_a_failed_status_becomes_its_error(status, headers, body, kind, said):
    with (
        pytest.raises(kind) as raised,
        answered(dump(body), status=status, headers=headers),
    ):
        pass

    assert type(raised.value) is kind
    assert said in str(raised.value)
    assert str(pickle.loads(pickle.dumps(raised.value))) == str(raised.value)


def test_an_html_error_is_told_by_its_title():
    with (
        pytest.raises(UpstreamRefused, match="'413 Too Large'"),
        answered(b"<html><title>413 Too Large</title>", "text/html", status=413),
    ):
        pass


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"no such engine", "no such engine"),
        (b"", "no reason given"),
        (b'{"error": ', "no reason given"),
        (b"\x89PNG\r\n\x1a\n", "no reason given"),
        (b"<html>", "an HTML page"),
        (dump({"errors": [{"detail": {"msg": "deep"}}]}), "deep"),
    ],
)
def test_a_reason_is_given_whatever_the_body_is(body, reason):
    with pytest.raises(UpstreamDenied) as raised, answered(body, status=404):
        pass

    assert raised.value.reason == reason
