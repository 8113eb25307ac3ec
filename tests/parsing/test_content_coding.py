"""Packed bodies are what is in them, within the bounds of bodies; RFC 9110, 8.4."""

import gzip
import io
import itertools
import zlib

import pytest
from flask.testing import FlaskClient

from app.parsing.content_coding import UnpackedBody
from app.parsing.image import BadBody

URL = "/images/solid.png"
FORM = "application/x-www-form-urlencoded"
RAW = zlib.compressobj(wbits=-15)
BODY = b"color=red"
PACKED = [
    ("gzip", gzip.compress(BODY)),
    ("GZIP", gzip.compress(BODY)),
    ("x-gzip", gzip.compress(BODY)),
    ("gzip", gzip.compress(BODY[:4]) + gzip.compress(BODY[4:])),
    ("deflate", zlib.compress(BODY)),
    ("deflate", RAW.compress(BODY) + RAW.flush()),
    ("identity", BODY),
]


@pytest.mark.parametrize(("coding", "body"), PACKED)
def test_packed_body_is_what_is_in_it(
    client: FlaskClient, coding: str, body: bytes
) -> None:
    headers = {"Content-Encoding": coding}

    answer = client.post(URL, data=body, headers=headers, content_type=FORM)

    assert answer.data == client.get(f"{URL}?color=red").data


def test_packed_form_of_parts_is_read(client: FlaskClient) -> None:
    parts = (
        b'--x\r\nContent-Disposition: form-data; name="color"\r\n\r\nred\r\n--x--\r\n'
    )

    answer = client.post(
        URL,
        data=gzip.compress(parts),
        headers={"Content-Encoding": "gzip"},
        content_type="multipart/form-data; boundary=x",
    )

    assert answer.data == client.get(f"{URL}?color=red").data


def test_empty_body_may_be_called_packed(client: FlaskClient) -> None:
    headers = {"Content-Encoding": "gzip"}

    assert client.post(f"{URL}?color=red", headers=headers).status_code == 200


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip, gzip", "aws-chunked"])
def test_other_codings_are_refused_with_those_that_are_read(
    client: FlaskClient, coding: str
) -> None:
    headers = {"Content-Encoding": coding}

    answer = client.post(URL, data=BODY, headers=headers, content_type=FORM)

    assert answer.status_code == 415
    # RFC 9110, 15.5.16.
    assert answer.headers["Accept-Encoding"] == "gzip, deflate"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (BODY, "is not gzip"),
        (gzip.compress(BODY)[:-1], "ended before"),
        (gzip.compress(BODY)[:-8] + bytes(8), "is not gzip"),
        (gzip.compress(BODY) + b"rest", "is not gzip"),
    ],
)
def test_body_that_is_not_what_its_coding_says_is_bad(
    client: FlaskClient, body: bytes, reason: str
) -> None:
    headers = {"Content-Encoding": "gzip"}

    answer = client.post(URL, data=body, headers=headers, content_type=FORM)

    assert answer.status_code == 400
    assert reason in answer.get_json()["detail"]


def test_bomb_is_refused_at_the_limit_of_bodies(client: FlaskClient) -> None:
    most = client.application.config["MAX_CONTENT_LENGTH"]
    headers = {"Content-Encoding": "gzip"}

    answer = client.post(
        URL,
        data=gzip.compress(bytes(most * 4)),
        headers=headers,
        content_type=FORM,
    )

    assert answer.status_code == 413


@pytest.mark.parametrize("packed", [True, False])
def test_parts_without_a_length_are_refused_at_the_limit_of_bodies(
    client: FlaskClient, packed: bool
) -> None:
    """And not as more fields than may be, which they once were."""
    most = client.application.config["MAX_CONTENT_LENGTH"]
    head = b'--x\r\nContent-Disposition: form-data; name="color"\r\n\r\n'
    parts = head + bytes(most * 2) + b"\r\n--x--\r\n"
    chunked = {"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"}

    answer = client.post(
        URL,
        input_stream=io.BytesIO(gzip.compress(parts) if packed else parts),
        headers={"Content-Encoding": "gzip"} if packed else {},
        content_type="multipart/form-data; boundary=x",
        environ_overrides=chunked,
    )

    assert answer.status_code == 413


@pytest.mark.parametrize("zeros", [1, 512, 100_000])
def test_zeros_behind_a_member_stand_for_nothing(zeros: int) -> None:
    filled = gzip.compress(BODY) + bytes(zeros)
    body = UnpackedBody(io.BytesIO(filled + filled), "gzip")

    assert body.read() == BODY * 2


def test_no_more_is_unpacked_than_is_read() -> None:
    body = UnpackedBody(io.BytesIO(gzip.compress(bytes(64 << 20))), "gzip")

    assert len(body.read(1000)) == 1000


def test_stream_that_holds_nothing_ends() -> None:
    class Endless(io.RawIOBase):
        members = itertools.repeat(gzip.compress(b""))

        def read(self, size: int = -1) -> bytes:
            return next(self.members)

    with pytest.raises(BadBody, match="next to nothing"):
        UnpackedBody(Endless(), "gzip").read(1)
